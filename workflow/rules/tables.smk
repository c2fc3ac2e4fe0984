# The tables of the report.


rule missing_table:
    """Count what the plates lack, one row a plate."""
    input:
        indices=expand("<resources>/index/{plate}.parquet", plate=STUDY.used_plates()),
        missing=expand("<results>/missing/{plate}.tsv", plate=STUDY.used_plates()),
    output:
        html=report(
            "<results>/tables/missing.html",
            category="Plates",
            subcategory="All plates",
            caption="../report/missing_table.rst",
            labels={"table": "missing images"},
        ),
        tsv="<results>/tables/missing.tsv",
    log:
        "<logs>/missing_table.log",
    conda:
        "../../envs/brightpaint.yaml"
    shell:
        "python -m brightpaint.report.tables.missing_table --indices {input.indices:q} --missing {input.missing:q}"
        " --tsv {output.tsv:q} --html {output.html:q} 2> {log:q}"


show("tables", lambda: where_plates(["<results>/tables/missing.html"]))


rule metrics_table:
    """Lay the metrics of every arm side by side."""
    input:
        expand("<results>/metrics/{arm}.parquet", arm=tabled_arms()),
    output:
        html=report(
            "<results>/tables/metrics.html",
            category="Metrics",
            subcategory="Tables",
            caption="../report/metrics_table.rst",
            labels={"table": "all arms"},
        ),
        tsv="<results>/tables/metrics.tsv",
    log:
        "<logs>/metrics_table.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        arms=tabled_arms(),
        leaking=leaking_arms(),
        roles=arm_roles(),
    shell:
        "python -m brightpaint.report.tables.metrics_table --arms {params.arms:q} --leaking {params.leaking:q} --metrics {input:q}"
        " --roles {params.roles:q}"
        " --html {output.html:q} --tsv {output.tsv:q} 2> {log:q}"


show("tables", lambda: ["<results>/tables/metrics.html"] if tabled_arms() else [])


rule codec_table:
    """Lay codecs side by side, each above the arms that stand on it, with the real stains beside them."""
    input:
        metrics=codec_metrics(),
        seconds=codec_seconds(),
    output:
        html=report(
            "<results>/tables/codecs.html",
            category="Metrics",
            subcategory="Tables",
            caption="../report/codec_table.rst",
            labels={"table": "codecs"},
        ),
        tsv="<results>/tables/codecs.tsv",
    log:
        "<logs>/codec_table.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        arms=codec_arms_described(),
    shell:
        "python -m brightpaint.report.tables.codec_table --arms {params.arms:q} --metrics {input.metrics:q}"
        " --seconds {input.seconds:q} --html {output.html:q} --tsv {output.tsv:q} 2> {log:q}"


show("tables", lambda: ["<results>/tables/codecs.html"] if coded_arms() else [])


rule paper_table:
    """Lay the arms out as one of the paper's two tables."""
    input:
        expand("<results>/metrics/{arm}.parquet", arm=scored_arms()),
    output:
        html=report(
            "<results>/tables/table_{number}.html",
            category="Metrics",
            subcategory="Tables",
            caption="../report/paper_table.rst",
            labels={"table": "as the paper's Table {number}"},
        ),
        tsv="<results>/tables/table_{number}.tsv",
    log:
        "<logs>/paper_table/{number}.log",
    wildcard_constraints:
        number="1|2",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=paper_settings,
    shell:
        "python -m brightpaint.report.tables.paper_table --settings {params.settings:q} --metrics {input:q}"
        " --html {output.html:q} --tsv {output.tsv:q} 2> {log:q}"


show("tables", lambda: where_scored(expand("<results>/tables/table_{number}.html", number=paper_tables())))


