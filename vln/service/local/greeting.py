"""How a client process finds a server and learns what it holds."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from vln import errors
from vln.errors import BadConfig, BadFrame, EncodingFailed, ServiceBusy, ServiceClosed, VlnError
from vln.service.closable import Closable
from vln.service.engines import Array
from vln.service.local.place import address, must_be_ours
from vln.service.local.wire import VERSION, Frame, Inbox, send

GREETING_S: Final = 10.0
"""Longest wait for a server that accepts a connection to say something."""
_LOOK_S: Final = 0.1
_MAX_NAME: Final = 200


class Unreachable(Exception):
    """Raised when no server answers, now; it may be there in a moment. Never leaves this folder."""


class Talk(Closable):
    """A connection whose other side has said what it holds.

    Attributes:
        sock: The connection.
        inbox: Of what arrives on it.
        welcome: The server's first message.

    Args:
        path: The server's socket.
        name: Of the client, for people.
        expect: Fingerprints by encoder; empty where any will do.
        is_wanted: Asked now and then; the wait ends when it is not.

    Raises:
        Unreachable: Nobody answers, or nobody wants it any more.
        UnknownName, CheckpointMismatch: The server has not what is expected.
        BadConfig: It speaks another version, it is another user's, or there can be no such socket.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        expect: Mapping[str, str],
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._is_wanted = is_wanted
        self.inbox = Inbox()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(_LOOK_S)
            _connect(self.sock, path)
            must_be_ours(self.sock, path)
            hello = {"op": "hello", "version": VERSION, "name": printable(name)}
            self.welcome = self.ask({**hello, "pid": os.getpid(), "expect": dict(expect)}).header
            if self.welcome.get("op") != "welcome":
                raise BadConfig(f"{path} answers, but is no server of encoders. Name another.")
        except BaseException:
            self.close()
            raise

    def ask(self, header: Mapping[str, Any], *, within_s: float = GREETING_S) -> Frame:
        """Sends a message and gives the next one that comes.

        Raises:
            Unreachable: The server is gone, or says nothing in time.
            VlnError: It answers with an error.
        """
        end = time.monotonic() + within_s
        try:
            send(self.sock, header)
            while (frame := self.inbox.take()) is None:
                self._receive(end)
        except BadFrame as error:
            raise BadConfig(f"the server sends what is no answer: {error}") from None
        except OSError as error:
            raise Unreachable(error.strerror or type(error).__name__) from None
        if frame.header.get("op") != "error":
            return frame
        refusal = told(frame.header)
        if frame.header.get("fatal") and isinstance(refusal, ServiceBusy | ServiceClosed):
            raise Unreachable(str(refusal).rstrip("."))
        raise refusal

    def _receive(self, end: float) -> None:
        while True:
            try:
                if not self.inbox.receive(self.sock):
                    raise Unreachable("it closed the connection")
                return
            except TimeoutError:
                if time.monotonic() > end or not self._is_wanted():
                    raise Unreachable("it accepts connections and says nothing") from None

    def close(self) -> None:
        """Hangs up."""
        self.inbox.close()
        self.sock.close()


def _connect(sock: socket.socket, path: Path) -> None:
    try:
        sock.connect(address(path))
    except OSError as error:
        raise Unreachable(error.strerror or type(error).__name__) from None


def printable(name: str) -> str:
    """Gives a client's name as any message can hold it."""
    return name[:_MAX_NAME].encode(errors="replace").decode()


def told(header: Mapping[str, Any]) -> VlnError:
    """Gives the error that a server tells of."""
    kind = getattr(errors, str(header.get("type")), None)
    if not isinstance(kind, type) or not issubclass(kind, VlnError):
        kind = EncodingFailed
    return kind(str(header.get("message", "the server gives no reason.")))


def rows_of(frame: Frame) -> Array:
    """Gives the array of an answer, the caller's own.

    Raises:
        BadFrame: Header and body do not fit each other.
    """
    try:
        rows = np.frombuffer(frame.body, dtype=np.dtype(frame.header["dtype"]))
        return rows.reshape(frame.header["shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadFrame(f"an answer that is no array ({type(error).__name__}: {error}).") from None
