"""Features without a store: views, pictures and words encoded by a service as they are asked for.

Everything here is a client of one service, in this process or in another, so whatever runs at the
same time shares its batches: agents in an environment, extraction, text, retrieval.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vln.encoders import Handle, world_encoder
from vln.encoders.base import Encodes, World
from vln.errors import BadConfig
from vln.features.extract import ViewMaker
from vln.geometry import NUM_VIEWS
from vln.panorama.sources import find_panoramas, pictures_identity
from vln.service.closable import Closable

Floats = npt.NDArray[np.float32]
REQUEST = 128
"""Items of a request at most."""


class Awaited(Protocol):
    """An answer on its way."""

    def result(self, timeout_s: float | None = None) -> npt.NDArray[Any]:
        """Gives the rows, waiting for them."""


class Asker(Protocol):
    """A client of a service."""

    def submit(
        self,
        encoder: str,
        kind: str,
        items: npt.NDArray[Any],
        *,
        key: str = "",
        timeout_s: float | None = None,
    ) -> Awaited:
        """Gives the answer-to-be of a request."""

    def close(self) -> None:
        """Leaves the service."""


class Service(Protocol):
    """What encodes for many clients: an `EncoderService`, or a server behind a socket."""

    def client(self, name: str) -> Asker:
        """Gives a new client."""


class EncodedPictures(Closable):
    """Gives features of pictures and words, from a service that holds the encoder.

    Args:
        encoder: Its handle is the name that the service knows it by.
        service: Runs it.
        client: Who asks, for the service's status.
    """

    def __init__(self, encoder: Encodes, service: Service, *, client: str) -> None:
        self.encoder = encoder
        self._client = service.client(client)

    @property
    def dim(self) -> int:
        """D, features of a picture."""
        return self.encoder.dim

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the features."""
        return np.dtype(np.float32)

    @property
    def fingerprint(self) -> str:
        """Identity of the encoder."""
        return self.encoder.spec.fingerprint

    def images(self, images: npt.NDArray[np.uint8]) -> Floats:
        """Gives (N, D) float32 features of pictures (N, H, W, 3) uint8 RGB.

        Raises:
            BadImage: They are no such pictures.
            EncodingFailed: The encoder could not answer.
        """
        return self._encoded("images", images)

    def texts(self, texts: Sequence[str]) -> Floats:
        """Gives (N, E) float32 features of texts, comparable with those of pictures.

        Raises:
            BadConfig: The encoder reads no words, or a text is too long for it.
            EncodingFailed: It could not answer.
        """
        return self._encoded("text", self.encoder.tokens(texts))

    def _encoded(self, kind: str, items: npt.NDArray[Any]) -> Floats:
        """Gives the features of any number of items, asked for in requests that a queue takes."""
        parts = [items[start : start + REQUEST] for start in range(0, max(1, len(items)), REQUEST)]
        asked = [self._client.submit(self.encoder.handle, kind, part) for part in parts]
        return np.concatenate([answer.result() for answer in asked])

    def close(self) -> None:
        """Leaves the service."""
        self._client.close()


class EncodedViews(EncodedPictures):
    """A `FeatureSource` that renders and encodes panoramas when they are first asked for.

    Safe to share between threads.

    Args:
        encoder: As for `EncodedPictures`.
        service: As for `EncodedPictures`.
        client: As for `EncodedPictures`.
        world: Has the pictures.
        keep: Panoramas whose features stay in memory, those asked for last.
    """

    def __init__(
        self,
        encoder: Encodes,
        service: Service,
        *,
        client: str,
        world: World,
        keep: int = 1024,
    ) -> None:
        if keep < 0:
            raise BadConfig(f"features of {keep} panoramas to be kept; expected 0 or more.")
        super().__init__(encoder, service, client=client)
        self._graph, self._keep = world.graph, keep
        # A server outlives worlds: one made anew in the same folder is another.
        identity = f"{world.graph.world[:16]}-{pictures_identity(world.data, world.graph)[:16]}"
        self._pictures = f"{world.data.resolve()}/{identity}"
        self._maker = ViewMaker(find_panoramas(world.data, graph=world.graph), encoder.recipe)
        self._kept: OrderedDict[int, Floats] = OrderedDict()
        self._lock = threading.Lock()  # of what is kept

    def gather(self, panorama: npt.NDArray[np.int64]) -> Floats:
        """Gives (B, 36, D) float32 features of panoramas (B,).

        Raises:
            MissingData, CorruptData: A picture is not there or damaged.
            EncodingFailed: The encoder could not answer.
        """
        wanted = dict.fromkeys(panorama.tolist())
        with self._lock:
            found = {one: self._kept[one] for one in wanted if one in self._kept}
        asked = {one: self._ask(one) for one in wanted if one not in found}
        found |= {one: answer.result() for one, answer in asked.items()}
        with self._lock:
            for one in wanted:
                self._kept[one] = found[one]
                self._kept.move_to_end(one)
            while len(self._kept) > self._keep:
                self._kept.popitem(last=False)
        if not found:
            return np.empty((0, NUM_VIEWS, self.dim), dtype=np.float32)
        return np.stack([found[one] for one in panorama.tolist()])

    def of_views(self, panorama: npt.NDArray[np.int64], view: npt.NDArray[np.int64]) -> Floats:
        """Gives (N, D) float32 features of single views; nothing is kept.

        Args:
            panorama: (N,) places.
            view: (N,) views, 0 to 35.

        Raises:
            As `gather`.
        """
        found = np.empty((len(panorama), self.dim), dtype=np.float32)
        asked = []
        for one in np.unique(panorama).tolist():  # rendered one by one, encoded in batches
            rows = np.flatnonzero(panorama == one)
            which, place = np.unique(view[rows], return_inverse=True)
            asked.append((rows, place, self._ask(one, which)))
        for rows, place, answer in asked:
            found[rows] = answer.result()[place]
        return found

    def _ask(self, panorama: int, which: npt.NDArray[np.int64] | None = None) -> Awaited:
        scan, viewpoint = self._graph.scan_of(panorama), self._graph.viewpoints[panorama]
        views = self._maker.views(scan, viewpoint, which)
        # The key lets clients that stand at one place share one answer.
        seen = "all" if which is None else ",".join(map(str, which.tolist()))
        key = f"{self._pictures}/{scan}/{viewpoint}/{seen}"
        return self._client.submit(self.encoder.handle, "images", views, key=key)


def served_views(encoder: str, world: World, *, socket: Path, client: str) -> EncodedViews:
    """Gives views of a world encoded by a running server; closing them leaves it.

    Args:
        encoder: A handle that the server holds.
        world: Has the pictures.
        socket: The server's.
        client: As for `EncodedPictures`.

    Raises:
        UnknownName: The server holds no such encoder.
        BadConfig: The handle is no network's.
        ServiceClosed: No server answers there.
        MissingData, CorruptData: The world has no pictures.
    """
    from vln.service.local.remote import RemoteService

    if world_encoder(Handle.parse(encoder)) is not None:
        raise BadConfig(
            f"--encoder {encoder} is no network: it reads annotations or the world as a whole, and "
            "needs no server. Leave --service out, or name a network that the server holds."
        )
    service = RemoteService(socket)
    return EncodedViews(service.encoder(encoder), service, client=client, world=world)
