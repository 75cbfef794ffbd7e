"""Answers that are kept for a while: what is asked for again need not be encoded again.

Only what has a key can be recognised. The owner keeps the lock.
"""

from __future__ import annotations

from collections import OrderedDict

from vln.service.engines import Array
from vln.service.requests import Group

Name = tuple[Group, int, str]
"""Group, number of items, key."""

_ENTRY_BYTES = 512
"""What an entry takes beside its rows, roughly, so that tiny answers are not without cost."""


class Cache:
    """The answers asked for last, as many as fit.

    Args:
        most: Bytes kept at most; 0 keeps nothing.
    """

    def __init__(self, most: int) -> None:
        self.bytes = 0
        self._most = most
        self._kept: OrderedDict[Name, Array] = OrderedDict()

    def find(self, name: Name) -> Array | None:
        """Gives the rows (N, ...) of an answer, not to be changed; None where they are not kept."""
        rows = self._kept.get(name)
        if rows is not None:
            self._kept.move_to_end(name)
        return rows

    def keeps(self, size: int) -> bool:
        """Whether an answer of so many bytes can be kept at all."""
        return size + _ENTRY_BYTES <= self._most

    def keep(self, name: Name, rows: Array) -> None:
        """Keeps rows that `keeps` allows and nobody will change, and forgets the oldest instead."""
        self._forget(name)
        self._kept[name] = rows
        self.bytes += rows.nbytes + _ENTRY_BYTES
        while self.bytes > self._most:
            self._forget(next(iter(self._kept)))

    def _forget(self, name: Name) -> None:
        rows = self._kept.pop(name, None)
        if rows is not None:
            self.bytes -= rows.nbytes + _ENTRY_BYTES
