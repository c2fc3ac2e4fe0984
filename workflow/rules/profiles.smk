# From numbers of cells and fields to what a compound does, in every space (brightpaint.study.spaces).


keep("profiles", kept_profiles)


rule select:
    """Select features on real images; every arm is profiled on them."""
    input:
        fitted_tables("select"),
    output:
        "<results>/selection/{space}.tsv",
    log:
        "<logs>/select/{space}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=fitted_settings("select"),
    shell:
        "python -m brightpaint.profiles.select --space {wildcards.space} --settings {params.settings:q} --tables {input:q}"
        " --selection {output:q} 2> {log:q}"


rule profile:
    """Normalise an arm's fields in a space and take the median of each well and perturbation (or treatment)."""
    input:
        tables=space_tables,
        reference=sphering_tables,
        selection=lambda wildcards: selection_of(SPACES[wildcards.space]),
    output:
        wells="<results>/profiles/{arm}/{space}/wells.parquet",
        perturbations="<results>/profiles/{arm}/{space}/perturbations.parquet",
    log:
        "<logs>/profile/{arm}/{space}.log",
    wildcard_constraints:
        arm="|".join(["real", "brightfield"] + STUDY.arms + STUDY.generations),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=profile_settings,
    shell:
        "python -m brightpaint.profiles.profile --space {wildcards.space} --settings {params.settings:q}"
        " --tables {input.tables:q} --reference {input.reference:q} --selection {input.selection:q}"
        " --wells {output.wells:q} --perturbations {output.perturbations:q} 2> {log:q}"


rule as_anndata:
    """Write a table of profiles as AnnData, which scanpy opens, where the config asks for it."""
    input:
        "<results>/profiles/{arm}/{space}/{rows}.parquet",
    output:
        "<results>/profiles/{arm}/{space}/{rows}.h5ad",
    log:
        "<logs>/as_anndata/{arm}/{space}/{rows}.log",
    wildcard_constraints:
        arm="|".join([*REFERENCES, LOOKUP, *STUDY.arms]),
        rows="wells|perturbations",
    conda:
        "../../envs/formats.yaml"
    params:
        settings=described_profiles,
    shell:
        "python -m brightpaint.profiles.as_anndata --space {wildcards.space} --arm {wildcards.arm}"
        " --settings {params.settings:q} --profiles {input:q} --h5ad {output:q} 2> {log:q}"


show("profiles", annotated_profiles)


rule active:
    """Find the active perturbations, from real cells only."""
    input:
        medians=fitted_tables("active"),
        selection=selection_of(MAIN),
    output:
        perturbations="<results>/active/perturbations.tsv",
        wells="<results>/active/wells.parquet",
        agreement="<results>/active/agreement.tsv",
    log:
        "<logs>/active.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=fitted_settings("active"),
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
        settings=as_json({"plates": STUDY.lookup_plates()}),
    shell:
        "python -m brightpaint.profiles.lookup --settings {params.settings:q} --profiles {input:q}"
        " --perturbations {output:q} 2> {log:q}"


rule doses:
    """Fit a dose-response curve to every compound of an arm in a space, where that is warranted."""
    input:
        "<results>/profiles/{arm}/{space}/wells.parquet",
    output:
        table="<results>/doses/{arm}/{space}.tsv",
        points="<results>/doses/{arm}/{space}.points.tsv",
    log:
        "<logs>/doses/{arm}/{space}.log",
    wildcard_constraints:
        arm="|".join(["real", "brightfield"] + STUDY.arms),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=dose_settings(),
    shell:
        "python -m brightpaint.profiles.doses --space {wildcards.space} --settings {params.settings:q} --wells {input:q}"
        " --table {output.table:q} --points {output.points:q} 2> {log:q}"


keep("profiles", lambda: dose_files("<results>/doses/{arm}/{space}.tsv", "<results>/doses/{arm}/{space}.points.tsv"))


rule axis:
    """Find the axis between two classes of an arm's wells in a space, and place every well and treatment on it."""
    input:
        "<results>/profiles/{arm}/{space}/wells.parquet",
    output:
        placed="<results>/axis/{axis}/{arm}/{space}.wells.tsv",
        treatments="<results>/axis/{axis}/{arm}/{space}.treatments.tsv",
        accuracy="<results>/axis/{axis}/{arm}/{space}.accuracy.tsv",
    log:
        "<logs>/axis/{axis}/{arm}/{space}.log",
    benchmark:
        "<benchmarks>/axis/{axis}/{arm}/{space}.tsv"
    wildcard_constraints:
        arm="|".join(["real", "brightfield"] + STUDY.arms),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=lambda wildcards: entry_of("axes", wildcards),
    shell:
        "python -m brightpaint.profiles.axis --space {wildcards.space} --settings {params.settings:q} --wells {input:q}"
        " --placed {output.placed:q} --treatments {output.treatments:q} --accuracy {output.accuracy:q} 2> {log:q}"


keep(
    "profiles",
    lambda: axis_files(
        "axes",
        *(f"<results>/axis/{{name}}/{{arm}}/{{space}}.{table}.tsv" for table in ("wells", "treatments", "accuracy")),
    ),
)


rule axis_doses:
    """Fit a dose-response curve along an axis to every compound of an arm in a space, where the score changes with the dose."""
    input:
        "<results>/axis/{axis}/{arm}/{space}.wells.tsv",
    output:
        table="<results>/axis/{axis}/{arm}/{space}.doses.tsv",
        means="<results>/axis/{axis}/{arm}/{space}.means.tsv",
    log:
        "<logs>/axis_doses/{axis}/{arm}/{space}.log",
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=as_json({key: CONFIG["doses"][key] for key in ("min_doses", "alpha", "draws", "slope")}),
    shell:
        "python -m brightpaint.profiles.axis_doses --settings {params.settings:q} --placed {input:q} --table {output.table:q}"
        " --means {output.means:q} 2> {log:q}"


keep(
    "profiles",
    lambda: dosed_axes(*(f"<results>/axis/{{name}}/{{arm}}/{{space}}.{table}.tsv" for table in ("doses", "means"))),
)


rule zero_shot:
    """Tell classes of wells apart in the numbers of a space that was not made for them."""
    input:
        wells=told_apart_wells,
        own=lambda wildcards: f"<results>/profiles/{wildcards.arm}/{wildcards.space}/wells.parquet",
    output:
        confusion="<results>/zero_shot/{axis}/{arm}/{space}.confusion.tsv",
        accuracy="<results>/zero_shot/{axis}/{arm}/{space}.accuracy.tsv",
    log:
        "<logs>/zero_shot/{axis}/{arm}/{space}.log",
    wildcard_constraints:
        arm="|".join(["real", "brightfield"] + STUDY.arms),
    conda:
        "../../envs/brightpaint.yaml"
    params:
        settings=zero_shot_settings,
    shell:
        "python -m brightpaint.profiles.zero_shot --space {wildcards.space} --settings {params.settings:q}"
        " --wells {input.wells:q} --own {input.own:q} --confusion {output.confusion:q} --accuracy {output.accuracy:q} 2> {log:q}"


keep(
    "profiles",
    lambda: axis_files(
        "zero_shot",
        *(f"<results>/zero_shot/{{name}}/{{arm}}/{{space}}.{table}.tsv" for table in ("confusion", "accuracy")),
    ),
)
