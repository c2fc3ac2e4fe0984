"""Hostile load_data, platemaps, compounds and tables of one's own images, by the real command of rule index."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

from brightpaint.plates import exclusions, index
from hostile import Case, copied
from plates_fixture import COMPOUNDS, IMAGES, LOAD_DATA, PLATEMAPS, file_name, index_settings, write_gallery

PLATEMAP = f"{PLATEMAPS}/platemap/map1.txt"
OWN = "plate,well,site,channel,file,perturbation\nX1,A1,1,Brightfield,a1.tif,cpd\nX1,A2,1,Brightfield,a2.tif,DMSO\n"


def gallery(folder: Path) -> None:
    write_gallery(folder / "mirror", sites=1)


def indexing(folder: Path, settings: dict):
    outputs = [folder / "out" / "P1.parquet", folder / "out" / "P1.tsv"]
    words = ["--settings", json.dumps(settings), "--index", outputs[0], "--missing", outputs[1]]
    return index.main, words, outputs


def listed(area: str, what: str, spoil, *words: str, **changes) -> Case:
    """A case on a whole plate in the gallery's layout that `spoil(mirror)` changes."""

    def prepare(folder):
        mirror = copied(gallery, folder) / "mirror"
        spoil(mirror)
        chosen = {key: value.format(folder=mirror) for key, value in changes.items()}
        return indexing(folder, index_settings(mirror, **chosen))

    return Case(area, what, prepare, words)


def rewrite(path: str, change):
    """Return a spoiler that changes the bytes of one file."""

    def spoil(mirror):
        (mirror / path).write_bytes(change((mirror / path).read_bytes()))

    return spoil


def cell(column: str, value: str):
    """Return a change of one cell of load_data's first row."""

    def change(data):
        lines = [line.split(",") for line in data.decode().splitlines()]
        lines[1][lines[0].index(column)] = value
        return "\n".join(map(",".join, lines)).encode() + b"\n"

    return change


def all_plates(folder: Path):
    mirror = copied(gallery, folder) / "mirror"
    (mirror / "x.txt").write_text("BRD-l\nP7/A01/1\nbrd-2\n")
    settings = index_settings(mirror, exclude=str(mirror / "x.txt"))
    words = ["--settings", json.dumps({"source": settings["source"], "plates": [settings["plate"]]})]
    return exclusions.main, [*words, "--table", folder / "out" / "exclusions.tsv"], [folder / "out" / "exclusions.tsv"]


def load_data(what: str, change, *words: str) -> Case:
    return listed("load_data", what, rewrite(LOAD_DATA, change), *words)


def in_place_of_csv(name: str, make):
    """Return a spoiler that replaces load_data.csv by another file of it."""

    def spoil(mirror):
        path = mirror / LOAD_DATA
        path.with_name(name).write_bytes(make(path.read_bytes()))
        path.unlink()

    return spoil


def flipped(data: bytes) -> bytes:
    """Compress, and break the compressed stream in its middle."""
    whole = bytearray(gzip.compress(data))
    whole[20:60] = b"\xff" * 40
    return bytes(whole)


def line_of(data: bytes, number: int) -> bytes:
    return data.splitlines()[number]


def image(mirror: Path) -> Path:
    return mirror / IMAGES / file_name("A01", 1, "DNA")


def replaced_by(make):
    def spoil(mirror):
        image(mirror).unlink()
        make(image(mirror))

    return spoil


