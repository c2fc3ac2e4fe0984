# The class-guided image-to-image diffusion model: train it, sample from it, gather the parts.


include: "functions/models.smk"
include: "functions/refusals.smk"


rule train:
    """Train a model on every study plate that the fold does not test."""
    input:
        stacks=training_stacks,
        fields=training_fields,
        held=held_table,
        active=active_of("models", "model"),
        vectors=trained_vectors,
        codec=standing_on("codec"),
        base=standing_on("base"),
    output:
        weights="<results>/models/{model}/{fold}/weights.safetensors",
        history="<results>/models/{model}/{fold}/history.jsonl",
    log:
        "<logs>/train/{model}/{fold}.log",
    benchmark:
        "<benchmarks>/train/{model}/{fold}.tsv"
    wildcard_constraints:
        model=either(trained_by("models")),
    conda:
        training_environment
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=gpus,
        mem_mb=by_attempt(training_mb),
        runtime=training_minutes,
    params:
        settings=training("models", "model", "kind", "label", "preset", "width", "objective", "loss", "subset"),
    shell:
        "exec $(launch {resources.gpu}) brightpaint.models.train --settings {params.settings:q}"
        ' --device $BRIGHTPAINT_DEVICE --compute "$BRIGHTPAINT_COMPUTE"'
        " --threads {threads} --stacks {input.stacks:q} --fields {input.fields:q} --active {input.active:q}"
        " --weights {output.weights:q} --history {output.history:q} 2> {log:q}"


keep("models", lambda: trained_files("models", "model"))


rule train_codec:
    """Train a codec of the stains on every study plate that the fold does not test."""
    input:
        stacks=training_stacks,
        fields=training_fields,
        held=held_table,
    output:
        weights="<results>/models/{model}/{fold}/weights.safetensors",
        history="<results>/models/{model}/{fold}/history.jsonl",
    log:
        "<logs>/train_codec/{model}/{fold}.log",
    benchmark:
        "<benchmarks>/train_codec/{model}/{fold}.tsv"
    wildcard_constraints:
        model=either(trained_by("codecs")),
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=gpus,
        mem_mb=by_attempt(codec_mb),
        runtime=codec_minutes,
    params:
        settings=codec_training,
    shell:
        "exec $(launch {resources.gpu}) brightpaint.models.train_codec --settings {params.settings:q}"
        ' --device $BRIGHTPAINT_DEVICE --compute "$BRIGHTPAINT_COMPUTE"'
        " --threads {threads} --stacks {input.stacks:q} --fields {input.fields:q}"
        " --weights {output.weights:q} --history {output.history:q} 2> {log:q}"


rule train_classifier:
    """Train a classifier of noised images, for classifier guidance."""
    input:
        stacks=training_stacks,
        fields=training_fields,
        held=held_table,
        active=active_of("classifiers", "classifier"),
    output:
        weights="<results>/classifiers/{classifier}/{fold}/weights.safetensors",
        history="<results>/classifiers/{classifier}/{fold}/history.jsonl",
    log:
        "<logs>/train_classifier/{classifier}/{fold}.log",
    benchmark:
        "<benchmarks>/train_classifier/{classifier}/{fold}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=gpus,
        mem_mb=by_attempt(limits.training_mb(CONFIG)),
        runtime=limits.training_minutes(CONFIG),
    params:
        settings=training("classifiers", "classifier", "label", "width", "subset"),
    shell:
        "exec $(launch {resources.gpu}) brightpaint.models.train_classifier --settings {params.settings:q}"
        ' --device $BRIGHTPAINT_DEVICE --compute "$BRIGHTPAINT_COMPUTE"'
        " --threads {threads} --stacks {input.stacks:q} --fields {input.fields:q} --active {input.active:q}"
        " --weights {output.weights:q} --history {output.history:q} 2> {log:q}"


keep("models", lambda: trained_files("classifiers", "classifier"))


rule sweep_fields:
    """Draw the fields that every point of the sweep paints."""
    input:
        fields="<results>/fields/{plate}.parquet",
        active=sweep_active,
    output:
        "<results>/sweep/fields/{plate}.parquet",
    log:
        "<logs>/sweep_fields/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        fields=CONFIG["sweep"]["fields"],
    shell:
        "python -m brightpaint.models.paint.sweep_fields --fields {input.fields:q} --active {input.active:q}"
        " --count {params.fields:q} --drawn {output:q} 2> {log:q}"


