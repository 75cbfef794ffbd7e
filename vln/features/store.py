"""The feature store: one memory-mapped array per world and encoder, shared by every process.

`$VLN_CACHE/features/<world>/<encoder>-<fingerprint>/` holds `values.npy` (V, 36, D) in panorama
order and `index.json`; the index is written last, so a folder with one is whole. What was encoded
may change while the graph, the encoder and so the fingerprint stay: then the identity of it, the
source, stands at the end of the folder's name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from vln.data.locations import cache_root
from vln.errors import CorruptData
from vln.features.source import FeatureTable
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph
from vln.runs import atomic

SHORT = 16
"""Hexadecimal digits of a digest that folder names show."""


DTYPES = (np.dtype(np.float16), np.dtype(np.float32))
_INDEX = {"encoder", "fingerprint", "world", "dim"}


def folder_of(graph: NavGraph, *, cache: Path | None = None) -> Path:
    """Gives where the features of a world live; the folder may not exist yet."""
    return (cache or cache_root()) / "features" / graph.world[:SHORT]


def write(
    values: npt.NDArray[Any],
    graph: NavGraph,
    *,
    encoder: str,
    fingerprint: str,
    source: str = "",
    cache: Path | None = None,
) -> FeatureTable:
    """Stores the features of a whole world and gives them back, memory-mapped.

    Args:
        values: (V, 36, D) float16 or float32, in the order of `graph.viewpoints`.
        graph: The world.
        encoder: Name of what made them.
        fingerprint: Identity of what made them, hex.
        source: Identity of what they were made from, hex.
        cache: Root of the store; the user's cache where None.

    Raises:
        CorruptData: Wrong shape or type, or not finite.
    """
    name = f"{encoder}-{fingerprint[:SHORT]}{_ending(source)}"
    folder = folder_of(graph, cache=cache) / name
    expected = (len(graph.viewpoints), NUM_VIEWS)
    if values.ndim != 3 or values.shape[:2] != expected or values.dtype not in DTYPES:
        raise CorruptData.of(
            folder,
            "",
            f"features of shape {values.shape}, {values.dtype}",
            f"Expected {expected} and a width, float16 or float32, in the graph's order.",
        )
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))[0])
        raise CorruptData.of(
            folder, f"viewpoint {graph.viewpoints[row]}", "not finite", "Encode it again."
        )
    with atomic(folder / "values.npy") as stream:
        np.save(stream, values)
    index = {
        "encoder": encoder,
        "fingerprint": fingerprint,
        "source": source,
        "world": graph.world,
        "viewpoints": len(graph.viewpoints),
        "dim": values.shape[2],
        "dtype": str(values.dtype),
    }
    with atomic(folder / "index.json") as stream:
        stream.write(orjson.dumps(index, option=orjson.OPT_INDENT_2))
    return read(folder, graph, source=source)


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
        encoder: Name.
        fingerprint: Its beginning or whole; empty takes the only one there is.
        source: What they must be made from; empty takes any.
        cache: Root of the store; the user's cache where None.

    Raises:
        CorruptData: A store that cannot be used, or several that fit.
    """
    root = folder_of(graph, cache=cache)
    fits = sorted(root.glob(f"{encoder}-{fingerprint[:SHORT]}*{_ending(source)}/index.json"))
    if len(fits) > 1:
        names = [file.parent.name for file in fits]
        raise CorruptData.of(
            root, "", f"several features fit {encoder!r}: {names}", "Remove all but one."
        )
    return read(fits[0].parent, graph, source=source) if fits else None


def _ending(source: str) -> str:
    return f"-{source[:SHORT]}" if source else ""


def read(folder: Path, graph: NavGraph, *, source: str = "") -> FeatureTable:
    """Gives the features in a folder of the store, memory-mapped.

    Args:
        folder: Which.
        graph: The world.
        source: What they must be made from; empty takes any.

    Raises:
        CorruptData: The store is damaged, belongs to another world or is made from something else.
    """
    remedy = "Remove the folder and make the features again."
    try:
        index = orjson.loads((folder / "index.json").read_bytes())
        # Copy-on-write, so that torch may wrap it without complaint; nothing writes.
        values = np.load(folder / "values.npy", mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CorruptData.of(folder, "", f"cannot be read ({error})", remedy) from None
    if not isinstance(index, dict) or not index.keys() >= _INDEX:
        problem = f"must be an object with {', '.join(sorted(_INDEX))}"
        raise CorruptData.of(folder / "index.json", "", problem, remedy)
    if source and index.get("source") != source:
        problem = f"is made from {str(index.get('source'))[:SHORT]}, not from {source[:SHORT]}"
        raise CorruptData.of(folder / "index.json", "", problem, remedy)
    expected = (len(graph.viewpoints), NUM_VIEWS, index["dim"])
    if index["world"] != graph.world or values.shape != expected or values.dtype not in DTYPES:
        problem = f"shape {values.shape}, {values.dtype}, world {str(index['world'])[:SHORT]}"
        remedy = f"Expected {expected}, world {graph.world[:SHORT]}. {remedy}"
        raise CorruptData.of(folder, "", problem, remedy)
    return FeatureTable(
        encoder=index["encoder"],
        fingerprint=index["fingerprint"],
        values=values,
        row=np.arange(len(graph.viewpoints)),
    )
