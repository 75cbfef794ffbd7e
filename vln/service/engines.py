"""Runs one batch on an engine: gathers its items, checks the answer, names what went wrong.

Knows no engine: out of memory is told by the error's class and words, so that nothing of torch is
imported here.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vln.errors import EncodingFailed, VlnError
from vln.service.requests import Batch, Group

Array = npt.NDArray[Any]

Engine = Callable[[str, Array], Array]
"""Takes a kind and items (N, ...), which it must not change, and gives a new array (N, ...).

Called from the service's one thread only.
"""

_MEMORY_WORDS = ("out of memory", "can't allocate memory", "alloc_failed")


class Part(NamedTuple):
    """Rows of a slice.

    Attributes:
        rows: (n, ...).
        is_own: The array is theirs alone; otherwise it must be copied before it is handed out.
    """

    rows: Array
    is_own: bool


def gathered(pieces: Sequence[Array]) -> Array:
    """Gives the items of all slices, (N, ...); no copy where there is one slice."""
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def checked(batch: Batch, rows: object) -> list[Part]:
    """Gives the rows of each slice.

    Raises:
        EncodingFailed: They are not one row per item, alike for all slices of a request.
    """
    if not isinstance(rows, np.ndarray) or rows.ndim < 1 or len(rows) != batch.count:
        given = f"shape {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise EncodingFailed(
            f"{batch.group}: the encoder gave {given} for {batch.count} items; expected an array "
            "with one row for each. This is a mistake in the encoder."
        )
    if len(batch.slices) == 1:
        parts = [Part(rows, is_own=rows.flags.writeable)]
    else:
        stops = list(accumulate(piece.stop - piece.start for piece in batch.slices))
        starts = [0, *stops[:-1]]
        parts = [
            Part(rows[start:stop], is_own=False) for start, stop in zip(starts, stops, strict=True)
        ]
    for piece, part in zip(batch.slices, parts, strict=True):
        if piece.job.parts:
            _must_be_alike(batch.group, piece.job.parts[0][1].rows, part.rows)
    return parts


def _must_be_alike(group: Group, earlier: Array, rows: Array) -> None:
    if earlier.shape[1:] != rows.shape[1:] or earlier.dtype != rows.dtype:
        raise EncodingFailed(
            f"{group}: the encoder gave rows of {earlier.shape[1:]} {earlier.dtype} and then of "
            f"{rows.shape[1:]} {rows.dtype} for one request. This is a mistake in the encoder."
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's or the machine's memory was too small."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"OutOfMemoryError", "MemoryError"}:
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in words for part in _MEMORY_WORDS)


def told(group: Group, error: Exception) -> VlnError:
    """Gives an engine's error as one of ours, without the arrays that its frames hold."""
    traceback.clear_frames(error.__traceback__)
    if isinstance(error, VlnError):
        return error
    failed = EncodingFailed(
        f"{group}: the encoder failed with {type(error).__name__}: {error}. Check the items; "
        "if other requests fail too, the encoder."
    )
    failed.__cause__ = error
    return failed
