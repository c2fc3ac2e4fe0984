# brightpaint: virtual Cell Painting from brightfield, and how far it can be trusted.
from snakemake.utils import min_version

min_version("9.12")


# A study is one file: --configfile replaces the shipped one, keys and all, and is not merged into it.
if "plates" not in config and not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/functions/arms.smk"
include: "workflow/rules/functions/spaces.smk"
include: "workflow/rules/functions/translations.smk"
include: "workflow/rules/functions/report.smk"
include: "workflow/rules/functions/axes.smk"
include: "workflow/rules/functions/effects.smk"
include: "workflow/rules/functions/generation.smk"
include: "workflow/rules/plates.smk"
include: "workflow/rules/hold_out.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/embedders.smk"
include: "workflow/rules/single_cells.smk"
include: "workflow/rules/critics.smk"
include: "workflow/rules/profiles.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/calibration.smk"
include: "workflow/rules/molecules.smk"
include: "workflow/rules/translation_scores.smk"
include: "workflow/rules/figures/images.smk"
include: "workflow/rules/figures/plots.smk"
include: "workflow/rules/figures/spaces.smk"
include: "workflow/rules/tables.smk"


RUN_LOG = RunLog(workflow, CONFIG["pathvars"]["results"])
if workflow.is_main_process and is_root():
    RUN_LOG.attach(logger)


onstart:
    RUN_LOG.begin(log, planned_seconds)


onsuccess:
    RUN_LOG.end(log, well=True, next_step=report_command())


onerror:
    RUN_LOG.end(log, well=False)


rule all:
    """Everything that the configuration asks for; then `snakemake --report report.html`."""
    default_target: True
    input:
        study_results(),


rule plates:
    """Stop where every plate has been prepared and its flaws are known: `snakemake plates`."""
    input:
        wing_results("plates"),


rule models:
    """Stop where every model has been trained and every arm has painted its plates."""
    input:
        wing_results("models"),


rule features:
    """Stop where cells have been measured and fields embedded, and plates without stains delivered."""
    input:
        wing_results("features"),


rule profiles:
    """Stop where every arm's wells and perturbations have their profiles, and the actives are found."""
    input:
        wing_results("profiles"),


rule scores:
    """Stop where every arm has been scored, before figures and tables."""
    input:
        wing_results("scores"),
