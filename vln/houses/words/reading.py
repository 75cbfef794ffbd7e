"""Readers: instructions carried out on what is in sight, clause by clause.

A reader knows the ways on from where it stands, the objects there by name, direction, distance and
size, and which way it looks; never the goal. A blind reader knows the same without the objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.houses.graph.surroundings import Place
from vln.houses.words.clauses import SIDES, Clause

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

REACHED: Final = 1.8
"""Metres from an object at which one has reached it."""
NOTICED: Final = 60.0
"""Pixels at 224 px a view from which an object is in sight at all."""
MOST_STEPS: Final = 4
"""Steps that one clause takes at most."""


@dataclass
class Reader:
    """Carries out one instruction.

    Attributes:
        clauses: What is left to do, the current clause first.
        taken: Steps already taken for the current clause.
    """

    clauses: tuple[Clause, ...]
    taken: int = 0

    def step(self, place: Place, *, heading: float) -> int:
        """Gives the index of the way to take, -1 to stop.

        Args:
            place: Where the reader stands.
            heading: Where it looks.
        """
        while self.clauses:
            clause = self.clauses[0]
            if self.taken and (self.taken >= MOST_STEPS or is_done(clause, place)):
                self.clauses, self.taken = self.clauses[1:], 0
                continue
            if clause.kind == "stop" or not len(place.ways):
                return -1
            self.taken += 1
            return choose(clause, place, heading=heading)
        return -1


def is_done(clause: Clause, place: Place) -> bool:
    """Says whether a clause of which one step at least is taken asks for no more."""
    if clause.kind == "reach":
        row = referent(clause, place)
        return row < 0 or bool(place.same_room[row] and place.distance[row] <= REACHED)
    if clause.kind == "climb":
        return not (place.climb == _climb(clause)).any()
    return True


def choose(clause: Clause, place: Place, *, heading: float) -> int:
    """Gives the way that a clause asks for, a guess where it says too little."""
    allowed = open_ways(clause, place)
    if clause.kind == "turn":
        return int(np.argmin(_aside(place, heading + SIDES[clause.side])))
    row = referent(clause, place) if clause.category else -1
    target = heading if row < 0 else float(place.bearing[row])
    return int(np.argmin(np.where(allowed, _aside(place, target), np.inf)))


def open_ways(clause: Clause, place: Place) -> Flags:
    """Gives (k,): the ways that doors and stairs in a clause leave open."""
    allowed: Flags = np.ones(len(place.ways), dtype=np.bool_)
    if clause.kind in ("door", "through"):
        allowed = place.door >= 0
    elif clause.kind == "climb":
        allowed = place.climb == _climb(clause)
    return allowed if allowed.any() else np.ones(len(place.ways), dtype=np.bool_)


def referent(clause: Clause, place: Place) -> int:
    """Gives the row of the object that a clause names: the nearest of that name, -1 for none."""
    named = [
        row
        for row, (category, colour) in enumerate(zip(place.category, place.colour, strict=True))
        if category == clause.category and clause.colour in ("", colour)
    ]
    noticed = [row for row in named if place.pixels[row] >= NOTICED] or named
    return min(noticed, key=lambda row: float(place.distance[row]), default=-1)


def _aside(place: Place, target: float) -> Floats:
    return np.abs(geometry.wrap(place.heading - target))


def _climb(clause: Clause) -> int:
    return 1 if clause.side == "up" else -1


@dataclass
class BlindReader:
    """Carries out what an instruction says of turns, doors and stairs, and guesses the rest.

    It knows that nobody is sent by a detour, so of the ways its words leave open it takes only
    those that lead on from the start, where there are any.
    """

    clauses: tuple[Clause, ...]
    rng: np.random.Generator
    taken: int = 0

    def step(self, place: Place, *, heading: float, onward: Flags) -> int:
        """Gives the index of the way to take, -1 to stop.

        Args:
            place: Where the reader stands.
            heading: Where it looks.
            onward: (k,) ways that continue a shortest walk from the start.
        """
        while self.clauses:
            clause = self.clauses[0]
            if self.taken and (self.taken >= MOST_STEPS or self._is_done(clause, place)):
                self.clauses, self.taken = self.clauses[1:], 0
                continue
            if clause.kind == "stop" or not len(place.ways):
                return -1
            self.taken += 1
            return self._choose(clause, place, heading=heading, onward=onward)
        return -1

    def _is_done(self, clause: Clause, place: Place) -> bool:
        if clause.kind == "reach":  # how far it is, only eyes can tell
            return bool(self.rng.random() < 0.5)
        return is_done(clause, place)

    def _choose(self, clause: Clause, place: Place, *, heading: float, onward: Flags) -> int:
        if clause.side in SIDES:
            return choose(Clause("turn", side=clause.side), place, heading=heading)
        allowed = open_ways(clause, place)
        if (allowed & onward).any():
            allowed = allowed & onward
        return int(self.rng.choice(np.flatnonzero(allowed)))


def follow(
    clauses: tuple[Clause, ...], places: Sequence[Place], *, start: int, heading: float
) -> list[int]:
    """Gives the viewpoints that a reader visits, start first.

    Args:
        clauses: What it is told.
        places: All viewpoints of the home.
        start: Where it begins.
        heading: Where it looks then; afterwards it looks along the view nearest to its last step.
    """
    reader, path = Reader(clauses), [start]
    heading = float(geometry.snap_heading_step(heading) * geometry.STEP)
    while len(path) < 30:
        place = places[path[-1]]
        way = reader.step(place, heading=heading)
        if way < 0:
            break
        heading = float(geometry.view_heading(place.view[way]))
        path.append(int(place.ways[way]))
    return path
