"""A tiny world in the real formats, for tests, for plug-in authors, and for trying without data.

A few small houses of a rooms-and-doors grid, with route instructions whose words follow from the
route (turns, stairs, the objects on the way), so that an agent can learn to follow them. Nothing
downstream can tell it from Matterport3D but by its size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vln.data.connectivity import load_graph
from vln.data.episodes import EpisodeSet, load_episodes
from vln.geometry import elevation_of, heading_of, view_elevation, view_heading, wrap
from vln.graph import Floats, NavGraph

HOUSES = 8
TRAIN_HOUSES = range(5)
SEEN_HOUSES = range(4)  # house 4 is in train but not in val_seen: the dev split's house
SPLITS = {
    "train": (TRAIN_HOUSES, 40),
    "val_seen": (SEEN_HOUSES, 6),
    "val_unseen": (range(5, 7), 20),
    "test": (range(7, 8), 15),
}  # houses, paths per house
TWO_FLOORS = (1, 5)

SPACING = 2.2  # metres between neighbouring viewpoints
JITTER = 0.15  # small enough that a bend is a clear left or right and a straight edge is none
STOREY = 2.8
CAMERA_HEIGHT = 1.5
MIN_PATH = 5.0
MAX_SIGHT = 3.2
STEEP = 0.35  # radians; a steeper edge is a staircase
FOCAL, VIEW_SIZE = 240 / math.tan(math.pi / 6), np.array([640, 480])

_NOUNS = (
    "chair table sofa bed lamp plant mirror desk piano clock statue fireplace "
    "bookshelf television vase rug painting sink stove bathtub"
)
OBJECTS = tuple(_NOUNS.split())

# How annotators word the same route, one entry per turn and one for the goal, with a joining word.
# {here} and {next} are the objects beside the viewpoints. The fourth annotator rarely comes.
TURNS = ("straight", "right", "back", "left", "up", "down", "goal")
STYLES = (
    (
        ", ",
        "go straight | turn right | turn around | turn left | go up the stairs | "
        "go down the stairs | stop at the {here}.",
    ),
    (
        ", then ",
        "walk straight to the {next} | take a right at the {here} | turn around and walk to the "
        "{next} | take a left at the {here} | walk up the stairs to the {next} | walk down the "
        "stairs to the {next} | wait near the {here}.",
    ),
    (
        " and ",
        "walk straight past the {here} | turn right towards the {next} | turn around at the {here} "
        "| turn left towards the {next} | take the stairs up | take the stairs down | stop by the "
        "{here}.",
    ),
    (
        ". Then ",
        "go forward | go right | turn around | go left | go upstairs | go downstairs | wait at the "
        "{here}.",
    ),
)


@dataclass(frozen=True)
class TinyWorld:
    """A generated data root.

    Attributes:
        folder: Holds connectivity/, r2r/ and reverie/BBox/.
    """

    folder: Path

    @cached_property
    def graph(self) -> NavGraph:
        """The navigation graph, read once."""
        return load_graph(self.folder)

    def episodes(self, split: str, *, dataset: str = "r2r") -> EpisodeSet:
        """Gives the episodes of a split."""
        return load_episodes(dataset, split, data=self.folder, graph=self.graph)


def make_tiny_world(folder: Path, *, seed: int = 0) -> TinyWorld:
    """Writes the tiny world and gives it; the same seed writes the same bytes.

    Eight houses of 12 to 24 viewpoints, two of them on two floors. The first house also has what
    real scans have: an excluded viewpoint, an isolated one, and two at the same place.

    Args:
        folder: Made where missing; files of the same names are overwritten.
        seed: Of all houses, routes, words and objects.
    """
    rng = np.random.default_rng(seed)
    names = [f"tinyHouse{number:02}" for number in range(HOUSES)]
    for number, name in enumerate(names):
        _write(folder / "connectivity" / f"{name}_connectivity.json", _house(rng, number))
    (folder / "connectivity" / "scans.txt").write_text("\n".join(names) + "\n", newline="\n")
    world = TinyWorld(folder)
    nouns = rng.integers(len(OBJECTS), size=len(world.graph.viewpoints))
    _write_objects(rng, world, nouns)
    routes = [_routes(rng, world.graph, name) for name in names]
    path_id = 0
    for split, (houses, count) in SPLITS.items():
        records = []
        for house in [house for house in houses for _ in range(count)]:
            route, heading = next(routes[house]), int(rng.integers(12)) * math.pi / 6
            record = _record(world.graph, route, path_id=path_id, heading=heading, nouns=nouns)
            records.append(_masked(record, split=split))
            path_id += 1
        _write(folder / "r2r" / f"R2R_{split}.json", records)
    return world


def _write(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(orjson.dumps(content))


def _masked(record: dict[str, Any], *, split: str) -> dict[str, Any]:
    """Holds the labels out of test as R2R does: no distance, and of the path its start only."""
    if split != "test":
        return record
    kept = {key: value for key, value in record.items() if key != "distance"}
    return {**kept, "path": record["path"][:1]}


def _house(rng: np.random.Generator, number: int) -> list[dict[str, Any]]:
    """Gives a house's connectivity records: rooms of two columns in a row, a door between two."""
    columns, rows = 2 * int(rng.integers(2, 4)), int(rng.integers(3, 5))
    column, row = (axis.ravel() for axis in np.mgrid[:columns, :rows])
    room = column // 2
    floor = np.where((number in TWO_FLOORS) & (column >= 2), STOREY, 0.0)
    step = np.abs(np.subtract.outer(column, column)) + np.abs(np.subtract.outer(row, row))
    door = rng.integers(rows, size=columns)[np.minimum.outer(room, room)]
    is_open = np.equal.outer(room, room) | ((row[:, None] == door) & (row == door))
    adjacency = (step == 1) & is_open
    flat = np.stack([column, row], axis=1) * SPACING + rng.uniform(-JITTER, JITTER, (len(row), 2))
    position = np.column_stack([flat, floor + CAMERA_HEIGHT])
    included: NDArray[np.bool_] = np.ones(len(row), np.bool_)
    if number == 0:
        position, adjacency, included = _oddities(position, adjacency, included)
    yaw = rng.uniform(0, 2 * np.pi, len(position))
    gap = np.linalg.norm(position[:, None] - position, axis=-1)
    visible = (gap < 2 * SPACING) & ~np.eye(len(position), dtype=np.bool_)
    return [
        {
            "image_id": rng.bytes(16).hex(),
            "pose": _pose(position[i], yaw[i]),
            "included": bool(included[i]),
            "visible": visible[i].tolist(),
            "unobstructed": adjacency[i].tolist(),
            "height": CAMERA_HEIGHT,
        }
        for i in range(len(position))
    ]


