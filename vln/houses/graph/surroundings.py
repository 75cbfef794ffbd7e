"""What a person who stands at a viewpoint could say: the ways on from it and the objects in sight.

Knows no words and no goals; what it holds is all that the scripted readers of instructions see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.houses.building.scene import Home
from vln.houses.graph.navigate import Walk
from vln.houses.graph.sight import Sights

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WIDTH, HEIGHT = 640, 480


@dataclass(frozen=True, eq=False)
class Place:
    """One viewpoint: k ways on and n objects in sight.

    Attributes:
        ways: (k,) viewpoints that one step leads to.
        heading: (k,) of the ways, in the world.
        length: (k,) metres.
        door: (k,) index of the opening that the way passes, -1 where there is none.
        climb: (k,) 1 where the way goes up stairs, -1 down, else 0.
        view: (k,) the view 0..35 nearest to the way's direction.
        category: n names.
        colour: n names.
        item: (n,) index into the home's items; tells two objects apart, nothing else.
        bearing: (n,) heading of the object, in the world.
        distance: (n,) metres on the floor to the object's nearest point.
        same_room: (n,) whether it is in the room that one stands in.
        pixels: (n,) what is visible of it, at 224 px a view.
        area: (n, k) share of each way's view that the object's box covers.
    """

    ways: Ints
    heading: Floats
    length: Floats
    door: Ints
    climb: Ints
    view: Ints
    category: tuple[str, ...]
    colour: tuple[str, ...]
    item: Ints
    bearing: Floats
    distance: Floats
    same_room: npt.NDArray[np.bool_]
    pixels: Floats
    area: Floats


def surroundings(home: Home, walk: Walk, sights: Sights) -> tuple[Place, ...]:
    """Gives what is around every viewpoint of a home, in the walk's order."""
    share = _shares(sights)
    order = np.argsort(sights.viewpoint, kind="stable")
    ends = np.searchsorted(sights.viewpoint[order], np.arange(len(walk.ids) + 1))
    return tuple(
        _place(home, walk, sights, viewpoint=v, rows=order[ends[v] : ends[v + 1]], share=share)
        for v in range(len(walk.ids))
    )


def _place(
    home: Home, walk: Walk, sights: Sights, *, viewpoint: int, rows: Ints, share: Floats
) -> Place:
    ways = np.flatnonzero(walk.adjacency[viewpoint])
    displacement = walk.position[ways] - walk.position[viewpoint]
    heading = geometry.heading_of(displacement)
    view = geometry.nearest_view(heading, geometry.elevation_of(displacement))
    on_stairs = walk.stairs[viewpoint, ways] >= 0
    items = [home.items[i] for i in sights.item[rows].tolist()]
    return Place(
        ways=ways,
        heading=heading,
        length=np.linalg.norm(displacement, axis=1),
        door=walk.door[viewpoint, ways],
        climb=np.where(on_stairs, np.sign(displacement[:, 2]), 0).astype(np.int64),
        view=view,
        category=tuple(item.category for item in items),
        colour=tuple(item.colour for item in items),
        item=sights.item[rows],
        bearing=sights.heading[rows],
        distance=sights.distance[rows],
        same_room=np.array([i.room == walk.room[viewpoint] for i in items], dtype=np.bool_),
        pixels=sights.pixels[rows],
        area=share[rows][:, view],
    )


def _shares(sights: Sights) -> Floats:
    """Gives (N, 36): the share of every view that each sighting's box covers."""
    share = np.zeros((len(sights.viewpoint), geometry.NUM_VIEWS))
    area = sights.box[:, 2] * sights.box[:, 3] / (WIDTH * HEIGHT)
    np.maximum.at(share, (sights.row, sights.view), area)
    return share
