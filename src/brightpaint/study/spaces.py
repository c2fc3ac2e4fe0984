"""The spaces of a study: tables of numbers a field (or the median cell of a field), each with a name. Torch-free.

One entry says everything that differs between spaces. Selection, profiles, look-ups, matching, retrieval, distances,
overlap and t-SNE serve every space by the same code: nothing outside this table and a space's own module compares with
a space's name or builds a path from one. A new space is a module that makes its table, a rule, and an entry here.
"""

from __future__ import annotations

from collections.abc import Iterator

from brightpaint.study import critics
from brightpaint.study.encoder_spaces import encoder_space
from brightpaint.study.single_cells import embedded_arms, embedded_plates, lifted_arms
from brightpaint.study.space import Space, median_activations
from brightpaint.study.study import OF_CELLS, Study

REFERENCES = ("real", "brightfield")  # what is in a space without being painted
LOOKUP = "lookup"


def measured_arms(study: Study) -> list[str]:
    """Return the arms whose cells CellProfiler measures; none where nothing asks for cells."""
    if not study.profiled("real"):
        return []
    return ["real"] + [arm for arm in study.arms if study.test_plates(arm) and study.profiled(arm)]


def fitted_on_cells(study: Study) -> dict[str, list[str]]:
    """Return what was fitted on cells before wells are compared."""
    return {"the selection of features": study.fitted_on("select")}


def classifier_space(name: str, **own: object) -> Space:
    """Return a space of the last activations of the classifier of cells."""
    return Space(
        name=name,
        prefixes=("CellNet_",),
        plates=embedded_plates,
        settings=lambda config: {"normalise": config["cellnet"]["normalise"]},
        looked_up=lambda config: config["cellnet"]["wells"] == "all",
        whole=lambda config: config["cellnet"]["wells"] == "all",
        **median_activations(name),
        **own,
    )


SPACES = {
    space.name: space
    for space in (
        Space(
            name=OF_CELLS,
            short="CellProfiler",
            title="CellProfiler's selected features",
            rule="median",
            table="<results>/medians/{arm}/{plate}.parquet",
            prefixes=("Nuclei_", "Cells_", "Cytoplasm_"),
            arms=measured_arms,
            plates=Study.profile_plates,
            settings=lambda config: config["profile"],
            holds="cells",
            profiler="brightpaint.profiles.cell_profiles",
            distances="brightpaint.scores.profiles.feature_distance",
            selected=True,
            sphered=lambda config: config["profile"]["recipe"] == "standard",
            seen=fitted_on_cells,
            by_plate=lambda config: True,
            correlation="cpcor",
            note="Each plate was standardised by itself, real and painted apart, so that a shift of all painted wells together "
            "is not seen here.",
        ),
        Space(
            name="dino",
            short="DINO",
            title="DINO's embeddings",
            rule="dino",
            table="<results>/embeddings/{arm}/{plate}.parquet",
            prefixes=("DINO_",),
            arms=lambda study: study.seen_arms("embed"),
            plates=Study.seen_plates,
            settings=lambda config: {"normalise": config["embed"]["normalise"]},
            by_plate=lambda config: config["embed"]["normalise"] == "plate",
            seed="/dino",
            apart="By DINO, which segments no cell",
        ),
        classifier_space(
            "cellnet",
            short="CellNet",
            title="the last activations of the classifier of cells",
            rule="cellnet",
            arms=embedded_arms,
            apart="By the classifier of cells",
            note="Cells are those of wells that the classifier was not trained on, unless cellnet.wells is all.",
        ),
        *(encoder_space(examples, name) for examples in (critics.FIELDS, critics.CROPS) for name in critics.ENCODERS),
        classifier_space(
            "cellnet_lifted",
            short="CellNet, cells looked at",
            title="the last activations of the cells that their classifier looks at",
            rule="lifted",
            arms=lifted_arms,
            apart="By the classifier of cells, of cells that it looks at",
            note="Cells are those whose lift, for the class answered, is cellnet.least_lift or more.",
        ),
    )
}
MAIN = SPACES[OF_CELLS]  # in which actives are found and failed compounds are judged
APART = [space.name for space in SPACES.values() if space.apart]  # a match there is not a match among cells' features


