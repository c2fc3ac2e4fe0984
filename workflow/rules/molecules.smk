# What molecules say of real profiles without any image, where a model is told molecules.


rule from_molecules:
    """Foretell real profiles of held-out scaffolds, doses and combinations from molecules alone, by every encoder."""
    input:
        profiles="<results>/profiles/real/{space}/perturbations.parquet",
        vectors=[entry["vectors"] for entry in told_molecules.encoders(STUDY) if entry["vectors"]],
    output:
        "<results>/scores/from_molecules/{space}.tsv",
    log:
        "<logs>/from_molecules/{space}.log",
    benchmark:
        "<benchmarks>/from_molecules/{space}.tsv"
    conda:
        "../../envs/molecules.yaml"
    params:
        encoders=as_json(told_molecules.encoders(STUDY)),
    shell:
        "python -m brightpaint.scores.profiles.from_molecules --profiles {input.profiles:q} --split all"
        " --encoders {params.encoders:q} --shuffles 20 --scores {output:q} 2> {log:q}"


keep("scores", lambda: [f"<results>/scores/from_molecules/{space}.tsv" for space in told_molecules.spaces(STUDY)])


rule molecules_table:
    """Lay encoders of molecules side by side by what they foretell of real profiles without any image."""
    input:
        expand("<results>/scores/from_molecules/{space}.tsv", space=told_molecules.spaces(STUDY)),
    output:
        html=report(
            "<results>/tables/molecules.html",
            category="Metrics",
            subcategory="Tables",
            caption="../report/molecules_table.rst",
            labels={"table": "what molecules foretell"},
        ),
        tsv="<results>/tables/molecules.tsv",
    log:
        "<logs>/molecules_table.log",
    conda:
        "../../envs/brightpaint.yaml"
    shell:
        "python -m brightpaint.report.tables.molecules_table --scores {input:q} --html {output.html:q}"
        " --tsv {output.tsv:q} 2> {log:q}"


show("tables", lambda: ["<results>/tables/molecules.html"] if told_molecules.spaces(STUDY) else [])
