"""Twins: a path, its instruction, and a home with one change in which the words lead elsewhere.

What the words mean is decided by `reading`, in both homes. A twin is kept only where that is
unambiguous: every object named is in sight where it is named, alone of its name or much nearer
than the others, and at the end one stands at the object that marks it. Draws no pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.errors import BadConfig
from vln.houses import changes
from vln.houses.clauses import Clause, parse
from vln.houses.detours import walking, way
from vln.houses.instruct import Guide
from vln.houses.landmarks import Landmarks
from vln.houses.navigate import Walk
from vln.houses.reading import NOTICED, Reader, referent
from vln.houses.routes import Route
from vln.houses.scene import Home
from vln.houses.sight import VIEW_224, Sights, sights_of
from vln.houses.surroundings import Place, surroundings

KINDS: Final = ("recoloured", "moved", "exchanged", "removed", "mirrored")
ELSEWHERE: Final = 3.0
"""Metres of walk between the old goal and the new one, at least."""
AT_END: Final = 2.5
"""Metres from the object that marks the end, at most."""
_MOST_STEPS: Final = 30
_MORE: Final = 3
"""How often a path is told again, up to three times each, for words that a change can turn."""
_TARGETS: Final = 8
"""Viewpoints beside which an object is put for trial."""
_ASIDE: Final = math.radians(60)
"""Most that the object one walks towards lies beside the way taken."""


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
        touched: Viewpoints whose pictures differ from the original's.
    """

    kind: str
    original: dict[str, Any]
    record: dict[str, Any]
    home: Home
    walk: Walk
    sights: Sights
    touched: tuple[int, ...]


@dataclass(frozen=True)
class _Decision:
    """A step of a reading: where, by which clause, the row of the object named, the way taken."""

    viewpoint: int
    clause: Clause
    row: int
    way: int


@dataclass(frozen=True, eq=False)
class _Told:
    """An instruction of a record, carried out in the home as it was."""

    record: Mapping[str, Any]
    text: str
    clauses: tuple[Clause, ...]
    path: list[int]
    decisions: list[_Decision]

    def original(self) -> dict[str, Any]:
        """Gives the record with this instruction alone."""
        return {**self.record, "instructions": [self.text]}


