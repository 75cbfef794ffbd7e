"""What lies outside of windows: sky, clouds, hills and trees all around, another for every seed."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vln.houses.pictures.texture import linear
from vln.runs import generator

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]

ROWS: Final = 256
COLUMNS: Final = 2048
LOWEST: Final = -0.6
HIGHEST: Final = 0.7
"""Rise over run of the lowest and highest row."""


def outdoors(seed: int, *, strength: float, warmth: float) -> Floats32:
    """Gives (ROWS, COLUMNS, 3) float32 linear RGB of a view all around, the top row first.

    Columns run with the heading, from 0 to 2 pi; rows from `HIGHEST` to `LOWEST` rise over run.

    Args:
        seed: Of hills, trees and clouds.
        strength: Of the daylight, 0 to 1.
        warmth: Of the daylight, 0 to 1.
    """
    rng = generator(seed, "houses.outdoors")
    rise: Floats = np.asarray(np.linspace(HIGHEST, LOWEST, ROWS)[:, None], dtype=np.float64)
    high, low = _colours((96, 150, 214), (206, 224, 236))
    low = low + warmth * 0.5 * (_colours((246, 214, 176))[0] - low)
    share = np.clip(rise / HIGHEST, 0, 1)[..., None]
    picture = np.repeat(low + share * (high - low), COLUMNS, axis=1)
    clouds = np.clip(_bumps(rng, (8, 16), 4) * 1.6 - 0.1, 0, 1) * np.clip(rise * 4, 0, 1)
    _cover(picture, 0.8 * clouds, np.ones(3))
    shade = 1 + 0.15 * _bumps(rng, (32, 64), 2)[..., None]
    for top, colour, bumps in (
        (0.11, (132, 158, 176), 6),
        (0.06, (104, 142, 116), 10),
        (0.0, (92, 134, 66), 5),
    ):
        ridge = top + 0.05 * _bumps(rng, (1, bumps), 4, rows=1)
        _cover(picture, np.clip((ridge - rise) * 150, 0, 1), _colours(colour)[0] * shade)
    _plant_trees(picture, rng, rise)
    return (picture * (0.75 + 0.45 * strength)).astype(np.float32)


def _plant_trees(picture: Floats, rng: np.random.Generator, rise: Floats) -> None:
    ragged = _bumps(rng, (48, 256), 2)
    for _ in range(int(rng.integers(14, 30))):
        middle, wide = int(rng.integers(COLUMNS)), rng.uniform(0.01, 0.033) * COLUMNS
        foot = rng.uniform(-0.12, -0.02)
        tall = wide / COLUMNS * rng.uniform(9, 15)
        columns = np.arange(middle - int(wide * 1.4), middle + int(wide * 1.4)) % COLUMNS
        around = picture[:, columns]
        away = np.abs((columns - middle + COLUMNS / 2) % COLUMNS - COLUMNS / 2)[None, :]
        up, rough = (rise - foot) / tall, ragged[:, columns]
        trunk = (away < wide * 0.1) & (up > 0) & (up < 0.5)
        _cover(around, trunk.astype(np.float64), _colours((84, 62, 44))[0])
        round_ = 1 - (away / wide) ** 2 - ((up - 0.65) / 0.45) ** 2
        crown = np.clip((round_ + 0.35 * rough) * 6, 0, 1)
        green = _colours((int(rng.integers(44, 92)), int(rng.integers(96, 126)), 48))[0]
        light = 0.8 + 0.5 * np.clip(up - 0.4, 0, 1) + 0.25 * rough
        _cover(around, crown, green * light[..., None])
        picture[:, columns] = around


def _cover(picture: Floats, share: Floats, colour: Floats) -> None:
    picture += share[..., None] * (colour - picture)


def _colours(*colours: tuple[int, int, int]) -> Floats:
    return linear(np.array(colours, np.float64))


def _bumps(
    rng: np.random.Generator, cells: tuple[int, int], octaves: int, *, rows: int = ROWS
) -> Floats:
    """Gives (rows, COLUMNS) smooth noise, about -1 to 1, that closes all around."""
    total = np.zeros((rows, COLUMNS))
    for octave in range(octaves):
        grid = rng.uniform(-1, 1, (cells[0] << octave, cells[1] << octave))
        for axis, size in ((0, rows), (1, COLUMNS)):
            at = np.arange(size) * grid.shape[axis] / size
            place = at.astype(np.int64)
            share = at - place
            share = share * share * (3 - 2 * share)
            share = share[:, None] if axis == 0 else share[None, :]
            near = np.take(grid, place, axis=axis)
            after = np.take(grid, (place + 1) % grid.shape[axis], axis=axis)
            grid = near + share * (after - near)
        total += grid * 0.5**octave
    return total
