"""What a client of a server holds while its request is on the way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from vln.errors import ServiceBusy, VlnError
from vln.service.engines import Array
from vln.service.local.slots import Slot

if TYPE_CHECKING:
    from vln.service.local.link import Link


class RemoteAnswer:
    """The rows that a request will have, or the error that it will end with.

    Made by `RemoteClient.submit`. May be asked from any thread, and as often as one likes.

    Attributes:
        number: The client's name for it.
        slot: Where its items are.
        frame: What is sent, and sent again to a server that comes back.
        sent: How often it was.

    Args:
        link: On which it is sent.
        number: See above.
        slot: See above.
        frame: See above.
        keep: What must live as long as the answer is on the way.
    """

    def __init__(
        self, link: Link, number: int, *, slot: Slot, frame: memoryview, keep: object
    ) -> None:
        self.number, self.slot, self.frame, self.sent = number, slot, frame, 0
        self._link = link
        self._keep: object = keep
        self._is_over = threading.Event()
        self._rows: Array | None = None
        self._error: VlnError | None = None

    def done(self) -> bool:
        """Whether the answer or the error is there."""
        return self._is_over.is_set()

    def result(self, timeout_s: float | None = None) -> Array:
        """Gives the rows, (N, ...), waiting for them; the array is the caller's own.

        Args:
            timeout_s: Longest wait in seconds; None for any. The request stays on its way when the
                time is over: ask again, or cancel.

        Raises:
            ServiceBusy: The time is over.
            ServiceClosed: The server or the client was closed before the answer was there, or the
                server is gone and did not come back.
            CheckpointMismatch, UnknownName: It came back with another encoder.
            EncodingFailed: The encoder failed, or the request was cancelled.
            OutOfMemory: An item alone does not fit into the device's memory.
            VlnError: Whatever else of these the encoder raised, such as BadImage.
        """
        if not self._is_over.is_set():
            self._link.must_be_here()
            longest = None if timeout_s is None else max(0.0, min(timeout_s, threading.TIMEOUT_MAX))
            if not self._is_over.wait(longest):
                raise ServiceBusy(
                    f"no answer within {timeout_s:g} s. Ask again for the result, or cancel the "
                    "request."
                )
        if self._error is not None:
            raise self._error
        assert self._rows is not None
        return self._rows

    def cancel(self) -> bool:
        """Gives up on the answer; gives whether there was still something to give up.

        Others that wait for the same items still get them.
        """
        return self._link.cancel(self)

    def end(self, rows: Array | None, error: VlnError | None) -> None:
        """Hands over the outcome and wakes whoever waits for it; the link's lock is held."""
        self._rows, self._error = rows, error
        self._keep = None
        self.frame = memoryview(b"")
        self._is_over.set()
