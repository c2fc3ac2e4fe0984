"""Draw the figures of the report: montages, galleries of failures, plates, quality, feature groups, training loss, actives.

The same input gives the same bytes: no dates and no versions go into the files.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import pandas as pd  # noqa: E402

from brightpaint import store  # noqa: E402
from brightpaint.base.cli import run  # noqa: E402
from brightpaint.report.figures.active_figure import active_figure  # noqa: E402
from brightpaint.report.figures.failures import failures_montage, worst_fields  # noqa: E402
from brightpaint.report.figures.heatmaps import feature_figure, feature_scores, plate_page  # noqa: E402
from brightpaint.report.figures.montage import plate_montage  # noqa: E402
from brightpaint.report.figures.overlap import overlap_figure, overlap_table  # noqa: E402
from brightpaint.report.figures.plate_map import plate_map  # noqa: E402
from brightpaint.scores.columns import WITHOUT_PREDICTION  # noqa: E402
from brightpaint.scores.score import by_plate, read_active  # noqa: E402

# Okabe and Ito's colours, told apart by colour-blind readers.
LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333"]
STYLE = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "brightpaint"}
FAILURES = {"worst": "pcc", "noise": "background_noise"}
log = logging.getLogger(__name__)


def save(figure: plt.Figure, path: Path, dpi: int) -> None:
    """Write a figure as PNG, or as JPEG if its name says so, the same bytes every time."""
    kind = {"format": "png", "metadata": {"Software": None}}
    if path.suffix == ".jpg":  # a gallery an arm: as PNG, a full study's report would grow by tens of megabytes
        kind = {"format": "jpg", "pil_kwargs": {"quality": 90}}
    with store.atomic(path) as temporary:
        figure.savefig(temporary, dpi=dpi, facecolor="white", **kind)
    plt.close(figure)


# --- training ------------------------------------------------------------------------------------


def loss_figure(histories: dict[str, pd.DataFrame]) -> plt.Figure:
    """Draw the training and validation loss of each model over the images it has seen, on logarithmic axes.

    The training loss is a line, the validation loss one with dots, and a ring marks the weights that were kept.

    Parameters
    ----------
    histories : {label: frame with columns images, loss and, where wells validate, validation_loss}
    """
    figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    validated = False
    for number, (label, history) in enumerate(histories.items()):
        style = {"color": LINES[number % len(LINES)], "linestyle": ["-", "--", ":"][number // len(LINES) % 3]}
        training = history.dropna(subset="loss")
        marker = "o" if len(training) < 3 else None
        last = f"{label} ({training['loss'].iloc[-1]:.3g}"
        held = history.dropna(subset="validation_loss") if "validation_loss" in history else history.iloc[:0]
        if len(held):
            validated, kept = True, held.loc[held["validation_loss"].idxmin()]
            last += f"; {kept['validation_loss']:.3g} at {int(kept['images']):,}"
            axes.plot(held["images"], held["validation_loss"], marker=".", **style)
            ring = {"facecolors": "none", "edgecolors": style["color"], "linewidths": 1.5, "zorder": 3}
            axes.scatter(kept["images"], kept["validation_loss"], s=90, **ring)
        axes.plot(training["images"], training["loss"], label=f"{last})", marker=marker, alpha=0.6, **style)
    axes.set(xlabel="images seen", ylabel="loss", yscale="log")
    axes.grid(color="0.9")
    words = "last training loss; validation loss of the weights kept" if validated else "last loss"
    axes.legend(frameon=False, title=f"model, fold ({words})")
    return figure


def read_histories(paths: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Read histories of models/<model>/<fold>/history.jsonl: {"model, fold": frame}."""
    histories = {}
    for path in paths:
        lines = pd.DataFrame(store.read_json_lines(path))
        if not {"images", "loss"} <= set(lines.columns):
            raise ValueError(f"{path}: expected JSON lines with images and loss; delete it and rerun `train`")
        histories[f"{path.parent.parent.name}, {path.parent.name}"] = lines
    return histories


# --- commands ------------------------------------------------------------------------------------


def draw_features(args: argparse.Namespace) -> plt.Figure:
    """Draw the feature heat maps of one subset."""
    real = by_plate(args.real, "real")
    names = read_active(args.active) if args.subset == "active" else None
    arms = {arm: feature_scores(real, by_plate(path, arm), names) for arm, path in zip(args.arms, args.profiles)}
    return feature_figure(arms, args.settings["channels"]["target"])


def draw_overlap(args: argparse.Namespace) -> plt.Figure:
    """Draw the matched targets that arms share, and write their table."""
    if len(args.embedded_arms) != len(args.embedded):
        counts = f"{len(args.embedded_arms)} and {len(args.embedded)} were given"
        raise ValueError(f"figures overlap: --embedded-arms and --embedded must be as many; {counts}")
    names = read_active(args.active) if args.subset == "active" else None
    paths = {("real", "cellprofiler"): args.real}
    paths |= {(arm, "cellprofiler"): path for arm, path in zip(args.arms, args.profiles)}
    paths |= {(arm, "dino"): path for arm, path in zip(args.embedded_arms, args.embedded)}
    arms = {key: by_plate(path, f"{key[0]}, {key[1]}") for key, path in paths.items()}
    painted = {plate for (arm, _), plates in arms.items() if arm not in WITHOUT_PREDICTION for plate in plates}
    arms = {key: {plate: frame for plate, frame in plates.items() if plate in painted} for key, plates in arms.items()}
    table = overlap_table(arms, names)
    store.write_table(store.as_text(table), args.table)
    return overlap_figure(table, {**WITHOUT_PREDICTION, "lookup": "look-up, no image"})


