"""What agents see: views of the panoramas that they stand in.

Knows neither episodes nor the rest of an observation.

Legend: B rows, H x W pixels of a view.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.data.locations import data_root
from vln.errors import MissingData, VlnError
from vln.graph import NavGraph
from vln.panorama.equirectangular import EquirectangularSource
from vln.panorama.faces import Panorama, PanoramaSource
from vln.panorama.pinhole import Camera
from vln.panorama.sources import CachedSource, find_panoramas
from vln.panorama.views import ViewRenderer

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

KEPT_BYTES: Final = 1 << 28
"""Bytes of rendered views that each environment keeps for rows that stay or come back.

256 MiB, 8 sweeps of 640 x 480; every worker of Gymnasium's vector environments keeps as much.
"""


class Sight:
    """Renders the panoramas of a graph with one camera.

    A panorama is rendered once, however many rows stand there, and the sweeps rendered last are
    kept, `KEPT_BYTES` of them.

    Args:
        source: Gives the panoramas.
        graph: Names them.
        camera: The pinhole. Where it is coarser than the faces, they are filtered first: views of
            640 x 480 from faces of 1024 pixels are softer than MatterSim's by half a texel or so.
    """

    def __init__(self, source: PanoramaSource, *, graph: NavGraph, camera: Camera) -> None:
        self.camera = camera
        self._source = source
        self._graph = graph
        self._renderer = ViewRenderer(camera, smooth=True)
        self._kept: OrderedDict[int, Bytes] = OrderedDict()

    def sweeps(self, panorama: Ints, *, is_shown: npt.NDArray[np.bool_]) -> Bytes:
        """Gives (B, 36, H, W, 3) uint8 RGB, all views in MatterSim's order, fresh memory.

        Args:
            panorama: (B,) where the rows stand.
            is_shown: (B,) rows to render; the others are black.

        Raises:
            MissingData, CorruptData, UnknownViewpoint: As the source does; which row, viewpoint
                and scan it was stands before its message. A source's own child of `VlnError` stays
                what it is where a message is all that it is made of, and else becomes the nearest
                parent; a plain `OSError` becomes `MissingData`.
        """
        shape = (len(panorama), geometry.NUM_VIEWS, self.camera.height, self.camera.width, 3)
        views = np.empty(shape, dtype=np.uint8)
        views[~is_shown] = 0
        for place in np.unique(panorama[is_shown]).tolist():
            rows = np.flatnonzero(is_shown & (panorama == place))
            views[rows] = self._sweep(int(rows[0]), place)
        return views

    def view(self, row: int, panorama: int, *, heading: float, elevation: float) -> Bytes:
        """Gives (H, W, 3) uint8 RGB, what a row sees in one direction; raises as `sweeps`."""
        view: Bytes = self._renderer.views(self._read(row, panorama), [heading], [elevation])[0]
        return view

    def _sweep(self, row: int, panorama: int) -> Bytes:
        kept = self._kept.get(panorama)
        if kept is not None:
            self._kept.move_to_end(panorama)
            return kept
        sweep = self._renderer.sweep(self._read(row, panorama))
        self._kept[panorama] = sweep
        if len(self._kept) > KEPT_BYTES // sweep.nbytes:
            self._kept.popitem(last=False)
        return sweep

    def _read(self, row: int, panorama: int) -> Panorama:
        scan, viewpoint = self._graph.scan_of(panorama), self._graph.viewpoints[panorama]
        try:
            return self._source.panorama(scan, viewpoint)
        except (VlnError, OSError) as error:
            place = f"environment {row} at viewpoint {viewpoint} of scan {scan}"
            raise _retold(error, f"{place}: {error}") from error

    def __reduce__(self) -> tuple[Callable[..., Sight], tuple[Any, ...]]:
        # A copy in another process starts without the sweeps and scratch memory of this one.
        return partial(Sight, graph=self._graph, camera=self.camera), (self._source,)


def _retold(error: VlnError | OSError, message: str) -> VlnError:
    """Gives a new error that says `message`, of the same type or the nearest that can say it."""
    for kind in type(error).__mro__:
        if not issubclass(kind, VlnError):
            continue
        with suppress(Exception):  # constructors of somebody else's take and check what they like
            retold: VlnError = kind(message)
            if str(retold) == message:
                return retold
    return MissingData(message)


def world_panoramas(
    data: Path | None, *, graph: NavGraph, are_needed: bool
) -> PanoramaSource | None:
    """Gives the panoramas of a world's folder.

    Args:
        data: The folder; None takes `$VLN_DATA`.
        graph: The world's graph.
        are_needed: Having none is an error; else None is given where the folder shows none of the
            graph's viewpoints, or where there is no folder at all.

    Raises:
        MissingData: The folder that is given is none, or there are no panoramas, or none that may
            be read, and they are needed.
        CorruptData: The only skyboxes are in a zip that is damaged.
    """
    try:
        root = data_root(data)
    except MissingData as error:
        if are_needed:
            raise MissingData(
                "pixels=True needs panoramas. Hand them over as panoramas=, or say with data= or "
                f"VLN_DATA which folder holds them, in skyboxes/ or panoramas/: {error}"
            ) from error
        if data is not None:
            raise
        return None
    try:
        source = find_panoramas(root, graph=graph)
    except MissingData:
        if are_needed:
            raise
        return None
    # What was read last is kept: a picture for people often follows the observation.
    return CachedSource(source, size=1) if are_needed or _shows_any(source, graph) else None


def _shows_any(source: PanoramaSource, graph: NavGraph) -> bool:
    """Says whether a source has a viewpoint of the graph; photographs alone may have none."""
    if not isinstance(source, EquirectangularSource):
        return True
    return any(
        source.has(scan, graph.viewpoints[panorama])
        for scan in graph.scans
        for panorama in graph.members(scan)
    )
