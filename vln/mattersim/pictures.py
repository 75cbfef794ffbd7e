"""What the environments' cameras see, in the C++ simulator's layout: BGR, and depth with a channel.

The only place where colours stand in that order. Without rendering nothing is looked for on disk,
and all states share one array of zeros.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from vln.graph import NavGraph
from vln.mattersim.errors import MissingFiles, missing_is_value_error
from vln.mattersim.states import Bytes, Depths
from vln.mattersim.timers import Timers
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
    rgb, depth = np.zeros((height, width, 3), np.uint8), np.zeros((height, width, 1), np.uint16)
    rgb.flags.writeable = depth.flags.writeable = False
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


def skyboxes(
    root: Path, *, graph: NavGraph, depth: bool, cache_size: int, preload: bool
) -> CachedSource:
    """Gives the panoramas below a dataset path.

    Args:
        root: Holds <scan>/matterport_skybox_images, or v1/scans/ with these.
        graph: Has the poses.
        depth: Reads depth strips too.
        cache_size: Panoramas kept in memory.
        preload: Reads all that are there at once, and keeps them whatever the size.

    Raises:
        MissingFiles: Nothing is there to pre-load.
    """
    source = SkyboxSource(root, graph=graph, depth=depth)
    if not preload:
        return CachedSource(source, size=cache_size)
    names = [(scan, viewpoint) for scan in graph.scans for viewpoint in source.viewpoints(scan)]
    if not names:
        raise MissingFiles(
            f"nothing to pre-load: no skyboxes of any of {len(graph.scans)} scans below {root}. "
            "setDatasetPath names the folder that holds <scan>/matterport_skybox_images."
        )
    cached = CachedSource(source, size=max(cache_size, len(names)))
    with missing_is_value_error():
        cached.preload(names, workers=os.cpu_count() or 1)
    return cached
