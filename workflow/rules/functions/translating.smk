# How translations are painted: the settings of their jobs, and their files. No rules.


def translating_minutes(wildcards):
    """Time limit of one part of a translation."""
    count = len(sampling_parts(wildcards.arm))
    return limits.translating_minutes(STUDY, wildcards.arm, RATES, plate=wildcards.plate, parts=count)


def translating(wildcards):
    """JSON of how a translation walks up and down, or of what moving styles needs."""
    entry = STUDY.entry("arms", wildcards.arm)
    if STUDY.kind_of(wildcards.arm).styled:
        own = {
            "from_noise": entry["translate"]["from_noise"],
            "brightfield": False,
            "inputs": [],
            "seed": entry["seed"],
        }
        return as_json({**own, **cutoff_unless_default(), "batch": CONFIG["sample"]["batch"]})
    own = {key: entry["translate"][key] for key in ("inner", "tolerance", "from_noise", "brightfield")}
    skipped = ("eta", "guidance_scale", "subset")
    chosen = {key: value for key, value in sampling(wildcards.arm).items() if key not in skipped}
    return as_json({**chosen, **own, "walked": walked_share(entry)})


def sources(wildcards):
    """JSON of which fields a translation starts from, and which classes it shows."""
    chosen = STUDY.entry("arms", wildcards.arm)["translate"]
    return as_json({key: chosen[key] for key in ("source", "targets", "fields")})


def translated_files():
    """Rows of every translation, and what is known of the inversion of each part."""
    pairs = [(arm, plate) for arm in STUDY.translations for plate in STUDY.test_plates(arm)]
    rows = [f"<results>/sources/{arm}/{plate}.parquet" for arm, plate in pairs]
    return rows + [
        f"<results>/inversion/{arm}/{plate}/{part}.tsv" for arm, plate in pairs for part in sampling_parts(arm)
    ]
