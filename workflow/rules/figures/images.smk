# The figures of the report that show images.


rule montage:
    """Show brightfield, real stains and every arm's predicted stains of some fields."""
    input:
        real="<results>/images/real/{plate}.tif",
        fields="<results>/fields/{plate}.parquet",
        predicted=montage_stacks,
    output:
        report(
            "<results>/figures/montage/{plate}.jpg",
            category="Images",
            subcategory="Montages",
            caption="../../report/montage.rst",
            labels={"figure": "montage", "plate": "{plate}"},
        ),
    log:
        "<logs>/montage/{plate}.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=plate_pictures,
        arms=lambda wildcards: STUDY.arms_of(wildcards.plate),
    shell:
        "python -m brightpaint.report.figures.montage --settings {params.settings:q} --real {input.real:q}"
        " --fields {input.fields:q} --predicted {input.predicted:q} --arms {params.arms:q}"
        " --figure {output:q} 2> {log:q}"


show("figures", lambda: expand("<results>/figures/montage/{plate}.jpg", plate=pictured_plates()))


rule closeup:
    """Show a small part of some fields at full size: brightfield, stains and their composite, real and of every arm."""
    input:
        real="<results>/images/real/{plate}.tif",
        fields="<results>/fields/{plate}.parquet",
        predicted=montage_stacks,
    output:
        report(
            "<results>/figures/closeup/{plate}.jpg",
            category="Images",
            subcategory="Close-ups",
            caption="../../report/closeup.rst",
            labels={"figure": "close-up", "plate": "{plate}"},
        ),
    log:
        "<logs>/closeup/{plate}.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=plate_pictures,
        arms=lambda wildcards: STUDY.arms_of(wildcards.plate),
    shell:
        "python -m brightpaint.report.figures.closeup --settings {params.settings:q} --real {input.real:q}"
        " --fields {input.fields:q} --predicted {input.predicted:q} --arms {params.arms:q}"
        " --figure {output:q} 2> {log:q}"


show("figures", lambda: expand("<results>/figures/closeup/{plate}.jpg", plate=pictured_plates()))


rule outlines:
    """Draw the outlines of nuclei and cells over real and painted stains."""
    input:
        real="<results>/images/real/{plate}.tif",
        fields="<results>/fields/{plate}.parquet",
        real_masks="<results>/masks/real/{plate}.tif",
        predicted=lambda wildcards: expand(
            "<results>/images/{arm}/{plate}.tif", arm=measured_arms(wildcards.plate), plate=wildcards.plate
        ),
        masks=lambda wildcards: expand(
            "<results>/masks/{arm}/{plate}.tif", arm=measured_arms(wildcards.plate), plate=wildcards.plate
        ),
    output:
        report(
            "<results>/figures/outlines/{plate}.jpg",
            category="Images",
            subcategory="Outlines",
            caption="../../report/outlines.rst",
            labels={"figure": "outlines", "plate": "{plate}"},
        ),
    log:
        "<logs>/outlines/{plate}.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=outline_pictures,
        arms=lambda wildcards: measured_arms(wildcards.plate),
    shell:
        "python -m brightpaint.report.figures.outlines --settings {params.settings:q} --real {input.real:q}"
        " --fields {input.fields:q} --real-masks {input.real_masks:q} --arms {params.arms:q}"
        " --predicted {input.predicted:q} --masks {input.masks:q} --figure {output:q} 2> {log:q}"


show(
    "figures",
    lambda: where_scored(
        expand(
            "<results>/figures/outlines/{plate}.jpg", plate=[plate for plate in tested_plates() if measured_arms(plate)]
        )
    ),
)


rule attention:
    """Show where DINO looks in brightfield, in the real stains and in every arm's."""
    input:
        real="<results>/images/real/{plate}.tif",
        fields="<results>/fields/{plate}.parquet",
        predicted=montage_stacks,
        weights=local_weights("embed"),
    output:
        report(
            "<results>/figures/attention/{plate}.jpg",
            category="Images",
            subcategory="Attention maps",
            caption="../../report/attention.rst",
            labels={"figure": "attention maps", "plate": "{plate}"},
        ),
    log:
        "<logs>/attention/{plate}.log",
    conda:
        "../../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=1,
        mem_mb=by_attempt(8000),
    params:
        settings=as_json({**seen_settings("embed"), **CONFIG["figures"]}),
        arms=lambda wildcards: STUDY.arms_of(wildcards.plate),
    shell:
        "python -m brightpaint.report.figures.attention --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        " --threads {threads} --real {input.real:q} --fields {input.fields:q} --predicted {input.predicted:q}"
        " --arms {params.arms:q} --figure {output:q} 2> {log:q}"


show(
    "figures",
    lambda: where_scored(
        expand("<results>/figures/attention/{plate}.jpg", plate=tested_plates() if STUDY.seen_arms("embed") else [])
    ),
)


