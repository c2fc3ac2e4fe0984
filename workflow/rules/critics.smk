# A critic learnt without labels (StyleGAN2): trained on real images, and the space of its numbers, of fields or of cells.


include: "functions/critics.smk"


rule train_gan:
    """Train a generator and its critic on real fields or crops, without labels."""
    input:
        stacks=gan_stacks,
        fields=gan_fields,
        masks=gan_masks,
    output:
        weights="<results>/gan/weights.safetensors",
        history="<results>/gan/history.jsonl",
        untrained="<results>/gan/untrained.safetensors",
        picture=report(
            "<results>/gan/samples.png",
            category="Training",
            caption="../report/train_gan.rst",
            labels={"figure": "samples of the generator"},
        ),
    log:
        "<logs>/train_gan.log",
    benchmark:
        "<benchmarks>/train_gan.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=CONFIG["compute"]["gpus"],
        mem_mb=by_attempt(limits.gan_mb(STUDY)),
        runtime=by_attempt(limits.gan_minutes(STUDY, RATES)),
    params:
        settings=gan_settings(),
    shell:
        "exec $(launch {resources.gpu}) brightpaint.models.train_gan --settings {params.settings:q}"
        ' --device $BRIGHTPAINT_DEVICE --compute "$BRIGHTPAINT_COMPUTE"'
        " --threads {threads} --stacks {input.stacks:q} --fields {input.fields:q} --weights {output.weights:q}"
        " --history {output.history:q} --untrained {output.untrained:q} --picture {output.picture:q} 2> {log:q}"


keep("features", lambda: [*gan_files("untrained.safetensors", "history.jsonl"), *baseline_files()])
show("features", lambda: gan_files("samples.png"))


rule train_autoencoder:
    """Train an autoencoder of the critic's width on its images, a baseline."""
    input:
        stacks=gan_stacks,
        fields=gan_fields,
        masks=gan_masks,
    output:
        weights="<results>/gan/autoencoder.safetensors",
        history="<results>/gan/autoencoder.jsonl",
    log:
        "<logs>/train_autoencoder.log",
    benchmark:
        "<benchmarks>/train_autoencoder.tsv"
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=CONFIG["compute"]["gpus"],
        mem_mb=by_attempt(limits.gan_mb(STUDY)),
        runtime=by_attempt(limits.gan_minutes(STUDY, RATES)),
    params:
        settings=encoder_settings(*critics.AUTOENCODER),
    shell:
        "exec $(launch {resources.gpu}) brightpaint.models.train_autoencoder --settings {params.settings:q}"
        ' --device $BRIGHTPAINT_DEVICE --compute "$BRIGHTPAINT_COMPUTE"'
        " --threads {threads} --stacks {input.stacks:q} --fields {input.fields:q} --weights {output.weights:q}"
        " --history {output.history:q} 2> {log:q}"


rule fit_pixels:
    """Fit the principal components of the pooled pixels of the critic's images, a baseline."""
    input:
        stacks=gan_stacks,
        fields=gan_fields,
        masks=gan_masks,
    output:
        "<results>/gan/pixels.safetensors",
    log:
        "<logs>/fit_pixels.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=encoder_settings("size_px", "examples"),
    shell:
        "python -m brightpaint.models.fit_pixels --settings {params.settings:q} --threads {threads}"
        " --stacks {input.stacks:q} --fields {input.fields:q} --weights {output:q} 2> {log:q}"


rule fit_imagenet:
    """Make encoders of a network trained on photographs: channel by channel, and channels collapsed to colours."""
    input:
        stacks=gan_stacks,
        fields=gan_fields,
        masks=gan_masks,
        network=CONFIG["gan"]["imagenet"] or [],
    output:
        weights="<results>/gan/imagenet.safetensors",
        collapsed="<results>/gan/imagenet_collapsed.safetensors",
    log:
        "<logs>/fit_imagenet.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=encoder_settings("size_px", "examples"),
    shell:
        "python -m brightpaint.models.fit_imagenet --settings {params.settings:q} --threads {threads}"
        " --stacks {input.stacks:q} --fields {input.fields:q} --network {input.network:q} --weights {output.weights:q}"
        " --collapsed {output.collapsed:q} 2> {log:q}"


rule critic:
    """Take the numbers of a critic, or of a baseline of it, of every field of a plate."""
    input:
        stack=seen_stack,
        rows=seen_rows,
        weights=lambda wildcards: encoder_weights(wildcards.critic),
    output:
        "<results>/critic/{critic}/{arm}/{plate}.parquet",
    log:
        "<logs>/critic/{critic}/{arm}/{plate}.log",
    benchmark:
        "<benchmarks>/critic/{critic}/{arm}/{plate}.tsv"
    wildcard_constraints:
        critic=either(critics.ENCODERS),
        arm="|".join(["real", "brightfield"] + STUDY.arm_names),
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=1,
        mem_mb=by_attempt(8000),
        runtime=by_attempt(240),
    params:
        settings=as_json(critic_settings()),
    shell:
        "python -m brightpaint.features.embedders.critic --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        " --threads {threads} --arm {wildcards.arm} --stack {input.stack:q} --rows {input.rows:q}"
        " --weights {input.weights:q} --table {output:q} 2> {log:q}"


rule critic_cells:
    """Take the numbers of a critic, or of a baseline of it, of every cell of a plate, and the median cell of every field."""
    input:
        crops=cell_table,
        weights=lambda wildcards: encoder_weights(SPACES[wildcards.space].encoder),
        rows=rows_of,
    output:
        cells="<results>/cells/{arm}/{space}/{plate}.parquet",
        medians="<results>/medians/{arm}/{space}/{plate}.parquet",
    log:
        "<logs>/critic_cells/{arm}/{space}/{plate}.log",
    benchmark:
        "<benchmarks>/critic_cells/{arm}/{space}/{plate}.tsv"
    wildcard_constraints:
        space=either(critic_cell_spaces()),
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=1,
        mem_mb=by_attempt(8000),
        runtime=by_attempt(240),
    shell:
        "python -m brightpaint.features.embedders.critic_cells --device $BRIGHTPAINT_DEVICE --threads {threads}"
        " --weights {input.weights:q} --crops {input.crops[0]:q} --rows {input.rows:q}"
        " --cells {output.cells:q} --medians {output.medians:q} 2> {log:q}"


rule own_critic:
    """Take the numbers of a critic, or of a baseline of it, of every crop of one's own."""
    input:
        crops="<results>/own_crops/{own}.tif",
        masks="<results>/own_crops/{own}.masks.tif",
        table="<results>/own_crops/{own}.parquet",
        weights=lambda wildcards: encoder_weights(wildcards.critic),
    output:
        "<results>/own_crops/{own}/{critic}.parquet",
    log:
        "<logs>/own_critic/{own}/{critic}.log",
    wildcard_constraints:
        critic=either(critics.ENCODERS),
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=1,
        mem_mb=by_attempt(8000),
        runtime=by_attempt(240),
    shell:
        "python -m brightpaint.features.embedders.own_critic --device $BRIGHTPAINT_DEVICE --threads {threads}"
        " --weights {input.weights:q} --crops {input.crops:q} --cells {output:q} 2> {log:q}"


keep("features", own_numbers)
