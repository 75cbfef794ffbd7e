"""A server around an `EncoderService`: one thread that listens to every client and never waits.

    with Place(path) as place, EncoderService(engines) as service:
        Server(service, offers, place).run()

Encoding happens in the service's own threads. Knows no engine.
"""

from __future__ import annotations

import logging
import os
import select
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from vln.errors import ServiceBusy
from vln.service.local.bell import Bell
from vln.service.local.connection import Connection
from vln.service.local.offers import Offer, ServerLimits
from vln.service.local.place import Place, peer
from vln.service.local.session import Hall
from vln.service.service import EncoderService

logger = logging.getLogger(__name__)

_TICK_S: Final = 0.5
"""Between looks at who is late, while somebody could be."""
_RETRY_S: Final = 0.02
"""Between tries to submit what found no room, though none of our own requests has ended."""
_REST_S: Final = 0.5
"""Without accepting, when the process can have no more file descriptors."""
_ACCEPTED: Final = 32
"""Connections taken in one turn."""
_SEND_BUFFER: Final = 2**20
"""Bytes that the system keeps for a client, where it allows as many."""
_SHOWN: Final = 50
"""Connections listed in a status."""


class Server:
    """Serves until it is stopped, or the service ends by itself; then the service is closed, too.

    Args:
        service: Encodes; taken over.
        offers: What there is to say about each of its encoders.
        place: Where to listen; whoever made it closes it.
        limits: Of what clients may take up.

    Raises:
        BadConfig: It cannot listen there.
    """

    def __init__(
        self,
        service: EncoderService,
        offers: Mapping[str, Offer],
        place: Place,
        *,
        limits: ServerLimits = ServerLimits(),  # noqa: B008 - frozen
    ) -> None:
        self._service, self._place, self._limits = service, place, limits
        self._listener = place.listen()
        self._bell = Bell()
        self._clerk = ThreadPoolExecutor(1, thread_name_prefix="vln-clerk")
        self._hall = Hall(
            service=service,
            offers=dict(offers),
            limits=limits,
            ended=self._note,
            clerk=self._clerk,
            status=self.status,
            is_over=self.stop,
        )
        self._ended = deque[tuple[Connection, int]]()
        self._connections = dict[Connection, int]()  # and what each is watched for
        self._is_stopping = False
        self._looked_at = 0.0
        self._accepts_from = 0.0  # not before; 0 while it accepts
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)

    # From any thread.

    def stop(self) -> None:
        """Has `run` come to its end; may be called from a signal's handler."""
        self._is_stopping = True
        self._bell.ring()

    def status(self) -> dict[str, Any]:
        """Gives what the service and the server say about themselves, as JSON."""
        service = asdict(self._service.status())
        clients = sorted(service.pop("clients"), key=lambda one: one["items"], reverse=True)
        connections = [one.as_json() for one in list(self._connections) if one.name]
        connections.sort(key=lambda one: one["items"], reverse=True)
        encoders = {
            handle: {"fingerprint": offer.spec.fingerprint, "dim": offer.spec.pooled_dim}
            | {"text_dim": offer.text_dim}
            for handle, offer in self._hall.offers.items()
        }
        return {
            "socket": str(self._place.path),
            "pid": os.getpid(),
            "encoders": encoders,
            "limits": asdict(self._service.limits),
            **service,
            "num_sockets": len(connections),
            "waiting_sockets": len(self._hall.line),
            "sockets": connections[:_SHOWN],
            "clients": clients[:_SHOWN],
        }

    def _note(self, connection: Connection, number: int) -> None:
        self._ended.append((connection, number))
        self._bell.ring()

    # The one thread.

    def run(self) -> None:
        """Serves until `stop` is called, or the service can be asked for nothing more.

        What is on the device is still answered then; what waits ends with ServiceClosed.
        """
        try:
            while not self._is_stopping:
                self._turn()
            self._say_goodbye()
        finally:
            self._end()

    def _turn(self) -> None:
        found = self._selector.select(self._patience())
        now = time.monotonic()
        touched = dict[Connection, None]()
        for key, events in found:
            if key.fileobj is self._bell:
                self._bell.quiet()
            elif key.fileobj is self._listener:
                touched.update(dict.fromkeys(self._accepted(now)))
            else:
                self._guarded(key.data, partial(key.data.act, events, now=now))
                touched[key.data] = None
        touched.update(dict.fromkeys(self._delivered(now)))
        touched.update(dict.fromkeys(self._admitted(now)))
        touched.update(dict.fromkeys(self._late(now)))
        for connection in touched:
            self._watch(connection)

    def _patience(self) -> float | None:
        """Gives the seconds after which something is to be done though nothing happens."""
        if self._hall.line:
            return _RETRY_S
        is_waiting = self._accepts_from or any(one.is_awaited for one in self._connections)
        return _TICK_S if is_waiting else None

    def _guarded(self, connection: Connection, action: Callable[[], object]) -> None:
        """Does something for one connection; a mistake of ours ends that one, not the server."""
        try:
            action()
        except Exception:
            logger.exception("the connection of %s is closed", connection.name or "a client")
            connection.is_over = True

    def _accepted(self, now: float) -> Iterator[Connection]:
        """Gives the connections that have come."""
        for _ in range(_ACCEPTED):
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # no more file descriptors, mostly
                logger.warning("no more clients for a moment (%s)", error.strerror)
                self._selector.unregister(self._listener)
                self._accepts_from = now + _REST_S
                return
            connection = self._welcomed(sock, now)
            if connection is not None:
                yield connection

    def _welcomed(self, sock: socket.socket, now: float) -> Connection | None:
        """Gives the connection of who has come; None for who must not, or is gone already."""
        try:
            pid, uid = peer(sock)
            if uid not in (0, os.getuid()):
                raise PermissionError(f"process {pid} belongs to user {uid}")
            sock.settimeout(0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        except OSError as error:
            logger.warning("a client was turned away (%s)", error)
            sock.close()
            return None
        connection = Connection(sock, self._hall, pid=pid, now=now)
        if len(self._connections) >= self._limits.max_clients:
            full = ServiceBusy(
                f"this server has {len(self._connections)} clients already. Close one, or start it "
                "with a larger max_clients."
            )
            connection.refuse(full, now=now)
        self._connections[connection] = 0
        return connection

    def _delivered(self, now: float) -> Iterator[Connection]:
        """Sends what has ended, and gives the connections."""
        for _ in range(len(self._ended)):
            connection, number = self._ended.popleft()
            self._guarded(connection, partial(connection.answered, number, now=now))
            self._guarded(connection, partial(connection.work, now=now))
            yield connection

    def _admitted(self, now: float) -> Iterator[Connection]:
        """Submits what waits for room, as far as there is some, and gives the connections."""
        line = self._hall.line
        while line:
            first = line[0]
            self._guarded(first, partial(first.retry, now=now))
            if first.is_parked and not first.is_over:
                return
            line.popleft()
            self._guarded(first, partial(first.work, now=now))
            yield first

    def _late(self, now: float) -> Iterator[Connection]:
        """Gives the connections whose time is over, or whose client is gone without our reading."""
        if now - self._looked_at < _TICK_S:
            return
        self._looked_at = now
        if self._accepts_from and now >= self._accepts_from:
            self._selector.register(self._listener, selectors.EVENT_READ)
            self._accepts_from = 0.0
        deaf = select.poll()
        by_number = {one.fileno(): one for one in self._connections}
        for connection in self._connections:
            reason = connection.overdue(now=now)
            if reason:
                logger.warning("%s is closed: it %s", connection.name or "a client", reason)
                connection.is_over = True
                yield connection
            elif not connection.events & selectors.EVENT_READ:
                deaf.register(connection, 0)
        for number, _ in deaf.poll(0):
            by_number[number].is_over = True
            yield by_number[number]

    def _watch(self, connection: Connection) -> None:
        """Has the selector watch a connection for what it needs, or ends it."""
        before = self._connections.get(connection)
        if before is None:
            return
        wanted = 0 if connection.is_over else connection.events
        if before and not wanted:
            self._selector.unregister(connection)
        elif wanted and not before:
            self._selector.register(connection, wanted, connection)
        elif wanted != before:
            self._selector.modify(connection, wanted, connection)
        self._connections[connection] = wanted
        if connection.is_over:
            del self._connections[connection]
            with suppress(ValueError):
                self._hall.line.remove(connection)
            connection.end()

    # The end.

    def _say_goodbye(self) -> None:
        """Answers what is on the device, ends the rest, and lets everybody take their answers."""
        self._listener.close()
        self._place.withdraw()
        self._service.close()
        now = time.monotonic()
        for connection in self._delivered(now):
            self._watch(connection)
        for connection in list(self._connections):
            connection.leave(now=now)
            self._watch(connection)
        end = now + self._limits.max_farewell_s
        while self._connections and now < end:
            for key, events in self._selector.select(end - now):
                if isinstance(key.data, Connection):
                    key.data.act(events, now=now)
                    self._watch(key.data)
                else:
                    self._bell.quiet()
            now = time.monotonic()

    def _end(self) -> None:
        self._selector.close()
        for connection in self._connections:
            connection.end()
        self._connections.clear()
        self._listener.close()
        self._clerk.shutdown(cancel_futures=True)
        self._bell.close()


@contextmanager
def serving(
    service: EncoderService,
    offers: Mapping[str, Offer],
    path: Path,
    *,
    limits: ServerLimits = ServerLimits(),  # noqa: B008 - frozen
) -> Iterator[Server]:
    """Gives a server that runs in a thread of this process until the end of the `with` block.

    Args:
        service: As for `Server`.
        offers: As for `Server`.
        path: Of the socket.
        limits: As for `Server`.

    Raises:
        InUse, BadConfig: As `Place` and `Server`.
    """
    with Place(path) as place:
        server = Server(service, offers, place, limits=limits)
        thread = threading.Thread(target=server.run, name="vln-server", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join()
