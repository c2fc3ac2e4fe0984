"""Say what a study will take before it runs: jobs, hours of CPU and GPU, bytes, and what is missing on this machine.

    python -m brightpaint.plan --config config/config.yaml

Jobs come from Snakemake's own dry run of the whole study, hours and bytes from `brightpaint.plan.costs`. Nothing is
written and no network is asked.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from brightpaint.base import cli
from brightpaint.plan.checks import Check, checks
from brightpaint.plan.costs import Costs, costs, hours
from brightpaint.plan.extent import Extent, extents
from brightpaint.plan.painting import read_rates
from brightpaint.study.study import Study

ROOT = Path(__file__).parents[3]
LEAST_MINUTES = 30  # of a part: starts and polls of the cluster stay under 5% of it (docs/performance.md)
PARTED = {
    "sample": "sample",
    "cellprofiler": "cellprofiler",
    "engine": "cellprofiler",
}  # rule: config section that says its parts


def planned_jobs(output: str) -> dict[str, int]:
    """Return {rule: jobs} from the `Job stats:` table of a dry run, in its order and without `all`."""
    lines = iter(output.splitlines())
    jobs: dict[str, int] = {}
    for line in lines:
        if line.strip() == "Job stats:":
            break
    for line in lines:
        words = line.split()
        if len(words) == 2 and words[1].isdigit():
            if words[0] == "total":
                break
            jobs[words[0]] = int(words[1])
    if not jobs:
        raise ValueError(f"snakemake -n printed no job stats; type it yourself to see why\n{output[-2000:]}")
    jobs.pop("all", None)
    return jobs


def dry_run(config: Path) -> dict[str, int]:
    """Return {rule: jobs} of the whole study, whatever of it has been made."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", str(config)]
    command += ["-n", "--forceall", "--quiet", "rules", "--nolock"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise ValueError(f"snakemake -n ended with {done.returncode}\n{done.stdout[-2000:]}")
    return planned_jobs(done.stdout)


def network_jobs(study: Study, jobs: dict[str, int]) -> int:
    """Sampling jobs that run a network; the others paint the floors, in seconds."""
    plates = {arm: len(study.test_plates(arm) + study.predict_plates(arm)) for arm in study.arms}
    network = sum(count for arm, count in plates.items() if study.kind_of(arm).gpu)
    return jobs.get("sample", 0) * network // max(sum(plates.values()), 1)


def parts_said(study: Study, jobs: dict[str, int], table: dict[str, tuple[float, float]]) -> list[str]:
    """Say how long one part of sampling and of CellProfiler lasts, and which number of parts makes it half an hour."""
    said = []
    for rule, section in PARTED.items():
        count = network_jobs(study, jobs) if rule == "sample" else jobs.get(rule, 0)
        if not count:
            continue
        minutes, parts = 60 * max(table[rule]) / count, study.config[section]["parts"]
        line = f"{section}.parts: {parts} makes {count} jobs of {minutes:,.1f} minutes in the mean"
        fewer = max(1, int(parts * minutes / LEAST_MINUTES))
        if minutes < LEAST_MINUTES and fewer < parts:
            line += f"; on a cluster {fewer} would do ({LEAST_MINUTES} minutes or more, docs/performance.md)"
        said.append(line)
    return said


def as_text(
    study: Study, sizes: dict[str, Extent], jobs: dict[str, int], found: Costs, rates: dict, on_gpu: bool
) -> str:
    """Return the plan as a table and a few lines."""
    table = hours(found, jobs, rates, on_gpu)
    lines = [f"{'rule':<20}{'jobs':>8}{'CPU-hours':>12}{'GPU-hours':>12}"]
    for rule, (cpu, gpu) in sorted(table.items(), key=lambda item: -sum(item[1])):
        lines.append(f"{rule:<20}{jobs[rule]:>8,}{cpu:>12,.2f}" + (f"{gpu:>12,.2f}" if gpu else f"{'':>12}"))
    cpu, gpu = (sum(column) for column in zip(*table.values()))
    lines += [f"{'total':<20}{sum(jobs.values()):>8,}{cpu:>12,.2f}{gpu:>12,.2f}", ""]
    known = sorted({extent.known for extent in sizes.values()})
    fields = sum(extent.fields for extent in sizes.values())
    lines += [
        f"plates     {len(sizes)}, {fields:,} fields (known from: {', '.join(known)})",
        f"download   {found.download / 1e9:,.1f} GB",
        f"disk       {found.kept / 1e9:,.1f} GB at the end, {found.peak / 1e9:,.1f} GB at most if all plates go abreast",
    ]
    if gpu:
        lines.append(
            f"GPU-hours  an estimate, at {rates['gpu_tflops']:g} TFLOP/s (resources/rates.tsv); --gpu-tflops sets your card's"
        )
    return "\n".join([*lines, *(f"parts      {line}" for line in parts_said(study, jobs, table))])


def card_gb() -> float:
    """Return the memory of this machine's first GPU in GB, 0 without one."""
    import torch

    return torch.cuda.get_device_properties(0).total_memory / 1e9 if torch.cuda.is_available() else 0.0


def batch_line(study: Study, sizes: dict[str, Extent], gpu_gb: float) -> list[str]:
    """Say which `sample.batch` fits a card, by the largest part of a plate that an arm of a network paints."""
    from brightpaint.plan.card_memory import batch_said  # torch and the networks

    painted = {plate: arm for arm in study.arms for plate in study.test_plates(arm) + study.predict_plates(arm)}
    most = max((sizes[plate].tiles for plate in painted), default=0)
    return [
        f"batch      {line}" for line in batch_said(study, -(-most // study.config["sample"]["parts"]), gpu_gb * 1e9)
    ]


def checks_text(found: list[Check]) -> str:
    """Return the checks, one a line, what is missing first."""
    lines = [
        f"{'ok' if check.there else 'MISSING':<9}{check.what}: {check.said}"
        for check in sorted(found, key=lambda c: c.there)
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Print what a study will take."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--config", type=Path, default=Path("config/config.yaml"))
    parser.add_argument("--gpu-tflops", type=float, default=None, help="TFLOP/s that your card sustains in training")
    parser.add_argument(
        "--gpu-gb",
        type=float,
        default=None,
        help="memory of your card, GB; else that of this machine's",
    )
    args = parser.parse_args(argv)
    if not args.config.exists():
        raise ValueError(f"{args.config}: there is no such config; type make plan CONFIG=its/path")
    study = Study.load(yaml.safe_load(args.config.read_text()), ROOT / "workflow" / "schemas")
    rates = read_rates(ROOT / "resources" / "rates.tsv")
    rates["gpu_tflops"] = args.gpu_tflops or rates["gpu_tflops"]
    on_gpu = study.config["compute"]["device"] != "cpu"
    with ThreadPoolExecutor() as pool:
        running = pool.submit(dry_run, args.config)
        sizes = extents(study, ROOT / "resources" / "sources.tsv")
        found = costs(study, sizes, rates)
        checked = checks(study, found.peak)
        said = batch_line(study, sizes, args.gpu_gb or card_gb() or rates["gpu_gb"]) if on_gpu else []
        jobs = running.result()
    print("\n".join([as_text(study, sizes, jobs, found, rates, on_gpu), *said]))
    print("\n" + checks_text(checked))


if __name__ == "__main__":
    cli.run(main)
