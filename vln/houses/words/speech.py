"""A guide's words with the time each one is said at, where the guide stands then, and looks.

Puts clauses together to sentences; knows nothing of homes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from vln.houses.words.naming import pick
from vln.houses.words.telling import Voice

_SENTENCE_PAUSE: Final = (0.3, 0.8)
"""Seconds between sentences."""
_WALK_PAUSE: Final = 0.7
"""Seconds that a guide needs to step to the next viewpoint."""


@dataclass(frozen=True)
class Clause:
    """A few words, said at one place.

    Attributes:
        words: In order, without capital and full stop.
        is_order: Whether it tells what to do; orders are joined by "and".
        step: Index into the path of where it is said.
        heading: Where the guide looks.
        elevation: Where the guide looks.
        objects: (first word, word after the last, object) per object named.
    """

    words: tuple[str, ...]
    is_order: bool
    step: int
    heading: float
    elevation: float
    objects: tuple[tuple[int, int, int], ...] = ()

    def behind(self, *words: str) -> Clause:
        """Gives the clause with more words at its front."""
        shift = len(words)
        objects = tuple((a + shift, b + shift, item) for a, b, item in self.objects)
        return replace(self, words=(*words, *self.words), objects=objects)


@dataclass
class Speech:
    """An instruction with its times.

    Attributes:
        words: With capitals and punctuation.
        start: Seconds at which each begins.
        end: Seconds at which each ends.
        objects: (first word, word after the last, object).
        glances: (first word, index into the path, heading, elevation).
    """

    words: list[str] = field(default_factory=list)
    start: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)
    objects: list[list[int]] = field(default_factory=list)
    glances: list[list[float]] = field(default_factory=list)

    def text(self) -> str:
        """Gives the instruction."""
        return " ".join(self.words)

    def timed(self) -> list[dict[str, Any]]:
        """Gives RxR's `timed_instruction`."""
        times = zip(self.words, self.start, self.end, strict=True)
        return [{"word": w, "start_time": s, "end_time": e} for w, s, e in times]

    def add(self, clause: Clause, rng: np.random.Generator, *, pace: float, pause: float) -> None:
        """Says a clause after a pause in seconds, at a pace in words per second."""
        base = len(self.words)
        now = (self.end[-1] if self.end else 0.3) + pause
        if self.glances and self.glances[-1][1] < clause.step:
            now += _WALK_PAUSE * (clause.step - self.glances[-1][1])
        self.objects += [[a + base, b + base, item] for a, b, item in clause.objects]
        self.glances.append(
            [base, clause.step, round(clause.heading, 4), round(clause.elevation, 4)]
        )
        for word in clause.words:
            long = (0.35 + 0.13 * len(word)) / pace * float(rng.uniform(0.9, 1.1))
            self.words.append(word)
            self.start.append(round(now, 2))
            self.end.append(round(now + 0.9 * long, 2))
            now += long


def spoken(rng: np.random.Generator, clauses: Sequence[Clause], *, voice: Voice) -> Speech:
    """Gives clauses as sentences of a voice: orders joined in twos and threes, remarks alone."""
    speech = Speech()
    opener = pick(rng, voice.openers)
    for number, sentence in enumerate(_sentences(rng, clauses)):
        first, *rest = sentence
        if number == 0 and opener:
            first = first.behind(*opener.split())
        elif number and first.is_order and rng.random() < voice.chatty:
            first = first.behind(*pick(rng, voice.links).split())
        last = len(rest)
        for place, clause in enumerate([first, *rest]):
            written = _punctuated(clause, is_first=place == 0, is_last=place == last)
            pause = float(rng.uniform(*_SENTENCE_PAUSE)) if number and not place else 0.0
            speech.add(written, rng, pace=voice.pace, pause=pause)
    return speech


def _sentences(rng: np.random.Generator, clauses: Sequence[Clause]) -> list[list[Clause]]:
    result: list[list[Clause]] = []
    for clause in clauses:
        before = result[-1] if result else []
        joins = before and clause.is_order and before[-1].is_order
        if joins and len(before) < 3 and rng.random() < 0.75:
            joint, comma = _joint(rng, has_and=any("and" in c.words for c in before))
            before[-1] = replace(
                before[-1], words=(*before[-1].words[:-1], before[-1].words[-1] + comma)
            )
            before.append(clause.behind(*joint.split()))
        else:
            result.append([clause])
    return result


def _joint(rng: np.random.Generator, *, has_and: bool) -> tuple[str, str]:
    """Gives the words between two orders, and what the first one ends with."""
    if has_and:
        return "then", ","
    return (("and", ""), ("and", ""), ("and then", ","), ("then", ","))[int(rng.integers(4))]


def _punctuated(clause: Clause, *, is_first: bool, is_last: bool) -> Clause:
    words = list(clause.words)
    if is_first:
        words[0] = words[0][0].upper() + words[0][1:]
    words[-1] += "." if is_last else ""
    return replace(clause, words=tuple(words))
