# What the study asks for: what a user reads, and every file that is kept on the way to it. No rules.


def reported_results():
    """What a user reads: figures, tables, predicted plates."""
    shown = [plate for plate in STUDY.plates if STUDY.arms_of(plate)]
    results = expand("<results>/figures/montage/{plate}.jpg", plate=shown) + ["<results>/tables/missing.html"]
    results += expand("<results>/figures/closeup/{plate}.jpg", plate=shown)
    results += expand("<results>/figures/quality/{plate}.png", plate=STUDY.used_plates())
    results += ["<results>/tables/quality.html"]
    results += expand("<results>/tables/wells/{plate}.html", plate=[plate for plate in shown if network_arms(plate)])
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


show("figures", reported_results)
keep("scores", lambda: [f"<results>/sweep/{STUDY.sweep_plate}.parquet"] if SWEPT else [])
if len(scored_arms()) > 1:
    keep("features", kept_embeddings)
    keep("profiles", kept_profiles)
    keep("scores", lambda: expand("<results>/metrics/{arm}{end}.parquet", arm=scored_arms(), end=["", ".fields"]))
