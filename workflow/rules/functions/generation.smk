# What is held out of training and generated from conditions alone: which folds and arms, from which files, by which settings. No rules.
from brightpaint.study import generations
from brightpaint.study.fold_splits import by_molecule, tabled, word_of


def training_tables(wildcards):
    """Field tables of the plates that a fold trains on."""
    return expand("<results>/fields/{plate}.parquet", plate=STUDY.training_plates(wildcards.fold))


def held_table(wildcards):
    """The table of what a fold holds out, where its trainings read it; else none."""
    return (
        f"<results>/held_out/{wildcards.fold}.tsv" if tabled(STUDY.entry("folds", wildcards.fold)["held_out"]) else []
    )


def held_out_of(fold):
    """What a fold holds out, as trainings are told: perturbations, their share, or the table that says it."""
    held = fold["held_out"]
    return {**held, "table": with_pathvars(f"<results>/held_out/{fold['name']}.tsv")} if tabled(held) else held


def split_environment(wildcards):
    """The list of packages by which a fold is split: RDKit is in it where scaffolds or SMILES are held out."""
    read = by_molecule(STUDY.entry("folds", wildcards.fold)["held_out"])
    return f"../../envs/{'molecules' if read else 'brightpaint'}.yaml"


def given_split(wildcards):
    """The table of parts that a fold is split by, where the config names one; else none."""
    held = STUDY.entry("folds", wildcards.fold)["held_out"]
    return held.get("path", []) if tabled(held) else []


def generated_files():
    """What folds hold out, and the rows of every generation."""
    rows = [(arm, plate) for arm in STUDY.generations for plate in STUDY.test_plates(arm)]
    made = expand("<results>/held_out/{fold}.tsv", fold=generations.split_folds(STUDY))
    return made + [f"<results>/generated/{arm}/{plate}.parquet" for arm, plate in rows]


def generation_spaces(arm):
    """Names of the spaces in which a generation is scored."""
    return [space.name for space in subjects.generation_spaces(STUDY, arm)]


def generated_tables():
    """Tables of generated fields in the spaces of a network, which stand between others."""
    spaces = [(arm, space) for arm in STUDY.generations for space in subjects.generation_spaces(STUDY, arm)]
    tables = [space.tables(arm, STUDY.test_plates(arm)) for arm, space in spaces if space.holds == "fields"]
    return [table for each in tables for table in each]


def generation_folds(wildcards):
    """{test plate: its fold} of a generation."""
    return {plate: STUDY.fold_of(wildcards.arm, plate) for plate in STUDY.test_plates(wildcards.arm)}


def generation_held(wildcards):
    """Tables of what the folds of a generation hold out, one a test plate."""
    return [f"<results>/held_out/{fold}.tsv" for fold in generation_folds(wildcards).values()]


def generation_environment(wildcards):
    """The list of packages by which a generation is scored: RDKit is in it where molecules are told or held out."""
    return f"../../envs/{'molecules' if generations.reads_molecules(STUDY, wildcards.arm) else 'brightpaint'}.yaml"


def generation_settings(wildcards):
    """JSON of what changes the scores of a generation: training plates of each test plate, by what is held out, molecules or none."""
    folds = generation_folds(wildcards)
    words = {plate: word_of(STUDY.entry("folds", fold)["held_out"]) for plate, fold in folds.items()}
    molecules = generations.reads_molecules(STUDY, wildcards.arm)
    return as_json({"training": trained_plates(wildcards.arm), "by": words, "molecules": molecules})


def generated_settings(wildcards):
    """JSON of what changes the distances of a generation's images from real ones."""
    return as_json({**json.loads(generation_settings(wildcards)), "channels": CONFIG["channels"]["target"]})


def generated_scores():
    """Distances of the images of every generation from real ones."""
    return expand("<results>/generation/{arm}/images.tsv", arm=STUDY.generations)


def generation_files(*patterns):
    """These files of every generation and space; {arm} and {space} are filled in."""
    pairs = [(arm, space) for arm in STUDY.generations for space in generation_spaces(arm)]
    return [pattern.format(arm=arm, space=space) for arm, space in pairs for pattern in patterns]
