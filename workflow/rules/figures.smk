# The figures of the report.


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
            caption="../report/montage.rst",
            labels={"figure": "montage", "plate": "{plate}"},
        ),
    log:
        "<logs>/montage/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: settings("montage", wildcards.plate),
        arms=lambda wildcards: STUDY.arms_of(wildcards.plate),
    shell:
        "python -m brightpaint.report.figures.figures montage --settings {params.settings:q} --real {input.real:q}"
        " --fields {input.fields:q} --predicted {input.predicted:q} --arms {params.arms:q}"
        " --figure {output:q} 2> {log:q}"


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
            caption="../report/outlines.rst",
            labels={"figure": "outlines", "plate": "{plate}"},
        ),
    log:
        "<logs>/outlines/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: settings("montage", wildcards.plate),
        arms=lambda wildcards: measured_arms(wildcards.plate),
    shell:
        "python -m brightpaint.report.figures.outlines --settings {params.settings:q} --real {input.real:q}"
        " --fields {input.fields:q} --real-masks {input.real_masks:q} --arms {params.arms:q}"
        " --predicted {input.predicted:q} --masks {input.masks:q} --figure {output:q} 2> {log:q}"


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
            caption="../report/closeup.rst",
            labels={"figure": "close-up", "plate": "{plate}"},
        ),
    log:
        "<logs>/closeup/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: settings("montage", wildcards.plate),
        arms=lambda wildcards: STUDY.arms_of(wildcards.plate),
    shell:
        "python -m brightpaint.report.figures.figures closeup --settings {params.settings:q} --real {input.real:q}"
        " --fields {input.fields:q} --predicted {input.predicted:q} --arms {params.arms:q}"
        " --figure {output:q} 2> {log:q}"


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
            caption="../report/attention.rst",
            labels={"figure": "attention maps", "plate": "{plate}"},
        ),
    log:
        "<logs>/attention/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=1,
        mem_mb=by_attempt(8000),
    params:
        settings=settings("attention"),
        arms=lambda wildcards: STUDY.arms_of(wildcards.plate),
    shell:
        "python -m brightpaint.report.figures.attention --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        " --threads {threads} --real {input.real:q} --fields {input.fields:q} --predicted {input.predicted:q}"
        " --arms {params.arms:q} --figure {output:q} 2> {log:q}"


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
            caption="../report/worst.rst",
            labels={"figure": "worst fields", "arm": "{arm}"},
        ),
    log:
        "<logs>/worst/{arm}.log",
    wildcard_constraints:
        arm="|".join(STUDY.arms),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: settings("worst", wildcards.arm),
        plates=lambda wildcards: STUDY.test_plates(wildcards.arm),
        gallery="worst",
    shell:
        "python -m brightpaint.report.figures.figures {params.gallery:q} --settings {params.settings:q} --arm {wildcards.arm}"
        " --scores {input.scores:q} --plates {params.plates:q} --real {input.real:q} --fields {input.fields:q}"
        " --predicted {input.predicted:q} --figure {output:q} 2> {log:q}"


use rule worst as noise with:
    output:
        report(
            "<results>/figures/noise/{arm}.jpg",
            category="Worst fields",
            caption="../report/noise.rst",
            labels={"figure": "noisiest backgrounds", "arm": "{arm}"},
        ),
    log:
        "<logs>/noise/{arm}.log",
    params:
        settings=lambda wildcards: settings("worst", wildcards.arm),
        plates=lambda wildcards: STUDY.test_plates(wildcards.arm),
        gallery="noise",


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
            caption="../report/uncertainty.rst",
            labels={"figure": "risk and coverage", "arm": "{arm}"},
        ),
        montage=report(
            "<results>/figures/uncertainty/{arm}.jpg",
            category="Uncertainty",
            caption="../report/uncertainty_fields.rst",
            labels={"figure": "surest and least sure field", "arm": "{arm}"},
        ),
    log:
        "<logs>/uncertainty_figure/{arm}.log",
    wildcard_constraints:
        arm="|".join(STUDY.arms),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: settings("worst", wildcards.arm),
        plates=lambda wildcards: STUDY.test_plates(wildcards.arm),
    shell:
        "python -m brightpaint.report.figures.uncertainty_figure --settings {params.settings:q} --arm {wildcards.arm}"
        " --scores {input.scores:q} --plates {params.plates:q} --real {input.real:q} --fields {input.fields:q}"
        " --predicted {input.predicted:q} --uncertainty {input.uncertainty:q}"
        " --curve {output.curve:q} --montage {output.montage:q} 2> {log:q}"


rule sweep_figure:
    """Draw what samplers and step counts give, and lay it out as a table."""
    input:
        "<results>/sweep/{plate}.parquet",
    output:
        figure=report(
            "<results>/figures/sweep/{plate}.png",
            category="Samplers and steps",
            caption="../report/sweep.rst",
            labels={"figure": "against evaluations", "plate": "{plate}"},
        ),
        html=report(
            "<results>/tables/sweep/{plate}.html",
            category="Samplers and steps",
            caption="../report/sweep.rst",
            labels={"figure": "table", "plate": "{plate}"},
        ),
        tsv="<results>/tables/sweep/{plate}.tsv",
    log:
        "<logs>/sweep_figure/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=settings("figures"),
    shell:
        "python -m brightpaint.report.figures.sweep_figure --settings {params.settings:q} --metrics {input:q}"
        " --figure {output.figure:q} --html {output.html:q} --tsv {output.tsv:q} 2> {log:q}"


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
            caption="../report/plate.rst",
            labels={"figure": "wells", "plate": "{plate}"},
        ),
    log:
        "<logs>/plate_page/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=settings("figures"),
        arms=lambda wildcards: arms_testing(wildcards.plate),
    shell:
        "python -m brightpaint.report.figures.figures plate --settings {params.settings:q} --plate {wildcards.plate}"
        " --fields {input.fields:q} --arms {params.arms:q} --scores {input.scores:q} --medians {input.medians:q}"
        " --figure {output:q} 2> {log:q}"


