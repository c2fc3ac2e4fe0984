"""What a study costs: hours of CPU and GPU by rule, bytes to fetch and to hold, from measured rates and its settings.

Networks are counted in floating-point operations (`painting.py`); a training step is taken for three forward
passes. All else scales with fields, pixels and cells. Rates and where they come from stand in resources/rates.tsv.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from brightpaint.features import own_crops
from brightpaint.plan.cell_networks import shown_flop, training_flop
from brightpaint.plan.extent import Extent, extents
from brightpaint.plan.painting import (
    gan_flop,
    generated_count,
    read_rates,
    sampling_flop,
    scoring_flop,
    source_count,
    translated_rows,
    translating_flop,
)
from brightpaint.plan.trainings import trainings_flop
from brightpaint.study import single_cells
from brightpaint.study.cell_engines import FAST
from brightpaint.study.critics import ENCODERS, is_trained, seen_channels
from brightpaint.study.object_stains import SHIPPED
from brightpaint.study.planes import cropped_channels
from brightpaint.study.spaces import SPACES
from brightpaint.study.study import Study

RATED_STAINS = 5  # of the fields by which scoring and CellProfiler were timed


@dataclass
class Costs:
    """CPU-seconds and floating-point operations of networks by rule; bytes."""

    cpu_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    flop: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    download: float = 0.0
    kept: float = 0.0
    raw: float = 0.0
    between: float = 0.0

    @property
    def peak(self) -> float:
        """Most bytes at once if everything is done abreast: all raw plates, or all parts beside all results."""
        return self.kept + max(self.raw, self.between)


def costs(study: Study, extents: dict[str, Extent], rates: dict[str, float]) -> Costs:
    """Return what the study costs as a whole, whatever of it has been made."""
    found = Costs()
    for plate, extent in extents.items():
        _plate(found, study, plate, extent, rates)
    for rule, flop in trainings_flop(study).items():
        found.flop[rule] += flop
    for arm in study.arms:
        for plate in study.test_plates(arm) + study.predict_plates(arm):
            _predicted(found, study, arm, plate, extents[plate], rates)
    for arm in study.translations:
        for plate in study.test_plates(arm):
            _translated(found, study, arm, extents[plate], rates)
    _swept(found, study, extents, rates)
    _calibrated(found, study, extents, rates)
    for arm, plate in [(name, plate) for name in study.generations for plate in study.test_plates(name)]:
        images = generated_count(study, arm, extents[plate].tiles)
        _painted_apart(found, study, arm, images, rates)
    for plate in study.profile_plates("real") if study.profiled("real") else []:
        _measured(found, study, extents[plate].tiles, rates)
    for arm in study.config["crops"]["arms"] if study.config["crops"]["size_um"] else []:
        for plate in study.profile_plates(arm):
            _cropped(found, study, arm, plate, extents[plate], rates)
    if single_cells.trained_variants(study) and not study.config["cellnet"]["own_crops"]:
        _told_apart(found, study, extents, rates)
    for entry in study.config["own_crops"]:
        _own_crops(found, entry, rates)
    if is_trained(study):
        _criticised(found, study, extents, rates)
    return found


def _stack_bytes(study: Study, fields: float, channels: int) -> float:
    """Bytes of a stack of float16."""
    return 2.0 * fields * channels * study.config["prepare"]["size_px"] ** 2


def _plate(found: Costs, study: Study, plate: str, extent: Extent, rates: dict[str, float]) -> None:
    """Add fetching and preparing one plate."""
    megapixels = extent.fields * extent.channels * extent.raw_px**2 / 1e6
    simulated = study.config["source"]["layout"] == "simulated"
    if simulated:
        found.cpu_s["simulate"] += rates["simulate"] * extent.fields * extent.raw_px**2 / 1e6
        found.kept += extent.raw_bytes
    else:
        found.download += extent.raw_bytes
    found.cpu_s["fetch"] += rates["fetch"] * extent.raw_bytes / 1e9
    if study.config["illumination"]["method"] in ("median", "jump"):
        start = rates["illumination_start"] * extent.channels
        found.cpu_s["illumination"] += rates["illumination"] * megapixels + start
    for rule in ("prepare", "quality"):
        found.cpu_s[rule] += rates[rule] * megapixels
    found.raw += extent.raw_bytes
    found.kept += _stack_bytes(study, extent.tiles, extent.channels)


def share_of(study: Study, name: str, rates: dict[str, float]) -> float:
    """Share of a plate's fields that an arm predicts: not known before the actives are, so the paper's."""
    return rates["active_share"] if study.model_of(name)["subset"] == "active" else 1.0


def _predicted(found: Costs, study: Study, arm: str, plate: str, extent: Extent, rates: dict[str, float]) -> None:
    """Add painting, scoring and measuring one plate by one arm."""
    fields, targets = extent.tiles * share_of(study, arm, rates), len(study.config["channels"]["target"])
    stack = _stack_bytes(study, fields, targets)
    further, once = study.entry("arms", arm)["samples"] - 1, fields * sampling_flop(study, arm)
    found.flop["sample"] += once
    found.flop["uncertainty"] += further * once
    found.flop["score_codec"] += fields * scoring_flop(study, arm) * (plate in study.test_plates(arm))
    found.kept += stack * (2 if further else 1)
    found.between += stack
    if plate not in study.test_plates(arm):
        delivered = {"ome-tiff": 1.0, "ome-zarr": 4 / 3}  # 16 bits a pixel; lower resolutions are a third of the whole
        ways = sum(delivered[way] for way in study.config["deliver"])
        found.kept += stack * ways * study.kind_of(arm).delivered
        return
    megapixels = fields * study.config["prepare"]["size_px"] ** 2 / 1e6
    found.cpu_s["score"] += rates["score"] * megapixels * stains_share(study)
    if study.profiled(arm):
        _measured(found, study, fields, rates)


def _translated(found: Costs, study: Study, name: str, extent: Extent, rates: dict[str, float]) -> None:
    """Add translating the source fields of one plate to every class, and measuring the cells of all rows."""
    arm = study.entry("arms", name)
    fields = source_count(arm, extent.tiles)
    found.flop["translate"] += fields * translating_flop(study, name)
    stack = _stack_bytes(study, fields * translated_rows(arm), len(study.config["channels"]["target"]))
    found.kept += stack
    found.between += stack
    if study.profiled(name):
        _measured(found, study, fields * translated_rows(arm), rates)


def _swept(found: Costs, study: Study, extents: dict[str, Extent], rates: dict[str, float]) -> None:
    """Add the points of the sweep: each paints some fields of one plate, and has them measured where its arm does."""
    for point in study.sweep_points:
        fields = min(study.config["sweep"]["fields"], extents[study.sweep_plate].tiles)
        found.flop["sample"] += fields * sampling_flop(study, point["name"])
        found.kept += _stack_bytes(study, fields, len(study.config["channels"]["target"]))
        if study.profiled(point["name"]):
            _measured(found, study, fields, rates)


def _calibrated(found: Costs, study: Study, extents: dict[str, Extent], rates: dict[str, float]) -> None:
    """Add the samples of arms that are judged as distributions: painted, measured, and set beside the real fields."""
    chosen = study.config["calibration"]
    for arm, plate in [(name, plate) for name in study.drawn for plate in study.test_plates(name)]:
        _painted_apart(found, study, arm, min(chosen["fields"], extents[plate].tiles) * chosen["samples"], rates)


def _painted_apart(found: Costs, study: Study, arm: str, images: float, rates: dict[str, float]) -> None:
    """Add images of an arm with rows of its own: painted, and measured where its cells are."""
    found.flop["sample"] += images * sampling_flop(study, arm)
    found.kept += _stack_bytes(study, images, len(study.config["channels"]["target"]))
    if study.profiled(arm):
        _measured(found, study, images, rates)


def cropped_px(study: Study, plate: str, extent: Extent) -> int:
    """Height and width of a plate's crops in pixels."""
    crops, side = study.config["crops"], study.config["prepare"]["size_px"]
    raw_px = extent.raw_px / study.config["prepare"]["grid"][0]
    pixel_um = study.config["prepare"]["pixel_size_um"] or study.pixel_size_um(plate) * raw_px / side
    return crops["size_px"] or round(crops["size_um"] / pixel_um)


