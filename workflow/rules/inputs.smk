# Input functions of the models and features wings: each says which files it returns. No rules.


def real_medians(section):
    """Field medians of the real plates on which `section` is fitted."""
    return expand("<results>/medians/real/{plate}.parquet", plate=STUDY.fitted_on(section))


def medians_of(wildcards):
    """Field medians of every plate of an arm."""
    return expand(
        "<results>/medians/{arm}/{plate}.parquet", arm=wildcards.arm, plate=STUDY.profile_plates(wildcards.arm)
    )


def sphering_medians(wildcards):
    """Field medians of the real plates on whose DMSO wells sphering is fitted, where the recipe spheres."""
    return real_medians("select") if CONFIG["profile"]["recipe"] == "standard" else []


def seen_stack(wildcards):
    """Stack that a network of photographs looks at: brightfield lies in the real one."""
    arm = "real" if wildcards.arm == "brightfield" else wildcards.arm
    return f"<results>/images/{arm}/{wildcards.plate}.tif"


def seen_rows(wildcards):
    """Table that names the rows of that stack."""
    real = wildcards.arm in ("real", "brightfield")
    return "<results>/fields/{plate}.parquet" if real else "<results>/images/{arm}/{plate}.parquet"


def local_weights(section):
    """Files of the weights that `section` names by path; none where they come from the hub."""
    path = Path(CONFIG[section]["weights"] or "none")
    return [str(path / name) for name in ("config.json", "model.safetensors")] if path.is_dir() else []


def embeddings_of(wildcards):
    """Embeddings of every plate of an arm."""
    return expand(
        "<results>/embeddings/{arm}/{plate}.parquet", arm=wildcards.arm, plate=STUDY.seen_plates(wildcards.arm)
    )


def embedded_to_score(wildcards):
    """Real and predicted profiles in the space of the embedder, where it is on; brightfield has its own alone."""
    seen = STUDY.seen_arms("embed")
    if not (seen and CONFIG["perturbations"]) or wildcards.arm not in [*seen, "lookup"]:
        return []
    arms = ["brightfield"] if wildcards.arm == "brightfield" else dict.fromkeys(["real", wildcards.arm])
    return expand("<results>/profiles/{arm}/dino/perturbations.parquet", arm=arms)


def embeddings_to_score(wildcards):
    """Embeddings of a predicted arm on the plates on which it is scored; none where it is not embedded."""
    if wildcards.arm in NO_IMAGES or wildcards.arm not in STUDY.seen_arms("embed"):
        return []
    return expand("<results>/embeddings/{arm}/{plate}.parquet", arm=wildcards.arm, plate=scored_plates(wildcards))


def real_embeddings_to_score(wildcards):
    """Real embeddings of every embedded plate, where the arm's are scored: what its distances are taken from."""
    plates = STUDY.seen_plates("real") if embeddings_to_score(wildcards) else []
    return expand("<results>/embeddings/real/{plate}.parquet", plate=plates)


def inception_to_score(arm=None):
    """Input function: Inception features of `arm`, or the scored one, on its plates; none where FID is off."""

    def tables(wildcards):
        seen = [name for name in STUDY.seen_arms("fid") if name != "brightfield"]
        if wildcards.arm not in seen or (wildcards.arm == "real" and arm != "real"):
            return []
        plates = scored_plates(wildcards)
        return expand("<results>/inception/{arm}/{plate}.parquet", arm=arm or wildcards.arm, plate=plates)

    return tables
