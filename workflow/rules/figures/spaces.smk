# What the report shows of every space (brightpaint.study.spaces).


show("figures", space_figures)


rule overlap:
    """Count the matched targets that arms share with one another and with the real plates, in every space."""
    input:
        profiles=lambda wildcards: [
            f"<results>/profiles/{arm}/{space}/perturbations.parquet" for arm, space in compared(wildcards.subset)
        ],
        active=active_table,
    output:
        figure=report(
            "<results>/figures/overlap/{subset}.png",
            category="Metrics",
            subcategory="Shared matches",
            caption="../../report/overlap.rst",
            labels={"figure": "shared target matches", "perturbations": "{subset}"},
        ),
        table="<results>/tables/overlap_{subset}.tsv",
    log:
        "<logs>/overlap/{subset}.log",
    wildcard_constraints:
        subset="full|active",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json(CONFIG["figures"]),
        arms=lambda wildcards: [arm for arm, _ in compared(wildcards.subset)],
        spaces=lambda wildcards: [space for _, space in compared(wildcards.subset)],
    shell:
        "python -m brightpaint.report.figures.overlap --settings {params.settings:q} --subset {wildcards.subset}"
        " --arms {params.arms:q} --spaces {params.spaces:q} --profiles {input.profiles:q} --active {input.active:q}"
        " --figure {output.figure:q} --table {output.table:q} 2> {log:q}"


rule tsne:
    """Lay real and painted wells out in two dimensions, and say how well they can be told apart."""
    input:
        real="<results>/profiles/real/{space}/wells.parquet",
        profiles=lambda wildcards: expand(
            "<results>/profiles/{arm}/{space}/wells.parquet",
            arm=painted_arms(STUDY, SPACES[wildcards.space]),
            space=wildcards.space,
        ),
    output:
        report(
            "<results>/figures/tsne/{space}.png",
            category="Metrics",
            subcategory="t-SNE",
            caption="../../report/tsne.rst",
            labels={"figure": "t-SNE", "space": "{space}"},
        ),
    log:
        "<logs>/tsne/{space}.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json({"dpi": CONFIG["figures"]["dpi"]}),
        arms=lambda wildcards: painted_arms(STUDY, SPACES[wildcards.space]),
        title=lambda wildcards: SPACES[wildcards.space].title,
        note=lambda wildcards: SPACES[wildcards.space].note,
    shell:
        "python -m brightpaint.report.figures.tsne --settings {params.settings:q} --real {input.real:q}"
        " --arms {params.arms:q} --profiles {input.profiles:q} --figure {output:q} 2> {log:q}"


rule dose_figure:
    """Draw an arm's dose-response curves in a space, and say of which compounds there is none and why."""
    input:
        table="<results>/doses/{arm}/{space}.tsv",
        points="<results>/doses/{arm}/{space}.points.tsv",
    output:
        report(
            "<results>/figures/doses/{arm}/{space}.png",
            category="Doses",
            subcategory="{space}",
            caption="../../report/dose_figure.rst",
            labels={"figure": "dose-response curves", "arm": "{arm}"},
        ),
    log:
        "<logs>/dose_figure/{arm}/{space}.log",
    wildcard_constraints:
        arm="|".join(["real", "brightfield"] + STUDY.arms),
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json(pick("figures", "dpi")),
    shell:
        "python -m brightpaint.report.figures.dose_figure --settings {params.settings:q} --space {wildcards.space}"
        " --arm {wildcards.arm} --table {input.table:q} --points {input.points:q} --figure {output:q} 2> {log:q}"


show("figures", lambda: dose_files("<results>/figures/doses/{arm}/{space}.png"))


rule axis_figure:
    """Draw an arm's wells on the axis between two classes and off it, coloured by dose."""
    input:
        placed="<results>/axis/{axis}/{arm}/{space}.wells.tsv",
        accuracy="<results>/axis/{axis}/{arm}/{space}.accuracy.tsv",
    output:
        report(
            "<results>/figures/axis/{axis}/{arm}/{space}.png",
            category="Axes",
            subcategory="{axis}",
            caption="../../report/axis_figure.rst",
            labels={"figure": "wells on the axis", "arm": "{arm}", "space": "{space}"},
        ),
    log:
        "<logs>/axis_figure/{axis}/{arm}/{space}.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: axis_pictures(wildcards),
    shell:
        "python -m brightpaint.report.figures.axis_figure --settings {params.settings:q} --space {wildcards.space}"
        " --arm {wildcards.arm} --placed {input.placed:q} --accuracy {input.accuracy:q} --figure {output:q} 2> {log:q}"


