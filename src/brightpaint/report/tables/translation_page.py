"""Write the page of a translation in one space: what its controls say, what it is worth beside its references, what changes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report import pages
from brightpaint.scores.columns import TRANSLATIONS
from brightpaint.scores.translation.class_distance import FRESH, HALF, IDENTITY, RECONSTRUCTION, TRAINING, TRANSLATION
from brightpaint.scores.translation.image_pairs import UNRELATED
from brightpaint.scores.translation.stained_area import WORDS
from brightpaint.scores.translation.well_shift import ALPHA
from brightpaint.study.spaces import SPACES

TOP, MOST = 10, 400  # changes of a class that the page shows; rows of all classes
KEYS = ["plate", "class"]
METRICS = {column.key: column for column in TRANSLATIONS}
# FID of 1,000 untreated images of BBBC021 shown at eight doses of latrunculin B (PhenDiff, Table 1)
QUOTED = {
    "PhenDiff": (22.19, 21.18, 22.19, 21.41, 23.37, 18.38, 14.26, 16.6),
    "CycleGAN": (31.59, 30.7, 28.4, 34.18, 32.85, 21.53, 20.38, 24.57),
    "StarGAN": (91.17, 86.57, 89.39, 86.57, 108.53, 114.89, 119.47, 111.72),
    "Phenexplain in W": (25.07, 24.6, 22.31, 28.93, 40.6, 91.86, 131.49, 137.95),
    "Phenexplain in W+": (36.48, 36.62, 31.29, 42.80, 58.17, 148.32, 203.15, 220.63),
}


def number(value: float, digits: int = 2) -> pages.Cell:
    """Return a cell of one number."""
    return pages.Cell(f"{value:.{digits}f}", value=f"{value:.6g}") if np.isfinite(value) else pages.EMPTY


def ranged(value: float, low: float, high: float, digits: int = 2, kind: str = "") -> pages.Cell:
    """Return a cell of a number with its interval in small print."""
    if not np.isfinite(value):
        return pages.EMPTY
    small = (f"[{low:.{digits}f}, {high:.{digits}f}]",) if np.isfinite(low) and np.isfinite(high) else ()
    return pages.Cell(f"{value:.{digits}f}", value=f"{value:.6g}", small=small, kind=kind)


def control_sentences(classes: pd.DataFrame) -> list[str]:
    """Say what is found in classes that differ from the source by nothing: whether the table of changes may be believed."""
    once, said = classes.drop_duplicates(KEYS), []
    words = {
        "A/A": "the A/A control (half of the source's own wells, trained as a class)",
        "inert": "compounds known to do nothing",
    }
    for control, name in words.items():
        own = once[(once["control"] == control) & (once["tested"] > 0)]
        if not len(own):
            continue
        share, real = own["found"].mean(), own["real_found"].mean()
        verdict = "as promised" if share <= ALPHA else "MORE THAN PROMISED: do not believe the table of changes"
        there = f", in real wells {100 * real:.1f}%" if np.isfinite(real) else ""
        said.append(f"In {name}, {100 * share:.1f}% of the numbers are found to change{there} ({len(own)} "
                    f"{'class' if len(own) == 1 else 'classes'}; at most {100 * ALPHA:.0f}% are promised): {verdict}.")  # fmt: skip
    if not said:
        said.append("No class of this study is known to do nothing, so that nothing says how often a change is found wrongly: "
                    "train the model with twin: true for an A/A control.")  # fmt: skip
    return said


def short_table(metrics: pd.DataFrame) -> pages.Table:
    """Lay the metrics out, one row each."""
    heads = [pages.Cell(name) for name in ("metric", "plate", "stain", "value", "chance", "passed one time in twenty",
                                           "without translating", "n")]  # fmt: skip
    rows = []
    for _, row in metrics[metrics["metric"].isin(METRICS)].iterrows():
        column = METRICS[row["metric"]]
        cells = [ranged(row["value"], row["low"], row["high"], column.digits)]
        cells += [number(row[name], column.digits) for name in ("null", "null_bound", "floor")]
        stain = "" if row["channel"] == "all" else row["channel"]
        named = [pages.Cell(column.title, title=column.meaning), pages.Cell(row["plate"]), pages.Cell(stain)]
        rows.append(pages.Row([*named, *cells, pages.Cell(str(int(row["n"])), value=str(int(row["n"])))]))
    return pages.Table(heads, rows)


def class_rows(classes: pd.DataFrame, objects: pd.DataFrame, counts: pd.DataFrame) -> pages.Table:
    """Lay the classes out: distance of the translation and of every reference, what is kept, nuclei, what is found."""
    distances = [TRANSLATION, IDENTITY, RECONSTRUCTION, FRESH, TRAINING, HALF]
    heads = ["class", "plate", *(f"distance: {name}" for name in distances), "kept: translation", f"kept: {FRESH}",
             "nuclei kept", "nuclei new", f"nuclei F1: {TRANSLATION}", f"nuclei F1: {UNRELATED}",
             "cells, translated", "cells, real",             "found, %", "found in real, %", "direction"]  # fmt: skip
    rows = []
    for (plate, name), own in classes.groupby(KEYS, sort=False):
        by = own.set_index("reference")
        here = [
            table[(table["plate"] == plate) & (table["class"] == name)] for table in (objects, counts) if len(table)
        ]
        of = dict(zip(("reference", "kind"), here))
        cells = [ranged(*_three(by, kind, "distance", "low", "high")) for kind in distances]
        cells += [ranged(*_three(by, kind, "kept", "kept_low", "kept_high")) for kind in (TRANSLATION, FRESH)]
        cells += [ranged(*_row(of, "reference", kind, key)) for kind, key in
                  ((TRANSLATION, "kept"), (TRANSLATION, "new"), (TRANSLATION, "f1"), (UNRELATED, "f1"))]  # fmt: skip
        cells += [ranged(*_row(of, "kind", kind, "ratio")) for kind in (TRANSLATION, "real")]
        first = own.iloc[0]
        cells += [
            number(100 * first["found"], 1),
            number(100 * first["real_found"], 1),
            number(first["direction_value"]),
        ]
        small = (first["control"],) if first["control"] else ()
        rows.append(
            pages.Row([pages.Cell(name, small=small), pages.Cell(plate), *cells], reference=bool(first["control"]))
        )
    return pages.Table([pages.Cell(head) for head in heads], rows)


def _three(by: pd.DataFrame, kind: str, *names: str) -> list[float]:
    return [float(by.at[kind, name]) if kind in by.index and name in by else np.nan for name in names]


def _row(here: dict[str, pd.DataFrame], of: str, kind: str, key: str) -> list[float]:
    """Return value, low and high of one kind in a class's rows; NaN where cells are not measured."""
    own = here[of][here[of][of] == kind] if of in here else pd.DataFrame()
    ends = ("low", "high") if key == "ratio" else (f"{key}_low", f"{key}_high")
    return [float(own[column].iloc[0]) if len(own) else np.nan for column in (key, *ends)]


