"""What a space is: everything in which one differs from another. The spaces that there are stand in `study.spaces`. Torch-free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from brightpaint.study.study import Study


@dataclass(frozen=True)
class Space:
    """One space.

    Attributes
    ----------
    name : as paths and the column `space` have it
    short, title : for people: in a table or on an axis, and in a sentence ("in the space of ...")
    rule : the rule that makes its table of a plate
    table : path of that table; {arm} and {plate} are filled in
    prefixes : how the names of the columns begin that are its numbers
    arms : the arms that have such tables, `real` (and `brightfield`) first; none where the study does not ask for the space
    plates : the plates of an arm that have one
    settings : what its profiles depend on beside their inputs, as its profiler takes it
    holds : cells where it is the median of a field's cells, so that a field may have none; else fields
    profiler : module with `read`, `numbers_of`, `parts_of` and `profiles`: how it is normalised (see profiles.profile), and
        what the names of its numbers say (see profiles.as_anndata)
    distances : module with `read` and `plate_rows`: how far painted fields lie from real ones (see score_distances)
    selected : whether its numbers are selected on real plates first
    looked_up : whether, with this config, training plates hold the wells from which a look-up is made
    sphered : whether, with this config, its own recipe spheres it (section `sphering` may too: `is_sphered`)
    seen : {what of it was fitted on images: the plates of these}; such images are no test of it (see study.axes)
    by_plate : whether, with this config, its profiler normalises each plate by all of its wells
    seed : what is added to the names that seed its resampling
    correlation : name of the metric of correlation with the real profiles
    apart : heading of its own table on the metrics page; "" where it stands among the others
    note : a sentence for the caption of its t-SNE
    encoder : which of the critic and its baselines makes it (`study.critics`); "" for other spaces
    whole : whether, with this config, every well of its plates has a place in it
    """

    name: str
    short: str
    title: str
    rule: str
    table: str
    prefixes: tuple[str, ...]
    arms: Callable[[Study], list[str]]
    plates: Callable[[Study, str], list[str]]
    settings: Callable[[dict], dict]
    holds: str = "fields"
    profiler: str = "brightpaint.profiles.embedding_profiles"
    distances: str = "brightpaint.scores.profiles.embedding_distance"
    selected: bool = False
    looked_up: Callable[[dict], bool] = lambda config: True
    sphered: Callable[[dict], bool] = lambda config: False
    seen: Callable[[Study], dict[str, list[str]]] = lambda study: {}
    by_plate: Callable[[dict], bool] = lambda config: False
    seed: str = ""
    correlation: str = "embedding_r"
    apart: str = ""
    note: str = ""
    encoder: str = ""
    whole: Callable[[dict], bool] = lambda config: True

    def tables(self, arm: str, plates: list[str]) -> list[str]:
        """Return the paths of an arm's tables."""
        return [self.table.format(arm=arm, plate=plate) for plate in plates]


def median_activations(name: str) -> dict:
    """Return what is alike in spaces of the median activations of a field's cells."""
    return {
        "holds": "cells",
        "profiler": "brightpaint.profiles.median_activations",
        "distances": "brightpaint.scores.profiles.activation_distance",
        "table": f"<results>/medians/{{arm}}/{name}/{{plate}}.parquet",
        "seed": f"/{name}",
    }
