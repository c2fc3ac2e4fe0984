# What the report's figures and tables are made from, and the settings that change them. No rules.


def where_scored(files):
    """`files`, where there is anything to score beside the real plates; none otherwise."""
    return files if anything_scored() else []


def where_profiled(files):
    """`files`, where the real plates are profiled; none otherwise."""
    return files if real_profiled() else []


def where_plates(files):
    """`files`, where the study has plates; none where it has crops of one's own alone."""
    return files if STUDY.used_plates() else []


def tested_plates():
    """Plates on which some arm is scored."""
    return [plate for plate in STUDY.plates if arms_testing(plate)]


def pictured_plates():
    """Plates that some arm paints; where nothing is painted, those with stains."""
    return [plate for plate in STUDY.plates if STUDY.arms_of(plate)] if STUDY.arms else STUDY.by_role("study")


def montage_stacks(wildcards):
    """Predicted stacks of a plate, one an arm, in the config's order."""
    return expand("<results>/images/{arm}/{plate}.tif", arm=STUDY.arms_of(wildcards.plate), plate=wildcards.plate)


def plate_pictures(wildcards):
    """JSON: what changes the pictures of a plate."""
    size_um = STUDY.pixel_size_um(wildcards.plate)
    return as_json({**CONFIG["figures"], "channels": CONFIG["channels"], "pixel_size_um": size_um})


def outline_pictures(wildcards):
    """JSON: what changes the outlines of a plate, the stains below them among it."""
    return as_json({**json.loads(plate_pictures(wildcards)), **named_stains(CONFIG["cellprofiler"])})


def arm_pictures(wildcards):
    """JSON: what changes the pictures of an arm on its test plates."""
    sizes = {plate: STUDY.pixel_size_um(plate) for plate in STUDY.test_plates(wildcards.arm)}
    return as_json({**CONFIG["figures"], "channels": CONFIG["channels"], "pixel_size_um": sizes})


def failing_arms():
    """Arms whose failures are shown; the mean fails everywhere alike."""
    return [arm for arm in STUDY.arms if STUDY.test_plates(arm) and STUDY.kind_of(arm).varied]


def sampling_arms():
    """Arms that are scored and paint several samples a field."""
    return [arm["name"] for arm in CONFIG["arms"] if arm["samples"] > 1 and STUDY.test_plates(arm["name"])]


def quality_pictures(wildcards):
    """JSON: what changes the layout of a plate's quality."""
    chosen = {**CONFIG["quality"], "channels": STUDY.channels(wildcards.plate), **pick("figures", "dpi")}
    return as_json(chosen)


def uncertainty_of_unscored(wildcards):
    """Uncertainty stacks of a plate on which no arm is scored; those of a scored plate stand in its scores."""
    arms = [] if arms_testing(wildcards.plate) else network_arms(wildcards.plate)
    several = [arm for arm in arms if STUDY.entry("arms", arm)["samples"] > 1]
    return expand("<results>/uncertainty/{arm}/{plate}.tif", arm=several, plate=wildcards.plate)


def paper_arms():
    """Arms as the paper's tables need them: labels, guidance, and {test plate: fold}."""
    labels = {entry["name"]: entry["label"] for entry in CONFIG["classifiers"]}
    told, described = leaking_arms(), []
    for arm in [arm for arm in CONFIG["arms"] if arm["name"] not in coded_arms()]:
        model = STUDY.model_of(arm["name"])
        guided = labels.get(arm["classifier"]) if arm["guidance_scale"] > 0 else None
        folds = {plate: STUDY.fold_of(arm["name"], plate) for plate in STUDY.test_plates(arm["name"])}
        described.append(
            {
                "name": arm["name"],
                "kind": model["kind"],
                "label": model["label"],
                "subset": model["subset"],
                "sampling_label": arm["sampling_label"],
                "classifier": guided,
                "folds": folds,
                "leaking": arm["name"] in told,
            }
        )
    return [arm for arm in described if arm["folds"]]


def paper_settings(wildcards):
    """JSON: what changes one of the paper's tables."""
    return as_json({"arms": paper_arms(), "number": int(wildcards.number)})


