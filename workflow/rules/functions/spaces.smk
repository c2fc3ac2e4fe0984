# Functions of the rules that make, normalise, score and draw spaces: each says which files or settings it returns. No rules.
from brightpaint.study.spaces import LOOKUP, REFERENCES


def seen_stack(wildcards):
    """Stack that a network of photographs looks at: brightfield lies in the real one."""
    arm = "real" if wildcards.arm == "brightfield" else wildcards.arm
    return f"<results>/images/{arm}/{wildcards.plate}.tif"


def seen_rows(wildcards):
    """Table that names the rows of that stack."""
    real = wildcards.arm in ("real", "brightfield")
    return "<results>/fields/{plate}.parquet" if real else "<results>/images/{arm}/{plate}.parquet"


def seen_settings(section):
    """What an embedding depends on: weights, windows, and the z-scores that are shown."""
    seen = pick(section, "weights", "window", "brightfield_window")
    return {**seen, **scale_of_stains(), "channels": CONFIG["channels"]}


def kept_embeddings():
    """Tables of every space that is no measurement of cells, and the Inception features of what is scored by them."""
    if not real_profiled():
        return []
    seen = [(space, arm) for space in SPACES.values() if space.holds == "fields" for arm in space.arms(STUDY)]
    kept = [table for space, arm in seen for table in space.tables(arm, space.plates(STUDY, arm))]
    tested = {plate for arm in STUDY.arms for plate in STUDY.test_plates(arm)}
    seen = [(arm, plate) for arm in STUDY.seen_arms("fid") for plate in STUDY.seen_plates(arm)]
    seen = [(arm, plate) for arm, plate in seen if arm != "brightfield" or plate in tested]
    return kept + [f"<results>/inception/{arm}/{plate}.parquet" for arm, plate in seen]


def space_tables(wildcards):
    """An arm's tables in a space, one a plate."""
    space = SPACES[wildcards.space]
    return space.tables(wildcards.arm, space.plates(STUDY, wildcards.arm))


def fitted_tables(section):
    """Input function: the space's tables of the real plates on which `section` is fitted."""
    return lambda wildcards: SPACES[getattr(wildcards, "space", MAIN.name)].tables("real", STUDY.fitted_on(section))


def refuse_sphering():
    """End with a sentence where the study asks for a sphering that it can't have."""
    refuse(sphering_problems(STUDY))


if CONFIG["sphering"]["spaces"]:
    refuse_sphering()


def sphering_tables(wildcards):
    """The tables on which the space's sphering is fitted, where it is sphered: real ones, of brightfield its own numbers."""
    space, arm = SPACES[wildcards.space], "brightfield" if wildcards.arm == "brightfield" else "real"
    if not is_sphered(space, CONFIG):
        return []
    return space.tables(arm, [plate for plate in STUDY.fitted_on("select") if plate in space.plates(STUDY, arm)])


def profile_settings(wildcards):
    """JSON of how a space's profiles are made."""
    space = SPACES[wildcards.space]
    return as_json({**space.settings(CONFIG), **unit_setting(), **sphering_of(space, CONFIG)})


def selection_of(space):
    """The selected numbers of a space, where they are selected."""
    return f"<results>/selection/{space.name}.tsv" if space.selected else []


def unit_setting():
    """The study's unit, where it is not the perturbation."""
    return {"unit": CONFIG["unit"]} if CONFIG["unit"] != "perturbation" else {}


def fitted_settings(section):
    """JSON of what selection or the search for actives depends on."""
    return as_json({**CONFIG[section], **CONFIG["profile"], **(unit_setting() if section == "active" else {})})


def kept_profiles():
    """Selections, profiles of every space, and the actives."""
    if not CONFIG["perturbations"] or not real_profiled():
        return []
    tables = ("perturbations.tsv", "wells.parquet", "agreement.tsv") if finds_actives() else ()
    kept = [f"<results>/active/{name}" for name in tables]
    for space in SPACES.values():
        arms = profiled_arms(STUDY, space)
        kept += [f"<results>/profiles/{arm}/{space.name}/perturbations.parquet" for arm in arms]
        kept += [selection_of(space)] if arms and space.selected else []
    return kept + generation_files("<results>/profiles/{arm}/{space}/perturbations.parquet")


def annotated_profiles():
    """AnnData of every table of profiles, where the config asks for them; a look-up has no wells."""
    if "h5ad" not in CONFIG["profiles"] or not kept_profiles():
        return []
    pairs = [(arm, space.name) for space in SPACES.values() for arm in profiled_arms(STUDY, space)]
    tables = {LOOKUP: ["perturbations"]}
    return [
        f"<results>/profiles/{arm}/{space}/{rows}.h5ad"
        for arm, space in pairs
        for rows in tables.get(arm, ["wells", "perturbations"])
    ]