@dataclass(frozen=True, eq=False)
class _Change:
    """A changed home that is to be tried: `rough` are its sights before anybody looked."""

    kind: str
    home: Home
    items: tuple[int, ...]
    about: str
    rough: Sights
    is_exact: bool


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
    for number in rng.permutation(len(records)).tolist():
        if count is not None and len(found) >= count:
            break
        # The rarest kind first; a mirror serves any words, so it takes what is left over.
        for kind in sorted(kinds, key=lambda k: (k == "mirrored", made[k])):
            if kind == "mirrored" and len(kinds) > 1 and made[kind] > max(made.values()) - 1 > 0:
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
        self._floor = changes.FreeFloor(home, walk)
        self._places = surroundings(home, walk, sights)
        self._guide = Guide(home, walk, self._places)
        self._metres, self._before = walking(walk)
        self._index = {name: number for number, name in enumerate(walk.ids)}
        self._told: dict[Any, list[_Told]] = {}
        self._mirror: tuple[Home, Walk, Sights, tuple[Place, ...]] | None = None

    def twin(self, record: Mapping[str, Any], kind: str, *, scan: str) -> Twin | None:
        """Gives a twin of a path by one kind of change, None where none works."""
        for told in self._tellings(record):
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

    def _tellings(self, record: Mapping[str, Any]) -> list[_Told]:
        """Gives a path's instructions, and some more of it, that are sound in the home as it was."""
        path = [self._index[name] for name in record["path"]]
        if record["path_id"] not in self._told:
            texts = list(record["instructions"])
            route = Route(tuple(path), record["heading"], record["distance"])
            for _ in range(_MORE):
                texts += self._guide.instructions(self._rng, route)
            told = (self._carried_out(record, path, text) for text in dict.fromkeys(texts))
            self._told[record["path_id"]] = [one for one in told if one is not None]
        return self._told[record["path_id"]]

    def _carried_out(self, record: Mapping[str, Any], path: list[int], text: str) -> _Told | None:
        clauses = parse(text)
        read_path, decisions = read(clauses, self._places, start=path[0], heading=record["heading"])
        sound = read_path[-1] == path[-1] and is_sound(clauses, decisions, path, self._places)
        return _Told(record, text, clauses, read_path, decisions) if sound else None

    def _tried(self, told: _Told, change: _Change, scan: str) -> Twin | None:
        """Gives the twin of a change if its words lead elsewhere, roughly and then exactly."""
        if self._ends_elsewhere(told, change.home, change.rough) is None:
            return None
        home = replace(change.home, scan=scan)
        walk = changes.walk_in(self._walk, scan)
        sights = change.rough if change.is_exact else sights_of(home, walk)
        path = self._ends_elsewhere(told, home, sights)
        if path is None:
            return None
        touched = self._seeing(self._sights, change.items)
        if change.kind != "removed":
            touched |= self._seeing(sights, change.items)
        return Twin(
            kind=change.kind,
            original=told.original(),
            record=self._record(told, path, walk, scan=scan, kind=change.kind, about=change.about),
            home=home,
            walk=walk,
            sights=sights,
            touched=tuple(np.flatnonzero(touched).tolist()),
        )

    def _ends_elsewhere(self, told: _Told, home: Home, sights: Sights) -> list[int] | None:
        """Gives where the words lead in a changed home, if soundly and to another goal."""
        places = surroundings(home, self._walk, sights)
        path, decisions = read(
            told.clauses, places, start=told.path[0], heading=told.record["heading"]
        )
        far = self._metres[told.path[-1], path[-1]] > ELSEWHERE
        return path if far and is_sound(told.clauses, decisions, path, places) else None

    def _seeing(self, sights: Sights, items: Sequence[int]) -> npt.NDArray[np.bool_]:
        seen = np.zeros(len(self._walk), dtype=np.bool_)
        seen[sights.viewpoint[np.isin(sights.item, list(items))]] = True
        return seen

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

    def _changes(self, told: _Told, kind: str) -> Iterator[_Change]:
        """Yields changes of a kind that could turn a step of the reading, the last step first."""
        make = {
            "recoloured": self._recolourings,
            "exchanged": self._exchanges,
            "removed": self._removals,
            "moved": self._moves,
        }[kind]
        for decision in reversed(told.decisions):
            if decision.row >= 0:
                yield from make(decision)

    def _others(self, decision: _Decision) -> list[int]:
        """Gives rows of objects in sight that lie on other ways than the one taken."""
        place = self._places[decision.viewpoint]
        aside = np.abs(geometry.wrap(place.bearing[:, None] - place.heading))
        elsewhere = (aside.argmin(axis=1) != decision.way) & (place.pixels >= 2 * NOTICED)
        return self._rng.permutation(np.flatnonzero(elsewhere)).tolist()

    def _recolourings(self, decision: _Decision) -> Iterator[_Change]:
        place = self._places[decision.viewpoint]
        x, named = int(place.item[decision.row]), decision.clause
        for row in self._others(decision):
            y = int(place.item[row])
            if named.colour and place.category[row] == named.category:
                if place.colour[row] != named.colour:
                    home = changes.recoloured(self._home, x, y)
                    about = f"{self._name(x)} <-> {self._name(y)}"
                    yield _Change("recoloured", home, (x, y), about, self._sights, is_exact=True)

    def _exchanges(self, decision: _Decision) -> Iterator[_Change]:
        place = self._places[decision.viewpoint]
        x = int(place.item[decision.row])
        for row in self._others(decision):
            y = int(place.item[row])
            if place.category[row] != decision.clause.category:
                if changes.can_exchange(self._home, x, y):
                    home = changes.exchanged(self._home, x, y)
                    item = self._sights.item
                    rough = replace(
                        self._sights, item=np.where(item == x, y, np.where(item == y, x, item))
                    )
                    about = f"{self._name(x)} <-> {self._name(y)}"
                    yield _Change("exchanged", home, (x, y), about, rough, is_exact=False)

    def _removals(self, decision: _Decision) -> Iterator[_Change]:
        place = self._places[decision.viewpoint]
        x, named = int(place.item[decision.row]), decision.clause
        rivals = [
            row
            for row in self._others(decision)
            if place.category[row] == named.category and named.colour in ("", place.colour[row])
        ]
        if rivals:
            rough = _without(self._sights, x)
            home = changes.removed(self._home, x)
            yield _Change("removed", home, (x,), self._name(x), rough, is_exact=False)

    def _moves(self, decision: _Decision) -> Iterator[_Change]:
        place = self._places[decision.viewpoint]
        x = int(place.item[decision.row])
        if not changes.can_move(self._home.items[x]):
            return
        seen = np.flatnonzero(self._walk.visible[decision.viewpoint])
        for target in self._rng.permutation(seen)[:_TARGETS]:
            away = self._metres[int(target), decision.viewpoint] > 1.0
            level = abs(self._walk.position[target, 2] - self._walk.position[decision.viewpoint, 2])
            bearing = geometry.heading_of(
                self._walk.position[target] - self._walk.position[decision.viewpoint]
            )
            elsewhere = np.abs(geometry.wrap(bearing - place.heading)).argmin() != decision.way
            if away and level < 0.1 and elsewhere:
                home = self._floor.moved(x, beside=int(target), rng=self._rng)
                if home is not None:
                    rough = _guessed(self._sights, home, self._walk, x)
                    yield _Change("moved", home, (x,), self._name(x), rough, is_exact=False)

    def _name(self, index: int) -> str:
        return self._home.items[index].name

    def _mirrored(self, told: _Told) -> Twin | None:
        """Gives the twin in the mirrored home; words that say a side of an object are false there."""
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


