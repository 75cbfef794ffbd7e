"""A server of encoders as other processes hold it: the methods of `vln.service.service`.

    with RemoteService(socket) as service:
        encoder = service.encoder("clip_rn50")
        features = service.client("navigation").encode(encoder.handle, "images", views)

Needs neither torch nor weights. Knows nothing of what else runs in the process.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig, BadImage, ServiceClosed, UnknownName
from vln.service.closable import Closable
from vln.service.engines import Array
from vln.service.held import HeldEncoder, checked_texts, fields_of, key_to_send
from vln.service.local.greeting import Talk, Unreachable, rows_of
from vln.service.local.link import Link
from vln.service.local.remote_answer import RemoteAnswer
from vln.service.local.wire import MAX_HEADER, Frame
from vln.service.service import checked_items

_MAX_DIMENSIONS: Final = 8
_MAX_ITEM_BYTES: Final = 8
_TEXT_BYTES: Final = MAX_HEADER // 8
"""Of a message of texts, in UTF-8: what JSON may make longer is still within a header."""
_PAUSE_S: Final = 0.1


class RemoteService(Closable):
    """A server in another process of this machine, seen from one of its clients' processes.

    Attributes:
        encoders: What it holds, by handle.

    Args:
        socket: Its path.
        expect: Fingerprints of encoders by handle, where only these will do.
        patience_s: Longest time in seconds to wait for a server that is gone to come back.

    Raises:
        ServiceClosed: No server answers there now.
        UnknownName, CheckpointMismatch: It lacks an encoder that is expected, or has another.
        BadConfig: It is of another version, or there can be no such socket.
    """

    def __init__(
        self, socket: Path, *, expect: Mapping[str, str] | None = None, patience_s: float = 60.0
    ) -> None:
        if not patience_s >= 0:
            raise BadConfig(f"patience_s is {patience_s}; expected seconds, 0 or more.")
        self.socket, self.patience_s = socket, patience_s
        self._clients = weakref.WeakSet[RemoteClient]()
        try:
            with Talk(socket, name="handshake", expect=expect or {}) as talk:
                found = talk.welcome
        except Unreachable as error:
            raise ServiceClosed(
                f"no server answers at {socket} ({error}). Start one with `python -m vln.service "
                f"serve --encoder HANDLE --socket {socket}`, or name the socket of one that runs."
            ) from None
        self.encoders = _encoders(found, self)

    def encoder(self, handle: str) -> RemoteEncoder:
        """Gives one of the encoders.

        Raises:
            UnknownName: It is not held there.
        """
        if handle not in self.encoders:
            raise UnknownName.of("encoder of this server", handle, self.encoders)
        return self.encoders[handle]

    def client(self, name: str) -> RemoteClient:
        """Gives a new client; names are for people and need not differ."""
        made = RemoteClient(self, name)
        self._clients.add(made)
        return made

    def status(self) -> dict[str, Any]:
        """Gives what the server says of itself: `vln.service.status.Status`, and its clients.

        Raises:
            ServiceClosed: It is gone and does not come back.
        """
        told = self.ask([{"op": "status"}])[0].header
        return {key: value for key, value in told.items() if key != "op"}

    def ask(self, headers: Sequence[Mapping[str, Any]]) -> list[Frame]:
        """Gives the answers to messages that are asked one after the other, on a line of their own.

        Raises:
            ServiceClosed: The server is gone and does not come back.
            VlnError: It answers with an error.
        """
        end = time.monotonic() + self.patience_s
        expect = {handle: each.spec.fingerprint for handle, each in self.encoders.items()}
        asked = {header["encoder"] for header in headers if "encoder" in header}
        while True:
            try:
                with Talk(
                    self.socket, name="question", expect={one: expect[one] for one in asked}
                ) as talk:
                    return [talk.ask(header, within_s=self.patience_s) for header in headers]
            except Unreachable as error:
                if time.monotonic() > end:
                    raise ServiceClosed(
                        f"no server at {self.socket} for {self.patience_s:g} s ({error}). Start it "
                        "again, then ask again."
                    ) from None
                time.sleep(_PAUSE_S)

    def close(self) -> None:
        """Closes the clients; the server goes on."""
        for client in list(self._clients):
            client.close()


@dataclass(frozen=True)
class RemoteEncoder(HeldEncoder):
    """An encoder that a server holds.

    Attributes:
        service: Where it is.
    """

    service: RemoteService = field(repr=False, compare=False)

    def tokens(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Gives (N, L) tokens of texts, as the server's tokenizer makes them.

        Raises:
            BadConfig: It reads no texts, or one is too long, or these are no texts.
            ServiceClosed: The server is gone and does not come back.
        """
        asked = [
            {"op": "tokens", "id": number, "encoder": self.handle, "texts": part}
            for number, part in enumerate(_parts(checked_texts(texts)))
        ]
        found = [rows_of(frame) for frame in self.service.ask(asked)]
        return np.concatenate(found).astype(np.int64)


