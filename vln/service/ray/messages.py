"""What goes between a client and a replica: a header in JSON, and an array's plain bytes.

Ray carries both as they are. No object of ours is pickled, errors included: an error travels as its
name and its sentence. Knows nothing of Ray.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from vln.errors import VlnError
from vln.service.local.greeting import told as reason

Array = npt.NDArray[Any]
Message = tuple[str, bytes]
"""Header and body."""


def packed(array: Array, **words: Any) -> Message:  # noqa: ANN401 - whatever JSON holds
    """Gives a message with an array, its numbers little-endian, and words beside it."""
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    header = {**words, "shape": list(array.shape), "dtype": plain.dtype.str}
    return orjson.dumps(header).decode(), plain.tobytes()


def unpacked(header: dict[str, Any], body: bytes) -> Array:
    """Gives the array of a message; read-only, a view of the body."""
    return np.frombuffer(body, dtype=header["dtype"]).reshape(header["shape"])


def told(error: VlnError) -> Message:
    """Gives the message that says what went wrong."""
    message = str(error).encode("utf-8", "replace").decode()  # a path may hold what JSON cannot
    header = {"type": type(error).__name__, "message": message}
    return orjson.dumps(header).decode(), b""


def words(header: str) -> dict[str, Any]:
    """Gives what a header says.

    Raises:
        VlnError: It says what went wrong; of a kind that this program does not know,
            EncodingFailed.
    """
    found: dict[str, Any] = orjson.loads(header)
    if "type" in found:
        raise reason(found)
    return found
