# What folds hold out of training, and which fields are painted of each treatment from conditions alone.


rule hold_out:
    """Write down which treatments a fold holds out of training: perturbations, scaffolds, doses, combinations, or a table's."""
    input:
        split=given_split,
        training=training_tables,
        tested=lambda wildcards: expand(
            "<results>/fields/{plate}.parquet", plate=STUDY.entry("folds", wildcards.fold)["test"]
        ),
    output:
        "<results>/held_out/{fold}.tsv",
    log:
        "<logs>/hold_out/{fold}.log",
    conda:
        split_environment
    params:
        settings=lambda wildcards: as_json({"held_out": STUDY.entry("folds", wildcards.fold)["held_out"]}),
    shell:
        "python -m brightpaint.models.hold_out --settings {params.settings:q} --training {input.training:q}"
        " --tested {input.tested:q} --table {output:q} 2> {log:q}"


rule generated_rows:
    """List the fields that an arm paints of each treatment of a plate from conditions alone."""
    input:
        fields="<results>/fields/{plate}.parquet",
        held_out=lambda wildcards: f"<results>/held_out/{STUDY.fold_of(wildcards.arm, wildcards.plate)}.tsv",
    output:
        "<results>/generated/{arm}/{plate}.parquet",
    log:
        "<logs>/generated_rows/{arm}/{plate}.log",
    wildcard_constraints:
        arm=either(STUDY.generations),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: as_json(STUDY.entry("arms", wildcards.arm)["generate"]),
    shell:
        "python -m brightpaint.models.paint.generated_rows --settings {params.settings:q} --arm {wildcards.arm}"
        " --fields {input.fields:q} --held-out {input.held_out:q} --rows {output:q} 2> {log:q}"


keep("models", generated_files)
keep("features", generated_tables)
