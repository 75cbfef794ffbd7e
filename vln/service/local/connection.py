"""One client's connection, on the server's side: reading, writing, patience.

Never blocks. Whatever a client does wrong ends its own connection and nothing else.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, Final

from vln.errors import BadFrame, VlnError
from vln.service.engines import Array
from vln.service.local.messages import understood
from vln.service.local.session import Hall, Session, described
from vln.service.local.wire import Inbox, Outbox, encoded

logger = logging.getLogger(__name__)

_HURRY: Final = 10


class Connection:
    """One client.

    Attributes:
        is_over: Nothing more is to be done, but to `end` it.

    Args:
        sock: Connected, not blocking; taken over.
        hall: The server's.
        pid: The client's process, as the system says.
        now: The time, in seconds.
    """

    def __init__(self, sock: socket.socket, hall: Hall, *, pid: int, now: float) -> None:
        self.is_over = False
        self._sock, self._hall, self._now = sock, hall, now
        self._since = now  # when it came, or when it was told its last words
        self._is_leaving = False
        self._inbox, self._outbox = Inbox(max_body=0), Outbox()
        self._session = Session(
            hall,
            say=self._say,
            ended=lambda number: hall.ended(self, number),
            descriptors=self._inbox.descriptors,
            pid=pid,
        )

    def fileno(self) -> int:
        """Gives the socket's descriptor, for selectors."""
        return self._sock.fileno()

    @property
    def name(self) -> str:
        """As the client calls itself; empty until it has."""
        return self._session.name

    @property
    def is_parked(self) -> bool:
        """Whether a request waits for room."""
        return self._session.parked is not None

    @property
    def events(self) -> int:
        """What the socket is to be watched for; may be nothing."""
        reading = EVENT_READ if self._is_reading else 0
        return reading | (EVENT_WRITE if self._outbox.unsent else 0)

    @property
    def _is_reading(self) -> bool:
        limits = self._hall.limits
        return not (
            self._is_leaving
            or self.is_over
            or self.is_parked
            or len(self._session.pending) >= limits.max_pending
            or self._outbox.unsent > limits.max_unsent_bytes
        )

    @property
    def is_awaited(self) -> bool:
        """Whether it could be late: something is expected of the client."""
        return bool(not self.name or self._is_leaving or self._outbox.unsent)

    def act(self, events: int, *, now: float) -> None:
        """Writes and reads what can be."""
        self._now = now
        if events & EVENT_WRITE:
            self._flush()
        try:
            if events & EVENT_READ and self._is_reading and not self._inbox.receive(self._sock):
                self.is_over = True
        except BlockingIOError:
            pass
        except OSError:
            self.is_over = True
        except BadFrame as error:
            self.refuse(error, now=now)
        self.work(now=now)

    def work(self, *, now: float) -> None:
        """Does what was read and not yet done, as far as it can be."""
        self._now = now
        try:
            while self._is_reading:
                frame = self._inbox.take()
                if frame is None:
                    return
                self._session.hear(understood(frame.header))
        except VlnError as error:
            self.refuse(error, now=now)
        if self.is_parked and self not in self._hall.line:
            self._hall.line.append(self)

    def retry(self, *, now: float) -> None:
        """Submits the request that waits for room; it may have to wait on."""
        self._now = now
        try:
            self._session.retry()
        except VlnError as error:
            self.refuse(error, now=now)

    def answered(self, number: int, *, now: float) -> None:
        """Sends the answer of a request that has ended."""
        self._now = now
        if not self.is_over and not self._is_leaving:
            self._session.answered(number)

    def overdue(self, *, now: float) -> str:
        """Gives why the connection should be closed at this time, or nothing."""
        limits = self._hall.limits
        if self._is_leaving and now - self._since > limits.max_farewell_s:
            return "took no last words"
        if not self.name and not self._is_leaving and now - self._since > limits.max_silence_s:
            return f"did not say who it is within {limits.max_silence_s:g} s"
        hurry = _HURRY if self._outbox.unsent > limits.max_unsent_bytes else 1
        if self._outbox.unsent and now - self._outbox.since > limits.max_stall_s / hurry:
            return f"left {self._outbox.unsent:,} bytes of answers lying for too long"
        return ""

    def refuse(self, error: VlnError, *, now: float) -> None:
        """Tells the client why it is served no longer, and listens no more."""
        self._now = now
        if self._is_leaving or self.is_over:
            return
        logger.warning("%s (process %d): %s", self.name or "a client", self._session.pid, error)
        self._say({"op": "error", "fatal": True, **described(error)}, None)
        self._go()

    def leave(self, *, now: float) -> None:
        """Listens no more, because the server ends; what is on its way out still goes."""
        self._now = now
        self._session.leave()
        self._go()

    def _go(self) -> None:
        self._is_leaving, self._since = True, self._now
        self._session.close()
        self.is_over = self.is_over or not self._outbox.unsent

    def end(self) -> None:
        """Closes everything; what is on the device keeps its memory until it is done."""
        self.is_over = True
        self._session.close()
        self._inbox.close()
        self._sock.close()

    def as_json(self) -> dict[str, Any]:
        """Gives what is told about it."""
        return {
            "name": self.name,
            "pid": self._session.pid,
            "answered": self._session.answers,
            "items": self._session.items,
            "pending": len(self._session.pending) + self.is_parked,
            "unsent_bytes": self._outbox.unsent,
            "segment_bytes": self._session.segment_bytes,
        }

    def _say(self, header: Mapping[str, Any], body: Array | None) -> None:
        self._outbox.push(encoded(header, body), now=self._now)
        self._flush()

    def _flush(self) -> None:
        try:
            self._outbox.flush(self._sock, now=self._now)
        except OSError:
            self.is_over = True
        if self._is_leaving and not self._outbox.unsent:
            self.is_over = True