def _oddities(
    position: Floats, adjacency: NDArray[np.bool_], included: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Adds an excluded viewpoint, an isolated one, and one where another stands already."""
    extra = np.stack([position[0] + 0.3, position[0] - 2 * SPACING, position[-1]])
    adjacency = np.pad(adjacency, (0, 3))
    excluded, twin, original = len(position), len(position) + 2, len(position) - 1
    for a, b in ((excluded, 0), (twin, original)):
        adjacency[a, b] = adjacency[b, a] = True
    return np.concatenate([position, extra]), adjacency, np.append(included, [False, True, True])


def _pose(position: Floats, yaw: float) -> list[float]:
    # Columns are the skybox frame in the world: x right, y down, z out of face 3 (Matterport's).
    sin, cos = np.sin(yaw), np.cos(yaw)
    pose = np.eye(4)
    pose[:3] = np.column_stack([(cos, -sin, 0), (0, 0, -1), (sin, cos, 0), position])
    rounded: list[float] = (pose.round(6) + 0.0).ravel().tolist()
    return rounded


def _routes(rng: np.random.Generator, graph: NavGraph, scan: str) -> Iterator[list[int]]:
    """Yields shortest paths of 4 to 7 viewpoints and 5 m or more, each start and goal once."""
    members = np.array(graph.members(scan))
    length = graph.distance(members[:, None], members[None, :])
    pairs = members[np.argwhere((length >= MIN_PATH) & np.isfinite(length))]
    for start, goal in rng.permutation(pairs).tolist():
        route = graph.shortest_path(start, goal)
        is_plain = graph.distance(route[:-1], route[1:]).min() > SPACING / 2
        if 4 <= len(route) <= 7 and is_plain:
            yield route


def _record(
    graph: NavGraph, route: list[int], *, path_id: int, heading: float, nouns: NDArray[np.int64]
) -> dict[str, Any]:
    turns = _turns(graph, route, heading=heading)
    here = [OBJECTS[nouns[panorama]] for panorama in route]
    styles = STYLES if path_id % 50 == 0 else STYLES[:3]
    return {
        "path_id": path_id,
        "distance": round(float(graph.distance(route[0], route[-1])), 2),
        "scan": graph.scan_of(route[0]),
        "path": [graph.viewpoints[panorama] for panorama in route],
        "heading": round(heading, 3),
        "instructions": [_words(turns, here, style=style) for style in styles],
    }


def _turns(graph: NavGraph, route: list[int], *, heading: float) -> list[str]:
    """Names each hop of a route by the way it bends: straight, left, right, back, up or down."""
    displacement = np.diff(graph.position[route], axis=0)
    headings, climb = heading_of(displacement), elevation_of(displacement)
    bend = wrap(headings - np.concatenate([[heading], headings[:-1]]))
    quarter = np.round(bend / (np.pi / 2)).astype(np.int64) % 4
    turns = np.array(TURNS)[quarter]
    turns = np.where(climb > STEEP, "up", np.where(climb < -STEEP, "down", turns))
    named: list[str] = turns.tolist()
    return named


def _words(turns: list[str], here: list[str], *, style: tuple[str, str]) -> str:
    """Gives the instruction for the turns of a route and the objects at its viewpoints."""
    join, clauses = style
    clause = dict(zip(TURNS, clauses.split(" | "), strict=True))
    places = zip([*turns, "goal"], here, [*here[1:], ""], strict=True)
    text = join.join(clause[turn].format(here=a, next=b) for turn, a, b in places)
    return text[0].upper() + text[1:]


def _write_objects(rng: np.random.Generator, world: TinyWorld, nouns: NDArray[np.int64]) -> None:
    """Puts one object beside every viewpoint and writes which views show it, and where."""
    graph = world.graph
    around = rng.uniform(0, 2 * np.pi, len(nouns))
    side = rng.uniform(0.6, 1.1, len(nouns))
    height = rng.uniform(-0.8, 0.4, len(nouns))
    offset = np.column_stack([np.sin(around) * side, np.cos(around) * side, height])
    size = rng.uniform(0.3, 0.8, (len(nouns), 2))
    for scan in graph.scans:
        members = np.array(graph.members(scan))
        for panorama in members.tolist():
            others = members[graph.distance(panorama, members) < MAX_SIGHT]
            sight = graph.position[others] + offset[others] - graph.position[panorama]
            boxes = _boxes(sight, size[others]) if graph.degree[panorama] else np.zeros((0, 36, 4))
            seen = {
                str(number): {
                    "name": OBJECTS[nouns[other]],
                    "visible_pos": np.flatnonzero(box[:, 2]).tolist(),
                    "bbox2d": box[box[:, 2] > 0].tolist(),
                }
                for number, (other, box) in enumerate(zip(others, boxes, strict=False))
            }
            name = graph.viewpoints[panorama]
            _write(world.folder / "reverie" / "BBox" / f"{scan}_{name}.json", {name: seen})


def _boxes(sight: Floats, size: Floats) -> NDArray[np.int64]:
    """Gives (n, 36, 4) boxes [x, y, w, h] in pixels; w = 0 where the centre is out of view.

    Args:
        sight: (n, 3) metres from the camera to the objects.
        size: (n, 2) metres, width and height.
    """
    heading, elevation = view_heading(np.arange(36)), view_elevation(np.arange(36))
    sin_h, cos_h, sin_e, cos_e = (f(a) for a in (heading, elevation) for f in (np.sin, np.cos))
    forward = np.stack([sin_h * cos_e, cos_h * cos_e, sin_e], axis=1)
    right = np.stack([cos_h, -sin_h, np.zeros(36)], axis=1)
    up = np.stack([-sin_h * sin_e, -cos_h * sin_e, cos_e], axis=1)
    depth = np.maximum(sight @ forward.T, 0.1)[..., None]
    centre = np.stack([sight @ right.T, -(sight @ up.T)], axis=-1) / depth * FOCAL + VIEW_SIZE / 2
    half = size[:, None, :] / depth * FOCAL / 2
    near, far = (np.clip(centre + sign * half, 0, VIEW_SIZE).round() for sign in (-1, 1))
    inside = ((centre >= 0) & (centre < VIEW_SIZE)).all(axis=-1) & (sight @ forward.T > 0.1)
    boxes: NDArray[np.int64] = np.concatenate([near, far - near], axis=-1).astype(np.int64)
    boxes[~inside] = 0
    return boxes
