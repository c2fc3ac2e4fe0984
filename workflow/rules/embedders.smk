# Networks that turn images into numbers: one rule an embedder.


keep("features", kept_embeddings)


rule dino:
    """Embed every field of a plate by DINO ViT-S/8."""
    input:
        stack=seen_stack,
        rows=seen_rows,
        weights=local_weights("embed"),
    output:
        "<results>/embeddings/{arm}/{plate}.parquet",
    log:
        "<logs>/dino/{arm}/{plate}.log",
    benchmark:
        "<benchmarks>/dino/{arm}/{plate}.tsv"
    wildcard_constraints:
        arm="|".join(["real", "brightfield"] + STUDY.arm_names),
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=1,
        mem_mb=by_attempt(8000),
        runtime=by_attempt(720),
    params:
        settings=as_json(seen_settings("embed")),
    shell:
        "python -m brightpaint.features.embedders.dino --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        " --threads {threads} --arm {wildcards.arm} --stack {input.stack:q} --rows {input.rows:q}"
        " --table {output:q} 2> {log:q}"


rule inception:
    """Take the Inception features of every field and channel of a plate, for FID and KID."""
    input:
        stack=seen_stack,
        rows=seen_rows,
        weights=CONFIG["fid"]["weights"] or [],
    output:
        "<results>/inception/{arm}/{plate}.parquet",
    log:
        "<logs>/inception/{arm}/{plate}.log",
    benchmark:
        "<benchmarks>/inception/{arm}/{plate}.tsv"
    wildcard_constraints:
        arm="|".join(["real", "brightfield"] + STUDY.arm_names),
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=1,
        mem_mb=by_attempt(8000),
        runtime=by_attempt(720),
    params:
        settings=as_json(seen_settings("fid")),
    shell:
        "python -m brightpaint.features.embedders.inception --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        " --threads {threads} --weights {input.weights:q} --arm {wildcards.arm} --stack {input.stack:q}"
        " --rows {input.rows:q} --table {output:q} 2> {log:q}"
