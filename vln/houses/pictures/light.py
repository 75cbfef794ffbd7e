"""The light in a home: which lamps, windows and sun there are, and what falls on every surface.

Rooms' floors, walls and ceilings get a picture of their light each (a chart); objects get light per
corner of a triangle. Colours of light stay near white, so that a red chair looks red everywhere.

Legend: R rooms, T triangles, N points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from vln.houses.building.scene import CEILING, Home, Opening
from vln.houses.pictures.bake import CELL, Grids, Lights, bake, fill
from vln.houses.pictures.texture import linear
from vln.houses.shapes.mesh import Mesh

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
AnyFloats = Floats | Floats32

SIDES: Final = 6
"""Charts of a room: floor, ceiling, walls at x0, x1, y0, y1; `side_of` tells which is whose."""
_TEXEL: Final = (0.08, 0.2, 0.12, 0.12, 0.12, 0.12)
"""Metres along a texel of each chart."""
_WAYS: Final = 24
_DECIMALS: Final = 7
"""Of directions: sines differ from machine to machine after some sixteen."""
_COOL: Final = np.array([1.01, 1.0, 0.97])
_WARM: Final = np.array([1.06, 1.0, 0.87])
_SKY: Final = np.array([0.95, 1.0, 1.08])
_SUN: Final = np.array([1.12, 1.0, 0.82])
_TARGET: Final = 1.02
"""Light that an average floor gets on a dull day: a camera sets its exposure to it."""
_BRIGHTER: Final = 0.14
"""How much more it gets on the brightest."""


class Charts(NamedTuple):
    """Light on the shell; chart room * 6 + side is that of a room's side.

    Attributes:
        light: (N, 3) float32 linear RGB, all charts' texels, rows along the second direction.
        start: (R * 6,) int64 where each chart begins.
        shape: (R * 6, 2) int64 rows and columns.
        origin: (R * 6, 2) float64 metres: first and second coordinate where texel 0, 0 begins.
        per_metre: (R * 6, 2) float64 texels in a metre along the two.
    """

    light: Floats32
    start: Ints
    shape: Ints
    origin: Floats
    per_metre: Floats


def side_of(normals: Floats) -> Ints:
    """Gives which chart (T,) surfaces with these normals (T, 3) are lit by."""
    axis = np.abs(normals).argmax(axis=1)
    back = np.take_along_axis(normals, axis[:, None], axis=1)[:, 0] < 0
    side: Ints = np.array([2, 4, 0], np.int64)[axis] + back
    return side


@dataclass(frozen=True, eq=False)
class Baker:
    """Bakes the light of one home. `of` looks around in it; knows where it shines and stands."""

    home: Home
    grids: Grids
    lights: Lights
    ways: Floats

    @classmethod
    def of(cls, home: Home, mesh: Mesh) -> Baker:
        """Gives the baker of a home.

        Args:
            home: The home.
            mesh: Its triangles, at any step.
        """
        grids = _grids(home, mesh)
        return cls(home, grids, _lights(home, mesh), _hemisphere(_WAYS))

    def charts(self) -> Charts:
        """Gives the light on all rooms' floors, ceilings and walls."""
        total = len(self.home.rooms) * SIDES
        shape = np.zeros((total, 2), np.int64)
        origin, per_metre = np.zeros((total, 2)), np.zeros((total, 2))
        points, normals = [], []
        for chart in range(total):
            room, side = divmod(chart, SIDES)
            low, high = self.grids.low[room], self.grids.high[room]
            along = list(axes_of(side)[1:])
            span = (high - low)[along]
            count = np.maximum(np.ceil(span / _TEXEL[side]), 2)
            shape[chart], origin[chart], per_metre[chart] = count[::-1], low[along], count / span
            at, normal = _texels(low, high, side, shape[chart])
            points.append(at)
            normals.append(np.broadcast_to(normal, at.shape))
        sizes = shape.prod(axis=1)
        start = np.cumsum(sizes) - sizes
        room_of = np.repeat(np.arange(total) // SIDES, sizes)
        light = self.at(np.concatenate(points), np.concatenate(normals), room_of)
        _soften(light, start, shape)
        return Charts(light, start, shape, origin, per_metre)

    def at(self, points: AnyFloats, normals: AnyFloats, room: Ints) -> Floats32:
        """Gives (N, 3) float32 light on points (N, 3) with unit normals (N, 3) in rooms (N,)."""
        return bake(
            np.ascontiguousarray(points, np.float32),
            np.ascontiguousarray(normals, np.float32),
            np.ascontiguousarray(room, np.int64),
            self.ways,
            self.lights,
            self.grids,
        )


def axes_of(side: int) -> tuple[int, int, int]:
    """Gives the axis across a chart, and its first and second direction."""
    return ((2, 0, 1), (0, 1, 2), (1, 0, 2))[side // 2]


def _texels(low: Floats, high: Floats, side: int, shape: Ints) -> tuple[Floats, Floats]:
    """Gives the middles (N, 3) of a chart's texels, and its normal (3,)."""
    across, first, second = axes_of(side)
    rows, columns = shape
    at = np.empty((rows, columns, 3))
    at[..., across] = low[across] if side % 2 == 0 else high[across]
    at[..., first] = low[first] + (np.arange(columns) + 0.5) / columns * (high - low)[first]
    up = low[second] + (np.arange(rows) + 0.5) / rows * (high - low)[second]
    at[..., second] = up[:, None]
    normal = np.zeros(3)
    normal[across] = 1.0 if side % 2 == 0 else -1.0
    return at.reshape(-1, 3), normal


def _soften(light: Floats32, start: Ints, shape: Ints) -> None:
    """Blurs every chart a little: shadows of sample points have steps."""
    for begin, (rows, columns) in zip(start, shape, strict=True):
        chart = light[begin : begin + rows * columns].reshape(rows, columns, 3)
        wide = np.pad(chart, ((1, 1), (1, 1), (0, 0)), mode="edge")
        tall: Floats32 = wide[:-2] + 2 * wide[1:-1] + wide[2:]
        chart[:] = (tall[:, :-2] + 2 * tall[:, 1:-1] + tall[:, 2:]) / 16


def _hemisphere(count: int) -> Floats:
    """Gives (count, 3) unit vectors around z, spread like the cosine, on a spiral."""
    share = (np.arange(count) + 0.5) / count
    turn = np.arange(count) * 2.399963229728653  # the golden angle
    wide = np.sqrt(share)
    ways = np.stack([wide * np.cos(turn), wide * np.sin(turn), np.sqrt(1 - share)], axis=1)
    return ways.round(_DECIMALS)


def _grids(home: Home, mesh: Mesh) -> Grids:
    box = np.array([room.box for room in home.rooms], np.float64)
    level = np.array([room.level for room in home.rooms], np.float64)[:, None]
    low = np.concatenate([box[:, :2], level], axis=1)
    high = np.concatenate([box[:, 2:], level + CEILING], axis=1)
    shape = np.maximum(np.ceil((high - low) / CELL), 1).astype(np.int64)
    sizes = shape.prod(axis=1)
    full = np.zeros(int(sizes.sum()), np.uint8)
    grids = Grids(low, high, shape, np.cumsum(sizes) - sizes, full)
    # what is thin lies on a floor or hangs on a wall, and shades nothing but what it covers
    thick = np.array([min(item.size) > 0.07 for item in home.items], np.bool_)
    room = np.array([item.room for item in home.items], np.int64)
    solid = np.array([finish.material != "glow" for finish in mesh.finishes], np.bool_)
    some = np.flatnonzero((mesh.owner >= 0) & solid[mesh.finish])
    some = some[thick[mesh.owner[some]]] if len(some) else some
    if len(some):
        fill(mesh.corners[some], room[mesh.owner[some]], grids)
    return grids


Sample = tuple[Floats, Floats, Floats]
"""Place, direction and power of a lamp's sample, (3,) each."""


def _lights(home: Home, mesh: Mesh) -> Lights:
    samples: list[list[Sample]] = [list(_lamps(home, room)) for room in range(len(home.rooms))]
    panes: list[list[Floats]] = [[] for _ in home.rooms]
    for opening in home.openings:
        for room in (r for r in opening.rooms if r >= 0):
            samples[room] += _through(home, opening, room)
            if opening.kind == "window":
                panes[room].append(_rectangle(home, opening))
    for room, sample in _glowing(home, mesh):
        samples[room].append(sample)
    day = home.daylight
    height = 0.62 + 0.3 * day.strength
    level = np.sqrt(1 - height * height)
    sun = np.array([np.sin(day.heading) * level, np.cos(day.heading) * level, height])
    sun = sun.round(_DECIMALS)
    flat = [sample for some in samples for sample in some]
    corners = np.array([pane for some in panes for pane in some], np.float64).reshape(-1, 2, 3)
    lights = Lights(
        start=_starts([len(some) for some in samples]),
        place=np.array([sample[0] for sample in flat]).reshape(-1, 3),
        toward=np.array([sample[1] for sample in flat]).reshape(-1, 3),
        power=np.array([sample[2] for sample in flat]).reshape(-1, 3),
        sun=sun,
        sunlight=(1.0 + 1.2 * day.strength) * (_SKY + day.warmth * (_SUN - _SKY)),
        pane_start=_starts([len(some) for some in panes]),
        pane_low=np.ascontiguousarray(corners[:, 0]),
        pane_high=np.ascontiguousarray(corners[:, 1]),
        around=np.zeros((len(home.rooms), 2, 3)),
    )
    return _exposed(home, lights)


def _starts(counts: list[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _lamps(home: Home, room: int) -> Iterator[Sample]:
    """Gives samples of lamps below the ceiling: one for every three metres, of four points."""
    x0, y0, x1, y1 = home.rooms[room].box
    height = home.rooms[room].level + CEILING - 0.3
    across, along = (max(1, round(span / 3.4)) for span in (x1 - x0, y1 - y0))
    for i in range(across):
        for j in range(along):
            x = x0 + (i + 0.5) / across * (x1 - x0)
            y = y0 + (j + 0.5) / along * (y1 - y0)
            for dx, dy in ((-0.2, -0.1), (0.1, -0.2), (0.2, 0.1), (-0.1, 0.2)):
                place = np.array([x + dx, y + dy, height])
                yield place, np.zeros(3), 0.32 * _lamp(home)


def _lamp(home: Home) -> Floats:
    """Gives the colour of a home's lamps: people who like warm days like warm lamps."""
    colour: Floats = _COOL + home.daylight.warmth * (_WARM - _COOL)
    return colour


def _through(home: Home, opening: Opening, room: int) -> Iterator[Sample]:
    """Gives samples of an opening's area, which shines into a room."""
    low, high = _rectangle(home, opening)
    x0, y0, x1, y1 = home.rooms[room].box
    axis = 0 if high[0] - low[0] < high[1] - low[1] else 1
    toward = np.zeros(3)
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)[axis]
    toward[axis] = 1.0 if middle > low[axis] else -1.0
    area = float((high - low)[1 - axis] * (high - low)[2])
    is_window = opening.kind == "window"
    rows, columns = (2, 3) if is_window else (2, 1)
    power = (1.3 + 1.5 * home.daylight.strength) * _SKY if is_window else 0.28 * _lamp(home)
    for row in range(rows):
        for column in range(columns):
            place = low.copy()
            place[1 - axis] += (column + 0.5) / columns * (high - low)[1 - axis]
            place[2] += (row + 0.5) / rows * (high - low)[2]
            yield place, toward, power * area / (rows * columns)


def _rectangle(home: Home, opening: Opening) -> Floats:
    """Gives (2, 3) opposite corners of an opening in the world."""
    level = home.rooms[opening.rooms[0]].level
    ends = np.array([opening.start, opening.end], np.float64)
    low = [*ends.min(axis=0), level + opening.bottom]
    return np.array([low, [*ends.max(axis=0), level + opening.top]])


def _glowing(home: Home, mesh: Mesh) -> Iterator[tuple[int, Sample]]:
    """Gives the room and the one sample of every object that glows."""
    glows = np.array([finish.material == "glow" for finish in mesh.finishes], np.bool_)
    lit = (mesh.owner >= 0) & glows[mesh.finish]
    for item in np.unique(mesh.owner[lit]):
        rows = np.flatnonzero(lit & (mesh.owner == item))
        place = mesh.corners[rows].reshape(-1, 3).astype(np.float64).mean(axis=0)
        colour = linear(np.array(mesh.finishes[mesh.finish[rows[0]]].colour))
        tint = 0.75 * _lamp(home) + 0.25 * colour / max(float(colour.max()), 0.05)
        yield home.items[item].room, (place, np.zeros(3), 0.22 * tint)


def _exposed(home: Home, lights: Lights) -> Lights:
    """Gives the lights with what walls throw back, at the exposure that a camera would choose."""
    around = np.zeros((len(home.rooms), 2, 3))
    power = lights.power.copy()
    for room, space in enumerate(home.rooms):
        x0, y0, x1, y1 = space.box
        own = slice(lights.start[room], lights.start[room + 1])
        area = (x1 - x0) * (y1 - y0) + 0.9 * (x1 - x0 + y1 - y0) * CEILING
        direct = power[own].sum(axis=0) * 2.6 / area
        floor, wall = (linear(np.array(f.colour)) for f in (space.floor, space.wall))
        tint = direct / direct.mean()
        above = tint * (0.75 + 0.25 * wall / max(float(wall.mean()), 0.05))
        below = tint * (0.75 + 0.25 * floor / max(float(floor.mean()), 0.05))
        target = _TARGET + _BRIGHTER * home.daylight.strength
        power[own] *= 0.5 * target / float(direct.mean())
        around[room] = 0.6 * target * np.stack([above, below * 0.85])
    return lights._replace(power=power, around=around)
