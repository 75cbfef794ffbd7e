"""Instructions taken apart: which things to do, in which order.

Understands the phrases of `phrases` and nothing else; knows no home.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from vln.errors import BadConfig
from vln.houses.building.catalogue import COLOURS, ROOM_KINDS
from vln.houses.words import phrases

SIDES: Final = {
    "straight": 0.0,
    "right": math.pi / 2,
    "around": math.pi,
    "left": -math.pi / 2,
}
"""Radians to the right of where one looks."""


@dataclass(frozen=True)
class Clause:
    """One thing to do.

    Attributes:
        kind: `toward`, `reach`, `through`, `door`, `turn`, `climb` or `stop`.
        category: Of the object named, empty where none is.
        colour: Of the object named, empty where it is not said.
        side: For `turn`, and for `toward` where it is said, a key of `SIDES`; for `climb` `up` or
            `down`.
    """

    kind: str
    category: str = ""
    colour: str = ""
    side: str = ""


def parse(text: str) -> tuple[Clause, ...]:
    """Gives the clauses of an instruction.

    Raises:
        BadConfig: A part of it is none of the phrases in `phrases`.
    """
    clauses: list[Clause] = []
    for piece in _JOINTS.split(text.strip().rstrip(".").lower()):
        said = _LEADING.sub("", piece).strip()
        if said:
            clauses.append(_parse_clause(said))
    return tuple(clauses)


@lru_cache(maxsize=50_000)
def _parse_clause(said: str) -> Clause:
    for kind, side, pattern in _patterns():
        match = pattern.fullmatch(said)
        named = match and _OBJECT.fullmatch(match.groupdict().get("x", ""))
        if named:
            noun, colour = named["noun"], named["colour"] or ""
            return Clause(kind, phrases.CATEGORY_OF[noun] if noun else "", colour, side)
    raise BadConfig(
        f"the reader does not understand {said!r}. It reads instructions of procedural homes only; "
        "play another agent on other data."
    )


_JOINTS = re.compile(r",? and then |,? then |,? and |[,.;]\s*")
_LEADING = re.compile(rf"^(?:(?:{'|'.join(phrases.ADVERBS)})\b\s*)+")


_OBJECT = re.compile(
    rf"(?:(?:the|an|a) (?:(?P<colour>{'|'.join(COLOURS)}) )?"
    rf"(?P<noun>{'|'.join(phrases.CATEGORY_OF)}))?"
)


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    def compiled(kind: str, texts: Sequence[str], side: str = "") -> _Patterns:
        return [(kind, side, _pattern(text)) for text in texts]

    found = compiled("through", (*phrases.BEYOND, *phrases.INTO, *phrases.BESIDE))
    found += compiled("toward", (*phrases.TOWARDS, *phrases.ACROSS, *phrases.PAST))
    found += compiled("reach", phrases.REACH)
    found += compiled("door", phrases.DOOR)
    stops = (*phrases.STOP, *phrases.STOP_FACING, *phrases.STOP_UNDER, *phrases.STOP_THERE)
    found += compiled("stop", stops)
    for side, texts in phrases.ROUND.items():
        found += compiled("toward", texts, side)
    for side, texts in (*phrases.TURN.items(), *phrases.TURN_AT.items()):
        found += compiled("turn", texts, side)
    for side, texts in phrases.CLIMB.items():
        found += compiled("climb", texts, side)
    return tuple(found)


_Patterns = list[tuple[str, str, re.Pattern[str]]]


def _pattern(text: str) -> re.Pattern[str]:
    rooms = "|".join(ROOM_KINDS)
    holes = "|".join(hole for kind in phrases.HOLES.values() for hole in kind)
    slots = {
        "x": "(?P<x>(?:the|an|a) .+)",
        "room": f"(?:{rooms})",
        "next": f"(?:{rooms})",
        "hole": f"(?:{holes})",
    }
    return re.compile(text.lower().format(**slots))
