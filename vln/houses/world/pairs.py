"""Twins: a path, its instruction, and a home with one change in which the words lead elsewhere.

What the words mean is decided by `reading`, in both homes. A twin is kept only where that is
unambiguous: every object named is in sight where it is named, alone of its name or much nearer
than the others, and at the end one stands at the object that marks it. Draws no pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.errors import BadConfig
from vln.houses.building.scene import Home, Item
from vln.houses.graph.navigate import Walk
from vln.houses.graph.sight import Sights, sights_of
from vln.houses.graph.surroundings import Place, surroundings
from vln.houses.pictures.portals import in_sight
from vln.houses.words.clauses import Clause, parse
from vln.houses.words.detours import walking, way
from vln.houses.words.instruct import Guide
from vln.houses.words.naming import with_article
from vln.houses.words.phrases import NOUNS
from vln.houses.words.routes import Route
from vln.houses.words.soundness import Decision, is_sound, read
from vln.houses.world import changes
from vln.houses.world.trials import Change, Trials

KINDS: Final = ("recoloured", "moved", "exchanged", "removed", "mirrored")
ELSEWHERE: Final = 3.0
"""Metres of walk between the old goal and the new one, at least."""
_MORE: Final = 3
"""How often a path is told again, up to three times each, for words that a change can turn."""
_KNOWN: Final = 64
"""Changed homes whose surroundings are kept at a time."""


@dataclass(frozen=True, eq=False)
class Twin:
    """An original and its changed pair.

    Attributes:
        kind: One of `KINDS`.
        original: R2R record with one instruction, in the home as it was.
        record: The same words in the changed home, with the path they now ask for.
        home: The changed home.
        walk: Its viewpoints, the original's in the original's order.
        sights: What is seen from them.
        touched: Viewpoints whose pictures may differ from the original's; all others' do not.
    """

    kind: str
    original: dict[str, Any]
    record: dict[str, Any]
    home: Home
    walk: Walk
    sights: Sights
    touched: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Told:
    """An instruction of a record, carried out in the home as it was."""

    record: Mapping[str, Any]
    text: str
    clauses: tuple[Clause, ...]
    path: list[int]
    decisions: list[Decision]

    def original(self) -> dict[str, Any]:
        """Gives the record with this instruction alone."""
        return {**self.record, "instructions": [self.text]}


def make_twins(
    home: Home,
    walk: Walk,
    sights: Sights,
    records: Sequence[Mapping[str, Any]],
    *,
    rng: np.random.Generator,
    kinds: Sequence[str] = KINDS,
    count: int | None = None,
) -> list[Twin]:
    """Gives twins of a home's records, one per path at most, the kinds in turn.

    Args:
        home: The home as it was.
        walk: Its viewpoints.
        sights: What is seen from them.
        records: R2R records of the home, labels included.
        rng: Decides on order and changes.
        kinds: Which of `KINDS`.
        count: Most twins; None tries every path.

    Raises:
        BadConfig: No kind, or an unknown one.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise BadConfig(f"kinds of change {list(kinds)}; expected some of {', '.join(KINDS)}.")
    pairing = _Pairing(home, walk, sights, rng=rng)
    found: list[Twin] = []
    made = dict.fromkeys(kinds, 0)
    # A mirror serves nearly any words: it may not crowd out what is rarer.
    mirrors = -(-(len(records) if count is None else count) // len(kinds))
    for number in rng.permutation(len(records)).tolist():
        if count is not None and len(found) >= count:
            break
        for kind in sorted(kinds, key=lambda k: (k == "mirrored", made[k])):
            if kind == "mirrored" and made[kind] >= mirrors:
                continue
            twin = pairing.twin(records[number], kind, scan=f"{home.scan}x{len(found):02}")
            if twin is not None:
                found.append(twin)
                made[kind] += 1
                break
    return found


class _Pairing:
    """Looks for changes of one home."""

    def __init__(self, home: Home, walk: Walk, sights: Sights, *, rng: np.random.Generator) -> None:
        self._home = home
        self._walk = walk
        self._sights = sights
        self._rng = rng
        self._places = surroundings(home, walk, sights)
        self._trials = Trials(home, walk, sights, self._places, rng=rng)
        self._guide = Guide(home, walk, self._places)
        self._metres, self._before = walking(walk)
        self._index = {name: number for number, name in enumerate(walk.ids)}
        self._told: dict[str, list[_Told]] = {}
        self._known: dict[tuple[Item, ...], tuple[Place, ...]] = {}
        self._mirror: tuple[Home, Walk, Sights, tuple[Place, ...]] | None = None

    def twin(self, record: Mapping[str, Any], kind: str, *, scan: str) -> Twin | None:
        """Gives a twin of a path by one kind of change, None where none works."""
        for told in self._tellings(record, is_bare=kind == "removed"):
            if kind == "mirrored":
                twin = self._mirrored(told)
                if twin is not None:
                    return twin
                continue
            for change in self._changes(told, kind):
                twin = self._tried(told, change, scan)
                if twin is not None:
                    return twin
        return None

    def _tellings(self, record: Mapping[str, Any], *, is_bare: bool = False) -> list[_Told]:
        """Gives a path's instructions, and some more, that are sound in the home as it was.

        Args:
            record: The path.
            is_bare: Whether each names one object without its colour, so that others of its kind
                may be meant once it is gone.
        """
        path = [self._index[name] for name in record["path"]]
        key = str(record["path_id"])
        if key not in self._told:
            texts = list(record["instructions"])
            route = Route(tuple(path), record["heading"], record["distance"])
            for _ in range(_MORE):
                texts += self._guide.instructions(self._rng, route)
            self._told[key] = self._sound(record, path, texts)
        if not is_bare:
            return self._told[key]
        texts = [text for told in self._told[key] for text in self._bare(told)]
        return self._sound(record, path, texts)

    def _bare(self, told: _Told) -> Iterator[str]:
        """Yields the text without the colour of an object that has others of its kind in sight."""
        for decision in reversed(told.decisions):
            named = decision.clause
            others = [
                self._places[decision.viewpoint].category[r] for r in self._trials.others(decision)
            ]
            if named.colour and named.category in others:
                nouns = "|".join(map(re.escape, NOUNS[named.category]))
                said = rf"\b(the|an?) {named.colour} ({nouns})\b"
                yield re.sub(said, _without_colour, told.text, flags=re.IGNORECASE)

    def _sound(
        self, record: Mapping[str, Any], path: list[int], texts: Sequence[str]
    ) -> list[_Told]:
        told = (self._carried_out(record, path, text) for text in dict.fromkeys(texts))
        return [one for one in told if one is not None]

    def _carried_out(self, record: Mapping[str, Any], path: list[int], text: str) -> _Told | None:
        clauses = parse(text)
        read_path, decisions = read(clauses, self._places, start=path[0], heading=record["heading"])
        sound = read_path[-1] == path[-1] and is_sound(clauses, decisions, path, self._places)
        return _Told(record, text, clauses, read_path, decisions) if sound else None

    def _tried(self, told: _Told, change: Change, scan: str) -> Twin | None:
        """Gives the twin of a change if its words lead elsewhere, roughly and then exactly."""
        path = self._ends_elsewhere(told, self._roughly(change))
        if path is None or not (change.is_exact or self._holds_on(told, change, path)):
            return None
        home = replace(change.home, scan=scan)
        walk = changes.walk_in(self._walk, scan)
        sights = change.rough if change.is_exact else sights_of(home, walk)
        path = self._ends_elsewhere(told, surroundings(home, walk, sights))
        if path is None:
            return None
        touched = self._open_to[:, changes.rooms_that_differ(self._home, home)].any(axis=1)
        return Twin(
            kind=change.kind,
            original=told.original(),
            record=self._record(told, path, walk, scan=scan, kind=change.kind, about=change.about),
            home=home,
            walk=walk,
            sights=sights,
            touched=tuple(np.flatnonzero(touched).tolist()),
        )

    def _holds_on(self, told: _Told, change: Change, path: list[int]) -> bool:
        """Says whether a rough reading still holds when one looks closely from where it walks."""
        places = list(self._roughly(change))
        here = np.array(sorted(path))
        part = changes.part_of(self._walk, here)
        seen = sights_of(change.home, part)
        looked = surroundings(
            change.home, self._walk, replace(seen, viewpoint=here[seen.viewpoint])
        )
        for viewpoint in path:
            places[viewpoint] = looked[viewpoint]
        return self._ends_elsewhere(told, places) is not None

    def _ends_elsewhere(self, told: _Told, places: Sequence[Place]) -> list[int] | None:
        """Gives where the words lead in a changed home, if soundly and to another goal."""
        path, decisions = read(
            told.clauses, places, start=told.path[0], heading=told.record["heading"]
        )
        far = self._metres[told.path[-1], path[-1]] > ELSEWHERE
        return path if far and is_sound(told.clauses, decisions, path, places) else None

    def _roughly(self, change: Change) -> tuple[Place, ...]:
        """Gives the surroundings after a change, which other words of the path ask for again."""
        if change.home.items not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[change.home.items] = surroundings(change.home, self._walk, change.rough)
        return self._known[change.home.items]

    @cached_property
    def _open_to(self) -> npt.NDArray[np.bool_]:
        """(V, R) whether a room may be seen from a viewpoint."""
        return np.array([in_sight(self._home, eye)[0] for eye in self._walk.position])

    def _record(
        self, told: _Told, path: list[int], walk: Walk, *, scan: str, kind: str, about: str
    ) -> dict[str, Any]:
        # As R2R's, a reference is a shortest path; where the words wander, to where they end.
        straight = way(self._before, path[0], path[-1])
        return {
            **told.original(),
            "scan": scan,
            "path": [walk.ids[v] for v in straight],
            "distance": round(float(self._metres[path[0], path[-1]]), 2),
            "change": kind,
            "changed": {
                "what": about,
                "from_scan": told.record["scan"],
                "old_goal": walk.ids[told.path[-1]],
                "read_path": [walk.ids[v] for v in path],
            },
        }

    def _changes(self, told: _Told, kind: str) -> Iterator[Change]:
        """Yields changes that could turn a step of the reading, the last step first."""
        ends = self._ends(told.clauses[-1])
        for decision in reversed(told.decisions):
            for change in self._trials.of(kind, decision):
                # Where only one object marks the end, the end moves only if that one does.
                if len(ends) != 1 or ends[0] in change.items:
                    yield change

    def _ends(self, clause: Clause) -> list[int]:
        """Gives the objects that a last clause could mean; none where it names none."""
        if clause.kind != "stop" or not clause.category:
            return []
        return [
            number
            for number, item in enumerate(self._home.items)
            if item.category == clause.category and clause.colour in ("", item.colour)
        ]

    def _mirrored(self, told: _Told) -> Twin | None:
        """Gives the twin in the mirrored home, where "left towards the lamp" would be false."""
        if any(clause.side in ("left", "right") and clause.category for clause in told.clauses):
            return None
        if self._mirror is None:
            scan = f"{self._home.scan}m"
            home = replace(changes.mirrored(self._home), scan=scan)
            walk = changes.walk_in(self._walk, scan, is_mirrored=True)
            sights = sights_of(home, walk)
            self._mirror = home, walk, sights, surroundings(home, walk, sights)
        home, walk, sights, places = self._mirror
        heading = round(-told.record["heading"] % geometry.TURN, 3)
        path, decisions = read(told.clauses, places, start=told.path[0], heading=heading)
        if not is_sound(told.clauses, decisions, path, places):
            return None
        record = self._record(told, path, walk, scan=home.scan, kind="mirrored", about="x -> -x")
        return Twin(
            kind="mirrored",
            original=told.original(),
            record={**record, "heading": heading},
            home=home,
            walk=walk,
            sights=sights,
            touched=tuple(range(len(walk))),
        )


def _without_colour(said: re.Match[str]) -> str:
    article, noun = said.groups()
    return f"the {noun}" if article.lower() == "the" else with_article(noun)
