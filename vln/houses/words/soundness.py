"""Whether carrying out an instruction leaves no doubt: all that it names is there, and clear.

Reads with eyes, as `reading` does, and keeps the reasons for every step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vln import geometry
from vln.houses.graph.surroundings import Place
from vln.houses.words.clauses import SIDES, Clause
from vln.houses.words.landmarks import Landmarks
from vln.houses.words.reading import Reader, referent

AT_END: Final = 2.5
"""Metres from the object that marks the end, at most."""
_MOST_STEPS: Final = 30
_ASIDE: Final = math.radians(60)
"""Most that the object one walks towards lies beside the way taken."""


@dataclass(frozen=True)
class Decision:
    """A step of a reading.

    Attributes:
        viewpoint: Where it is taken.
        heading: Where the reader looks then.
        clause: What it follows.
        row: Of the object that the clause names in the place there, -1 for none.
        way: Of the place's.
    """

    viewpoint: int
    heading: float
    clause: Clause
    row: int
    way: int


def read(
    clauses: tuple[Clause, ...], places: Sequence[Place], *, start: int, heading: float
) -> tuple[list[int], list[Decision]]:
    """Gives the viewpoints that a reader visits, and why; see `reading.follow`."""
    reader, path, decisions = Reader(clauses), [start], []
    heading = float(geometry.snap_heading_step(heading) * geometry.STEP)
    while len(path) < _MOST_STEPS:
        place = places[path[-1]]
        chosen = reader.step(place, heading=heading)
        if chosen < 0:
            break
        clause = reader.clauses[0]
        row = referent(clause, place) if clause.category and clause.kind != "door" else -1
        decisions.append(Decision(path[-1], heading, clause, row, chosen))
        heading = float(geometry.view_heading(place.view[chosen]))
        path.append(int(place.ways[chosen]))
    return path, decisions


def is_sound(
    clauses: tuple[Clause, ...],
    decisions: Sequence[Decision],
    path: Sequence[int],
    places: Sequence[Place],
) -> bool:
    """Says whether a reading found all that it was told of, and could not be taken otherwise."""
    if len(path) < 2 or len(set(path)) < len(path):
        return False
    done = {id(decision.clause) for decision in decisions}
    if any(id(clause) not in done for clause in clauses if clause.kind != "stop"):
        return False
    if not all(_is_clear_step(decision, places[decision.viewpoint]) for decision in decisions):
        return False
    return _is_clear_end(clauses[-1], places[path[-1]])


def _is_clear_step(decision: Decision, place: Place) -> bool:
    clause, row, taken = decision.clause, decision.row, place.heading[decision.way]
    if clause.side in SIDES and _aside(taken, decision.heading + SIDES[clause.side]) > _ASIDE:
        return False
    if not clause.category or clause.kind in ("door", "turn", "climb"):
        return True
    if row < 0 or not Landmarks(place).is_clear[0 if clause.colour else 1, row]:
        return False
    return _aside(place.bearing[row], taken) <= _ASIDE


def _aside(first: float, second: float) -> float:
    return abs(float(geometry.wrap(np.array(first - second))))


def _is_clear_end(clause: Clause, place: Place) -> bool:
    """Says whether the object that a last clause stops at is there."""
    if clause.kind != "stop" or not clause.category:
        return True
    row = referent(clause, place)
    return row >= 0 and bool(
        place.distance[row] <= AT_END and Landmarks(place).is_clear[0 if clause.colour else 1, row]
    )