class RemoteClient(Closable):
    """One who asks; its answers come in the order of its questions. Made by `RemoteService`.

    Safe to share between threads. Its connection is made when it first asks.

    Args:
        service: Kept alive by its clients.
        name: For people.
    """

    def __init__(self, service: RemoteService, name: str) -> None:
        self.name = name
        self._service = service
        self._link = Link(
            service.socket,
            name=name,
            fingerprints={one: each.spec.fingerprint for one, each in service.encoders.items()},
            patience_s=service.patience_s,
        )
        weakref.finalize(self, self._link.shut)

    def submit(
        self,
        encoder: str,
        kind: str,
        items: Array,
        *,
        key: str = "",
        timeout_s: float | None = None,
    ) -> RemoteAnswer:
        """Gives the answer-to-be of a request; the items are copied.

        Args:
            encoder: Handle of an encoder.
            kind: What is asked of it: `images`, `grid`, `text`.
            items: (N, ...), N at least one.
            key: Identity of the items. Requests for the same encoder, kind, shape and key are
                encoded once, whoever asks. Empty: unknown.
            timeout_s: Longest wait in seconds for room in this client's memory; 0 for none, None
                for any. Where the server's queue is full, the request waits outside it.

        Raises:
            UnknownName: The server holds no such encoder.
            BadImage: The items are no array of numbers, or there are none.
            BadConfig: The request is larger than a client's memory.
            CannotWrite: The machine has no memory for the items.
            ServiceBusy: There was no room in time.
            ServiceClosed: This client has been closed.
        """
        self._service.encoder(encoder)
        if timeout_s is not None and not timeout_s >= 0:
            raise BadConfig(f"timeout_s is {timeout_s}; expected seconds, 0 or more, or None.")
        items = checked_items(items)
        if items.ndim > _MAX_DIMENSIONS or items.dtype.itemsize > _MAX_ITEM_BYTES:
            raise BadImage(
                f"items of {items.ndim} dimensions, {items.dtype}; a server takes up to "
                f"{_MAX_DIMENSIONS}, of numbers of up to {_MAX_ITEM_BYTES} bytes."
            )
        header = {"encoder": encoder, "kind": kind, "key": key_to_send(key)}
        return self._link.submit(header, items, timeout_s=timeout_s, keep=self)

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

        Args and errors are those of `submit` and of `RemoteAnswer.result`; the time is for room
        only.
        """
        return self.submit(encoder, kind, items, key=key, timeout_s=timeout_s).result()

    def close(self) -> None:
        """Leaves the server: whatever this client still waits for ends with ServiceClosed."""
        self._link.close()


def _encoders(welcome: Mapping[str, Any], service: RemoteService) -> dict[str, RemoteEncoder]:
    try:
        return {
            handle: RemoteEncoder(**fields_of(handle, facts), service=service)
            for handle, facts in welcome["encoders"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise BadConfig(
            f"{service.socket} is a server of another version ({type(error).__name__}: {error}). "
            "Use the same release of vln-toolkit for both."
        ) from None


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    """Gives texts in parts that fit into a message each; one part where there are none."""
    part, size = list[str](), 0
    for text in texts:
        length = len(text.encode()) + len('"",')
        if length > _TEXT_BYTES:
            raise BadConfig(
                f"the text {text[:40]!r}... has {len(text):,} characters, more than any encoder "
                "reads. Shorten it, or encode it in parts."
            )
        if size + length > _TEXT_BYTES:
            yield part
            part, size = [], 0
        part.append(text)
        size += length
    yield part
