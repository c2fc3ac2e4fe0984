"""The files of a simulated plate in the gallery's layout: images under a CV8000's names, and the tables beside them."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pandas as pd

from brightpaint import store
from brightpaint.plates.simulator import dosing, molecules, phenotypes
from brightpaint.plates.simulator.imaging import View
from brightpaint.plates.simulator.phenotypes import seed_of

COMPOUND_FILE, MOLECULE_FILE = "simulated_compound_metadata.tsv", "simulated_molecule_metadata.tsv"


def file_name(barcode: str, well: str, site: int, channel: str, view: View) -> str:
    """Return a CV8000's name for one image: stains are actions 1 to n, brightfield one action of several planes."""
    shown = list(dict.fromkeys(filter(None, map(view.stain_of, view.channels))))
    stain = view.stain_of(channel)
    planes = view.stacks.get(stain, [channel]) if stain else list(view.brightfield_planes())
    action, plane = (shown.index(stain) if stain else len(shown)) + 1, planes.index(channel) + 1
    return f"{barcode}_{well}_T0001F{site:03d}L01A{action:02d}Z{plane:02d}C{action:02d}.tif"


def load_data(plate: dict, wells: list[str], sites: int, written: list[str], view: View) -> pd.DataFrame:
    """Return load_data.csv: one row a field, columns as in the gallery's own."""
    barcode = plate["barcode"]
    folder = f"/home/ubuntu/bucket/{plate['project']}/{plate['source']}/images/{plate['batch']}/images/{barcode}/"
    rows = []
    for well in wells:
        for site in range(1, sites + 1):
            row = {"Metadata_Source": plate["source"], "Metadata_Batch": plate["batch"], "Metadata_Plate": barcode,
                   "Metadata_Well": well, "Metadata_Site": site}  # fmt: skip
            row |= {f"FileName_Orig{name}": file_name(barcode, well, site, name, view) for name in written}
            row |= {f"PathName_Orig{name}": folder for name in written}
            rows.append(row)
    return pd.DataFrame(rows)


def platemap(layout: pd.DataFrame) -> pd.DataFrame:
    """Return a platemap; as in JUMP-Target's, a DMSO well has no broad_sample."""
    samples = layout["Metadata_perturbation"].where(layout["Metadata_control_type"] != "negcon", "")
    table = pd.DataFrame({"well_position": layout["Metadata_Well"], "broad_sample": samples, "solvent": "DMSO"})
    if "Metadata_dose" in layout:
        table.insert(2, "mmoles_per_liter", dosing.written_doses(layout))  # the gallery's name; holds micromolar
    return table


def platemap_name(table: pd.DataFrame, layout: str) -> str:
    """Return a name for a platemap that changes with its content, so that no two platemaps share a file."""
    return f"simulated_{layout}_{seed_of(table.to_csv(index=False)):08x}"


def write_metadata(workspace: Path, plate: dict, layout: pd.DataFrame) -> None:
    """Write the platemap, the compound table and this plate's row of the batch's barcode table."""
    table = platemap(layout)
    name = platemap_name(table, plate["layout"])
    maps = workspace / "metadata" / "platemaps" / plate["batch"]
    store.write_table(table, maps / "platemap" / f"{name}.txt")
    compounds = (COMPOUND_FILE, phenotypes.compound_library)
    if "Metadata_smiles" in layout:
        compounds = (MOLECULE_FILE, molecules.compound_metadata)
    store.write_table(compounds[1](), workspace / "metadata" / "external_metadata" / compounds[0])
    with open(maps / ".barcode_platemap.lock", "a") as lock:  # plates of a batch run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        path, rows = maps / "barcode_platemap.csv", {}
        if path.exists():
            known = store.read_table(path)
            rows = dict(zip(known["Assay_Plate_Barcode"], known["Plate_Map_Name"]))
        rows = sorted({**rows, plate["barcode"]: name}.items())
        store.write_table(pd.DataFrame(rows, columns=["Assay_Plate_Barcode", "Plate_Map_Name"]), path)
