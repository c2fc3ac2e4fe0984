# brightpaint: virtual Cell Painting from brightfield, and how far it can be trusted.
from snakemake.utils import min_version

min_version("9.0")


# A study is one file: --configfile replaces the shipped one, keys and all, and is not merged into it.
if "plates" not in config and not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/arms.smk"
include: "workflow/rules/results.smk"
include: "workflow/rules/plates.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/profiles.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tables.smk"


rule all:
    """Everything that the configuration asks for; then `snakemake --report report.html`."""
    default_target: True
    input:
        study_results(),
