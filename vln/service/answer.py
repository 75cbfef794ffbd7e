"""What a client holds while its request is on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from vln.errors import EncodingFailed, ServiceBusy, VlnError
from vln.service.engines import Array, Part
from vln.service.requests import Request

if TYPE_CHECKING:
    from vln.service.desk import Desk


class Answer:
    """The rows that a request will have, or the error that it will end with.

    Made by `Client.submit`. May be asked from any thread, and as often as one likes.

    Args:
        desk: Who works on it.
        items: (N, ...) what is to be encoded.
        keep: What must live as long as the answer is on the way.
    """

    def __init__(self, desk: Desk, items: Array, *, keep: object) -> None:
        self._desk = desk
        self._items: Array | None = items
        self._keep: object = keep
        self._request: Request | None = None
        self._woken: threading.Condition | None = None
        self._listener: Callable[[], None] | None = None
        self._parts: tuple[Part, ...] = ()
        self._error: VlnError | None = None
        self._has_ended = False

    def done(self) -> bool:
        """Whether the answer or the error is there."""
        return self._has_ended

    def result(self, timeout_s: float | None = None) -> Array:
        """Gives the rows, (N, ...), waiting for them; the array is the caller's own.

        Args:
            timeout_s: Longest wait in seconds; None for any. The request stays on its way when the
                time is over: ask again, or cancel.

        Raises:
            ServiceBusy: The time is over.
            ServiceClosed: The service or the client was closed before the answer was there.
            EncodingFailed: The encoder failed, or the request was cancelled.
            OutOfMemory: An item alone does not fit into the device's memory.
            VlnError: Whatever else of these the encoder raised, such as BadImage.
        """
        if not self._has_ended:
            self._wait(timeout_s)
        if self._error is not None:
            raise self._error
        return self._rows()

    def tell(self, listener: Callable[[], None]) -> None:
        """Has the listener called once, when the answer or the error is there.

        Args:
            listener: Called at once where that is so already; otherwise from whatever thread ends
                the request, with the service's lock held, so it must be quick and raise nothing.
        """
        with self._desk.lock:
            if not self._has_ended:
                self._listener = listener
                return
        listener()

    def cancel(self) -> bool:
        """Gives up on the answer; gives whether there was still something to give up.

        Others that wait for the same items still get them. What is on the device already is not
        interrupted, so the items must not be changed before the batch in flight is over.
        """
        if not self._desk.is_here:
            return False
        with self._desk.lock:
            if self._has_ended or self._request is None:
                return False
            self._desk.cancel(self._request, EncodingFailed("the request was cancelled."))
            return True

    def _wait(self, timeout_s: float | None) -> None:
        desk = self._desk
        desk.must_be_here()
        with desk.lock:
            if self._woken is None:
                self._woken = threading.Condition(desk.lock)
            end = None if timeout_s is None else desk.clock.now() + timeout_s
            while not self._has_ended:
                left = None if end is None else end - desk.clock.now()
                if left is not None and left <= 0:
                    raise ServiceBusy(
                        f"no answer within {timeout_s:g} s. Ask again for the result, or cancel "
                        "the request."
                    )
                desk.clock.wait(self._woken, left)

    def _rows(self) -> Array:
        parts = self._parts
        if len(parts) == 1 and parts[0].is_own:
            return parts[0].rows
        # Here, in the client's thread: the device's thread has better things to do than copying.
        rows = np.concatenate([part.rows for part in parts])
        self._parts = (Part(rows, is_own=True),)
        return rows

    # What the desk calls, with the lock held.

    def begin(self, request: Request) -> None:
        """Notes which request this answers."""
        self._request = request

    def items(self, start: int, stop: int) -> Array:
        """Gives items `start` to `stop`, a view; the request must not have ended."""
        assert self._items is not None
        return self._items[start:stop]

    def end(self, parts: tuple[Part, ...], error: VlnError | None) -> None:
        """Hands over the outcome and wakes whoever waits for it."""
        self._parts, self._error = parts, error
        self._items = self._request = self._keep = None
        self._has_ended = True
        if self._woken is not None:
            self._woken.notify_all()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener()
