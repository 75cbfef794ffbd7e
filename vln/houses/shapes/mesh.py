"""A home as one list of triangles: its shell and its objects, each triangle with owner and finish.

Knows nothing of light, textures or cameras.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vln.houses.building.scene import Finish, Home
from vln.houses.shapes.furniture import parts
from vln.houses.shapes.joinery import joinery
from vln.houses.shapes.shell import Grid, Surface, room_surfaces
from vln.houses.shapes.solids import place, rotations, turn_by
from vln.houses.shapes.steps import flights

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DECIMALS = 5


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, seen from the side from which their corners run counter-clockwise.

    Attributes:
        corners: (T, 3, 3) float32 metres in the world. Objects are closed solids.
        owner: (T,) int32: an index into the home's items, or -1 - room for the shell.
        finish: (T,) int32 index into `finishes`.
        finishes: Every look once. Beside the catalogue's materials: `ceiling`, `door`, `window`
            (a pane, lit from outside), `glow` (gives light), `trim`.
    """

    corners: npt.NDArray[np.float32]
    owner: npt.NDArray[np.int32]
    finish: npt.NDArray[np.int32]
    finishes: tuple[Finish, ...]


def home_mesh(home: Home, *, step: float | None) -> Mesh:
    """Gives a home's triangles: rooms, then flights of stairs, then objects in the home's order.

    Args:
        home: The home.
        step: Metres that no edge of the shell's floors, walls and ceilings is longer than along
            their sides, for light that is kept per vertex; None for as few triangles as can be.
    """
    finishes: dict[Finish, int] = {}
    shell = [s for s in _shell(home, step=step) if len(s.corners)]
    counts = [len(s.corners) for s in shell]
    looks = [finishes.setdefault(s.finish, len(finishes)) for s in shell]
    owners = [-1 - s.room for s in shell]
    pieces, owner, look = _objects(home, finishes)
    corners = np.concatenate([*(s.corners for s in shell), pieces])
    return Mesh(
        # Far finer than seen, far coarser than what sines differ by from machine to machine.
        corners=np.round(corners, _DECIMALS).astype(np.float32),
        owner=np.concatenate([np.repeat(owners, counts), owner]).astype(np.int32),
        finish=np.concatenate([np.repeat(looks, counts), look]).astype(np.int32),
        finishes=tuple(finishes),
    )


def _shell(home: Home, *, step: float | None) -> Iterator[Surface]:
    grids = [Grid.of(home, room, step=step) for room in range(len(home.rooms))]
    for room, grid in enumerate(grids):
        yield from room_surfaces(home, room, grid)
        yield from joinery(home, room, grid, step=step)
    yield from flights(home, step=step)


def _objects(home: Home, finishes: dict[Finish, int]) -> tuple[Floats, Ints, Ints]:
    """Gives all objects' triangles in the world, their items and their finishes."""
    per_item = [parts(item) for item in home.items]
    flat = [part for some in per_item for part in some]
    item_of_part = np.repeat(np.arange(len(per_item)), [len(some) for some in per_item])
    looks = np.array([finishes.setdefault(part.finish, len(finishes)) for part in flat], np.int64)
    corners, part = place(flat)
    owner = item_of_part[part]
    # Headings turn right, rotations about z turn left.
    turns = np.array([(0.0, 0.0, -item.heading) for item in home.items]).reshape(-1, 3)
    turned = turn_by(corners, rotations(turns)[owner, None])
    base = np.array([item.position for item in home.items]).reshape(-1, 3)
    return turned + base[owner, None], owner, looks[part]
