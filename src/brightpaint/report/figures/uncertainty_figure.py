"""Draw what an arm's uncertainty is worth: risk-coverage curves, and its surest and least sure field."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base import resampling
from brightpaint.base.cli import run
from brightpaint.base.colours import stain_colours
from brightpaint.report.figures import panels
from brightpaint.report.figures.shown_fields import heading_of, middle_input, standardised_middle, standardised_stains
from brightpaint.report.style import STYLE, as_text, save
from brightpaint.scores.images import pixels
from brightpaint.scores.images.risk_coverage import SHUFFLES, aurc, rank_correlation, risk_coverage


def by_channel(scores: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Lay an arm's scores of single fields out as {channel or `all`: (uncertainty (n,), 1 - PCC (n,))}.

    Fields that lack an error in a channel take no part there, nor in `all`.
    """
    wide = {
        name: scores.pivot(index=store.FIELD_KEYS, columns="Channel", values=name) for name in ("uncertainty", "pcc")
    }
    pairs = {"all": (wide["uncertainty"].mean(axis=1), 1 - wide["pcc"].mean(axis=1, skipna=False))}
    pairs |= {name: (wide["uncertainty"][name], 1 - wide["pcc"][name]) for name in dict.fromkeys(scores["Channel"])}
    return {
        name: tuple(side[error.notna()].to_numpy() for side in (sure, error)) for name, (sure, error) in pairs.items()
    }


