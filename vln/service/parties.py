"""Who asks, and what has been done: the core's books."""

from __future__ import annotations

from dataclasses import dataclass, field

from vln.service.requests import Request


@dataclass(slots=True)
class Counts:
    """What a core has done so far; items in batches, requests otherwise."""

    items: int = 0
    batches: int = 0
    deduplicated: int = 0
    recalled: int = 0
    answered: int = 0
    failed: int = 0
    splits: int = 0
    repeats: int = 0


@dataclass(slots=True, eq=False)
class Party:
    """One client, as the core sees it.

    Attributes:
        number: Which.
        name: For people.
        outstanding: Its requests that have not ended, by number, oldest first.
        items: Items of its requests that went into batches.
        served: The same, as if it had had its share while it asked for nothing.
        waiting: Its requests that stand in a lane.
        asked: Requests so far.
        answered: Of these, ended with an answer.
    """

    number: int
    name: str
    outstanding: dict[int, Request] = field(default_factory=dict)
    items: int = 0
    served: int = 0
    waiting: int = 0
    asked: int = 0
    answered: int = 0

    def serve(self, items: int) -> None:
        """Notes that items went into a batch for it."""
        self.items += items
        self.served += items