def described_profiles(wildcards):
    """JSON of what an AnnData says of its profiles: the channels of its features, and how it was made."""
    space = SPACES[wildcards.space]
    made = {"profile": space.settings(CONFIG), "unit": CONFIG["unit"], **sphering_of(space, CONFIG)}
    made |= {"select": CONFIG["select"]} if space.selected else {}
    if wildcards.arm == LOOKUP:
        made["lookup"] = STUDY.lookup_plates()
    return as_json({"channels": CONFIG["channels"]["input"] + CONFIG["channels"]["target"], "made": made})


def scored_files(pattern, arm=None):
    """Input function: files of `arm`, or the scored one, on the plates on which that is scored; {arm}, {plate} are filled in."""
    return lambda wildcards: expand(pattern, arm=arm or wildcards.arm, plate=scored_plates(wildcards))


def scored_in_space(wildcards):
    """Plates on which an arm is scored and which have a place in the space."""
    plates = scored_plates(wildcards)
    if wildcards.arm == LOOKUP:
        return plates
    known = SPACES[wildcards.space].plates(STUDY, wildcards.arm)
    return [plate for plate in plates if plate in known]


def inception_tables(arm):
    """Input function: Inception features of `arm` on the scored plates; the real ones are compared with one another alone."""

    def tables(wildcards):
        if (wildcards.arm == "real" and arm != "real") or (arm and arm not in STUDY.seen_arms("fid")):
            return []
        return scored_files("<results>/inception/{arm}/{plate}.parquet", arm)(wildcards)

    return tables


def compared_profiles(wildcards):
    """The profiles that an arm's are compared with: the real ones, but brightfield's own, whose numbers are others."""
    arm = "brightfield" if wildcards.arm == "brightfield" else "real"
    return f"<results>/profiles/{arm}/{wildcards.space}/perturbations.parquet"


def truth_tables(wildcards):
    """Truth of the looked-up plates and of those they are compared with."""
    plates = [name for plate, training in STUDY.lookup_plates().items() for name in (plate, *training)]
    return expand("<resources>/truth/{plate}.tsv", plate=list(dict.fromkeys(plates)))


def wells_or_lookup(wildcards):
    """An arm's well profiles; a look-up has perturbations alone."""
    table = "perturbations" if wildcards.arm == "lookup" else "wells"
    return f"<results>/profiles/{wildcards.arm}/{MAIN.name}/{table}.parquet"


def kept_scores():
    """Scores of every arm, subject by subject and joined."""
    arms = scored_arms() if anything_scored() else []
    kept = expand("<results>/metrics/{arm}{end}.parquet", arm=arms, end=["", ".fields"])
    return kept + [
        file for arm in arms for file in subjects.score_tables(STUDY, arm) + subjects.field_tables(STUDY, arm)
    ]


def sweep_medians(arms):
    """Input function: field medians of `arms` on the sweep's plate, where its points' cells are measured."""
    measured = arms if sweep_measured() else []
    return lambda wildcards: [table for arm in measured for table in MAIN.tables(arm, [wildcards.plate])]


def sweep_settings():
    """JSON of what the comparison of samplers depends on."""
    points = [{key: point[key] for key in ("name", *POINT)} for point in STUDY.sweep_points]
    chosen = {"channels": CONFIG["channels"], "cutoff": CONFIG["prepare"]["cutoff"]}
    return as_json({**chosen, "points": points, "reference": reference(CONFIG)})


def subsets_shown():
    """Subsets of perturbations of which some painted arm has profiles."""
    subsets = ("full", "active") if finds_actives() else ("full",)
    return [subset for subset in subsets if {arm for arm, _ in compared(subset)} & set(STUDY.arms)]


def compared(subset):
    """(arm, space) pairs whose matches are compared, space by space."""
    return [(arm, space.name) for space in mapped_spaces(STUDY) for arm in subset_arms(STUDY, space, subset)]


def space_figures():
    """A layout of every space's wells, and the matches that arms share."""
    if not anything_scored():
        return []
    shown = expand("<results>/figures/overlap/{subset}.png", subset=subsets_shown())
    return shown + [f"<results>/figures/tsne/{space.name}.png" for space in mapped_spaces(STUDY)]


def dosed():
    """(arm, space) pairs whose dose-response curves the study asks for; a wrong name stops the plan."""
    try:
        return dosed_profiles(STUDY)
    except ValueError as error:
        raise WorkflowError(str(error)) from None


DOSED = dosed() if CONFIG["doses"]["spaces"] else []


def dose_files(*patterns):
    """These files of every arm and space with curves; {arm} and {space} are filled in."""
    return [pattern.format(arm=arm, space=space) for arm, space in DOSED for pattern in patterns]


def dose_settings():
    """JSON of what a dose-response curve depends on beside its wells."""
    return as_json({key: value for key, value in CONFIG["doses"].items() if key not in ("spaces", "arms", "axes")})
