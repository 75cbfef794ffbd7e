"""What passes through the batching core: groups, requests, jobs, slices, batches.

A request is what one client asked for. Identical requests share one job, which is encoded once; a
batch is cut out of one or several jobs of a group. The core looks into no array: what a request
carries and what a batch brings back are opaque to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vln.errors import BadConfig, VlnError


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a service batches, waits and holds.

    Attributes:
        max_batch: Items that an engine gets at once.
        max_wait_ms: Longest time for which a request waits for others to join its batch, in
            milliseconds, counted while the device is idle.
        max_queue_items: Items asked for and not yet answered, over all clients.
        max_queue_bytes: Bytes of these items, as they were handed in.
        max_cache_bytes: Bytes of answers kept for those who ask again with the same key; 0 for
            none.
    """

    max_batch: int = 32
    max_wait_ms: float = 2.0
    max_queue_items: int = 1024
    max_queue_bytes: int = 2**30
    max_cache_bytes: int = 2**28

    def __post_init__(self) -> None:
        for name in ("max_batch", "max_queue_items", "max_queue_bytes"):
            if getattr(self, name) < 1:
                raise BadConfig(f"{name} is {getattr(self, name)}; expected 1 or more.")
        if self.max_cache_bytes < 0:
            raise BadConfig(f"max_cache_bytes is {self.max_cache_bytes}; expected 0 or more.")
        if not 0 <= self.max_wait_ms < float("inf"):
            raise BadConfig(
                f"max_wait_ms is {self.max_wait_ms}; expected milliseconds, 0 or more and finite."
            )


class Group(NamedTuple):
    """What a batch has in common: only items of one group can go to the device together.

    Attributes:
        encoder: Which engine.
        kind: What is asked of it: `images`, `grid`, `text`.
        shape: Shape of one item.
        dtype: Its type, as text.
    """

    encoder: str
    kind: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape)) or "scalar"
        return f"{self.encoder}, {self.kind} of {size} {self.dtype}"


@dataclass(slots=True, eq=False)
class Job:
    """Something to be encoded once, for everybody who asked for it.

    Attributes:
        group: What its items are.
        count: How many.
        key: Identity of its items, empty where unknown.
        askers: Requests that wait for it, by number, oldest first.
        taken: Items that were put into batches so far, from the first on.
        encoded: Items that came back.
        parts: First item and answer of every slice that came back.
        is_shared: It had several askers at some time.
        has_ended: Nothing more will be done for it.
        error: Why it has no answer.
    """

    group: Group
    count: int
    key: str
    askers: dict[int, Request] = field(default_factory=dict)
    taken: int = 0
    encoded: int = 0
    parts: list[tuple[int, Any]] = field(default_factory=list)
    is_shared: bool = False
    has_ended: bool = False
    error: VlnError | None = None

    def answer(self) -> list[Any]:
        """Gives the answers of all slices, in the items' order."""
        return [part for _, part in sorted(self.parts, key=lambda part: part[0])]


@dataclass(slots=True, eq=False)
class Request:
    """One client's question.

    Attributes:
        number: Its place among all requests ever.
        client: Number of who asked.
        job: What it waits for.
        size: Bytes of its items.
        asked_at: When, in seconds.
        payload: Its owner's; the core does not look at it.
        has_ended: It has its answer or its error, and nothing will change that.
        error: Why it has no answer.
    """

    number: int
    client: int
    job: Job
    size: int
    asked_at: float
    payload: Any = None
    has_ended: bool = False
    error: VlnError | None = None


class Slice(NamedTuple):
    """Items `start` to `stop` of a job.

    Attributes:
        job: Which.
        start: First item.
        stop: One past the last.
        source: A request that still holds the items.
    """

    job: Job
    start: int
    stop: int
    source: Request


@dataclass(frozen=True, slots=True)
class Batch:
    """Items of one group that go to the device together.

    Attributes:
        group: Which.
        slices: What they are cut out of; a job occurs at most once.
    """

    group: Group
    slices: tuple[Slice, ...]

    @property
    def count(self) -> int:
        """Number of items, one or more."""
        return sum(piece.stop - piece.start for piece in self.slices)

    def alive(self) -> Batch | None:
        """Gives what of this batch is still waited for, or None."""
        pieces = [
            piece._replace(source=next(iter(piece.job.askers.values())))
            for piece in self.slices
            if not piece.job.has_ended
        ]
        return Batch(self.group, tuple(pieces)) if pieces else None

    def cut(self, count: int) -> tuple[Batch, Batch]:
        """Gives the first `count` items and the rest; both must hold something."""
        first, second = list[Slice](), list[Slice]()
        for piece in self.slices:
            middle = min(piece.stop, piece.start + count)
            count -= middle - piece.start
            if middle > piece.start:
                first.append(piece._replace(stop=middle))
            if middle < piece.stop:
                second.append(piece._replace(start=middle))
        return Batch(self.group, tuple(first)), Batch(self.group, tuple(second))

    def by_job(self) -> Iterator[Batch]:
        """Gives one batch for each job."""
        for piece in self.slices:
            yield Batch(self.group, (piece,))