def read(
    clauses: tuple[Clause, ...], places: Sequence[Place], *, start: int, heading: float
) -> tuple[list[int], list[_Decision]]:
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
        decisions.append(_Decision(path[-1], clause, row, chosen))
        heading = float(geometry.view_heading(place.view[chosen]))
        path.append(int(place.ways[chosen]))
    return path, decisions


def is_sound(
    clauses: tuple[Clause, ...],
    decisions: Sequence[_Decision],
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


def _is_clear_step(decision: _Decision, place: Place) -> bool:
    clause, row = decision.clause, decision.row
    if not clause.category or clause.kind == "door" or clause.side:
        return True
    if row < 0 or not Landmarks(place).is_clear[0 if clause.colour else 1, row]:
        return False
    aside = abs(
        float(geometry.wrap(place.bearing[row] - place.heading[decision.way : decision.way + 1])[0])
    )
    return aside <= _ASIDE


def _is_clear_end(clause: Clause, place: Place) -> bool:
    """Says whether the object that a last clause stops at is there."""
    if clause.kind != "stop" or not clause.category:
        return True
    row = referent(clause, place)
    return row >= 0 and bool(
        place.distance[row] <= AT_END and Landmarks(place).is_clear[0 if clause.colour else 1, row]
    )


def _without(sights: Sights, item: int) -> Sights:
    """Gives the sights of all other objects, as they are counted once it is gone."""
    kept = sights.item != item
    row = np.cumsum(kept) - 1
    boxes = kept[sights.row]
    later = sights.item[kept]
    return Sights(
        viewpoint=sights.viewpoint[kept],
        item=later - (later > item),
        heading=sights.heading[kept],
        elevation=sights.elevation[kept],
        distance=sights.distance[kept],
        pixels=sights.pixels[kept],
        row=row[sights.row[boxes]],
        view=sights.view[boxes],
        box=sights.box[boxes],
        box_pixels=sights.box_pixels[boxes],
    )


def _guessed(sights: Sights, home: Home, walk: Walk, item: int) -> Sights:
    """Gives the sights with one object where it is now, seen from all over its room; no boxes."""
    thing = home.items[item]
    kept = sights.item != item
    near = np.flatnonzero(walk.room == thing.room)
    way_there = np.array(thing.position) - walk.position[near]
    distance = np.hypot(way_there[:, 0], way_there[:, 1])
    pixels = (VIEW_224**2 * max(thing.size[:2]) * thing.size[2]) / distance.clip(min=0.5) ** 2
    columns = {
        "viewpoint": near,
        "item": np.full(len(near), item),
        "heading": geometry.heading_of(way_there),
        "elevation": geometry.elevation_of(way_there),
        "distance": (distance - max(thing.size[:2]) / 2).clip(min=0),
        "pixels": 0.5 * pixels,
    }
    merged = {
        name: np.concatenate([getattr(sights, name)[kept], new]) for name, new in columns.items()
    }
    order = np.lexsort((merged["item"], merged["viewpoint"]))
    none = np.zeros(0, dtype=np.int64)
    return Sights(
        **{name: values[order] for name, values in merged.items()},
        row=none,
        view=none,
        box=np.zeros((0, 4), dtype=np.int64),
        box_pixels=np.zeros(0),
    )
