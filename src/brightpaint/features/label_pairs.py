"""Match label images of cells to those of nuclei one to one, so that one number means one cell in both.

numpy alone: cellpose_segment.py runs this in cellpose's own environment.
"""

from __future__ import annotations

import numpy as np

LARGEST = 65535  # 16-bit label images


def without_border(labels: np.ndarray) -> np.ndarray:
    """Return the label image without the objects that touch its edge.

    Parameters
    ----------
    labels : (H, W) int, 0 outside
    """
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return np.where(np.isin(labels, edge), 0, labels)


def count(labels: np.ndarray) -> int:
    """Return the number of objects."""
    return int(np.count_nonzero(np.unique(labels)))


def matched(nuclei: np.ndarray, cells: np.ndarray) -> list[tuple[int, int]]:
    """Return (nucleus, cell) pairs, each number once, in the order of the nuclei.

    A nucleus belongs to the cell that holds most of it, at least half; a cell that holds several keeps the one of which
    it holds most pixels (of two the same, the lower number).
    """
    base = int(cells.max(initial=0)) + 1
    both = (nuclei > 0) & (cells > 0)
    codes, shared = np.unique(nuclei[both].astype(np.int64) * base + cells[both], return_counts=True)
    sizes = np.bincount(nuclei.ravel())
    best: dict[int, tuple[int, int]] = {}  # cell: (pixels, nucleus)
    for nucleus, cell, pixels in zip(codes // base, codes % base, shared):
        if 2 * pixels < sizes[nucleus]:
            continue
        if pixels > best.get(int(cell), (0, 0))[0]:
            best[int(cell)] = (int(pixels), int(nucleus))
    pairs, taken = [], set()
    for cell, (_, nucleus) in sorted(best.items(), key=lambda item: (item[1][1], -item[1][0])):
        if nucleus not in taken:  # halved exactly by two cells
            taken.add(nucleus)
            pairs.append((nucleus, cell))
    return pairs


def paired(nuclei: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Return label images of nuclei and cells with the same numbers 1, 2, ..., and what was left out.

    Nuclei at the edge are left out, as by CellProfiler in the shipped pipelines; then nuclei without a cell of their own
    and cells without a nucleus. A nucleus lies within its cell: what it has outside is added to the cell, and taken from
    its neighbours. One pixel of the cells' image stays background, for CellProfiler 4.2.8 takes the lowest number of an
    image that has none for the background.

    Parameters
    ----------
    nuclei, cells : (H, W) int, 0 outside

    Returns
    -------
    nuclei, cells : (H, W) uint16
    counts : nuclei, at_the_edge, without_a_cell, cells, without_a_nucleus, kept
    """
    if nuclei.shape != cells.shape:
        raise ValueError(f"label images of unlike size: nuclei {nuclei.shape}, cells {cells.shape}")
    whole = without_border(nuclei)
    pairs = matched(whole, cells)
    if len(pairs) > LARGEST:
        raise ValueError(
            f"{len(pairs)} cells in one field, expected at most {LARGEST}: cut it into tiles (prepare.grid)"
        )
    of_nucleus = np.zeros(int(nuclei.max(initial=0)) + 1, np.uint16)
    of_cell = np.zeros(int(cells.max(initial=0)) + 1, np.uint16)
    for number, (nucleus, cell) in enumerate(pairs, 1):
        of_nucleus[nucleus], of_cell[cell] = number, number
    new_nuclei = of_nucleus[whole]
    new_cells = np.where(new_nuclei > 0, new_nuclei, of_cell[cells])
    if pairs and new_cells.all():
        new_cells[0, 0] = 0  # never a nucleus: those at the edge are gone
    left = {
        "nuclei": count(nuclei), "at_the_edge": count(nuclei) - count(whole),
        "without_a_cell": count(whole) - len(pairs), "cells": count(cells),
        "without_a_nucleus": count(cells) - len(pairs), "kept": len(pairs),
    }  # fmt: skip
    return new_nuclei, new_cells, left
