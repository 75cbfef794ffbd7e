"""Pictures of a whole world -> features in the store: rendered, encoded and written side by side.

Render threads work ahead while the encoder runs, so the slower of the two sets the pace. Views go
to the encoder in blocks of one size, cut in the order of the graph's viewpoints; a shard that a
kill interrupted is cut in the same way again, so the bytes do not depend on interruptions.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from vln import geometry
from vln.encoders.base import World
from vln.encoders.recipe import Recipe
from vln.errors import BadConfig
from vln.features.source import FeatureTable
from vln.features.writing import StoreWriter
from vln.geometry import NUM_VIEWS
from vln.panorama.faces import PanoramaSource
from vln.panorama.pinhole import Camera
from vln.panorama.sources import find_panoramas, pictures_identity
from vln.panorama.views import ViewRenderer
from vln.service.answer import Answer
from vln.service.requests import Limits
from vln.service.service import Client, EncoderService

if TYPE_CHECKING:
    from vln.encoders.network import ImageEncoder

    Bar = tqdm[Any]

SHARD = 16
"""Panoramas in a shard."""
BLOCKS = tuple(n for n in range(1, SHARD * NUM_VIEWS + 1) if SHARD * NUM_VIEWS % n == 0)
"""Views in a block; shards are whole blocks, so no block ever holds views of two shards."""
MAX_WORKERS = 256
Views = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """How features are extracted; none of it changes what comes out by more than rounding.

    Attributes:
        workers: Threads that read and render panoramas.
        block: Views that the encoder gets at once; 0 for what it does fastest.
        dtype: Of the stored features.
        progress: Whether a bar is drawn on standard error.
    """

    workers: int = 1
    block: int = 0
    dtype: str = "float16"
    progress: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MAX_WORKERS:
            raise BadConfig(f"{self.workers} workers; expected 1 to {MAX_WORKERS}.")
        if self.block not in (0, *BLOCKS):
            raise BadConfig(
                f"blocks of {self.block} views; expected one of {', '.join(map(str, BLOCKS))}."
            )
        if self.dtype not in ("float16", "float32"):
            raise BadConfig(f"features of type {self.dtype!r}; expected float16 or float32.")


def best_block(device: str, image_size: tuple[int, int]) -> int:
    """Gives the number of views at once that an encoder on a device does fastest.

    On a CPU core ResNet-50 and ViT-B/32 do 8 pictures of 224 pixels a side fastest, a network of
    small pictures more of them: about as many pixels (`python -m benchmarks.encode`). For GPUs,
    where it was not measured, a number that fills them.

    Args:
        device: Where it runs.
        image_size: Height and width in pixels of what it sees.
    """
    if not device.startswith("cpu"):
        return 288
    height, width = image_size
    return next(n for n in reversed(BLOCKS) if n <= max(8, 8 * 224**2 // (height * width)))


def settled(settings: Extraction, encoder: ImageEncoder) -> Extraction:
    """Gives settings that name a block."""
    block = settings.block or best_block(encoder.device, encoder.spec.image_size)
    return replace(settings, block=block)


def best_workers(device: str) -> int:
    """Gives the threads that keep a device busy with views.

    A CPU core encodes ten views/s and renders hundreds; a GPU encodes thousands, so there all
    cores but one render.
    """
    return 1 if device.startswith("cpu") else max(1, min(16, (os.cpu_count() or 1) - 1))


def view_camera(recipe: Recipe) -> Camera:
    """Gives the camera that views are rendered with: 640 x 480, or straight what is kept of them.

    A square camera with the same vertical field of view sees just the middle square.
    """
    if not recipe.direct:
        return Camera()
    wide = Camera()
    width = recipe.size
    if recipe.frame == "wide":
        width = recipe.size * wide.width // wide.height
    return Camera(width=width, height=recipe.size)


class ViewMaker:
    """Gives the views of a panorama, fitted to an encoder; safe to share between threads.

    Args:
        source: Of panoramas.
        recipe: The encoder's.
    """

    def __init__(self, source: PanoramaSource, recipe: Recipe) -> None:
        self.source = source
        self.recipe = recipe
        self._camera = view_camera(recipe)
        self._threads = threading.local()  # a renderer keeps scratch memory

    def views(self, scan: str, viewpoint: str, which: npt.NDArray[np.int64] | None = None) -> Views:
        """Gives (n, h, w, 3) uint8 RGB of views, all 36 where none are named; raises as the source.

        Args:
            scan: Of the viewpoint.
            viewpoint: Where to look from.
            which: (n,) views, 0 to 35.
        """
        from vln.encoders.preprocess import fitted

        if not hasattr(self._threads, "renderer"):
            self._threads.renderer = ViewRenderer(self._camera, smooth=self.recipe.direct)
        renderer: ViewRenderer = self._threads.renderer
        picture = self.source.panorama(scan, viewpoint)
        which = np.arange(NUM_VIEWS) if which is None else which
        heading, elevation = geometry.view_heading(which), geometry.view_elevation(which)
        swept = renderer.views(picture, heading, elevation)
        return swept if self.recipe.direct else fitted(swept, self.recipe)


def extract(
    encoder: ImageEncoder,
    world: World,
    *,
    settings: Extraction | None = None,
    panoramas: PanoramaSource | None = None,
    service: EncoderService | None = None,
) -> FeatureTable:
    """Gives an encoder's features of every view of a world, stored; goes on where it was stopped.

    Args:
        encoder: Sees.
        world: Its pictures are rendered.
        settings: How.
        panoramas: The world's pictures; looked for where None.
        service: Holds the encoder under its handle and is shared with others, whose requests may
            then join blocks and change last bits; a service of its own where None.

    Raises:
        MissingData: The world has no panoramas, or one is missing.
        CorruptData: One is damaged.
        InUse: Another process is extracting the same.
        CannotWrite: There is no room.
        EncodingFailed: The encoder gives no finite numbers, or runs out of memory.
    """
    settings = settled(settings or Extraction(workers=best_workers(encoder.device)), encoder)
    panoramas = panoramas or find_panoramas(world.data, graph=world.graph)
    maker = ViewMaker(panoramas, encoder.recipe)
    with writer_of(encoder, world, settings) as writer, ExitStack() as stack:
        if service is None:
            limits = Limits(max_batch=settings.block, max_queue_items=4 * settings.block)
            engines = {encoder.handle: encoder.encode}
            service = stack.enter_context(EncoderService(engines, limits=limits))
        client = stack.enter_context(service.client("extraction"))
        shown = stack.enter_context(bar(encoder.handle, writer, progress=settings.progress))
        pipeline = stack.enter_context(closing(Pipeline(maker, world, client, settings, shown)))
        for shard, features in pipeline.features(encoder.handle, writer.todo):
            writer.put(shard, features)
        return writer.finish()


def writer_of(encoder: ImageEncoder, world: World, settings: Extraction) -> StoreWriter:
    """Gives who writes an encoder's features of a world's pictures."""
    return StoreWriter(
        world.graph,
        encoder=encoder.handle,
        fingerprint=encoder.spec.fingerprint,
        source=pictures_identity(world.data, world.graph),
        dim=encoder.dim,
        dtype=np.dtype(settings.dtype),
        about=_about(encoder),
        shard=SHARD,
        cache=world.cache,
    )


def bar(words: str, writer: StoreWriter, *, progress: bool) -> Bar:
    """Gives a bar that counts encoded views; those of finished shards are there already."""
    total = writer.plan.viewpoints * NUM_VIEWS
    return tqdm(
        total=total,
        initial=total - sum(map(len, writer.todo)) * NUM_VIEWS,
        desc=words,
        unit="view",
        smoothing=0.05,
        disable=not progress,
    )


def _about(encoder: ImageEncoder) -> dict[str, Any]:
    """Gives what a reader of the stored features wants to know of them."""
    camera = Camera()
    return {
        "recipe": encoder.recipe.as_json(),
        "image_w": camera.width,
        "image_h": camera.height,
        "vfov": 60,
    }


class Pipeline:
    """Renders ahead of the encoder, and lets the encoder run ahead of who takes the features.

    Args:
        maker: Renders.
        world: Whose views.
        client: Encodes.
        settings: How.
        shown: Counts views.
    """

    def __init__(
        self, maker: ViewMaker, world: World, client: Client, settings: Extraction, shown: Bar
    ) -> None:
        self._maker, self._graph, self._client, self._shown = maker, world.graph, client, shown
        self._block, self._ahead = settings.block, settings.workers + 2
        self._pool = ThreadPoolExecutor(max_workers=settings.workers)

    def close(self) -> None:
        """Renders no more."""
        self._pool.shutdown(cancel_futures=True)

    def features(
        self, encoder: str, shards: tuple[range, ...]
    ) -> Iterator[tuple[range, npt.NDArray[np.float32]]]:
        """Gives every shard and its (n, 36, D) features, in order, as soon as they are there."""
        views = self._rendered([panorama for shard in shards for panorama in shard])
        rows = self._encoded(
            encoder,
            (b for shard in shards for b in _blocks(views, count=len(shard), size=self._block)),
        )
        for shard in shards:
            blocks = -(-len(shard) * NUM_VIEWS // self._block)
            whole = np.concatenate([next(rows) for _ in range(blocks)])
            yield shard, whole.reshape(len(shard), NUM_VIEWS, -1)

    def _encoded(self, encoder: str, blocks: Iterator[Views]) -> Iterator[npt.NDArray[np.float32]]:
        """Gives the features of blocks in order, while the encoder runs ahead on later ones."""
        asked = deque[Answer]()
        for block in blocks:  # back-pressure: `submit` waits while the queue is full
            asked.append(self._client.submit(encoder, "images", block))
            while asked and asked[0].done():
                yield self._told(asked.popleft())
        while asked:
            yield self._told(asked.popleft())

    def _told(self, answer: Answer) -> npt.NDArray[np.float32]:
        rows = answer.result()
        self._shown.update(len(rows))
        return rows

    def _rendered(self, panoramas: list[int]) -> Iterator[Views]:
        """Gives the views of panoramas in order, a few of them rendered ahead."""
        graph, ahead = self._graph, deque[Future[Views]]()
        for panorama in panoramas:
            name = graph.scan_of(panorama), graph.viewpoints[panorama]
            ahead.append(self._pool.submit(self._maker.views, *name))
            if len(ahead) > self._ahead:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _blocks(views: Iterator[Views], *, count: int, size: int) -> Iterator[Views]:
    """Gives the views of the next `count` panoramas in blocks of `size`, a smaller one last."""
    rest: list[Views] = []
    held = 0
    for _ in range(count):
        rest.append(next(views))
        held += NUM_VIEWS
        while held >= size:
            block = np.concatenate(rest) if len(rest) > 1 else rest[0]
            yield block[:size]
            rest, held = [block[size:]], held - size
    if held:
        yield np.concatenate(rest)
