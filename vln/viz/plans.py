"""Floor plans of homes: rooms, doors, windows, stairs and furniture from above, storeys abreast.

Knows nothing of files or pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig
from vln.houses.building.scene import (
    CAMERA_HEIGHT,
    STOREY,
    WALL,
    Box,
    Finish,
    Home,
    Item,
    Opening,
    Stairs,
)
from vln.houses.graph.floor import footprint
from vln.houses.graph.navigate import Walk
from vln.houses.shapes.joinery import leaf_place
from vln.houses.shapes.mesh import home_mesh
from vln.viz.above import Solids, by_item, draw_item, draw_names
from vln.viz.canvas import INK, PAPER, Canvas, Colour, Image, text_width
from vln.viz.maps import GOAL, GOAL_RIM, WALKED_FIRST, draw_scale, draw_walk

Floats = npt.NDArray[np.float64]

POCHE: Final[Colour] = (62, 66, 74)
"""What walls are filled with."""
GLASS: Final[Colour] = (150, 196, 226)
SWING: Final[Colour] = (142, 146, 154)
STEP: Final[Colour] = (120, 124, 132)
WAY: Final[Colour] = (96, 130, 196)
"""Viewpoints and their edges."""
STOREYS: Final = ("ground floor", "upper floor", "second floor", "third floor")
PIXELS_PER_METRE: Final = 44.0
MARGIN: Final = 0.7
"""Metres of paper around each storey."""
HEAD: Final = 62
"""Pixels above a plan for the title and the storeys' names; fewer for a single storey."""
FOOT: Final = 26
"""Pixels below for the scale."""
_LEAST_WIDTH: Final = 560
_TREAD: Final = 0.27
_PATTERN: Final = {
    "planks": (0.0, 0.22),
    "parquet": (0.36, 0.36),
    "tiles": (0.4, 0.4),
    "marble": (0.8, 0.8),
    "terracotta": (0.33, 0.33),
}
"""Metres between the joints of a floor, along x and along y; 0 has none."""


def draw_plan(
    home: Home,
    walk: Walk | None = None,
    *,
    path: Sequence[int] = (),
    pixels_per_metre: float = PIXELS_PER_METRE,
) -> Image:
    """Gives the floor plan of a home, north (+y) up.

    Objects have their own colours; a dashed ring is a lamp that hangs from the ceiling. Faint blue
    are viewpoints and the edges between them. A path is drawn as on maps: a white disc is its
    start, a star its goal.

    Args:
        home: What is drawn.
        walk: Its viewpoints, if they shall be seen.
        path: Viewpoints, as indices into `walk`, start first.
        pixels_per_metre: Scale.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        BadConfig: A path without a walk, or of viewpoints that it does not have.
    """
    count = 0 if walk is None else len(walk)
    if any(not 0 <= viewpoint < count for viewpoint in path):
        known = f"0 to {count - 1}" if count else "none without the walk that they are of"
        raise BadConfig(f"a path over the viewpoints {list(path)}; expected {known}.")
    sheet, storeys = _laid_out(home, pixels_per_metre)
    solids = by_item(home_mesh(home, step=None), len(home.items))
    for storey in storeys:
        _draw_storey(sheet, storey, solids, walk, path)
    _draw_titles(sheet, storeys, walk)
    draw_scale(sheet)
    return sheet.finished()


@dataclass(frozen=True, eq=False)
class _Storey:
    """One storey on the sheet.

    Attributes:
        home: The home.
        number: Which storey.
        shift: (2,) metres from the world to the sheet.
        low: (2,) metres, lower left corner of its rooms on the sheet.
        high: (2,) metres, upper right corner.
    """

    home: Home
    number: int
    shift: Floats
    low: Floats
    high: Floats

    @property
    def rooms(self) -> list[int]:
        return [i for i, room in enumerate(self.home.rooms) if room.storey == self.number]

    @property
    def openings(self) -> list[Opening]:
        return [opening for opening in self.home.openings if opening.storey == self.number]

    def box(self, box: Box, *, grown: float = 0.0) -> Floats:
        """Gives (4, 2) corners, on the sheet, of a box of the home."""
        x0, y0, x1, y1 = box
        x0, y0, x1, y1 = x0 - grown, y0 - grown, x1 + grown, y1 + grown
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) + self.shift

    def on(self, walk: Walk) -> npt.NDArray[np.bool_]:
        """Gives (V,) whether viewpoints are here; the middle of stairs is on both their storeys."""
        level = walk.position[:, 2] - CAMERA_HEIGHT - self.number * STOREY
        here: npt.NDArray[np.bool_] = np.abs(level) <= STOREY / 2 + 0.1
        return here


