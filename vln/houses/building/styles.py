"""How homes look: finishes of walls and floors, favourite colours and materials of furniture.

Facts only. Unseen styles are made of wall and floor materials, and of pairs of furniture and
material, that no seen style has; a test world can so ask for what training never showed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from vln.houses.building.catalogue import CATEGORIES, COLOURS
from vln.houses.building.scene import Finish

RGB = tuple[int, int, int]

WET_ROOMS: Final = ("bathroom", "laundry room", "kitchen")

NEW_MATERIALS: Final = frozenset(
    {
        ("armchair", "leather"),
        ("bench", "leather"),
        ("trunk", "leather"),
        ("table", "glass"),
        ("round table", "glass"),
        ("cabinet", "metal"),
        ("coat rack", "metal"),
    }
)
"""(category, material) that only unseen styles furnish with."""


@dataclass(frozen=True)
class Style:
    """A taste.

    Attributes:
        walls: `dry`, `wet` or `hall` -> finishes to choose from.
        floors: The same for what one walks on.
        loved: Colours that its objects have more often than others, with their weight; 1 else.
        materials: Weight of a material where a category has several; 1 else.
        strength: Range of `Daylight.strength`.
        warmth: Range of `Daylight.warmth`.
        is_seen: Whether training homes may have it.
    """

    walls: dict[str, tuple[Finish, ...]]
    floors: dict[str, tuple[Finish, ...]]
    loved: dict[str, float]
    materials: dict[str, float] = field(default_factory=dict)
    strength: tuple[float, float] = (0.6, 1.0)
    warmth: tuple[float, float] = (0.2, 0.7)
    is_seen: bool = True

    def colour_weight(self, colour: str) -> float:
        """Gives how readily its objects have a colour, above 0 for each."""
        return self.loved.get(colour, 1.0)

    def material_weight(self, category: str, material: str) -> float:
        """Gives how readily a category is made of one of its materials; 0 is never."""
        is_new = (category, material) in NEW_MATERIALS
        if self.is_seen:
            return 0.0 if is_new else self.materials.get(material, 1.0)
        return 4.0 if is_new else self.materials.get(material, 1.0)


def group_of(kind: str) -> str:
    """Gives whose finishes a kind of room takes: `hall`, `wet` or `dry`."""
    if kind == "hallway":
        return "hall"
    return "wet" if kind in WET_ROOMS else "dry"


def _of(material: str, *colours: RGB) -> tuple[Finish, ...]:
    return tuple(Finish(material, colour) for colour in colours)


_OAK, _PINE, _WALNUT, _ASH, _EBONY = (
    (186, 146, 98),
    (212, 178, 128),
    (112, 76, 50),
    (206, 192, 168),
    (72, 54, 44),
)
_WHITE, _CREAM, _SAND, _STONE = (238, 236, 230), (240, 230, 208), (222, 204, 174), (176, 172, 164)
_SAGE, _MINT, _SKY, _NAVY = (168, 186, 158), (196, 224, 206), (186, 212, 230), (58, 76, 118)
_ROSE, _CORAL, _MUSTARD, _LILAC = (226, 190, 186), (224, 132, 110), (214, 172, 84), (200, 186, 220)
_TEAL, _BRICK, _FOREST, _CHARCOAL = (62, 128, 130), (164, 92, 72), (78, 104, 80), (84, 86, 92)

_SEEN: Final[dict[str, Style]] = {
    "nordic": Style(
        {
            "dry": _of("paint", _WHITE, _SAGE, _SKY, _STONE, _ROSE)
            + _of("stripes", (226, 222, 212)),
            "wet": _of("wall tiles", _WHITE, _SKY, _STONE) + _of("paint", _MINT),
            "hall": _of("paint", _WHITE, (228, 224, 214)),
        },
        {
            "dry": _of("planks", _ASH, _PINE) + _of("carpet", _STONE),
            "wet": _of("tiles", _WHITE, _STONE),
            "hall": _of("planks", _ASH),
        },
        {"white": 3, "grey": 2, "blue": 2, "yellow": 2, "black": 1.5},
        {"wood": 3, "fabric": 3},
        strength=(0.7, 1.0),
        warmth=(0.0, 0.35),
    ),
    "cottage": Style(
        {
            "dry": _of("stripes", _ROSE, _SAGE, _CREAM)
            + _of("plaster", _CREAM, _SAND)
            + _of("paint", _LILAC, _MUSTARD),
            "wet": _of("wall tiles", _MINT, _CREAM, _ROSE) + _of("plaster", _CREAM),
            "hall": _of("stripes", (228, 212, 188)) + _of("plaster", _CREAM),
        },
        {
            "dry": _of("planks", _OAK, _PINE) + _of("carpet", _ROSE, _SAGE),
            "wet": _of("tiles", _SAND, _MINT),
            "hall": _of("planks", _OAK) + _of("tiles", _SAND),
        },
        {"brown": 3, "red": 2, "pink": 2, "green": 2, "yellow": 2},
        {"wood": 4, "fabric": 4},
        warmth=(0.5, 0.9),
    ),
    "seaside": Style(
        {
            "dry": _of("paint", _SKY, _WHITE, _TEAL, _SAND) + _of("stripes", _SKY, (150, 184, 206)),
            "wet": _of("wall tiles", _TEAL, _SKY, _WHITE),
            "hall": _of("stripes", _SKY) + _of("paint", _WHITE, _SAND),
        },
        {
            "dry": _of("planks", _PINE, _ASH) + _of("carpet", _SAND, _SKY),
            "wet": _of("tiles", _SKY, _SAND, _WHITE),
            "hall": _of("planks", _PINE) + _of("tiles", _SAND),
        },
        {"blue": 3, "turquoise": 3, "white": 2.5, "yellow": 1.5},
        {"wood": 2, "fabric": 3},
        strength=(0.8, 1.0),
        warmth=(0.2, 0.5),
    ),
    "retro": Style(
        {
            "dry": _of("paint", _MUSTARD, _CORAL, _TEAL, _CREAM)
            + _of("stripes", (206, 150, 92), (140, 168, 120)),
            "wet": _of("wall tiles", _MUSTARD, _CORAL, _MINT),
            "hall": _of("paint", _CREAM, _MUSTARD) + _of("stripes", (206, 150, 92)),
        },
        {
            "dry": _of("parquet", _OAK, _WALNUT) + _of("carpet", _MUSTARD, _CORAL, _FOREST),
            "wet": _of("tiles", _WHITE, _CORAL, _CHARCOAL),
            "hall": _of("parquet", _OAK) + _of("carpet", _CORAL),
        },
        {"orange": 3, "yellow": 3, "turquoise": 2, "brown": 2, "green": 1.5},
        {"plastic": 4, "leather": 2, "metal": 2},
        warmth=(0.5, 0.9),
    ),
    "classic": Style(
        {
            "dry": _of("paint", _FOREST, _NAVY, _CREAM, _BRICK)
            + _of("stripes", (206, 188, 150), (120, 140, 124)),
            "wet": _of("wall tiles", _CREAM, _FOREST, _WHITE),
            "hall": _of("stripes", (206, 188, 150)) + _of("paint", _CREAM),
        },
        {
            "dry": _of("parquet", _WALNUT, _OAK) + _of("carpet", _BRICK, _NAVY),
            "wet": _of("tiles", _CREAM, _CHARCOAL),
            "hall": _of("parquet", _WALNUT, _OAK),
        },
        {"brown": 3, "red": 2.5, "green": 2.5, "black": 1.5, "blue": 1.5},
        {"wood": 4, "leather": 4},
        strength=(0.5, 0.85),
        warmth=(0.5, 0.8),
    ),
    "garden": Style(
        {
            "dry": _of("paint", _SAGE, _MINT, _FOREST, _CREAM, _MUSTARD) + _of("plaster", _SAND),
            "wet": _of("wall tiles", _MINT, _SAGE, _CREAM),
            "hall": _of("paint", _MINT, _CREAM) + _of("plaster", _SAND),
        },
        {
            "dry": _of("planks", _OAK, _PINE, _WALNUT) + _of("carpet", _SAGE),
            "wet": _of("tiles", _SAGE, _SAND, _STONE),
            "hall": _of("tiles", _SAND, _STONE) + _of("planks", _OAK),
        },
        {"green": 3.5, "yellow": 2, "pink": 2, "purple": 1.5, "brown": 1.5},
        {"wood": 3, "fabric": 3},
        strength=(0.7, 1.0),
        warmth=(0.3, 0.6),
    ),
    "city": Style(
        {
            "dry": _of("paint", _STONE, _CHARCOAL, _WHITE, _NAVY)
            + _of("plaster", (204, 202, 198), (150, 152, 156)),
            "wet": _of("wall tiles", _CHARCOAL, _WHITE, _STONE),
            "hall": _of("plaster", (204, 202, 198)) + _of("paint", _WHITE),
        },
        {
            "dry": _of("parquet", _ASH, _EBONY) + _of("carpet", _CHARCOAL, _STONE),
            "wet": _of("tiles", _CHARCOAL, _STONE),
            "hall": _of("parquet", _ASH) + _of("tiles", _STONE),
        },
        {"black": 3, "grey": 2.5, "white": 2.5, "red": 2, "purple": 1.5},
        {"metal": 3, "leather": 3, "glass": 3, "plastic": 2},
        strength=(0.55, 0.9),
        warmth=(0.0, 0.4),
    ),
    "candy": Style(
        {
            "dry": _of("paint", _LILAC, _ROSE, _MINT, _SKY, (246, 220, 140))
            + _of("stripes", _ROSE, _LILAC),
            "wet": _of("wall tiles", _ROSE, _LILAC, _MINT),
            "hall": _of("paint", (246, 220, 140), _ROSE) + _of("stripes", _MINT),
        },
        {
            "dry": _of("carpet", _LILAC, _ROSE, _SKY) + _of("planks", _PINE),
            "wet": _of("tiles", _WHITE, _ROSE, _MINT),
            "hall": _of("carpet", _SKY) + _of("planks", _PINE),
        },
        {"pink": 3, "purple": 3, "turquoise": 2, "yellow": 2, "white": 1.5},
        {"plastic": 3, "fabric": 3},
        strength=(0.75, 1.0),
        warmth=(0.3, 0.7),
    ),
}

_UNSEEN: Final[dict[str, Style]] = {
    "loft": Style(
        {
            "dry": _of("brick", _BRICK, (196, 186, 178), (120, 74, 62))
            + _of("panelling", _CHARCOAL),
            "wet": _of("brick", (222, 220, 216), (134, 138, 142)),
            "hall": _of("brick", _BRICK, (196, 186, 178)),
        },
        {
            "dry": _of("concrete", (150, 150, 148), (116, 116, 118), (176, 170, 160)),
            "wet": _of("concrete", (168, 170, 172), (116, 116, 118)),
            "hall": _of("concrete", (150, 150, 148)),
        },
        {"black": 2.5, "orange": 2.5, "grey": 2, "blue": 2, "brown": 2},
        {"metal": 4, "leather": 4},
        strength=(0.6, 0.9),
        warmth=(0.1, 0.5),
        is_seen=False,
    ),
    "villa": Style(
        {
            "dry": _of("panelling", _WHITE, _SAGE, _NAVY, _WALNUT, (128, 40, 52)),
            "wet": _of("panelling", _WHITE, _TEAL) + _of("dots", (220, 226, 230)),
            "hall": _of("panelling", _WHITE, _CREAM),
        },
        {
            "dry": _of("marble", _WHITE, (206, 190, 170), (92, 104, 98)),
            "wet": _of("marble", _WHITE, (190, 200, 204)),
            "hall": _of("marble", (224, 218, 208), (96, 92, 96)),
        },
        {"purple": 3, "white": 2, "turquoise": 2, "red": 2, "black": 2},
        {"glass": 4, "leather": 3},
        strength=(0.7, 1.0),
        warmth=(0.4, 0.8),
        is_seen=False,
    ),
    "hacienda": Style(
        {
            "dry": _of("dots", _MUSTARD, _CORAL, _SKY, _LILAC)
            + _of("brick", (226, 200, 164), (198, 120, 84)),
            "wet": _of("dots", _TEAL, _WHITE, (246, 220, 140)),
            "hall": _of("brick", (226, 200, 164)) + _of("dots", _CREAM),
        },
        {
            "dry": _of("terracotta", (190, 104, 70), (206, 132, 94), (160, 86, 62)),
            "wet": _of("terracotta", (206, 132, 94), (176, 120, 96)),
            "hall": _of("terracotta", (190, 104, 70)),
        },
        {"red": 3, "orange": 3, "yellow": 2.5, "blue": 2, "green": 2},
        {"leather": 4, "metal": 2},
        strength=(0.8, 1.0),
        warmth=(0.6, 1.0),
        is_seen=False,
    ),
}

STYLES: Final[dict[str, Style]] = {**_SEEN, **_UNSEEN}
"""Every style by name."""
SEEN_STYLES: Final = tuple(_SEEN)
UNSEEN_STYLES: Final = tuple(_UNSEEN)

assert all(material in CATEGORIES[name].materials for name, material in NEW_MATERIALS)
assert all(colour in COLOURS for style in STYLES.values() for colour in style.loved)
