"""What telling single cells apart costs: floating-point operations of training a network of cells, and of showing it cells."""

from __future__ import annotations

from collections.abc import Iterator

from brightpaint.models import operations
from brightpaint.plan.painting import TRAINING_PASSES
from brightpaint.study import single_cells
from brightpaint.study.planes import cropped_channels
from brightpaint.study.presets import CELL_STAGES
from brightpaint.study.study import Study

CLASSES = 25  # how many there are is not known before the training; they cost next to nothing
# Passes of a cell through networks that Grad-CAMO takes: forward twice and back, for two classes; then three erased crops.
EXPLAINED, ERASED, NULL = 6, 3, 3
PULLED = 1.5  # times a step's operations where attention is pulled at a layer before the head; at the head it is 1.01


def one_pass(study: Study, size_px: int) -> float:
    """Floating-point operations of one crop of the plates, `size_px` wide, through the network of cells."""
    chosen, channels = study.config["cellnet"], cropped_channels(study.config)
    size = (len(channels[0][1]), size_px, size_px)
    shape = {key: chosen[key] for key in ("width", "blocks", "local")}
    return float(operations.cell_flop(len(channels), size, CLASSES, **shape))


def training_flop(study: Study, size_px: int) -> float:
    """Floating-point operations of every training of a network of cells that the study asks for."""
    variants = {*single_cells.trained_variants(study), *single_cells.explained_variants(study)}
    each = study.config["cellnet"]["images"] * TRAINING_PASSES * one_pass(study, size_px)
    chosen, layers = study.config["cellnet"], len(CELL_STAGES) + 2
    early = chosen["attention_weight"] and chosen["layer"] % layers < layers - 1
    pulled = len(variants - {single_cells.FLOOR}) * (PULLED - 1) if early else 0
    return (len(variants) + pulled) * each


def shown_flop(study: Study, arm: str, plate: str, cells: float, size_px: int) -> Iterator[tuple[str, float]]:
    """Yield (rule, floating-point operations) of showing an arm's cells of a plate to the networks."""
    chosen, one = study.config["cellnet"], cells * one_pass(study, size_px)
    whole = chosen["test_plates"]
    tested = one * ((plate in whole) if whole else chosen["test_share"])
    if arm in single_cells.tested_arms_of_cells(study):
        yield "cellnet_accuracy", len(single_cells.trained_variants(study)) * tested
    if arm in single_cells.embedded_arms(study) and plate in single_cells.embedded_plates(study, arm):
        yield "cellnet", one
    if arm in single_cells.explained_arms(study):
        nulls = NULL * len(single_cells.explained_variants(study))  # the untrained one for the trained
        yield "gradcamo", (one if chosen["wells"] == "all" else tested) * EXPLAINED + (ERASED + nulls) * tested
