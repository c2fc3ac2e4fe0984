# What the predicted images are worth.


rule score:
    """Score an arm against the real images and profiles of its test plates."""
    input:
        real=lambda wildcards: expand("<results>/images/real/{plate}.tif", plate=scored_plates(wildcards)),
        predicted=stacks_to_score,
        fields=lambda wildcards: expand("<results>/fields/{plate}.parquet", plate=scored_plates(wildcards)),
        profiles=profiles_to_score,
        embedded=embedded_to_score,
        embeddings=embeddings_to_score,
        real_embeddings=real_embeddings_to_score,
        inception=inception_to_score(),
        real_inception=inception_to_score("real"),
        brightfield_inception=inception_to_score("brightfield"),
        medians=medians_to_score(),
        real_medians=medians_to_score("real"),
        selection=selection_to_score,
        replicates=replicates_to_score,
        uncertainty=uncertainty_to_score,
        masks=masks_to_score(),
        real_masks=masks_to_score("real"),
        active=active_table,
        truth=truth_to_score,
        wells=wells_to_score,
    output:
        metrics="<results>/metrics/{arm}.parquet",
        by_field="<results>/metrics/{arm}.fields.parquet",
    log:
        "<logs>/score/{arm}.log",
    wildcard_constraints:
        arm="|".join(["real", "brightfield", "lookup"] + STUDY.arms),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: settings("score"),
        plates=lambda wildcards: scored_plates(wildcards),
    shell:
        "python -m brightpaint.scores.score --settings {params.settings:q} --arm {wildcards.arm}"
        " --plates {params.plates:q} --real {input.real:q} --predicted {input.predicted:q}"
        " --fields {input.fields:q} --profiles {input.profiles:q} --active {input.active:q}"
        " --embedded {input.embedded:q} --embeddings {input.embeddings:q} --real-embeddings {input.real_embeddings:q}"
        " --inception {input.inception:q} --real-inception {input.real_inception:q}"
        " --brightfield-inception {input.brightfield_inception:q}"
        " --medians {input.medians:q} --real-medians {input.real_medians:q}"
        " --selection {input.selection:q} --replicates {input.replicates:q} --uncertainty {input.uncertainty:q}"
        " --masks {input.masks:q} --real-masks {input.real_masks:q}"
        " --truth {input.truth:q} --wells {input.wells:q}"
        " --metrics {output.metrics:q} --by-field {output.by_field:q} 2> {log:q}"


rule sweep:
    """Compare samplers and step counts on the same weights and fields."""
    input:
        real="<results>/images/real/{plate}.tif",
        fields="<results>/sweep/fields/{plate}.parquet",
        predicted=expand("<results>/images/{point}/{{plate}}.tif", point=SWEPT),
        seconds=expand("<results>/images/{point}/{{plate}}.seconds.tsv", point=SWEPT),
        medians=sweep_medians,
        real_medians=sweep_real_medians,
        selection=sweep_selection,
    output:
        "<results>/sweep/{plate}.parquet",
    log:
        "<logs>/sweep/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: settings("sweep"),
    shell:
        "python -m brightpaint.scores.images.sweep --settings {params.settings:q} --real {input.real:q}"
        " --fields {input.fields:q} --predicted {input.predicted:q} --seconds {input.seconds:q}"
        " --medians {input.medians:q} --real-medians {input.real_medians:q} --selection {input.selection:q}"
        " --metrics {output:q} 2> {log:q}"
