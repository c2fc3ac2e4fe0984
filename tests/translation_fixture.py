"""Simulated tables of a translation: real plates whose wells differ by themselves, and a model that learned their means.

Features are correlated (a few factors move them all), fields of a well are pseudo-replicates, and what the model learned of
a class is the mean of its training wells, no more and no less: a class that differs by nothing is shifted all the same.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brightpaint import store
from brightpaint.models.conditions.labels import label_names
from brightpaint.scores.translation import score_shifts
from brightpaint.scores.translation.well_shift import CLASS, well_means
from brightpaint.study.annotations import treatment_name
from conftest import made_once

DOSES = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
TWIN = "DMSO_twin"


class Plates:
    """Training plates T1, ... and a held-out plate P; class `twin` is half of the DMSO wells.

    Parameters
    ----------
    training : training plates
    target_wells : wells of a treated class, or of the twin, on all training plates together
    by_name : the twin's wells are drawn from their names, as the scores do; else the last DMSO wells of a plate
    lean : such wells lie on the first training plate alone, DMSO on all, and plates differ
    """

    def __init__(self, seed, *, training=1, target_wells=2, lean=False, features=60, sources=8, fields=2, doses=DOSES,
                 by_name=False):  # fmt: skip
        self.rng = np.random.default_rng(seed)
        self.numbers = [f"Nuclei_Texture_{n:03d}" for n in range(features)]
        self.loadings = self.rng.normal(size=(5, features)) / np.sqrt(5)
        self.fields, self.doses = fields, doses
        self.changed = np.arange(features) < features // 3
        self.effect = np.where(self.changed, self.rng.choice([-1, 1], features) * 6.0, 0.0)
        classes = [TWIN] + [treatment_name(name, dose) for name in ("drug", "inert") for dose in doses]
        names = [f"T{n + 1}" for n in range(training)]
        self.plate_effects = {name: 2.0 * self._noise(1)[0] if lean else np.zeros(features) for name in [*names, "P"]}
        places = [names[0]] * target_wells if lean else [names[n % training] for n in range(target_wells)]
        placed = [(plate, "DMSO") for plate in names for _ in range(8)]
        placed += [(plate, name) for name in classes for plate in places]
        held = [("P", "DMSO")] * sources + [("P", name) for name in classes for _ in range(3)]
        self.medians = pd.concat([self._wells(placed), self._wells(held)], ignore_index=True)
        if by_name:
            self.medians[CLASS] = label_names(self.medians, "treatment", True)
        self.real = well_means(self.medians, self.numbers)
        self.trained = self.real[self.real["Metadata_Plate"] != "P"]
        means = self.trained.groupby(CLASS)[self.numbers].mean()
        self.learned = {name: (means.loc[name] - means.loc["DMSO"]).to_numpy() for name in means.index}
        self.translated = self._translate(["DMSO", *classes])

    def _noise(self, n):
        return self.rng.normal(size=(n, 5)) @ self.loadings + 0.5 * self.rng.normal(size=(n, len(self.numbers)))

    def _wells(self, placed):
        rows, values = [], []
        for number, (plate, name) in enumerate(placed):
            perturbation, _, dose = name.removesuffix("_twin").partition("@")
            dose = float(dose.removesuffix("uM")) if dose else np.nan
            share = dose / (dose + 0.5) if perturbation == "drug" else 0.0
            well = self.plate_effects[plate] + share * self.effect + self._noise(1)[0]
            for site in range(1, self.fields + 1):
                place = f"{'ABCDEFGHIJKLMNOP'[number // 24 % 16]}{number % 24 + 1:02d}"
                rows.append({"Metadata_Plate": plate, "Metadata_Well": place,
                             "Metadata_Site": site, "Metadata_Tile": 1, "Metadata_perturbation": perturbation, CLASS: name,
                             "Metadata_target": "", "Metadata_control_type": "negcon" if perturbation == "DMSO" else "",
                             "Metadata_treatment": treatment_name(perturbation, dose), "Metadata_dose": dose,
                             "Metadata_cells": 20})  # fmt: skip
                values.append(well + 0.3 * self._noise(1)[0])
        return pd.concat([pd.DataFrame(rows), pd.DataFrame(values, columns=self.numbers)], axis=1)

    def _translate(self, classes):
        sources = self.medians[
            (self.medians["Metadata_Plate"] == "P") & (self.medians["Metadata_perturbation"] == "DMSO")
        ]
        sources = sources.reset_index(drop=True)
        described, own, parts = sources.drop(columns=[CLASS, *self.numbers]), sources[self.numbers], []
        for name in classes:
            values = own.to_numpy() + self.learned[name] + 0.05 * self._noise(len(sources))
            keys = described.assign(Metadata_painted_as=name, Metadata_draw=0)
            parts.append(pd.concat([keys, pd.DataFrame(values, columns=self.numbers)], axis=1))
        return pd.concat(parts, ignore_index=True)

    def differences(self, target):
        """Return (n, F): each source well's translation to the class less its reconstruction; `twin` for short."""
        target = TWIN if target == "twin" else target
        wells = self.translated.groupby([*store.WELL_KEYS, "Metadata_painted_as"])[self.numbers].mean()
        return (wells.xs(target, level=2) - wells.xs("DMSO", level=2)).to_numpy()

    def write(self, folder, share=1.0):
        """Write tables as the workflow does: real/{plate}, arm/P, fresh/P, whose rows are real training wells of the class.

        `share` of the learned shift is what the arm translates; returns the arguments of `score_shifts`.
        """
        for plate, own in self.medians.groupby("Metadata_Plate"):
            store.write_table(own.drop(columns=CLASS).reset_index(drop=True), folder / f"real/{plate}.parquet")
        shown = self.translated.copy()
        base = shown[shown["Metadata_painted_as"] == "DMSO"][self.numbers].to_numpy()
        fresh = shown.copy()
        for name, rows in shown.groupby("Metadata_painted_as").groups.items():
            moved = shown.loc[rows, self.numbers].to_numpy() - base
            shown.loc[rows, self.numbers] = base + share * moved
            training = self.medians[(self.medians["Metadata_Plate"] != "P") & (self.medians[CLASS] == name)][
                self.numbers
            ].to_numpy()
            fresh.loc[rows, self.numbers] = training[self.rng.integers(0, len(training), len(rows))]
        for name, frame in (("arm", shown), ("fresh", fresh)):
            store.write_table(frame, folder / f"{name}/P.parquet")
        truth = self.medians[self.medians["Metadata_Plate"] == "P"].drop_duplicates(store.WELL_KEYS)
        acts = (truth["Metadata_perturbation"] == "drug").astype(int)
        store.write_table(
            truth[[name for name in truth if name.startswith("Metadata_")]].assign(active=acts), folder / "truth/P.tsv"
        )
        plates = sorted(set(self.medians["Metadata_Plate"]) - {"P"})
        settings = {"label": "treatment", "twin": True, "training": {"P": plates}, "validation_share": 0.0}
        real = [folder / f"real/{plate}.parquet" for plate in [*plates, "P"]]
        return ["--settings", json.dumps(settings), "--arm", "arm", "--space", "cellprofiler", "--plates", "P",
                "--translated", str(folder / "arm/P.parquet"), "--fresh", str(folder / "fresh/P.parquet"), "--real",
                *map(str, real), "--truth", str(folder / "truth/P.tsv"), "--table", str(folder / "scores/arm.parquet")]  # fmt: skip


@pytest.fixture(name="shifts", scope="session")
def scored_translation(tmp_path_factory):
    """Tables of a simulated translation, as `score_shifts` writes them: arm.parquet, arm.classes.parquet, ..."""

    def score(folder: Path) -> None:
        plates = Plates(3, training=2, target_wells=4, by_name=True, sources=10, features=45)
        score_shifts.main(plates.write(folder))

    return made_once(tmp_path_factory, "shifts", score) / "scores"
