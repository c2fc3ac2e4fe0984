# What the predicted images are worth: a rule a subject (brightpaint.study.subjects), joined by `metrics`.
SCORED = "|".join(["real", "brightfield", "lookup"] + STUDY.arms + TRANSLATED)


keep("scores", kept_scores)


rule score_images:
    """Score an arm's images field by field, and what the spread of its samples foretells."""
    input:
        real=scored_files("<results>/images/real/{plate}.tif"),
        predicted=stacks_to_score,
        fields=scored_files("<results>/fields/{plate}.parquet"),
        uncertainty=uncertainty_to_score,
        active=active_table,
    output:
        table="<results>/scores/images/{arm}.parquet",
        by_field="<results>/scores/images/{arm}.fields.parquet",
    log:
        "<logs>/score_images/{arm}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=as_json({"channels": CONFIG["channels"], "cutoff": CONFIG["prepare"]["cutoff"]}),
        plates=scored_plates,
    shell:
        "python -m brightpaint.scores.images.score_images --settings {params.settings:q} --arm {wildcards.arm}"
        " --plates {params.plates:q} --real {input.real:q} --predicted {input.predicted:q} --fields {input.fields:q}"
        " --uncertainty {input.uncertainty:q} --active {input.active:q}"
        " --table {output.table:q} --by-field {output.by_field:q} 2> {log:q}"


rule score_codec:
    """Score what a codec loses of the stains, and what its latents hold."""
    input:
        weights=codec_weights,
        real=scored_files("<results>/images/real/{plate}.tif"),
        predicted=stacks_to_score,
        fields=scored_files("<results>/fields/{plate}.parquet"),
        active=active_table,
    output:
        "<results>/scores/codec/{arm}.parquet",
    log:
        "<logs>/score_codec/{arm}.log",
    wildcard_constraints:
        arm=either(coded_arms()),
    conda:
        "../../envs/brightpaint.yaml"
    threads: CONFIG["compute"]["torch_threads"]
    resources:
        gpu=1,
        mem_mb=by_attempt(8000),
        runtime=by_attempt(240),
    params:
        settings=as_json({"channels": CONFIG["channels"]}),
        plates=scored_plates,
    shell:
        "python -m brightpaint.scores.images.score_codec --settings {params.settings:q} --device $BRIGHTPAINT_DEVICE"
        " --threads {threads} --arm {wildcards.arm} --plates {params.plates:q} --weights {input.weights:q}"
        " --real {input.real:q} --predicted {input.predicted:q} --fields {input.fields:q} --active {input.active:q}"
        " --table {output:q} 2> {log:q}"


rule score_frechet:
    """Score how far an arm's images, taken together, lie from the real ones: FID and KID."""
    input:
        real=inception_tables("real"),
        painted=inception_tables(None),
        brightfield=inception_tables("brightfield"),
        active=active_table,
    output:
        "<results>/scores/frechet/{arm}.parquet",
    log:
        "<logs>/score_frechet/{arm}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        plates=scored_plates,
    shell:
        "python -m brightpaint.scores.images.score_frechet --arm {wildcards.arm} --plates {params.plates:q}"
        " --real {input.real:q} --painted {input.painted:q} --brightfield {input.brightfield:q}"
        " --active {input.active:q} --table {output:q} 2> {log:q}"


rule score_counts:
    """Score how many cells are found in an arm's images."""
    input:
        medians=scored_files(MAIN.table),
        real=MAIN.tables("real", STUDY.profile_plates("real")),
        active=active_table,
    output:
        "<results>/scores/counts/{arm}.parquet",
    log:
        "<logs>/score_counts/{arm}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        plates=scored_plates,
    shell:
        "python -m brightpaint.scores.cells.score_counts --arm {wildcards.arm} --plates {params.plates:q}"
        " --medians {input.medians:q} --real {input.real:q} --active {input.active:q} --table {output:q} 2> {log:q}"


rule score_objects:
    """Score where nuclei and cells are found in an arm's images."""
    input:
        masks=scored_files("<results>/masks/{arm}/{plate}.tif"),
        real=scored_files("<results>/masks/real/{plate}.tif"),
        fields=scored_files("<results>/fields/{plate}.parquet"),
        active=active_table,
    output:
        table="<results>/scores/objects/{arm}.parquet",
        by_field="<results>/scores/objects/{arm}.fields.parquet",
    log:
        "<logs>/score_objects/{arm}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        plates=scored_plates,
    shell:
        "python -m brightpaint.scores.cells.score_objects --arm {wildcards.arm} --plates {params.plates:q}"
        " --masks {input.masks:q} --real {input.real:q} --fields {input.fields:q} --active {input.active:q}"
        " --table {output.table:q} --by-field {output.by_field:q} 2> {log:q}"


