"""What a process holds that asks a deployment: the methods of `vln.service.service`."""

from __future__ import annotations

import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from vln.errors import (
    BadConfig,
    CheckpointMismatch,
    EncodingFailed,
    ServiceBusy,
    ServiceClosed,
    UnknownName,
    VlnError,
)
from vln.service.closable import Closable
from vln.service.held import HeldEncoder, checked_texts, fields_of, key_to_send
from vln.service.local.greeting import printable
from vln.service.ray.cluster import imported
from vln.service.ray.messages import Array, Message, packed, unpacked, words
from vln.service.service import checked_items

IN_FLIGHT: Final = 64
"""Requests of one client that are on their way at once; the next waits until one is answered."""
PAUSE_S: Final = 0.2
LOOK_S: Final = 5.0
"""Between looks whether the deployment is still there, while an answer does not come."""


class RayService(Closable):
    """A deployment, seen from one of its clients' processes.

    Args:
        name: Of the deployment, on the cluster that this process has joined.
        expect: Fingerprints of encoders by handle, where only these will do.
        patience_s: Longest time in seconds to wait for a replica that died to come back.

    Raises:
        ServiceClosed: There is no such deployment.
        UnknownName, CheckpointMismatch: It lacks an encoder that is expected, or has another.
    """

    def __init__(
        self, name: str, *, expect: Mapping[str, str] | None = None, patience_s: float = 60.0
    ) -> None:
        imported()
        from ray import serve

        self.name, self.patience_s = name, patience_s
        try:
            self.handle = serve.get_app_handle(name)
            about = orjson.loads(self.handle.about.remote().result(timeout_s=patience_s))
        except Exception as error:
            raise ServiceClosed(
                f"no deployment {name!r} on this cluster ({_last_line(error)}). Join the right "
                "cluster, or start one with vln.service.ray.deployment.deploy."
            ) from error
        self.encoders = {
            one: RayEncoder(**fields_of(one, facts), service=self) for one, facts in about.items()
        }
        for handle, fingerprint in (expect or {}).items():
            own = self.encoder(handle).spec.fingerprint
            if fingerprint and fingerprint != own:
                raise CheckpointMismatch(
                    f"{handle} of the deployment {name!r} has the fingerprint {own[:16]}; "
                    f"expected {fingerprint[:16]}. Deploy the same weights, or expect these."
                )

    def encoder(self, handle: str) -> RayEncoder:
        """Gives one of the encoders.

        Raises:
            UnknownName: It is not held there.
        """
        if handle not in self.encoders:
            raise UnknownName.of("encoder of this service", handle, self.encoders)
        return self.encoders[handle]

    def client(self, name: str) -> RayClient:
        """Gives a new client; names are for people and need not differ."""
        return RayClient(self, name)

    def status(self) -> dict[str, Any]:
        """Gives the `Status` of one replica, whichever answers.

        Raises:
            ServiceClosed: The deployment has been withdrawn, or its replicas do not come back.
            EncodingFailed: It failed otherwise.
        """
        found: dict[str, Any] = orjson.loads(self.ask(self.handle.status.remote))
        return found

    def ask(self, send: Callable[[], Any]) -> Any:  # noqa: ANN401 - Ray has no types here
        """Gives a replica's answer, asking again while replicas die and come back.

        Args:
            send: Sends the question and gives Ray's response.

        Raises:
            ServiceClosed: The deployment has been withdrawn, or its replicas do not come back.
            EncodingFailed: It failed otherwise.
        """
        from ray.exceptions import RayActorError

        end = time.monotonic() + self.patience_s
        while True:
            try:
                return self._awaited(send())
            except VlnError:
                raise
            except RayActorError as error:
                if time.monotonic() > end:
                    raise ServiceClosed(
                        f"no replica lived long enough to answer for {self.patience_s:g} s "
                        f"({_last_line(error)}). Look why in Ray's logs, and deploy again."
                    ) from None
                time.sleep(PAUSE_S)
            except Exception as cause:
                if self._is_gone():
                    raise self._withdrawn() from None
                raise _failed(cause) from cause

    def _awaited(self, response: Any) -> Any:  # noqa: ANN401 - as above
        while True:
            try:
                return response.result(timeout_s=LOOK_S)
            except TimeoutError:
                # Ray does not promise to end what still waits for a replica.
                if self._is_gone():
                    raise self._withdrawn() from None

    def _is_gone(self) -> bool:
        import ray
        from ray import serve

        # Without a cluster, Serve would start one to ask it.
        return not ray.is_initialized() or self.name not in serve.status().applications

    def _withdrawn(self) -> ServiceClosed:
        return ServiceClosed(
            f"the deployment {self.name!r} has been withdrawn. Deploy it again, then make a new "
            "RayService."
        )

    def close(self) -> None:
        """Leaves it; the deployment goes on."""


