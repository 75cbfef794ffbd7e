"""Eyes that need no download: where in a view which colours are.

A view is rendered 32 x 24 pixels small. Its features are the mean colour of 4 x 3 cells and the
root of a histogram of 4 x 4 x 4 colours, and together they have the norm `NORM`. Nothing is learnt,
so one fingerprint holds for every world.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from vln.encoders.base import Identity, Sight, World
from vln.encoders.object_fit import NORM
from vln.geometry import NUM_VIEWS
from vln.panorama.faces import PanoramaSource
from vln.panorama.pinhole import Camera
from vln.panorama.sources import find_panoramas, pictures_identity
from vln.panorama.views import ViewRenderer

NAME = "image_stats"
RULE = "32x24/4x3-means/4x4x4-root-histogram/norm-10"
"""Changes whenever the rule above does."""
WIDTH, HEIGHT = 32, 24
COLUMNS, ROWS = 4, 3
BINS = 4
"""Of each of red, green and blue."""
DIM = COLUMNS * ROWS * 3 + BINS**3
WORKERS = 2


def image_statistics(world: World) -> Sight:
    """Gives the colours of every view, (V, 36, 100) float16.

    Raises:
        MissingData: The world has no panoramas, or one is missing.
        CorruptData: One is damaged.
    """
    source = find_panoramas(world.data, graph=world.graph)
    identity = Identity(NAME, hashlib.sha256(f"{NAME}/{RULE}".encode()).hexdigest())
    return Sight(
        identity,
        lambda: _extracted(source, world),
        source=pictures_identity(world.data, world.graph),
        kept_as=identity,
    )


def statistics(views: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Gives (N, 100) float32 features of views (N, 24, 32, 3) uint8 RGB."""
    count = len(views)
    cells = views.reshape(count, ROWS, HEIGHT // ROWS, COLUMNS, WIDTH // COLUMNS, 3)
    means = cells.mean(axis=(2, 4), dtype=np.float32).reshape(count, -1) / 127.5 - 1
    means /= np.sqrt(np.float32(means.shape[1]))  # at most the norm of the histogram, 1
    red, green, blue = np.moveaxis(views.reshape(count, -1, 3) // (256 // BINS), 2, 0)
    colour = (red.astype(np.int64) * BINS + green) * BINS + blue
    place = colour + BINS**3 * np.arange(count)[:, None]
    counts = np.bincount(place.ravel(), minlength=count * BINS**3).reshape(count, -1)
    shares = np.sqrt(counts / np.float32(HEIGHT * WIDTH), dtype=np.float32)
    features: npt.NDArray[np.float32] = np.concatenate([means, shares], axis=1)
    features *= NORM / np.linalg.norm(features, axis=1, keepdims=True)
    return features


def _extracted(source: PanoramaSource, world: World) -> npt.NDArray[np.float16]:
    graph = world.graph
    values = np.empty((len(graph.viewpoints), NUM_VIEWS, DIM), dtype=np.float16)
    threads = threading.local()  # a renderer keeps scratch memory

    def extract(panorama: int) -> None:
        if not hasattr(threads, "renderer"):
            threads.renderer = ViewRenderer(Camera(width=WIDTH, height=HEIGHT), smooth=True)
        picture = source.panorama(graph.scan_of(panorama), graph.viewpoints[panorama])
        values[panorama] = statistics(threads.renderer.sweep(picture))

    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        done: Iterable[None] = pool.map(extract, range(len(values)))
        try:
            for _ in tqdm(done, total=len(values), desc=NAME, unit="panorama", smoothing=0.05):
                pass
        except BaseException:  # one that cannot be read, or an interrupt: the rest need not wait
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return values
