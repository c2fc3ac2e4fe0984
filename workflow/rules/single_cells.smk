# A classifier of single cells by their crops: trained on some wells, tested on others, and the space of its activations.


include: "functions/single_cells.smk"


keep("features", cellnet_files)


rule train_cellnet:
    """Train a classifier of single cells on some wells, or its control on shuffled labels."""
    input:
        crops=cell_crops,
        beside=beside_crops(cell_crops),
    output:
        weights="<results>/cellnet/{variant}/weights.safetensors",
        history="<results>/cellnet/{variant}/history.jsonl",
        split="<results>/cellnet/{variant}/split.tsv",
        points=points_of("{{variant}}"),
    log:
        "<logs>/train_cellnet/{variant}.log",
    benchmark:
        "<benchmarks>/train_cellnet/{variant}.tsv"
    wildcard_constraints:
        variant="|".join(single_cells.VARIANTS),
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=CONFIG["compute"]["gpus"],
        mem_mb=by_attempt(8000),
        runtime=by_attempt(720),
    params:
        settings=as_json(single_cells.training_settings(STUDY)),
    shell:
        "exec $(launch {resources.gpu}) brightpaint.models.train_cellnet --settings {params.settings:q}"
        ' --variant {wildcards.variant} --device $BRIGHTPAINT_DEVICE --compute "$BRIGHTPAINT_COMPUTE"'
        " --threads {threads} --crops {input.crops:q}"
        " --weights {output.weights:q} --history {output.history:q} --split {output.split:q} 2> {log:q}"


rule cellnet_accuracy:
    """Score the classifier of single cells on an arm's cells in wells that it has not seen."""
    input:
        crops=crops_of_arm,
        beside=beside_crops(crops_of_arm),
        weights=cellnet_weights,
        split=f"<results>/cellnet/{single_cells.CELLS}/split.tsv",
    output:
        table="<results>/scores/cellnet/{arm}.tsv",
        cells="<results>/scores/cellnet/{arm}.cells.parquet",
    log:
        "<logs>/cellnet_accuracy/{arm}.log",
    benchmark:
        "<benchmarks>/cellnet_accuracy/{arm}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=1,
        mem_mb=by_attempt(8000),
        runtime=by_attempt(240),
    params:
        settings=cellnet_settings("label"),
        variants=single_cells.trained_variants(STUDY),
    shell:
        "python -m brightpaint.scores.cells.cellnet_accuracy --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        " --threads {threads} --arm {wildcards.arm} --variants {params.variants:q} --weights {input.weights:q}"
        " --split {input.split:q} --crops {input.crops:q} --table {output.table:q} --cells {output.cells:q} 2> {log:q}"


rule cellnet:
    """Take the last activations of every cell of a plate in the classifier of cells, and the median cell of every field."""
    input:
        crops=cell_table,
        weights=f"<results>/cellnet/{single_cells.CELLS}/weights.safetensors",
        split=f"<results>/cellnet/{single_cells.CELLS}/split.tsv",
        rows=rows_of,
    output:
        cells="<results>/cells/{arm}/cellnet/{plate}.parquet",
        medians="<results>/medians/{arm}/cellnet/{plate}.parquet",
    log:
        "<logs>/cellnet/{arm}/{plate}.log",
    benchmark:
        "<benchmarks>/cellnet/{arm}/{plate}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=1,
        mem_mb=by_attempt(8000),
        runtime=by_attempt(240),
    params:
        settings=cellnet_settings("wells"),
    shell:
        "python -m brightpaint.features.embedders.cellnet --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        " --threads {threads} --weights {input.weights:q} --split {input.split:q} --crops {input.crops[0]:q}"
        " --rows {input.rows:q} --cells {output.cells:q} --medians {output.medians:q} 2> {log:q}"


keep("features", activations)