rule feature_figure:
    """Draw CPcor by feature group and channel of every measured arm."""
    input:
        real="<results>/profiles/real/cellprofiler/perturbations.parquet",
        profiles=lambda wildcards: expand(
            "<results>/profiles/{arm}/cellprofiler/perturbations.parquet", arm=feature_arms(wildcards.subset)
        ),
        active="<results>/active/perturbations.tsv",
    output:
        report(
            "<results>/figures/features/{subset}.png",
            category="Metrics",
            caption="../report/features.rst",
            labels={"table": "feature groups: {subset}"},
        ),
    log:
        "<logs>/feature_figure/{subset}.log",
    wildcard_constraints:
        subset="full|active",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=settings("feature_figure"),
        arms=lambda wildcards: feature_arms(wildcards.subset),
    shell:
        "python -m brightpaint.report.figures.figures features --settings {params.settings:q} --subset {wildcards.subset}"
        " --real {input.real:q} --arms {params.arms:q} --profiles {input.profiles:q} --active {input.active:q}"
        " --figure {output:q} 2> {log:q}"


rule overlap_figure:
    """Count the matched targets that arms share with one another and with the real plates."""
    input:
        real="<results>/profiles/real/cellprofiler/perturbations.parquet",
        profiles=lambda wildcards: expand(
            "<results>/profiles/{arm}/cellprofiler/perturbations.parquet", arm=feature_arms(wildcards.subset)
        ),
        embedded=lambda wildcards: expand(
            "<results>/profiles/{arm}/dino/perturbations.parquet", arm=embedded_arms(wildcards.subset)
        ),
        active="<results>/active/perturbations.tsv",
    output:
        figure=report(
            "<results>/figures/overlap/{subset}.png",
            category="Metrics",
            caption="../report/overlap.rst",
            labels={"table": "shared target matches: {subset}"},
        ),
        table="<results>/tables/overlap_{subset}.tsv",
    log:
        "<logs>/overlap_figure/{subset}.log",
    wildcard_constraints:
        subset="full|active",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=settings("figures"),
        arms=lambda wildcards: feature_arms(wildcards.subset),
        embedded=lambda wildcards: embedded_arms(wildcards.subset),
    shell:
        "python -m brightpaint.report.figures.figures overlap --settings {params.settings:q} --subset {wildcards.subset}"
        " --real {input.real:q} --arms {params.arms:q} --profiles {input.profiles:q} --active {input.active:q}"
        " --embedded-arms {params.embedded:q} --embedded {input.embedded:q}"
        " --figure {output.figure:q} --table {output.table:q} 2> {log:q}"


rule tsne:
    """Lay real and painted wells out in two dimensions, and say how well they can be told apart."""
    input:
        real="<results>/profiles/real/{space}/wells.parquet",
        profiles=lambda wildcards: expand(
            "<results>/profiles/{arm}/{space}/wells.parquet", arm=tsne_arms(wildcards.space), space=wildcards.space
        ),
    output:
        report(
            "<results>/figures/tsne/{space}.png",
            category="Metrics",
            caption="../report/tsne.rst",
            labels={"table": "t-SNE: {space}"},
        ),
    log:
        "<logs>/tsne/{space}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=settings("tsne"),
        arms=lambda wildcards: tsne_arms(wildcards.space),
    shell:
        "python -m brightpaint.report.figures.tsne --settings {params.settings:q} --real {input.real:q}"
        " --arms {params.arms:q} --profiles {input.profiles:q} --figure {output:q} 2> {log:q}"


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
            caption="../report/active.rst",
            labels={"figure": "active subset"},
        ),
    log:
        "<logs>/active_figure.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=settings("figures"),
    shell:
        "python -m brightpaint.report.figures.figures active --settings {params.settings:q} --active {input.active:q}"
        " --wells {input.wells:q} --agreement {input.agreement:q} --figure {output:q} 2> {log:q}"


rule quality_figure:
    """Lay a plate's image quality out as the plate is, with what was flagged."""
    input:
        measures="<results>/quality/{plate}.parquet",
        flags="<results>/flags/{plate}.tsv",
    output:
        report(
            "<results>/figures/quality/{plate}.png",
            category="Quality",
            caption="../report/quality.rst",
            labels={"figure": "plate layout", "plate": "{plate}"},
        ),
    log:
        "<logs>/quality_figure/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: settings("quality_figure", wildcards.plate),
    shell:
        "python -m brightpaint.report.figures.figures quality --settings {params.settings:q}"
        " --measures {input.measures:q} --flags {input.flags:q} --figure {output:q} 2> {log:q}"


rule loss:
    """Draw the training and validation loss of every network."""
    input:
        histories,
    output:
        report(
            "<results>/figures/loss.png",
            category="Training",
            caption="../report/loss.rst",
            labels={"figure": "training loss"},
        ),
    log:
        "<logs>/loss.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=settings("figures"),
    shell:
        "python -m brightpaint.report.figures.figures loss --settings {params.settings:q} --histories {input:q}"
        " --figure {output:q} 2> {log:q}"
