"""Where objects lie and what belongs to what: the columns that CellProfiler's Identify modules write.

IdentifyPrimaryObjects, IdentifySecondaryObjects and IdentifyTertiaryObjects write Location_Center_*, Number_Object_Number,
Parent_* and Children_*_Count. A parent is the object that holds most of the child's pixels.
"""

from __future__ import annotations

import numpy as np

from brightpaint.features.engine.objects import Objects


def measure(objects: Objects, *, depth: bool = True) -> dict[str, np.ndarray]:
    """Return Location_Center_X, _Y and _Z, in pixels, and Number_Object_Number: {column: (count,) float64}.

    An object without a pixel lies at NaN. `depth` writes Location_Center_Z, 0: IdentifyPrimaryObjects and
    IdentifySecondaryObjects do, IdentifyTertiaryObjects does not.
    """
    rows, columns = centres(objects)
    found = {"Location_Center_X": columns, "Location_Center_Y": rows}
    if depth:
        found["Location_Center_Z"] = np.zeros(objects.count)
    return found | {"Number_Object_Number": np.arange(1.0, objects.count + 1)}


def centres(objects: Objects) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean row and column of each object's pixels: (count,) float64 each, NaN where there is none."""
    owners = np.repeat(np.arange(objects.count), objects.areas)
    rows, columns = np.divmod(objects.pixels, max(objects.labels.shape[1], 1))
    with np.errstate(invalid="ignore"):
        return tuple(np.bincount(owners, along, objects.count) / objects.areas for along in (rows, columns))


def parents_of(parents: np.ndarray, children: np.ndarray, count: int) -> np.ndarray:
    """Return the number of the object that shares most pixels with each child, the first of equals; 0 where none does.

    Parameters
    ----------
    parents, children : (H, W) int32, of one shape; 0 is background
    count : number of children

    Returns
    -------
    (count,) int64
    """
    both = (parents > 0) & (children > 0)
    last = int(parents.max(initial=0))
    shared = np.bincount(
        children[both].astype(np.int64) * (last + 1) + parents[both], minlength=(count + 1) * (last + 1)
    )
    return shared.reshape(count + 1, last + 1).argmax(1)[1:]


def relate(parent: str, parents: Objects, child: str, children: Objects) -> tuple[dict, dict]:
    """Return the columns that a relation adds to the parents' table and to the children's, all float64.

    The first is {`Children_Cells_Count`: (parents,)}, the second {`Parent_Nuclei`: (children,)}.
    """
    of = parents_of(parents.labels, children.labels, children.count)
    return _columns(parent, parents.count, child, of)


def relate_unshrunk(
    smaller: tuple[str, Objects], larger: tuple[str, Objects], tertiary: tuple[str, Objects]
) -> tuple[dict, dict]:
    """Return what `relate` does of the smaller objects and the tertiary ones, where the smaller are not shrunk.

    The two share no pixel then, and IdentifyTertiaryObjects goes by the larger object of both. Each pair is (name, objects).
    """
    (name, small), (_, large), (child, rest) = smaller, larger, tertiary
    of_rest = parents_of(large.labels, rest.labels, rest.count)
    of_small = parents_of(large.labels, small.labels, small.count)
    small_of_large = np.zeros(large.count + 1, np.int64)
    small_of_large[of_small] = np.arange(1, small.count + 1)
    small_of_large[0] = 0
    children, found = _columns(name, small.count, child, small_of_large[of_rest])
    rests_of_large = np.bincount(of_rest, minlength=large.count + 1)
    counts = np.where(of_small > 0, rests_of_large[of_small], 0)
    return {column: counts.astype(float) for column in children}, found


def _columns(parent: str, parents: int, child: str, of: np.ndarray) -> tuple[dict, dict]:
    counts = np.bincount(of, minlength=parents + 1)[1:]
    return {f"Children_{child}_Count": counts.astype(float)}, {f"Parent_{parent}": of.astype(float)}
