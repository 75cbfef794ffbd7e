"""A client's line to the server: what is asked, what is answered, and a server that comes back.

One thread reads, connects, and connects again; whoever asks sends by himself, without blocking.
While the server is gone, requests wait in the client's own memory. They are sent again, in order,
to the server that comes back, if it holds the same encoders; answers of the old one can come no
more, so nothing is answered twice.
"""

from __future__ import annotations

import array
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import count
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from vln.errors import (
    BadFrame,
    EncodingFailed,
    ServiceBusy,
    ServiceClosed,
    VlnError,
)
from vln.service.engines import Array
from vln.service.local.bell import Bell
from vln.service.local.greeting import Talk, Unreachable, rows_of, told
from vln.service.local.remote_answer import RemoteAnswer
from vln.service.local.slots import Slot, Slots
from vln.service.local.wire import Frame, encoded

MAX_SENT: Final = 8
"""How often a request is sent to servers that end before they answer: it may be what ends them."""
_FIRST_PAUSE_S: Final = 0.01
_LAST_PAUSE_S: Final = 0.5


class Link:
    """The connection of one client, made when something is asked.

    Args:
        path: The server's socket.
        name: Of the client, for people.
        fingerprints: Of the encoders that may be asked for, as they were first seen.
        patience_s: Longest time to wait for a server that is gone, while something is asked.
    """

    def __init__(
        self, path: Path, *, name: str, fingerprints: Mapping[str, str], patience_s: float
    ) -> None:
        self._path, self._name, self._patience_s = path, name, patience_s
        self._fingerprints = fingerprints
        self._process = os.getpid()
        # Re-entrant: a collected client is closed in whatever thread the collection happens.
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._line = deque[object]()  # who waits for room, first come first served
        self._numbers = count()
        self._pending: dict[int, RemoteAnswer] = {}
        self._used = dict[str, None]()  # encoders that were asked for
        self._slots = Slots()
        self._known = set[int]()  # segments that the server has been sent
        self._talk: Talk | None = None
        self._unsent = deque[tuple[memoryview, tuple[int, ...]]]()
        self._is_closing = False
        self._closed = ""
        self._bell = Bell()
        self._pause = 0.0  # before the next try to connect
        self._thread = threading.Thread(target=self._run, name="vln-remote", daemon=True)
        self._thread.start()

    # What clients' threads call.

    def submit(
        self, header: Mapping[str, Any], items: Array, *, timeout_s: float | None, keep: object
    ) -> RemoteAnswer:
        """Sends a request, when there is room for its items.

        Args:
            header: All of the message but its id and where the items are.
            items: Copied.
            timeout_s: Longest wait for room; None for any.
            keep: What must live as long as the answer is on the way.
        """
        self.must_be_here()
        dtype = items.dtype.newbyteorder("<")
        slot, view = self._await_slot(items.shape, dtype, timeout_s)
        try:
            view[...] = items
            number = next(self._numbers)
            where = {"segment": slot.segment, "offset": slot.offset}
            form = {"shape": items.shape, "dtype": dtype.str}
            frame = encoded({"op": "encode", "id": number, **header, **where, **form})[0]
            answer = RemoteAnswer(self, number, slot=slot, frame=frame, keep=keep)
            with self._lock:
                self._must_be_open()
                self._pending[number] = answer
                self._used[header["encoder"]] = None
        except BaseException:
            with self._lock:
                if not self._closed:
                    self._slots.give(slot)
            raise
        with self._lock:
            if self._talk is None:
                self._bell.ring()
            elif not answer.sent:
                self._send([answer])
        return answer

    def cancel(self, answer: RemoteAnswer) -> bool:
        """Ends a request that has not ended; gives whether there was one."""
        if not self.is_here:
            return False
        with self._lock:
            if self._pending.pop(answer.number, None) is None:
                return False
            answer.end(None, EncodingFailed("the request was cancelled."))
            # A batch that is on the device may still read the items, for others who asked for them.
            self._slots.spoil(answer.slot)
            self._room.notify_all()
            if self._talk is not None:
                self._push({"op": "cancel", "id": answer.number})
                self._release()
                self._flush()
            return True

    @property
    def is_here(self) -> bool:
        """Whether this process made the link."""
        return self._process == os.getpid()

    def must_be_here(self) -> None:
        """Checks that this process has the thread that reads answers.

        Raises:
            ServiceClosed: It is a forked child.
        """
        if not self.is_here:
            raise ServiceClosed(
                f"this client of a server lives in process {self._process}, and this is a process "
                "forked from it. Make a RemoteService here, or start the process by 'spawn'."
            )

    def shut(self) -> None:
        """Has the thread end, with all that waits; takes no lock and waits for nothing."""
        if self.is_here:
            self._is_closing = True
            self._bell.ring()

    def close(self) -> None:
        """Ends all that waits with ServiceClosed, and hangs up."""
        self.shut()
        if self.is_here and threading.current_thread() is not self._thread:
            self._thread.join()

    def _await_slot(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], timeout_s: float | None
    ) -> tuple[Slot, Array]:
        """Gives room for items, and the array to write them to."""
        size = prod(shape) * dtype.itemsize
        token = object()
        end = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            self._line.append(token)
            try:
                while True:
                    self._must_be_open()
                    slot = self._slots.take(size) if self._line[0] is token else None
                    if slot is not None:
                        return slot, self._slots.view(slot, shape, dtype)
                    left = None if end is None else end - time.monotonic()
                    if left is not None and left <= 0:
                        raise ServiceBusy(
                            f"no room for {size:,} bytes beside {self._slots.in_use} requests that "
                            "wait. Ask again later, or allow more time."
                        )
                    self._room.wait(left and min(left, threading.TIMEOUT_MAX))
            finally:
                self._line.remove(token)
                if self._line:
                    self._room.notify_all()

    def _must_be_open(self) -> None:
        if self._closed:
            raise ServiceClosed(self._closed)

    # Sending; the lock is held.

    def _send(self, answers: Iterable[RemoteAnswer]) -> None:
        self._release()
        for number, segment in self._slots.segments.items():
            if number not in self._known:
                self._known.add(number)
                header = {"op": "segment", "id": number, "size": segment.size}
                self._push(header, (os.dup(segment.descriptor),))
        for answer in answers:
            answer.sent += 1
            self._unsent.append((answer.frame, ()))
        self._flush()

    def _release(self) -> None:
        for number in self._known - self._slots.segments.keys():
            self._known.remove(number)
            self._push({"op": "release", "id": number})

    def _push(self, header: Mapping[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        self._unsent.append((encoded(header)[0], descriptors))

    def _flush(self) -> None:
        """Sends what the socket takes; has the thread send the rest, and see a broken line."""
        assert self._talk is not None
        try:
            while self._unsent:
                frame, descriptors = self._unsent[0]
                beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
                sent = self._talk.sock.sendmsg([frame], beside if descriptors else [])
                self._unsent[0] = frame[sent:], ()
                _close(descriptors)
                if sent == len(frame):
                    self._unsent.popleft()
        except OSError:
            if threading.current_thread() is not self._thread:
                self._bell.ring()

    # The thread.

    def _run(self) -> None:
        error: VlnError = ServiceClosed("this client has been closed. Open a new one to ask more.")
        try:
            while not self._is_closing:
                if not self._pending:
                    self._rest()
                    continue
                talk = self._reached()
                if talk is not None:
                    self._converse(talk)
        except BaseException as cause:
            name = type(cause).__name__
            error = EncodingFailed(f"a client's thread ended with {name}: {cause}. Open a new one.")
            raise
        finally:
            with self._lock:
                self._closed = str(error)
                self._end_all(error)
                self._slots.close()
            self._bell.close()

    def _rest(self, within_s: float | None = None) -> None:
        """Waits until somebody rings for this thread."""
        self._watched({self._bell.fileno(): select.POLLIN}, within_s)

    def _watched(self, watched: Mapping[int, int], within_s: float | None = None) -> dict[int, int]:
        """Gives what happens to descriptors, and quiets the bell."""
        poll = select.poll()  # select has no place for descriptors beyond 1,023
        for descriptor, events in watched.items():
            poll.register(descriptor, events)
        found = dict(poll.poll(None if within_s is None else 1000 * within_s))
        if self._bell.fileno() in found:
            self._bell.quiet()
        return found

    def _reached(self) -> Talk | None:
        """Gives a new connection; None, with all requests ended, where there is none to be had."""
        end = time.monotonic() + self._patience_s
        if self._pause:
            self._rest(self._pause)  # the last one ended without an answer
        while self._pending and not self._is_closing:
            try:
                return self._greeted()
            except Unreachable as error:
                if time.monotonic() > end:
                    self._end_pending(
                        ServiceClosed(
                            f"no server at {self._path} for {self._patience_s:g} s ({error}). "
                            "Start it again, then ask again."
                        )
                    )
            except VlnError as error:
                self._end_pending(error)
            self._pause = min(max(2 * self._pause, _FIRST_PAUSE_S), _LAST_PAUSE_S)
            self._rest(self._pause)
        return None

    def _greeted(self) -> Talk:
        with self._lock:
            expect = {handle: self._fingerprints[handle] for handle in self._used}
        return Talk(
            self._path,
            name=self._name,
            expect=expect,
            is_wanted=lambda: not self._is_closing,
        )

    def _converse(self, talk: Talk) -> None:
        """Sends what waits and reads answers until the line breaks."""
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE_S), _LAST_PAUSE_S)
        with talk:
            talk.sock.setblocking(False)  # noqa: FBT003 - positional only
            with self._lock:
                self._talk = talk
                self._send(self._pending.values())
            try:
                while not self._is_closing and self._heard(talk):
                    pass
            finally:
                with self._lock:
                    self._hang_up()

    def _heard(self, talk: Talk) -> bool:
        """Waits for something to do, and does it; gives whether the line still stands."""
        events = select.POLLIN | (select.POLLOUT if self._unsent else 0)
        line = talk.sock.fileno()
        happened = self._watched({self._bell.fileno(): select.POLLIN, line: events}).get(line, 0)
        if happened & select.POLLOUT:
            with self._lock:
                self._flush()
        if not happened & ~select.POLLOUT:
            return True
        try:
            if not talk.inbox.receive(talk.sock):
                return False
            while (frame := talk.inbox.take()) is not None:
                self._hear(frame)
        except BlockingIOError:
            return True
        except (OSError, BadFrame):
            return False
        return True

    def _hear(self, frame: Frame) -> None:
        header = frame.header
        if header.get("op") not in ("answer", "error") or header.get("fatal"):
            return  # its last words; the line breaks now, and the requests are sent again
        self._pause = 0.0
        rows = rows_of(frame) if header["op"] == "answer" else None
        error = told(header) if rows is None else None
        with self._lock:
            answer = self._pending.pop(header.get("id", -1), None)
            if answer is not None:  # else it was cancelled
                self._end(answer, rows, error)
                self._release()
                self._flush()

    def _end(self, answer: RemoteAnswer, rows: Array | None, error: VlnError | None) -> None:
        answer.end(rows, error)
        self._slots.give(answer.slot)
        if self._line:
            self._room.notify_all()

    def _hang_up(self) -> None:
        self._talk = None
        self._known.clear()
        for _, descriptors in self._unsent:
            _close(descriptors)
        self._unsent.clear()
        for number, answer in list(self._pending.items()):
            if answer.sent >= MAX_SENT:
                del self._pending[number]
                error = EncodingFailed(
                    f"the server ended {answer.sent} times before it answered this request, which "
                    "may be why. Look at the server's own messages; ask for fewer items."
                )
                self._end(answer, None, error)

    def _end_pending(self, error: VlnError) -> None:
        with self._lock:
            self._end_all(error)

    def _end_all(self, error: VlnError) -> None:
        pending, self._pending = self._pending, {}
        for answer in pending.values():
            self._end(answer, None, error)
        self._room.notify_all()


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