def _laid_out(home: Home, scale: float) -> tuple[Canvas, list[_Storey]]:
    """Gives an empty sheet and its storeys, side by side, their south walls on one line."""
    storeys, right, highest = [], 0.0, 0.0
    for number in sorted({room.storey for room in home.rooms}):
        boxes = np.array([room.box for room in home.rooms if room.storey == number])
        low, high = boxes[:, :2].min(axis=0) - WALL, boxes[:, 2:].max(axis=0) + WALL
        shift = np.array([right + MARGIN, MARGIN]) - low
        storeys.append(_Storey(home, number, shift, low + shift, high + shift))
        right = float(storeys[-1].high[0]) + MARGIN
        highest = max(highest, float(storeys[-1].high[1]) + MARGIN)
    head = HEAD if len(storeys) > 1 else HEAD - 20
    size = round(highest * scale) + head + FOOT, max(round(right * scale), _LEAST_WIDTH)
    centre = np.array([right, highest + (head - FOOT) / scale]) / 2
    return Canvas(size, centre=centre, metres_per_pixel=1 / scale), storeys


def _draw_storey(
    sheet: Canvas,
    storey: _Storey,
    solids: Sequence[Solids],
    walk: Walk | None,
    path: Sequence[int],
) -> None:
    drawn = _from_above(storey, solids)
    _draw_shell(sheet, storey)
    for item, solid in drawn:
        draw_item(sheet, item, solid)
    if walk is not None:
        _draw_graph(sheet, storey, walk)
    draw_names(sheet, drawn)
    _draw_names(sheet, storey, walk)
    if walk is not None and path:
        _draw_path(sheet, storey, walk, list(path))


def _draw_shell(sheet: Canvas, storey: _Storey) -> None:
    """Draws walls, floors, openings and stairs."""
    home = storey.home
    for room in storey.rooms:
        sheet.polygon(storey.box(home.rooms[room].box, grown=WALL), POCHE)
    for room in storey.rooms:
        _draw_floor(sheet, storey, home.rooms[room].box, home.rooms[room].floor)
    for opening in storey.openings:
        _draw_opening(sheet, storey, opening)
    for stairs in home.stairs:
        if storey.number in (stairs.storey, stairs.storey + 1):
            _draw_stairs(sheet, storey, stairs)


def _draw_floor(sheet: Canvas, storey: _Storey, box: Box, floor: Finish) -> None:
    ground = _pale(floor.colour, 0.5)
    sheet.polygon(storey.box(box), ground)
    joint = _mixed(ground, INK, 0.07)
    (x0, y0), _, (x1, y1), _ = storey.box(box)
    across, along = _PATTERN.get(floor.material, (0.0, 0.0))
    xs = np.arange(x0 + across, x1, across) if across else np.zeros(0)
    ys = np.arange(y0 + along, y1, along) if along else np.zeros(0)
    upright = [[[x, y0], [x, y1]] for x in xs]
    sheet.lines(np.reshape([*upright, *([[x0, y], [x1, y]] for y in ys)], (-1, 2, 2)), joint)


def _draw_opening(sheet: Canvas, storey: _Storey, opening: Opening) -> None:
    ends = np.array([opening.start, opening.end]) + storey.shift
    along = (ends[1] - ends[0]) / np.hypot(*(ends[1] - ends[0]))
    aside = along[::-1] * WALL / 2
    hole = np.array([ends[0] - aside, ends[1] - aside, ends[1] + aside, ends[0] + aside])
    if opening.kind == "window":
        sheet.polygon(hole, PAPER)
        panes = np.stack([ends - aside, ends, ends + aside])
        sheet.lines(panes, GLASS, width=1.5)
        return
    floor = storey.home.rooms[opening.rooms[0]].floor
    sheet.polygon(hole, _pale(floor.colour, 0.4))
    jambs = np.stack([ends - aside, ends + aside], axis=1)
    sheet.lines(jambs, POCHE, width=1.5)
    leaf = leaf_place(storey.home, opening) if opening.kind == "door" else None
    if leaf is not None:
        _draw_swing(sheet, storey, ends, room=leaf[0], end=leaf[1])


