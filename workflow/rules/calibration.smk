# Whether what arms paint is right as a distribution, by several samples of some fields (section calibration).


include: "functions/calibration.smk"


keep("scores", kept_calibration)


rule score_calibration:
    """Score an arm's samples as a distribution: beside each other, beside the real fields, beside regression and its noise."""
    input:
        real=scored_files("<results>/images/real/{plate}.tif"),
        fields=scored_files("<results>/fields/{plate}.parquet"),
        drawn=samples_to_score("<results>/images/{arm}/{plate}.tif"),
        rows=samples_to_score("<results>/images/{arm}/{plate}.parquet"),
        medians=where_calibrated_cells(samples_to_score(MAIN.table)),
        real_medians=where_calibrated_cells(real_medians_to_score),
        cells=where_calibrated_cells(samples_to_score("<results>/cells/{arm}/{plate}.parquet")),
        real_cells=where_calibrated_cells(scored_files("<results>/cells/real/{plate}.parquet", "real")),
        selection=where_calibrated_cells(lambda wildcards: selection_of(MAIN)),
        references=reference_fields,
        active=active_table,
    output:
        table="<results>/scores/calibration/{arm}.parquet",
        by_field="<results>/scores/calibration/{arm}.fields.parquet",
        by_feature="<results>/scores/calibration/{arm}.features.parquet",
    log:
        "<logs>/score_calibration/{arm}.log",
    benchmark:
        "<benchmarks>/score_calibration/{arm}.tsv"
    wildcard_constraints:
        arm=either(CALIBRATED),
    conda:
        "../../envs/brightpaint.yaml"
    resources:
        mem_mb=by_attempt(8000),
        runtime=by_attempt(120),
    params:
        settings=calibration_settings,
        plates=scored_plates,
    shell:
        "python -m brightpaint.scores.calibration.score_calibration --settings {params.settings:q} --arm {wildcards.arm}"
        " --plates {params.plates:q} --real {input.real:q} --fields {input.fields:q} --drawn {input.drawn:q}"
        " --medians {input.medians:q} --real-medians {input.real_medians:q} --cells {input.cells:q}"
        " --real-cells {input.real_cells:q} --selection {input.selection:q} --references {input.references:q}"
        " --active {input.active:q} --table {output.table:q} --by-field {output.by_field:q}"
        " --by-feature {output.by_feature:q} 2> {log:q}"
