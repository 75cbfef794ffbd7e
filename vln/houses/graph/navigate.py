"""Where a person can stand and walk in a home: its viewpoints and the edges between them.

Viewpoints lie about two metres apart on free floor, one on either side of every door, and at foot,
middle and head of every flight of stairs. An edge is a straight line that a person of 0.4 m can
walk, short enough that neighbours see each other, and of no use where another viewpoint lies
on the way. That leaves three to four edges a viewpoint; Matterport3D has four.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from vln.errors import BadConfig
from vln.houses.building.scene import CAMERA_HEIGHT, STOREY, Home, Opening, Stairs
from vln.houses.graph.floor import BODY, CELL, REACH, Floor
from vln.runs import generator

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SPACING: Final = 1.9
"""Least metres between two viewpoints of a room."""
DOOR_STEP: Final = 0.75
"""Metres from the middle of a doorway to the viewpoints before and behind it."""
_FAR_REACH: Final = 7.0
_TRIED: Final = 1500  # places where a missing link is looked for
_DETOUR: Final = 1.05  # over another viewpoint; the bend is then 36 degrees at most


@dataclass(frozen=True, eq=False)
class Walk:
    """The viewpoints of a home, V of them, and how one gets from one to another.

    Attributes:
        ids: 32 hexadecimal digits each.
        position: (V, 3) cameras in the world, 1.5 m above the floor.
        rotation: (V, 3, 3) skybox frame (x right, y down, z out of face 3) to world.
        room: (V,) index into the home's rooms.
        adjacency: (V, V) edges, symmetric.
        visible: (V, V) whether nothing stands between two cameras.
        door: (V, V) index of the opening that an edge passes, -1 where there is none.
        stairs: (V, V) index of the flight that an edge climbs or descends, -1 where there is none.
    """

    ids: tuple[str, ...]
    position: Floats
    rotation: npt.NDArray[np.float64]
    room: Ints
    adjacency: Flags
    visible: Flags
    door: Ints
    stairs: Ints

    def __len__(self) -> int:
        return len(self.ids)


def walk_of(home: Home) -> Walk:
    """Gives the viewpoints and edges of a home; the same home gives the same ones.

    Raises:
        BadConfig: Fewer than two viewpoints find room: the home is too small or too full.
    """
    rng = generator(home.seed, f"viewpoints/{home.scan}")
    floors = [Floor(home, storey) for storey in sorted({room.storey for room in home.rooms})]
    flights = [_flight(stairs) for stairs in home.stairs]
    points = np.concatenate(
        [
            *(_stand(floor, flights, rng=rng) for floor in floors),
            *(flight[1:2] for flight in flights),
            np.zeros((0, 3)),
        ]
    )
    _check_room(home, len(points))
    adjacency, stairs = _edges(points, floors, flights)
    kept = _largest_part(adjacency)
    _check_room(home, len(kept))
    points, adjacency = points[kept], adjacency[np.ix_(kept, kept)]
    return Walk(
        ids=tuple(_identity(home.scan, number) for number in range(len(points))),
        position=points + np.array([0.0, 0.0, CAMERA_HEIGHT]),
        rotation=_rotations(rng, len(points)),
        room=rooms_at(home, points),
        adjacency=adjacency,
        visible=_sight_lines(points, floors) | adjacency,
        door=doors_of(home, points, adjacency),
        stairs=stairs[np.ix_(kept, kept)],
    )


def _check_room(home: Home, found: int) -> None:
    if found < 2:
        raise BadConfig(
            f"home {home.scan} has room for {found} viewpoints; expected two or more. Make it "
            "larger or take furniture out."
        )


def records(walk: Walk) -> list[dict[str, Any]]:
    """Gives the connectivity file's records, one per viewpoint."""
    pose = np.zeros((len(walk), 4, 4))
    pose[:, :3, :3], pose[:, :3, 3], pose[:, 3, 3] = walk.rotation, walk.position, 1.0
    flat = (pose.round(6) + 0.0).reshape(len(walk), 16).tolist()
    return [
        {
            "image_id": walk.ids[i],
            "pose": flat[i],
            "included": True,
            "visible": walk.visible[i].tolist(),
            "unobstructed": walk.adjacency[i].tolist(),
            "height": CAMERA_HEIGHT,
        }
        for i in range(len(walk))
    ]


