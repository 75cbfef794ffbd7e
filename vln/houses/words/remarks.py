"""What a guide could say along a path: the orders that are needed, the remarks that are not.

Sentences come with holes; `narrate` chooses among them and fills them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.scene import Room
from vln.houses.words import telling
from vln.houses.words.itinerary import Glimpse, Itinerary
from vln.houses.words.naming import FLOORINGS, WALLINGS, pick, room_words, with_article

_SLIGHT, _PLAIN, _SHARP, _AROUND = np.radians([25.0, 55.0, 120.0, 155.0])
_AT: Final = 1.4
"""Metres from which one turns at something."""
_STAIRS_DOWN: Final = -0.4
"""Elevation at which one looks where stairs go down."""


@dataclass(frozen=True)
class Remark:
    """A sentence with holes, and what fills them.

    Attributes:
        sentence: One of `telling`.
        slots: Texts, or indices of objects.
        step: Index into the path of where it is said.
        heading: Where the guide looks.
        elevation: Where the guide looks.
        is_order: Whether it tells what to do.
        is_needed: Whether the way is lost without it.
    """

    sentence: str
    slots: dict[str, str | int]
    step: int
    heading: float
    elevation: float = 0.0
    is_order: bool = False
    is_needed: bool = False

    def length(self) -> int:
        """Gives about how many words it takes."""
        slots = [3 if isinstance(s, int) else len(s.split()) for s in self.slots.values()]
        return len(self.sentence.split()) - len(slots) + sum(slots)


class Remarks:
    """All that can be said of an itinerary, one wording each.

    Args:
        rng: Decides on wording.
        itinerary: The path.
        is_brief: Whether of every sentence's wordings only the shorter half is used.
    """

    def __init__(
        self, rng: np.random.Generator, itinerary: Itinerary, *, is_brief: bool = False
    ) -> None:
        self._rng = rng
        self._is_brief = is_brief
        self._path = itinerary
        self._used: list[int] = []
        self._must_walk = _steps_to_tell(itinerary)

    def all(self) -> list[Remark]:
        """Gives the remarks in the order they are said."""
        return [
            *self._begin(),
            *(remark for step in range(len(self._path)) for remark in self._step(step)),
            *self._end(),
        ]

    def _pick(self, options: Sequence[str]) -> str:
        if self._is_brief:
            options = sorted(options, key=lambda text: len(text.split()))[: -(-len(options) // 2)]
        return pick(self._rng, options)

    def _begin(self) -> Iterator[Remark]:
        facing = self._path.facing[0]
        ahead = [g for g in self._fresh(0, facing) if abs(g.turn) < _SLIGHT]
        slots: dict[str, str | int] = {"room": with_article(self._room(self._path.room(0)))}
        sentence = self._pick(telling.START)
        if ahead:
            self._used.append(ahead[0].item)
            slots["x"] = ahead[0].item
            sentence = self._pick(telling.START_FACING)
        yield Remark(sentence, slots, 0, facing, is_needed=True)
        yield from self._scenes(0, facing, most=2)

    def _step(self, step: int) -> Iterator[Remark]:
        turn, ahead = self._path.turn(step), self._path.ahead[step]
        if step:
            yield from self._scenes(step, self._path.facing[step], most=1)
        if abs(turn) > _SLIGHT:
            yield self._turn(step, turn)
            yield from self._scenes(step, ahead, most=1)
        yield from self._motion(step)
        if self._path.changes_room(step) and not self._path.climb(step):
            yield from self._room_scene(step + 1)

    def _turn(self, step: int, turn: float) -> Remark:
        size = abs(turn)
        kind = "slight" if size < _PLAIN else "plain" if size < _SHARP else "sharp"
        kind = "around" if size > _AROUND else kind
        heading = self._path.ahead[step]
        slots: dict[str, str | int] = {"side": "right" if turn > 0 else "left"}
        words, target = self._turning(step, heading)
        if target is not None:
            self._used.append(target.item)
            slots["x"] = target.item
        # A door or stairs ahead make a slight turn go without saying.
        needed = kind != "slight" or step in self._must_walk
        return replace(_order(self._pick(words[kind]), slots, step, heading), is_needed=needed)

    def _turning(
        self, step: int, heading: float
    ) -> tuple[dict[str, tuple[str, ...]], Glimpse | None]:
        """Gives the wordings of a turn, and the object that they name."""
        glimpses = self._path.glimpses(step, facing=heading)
        glimpses = [g for g in glimpses if g.item not in self._used[-1:]]
        near = [
            g
            for g in glimpses
            if g.distance < _AT and self._place(g) not in ("flat", "top") and self._is_in(g, step)
        ]
        before = [g for g in glimpses if abs(g.turn) < _SLIGHT / 2]
        draw = 0.5 if self._is_brief else self._rng.random()
        if near and draw < 0.45:
            return telling.TURN_AT, min(near, key=lambda g: g.distance)
        if before and draw > 0.7:
            return telling.TURN_FACING, before[0]
        return telling.TURN, None

    def _motion(self, step: int) -> Iterator[Remark]:
        climb, ahead = self._path.climb(step), self._path.ahead[step]
        if climb:
            if step == 0 or self._path.climb(step - 1) != climb:
                words = telling.UP if climb > 0 else telling.DOWN
                look = 0.3 if climb > 0 else _STAIRS_DOWN
                yield _order(self._pick(words), {}, step, ahead, look)
            return
        if self._path.opening(step) is not None:
            yield self._through(step)
            return
        found = self._told_by_objects(step)
        if found is not None:
            yield replace(found, is_needed=step in self._must_walk)
        elif step in self._must_walk:
            paces = telling.NUMBERS[min(max(self._path.paces(step), 2), 10)]
            sentence = self._pick(telling.PLAIN)
            yield _order(sentence, {"steps": paces}, step, ahead)

    def _through(self, step: int) -> Remark:
        opening = self._path.opening(step)
        assert opening is not None
        slots: dict[str, str | int] = {"hole": self._pick(telling.HOLES[opening.kind])}
        sentence = self._pick(telling.THROUGH)
        if self._path.changes_room(step) and self._rng.random() < 0.7:
            slots["room"] = f"the {self._room(self._path.room(step + 1), sized=False)}"
            sentence = self._pick(telling.INTO)
            inside = [
                g for g in self._fresh(step, self._path.ahead[step]) if self._is_next(step, g)
            ]
            if inside and not self._is_brief and self._rng.random() < 0.7:
                self._used.append(inside[0].item)
                slots["x"] = inside[0].item
                sentence = self._pick(telling.INTO_WITH)
        return _order(sentence, slots, step, self._path.ahead[step])

    def _is_in(self, glimpse: Glimpse, step: int) -> bool:
        """Says whether an object stands in the room that a step starts in."""
        room = self._path.home.rooms[self._path.item(glimpse.item).room]
        return room is self._path.room(step)

    def _is_next(self, step: int, glimpse: Glimpse) -> bool:
        """Says whether an object ahead stands in the room that a step leads to."""
        room = self._path.home.rooms[self._path.item(glimpse.item).room]
        return abs(glimpse.turn) < _PLAIN and room is self._path.room(step + 1)

    def _told_by_objects(self, step: int) -> Remark | None:
        """Gives an order to walk past, over, under or towards something, where there is such."""
        passed = [(g, how) for g, how in self._path.passed(step) if self._used.count(g.item) < 2]
        aims = [g for g in self._path.aims(step) if self._used.count(g.item) < 2]
        if passed and (not aims or self._rng.random() < 0.7):
            glimpse, how = passed[int(self._rng.integers(len(passed)))]
            words = {"across": telling.ACROSS, "under": telling.UNDER}.get(how, telling.PAST)
            side = telling.LEFT if how == "left" else telling.RIGHT
            return self._led(step, self._pick(words), glimpse, at=self._pick(side))
        if aims:
            return self._led(step, self._pick(telling.TOWARDS), aims[0])
        return None

    def _led(self, step: int, sentence: str, glimpse: Glimpse, *, at: str = "") -> Remark:
        self._used.append(glimpse.item)
        slots: dict[str, str | int] = {"x": glimpse.item, "at": at}
        return _order(sentence, slots, step, glimpse.heading, glimpse.elevation)

    def _scenes(self, step: int, facing: float, *, most: int) -> Iterator[Remark]:
        """Gives remarks on what has not been spoken of yet."""
        placed = [(g, at) for g in self._fresh(step, facing) if (at := self._where(g.turn))]
        for _ in range(most):
            if not placed:
                return
            first, at = placed.pop(0)
            slots: dict[str, str | int] = {"x": first.item, "at": at}
            hung = self._place(first) in ("hung", "ceiling", "flat", "top")
            sentence = self._pick(telling.SCENE_HUNG if hung else telling.SCENE)
            elsewhere = [p for p in placed if _sector(p[0].turn) != _sector(first.turn)]
            if elsewhere and self._rng.random() < 0.5:
                placed.remove(elsewhere[0])
                slots |= {"y": elsewhere[0][0].item, "by": elsewhere[0][1]}
                sentence = self._pick(telling.PAIR)
            self._used += [item for item in slots.values() if isinstance(item, int)]
            yield Remark(sentence, slots, step, first.heading, first.elevation)

    def _fresh(self, step: int, facing: float) -> list[Glimpse]:
        glimpses = self._path.glimpses(step, facing=facing)
        return [g for g in glimpses if g.item not in self._used]

    def _place(self, glimpse: Glimpse) -> str:
        return CATEGORIES[self._path.item(glimpse.item).category].place

    def _where(self, turn: float) -> str:
        """Gives where something is, as people say it; nothing where it would be doubtful."""
        words = _WHERE.get(_sector(turn))
        return self._pick(words) if words else ""

    def _room_scene(self, step: int) -> Iterator[Remark]:
        room = self._path.room(step)
        slots: dict[str, str | int] = {
            "room": with_article(self._room(room)),
            "wall": self._pick(WALLINGS[room.wall.material]),
            "floor": with_article(self._pick(FLOORINGS[room.floor.material])),
        }
        sentence = self._pick(telling.ROOM_SCENE)
        yield Remark(sentence, slots, step, self._path.facing[step])

    def _room(self, room: Room, *, sized: bool = True) -> str:
        noun = self._pick(telling.ROOMS[room.kind])
        sizes = room_words(room)
        return f"{self._pick(sizes)} {noun}" if sized and sizes else noun

    def _end(self) -> Iterator[Remark]:
        step, facing = len(self._path), self._path.facing[-1]
        yield from self._scenes(step, facing, most=1)
        glimpses = self._path.glimpses(step, facing=facing)
        high = [g for g in glimpses if self._place(g) == "ceiling" and g.distance < 0.4]
        glimpses = [g for g in glimpses if self._place(g) != "ceiling"]
        beside = [g for g in glimpses if g.distance < 1.2 and self._is_in(g, step)]
        before = [g for g in glimpses if abs(g.turn) < _SLIGHT and g.distance < 4]
        near = min(beside, key=lambda g: g.distance, default=None)
        if near is not None:
            yield self._stop(telling.STOP_BESIDE, near)
        elif high:
            yield self._stop(telling.STOP_UNDER, high[0])
        elif before:
            yield self._stop(telling.STOP_FACING, before[0])
        else:
            yield _order(self._pick(telling.STOP), {}, step, facing)
        yield from self._scenes(step, facing, most=1)
        yield Remark(self._pick(telling.END), {}, step, facing)

    def _stop(self, words: tuple[str, ...], glimpse: Glimpse) -> Remark:
        return self._led(len(self._path), self._pick(words), glimpse)


def _steps_to_tell(path: Itinerary) -> frozenset[int]:
    """Gives the first step of every leg between two turns in which no door and no stairs are."""
    starts = [s for s in range(len(path)) if s == 0 or abs(path.turn(s)) > _SLIGHT]
    legs = [range(a, b) for a, b in zip(starts, [*starts[1:], len(path)], strict=True)]
    return frozenset(
        leg[0] for leg in legs if not any(path.opening(s) or path.climb(s) for s in leg)
    )


def _sector(turn: float) -> str:
    """Gives which way something is; nothing where people would disagree."""
    size, side = math.degrees(abs(turn)), "right" if turn > 0 else "left"
    if size <= 20:
        return "ahead"
    if 25 < size <= 50:
        return f"front {side}"
    if 60 <= size <= 120:
        return side
    return "behind" if size >= 155 else ""


_WHERE: Final = {
    "ahead": telling.AHEAD,
    "front left": telling.FRONT_LEFT,
    "front right": telling.FRONT_RIGHT,
    "left": telling.LEFT,
    "right": telling.RIGHT,
    "behind": telling.BEHIND,
}


def _order(
    sentence: str, slots: dict[str, str | int], step: int, heading: float, elevation: float = 0.0
) -> Remark:
    """Gives a remark that the way is lost without."""
    return Remark(sentence, slots, step, heading, elevation, is_order=True, is_needed=True)
