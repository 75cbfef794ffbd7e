"""What a client says and is told, without the socket between: its segments and its requests.

An error that leaves here is fatal to the connection; those of a single request are told to the
client.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial, singledispatchmethod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vln.errors import (
    BadConfig,
    BadFrame,
    CheckpointMismatch,
    EncodingFailed,
    ServiceBusy,
    ServiceClosed,
    UnknownName,
    VlnError,
)
from vln.service.answer import Answer
from vln.service.engines import Array
from vln.service.local.messages import (
    Cancel,
    Encode,
    Hello,
    Message,
    Release,
    Share,
    StatusAsked,
    Tokens,
)
from vln.service.local.offers import Offer, ServerLimits
from vln.service.local.segment import Bytes, mapped
from vln.service.local.wire import MAX_BODY, MAX_HEADER, VERSION
from vln.service.service import Client, EncoderService

if TYPE_CHECKING:
    from vln.service.local.connection import Connection

logger = logging.getLogger(__name__)

_MAX_MESSAGE: Final = 4000
"""Characters of an error's message."""
_MAX_NAME: Final = 64

Say = Callable[[Mapping[str, Any], Array | None], None]
"""Sends a header and a body."""


@dataclass(frozen=True)
class Hall:
    """What all clients of a server share.

    Attributes:
        service: Encodes.
        offers: Its encoders.
        limits: Of what a client may take up.
        ended: Called from any thread when an answer of a connection is there.
        clerk: Makes tokens, which takes too long for the thread that listens to everybody.
        status: Gives what is told to those who ask.
        is_over: Called when the service has ended by itself.
        line: Connections whose next request finds no room, first come first served.
    """

    service: EncoderService
    offers: Mapping[str, Offer]
    limits: ServerLimits
    ended: Callable[[Connection, int], None]
    clerk: ThreadPoolExecutor
    status: Callable[[], dict[str, Any]]
    is_over: Callable[[], None]
    line: deque[Connection] = field(default_factory=deque)


