# What translated images are worth, and what changes in them: scores of their own, beside their references.


keep("scores", kept_translation_scores)


rule score_translation:
    """Score the images of a translation: pixels, nuclei, and the area that each stain covers."""
    input:
        real=scored_files("<results>/images/real/{plate}.tif"),
        fields=scored_files("<results>/fields/{plate}.parquet"),
        translated=scored_files("<results>/images/{arm}/{plate}.tif"),
        rows=scored_files("<results>/images/{arm}/{plate}.parquet"),
        fresh=companion_files("<results>/images/{arm}/{plate}.tif"),
        fresh_rows=companion_files("<results>/images/{arm}/{plate}.parquet"),
        masks=where_measured(scored_files("<results>/masks/{arm}/{plate}.tif")),
        fresh_masks=where_measured(companion_files("<results>/masks/{arm}/{plate}.tif")),
        real_masks=where_measured(scored_files("<results>/masks/real/{plate}.tif")),
        medians=where_measured(scored_files(MAIN.table)),
        fresh_medians=where_measured(companion_files(MAIN.table)),
        real_medians=where_measured(scored_files(MAIN.table, "real")),
    output:
        table="<results>/scores/translation/{arm}.parquet",
        others=expand("<results>/scores/translation/{{arm}}.{table}.parquet", table=TRANSLATION_TABLES),
    log:
        "<logs>/score_translation/{arm}.log",
    wildcard_constraints:
        arm=either(TRANSLATED),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=translation_settings,
        plates=scored_plates,
    shell:
        "python -m brightpaint.scores.translation.score_translation --settings {params.settings:q} --arm {wildcards.arm}"
        " --plates {params.plates:q} --real {input.real:q} --fields {input.fields:q} --translated {input.translated:q}"
        " --fresh {input.fresh:q} --masks {input.masks:q} --fresh-masks {input.fresh_masks:q}"
        " --real-masks {input.real_masks:q} --medians {input.medians:q} --fresh-medians {input.fresh_medians:q}"
        " --real-medians {input.real_medians:q} --table {output.table:q} 2> {log:q}"


rule score_shifts:
    """Score how far a translation shifts the numbers of a space, and whether real cells do so."""
    input:
        translated=lambda wildcards: SPACES[wildcards.space].tables(wildcards.arm, scored_plates(wildcards)),
        fresh=companion_tables,
        real=lambda wildcards: SPACES[wildcards.space].tables("real", compared_plates(wildcards.arm)),
        selection=lambda wildcards: selection_of(SPACES[wildcards.space]) if CONFIG["perturbations"] else [],
        truth=translation_truth,
        held=shifted_held,
    output:
        table="<results>/scores/shifts/{space}/{arm}.parquet",
        others=expand("<results>/scores/shifts/{{space}}/{{arm}}.{table}.parquet", table=SHIFT_TABLES),
    log:
        "<logs>/score_shifts/{space}/{arm}.log",
    wildcard_constraints:
        arm=either(TRANSLATED),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=shift_settings,
        plates=scored_plates,
    shell:
        "python -m brightpaint.scores.translation.score_shifts --settings {params.settings:q} --space {wildcards.space}"
        " --arm {wildcards.arm} --plates {params.plates:q} --translated {input.translated:q} --fresh {input.fresh:q}"
        " --real {input.real:q} --selection {input.selection:q} --truth {input.truth:q} --table {output.table:q} 2> {log:q}"


rule score_class_frechet:
    """Score how near a translation's images come to their target class: FID and KID, beside every reference."""
    input:
        translated=scored_files("<results>/inception/{arm}/{plate}.parquet"),
        fresh=companion_files("<results>/inception/{arm}/{plate}.parquet"),
        real=lambda wildcards: expand("<results>/inception/real/{plate}.parquet", plate=compared_plates(wildcards.arm)),
        truth=translation_truth,
    output:
        table="<results>/scores/class_frechet/{arm}.parquet",
        classes="<results>/scores/class_frechet/{arm}.classes.parquet",
    log:
        "<logs>/score_class_frechet/{arm}.log",
    wildcard_constraints:
        arm=either(TRANSLATED),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=shift_settings,
        plates=scored_plates,
    shell:
        "python -m brightpaint.scores.translation.score_class_frechet --settings {params.settings:q} --arm {wildcards.arm}"
        " --plates {params.plates:q} --translated {input.translated:q} --fresh {input.fresh:q} --real {input.real:q}"
        " --truth {input.truth:q} --table {output.table:q} 2> {log:q}"
