"""What could be said of every step of a route, and of where it ends.

Objects that single out the way come first; turns, doors and stairs are for steps that have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.scene import Home, Item
from vln.houses.graph.navigate import Walk
from vln.houses.graph.surroundings import Place
from vln.houses.words import phrases
from vln.houses.words.clauses import Clause
from vln.houses.words.landmarks import Landmarks
from vln.houses.words.reading import REACHED
from vln.houses.words.routes import Route

BARE_PENALTY: Final = 0.15
"""How much worse an object without its colour is, in the units of `Landmarks.lead`."""
ROUND_PENALTY: Final = 0.8
"""How much worse a turn is that an object makes needless."""
SPAN_BONUS: Final = -2.5
"""How much better one clause for two steps is than two clauses: worse, because followers that learn
lose count of a clause's steps long before they lose sight of an object."""
MAX_SPAN: Final = 2
"""Most steps that one clause takes; with more, followers stop early."""
UNDER: Final = 0.4
"""Metres over the floor from a lamp on the ceiling within which one is under it."""
AT_BONUS: Final = 0.5
"""How much better a turn is that has an object to be at."""


@dataclass(frozen=True)
class Saying:
    """A clause that could be said, and what its words may be about.

    Attributes:
        clause: What it means.
        texts: Phrases of `phrases` that say it here.
        span: Steps it takes.
        score: How easily eyes follow it.
        item: Index of the object named, -1 where none is.
        room: Kind of the room one is in.
        next: Kind of the room that its first step leads to.
        hole: `door` or `arch` that its first step passes, empty where it passes none.
    """

    clause: Clause
    texts: tuple[str, ...]
    span: int = 1
    score: float = 0.0
    item: int = -1
    room: str = ""
    next: str = ""
    hole: str = ""


@dataclass(frozen=True, eq=False)
class _Leg:
    """One step of a route: `way` leads from `place` to `after`, by `hole` from room to next."""

    marks: Landmarks
    place: Place
    after: Place
    way: int
    lead: npt.NDArray[np.float64]
    room: int
    next: int
    hole: str


