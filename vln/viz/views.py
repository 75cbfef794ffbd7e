"""Views of a panorama for people: one with the ways out of it marked, or all 36 on a sheet.

Knows nothing of graphs or environments.

Legend: n candidates, H x W pixels.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.errors import BadConfig
from vln.panorama.pinhole import Camera, camera_axes
from vln.viz.canvas import PAPER, Canvas, Colour, Image, spread
from vln.viz.maps import CANDIDATE, WALKED_LAST

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

EDGE_INSET = 18.0
"""Pixels from the edge of a view to the markers of what lies outside of it; less in small ones."""
GAP = 4
"""Pixels between the views of a sheet."""
ROW_NAMES = ("-30 deg", "level", "+30 deg")
"""What rows of views look along: 0 to 11, 12 to 23, 24 to 35."""


def draw_view(
    image: Image,
    *,
    camera: Camera,
    heading: float,
    elevation: float,
    candidates: Floats,
    distances: Floats,
    taken: int | None = None,
) -> Image:
    """Gives a view with orange numbers where one can go, as actions 1, 2, ...

    A disc lies in the direction of its candidate, larger where that is near; two that would cover
    each other step aside, and lines lead to their places. What is out of sight has a small disc at
    the edge, with an arrow towards it.

    Args:
        image: (H, W, 3) uint8 RGB, as the camera shows it; left as it is.
        camera: What it was taken with.
        heading: Radians that the camera looks along.
        elevation: Radians.
        candidates: (n, 2) radians, heading and elevation of what can be reached, in the order of
            the actions.
        distances: (n,) metres to them.
        taken: The one that was chosen, an index into `candidates`; it is blue.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    sheet = Canvas.over(image)
    at, is_visible = project(camera, heading, elevation, candidates)
    radius = np.where(is_visible, np.clip(26 / np.sqrt(np.maximum(distances, 0.1)), 11, 20), 9.5)
    labels = _spread(at, is_visible, radius, camera)
    far_first = np.argsort(radius, kind="stable").tolist()
    ink = [WALKED_LAST if number == taken else CANDIDATE for number in range(len(radius))]
    for number in far_first:
        if is_visible[number]:
            ends = sheet.place(np.stack([at[number], labels[number]]))
            sheet.lines(ends[None], ink[number], width=1.6)
        else:
            outwards = at[number] - (camera.width / 2, camera.height / 2)
            place, size = labels[number], float(radius[number])
            _draw_tip(sheet, place, ink[number], outwards=outwards, radius=size)
    for number in far_first:
        size = float(radius[number])
        sheet.disc(sheet.place(labels[number]), ink[number], radius=size, rim=PAPER)
        sheet.text(str(number + 1), labels[number].tolist(), PAPER, height=size * 1.05)
    return sheet.finished()


def _spread(at: Floats, is_visible: Flags, radius: Floats, camera: Camera) -> Floats:
    """Moves discs apart, those of what is out of sight along the edge, and wholly into the view."""
    size, inset = np.array([camera.width, camera.height]), _inset(camera)
    edge = np.minimum(radius[:, None] + 3, size / 2)
    slides = ((at - inset) * (size - inset - at) > 1) | is_visible[:, None]
    labels = at
    for _ in range(4):  # sliding back may bring together what was parted
        moved = spread(labels, np.zeros((0, 2)), apart=np.add.outer(radius, radius) + 5)
        labels = np.where(slides, np.clip(moved, edge, size - edge), at)
    return labels


