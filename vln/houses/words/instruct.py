"""R2R's records of a home: paths, three instructions each.

Every step is told by an object that singles out its way, where there is one; turns, doors and
stairs fill in. An instruction is kept only if carrying out its text leads to the goal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from vln.houses.building.scene import Home
from vln.houses.graph.navigate import Walk
from vln.houses.graph.sight import Sights
from vln.houses.graph.surroundings import Place, surroundings
from vln.houses.words import phrases
from vln.houses.words.clauses import Clause, parse
from vln.houses.words.landmarks import Landmarks
from vln.houses.words.reading import follow
from vln.houses.words.routes import Route, sample_routes
from vln.houses.words.sayings import Saying, Speaker
from vln.houses.words.wording import Wording

PER_PATH: Final = 3
SPARE: Final = 1.1
"""Routes drawn per path wanted: not all can be put into words."""
ATTEMPTS: Final = 8
"""Texts tried for a route's three."""
SHARPNESS: Final = 1.5
"""How much likelier clearer clauses are said."""
THERE_CHANCE: Final = 0.4
"""How often one stops "there", where the last clause already says where."""
_THERE: Final = Saying(Clause("stop"), phrases.STOP_THERE)


def r2r_records(
    rng: np.random.Generator, home: Home, walk: Walk, sights: Sights, *, count: int, first_id: int
) -> list[dict[str, Any]]:
    """Gives R2R records of a home, fewer than `count` where it is too poor in landmarks.

    Args:
        rng: The source of all chance.
        home: The scene.
        walk: Its viewpoints.
        sights: What they see.
        count: Paths wanted.
        first_id: `path_id` of the first record; the others follow.
    """
    guide = Guide(home, walk, surroundings(home, walk, sights))
    wanted = int(np.ceil(count * SPARE))
    found: list[dict[str, Any]] = []
    for route in sample_routes(rng, guide.places, guide.landmarks, count=wanted):
        texts = guide.instructions(rng, route)
        if len(texts) == PER_PATH and len(found) < count:
            found.append(
                {
                    "distance": round(route.metres, 2),
                    "scan": home.scan,
                    "path_id": first_id + len(found),
                    "path": [walk.ids[i] for i in route.path],
                    "heading": round(route.heading, 3),
                    "instructions": texts,
                }
            )
    return found


class Guide:
    """Puts routes of one home into words.

    Attributes:
        places: What is around every viewpoint.
        landmarks: The objects there as landmarks.
    """

    def __init__(self, home: Home, walk: Walk, places: Sequence[Place]) -> None:
        self.places = places
        self.landmarks = [Landmarks(place) for place in places]
        self._speaker = Speaker(home, walk, places, self.landmarks)

    def instructions(
        self, rng: np.random.Generator, route: Route, *, count: int = PER_PATH
    ) -> list[str]:
        """Gives up to three texts, or `count`, whose reading ends at the route's goal."""
        found: list[str] = []
        options, stops = self._speaker.steps(route), self._speaker.stops(route)
        if not all(options):
            return []
        for _ in range(ATTEMPTS):
            sayings = _plan(rng, options, stops)
            if sayings is None:
                continue
            text = Wording(rng).text(sayings)
            if self._leads(text, route) and text not in found:
                found.append(text)
            if len(found) == count:
                break
        return found

    def instruction(self, rng: np.random.Generator, route: Route) -> tuple[str, bool]:
        """Gives one text for any route, and whether its reading ends at the route's goal.

        `r2r_records` leaves routes out that cannot be told for certain; here, steps that nothing
        singles out are told by the turn that comes nearest.
        """
        certain = self.instructions(rng, route, count=1)
        if certain:
            return certain[0], True
        options = self._speaker.steps(route, roughly=True)
        stops = self._speaker.stops(route)
        text = ""
        for _ in range(ATTEMPTS):
            sayings = _steps(rng, options)
            sayings.append(_stop(rng, stops, last=sayings[-1]) or _THERE)
            text = Wording(rng).text(sayings)
            if self._leads(text, route):
                return text, True
        return text, False

    def _leads(self, text: str, route: Route) -> bool:
        walked = follow(parse(text), self.places, start=route.path[0], heading=route.heading)
        return walked[-1] == route.path[-1]


def _plan(
    rng: np.random.Generator, steps: Sequence[Sequence[Saying]], stops: Sequence[Saying]
) -> list[Saying] | None:
    """Gives one saying per step or several steps, and where to stop; None where words fail."""
    sayings = _steps(rng, steps)
    stop = _stop(rng, stops, last=sayings[-1])
    return None if stop is None else [*sayings, stop]


def _steps(rng: np.random.Generator, steps: Sequence[Sequence[Saying]]) -> list[Saying]:
    """Gives one saying per step or several steps."""
    sayings: list[Saying] = []
    t, category = 0, ""
    while t < len(steps):
        fresh = [s for s in steps[t] if not category or s.clause.category != category]
        sayings.append(_draw(rng, fresh or steps[t]))
        t, category = t + sayings[-1].span, sayings[-1].clause.category
    return sayings


def _stop(rng: np.random.Generator, stops: Sequence[Saying], *, last: Saying) -> Saying | None:
    """Gives where to stop: by another object than the last one named, or "there"."""
    others = [saying for saying in stops if saying.item != last.item]
    if last.clause.kind == "reach" and (not others or rng.random() < THERE_CHANCE):
        return _THERE
    return _draw(rng, others) if others else None


def _draw(rng: np.random.Generator, sayings: Sequence[Saying]) -> Saying:
    """Draws one, the clearer the likelier."""
    scores = np.array([saying.score for saying in sayings])
    chances = np.exp(SHARPNESS * (scores - scores.max()))
    return sayings[int(rng.choice(len(sayings), p=chances / chances.sum()))]