def paper_tables():
    """Numbers of the paper's tables that the study has: 2 is about the actives."""
    return [1, 2] if finds_actives() else [1]


def tabled_arms():
    """Arms of the metrics table: what is scored, where anything is, then the translations."""
    return where_scored(scored_arms()) + TRANSLATED


def doubted_plates():
    """Plates of which a table says which wells not to trust."""
    return [plate for plate in STUDY.plates if network_arms(plate)]


def front_plate():
    """The plate that the report's first page pictures, a tested one where there is any, in a list; none that is painted: none."""
    return [*(plate for plate in tested_plates() if STUDY.arms_of(plate)), *pictured_plates()][:1]


def codec_rows():
    """Arms of the table of codecs: each codec's, and below it the tested arms whose model stands on that codec."""
    rows = []
    for arm in coded_arms():
        codec = STUDY.model_of(arm)
        rows.append((arm, codec, False))
        rows += [
            (other, codec, True)
            for other in subjects.tested_arms(STUDY)
            if STUDY.model_of(other)["codec"] == codec["name"]
        ]
    return rows


def codec_arms_described():
    """JSON: the arms of the table of codecs, and what each codec is; of given weights the config does not know it."""
    described, side = [], CONFIG["prepare"]["size_px"]
    for arm, codec, below in codec_rows():
        entry = {"arm": arm, "below": below}
        if not (below or codec["weights"]):
            spec = codecs.spec_of(codec)
            size = side // spec.stride_px
            share = spec.latents / spec.stride_px**2 / len(CONFIG["channels"]["target"])
            entry |= {
                "preset": codec["preset"],
                "latents": f"{spec.latents} x {size} x {size}",
                "share": f"{share:.1%}",
            }
            entry |= {"kl_weight": f"{codec['kl_weight']:g}", "adversarial": f"{codec['adversarial']:g}"}
        described.append(entry)
    return as_json(described)


def codec_metrics():
    """Metrics of the real plates and of the arms of the table of codecs, each once."""
    arms = list(dict.fromkeys(arm for arm, _, _ in codec_rows()))
    return expand("<results>/metrics/{arm}.parquet", arm=["real", *arms] if arms else [])


def codec_seconds():
    """What painting took, of these arms."""
    arms = dict.fromkeys(arm for arm, _, _ in codec_rows())
    return [f"<results>/images/{arm}/{plate}.seconds.tsv" for arm in arms for plate in STUDY.test_plates(arm)]


def front_settings():
    """JSON: what changes the report's first page."""
    (plate,) = front_plate() or [""]
    kinds = {arm: STUDY.kind_of(arm).role for arm in STUDY.arms if STUDY.test_plates(arm)}
    chosen = {"channels": CONFIG["channels"], "plate": plate, "kinds": kinds, "leaking": leaking_arms()}
    pictured = {"pixel_size_um": STUDY.pixel_size_um(plate), "arms": STUDY.arms_of(plate)} if plate else {}
    translations = {"translations": TRANSLATED} if TRANSLATED else {}
    return as_json({**chosen, **pictured, **translations, "simulated": simulated()})


def front_pages():
    """JSON: the pages to which the report's first one leads, [words, [[name, path], ...]]; of many plates the first few."""
    few = slice(0, 3)
    pages = {
        "numbers": [["every arm", "tables/metrics.html"]] if tabled_arms() else [],
        "translations": [
            [arm, f"tables/translations/{space}/{arm}.html"] for arm in TRANSLATED for space in translation_spaces(arm)
        ][few],
        "montages": [[plate, f"figures/montage/{plate}.jpg"] for plate in pictured_plates()[few]],
        "wells not to trust": [[plate, f"tables/wells/{plate}.html"] for plate in doubted_plates()[few]],
        "images": [["quality", "tables/quality.html"], ["missing", "tables/missing.html"]],
    }
    folder = CONFIG["pathvars"]["results"]
    return as_json([[words, [[name, f"{folder}/{path}"] for name, path in own]] for words, own in pages.items() if own])