rule worst:
    """Show the fields that an arm paints worst."""
    input:
        scores="<results>/metrics/{arm}.fields.parquet",
        real=lambda wildcards: expand("<results>/images/real/{plate}.tif", plate=STUDY.test_plates(wildcards.arm)),
        fields=lambda wildcards: expand("<results>/fields/{plate}.parquet", plate=STUDY.test_plates(wildcards.arm)),
        predicted=stacks_to_score,
    output:
        report(
            "<results>/figures/worst/{arm}.jpg",
            category="Worst fields",
            subcategory="Worst fields",
            caption="../../report/worst.rst",
            labels={"figure": "worst fields", "arm": "{arm}"},
        ),
    log:
        "<logs>/worst/{arm}.log",
    wildcard_constraints:
        arm=either(STUDY.arms),
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=arm_pictures,
        plates=lambda wildcards: STUDY.test_plates(wildcards.arm),
    shell:
        "python -m brightpaint.report.figures.worst --settings {params.settings:q} --arm {wildcards.arm}"
        " --scores {input.scores:q} --plates {params.plates:q} --real {input.real:q} --fields {input.fields:q}"
        " --predicted {input.predicted:q} --figure {output:q} 2> {log:q}"


show("figures", lambda: where_scored(expand("<results>/figures/worst/{arm}.jpg", arm=failing_arms())))


rule noise:
    """Show the noisiest backgrounds that an arm paints."""
    input:
        scores="<results>/metrics/{arm}.fields.parquet",
        real=lambda wildcards: expand("<results>/images/real/{plate}.tif", plate=STUDY.test_plates(wildcards.arm)),
        fields=lambda wildcards: expand("<results>/fields/{plate}.parquet", plate=STUDY.test_plates(wildcards.arm)),
        predicted=stacks_to_score,
    output:
        report(
            "<results>/figures/noise/{arm}.jpg",
            category="Worst fields",
            subcategory="Noisiest backgrounds",
            caption="../../report/noise.rst",
            labels={"figure": "noisiest backgrounds", "arm": "{arm}"},
        ),
    log:
        "<logs>/noise/{arm}.log",
    wildcard_constraints:
        arm=either(STUDY.arms),
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=arm_pictures,
        plates=lambda wildcards: STUDY.test_plates(wildcards.arm),
    shell:
        "python -m brightpaint.report.figures.noise --settings {params.settings:q} --arm {wildcards.arm}"
        " --scores {input.scores:q} --plates {params.plates:q} --real {input.real:q} --fields {input.fields:q}"
        " --predicted {input.predicted:q} --figure {output:q} 2> {log:q}"


show("figures", lambda: where_scored(expand("<results>/figures/noise/{arm}.jpg", arm=failing_arms())))


rule uncertainty_figure:
    """Show whether an arm's uncertainty foretells its errors, and its surest and least sure field."""
    input:
        scores="<results>/metrics/{arm}.fields.parquet",
        real=lambda wildcards: expand("<results>/images/real/{plate}.tif", plate=STUDY.test_plates(wildcards.arm)),
        fields=lambda wildcards: expand("<results>/fields/{plate}.parquet", plate=STUDY.test_plates(wildcards.arm)),
        predicted=stacks_to_score,
        uncertainty=uncertainty_to_score,
    output:
        curve=report(
            "<results>/figures/uncertainty/{arm}.png",
            category="Uncertainty",
            subcategory="Risk and coverage",
            caption="../../report/uncertainty_figure.rst",
            labels={"figure": "risk and coverage", "arm": "{arm}"},
        ),
        montage=report(
            "<results>/figures/uncertainty/{arm}.jpg",
            category="Uncertainty",
            subcategory="Surest and least sure field",
            caption="../../report/uncertainty_fields.rst",
            labels={"figure": "surest and least sure field", "arm": "{arm}"},
        ),
    log:
        "<logs>/uncertainty_figure/{arm}.log",
    wildcard_constraints:
        arm=either(STUDY.arms),
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=arm_pictures,
        plates=lambda wildcards: STUDY.test_plates(wildcards.arm),
    shell:
        "python -m brightpaint.report.figures.uncertainty_figure --settings {params.settings:q} --arm {wildcards.arm}"
        " --scores {input.scores:q} --plates {params.plates:q} --real {input.real:q} --fields {input.fields:q}"
        " --predicted {input.predicted:q} --uncertainty {input.uncertainty:q}"
        " --curve {output.curve:q} --montage {output.montage:q} 2> {log:q}"


show("figures", lambda: expand("<results>/figures/uncertainty/{arm}.png", arm=sampling_arms()))


rule translation_strip:
    """Draw single cells as every class of a translation, and real cells of these classes."""
    input:
        real="<results>/images/real/{plate}.tif",
        fields="<results>/fields/{plate}.parquet",
        translated="<results>/images/{arm}/{plate}.tif",
        rows="<results>/images/{arm}/{plate}.parquet",
        masks=where_measured(lambda wildcards: [f"<results>/masks/real/{wildcards.plate}.tif"]),
    output:
        report(
            "<results>/figures/translation_strip/{arm}/{plate}.png",
            category="Translations",
            subcategory="{arm}",
            caption="../../report/translation_strip.rst",
            labels={"figure": "cells", "plate": "{plate}"},
        ),
    log:
        "<logs>/translation_strip/{arm}/{plate}.log",
    wildcard_constraints:
        arm=either(TRANSLATED),
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=strip_settings,
    shell:
        "python -m brightpaint.report.figures.translation_strip --settings {params.settings:q} --real {input.real:q}"
        " --fields {input.fields:q} --translated {input.translated:q} --rows {input.rows:q} --masks {input.masks:q}"
        " --figure {output:q} 2> {log:q}"


show("figures", translation_strips)
