"""What the environments' cameras see, in the C++ simulator's layout: BGR, and depth with a channel.

The only place where colours stand in that order. Without rendering nothing is looked for on disk,
and all states share one array of zeros.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

from vln.mattersim.errors import MissingFiles, missing_is_value_error
from vln.mattersim.states import Bytes, Depths, zeros
from vln.mattersim.timers import Timers
from vln.mattersim.world import World
from vln.panorama.faces import PanoramaSource
from vln.panorama.pinhole import Camera
from vln.panorama.skybox import SkyboxSource
from vln.panorama.sources import CachedSource
from vln.panorama.views import ViewRenderer


class Images(NamedTuple):
    """Per environment: `rgb` (H, W, 3) uint8, BGR all the same, and `depth` (H, W, 1) uint16."""

    rgb: list[Bytes]
    depth: list[Depths]


def blank(size: int, *, width: int, height: int) -> Images:
    """Gives the images of environments that do not render; all share one read-only array."""
    rgb, depth = zeros((height, width, 3), "uint8"), zeros((height, width, 1), "uint16")
    return Images([rgb] * size, [depth] * size)


class Pictures:
    """Renders batches.

    Args:
        source: Where panoramas come from.
        camera: The pinhole of all views.
        depth: Renders depth as well.
        timers: Are told how long it took.
    """

    def __init__(
        self, source: PanoramaSource, *, camera: Camera, depth: bool, timers: Timers
    ) -> None:
        self._source = source
        self._renderer = ViewRenderer(camera)
        self._with_depth = depth
        self._timers = timers
        self._blank = blank(1, width=camera.width, height=camera.height)

    def render(
        self,
        places: Sequence[tuple[str, str]],
        headings: Sequence[float],
        elevations: Sequence[float],
    ) -> Images:
        """Gives new images, which are the caller's to draw into.

        Args:
            places: Scan and viewpoint of B environments.
            headings: B radians.
            elevations: B radians.

        Raises:
            MissingFiles: There is no picture of a viewpoint.
            CorruptData: There is one that cannot be used.
        """
        images = Images(self._blank.rgb * len(places), self._blank.depth * len(places))
        self._timers.frames += len(places)
        for place, rows in _same(places):
            with self._timers.during("loading"), missing_is_value_error():
                panorama = self._source.panorama(*place)
            where = [headings[n] for n in rows], [elevations[n] for n in rows]
            with self._timers.during("rendering"), missing_is_value_error():
                seen = self._renderer.views(panorama, *where)
                depths = self._renderer.depth(panorama, *where) if self._with_depth else ()
            with self._timers.during("reading"):
                for n, view in zip(rows, seen, strict=True):
                    images.rgb[n] = np.asarray(cv2.cvtColor(view, cv2.COLOR_RGB2BGR), np.uint8)
                for n, depth in zip(rows, depths, strict=False):
                    images.depth[n] = depth[..., None].copy()  # not a view that keeps its batch
        return images


def _same(places: Sequence[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], list[int]]]:
    """Yields every place with the environments that are there."""
    rows: dict[tuple[str, str], list[int]] = {}
    for n, place in enumerate(places):
        rows.setdefault(place, []).append(n)
    yield from rows.items()


class SharedSource(CachedSource):
    """The panoramas that all simulators of the same pictures have in memory together."""

    def __init__(self, source: SkyboxSource, *, size: int) -> None:
        super().__init__(source, size=size)
        self._skyboxes = source
        self._growing = threading.Lock()
        self._preloading = threading.Lock()

    def grow(self, size: int) -> None:
        """Keeps so many from now on, or more."""
        with self._growing:
            self.size = max(self.size, size)

    def preload_all(self) -> None:
        """Reads all that are there and not in memory yet, and keeps them whatever the size.

        Raises:
            MissingFiles: Nothing is there.
        """
        source = self._skyboxes
        scans = source.graph.scans
        names = [(scan, viewpoint) for scan in scans for viewpoint in source.viewpoints(scan)]
        if not names:
            raise MissingFiles(
                f"nothing to pre-load: no skyboxes of any of {len(scans)} scans below "
                f"{source.root}. setDatasetPath names the folder that holds "
                "<scan>/matterport_skybox_images."
            )
        self.grow(len(names))
        # One after the other: who comes second finds everything read.
        with self._preloading, missing_is_value_error():
            self.preload(names, workers=os.cpu_count() or 1)


Key = tuple[Path, Path, bool]
_shared: Final[weakref.WeakValueDictionary[Key, SharedSource]] = weakref.WeakValueDictionary()
_sharing: Final = threading.Lock()


def skyboxes(root: Path, *, world: World, depth: bool, cache_size: int) -> SharedSource:
    """Gives the panoramas below a dataset path, the same object while any simulator holds it.

    Args:
        root: Holds <scan>/matterport_skybox_images, or v1/scans/ with these.
        world: Has the poses.
        depth: Reads depth strips too.
        cache_size: Panoramas kept in memory at least.
    """
    place = root.resolve()
    with _sharing:
        found = _shared.get((place, world.folder, depth))
        if found is None:
            found = SharedSource(
                SkyboxSource(place, graph=world.graph, depth=depth), size=cache_size
            )
            _shared[place, world.folder, depth] = found
    found.grow(cache_size)
    return found
