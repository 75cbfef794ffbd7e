"""What a search is asked for and what it gives: routes with their scores, as plain arrays.

Knows no network and no graph.

Legend: n viewpoints of a route, which are also its actions, the final stop included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig, UnknownName

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Factor = Literal["pose", "move"]


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """When a search is over, and what it takes for the same state."""

    candidates: int = 40
    """Routes to complete; EnvDrop's and Speaker-Follower's 40."""
    expansions: int = 300
    """Entries popped at most per instruction, stops included, as in EnvDrop."""
    max_steps: int = 35
    """Actions of a route at most, its stop included."""
    factored_by: Factor = "move"
    """What is kept once, with its likeliest history. `move` (EnvDrop): the viewpoint left and the
    action taken, and one stop per viewpoint, so that no two routes end at the same one. `pose`
    (Speaker-Follower): where the agent stands and what it faces, one stop for each, so that
    several routes may end at one viewpoint, facing differently; fewer states are expanded."""

    def __post_init__(self) -> None:
        for name in ("candidates", "expansions", "max_steps"):
            if getattr(self, name) < 1:
                raise BadConfig(f"{name} is {getattr(self, name)}; expected 1 or more.")
        if self.factored_by not in get_args(Factor):
            raise UnknownName.of("factored_by", self.factored_by, get_args(Factor))


@dataclass(frozen=True, eq=False)
class Candidate:
    """One route that ends in a stop.

    Attributes:
        panoramas: (n,) int64, the start first.
        views: (n,) int64, the view faced at each of them before acting, 0-35.
        actions: (n,) int64 as environments take them: k goes to candidate k - 1, the last is 0.
        log_probs: (n,) float64, the follower's log-probability of each action.
        is_complete: Whether the search popped its stop. False marks a route that only stands in
            for one: the likeliest stop that was waiting when the search had to end.
    """

    panoramas: Ints
    views: Ints
    actions: Ints
    log_probs: Floats
    is_complete: bool

    @property
    def score(self) -> float:
        """The follower's log-probability of the whole route."""
        return float(self.log_probs.sum())


@dataclass(frozen=True, eq=False)
class Found:
    """What the search for one instruction found.

    Attributes:
        episode_id: Which episode.
        routes: At least one, best follower score first.
        explored: (X,) int64 panoramas in the order in which the search stood on them, the start
            first; a viewpoint comes again for every state that was expanded there.
    """

    episode_id: str
    routes: tuple[Candidate, ...]
    explored: Ints


def split_by_row(rounds: Sequence[tuple[Ints, Ints]], count: int) -> list[Ints]:
    """Gives, for each of `count` rows, its values in order.

    Args:
        rounds: Rows (n,) and their values (n,), round by round.
        count: Rows that there are.
    """
    rows, values = (np.concatenate(part) for part in zip(*rounds, strict=True))
    ends = np.cumsum(np.bincount(rows, minlength=count))
    return np.split(values[np.argsort(rows, kind="stable")], ends[:-1])