WHERE = "plate P1, well A01, site 1, channel DNA"
LOAD = [
    listed("load_data", "a parquet file that is a CSV", in_place_of_csv("load_data.parquet", bytes),
           "load_data.parquet: not a readable parquet file", "copy it again"),
    listed("load_data", "a gzip file cut short", in_place_of_csv("load_data.csv.gz", lambda data: gzip.compress(data)[:90]),
           "load_data.csv.gz: not a whole gzip file", "copy it again"),
    listed("load_data", "a gzip file with a broken stream", in_place_of_csv("load_data.csv.gz", flipped),
           "load_data.csv.gz: not a whole gzip file", "copy it again"),
    load_data("an empty file", lambda data: b"", "load_data.csv: not a readable table"),
    load_data("no rows", lambda data: line_of(data, 0) + b"\n", "load_data.csv: no row of plate 1053600674", "set barcode"),
    load_data("a missing quote", lambda data: data.replace(b"\nsource_2", b'\n"source_2', 1), "not a readable table"),
    load_data("NUL bytes", lambda data: data.replace(b"A01", b"A0\0", 1), "NUL bytes", "save it as UTF-8"),
    load_data("UTF-16", lambda data: data.decode().encode("utf-16"), "NUL bytes", "save it as UTF-8"),
    load_data("a letter that is not UTF-8", lambda data: data.replace(b"ubuntu", b"\xfcbuntu", 1), "not a readable table"),
    load_data("rows longer than the header", lambda data: data.replace(b".tif,", b".tif,x,"), "load_data.csv: row 1 has",
              "expected 13 as in the header", "mend the row"),
    load_data("a last row cut short", lambda data: data[:-150], "load_data.csv: row 4 has", "expected 13", "mend the row"),
    load_data("a column twice", lambda data: data.replace(b"FileName_OrigRNA", b"FileName_OrigDNA"),
              "the column FileName_OrigDNA occurs twice", "keep one"),
    load_data("well and site exchanged", lambda data: re.sub(rb",(A01),1,", rb",1,A01,", data),
              "load_data.csv: expected a well such as A01, found '1'"),
    load_data("another plate's table", lambda data: data.replace(b"1053600674,", b"1053600999,"),
              "no row of plate 1053600674; found 1053600999"),
    load_data("a row twice", lambda data: data + line_of(data, 1) + b"\n", "well A01, site 1", "found it listed twice",
              "take one out"),
    *(load_data(f"well {well}", cell("Metadata_Well", well), f"expected a well such as A01, found '{well}'", "correct the")
      for well in ("A0", "A01.a1", "A000", "1A", "AAA1", "$(touch x)", "А01")),
    *(load_data(f"site {site[:12]}", cell("Metadata_Site", site), "well A01: expected a site number from 1", "correct the")
      for site in ("0", "-1", "1.5", "x", "9" * 400)),
    load_data("a file name with ..", cell("FileName_OrigDNA", "../../../../../../etc/passwd"), WHERE,
              "would leave its folder", "correct it in the table"),
    load_data("a file name with backslashes", cell("FileName_OrigDNA", "..\\x.tif"), WHERE, "would leave its folder"),
    load_data("a file name of 300 letters", cell("FileName_OrigDNA", "x" * 300), WHERE, "has 300 letters", "255 bytes"),
    load_data("an address with encoded dots", cell("PathName_OrigDNA", "https://x/%2e%2e/%2e%2e/etc"), WHERE,
              "would leave its folder"),
    load_data("an address that is none", cell("PathName_OrigDNA", "https://[::1"), WHERE, "its address cannot be read",
              "correct the table's URL"),
    listed("listed images", "one that is not there", lambda mirror: image(mirror).unlink(), WHERE, "but the file is not there",
           "set source.missing: skip"),
    listed("listed images", "one of zero bytes", lambda mirror: image(mirror).write_bytes(b""), WHERE, "but the file is empty"),
    listed("listed images", "a folder in its place", replaced_by(lambda path: path.mkdir()), WHERE, "the file is not there"),
    listed("listed images", "a link to nothing", replaced_by(lambda path: path.symlink_to("/none/x.tif")), WHERE,
           "the file is not there"),
]  # fmt: skip

