"""Wakes a thread that waits in a selector."""

from __future__ import annotations

import socket
from contextlib import suppress

from vln.service.closable import Closable


class Bell(Closable):
    """Is readable after it was rung, until it is quieted.

    Whoever rings leaves word of what for before; whoever is woken quiets it, and looks afterwards.
    """

    def __init__(self) -> None:
        self._rings = False
        self._mine, self._theirs = socket.socketpair()
        for end in (self._mine, self._theirs):
            end.settimeout(0)

    def fileno(self) -> int:
        """Gives the descriptor to wait for."""
        return self._mine.fileno()

    def ring(self) -> None:
        """Wakes the thread; from any thread or signal handler, and costs nothing while it rings."""
        if not self._rings:
            self._rings = True
            with suppress(OSError):  # full: it rings already; closed: nobody waits any more
                self._theirs.send(b"\0")

    def quiet(self) -> None:
        """Ends the ringing."""
        with suppress(BlockingIOError):
            self._mine.recv(4096)
        self._rings = False

    def close(self) -> None:
        """Closes both ends."""
        self._mine.close()
        self._theirs.close()
