"""How materials are drawn: planks, bricks, weaves and grains that repeat without a seam.

Every picture is a square of N x N pixels; rows run along the second direction (up a wall), columns
along the first. Only sums, products and comparisons make them, so all machines draw the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.runs import generator

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Drawn = tuple[Floats, Floats]
"""(N, N) tone, 1 for the colour as it is; (N, N) share of the second colour, 0 to 1."""

LARGE: Final = 512
SMALL: Final = 256


@dataclass(frozen=True)
class Recipe:
    """How to draw a material, how many metres the picture spans, and its second colour."""

    draw: Callable[[], Drawn]
    metres: float
    second: tuple[int, int, int] = (255, 255, 255)


def noise(name: str, size: int, cells: tuple[int, int]) -> Floats:
    """Gives (size, size) smooth noise from -1 to 1 that repeats at its edges.

    Args:
        name: Of the noise: the same name gives the same noise.
        size: N.
        cells: How many bumps it has down and across; divisors of N.
    """
    grid = generator(0, f"houses.patterns.{name}").uniform(-1, 1, cells)
    for axis in (0, 1):
        place = (np.arange(size) * cells[axis]) // size
        share = (np.arange(size) * cells[axis] % size) / size
        share = share * share * (3 - 2 * share)
        share = share[:, None] if axis == 0 else share[None, :]
        near = np.take(grid, place, axis=axis)
        grid = near + share * (np.take(grid, (place + 1) % cells[axis], axis=axis) - near)
    return grid


def octaves(name: str, size: int, cells: tuple[int, int], *, count: int) -> Floats:
    """Gives noise from about -1 to 1 with finer and finer, weaker and weaker bumps."""
    total, weight = np.zeros((size, size)), 0.0
    for octave in range(count):
        finer = min(cells[0] << octave, size), min(cells[1] << octave, size)
        total += noise(f"{name}.{octave}", size, finer) * 0.5**octave
        weight += 0.5**octave
    return total / weight * 1.3


def grain(name: str, size: int, *, across: int = 64) -> Floats:
    """Gives wood's grain along the columns, about -1 to 1."""
    wide = octaves(f"{name}.grain", size, (across, 4), count=2)
    fine = noise(f"{name}.fibre", size, (size // 2, 16))
    return 0.65 * wide + 0.35 * fine


def bands(size: int, count: int) -> tuple[Ints, Floats]:
    """Gives (N,) which of `count` equal bands each pixel is in, and (N,) pixels to its edge."""
    width = size / count
    index = (np.arange(size) + 0.5) // width
    into = np.arange(size) + 0.5 - index * width
    return index.astype(np.int64), np.minimum(into, width - into)


def groove(edge: Floats, pixels: float) -> Floats:
    """Gives 1 at an edge, falling to 0 over a pixel beyond `pixels`."""
    return np.clip(pixels + 0.5 - edge, 0, 1)


def mosaic(name: str, size: int, rows: int, columns: int, *, shift: float = 0.0) -> Drawn:
    """Gives rectangles: a random number of each, -1 to 1, and every pixel's distance to an edge.

    Args:
        name: Of the random numbers.
        size: N.
        rows: Rectangles down.
        columns: Rectangles across.
        shift: By how much of a rectangle every other row is moved.
    """
    row, edge_row = bands(size, rows)
    width = size / columns
    moved = (np.arange(size)[None, :] + 0.5 + (row % 2)[:, None] * shift * width) % size
    column = (moved // width).astype(np.int64)
    into = moved - column * width
    edge = np.minimum(np.minimum(into, width - into), edge_row[:, None])
    value = generator(0, f"houses.patterns.{name}").uniform(-1, 1, (rows, columns))
    return value[row[:, None], column], edge


def _planks() -> Drawn:
    value, edge = mosaic("planks", LARGE, 16, 2)
    row, edge_row = bands(LARGE, 16)
    start = generator(0, "houses.patterns.joints").integers(0, LARGE, 16)[row]
    column = (np.arange(LARGE)[None, :] + start[:, None]) % LARGE
    value = np.take_along_axis(value, column, axis=1)
    along = np.abs((column % (LARGE // 2)) + 0.5)
    edge = np.minimum(np.minimum(along, LARGE // 2 - along), edge_row[:, None])
    figure = np.take_along_axis(grain("planks", LARGE, across=128), column, axis=1)
    tone = 0.97 + 0.13 * value + 0.1 * figure
    return tone * (1 - 0.5 * groove(edge, 0.8)), np.zeros_like(tone)


def _parquet() -> Drawn:
    _, edge = mosaic("", LARGE, 8, 8)
    slat, edge_slat = bands(LARGE, 32)
    value = generator(0, "houses.patterns.parquet").uniform(-1, 1, (8, 32, 2))
    square = np.arange(LARGE) // (LARGE // 8)
    lying = (square[:, None] + square[None, :]) % 2 == 0
    flat = value[square[None, :], slat[:, None], 0]
    upright = value[square[:, None], slat[None, :], 1]
    figure = grain("parquet", LARGE, across=128)
    figure = np.where(lying, figure, figure.T)
    near = np.minimum(edge, np.where(lying, edge_slat[:, None], edge_slat[None, :]))
    tone = 0.97 + 0.14 * np.where(lying, flat, upright) + 0.1 * figure
    tone = tone + np.where(lying, 0.04, -0.04)
    return tone * (1 - 0.4 * groove(near, 0.5)), np.zeros_like(tone)


def _tiles() -> Drawn:
    value, edge = mosaic("tiles", LARGE, 8, 8)
    tone = 1 + 0.05 * value + 0.03 * octaves("tiles", LARGE, (16, 16), count=3)
    return tone, 0.85 * groove(edge, 1.4)


def _terracotta() -> Drawn:
    value, edge = mosaic("terracotta", LARGE, 10, 10)
    tone = 0.97 + 0.17 * value + 0.09 * octaves("terracotta", LARGE, (32, 32), count=3)
    return tone, 0.8 * groove(edge, 2.2)


def _marble() -> Drawn:
    _, edge = mosaic("", LARGE, 4, 4)
    cloud = octaves("marble", LARGE, (4, 4), count=4)
    vein = np.clip(1 - np.abs(octaves("vein", LARGE, (4, 8), count=4)) * 9, 0, 1)
    fine = np.clip(1 - np.abs(octaves("vein2", LARGE, (8, 4), count=4)) * 14, 0, 1)
    tone = 1 + 0.08 * cloud
    return tone * (1 - 0.35 * groove(edge, 0.6)), 0.5 * vein * vein + 0.3 * fine


def _carpet() -> Drawn:
    tuft = noise("carpet", LARGE, (256, 256)) + 0.5 * noise("carpet2", LARGE, (LARGE, LARGE))
    tone = 0.97 + 0.14 * tuft + 0.05 * noise("carpet3", LARGE, (16, 16))
    return tone, np.zeros_like(tone)


def _concrete() -> Drawn:
    cloud = octaves("concrete", LARGE, (4, 4), count=6)
    pits = np.clip(noise("pits", LARGE, (128, 128)) - 0.75, 0, 1)
    tone = 0.98 + 0.14 * cloud - 0.9 * pits
    return tone, np.zeros_like(tone)


def _paint() -> Drawn:
    tone = 1 + 0.02 * octaves("paint", SMALL, (16, 16), count=4)
    return tone, np.zeros_like(tone)


def _plain() -> Drawn:
    return np.ones((SMALL, SMALL)), np.zeros((SMALL, SMALL))


def _stripes() -> Drawn:
    band, edge = bands(SMALL, 8)
    light = np.where(band % 2 == 0, 0.55, 0.0) * np.clip(edge, 0, 1)
    line = groove(np.abs(edge - 5.0), 0.4) * 0.3
    mix = np.broadcast_to(np.maximum(light, line)[None, :], (SMALL, SMALL))
    return _paint()[0], mix.astype(np.float64)


def _dots() -> Drawn:
    place = np.arange(SMALL) + 0.5
    cell = SMALL / 4
    row = place[:, None] // (cell / 2)
    column = (place[None, :] + (row % 2) * cell / 2) % cell - cell / 2
    up = place[:, None] % (cell / 2) - cell / 4
    apart = np.sqrt(column * column + up * up)
    return _paint()[0], 0.85 * np.clip(cell / 7 + 0.5 - apart, 0, 1)


def _brick() -> Drawn:
    value, edge = mosaic("brick", LARGE, 16, 5, shift=0.5)
    rough = octaves("brick", LARGE, (64, 64), count=3)
    tone = 0.95 + 0.2 * value + 0.16 * rough
    return tone * (1 - 0.25 * groove(edge, 4.0)), groove(edge + 0.8 * rough, 2.6)


def _panelling() -> Drawn:
    _, edge = bands(SMALL, 8)
    figure = grain("panelling", SMALL).T
    shade = 1 - 0.45 * groove(edge, 0.8) - 0.12 * groove(np.abs(edge - 2.0), 0.6)
    tone = (0.98 + 0.1 * figure) * shade[None, :]
    return tone, np.zeros_like(tone)


def _wall_tiles() -> Drawn:
    value, edge = mosaic("wall tiles", LARGE, 16, 8, shift=0.5)
    tone = 1 + 0.06 * value + 0.12 * groove(np.abs(edge - 4), 0.9)
    return tone, 0.8 * groove(edge, 1.2)


def _plaster() -> Drawn:
    bumps = octaves("plaster", LARGE, (32, 32), count=4)
    slope = bumps - np.roll(bumps, (2, 2), axis=(0, 1))
    tone = 1 + 0.05 * bumps + 0.35 * slope
    return tone, np.zeros_like(tone)


def _wood() -> Drawn:
    ring = octaves("wood", SMALL, (16, 2), count=3) * 3
    ring = np.abs(ring - np.floor(ring) - 0.5) * 2
    tone = 0.96 + 0.16 * (ring - 0.5) + 0.14 * grain("wood", SMALL)
    return tone, np.zeros_like(tone)


def _weave(count: int, depth: float, name: str) -> Drawn:
    thread, edge = bands(SMALL, count)
    over = (thread[:, None] + thread[None, :]) % 2 == 0
    most = SMALL / count / 2
    height = np.where(over, edge[:, None], edge[None, :]) / most
    tone = 0.97 + depth * (height - 0.5) + 0.05 * noise(name, SMALL, (64, 64))
    return tone + np.where(over, 0.03, -0.03), np.zeros_like(tone)


def _fabric() -> Drawn:
    return _weave(64, 0.22, "fabric")


def _wicker() -> Drawn:
    return _weave(16, 0.7, "wicker")


def _leather() -> Drawn:
    crease = np.abs(octaves("leather", SMALL, (32, 32), count=3))
    tone = 1.03 - 0.22 * np.clip(1 - crease * 5, 0, 1) + 0.05 * noise("hide", SMALL, (8, 8))
    return tone, np.zeros_like(tone)


def _metal() -> Drawn:
    brushed = noise("metal", SMALL, (SMALL, 4)) + noise("metal2", SMALL, (SMALL // 2, 16))
    tone = 1 + 0.05 * brushed
    return tone, np.zeros_like(tone)


def _glass() -> Drawn:
    place = np.arange(SMALL)
    slant = (place[:, None] + place[None, :]) % SMALL / SMALL
    streak = np.clip(1 - np.abs(slant - 0.3) * 10, 0, 1) + np.clip(
        1 - np.abs(slant - 0.5) * 20, 0, 1
    )
    return np.ones((SMALL, SMALL)), 0.22 * streak


def _stone() -> Drawn:
    speck = noise("stone", SMALL, (128, 128))
    tone = 0.98 + 0.12 * octaves("stone2", SMALL, (8, 8), count=4) + 0.1 * speck
    return tone, np.zeros_like(tone)


def _leaf() -> Drawn:
    rib, edge = bands(SMALL, 16)
    tone = 0.95 + 0.16 * octaves("leaf", SMALL, (32, 32), count=2) + 0.1 * groove(edge, 0.6)
    return tone + 0.04 * (rib % 2), np.zeros_like(tone)


PATTERNS: Final[dict[str, Recipe]] = {
    "planks": Recipe(_planks, 2.56),
    "parquet": Recipe(_parquet, 2.56),
    "tiles": Recipe(_tiles, 2.72, (196, 190, 180)),
    "marble": Recipe(_marble, 2.88, (150, 146, 142)),
    "carpet": Recipe(_carpet, 2.0),
    "concrete": Recipe(_concrete, 3.2),
    "terracotta": Recipe(_terracotta, 2.5, (176, 164, 148)),
    "paint": Recipe(_paint, 2.0),
    "stripes": Recipe(_stripes, 0.8),
    "dots": Recipe(_dots, 0.8),
    "brick": Recipe(_brick, 1.28, (188, 180, 168)),
    "panelling": Recipe(_panelling, 1.0),
    "wall tiles": Recipe(_wall_tiles, 1.6, (214, 212, 206)),
    "plaster": Recipe(_plaster, 2.2),
    "ceiling": Recipe(_paint, 2.5),
    "door": Recipe(_paint, 1.0),
    "trim": Recipe(_plain, 1.0),
    "window": Recipe(_plain, 1.0),
    "glow": Recipe(_plain, 1.0),
    "wood": Recipe(_wood, 0.9),
    "fabric": Recipe(_fabric, 0.4),
    "leather": Recipe(_leather, 0.5),
    "metal": Recipe(_metal, 0.6),
    "plastic": Recipe(_plain, 1.0),
    "glass": Recipe(_glass, 1.1),
    "ceramic": Recipe(_plain, 1.0),
    "stone": Recipe(_stone, 0.8),
    "wicker": Recipe(_wicker, 0.32),
    "leaf": Recipe(_leaf, 0.3),
    "paper": Recipe(_paint, 1.0),
    "screen": Recipe(_glass, 0.9, (120, 150, 190)),
}
"""Every material that a mesh may have."""
