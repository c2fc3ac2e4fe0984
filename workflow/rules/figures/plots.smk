# The figures of the report that are drawn from tables.


rule sweep_figure:
    """Draw what samplers and step counts give, and lay it out as a table."""
    input:
        "<results>/sweep/{plate}.parquet",
    output:
        figure=report(
            "<results>/figures/sweep/{plate}.png",
            category="Samplers and steps",
            caption="../../report/sweep_figure.rst",
            labels={"figure": "against evaluations", "plate": "{plate}"},
        ),
        html=report(
            "<results>/tables/sweep/{plate}.html",
            category="Samplers and steps",
            caption="../../report/sweep_figure.rst",
            labels={"figure": "table", "plate": "{plate}"},
        ),
        tsv="<results>/tables/sweep/{plate}.tsv",
    log:
        "<logs>/sweep_figure/{plate}.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json(CONFIG["figures"]),
    shell:
        "python -m brightpaint.report.figures.sweep_figure --settings {params.settings:q} --metrics {input:q}"
        " --figure {output.figure:q} --html {output.html:q} --tsv {output.tsv:q} 2> {log:q}"


show("figures", lambda: [f"<results>/figures/sweep/{STUDY.sweep_plate}.png"] if SWEPT else [])


rule plate_page:
    """Show a plate's wells as they lie: PCC and cells of every arm."""
    input:
        fields="<results>/fields/{plate}.parquet",
        scores=lambda wildcards: expand("<results>/metrics/{arm}.fields.parquet", arm=arms_testing(wildcards.plate)),
        medians=medians_of_plate,
    output:
        report(
            "<results>/figures/plates/{plate}.png",
            category="Plates",
            subcategory="Wells",
            caption="../../report/plate_page.rst",
            labels={"figure": "wells", "plate": "{plate}"},
        ),
    log:
        "<logs>/plate_page/{plate}.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json(CONFIG["figures"]),
        arms=lambda wildcards: arms_testing(wildcards.plate),
    shell:
        "python -m brightpaint.report.figures.plate_page --settings {params.settings:q} --plate {wildcards.plate}"
        " --fields {input.fields:q} --arms {params.arms:q} --scores {input.scores:q} --medians {input.medians:q}"
        " --figure {output:q} 2> {log:q}"


show("figures", lambda: where_scored(expand("<results>/figures/plates/{plate}.png", plate=tested_plates())))


rule feature_figure:
    """Draw CPcor by feature group and channel of every measured arm."""
    input:
        real=f"<results>/profiles/real/{MAIN.name}/perturbations.parquet",
        profiles=lambda wildcards: [
            f"<results>/profiles/{arm}/{MAIN.name}/perturbations.parquet" for arm in feature_arms(wildcards.subset)
        ],
        active="<results>/active/perturbations.tsv",
    output:
        report(
            "<results>/figures/features/{subset}.png",
            category="Metrics",
            subcategory="Feature groups",
            caption="../../report/feature_figure.rst",
            labels={"figure": "feature groups", "perturbations": "{subset}"},
        ),
    log:
        "<logs>/feature_figure/{subset}.log",
    wildcard_constraints:
        subset="full|active",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json({"channels": CONFIG["channels"], **pick("figures", "dpi")}),
        arms=lambda wildcards: feature_arms(wildcards.subset),
    shell:
        "python -m brightpaint.report.figures.feature_figure --settings {params.settings:q} --subset {wildcards.subset}"
        " --real {input.real:q} --arms {params.arms:q} --profiles {input.profiles:q} --active {input.active:q}"
        " --figure {output:q} 2> {log:q}"


show(
    "figures",
    lambda: where_scored(
        expand(
            "<results>/figures/features/{subset}.png",
            subset=[name for name in ("full", "active") if feature_arms(name)],
        )
    ),
)


