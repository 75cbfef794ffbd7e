"""The feature store: one memory-mapped array per world and encoder, shared by every process.

How it lies on the disk is told in `vln.features.layout`; `vln.features.writing` writes it piece by
piece.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vln.encoders.handle import Handle
from vln.errors import CorruptData
from vln.features.layout import (
    DTYPES,
    INDEX,
    SHORT,
    OtherVersion,
    ending,
    folder_of,
    read,
    read_index,
)
from vln.features.source import FeatureTable
from vln.features.writing import StoreWriter
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph

__all__ = [
    "SHORT",
    "StoreWriter",
    "find",
    "folder_of",
    "folders",
    "holds",
    "imported",
    "read",
    "write",
]

_SHARD_BYTES = 2**26
"""Of what is in memory already: large shards, for a kill costs seconds."""


def write(
    values: npt.NDArray[Any],
    graph: NavGraph,
    *,
    encoder: str,
    fingerprint: str,
    source: str = "",
    about: Mapping[str, Any] | None = None,
    cache: Path | None = None,
) -> FeatureTable:
    """Stores the features of a whole world and gives them back, memory-mapped.

    Args:
        values: (V, 36, D) float16 or float32, in the order of `graph.viewpoints`.
        graph: The world.
        encoder: Handle of what made them.
        fingerprint: Identity of what made them, hex.
        source: Identity of what they were made from, hex.
        about: How they were made, for the index.
        cache: Root of the store; the user's cache where None.

    Raises:
        CorruptData: Wrong shape or type, or not finite.
        CannotWrite: The disk is full, or the folder cannot be written to.
        InUse: Another process is writing them.
    """
    expected = (len(graph.viewpoints), NUM_VIEWS)
    if values.ndim != 3 or values.shape[:2] != expected or values.dtype.name not in DTYPES:
        raise CorruptData.of(
            folder_of(graph, cache=cache) / encoder,
            "",
            f"features of shape {values.shape}, {values.dtype}",
            f"Expected {expected} and a width, float16 or float32, in the graph's order.",
        )
    with StoreWriter(
        graph,
        encoder=encoder,
        fingerprint=fingerprint,
        source=source,
        dim=values.shape[2],
        dtype=values.dtype,
        about=about,
        shard=max(1, _SHARD_BYTES // (values[:1].nbytes or 1)),
        anew=True,
        cache=cache,
    ) as writer:
        for shard in writer.todo:
            writer.put(shard, values[shard.start : shard.stop])
        return writer.finish()


def find(
    graph: NavGraph,
    *,
    encoder: str,
    fingerprint: str = "",
    source: str = "",
    cache: Path | None = None,
) -> FeatureTable | None:
    """Gives stored features of an encoder, or None where there are none.

    Args:
        graph: The world.
        encoder: Handle, exactly: `clip_rn50` finds no imported features, see `imported`.
        fingerprint: Its beginning or whole; empty takes the only one there is.
        source: What they must be made from; empty takes any.
        cache: Root of the store; the user's cache where None.

    Raises:
        CorruptData: A store that cannot be used, or several that fit.
    """
    fits = folders(graph, encoder=encoder, fingerprint=fingerprint, source=source, cache=cache)
    if len(fits) > 1:
        names = [folder.name for folder in fits]
        root = folder_of(graph, cache=cache)
        raise CorruptData.of(
            root, "", f"several features fit {encoder!r}: {names}", "Remove all but one."
        )
    return read(fits[0], graph, fingerprint=fingerprint, source=source) if fits else None


def folders(
    graph: NavGraph,
    *,
    encoder: str = "",
    fingerprint: str = "",
    source: str = "",
    cache: Path | None = None,
) -> list[Path]:
    """Gives the folders of whole stores of a world, sorted; all of them where nothing is asked.

    Stores of another version of this program are left out: they are made again where needed.

    Args:
        graph: The world.
        encoder: Handle, exactly; empty takes any.
        fingerprint: As for `find`.
        source: As for `find`.
        cache: Root of the store; the user's cache where None.

    Raises:
        CorruptData: A store that would fit by its name has an index that cannot be read.
    """
    name = re.escape(Handle.parse(encoder).slug) if encoder else ".+"
    begin, end = re.escape(fingerprint[:SHORT]), re.escape(ending(source))
    pattern = re.compile(f"{name}-{begin}.*{end}")
    found = []
    for folder in every(graph, cache=cache):
        if not pattern.fullmatch(folder.name):
            continue
        try:
            handle = read_index(folder).plan.handle
        except OtherVersion:
            continue
        if encoder in ("", handle):
            found.append(folder)
    return found


def holds(
    graph: NavGraph,
    *,
    encoder: str,
    fingerprint: str = "",
    source: str = "",
    cache: Path | None = None,
) -> bool:
    """Tells whether `find` would find something; the arguments are its."""
    return bool(
        folders(graph, encoder=encoder, fingerprint=fingerprint, source=source, cache=cache)
    )


def imported(graph: NavGraph, *, encoder: str, cache: Path | None = None) -> list[str]:
    """Gives the handles, such as `clip_rn50@1a2b3c4d`, of what was imported for an encoder.

    Args:
        graph: The world.
        encoder: A handle without @.
        cache: Root of the store; the user's cache where None.

    Raises:
        CorruptData: The index of such features cannot be read.
    """
    pattern = re.compile(re.escape(Handle.parse(encoder).slug) + "@[0-9a-f]{8}-.*")
    handles = []
    for folder in every(graph, cache=cache):
        if pattern.fullmatch(folder.name):
            with_at = Handle.parse(read_index(folder).plan.handle)
            handles += [str(with_at)] if with_at.plain == encoder else []
    return sorted(handles)


def every(graph: NavGraph, *, cache: Path | None = None) -> list[Path]:
    """Gives the folders of all stores of a world that have an index, usable or not, sorted."""
    return [file.parent for file in sorted(folder_of(graph, cache=cache).glob(f"*/{INDEX}"))]