rule cell_table:
    """Count cells, empty fields, and features missing or constant, of every measured arm and plate."""
    input:
        medians=measured_medians(),
        selection="<results>/selection/cellprofiler.tsv" if CONFIG["perturbations"] else [],
    output:
        html=report(
            "<results>/tables/cells.html",
            category="Quality",
            subcategory="All plates",
            caption="../report/cell_table.rst",
            labels={"table": "cells and features"},
        ),
        tsv="<results>/tables/cells.tsv",
    log:
        "<logs>/cell_table.log",
    conda:
        "../../envs/brightpaint.yaml"
    shell:
        "python -m brightpaint.report.tables.cell_table --medians {input.medians:q} --selection {input.selection:q}"
        " --html {output.html:q} --tsv {output.tsv:q} 2> {log:q}"


show("tables", lambda: where_profiled(["<results>/tables/cells.html"] if measured_medians() else []))


rule spaces_table:
    """Lay axes, zero-shot classes and replicates found side by side, space by space."""
    input:
        accuracies=axis_files("axes", "<results>/axis/{name}/{arm}/{space}.accuracy.tsv"),
        wells=axis_files("axes", "<results>/axis/{name}/{arm}/{space}.wells.tsv"),
        zero_shot=axis_files("zero_shot", "<results>/zero_shot/{name}/{arm}/{space}.accuracy.tsv"),
        profiles=compared_spaces(),
    output:
        html=report(
            "<results>/tables/spaces.html",
            category="Axes",
            subcategory="All spaces",
            caption="../report/spaces_table.rst",
            labels={"table": "space by space"},
        ),
        tsv="<results>/tables/spaces.tsv",
    log:
        "<logs>/spaces_table.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        groups=as_json({entry["name"]: entry["groups"] for entry in CONFIG["axes"]}),
    shell:
        "python -m brightpaint.report.tables.spaces_table --groups {params.groups:q} --accuracies {input.accuracies:q}"
        " --wells {input.wells:q} --zero-shot {input.zero_shot:q} --profiles {input.profiles:q} --html {output.html:q}"
        " --tsv {output.tsv:q} 2> {log:q}"


show("tables", lambda: ["<results>/tables/spaces.html"] if compares_spaces() else [])


rule quality_table:
    """Count what was flagged and left out on every plate, and compare the plates with one another."""
    input:
        measures=expand("<results>/quality/{plate}.parquet", plate=STUDY.used_plates()),
        flags=expand("<results>/flags/{plate}.tsv", plate=STUDY.used_plates()),
    output:
        html=report(
            "<results>/tables/quality.html",
            category="Quality",
            subcategory="All plates",
            caption="../report/quality_table.rst",
            labels={"table": "all plates"},
        ),
        tsv="<results>/tables/quality.tsv",
    log:
        "<logs>/quality_table.log",
    conda:
        "../../envs/brightpaint.yaml"
    shell:
        "python -m brightpaint.report.tables.quality_table --measures {input.measures:q} --flags {input.flags:q}"
        " --html {output.html:q} --tsv {output.tsv:q} 2> {log:q}"


show("tables", lambda: where_plates(["<results>/tables/quality.html"]))


rule own_crops_table:
    """Count crops of one's own by what they show: groups, groups of that alone, and cells that lie beside the middle."""
    input:
        crops="<results>/own_crops/{own}.tif",
        masks="<results>/own_crops/{own}.masks.tif",
        table="<results>/own_crops/{own}.parquet",
    output:
        html=report(
            "<results>/tables/own_crops/{own}.html",
            category="Cells",
            subcategory="Crops of your own",
            caption="../report/own_crops_table.rst",
            labels={"table": "crops by class", "crops": "{own}"},
        ),
        tsv="<results>/tables/own_crops/{own}.tsv",
    log:
        "<logs>/own_crops_table/{own}.log",
    conda:
        "../../envs/brightpaint.yaml"
    shell:
        "python -m brightpaint.report.tables.own_crops_table --crops {input.crops:q} --tsv {output.tsv:q}"
        " --html {output.html:q} 2> {log:q}"


show("tables", lambda: [f"<results>/tables/own_crops/{entry['name']}.html" for entry in CONFIG["own_crops"]])


