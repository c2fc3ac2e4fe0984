# The class-guided image-to-image diffusion model: train it, sample from it, gather the parts.


rule train:
    """Train a model on every study plate that the fold does not test."""
    input:
        stacks=training_stacks,
        fields=training_fields,
        active=active_of("models", "model"),
    output:
        weights="<results>/models/{model}/{fold}/weights.safetensors",
        history="<results>/models/{model}/{fold}/history.jsonl",
    log:
        "<logs>/train/{model}/{fold}.log",
    benchmark:
        "<benchmarks>/train/{model}/{fold}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=gpus,
        mem_mb=by_attempt(16000),
        runtime=2880,
    params:
        settings=lambda wildcards: settings("train", wildcards.model, wildcards.fold),
    shell:
        "$(launch {resources.gpu}) brightpaint.models.train --settings {params.settings:q}"
        ' --device $BRIGHTPAINT_DEVICE --compute "$BRIGHTPAINT_COMPUTE"'
        " --threads {threads} --stacks {input.stacks:q} --fields {input.fields:q} --active {input.active:q}"
        " --weights {output.weights:q} --history {output.history:q} 2> {log:q}"


rule train_classifier:
    """Train a classifier of noised images, for classifier guidance."""
    input:
        stacks=training_stacks,
        fields=training_fields,
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
        mem_mb=by_attempt(16000),
        runtime=2880,
    params:
        settings=lambda wildcards: settings("train_classifier", wildcards.classifier, wildcards.fold),
    shell:
        "$(launch {resources.gpu}) brightpaint.models.train_classifier --settings {params.settings:q}"
        ' --device $BRIGHTPAINT_DEVICE --compute "$BRIGHTPAINT_COMPUTE"'
        " --threads {threads} --stacks {input.stacks:q} --fields {input.fields:q} --active {input.active:q}"
        " --weights {output.weights:q} --history {output.history:q} 2> {log:q}"


rule sample:
    """Paint the stains of one part of a plate's fields."""
    input:
        weights=weights_of,
        classifier=classifier_of,
        stack="<results>/images/real/{plate}.tif",
        fields="<results>/fields/{plate}.parquet",
        active=active_of_arm,
    output:
        temp("<results>/parts/images/{arm}/{plate}/{part}.tif"),
    log:
        "<logs>/sample/{arm}/{plate}/{part}.log",
    benchmark:
        "<benchmarks>/sample/{arm}/{plate}/{part}.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=gpus,
        mem_mb=by_attempt(16000),
        runtime=720,
    params:
        settings=lambda wildcards: settings("sample", wildcards.arm),
        parts=CONFIG["sample"]["parts"],
    shell:
        "python -m brightpaint.models.sample --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        " --threads {threads} --weights {input.weights:q} --classifier {input.classifier:q}"
        " --stack {input.stack:q} --fields {input.fields:q} --active {input.active:q}"
        " --part {wildcards.part} --parts {params.parts} --predicted {output:q} 2> {log:q}"


rule gather:
    """Join the sampled parts of a plate into one stack, in the order of the field table."""
    input:
        parts=expand("<results>/parts/images/{{arm}}/{{plate}}/{part}.tif", part=parts("sample")),
        fields="<results>/fields/{plate}.parquet",
        active=active_of_arm,
    output:
        stack="<results>/images/{arm}/{plate}.tif",
        rows="<results>/images/{arm}/{plate}.parquet",
    log:
        "<logs>/gather/{arm}/{plate}.log",
    wildcard_constraints:
        arm="|".join(STUDY.arms),
    conda:
        "../../envs/brightpaint.yaml"
    shell:
        "python -m brightpaint.models.gather --parts {input.parts:q} --fields {input.fields:q}"
        " --active {input.active:q} --stack {output.stack:q} --rows {output.rows:q} 2> {log:q}"
