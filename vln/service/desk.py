"""Where requests are handed in and answers handed out: the core, its lock, and who waits for what.

Shared by the threads that ask and those that work. It knows neither the service object nor the
engines.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence

import numpy as np

from vln.errors import ServiceClosed, VlnError
from vln.service.answer import Answer
from vln.service.cache import Cache
from vln.service.clock import Clock
from vln.service.core import Batcher
from vln.service.engines import Array, Part
from vln.service.requests import Group, Job, Limits, Request
from vln.service.status import Status, status_of


class Desk:
    """A batching core that threads can share.

    Attributes:
        lock: Held by whoever touches anything here.
        work: What the device's thread waits for.
        ahead: What the thread that prepares batches waits for.
        batcher: The core.
        wake_at: When the device's thread will look for a batch by itself; None while it is awake.
        wants_ahead: The other thread sleeps and has nothing ready.
        closed: Why nothing more is accepted; empty while something is.
        busy_s: Seconds that engines took so far.

    Args:
        limits: Of batches, waiting and queue.
        clock: Where the time comes from.
    """

    def __init__(self, *, limits: Limits, clock: Clock) -> None:
        # Re-entrant: a collected service shuts down in whatever thread the collection happens.
        self.lock = threading.RLock()
        self.work = threading.Condition(self.lock)
        self.ahead = threading.Condition(self.lock)
        self.clock = clock
        self.batcher = Batcher(limits)
        self._cache = Cache(limits.max_cache_bytes)
        self.wake_at: float | None = None
        self.wants_ahead = False
        self.closed = ""
        self.busy_s = 0.0
        self._room = threading.Condition(self.lock)
        self._gone = deque[int]()  # clients that nobody holds any more
        self._line = deque[object]()  # who waits for room, first come first served
        self._started = clock.now()
        self._process = os.getpid()

    def open(self, name: str) -> int:
        """Gives the number of a new client."""
        self.must_be_here()
        with self.lock:
            self._must_be_open()
            self._clear()
            return self.batcher.open(name)

    def close_client(self, client: int) -> None:
        """Forgets a client; its requests end."""
        if not self.is_here:
            return
        with self.lock:
            if client in self.batcher.parties:
                self.deliver(self.batcher.close(client, _client_closed()))
                self._room.notify_all()  # its own submits may wait there

    def drop_client(self, client: int) -> None:
        """Notes that nobody holds a client any more, nor an answer on its way to it.

        Takes no lock, because a collection may come at any moment, in any thread.
        """
        self._gone.append(client)

    def submit(
        self,
        client: int,
        group: Group,
        items: Array,
        *,
        key: str,
        timeout_s: float | None,
        keep: object,
    ) -> Answer:
        """Gives the answer-to-be of a new request, when there is room for it."""
        self.must_be_here()
        answer = Answer(self, items, keep=keep)
        count, size = len(items), items.nbytes
        with self.lock:
            self._await_room(client, count, size, timeout_s)
            now = self.clock.now()
            kept = self._cache.find((group, count, key)) if key else None
            known = None if kept is None else Part(kept, is_own=False)
            request = self.batcher.ask(
                client, group, count, now=now, size=size, key=key, payload=answer, known=known
            )
            answer.begin(request)
            if known is None:
                self._wake(now)
            else:
                self.deliver(self.batcher.settle(client, now=now))
        return answer

    def cancel(self, request: Request, error: VlnError) -> None:
        """Ends a request with an error."""
        with self.lock:
            self.deliver(self.batcher.cancel(request, error, now=self.clock.now()))

    def status(self) -> Status:
        """Gives what has been done so far."""
        self.must_be_here()
        with self.lock:
            self._clear()
            up_s = self.clock.now() - self._started
            return status_of(
                self.batcher, cache_bytes=self._cache.bytes, busy_s=self.busy_s, up_s=up_s
            )

    def shut(self, reason: str) -> None:
        """Accepts nothing more, ends what waits, and tells everybody."""
        if not self.is_here:  # the lock may have been copied while somebody held it
            return
        with self.lock:
            if self.closed:
                return
            self.closed = reason
            error = ServiceClosed(f"{reason} before this request was encoded.")
            self.deliver(self.batcher.stop(error, now=self.clock.now()))
            self.tell_all()

    def abort(self, reason: str, error: VlnError) -> None:
        """Accepts nothing more and ends everything, what is on the device included."""
        with self.lock:
            self.closed = self.closed or reason
            self.deliver(self.batcher.abort(error, now=self.clock.now()))
            self.tell_all()

    def tell_all(self) -> None:
        """Wakes every thread that waits here, except for an answer."""
        for condition in (self.work, self.ahead, self._room):
            condition.notify_all()

    @property
    def is_here(self) -> bool:
        """Whether this process made the desk; a forked child has the memory, not the threads."""
        return self._process == os.getpid()

    def must_be_here(self) -> None:
        """Checks that this process has the threads that answer.

        Raises:
            ServiceClosed: It is a forked child.
        """
        if not self.is_here:
            raise ServiceClosed(
                f"this service lives in process {self._process}, and this is a process forked from "
                "it, which has no device thread. Make a service here, or start the process by "
                "'spawn' and hand it features."
            )

    def deliver(self, ended: Sequence[Request]) -> None:
        """Hands over what has ended; the lock is held."""
        for request in ended:
            answer: Answer = request.payload
            request.payload = None
            if request.job.key and not request.error:
                self._keep(request.job)
            parts = () if request.error else tuple(request.job.answer())
            if request.job.is_shared:
                parts = tuple(part._replace(is_own=False) for part in parts)
            answer.end(parts, request.error)
        if ended and self._line:
            self._room.notify_all()

    def _keep(self, job: Job) -> None:
        """Keeps a job's answer for those who ask later, the first time it is handed out."""
        key, job.key = job.key, ""
        parts: list[Part] = job.answer()
        if self._cache.keeps(sum(part.rows.nbytes for part in parts)):
            is_whole = len(parts) == 1 and parts[0].is_own  # else it would keep a whole batch
            rows = parts[0].rows if is_whole else np.concatenate([part.rows for part in parts])
            self._cache.keep((job.group, job.count, key), rows)
            job.parts = [(0, Part(rows, is_own=False))]

    def _clear(self) -> None:
        while self._gone:
            client = self._gone.popleft()
            if client in self.batcher.parties:
                self.deliver(self.batcher.close(client, _client_closed()))

    def _must_be_open(self) -> None:
        if self.closed:
            raise ServiceClosed(f"{self.closed}. Make a new one to ask for more.")

    def _await_room(self, client: int, items: int, size: int, timeout_s: float | None) -> None:
        token = object()
        end = None if timeout_s is None else self.clock.now() + timeout_s
        self._line.append(token)
        try:
            while True:
                self._must_be_open()
                if client not in self.batcher.parties:
                    raise _client_closed()
                if self.batcher.room.fits(items, size) and self._line[0] is token:
                    return
                left = None if end is None else end - self.clock.now()
                if left is not None and left <= 0:
                    raise self.batcher.room.busy(items, size)
                self.clock.wait(self._room, left)
        finally:
            self._line.remove(token)
            if self._line:
                self._room.notify_all()

    def _wake(self, now: float) -> None:
        """Wakes the thread that has something to do now, if it sleeps."""
        due = self.batcher.deadline(now)
        if due is None:
            return
        if self.batcher.flying_items:
            if self.wants_ahead:
                self.wants_ahead = False
                self.ahead.notify()
        elif self.wake_at is not None and due < self.wake_at:
            self.wake_at = None
            self.work.notify()


def _client_closed() -> ServiceClosed:
    return ServiceClosed("this client has been closed. Open a new one to ask for more.")