if SWEPT:
    keep("models", lambda: [f"<results>/sweep/fields/{STUDY.sweep_plate}.parquet"])


rule draw_rows:
    """Draw the fields of a plate on which an arm is judged as a distribution, and list the samples of each."""
    input:
        fields="<results>/fields/{plate}.parquet",
        active=active_of_drawn,
    output:
        "<results>/draws/{arm}/{plate}.parquet",
    log:
        "<logs>/draw_rows/{arm}/{plate}.log",
    wildcard_constraints:
        arm=either(STUDY.drawn),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        fields=CONFIG["calibration"]["fields"],
        samples=CONFIG["calibration"]["samples"],
    shell:
        "python -m brightpaint.models.paint.draw_rows --fields {input.fields:q} --active {input.active:q}"
        " --count {params.fields:q} --samples {params.samples:q} --rows {output:q} 2> {log:q}"


rule sample:
    """Paint the stains of one part of a plate's fields."""
    input:
        weights=weights_of,
        classifier=classifier_of,
        stack="<results>/images/real/{plate}.tif",
        fields=fields_of,
        active=active_of_arm,
        vectors=painted_vectors,
    output:
        stack=temp("<results>/parts/images/{arm}/{plate}/{part}.tif"),
        seconds=temp("<results>/parts/images/{arm}/{plate}/{part}.tsv"),
    log:
        "<logs>/sample/{arm}/{plate}/{part}.log",
    benchmark:
        "<benchmarks>/sample/{arm}/{plate}/{part}.tsv"
    wildcard_constraints:
        arm=either(OWN_ARMS + SWEPT + STUDY.generations + STUDY.drawn),
    conda:
        painting_environment
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=gpus,
        mem_mb=by_attempt(painting_mb),
        runtime=painting_minutes,
    params:
        settings=lambda wildcards: as_json(sampling(wildcards.arm)),
        parts=lambda wildcards: len(sampling_parts(wildcards.arm)),
    shell:
        "keep_memory python -m brightpaint.models.paint.sample --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        ' --compute "$BRIGHTPAINT_COMPUTE"'
        " --threads {threads} --weights {input.weights:q} --classifier {input.classifier:q}"
        " --stack {input.stack:q} --fields {input.fields:q} --active {input.active:q}"
        " --part {wildcards.part} --parts {params.parts}"
        " --predicted {output.stack:q} --seconds {output.seconds:q} 2> {log:q}"


rule given:
    """Bring the images of one plate that another program painted into the study."""
    input:
        table=given_table,
        real="<results>/images/real/{plate}.tif",
        fields="<results>/fields/{plate}.parquet",
        active=active_of_arm,
    output:
        stack="<results>/images/{arm}/{plate}.tif",
        rows="<results>/images/{arm}/{plate}.parquet",
        seconds="<results>/images/{arm}/{plate}.seconds.tsv",
    log:
        "<logs>/given/{arm}/{plate}.log",
    benchmark:
        "<benchmarks>/given/{arm}/{plate}.tsv"
    wildcard_constraints:
        arm=either(GIVEN_ARMS),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=given_settings,
    shell:
        "python -m brightpaint.models.paint.given --settings {params.settings:q} --table {input.table:q}"
        " --plate {wildcards.plate} --real {input.real:q} --fields {input.fields:q} --active {input.active:q}"
        " --stack {output.stack:q} --rows {output.rows:q} --seconds {output.seconds:q} 2> {log:q}"


rule source_fields:
    """Draw a translation's source fields of a plate, and list the classes that each is shown as."""
    input:
        weights=weights_of,
        fields="<results>/fields/{plate}.parquet",
    output:
        "<results>/sources/{arm}/{plate}.parquet",
    log:
        "<logs>/source_fields/{arm}/{plate}.log",
    wildcard_constraints:
        arm=either(STUDY.translations),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=sources,
    shell:
        "python -m brightpaint.models.paint.source_fields --settings {params.settings:q} --arm {wildcards.arm}"
        " --weights {input.weights:q} --fields {input.fields:q} --rows {output:q} 2> {log:q}"


