"""What a caption says, as labels: objects, their colours, the room, how things lie.

The labels are read off the caption by the words that captions are written with, synonyms brought
together, so they hold the information of the captions and none beyond.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.houses.words import caption_words as words
from vln.houses.words.naming import FLOORINGS, SUBSTANCES, WALLINGS, plural

CATEGORY, ROOM, RELATION, COLOURED, FINISH = "category", "room", "relation", "coloured", "finish"
OBJECTS: Final = (CATEGORY,)
"""What a classifier of object categories is told."""
ALL: Final = (CATEGORY, COLOURED, ROOM, RELATION, FINISH)
"""What somebody is told who is told as much as the captions say."""
_COLOUR, _SUBSTANCE = "colour", "substance"
_RELATIONS: Final[Mapping[str, Sequence[str]]] = {
    "left of": words.LEFT,
    "right of": words.RIGHT,
    "on": words.ON,
    "above": words.ABOVE,
    "over": words.OVER,
    "beside": words.BESIDE,
    "before": words.BEFORE,
    "behind": words.BEHIND,
    "hung": words.HUNG,
    "ceiling": words.CEILING,
    "against": words.AGAINST,
    "corner": words.CORNER,
    "window": words.WINDOW,
    "before window": words.BEFORE_WINDOW,
    "near and far": ("foreground", "up close", "close to the camera", "nearby"),
    "beyond": ("another room", "into the next one", "in the room beyond", "an open doorway"),
    "at the left": ("off to the left", "on the left", "on the left side of the image"),
    "at the right": ("off to the right", "on the right", "on the right side of the image"),
}


def _spoken() -> dict[str, tuple[str, str]]:
    """Gives what every phrase of a caption stands for: its kind and its name."""
    found: dict[str, tuple[str, str]] = {}
    tables: tuple[tuple[str, Mapping[str, Sequence[str]]], ...] = (
        (_SUBSTANCE, SUBSTANCES),
        (FINISH, FLOORINGS),
        (FINISH, WALLINGS),
        (RELATION, _RELATIONS),
        (_COLOUR, words.COLOURS),
        (ROOM, words.ROOMS),
        (CATEGORY, words.NOUNS),
    )
    for kind, table in tables:
        for name, phrases in table.items():
            for phrase in phrases:
                found[phrase.lower()] = (kind, name)
                if kind == CATEGORY:
                    found[plural(phrase.lower())] = (kind, name)
    return found


_SPOKEN: Final = _spoken()
_LONGEST_FIRST: Final = "|".join(map(re.escape, sorted(_SPOKEN, key=len, reverse=True)))
_PHRASE: Final = re.compile(rf"(?<![\w-])(?:{_LONGEST_FIRST})(?![\w-])")


def facts(caption: str) -> frozenset[tuple[str, str]]:
    """Gives what a caption says, as pairs of a kind and a name.

    Kinds: `category` ("sofa"), `coloured` ("red sofa"), `room`, `relation`, `finish` ("carpet").
    """
    return frozenset(_facts(caption.lower()))


def _facts(caption: str) -> Iterator[tuple[str, str]]:
    colour = ""
    for phrase in _PHRASE.findall(caption):
        kind, name = _SPOKEN[phrase]
        if kind == _COLOUR:
            colour = name
        elif kind == CATEGORY:
            yield CATEGORY, name
            if colour:
                yield COLOURED, f"{colour} {name}"
            colour = ""
        elif kind != _SUBSTANCE:
            yield kind, name


@dataclass(frozen=True, eq=False)
class Labels:
    """What N captions say of one kind.

    Attributes:
        names: K classes.
        target: (N, K) float32, the classes named share 1; 0 everywhere where none is.
    """

    names: tuple[str, ...]
    target: npt.NDArray[np.float32]


def label(
    captions: Sequence[str],
    kinds: Iterable[str],
    *,
    names: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Labels]:
    """Gives the labels of captions, by kind.

    Args:
        captions: N texts.
        kinds: Which of `ALL`.
        names: The classes of every kind; those that the captions name where None. What is not
            among them is left out.
    """
    told = [facts(caption) for caption in captions]
    found = {}
    for kind in kinds:
        named = [[name for k, name in sorted(one) if k == kind] for one in told]
        classes = tuple(names[kind]) if names else tuple(sorted({n for row in named for n in row}))
        place = {name: number for number, name in enumerate(classes)}
        target = np.zeros((len(captions), len(classes)), np.float32)
        for row, here in enumerate(named):
            known = [place[name] for name in here if name in place]
            target[row, known] = 1 / max(1, len(known))
        found[kind] = Labels(classes, target)
    return found
