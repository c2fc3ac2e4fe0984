# Files that are kept on the way to what a user reads. No rules.


def kept_embeddings():
    """Embeddings and Inception features of every arm."""
    tested = {plate for arm in STUDY.arms for plate in STUDY.test_plates(arm)}
    embedded = [f"{arm}/{plate}" for arm in STUDY.seen_arms("embed") for plate in STUDY.seen_plates(arm)]
    kept = expand("<results>/embeddings/{embedded}.parquet", embedded=embedded)
    seen = [(arm, plate) for arm in STUDY.seen_arms("fid") for plate in STUDY.seen_plates(arm)]
    return kept + [
        f"<results>/inception/{arm}/{plate}.parquet" for arm, plate in seen if arm != "brightfield" or plate in tested
    ]


def kept_profiles():
    """Profiles of every arm, and what was chosen by them."""
    if not CONFIG["perturbations"]:
        return []
    looked_up = ["lookup"] if STUDY.lookup_plates() else []
    spaces = {"cellprofiler": measured_to_score() + looked_up}
    spaces["dino"] = STUDY.seen_arms("embed") + looked_up if STUDY.seen_arms("embed") else []
    profiled = [f"{arm}/{space}" for space, arms in spaces.items() for arm in arms]
    kept = expand("<results>/profiles/{profiled}/perturbations.parquet", profiled=profiled)
    kept += expand("<results>/active/{name}", name=["perturbations.tsv", "wells.parquet", "agreement.tsv"])
    return kept + ["<results>/selection/cellprofiler.tsv"]


keep("scores", lambda: [f"<results>/sweep/{STUDY.sweep_plate}.parquet"] if SWEPT else [])
if len(scored_arms()) > 1:
    keep("features", kept_embeddings)
    keep("profiles", kept_profiles)
    keep("scores", lambda: expand("<results>/metrics/{arm}{end}.parquet", arm=scored_arms(), end=["", ".fields"]))
