"""What homes are furnished with: categories, their colours, materials, sizes and places.

Facts only, a line of `catalogue.json` for each category; how an object looks is in `furniture`,
where it goes is decided in `furnish`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal

import orjson

ROOM_KINDS: Final = (
    "bedroom",
    "bathroom",
    "kitchen",
    "living room",
    "dining room",
    "office",
    "library",
    "playroom",
    "laundry room",
    "gym",
    "music room",
    "hallway",
)

COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (186, 38, 40),
    "orange": (226, 118, 32),
    "yellow": (232, 196, 52),
    "green": (52, 128, 62),
    "turquoise": (48, 172, 172),
    "blue": (42, 78, 168),
    "purple": (116, 58, 146),
    "pink": (228, 138, 170),
    "brown": (108, 68, 42),
    "black": (34, 34, 38),
    "white": (236, 234, 228),
    "grey": (128, 130, 133),
}
"""sRGB, 0 to 255. Only names that a person tells apart at a glance."""

MATERIALS: Final = (
    "wood",
    "fabric",
    "leather",
    "metal",
    "plastic",
    "glass",
    "ceramic",
    "stone",
    "wicker",
    "leaf",
    "paper",
    "screen",
)
"""What objects are made of."""

FLOORS: Final = ("planks", "parquet", "tiles", "marble", "carpet", "concrete", "terracotta")
WALLS: Final = ("paint", "stripes", "dots", "brick", "panelling", "wall tiles", "plaster")

Place = Literal["wall", "corner", "middle", "seat", "top", "hung", "ceiling", "flat", "beside"]
"""Where a category stands: its back to a wall; in a corner; in the middle of the room; at a table
or desk; on top of another object; hung on a wall; hung from the ceiling; flat on the floor, where
one can walk on it; at the side of another object."""

Span = tuple[float, float]


@dataclass(frozen=True)
class Category:
    """One kind of object.

    Attributes:
        name: As people say it, one or two words.
        rooms: Kind of room -> how many a room of that kind has on average.
        place: Where it stands.
        size: Ranges in metres: across, front to back, high.
        colours: Names in `COLOURS`.
        materials: Names in `MATERIALS` that its coloured part may have.
        near: For `seat`, `top` and `beside`: categories that it stands at, on or beside.
        lift: For `hung` and `ceiling`: metres from the storey's floor to its base; for `ceiling`
            the base is that far above the floor, too.
        clear: Metres of free floor in front of it.
    """

    name: str
    rooms: dict[str, float]
    place: Place
    size: tuple[Span, Span, Span]
    colours: tuple[str, ...]
    materials: tuple[str, ...]
    near: tuple[str, ...] = ()
    lift: Span = (0.0, 0.0)
    clear: float = 0.5

    @property
    def blocks(self) -> bool:
        """Whether nobody can walk where it stands."""
        return self.place not in ("flat", "hung", "ceiling", "top")


def _read_category(entry: dict[str, Any], palettes: dict[str, list[str]]) -> Category:
    """Gives one line of the table; `colours` there is a list or the name of a palette."""
    colours = entry["colours"]
    across, deep, high = (_span(span) for span in entry["size"])
    return Category(
        name=entry["name"],
        rooms=entry["rooms"],
        place=entry["place"],
        size=(across, deep, high),
        colours=tuple(palettes[colours] if isinstance(colours, str) else colours),
        materials=tuple(entry["materials"]),
        near=tuple(entry.get("near", ())),
        lift=_span(entry.get("lift", (0.0, 0.0))),
        clear=entry.get("clear", 0.5),
    )


def _span(ends: Sequence[float]) -> Span:
    low, high = ends
    return low, high


def _read_table() -> tuple[Category, ...]:
    """Gives the categories of the package's own `catalogue.json`, in its order."""
    table = orjson.loads(files("vln.houses.building").joinpath("catalogue.json").read_bytes())
    return tuple(_read_category(entry, table["palettes"]) for entry in table["categories"])


CATEGORIES: Final[dict[str, Category]] = {category.name: category for category in _read_table()}
"""Every category by name."""


def _held_out() -> frozenset[tuple[str, str]]:
    """Gives (colour, category) pairs that no training home shows: one or two of five or more."""
    pairs: set[tuple[str, str]] = set()
    for category in CATEGORIES.values():
        if len(category.colours) >= 5:
            ranked = sorted(
                category.colours,
                key=lambda c: hashlib.sha256(f"{c} {category.name}".encode()).digest(),
            )
            pairs |= {(colour, category.name) for colour in ranked[: len(ranked) // 4]}
    return frozenset(pairs)


HELD_OUT: Final = _held_out()
"""Pairs of colour and category kept for homes that test new combinations."""
