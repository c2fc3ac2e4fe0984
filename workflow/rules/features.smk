# From images to profiles. Everything is written once, for the real arm and the predicted ones.


include: "functions/features.smk"


rule export:
    """Write one part of a plate's stains as TIFFs for CellProfiler, all by one fixed affine map."""
    input:
        stack="<results>/images/{arm}/{plate}.tif",
        rows=rows_of,
        fields="<results>/fields/{plate}.parquet",
    output:
        temp(directory("<results>/parts/tiffs/{arm}/{plate}/{part}")),
    log:
        "<logs>/export/{arm}/{plate}/{part}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=export_settings,
        parts=CONFIG["cellprofiler"]["parts"],
    shell:
        "python -m brightpaint.features.export --settings {params.settings:q} --arm {wildcards.arm}"
        " --stack {input.stack:q} --rows {input.rows:q} --fields {input.fields:q}"
        " --part {wildcards.part} --parts {params.parts} --folder {output:q} 2> {log:q}"


rule cellpose:
    """Find nuclei and cells with Cellpose, where it is asked for, as label images that CellProfiler measures."""
    input:
        tiffs="<results>/parts/tiffs/{arm}/{plate}/{part}",
        models=cellpose_models(),
    output:
        labels=temp(directory("<results>/parts/labels/{arm}/{plate}/{part}")),
        counts="<results>/cellpose/{arm}/{plate}/{part}.csv",
    log:
        "<logs>/cellpose/{arm}/{plate}/{part}.log",
    benchmark:
        "<benchmarks>/cellpose/{arm}/{plate}/{part}.tsv"
    conda:
        "../../envs/cellpose.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        mem_mb=by_attempt(4000),
        runtime=by_attempt(240),
    params:
        settings=as_json(CONFIG["cellpose"]),
    shell:
        "python -m brightpaint.features.cellpose --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        " --threads {threads} --images {input.tiffs:q} --labels {output.labels:q} --counts {output.counts:q} 2> {log:q}"


if segmented():
    keep("features", lambda: measured("<results>/cellpose/{arm}/{plate}/{part}.csv", part=parts("cellprofiler")))


rule cellprofiler:
    """Segment and measure nuclei, cells and cytoplasm."""
    input:
        tiffs="<results>/parts/tiffs/{arm}/{plate}/{part}",
        pipeline=pipeline_file(),
        labels="<results>/parts/labels/{arm}/{plate}/{part}" if segmented() else [],
    output:
        temp(directory("<results>/parts/cellprofiler/{arm}/{plate}/{part}")),
    log:
        "<logs>/cellprofiler/{arm}/{plate}/{part}.log",
    benchmark:
        "<benchmarks>/cellprofiler/{arm}/{plate}/{part}.tsv"
    conda:
        "../../envs/cellprofiler.yaml"
    resources:
        mem_mb=by_attempt(4000),
        runtime=by_attempt(240),
    params:
        command=CONFIG["cellprofiler"]["command"],
    shell:
        "python -m brightpaint.features.cellprofiler --command {params.command:q} --pipeline {input.pipeline:q}"
        " --images {input.tiffs:q} --labels {input.labels:q} --tables {output:q} 2> {log:q}"


rule engine:
    """Segment and measure nuclei, cells and cytoplasm by brightpaint's own engine, in CellProfiler's place."""
    input:
        tiffs="<results>/parts/tiffs/{arm}/{plate}/{part}",
        pipeline=pipeline_file(),
        labels="<results>/parts/labels/{arm}/{plate}/{part}" if segmented() else [],
    output:
        temp(directory("<results>/parts/cellprofiler/{arm}/{plate}/{part}")),
    log:
        "<logs>/engine/{arm}/{plate}/{part}.log",
    benchmark:
        "<benchmarks>/engine/{arm}/{plate}/{part}.tsv"
    conda:
        "../../envs/engine.yaml"
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(120),
    shell:
        "python -m brightpaint.features.engine --pipeline {input.pipeline:q} --images {input.tiffs:q}"
        " --labels {input.labels:q} --tables {output:q} --threads {threads} 2> {log:q}"


# Both make the same; one of them is in a study, of every arm alike.
if fast():

    ruleorder: engine > cellprofiler

else:

    ruleorder: cellprofiler > engine


rule cells_part:
    """Join CellProfiler's nuclei, cells and cytoplasm of one part: one row a cell, and label images."""
    input:
        tables="<results>/parts/cellprofiler/{arm}/{plate}/{part}",
        rows=rows_of,
    output:
        cells=temp("<results>/parts/cells/{arm}/{plate}/{part}.parquet"),
        masks=temp("<results>/parts/masks/{arm}/{plate}/{part}.tif"),
    log:
        "<logs>/cells_part/{arm}/{plate}/{part}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        **engine_record(),
    shell:
        "python -m brightpaint.features.cells_part --tables {input.tables:q} --rows {input.rows:q}"
        " --cells {output.cells:q} --masks {output.masks:q} 2> {log:q}"


