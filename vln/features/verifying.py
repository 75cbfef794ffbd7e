"""Whether a store still holds what was written to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vln.errors import CorruptData
from vln.features.layout import chunks, read, read_index
from vln.graph import NavGraph


def damage(folder: Path, graph: NavGraph, *, progress: bool = True) -> list[str]:
    """Gives what is wrong with a store, a text each; nothing where all of it is whole.

    All bytes are read: their checksums are compared, and that they are finite.

    Args:
        folder: Of the store.
        graph: The world.
        progress: Whether a bar is drawn on standard error.
    """
    try:
        index = read_index(folder)
        read(folder, graph)
    except CorruptData as error:
        return [str(error)]
    shards = index.plan.shards
    found = []
    bar = tqdm(shards, desc=f"checking {index.plan.handle}", unit="shard", disable=not progress)
    parts = chunks(folder, index.plan, size=index.plan.shard)
    for shard, part, expected in zip(bar, parts, index.sha256, strict=True):
        first, last = (graph.viewpoints[i] for i in (shard[0], shard[-1]))
        if hashlib.sha256(part.data).hexdigest() != expected:
            found.append(f"viewpoints {first} to {last}: not what was written")
        for row in np.flatnonzero(~np.isfinite(part).all(axis=(1, 2))):
            found.append(f"viewpoint {graph.viewpoints[shard[int(row)]]}: not finite")
    return found
