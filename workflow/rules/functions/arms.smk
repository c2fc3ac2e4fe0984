# Which arms are scored on which plates, and the files that scores, tables and figures are made from. No rules.


def scored_plates(wildcards):
    """Plates on which an arm is scored."""
    if wildcards.arm == "lookup":
        return list(STUDY.lookup_plates())
    real = wildcards.arm in ("real", "brightfield")
    return STUDY.profile_plates("real") if real else STUDY.test_plates(wildcards.arm)


def stacks_to_score(wildcards):
    """An arm's stacks of the plates on which it is scored; arms without images name the real ones."""
    arm = "real" if wildcards.arm in ("lookup", "brightfield") else wildcards.arm
    return expand("<results>/images/{arm}/{plate}.tif", arm=arm, plate=scored_plates(wildcards))


def uncertainty_to_score(wildcards):
    """Uncertainty stacks of the plates on which an arm is scored, where it paints several samples a field."""
    if wildcards.arm in NO_IMAGES or STUDY.entry("arms", wildcards.arm)["samples"] == 1:
        return []
    return expand("<results>/uncertainty/{arm}/{plate}.tif", arm=wildcards.arm, plate=scored_plates(wildcards))


def coded_arms():
    """Arms that show real stains again, encoded and decoded by a codec."""
    return subjects.coded_arms(STUDY)


def codec_weights(wildcards):
    """Weights of the codec of an arm, one file for each plate on which it is scored."""
    model = STUDY.model_of(wildcards.arm)
    folds = [STUDY.fold_of(wildcards.arm, plate) for plate in scored_plates(wildcards)]
    return [model["weights"] or f"<results>/models/{model['name']}/{fold}/weights.safetensors" for fold in folds]


def sweep_measured():
    """Whether CellProfiler measures the sweep's points: their arm is, and there are perturbations to select features by."""
    return bool(CONFIG["perturbations"] and SWEPT and STUDY.profiled(base_arm(CONFIG)["name"]))


def active_table(wildcards):
    """The table of actives, where they are found: among real cells that something asks for."""
    return "<results>/active/perturbations.tsv" if finds_actives() else []


def finds_actives():
    """Whether the study finds active perturbations: it has some, and their real cells are measured."""
    return CONFIG["perturbations"] and STUDY.profiled("real")


def anything_scored():
    """Whether some arm is scored beside the real plates."""
    return bool(subjects.tested_arms(STUDY))


def real_profiled():
    """Whether the real plates are measured and profiled: as reference of what is scored, or where nothing is painted."""
    return anything_scored() or bool(STUDY.plates and not STUDY.arms)


def scored_arms():
    """What is scored: `real` first, then brightfield where it is in a space, what can be looked up, the predicted arms."""
    return subjects.scored_arms(STUDY)


def arms_testing(plate):
    """Arms that are scored on `plate`."""
    return [arm for arm in STUDY.arms if plate in STUDY.test_plates(arm)]


def network_arms(plate):
    """Arms that paint `plate` by a network, whether it is scored or predicted alone."""
    return [arm for arm in STUDY.arms_of(plate) if STUDY.kind_of(arm).delivered]


def measured_arms(plate):
    """Arms that are scored on `plate` and whose cells are measured."""
    return [arm for arm in arms_testing(plate) if STUDY.profiled(arm)]


def medians_of_plate(wildcards):
    """Field medians of a plate: the real ones, then those of every measured arm that is scored on it."""
    measured = measured_arms(wildcards.plate)
    return expand(
        "<results>/medians/{arm}/{plate}.parquet", arm=["real"] + measured if measured else [], plate=wildcards.plate
    )


def feature_arms(subset):
    """Measured arms with profiles of `subset`, what can be looked up last; none without perturbations."""
    measured = [arm for arm in STUDY.arms if STUDY.test_plates(arm) and STUDY.profiled(arm)]
    if subset == "full":  # an arm on the active subset has no profiles of the others
        measured = [arm for arm in measured if STUDY.model_of(arm)["subset"] != "active"]
    looked_up = ["lookup"] if STUDY.lookup_plates() else []
    return measured + looked_up if CONFIG["perturbations"] and measured else []


def leaking_arms():
    """Arms that are shown the target in sampling, by their label (a wrong one too) or by a classifier."""
    labels = {entry["name"]: entry["label"] for entry in CONFIG["classifiers"]}
    told = []
    for arm in CONFIG["arms"]:
        labelled = STUDY.model_of(arm["name"])["label"] == "target" and arm["sampling_label"] != "none"
        guided = labels.get(arm["classifier"]) == "target" and arm["guidance_scale"] > 0
        told += [arm["name"]] if labelled or guided else []
    return told


def label_roles():
    """What each measured diffusion arm is shown of the perturbation, in the config's order; one thing at most."""
    roles = {}
    for arm in CONFIG["arms"]:
        model, shown = STUDY.model_of(arm["name"]), arm["sampling_label"]
        if not STUDY.kind_of(arm["name"]).walks or not STUDY.profiled(arm["name"]) or arm["name"] in leaking_arms():
            continue
        label = "none" if model["label"] not in GIVEN or shown == "none" else shown
        if arm["classifier"] and arm["guidance_scale"] > 0:
            roles.update({arm["name"]: "guided"} if label == "none" else {})
        elif model["label"] == "none" or label != "none":
            roles[arm["name"]] = {"none": "unlabelled", "own": "labelled", "swapped": "swapped"}[label]
    return roles


def arm_roles():
    """JSON: what every scored arm is shown (`label_roles`), what paints it (the role of its model's kind), unit, translations."""
    kinds = {arm: STUDY.kind_of(arm).role for arm in STUDY.arms if STUDY.test_plates(arm)}
    translations = {"translations": TRANSLATED} if TRANSLATED else {}
    return json.dumps({"shown": label_roles(), "kinds": kinds, **unit_setting(), **translations})


def measured_to_score():
    """Arms to score whose cells are measured, `real` first."""
    return [arm for arm in scored_arms() if arm not in ("lookup", "brightfield") and STUDY.profiled(arm)]


def measured_medians():
    """Field medians of every measured arm: the real plates, then the arms' test plates."""
    measured = measured_to_score()
    pairs = (
        [(arm, plate) for arm in measured for plate in STUDY.profile_plates(arm)]
        if len(measured) > 1 or not STUDY.arms
        else []
    )
    return [f"<results>/medians/{arm}/{plate}.parquet" for arm, plate in pairs]