show("figures", lambda: axis_files("axes", "<results>/figures/axis/{name}/{arm}/{space}.png"))


rule axis_dose_figure:
    """Draw an arm's dose-response curves along an axis, beside those along each compound's own direction."""
    input:
        table="<results>/axis/{axis}/{arm}/{space}.doses.tsv",
        means="<results>/axis/{axis}/{arm}/{space}.means.tsv",
        others=doses_beside,
    output:
        report(
            "<results>/figures/axis_doses/{axis}/{arm}/{space}.png",
            category="Axes",
            subcategory="{axis}",
            caption="../../report/axis_dose_figure.rst",
            labels={"figure": "dose-response curves", "arm": "{arm}", "space": "{space}"},
        ),
    log:
        "<logs>/axis_dose_figure/{axis}/{arm}/{space}.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json(pick("figures", "dpi")),
    shell:
        "python -m brightpaint.report.figures.axis_dose_figure --settings {params.settings:q} --axis {wildcards.axis}"
        " --space {wildcards.space} --arm {wildcards.arm} --table {input.table:q} --means {input.means:q}"
        " --others {input.others:q} --figure {output:q} 2> {log:q}"


show("figures", lambda: dosed_axes("<results>/figures/axis_doses/{name}/{arm}/{space}.png"))


rule zero_shot_figure:
    """Draw the confusion matrices of classes that were told apart zero-shot."""
    input:
        confusion="<results>/zero_shot/{axis}/{arm}/{space}.confusion.tsv",
        accuracy="<results>/zero_shot/{axis}/{arm}/{space}.accuracy.tsv",
    output:
        report(
            "<results>/figures/zero_shot/{axis}/{arm}/{space}.png",
            category="Axes",
            subcategory="{axis}",
            caption="../../report/zero_shot_figure.rst",
            labels={"figure": "confusion matrix", "arm": "{arm}", "space": "{space}"},
        ),
    log:
        "<logs>/zero_shot_figure/{axis}/{arm}/{space}.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json(pick("figures", "dpi")),
    shell:
        "python -m brightpaint.report.figures.zero_shot_figure --settings {params.settings:q} --name {wildcards.axis}"
        " --space {wildcards.space} --arm {wildcards.arm} --confusion {input.confusion:q} --accuracy {input.accuracy:q}"
        " --figure {output:q} 2> {log:q}"


show("figures", lambda: axis_files("zero_shot", "<results>/figures/zero_shot/{name}/{arm}/{space}.png"))


rule effect_figure:
    """Draw what a change of one condition moves, painted, real and shuffled."""
    input:
        "<results>/effects/{effect}/{space}.tsv",
    output:
        report(
            "<results>/figures/effects/{effect}/{space}.png",
            category="Conditions",
            subcategory="{effect}",
            caption="../../report/effect_figure.rst",
            labels={"figure": "effect matrix", "space": "{space}"},
        ),
    log:
        "<logs>/effect_figure/{effect}/{space}.log",
    conda:
        "../../../envs/brightpaint.yaml"
    params:
        settings=as_json(pick("figures", "dpi")),
    shell:
        "python -m brightpaint.report.figures.effect_figure --settings {params.settings:q} --name {wildcards.effect}"
        " --space {wildcards.space} --table {input:q} --figure {output:q} 2> {log:q}"


show("figures", lambda: effect_files("<results>/figures/effects/{name}/{space}.png"))


rule generation_table:
    """Say what treatments painted from conditions alone are worth, and whether the model lies above ridge and nearest neighbours."""
    input:
        lambda wildcards: generation_files("<results>/generation/{arm}/{space}.tsv") + generated_scores(),
    output:
        html=report(
            "<results>/tables/generation.html",
            category="Conditions",
            subcategory="generation",
            caption="../../report/generation_table.rst",
            labels={"table": "generation"},
        ),
    log:
        "<logs>/generation_table.log",
    conda:
        "../../../envs/brightpaint.yaml"
    shell:
        "python -m brightpaint.report.tables.generation_table --tables {input:q} --html {output.html:q} 2> {log:q}"


show("tables", lambda: ["<results>/tables/generation.html"] if STUDY.generations else [])
