"""Sets of episodes and the rules that cut them: fixed random parts, and houses held out as dev.

Knows no file format and no graph.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from vln.errors import BadConfig
from vln.types import Episode

MIN_DEV_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class EpisodeSet:
    """The episodes of one split, and the file they came from.

    Attributes:
        dataset: Registered name, such as `r2r`.
        split: The split as asked for, `@N` included.
        sha256: SHA-256 of the annotation file, in hex: goes into every score.
        file: That file's path.
        episodes: In file order.
    """

    dataset: str
    split: str
    sha256: str
    file: str
    episodes: tuple[Episode, ...]

    def __len__(self) -> int:
        return len(self.episodes)

    def __iter__(self) -> Iterator[Episode]:
        return iter(self.episodes)


def random_part(episodes: EpisodeSet, *, size: int) -> EpisodeSet:
    """Gives the same random `size` episodes every time (seed 0), in file order.

    Raises:
        BadConfig: `size` is zero or more than there are.
    """
    if not 0 < size <= len(episodes):
        raise BadConfig(
            f"split {episodes.split!r} has {len(episodes)} episodes, so @{size} cannot be taken. "
            f"Ask for 1 to {len(episodes)}."
        )
    chosen = np.sort(np.random.default_rng(0).permutation(len(episodes))[:size])
    return replace(
        episodes,
        split=f"{episodes.split}@{size}",
        episodes=tuple(episodes.episodes[i] for i in chosen),
    )


def dev_scans(train: Iterable[Episode], *, seen: Collection[str]) -> frozenset[str]:
    """Gives the training houses to hold out for choosing checkpoints.

    A checkpoint chosen on val_unseen makes val_unseen's score optimistic. So it is chosen on
    houses that are new to the agent but belong to train. They must be houses that val_seen never
    visits: val_seen measures houses the agent knows, and would not after holding them out.

    Where val_seen visits every training house, the rule takes houses in the order of the SHA-256
    of their name until they hold 2 % of the episodes (at least one, never all of them).

    Args:
        train: All training episodes.
        seen: Houses that val_seen visits.

    Raises:
        BadConfig: Train has a single house, so none can be held out.
    """
    counts = Counter(episode.start.scan for episode in train)
    if len(counts) < 2:
        raise BadConfig(
            f"train has {len(counts)} house(s); dev holds whole houses out and needs two. "
            "Use more data or select on another split."
        )
    unvisited = frozenset(counts).difference(seen)
    if unvisited and len(unvisited) < len(counts):
        return unvisited
    return _first_by_hash(counts)


def _first_by_hash(counts: Counter[str]) -> frozenset[str]:
    order = sorted(counts, key=lambda scan: hashlib.sha256(scan.encode()).digest())
    held = np.cumsum([counts[scan] for scan in order])
    needed = int(np.searchsorted(held, MIN_DEV_SHARE * held[-1])) + 1
    return frozenset(order[: min(needed, len(order) - 1)])
