"""What people say of how an object looks and how large it is: the words that texts share.

Knows no sentences; which noun is said is up to the writer of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from vln.houses.building.scene import Item, Room

NAMED_PIXELS: Final = 120.0
"""Pixels at 224 px a view that an object covers at least where guides and captions name it."""

SUBSTANCES: Final[dict[str, tuple[str, ...]]] = {
    "wood": ("wooden",),
    "leather": ("leather",),
    "metal": ("metal",),
    "plastic": ("plastic",),
    "glass": ("glass",),
    "ceramic": ("ceramic",),
    "stone": ("stone",),
    "wicker": ("wicker", "woven"),
}
"""Adjectives of the materials that one remarks on."""

_EXPECTED: Final = frozenset(
    {
        *("refrigerator", "washing machine", "microwave", "stove", "kettle", "treadmill", "drum"),
        *("piano", "guitar", "easel", "clock", "mirror", "globe", "aquarium", "shower", "toilet"),
        *("pendant lamp", "exercise ball"),
    }
)
"""Categories whose material nobody mentions, because one expects no other."""

FLOORINGS: Final[dict[str, tuple[str, ...]]] = {
    "planks": ("wooden floor", "plank floor"),
    "parquet": ("parquet floor",),
    "tiles": ("tiled floor",),
    "marble": ("marble floor",),
    "carpet": ("carpeted floor",),
    "concrete": ("concrete floor",),
    "terracotta": ("terracotta floor",),
}

WALLINGS: Final[dict[str, tuple[str, ...]]] = {
    "paint": ("painted walls",),
    "stripes": ("striped wallpaper", "striped walls"),
    "dots": ("dotted wallpaper", "spotted wallpaper"),
    "brick": ("brick walls", "bare brick walls"),
    "panelling": ("panelled walls", "wall panels"),
    "wall tiles": ("tiled walls",),
    "plaster": ("plastered walls", "rough plaster walls"),
}

_TALL, _LONG, _LITTLE, _LARGE = 1.6, 1.5, 0.5, 1.6
_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six")


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """Gives one of several wordings."""
    return options[int(rng.integers(len(options)))]


def likely(rng: np.random.Generator, options: Sequence[str]) -> str:
    """Gives the first of several words half of the time, else any of them."""
    return options[0] if rng.random() < 0.5 else pick(rng, options)


def substance(item: Item) -> tuple[str, ...]:
    """Gives adjectives for what an object is made of, none where nobody would say it."""
    if item.category in _EXPECTED:
        return ()
    return SUBSTANCES.get(item.material, ())


def size_words(item: Item) -> tuple[str, ...]:
    """Gives adjectives for an object's size that are true of it among furniture, none for most."""
    across, deep, high = item.size
    if high >= _TALL:
        return ("tall",)
    if max(item.size) <= _LITTLE:
        return ("small", "little")
    if across >= _LONG and across > 2 * deep:
        return ("long", "wide")
    if across * max(deep, high) >= _LARGE:
        return ("large", "big")
    return ()


def room_words(room: Room) -> tuple[str, ...]:
    """Gives adjectives for a room's size, none where it is neither large nor small."""
    x0, y0, x1, y1 = room.box
    wide, long = sorted((x1 - x0, y1 - y0))
    if long > 3 * wide:
        return ("long", "narrow")
    if wide * long >= 20:
        return ("large", "spacious", "big")
    return ("small", "little") if wide * long <= 8 else ()


def with_article(phrase: str) -> str:
    """Gives the phrase after "a" or "an"."""
    return f"{'an' if phrase[0].lower() in 'aeio' else 'a'} {phrase}"


def plural(noun: str) -> str:
    """Gives a noun's plural."""
    if noun.endswith("shelf"):
        return noun[:-1] + "ves"
    if noun.endswith(("s", "sh", "ch", "x")):
        return noun + "es"
    return noun + "s"


def counted(number: int, phrase: str) -> str:
    """Gives "a green chair", "two green chairs"; the noun is the phrase's end."""
    if number == 1:
        return with_article(phrase)
    spoken = _NUMBERS[number] if number < len(_NUMBERS) else "several"
    return f"{spoken} {plural(phrase)}"
