"""What a service says about itself."""

from __future__ import annotations

from dataclasses import dataclass

from vln.service.core import Batcher


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """One client's share.

    Attributes:
        name: As it was given.
        asked: Requests so far.
        answered: Of these, ended with an answer.
        outstanding: Of these, not ended.
        items: Items that went into batches for it.
    """

    name: str
    asked: int
    answered: int
    outstanding: int
    items: int


@dataclass(frozen=True, slots=True)
class Status:
    """A service at one moment; counts are since its start.

    Attributes:
        items: Items encoded.
        batches: Batches that went well.
        mean_batch: Items of a batch, 0 before the first.
        queued_items: Items asked for and not yet answered, those on the device included.
        queued_bytes: Bytes of these.
        in_flight: Items on the device.
        answered: Requests that ended with an answer.
        failed: Requests that ended with an error, cancelled ones included.
        deduplicated: Requests that waited for the same items as another.
        cache_hits: Requests whose answer was still there from another.
        cache_bytes: Bytes of answers that are kept.
        splits: Batches that did not fit into memory and were halved.
        repeats: Batches that failed and were repeated request by request.
        busy_s: Seconds spent on batches, mostly in engines.
        up_s: Seconds since the start.
        clients: Those that are open.
    """

    items: int
    batches: int
    mean_batch: float
    queued_items: int
    queued_bytes: int
    in_flight: int
    answered: int
    failed: int
    deduplicated: int
    cache_hits: int
    cache_bytes: int
    splits: int
    repeats: int
    busy_s: float
    up_s: float
    clients: tuple[ClientStatus, ...]


def status_of(batcher: Batcher, *, cache_bytes: int, busy_s: float, up_s: float) -> Status:
    """Gives a core's counts, with what its owner keeps and the times that it measured."""
    counts = batcher.counts
    return Status(
        items=counts.items,
        batches=counts.batches,
        mean_batch=counts.items / counts.batches if counts.batches else 0.0,
        queued_items=batcher.room.items,
        queued_bytes=batcher.room.bytes,
        in_flight=batcher.flying_items,
        answered=counts.answered,
        failed=counts.failed,
        deduplicated=counts.deduplicated,
        cache_hits=counts.recalled,
        cache_bytes=cache_bytes,
        splits=counts.splits,
        repeats=counts.repeats,
        busy_s=busy_s,
        up_s=up_s,
        clients=tuple(
            ClientStatus(
                name=party.name,
                asked=party.asked,
                answered=party.answered,
                outstanding=len(party.outstanding),
                items=party.items,
            )
            for party in batcher.parties.values()
        ),
    )
