"""Write what the report opens on: which arm for which purpose, translations, one field, counts, what to beware of, where to go on.

The page is a piece of HTML that `workflow/report/workflow.rst` takes into the report's first page, above the Methods. Its style
reaches no further than itself, but for the two containers of Snakemake's page that hold it.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from brightpaint import store
from brightpaint.base.cli import run
from brightpaint.report import pages
from brightpaint.report.figures.galleries import plate_views
from brightpaint.report.figures.panels import draw_fields
from brightpaint.report.style import STYLE
from brightpaint.report.tables import purposes, quality_table
from brightpaint.report.tables.metrics_table import scored_alike, translation_tables
from brightpaint.scores.columns import BY_KEY
from brightpaint.scores.translation.well_shift import ALPHA

DPI, QUALITY = 80, 85  # of a picture that a screen shows beside the report's menu
SHORT = {"better than": "better", "worse than": "worse", "not told from": "not told apart", "is the best arm": "is the best",
         "no chance level": purposes.NONE_SUCH, purposes.NOT_MEASURED: purposes.NONE_SUCH}  # fmt: skip
BESIDE = {"chance": "beside chance", "look-up, no image": "look-up", "regression, same network": "regression",
          "regression, pixel by pixel": "pixel by pixel", purposes.NOISE_WORDS: "regression, noised",
          "real replicate plates": "real replicates"}  # fmt: skip
TRANSLATED = [
    BY_KEY[key] for key in ("class_distance", "source_kept", "dose_r_real", "direction", "found_twin", "found_inert")
]
LOOK, LOOKED_UP = "to look at: stains where they are", "look-up, no image"


def in_short(verdict: str) -> str:
    """Say a verdict of `purposes` without its number: `better than 0.300` is `better`."""
    words = re.sub(r" \(?-?\d+\.\d+\)?$", "", verdict)
    words = words.replace("not told from on", "not told apart on").replace("than on", "on")
    return SHORT.get(words, words)


def answer_table(answers: pd.DataFrame) -> pages.Table:
    """Return the answers of `purposes.answers` as a table of few words; hovering over a verdict tells its number.

    What no answer is set beside (a study without regression) has no column.
    """
    beside = [name for name in BESIDE if name in answers and (answers[name].map(in_short) != purposes.NONE_SUCH).any()]
    rows = []
    for _, row in answers.iterrows():
        verdicts = [
            pages.Cell(in_short(row[name]), kind=purposes.kind_of(row[name]), title=row[name]) for name in beside
        ]
        purpose = pages.Cell(row["purpose"], small=(f"by {row['measure']}",))
        rows.append(
            pages.Row(
                [
                    purpose,
                    pages.Cell(row["best arm"], kind="best"),
                    pages.Cell(row["reaches"], kind="number"),
                    *verdicts,
                ]
            )
        )
    heads = ["purpose", "best arm", "reaches", *(BESIDE[name] for name in beside)]
    return pages.Table([pages.Cell(name) for name in heads], rows, kind="words")


def counts(missing: pd.DataFrame, quality: pd.DataFrame) -> dict[str, int]:
    """Return {what: how many} of plates, wells and fields, and of fields that were left out, of all plates together.

    Parameters
    ----------
    missing : tables/missing.tsv: `wells`, `fields`, `fields left out`
    quality : tables/quality.tsv: `left_out`, `kept`
    """
    return {
        "plates": len(quality), "wells": int(missing["wells"].sum()), "fields": int(quality["kept"].sum()),
        "fields with an image missing, left out": int(missing["fields left out"].sum()),
        "flagged fields, left out": int(quality["left_out"].sum()),
    }  # fmt: skip


def doubted(wells: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return a sentence for each plate and arm with wells that are not to be trusted, from the tables of wells."""
    said = []
    for plate, table in wells.items():
        for arm, own in table.groupby("arm", sort=False):
            count = int((own["reasons"].fillna("").astype(str) != "").sum())
            if count:
                said.append(f"{arm} on plate {plate}: {count} of {len(own)} wells have a reason not to be trusted.")
    return said


def found_wrongly(translated: pd.DataFrame) -> list[str]:
    """Return a sentence for each translation that finds more than is promised in classes that differ by nothing."""
    controls, said = translated[translated["metric"].isin(["found_twin", "found_inert"])], []
    for (arm, metric), own in controls.groupby(["arm", "metric"], sort=False):
        share = own["value"].mean()
        if share > ALPHA:
            found = f"{BY_KEY[metric].title}, {100 * share:.1f}% of the numbers"
            promised = f"at most {100 * ALPHA:.0f}% are promised"
            said.append(f"Translation {arm}: {found}, where {promised}: do not believe its table of changes.")
    return said


