"""A split as arrays, and the order in which an environment goes through it.

Knows no file format: episodes come from `vln.data.episodes`.

Legend: E episodes, N bytes of the longest instruction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vln import worlds
from vln.data.episodes import DATASETS, EpisodeSet, load_episodes
from vln.errors import BadConfig, CheckpointMismatch, MissingData, UnknownName
from vln.graph import NavGraph

Ints = npt.NDArray[np.int64]
Order = Literal["shuffled", "sequential"]

ORDERS: tuple[Order, ...] = ("shuffled", "sequential")
STANDARD_SPLITS = ("train", "val_seen", "val_unseen", "test")


@dataclass(frozen=True, eq=False)
class EpisodeTable:
    """The episodes of a split, an index into these arrays naming one.

    Instructions stay ragged until a batch of them is asked for: padded, R4R's training split alone
    would take 250 MB.

    Attributes:
        start: (E,) int64 panoramas.
        heading: (E,) float64 radians, as annotated, not snapped.
        goal: (E,) int64 panoramas, -1 where labels are held out.
        scan: (E,) object, scan ids.
        id: (E,) object, the leaderboard's ids.
        episodes: What was compiled.
        width: N.
    """

    start: Ints
    heading: npt.NDArray[np.float64]
    goal: Ints
    scan: npt.NDArray[np.object_]
    id: npt.NDArray[np.object_]
    episodes: EpisodeSet
    width: int
    _utf8: tuple[bytes, ...]

    @classmethod
    def compile(
        cls, episodes: EpisodeSet, *, graph: NavGraph, width: int | None = None
    ) -> EpisodeTable:
        """Gives the arrays of a split.

        Args:
            episodes: At least one.
            graph: The graph they live in.
            width: N; None takes the longest instruction of these episodes.

        Raises:
            BadConfig: There is no episode, an instruction is longer than `width`, or one holds a
                NUL, which marks padding.
            UnknownViewpoint: A start or goal is not in the graph.
        """
        if not len(episodes):
            raise BadConfig(f"{episodes.dataset} {episodes.split!r} has no episodes to draw.")
        utf8 = tuple(episode.instruction.encode() for episode in episodes)
        longest = max(map(len, utf8))
        width = max(longest, 1) if width is None else width
        if longest > width:
            raise BadConfig(f"an instruction has {longest} bytes, more than the {width} given.")
        nul = next((e.id for e, text in zip(episodes, utf8, strict=True) if 0 in text), None)
        if nul is not None:
            raise BadConfig(f"episode {nul}: its instruction holds a NUL, which marks padding.")
        ends = [
            -1 if e.reference is None else graph.index(e.start.scan, e.reference[-1])
            for e in episodes
        ]
        starts = [graph.index(e.start.scan, e.start.viewpoint) for e in episodes]
        return cls(
            start=np.array(starts, dtype=np.int64),
            heading=np.array([e.start.heading for e in episodes], dtype=np.float64),
            goal=np.array(ends, dtype=np.int64),
            scan=np.array([e.start.scan for e in episodes], dtype=object),
            id=np.array([e.id for e in episodes], dtype=object),
            episodes=episodes,
            width=width,
            _utf8=utf8,
        )

    def __len__(self) -> int:
        return len(self.start)

    def instructions(self, rows: Iterable[int]) -> npt.NDArray[np.uint8]:
        """Gives the UTF-8 of n episodes' instructions, (n, N) uint8, zero padded."""
        padded = b"".join([self._utf8[i].ljust(self.width, b"\0") for i in rows])
        return np.frombuffer(padded, dtype=np.uint8).reshape(-1, self.width)


class EpisodeOrder:
    """Draws episodes without end: each one once, then all again.

    Shuffled orders are drawn afresh for every pass from the generator that the environment hands
    over, so an environment's seed decides them.
    """

    def __init__(self, size: int, *, order: Order = "shuffled") -> None:
        """Begins before the first episode.

        Args:
            size: E.
            order: `shuffled` or `sequential` (file order).

        Raises:
            UnknownName: No such order.
        """
        if order not in ORDERS:
            raise UnknownName.of("order", order, ORDERS)
        self._size = size
        self._order = order
        self.restart()

    def restart(self) -> None:
        """Forgets the pass under way; the next draw begins a new one."""
        self._pass: Ints = np.zeros(0, dtype=np.int64)
        self._drawn = 0
        self._before: Any = None

    def draw(self, count: int, rng: np.random.Generator) -> Ints:
        """Gives the next `count` episode indices, (count,) int64."""
        parts = [self._take(count, rng)]
        while (missing := count - sum(map(len, parts))) > 0:
            parts.append(self._take(missing, rng))
        return np.concatenate(parts)

    def _take(self, count: int, rng: np.random.Generator) -> Ints:
        if self._drawn == len(self._pass):
            self._before = rng.bit_generator.state
            self._pass = self._new_pass(rng)
            self._drawn = 0
        taken = self._pass[self._drawn : self._drawn + count]
        self._drawn += len(taken)
        return taken

    def _new_pass(self, rng: np.random.Generator) -> Ints:
        if self._order == "sequential":
            return np.arange(self._size)
        return rng.permutation(self._size)

    def state(self) -> dict[str, Any]:
        """Gives what `restore` needs to go on with the very next episode; JSON can hold it."""
        return {
            "size": self._size,
            "order": self._order,
            "drawn": self._drawn,
            # As text: the generator's integers have 128 bits, more than some JSON writers take.
            "random": json.dumps(self._before),
        }

    def restore(self, state: Mapping[str, Any], rng: np.random.Generator) -> None:
        """Goes back to a saved state, the generator with it.

        Raises:
            CheckpointMismatch: The state is of another order or of another number of episodes.
        """
        if (state["size"], state["order"]) != (self._size, self._order):
            raise CheckpointMismatch(
                f"the saved order is {state['order']} over {state['size']} episodes, this one is "
                f"{self._order} over {self._size}. Use the same data and settings."
            )
        self.restart()
        before = json.loads(state["random"])
        if before is None:
            return
        self._before = before
        rng.bit_generator.state = before
        self._pass = self._new_pass(rng)
        self._drawn = int(state["drawn"])


def located(dataset: str, data: Path | str | None) -> tuple[str, Path | None]:
    """Gives the data set and the folder that a name and a folder come to; makes no world.

    Args:
        dataset: A data set, or a world such as `houses`, which is in the cache unless `data` holds
            it.
        data: The folder; None stays None for a data set: `$VLN_DATA`.

    Raises:
        UnknownName: Neither a data set nor a world.
        MissingData: The world has not been made.
    """
    folder = None if data is None else Path(data)
    if dataset in DATASETS:
        return dataset, folder
    found = worlds.find(dataset, folder)
    return found.dataset, found.data


def instruction_width(dataset: str, *, data: Path, graph: NavGraph) -> int:
    """Gives N, the bytes of the longest instruction over all splits of a data set that are there.

    Raises:
        UnknownName: No such data set.
        CorruptData: A split's file is damaged.
    """
    longest = 1
    for split in STANDARD_SPLITS:
        try:
            episodes = load_episodes(dataset, split, data=data, graph=graph)
        except (MissingData, BadConfig):  # R4R has no test split; a folder may hold only some
            continue
        longest = max(longest, *(len(e.instruction.encode()) for e in episodes))
    return longest
