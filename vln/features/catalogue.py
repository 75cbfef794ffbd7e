"""What is in a world's store, summed up so that people recognise it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig, UnknownName
from vln.features import store
from vln.features.journal import Journal
from vln.features.layout import INDEX, VALUES, Plan, chunks, read, read_index
from vln.features.writing import JOURNAL
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph

SHOWN_VIEWS: Final = (0, 12)
"""Heading 0, looking down and level."""
SHOWN_VALUES: Final = 4
_CHUNK: Final = 64
"""Panoramas whose norms are worked out at once."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The first features of one view.

    Attributes:
        scan: Scan id.
        viewpoint: Viewpoint id.
        view: 0 to 35.
        values: The first four.
    """

    scan: str
    viewpoint: str
    view: int
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole store in a few numbers.

    Attributes:
        handle: Whose features.
        fingerprint: Identity of what made them, hex.
        source: Identity of what they were made from, hex; may be empty.
        folder: Where.
        viewpoints: V.
        dim: D.
        dtype: Of the values.
        size: Bytes.
        mean_norm: Mean length of all V x 36 vectors.
        samples: First values of two views at three viewpoints.
        made: When, ISO 8601 with the time zone.
        about: What their maker told.
    """

    handle: str
    fingerprint: str
    source: str
    folder: Path
    viewpoints: int
    dim: int
    dtype: str
    size: int
    mean_norm: float
    samples: tuple[Sample, ...]
    made: str
    about: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Gives plain values."""
        return {**asdict(self), "folder": str(self.folder)}


def landmarks(graph: NavGraph) -> tuple[int, ...]:
    """Gives up to three panoramas whose features are shown, the same on every machine.

    Of the scans in alphabetical order, the first, the one in the middle (number S // 2, from 0) and
    the last; of each, the viewpoint that comes first in alphabetical order.
    """
    scans = sorted(graph.scans)
    chosen = dict.fromkeys((scans[0], scans[len(scans) // 2], scans[-1]))
    return tuple(min(graph.members(scan), key=graph.viewpoints.__getitem__) for scan in chosen)


def summarise(folder: Path, graph: NavGraph) -> Summary:
    """Gives a store in a few numbers; reads all of it.

    Raises:
        CorruptData: It cannot be used.
    """
    index, values = read_index(folder), read(folder, graph).values
    plan = index.plan
    made = datetime.fromtimestamp((folder / INDEX).stat().st_mtime, tz=timezone.utc)
    return Summary(
        handle=plan.handle,
        fingerprint=plan.fingerprint,
        source=plan.source,
        folder=folder,
        viewpoints=plan.viewpoints,
        dim=plan.dim,
        dtype=plan.dtype,
        size=(folder / VALUES).stat().st_size,
        mean_norm=mean_norm(folder, plan),
        samples=tuple(_samples(values, graph)),
        made=made.astimezone().isoformat(timespec="seconds"),
        about=index.about,
    )


def mean_norm(folder: Path, plan: Plan) -> float:
    """Gives the mean length of a store's V x 36 vectors; NaN where some are not finite."""
    total = 0.0
    for part in chunks(folder, plan, size=_CHUNK):
        single = part.astype(np.float32, copy=False)
        squares = np.einsum("pvd,pvd->pv", single, single)
        total += float(np.sqrt(squares.astype(np.float64)).sum())
    return total / (plan.viewpoints * NUM_VIEWS)


def pick(
    graph: NavGraph, *, encoder: str, fingerprint: str = "", cache: Path | None = None
) -> Path:
    """Gives the folder of the store that a handle means: its own, else the only imported one.

    Args:
        graph: The world.
        encoder: A handle.
        fingerprint: Its beginning or whole; empty takes the only one there is.
        cache: Root of the store; the user's cache where None.

    Raises:
        UnknownName: There is none; what there is is named.
        BadConfig: Several fit.
        CorruptData: An index cannot be read.
    """
    named = store.folders(graph, encoder=encoder, fingerprint=fingerprint, cache=cache)
    if not named and "@" not in encoder:
        for handle in store.imported(graph, encoder=encoder, cache=cache):
            named += store.folders(graph, encoder=handle, fingerprint=fingerprint, cache=cache)
    if not named:
        known = [read_index(folder).plan.handle for folder in store.folders(graph, cache=cache)]
        raise UnknownName.of("features of this world:", encoder, known)
    if len(named) > 1:
        raise BadConfig(
            f"--encoder {encoder}: several features fit: {', '.join(f.name for f in named)}. Say "
            "which by the whole handle, or by the beginning of its --fingerprint."
        )
    return named[0]


def unfinished(graph: NavGraph, *, cache: Path | None = None) -> dict[str, int]:
    """Gives the shards that are finished of every store that is not whole, by folder name."""
    root = store.folder_of(graph, cache=cache)
    return {
        file.parent.name: Journal.count(file)
        for file in sorted(root.glob(f"*/{JOURNAL}"))
        if not (file.parent / INDEX).exists()
    }


def _samples(values: npt.NDArray[Any], graph: NavGraph) -> list[Sample]:
    return [
        Sample(
            scan=graph.scan_of(panorama),
            viewpoint=graph.viewpoints[panorama],
            view=view,
            values=tuple(map(float, values[panorama, view, :SHOWN_VALUES])),
        )
        for panorama in landmarks(graph)
        for view in SHOWN_VIEWS
    ]