def risk_figure(pairs: dict[str, tuple[np.ndarray, np.ndarray]], seed: str) -> plt.Figure:
    """Draw the risk-coverage curve of each channel, with the oracle's and what random orders give.

    Parameters
    ----------
    pairs : from `by_channel`
    seed : name from which the random orders are drawn
    """
    columns = 3
    rows = -(-len(pairs) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(10.5, 3.1 * rows + 0.4), layout="constrained", squeeze=False)
    for ax, (name, (sure, error)) in zip(axes.flat, pairs.items()):
        n = len(error)
        if not n:
            ax.set_title(f"{as_text(name, 20)}: no field has an error", fontsize=10)
            continue
        coverage, rng = np.arange(1, n + 1) / n, resampling.seeded(seed, name, "figure")
        drawn = np.array([risk_coverage(rng.permutation(n), error) for _ in range(SHUFFLES)])
        band = np.quantile(drawn, [0.05, 0.95], axis=0)
        ax.fill_between(coverage, *band, color="0.88", label="random order, 90%")
        ax.axhline(error.mean(), color="0.5", linewidth=1, linestyle="--", label="random order, mean")
        ax.plot(coverage, risk_coverage(error, error), color="#009e73", linewidth=1.2, linestyle=":", label="oracle")
        ax.plot(coverage, risk_coverage(sure, error), color="#0072b2", linewidth=1.8, label="by uncertainty")
        areas = f"AURC {aurc(sure, error):.3f} (random {error.mean():.3f}, oracle {aurc(error, error):.3f})"
        ax.set_title(f"{as_text(name, 20)}, rank correlation {rank_correlation(sure, error):.2f}\n{areas}", fontsize=8)
        ax.set(xlabel="share of fields kept", ylabel="1 - PCC", xlim=(0, 1))
    for ax in axes.flat[len(pairs) :]:
        ax.set_axis_off()
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def extremes(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the keys of the surest and of the least sure field, mean over channels, with `uncertainty` and `pcc`."""
    means = scores.groupby(store.FIELD_KEYS)[["uncertainty", "pcc"]].mean().sort_values("uncertainty", kind="stable")
    return means.iloc[[0, -1]].reset_index()


def extremes_montage(chosen: pd.DataFrame, plates: dict[str, dict], *, channels: dict, pixel_size_um: dict, dpi: int):
    """Draw brightfield, real and painted stains, and the map of uncertainty, of each field.

    Parameters
    ----------
    chosen : from `extremes`
    plates : {plate: {"real": (stack, fields), "painted": ..., "s.d.": (uncertainty stack, its rows)}}
    pixel_size_um : of a raw pixel, by plate
    """
    targets, middle = channels["target"], middle_input(channels)
    colours = stain_colours(targets)
    found = [one_field(field, plates[field["Metadata_Plate"]], channels) for _, field in chosen.iterrows()]
    grey = panels.display_range([each["brightfield"] for each in found]) if middle else None
    ranges = {
        kind: [panels.display_range([each[kind][channel] for each in found]) for channel in range(len(targets))]
        for kind in ("real", "s.d.")
    }
    rows, labels = [], []
    for (_, field), each, what in zip(chosen.iterrows(), found, ("surest", "least sure")):
        width_um = pixel_size_um[field["Metadata_Plate"]] * each["row"]["width_px"]
        bar_um = panels.scale_bar_um(width_um)
        bar = {"bar": (bar_um / width_um, f"{bar_um:g} µm")}
        first = {"image": each["brightfield"], "limits": grey, "tint": "white"} if middle else None
        heading = f"{what}: uncertainty {field['uncertainty']:.3f}, PCC {field['pcc']:.2f}   {heading_of(each['row'])}"
        for kind in ("real", "painted", "s.d."):
            notes = (
                [f"PCC {value:.2f}" for value in pixels.pcc(each["real"], each["painted"])] if kind == "painted" else []
            )
            notes = [f"mean {value:.2f}" for value in each["s.d."].mean(axis=(1, 2))] if kind == "s.d." else notes
            row = [
                {"image": image, "limits": ranges["s.d." if kind == "s.d." else "real"][channel], "note": note,
                 "tint": "white" if kind == "s.d." else colours[target]}
                for channel, (target, image, note) in enumerate(zip(targets, each[kind], notes or [""] * len(targets)))
            ]  # fmt: skip
            row = [first if kind == "real" else None, *row] if middle else row
            rows.append([{**row[0], **bar}, *row[1:]] if kind == "real" else row)
            labels.append((heading if kind == "real" else "", kind))
    titles = [middle.replace("_", " ")] if middle else []
    return panels.lay_out(rows, [*titles, *targets], labels, dpi=dpi)


def one_field(field: pd.Series, sources: dict, channels: dict) -> dict:
    """Read one field's images: brightfield, real and painted stains standardised, the s.d. as it is."""
    real, fields = sources["real"]
    row = fields.iloc[store.place_of(field, fields)]
    stack, rows = sources["s.d."]
    place, targets = store.place_of(field, rows), channels["target"]
    return {
        "row": row,
        **standardised_middle(real, row.name, channels),
        "real": standardised_stains(*sources["real"], field, targets),
        "painted": standardised_stains(*sources["painted"], field, targets),
        "s.d.": stack.images[place][stack.channel_indices(targets)].astype(np.float32),
    }


def read_plates(args: argparse.Namespace, shown: set[str]) -> dict[str, dict]:
    """Open the stacks of the plates whose fields are shown."""
    plates = {}
    for plate, real, table, *painted in zip(args.plates, args.real, args.fields, args.predicted, args.uncertainty):
        if plate in shown:
            fields = store.read_fields(table)
            sources = dict(zip(("painted", "s.d."), map(store.open_gathered, painted)))
            plates[plate] = {"real": (store.open_stack(real).select(fields), fields), **sources}
    return plates


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: channels, pixel_size_um, dpi")
    parser.add_argument("--arm", required=True)
    parser.add_argument("--scores", type=Path, required=True, help="the arm's scores of single fields")
    parser.add_argument("--plates", nargs="+", required=True)
    for name in ("real", "fields", "predicted", "uncertainty"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, help="one a plate")
    parser.add_argument("--curve", type=Path, required=True)
    parser.add_argument("--montage", type=Path, required=True)
    args = parser.parse_args(argv)
    scores = store.read_table(args.scores, [*store.FIELD_KEYS, "Channel", "uncertainty", "pcc"])
    chosen, settings = extremes(scores), args.settings
    keys = {key: settings[key] for key in ("channels", "pixel_size_um", "dpi")}
    with plt.rc_context(STYLE):
        save(risk_figure(by_channel(scores), args.arm), args.curve, settings["dpi"])
        shown = read_plates(args, set(chosen["Metadata_Plate"]))
        save(extremes_montage(chosen, shown, **keys), args.montage, settings["dpi"])


if __name__ == "__main__":
    run(main)