def _draw_swing(sheet: Canvas, storey: _Storey, ends: Floats, *, room: int, end: int) -> None:
    """Draws a door's leaf, open into a room, and the quarter circle that it sweeps."""
    order = np.argsort(ends.sum(axis=1))[::end]  # of the two ends, the hinge comes last
    latch, hinge = ends[order]
    shut = latch - hinge
    x0, y0, x1, y1 = storey.home.rooms[room].box
    inward = np.array([x0 + x1, y0 + y1]) / 2 + storey.shift - ends.mean(axis=0)
    ajar = shut[::-1] * (1.0, -1.0)
    ajar *= np.sign(ajar @ inward)
    foot = hinge + ajar / np.linalg.norm(ajar) * WALL / 2
    turn = np.linspace(0, np.pi / 2, 13)[:, None]
    arc = foot + np.cos(turn) * shut + np.sin(turn) * ajar
    sheet.lines(np.stack([arc[:-1], arc[1:]], axis=1), SWING)
    sheet.lines(np.stack([foot, foot + ajar])[None], POCHE, width=2)


def _draw_stairs(sheet: Canvas, storey: _Storey, stairs: Stairs) -> None:
    """Draws treads and an arrow that points up from the lower storey, down from the upper one."""
    is_up = storey.number == stairs.storey
    corners = storey.box(stairs.box)
    sheet.polygon(corners, _pale((214, 206, 192), 1.0 if is_up else 0.5))
    climb = np.round([np.sin(stairs.heading), np.cos(stairs.heading)])
    length = float(np.abs((corners[2] - corners[0]) @ climb))
    middle, half = corners.mean(axis=0), np.abs((corners[2] - corners[0]) * climb[::-1]) / 2
    at = np.arange(-length / 2, length / 2 + 1e-6, length / round(length / _TREAD))
    treads = middle + at[:, None] * climb
    sheet.lines(np.stack([treads - half, treads + half], axis=1), STEP)
    outline = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    sheet.lines(outline, POCHE, width=1)
    ahead = climb if is_up else -climb
    tail, tip = middle - ahead * (length / 2 - 0.25), middle + ahead * (length / 2 - 0.2)
    side = ahead[::-1] * 0.14
    sheet.lines([[tail, tip]], INK, width=1.5)
    sheet.polygon([tip, tip - ahead * 0.28 + side, tip - ahead * 0.28 - side], INK)
    word = "up" if is_up else "down"
    _write_on(sheet, word, sheet.pixels(tail + ahead * 0.3), _pale((214, 206, 192), 1.0), height=8)


def _from_above(storey: _Storey, solids: Sequence[Solids]) -> list[tuple[Item, Solids]]:
    """Gives a storey's objects where they go on the sheet, the lowest first."""
    home, shift = storey.home, np.append(storey.shift, 0.0)
    rooms = set(storey.rooms)
    here = [number for number, item in enumerate(home.items) if item.room in rooms]
    here.sort(key=lambda n: home.items[n].position[2] + home.items[n].size[2])
    return [(home.items[n], (solids[n][0] + shift, solids[n][1])) for n in here]


def _draw_graph(sheet: Canvas, storey: _Storey, walk: Walk) -> None:
    here = np.flatnonzero(storey.on(walk))
    flat = walk.position[:, :2] + storey.shift
    a, b = np.nonzero(np.triu(walk.adjacency[np.ix_(here, here)]))
    sheet.lines(np.stack([flat[here[a]], flat[here[b]]], axis=1), WAY, width=0.5)
    for viewpoint in here:
        sheet.disc(flat[viewpoint], WAY, radius=2.4, rim=PAPER)


