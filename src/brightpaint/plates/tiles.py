"""The tiles that a raw field is cut into, and whether raw images of a size can be brought to square ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

LARGEST_ASPECT = 1.02
MOST_TILES, SMALLEST_PX = 64, 64  # of a grid that is proposed


def tile_box(shape: tuple[int, int], grid: Sequence[int], tile: int) -> tuple[int, int, int, int]:
    """Return (y, x, height, width) in px of tile `tile` (from 1, row by row) of a field cut into `grid`.

    All tiles are equally large; what a division leaves over at the lower and right border is not used.
    """
    rows, columns = grid
    height, width = shape[0] // rows, shape[1] // columns
    row, column = divmod(tile - 1, columns)
    if not 0 <= row < rows or not height or not width:
        raise ValueError(f"tile {tile}: a field of {shape[0]} x {shape[1]} px has no such tile of {rows} x {columns}")
    return row * height, column * width, height, width


def zoom(settings: dict) -> float | None:
    """Return how many raw pixels a prepared pixel is wide; None where the whole tile is brought to size_px."""
    return settings["pixel_size_um"] / settings["raw_pixel_um"] if settings["pixel_size_um"] else None


def kept_box(box: tuple, settings: dict) -> tuple:
    """Return the part (y, x, height, width) of a tile, in raw px, that its prepared image shows: all, or its middle."""
    factor = zoom(settings)
    if factor is None:
        return box
    y, x, height, width = box
    side = factor * settings["size_px"]
    return y + (height - side) / 2, x + (width - side) / 2, side, side


def check_size(shape: tuple[int, int], settings: dict) -> None:
    """Raise ValueError where raw tiles cannot give square prepared images without distortion or empty borders.

    Parameters
    ----------
    settings : size_px, grid, pixel_size_um, and raw_pixel_um where it is known (it must be where pixel_size_um is given)
    """
    _, _, height, width = tile_box(shape, settings["grid"], 1)
    factor = zoom(settings)
    if factor is None:
        return check_aspect(shape, settings)
    size = settings["size_px"]
    if factor * size > min(height, width) + 1e-6:
        fits = int(min(height, width) / factor) // 8 * 8
        raise ValueError(
            f"tiles of {height} x {width} px of {settings['raw_pixel_um']} um are too small: expected at least "
            f"{math.ceil(factor * size)} px for prepare.size_px {size} at prepare.pixel_size_um "
            f"{settings['pixel_size_um']}; set prepare.size_px to {fits} or less, or prepare.pixel_size_um to "
            f"{pixel_that_fits((height, width), settings)} or less"
        )


def check_aspect(shape: tuple[int, int], settings: dict) -> None:
    """Raise ValueError where tiles are far from square: the resize to a square would distort the cells."""
    grid = settings["grid"]
    _, _, height, width = tile_box(shape, grid, 1)
    if not is_square(height, width):
        grids = [
            f"{[rows, columns]} ({shape[0] // rows} x {shape[1] // columns} px)"
            for rows, columns in grids_that_fit(shape)
        ]
        ways = [f"prepare.grid (rows, columns) {' or '.join(grids)}"] if grids else []
        if settings.get("raw_pixel_um"):
            middle = pixel_that_fits((height, width), settings)
            ways.append(
                f"prepare.pixel_size_um {middle} or less, which keeps the middle {settings['size_px']} px of each tile"
            )
        raise ValueError(
            f"raw images are {shape[0]} x {shape[1]} px, so that tiles of prepare.grid {list(grid)} are "
            f"{height} x {width} px; expected square ones: set {', or '.join(ways) or 'another prepare.grid'}"
        )


def is_square(height: int, width: int) -> bool:
    return max(height, width) <= LARGEST_ASPECT * min(height, width)


def grids_that_fit(shape: tuple[int, int], count: int = 2) -> list[tuple[int, int]]:
    """Return the grids (rows, columns) of fewest tiles that cut a field of this size into square ones."""
    sides = range(1, MOST_TILES + 1)
    grids = [(rows, columns) for rows in sides for columns in sides if rows * columns <= MOST_TILES]
    boxes = {(rows, columns): (shape[0] // rows, shape[1] // columns) for rows, columns in grids}
    square = [grid for grid, box in boxes.items() if min(box) >= SMALLEST_PX and is_square(*box)]
    return sorted(square, key=lambda grid: (grid[0] * grid[1], grid))[:count]


def pixel_that_fits(tile: tuple[int, int], settings: dict) -> float:
    """Return the largest pixel size, in micrometres to three digits, at which size_px pixels lie within a tile."""
    exact = settings["raw_pixel_um"] * min(tile) / settings["size_px"]
    digits = 2 - math.floor(math.log10(exact))
    return math.floor(exact * 10**digits) / 10**digits