def changes_rows(changes: pd.DataFrame) -> pages.Table:
    """Lay the surest changes of each class out, ranked."""
    heads = ["class", "plate", "rank", "number", "shift (s.d.)", "q", "real shift (s.d.)", "real q", "verdict",
             "source / training / real wells"]  # fmt: skip
    rows = []
    shown = changes[changes["rank"] <= TOP].head(MOST)
    for row in shown.to_dict("records"):
        kind = (
            "against"
            if row["verdict"].startswith("found only in translations") or "other way" in row["verdict"]
            else ""
        )
        wells = f"{row['source_wells']} / {row['training_wells']} / {row['real_wells']}"
        small = (row["control"],) if row["control"] else ()
        rank = pages.Cell(str(row["rank"]), value=str(row["rank"]))
        cells = [pages.Cell(row["class"], small=small), pages.Cell(row["plate"]), rank, pages.Cell(row["number"]),
                 ranged(row["shift"], row["low"], row["high"]), number(row["q"], 3),
                 ranged(row["real_shift"], row["real_low"], row["real_high"]), number(row["real_q"], 3),
                 pages.Cell(row["verdict"], kind=kind), pages.Cell(wells)]  # fmt: skip
        rows.append(pages.Row(cells, reference=bool(row["control"])))
    return pages.Table([pages.Cell(head) for head in heads], rows)


