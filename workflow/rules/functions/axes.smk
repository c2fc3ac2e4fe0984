# What the rules of axes between classes, and of classes told apart zero-shot, ask of the study. No rules.
from brightpaint.study import axes


def refuse_axes():
    """End with a sentence where the study asks for an axis or classes that it can't have."""
    problems = list(axes.axis_problems(STUDY))
    if not problems and workflow.is_main_process:
        from brightpaint.plates.classes import class_problems  # loads pandas, which no job needs for its plan

        problems = list(class_problems(STUDY, Path.cwd()))
    refuse(problems)


if CONFIG["axes"] or CONFIG["zero_shot"] or CONFIG["doses"]["axes"]:
    refuse_axes()


def axis_files(section, *patterns):
    """These files of every name, arm and space of a section; {name}, {arm} and {space} are filled in."""
    asked = axes.asked(STUDY, section)
    return [pattern.format(name=name, arm=arm, space=space) for name, arm, space in asked for pattern in patterns]


def dosed_axes(*patterns):
    """The same of the axes along which there are dose-response curves."""
    wanted = [each for each in axes.asked(STUDY, "axes") if each[0] in CONFIG["doses"]["axes"]]
    return [pattern.format(name=name, arm=arm, space=space) for name, arm, space in wanted for pattern in patterns]


def entry_of(section, wildcards):
    """JSON of an entry of a section: what changes the result of its rule, and what saw the images of which plates."""
    entry = STUDY.entry(section, wildcards.axis)
    chosen = {key: value for key, value in entry.items() if key not in ("spaces", "arms", "study")}
    return as_json(chosen | {"seen": axes.seen_by(STUDY, entry, SPACES[wildcards.space])})


def compared_spaces():
    """Real profiles of every space that holds all wells of its plates, where the study has several plates."""
    spaces = [space for space in SPACES.values() if space.whole(CONFIG) and "real" in profiled_arms(STUDY, space)]
    return [
        f"<results>/profiles/real/{space.name}/perturbations.parquet"
        for space in spaces
        if len(space.plates(STUDY, "real")) > 1
    ]


def compares_spaces():
    """Whether the report lays spaces side by side: where there are axes or zero-shot classes, or a critic and what it must beat."""
    return bool(
        axes.asked(STUDY, "axes")
        or axes.asked(STUDY, "zero_shot")
        or gan_files("weights.safetensors")
        and compared_spaces()
    )


def told_apart_wells(wildcards):
    """The wells that are told apart zero-shot: this study's, or another's."""
    folder = STUDY.entry("zero_shot", wildcards.axis)["study"] or "<results>"
    return f"{folder}/profiles/{wildcards.arm}/{wildcards.space}/wells.parquet"


def zero_shot_settings(wildcards):
    """JSON of what zero-shot classes depend on, the channels by which another study's numbers are matched among it."""
    chosen = json.loads(entry_of("zero_shot", wildcards))
    if STUDY.entry("zero_shot", wildcards.axis)["study"]:
        chosen |= {"channels": CONFIG["channels"]["input"] + CONFIG["channels"]["target"], "seen": {}}
    return as_json(chosen)


def classed_settings(wildcards):
    """JSON of the classes that are looked for among the wells of the plates, and what the plate table says of these."""
    entries = [
        {"section": section, "plates": axes.plates_of(STUDY, entry), **entry}
        for section in axes.SECTIONS
        for entry in CONFIG[section]
        if not entry.get("study")
    ]
    return as_json({"entries": entries, "plates": {plate: cells_of_plate(plate) for plate in STUDY.plates}})


def axis_pictures(wildcards):
    """JSON: what changes the picture of an axis beside its tables."""
    entry = STUDY.entry("axes", wildcards.axis)
    return as_json({**{key: entry[key] for key in ("name", "positive", "negative")}, **pick("figures", "dpi")})


def doses_beside(wildcards):
    """The tables of an arm's curves along each compound's own direction in a space, where the study has them."""
    asked = (wildcards.arm, wildcards.space) in DOSED
    return [f"<results>/doses/{wildcards.arm}/{wildcards.space}{end}.tsv" for end in ("", ".points")] if asked else []