rule cells:
    """Gather a plate's single cells, one row group a well, and its label images."""
    input:
        cells=expand("<results>/parts/cells/{{arm}}/{{plate}}/{part}.parquet", part=parts("cellprofiler")),
        masks=expand("<results>/parts/masks/{{arm}}/{{plate}}/{part}.tif", part=parts("cellprofiler")),
    output:
        cells="<results>/cells/{arm}/{plate}.parquet",
        masks="<results>/masks/{arm}/{plate}.tif",
    log:
        "<logs>/cells/{arm}/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    resources:
        mem_mb=by_attempt(8000),
    params:
        **engine_record(),
    shell:
        "python -m brightpaint.features.cells --parts {input.cells:q} --cells {output.cells:q}"
        " --part-masks {input.masks:q} --masks {output.masks:q} 2> {log:q}"


keep("features", lambda: measured("<results>/cells/{arm}/{plate}.parquet", "<results>/masks/{arm}/{plate}.tif"))


rule crops:
    """Cut single-cell crops of a plate with their masks, where they are asked for."""
    input:
        stack="<results>/images/{arm}/{plate}.tif",
        rows=rows_of,
        fields="<results>/fields/{plate}.parquet",
        cells="<results>/cells/{arm}/{plate}.parquet",
        masks="<results>/masks/{arm}/{plate}.tif",
    output:
        crops="<results>/crops/{arm}/{plate}.tif",
        masks="<results>/crops/{arm}/{plate}.masks.tif",
        table="<results>/crops/{arm}/{plate}.parquet",
        counts="<results>/crops/{arm}/{plate}.counts.tsv",
    log:
        "<logs>/crops/{arm}/{plate}.log",
    benchmark:
        "<benchmarks>/crops/{arm}/{plate}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    resources:
        mem_mb=by_attempt(4000),
        runtime=by_attempt(120),
    params:
        settings=crop_settings,
    shell:
        "python -m brightpaint.features.crops --settings {params.settings:q} --arm {wildcards.arm}"
        " --stack {input.stack:q} --rows {input.rows:q} --fields {input.fields:q} --cells {input.cells:q}"
        " --masks {input.masks:q} --crops {output.crops:q} --counts {output.counts:q} 2> {log:q}"


show("features", cropped)


rule own_crops:
    """Bring crops of one's own, a folder of TIFFs with a CSV, into the crop store."""
    input:
        own_crops_of("table"),
    output:
        crops="<results>/own_crops/{own}.tif",
        masks="<results>/own_crops/{own}.masks.tif",
        table="<results>/own_crops/{own}.parquet",
    log:
        "<logs>/own_crops/{own}.log",
    benchmark:
        "<benchmarks>/own_crops/{own}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    resources:
        mem_mb=by_attempt(4000),
        runtime=by_attempt(120),
    params:
        folder=own_crops_of("folder"),
        options=own_crops_options,
    shell:
        "python -m brightpaint.features.own_crops {params.folder:q} --table {input:q} {params.options:q}"
        " --crops {output.crops:q} 2> {log:q}"


show(
    "features",
    lambda: expand(
        "<results>/own_crops/{own}{end}",
        own=[entry["name"] for entry in CONFIG["own_crops"]],
        end=[".tif", ".masks.tif", ".parquet"],
    ),
)


rule median:
    """Take the median cell of every field."""
    input:
        cells="<results>/cells/{arm}/{plate}.parquet",
        rows=rows_of,
    output:
        "<results>/medians/{arm}/{plate}.parquet",
    log:
        "<logs>/median/{arm}/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    resources:
        mem_mb=by_attempt(8000),
    shell:
        "python -m brightpaint.features.median --cells {input.cells:q} --rows {input.rows:q}"
        " --medians {output:q} 2> {log:q}"


keep("features", lambda: measured("<results>/medians/{arm}/{plate}.parquet"))


rule deliver:
    """Write a predicted plate as 16-bit OME-TIFFs with a load_data.csv that CellProfiler reads."""
    input:
        stack="<results>/images/{arm}/{plate}.tif",
        rows="<results>/images/{arm}/{plate}.parquet",
        fields="<results>/fields/{plate}.parquet",
    output:
        directory("<results>/predicted/{arm}/{plate}"),
    log:
        "<logs>/deliver/{arm}/{plate}.log",
    wildcard_constraints:
        arm=either(STUDY.arms),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=delivered_plate,
    shell:
        "python -m brightpaint.features.deliver --settings {params.settings:q}"
        " --stack {input.stack:q} --rows {input.rows:q} --fields {input.fields:q} --folder {output:q} 2> {log:q}"


rule deliver_zarr:
    """Write a predicted plate as OME-Zarr: wells, fields and resolutions, the counts of the OME-TIFFs."""
    input:
        stack="<results>/images/{arm}/{plate}.tif",
        rows="<results>/images/{arm}/{plate}.parquet",
        fields="<results>/fields/{plate}.parquet",
    output:
        directory("<results>/predicted/{arm}/{plate}.ome.zarr"),
    log:
        "<logs>/deliver_zarr/{arm}/{plate}.log",
    benchmark:
        "<benchmarks>/deliver_zarr/{arm}/{plate}.tsv"
    wildcard_constraints:
        arm="|".join(STUDY.arms),
    conda:
        "../../envs/formats.yaml"
    resources:
        mem_mb=by_attempt(4000),
        runtime=by_attempt(120),
    params:
        settings=delivered_plate,
    shell:
        "python -m brightpaint.features.deliver_zarr --settings {params.settings:q}"
        " --stack {input.stack:q} --rows {input.rows:q} --fields {input.fields:q} --zarr {output:q} 2> {log:q}"


show("features", delivered)