def _stand(floor: Floor, flights: list[Floats], *, rng: np.random.Generator) -> Floats:
    """Gives (n, 3) points on a storey's floor: at stairs, at doors, then wherever there is room."""
    level = floor.storey * STOREY
    fixed = [end[:2] for f in flights for end in (f[0], f[2]) if abs(end[2] - level) < 0.1]
    chosen: list[Floats] = list(fixed)
    for opening in floor.openings:
        for seed in _beside(opening):
            _place_seed(floor, chosen, seed)
    for clearance in (0.5, 0.32, BODY):
        _fill_up(floor, chosen, clearance=clearance, rng=rng)
    if chosen:
        _bridge(floor, chosen, rng=rng)
    flat = np.array(chosen).reshape(-1, 2).round(3)
    return np.column_stack([flat, np.full(len(flat), level)])


def _place_seed(floor: Floor, chosen: list[Floats], seed: Floats) -> None:
    """Adds a point beside a door, unless one stands there already or furniture does."""
    others = [p for p in chosen if floor.room[floor.at(p)] == floor.room[floor.at(seed)]]
    if floor.free[floor.at(seed)] and all(np.hypot(*(p - seed)) > 1.0 for p in others):
        chosen.append(seed)


def _fill_up(
    floor: Floor, chosen: list[Floats], *, clearance: float, rng: np.random.Generator
) -> None:
    open_cells = (floor.clearance > clearance) & (floor.room >= 0)
    rows, columns = np.nonzero(open_cells)
    centre = np.column_stack([columns, rows]) * CELL + floor.origin + CELL / 2
    room = floor.room[rows, columns]
    order = rng.permutation(len(rows))
    centre, room = centre[order], room[order]
    for point in chosen:
        keep = _apart(centre, room, point, floor)
        centre, room = centre[keep], room[keep]
    while len(centre):
        chosen.append(centre[0])
        keep = _apart(centre, room, centre[0], floor)
        centre, room = centre[keep], room[keep]


def _bridge(floor: Floor, chosen: list[Floats], *, rng: np.random.Generator) -> None:
    """Adds points from which one walks straight to viewpoints that are not connected otherwise."""
    rows, columns = np.nonzero(floor.free)
    tried = rng.permutation(len(rows))[:_TRIED]
    centre = np.column_stack([columns[tried], rows[tried]]) * CELL + floor.origin + CELL / 2
    points = np.array(chosen)
    edges = floor.walkable(points, points)
    reach = floor.walkable(centre, points)
    while True:
        count, part = connected_components(edges, directed=False)
        joins = np.array([np.any(reach & (part == p), axis=1) for p in range(count)]).sum(axis=0)
        if count == 1 or joins.max(initial=0) < 2:
            return
        gap = np.linalg.norm(centre[:, None] - np.array(chosen), axis=-1).min(axis=1)
        best = int(np.where(joins == joins.max(), gap, -1.0).argmax())
        chosen.append(centre[best])
        row = reach[best]
        edges = np.pad(edges, (0, 1))
        edges[-1, :-1] = edges[:-1, -1] = row
        reach = np.column_stack([reach, floor.walkable(centre, centre[best][None])[:, 0]])


def _apart(centre: Floats, room: npt.NDArray[np.int32], point: Floats, floor: Floor) -> Flags:
    near = np.square(centre - point).sum(axis=1) < SPACING**2
    apart: Flags = ~near | (room != floor.room[floor.at(point)])
    return apart


def _beside(opening: Opening) -> tuple[Floats, Floats]:
    start, end = np.array(opening.start), np.array(opening.end)
    across = (end - start)[::-1] / np.hypot(*(end - start)) * np.array([1.0, -1.0])
    return (start + end) / 2 + across * DOOR_STEP, (start + end) / 2 - across * DOOR_STEP


def _flight(stairs: Stairs) -> Floats:
    """Gives (3, 3): foot, middle and head of a flight, on the floor."""
    box = np.array(stairs.box).reshape(2, 2)
    direction = np.round([np.sin(stairs.heading), np.cos(stairs.heading)])
    middle, half = box.mean(axis=0), np.abs((box[1] - box[0]) @ direction) / 2
    flat = middle + np.array([[-1.0], [0.0], [1.0]]) * direction * (half + 0.45)
    flat[1] = middle
    level = stairs.storey * STOREY
    return np.column_stack([flat, [level, level + STOREY / 2, level + STOREY]]).round(3)