class Speaker:
    """Knows what can be said in one home.

    Args:
        home: The scene.
        walk: Its viewpoints.
        places: What is around every viewpoint.
        landmarks: The objects there as landmarks.
    """

    def __init__(
        self,
        home: Home,
        walk: Walk,
        places: Sequence[Place],
        landmarks: Sequence[Landmarks],
    ) -> None:
        self.home = home
        self.walk = walk
        self.places = places
        self.landmarks = landmarks
        self._legs: dict[tuple[int, int], _Leg] = {}

    def steps(self, route: Route, *, roughly: bool = False) -> list[list[Saying]]:
        """Gives what could be said at every step.

        Args:
            route: Where it leads.
            roughly: Whether a step that nothing singles out is told by the nearest turn.
        """
        heading, options = route.heading, []
        for t in range(len(route.path) - 1):
            leg, found = self._leg(route, t), self._options(route, t, heading)
            if roughly and not found:
                found = list(self._in_words(leg, leg.marks.roughly(leg.way, heading)))
            options.append(found)
            heading = float(geometry.view_heading(leg.place.view[leg.way]))
        return options

    def _leg(self, route: Route, t: int) -> _Leg:
        here, there = route.path[t], route.path[t + 1]
        if (here, there) not in self._legs:
            self._legs[here, there] = self._new_leg(here, there)
        return self._legs[here, there]

    def _new_leg(self, here: int, there: int) -> _Leg:
        place = self.places[here]
        way = int(np.flatnonzero(place.ways == there)[0])
        door = int(place.door[way])
        return _Leg(
            marks=self.landmarks[here],
            place=place,
            after=self.places[there],
            way=way,
            lead=self.landmarks[here].lead[:, :, way],
            room=int(self.walk.room[here]),
            next=int(self.walk.room[there]),
            hole=self.home.openings[door].kind if door >= 0 else "",
        )

    def _options(self, route: Route, t: int, heading: float) -> list[Saying]:
        leg = self._leg(route, t)
        words = leg.marks.words(leg.way, heading)
        found: list[Saying] = []
        for bare, row in np.argwhere(np.isfinite(leg.lead)).tolist():
            name = Clause("", leg.place.category[row], "" if bare else leg.place.colour[row])
            span = self._steps_to(route, t, row=row, bare=bool(bare))
            for kind, side, texts, steps, extra in self._texts(leg, row, span, words):
                clause = replace(name, kind=kind, side=side)
                score = float(leg.lead[bare, row]) - BARE_PENALTY * bare + extra
                found.append(self._saying(leg, clause, texts, row=row, span=steps, score=score))
        if found:
            return found
        return [saying for clause in words for saying in self._in_words(leg, clause)]

    def _texts(
        self, leg: _Leg, row: int, span: int, words: list[Clause]
    ) -> Iterator[tuple[str, str, tuple[str, ...], int, float]]:
        """Gives what can be said of an object: kind, side, texts, steps, extra score."""
        item = self.home.items[int(leg.place.item[row])]
        beyond, stand = item.room != leg.room, CATEGORIES[item.category].place
        span = 0 if stand == "ceiling" else span  # one walks to what stands on the floor
        if span:
            yield "reach", "", phrases.REACH, span, SPAN_BONUS * (span - 1)
        if leg.hole:
            if beyond or self._is_beside_door(leg.place, row, leg.way):
                into = phrases.INTO if item.room == leg.next else ()
                texts = (*phrases.BEYOND, *into) if beyond else phrases.BESIDE
                yield "through", "", texts, 1, 0.0
        elif stand not in ("ceiling", "flat") and _is_passed(leg, row):
            yield "toward", "", phrases.PAST, 1, 0.5
        elif span != 1:
            across = phrases.ACROSS if not beyond and leg.place.length[leg.way] > 1.8 else ()
            yield "toward", "", (*phrases.TOWARDS, *across), 1, 0.0
        for clause in words:
            if clause.side in phrases.ROUND and not leg.hole:
                yield "toward", clause.side, phrases.ROUND[clause.side], 1, -ROUND_PENALTY

    def _saying(
        self,
        leg: _Leg,
        clause: Clause,
        texts: tuple[str, ...],
        *,
        row: int = -1,
        span: int = 1,
        score: float = 0.0,
    ) -> Saying:
        room, following = self.home.rooms[leg.room].kind, self.home.rooms[leg.next].kind
        if room == following:
            texts = tuple(text for text in texts if "{next}" not in text)
        item = int(leg.place.item[row]) if row >= 0 else -1
        return Saying(clause, texts, span, score, item, room, following, leg.hole)

    def _in_words(self, leg: _Leg, clause: Clause) -> Iterator[Saying]:
        if clause.kind == "climb":
            yield self._saying(leg, clause, phrases.CLIMB[clause.side])
            return
        yield self._saying(leg, clause, phrases.TURN[clause.side])
        if clause.side in phrases.TURN_AT:
            for bare, row in np.argwhere(leg.marks.marks_turn).tolist():
                colour = "" if bare else leg.place.colour[row]
                named = replace(clause, category=leg.place.category[row], colour=colour)
                texts = phrases.TURN_AT[clause.side]
                yield self._saying(leg, named, texts, row=row, score=AT_BONUS)

    def _is_beside_door(self, place: Place, row: int, way: int) -> bool:
        opening = self.home.openings[int(place.door[way])]
        middle = (np.array(opening.start) + np.array(opening.end)) / 2
        item = self.home.items[int(place.item[row])]
        gap = np.hypot(*(np.array(item.position[:2]) - middle)) - max(item.size[:2]) / 2
        return bool(gap <= 1.2)

    def _steps_to(self, route: Route, t: int, *, row: int, bare: bool) -> int:
        """Gives how many steps of the route lead to an object, 0 where they do not."""
        item = self.places[route.path[t]].item[row]
        for step in range(t, min(len(route.path) - 1, t + MAX_SPAN)):
            leg = self._leg(route, step)
            rows = np.flatnonzero(leg.place.item == item)
            if not len(rows) or not np.isfinite(leg.lead[int(bare), rows[0]]):
                return 0
            reached = np.flatnonzero(leg.after.item == item)
            near = leg.after.same_room & (leg.after.distance <= REACHED)
            if near[reached].any():
                return step + 1 - t
        return 0

    def stops(self, route: Route) -> list[Saying]:
        """Gives what could be said of where the route ends."""
        goal = route.path[-1]
        place = self.places[goal]
        found = []
        for bare, row in np.argwhere(self.landmarks[goal].marks_stop).tolist():
            clause = Clause("stop", place.category[row], "" if bare else place.colour[row])
            size = min(np.log2(place.pixels[row] / 400.0), 4.0)
            score = float(0.5 * size - place.distance[row] - BARE_PENALTY * bare)
            item = int(place.item[row])
            texts = _stop_texts(self.home.items[item], self.walk.position[goal], place, row)
            found.append(Saying(clause, texts, score=score, item=item))
        return found


def _is_passed(leg: _Leg, row: int) -> bool:
    """Says whether the object lies beside or behind one after the step, and near."""
    same = np.flatnonzero(leg.after.item == leg.place.item[row])
    if not len(same) or leg.after.distance[same[0]] > 1.6:
        return False
    aside = geometry.wrap(leg.after.bearing[same[0]] - leg.place.heading[leg.way])
    return bool(abs(aside) > np.radians(75))


def _stop_texts(
    item: Item, position: npt.NDArray[np.float64], place: Place, row: int
) -> tuple[str, ...]:
    """Gives how to say that one stops at an object, from where one stands to it."""
    stand = CATEGORIES[item.category].place
    if stand == "ceiling":
        return phrases.STOP_UNDER if place.distance[row] <= UNDER else phrases.STOP_NEAR
    x, y = position[:2] - np.array(item.position[:2])
    sin, cos = np.sin(item.heading), np.cos(item.heading)
    ahead, aside = float(x * sin + y * cos), abs(float(x * cos - y * sin))
    facing = phrases.STOP_FACING if stand in ("wall", "hung") and ahead > aside else ()
    if stand == "hung":
        return facing or phrases.STOP_NEAR
    return (*phrases.STOP, *facing)