def project(
    camera: Camera, heading: float, elevation: float, directions: Floats
) -> tuple[Floats, Flags]:
    """Gives where directions appear in a view.

    Args:
        camera: The pinhole.
        heading: Radians that it looks along.
        elevation: Radians.
        directions: (n, 2) radians, heading and elevation.

    Returns:
        (n, 2) float64 pixels (right, down) from the image's upper left corner, and (n,) bool,
        whether they are in the image. Those that are not lie on the edge, `EDGE_INSET` inside, on
        the side to turn to.
    """
    turn, rise = directions[:, 0], directions[:, 1]
    level = np.cos(rise)
    rays = np.stack([np.sin(turn) * level, np.cos(turn) * level, np.sin(rise)], axis=1)
    right, up, ahead = camera_axes([heading], [elevation])[0] @ rays.T
    middle = np.array([camera.width, camera.height]) / 2
    seen = np.stack([right, -up], axis=1) * camera.focal / np.maximum(ahead, 1e-6)[:, None]
    is_visible: Flags = (np.abs(seen) < middle).all(axis=1) & (ahead > 0)
    # By angles, for what is behind and a little below is reached by turning, not by looking down.
    aside = np.stack([geometry.wrap(turn - heading), elevation - rise], axis=1)
    aside = np.where(np.abs(aside) < 1e-9, 1e-9, aside)
    to_edge = ((middle - _inset(camera)) / np.abs(aside)).min(axis=1, keepdims=True)
    return middle + np.where(is_visible[:, None], seen, aside * to_edge), is_visible


def _inset(camera: Camera) -> Floats:
    """Gives (2,) pixels from the edges to the markers: those of a small view leave it a middle."""
    return np.minimum(EDGE_INSET, np.array([camera.width, camera.height]) / 4)


def contact_sheet(views: Image) -> Image:
    """Gives the 36 views of a panorama on one sheet, as one stands in it.

    Three rows: the views that look up, the level ones, those that look down. Columns turn right,
    heading 0 first; their headings stand above, and each view has its index below.

    Args:
        views: (36, H, W, 3) uint8 RGB, in MatterSim's order.

    Returns:
        (_, _, 3) uint8, RGB.

    Raises:
        BadConfig: Not 36 views.
    """
    if len(views) != geometry.NUM_VIEWS:
        raise BadConfig(f"{len(views)} views; expected the {geometry.NUM_VIEWS} of a panorama.")
    height, width = views.shape[1:3]
    capitals = float(np.clip(width / 20, 6, 14))
    line, left = round(capitals * 2.6), round(capitals * 6.5)
    x = left + np.arange(geometry.NUM_HEADINGS) * (width + GAP)
    y = line + np.arange(geometry.NUM_ELEVATIONS)[::-1] * (height + line)
    page = np.full((y[0] + height + line, x[-1] + width + left // 2, 3), PAPER, dtype=np.uint8)
    middle = (x + width / 2).tolist()
    index = np.arange(geometry.NUM_VIEWS).reshape(len(y), len(x))
    headings = [f"{round(math.degrees(h))} deg" for h in geometry.view_heading(index[0])]
    page[:line] = _line(headings, at=middle, width=page.shape[1], height=line, capitals=capitals)
    for top, row, name in zip(y.tolist(), index, ROW_NAMES, strict=True):
        foot = top + height
        page[top:foot, :left] = _line(
            [name], at=[left / 2], width=left, height=height, capitals=capitals
        )
        page[foot : foot + line] = _line(
            list(map(str, row)), at=middle, width=page.shape[1], height=line, capitals=capitals - 1
        )
        for across, view in zip(x.tolist(), views[row], strict=True):
            page[top:foot, across : across + width] = view
    return page


def _line(words: list[str], *, at: list[float], width: int, height: int, capitals: float) -> Image:
    """Gives a (height, width, 3) strip of paper with words centred at pixels along its middle."""
    centre = np.zeros(2)
    sheet = Canvas((height, width), centre=centre, metres_per_pixel=1.0)
    for word, across in zip(words, at, strict=True):
        sheet.text(word, (across, height / 2), height=capitals)
    return sheet.finished()


def _draw_tip(
    sheet: Canvas, label: Floats, ink: Colour, *, outwards: Floats, radius: float
) -> None:
    """Draws the tip that makes a pointer of a disc."""
    ahead = outwards / np.linalg.norm(outwards)
    aside = ahead[::-1] * (1.0, -1.0)
    flanks = np.outer([0.95, -0.95], aside) * radius + ahead * radius * 0.5
    sheet.polygon(sheet.place(label + np.vstack([ahead * (radius + 8), flanks])), ink)
