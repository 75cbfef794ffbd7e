"""Which parts of a client's shared memory hold items that are on their way.

Knows nothing of sockets; its owner keeps the lock, and tells the server which segments there are.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final, NamedTuple

import numpy as np

from vln.errors import BadConfig, CannotWrite
from vln.service.engines import Array
from vln.service.local.segment import Segment

MOST: Final = 2**30
"""Bytes of a client's segments together."""
MOST_SEGMENTS: Final = 32
_ALIGNMENT: Final = 64
_SMALLEST: Final = 2**20
_LARGEST: Final = 2**26
_SPARE: Final = 2**26
"""Bytes that are kept though nothing is in them."""


class Slot(NamedTuple):
    """A part of a segment.

    Attributes:
        segment: Its number.
        offset: First byte.
        size: Bytes.
    """

    segment: int
    offset: int
    size: int


class _Shelf:
    """A segment with its holes, by offset."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.holes: list[tuple[int, int]] = [(0, segment.size)]
        self.used = 0
        self.is_spoilt = False

    def take(self, size: int) -> int | None:
        """Gives the offset of the first hole that is large enough."""
        if self.is_spoilt:
            return None
        for place, (offset, room) in enumerate(self.holes):
            if room >= size:
                rest = [(offset + size, room - size)] if room > size else []
                self.holes[place : place + 1] = rest
                self.used += 1
                return offset
        return None

    def give(self, offset: int, size: int) -> None:
        """Makes a hole again, one with those beside it."""
        self.used -= 1
        merged = list[tuple[int, int]]()
        for start, room in sorted([*self.holes, (offset, size)]):
            if merged and sum(merged[-1]) == start:
                merged[-1] = merged[-1][0], merged[-1][1] + room
            else:
                merged.append((start, room))
        self.holes = merged


class Slots:
    """Memory that grows by segments and is used again and again.

    Args:
        most: Bytes of all segments together.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._numbers = count()
        self._shelves: dict[int, _Shelf] = {}

    @property
    def segments(self) -> dict[int, Segment]:
        """The segments by number, oldest first."""
        return {number: shelf.segment for number, shelf in self._shelves.items()}

    @property
    def in_use(self) -> int:
        """Slots that were taken and not given back."""
        return sum(shelf.used for shelf in self._shelves.values())

    def take(self, size: int) -> Slot | None:
        """Gives room for so many bytes; None where something must be given back first.

        Raises:
            BadConfig: There never will be so much.
            CannotWrite: The machine has not so much memory.
        """
        size = max(_ALIGNMENT, -(-size // _ALIGNMENT) * _ALIGNMENT)
        if size > self._most:
            raise BadConfig(
                f"a request of {size:,} bytes; a client of a server shares at most {self._most:,}. "
                "Ask for fewer items at a time."
            )
        for number, shelf in self._shelves.items():
            offset = shelf.take(size)
            if offset is not None:
                return Slot(number, offset, size)
        return self._grown(size)

    def _grown(self, size: int) -> Slot | None:
        total = self._total
        wished = min(max(size, _SMALLEST, min(total, _LARGEST)), self._most - total)
        if wished < size or len(self._shelves) >= MOST_SEGMENTS:
            self._drop_idle(keep=0)  # they were too small, or in too many pieces
            total = self._total
            wished = size
        if total + size > self._most or len(self._shelves) >= MOST_SEGMENTS:
            return None
        segment = self._made(wished, size)
        if segment is None:
            return None
        number = next(self._numbers)
        shelf = self._shelves[number] = _Shelf(segment)
        offset = shelf.take(size)
        assert offset == 0
        return Slot(number, 0, size)

    def _made(self, wished: int, size: int) -> Segment | None:
        for bytes_ in dict.fromkeys((wished, size)):
            try:
                return Segment(bytes_)
            except CannotWrite:
                if bytes_ == size and not self.in_use:
                    raise
        return None

    @property
    def _total(self) -> int:
        return sum(shelf.segment.size for shelf in self._shelves.values())

    def view(self, slot: Slot, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Gives a slot as an array of so many bytes or fewer."""
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        data = self._shelves[slot.segment].segment.data
        return np.asarray(data[slot.offset : slot.offset + size].view(dtype).reshape(shape))

    def give(self, slot: Slot) -> None:
        """Takes a slot back whose items nobody reads any more."""
        self._shelves[slot.segment].give(slot.offset, slot.size)
        self._drop_idle(keep=_SPARE)

    def spoil(self, slot: Slot) -> None:
        """Takes a slot back whose items may still be read: nothing is written there ever again."""
        shelf = self._shelves[slot.segment]
        shelf.used -= 1
        shelf.is_spoilt = True
        self._drop_idle(keep=_SPARE)

    def _drop_idle(self, *, keep: int) -> None:
        """Closes segments with nothing in them, but for so many bytes of whole ones."""
        for number, shelf in list(self._shelves.items()):
            if shelf.used:
                continue
            if not shelf.is_spoilt and shelf.segment.size <= keep:
                keep -= shelf.segment.size
                continue
            shelf.segment.close()
            del self._shelves[number]

    def close(self) -> None:
        """Gives all memory up; what was handed out stays readable as long as it is held."""
        for shelf in self._shelves.values():
            shelf.segment.close()
        self._shelves.clear()
