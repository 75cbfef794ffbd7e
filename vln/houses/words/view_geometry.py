"""How the objects of one view lie to each other, to the walls and to the windows.

Says nothing in words; relations hold in the home's geometry or in the picture, as each one states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.geometry import view_elevation, view_heading
from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.scene import Home, Item, Opening
from vln.houses.graph.floor import footprint
from vln.houses.graph.navigate import Walk
from vln.houses.graph.sight import HEIGHT, WIDTH, Sights

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_FOCAL: Final = HEIGHT / 2 / np.tan(np.pi / 6)
_TOUCHING: Final = 0.45
"""Metres between two objects that stand beside each other."""
_DEPTH: Final = 0.8
"""Metres that one object is nearer than another one that it stands before."""
_AT_WINDOW: Final = 0.8


@dataclass(frozen=True, eq=False)
class View:
    """One of the 36 views of a viewpoint, with what is seen in it.

    Attributes:
        viewpoint: Index of the viewpoint.
        view: 0..35.
        item: (n,) objects, the largest in the picture first.
        pixels: (n,) of each in this view at 224 px.
        box: (n, 4) x, y, width, height in 640x480.
        distance: (n,) metres to each.
    """

    viewpoint: int
    view: int
    item: Ints
    pixels: Floats
    box: Floats
    distance: Floats


def views_of(sights: Sights) -> list[View]:
    """Gives all views in which something is seen, by viewpoint, then by view."""
    viewpoint = sights.viewpoint[sights.row]
    order = np.lexsort((-sights.box_pixels, sights.view, viewpoint))
    key = (viewpoint * 36 + sights.view)[order]
    found = []
    for rows in np.split(order, np.flatnonzero(np.diff(key)) + 1):
        if len(rows):
            seen = sights.row[rows]
            found.append(
                View(
                    viewpoint=int(viewpoint[rows[0]]),
                    view=int(sights.view[rows[0]]),
                    item=sights.item[seen],
                    pixels=sights.box_pixels[rows],
                    box=sights.box[rows].astype(np.float64),
                    distance=sights.distance[seen],
                )
            )
    return found


def outlines(home: Home) -> Floats:
    """Gives (I, 4): x0, y0, x1, y1 around every object's footprint."""
    corners = np.array([footprint(item) for item in home.items]).reshape(-1, 4, 2)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def relation(home: Home, outline: Floats, view: View, first: int, second: int) -> str:
    """Gives how one object of a view lies to another one.

    Args:
        home: The home.
        outline: `outlines(home)`.
        view: The view.
        first: Row in the view of the object that is described.
        second: Row of the other one.

    Returns:
        `on`, `on rug`, `above`, `over` or `beside`, which hold in the home; `before`, `behind`,
        `left` or `right`, which hold in the picture; an empty text if none of them.
    """
    a, b = (home.items[int(view.item[row])] for row in (first, second))
    box_a, box_b = outline[view.item[first]], outline[view.item[second]]
    touching = _upright(a, b, box_a, box_b)
    if touching:
        return touching
    gap = float(np.hypot(*np.maximum(box_a[:2] - box_b[2:], box_b[:2] - box_a[2:]).clip(min=0)))
    if gap < _TOUCHING and a.room == b.room and _stands(a) and _stands(b):
        return "beside"
    return _in_picture(view, first, second, is_deep=_stands(a) and _stands(b))


def _upright(a: Item, b: Item, box_a: Floats, box_b: Floats) -> str:
    """Gives `on`, `on rug`, `above` or `over` where an object is higher than another one there."""
    place, middle = CATEGORIES[a.category].place, np.array(a.position[:2])
    near = 0.3 if place == "hung" else 0.0
    if ((middle < box_b[:2] - near) | (middle > box_b[2:] + near)).any():
        return ""
    rise = a.position[2] - b.position[2]
    if place == "top" and b.category in CATEGORIES[a.category].near and 0.2 < rise < 1.6:
        return "on"
    if b.category == "rug" and a.category != "rug" and 0 <= rise < 0.1:
        return "on rug"
    if place in ("hung", "ceiling") and b.size[2] - 0.02 <= rise < 2.6 and b.category != "rug":
        return "above" if place == "hung" else "over"
    return ""


def _stands(item: Item) -> bool:
    return CATEGORIES[item.category].blocks


def _in_picture(view: View, first: int, second: int, *, is_deep: bool) -> str:
    (ax, _, aw, _), (bx, _, bw, _) = view.box[first], view.box[second]
    shared = min(ax + aw, bx + bw) - max(ax, bx)
    if shared <= 0:
        return "left" if ax < bx else "right"
    nearer = view.distance[second] - view.distance[first]
    if is_deep and shared >= min(aw, bw) / 2 and abs(nearer) > _DEPTH:
        return "before" if nearer > 0 else "behind"
    return ""


def stance(home: Home, walk: Walk, view: View, row: int) -> str:
    """Gives where in its room an object of a view is, as far as that is worth saying.

    Returns:
        `hung`, `ceiling`, `before window`, `window`, `corner`, `against` or an empty text.
    """
    item = home.items[int(view.item[row])]
    place = CATEGORIES[item.category].place
    if place in ("hung", "ceiling", "top", "flat"):
        return place if place in ("hung", "ceiling") else ""
    corners = footprint(item)
    low, high = corners.min(axis=0), corners.max(axis=0)
    for window in _windows_in(home, walk, view, item.room):
        found = _at_window(item, low, high, window)
        if found:
            return found
    x0, y0, x1, y1 = home.rooms[item.room].box
    across, along = min(low[0] - x0, x1 - high[0]), min(low[1] - y0, y1 - high[1])
    if max(across, along) < 0.5:
        return "corner"
    return "against" if min(across, along) < 0.15 else ""


def _windows_in(home: Home, walk: Walk, view: View, room: int) -> list[Opening]:
    """Gives a room's windows whose middles lie in the picture of a camera in that room."""
    if int(walk.room[view.viewpoint]) != room:
        return []
    return [
        opening
        for opening in home.openings
        if opening.kind == "window" and opening.rooms[0] == room and _shows(walk, view, opening)
    ]


def _shows(walk: Walk, view: View, opening: Opening) -> bool:
    middle = np.array([*np.add(opening.start, opening.end) / 2, 0.0])
    middle[2] = (opening.bottom + opening.top) / 2 + walk.position[view.viewpoint, 2] - 1.5
    x, y, z = middle - walk.position[view.viewpoint]
    heading, elevation = float(view_heading(view.view)), float(view_elevation(view.view))
    level = x * np.sin(heading) + y * np.cos(heading)
    ahead = level * np.cos(elevation) + z * np.sin(elevation)
    aside = x * np.cos(heading) - y * np.sin(heading)
    up = z * np.cos(elevation) - level * np.sin(elevation)
    return bool(
        ahead > 0.3
        and abs(aside / ahead) * _FOCAL < WIDTH / 2
        and abs(up / ahead) * _FOCAL < HEIGHT / 2
    )


def _at_window(item: Item, low: Floats, high: Floats, window: Opening) -> str:
    start, end = np.minimum(window.start, window.end), np.maximum(window.start, window.end)
    gap = np.maximum(low - end, start - high).clip(min=0)
    along = int(np.argmax(end - start))
    if gap[1 - along] > 0.6 or gap[along] > _AT_WINDOW:
        return ""
    below = item.size[2] <= window.bottom + 0.4
    return "before window" if gap[along] == 0 and below else "window"
