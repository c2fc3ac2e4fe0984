"""AnnData files (.h5ad): a matrix with what its rows and columns are, as scanpy reads it.

Written by anndata, which is loaded only here and only where such a file is asked for (envs/formats.txt). Text goes in as
Python's own strings: anndata cannot write pandas 3's, and readers from 0.8 on open what it writes then.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from brightpaint.base.atomic import replace, scratch_folder


def write_annotated(
    path: str | Path, values: np.ndarray, rows: pd.DataFrame, columns: pd.DataFrame, made: dict
) -> None:
    """Write a matrix as AnnData, the same bytes every time.

    Parameters
    ----------
    values : (N, F) float32 or float64, NaN where nothing is known
    rows : N rows, what each is (`obs`); its index names them, each name once
    columns : F rows, what each column is (`var`); its index names them, each name once
    made : what made it, text, numbers and lists of text; becomes `uns["brightpaint"]`

    Raises
    ------
    ValueError
        for a name that occurs twice
    """
    import anndata

    for what, frame in (("row", rows), ("column", columns)):
        if twice := frame.index[frame.index.duplicated()].tolist():
            raise ValueError(
                f"{path}: the {what} {twice[0]} occurs twice; delete the table that it is made from and rerun"
            )
    told = {key: np.array(value, dtype=object) if isinstance(value, list) else value for key, value in made.items()}
    table = anndata.AnnData(values, obs=_plain(rows), var=_plain(columns), uns={"brightpaint": told})
    with scratch_folder(path) as folder:  # HDF5 locks the file itself, and would find it locked by `atomic`
        table.write_h5ad(folder / "whole.h5ad", convert_strings_to_categoricals=False)
        replace(folder / "whole.h5ad", path)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with text as object, "" for a gap in it, and numbers as they are."""
    numbers = {name for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name])}
    columns = {
        name: frame[name].to_numpy()
        if name in numbers
        else ["" if pd.isna(text) else str(text) for text in frame[name]]
        for name in frame.columns
    }
    plain = pd.DataFrame(columns, index=pd.Index(frame.index.astype(str), dtype=object))
    plain = plain.astype({name: object for name in frame.columns if name not in numbers})
    return plain.set_axis(pd.Index(list(frame.columns), dtype=object), axis=1)
