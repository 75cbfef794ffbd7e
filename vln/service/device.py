"""The thread that owns the device, and one that makes the next batch ready under load.

Gathering a batch out of many small requests takes about a millisecond for 5 MB, in which a device
would stand idle; so while an engine runs, the other thread gathers the next full batch. A service
that is not busy never uses it.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from vln.errors import EncodingFailed
from vln.service.desk import Desk
from vln.service.engines import Array, Engine, checked, gathered, is_out_of_memory, told
from vln.service.requests import Batch

_EXIT_S = 10.0
"""Longest wait at the interpreter's end for a batch in flight."""


class Load(NamedTuple):
    """A batch and its items, one array for each slice until they are gathered."""

    batch: Batch
    pieces: list[Array]


class Device:
    """The two threads.

    They hold no reference to the service object, so that one which nobody uses any more can be
    collected, and they end.

    Args:
        engines: By name.
        desk: Where the batches come from.
    """

    def __init__(self, engines: Mapping[str, Engine], desk: Desk) -> None:
        self._engines = dict(engines)
        self._desk = desk
        self._loaded: Load | None = None
        self._is_loading = False
        # A daemon thread that is inside a library's code when the interpreter goes would crash it.
        self._at_exit = partial(_close_at_exit, weakref.ref(self))
        atexit.register(self._at_exit)
        self._threads = [
            threading.Thread(target=self._guarded, args=(loop,), name=name, daemon=True)
            for name, loop in (("vln-device", self._encode_all), ("vln-loader", self._load_ahead))
        ]
        for thread in self._threads:
            thread.start()

    def close(self, *, wait_s: float | None = None) -> None:
        """Accepts nothing more, ends what waits, and waits for what runs.

        Args:
            wait_s: Longest wait for each thread in seconds; None for any.
        """
        if not self._desk.is_here:
            return
        self._desk.shut("the service has been closed")
        if threading.current_thread() not in self._threads:
            for thread in self._threads:
                thread.join(wait_s)

    def forget(self) -> None:
        """Accepts nothing more, and waits for nothing: nobody holds the service any more."""
        self._desk.shut("the service was dropped")
        atexit.unregister(self._at_exit)

    def _guarded(self, loop: partial[None]) -> None:
        try:
            loop()
        except BaseException as cause:
            self._is_loading = False
            error = EncodingFailed(
                f"the service's thread ended with {type(cause).__name__}: {cause}. The service is "
                "of no more use; make a new one."
            )
            error.__cause__ = cause
            self._desk.abort("the service's thread has died", error)
            if isinstance(cause, Exception):
                raise  # a mistake of ours, to be seen; what an engine raises to leave is told above

    # The thread that owns the device.

    def _encode_all(self) -> None:
        while True:
            load = self._next()
            if load is None:
                return
            self._encode(load)
            del load  # its arrays are not to be kept while nothing happens

    def _next(self) -> Load | None:
        """Gives the next batch, waiting for it; None when the service is closed and empty."""
        desk = self._desk
        with desk.lock:
            while True:
                now = desk.clock.now()
                load, self._loaded = self._loaded, None
                if load is None and not self._is_loading:
                    load = self._taken(now)
                if load is not None:
                    if desk.batcher.deadline(now) is not None:
                        desk.ahead.notify()
                    return load
                if desk.closed and not self._is_loading:
                    return None
                due = desk.batcher.deadline(now) if not self._is_loading else None
                desk.wake_at = float("inf") if due is None else due
                desk.clock.wait(desk.work, None if due is None else due - now)
                desk.wake_at = None

    def _taken(self, now: float) -> Load | None:
        batch = self._desk.batcher.take(now)
        if batch is None:
            return None
        slices = batch.slices
        return Load(
            batch, [piece.source.payload.items(piece.start, piece.stop) for piece in slices]
        )

    def _encode(self, load: Load) -> None:
        desk, batch = self._desk, load.batch
        started = desk.clock.now()
        try:
            engine = self._engines[batch.group.encoder]
            parts = checked(batch, engine(batch.group.kind, gathered(load.pieces)))
        except Exception as error:  # noqa: BLE001 - whatever it is, its askers must hear of it
            self._failed(batch, error, started)
            return
        with desk.lock:
            now = desk.clock.now()
            desk.busy_s += now - started
            desk.deliver(desk.batcher.finish(batch, parts, now=now))

    def _failed(self, batch: Batch, error: Exception, started: float) -> None:
        desk = self._desk
        if is_out_of_memory(error):
            back = partial(desk.batcher.overflow, batch, f"{type(error).__name__}: {error}")
        else:
            back = partial(desk.batcher.fail, batch, told(batch.group, error))
        with desk.lock:
            now = desk.clock.now()
            desk.busy_s += now - started
            desk.deliver(back(now=now))

    # The thread that makes the next batch ready.

    def _load_ahead(self) -> None:
        while True:
            load = self._next_ahead()
            if load is None:
                return
            self._load(load)
            del load

    def _next_ahead(self) -> Load | None:
        desk = self._desk
        with desk.lock:
            while True:
                if desk.closed:
                    return None
                if self._loaded is None and not self._is_loading and desk.batcher.flying_items:
                    load = self._taken(desk.clock.now())
                    if load is not None:
                        self._is_loading = True
                        return load
                desk.wants_ahead = self._loaded is None
                desk.clock.wait(desk.ahead, None)
                desk.wants_ahead = False

    def _load(self, load: Load) -> None:
        pieces = load.pieces
        failure: Exception | None = None
        try:
            pieces = [gathered(pieces)]
        except Exception as error:  # noqa: BLE001 - out of memory, mostly
            failure = error
        with self._desk.lock:
            self._is_loading = False
            if failure is None:
                self._loaded = Load(load.batch, pieces)
            else:
                self._failed(load.batch, failure, self._desk.clock.now())
            self._desk.work.notify()


def _close_at_exit(reference: weakref.ref[Device]) -> None:
    device = reference()
    if device is not None:
        device.close(wait_s=_EXIT_S)
