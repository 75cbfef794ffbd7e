"""What homes are furnished with: categories, their colours, materials, sizes and places.

Facts only; how an object looks is in `furniture`, where it goes is decided in `furnish`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

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


_ALL = tuple(COLOURS)
_WARM = ("red", "orange", "yellow", "brown", "pink", "white", "green", "blue")
_BRIGHT = ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink")
_SOFT = ("red", "green", "blue", "purple", "pink", "grey", "yellow", "brown", "turquoise", "orange")
_WOOD = ("brown", "white", "black", "red", "green", "blue", "yellow", "turquoise")
_APPLIANCE = ("white", "black", "grey", "red", "turquoise", "yellow")
_BATH = ("white", "pink", "turquoise", "black", "yellow", "blue")

_LIST: tuple[Category, ...] = (
    # Seats and beds
    Category(
        "bed", {"bedroom": 1.0}, "wall", ((1.4, 1.8), (2.0, 2.1), (0.9, 1.1)), _SOFT, ("fabric",)
    ),
    Category(
        "sofa",
        {"living room": 1.3, "library": 0.4, "music room": 0.4},
        "wall",
        ((1.8, 2.3), (0.85, 0.95), (0.8, 0.9)),
        _SOFT,
        ("fabric", "leather"),
        clear=0.8,
    ),
    Category(
        "armchair",
        {"living room": 1.2, "library": 1.2, "bedroom": 0.5, "music room": 0.6, "office": 0.4},
        "corner",
        ((0.8, 0.95), (0.8, 0.9), (0.85, 1.0)),
        _SOFT,
        ("fabric", "leather"),
        clear=0.7,
    ),
    Category(
        "chair",
        {"dining room": 4.0, "kitchen": 1.5, "office": 1.0, "playroom": 1.0},
        "seat",
        ((0.42, 0.5), (0.45, 0.5), (0.85, 1.0)),
        _WARM,
        ("wood", "plastic"),
        near=("table", "desk"),
    ),
    Category(
        "stool",
        {"kitchen": 1.0, "music room": 0.8, "bathroom": 0.4, "gym": 0.4},
        "wall",
        ((0.35, 0.45), (0.35, 0.45), (0.45, 0.7)),
        _WARM,
        ("wood", "metal"),
    ),
    Category(
        "bench",
        {"hallway": 0.7, "gym": 0.8, "dining room": 0.4, "bedroom": 0.4},
        "wall",
        ((1.0, 1.4), (0.38, 0.45), (0.42, 0.5)),
        _WOOD,
        ("wood", "leather"),
    ),
    # Tables
    Category(
        "table",
        {"dining room": 1.0, "kitchen": 0.7, "playroom": 0.6},
        "middle",
        ((1.2, 1.8), (0.8, 1.0), (0.72, 0.78)),
        _WOOD,
        ("wood", "glass"),
    ),
    Category(
        "round table",
        {"living room": 0.5, "library": 0.6, "dining room": 0.3, "music room": 0.3},
        "middle",
        ((0.9, 1.1), (0.9, 1.1), (0.6, 0.75)),
        _WOOD,
        ("wood", "glass"),
    ),
    Category(
        "coffee table",
        {"living room": 0.9},
        "middle",
        ((0.9, 1.2), (0.5, 0.65), (0.38, 0.45)),
        _WOOD,
        ("wood", "glass"),
    ),
    Category(
        "desk",
        {"office": 1.2, "bedroom": 0.4, "library": 0.4},
        "wall",
        ((1.2, 1.6), (0.6, 0.75), (0.72, 0.78)),
        _WOOD,
        ("wood",),
        clear=0.8,
    ),
    Category(
        "nightstand",
        {"bedroom": 1.2},
        "beside",
        ((0.4, 0.5), (0.35, 0.45), (0.5, 0.6)),
        _WOOD,
        ("wood",),
        near=("bed",),
    ),
    # Storage
    Category(
        "bookcase",
        {"library": 2.2, "office": 1.0, "living room": 0.6, "bedroom": 0.3, "hallway": 0.4},
        "wall",
        ((0.8, 1.2), (0.3, 0.38), (1.7, 2.1)),
        _WOOD,
        ("wood",),
    ),
    Category(
        "wardrobe",
        {"bedroom": 0.9},
        "wall",
        ((1.1, 1.6), (0.55, 0.65), (1.9, 2.15)),
        _WOOD,
        ("wood",),
    ),
    Category(
        "dresser",
        {"bedroom": 0.7, "hallway": 0.5, "dining room": 0.4},
        "wall",
        ((0.9, 1.3), (0.45, 0.52), (0.8, 1.0)),
        _WOOD,
        ("wood",),
    ),
    Category(
        "cabinet",
        {"dining room": 0.8, "bathroom": 0.6, "laundry room": 0.8, "gym": 0.4, "music room": 0.5},
        "wall",
        ((0.7, 1.1), (0.4, 0.48), (1.1, 1.5)),
        _WOOD,
        ("wood", "metal"),
    ),
    Category(
        "shelf",
        {"kitchen": 0.6, "playroom": 0.8, "laundry room": 0.7, "office": 0.5},
        "wall",
        ((0.8, 1.2), (0.3, 0.36), (1.3, 1.7)),
        _WOOD,
        ("wood", "metal"),
    ),
    Category(
        "trunk",
        {"bedroom": 0.4, "playroom": 0.9, "hallway": 0.3},
        "wall",
        ((0.8, 1.0), (0.45, 0.5), (0.45, 0.55)),
        _WOOD,
        ("wood", "leather"),
    ),
    Category(
        "basket",
        {"bathroom": 0.5, "laundry room": 1.2, "playroom": 0.6, "bedroom": 0.3},
        "corner",
        ((0.4, 0.5), (0.4, 0.5), (0.45, 0.6)),
        ("brown", "white", "yellow", "grey", "blue", "pink"),
        ("wicker",),
    ),
    Category(
        "coat rack",
        {"hallway": 0.7},
        "corner",
        ((0.45, 0.55), (0.45, 0.55), (1.7, 1.85)),
        ("brown", "black", "white", "red", "green"),
        ("wood", "metal"),
    ),
    # Kitchen
    Category(
        "counter",
        {"kitchen": 1.5},
        "wall",
        ((1.6, 2.4), (0.6, 0.65), (0.88, 0.92)),
        ("white", "grey", "brown", "green", "blue", "yellow", "red"),
        ("wood",),
        clear=0.8,
    ),
    Category(
        "stove",
        {"kitchen": 1.0},
        "wall",
        ((0.6, 0.75), (0.6, 0.65), (0.9, 0.95)),
        _APPLIANCE,
        ("metal",),
        clear=0.8,
    ),
    Category(
        "refrigerator",
        {"kitchen": 1.0},
        "wall",
        ((0.7, 0.85), (0.65, 0.75), (1.7, 1.9)),
        _APPLIANCE,
        ("metal",),
        clear=0.8,
    ),
    Category(
        "microwave",
        {"kitchen": 0.8},
        "top",
        ((0.45, 0.55), (0.32, 0.4), (0.28, 0.34)),
        _APPLIANCE,
        ("metal",),
        near=("counter",),
    ),
    Category(
        "kettle",
        {"kitchen": 0.5},
        "top",
        ((0.22, 0.26), (0.22, 0.26), (0.25, 0.32)),
        _APPLIANCE,
        ("metal",),
        near=("counter", "stove"),
    ),
    # Bath and laundry
    Category(
        "sink",
        {"bathroom": 1.0, "laundry room": 0.6},
        "wall",
        ((0.55, 0.75), (0.42, 0.5), (0.82, 0.88)),
        _BATH,
        ("ceramic",),
        clear=0.7,
    ),
    Category(
        "toilet",
        {"bathroom": 1.0},
        "wall",
        ((0.38, 0.42), (0.62, 0.7), (0.75, 0.82)),
        _BATH,
        ("ceramic",),
        clear=0.6,
    ),
    Category(
        "bathtub",
        {"bathroom": 0.8},
        "wall",
        ((1.55, 1.75), (0.7, 0.8), (0.55, 0.62)),
        _BATH,
        ("ceramic",),
        clear=0.6,
    ),
    Category(
        "shower",
        {"bathroom": 0.5},
        "corner",
        ((0.9, 1.0), (0.9, 1.0), (2.0, 2.1)),
        ("white", "black", "blue", "green", "grey"),
        ("glass",),
        clear=0.6,
    ),
    Category(
        "towel rack",
        {"bathroom": 0.7, "laundry room": 0.4},
        "wall",
        ((0.6, 0.8), (0.22, 0.28), (0.9, 1.1)),
        _SOFT,
        ("fabric",),
    ),
    Category(
        "washing machine",
        {"laundry room": 1.3},
        "wall",
        ((0.6, 0.64), (0.58, 0.64), (0.85, 0.9)),
        _APPLIANCE,
        ("metal",),
        clear=0.7,
    ),
    Category(
        "ironing board",
        {"laundry room": 0.7},
        "middle",
        ((1.2, 1.35), (0.36, 0.42), (0.88, 0.95)),
        _SOFT,
        ("fabric",),
    ),
    # Fun
    Category(
        "television",
        {"living room": 0.9, "gym": 0.5, "bedroom": 0.2},
        "hung",
        ((1.0, 1.4), (0.06, 0.08), (0.6, 0.8)),
        ("black", "white", "grey"),
        ("screen",),
        lift=(0.9, 1.1),
    ),
    Category(
        "piano",
        {"music room": 0.9, "living room": 0.15},
        "wall",
        ((1.45, 1.55), (0.55, 0.65), (1.15, 1.25)),
        ("black", "white", "brown", "red", "blue"),
        ("wood",),
        clear=0.9,
    ),
    Category(
        "guitar",
        {"music room": 1.2, "bedroom": 0.15},
        "corner",
        ((0.38, 0.44), (0.25, 0.32), (1.0, 1.1)),
        _BRIGHT,
        ("wood",),
    ),
    Category(
        "drum",
        {"music room": 0.8},
        "corner",
        ((0.55, 0.65), (0.55, 0.65), (0.6, 0.75)),
        _BRIGHT,
        ("metal",),
    ),
    Category(
        "treadmill",
        {"gym": 1.1},
        "middle",
        ((0.75, 0.85), (1.6, 1.75), (1.25, 1.35)),
        ("black", "grey", "red", "blue", "white"),
        ("plastic",),
    ),
    Category(
        "exercise ball",
        {"gym": 1.1, "playroom": 0.5},
        "corner",
        ((0.6, 0.7), (0.6, 0.7), (0.6, 0.7)),
        _BRIGHT,
        ("plastic",),
    ),
    Category(
        "rocking horse",
        {"playroom": 0.9},
        "middle",
        ((0.35, 0.42), (0.9, 1.05), (0.8, 0.9)),
        _BRIGHT,
        ("wood",),
    ),
    Category(
        "teddy bear",
        {"playroom": 0.9, "bedroom": 0.2},
        "corner",
        ((0.5, 0.6), (0.45, 0.55), (0.65, 0.8)),
        ("brown", "white", "pink", "blue", "yellow", "purple"),
        ("fabric",),
    ),
    Category(
        "easel",
        {"playroom": 0.5, "library": 0.3, "music room": 0.3},
        "corner",
        ((0.65, 0.75), (0.5, 0.6), (1.4, 1.6)),
        ("brown", "white", "red", "blue", "yellow"),
        ("wood",),
    ),
    Category(
        "globe",
        {"library": 0.8, "office": 0.6},
        "corner",
        ((0.45, 0.55), (0.45, 0.55), (0.9, 1.1)),
        ("blue", "green", "brown", "turquoise", "orange"),
        ("plastic",),
    ),
    Category(
        "fireplace",
        {"living room": 0.6, "library": 0.4},
        "wall",
        ((1.3, 1.6), (0.38, 0.45), (1.1, 1.25)),
        ("white", "grey", "brown", "black", "red", "green"),
        ("stone",),
        clear=0.9,
    ),
    Category(
        "aquarium",
        {"living room": 0.3, "office": 0.4, "playroom": 0.3},
        "wall",
        ((0.9, 1.1), (0.4, 0.45), (1.15, 1.3)),
        ("black", "white", "brown", "red", "blue"),
        ("glass",),
    ),
    Category(
        "monitor",
        {"office": 1.0},
        "top",
        ((0.5, 0.65), (0.18, 0.22), (0.42, 0.5)),
        ("black", "white", "grey"),
        ("screen",),
        near=("desk",),
    ),
    # Everywhere
    Category(
        "plant",
        {
            "living room": 0.9,
            "hallway": 0.8,
            "office": 0.6,
            "dining room": 0.6,
            "bedroom": 0.3,
            "library": 0.4,
            "bathroom": 0.3,
        },
        "corner",
        ((0.45, 0.6), (0.45, 0.6), (0.9, 1.5)),
        ("red", "orange", "yellow", "turquoise", "blue", "purple", "pink", "white", "black"),
        ("leaf",),
    ),
    Category(
        "floor lamp",
        {"living room": 0.7, "bedroom": 0.4, "library": 0.7, "office": 0.4, "music room": 0.4},
        "corner",
        ((0.38, 0.45), (0.38, 0.45), (1.5, 1.7)),
        _BRIGHT,
        ("fabric",),
    ),
    Category(
        "lamp",
        {"bedroom": 0.8, "office": 0.5, "hallway": 0.3, "living room": 0.3},
        "top",
        ((0.25, 0.32), (0.25, 0.32), (0.42, 0.52)),
        _BRIGHT,
        ("fabric",),
        near=("nightstand", "desk", "dresser", "cabinet", "trunk"),
    ),
    Category(
        "vase",
        {"dining room": 0.8, "living room": 0.5, "hallway": 0.5, "library": 0.3},
        "top",
        ((0.2, 0.26), (0.2, 0.26), (0.32, 0.45)),
        _BRIGHT,
        ("ceramic",),
        near=("table", "round table", "coffee table", "dresser", "cabinet", "fireplace", "piano"),
    ),
    Category(
        "rug",
        {
            "living room": 0.8,
            "bedroom": 0.7,
            "library": 0.6,
            "playroom": 0.8,
            "music room": 0.6,
            "office": 0.4,
        },
        "flat",
        ((1.8, 2.6), (1.3, 1.9), (0.012, 0.016)),
        _SOFT,
        ("fabric",),
    ),
    Category(
        "picture",
        {
            "living room": 1.0,
            "bedroom": 0.7,
            "hallway": 1.2,
            "dining room": 0.8,
            "office": 0.5,
            "library": 0.3,
            "music room": 0.6,
        },
        "hung",
        ((0.6, 1.1), (0.03, 0.04), (0.5, 0.8)),
        _BRIGHT,
        ("paper",),
        lift=(1.25, 1.45),
    ),
    Category(
        "mirror",
        {"bathroom": 0.9, "bedroom": 0.4, "hallway": 0.5, "gym": 0.9},
        "hung",
        ((0.5, 0.8), (0.03, 0.04), (0.7, 1.0)),
        ("white", "black", "brown", "yellow", "red", "blue"),
        ("glass",),
        lift=(1.1, 1.25),
    ),
    Category(
        "clock",
        {"kitchen": 0.6, "office": 0.5, "hallway": 0.3, "dining room": 0.3, "gym": 0.3},
        "hung",
        ((0.4, 0.5), (0.05, 0.06), (0.4, 0.5)),
        _BRIGHT,
        ("plastic",),
        lift=(1.6, 1.8),
    ),
    Category(
        "pendant lamp",
        {"dining room": 0.9, "kitchen": 0.5, "hallway": 0.4, "living room": 0.3},
        "ceiling",
        ((0.4, 0.55), (0.4, 0.55), (0.3, 0.4)),
        _BRIGHT,
        ("metal",),
        lift=(1.75, 1.9),
    ),
)

CATEGORIES: Final[dict[str, Category]] = {category.name: category for category in _LIST}
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
