"""One process of a deployment: an `EncoderService` with its encoders, asked by messages.

Knows nothing of Ray, which calls its methods in one event loop; what waits, waits in threads.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from vln.encoders.loading import load
from vln.errors import CheckpointMismatch, UnknownName, VlnError
from vln.service.answer import Answer
from vln.service.local.offers import Offer
from vln.service.ray.messages import Array, Message, packed, told, unpacked, words
from vln.service.requests import Limits
from vln.service.service import Client, EncoderService

ONGOING: Final = 64
"""Requests that one replica works on at once; the others wait where they came from."""
IDLE_S: Final = 300.0
"""A client that has asked nothing for so long is forgotten; it is known again when it asks."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """What a replica holds; plain values, so that it can be sent.

    Attributes:
        encoders: Handles.
        folders: Where weights are looked for, the same on every machine.
        device: Where the encoders run.
        threads: Of the encoders on a CPU.
        limits: Of batches, waiting and queue: fields of `Limits`.
    """

    encoders: tuple[str, ...]
    folders: tuple[str, ...] = ()
    device: str = "cpu"
    threads: int = 1
    limits: Mapping[str, float] | None = None


class Replica:
    """Holds the encoders and answers messages; errors are messages, too.

    Args:
        served: `Served` as JSON.
    """

    def __init__(self, served: str) -> None:
        import torch

        asked = orjson.loads(served)
        torch.set_num_threads(asked["threads"])
        folders = [Path(folder) for folder in asked["folders"]]
        found = [load(one, folders=folders, device=asked["device"]) for one in asked["encoders"]]
        self._encoders = {encoder.handle: encoder for encoder in found}
        self._service = EncoderService(
            {handle: encoder.encode for handle, encoder in self._encoders.items()},
            limits=Limits(**(asked["limits"] or {})),
        )
        self._threads = ThreadPoolExecutor(ONGOING, thread_name_prefix="vln-waiting")
        self._clients: dict[str, tuple[Client, float]] = {}
        self._lock = threading.Lock()  # of the clients

    async def about(self) -> str:
        """Gives what there is, as JSON: for each handle its fingerprint, widths and recipe."""
        offers = {handle: Offer.of(one).as_json() for handle, one in self._encoders.items()}
        return orjson.dumps(offers).decode()

    async def status(self) -> str:
        """Gives this replica's `Status` as JSON, and its process."""
        return orjson.dumps({**asdict(self._service.status()), "pid": os.getpid()}).decode()

    async def tokens(self, header: str) -> Message:
        """Gives an encoder's tokens of `texts`."""
        return await self._in_thread(lambda: packed(self._tokens(words(header))))

    async def encode(self, header: str, body: bytes) -> Message:
        """Gives the rows of an array's items."""
        waiting = _Waiting()
        try:
            return await self._in_thread(lambda: packed(self._rows(words(header), body, waiting)))
        except asyncio.CancelledError:
            waiting.cancel()
            raise

    async def check_health(self) -> None:
        """Checks that the encoders' thread lives; a replica without it is replaced.

        Raises:
            ServiceClosed: It does not.
        """
        self._service.client("health").close()

    def close(self) -> None:
        """Ends it; Ray calls it when it takes a replica away."""
        self._service.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __del__(self) -> None:
        if hasattr(self, "_threads"):  # otherwise it never began
            self.close()

    async def _in_thread(self, work: Callable[[], Message]) -> Message:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except VlnError as error:
            return told(error)

    def _tokens(self, asked: dict[str, Any]) -> Array:
        return self._encoders[self._known(asked)].tokens(asked["texts"])

    def _rows(self, asked: dict[str, Any], body: bytes, waiting: _Waiting) -> Array:
        client = self._client(asked["client"], asked["name"])
        answer = client.submit(
            self._known(asked), asked["kind"], unpacked(asked, body), key=asked["key"]
        )
        waiting.begin(answer)
        return answer.result()

    def _known(self, asked: dict[str, Any]) -> str:
        """Gives the handle that a request is for, its weights being those that the client means."""
        handle: str = asked["encoder"]
        if handle not in self._encoders:
            raise UnknownName.of("encoder of this service", handle, self._encoders)
        own = self._encoders[handle].spec.fingerprint
        if asked["fingerprint"] != own:
            raise CheckpointMismatch(
                f"{handle} has the fingerprint {own[:16]} here, and {asked['fingerprint'][:16]} "
                "was asked for. Put the same weights on every machine, and deploy again."
            )
        return handle

    def _client(self, number: str, name: str) -> Client:
        """Gives the client that a request comes from, so that each gets its share."""
        now = time.monotonic()
        with self._lock:
            if number not in self._clients:
                busy = {one.name for one in self._service.status().clients if one.outstanding}
                for known, (client, last) in list(self._clients.items()):
                    if now - last > IDLE_S and client.name not in busy:
                        client.close()
                        del self._clients[known]
                self._clients[number] = (self._service.client(name), now)
            client = self._clients[number][0]
            self._clients[number] = (client, now)
            return client


class _Waiting:
    """A request that may be given up from another thread, before it was asked or after."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answer: Answer | None = None
        self._is_cancelled = False

    def begin(self, answer: Answer) -> None:
        with self._lock:
            self._answer = answer
        if self._is_cancelled:
            answer.cancel()

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
        if self._answer is not None:
            self._answer.cancel()
