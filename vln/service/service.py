"""The encoder service in one process: many clients, one thread that owns the device.

    with EncoderService({"clip_rn50": engine}) as service:
        client = service.client("navigation")
        features = client.encode("clip_rn50", "images", views)

Knows no encoder: an engine is a function of a kind and an array.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Mapping

import numpy as np

from vln.errors import BadConfig, BadImage, UnknownName
from vln.service.answer import Answer
from vln.service.clock import Clock, WallClock
from vln.service.closable import Closable
from vln.service.desk import Desk
from vln.service.device import Device
from vln.service.engines import Array, Engine
from vln.service.requests import Group, Limits
from vln.service.status import Status


class EncoderService(Closable):
    """Engines that many clients share; see `vln.service.core` for what it promises them.

    A service that nobody holds any more, not even by a client or an answer on its way, ends by
    itself, and so does one that is still there when the interpreter exits.

    Args:
        engines: By the name that clients ask for.
        limits: Of batches, waiting and queue.
        clock: Where the time comes from.
    """

    def __init__(
        self,
        engines: Mapping[str, Engine],
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        clock: Clock | None = None,
    ) -> None:
        self.limits = limits
        self._desk = Desk(limits=limits, clock=clock or WallClock())
        self._device = Device(engines, self._desk)
        self._encoders = frozenset(engines)
        self._collected = weakref.finalize(self, self._device.forget)
        self._collected.atexit = False  # the device has its own way to end then

    def client(self, name: str) -> Client:
        """Gives a new client; names are for people and need not differ.

        Raises:
            ServiceClosed: The service has been closed.
        """
        return Client(self, self._desk, self._desk.open(name), encoders=self._encoders, name=name)

    def status(self) -> Status:
        """Gives what has been done so far, also after the end."""
        return self._desk.status()

    def close(self) -> None:
        """Waits for what is on the device; whatever else waits ends with ServiceClosed."""
        self._device.close()


class Client(Closable):
    """One who asks; its answers come in the order of its questions. Made by `EncoderService`.

    Args:
        service: Kept alive by its clients.
        desk: The service's.
        number: The core's name for it.
        encoders: Names that may be asked for.
        name: For people.
    """

    def __init__(
        self,
        service: EncoderService,
        desk: Desk,
        number: int,
        *,
        encoders: Collection[str],
        name: str,
    ) -> None:
        self.name = name
        self._service = service
        self._desk = desk
        self._encoders = encoders
        self._number = number
        weakref.finalize(self, desk.drop_client, number).atexit = False

    def submit(
        self,
        encoder: str,
        kind: str,
        items: Array,
        *,
        key: str = "",
        timeout_s: float | None = None,
    ) -> Answer:
        """Gives the answer-to-be of a request, waiting only while the queue has no room.

        The items are not copied: they must not be changed before the answer is there.

        Args:
            encoder: Name of an engine.
            kind: What is asked of it: `images`, `grid`, `text`.
            items: (N, ...), N at least one.
            key: Identity of the items. Requests for the same encoder, kind, shape and key that are
                on their way together are encoded once. Empty: unknown.
            timeout_s: Longest wait for room in seconds; 0 for none, None for any.

        Raises:
            UnknownName: No engine has this name.
            BadImage: The items are no array of numbers, or there are none.
            BadConfig: The request exceeds the whole queue.
            ServiceBusy: There was no room in time.
            ServiceClosed: The service or this client has been closed.
        """
        if encoder not in self._encoders:
            raise UnknownName.of("encoder of this service", encoder, self._encoders)
        if timeout_s is not None and not timeout_s >= 0:
            raise BadConfig(f"timeout_s is {timeout_s}; expected seconds, 0 or more, or None.")
        items = checked_items(items)
        group = Group(encoder, kind, items.shape[1:], items.dtype.str)
        return self._desk.submit(
            self._number, group, items, key=key, timeout_s=timeout_s, keep=self
        )

    def encode(
        self,
        encoder: str,
        kind: str,
        items: Array,
        *,
        key: str = "",
        timeout_s: float | None = None,
    ) -> Array:
        """Gives the rows of the items, (N, ...), waiting for them; the array is the caller's own.

        Args and errors are those of `submit` and of `Answer.result`; the time is for room only.
        """
        return self.submit(encoder, kind, items, key=key, timeout_s=timeout_s).result()

    def close(self) -> None:
        """Forgets this client: whatever it still waits for ends with ServiceClosed."""
        self._desk.close_client(self._number)


def checked_items(items: object) -> Array:
    """Gives the items as a plain array, a view of what was given."""
    if not isinstance(items, np.ndarray) or items.ndim < 1 or items.dtype.kind not in "biuf":
        given = f"{items.dtype}" if isinstance(items, np.ndarray) else ""
        given = f"{type(items).__name__} {given}".strip()
        raise BadImage(f"items are a {given}; expected a NumPy array (N, ...) of numbers.")
    if not len(items):
        raise BadImage(
            f"no items: an array of shape {items.shape}. Expected at least one; what the rows of "
            "none would look like is not known before the first."
        )
    return np.asarray(items)