rule gradcamo:
    """Say where the classifier of single cells looks in an arm's cells, and what it tells with the cell or all else erased."""
    input:
        crops=crops_of_arm,
        beside=beside_crops(crops_of_arm),
        weights=explained_weights,
        split=f"<results>/cellnet/{single_cells.CELLS}/split.tsv",
    output:
        table="<results>/scores/gradcamo/{arm}.tsv",
        erased="<results>/scores/gradcamo/{arm}.erased.tsv",
        verdicts="<results>/scores/gradcamo/{arm}.verdicts.tsv",
        cells="<results>/scores/gradcamo/{arm}.cells.parquet",
    log:
        "<logs>/gradcamo/{arm}.log",
    benchmark:
        "<benchmarks>/gradcamo/{arm}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=1,
        mem_mb=by_attempt(8000),
        runtime=by_attempt(240),
    params:
        settings=cellnet_settings("label", "layer", "wells"),
        variants=single_cells.explained_variants(STUDY),
    shell:
        "python -m brightpaint.scores.cells.gradcamo --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        " --threads {threads} --arm {wildcards.arm} --variants {params.variants:q} --weights {input.weights:q}"
        " --split {input.split:q} --crops {input.crops:q} --table {output.table:q} --erased {output.erased:q}"
        " --verdicts {output.verdicts:q} --cells {output.cells:q} 2> {log:q}"


keep("scores", gradcamo_files)


rule score_erased:
    """Score how far a space's numbers move without the cell and without all but the cell, and how alike its channels are."""
    input:
        images=shown_erased(["<results>/crops/{arm}/{plate}.tif"], ["<results>/images/{arm}/{plate}.tif"]),
        beside=shown_erased(["<results>/crops/{arm}/{plate}.masks.tif", "<results>/crops/{arm}/{plate}.parquet"]),
        rows=erased_rows,
        labels=shown_erased(fields=["<results>/masks/{arm}/{plate}.tif"]),
        weights=seeing_weights,
        split=seeing_split,
    output:
        table="<results>/scores/erased/{space}/{arm}.parquet",
        channels="<results>/scores/erased/{space}/{arm}.channels.tsv",
    log:
        "<logs>/score_erased/{space}/{arm}.log",
    benchmark:
        "<benchmarks>/score_erased/{space}/{arm}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=1,
        mem_mb=by_attempt(8000),
        runtime=by_attempt(240),
    params:
        settings=erased_settings,
        plates=erased_plates,
        subset=subset_painted,
        network=seeing_network,
    shell:
        "python -m brightpaint.scores.cells.score_erased --space {wildcards.space} --settings {params.settings:q}"
        " --device $BRIGHTPAINT_DEVICE --threads {threads} --arm {wildcards.arm} --plates {params.plates:q}"
        " --subset {params.subset:q} --weights {params.network:q} --images {input.images:q} --rows {input.rows:q}"
        " --labels {input.labels:q} --split {input.split:q} --table {output.table:q} --channels {output.channels:q} 2> {log:q}"


keep("scores", erased_files)


rule lifted:
    """Join Grad-CAMO to a plate's cells, and take every field's median of those that the classifier looks at."""
    input:
        activations="<results>/cells/{arm}/cellnet/{plate}.parquet",
        scores="<results>/scores/gradcamo/{arm}.cells.parquet",
        split=f"<results>/cellnet/{single_cells.CELLS}/split.tsv",
        rows=rows_of,
    output:
        cells="<results>/cells/{arm}/cellnet_lifted/{plate}.parquet",
        medians="<results>/medians/{arm}/cellnet_lifted/{plate}.parquet",
    log:
        "<logs>/lifted/{arm}/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=cellnet_settings("least_lift", "wells"),
    shell:
        "python -m brightpaint.features.embedders.lifted --settings {params.settings:q} --activations {input.activations:q}"
        " --scores {input.scores:q} --split {input.split:q} --rows {input.rows:q}"
        " --cells {output.cells:q} --medians {output.medians:q} 2> {log:q}"