def cropped_cells(study: Study, arm: str, extent: Extent, rates: dict[str, float]) -> float:
    """How many cells of an arm are cropped on a plate."""
    crops, side = study.config["crops"], study.config["prepare"]["size_px"]
    share = 1.0 if arm == "real" else share_of(study, arm, rates)
    return share * extent.tiles * min(side**2 / 1e6 * rates["cells_per_megapixel"], crops["max_per_field"] or math.inf)


def _cropped(found: Costs, study: Study, arm: str, plate: str, extent: Extent, rates: dict[str, float]) -> None:
    """Add the crops of an arm's cells on one plate, and their masks."""
    size_px, channels = cropped_px(study, plate, extent), cropped_channels(study.config)
    cells = cropped_cells(study, arm, extent, rates)
    found.cpu_s["crops"] += rates["crops"] * cells * len(channels[0][1]) / 1e3
    found.kept += cells * len(channels[0][1]) * size_px**2 * (2 * len(channels) + 2)  # float16; two masks of a byte


def _criticised(found: Costs, study: Study, extents: dict[str, Extent], rates: dict[str, float]) -> None:
    """Add the trainings of a critic and an autoencoder, and what they and the other baselines make of fields or crops."""
    flop, side, size_px = gan_flop(study), study.config["prepare"]["size_px"], study.config["gan"]["size_px"]
    found.flop["train_gan"] += flop["training"] * study.config["gan"]["images"]
    if study.config["gan"]["autoencoder"]:
        found.flop["train_autoencoder"] += flop["autoencoder"] * study.config["gan"]["images"]
    channels = len(seen_channels(study))
    cells = min(side**2 / 1e6 * rates["cells_per_megapixel"], study.config["crops"]["max_per_field"] or math.inf)
    for space in [space for space in SPACES.values() if space.encoder]:
        images = cells if space.holds == "cells" else (side // size_px) ** 2
        encoder = ENCODERS[space.encoder]
        one, numbers = encoder.passes * flop["critic"], encoder.numbers(channels)
        one += encoder.pictures(channels) * flop["picture"]
        for arm in space.arms(study):
            share = share_of(study, arm, rates) if arm in study.arms else 1.0
            fields = sum(extents[plate].tiles for plate in space.plates(study, arm)) * share
            found.flop[space.rule] += fields * images * one
            found.kept += 4 * fields * numbers * (1 + images * (space.holds == "cells"))


def _told_apart(found: Costs, study: Study, extents: dict[str, Extent], rates: dict[str, float]) -> None:
    """Add the networks that tell cells apart, and what they are shown."""
    plates = study.profile_plates("real")
    if not plates:
        return
    found.flop["train_cellnet"] += training_flop(study, cropped_px(study, plates[0], extents[plates[0]]))
    for arm in dict.fromkeys(["real", *study.config["cellnet"]["arms"]]):
        for plate in study.profile_plates(arm):
            cells, size_px = cropped_cells(study, arm, extents[plate], rates), cropped_px(study, plate, extents[plate])
            for rule, flop in shown_flop(study, arm, plate, cells, size_px):
                found.flop[rule] += flop


def _own_crops(found: Costs, entry: dict, rates: dict[str, float]) -> None:
    """Add the bringing in of crops of one's own: as many as their table has rows, as large as the first; none without it."""
    own = own_crops.of_entry(entry)
    if not (own.table.is_file() and own.folder.is_dir()):
        return  # what is missing is among the checks
    count, (_, image, _) = sum(1 for _ in own.rows()), next(own.each())
    size = entry["size_px"] or image.shape[-1]
    found.cpu_s["own_crops"] += rates["crops"] * count * entry["planes"] / 1e3
    found.kept += count * entry["planes"] * size**2 * (2 * len(entry["channels"]) + 2)


def stains_share(study: Study) -> float:
    """Return how many times the rated work a field's stains are; each plane is one. Fewer stains are taken for as many."""
    return max(1.0, len(study.config["channels"]["target"]) / RATED_STAINS)


def pipeline_name(study: Study) -> str:
    """`slim` or `full`; a pipeline of the user's own is taken for `full`."""
    name = study.config["cellprofiler"]["pipeline"]
    return name if name in SHIPPED else "full"


def _measured(found: Costs, study: Study, fields: float, rates: dict[str, float]) -> None:
    """Add finding and measuring cells on the stains of one plate, by CellProfiler or the fast engine."""
    name, targets = pipeline_name(study), len(study.config["channels"]["target"])
    megapixels = fields * study.config["prepare"]["size_px"] ** 2 / 1e6
    share = stains_share(study)
    values = megapixels * rates["cells_per_megapixel"] * rates[f"columns_{name}"] * share
    rule = "engine" if study.config["cellprofiler"]["engine"] == FAST else "cellprofiler"
    found.cpu_s[rule] += rates[f"{rule}_{name}"] * megapixels * share
    if study.config["cellprofiler"]["segmentation"] == "cellpose":
        found.cpu_s["cellpose"] += rates["cellpose"] * megapixels
    found.kept += 8 * values  # float64
    found.between += _stack_bytes(study, fields, targets) + rates["csv_bytes"] * values + 8 * values


def hours(found: Costs, jobs: dict[str, int], rates: dict[str, float], on_gpu: bool) -> dict[str, tuple[float, float]]:
    """Return {rule: (CPU-hours, GPU-hours)}, the start of every job included."""
    table = {}
    for rule, count in jobs.items():
        flop = found.flop.get(rule, 0.0)
        cpu_s = found.cpu_s.get(rule, 0.0) + count * rates["job"]
        gpu_s = flop / (rates["gpu_tflops"] * 1e12) if on_gpu else 0.0
        cpu_s += gpu_s or flop / (rates["cpu_gflops"] * 1e9)  # a GPU job keeps one core
        table[rule] = (cpu_s / 3600, gpu_s / 3600)
    return table


def job_seconds(study: Study, jobs: dict[str, int], root: Path) -> dict[str, float]:
    """Return {rule: seconds that one of its jobs is planned to take, on one core or GPU}.

    Parameters
    ----------
    jobs : {rule: jobs of the whole study}
    root : of the code, where the rates lie
    """
    rates = read_rates(root / "resources" / "rates.tsv")
    found = costs(study, extents(study, root / "resources" / "sources.tsv"), rates)
    table = hours(found, jobs, rates, study.config["compute"]["device"] != "cpu")
    return {rule: 3600 * (gpu or cpu) / jobs[rule] for rule, (cpu, gpu) in table.items()}