rule active_figure:
    """Draw how the active perturbations were found."""
    input:
        active="<results>/active/perturbations.tsv",
        wells="<results>/active/wells.parquet",
        agreement="<results>/active/agreement.tsv",
    output:
        report(
            "<results>/figures/active.png",
            category="Active perturbations",
            caption="../../report/active_figure.rst",
            labels={"figure": "active subset"},
        ),
    log:
        "<logs>/active_figure.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json(CONFIG["figures"]),
    shell:
        "python -m brightpaint.report.figures.active_figure --settings {params.settings:q} --active {input.active:q}"
        " --wells {input.wells:q} --agreement {input.agreement:q} --figure {output:q} 2> {log:q}"


show("figures", lambda: where_profiled(["<results>/figures/active.png"] if finds_actives() else []))


rule quality_figure:
    """Lay a plate's image quality out as the plate is, with what was flagged."""
    input:
        measures="<results>/quality/{plate}.parquet",
        flags="<results>/flags/{plate}.tsv",
    output:
        report(
            "<results>/figures/quality/{plate}.png",
            category="Quality",
            subcategory="Plate layouts",
            caption="../../report/quality_figure.rst",
            labels={"figure": "plate layout", "plate": "{plate}"},
        ),
    log:
        "<logs>/quality_figure/{plate}.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=quality_pictures,
    shell:
        "python -m brightpaint.report.figures.quality_figure --settings {params.settings:q}"
        " --measures {input.measures:q} --flags {input.flags:q} --figure {output:q} 2> {log:q}"


show("figures", lambda: expand("<results>/figures/quality/{plate}.png", plate=STUDY.used_plates()))


rule loss:
    """Draw the training and validation loss of every network."""
    input:
        histories,
    output:
        report(
            "<results>/figures/loss.png",
            category="Training",
            caption="../../report/loss.rst",
            labels={"figure": "training loss"},
        ),
    log:
        "<logs>/loss.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json(CONFIG["figures"]),
    shell:
        "python -m brightpaint.report.figures.loss --settings {params.settings:q} --histories {input:q}"
        " --figure {output:q} 2> {log:q}"


show("figures", lambda: ["<results>/figures/loss.png"] if trained() else [])


rule translation_distance:
    """Draw how near a translation comes to its classes by dose, and against what it keeps of its source."""
    input:
        "<results>/scores/shifts/{space}/{arm}.classes.parquet",
    output:
        report(
            "<results>/figures/translation_distance/{space}/{arm}.png",
            category="Translations",
            subcategory="{arm}",
            caption="../../report/translation_distance.rst",
            labels={"figure": "distance to the class", "space": "{space}"},
        ),
    log:
        "<logs>/translation_distance/{space}/{arm}.log",
    wildcard_constraints:
        arm=either(TRANSLATED),
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json(pick("figures", "dpi")),
    shell:
        "python -m brightpaint.report.figures.translation_distance --settings {params.settings:q} --space {wildcards.space}"
        " --arm {wildcards.arm} --classes {input:q} --figure {output:q} 2> {log:q}"


show("figures", lambda: translation_plots("translation_distance"))


rule translation_doses:
    """Draw whether a translation follows the dose: correlations with their joint null, and curves of features."""
    input:
        correlations="<results>/scores/shifts/{space}/{arm}.correlations.parquet",
        metrics="<results>/scores/shifts/{space}/{arm}.parquet",
        wells="<results>/scores/shifts/{space}/{arm}.wells.parquet",
        changes="<results>/scores/shifts/{space}/{arm}.changes.parquet",
        classes="<results>/scores/shifts/{space}/{arm}.classes.parquet",
    output:
        report(
            "<results>/figures/translation_doses/{space}/{arm}.png",
            category="Translations",
            subcategory="{arm}",
            caption="../../report/translation_doses.rst",
            labels={"figure": "doses", "space": "{space}"},
        ),
    log:
        "<logs>/translation_doses/{space}/{arm}.log",
    wildcard_constraints:
        arm=either(TRANSLATED),
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json(pick("figures", "dpi")),
    shell:
        "python -m brightpaint.report.figures.translation_doses --settings {params.settings:q} --space {wildcards.space}"
        " --arm {wildcards.arm} --correlations {input.correlations:q} --metrics {input.metrics:q} --wells {input.wells:q}"
        " --changes {input.changes:q} --classes {input.classes:q} --figure {output:q} 2> {log:q}"


show("figures", lambda: translation_plots("translation_doses"))
