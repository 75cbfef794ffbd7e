"""A procedural home on one sheet: its floor plan above a view of each room.

Knows nothing of command lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.data.connectivity import load_graph
from vln.errors import UnknownName
from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.home import make_home
from vln.houses.building.scene import Box, Home, load_home, scene_file
from vln.houses.graph.navigate import Walk, walk_of
from vln.houses.graph.recorded import recorded_walk
from vln.houses.pictures.render import HomeRenderer
from vln.houses.world.spec import WorldSpec
from vln.panorama.faces import Panorama, PanoramaSource
from vln.panorama.pinhole import Camera
from vln.panorama.skybox import SkyboxSource
from vln.panorama.views import ViewRenderer
from vln.viz.canvas import PAPER, Image, text_block
from vln.viz.plans import draw_plan

Floats = npt.NDArray[np.float64]

EYE: Final = Camera(width=480, height=320, vertical_fov=math.radians(66))
"""What rooms are shown with: 88 degrees wide."""
CAPTION: Final = 30
"""Pixels below a view for what it shows."""
GAP: Final = 6
"""Pixels between views."""
LOOKING_DOWN: Final = math.radians(-9)
_HALF_WIDTH: Final = math.radians(40)
_TOO_NEAR: Final = 0.7
_FULL_SIZE: Final = 0.3
"""Radians beyond which an object that is larger tells no more about its room."""
_PLAN_SCALE: Final = 60.0


class RenderedPanoramas:
    """Draws a home's panoramas when they are asked for.

    Args:
        home: The home; its light is baked on the first call.
        walk: Its viewpoints.
        size: Pixels along a face.
    """

    def __init__(self, home: Home, walk: Walk, *, size: int = 512) -> None:
        self._home = home
        self._walk = walk
        self._size = size
        self._number = {name: number for number, name in enumerate(walk.ids)}

    @cached_property
    def _renderer(self) -> HomeRenderer:
        return HomeRenderer(self._home, size=self._size)

    def panorama(self, scan: str, viewpoint: str) -> Panorama:
        """Gives what is seen from a viewpoint.

        Raises:
            UnknownName: The home is another one, or has no such viewpoint.
        """
        if scan != self._home.scan:
            raise UnknownName.of("home", scan, [self._home.scan])
        if viewpoint not in self._number:
            raise UnknownName.of("viewpoint", viewpoint, self._walk.ids)
        number = self._number[viewpoint]
        rotation = self._walk.rotation[number]
        faces = self._renderer.faces(self._walk.position[number], rotation)
        return Panorama.of(faces, rotation=rotation)


class StoredOrRendered:
    """Reads a home's skyboxes where they are, and draws what is not there.

    Args:
        data: The world's folder, with connectivity/.
        rendered: Draws the rest.
        scan: The home.
    """

    def __init__(self, data: Path, rendered: RenderedPanoramas, *, scan: str) -> None:
        self._stored = SkyboxSource(data, graph=load_graph(data, scans=[scan]))
        self._rendered = rendered

    def panorama(self, scan: str, viewpoint: str) -> Panorama:
        """Gives what is seen from a viewpoint.

        Raises:
            CorruptData: There is a picture that cannot be used.
            UnknownName: As `RenderedPanoramas.panorama`.
        """
        source: PanoramaSource = self._rendered
        if self._stored.has(scan, viewpoint):
            source = self._stored
        return source.panorama(scan, viewpoint)


Opened = tuple[Home, Walk, PanoramaSource]
"""What a sheet is drawn of."""


def open_planned(spec: WorldSpec, scan: str) -> Opened:
    """Gives a home of a world that need not have been made; its pictures are drawn.

    Raises:
        UnknownName: The world has no such home.
    """
    plans = {plan.scan: plan for plan in spec.homes()}
    if scan not in plans:
        raise UnknownName.of("home", scan, plans)
    plan = plans[scan]
    home = make_home(
        scan,
        seed=plan.seed,
        style=plan.style,
        new_pairs=plan.group.new_pairs,
        viewpoints=plan.viewpoints,
    )
    walk = walk_of(home)
    return home, walk, RenderedPanoramas(home, walk)


def open_made(world: Path, scan: str) -> Opened:
    """Gives a home of a world's folder; its pictures are read, and drawn where they are not there.

    Raises:
        MissingData: The folder has no such home.
        CorruptData: Its scene or graph cannot be used.
    """
    home = load_home(scene_file(world, scan))
    walk = recorded_walk(home, world)
    return home, walk, StoredOrRendered(world, RenderedPanoramas(home, walk), scan=scan)


def draw_home_sheet(
    home: Home, walk: Walk, panoramas: PanoramaSource, *, columns: int = 4
) -> Image:
    """Gives the floor plan above a view of each room that has a viewpoint.

    Args:
        home: The home.
        walk: Its viewpoints.
        panoramas: Their pictures.
        columns: Views in a row.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        MissingData: A picture is not there.
        CorruptData: One cannot be used.
    """
    rooms = [room for room in range(len(home.rooms)) if (walk.room == room).any()]
    captions = _captions(home, rooms)
    cells = []
    for room, words in zip(rooms, captions, strict=True):
        look = best_look(home, walk, room)
        panorama = panoramas.panorama(home.scan, walk.ids[look.viewpoint])
        cells.append(with_caption(view_along(panorama, look.heading), words))
    strip = grid(cells, columns=min(columns, len(cells)))
    plan = draw_plan(home, walk, pixels_per_metre=_PLAN_SCALE)
    width = max(strip.shape[1], plan.shape[1])
    return np.vstack([_centred(plan, width), _centred(strip, width)])


def view_along(panorama: Panorama, heading: float, *, camera: Camera = EYE) -> Image:
    """Gives (H, W, 3) uint8 RGB: what one sees who looks along a heading, and a little down."""
    renderer = ViewRenderer(camera, smooth=True)
    view: Image = renderer.views(panorama, [heading], [LOOKING_DOWN])[0]
    return view


@dataclass(frozen=True)
class Look:
    """Where to stand and look: a viewpoint, a heading in radians, and how much is seen then."""

    viewpoint: int
    heading: float
    score: float = 0.0


def best_look(home: Home, walk: Walk, room: int) -> Look:
    """Gives the viewpoint of a room, and the heading, that show the most of its furniture.

    Objects count by the angle that they take up, to a limit, and by how much they say about the
    kind of room; those that stand so near that they fill the view count against it.
    """
    items = [item for item in home.items if item.room == room]
    here = np.flatnonzero(walk.room == room)
    headings = np.arange(36) * geometry.TURN / 36
    if not items:
        return Look(int(here[0]), _along(home, room))
    middle = np.array([item.position for item in items])
    middle[:, 2] += np.array([item.size[2] for item in items]) / 2
    extent = np.array([math.hypot(max(item.size[:2]), item.size[2]) for item in items])
    offset = middle - walk.position[here, None]
    distance = np.linalg.norm(offset, axis=-1)
    angle = np.minimum(extent / np.maximum(distance, 0.1), _FULL_SIZE)
    angle *= [1 + 3 / len(CATEGORIES[item.category].rooms) for item in items]
    angle = np.where(distance < _TOO_NEAR + extent / 2, -_FULL_SIZE, angle)
    aside = np.abs(geometry.wrap(geometry.heading_of(offset)[..., None] - headings))
    # An object in the middle of the view is seen whole, one at its edge is cut.
    seen = np.clip((_HALF_WIDTH - aside) / (_HALF_WIDTH / 3), 0, 1)
    score = (seen * angle[..., None]).sum(axis=1)
    score *= np.clip(_least_depth(home.rooms[room].box, walk.position[here], headings), 0.5, 1.5)
    best, turn = np.unravel_index(int(score.argmax()), score.shape)
    return Look(int(here[best]), float(headings[turn]), float(score[best, turn]))


def _least_depth(box: Box, places: Floats, headings: Floats) -> Floats:
    """Gives (n, m) metres to the nearest wall in sight, from n places along m headings."""
    rays = headings[:, None] + np.linspace(-_HALF_WIDTH, _HALF_WIDTH, 7)
    direction = np.stack([np.sin(rays), np.cos(rays)], axis=-1)
    wall = np.where(direction > 0, box[2:], box[:2])
    direction = np.where(np.abs(direction) < 1e-9, 1e-9, direction)
    depth = np.abs((wall - places[:, None, None, :2]) / direction)
    least: Floats = depth.min(axis=(-2, -1))
    return least


def with_caption(view: Image, words: str) -> Image:
    """Gives a view over a line that says what it shows."""
    line = text_block(words, width=view.shape[1], height=CAPTION, capitals=11)
    return np.vstack([view, line])


def grid(cells: Sequence[Image], *, columns: int) -> Image:
    """Gives pictures of one size in rows, with paper between them."""
    cells = [np.pad(cell, ((0, GAP), (0, GAP), (0, 0)), constant_values=PAPER[0]) for cell in cells]
    cells += [np.full_like(cells[0], PAPER)] * (-len(cells) % columns)
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return np.vstack(rows)


def _captions(home: Home, rooms: Sequence[int]) -> list[str]:
    """Gives the kinds of rooms, numbered where several are of one kind."""
    kinds = [home.rooms[room].kind for room in rooms]
    numbers = [kinds[: place + 1].count(kind) for place, kind in enumerate(kinds)]
    return [
        f"{kind} {number}" if kinds.count(kind) > 1 else kind
        for kind, number in zip(kinds, numbers, strict=True)
    ]


def _along(home: Home, room: int) -> float:
    x0, y0, x1, y1 = home.rooms[room].box
    return math.pi / 2 if x1 - x0 > y1 - y0 else 0.0


def _centred(image: Image, width: int) -> Image:
    left = (width - image.shape[1]) // 2
    sides = (left, width - image.shape[1] - left)
    return np.pad(image, ((0, 0), sides, (0, 0)), constant_values=PAPER[0])
