"""What is seen of a home from its viewpoints: which objects, where, how large; REVERIE's boxes.

Measured, not guessed: the home's triangles are drawn with their owners instead of colours, on the
six faces of a level cube, and the faces' pixels are counted per object and per view.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vln.geometry import NUM_VIEWS, elevation_of, heading_of, view_elevation, view_heading
from vln.houses.building.scene import Home, Item
from vln.houses.graph.navigate import Walk
from vln.houses.pictures.compiled import compiled
from vln.houses.pictures.portals import in_sight
from vln.houses.pictures.raster import visible
from vln.houses.shapes.mesh import home_mesh
from vln.panorama.faces import UPRIGHT
from vln.panorama.pinhole import FACE_AXES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FACE: Final = 192
"""Pixels along a face on which sights are counted: 1.1 of its pixels are one of a 112-px view."""
VIEW_224: Final = 112 / np.tan(np.pi / 6)
"""Focal length of a 224-px view with a vertical field of 60 degrees: pixels per radian."""
WIDTH, HEIGHT = 640, 480
_FOCAL: Final = 240 / np.tan(np.pi / 6)
MIN_PIXELS: Final = 30.0
"""Pixels of a 224-px view below which an object counts as not seen there."""


@dataclass(frozen=True, eq=False)
class Sights:
    """Who sees what in a home; N sights of an object from a viewpoint, M boxes in views.

    Attributes:
        viewpoint: (N,) which viewpoint, ascending.
        item: (N,) which object, ascending within a viewpoint.
        heading: (N,) radians, of the middle of its visible part, in the world.
        elevation: (N,) radians.
        distance: (N,) metres over the floor to the nearest point of its footprint.
        pixels: (N,) pixels of its visible part, as in a 224-px view with 60 degrees up and down.
        row: (M,) which sight a box belongs to.
        view: (M,) 0..35.
        box: (M, 4) x, y, width, height in pixels of a 640x480 view.
        box_pixels: (M,) pixels of it in that view at 224 px.
    """

    viewpoint: Ints
    item: Ints
    heading: Floats
    elevation: Floats
    distance: Floats
    pixels: Floats
    row: Ints
    view: Ints
    box: Ints
    box_pixels: Floats


def sights_of(home: Home, walk: Walk) -> Sights:
    """Gives everything that is seen in a home."""
    mesh = home_mesh(home, step=None)
    in_room = np.array([item.room for item in home.items], np.int64)
    shell = mesh.owner < 0
    room = np.where(shell, -1 - mesh.owner, in_room[np.where(shell, 0, mesh.owner)])
    found = []
    for eye in walk.position:
        near = in_sight(home, eye)[0][room]
        triangle, _ = visible(mesh.corners[near], eye=eye, rotation=UPRIGHT, size=FACE)
        found.append(_count(triangle, mesh.owner[near], len(home.items)))
    return _assemble(found, home, walk)


def box_records(home: Home, walk: Walk, sights: Sights) -> dict[str, dict[str, Any]]:
    """Gives per viewpoint the content of its REVERIE file, by viewpoint id."""
    result: dict[str, dict[str, Any]] = {name: {} for name in walk.ids}
    first = np.searchsorted(sights.row, np.arange(len(sights.viewpoint) + 1))
    for row, (viewpoint, item) in enumerate(
        zip(sights.viewpoint.tolist(), sights.item.tolist(), strict=True)
    ):
        boxes = slice(first[row], first[row + 1])
        result[walk.ids[viewpoint]][str(item)] = {
            "name": home.items[item].name,
            "visible_pos": sights.view[boxes].tolist(),
            "bbox2d": sights.box[boxes].tolist(),
        }
    return {name: {name: seen} for name, seen in result.items()}


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Where the pixels of the level cube lie: P pixels, E entries of a pixel in a view.

    Attributes:
        direction: (P, 3) unit vectors, world.
        weight: (P,) pixels of a 224-px view that a face pixel stands for.
        first: (P + 1,) where a pixel's entries begin.
        view: (E,) which view.
        at: (E, 2) x, y in the 640x480 view.
    """

    direction: Floats
    weight: Floats
    first: Ints
    view: Ints
    at: npt.NDArray[np.float32]


@lru_cache(maxsize=2)
def _pixels(size: int) -> _Pixels:
    along = (np.arange(size) + 0.5) * 2 / size - 1
    out, right, down = np.moveaxis(FACE_AXES, 1, 0)[:, :, None, None, :]
    rays = (out + right * along[:, None] + down * along[:, None, None]) @ UPRIGHT.T
    rays = rays.reshape(-1, 3)
    length = np.linalg.norm(rays, axis=1)
    # A pixel of a cube face covers (2 / S)^2 / |ray|^3 steradians.
    weight = (2 / size) ** 2 / length**3 * VIEW_224**2
    pixel, view, at = _in_views(rays)
    order = np.lexsort((view, pixel))
    first = np.searchsorted(pixel[order], np.arange(len(rays) + 1))
    return _Pixels(rays / length[:, None], weight, first, view[order], at[order])


