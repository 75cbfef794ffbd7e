"""A home as data: rooms, openings, stairs and objects, and the small JSON file that holds them.

Everything else of a home (pictures, graph, boxes, words) is derived from this again. Metres, world
z up; headings in radians, 0 along +y, turning right. Knows nothing of how homes are made or drawn.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

import orjson

from vln.data.locations import parse_json, read_bytes
from vln.errors import CorruptData
from vln.houses.catalogue import CATEGORIES, COLOURS, FLOORS, MATERIALS, ROOM_KINDS, WALLS

STOREY: Final = 3.0
"""Metres from one storey's floor to the next one's."""
CEILING: Final = 2.6
"""Metres from floor to ceiling."""
WALL: Final = 0.12
"""Thickness of walls in metres."""
CAMERA_HEIGHT: Final = 1.5
VERSION: Final = 1

_REMEDY = "Undo the edit, or generate the home again with `python -m vln.houses make`."
_FAR = 1000.0

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Finish:
    """A surface: a name in `FLOORS` or `WALLS`, and its sRGB colour, 0 to 255."""

    material: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Room:
    """An axis-aligned room.

    Attributes:
        kind: A name in `ROOM_KINDS`.
        storey: 0 is the ground floor, whose floor is at z = 0.
        box: x0, y0, x1, y1 between the inner faces of its walls.
        floor: What one walks on.
        wall: What all its walls show.
    """

    kind: str
    storey: int
    box: Box
    floor: Finish
    wall: Finish

    @property
    def level(self) -> float:
        """Height of its floor, as z in the world."""
        return self.storey * STOREY


@dataclass(frozen=True)
class Opening:
    """A hole in a wall.

    Attributes:
        kind: `door` (frame, open leaf), `arch` (wide, no leaf) or `window`.
        storey: Of its rooms.
        rooms: The two rooms it joins; a window's second is -1.
        start: x, y of one end on the wall's centre line.
        end: x, y of the other end; the two differ along one axis.
        bottom: Metres above the storey's floor.
        top: Metres above the storey's floor.
    """

    kind: str
    storey: int
    rooms: tuple[int, int]
    start: Point
    end: Point
    bottom: float
    top: float


@dataclass(frozen=True)
class Stairs:
    """A straight flight from a storey to the next.

    Attributes:
        storey: The lower one.
        box: Its footprint, inside one room of each storey; the upper floor is open above it.
        heading: Where it climbs to: 0, pi/2, pi or 3 pi/2.
        rooms: The room it starts in, the room it ends in.
    """

    storey: int
    box: Box
    heading: float
    rooms: tuple[int, int]


@dataclass(frozen=True)
class Item:
    """An object.

    Attributes:
        category: A name in `CATEGORIES`.
        colour: A name in `COLOURS`.
        material: A name in `MATERIALS`.
        room: Index of the room it is in.
        position: x, y, z of the middle of its base, in the world.
        heading: Where its front looks.
        size: Across, front to back, high.
    """

    category: str
    colour: str
    material: str
    room: int
    position: tuple[float, float, float]
    heading: float
    size: tuple[float, float, float]

    @property
    def name(self) -> str:
        """Colour and category: `green bed`."""
        return f"{self.colour} {self.category}"


@dataclass(frozen=True)
class Daylight:
    """Light from outside: where the sun stands, how strong (0 to 1) and how warm (0 to 1) it is."""

    heading: float
    strength: float
    warmth: float


@dataclass(frozen=True)
class Home:
    """A furnished home.

    Attributes:
        scan: Its id.
        seed: What it was made from.
        style: Name of its style.
        rooms: All storeys' rooms.
        openings: Doors, arches, windows.
        stairs: Flights between storeys.
        items: Objects; an object's place in this list is its id.
        daylight: Its light from outside.
    """

    scan: str
    seed: int
    style: str
    rooms: tuple[Room, ...]
    openings: tuple[Opening, ...]
    stairs: tuple[Stairs, ...]
    items: tuple[Item, ...]
    daylight: Daylight


def scene_file(world: Path, scan: str) -> Path:
    """Gives where a world keeps the scene of a home."""
    return world / "scenes" / f"{scan}.json"


def to_json(home: Home) -> bytes:
    """Gives a home's file; the same home gives the same bytes."""
    return orjson.dumps({"version": VERSION, **dataclasses.asdict(home)})


def load_home(file: Path) -> Home:
    """Gives the home that a file holds.

    Raises:
        MissingData: The file cannot be read.
        CorruptData: It is no scene, or one that cannot be: a name that is not in the catalogue,
            a number that is not finite, a room without floor, an object in a room that is not.
    """
    remedy = "Generate the world with `python -m vln.houses make`."
    return from_json(read_bytes(file, remedy=remedy), file=file)


