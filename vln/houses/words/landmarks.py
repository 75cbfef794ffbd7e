"""Which objects tell a way from the others, and which mark where to stop.

An object singles a way out where it lies in that way's direction, its name means no other object
in sight, and the way's view shows clearly more of that name than the view of any other way: then
eyes that see objects per view can decide, and words without eyes cannot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.houses.graph.surroundings import Place
from vln.houses.words.clauses import SIDES, Clause
from vln.houses.words.reading import NOTICED, REACHED

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MIN_PIXELS: Final = 120.0
"""Pixels at 224 px a view that a named object covers at least, seen from where it is named."""
MIN_PIXELS_STOP: Final = 400.0
MAX_ASIDE: Final = np.radians(25.0)
"""Most that a landmark lies beside the way it stands for."""
MIN_ASIDE_LEAD: Final = np.radians(10.0)
"""Least that it lies farther beside any other way."""
NEARER: Final = 1.6
"""Times farther away that another object of the same name must be."""
MIN_SHARE: Final = 0.008
"""Least share of the way's view that its box covers."""
DOMINANCE: Final = 2.0
"""Times that the name covers more of the way's view than of any other way's."""
WORDS_LEAD: Final = 1.2
"""Times that the root areas of colour and category must be together what another way's are."""
TURN_ASIDE: Final = np.radians(50.0)
"""Most that a way lies beside straight left, right, ahead or back to be called that."""
TURN_LEAD: Final = np.radians(20.0)
"""Least that it does so less than any other way."""
TURN_NEAR: Final = 1.5
"""Metres from an object at which one turns "at" it."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The objects in sight of one place as landmarks; the last axis is (with colour, without).

    Attributes:
        place: The place.
    """

    place: Place

    @cached_property
    def same_name(self) -> npt.NDArray[np.bool_]:
        """(2, n, n) whether two objects share their name, with and without colour."""
        category, colour = np.array(self.place.category), np.array(self.place.colour)
        same = category[:, None] == category
        return np.stack([same & (colour[:, None] == colour), same])

    @cached_property
    def is_clear(self) -> Flags:
        """(2, n) whether the name means this object: the only one in sight, or much the nearest."""
        distance = self.place.distance
        noticed = self.place.pixels >= NOTICED
        last = np.array([name.rpartition(" ")[2] for name in self.place.category])
        alike = self.same_name.copy()
        # "The table" is not said beside a round table, nor "the red table" beside a red round one.
        colour = np.array(self.place.colour)
        alike[1] |= last[:, None] == last
        alike[0] |= alike[1] & (colour[:, None] == colour)
        rival = alike & noticed & ~np.eye(len(distance), dtype=np.bool_)
        close = distance[None, :] < NEARER * np.maximum(distance[:, None], 0.5)
        unique = ~np.asarray((rival & close).any(axis=2))
        return np.asarray(unique & (self.place.pixels >= MIN_PIXELS))

    @cached_property
    def lead(self) -> Floats:
        """(2, n, k) how clearly the name points to a way, in doublings; -inf where it does not."""
        shown = self.same_name.astype(np.float64) @ self.place.area
        ratio = np.log2(np.maximum(shown, 1e-4) / np.maximum(_others(shown), 1e-4))
        aside = np.abs(geometry.wrap(self.place.bearing[:, None] - self.place.heading))
        others_aside = -_others(-aside, empty=-np.inf)
        points = (aside <= MAX_ASIDE) & (others_aside - aside >= MIN_ASIDE_LEAD)
        points = points & (self.place.area >= MIN_SHARE)
        valid = points & (ratio >= np.log2(DOMINANCE)) & self.is_clear[:, :, None] & self._in_words
        size = np.clip(np.log2(np.maximum(self.place.area, 1e-4) / 0.01), -2, 3)
        score = np.minimum(ratio, 3.0) + np.minimum(ratio[1], 3.0) + size
        return np.where(valid, score, -np.inf)

    @cached_property
    def _in_words(self) -> Flags:
        """(n, k) whether the way is the one for eyes that know colour and category apart, too.

        They have never met some pairs, and then can only add up what they know of the words.
        """
        colour = np.array(self.place.colour)
        same = self.same_name[1], colour[:, None] == colour
        category, coloured = (np.sqrt(alike.astype(np.float64) @ self.place.area) for alike in same)
        alone = category >= math.sqrt(DOMINANCE) * _others(category)
        return np.asarray(
            alone | (category + coloured >= WORDS_LEAD * _others(category + coloured))
        )

    @cached_property
    def singles_out(self) -> Flags:
        """(k,) whether some object stands for the way."""
        return np.asarray(np.isfinite(self.lead).any(axis=(0, 1)))

    @cached_property
    def turns(self) -> Flags:
        """(12, sides, k) whether a way lies to a side of a heading, and no other nearly as much."""
        headings = np.arange(geometry.NUM_HEADINGS) * geometry.STEP
        target = headings[:, None] + np.array(list(SIDES.values()))
        aside = np.abs(geometry.wrap(self.place.heading - target[..., None]))
        lead = -_others(-aside, empty=-np.inf) - aside
        return np.asarray((aside <= TURN_ASIDE) & (lead >= TURN_LEAD))

    def words(self, way: int, heading: float) -> list[Clause]:
        """Gives the clauses without an object that ask for a way and no other.

        A door alone is none of them: boxes of objects do not show where doors are.

        Args:
            way: Its index.
            heading: Where one looks, a multiple of 30 degrees.
        """
        climb = self.place.climb
        if climb[way]:
            only = (climb == climb[way]).sum() == 1
            return [Clause("climb", side="up" if climb[way] > 0 else "down")] if only else []
        turned = self.turns[int(geometry.snap_heading_step(heading)), :, way]
        sides = zip(SIDES, turned.tolist(), strict=True)
        return [Clause("turn", side=side) for side, is_it in sides if is_it]

    def roughly(self, way: int, heading: float) -> Clause:
        """Gives the clause without an object that comes nearest to asking for a way.

        Args:
            way: Its index.
            heading: Where one looks, a multiple of 30 degrees.
        """
        climb = int(self.place.climb[way])
        if climb:
            return Clause("climb", side="up" if climb > 0 else "down")
        aside = geometry.wrap(self.place.heading[way] - heading - np.array(list(SIDES.values())))
        return Clause("turn", side=list(SIDES)[int(np.abs(aside).argmin())])

    @cached_property
    def marks_turn(self) -> Flags:
        """(2, n) whether one can be told to turn here by the object's name."""
        marks: Flags = self._is_near(TURN_NEAR) & self.is_clear
        return marks

    @cached_property
    def marks_stop(self) -> Flags:
        """(2, n) whether one can be told to stop here by the object's name."""
        marks: Flags = self._is_near(REACHED) & self.is_clear
        return marks

    def _is_near(self, metres: float) -> Flags:
        """Gives (n,) whether an object is within reach, no wall between, and plain to see."""
        near = (self.place.distance <= metres) & (self.place.pixels >= MIN_PIXELS_STOP)
        return np.asarray(near & self.place.same_room)


def _others(values: Floats, *, empty: float = 0.0) -> Floats:
    """Gives the greatest of the other values along the last axis, `empty` where there is none."""
    count = values.shape[-1]
    if count < 2:
        return np.full(values.shape, empty)
    ordered = np.sort(values, axis=-1)
    first, second = ordered[..., -1:], ordered[..., -2:-1]
    top: Floats = np.where(np.arange(count) == values.argmax(axis=-1)[..., None], second, first)
    return top
