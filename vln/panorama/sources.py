"""Which panoramas a world has, and keeping those that were read last."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from vln.errors import BadConfig, MissingData
from vln.graph import NavGraph
from vln.panorama.equirectangular import EXTENSIONS, EquirectangularSource
from vln.panorama.faces import Panorama, PanoramaSource
from vln.panorama.skybox import LICENCE, STRIP, SkyboxSource

logger = logging.getLogger(__name__)

_PICTURES = (".zip", *EXTENSIONS)


def find_panoramas(
    data: Path, *, graph: NavGraph, depth: bool = False
) -> SkyboxSource | EquirectangularSource:
    """Gives the one source of panoramas that a world's folder holds.

    Skyboxes where at least one scan of the graph has them; else the equirectangular pictures in
    panoramas/. The two are never mixed: where there are skyboxes, a viewpoint without one is
    missing, whatever lies in panoramas/. A folder or zip of skyboxes that cannot be read stops
    nothing as long as another holds some; the source names it when a picture is found nowhere.

    Args:
        data: The world's folder.
        graph: The world's graph.
        depth: Depth strips are wanted as well; only skyboxes can have them.

    Raises:
        MissingData: Neither is there, or no skyboxes though depth is wanted; or a folder that may
            hold them cannot be listed.
        CorruptData: The only skyboxes are in a zip that is damaged.
    """
    skyboxes = SkyboxSource(data, graph=graph, depth=depth)
    if skyboxes.shows_any():
        logger.info("panoramas: skyboxes below %s", data)
        return skyboxes
    pictures = EquirectangularSource(data / "panoramas")
    has_pictures = pictures.shows_any()
    if has_pictures and not depth:
        logger.info("panoramas: equirectangular pictures in %s", pictures.folder)
        return pictures
    strip = STRIP.format(viewpoint="<viewpoint>")
    without = " hold no depth, which was asked for" if has_pictures else " hold none"
    raise MissingData(
        f"no panoramas in {data}: skyboxes/<scan>/, <scan>/ and v1/scans/<scan>/ hold no skybox "
        f"(such as {strip}, or the release's matterport_skybox_images.zip) of any of the graph's "
        f"{len(graph.scans)} scans, and equirectangular pictures in panoramas/ "
        f"({', '.join(EXTENSIONS)}){without}. {LICENCE}"
    )


def num_shown(source: SkyboxSource | EquirectangularSource, graph: NavGraph) -> int:
    """Gives how many of a graph's viewpoints have a panorama, unread."""
    names = zip(graph.scan_index.tolist(), graph.viewpoints, strict=True)
    return sum(source.has(graph.scans[scan], viewpoint) for scan, viewpoint in names)


def pictures_identity(data: Path, graph: NavGraph) -> str:
    """Gives the identity of a world's pictures, hex, by their names and sizes.

    Reading all takes too long. Times are left out, for a copy of the same pictures is the same
    world.
    """
    folders = ("skyboxes", "panoramas", "v1/scans", *graph.scans)
    files = [file for folder in folders for file in sorted((data / folder).rglob("*"))]
    told = [
        f"{file.relative_to(data).as_posix()} {file.stat().st_size}"
        for file in files
        if file.suffix.lower() in _PICTURES and file.is_file()
    ]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


class CachedSource:
    """Keeps the panoramas that were asked for last; safe to share between threads.

    A 512-pixel panorama takes 6.3 MB, a 1024-pixel one 25 MB. A copy sent to another process
    starts empty.

    Args:
        source: Gives what is not kept.
        size: Panoramas kept at most; 0 keeps none.

    Raises:
        BadConfig: A negative size.
    """

    def __init__(self, source: PanoramaSource, *, size: int) -> None:
        if size < 0:
            raise BadConfig(f"a cache of {size} panoramas; expected 0 or more.")
        self.source = source
        self.size = size
        self._kept: OrderedDict[tuple[str, str], Panorama] = OrderedDict()
        self._lock = threading.Lock()

    def panorama(self, scan: str, viewpoint: str) -> Panorama:
        """Gives a panorama from memory, else from the source; raises as the source does."""
        key = scan, viewpoint
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
        # Read without the lock: two threads that miss the same panorama at once both read it.
        panorama = self.source.panorama(scan, viewpoint)
        with self._lock:
            self._kept[key] = panorama
            self._kept.move_to_end(key)
            while len(self._kept) > self.size:
                self._kept.popitem(last=False)
        return panorama

    def preload(self, names: Iterable[tuple[str, str]], *, workers: int = 1) -> None:
        """Reads panoramas ahead.

        Args:
            names: Scan and viewpoint of each.
            workers: Threads that read; decoding runs in parallel.

        Raises:
            BadConfig: More panoramas than the cache keeps.
        """
        wanted = list(dict.fromkeys(names))
        if len(wanted) > self.size:
            raise BadConfig(f"{len(wanted)} panoramas to preload into a cache of {self.size}.")
        with ThreadPoolExecutor(max_workers=workers) as pool:
            for _ in pool.map(lambda name: self.panorama(*name), wanted):
                pass

    def __reduce__(self) -> tuple[Callable[..., CachedSource], tuple[Any, ...]]:
        return partial(CachedSource, size=self.size), (self.source,)
