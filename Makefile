# make demo: simulated plates to results/demo/report.html.   make test: lint and tests.
SHELL := bash
CORES ?= $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || echo 2)
# The environments come first on the PATH; an activated one of the user's is not needed.
RUN := env PATH="$(CURDIR)/.venv/bin:$(PATH)"

CONFIG ?= config/config.yaml
# A core a worker of the tests, and one worker more where they run on SLURM, which wait for it more than they work.
WORKERS ?= $(shell echo $$(( $(CORES) + $(if $(filter 1 try,$(BRIGHTPAINT_SLURM)),1,0) )))
# With bytecode on the disk, where the environment forbids it: else each worker writes all assertions anew (10 CPU-s).
PYTEST := $(RUN) env -u PYTHONDONTWRITEBYTECODE python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=30

.PHONY: demo plan rulegraph test test-slurm demo-slurm lint environments cellpose-environment clean-demo help

help:
	@echo "make demo          simulated plates to results/demo/report.html (16 to 19 minutes on 2 cores)"
	@echo "make plan          jobs, hours, bytes and what is missing, before anything runs (CONFIG=config/config.yaml)"
	@echo "make test          lint, unit tests, dry runs and a small end-to-end run"
	@echo "make test-slurm    the tests on a real single-node SLURM (root on Debian)"
	@echo "make demo-slurm    the demo through the SLURM profile, on the cluster that sbatch finds here"
	@echo "make rulegraph     draw docs/rulegraph.md again"
	@echo "make test-all      the same, the long tests that CI runs too, sweeps in full, and thirty kills of a study in every rule"
	@echo "make environments  build .venv and .envs/cellprofiler, once"
	@echo "make cellpose-environment  build .envs/cellpose, for cellprofiler.segmentation: cellpose alone"
	@echo "make clean-demo    forget the demo's results and plates"

environments:
	@envs/build.sh check
	@envs/build.sh main
	@envs/build.sh cellprofiler

cellpose-environment:
	@envs/build.sh cellpose

demo: environments
	@$(RUN) snakemake --cores $(CORES) --configfile config/demo.yaml --show-failed-logs
	@$(RUN) workflow/report/make.sh config/demo.yaml results/demo

plan: environments
	@$(RUN) PYTHONPATH=src python -m brightpaint.plan --config $(CONFIG)

rulegraph: environments
	@$(RUN) PYTHONPATH=src python -m brightpaint.plan.rulegraph

demo-slurm: environments
	@$(RUN) tests/slurm/demo.sh

lint: environments
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) snakefmt --check Snakefile workflow
	$(RUN) snakemake --lint --configfile config/demo.yaml

test: lint
	@envs/build.sh oracle
	$(PYTEST) $(if $(filter 1,$(BRIGHTPAINT_LONG)),-m "not exhaustive")

test-all: lint
	@envs/build.sh oracle
	$(PYTEST) -m ""

test-slurm: environments
	$(RUN) BRIGHTPAINT_SLURM=1 python -m pytest -rs tests/slurm

clean-demo:
	rm -rf results/demo resources/demo
