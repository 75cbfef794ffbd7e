"""Changes that could turn a step of a reading: what is named stands elsewhere, or is another one.

Each comes with rough sights, good enough to see whether looking closely is worth it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from vln import geometry
from vln.houses.building.scene import Home
from vln.houses.graph.navigate import Walk
from vln.houses.graph.sight import VIEW_224, Sights
from vln.houses.graph.surroundings import Place
from vln.houses.words.reading import NOTICED
from vln.houses.words.soundness import Decision
from vln.houses.world import changes

_TARGETS: Final = 8
"""Viewpoints beside which an object is put for trial."""


@dataclass(frozen=True, eq=False)
class Change:
    """A changed home that is to be tried: `rough` are its sights before anybody looked."""

    kind: str
    home: Home
    items: tuple[int, ...]
    about: str
    rough: Sights
    is_exact: bool


class Trials:
    """Changes of one home.

    Args:
        home: The home.
        walk: Its viewpoints.
        sights: What is seen from them.
        places: The same, as `surroundings`.
        rng: Decides on order and places.
    """

    def __init__(
        self,
        home: Home,
        walk: Walk,
        sights: Sights,
        places: tuple[Place, ...],
        *,
        rng: np.random.Generator,
    ) -> None:
        self._home = home
        self._walk = walk
        self._sights = sights
        self._places = places
        self._rng = rng
        self._floor = changes.FreeFloor(home, walk)
        self._tried: dict[tuple[int, int], Home | None] = {}

    def of(self, kind: str, decision: Decision) -> Iterator[Change]:
        """Yields changes of a kind to the object that a step follows."""
        make = {
            "recoloured": self._recolourings,
            "exchanged": self._exchanges,
            "removed": self._removals,
            "moved": self._moves,
        }[kind]
        if decision.row >= 0:
            yield from make(decision)

    def others(self, decision: Decision) -> list[int]:
        """Gives rows of objects in sight that lie on other ways than the one taken."""
        place = self._places[decision.viewpoint]
        aside = np.abs(geometry.wrap(place.bearing[:, None] - place.heading))
        elsewhere = (aside.argmin(axis=1) != decision.way) & (place.pixels >= 2 * NOTICED)
        return [int(row) for row in self._rng.permutation(np.flatnonzero(elsewhere))]

    def _recolourings(self, decision: Decision) -> Iterator[Change]:
        place = self._places[decision.viewpoint]
        x, named = int(place.item[decision.row]), decision.clause
        for row in self.others(decision):
            y = int(place.item[row])
            of_kind = place.category[row] == named.category
            if named.colour and of_kind and place.colour[row] != named.colour:
                home = changes.recoloured(self._home, x, y)
                about = f"{self._name(x)} <-> {self._name(y)}"
                yield Change("recoloured", home, (x, y), about, self._sights, is_exact=True)

    def _exchanges(self, decision: Decision) -> Iterator[Change]:
        place = self._places[decision.viewpoint]
        x = int(place.item[decision.row])
        for row in self.others(decision):
            y = int(place.item[row])
            other_kind = place.category[row] != decision.clause.category
            if other_kind and changes.can_exchange(self._home, x, y):
                home = changes.exchanged(self._home, x, y)
                item = self._sights.item
                swapped = np.where(item == x, y, np.where(item == y, x, item))
                rough = replace(self._sights, item=swapped)
                about = f"{self._name(x)} <-> {self._name(y)}"
                yield Change("exchanged", home, (x, y), about, rough, is_exact=False)

    def _removals(self, decision: Decision) -> Iterator[Change]:
        place = self._places[decision.viewpoint]
        x, named = int(place.item[decision.row]), decision.clause
        rivals = [
            row
            for row in self.others(decision)
            if place.category[row] == named.category and named.colour in ("", place.colour[row])
        ]
        if rivals and changes.is_bare(self._home, x):
            rough = _without(self._sights, x)
            home = changes.removed(self._home, x)
            yield Change("removed", home, (x,), self._name(x), rough, is_exact=False)

    def _moves(self, decision: Decision) -> Iterator[Change]:
        place = self._places[decision.viewpoint]
        x = int(place.item[decision.row])
        if not changes.can_move(self._home, x):
            return
        seen = np.flatnonzero(self._walk.visible[decision.viewpoint])
        for target in self._rng.permutation(seen)[:_TARGETS]:
            away = int(target) != decision.viewpoint
            level = abs(self._walk.position[target, 2] - self._walk.position[decision.viewpoint, 2])
            bearing = geometry.heading_of(
                self._walk.position[target] - self._walk.position[decision.viewpoint]
            )
            elsewhere = np.abs(geometry.wrap(bearing - place.heading)).argmin() != decision.way
            if away and level < 0.1 and elsewhere:
                home = self._moved(x, int(target))
                if home is not None:
                    rough = _guessed(self._sights, home, self._walk, x)
                    yield Change("moved", home, (x,), self._name(x), rough, is_exact=False)

    def _moved(self, item: int, target: int) -> Home | None:
        """Gives the home with an object beside a viewpoint, the same one whenever it is asked."""
        if (item, target) not in self._tried:
            home = self._floor.moved(item, beside=target, rng=self._rng)
            self._tried[item, target] = home
        return self._tried[item, target]

    def _name(self, index: int) -> str:
        return self._home.items[index].name


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