def area_rows(areas: pd.DataFrame) -> pages.Table:
    """Lay the tests of stained areas out: what real wells and translations conclude."""
    heads = [pages.Cell(name) for name in ("class", "plate", "stain", "real", "translated", "same")]
    word = lambda value: WORDS[int(value)] if np.isfinite(value) else "not tested"  # noqa: E731
    rows = []
    for row in areas.to_dict("records"):
        same = {1.0: "yes", 0.0: "no"}.get(row["agree"], "")
        cells = [pages.Cell(row["class"]), pages.Cell(row["plate"]), pages.Cell(row["channel"])]
        cells += [pages.Cell(word(row["real_conclusion"]), title=f"p {row['real_p']:.2g}"),
                  pages.Cell(word(row["conclusion"]), title=f"p {row['p']:.2g}"),
                  pages.Cell(same, kind="against" if same == "no" else "")]  # fmt: skip
        rows.append(pages.Row(cells))
    return pages.Table(heads, rows, kind="words")


def quoted_rows() -> pages.Table:
    """Lay out what PhenDiff's authors report of their method and of four others, by dose; nothing of it is run here."""
    heads = ["method", *(f"dose {number}" for number in range(1, 9))]
    rows = [pages.Row([pages.Cell(name), *(number(value) for value in values)]) for name, values in QUOTED.items()]
    return pages.Table([pages.Cell(head) for head in heads], rows)


def page(tables: dict[str, pd.DataFrame], *, arm: str, space: str) -> str:
    """Render the page.

    Parameters
    ----------
    tables : metrics (of both subjects), classes, changes, areas, objects, counts
    """
    changes = tables["changes"]
    verdicts = changes[changes["control"] == ""]["verdict"].value_counts()
    return pages.render(
        "translation_page.html", arm=arm, space=SPACES[space].title, top=TOP, alpha=f"{100 * ALPHA:.0f}%",
        controls=control_sentences(tables["classes"]), short=short_table(tables["metrics"]),
        classes=class_rows(tables["classes"], tables["objects"], tables["counts"]), changes=changes_rows(changes),
        verdicts=", ".join(f"{name}: {count}" for name, count in verdicts.items()), areas=area_rows(tables["areas"]),
        quoted=quoted_rows(),
        meanings=[METRICS[name] for name in METRICS if (tables["metrics"]["metric"] == name).any()],
        tsv=store.as_text(changes).to_csv(sep="\t", index=False, lineterminator="\n"),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page of a translation in one space, and its changes as a table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--space", choices=list(SPACES), required=True)
    parser.add_argument(
        "--metrics", type=Path, nargs="+", required=True, help="scores of the images, then of this space"
    )
    for name in ("classes", "changes", "areas", "objects", "counts"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="as the scores write it")
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--tsv", type=Path, required=True)
    args = parser.parse_args(argv)
    tables = {
        name: store.read_table(getattr(args, name)) for name in ("classes", "changes", "areas", "objects", "counts")
    }
    tables["metrics"] = pd.concat([store.read_table(path) for path in args.metrics], ignore_index=True)
    store.write_table(store.as_text(tables["changes"]), args.tsv)
    with store.atomic(args.html) as temporary:
        temporary.write_text(page(tables, arm=args.arm, space=args.space))


if __name__ == "__main__":
    run(main)
