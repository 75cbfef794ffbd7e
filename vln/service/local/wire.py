"""What travels over the socket: frames of a JSON header and a body, and file descriptors beside.

A frame is the header's length (4 bytes, big-endian), the header (a JSON object), and, where the
header says `"body": n`, n bytes. Nothing is ever unpickled. Knows nothing of what headers mean,
which is `vln.service.local.messages`, and of who speaks to whom.
"""

from __future__ import annotations

import array
import os
import socket
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from vln.errors import BadFrame
from vln.service.engines import Array

VERSION: Final = 1
MAX_HEADER: Final = 65_536
"""Bytes of a header."""
MAX_BODY: Final = 2**28
"""Bytes of a body."""

_LENGTH: Final = 4
_SCRATCH: Final = 2**16
_MAX_DESCRIPTORS: Final = 8
"""That may lie unclaimed; each belongs to a frame that comes with it."""
_DESCRIPTOR_SPACE: Final = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)
# Where the flag is missing, a process started in between would inherit the descriptors.
_CLOSE_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Frame(NamedTuple):
    """One message.

    Attributes:
        header: JSON object.
        body: The bytes after it, the receiver's own.
    """

    header: dict[str, Any]
    body: bytearray


def encoded(header: Mapping[str, Any], body: Array | None = None) -> list[memoryview]:
    """Gives a frame's buffers, in order.

    Args:
        header: JSON values; `body` is added where there is one.
        body: C-contiguous; not copied, so it must not change until it is sent.

    Raises:
        BadFrame: The header or body is larger than a frame may be.
    """
    size = 0 if body is None else body.nbytes
    values = {**header, "body": size} if size else dict(header)
    text = orjson.dumps(values)
    if len(text) > MAX_HEADER or size > MAX_BODY:
        raise BadFrame(
            f"a message {header.get('op')!r} of {len(text):,} and {size:,} bytes; a frame takes "
            f"{MAX_HEADER:,} and {MAX_BODY:,}. Send it in parts."
        )
    head = memoryview(len(text).to_bytes(_LENGTH, "big") + text)
    return [head] if body is None or not size else [head, body.reshape(-1).view(np.uint8).data]


def send(
    sock: socket.socket,
    header: Mapping[str, Any],
    *,
    body: Array | None = None,
    descriptors: Sequence[int] = (),
) -> None:
    """Sends a frame over a blocking socket; whoever shares the socket keeps a lock around it.

    Raises:
        BadFrame: As `encoded`.
        OSError: The other side is gone, or the socket's own time is over.
    """
    buffers = encoded(header, body)
    beside = []
    if descriptors:
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    sent = sock.sendmsg(buffers, beside)
    for rest in _after(buffers, sent):
        sock.sendall(rest)


def _after(buffers: Iterable[memoryview], sent: int) -> list[memoryview]:
    """Gives what is left of buffers after so many bytes."""
    left = list[memoryview]()
    for buffer in buffers:
        if sent < len(buffer):
            left.append(buffer[sent:])
        sent = max(0, sent - len(buffer))
    return left


