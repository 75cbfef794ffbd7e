"""A home's viewpoints as its world's connectivity file has them.

That file is right where it and `navigate.walk_of` differ: a changed home keeps the viewpoints of
the home that it was made from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.data.connectivity import parse_scan
from vln.data.locations import parse_json, read_bytes
from vln.errors import CorruptData
from vln.houses.building.scene import CAMERA_HEIGHT, STOREY, WALL, Home, scene_file
from vln.houses.graph.navigate import Walk, doors_of, rooms_at

_REMEDY: Final = "Generate the world again with `python -m vln.houses make`."
_RISE: Final = 0.1
"""Metres between the ends of an edge from which it is on stairs."""


def recorded_walk(home: Home, world: Path) -> Walk:
    """Gives the viewpoints and edges of a home.

    Args:
        home: The home.
        world: The folder that has its connectivity file.

    Raises:
        MissingData: There is no such file.
        CorruptData: It cannot be used, or has a viewpoint in no room of the home.
    """
    file = world / "connectivity" / f"{home.scan}_connectivity.json"
    content = read_bytes(file, remedy=_REMEDY)
    scan = parse_scan(content, scan=home.scan, file=file)
    visible = [record["visible"] for record in parse_json(content, file=file)]
    pose, adjacency = scan.pose, scan.adjacency
    points = pose[:, :3, 3] - np.array([0.0, 0.0, CAMERA_HEIGHT])
    outside = ~_in_rooms(home, points)
    if outside.any():
        raise CorruptData.of(
            file,
            scan.viewpoints[int(outside.argmax())],
            f"is a viewpoint in no room of the home in {scene_file(world, home.scan)}",
            f"Undo the edit of the rooms. {_REMEDY}",
        )
    return Walk(
        ids=scan.viewpoints,
        position=pose[:, :3, 3].copy(),
        rotation=pose[:, :3, :3].copy(),
        room=rooms_at(home, points),
        adjacency=adjacency,
        visible=np.array(visible, dtype=np.bool_)[np.ix_(scan.file_index, scan.file_index)],
        door=doors_of(home, points, adjacency),
        stairs=_stairs(home, points, adjacency),
    )


def _in_rooms(home: Home, points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Gives (V,) whether points (V, 3) of the floor are in a room, or in the walls around it."""
    box = np.array([(*room.box, room.level) for room in home.rooms])[:, None]
    x, y, z = points.T
    flat = (x >= box[..., 0] - WALL) & (x <= box[..., 2] + WALL)
    flat &= (y >= box[..., 1] - WALL) & (y <= box[..., 3] + WALL)
    flat &= (z >= box[..., 4] - _RISE) & (z < box[..., 4] + STOREY)
    inside: npt.NDArray[np.bool_] = np.any(flat, axis=0)
    return inside


def _stairs(
    home: Home, points: npt.NDArray[np.float64], adjacency: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Gives (V, V) the flight that an edge climbs: the one of its storey that lies nearest."""
    found = np.full(adjacency.shape, -1, np.int64)
    rising = adjacency & (np.abs(points[:, None, 2] - points[:, 2]) > _RISE)
    for a, b in np.argwhere(rising).tolist():
        middle = (points[a] + points[b]) / 2
        gaps = [
            np.hypot(*np.maximum(low - middle[:2], middle[:2] - high).clip(min=0))
            + (0.0 if 0 <= middle[2] - stairs.storey * STOREY <= STOREY else np.inf)
            for stairs in home.stairs
            for low, high in [(np.array(stairs.box[:2]), np.array(stairs.box[2:]))]
        ]
        found[a, b] = int(np.argmin(gaps)) if gaps else -1
    return found