@dataclass(frozen=True)
class RayEncoder(HeldEncoder):
    """An encoder that lives on the cluster.

    Attributes:
        service: Where it is.
    """

    service: RayService = field(repr=False, compare=False)

    def tokens(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Gives (N, L) tokens of texts.

        Raises:
            BadConfig: It reads no texts, or one is too long, or these are no texts.
            ServiceClosed, EncodingFailed: As `RayService.ask`.
        """
        asked = {
            "encoder": self.handle,
            "fingerprint": self.spec.fingerprint,
            "texts": checked_texts(texts),
        }
        header = orjson.dumps(asked).decode()
        found = self.service.ask(lambda: self.service.handle.tokens.remote(header))
        return _array(found).astype(np.int64)


class RayClient(Closable):
    """One who asks. Answers may come in any order: replicas do not wait for each other.

    A replica that dies is asked again, or another is; encoding twice does no harm.

    Args:
        service: Whom it asks.
        name: For people.
    """

    def __init__(self, service: RayService, name: str) -> None:
        self.name = name
        self._service = service
        self._number = uuid.uuid4().hex
        self._room = threading.BoundedSemaphore(IN_FLIGHT)
        self._threads = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="vln-ray")
        self._lock = threading.Lock()  # of the two below
        self._asked = weakref.WeakSet[RayAnswer]()
        self._is_closed = False

    def submit(
        self,
        encoder: str,
        kind: str,
        items: Array,
        *,
        key: str = "",
        timeout_s: float | None = None,
    ) -> RayAnswer:
        """Gives the answer-to-be of a request; the items are copied.

        Args and errors as `vln.service.service.Client.submit`; BadConfig is told by the answer.
        """
        known = self._service.encoder(encoder)
        if timeout_s is not None and not timeout_s >= 0:
            raise BadConfig(f"timeout_s is {timeout_s}; expected seconds, 0 or more, or None.")
        message = packed(
            checked_items(items),
            client=self._number,
            name=printable(self.name),
            encoder=encoder,
            fingerprint=known.spec.fingerprint,
            kind=kind,
            key=key_to_send(key),
        )
        if not self._room.acquire(timeout=timeout_s):
            raise ServiceBusy(
                f"{IN_FLIGHT} requests of this client are on their way, and none was answered "
                f"within {timeout_s:g} s. Ask again later, or allow more time."
            )
        answer = RayAnswer(self._service, message)
        with self._lock:
            if self._is_closed:
                self._room.release()
                raise _closed()
            answer.begin(self._threads, ended=self._room.release)
            self._asked.add(answer)
        return answer

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

        Args and errors are those of `submit` and of `RayAnswer.result`; the time is for room only.
        """
        return self.submit(encoder, kind, items, key=key, timeout_s=timeout_s).result()

    def close(self) -> None:
        """Gives up on whatever it still waits for, which ends with ServiceClosed."""
        with self._lock:
            self._is_closed = True
            asked = list(self._asked)
        for answer in asked:
            answer.end(_closed())
        self._threads.shutdown(wait=True, cancel_futures=True)


class RayAnswer:
    """The rows that a request will have, or the error that it will end with.

    Args:
        service: Who is asked.
        message: The request.
    """

    def __init__(self, service: RayService, message: Message) -> None:
        self._service, self._message = service, message
        self._future = Future[Array]()
        self._lock = threading.Lock()  # of the two below
        self._response: Any = None
        self._reason: VlnError | None = None

    def done(self) -> bool:
        """Whether the answer or the error is there."""
        return self._future.done()

    def result(self, timeout_s: float | None = None) -> Array:
        """Gives the rows, (N, ...), waiting for them; the array is the caller's own.

        Args and errors as `vln.service.answer.Answer.result`.
        """
        try:
            return self._future.result(timeout_s)
        except FutureTimeout:
            raise ServiceBusy(
                f"no answer within {timeout_s:g} s. Ask again for the result, or cancel the "
                "request."
            ) from None

    def cancel(self) -> bool:
        """Gives up on the answer; gives whether there was still something to give up."""
        return self.end(EncodingFailed("the request was cancelled."))

    def end(self, reason: VlnError) -> bool:
        """Gives up for a reason; gives whether there was still something to give up."""
        with self._lock:
            if self._future.done() or self._reason is not None:
                return False
            self._reason = reason
            self._future.set_exception(reason)
            if self._response is not None:
                with suppress(Exception):  # where the request has failed, Ray raises that here
                    self._response.cancel()
            return True

    def begin(self, threads: ThreadPoolExecutor, *, ended: Callable[[], None]) -> None:
        """Sends the request and waits for it in another thread."""
        threads.submit(self._work).add_done_callback(lambda _: ended())

    def _work(self) -> None:
        try:
            rows = _array(self._service.ask(self._sent))
        except VlnError as error:
            self.end(error)
            return
        except Exception as cause:  # noqa: BLE001 - whatever it is, who waits must hear of it
            failed = _failed(cause)
            failed.__cause__ = cause
            self.end(failed)
            return
        with self._lock:
            if self._reason is None:
                self._future.set_result(rows)

    def _sent(self) -> Any:  # noqa: ANN401 - Ray has no types here
        with self._lock:
            if self._reason is not None:
                raise self._reason
            self._response = self._service.handle.encode.remote(*self._message)
            return self._response


def _array(message: Message) -> Array:
    """Gives the array of a message, the caller's own."""
    header, body = message
    return unpacked(words(header), body).copy()


def _closed() -> ServiceClosed:
    return ServiceClosed("this client has been closed. Open a new one to ask for more.")


def _failed(cause: BaseException) -> EncodingFailed:
    return EncodingFailed(f"the deployment failed: {_last_line(cause)}. See Ray's logs.")


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}".strip()