def _edges(points: Floats, floors: list[Floor], flights: list[Floats]) -> tuple[Flags, Ints]:
    """Gives (V, V) edges, and the flight of stairs of each."""
    gap = np.linalg.norm(points[:, None] - points, axis=-1)
    walkable = np.zeros(gap.shape, np.bool_)
    for floor in floors:
        on = np.flatnonzero(points[:, 2] == floor.storey * STOREY)
        start, end = (on[side] for side in np.triu_indices(len(on), 1))
        near = gap[start, end] < _FAR_REACH
        start, end = start[near], end[near]
        clear = floor.is_clear(floor.free, points[start, :2], points[end, :2])
        walkable[start[clear], end[clear]] = True
    walkable |= walkable.T
    short = walkable & (gap <= REACH)
    adjacency = short & ~_detours(short, gap)
    stairs = np.full(gap.shape, -1, np.int64)
    for number, flight in enumerate(flights):
        foot, middle, head = (int(np.argmin(np.linalg.norm(points - p, axis=1))) for p in flight)
        for a, b in ((foot, middle), (middle, head)):
            adjacency[a, b] = adjacency[b, a] = True
            stairs[a, b] = stairs[b, a] = number
    return _joined(adjacency, walkable, gap), stairs


def _detours(edges: Flags, gap: Floats) -> Flags:
    """Gives (V, V) edges a-b that another viewpoint c with edges to both lies on the way of."""
    via = np.where(edges, gap, np.inf)
    shortest = np.array([np.min(via[a][None, :] + via, axis=1) for a in range(len(gap))])
    found: Flags = shortest < gap * _DETOUR
    return found


def _joined(adjacency: Flags, walkable: Flags, gap: Floats) -> Flags:
    """Gives the edges and, where they leave parts unconnected, the shortest that join them."""
    while True:
        count, part = connected_components(adjacency, directed=False)
        across = np.where(walkable & (part[:, None] != part), gap, np.inf)
        a, b = np.unravel_index(int(across.argmin()), across.shape)
        if count == 1 or not np.isfinite(across[a, b]):
            return adjacency
        adjacency[a, b] = adjacency[b, a] = True


def _largest_part(adjacency: Flags) -> Ints:
    _, part = connected_components(adjacency, directed=False)
    return np.flatnonzero(part == np.bincount(part).argmax())


def _sight_lines(points: Floats, floors: list[Floor]) -> Flags:
    visible = np.zeros((len(points), len(points)), np.bool_)
    for floor in floors:
        on = np.flatnonzero(points[:, 2] == floor.storey * STOREY)
        start, end = (on[side] for side in np.triu_indices(len(on), 1))
        seen = floor.is_clear(floor.clear > 0, points[start, :2], points[end, :2])
        visible[start[seen], end[seen]] = True
    sight: Flags = visible | visible.T
    return sight


def rooms_at(home: Home, points: Floats) -> Ints:
    """Gives (n,) the room that points (n, 3) of the floor lie in, or next to."""
    boxes = np.array([room.box for room in home.rooms])
    level = np.array([room.level for room in home.rooms])
    outside = np.maximum(boxes[:, :2] - points[:, None, :2], points[:, None, :2] - boxes[:, 2:])
    gap = outside.max(axis=-1).clip(min=0) + 10 * np.abs(level - points[:, None, 2])
    nearest: Ints = gap.argmin(axis=1)
    return nearest


def doors_of(home: Home, points: Floats, adjacency: Flags) -> Ints:
    """Gives (V, V) the opening that an edge between points (V, 3) of the floor passes, else -1."""
    door = np.full(adjacency.shape, -1, np.int64)
    start, end = np.nonzero(adjacency)
    for number, opening in enumerate(home.openings):
        if opening.kind == "window":
            continue
        level = np.abs(points[start, 2] - opening.storey * STOREY) < 0.1
        passes = level & _crosses(points[start, :2], points[end, :2], opening)
        door[start[passes], end[passes]] = number
    return door


def _crosses(start: Floats, end: Floats, opening: Opening) -> Flags:
    """Gives (n,) whether segments pass an axis-aligned opening."""
    a, b = np.array(opening.start), np.array(opening.end)
    along = int(np.argmax(np.abs(b - a)))
    across = 1 - along
    here, there = start[:, across] - a[across], end[:, across] - a[across]
    share = here / np.where(here == there, 1.0, here - there)
    place = start[:, along] + share * (end[:, along] - start[:, along])
    low, high = min(a[along], b[along]), max(a[along], b[along])
    crosses: Flags = (here * there < 0) & (place >= low) & (place <= high)
    return crosses


def _rotations(rng: np.random.Generator, count: int) -> Floats:
    # Columns are the skybox frame in the world; every camera stood turned some other way.
    yaw = rng.uniform(0.0, 2 * np.pi, count)
    sin, cos, none = np.sin(yaw).round(6), np.cos(yaw).round(6), np.zeros(count)
    rows = [[cos, none, sin], [-sin, none, cos], [none, none - 1, none]]
    return np.moveaxis(np.array(rows), 2, 0)


def _identity(scan: str, number: int) -> str:
    return hashlib.sha256(f"{scan}/{number}".encode()).hexdigest()[:32]