rule translate:
    """Invert the source fields of one part of a plate, and paint each as every class of its translation."""
    input:
        weights=weights_of,
        stack="<results>/images/real/{plate}.tif",
        rows="<results>/sources/{arm}/{plate}.parquet",
        vectors=painted_vectors,
    output:
        stack=temp("<results>/parts/images/{arm}/{plate}/{part}.tif"),
        seconds=temp("<results>/parts/images/{arm}/{plate}/{part}.tsv"),
        inversion="<results>/inversion/{arm}/{plate}/{part}.tsv",
    log:
        "<logs>/translate/{arm}/{plate}/{part}.log",
    benchmark:
        "<benchmarks>/translate/{arm}/{plate}/{part}.tsv"
    wildcard_constraints:
        arm=either(STUDY.translations),
    conda:
        painting_environment
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=gpus,
        mem_mb=by_attempt(painting_mb),
        runtime=translating_minutes,
    params:
        settings=translating,
        parts=lambda wildcards: len(sampling_parts(wildcards.arm)),
    shell:
        "keep_memory python -m brightpaint.models.paint.translate --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        ' --compute "$BRIGHTPAINT_COMPUTE"'
        " --threads {threads} --weights {input.weights:q} --stack {input.stack:q} --rows {input.rows:q}"
        " --part {wildcards.part} --parts {params.parts} --predicted {output.stack:q} --seconds {output.seconds:q}"
        " --inversion {output.inversion:q} 2> {log:q}"


keep("models", translated_files)


rule uncertainty:
    """Paint one part of a plate's fields again from other noise, and keep how far the samples lie apart."""
    input:
        weights=weights_of,
        classifier=classifier_of,
        stack="<results>/images/real/{plate}.tif",
        fields=fields_of,
        active=active_of_arm,
        drawn="<results>/images/{arm}/{plate}.tif",
        rows="<results>/images/{arm}/{plate}.parquet",
        vectors=painted_vectors,
    output:
        stack=temp("<results>/parts/uncertainty/{arm}/{plate}/{part}.tif"),
        seconds=temp("<results>/parts/uncertainty/{arm}/{plate}/{part}.tsv"),
    log:
        "<logs>/uncertainty/{arm}/{plate}/{part}.log",
    benchmark:
        "<benchmarks>/uncertainty/{arm}/{plate}/{part}.tsv"
    conda:
        painting_environment
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=gpus,
        mem_mb=by_attempt(painting_mb),
        runtime=spread_minutes,
    params:
        settings=several_samples,
        parts=lambda wildcards: len(sampling_parts(wildcards.arm)),
    shell:
        "keep_memory python -m brightpaint.models.paint.uncertainty --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        ' --compute "$BRIGHTPAINT_COMPUTE"'
        " --threads {threads} --weights {input.weights:q} --classifier {input.classifier:q}"
        " --stack {input.stack:q} --fields {input.fields:q} --active {input.active:q} --drawn {input.drawn:q}"
        " --part {wildcards.part} --parts {params.parts}"
        " --predicted {output.stack:q} --seconds {output.seconds:q} 2> {log:q}"


rule gather:
    """Join the parts of a plate, painted images or their uncertainty, into one stack in the order of the field table."""
    input:
        parts=parts_to_gather(".tif"),
        seconds=parts_to_gather(".tsv"),
        fields=fields_of,
        active=active_of_arm,
    output:
        stack="<results>/{kind}/{arm}/{plate}.tif",
        rows="<results>/{kind}/{arm}/{plate}.parquet",
        seconds="<results>/{kind}/{arm}/{plate}.seconds.tsv",
    log:
        "<logs>/gather/{kind}/{arm}/{plate}.log",
    wildcard_constraints:
        kind="images|uncertainty",
        arm=PAINTED,
    conda:
        "../../envs/brightpaint.yaml"
    shell:
        "python -m brightpaint.models.paint.gather --parts {input.parts:q} --part-seconds {input.seconds:q}"
        " --fields {input.fields:q} --active {input.active:q}"
        " --stack {output.stack:q} --rows {output.rows:q} --seconds {output.seconds:q} 2> {log:q}"


keep("models", painted_files)