def from_json(content: bytes, *, file: Path) -> Home:
    """Gives the home that `to_json` wrote.

    Args:
        content: The file's bytes.
        file: Named in errors.

    Raises:
        CorruptData: As `load_home`.
    """
    values = parse_json(content, file=file)
    if not isinstance(values, dict) or values.pop("version", None) != VERSION:
        raise CorruptData.of(file, "", f"expected a scene of version {VERSION}", _REMEDY)
    home: Home = _read(Home, values, where="", file=file)
    for where, problem in _problems(home):
        raise CorruptData.of(file, where, problem, _REMEDY)
    return home


def _read(kind: Any, value: object, *, where: str, file: Path) -> Any:  # noqa: ANN401
    """Gives a value of a dataclass's field, checked against its type."""
    if dataclasses.is_dataclass(kind):
        return _read_object(kind, value, where=where, file=file)
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        many = len(kinds) == 2 and kinds[1] is Ellipsis
        if isinstance(value, list) and (many or len(value) == len(kinds)):
            return tuple(
                _read(kinds[0] if many else kinds[i], v, where=f"{where}[{i}]", file=file)
                for i, v in enumerate(value)
            )
    elif kind is float and type(value) in (int, float) and abs(float(str(value))) < _FAR:
        return float(str(value))
    elif kind is not float and type(value) is kind:
        return value
    name = getattr(kind, "__name__", str(kind))
    raise CorruptData.of(file, where.lstrip("."), f"is {value!r:.80}, expected {name}", _REMEDY)


def _read_object(kind: Any, value: object, *, where: str, file: Path) -> Any:  # noqa: ANN401
    hints = get_type_hints(kind)
    if not isinstance(value, Mapping) or set(value) != set(hints):
        given = sorted(value) if isinstance(value, Mapping) else type(value).__name__
        problem = f"expected exactly {sorted(hints)}, found {given}"
        raise CorruptData.of(file, where.lstrip("."), problem, _REMEDY)
    fields = {k: _read(t, value[k], where=f"{where}.{k}", file=file) for k, t in hints.items()}
    return kind(**fields)


def _problems(home: Home) -> list[tuple[str, str]]:
    """Gives what cannot be, as (where, what)."""
    found = [] if home.rooms else [("rooms", "a home needs one room at least")]
    found += [(f"rooms[{i}]", p) for i, room in enumerate(home.rooms) if (p := _room(room))]
    for i, opening in enumerate(home.openings):
        if problem := _opening(opening, home):
            found.append((f"openings[{i}]", problem))
    for i, stairs in enumerate(home.stairs):
        if not _is_box(stairs.box) or not all(0 <= r < len(home.rooms) for r in stairs.rooms):
            found.append((f"stairs[{i}]", "no area, or a room that is not"))
    found += [(f"items[{i}]", p) for i, item in enumerate(home.items) if (p := _item(item, home))]
    return found


def _room(room: Room) -> str | None:
    if room.kind not in ROOM_KINDS:
        return f"kind {room.kind!r} is none of {', '.join(ROOM_KINDS)}"
    if not _is_box(room.box):
        return f"box {room.box} encloses no floor"
    if room.floor.material not in FLOORS or room.wall.material not in WALLS:
        return f"no such finish: floor {room.floor.material!r}, wall {room.wall.material!r}"
    return None if 0 <= room.storey < 4 else f"storey {room.storey}, expected 0 to 3"


def _opening(opening: Opening, home: Home) -> str | None:
    if opening.kind not in ("door", "arch", "window"):
        return f"kind {opening.kind!r}, expected door, arch or window"
    lowest = (0, -1 if opening.kind == "window" else 0)
    if not all(low <= r < len(home.rooms) for low, r in zip(lowest, opening.rooms, strict=True)):
        return f"rooms {opening.rooms}, and there are {len(home.rooms)}"
    spans = [abs(a - b) for a, b in zip(opening.start, opening.end, strict=True)]
    if min(spans) > 1e-6 or max(spans) < 0.2 or not 0 <= opening.bottom < opening.top <= CEILING:
        return "is no upright, axis-aligned hole"
    return None


def _item(item: Item, home: Home) -> str | None:
    if item.category not in CATEGORIES:
        return f"category {item.category!r} is not in the catalogue"
    if item.colour not in COLOURS or item.material not in MATERIALS:
        return f"no such colour or material: {item.colour!r}, {item.material!r}"
    if not 0 <= item.room < len(home.rooms):
        return f"room {item.room}, and there are {len(home.rooms)}"
    if min(item.size) <= 0:
        return f"size {item.size}, expected metres above 0"
    x0, y0, x1, y1 = home.rooms[item.room].box
    x, y, _ = item.position
    return None if x0 <= x <= x1 and y0 <= y <= y1 else "stands outside its room"


def _is_box(box: Box) -> bool:
    return box[0] < box[2] and box[1] < box[3] and all(map(math.isfinite, box))
