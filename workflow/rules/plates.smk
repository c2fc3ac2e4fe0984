# From a plate in the gallery to a stack of normalised fields.


include: "functions/plates.smk"


rule simulate:
    """Make a plate of known truth, laid out as in the gallery."""
    output:
        truth="<resources>/truth/{plate}.tsv",
    log:
        "<logs>/simulate/{plate}.log",
    benchmark:
        "<benchmarks>/simulate/{plate}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=simulated_plate,
        mirror=mirror(),
    shell:
        "python -m brightpaint.plates.simulate --settings {params.settings:q} --mirror {params.mirror:q}"
        " --truth {output.truth:q} 2> {log:q}"


if simulated():
    keep("plates", of_used_plates("<resources>/truth/{plate}.tsv"))


rule index:
    """List the files of a plate, joined with its platemap and metadata."""
    input:
        truth_of,
        listed_fields_of,
    output:
        index="<resources>/index/{plate}.parquet",
        missing="<results>/missing/{plate}.tsv",
    log:
        "<logs>/index/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=listed_plate,
    shell:
        "python -m brightpaint.plates.index --settings {params.settings:q} --index {output.index:q}"
        " --missing {output.missing:q} 2> {log:q}"


keep("plates", of_used_plates("<resources>/index/{plate}.parquet", "<results>/missing/{plate}.tsv"))


rule exclusions:
    """Check that each line of source.exclude names something of the study."""
    input:
        expand("<resources>/truth/{plate}.tsv", plate=STUDY.used_plates() if simulated() else []),
        excluded_file(),
    output:
        "<results>/tables/exclusions.tsv",
    log:
        "<logs>/exclusions.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=excluded_lines(),
    shell:
        "python -m brightpaint.plates.exclusions --settings {params.settings:q} --table {output:q} 2> {log:q}"


if CONFIG["source"]["exclude"]:
    keep("plates", lambda: ["<results>/tables/exclusions.tsv"])


rule classes:
    """Check that the classes of the study's axes are there, in wells enough."""
    input:
        expand("<resources>/index/{plate}.parquet", plate=STUDY.used_plates()),
    output:
        "<results>/tables/classes.tsv",
    log:
        "<logs>/classes.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=classed_settings,
    shell:
        "python -m brightpaint.plates.classes --settings {params.settings:q} --indices {input:q} --table {output:q} 2> {log:q}"


if CONFIG["axes"] or CONFIG["zero_shot"]:
    keep("plates", lambda: ["<results>/tables/classes.tsv"])


rule fetch:
    """Copy the files of an index here, every one verified."""
    input:
        "<resources>/index/{plate}.parquet",
    output:
        raw=temp(directory("<resources>/raw/{plate}")),
        manifest="<resources>/manifest/{plate}.tsv",
    log:
        "<logs>/fetch/{plate}.log",
    benchmark:
        "<benchmarks>/fetch/{plate}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(240),
    params:
        settings=as_json({"source": source_keys("url", "endpoint_url", "region", "profile", "hash")}),
    shell:
        "python -m brightpaint.plates.fetch --settings {params.settings:q} --workers $BRIGHTPAINT_WORKERS"
        " --index {input:q} --raw {output.raw:q} --manifest {output.manifest:q} 2> {log:q}"


keep("plates", of_used_plates("<resources>/manifest/{plate}.tsv"))


rule fetch_illumination:
    """Fetch the illumination functions that the gallery publishes for a plate."""
    output:
        directory("<resources>/illum/{plate}"),
    log:
        "<logs>/fetch_illumination/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=published_plate,
    shell:
        "python -m brightpaint.plates.fetch_illumination --settings {params.settings:q} --published {output:q} 2> {log:q}"


if CONFIG["illumination"]["method"] == "published":
    keep("plates", of_used_plates("<resources>/illum/{plate}"))


rule illumination:
    """Estimate each channel's illumination function over the plate."""
    input:
        index="<resources>/index/{plate}.parquet",
        raw="<resources>/raw/{plate}",
        published=published_of,
    output:
        "<results>/illumination/{plate}.tif",
    log:
        "<logs>/illumination/{plate}.log",
    benchmark:
        "<benchmarks>/illumination/{plate}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["threads"]
    resources:
        mem_mb=by_attempt(4000),
        runtime=by_attempt(120),
    params:
        settings=lambda wildcards: as_json({**CONFIG["illumination"], "channels": STUDY.channels(wildcards.plate)}),
    shell:
        "python -m brightpaint.plates.illumination --settings {params.settings:q} --workers {threads}"
        " --index {input.index:q} --raw {input.raw:q} --published {input.published:q} --illumination {output:q} 2> {log:q}"


keep("plates", of_used_plates("<results>/illumination/{plate}.tif"))


rule prepare:
    """Divide by the illumination function, resize and normalise every field into the plate stack."""
    input:
        index="<resources>/index/{plate}.parquet",
        raw="<resources>/raw/{plate}",
        illumination="<results>/illumination/{plate}.tif",
    output:
        stack="<results>/images/real/{plate}.tif",
        fields="<results>/prepared/{plate}.parquet",
    log:
        "<logs>/prepare/{plate}.log",
    benchmark:
        "<benchmarks>/prepare/{plate}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["threads"]
    resources:
        mem_mb=by_attempt(4000),
        runtime=by_attempt(120),
    params:
        settings=prepared_plate,
    shell:
        "python -m brightpaint.plates.prepare --settings {params.settings:q} --workers {threads}"
        " --index {input.index:q} --raw {input.raw:q} --illumination {input.illumination:q}"
        " --stack {output.stack:q} --fields {output.fields:q} 2> {log:q}"


keep("plates", of_used_plates("<results>/images/real/{plate}.tif", "<results>/prepared/{plate}.parquet"))


rule quality:
    """Measure every raw image: saturation, noise, focus, background, and how channels go together."""
    input:
        index="<resources>/index/{plate}.parquet",
        raw="<resources>/raw/{plate}",
    output:
        "<results>/quality/{plate}.parquet",
    log:
        "<logs>/quality/{plate}.log",
    benchmark:
        "<benchmarks>/quality/{plate}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["threads"]
    resources:
        mem_mb=by_attempt(4000),
        runtime=by_attempt(120),
    params:
        settings=lambda wildcards: as_json({"channels": STUDY.channels(wildcards.plate)}),
    shell:
        "python -m brightpaint.plates.quality --settings {params.settings:q} --workers {threads}"
        " --index {input.index:q} --raw {input.raw:q} --quality {output:q} 2> {log:q}"


keep("plates", of_used_plates("<results>/quality/{plate}.parquet"))


rule flag:
    """Flag images by their quality, and leave out the fields that the config excludes."""
    input:
        quality="<results>/quality/{plate}.parquet",
        prepared="<results>/prepared/{plate}.parquet",
    output:
        fields="<results>/fields/{plate}.parquet",
        flags="<results>/flags/{plate}.tsv",
    log:
        "<logs>/flag/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=flaws,
    shell:
        "python -m brightpaint.plates.flag --settings {params.settings:q} --quality {input.quality:q}"
        " --prepared {input.prepared:q} --fields {output.fields:q} --flags {output.flags:q} 2> {log:q}"


keep("plates", of_used_plates("<results>/fields/{plate}.parquet", "<results>/flags/{plate}.tsv"))
