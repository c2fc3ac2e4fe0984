# What the study asks for: what a user reads, and every file that is kept on the way to it. No rules.


def reported_results():
    """What a user reads: figures, tables, predicted plates."""
    shown = [plate for plate in STUDY.plates if STUDY.arms_of(plate)]
    results = expand("<results>/figures/montage/{plate}.jpg", plate=shown) + ["<results>/tables/missing.html"]
    results += expand("<results>/figures/closeup/{plate}.jpg", plate=shown)
    results += expand("<results>/figures/quality/{plate}.png", plate=STUDY.used_plates())
    results += ["<results>/tables/quality.html"]
    results += expand("<results>/tables/wells/{plate}.html", plate=[plate for plate in shown if network_arms(plate)])
    painted = [arm for arm in STUDY.arms if STUDY.model_of(arm)["kind"] in NETWORKS]
    results += [f"<results>/predicted/{arm}/{plate}" for arm in painted for plate in STUDY.predict_plates(arm)]
    several = [arm["name"] for arm in CONFIG["arms"] if arm["samples"] > 1]
    results += [f"<results>/figures/uncertainty/{arm}.png" for arm in several if STUDY.test_plates(arm)]
    if SWEPT:
        results += [f"<results>/figures/sweep/{STUDY.sweep_plate}.png"]
    if trained():
        results += ["<results>/figures/loss.png"]
    if len(scored_arms()) > 1:
        results += ["<results>/tables/metrics.html"]
        results += expand("<results>/tables/table_{number}.html", number=paper_tables())
        tested = [plate for plate in STUDY.plates if arms_testing(plate)]
        results += expand("<results>/figures/plates/{plate}.png", plate=tested)
        outlined = [plate for plate in tested if measured_arms(plate)]
        results += expand("<results>/figures/outlines/{plate}.jpg", plate=outlined)
        shown = [arm for arm in STUDY.arms if STUDY.test_plates(arm) and STUDY.model_of(arm)["kind"] != "mean"]
        results += expand("<results>/figures/{gallery}/{arm}.jpg", gallery=["worst", "noise"], arm=shown)
        subsets = [subset for subset in ("full", "active") if feature_arms(subset)]
        results += expand("<results>/figures/features/{subset}.png", subset=subsets)
        results += expand("<results>/figures/overlap/{subset}.png", subset=subsets)
        results += ["<results>/tables/cells.html"] if measured_medians() else []
        if CONFIG["perturbations"]:
            results += ["<results>/figures/active.png"]
        results += expand(
            "<results>/figures/tsne/{space}.png", space=[s for s in ("cellprofiler", "dino") if tsne_arms(s)]
        )
        results += expand("<results>/figures/attention/{plate}.jpg", plate=tested if STUDY.seen_arms("embed") else [])
    return results


def kept_of_plates():
    """Of every plate: what is known of its images, and the images prepared."""
    kept = ["<resources>/index/{plate}.parquet", "<resources>/manifest/{plate}.tsv", "<results>/missing/{plate}.tsv"]
    kept += [
        "<results>/illumination/{plate}.tif",
        "<results>/images/real/{plate}.tif",
        "<results>/prepared/{plate}.parquet",
    ]
    kept += ["<results>/quality/{plate}.parquet", "<results>/flags/{plate}.tsv", "<results>/fields/{plate}.parquet"]
    kept += ["<resources>/truth/{plate}.tsv"] if simulated() else []
    kept += ["<resources>/illum/{plate}"] if CONFIG["illumination"]["method"] == "published" else []
    return expand(kept, plate=STUDY.used_plates())


def kept_of_models():
    """Weights and histories of every model that an arm needs trained here."""
    made = []
    for arm in CONFIG["arms"]:
        model = STUDY.model_of(arm["name"])
        named = [] if model["weights"] else [f"models/{model['name']}"]
        named += [f"classifiers/{arm['classifier']}"] if arm["classifier"] else []
        made += [f"{name}/{fold}" for name in named for fold in arm["folds"]]
    return expand("<results>/{made}/{file}", made=made, file=["weights.safetensors", "history.jsonl"])


def kept_images():
    """Painted stacks of every arm and of the sweep's points, and the uncertainty of those that paint several samples."""
    arms = [(arm, plate) for arm in STUDY.arms for plate in STUDY.test_plates(arm) + STUDY.predict_plates(arm)]
    made = [f"images/{arm}/{plate}" for arm, plate in arms]
    made += [f"uncertainty/{arm}/{plate}" for arm, plate in arms if STUDY.entry("arms", arm)["samples"] > 1]
    made += [f"images/{point}/{STUDY.sweep_plate}" for point in SWEPT]
    files = expand("<results>/{made}{end}", made=made, end=[".tif", ".parquet", ".seconds.tsv"])
    plates = [STUDY.sweep_plate] if SWEPT else []
    return files + expand("<results>/{made}/{plate}.parquet", made=["sweep", "sweep/fields"], plate=plates)


def kept_scores():
    """Cells, medians, profiles, embeddings and scores of every arm, and what was chosen by them."""
    measured = measured_to_score()
    swept = [f"{point}/{STUDY.sweep_plate}" for point in (SWEPT if sweep_measured() else [])]
    cells = [f"{arm}/{plate}" for arm in measured for plate in STUDY.profile_plates(arm)] + swept
    kept = expand(["<results>/cells/{cells}.parquet", "<results>/masks/{cells}.tif"], cells=cells)
    kept += measured_medians() + expand("<results>/medians/{cells}.parquet", cells=swept)
    if segmented():
        kept += expand("<results>/cellpose/{cells}/{part}.csv", cells=cells, part=parts("cellprofiler"))
    kept += expand("<results>/metrics/{arm}{end}.parquet", arm=scored_arms(), end=["", ".fields"])
    tested = {plate for arm in STUDY.arms for plate in STUDY.test_plates(arm)}
    embedded = [f"{arm}/{plate}" for arm in STUDY.seen_arms("embed") for plate in STUDY.seen_plates(arm)]
    kept += expand("<results>/embeddings/{embedded}.parquet", embedded=embedded)
    seen = [(arm, plate) for arm in STUDY.seen_arms("fid") for plate in STUDY.seen_plates(arm)]
    kept += [
        f"<results>/inception/{arm}/{plate}.parquet" for arm, plate in seen if arm != "brightfield" or plate in tested
    ]
    if not CONFIG["perturbations"]:
        return kept
    looked_up = ["lookup"] if STUDY.lookup_plates() else []
    spaces = {"cellprofiler": measured + looked_up if len(measured) > 1 else []}
    spaces["dino"] = STUDY.seen_arms("embed") + looked_up if STUDY.seen_arms("embed") else []
    profiled = [f"{arm}/{space}" for space, arms in spaces.items() for arm in arms]
    kept += expand("<results>/profiles/{profiled}/perturbations.parquet", profiled=profiled)
    kept += expand("<results>/active/{name}", name=["perturbations.tsv", "wells.parquet", "agreement.tsv"])
    return kept + ["<results>/selection/cellprofiler.tsv"]


show("figures", reported_results)
keep("plates", kept_of_plates)
keep("models", kept_of_models)
keep("models", kept_images)
keep("scores", lambda: kept_scores() if len(scored_arms()) > 1 else [])
