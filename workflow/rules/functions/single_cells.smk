# What the classifier of single cells asks of the study: input functions and settings. No rules.
from brightpaint.study import single_cells


def cell_crops(wildcards):
    """Crops of real cells that the classifier is trained on."""
    return single_cells.seen_crops(STUDY)


def beside_crops(crops):
    """Input function: the masks and tables that lie beside the crops which `crops` lists."""

    def files(wildcards):
        return [path.removesuffix(".tif") + end for path in crops(wildcards) for end in (".masks.tif", ".parquet")]

    return files


def crops_of_arm(wildcards):
    """Crops of an arm's cells on the plates on which they are measured."""
    return single_cells.seen_crops(STUDY, wildcards.arm)


def cellnet_settings(*keys):
    """JSON of these keys of the section cellnet."""
    return as_json(pick("cellnet", *keys))


def cellnet_weights(wildcards):
    """Weights of every network of cells."""
    return expand("<results>/cellnet/{variant}/weights.safetensors", variant=single_cells.trained_variants(STUDY))


def explained_weights(wildcards):
    """Weights of the networks that Grad-CAMO takes."""
    return expand("<results>/cellnet/{variant}/weights.safetensors", variant=single_cells.explained_variants(STUDY))


def points_of(variant):
    """Weights of a network of cells at the points of its training at which it is looked at."""
    return expand(f"<results>/cellnet/{variant}/weights.at_{{images}}.safetensors", images=CONFIG["cellnet"]["umap_at"])


def umap_files():
    """Pictures of test cells along the training, and the numbers beside them."""
    files = ["<results>/figures/cellnet_umap/{arm}.png", "<results>/scores/cellnet_umap/{arm}.tsv"]
    return expand(files, arm=single_cells.mapped_arms(STUDY))


def looked_cells(wildcards):
    """Where the classifier looks in an arm's cells, where that is asked for."""
    asked = wildcards.arm in single_cells.explained_arms(STUDY)
    return f"<results>/scores/gradcamo/{wildcards.arm}.cells.parquet" if asked else []


def subset_painted(wildcards):
    """The subset of perturbations whose cells an arm has."""
    painted = wildcards.arm in STUDY.arms
    return "active" if painted and STUDY.model_of(wildcards.arm)["subset"] == "active" else "full"


def gradcamo_files():
    """Where the classifier of cells looks, of every arm that is asked for."""
    ends = [".tsv", ".erased.tsv", ".verdicts.tsv", ".cells.parquet"]
    return expand("<results>/scores/gradcamo/{arm}{end}", arm=single_cells.explained_arms(STUDY), end=ends)


def gradcamo_figures():
    """Pictures and verdicts of where the classifier of cells looks."""
    files = ["figures/gradcamo/{arm}.cells.png", "figures/gradcamo/{arm}.scores.png", "tables/gradcamo/{arm}.html"]
    return expand([f"<results>/{file}" for file in files], arm=single_cells.explained_arms(STUDY))


def cellnet_files():
    """Networks of cells, and their scores on every arm that is asked for."""
    known, arms = single_cells.trained_variants(STUDY), single_cells.tested_arms_of_cells(STUDY)
    variants = list(dict.fromkeys([*known, *single_cells.explained_variants(STUDY)]))
    files = ["weights.safetensors", "history.jsonl", "split.tsv"]
    made = expand("<results>/cellnet/{variant}/{file}", variant=variants, file=files)
    return made + expand("<results>/scores/cellnet/{arm}{end}", arm=arms, end=[".tsv", ".cells.parquet"])


def activations():
    """Tables of the last activations of every arm's cells, and of the fields' median cells."""
    if not real_profiled():
        return []
    spaces = [space for space in SPACES.values() if space.holds == "cells" and space is not MAIN]
    pairs = [(space, arm) for space in spaces for arm in space.arms(STUDY)]
    tables = [table for space, arm in pairs for table in space.tables(arm, space.plates(STUDY, arm))]
    return tables + [table.replace("<results>/medians/", "<results>/cells/") for table in tables]


def cell_table(wildcards):
    """Crops of one plate of an arm, and the files beside them."""
    crops = f"<results>/crops/{wildcards.arm}/{wildcards.plate}"
    return [crops + end for end in (".tif", ".masks.tif", ".parquet")]


def refuse_erased():
    """End with a sentence where a space is asked about cells that has no network, or an arm without cells."""
    refuse(erased_problems(STUDY))


if CONFIG["erased"]["spaces"]:
    refuse_erased()


def erased_files():
    """How far each space's numbers move without the cell: asked for also where nothing is painted, and no metrics join it."""
    files = ["<results>/scores/erased/{space}/{arm}.parquet", "<results>/scores/erased/{space}/{arm}.channels.tsv"]
    asked = [(name, arm) for name in CONFIG["erased"]["spaces"] for arm in erased_arms(STUDY, SPACES[name])]
    return [file.format(space=name, arm=arm) for name, arm in asked for file in files]


def erased_plates(wildcards):
    """Plates of an arm whose images are shown to a space's network with something erased."""
    space = SPACES[wildcards.space]
    return [plate for plate in scored_plates(wildcards) if plate in space.plates(STUDY, wildcards.arm)]


def shown_erased(cells=(), fields=()):
    """Input function: of every plate that is shown, these files of a space of cells, or those of a space of fields."""

    def files(wildcards):
        patterns = {"cells": cells, "fields": fields}[SPACES[wildcards.space].holds]
        return expand(list(patterns), arm=wildcards.arm, plate=erased_plates(wildcards))

    return files


def erased_rows(wildcards):
    """The tables that name the rows of an arm's stacks, where a space holds fields."""
    real = wildcards.arm == "real"
    path = "<results>/fields/{plate}.parquet" if real else "<results>/images/{arm}/{plate}.parquet"
    return shown_erased(fields=[path])(wildcards)


def seeing_weights(wildcards):
    """Files of the weights of the network that makes a space; none of a model of the hub."""
    space = SPACES[wildcards.space]
    if space.encoder:
        return encoder_weights(space.encoder)
    trained = f"<results>/cellnet/{single_cells.CELLS}/weights.safetensors"
    return trained if space.holds == "cells" else local_weights("embed")


def seeing_network(wildcards, input):
    """The network that makes a space, as a word of the command line: a file of weights, or what the config names."""
    space = SPACES[wildcards.space]
    return input.weights if space.encoder or space.holds == "cells" else CONFIG["embed"]["weights"]


def seeing_split(wildcards):
    """Which wells a classifier has seen, where one makes the space."""
    space = SPACES[wildcards.space]
    seen = space.holds == "cells" and not space.encoder
    return f"<results>/cellnet/{single_cells.CELLS}/split.tsv" if seen else []


def erased_settings(wildcards):
    """JSON of how many images are shown to a space's network, and on which scale."""
    space = SPACES[wildcards.space]
    if space.holds == "cells":
        return as_json(pick("erased", "most_cells"))
    return as_json(pick("erased", "most_fields") | (critic_settings() if space.encoder else seen_settings("embed")))
