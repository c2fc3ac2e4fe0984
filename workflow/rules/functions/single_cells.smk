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


def cellnet_files():
    """Networks of cells, and their scores on every arm that is asked for."""
    variants, arms = single_cells.trained_variants(STUDY), single_cells.tested_arms_of_cells(STUDY)
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
