# What arms are judged by as distributions: files of their samples, and the settings that change their scores. No rules.
from brightpaint.study import calibration

CALIBRATED = calibration.calibrated_arms(STUDY)


def samples_to_score(pattern):
    """Input function: files of an arm's samples, or of the arm where it paints without noise; {arm}, {plate} are filled in."""
    return lambda wildcards: scored_files(pattern, calibration.drawn_as(STUDY, wildcards.arm))(wildcards)


def has_calibrated_cells(wildcards):
    """Whether the cells of an arm's samples are measured, and there are selected features to compare them by."""
    return bool(CONFIG["perturbations"] and STUDY.profiled(wildcards.arm))


def where_calibrated_cells(files):
    """Input function: `files` where the cells of an arm's samples are compared, none otherwise."""
    return lambda wildcards: files(wildcards) if has_calibrated_cells(wildcards) else []


def whitening_plates(arm):
    """{scored plate: training plates of its fold on whose real fields features are whitened}."""
    return {plate: STUDY.lookup_plates()[plate] for plate in STUDY.test_plates(arm)}


def real_medians_to_score(wildcards):
    """Real field medians of the scored plates and of those that features are whitened by."""
    trained = whitening_plates(wildcards.arm)
    plates = dict.fromkeys([*trained, *(plate for plates in trained.values() for plate in plates)])
    return MAIN.tables("real", list(plates))


def reference_fields(wildcards):
    """Scores of single fields of the arms with which one is compared."""
    arms = calibration.references(STUDY, wildcards.arm).values()
    return [f"<results>/scores/calibration/{arm}.fields.parquet" for arm in arms]


def calibration_settings(wildcards):
    """JSON of what changes the scores of an arm's samples."""
    arm, chosen = wildcards.arm, pick("calibration", "fields", "components")
    chosen |= {"samples": calibration.samples_of(STUDY, arm), "references": calibration.references(STUDY, arm)}
    chosen |= {"training": whitening_plates(arm)} if has_calibrated_cells(wildcards) else {}
    subset = STUDY.model_of(arm)["subset"]
    return as_json({**chosen, "subset": subset, "channels": CONFIG["channels"], "cutoff": CONFIG["prepare"]["cutoff"]})


def kept_calibration():
    """Scores of single fields and features of every arm that is judged as a distribution."""
    return expand("<results>/scores/calibration/{arm}.{table}.parquet", arm=CALIBRATED, table=["fields", "features"])
