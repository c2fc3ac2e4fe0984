"""What the metrics page and the paper's tables show of each metric: heading, direction, decimals, meaning, and its table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A metric as the tables show it: key, heading, +1 if larger is better (-1 smaller, 0 neither), decimals, meaning.

    A heading may name the space whose table it stands in: {space}.
    """

    key: str
    title: str
    better: int
    digits: int
    meaning: str


IMAGES = [
    Column("pcc", "PCC", 1, 3, "Pearson correlation of pixels, mean over fields and channels. Floor: the largest |PCC| "
           "that a brightfield plane, or its local s.d., reaches by itself. Chance: the same prediction against "
           "another well's real image"),
    Column("ssim", "SSIM", 1, 3, "structural similarity, data range set to the cut-off of the z-scores. Chance, as for "
           "all that follow: the same prediction against another well's real image"),
    Column("ssim_paper", "SSIM, range 2", 1, 3, "the same with data range 2, as published"),
    Column("mse", "MSE", -1, 3, "mean squared error of standardised images; nearly 2 (1 - PCC), so it adds nothing to it"),
    Column("mae", "MAE", -1, 3, "mean absolute error of standardised images"),
    Column("mse_raw", "MSE, raw", -1, 3, "mean squared error of the prediction as it came, not standardised again"),
    Column("fid", "FID", -1, 1, "Frechet Inception Distance of painted and real images, channel by channel as grey 8-bit "
           "pictures: how far the two heaps of images are apart, whichever well an image shows. It falls with the number of "
           "images: compare numbers of as many images only, and with the next column. Floor: a brightfield plane"),
    Column("fid_sampling", "FID, chance", 0, 1, "the FID that as many images have if real and painted ones change places at "
           "random, well by well: FID says nothing below it"),
    Column("kid", "KID", -1, 4, "kernel Inception distance: the same question, unbiased by the number of images and around 0 "
           "where nothing tells the heaps apart. Floor: a brightfield plane"),
    Column("background_noise", "background noise", 0, 2, "grain of the painted background over that of the real one: 1 is "
           "as real, above 1 the model adds noise (the paper's B.3), below 1 it paints smoother than the camera sees. An "
           "image of little contrast scores high too"),
]  # fmt: skip
CELLS = [
    Column("cell_count", "cells, difference", 0, 2, "cells that CellProfiler finds in the painted wells beyond those in the "
           "real ones, as a share of these: 0 is right, 0.1 a tenth too many, -0.1 a tenth too few. Chance: by what share the "
           "other real plates differ in cells a field, without its sign"),
    Column("cell_count_r", "cells, r", 1, 3, "correlation over wells of painted and real cell counts. Chance: shuffled wells"),
    Column("nuclei_f1", "nuclei F1", 1, 3, "nuclei that CellProfiler finds in the painted and the real field with an "
           "intersection over union above one half: 2 x matches over all nuclei of both, mean over fields. Chance: the same "
           "prediction against other wells. Floor: another well's real nuclei in place of the prediction"),
    Column("nuclei_dice", "nuclei Dice", 1, 3, "twice the area that lies in nuclei in both images, over both areas"),
    Column("nuclei_iou", "nuclei IoU", 1, 3, "best intersection over union of each real nucleus with a painted one, mean"),
    Column("cells_f1", "cells F1", 1, 3, "as for nuclei, with the outlines of whole cells"),
    Column("feature_distance", "feature distance", -1, 2, "mean over the selected features of the difference between the "
           "medians of painted and real fields, in median absolute deviations of the real fields. Chance: the other real "
           "plates in place of a prediction"),
    Column("mmd2", "MMD²", -1, 3, "squared maximum mean discrepancy of the same features, all at once: 0 if painted fields "
           "are distributed as real ones (estimated without bias, so that it may fall below 0). Chance: the other real plates"),
]  # fmt: skip
PROFILES = [
    Column("nn", "NN matches", 1, 1, "perturbations of a plate whose nearest neighbour shares a target. Floor: the "
           "nearest wells on the plate in place of the nearest profiles"),
    Column("nn_paper", "NN hits", 1, 1, "hits, a query counted more than once, as published"),
    Column("top5", "NN top 5", 1, 1, "the same for any of the five nearest"),
    Column("top5_paper", "top 5 hits", 1, 1, "hits among the five nearest, a query counted more than once, as published"),
    Column("map_target", "target mAP", 1, 3, "mean average precision: 1 if those that share a perturbation's target are its "
           "nearest of all, mean over targets. Floor: wells ranked by distance on the plate"),
    Column("failed_painted", "failed, painted", 0, 2, "simulated plates: share of the wells whose compound failed that are "
           "painted with its phenotype all the same, that is beyond half-way from the arm's DMSO wells to where the training "
           "plates show it"),
    Column("working_painted", "working, painted", 0, 2, "the same of wells whose compound worked: none if none is painted"),
    Column("map_replicate", "replicate mAP", 1, 3, "mean average precision: 1 if a perturbation's real replicates on other plates "
           "are the nearest of all their profiles. Floor: the nearest well on the plate is asked in its place"),
    Column("mtdist", "MTdist", -1, 3, "mean cosine distance of perturbations that share a target"),
    Column("mtdist_paper", "MTdist, last pairs", -1, 3, "the same, each target's last pair only, as published"),
    Column("cpcor", "CPcor", 1, 3, "mean over features of the correlation across perturbations with the real profiles "
           "(real Cell Painting: with other real plates). Floor: the perturbation's mean real profile on the other "
           "plates, no image used"),
    Column("embedding_r", "embedding r", 1, 3, "mean over the numbers of an embedding of their correlation, across "
           "perturbations, with the real stains' profiles (real Cell Painting and brightfield: with their own other plates). "
           "Floor: the mean real profile on the other plates"),
    Column("embedding_distance", "{space} distance", -1, 2, "mean over the numbers of an embedding of the difference between the "
           "medians of painted and real fields, in median absolute deviations of the real fields; no cell is segmented. Chance: "
           "the other real plates in place of a prediction"),
    Column("embedding_mmd2", "{space} MMD²", -1, 3, "squared maximum mean discrepancy of whole embeddings: 0 if painted fields are "
           "distributed as real ones (it may fall below 0). Not a FID, whose network and formula are others. Chance: the other "
           "real plates"),
    Column("cell_told", "cells told", 1, 2, "balanced accuracy of the classifier of real cells on this arm's cells, of wells that "
           "it was not trained on: whether the class is in painted cells as it is in real ones, whose row says what can be "
           "reached. Chance: one over the classes"),
    Column("shift_no_cell", "moved without the cell", 0, 2, "how far an image's numbers move when its cell is erased (in a field: "
           "all cells), in mean distances of images of different wells. Chance: as many pixels erased half an image away"),
    Column("shift_no_background", "without all else", 0, 2, "the same when all but the cell is erased: a space that looks at cells "
           "moves less by this than without the cell. Chance: as many pixels kept half an image away"),
    Column("channels_alike", "channels alike", 0, 2, "mean correlation, across images, of a space's numbers of one channel alone "
           "with those of another alone: near 1 the channels say the same. Chance: another image's"),
    Column("cell_lift", "lift", 0, 2, "Grad-CAMO: attention on the cell over what even attention would lay there, mean over those "
           "cells. Chance: 1"),
]  # fmt: skip
UNCERTAINTY = [
    Column("uncertainty", "uncertainty", 0, 3, "mean squared s.d. of a field's samples: one minus the PCC of two of them, "
           "which one minus PCC would equal if the real stain were one more sample"),
    Column("aurc", "AURC", -1, 3, "area under the risk-coverage curve: one minus PCC of the fields kept, averaged over all "
           "shares kept, when the most uncertain are set aside first. Chance: random order, which is the mean error"),
    Column("aurc_oracle", "AURC, oracle", 0, 3, "the same if the order were that of the errors themselves: the least possible"),
    Column("uncertainty_r", "uncertainty, r", 1, 3, "rank correlation over fields of uncertainty and one minus PCC"),
]  # fmt: skip
BAND_WORDS = {
    "over_64px": "over 64 px", "32_to_64px": "32-64 px", "16_to_32px": "16-32 px", "8_to_16px": "8-16 px",
    "4_to_8px": "4-8 px", "under_4px": "under 4 px",
}  # fmt: skip
SAMPLED_IMAGES = [
    Column("pcc_drawn", "PCC of samples", 1, 3, "correlation of one sample with the real stain, mean over samples, fields "
           "and channels. A right sampler of what brightfield leaves open stays below a painter of means"),
    Column("pcc_between", "PCC between samples", 0, 3, "correlation of two samples of one field. If the real stain is as good as "
           "one more sample it equals the column before; a painter without noise paints the same again, which is 1"),
    Column("pcc_excess", "excess", 0, 3, "the second less the first: 0 is right, above 0 the arm is surer than it may be, below 0 "
           "it varies too much"),
    Column("spread_error", "spread over error", 0, 2, "s.d. of the samples over the error of their mean, corrected for their "
           "number: 1 is right, below 1 the arm is too sure, above 1 it varies too much"),
    *(Column(f"spread_error_{band}", words, 0, 2, f"the same of structure {words} long")
      for band, words in BAND_WORDS.items()),
]  # fmt: skip
SAMPLED_SCORES = [
    Column("crps", "CRPS", -1, 3, "continuous ranked probability score of pixels, by the fair estimator: least on average for "
           "samples of the true distribution; of a painter without noise the absolute error. Chance: the same samples against "
           "another well. Floor: regression with the noise of its own error"),
    Column("crps_gain_floor", "CRPS, beats floor by", 1, 3, "the floor's less the arm's, of the same fields: paired, so that the "
           "interval is of their difference"),
    Column("crps_gain_regression", "CRPS, beats regression by", 1, 3, "the same beside regression"),
    *(Column(f"crps_{band}", f"CRPS, {words}", -1, 3, f"the same of structure {words} long: noise of the wrong colour is seen "
             "here, and not in CRPS by pixel") for band, words in BAND_WORDS.items()),
]  # fmt: skip
SAMPLED_CELLS = [
    Column("energy", "energy score", -1, 3, "energy score of the median cells of a field's samples, by the fair estimator, in "
           "whitened principal components of real training fields: least on average for samples of the true distribution. "
           "Chance: the same samples against another well. Floor: regression with the noise of its own error"),
    Column("energy_gain_floor", "beats floor by", 1, 3, "the floor's energy score less the arm's, of the same fields, paired"),
    Column("energy_gain_regression", "beats regression by", 1, 3, "the same beside regression"),
    Column("variogram", "variogram score", -1, 3, "the same question asked of differences between components, which sees wrong "
           "correlations where the energy score sees wrong places"),
    Column("variogram_gain_floor", "variogram, beats floor by", 1, 3, "the floor's less the arm's, paired"),
    Column("variogram_gain_regression", "variogram, beats regression by", 1, 3, "the same beside regression"),
    Column("feature_error", "feature error", -1, 2, "difference of a field's features from the real field's, in median absolute "
           "deviations; features are averaged over the samples first, since a sample is further off than a mean by right"),
    Column("feature_error_gain_floor", "feature error, beats floor by", 1, 2, "the floor's less the arm's, paired"),
    Column("feature_error_gain_regression", "feature error, beats regression by", 1, 2, "the same beside regression"),
    Column("component_spread", "features, spread over error", 0, 2, "spread over error, as of images, of the components"),
    Column("count_spread", "counts, spread over error", 0, 2, "spread over error of the number of cells in a field"),
    Column("cell_sd", "spread between cells", 0, 2, "median over features of the s.d. between painted cells over that between real "
           "cells: 1 is right, below 1 painted cells are too alike. Chance: half of the real wells over the other half"),
    Column("cell_distribution", "distributions of features", -1, 3, "mean over features of Kolmogorov's distance between painted "
           "and real cells. Chance: half of the real wells against the other half"),
    Column("without_cells", "samples without cells", -1, 2, "share of samples without a cell, or without one of the features, "
           "where the real field has them: they are in no score of features"),
]  # fmt: skip
SAMPLED = [*SAMPLED_IMAGES, *SAMPLED_SCORES, *SAMPLED_CELLS]
TRANSLATIONS = [
    Column("class_distance", "distance to the class", -1, 2,
           "mean over numbers and target classes of the difference between means of translated and of real held-out "
           "fields of the class, in s.d. of source fields. Chance: one half of the real class against the other. "
           "Without translating: the untouched source"),
    Column("class_mmd2", "MMD² to the class", -1, 3,
           "squared maximum mean discrepancy from the real held-out fields of the class, unbiased by their number. "
           "Beside it as before"),
    Column("class_fid", "FID to the class", -1, 1,
           "FID of translated against real held-out fields of the class, mean over classes and channels; biased upwards by "
           "few fields, so that equal counts alone can be compared. Beside it as before; one half has half the fields"),
    Column("class_kid", "KID to the class", -1, 4,
           "KID, unbiased by the number of fields; may fall below 0. Beside it as before"),
    Column("source_kept", "kept of the source", 1, 2,
           "mean over numbers and classes of the correlation across source fields between source and translation: 1 "
           "kept whole. Chance: real training fields of the class. Without translating: fresh noise"),
    Column("source_moved", "reconstruction, moved", -1, 2,
           "mean difference of a reconstruction's numbers from its source's, in s.d. of source fields. Chance: real "
           "training fields of the class. Without translating: fresh noise"),
    Column("dose_r", "dose correlation", 1, 2,
           "median over compounds and numbers of the correlation of condition means over doses, real against "
           "translated. Chance: doses shuffled in one order for all numbers. Without translating: fresh noise"),
    Column("dose_r_real", "dose correlation, real changes", 1, 2,
           "the same of the numbers that are found to change in real cells"),
    Column("direction", "direction", 1, 2,
           "share of the numbers found in real cells that translations move the same way. Chance: directions of "
           "wells that differ by nothing, as correlated as the numbers are"),
    Column("found_twin", "found, A/A", -1, 3,
           "share of numbers found to change in the A/A control: promised are at most 5%. Chance: the same of real "
           "wells"),
    Column("found_inert", "found, inert", -1, 3,
           "the same in compounds known to do nothing"),
    Column("reconstruction_mse", "reconstruction, MSE", -1, 3,
           "mean squared difference of reconstruction and source, in z-scores. Chance: the source field of another "
           "well. Without translating: fresh noise"),
    Column("reconstruction_f1", "reconstruction, nuclei F1", 1, 2,
           "nuclei of source and reconstruction that match. Chance: the source field of another well. Without "
           "translating: fresh noise"),
    Column("translated_f1", "translation, nuclei F1", 1, 2,
           "the same of the translations, mean over classes"),
    Column("nuclei_kept", "nuclei kept", 0, 2,
           "share of the source's nuclei that have a partner in the translation, mean over classes: a toxic class "
           "should lose some"),
    Column("area_agreement", "area tests that agree", 1, 2,
           "share of classes and stains of which real wells and translations conclude the same of the stained area. "
           "Chance: two sides that conclude as often what they do, of other classes"),
]  # fmt: skip
CODECS = [
    Column("l1", "L1", -1, 3, "mean absolute difference of decoded and real stains in z-scores, the loss that the codec is "
           "trained on. Chance: another well's real image"),
    Column("kl_element", "KL per element", 0, 3, "KL divergence of a latent's element from the standard normal, in nats, the "
           "mean over all of a field's: 0 tells nothing of the image"),
    Column("latents_active", "active latents", 0, 2, "share of the latent's elements (a channel at a place) whose mean varies over "
           "fields, by more than 0.01 where the prior's variance is 1 (Burda et al. 2016)"),
    Column("channels_active", "active channels", 0, 1, "channels of the latent that vary so over fields and places"),
]  # fmt: skip
COLUMNS = [*IMAGES, *CELLS, *PROFILES]
BY_KEY = {column.key: column for column in [*COLUMNS, *UNCERTAINTY, *SAMPLED, *CODECS, *TRANSLATIONS]}
# One table each, so that none is wider than a screen.
GROUPS = {"Images": IMAGES, "Cells": CELLS, "Profiles": PROFILES, "Uncertainty": UNCERTAINTY,
          "Samples of a field": SAMPLED_IMAGES, "Samples of a field, CRPS": SAMPLED_SCORES,
          "Samples of a field, cells": SAMPLED_CELLS, "Codecs": CODECS}  # fmt: skip
ARROWS = {1: " ↑", -1: " ↓", 0: ""}
SUBSETS = {
    "full": "All perturbations (as the paper's Table 1)",
    "active": "Active perturbations (as the paper's Table 2)",
}
BY_CHANNEL = ("pcc", "fid", "kid", "background_noise", "spread_error")
REFERENCES = {"pcc_brightfield": "brightfield itself", "pcc_brightfield_sd": "local s.d. of brightfield"}
# What an arm that is shown the target has been told: it competes for no "best" there.
TARGET_METRICS = ("nn", "nn_paper", "top5", "top5_paper", "map_target", "mtdist", "mtdist_paper")
LEAKING = "†"
WITHOUT_PREDICTION = {
    "lookup": "lookup: real training plates, no image",
    "real": "real Cell Painting",
    "brightfield": "brightfield",
}
