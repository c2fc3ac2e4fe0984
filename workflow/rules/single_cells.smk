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
        settings=cellnet_settings(*single_cells.TRAINING),
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
