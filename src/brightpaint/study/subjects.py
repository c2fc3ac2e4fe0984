"""What an arm is scored by: subjects, each with a rule `score_{subject}` and tables of its own. Torch-free.

The rule `metrics` joins the tables of an arm: plate by plate, in the order of SUBJECTS and within one in the order of the
spaces. A new score is a module, a rule and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from brightpaint.study.calibration import calibrated_arms
from brightpaint.study.erased import erased_arms
from brightpaint.study.single_cells import tested_arms_of_cells
from brightpaint.study.spaces import LOOKUP, MAIN, SPACES, Space, measured_arms, painted_arms, profiled_arms
from brightpaint.study.study import Study
from brightpaint.study.translations import PREFIX


@dataclass(frozen=True)
class Subject:
    """One subject.

    Attributes
    ----------
    name : the rule is score_{name}
    arms : arms that are scored by it (in a space, where it is scored in spaces)
    spaces : which spaces it is scored in, a table each; None for a subject without spaces
    by_field : whether the scores of single fields stand in a table beside
    """

    name: str
    arms: Callable[..., list[str]]
    spaces: Callable[[Space], bool] | None = None
    by_field: bool = False

    def tables(self, study: Study, arm: str) -> Iterator[str]:
        """Yield the paths of an arm's tables of this subject."""
        if self.spaces is None:
            if arm in self.arms(study):
                yield f"<results>/scores/{self.name}/{arm}.parquet"
            return
        for space in SPACES.values():
            if self.spaces(space) and arm in self.arms(study, space):
                yield f"<results>/scores/{self.name}/{space.name}/{arm}.parquet"


def tested_arms(study: Study) -> list[str]:
    """Return the predicted arms that have plates to be scored on."""
    return [arm for arm in study.arms if study.test_plates(arm)]


def scored_arms(study: Study) -> list[str]:
    """Return what is scored: `real` first, then brightfield where it is in a space, what can be looked up, the predicted."""
    if not tested_arms(study):
        return ["real"]
    seen = study.config["perturbations"] and any("brightfield" in space.arms(study) for space in SPACES.values())
    return [
        "real",
        *(["brightfield"] if seen else []),
        *([LOOKUP] if study.lookup_plates() else []),
        *tested_arms(study),
    ]


def distanced_arms(study: Study, space: Space) -> list[str]:
    """Return the arms whose distances from the real fields are scored in a space."""
    return [] if space.selected and not study.config["perturbations"] else painted_arms(study, space)


def compounds_fail(study: Study) -> bool:
    """Whether the plates are simulated with wells whose compound failed, and their profiles are taken."""
    failed = study.config["source"]["layout"] == "simulated" and study.config["simulate"]["failed_share"] > 0
    return bool(failed and study.lookup_plates())


def counted_arms(study: Study) -> list[str]:
    """Return the predicted arms whose cells are measured."""
    return measured_arms(study)[1:]


def translated_arms(study: Study) -> list[str]:
    """Return the arms that translate, without their companions from fresh noise, which are references."""
    companions = {PREFIX + arm for arm in study.translations}
    return [arm for arm in study.translations if arm not in companions and study.test_plates(arm)]


def companion_of(study: Study, arm: str) -> list[str]:
    """Return a translation's companion from fresh noise, in a list; one that starts from noise itself has none."""
    return [name for name in study.translations if name == PREFIX + arm]


def shifted_arms(study: Study, space: Space) -> list[str]:
    """Return the translations that are scored in a space: where their cells are measured, or real fields embedded."""
    embedded = space.holds == "fields" and bool(space.arms(study))
    return [arm for arm in translated_arms(study) if (study.profiled(arm) if space is MAIN else embedded)]


def generation_spaces(study: Study, arm: str) -> list[Space]:
    """Return the spaces in which a generation is scored: of its cells where they are measured, or of real fields embedded."""
    return [
        space
        for space in SPACES.values()
        if (study.profiled(arm) if space is MAIN else space.holds == "fields" and bool(space.arms(study)))
    ]


def told_arms(study: Study) -> list[str]:
    """Return the arms whose cells test the classifier of real cells, plates' cells alone."""
    return [] if study.config["cellnet"]["own_crops"] else tested_arms_of_cells(study)


def coded_arms(study: Study) -> list[str]:
    """Return the arms that show real stains again, encoded and decoded."""
    return [arm for arm in tested_arms(study) if study.kind_of(arm).stains]


SUBJECTS = [
    Subject("images", lambda study: ["real", *tested_arms(study)], by_field=True),
    Subject("codec", coded_arms),
    Subject("counts", counted_arms),
    Subject("distances", distanced_arms, spaces=lambda space: space.holds == "cells"),
    Subject("objects", counted_arms, by_field=True),
    Subject("frechet", lambda study: [arm for arm in study.seen_arms("fid") if arm != "brightfield"]),
    Subject("distances", distanced_arms, spaces=lambda space: space.holds == "fields"),
    Subject("profiles", profiled_arms, spaces=lambda space: True),
    Subject("cellnet", told_arms),
    Subject("calibration", calibrated_arms),
    Subject("erased", erased_arms, spaces=lambda space: True),
    Subject("translation", translated_arms),
    Subject("shifts", shifted_arms, spaces=lambda space: True),
    Subject("class_frechet", lambda study: translated_arms(study) if study.config["fid"]["weights"] else []),
    Subject("failed", lambda study: profiled_arms(study, MAIN) if compounds_fail(study) else []),
]


def score_tables(study: Study, arm: str) -> list[str]:
    """Return the tables of an arm's scores, in the order of the metrics table."""
    return [table for subject in SUBJECTS for table in subject.tables(study, arm)]


def field_tables(study: Study, arm: str) -> list[str]:
    """Return the tables of the scores of an arm's single fields, images first."""
    found = [table for subject in SUBJECTS if subject.by_field for table in subject.tables(study, arm)]
    return [table.replace(".parquet", ".fields.parquet") for table in found]
