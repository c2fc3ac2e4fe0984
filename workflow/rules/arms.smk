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


def profiles_to_score(wildcards):
    """Real and predicted profiles, where there are perturbations and the arm is measured."""
    measured = wildcards.arm == "lookup" or (wildcards.arm != "brightfield" and STUDY.profiled(wildcards.arm))
    if not (CONFIG["perturbations"] and measured):
        return []
    arms = dict.fromkeys(["real", wildcards.arm])
    return expand("<results>/profiles/{arm}/cellprofiler/perturbations.parquet", arm=arms)


def medians_to_score(arm=None):
    """Input function: field medians of `arm`, or the scored one, on its plates; none where its cells are not measured."""

    def medians(wildcards):
        if wildcards.arm in NO_IMAGES or not STUDY.profiled(wildcards.arm):
            return []
        return expand(
            "<results>/medians/{arm}/{plate}.parquet", arm=arm or wildcards.arm, plate=scored_plates(wildcards)
        )

    return medians


def selection_to_score(wildcards):
    """The selected features, where an arm's cells are measured and there are perturbations to select by."""
    measured = CONFIG["perturbations"] and medians_to_score()(wildcards)
    return "<results>/selection/cellprofiler.tsv" if measured else []


def replicates_to_score(wildcards):
    """Real field medians of every measured plate: what another plate's distance from the scored one is taken from."""
    if not medians_to_score()(wildcards):
        return []
    return expand("<results>/medians/real/{plate}.parquet", plate=STUDY.profile_plates("real"))


def uncertainty_to_score(wildcards):
    """Uncertainty stacks of the plates on which an arm is scored, where it paints several samples a field."""
    if wildcards.arm in NO_IMAGES or STUDY.entry("arms", wildcards.arm)["samples"] == 1:
        return []
    return expand("<results>/uncertainty/{arm}/{plate}.tif", arm=wildcards.arm, plate=scored_plates(wildcards))


def sweep_measured():
    """Whether CellProfiler measures the sweep's points: their arm is, and there are perturbations to select features by."""
    return bool(CONFIG["perturbations"] and SWEPT and STUDY.profiled(base_arm(CONFIG)["name"]))


def sweep_medians(wildcards):
    """Field medians of every point of the sweep, where its cells are measured."""
    measured = SWEPT if sweep_measured() else []
    return expand("<results>/medians/{point}/{plate}.parquet", point=measured, plate=wildcards.plate)


def sweep_real_medians(wildcards):
    """The real field medians of the sweep's plate, where cells are measured."""
    return "<results>/medians/real/{plate}.parquet" if sweep_measured() else []


def sweep_selection(wildcards):
    """The selected features, where the sweep's cells are measured."""
    return "<results>/selection/cellprofiler.tsv" if sweep_measured() else []


def masks_to_score(arm=None):
    """Input function: label images of `arm`, or the scored one, on its plates; none where its cells are not measured."""

    def masks(wildcards):
        if wildcards.arm in NO_IMAGES or not STUDY.profiled(wildcards.arm):
            return []
        return expand("<results>/masks/{arm}/{plate}.tif", arm=arm or wildcards.arm, plate=scored_plates(wildcards))

    return masks


def compounds_fail():
    """Whether the plates are simulated with wells whose compound failed, and their profiles are taken."""
    return simulated() and CONFIG["simulate"]["failed_share"] > 0 and bool(STUDY.lookup_plates())


def truth_to_score(wildcards):
    """Truth of the scored plates and of those they are compared with, where compounds fail and the arm is measured."""
    if not (compounds_fail() and profiles_to_score(wildcards)):
        return []
    looked_up = STUDY.lookup_plates()
    plates = [name for plate, training in looked_up.items() for name in (plate, *training)]
    return expand("<resources>/truth/{plate}.tsv", plate=list(dict.fromkeys(plates)))


def wells_to_score(wildcards):
    """Real and predicted well profiles, where it is known which compounds failed; a look-up has perturbations alone."""
    if not truth_to_score(wildcards):
        return []
    table = "perturbations" if wildcards.arm == "lookup" else "wells"
    return ["<results>/profiles/real/cellprofiler/wells.parquet"] + (
        [] if wildcards.arm == "real" else [f"<results>/profiles/{wildcards.arm}/cellprofiler/{table}.parquet"]
    )


def active_table(wildcards):
    """The table of actives, where there are perturbations."""
    return "<results>/active/perturbations.tsv" if CONFIG["perturbations"] else []


def scored_arms():
    """Arms with plates to score: `real` first, then brightfield where it is embedded, what can be looked up, the predicted."""
    looked_up = ["lookup"] if STUDY.lookup_plates() else []
    embedded = ["brightfield"] if CONFIG["perturbations"] and STUDY.seen_arms("embed") else []
    return ["real"] + embedded + looked_up + [arm for arm in STUDY.arms if STUDY.test_plates(arm)]


def arms_testing(plate):
    """Arms that are scored on `plate`."""
    return [arm for arm in STUDY.arms if plate in STUDY.test_plates(arm)]


def network_arms(plate):
    """Arms that paint `plate` by a network, whether it is scored or predicted alone."""
    return [arm for arm in STUDY.arms_of(plate) if STUDY.model_of(arm)["kind"] in NETWORKS]


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


def embedded_arms(subset):
    """What has profiles of `subset` in the embedder's space: real stains, brightfield, arms, what can be looked up; none if off."""
    seen = STUDY.seen_arms("embed")
    if subset == "full":  # as in feature_arms
        seen = seen[:2] + [arm for arm in seen[2:] if STUDY.model_of(arm)["subset"] != "active"]
    looked_up = ["lookup"] if STUDY.lookup_plates() else []
    return seen + looked_up if CONFIG["perturbations"] and seen else []


def tsne_arms(space):
    """Arms whose wells have profiles in `space` beside the real ones."""
    if space == "dino":
        return STUDY.seen_arms("embed")[2:]
    return [arm for arm in feature_arms("active") if arm != "lookup"]


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
        if model["kind"] != "diffusion" or not STUDY.profiled(arm["name"]) or arm["name"] in leaking_arms():
            continue
        label = "none" if model["label"] == "none" or shown == "none" else shown
        if arm["classifier"] and arm["guidance_scale"] > 0:
            roles.update({arm["name"]: "guided"} if label == "none" else {})
        elif model["label"] == "none" or label != "none":
            roles[arm["name"]] = {"none": "unlabelled", "own": "labelled", "swapped": "swapped"}[label]
    return roles


def arm_roles():
    """JSON: what every scored arm is shown (`label_roles`), and what paints it: network, regression, pixel or mean."""
    kinds = {arm: STUDY.model_of(arm)["kind"] for arm in STUDY.arms if STUDY.test_plates(arm)}
    kinds = {arm: "network" if kind == "diffusion" else kind for arm, kind in kinds.items()}
    return json.dumps({"shown": label_roles(), "kinds": kinds})


def measured_to_score():
    """Arms to score whose cells are measured, `real` first."""
    return [arm for arm in scored_arms() if arm not in ("lookup", "brightfield") and STUDY.profiled(arm)]


def measured_medians():
    """Field medians of every measured arm: the real plates, then the arms' test plates."""
    measured = measured_to_score()
    pairs = [(arm, plate) for arm in measured for plate in STUDY.profile_plates(arm)] if len(measured) > 1 else []
    return [f"<results>/medians/{arm}/{plate}.parquet" for arm, plate in pairs]