class Session:
    """One client's requests.

    Attributes:
        name: As the client calls itself; empty until it has.
        pid: Its process, 0 where unknown.
        parked: A request that waits for room; nothing more may be heard in the meantime.
        pending: Requests that are on their way, by the client's name for them.
        answers: Requests that were answered so far, errors left out.
        items: Rows of these.

    Args:
        hall: The server's.
        say: Sends something to the client.
        ended: Called from any thread when the answer of a request is there.
        descriptors: File descriptors that the client sent, taken as they are used.
        pid: As the system says.
    """

    def __init__(
        self,
        hall: Hall,
        *,
        say: Say,
        ended: Callable[[int], None],
        descriptors: deque[int],
        pid: int,
    ) -> None:
        self.name, self.pid = "", pid
        self.parked: Encode | None = None
        self.pending: dict[int, Answer | Future[Array]] = {}
        self.answers = self.items = 0
        self._hall, self._say, self._ended, self._descriptors = hall, say, ended, descriptors
        self._client: Client | None = None
        self._segments: dict[int, Bytes] = {}

    @property
    def segment_bytes(self) -> int:
        """Bytes of the client's segments."""
        return sum(map(len, list(self._segments.values())))  # a status may be asked meanwhile

    @singledispatchmethod
    def hear(self, message: Message) -> None:
        """Does what a message says.

        Raises:
            VlnError: It must not be said, or not now; the connection is to be closed.
        """
        raise NotImplementedError(message)

    @hear.register
    def _(self, message: Hello) -> None:
        if self._client is not None:
            raise BadFrame("a second hello; expected one.")
        _check_expected(message, self._hall.offers)
        name = message.name[:_MAX_NAME] or "client"
        self._client = self._hall.service.client(name)
        self.name, self.pid = name, self.pid or message.pid
        offers = {handle: offer.as_json() for handle, offer in self._hall.offers.items()}
        service = self._hall.service.limits
        limits = {
            **asdict(self._hall.limits),
            "max_header": MAX_HEADER,
            "max_body": MAX_BODY,
            "max_batch": service.max_batch,
            "max_queue_items": service.max_queue_items,
            "max_queue_bytes": service.max_queue_bytes,
        }
        header = {"op": "welcome", "version": VERSION, "encoders": offers, "limits": limits}
        self._say(header, None)

    def _known(self) -> Client:
        if self._client is None:
            raise BadFrame("a message before hello; expected that one first.")
        return self._client

    # Segments.

    @hear.register
    def _(self, message: Share) -> None:
        self._known()
        limits, held = self._hall.limits, self.segment_bytes
        if not self._descriptors:
            raise BadFrame("a segment without a file descriptor; expected one with it.")
        if message.id in self._segments:
            raise BadFrame(f"a second segment {message.id}; expected another id.")
        is_many = len(self._segments) >= limits.max_segments
        if is_many or held + message.size > limits.max_segment_bytes:
            raise BadFrame(
                f"a segment of {message.size:,} bytes beside {len(self._segments)} of {held:,}; "
                f"this server takes {limits.max_segments} of {limits.max_segment_bytes:,}."
            )
        self._segments[message.id] = mapped(self._descriptors.popleft(), message.size)

    @hear.register
    def _(self, message: Release) -> None:
        self._known()
        # Requests on their way have views, which keep the memory mapped.
        if self._segments.pop(message.id, None) is None:
            raise BadFrame(f"segment {message.id} to be released, which was never sent.")

    def _items(self, message: Encode) -> Array:
        """Gives a request's items, a view of the client's memory, read-only."""
        segment = self._segments.get(message.segment)
        if segment is None:
            raise BadFrame(f"items in segment {message.segment}, which was never sent.")
        stop = message.offset + message.size
        if stop > len(segment) or message.offset % message.dtype.itemsize:
            raise BadFrame(
                f"items {message.shape} {message.dtype} at byte {message.offset} of a segment of "
                f"{len(segment):,}; expected them within it, at a multiple of their size."
            )
        items: Array = segment[message.offset : stop].view(message.dtype).reshape(message.shape)
        # Tokens are checked before they are used, and must be the same ones then.
        return items.copy() if message.kind == "text" else items

    # Requests.

    @hear.register
    def _(self, message: Encode) -> None:
        self._known()
        self._must_be_new(message.id)
        if self._hall.line:
            self.parked = message
        else:
            self._submit(message)

    def retry(self) -> None:
        """Submits the request that waits for room; it may have to wait on.

        Raises:
            VlnError: As `hear`.
        """
        asked, self.parked = self.parked, None
        if asked is not None:
            self._submit(asked)

    def _submit(self, message: Encode) -> None:
        client, items = self._known(), self._items(message)
        try:
            answer = client.submit(
                message.encoder, message.kind, items, key=message.key, timeout_s=0
            )
        except ServiceBusy:
            self.parked = message
        except VlnError as error:
            if isinstance(error, ServiceClosed):
                self._hall.is_over()
            self._tell_error(error, number=message.id)
        else:
            self.pending[message.id] = answer
            answer.tell(partial(self._ended, message.id))

    @hear.register
    def _(self, message: Tokens) -> None:
        self._known()
        self._must_be_new(message.id)
        offer = self._hall.offers.get(message.encoder)
        if offer is None:
            self._tell_error(_unknown(message.encoder, self._hall.offers), number=message.id)
        elif offer.tokens is None:
            error = BadConfig(
                f"{message.encoder} reads no texts. Ask another of this server's encoders: "
                f"{', '.join(self._hall.offers)}."
            )
            self._tell_error(error, number=message.id)
        else:
            future: Future[Array] = self._hall.clerk.submit(offer.tokens, message.texts)
            self.pending[message.id] = future
            future.add_done_callback(lambda _: self._ended(message.id))

    def _must_be_new(self, number: int) -> None:
        if number in self.pending:
            raise BadFrame(f"a second request {number} before the first has its answer.")

    @hear.register
    def _(self, message: Cancel) -> None:
        self._known()
        answer = self.pending.get(message.id)
        if answer is not None:  # else it has crossed its answer on the way
            answer.cancel()

    @hear.register
    def _(self, _: StatusAsked) -> None:
        self._say({"op": "status", **self._hall.status()}, None)

    # What a client is told.

    def answered(self, number: int) -> None:
        """Tells the answer of a request that has ended."""
        answer = self.pending.pop(number, None)
        if answer is None:
            return
        try:
            rows = answer.result(0)
            rows = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<"))
            header = {"op": "answer", "id": number, "shape": rows.shape, "dtype": rows.dtype.str}
            self._say(header, rows)
            self.answers += 1
            self.items += len(rows)
        except VlnError as error:
            self._tell_error(error, number=number)
        except CancelledError:
            self._tell_error(EncodingFailed("the request was cancelled."), number=number)
        except Exception as error:
            logger.exception("a request of %s failed", self.name)
            self._tell_error(EncodingFailed(f"{type(error).__name__}: {error}."), number=number)

    def leave(self) -> None:
        """Ends the request that waits for room, because the server ends."""
        asked, self.parked = self.parked, None
        if asked is not None:
            closed = ServiceClosed("the server was stopped before this request was encoded.")
            self._tell_error(closed, number=asked.id)

    def close(self) -> None:
        """Ends all requests; what is on the device keeps its memory until it is done."""
        self.parked = None
        if self._client is not None:
            self._client.close()
        for answer in list(self.pending.values()):
            answer.cancel()
        self.pending.clear()
        self._segments.clear()

    def _tell_error(self, error: VlnError, *, number: int) -> None:
        self._say({"op": "error", "id": number, **described(error)}, None)


def described(error: VlnError) -> dict[str, str]:
    """Gives an error's fields of a header."""
    message = str(error)[:_MAX_MESSAGE].encode("utf-8", "replace").decode()
    return {"type": type(error).__name__, "message": message}


def _check_expected(hello: Hello, offers: Mapping[str, Offer]) -> None:
    if hello.version != VERSION:
        raise BadConfig(
            f"a client of version {hello.version} at a server of version {VERSION}. Use the same "
            "release of vln-toolkit for both."
        )
    for handle, fingerprint in hello.expect.items():
        if handle not in offers:
            raise _unknown(handle, offers)
        held = offers[handle].spec.fingerprint
        if fingerprint not in ("", held):
            raise CheckpointMismatch(
                f"the server's {handle} has the fingerprint {held}, expected {fingerprint}: other "
                "weights, or other preprocessing. Start a server with the encoder that is wanted, "
                "or expect this one."
            )


def _unknown(handle: str, offers: Mapping[str, Offer]) -> UnknownName:
    return UnknownName.of("encoder of this server", handle, offers)