MAPS = [
    listed("platemap", "a row cut short", rewrite(PLATEMAP, lambda data: data.replace(b"A02\tBRD-2\tDMSO", b"A02")),
           "map1.txt (plate P1): row 2 has 1 cells, expected 3", "mend the row"),
    listed("platemap", "a well twice in two spellings", rewrite(PLATEMAP, lambda data: data + b"a1\tBRD-9\tDMSO\n"),
           "map1.txt (plate P1): expected one row a well", "A01 twice", "take one row out"),
    listed("platemap", "a newline within a sample", rewrite(PLATEMAP, lambda data: data.replace(b"BRD-2", b'"BRD\n2"')),
           "map1.txt (plate P1), well A02", "control character", "rename it"),
    listed("platemap", "a column that is missing", rewrite(PLATEMAP, lambda data: data.replace(b"broad_sample", b"s")),
           "map1.txt (plate P1): expected the columns broad_sample, found", "correct the file"),
    listed("platemap", "one of other wells", rewrite(PLATEMAP, lambda data: re.sub(rb"(?m)^([AB])0", rb"\g<1>1", data)),
           "plate P1, well A01, site 1", "not on the platemap (4 such wells of 4)",
           "check that the plate's platemap is the right one"),
    listed("platemap", "none", lambda mirror: (mirror / PLATEMAP).unlink(), "map1.txt: there is no such file", "plate P1",
           "source.wells", "source.metadata", "perturbations: false"),
    listed("platemap", "no barcode map", lambda mirror: (mirror / f"{PLATEMAPS}/barcode_platemap.csv").unlink(),
           "barcode_platemap.csv: there is no such file", "plate P1", "source.wells", "source.metadata", "perturbations: false"),
    listed("platemap", "a table of wells without this plate",
           lambda mirror: (mirror / "w.csv").write_text("plate,well,perturbation\nX,A1,d\n"),
           "w.csv has no row for plate 1053600674", "correct its column plate", wells="{folder}/w.csv"),
    listed("platemap", "a table of wells without samples", lambda mirror: (mirror / "w.csv").write_text("well,drug\nA1,d\n"),
           "w.csv: expected the columns well and perturbation", "found well, drug", wells="{folder}/w.csv"),
    listed("platemap", "a folder of metadata without platemaps", lambda mirror: (mirror / "m").mkdir(),
           "source.metadata: expected the folder platemaps in", "found nothing", "source.wells", metadata="{folder}/m"),
    listed("platemap", "two for one plate", rewrite(f"{PLATEMAPS}/barcode_platemap.csv", lambda d: d + b"1053600674,map2\n"),
           "expected one platemap of plate 1053600674, found map1, map2"),
    listed("platemap", "a name that leaves its folder",
           rewrite(f"{PLATEMAPS}/barcode_platemap.csv", lambda data: data.replace(b"map1", b"../../../x")),
           "would leave its folder"),
    listed("compounds", "a sample with two control types", rewrite(COMPOUNDS, lambda data: data + b"BRD-3\tx\tA\tt\tnegcon\n"),
           "compounds.tsv: BRD-3 has the control types negcon, poscon_cp", "keep one"),
    listed("compounds", "none of the plate's samples", lambda mirror: (mirror / "x.tsv").write_text("broad_sample\ttarget\nX\tA\n"),
           "none of its 3 samples", "set source.compounds", compounds="{folder}/x.tsv"),
    listed("compounds", "a gallery's own that know none", rewrite(COMPOUNDS, lambda data: data.replace(b"BRD-", b"X-")),
           "map1.txt (plate P1): none of its 3 samples", "compounds.tsv", "set source.compounds"),
    listed("compounds", "without targets", rewrite(COMPOUNDS, lambda data: data.replace(b"target", b"moa")),
           "no .tsv with the columns broad_sample and target", "compounds.tsv has broad_sample, pert_iname, moa",
           "set source.compounds"),
    listed("compounds", "a binary file", lambda mirror: (mirror / "x.tsv").write_bytes(bytes(range(256))),
           "x.tsv: not a readable table", "save it as UTF-8", compounds="{folder}/x.tsv"),
    listed("compounds", "a folder in its place", lambda mirror: None, "source.compounds: cannot read", "correct its path",
           compounds="{folder}"),
    listed("exclusions", "a binary file", lambda mirror: (mirror / "x.txt").write_bytes(b"\xff\xfe"),
           "x.txt: expected a text file", "save it as UTF-8", exclude="{folder}/x.txt"),
    listed("exclusions", "everything", lambda mirror: (mirror / "x.txt").write_text("DMSO\nBRD-1\nBRD-2\nBRD-3\n"),
           "plate P1: no images are left", "correct source.exclude", exclude="{folder}/x.txt"),
    listed("exclusions", "fields and wells that are not there",
           lambda mirror: (mirror / "x.txt").write_text("P1/A01/9\nP1/Z09 # a whole well\nBRD-1\n"),
           "x.txt: expected lines that name a perturbation, plate/well or plate/well/site of plate P1, found 2 that name nothing",
           "'P1/A01/9', 'P1/Z09 # a whole well'", "correct or remove them", exclude="{folder}/x.txt"),
    Case("exclusions", "what no plate of the study has", all_plates,
         ("of this study, found 2 that name nothing", "'BRD-l' (did you mean BRD-", "'P7/A01/1'", "correct or remove them")),
]  # fmt: skip


def own(what: str, change, *words: str) -> Case:
    """A case on the table of one's own images; its header or a cell is replaced."""

    def prepare(folder):
        (folder / "images").mkdir()
        for name in ("a1.tif", "a2.tif"):
            (folder / "images" / name).write_bytes(b"x")
        (folder / "images.csv").write_text(change(OWN))
        settings = index_settings(folder / "images", ["Brightfield"], {"plate": "X1", "role": "predict"},
                                  layout="table", table=str(folder / "images.csv"))  # fmt: skip
        return indexing(folder, settings)

    return Case("own images", what, prepare, ("images.csv", *words))


OWNS = [
    own("semicolons between cells", lambda text: text.replace(",", ";"), "expected the columns plate, well", "correct the file"),
    own("a column that is missing", lambda text: text.replace("file", "name", 1), "expected the columns file"),
    own("a column misspelt", lambda text: text.replace("perturbation", "perturbatoin"), "did you mean perturbation?"),
    own("two names for the compound that differ",
        lambda text: text.replace("file,", "file,compound,treatment,was_", 1).replace(".tif,", ".tif,a,b,"),
        "row 1: compound 'a' and treatment 'b' differ", "rename the column that is it to perturbation"),
    own("doses of no unit", lambda text: text.replace("perturbation", "Concentration"),
        "the column Concentration holds doses of no known unit", "set source.dose_unit"),
    own("a column twice", lambda text: text.replace("perturbation", "file"), "the column file occurs twice", "keep one"),
    own("another plate", lambda text: text.replace("X1", "X2"), "no row of plate X1; found X2", "correct"),
    own("an absolute path", lambda text: text.replace("a1.tif", "/etc/passwd"), "plate X1, well A01, site 1",
        "'/etc/passwd'", "would leave its folder"),
    own("a file of the folder above", lambda text: text.replace("a1.tif", "../images.csv"), "would leave its folder"),
    own("rows of a well that disagree", lambda text: text + "X1,A01,2,Brightfield,a3.tif,other\n", "well A01 disagree"),
    own("a row longer than the header", lambda text: text + "X1,A3,1,Brightfield,a3.tif,c,x\n",
        "row 3 has 7 cells, expected 6", "mend the row"),
]  # fmt: skip

CASES = LOAD + MAPS + OWNS