def warnings(
    answers: pd.DataFrame, told: Sequence[str], plates: int, *, simulated: bool, translated: bool = False
) -> list[str]:
    """Return what to beware of in the answers, in sentences.

    Parameters
    ----------
    answers : from `purposes.answers`
    told : arms that are shown the target in sampling
    plates : on which arms are tested
    simulated : whether the plates are brightpaint's own
    translated : whether translations are measured, which predict nothing
    """
    said = ["The plates are simulated: nothing here speaks of real cells."] if simulated else []
    if answers.empty:
        nothing = "translations alone are measured" if translated else "nothing here measures the predictions"
        return [*said, f"No plate with real stains was painted: {nothing}."]
    for arm, own in answers.groupby("best arm", sort=False):
        chance = own.loc[own["chance"].str.startswith("within"), "purpose"]
        beaten = own.loc[own[LOOKED_UP].str.startswith(("worse", "not told")), "purpose"]
        if len(chance):
            said.append(f"{arm}, the best arm, is within chance: {'; '.join(chance)}.")
        if len(beaten):
            how = "no better than looking the perturbation up on the training plates, without any image"
            said.append(f"{arm}, the best arm, is {how}: {'; '.join(beaten)}.")
    if told:
        said.append(f"{', '.join(told)}: told the target in sampling, so left out where targets are asked for.")
    if plates == 1:
        said.append("One plate was tested: its intervals do not speak of other plates or batches.")
    return said


def one_field(settings: dict, real: Path, fields: Path, arm: str, predicted: Path) -> str:
    """Return a picture of one field of a plate, real stains above those of one arm, as base64 of a JPEG in short lines.

    The field is the first of the plate's montage.
    """
    table = store.read_fields(fields)
    chosen = {key: settings[key] for key in ("channels", "pixel_size_um")}
    painted = {arm: store.open_gathered(predicted)}
    (view,) = plate_views(store.open_stack(real).select(table), table, painted, count=1, **chosen)
    whole = {key: value for key, value in view.items() if key != "corner"}
    buffer = io.BytesIO()
    with plt.rc_context(STYLE):
        figure = draw_fields([whole], channels=settings["channels"], dpi=DPI)
        figure.savefig(buffer, dpi=DPI, facecolor="white", format="jpg", pil_kwargs={"quality": QUALITY})
    plt.close(figure)
    return base64.encodebytes(buffer.getvalue()).decode()


def shown_arm(answers: pd.DataFrame, arms: Sequence[str]) -> str:
    """Return the arm to picture: the best to look at, where it paints the plate; else the first that does."""
    best = answers.loc[answers["purpose"] == LOOK, "best arm"].tolist() if len(answers) else []
    return next((arm for arm in best if arm in arms), arms[0])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--settings", type=json.loads, required=True,
        help="JSON: channels, pixel_size_um, plate and arms (of the picture), kinds, leaking, simulated, translations (arms)",
    )  # fmt: skip
    parser.add_argument("--pages", type=json.loads, default=[], help="JSON: [words, [[name, path], ...]] to go on to")
    parser.add_argument("--metrics", type=Path, nargs="*", default=[], help="metrics tables, one an arm")
    parser.add_argument("--missing", type=Path, required=True)
    parser.add_argument("--quality", type=Path, required=True)
    parser.add_argument("--measures", type=Path, nargs="*", default=[], help="image quality, one table a plate")
    parser.add_argument("--wells", type=Path, nargs="*", default=[], help="wells not to trust, one table a plate")
    parser.add_argument("--real", type=Path, nargs="*", default=[], help="stack of the plate that is pictured")
    parser.add_argument("--fields", type=Path, nargs="*", default=[], help="its field table")
    parser.add_argument("--predicted", type=Path, nargs="*", default=[], help="its painted stacks, one an arm")
    parser.add_argument("--html", type=Path, required=True)
    args = parser.parse_args(argv)
    settings, answers, tested = args.settings, pd.DataFrame(), []
    metrics, translated = [store.read_table(path) for path in args.metrics], pd.DataFrame()
    if shown := settings.get("translations"):
        translated = pd.concat([table for table in metrics if table["arm"].isin(shown).any()], ignore_index=True)
        metrics = [table for table in metrics if not table["arm"].isin(shown).any()]
    if metrics:
        frame = scored_alike(pd.concat(metrics, ignore_index=True))
        answers = purposes.answers(frame, settings["kinds"], settings["leaking"])
        tested = sorted(set(frame["plate"]))
    measures = {path.stem: store.read_table(path) for path in args.measures}
    alerts = warnings(
        answers, settings["leaking"], len(tested), simulated=settings["simulated"], translated=bool(shown)
    )
    alerts += found_wrongly(translated) if shown else []
    alerts += quality_table.shared_images(measures) + quality_table.compare_plates(measures) if measures else []
    alerts += doubted({path.stem: store.read_table(path, ["arm", "reasons"]) for path in args.wells})
    picture, arm = "", ""
    if args.predicted:
        arm = shown_arm(answers, settings["arms"])
        place = settings["arms"].index(arm)
        picture = one_field(settings, args.real[0], args.fields[0], arm, args.predicted[place])
    text = pages.render(
        "front.html", answers=answer_table(answers) if len(answers) else None, alerts=alerts, tested=tested,
        counts=counts(store.read_table(args.missing), store.read_table(args.quality)), picture=picture, arm=arm,
        plate=settings["plate"], pages=args.pages, translations=translation_tables(translated, shown, TRANSLATED) if shown else {},
    )  # fmt: skip
    with store.atomic(args.html) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