def sphering_of(space: Space, config: dict) -> dict:
    """Return what the profiles of a space that the section `sphering` names depend on beside the rest; {} of others."""
    chosen = config["sphering"]
    keys = ("method", "epsilon", "least_wells")
    return {"sphering": {key: chosen[key] for key in keys}} if space.name in chosen["spaces"] else {}


def is_sphered(space: Space, config: dict) -> bool:
    """Return whether a map that is fitted on the real plates of `select` spheres the wells of a space."""
    return space.sphered(config) or bool(sphering_of(space, config))


def seen_of(study: Study, space: Space) -> dict[str, list[str]]:
    """Return {what of a space was fitted on images: the plates of these}.

    A sphering mixes numbers, and no later scale undoes how each plate was normalised before.
    """
    found = dict(space.seen(study))
    if is_sphered(space, study.config):
        every = space.by_plate(study.config)
        found["the sphering on DMSO wells"] = study.by_role("study") if every else study.fitted_on("select")
    return found


def sphering_problems(study: Study) -> Iterator[str]:
    """Say what is wrong with the spaces that are to be sphered on controls."""
    for name in study.config["sphering"]["spaces"]:
        if name not in SPACES:
            yield f"sphering.spaces: no space is called {name}; there are: {', '.join(SPACES)}"
            continue
        space, plates = SPACES[name], study.fitted_on("select")
        if not study.config["perturbations"]:
            yield f"sphering.spaces: {name} is sphered on control wells, which need perturbations: true"
        elif not space.arms(study):
            yield (
                f"sphering.spaces: the study does not plan {space.rule}, which makes the space {name}; ask for it, or leave "
                f"{name} out"
            )
        elif space.sphered(study.config):
            yield f"sphering.spaces: {name} is sphered already (profile.recipe: standard); leave it out, or set recipe: paper"
        elif not plates:
            yield "sphering: every study plate is tested by a fold, and none is left to fit on; set select.plates: all"
        elif not set(plates) & set(space.plates(study, "real")):
            yield (
                f"sphering.spaces: {name} has no wells on the plates on which sphering is fitted ({', '.join(plates)}); leave it "
                "out, or give select.plates: all"
            )


def profiled_arms(study: Study, space: Space) -> list[str]:
    """Return what has profiles in a space: its arms, then what can be looked up; none without perturbations."""
    arms = space.arms(study) if study.config["perturbations"] else []
    return arms + [LOOKUP] if arms and study.lookup_plates() and space.looked_up(study.config) else arms


def painted_arms(study: Study, space: Space) -> list[str]:
    """Return the predicted arms of a space."""
    return [arm for arm in space.arms(study) if arm not in REFERENCES]


def subset_arms(study: Study, space: Space, subset: str) -> list[str]:
    """Return what has profiles of `subset` in a space; an arm on the active subset has none of the others."""
    painted = painted_arms(study, space)
    lacking = [arm for arm in painted if subset == "full" and study.model_of(arm)["subset"] == "active"]
    return [arm for arm in profiled_arms(study, space) if arm not in lacking]


def mapped_spaces(study: Study) -> list[Space]:
    """Return the spaces whose painted wells can be laid out beside the real ones."""
    return [space for space in SPACES.values() if study.config["perturbations"] and painted_arms(study, space)]


def dosed_profiles(study: Study) -> list[tuple[str, str]]:
    """Return (arm, space) pairs whose dose-response curves the study asks for.

    Raises
    ------
    ValueError
        naming a space or an arm of `doses` that there is none of
    """
    asked, painted = study.config["doses"], {arm for space in SPACES.values() for arm in space.arms(study)}
    for name in asked["spaces"]:
        if name not in SPACES:
            raise ValueError(f"config: doses.spaces: no space is called {name}; there are: {', '.join(SPACES)}")
        if not SPACES[name].arms(study):
            rule = SPACES[name].rule
            raise ValueError(f"config: doses.spaces: the study does not plan {rule}, which makes the space {name}; ask for it, or "
                             f"leave {name} out")  # fmt: skip
    for name in asked["arms"] if asked["spaces"] else []:
        if name not in painted:
            known = ", ".join(sorted(painted))
            raise ValueError(f"config: doses.arms: {name} has no profiles in any space; those that have: {known}")
    return [(arm, name) for name in asked["spaces"] for arm in asked["arms"] if arm in SPACES[name].arms(study)]