rule wells:
    """List the wells of a plate that each arm should not be trusted in, and why."""
    input:
        fields="<results>/fields/{plate}.parquet",
        flags="<results>/flags/{plate}.tsv",
        scores=lambda wildcards: expand("<results>/metrics/{arm}.fields.parquet", arm=arms_testing(wildcards.plate)),
        medians=medians_of_plate,
        uncertainty=uncertainty_of_unscored,
    output:
        html=report(
            "<results>/tables/wells/{plate}.html",
            category="Plates",
            subcategory="Wells not to trust",
            caption="../report/wells.rst",
            labels={"figure": "wells not to trust", "plate": "{plate}"},
        ),
        tsv="<results>/tables/wells/{plate}.tsv",
    log:
        "<logs>/wells/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        arms=lambda wildcards: network_arms(wildcards.plate),
    shell:
        "python -m brightpaint.report.tables.wells --plate {wildcards.plate} --arms {params.arms:q} --fields {input.fields:q}"
        " --flags {input.flags:q} --scores {input.scores:q} --medians {input.medians:q}"
        " --uncertainty {input.uncertainty:q} --html {output.html:q} --tsv {output.tsv:q} 2> {log:q}"


show(
    "tables",
    lambda: expand("<results>/tables/wells/{plate}.html", plate=doubted_plates()),
)


rule translation_page:
    """Write the page of a translation in a space: controls, references, what changes."""
    input:
        metrics=translation_metrics,
        classes="<results>/scores/shifts/{space}/{arm}.classes.parquet",
        changes="<results>/scores/shifts/{space}/{arm}.changes.parquet",
        areas="<results>/scores/translation/{arm}.areas.parquet",
        objects="<results>/scores/translation/{arm}.objects.parquet",
        counts="<results>/scores/translation/{arm}.counts.parquet",
    output:
        html=report(
            "<results>/tables/translations/{space}/{arm}.html",
            category="Translations",
            subcategory="{arm}",
            caption="../report/translation_page.rst",
            labels={"figure": "what changes", "space": "{space}"},
        ),
        tsv="<results>/tables/translations/{space}/{arm}.tsv",
    log:
        "<logs>/translation_page/{space}/{arm}.log",
    wildcard_constraints:
        arm=either(TRANSLATED),
    conda:
        "../../envs/brightpaint.yaml"
    shell:
        "python -m brightpaint.report.tables.translation_page --arm {wildcards.arm} --space {wildcards.space}"
        " --metrics {input.metrics:q} --classes {input.classes:q} --changes {input.changes:q} --areas {input.areas:q}"
        " --objects {input.objects:q} --counts {input.counts:q} --html {output.html:q} --tsv {output.tsv:q} 2> {log:q}"


show("tables", translation_pages)


rule front:
    """Write what the report opens on: the answer, one field, counts, what to beware of, and where to go on."""
    input:
        metrics=expand("<results>/metrics/{arm}.parquet", arm=tabled_arms()),
        missing="<results>/tables/missing.tsv",
        quality="<results>/tables/quality.tsv",
        measures=expand("<results>/quality/{plate}.parquet", plate=STUDY.used_plates()),
        wells=expand("<results>/tables/wells/{plate}.tsv", plate=doubted_plates()),
        real=expand("<results>/images/real/{plate}.tif", plate=front_plate()),
        fields=expand("<results>/fields/{plate}.parquet", plate=front_plate()),
        predicted=[f"<results>/images/{arm}/{plate}.tif" for plate in front_plate() for arm in STUDY.arms_of(plate)],
    output:
        report(
            "<results>/tables/front.html",
            category="Answer",
            caption="../report/front.rst",
            labels={"page": "which arm for which purpose"},
        ),
    log:
        "<logs>/front.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=front_settings(),
        pages=front_pages(),
    shell:
        "python -m brightpaint.report.tables.front --settings {params.settings:q} --pages {params.pages:q}"
        " --metrics {input.metrics:q} --missing {input.missing:q} --quality {input.quality:q}"
        " --measures {input.measures:q} --wells {input.wells:q} --real {input.real:q} --fields {input.fields:q}"
        " --predicted {input.predicted:q} --html {output:q} 2> {log:q}"


show("tables", lambda: where_plates(["<results>/tables/front.html"]))