def draw_plate(args: argparse.Namespace) -> plt.Figure:
    """Draw a plate's wells: PCC and cells."""
    tables = {arm: store.read_table(path) for arm, path in zip(args.arms, args.scores)}
    arms = {arm: table[table["Metadata_Plate"] == args.plate] for arm, table in tables.items()}
    counts = {path.parent.name: store.read_fields(path) for path in args.medians}
    return plate_page(arms, counts, store.read_fields(args.fields))


def draw_failures(args: argparse.Namespace) -> plt.Figure:
    """Draw the fields on which one arm is worst: of all by PCC, or in their background."""
    metric = FAILURES[args.command]
    scores = store.read_table(args.scores)
    worst = worst_fields(scores, args.settings["worst"], metric)
    shown, plates = set(worst["Metadata_Plate"]), {}
    for plate, real, table, predicted in zip(args.plates, args.real, args.fields, args.predicted):
        if plate in shown:
            fields = store.read_fields(table)
            painted = store.open_gathered(predicted)
            plates[plate] = {"real": (store.open_stack(real).select(fields), fields), args.arm: painted}
    chosen = {key: args.settings[key] for key in ("channels", "pixel_size_um", "dpi")}
    return failures_montage(worst, plates, scores, metric=metric, **chosen)


def draw_montage(args: argparse.Namespace) -> plt.Figure:
    """Draw a plate's montage."""
    if len(args.arms) != len(args.predicted):
        raise ValueError("figures montage: --arms and --predicted must be as many")
    arms = {arm: store.open_gathered(path) for arm, path in zip(args.arms, args.predicted)}
    chosen = {key: args.settings[key] for key in ("channels", "pixel_size_um", "dpi")}
    fields = store.read_fields(args.fields)
    return plate_montage(
        store.open_stack(args.real).select(fields), fields, arms, count=args.settings["fields"],
        closeup=args.command == "closeup", **chosen,
    )  # fmt: skip


DRAW = {
    "montage": draw_montage,
    "closeup": draw_montage,
    "worst": draw_failures,
    "noise": draw_failures,
    "plate": draw_plate,
    "features": draw_features,
    "overlap": draw_overlap,
    "loss": lambda args: loss_figure(read_histories(args.histories)),
    "active": lambda args: active_figure(
        *(store.read_table(path) for path in (args.active, args.wells, args.agreement))
    ),
    "quality": lambda args: plate_map(
        store.read_table(args.measures), store.read_table(args.flags), args.settings["channels"]
    ),
}


def parser() -> argparse.ArgumentParser:
    """Return the command line: one subcommand a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (("montage", "brightfield, real and predicted stains of a plate"), ("closeup", "parts of it")):
        one = commands.add_parser(name, help=words)
        one.add_argument("--real", type=Path, required=True)
        one.add_argument("--fields", type=Path, required=True)
        one.add_argument("--predicted", type=Path, nargs="*", default=[], help="one stack an arm")
        one.add_argument("--arms", nargs="*", default=[])
    for name, words in (("worst", "the fields that an arm paints worst"), ("noise", "the noisiest backgrounds")):
        worst = commands.add_parser(name, help=words)
        worst.add_argument("--arm", required=True)
        worst.add_argument("--scores", type=Path, required=True, help="the arm's scores of single fields")
        worst.add_argument("--plates", nargs="+", required=True)
        for images in ("real", "fields", "predicted"):
            worst.add_argument(f"--{images}", type=Path, nargs="+", required=True, help="one a plate")
    plate = commands.add_parser("plate", help="PCC and cells of each well")
    plate.add_argument("--plate", required=True)
    plate.add_argument("--fields", type=Path, required=True)
    plate.add_argument("--arms", nargs="+", required=True)
    plate.add_argument(
        "--scores", type=Path, nargs="+", required=True, help="scores of single fields, one table an arm"
    )
    plate.add_argument("--medians", type=Path, nargs="*", default=[], help="field medians in folders named by arm")
    features = commands.add_parser("features", help="correlation by feature group and channel")
    overlap = commands.add_parser("overlap", help="matched targets that arms share")
    overlap.add_argument("--table", type=Path, required=True, help="the table to write")
    overlap.add_argument("--embedded-arms", nargs="*", default=[], help="arms with profiles of embeddings, real too")
    overlap.add_argument("--embedded", type=Path, nargs="*", default=[], help="these profiles, one an arm")
    for command in (features, overlap):
        command.add_argument("--subset", choices=["full", "active"], required=True)
        command.add_argument("--real", type=Path, required=True, help="real perturbation profiles")
        command.add_argument("--arms", nargs="+", required=True)
        command.add_argument(
            "--profiles", type=Path, nargs="+", required=True, help="perturbation profiles, one an arm"
        )
        command.add_argument("--active", type=Path, nargs="*", default=[])
    commands.add_parser("loss").add_argument("--histories", type=Path, nargs="+", required=True)
    active = commands.add_parser("active", help="how the actives were found")
    for name in ("active", "wells", "agreement"):
        active.add_argument(f"--{name}", type=Path, required=True)
    one = commands.add_parser("quality", help="a plate's image quality, laid out as the plate is")
    one.add_argument("--measures", type=Path, required=True)
    one.add_argument("--flags", type=Path, required=True)
    for command in commands.choices.values():
        command.add_argument("--settings", type=json.loads, required=True, help="JSON: fields, dpi, ...")
        command.add_argument("--figure", type=Path, required=True, help="the PNG or JPEG to write")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = parser().parse_args(argv)
    with plt.rc_context(STYLE):
        save(DRAW[args.command](args), args.figure, args.settings["dpi"])


if __name__ == "__main__":
    run(main)