rule score_distances:
    """Score how far an arm's fields lie from the real ones as a distribution, in a space."""
    input:
        real=lambda wildcards: SPACES[wildcards.space].tables("real", SPACES[wildcards.space].plates(STUDY, "real")),
        painted=lambda wildcards: SPACES[wildcards.space].tables(wildcards.arm, scored_plates(wildcards)),
        selection=lambda wildcards: selection_of(SPACES[wildcards.space]),
        active=active_table,
    output:
        "<results>/scores/distances/{space}/{arm}.parquet",
    log:
        "<logs>/score_distances/{space}/{arm}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        plates=scored_plates,
    shell:
        "python -m brightpaint.scores.profiles.score_distances --space {wildcards.space} --arm {wildcards.arm}"
        " --plates {params.plates:q} --real {input.real:q} --painted {input.painted:q}"
        " --selection {input.selection:q} --active {input.active:q} --table {output:q} 2> {log:q}"


rule score_profiles:
    """Score an arm's profiles in a space: matches, retrieval, correlation with the real ones."""
    input:
        real=compared_profiles,
        profiles="<results>/profiles/{arm}/{space}/perturbations.parquet",
        fields=scored_files("<results>/fields/{plate}.parquet"),
        active=active_table,
    output:
        "<results>/scores/profiles/{space}/{arm}.parquet",
    log:
        "<logs>/score_profiles/{space}/{arm}.log",
    wildcard_constraints:
        arm=SCORED,
    conda:
        "../../envs/brightpaint.yaml"
    params:
        plates=scored_in_space,
    shell:
        "python -m brightpaint.scores.profiles.score_profiles --space {wildcards.space} --arm {wildcards.arm}"
        " --plates {params.plates:q} --real {input.real:q} --profiles {input.profiles:q} --fields {input.fields:q}"
        " --active {input.active:q} --table {output:q} 2> {log:q}"


rule score_cellnet:
    """Score how well the classifier of real cells tells an arm's cells, and whether it looks at them."""
    input:
        cells="<results>/scores/cellnet/{arm}.cells.parquet",
        looked=looked_cells,
    output:
        "<results>/scores/cellnet/{arm}.parquet",
    log:
        "<logs>/score_cellnet/{arm}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        plates=scored_plates,
        subset=subset_painted,
    shell:
        "python -m brightpaint.scores.cells.score_cellnet --arm {wildcards.arm} --plates {params.plates:q}"
        " --subset {params.subset:q} --cells {input.cells:q} --looked {input.looked:q} --table {output:q} 2> {log:q}"


rule score_failed:
    """Score how often an arm paints the phenotype of a compound that failed, on simulated plates."""
    input:
        truth=truth_tables,
        real=f"<results>/profiles/real/{MAIN.name}/wells.parquet",
        profiles=wells_or_lookup,
        active=active_table,
    output:
        "<results>/scores/failed/{arm}.parquet",
    log:
        "<logs>/score_failed/{arm}.log",
    wildcard_constraints:
        arm=SCORED,
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=as_json({"training": STUDY.lookup_plates()}),
        plates=scored_plates,
    shell:
        "python -m brightpaint.scores.profiles.score_failed --settings {params.settings:q} --arm {wildcards.arm}"
        " --plates {params.plates:q} --truth {input.truth:q} --real {input.real:q} --profiles {input.profiles:q}"
        " --active {input.active:q} --table {output:q} 2> {log:q}"


rule metrics:
    """Join an arm's scores into one table, and those of its single fields into another."""
    input:
        scores=lambda wildcards: subjects.score_tables(STUDY, wildcards.arm),
        fields=lambda wildcards: subjects.field_tables(STUDY, wildcards.arm),
    output:
        metrics="<results>/metrics/{arm}.parquet",
        by_field="<results>/metrics/{arm}.fields.parquet",
    log:
        "<logs>/metrics/{arm}.log",
    wildcard_constraints:
        arm=SCORED,
    conda:
        "../../envs/brightpaint.yaml"
    params:
        plates=scored_plates,
    shell:
        "python -m brightpaint.scores.metrics --plates {params.plates:q} --scores {input.scores:q}"
        " --fields {input.fields:q} --metrics {output.metrics:q} --by-field {output.by_field:q} 2> {log:q}"


