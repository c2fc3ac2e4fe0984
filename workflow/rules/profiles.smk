# From numbers of cells and fields to what a compound does.


rule select:
    """Select features on real images; every arm is profiled on them."""
    input:
        real_medians("select"),
    output:
        "<results>/selection/cellprofiler.tsv",
    log:
        "<logs>/select/cellprofiler.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: settings("select"),
    shell:
        "python -m brightpaint.profiles.select --settings {params.settings:q} --medians {input:q}"
        " --selection {output:q} 2> {log:q}"


rule profile:
    """Normalise an arm's fields and take the median of each well and perturbation."""
    input:
        medians=medians_of,
        reference=sphering_medians,
        selection="<results>/selection/cellprofiler.tsv",
    output:
        wells="<results>/profiles/{arm}/cellprofiler/wells.parquet",
        perturbations="<results>/profiles/{arm}/cellprofiler/perturbations.parquet",
    log:
        "<logs>/profile/{arm}/cellprofiler.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: settings("profile"),
    shell:
        "python -m brightpaint.profiles.profile --settings {params.settings:q} --medians {input.medians:q}"
        " --reference {input.reference:q} --selection {input.selection:q}"
        " --wells {output.wells:q} --perturbations {output.perturbations:q} 2> {log:q}"


rule profile_embeddings:
    """Take the median embedding of each well and perturbation of an arm."""
    input:
        embeddings_of,
    output:
        wells="<results>/profiles/{arm}/dino/wells.parquet",
        perturbations="<results>/profiles/{arm}/dino/perturbations.parquet",
    log:
        "<logs>/profile/{arm}/dino.log",
    wildcard_constraints:
        arm="|".join(["real", "brightfield"] + STUDY.arms),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=settings("profile_embeddings"),
    shell:
        "python -m brightpaint.profiles.profile_embeddings --settings {params.settings:q} --embeddings {input:q}"
        " --wells {output.wells:q} --perturbations {output.perturbations:q} 2> {log:q}"


rule active:
    """Find the active perturbations, from real cells only."""
    input:
        medians=real_medians("active"),
        selection="<results>/selection/cellprofiler.tsv",
    output:
        perturbations="<results>/active/perturbations.tsv",
        wells="<results>/active/wells.parquet",
        agreement="<results>/active/agreement.tsv",
    log:
        "<logs>/active.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: settings("active"),
    shell:
        "python -m brightpaint.profiles.active --settings {params.settings:q} --medians {input.medians:q}"
        " --selection {input.selection:q} --active {output.perturbations:q} --wells {output.wells:q}"
        " --agreement {output.agreement:q} 2> {log:q}"


rule lookup:
    """Profile the test plates without looking at them: each perturbation's mean on the training plates."""
    input:
        "<results>/profiles/real/{space}/perturbations.parquet",
    output:
        "<results>/profiles/lookup/{space}/perturbations.parquet",
    log:
        "<logs>/lookup/{space}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: settings("lookup"),
    shell:
        "python -m brightpaint.profiles.lookup --settings {params.settings:q} --profiles {input:q}"
        " --perturbations {output:q} 2> {log:q}"