def _in_views(rays: Floats) -> tuple[Ints, Ints, npt.NDArray[np.float32]]:
    pixels, views, places = [], [], []
    for view in range(NUM_VIEWS):
        heading, elevation = float(view_heading(view)), float(view_elevation(view))
        sin_h, cos_h = np.sin(heading), np.cos(heading)
        sin_e, cos_e = np.sin(elevation), np.cos(elevation)
        forward = rays @ np.array([sin_h * cos_e, cos_h * cos_e, sin_e])
        ahead = np.maximum(forward, 1e-6)
        x = rays @ np.array([cos_h, -sin_h, 0.0]) / ahead * _FOCAL + WIDTH / 2
        y = -(rays @ np.array([-sin_h * sin_e, -cos_h * sin_e, cos_e])) / ahead * _FOCAL
        y += HEIGHT / 2
        inside = np.flatnonzero((forward > 1e-3) & (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT))
        pixels.append(inside)
        views.append(np.full(len(inside), view))
        places.append(np.column_stack([x[inside], y[inside]]).astype(np.float32))
    return np.concatenate(pixels), np.concatenate(views), np.concatenate(places)


_Count = tuple[Floats, Floats, Floats, npt.NDArray[np.float32]]


def _count(triangle: npt.NDArray[np.int32], owner: npt.NDArray[np.int32], items: int) -> _Count:
    """Gives pixels (I,), sums of directions (I, 3), pixels per view (36, I), boxes (36, I, 4)."""
    table = _pixels(triangle.shape[1])
    pixels, direction = np.zeros(items), np.zeros((items, 3))
    per_view, boxes = np.zeros((NUM_VIEWS, items)), np.zeros((NUM_VIEWS, items, 4), np.float32)
    boxes[..., :2], boxes[..., 2:] = 1e9, -1e9
    _tally(
        triangle.ravel(), owner, table.direction, table.weight, table.first, table.view, table.at,
        pixels, direction, per_view, boxes,
    )  # fmt: skip
    return pixels, direction, per_view, boxes


@compiled
def _tally(
    triangle: npt.NDArray[np.int32],
    owner: npt.NDArray[np.int32],
    ray: Floats,
    weight: Floats,
    first: Ints,
    view: Ints,
    at: npt.NDArray[np.float32],
    pixels: Floats,
    direction: Floats,
    per_view: Floats,
    boxes: npt.NDArray[np.float32],
) -> None:
    """Adds the pixels of every object: in all, their directions, per view, and their bounds."""
    for p in range(len(triangle)):
        if triangle[p] < 0 or owner[triangle[p]] < 0:
            continue
        item = owner[triangle[p]]
        pixels[item] += weight[p]
        for axis in range(3):
            direction[item, axis] += weight[p] * ray[p, axis]
        for entry in range(first[p], first[p + 1]):
            v = view[entry]
            per_view[v, item] += weight[p]
            box = boxes[v, item]
            box[0] = min(box[0], at[entry, 0])
            box[1] = min(box[1], at[entry, 1])
            box[2] = max(box[2], at[entry, 0])
            box[3] = max(box[3], at[entry, 1])


def _assemble(found: list[_Count], home: Home, walk: Walk) -> Sights:
    pixels, direction, per_view, boxes = (np.stack(part) for part in zip(*found, strict=True))
    seen = (per_view.max(axis=1) >= MIN_PIXELS) & (pixels >= MIN_PIXELS)
    viewpoint, item = np.nonzero(seen)
    row_of = np.full(seen.shape, -1)
    row_of[viewpoint, item] = np.arange(len(viewpoint))
    at, view, which = np.nonzero((per_view >= MIN_PIXELS) & seen[:, None, :])
    order = np.lexsort((view, row_of[at, which]))
    at, view, which = at[order], view[order], which[order]
    middle = direction[viewpoint, item]
    return Sights(
        viewpoint=viewpoint,
        item=item,
        heading=heading_of(middle).round(6),
        elevation=elevation_of(middle).round(6),
        distance=_distances(home.items, walk)[viewpoint, item].round(3),
        pixels=pixels[viewpoint, item].round(1),
        row=row_of[at, which],
        view=view,
        box=_whole_boxes(boxes[at, view, which].astype(np.float64)),
        box_pixels=per_view[at, view, which].round(1),
    )


def _whole_boxes(corners: Floats) -> Ints:
    """Gives x, y, width, height of corners (M, 4), half a face pixel wider on each side."""
    half = _FOCAL / FACE
    low = np.maximum(np.floor(corners[:, :2] - half), 0)
    high = np.minimum(np.ceil(corners[:, 2:] + half), [WIDTH, HEIGHT])
    boxes: Ints = np.concatenate([low, high - low], axis=1).astype(np.int64)
    return boxes


def _distances(items: tuple[Item, ...], walk: Walk) -> Floats:
    """Gives (V, I) metres over the floor from viewpoints to the objects' footprints."""
    centre = np.array([item.position[:2] for item in items]).reshape(-1, 2)
    heading = np.array([item.heading for item in items])
    half = np.array([item.size[:2] for item in items]).reshape(-1, 2) / 2
    offset = walk.position[:, None, :2] - centre
    sin, cos = np.sin(heading), np.cos(heading)
    across = np.abs(offset[..., 0] * cos - offset[..., 1] * sin) - half[:, 0]
    along = np.abs(offset[..., 0] * sin + offset[..., 1] * cos) - half[:, 1]
    distance: Floats = np.hypot(across.clip(min=0), along.clip(min=0))
    return distance