def _draw_path(sheet: Canvas, storey: _Storey, walk: Walk, path: list[int]) -> None:
    on, flat = storey.on(walk), walk.position[:, :2] + storey.shift
    for part in _runs(path, on):
        draw_walk(sheet, flat[part])
    if on[path[-1]]:
        sheet.star(flat[path[-1]], GOAL, radius=12, rim=GOAL_RIM)
    if on[path[0]]:
        sheet.disc(flat[path[0]], PAPER, radius=7, rim=WALKED_FIRST)


def _runs(path: list[int], on: npt.NDArray[np.bool_]) -> Iterator[list[int]]:
    """Yields the stretches of a path on one storey."""
    run: list[int] = []
    for here, there in pairwise(path):
        if on[here] and on[there]:
            run = [*(run or [here]), there]
        elif run:
            yield run
            run = []
    if run:
        yield run


def _draw_names(sheet: Canvas, storey: _Storey, walk: Walk | None) -> None:
    """Writes what rooms are where the least furniture lies below the words."""
    home = storey.home
    taken = _taken(sheet, storey, walk)
    for room in storey.rooms:
        space = home.rooms[room]
        corners = sheet.pixels(storey.box(space.box))
        low, high = corners.min(axis=0), corners.max(axis=0)
        height = min(11.0, 11.0 * (high[0] - low[0] - 8) / text_width(space.kind, height=11))
        size = np.array([text_width(space.kind, height=height) + 8, height * 1.5 + 4])
        place = _free_place(low + size / 2 + 4, high - size / 2 - 4, size, taken)
        _write_on(sheet, space.kind, place, _pale(space.floor.colour, 0.5), height=height)


def _taken(sheet: Canvas, storey: _Storey, walk: Walk | None) -> Floats:
    """Gives (n, 4) pixel boxes of what names of rooms keep off: objects, stairs, viewpoints."""
    home, rooms = storey.home, set(storey.rooms)
    outlines = [footprint(item) + storey.shift for item in home.items if item.room in rooms]
    outlines += [storey.box(stairs.box) for stairs in home.stairs if rooms & set(stairs.rooms)]
    if walk is not None:
        places = walk.position[storey.on(walk), :2].tolist()
        outlines += [storey.box((x, y, x, y), grown=0.1) for x, y in places]
    corners = sheet.pixels(np.array(outlines).reshape(-1, 4, 2))
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def _free_place(low: Floats, high: Floats, size: Floats, taken: Floats) -> Floats:
    """Gives (2,) pixels of a middle between `low` and `high` whose words cover the least."""
    xs, ys = (np.linspace(a, max(a, b), 33) for a, b in zip(low, high, strict=True))
    places = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 1, 2)
    overlap = np.minimum(places + size / 2, taken[:, 2:]) - np.maximum(
        places - size / 2, taken[:, :2]
    )
    covered = overlap.clip(min=0).prod(axis=-1).sum(axis=1)
    aside = np.linalg.norm(places[:, 0] - (low + high) / 2, axis=1)
    best: Floats = places[np.lexsort((aside, covered.round(1)))[0], 0]
    return best


def _draw_titles(sheet: Canvas, storeys: Sequence[_Storey], walk: Walk | None) -> None:
    home = storeys[0].home
    words = f"{home.scan}, {home.style}: {len(home.rooms)} rooms, {len(home.items)} objects"
    if walk is not None:
        words += f", {len(walk)} viewpoints"
    sheet.text(words, (sheet.size[1] / 2, 25), height=13)
    if len(storeys) > 1:
        for storey in storeys:
            middle, top = sheet.pixels([(storey.low[0] + storey.high[0]) / 2, storey.high[1]])
            sheet.text(STOREYS[storey.number], (middle, top - 15), height=10)


def _write_on(sheet: Canvas, words: str, pixel: Floats, ground: Colour, *, height: float) -> None:
    """Writes words with a rim in the colour of what they lie on."""
    for x, y in ((-1.5, 0.0), (1.5, 0.0), (0.0, -1.5), (0.0, 1.5)):
        sheet.text(words, (pixel[0] + x, pixel[1] + y), ground, height=height)
    sheet.text(words, pixel.tolist(), height=height)


def _pale(colour: Colour, share: float) -> Colour:
    """Mixes a colour with paper; share 1 leaves it."""
    return _mixed(PAPER, colour, share)


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
