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
from vln.houses.building.catalogue import CATEGORIES, COLOURS, FLOORS, MATERIALS, ROOM_KINDS, WALLS

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
_LEAST_SIDE = 0.8
_MOST_SIDE = 60.0
_HORIZON = 100.0
_SLACK = 0.02

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
        CorruptData: It is no scene, or one that cannot be: a name that is not in the catalogue, a
            number that is not finite, a room without floor or on another one's, a door in no wall,
            stairs that lead nowhere, an object outside its room; or it is of another home than
            its name says.
    """
    remedy = "Generate the world with `python -m vln.houses make`."
    home = from_json(read_bytes(file, remedy=remedy), file=file)
    if home.scan != file.stem:
        raise CorruptData.of(file, "scan", f"is {home.scan!r:.80}, not the file's name", _REMEDY)
    return home


def from_json(content: bytes, *, file: Path) -> Home:
    """Gives the home that `to_json` wrote.

    Args:
        content: The file's bytes.
        file: Named in errors.

    Raises:
        CorruptData: As `load_home`.
    """
    values = parse_json(content, file=file)
    version = values.pop("version", None) if isinstance(values, dict) else None
    if type(version) is not int or version != VERSION:
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
    if not home.scan or not home.style:
        found.append(("scan", f"scan {home.scan!r}, style {home.style!r}: expected two names"))
    found += [(f"rooms[{i}]", p) for i, room in enumerate(home.rooms) if (p := _room(room))]
    found += _overlaps(home.rooms)
    problems = {
        "openings": [_opening(opening, home) for opening in home.openings],
        "stairs": [_flight(stairs, home) for stairs in home.stairs],
        "items": [_item(item, home) for item in home.items],
    }
    found += [(f"{k}[{i}]", p) for k, all_of in problems.items() for i, p in enumerate(all_of) if p]
    light = home.daylight
    if not (0 <= light.strength <= 1 and 0 <= light.warmth <= 1):
        found.append(("daylight", f"{light.strength}, {light.warmth}: expected 0 to 1"))
    return found


def _room(room: Room) -> str | None:
    if room.kind not in ROOM_KINDS:
        return f"kind {room.kind!r} is none of {', '.join(ROOM_KINDS)}"
    x0, y0, x1, y1 = room.box
    if min(x1 - x0, y1 - y0) < _LEAST_SIDE:
        return f"box {room.box} encloses no floor to stand on"
    if max(x1 - x0, y1 - y0) > _MOST_SIDE or max(map(abs, room.box)) > _HORIZON:
        return (
            f"box {room.box}: expected sides of {_MOST_SIDE:.0f} m at most, within "
            f"{_HORIZON:.0f} m of the origin"
        )
    if room.floor.material not in FLOORS or room.wall.material not in WALLS:
        return f"no such finish: floor {room.floor.material!r}, wall {room.wall.material!r}"
    if not all(0 <= level <= 255 for level in (*room.floor.colour, *room.wall.colour)):
        return f"colours {room.floor.colour}, {room.wall.colour}: expected 0 to 255"
    return None if 0 <= room.storey < 4 else f"storey {room.storey}, expected 0 to 3"


def _overlaps(rooms: tuple[Room, ...]) -> list[tuple[str, str]]:
    """Gives the rooms that share floor with an earlier one."""
    return [
        (f"rooms[{j}]", f"shares floor with rooms[{i}]")
        for j, one in enumerate(rooms)
        for i, other in enumerate(rooms[:j])
        if one.storey == other.storey
        and max(one.box[0], other.box[0]) < min(one.box[2], other.box[2]) - _SLACK
        and max(one.box[1], other.box[1]) < min(one.box[3], other.box[3]) - _SLACK
    ]


def _opening(opening: Opening, home: Home) -> str | None:
    if opening.kind not in ("door", "arch", "window"):
        return f"kind {opening.kind!r}, expected door, arch or window"
    one, two = opening.rooms
    count, is_window = len(home.rooms), opening.kind == "window"
    if not 0 <= one < count or (two != -1 if is_window else not 0 <= two < count) or one == two:
        return f"rooms {opening.rooms}, and there are {count}"
    spans = [abs(a - b) for a, b in zip(opening.start, opening.end, strict=True)]
    if min(spans) > 1e-6 or max(spans) < 0.2 or not 0 <= opening.bottom < opening.top <= CEILING:
        return "is no upright, axis-aligned hole"
    for index in opening.rooms[: 1 if is_window else 2]:
        if home.rooms[index].storey != opening.storey:
            return f"is on storey {opening.storey}, rooms[{index}] is not"
        if not _is_in_wall(opening, home.rooms[index].box):
            return f"is in no wall of rooms[{index}]"
    return None


def _is_in_wall(opening: Opening, box: Box) -> bool:
    """Whether an opening lies on the centre line of one of a room's walls."""
    across = 0 if opening.start[0] == opening.end[0] else 1
    along = 1 - across
    at, half = opening.start[across], WALL / 2
    low, high = sorted((opening.start[along], opening.end[along]))
    on_line = min(abs(at - (box[across] - half)), abs(at - (box[across + 2] + half))) < _SLACK
    return on_line and box[along] - _SLACK <= low and high <= box[along + 2] + _SLACK


def _flight(stairs: Stairs, home: Home) -> str | None:
    if not all(0 <= r < len(home.rooms) for r in stairs.rooms) or not _is_box(stairs.box):
        return f"no area, or rooms {stairs.rooms}, and there are {len(home.rooms)}"
    lower, upper = (home.rooms[r] for r in stairs.rooms)
    if (lower.storey, upper.storey) != (stairs.storey, stairs.storey + 1):
        return f"leads from storey {lower.storey} to {upper.storey}, expected one up"
    turns = stairs.heading / (math.pi / 2)
    if abs(turns - round(turns)) > 1e-3:
        return f"heading {stairs.heading}, expected 0, pi/2, pi or 3 pi/2"
    inside = all(_holds(room.box, stairs.box) for room in (lower, upper))
    return None if inside else f"box {stairs.box} is not inside both its rooms"


def _item(item: Item, home: Home) -> str | None:
    if item.category not in CATEGORIES:
        return f"category {item.category!r} is not in the catalogue"
    if item.colour not in COLOURS or item.material not in MATERIALS:
        return f"no such colour or material: {item.colour!r}, {item.material!r}"
    if not 0 <= item.room < len(home.rooms):
        return f"room {item.room}, and there are {len(home.rooms)}"
    if min(item.size) <= 0:
        return f"size {item.size}, expected metres above 0"
    room = home.rooms[item.room]
    (x, y, z), (across, deep, high) = item.position, item.size
    sin, cos = abs(math.sin(item.heading)), abs(math.cos(item.heading))
    a, d = (across * cos + deep * sin) / 2, (across * sin + deep * cos) / 2
    if not _holds(room.box, (x - a, y - d, x + a, y + d)):
        return "stands outside its room, or is larger than it"
    if z < room.level - _SLACK or z + high > room.level + CEILING + _SLACK:
        return f"reaches from {z} to {z + high} m, through its room's floor or ceiling"
    return None


def _holds(box: Box, inner: Box) -> bool:
    """Whether a box holds another one, give or take two centimetres."""
    lows = all(a - _SLACK <= b for a, b in zip(box[:2], inner[:2], strict=True))
    return lows and all(a + _SLACK >= b for a, b in zip(box[2:], inner[2:], strict=True))


def _is_box(box: Box) -> bool:
    return box[0] < box[2] and box[1] < box[3]