class Inbox:
    """Puts frames together from whatever arrives on a stream socket.

    Attributes:
        descriptors: File descriptors that came and were not taken yet, oldest first; whoever pops
            one closes it.

    Args:
        max_body: Bytes of a body that are accepted; 0 for a side that expects none.
    """

    def __init__(self, *, max_body: int = MAX_BODY) -> None:
        self.descriptors = deque[int]()
        self._max_body = max_body
        self._data = bytearray()
        self._scratch = bytearray(_SCRATCH)
        self._header: dict[str, Any] | None = None
        self._body = bytearray()
        self._filled = 0

    def receive(self, sock: socket.socket) -> int:
        """Reads once, and gives how many bytes came; 0 when the other side has ended.

        Raises:
            BadFrame: More file descriptors came than belong to frames.
            OSError: What the socket says, BlockingIOError among it.
        """
        is_direct = self._header is not None and not self._data
        buffer = memoryview(self._body)[self._filled :] if is_direct else memoryview(self._scratch)
        size, beside, flags, _ = sock.recvmsg_into([buffer], _DESCRIPTOR_SPACE, _CLOSE_ON_EXEC)
        self._take_descriptors(beside)
        if flags & socket.MSG_CTRUNC or len(self.descriptors) > _MAX_DESCRIPTORS:
            raise BadFrame(
                f"more than {_MAX_DESCRIPTORS} file descriptors at once; expected one with each "
                "segment."
            )
        if is_direct:
            self._filled += size
        else:
            self._data += buffer[:size]
        return size

    def _take_descriptors(self, beside: Iterable[tuple[int, int, bytes]]) -> None:
        for level, kind, data in beside:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found = array.array("i")
                found.frombytes(data[: len(data) - len(data) % found.itemsize])
                self.descriptors.extend(found)

    def take(self) -> Frame | None:
        """Gives the next whole frame, or None.

        Raises:
            BadFrame: What came is no frame; nothing more can be made of this stream.
        """
        if self._header is None and not self._take_header():
            return None
        if self._filled < len(self._body):
            piece = self._data[: len(self._body) - self._filled]
            self._body[self._filled : self._filled + len(piece)] = piece
            del self._data[: len(piece)]
            self._filled += len(piece)
        if self._filled < len(self._body):
            return None
        assert self._header is not None
        frame = Frame(self._header, self._body)
        self._header, self._body, self._filled = None, bytearray(), 0
        return frame

    def _take_header(self) -> bool:
        if len(self._data) < _LENGTH:
            return False
        length = int.from_bytes(self._data[:_LENGTH], "big")
        if not 1 <= length <= MAX_HEADER:
            raise BadFrame(f"a header of {length:,} bytes; expected 1 to {MAX_HEADER:,}.")
        if len(self._data) < _LENGTH + length:
            return False
        self._header = _parsed(bytes(self._data[_LENGTH : _LENGTH + length]))
        del self._data[: _LENGTH + length]
        size = self._header.get("body", 0)
        if type(size) is not int or not 0 <= size <= self._max_body:
            raise BadFrame(
                f"a body of {str(size)[:20]} bytes; expected an integer, 0 to {self._max_body:,}."
            )
        self._body = bytearray(size)
        return True

    def close(self) -> None:
        """Closes the file descriptors that nobody took."""
        while self.descriptors:
            os.close(self.descriptors.popleft())


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        header = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadFrame(f"a header {text[:40]!r} that is no JSON ({error}).") from None
    if not isinstance(header, dict):
        raise BadFrame(f"a header that is a {type(header).__name__}; expected a JSON object.")
    return header


class Outbox:
    """Frames on their way out of a socket that does not block.

    Attributes:
        unsent: Bytes that wait.
        since: When the other side last took something, or had nothing to take, in seconds.
    """

    _AT_ONCE: Final = 64
    """Buffers handed to the system in one call; there is a limit of about a thousand."""

    def __init__(self) -> None:
        self.unsent = 0
        self.since = 0.0
        self._buffers = deque[memoryview]()

    def push(self, buffers: Iterable[memoryview], *, now: float) -> None:
        """Adds a frame."""
        if not self.unsent:
            self.since = now
        for buffer in buffers:
            self._buffers.append(buffer)
            self.unsent += len(buffer)

    def flush(self, sock: socket.socket, *, now: float) -> None:
        """Sends what the socket takes without blocking.

        Raises:
            OSError: The other side is gone.
        """
        while self._buffers:
            count = min(len(self._buffers), self._AT_ONCE)
            first = [self._buffers[place] for place in range(count)]
            try:
                sent = sock.sendmsg(first)
            except BlockingIOError:
                return
            for _ in first:
                self._buffers.popleft()
            self._buffers.extendleft(reversed(_after(first, sent)))
            self.unsent -= sent
            self.since = now