rule gradcamo_figure:
    """Show cells with their maps, best, typical and worst of each class, and the scores of all cells."""
    input:
        crops=crops_of_arm,
        beside=beside_crops(crops_of_arm),
        weights=f"<results>/cellnet/{single_cells.CELLS}/weights.safetensors",
        scores="<results>/scores/gradcamo/{arm}.cells.parquet",
    output:
        cells=report(
            "<results>/figures/gradcamo/{arm}.cells.png",
            category="Single cells",
            subcategory="Where the classifier looks",
            caption="../report/gradcamo_figure.rst",
            labels={"figure": "cells and their maps", "arm": "{arm}"},
        ),
        histogram=report(
            "<results>/figures/gradcamo/{arm}.scores.png",
            category="Single cells",
            subcategory="Where the classifier looks",
            caption="../report/gradcamo_figure.rst",
            labels={"figure": "scores", "arm": "{arm}"},
        ),
    log:
        "<logs>/gradcamo_figure/{arm}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=as_json({**pick("figures", "dpi"), **pick("cellnet", "layer")}),
    shell:
        "python -m brightpaint.report.figures.gradcamo_figure --settings {params.settings:q} --device cpu"
        " --arm {wildcards.arm} --crops {input.crops:q} --weights {input.weights:q} --scores {input.scores:q}"
        " --cells {output.cells:q} --histogram {output.histogram:q} 2> {log:q}"


rule gradcamo_table:
    """Lay out in words and numbers where the classifier of single cells looks."""
    input:
        table="<results>/scores/gradcamo/{arm}.tsv",
        erased="<results>/scores/gradcamo/{arm}.erased.tsv",
        verdicts="<results>/scores/gradcamo/{arm}.verdicts.tsv",
    output:
        report(
            "<results>/tables/gradcamo/{arm}.html",
            category="Single cells",
            subcategory="Where the classifier looks",
            caption="../report/gradcamo_table.rst",
            labels={"figure": "verdicts", "arm": "{arm}"},
        ),
    log:
        "<logs>/gradcamo_table/{arm}.log",
    conda:
        "../../envs/brightpaint.yaml"
    shell:
        "python -m brightpaint.report.tables.gradcamo_table --arm {wildcards.arm} --table {input.table:q}"
        " --erased {input.erased:q} --verdicts {input.verdicts:q} --html {output:q} 2> {log:q}"


show("figures", gradcamo_figures)


rule cellnet_umap:
    """Lay test cells out by UMAP at points of their classifier's training, with same-class retrieval beside each."""
    input:
        crops=crops_of_arm,
        beside=beside_crops(crops_of_arm),
        points=points_of(single_cells.CELLS),
        weights=f"<results>/cellnet/{single_cells.CELLS}/weights.safetensors",
        split=f"<results>/cellnet/{single_cells.CELLS}/split.tsv",
    output:
        figure=report(
            "<results>/figures/cellnet_umap/{arm}.png",
            category="Single cells",
            subcategory="Along the training",
            caption="../report/cellnet_umap.rst",
            labels={"figure": "UMAP of test cells", "arm": "{arm}"},
        ),
        table="<results>/scores/cellnet_umap/{arm}.tsv",
    log:
        "<logs>/cellnet_umap/{arm}.log",
    benchmark:
        "<benchmarks>/cellnet_umap/{arm}.tsv"
    conda:
        "../../envs/umap.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    params:
        settings=as_json({**pick("cellnet", "label", "normalise", "umap_at", "seed"), **pick("figures", "dpi")}),
    shell:
        "python -m brightpaint.report.figures.cellnet_umap --settings {params.settings:q} --device cpu --threads {threads}"
        " --arm {wildcards.arm} --crops {input.crops:q} --points {input.points:q} --weights {input.weights:q}"
        " --split {input.split:q} --figure {output.figure:q} --table {output.table:q} 2> {log:q}"


show("figures", umap_files)
