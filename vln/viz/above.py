"""Objects of a home as one sees them from above, on a sheet of paper.

What is drawn are the same solids that the pictures show, without ceiling, light or texture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.scene import Item
from vln.houses.shapes.mesh import Mesh
from vln.viz.canvas import INK, PAPER, Canvas, Colour, text_width

Floats = npt.NDArray[np.float64]
Solids = tuple[Floats, Floats]
"""Triangles (T, 3, 3) of an object and their sRGB colours (T, 3)."""

OUTLINE: Final[Colour] = (58, 62, 70)
OVERHEAD: Final[Colour] = (126, 128, 134)
CAPITALS: Final = 6.5
"""Height of the letters on objects, pixels."""
_LEAST_CAPITALS: Final = 5.8
_STEEP: Final = 0.15
"""Least upward part of a normal of what counts as seen from above."""


def draw_item(sheet: Canvas, item: Item, solids: Solids) -> None:
    """Draws an object with its outline; what hangs from the ceiling is a dashed ring.

    Args:
        sheet: Where.
        item: Which object.
        solids: The object's, x and y where they go on the sheet.
    """
    triangles, colours = solids
    if CATEGORIES[item.category].place == "ceiling":
        middle = triangles[..., :2].reshape(-1, 2)
        middle = (middle.min(axis=0) + middle.max(axis=0)) / 2
        sheet.ring(middle, OVERHEAD, metres=item.size[0] / 2, width=1)
        return
    normal = _normals(triangles)
    rise = normal[:, 2] / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    shown = np.flatnonzero(rise > _STEEP)
    shown = shown[np.argsort(triangles[shown, :, 2].mean(axis=1), kind="stable")]
    shade = 0.72 + 0.28 * rise
    for triangle in shown:
        red, green, blue = np.round(colours[triangle] * shade[triangle]).astype(int).tolist()
        sheet.polygon(triangles[triangle, :, :2], (red, green, blue))
    outline = hull(triangles)
    ends = np.stack([outline, np.roll(outline, -1, axis=0)], axis=1)
    sheet.lines(ends, OUTLINE, width=0.5)


def _normals(triangles: Floats) -> Floats:
    """Gives (T, 3) normals, as long as twice the triangles' areas."""
    crossed = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    return np.asarray(crossed, dtype=np.float64)


def hull(triangles: Floats) -> Floats:
    """Gives (n, 2): the convex outline of triangles (T, 3, 3) from above."""
    flat = triangles[..., :2].reshape(-1, 1, 2).astype(np.float32)
    corners: Floats = cv2.convexHull(flat)[:, 0].astype(np.float64)
    return corners


def draw_names(sheet: Canvas, drawn: Sequence[tuple[Item, Solids]]) -> None:
    """Writes what objects are onto them, where they are large enough for legible letters.

    Args:
        sheet: Where.
        drawn: Objects as drawn, the lowest first; a name that would cover one of a higher object
            is left out.
    """
    written: list[Floats] = []
    for item, (triangles, colours) in reversed(drawn):
        corners = sheet.pixels(hull(triangles))
        rows, capitals = _fitted(item.category, corners)
        if capitals < _LEAST_CAPITALS or CATEGORIES[item.category].place == "ceiling":
            continue
        middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
        half = np.array([text_width(max(rows, key=len), height=capitals), capitals * len(rows) * 2])
        if any((np.abs(middle - other[0]) < (half + other[1]) / 2).all() for other in written):
            continue
        written.append(np.stack([middle, half]))
        for number, row in enumerate(rows):
            line = middle[1] + (number - (len(rows) - 1) / 2) * capitals * 1.8
            sheet.text(row, (middle[0], line), _ink_on(triangles, colours), height=capitals)


def _fitted(words: str, corners: Floats) -> tuple[list[str], float]:
    """Gives the lines of a name and the height of its letters inside corners (n, 2), pixels."""
    wide, tall = (corners.max(axis=0) - corners.min(axis=0)).tolist()
    rows = [words] if text_width(words, height=CAPITALS) + 4 < wide else words.split()
    needed = max(text_width(row, height=CAPITALS) for row in rows) + 4
    return rows, min(CAPITALS, CAPITALS * wide / needed, tall / (1.9 * len(rows)))


def _ink_on(triangles: Floats, colours: Floats) -> Colour:
    weight = _normals(triangles)[:, 2].clip(min=0)
    is_pale = weight @ colours @ (0.3, 0.59, 0.11) > 115 * weight.sum()
    return INK if is_pale else PAPER


def by_item(mesh: Mesh, count: int) -> list[Solids]:
    """Gives per object its triangles (T, 3, 3) and their colours (T, 3)."""
    looks = np.array([finish.colour for finish in mesh.finishes], np.float64)
    owned = [np.flatnonzero(mesh.owner == item) for item in range(count)]
    return [(mesh.corners[at].astype(np.float64), looks[mesh.finish[at]]) for at in owned]