rule sweep:
    """Compare samplers and step counts on the same weights and fields."""
    input:
        real="<results>/images/real/{plate}.tif",
        fields="<results>/sweep/fields/{plate}.parquet",
        predicted=expand("<results>/images/{point}/{{plate}}.tif", point=SWEPT),
        seconds=expand("<results>/images/{point}/{{plate}}.seconds.tsv", point=SWEPT),
        medians=sweep_medians(SWEPT),
        real_medians=sweep_medians(["real"]),
        training=sweep_training,
        selection=selection_of(MAIN) if sweep_measured() else [],
    output:
        "<results>/sweep/{plate}.parquet",
    log:
        "<logs>/sweep/{plate}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: sweep_settings(),
    shell:
        "python -m brightpaint.scores.images.sweep --settings {params.settings:q} --real {input.real:q}"
        " --fields {input.fields:q} --predicted {input.predicted:q} --seconds {input.seconds:q}"
        " --medians {input.medians:q} --real-medians {input.real_medians:q} --training {input.training:q}"
        " --selection {input.selection:q} --metrics {output:q} 2> {log:q}"


keep("scores", lambda: [f"<results>/sweep/{STUDY.sweep_plate}.parquet"] if SWEPT else [])


rule effects:
    """Measure what each condition does to what is painted, by linear probes of real fields."""
    input:
        painted=effect_tables,
        real=lambda wildcards: SPACES[wildcards.space].tables("real", effect_plates(wildcards)["real"]),
        fields=lambda wildcards: expand("<results>/fields/{plate}.parquet", plate=effect_plates(wildcards)["real"]),
    output:
        "<results>/effects/{effect}/{space}.tsv",
    log:
        "<logs>/effects/{effect}/{space}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=effect_settings,
    shell:
        "python -m brightpaint.scores.effects.effects --settings {params.settings:q} --space {wildcards.space}"
        " --real {input.real:q} --fields {input.fields:q} --painted {input.painted:q} --table {output:q} 2> {log:q}"


keep("scores", lambda: effect_files("<results>/effects/{name}/{space}.tsv"))


rule generation:
    """Score treatments painted from conditions alone as populations, beside what molecules and real images say without them."""
    input:
        painted=lambda wildcards: SPACES[wildcards.space].tables(wildcards.arm, STUDY.test_plates(wildcards.arm)),
        real=lambda wildcards: SPACES[wildcards.space].tables("real", compared_plates(wildcards.arm)),
        held_out=generation_held,
        selection=lambda wildcards: selection_of(SPACES[wildcards.space]),
    output:
        table="<results>/generation/{arm}/{space}.tsv",
        treatments="<results>/generation/{arm}/{space}.treatments.tsv",
    log:
        "<logs>/generation/{arm}/{space}.log",
    wildcard_constraints:
        arm=either(STUDY.generations),
    conda:
        generation_environment
    params:
        settings=generation_settings,
        plates=lambda wildcards: STUDY.test_plates(wildcards.arm),
    shell:
        "python -m brightpaint.scores.generation.generation --settings {params.settings:q} --space {wildcards.space}"
        " --arm {wildcards.arm} --plates {params.plates:q} --painted {input.painted:q} --real {input.real:q}"
        " --held-out {input.held_out:q} --selection {input.selection:q} --table {output.table:q}"
        " --treatments {output.treatments:q} 2> {log:q}"


rule generated_images:
    """Set images of treatments painted from conditions alone beside real ones: the sliced Wasserstein distance of their patches."""
    input:
        painted=lambda wildcards: expand(
            "<results>/images/{arm}/{plate}.tif", arm=wildcards.arm, plate=STUDY.test_plates(wildcards.arm)
        ),
        rows=lambda wildcards: expand(
            "<results>/generated/{arm}/{plate}.parquet", arm=wildcards.arm, plate=STUDY.test_plates(wildcards.arm)
        ),
        real=lambda wildcards: expand("<results>/images/real/{plate}.tif", plate=compared_plates(wildcards.arm)),
        fields=lambda wildcards: expand("<results>/fields/{plate}.parquet", plate=compared_plates(wildcards.arm)),
        held_out=generation_held,
    output:
        "<results>/generation/{arm}/images.tsv",
    log:
        "<logs>/generated_images/{arm}.log",
    wildcard_constraints:
        arm=either(STUDY.generations),
    conda:
        generation_environment
    params:
        settings=generated_settings,
        plates=lambda wildcards: STUDY.test_plates(wildcards.arm),
    shell:
        "python -m brightpaint.scores.generation.generated_images --settings {params.settings:q} --arm {wildcards.arm}"
        " --plates {params.plates:q} --painted {input.painted:q} --rows {input.rows:q} --real {input.real:q}"
        " --fields {input.fields:q} --held-out {input.held_out:q} --table {output:q} 2> {log:q}"


keep(
    "scores",
    lambda: generation_files(
        "<results>/generation/{arm}/{space}.tsv", "<results>/generation/{arm}/{space}.treatments.tsv"
    )
    + generated_scores(),
)
