"""How a store lies on the disk, and reading it back.

`$VLN_CACHE/features/<world>/<encoder>-<fingerprint>/` holds `values.npy` (V, 36, D) in panorama
order and `index.json`; the index is written last, so a folder with one is whole. What was encoded
may change while the graph, the encoder and so the fingerprint stay: then the identity of it, the
source, stands at the end of the folder's name.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from vln.data.locations import cache_root
from vln.encoders.handle import Handle
from vln.errors import CorruptData
from vln.features.source import FeatureTable
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph

SHORT = 16
"""Hexadecimal digits of a digest that folder names show."""
VERSION: Final = 1
"""Of the layout; changes when older stores can no longer be read."""
VALUES, INDEX = "values.npy", "index.json"
DTYPES = ("float16", "float32")
REMEDY = "Remove the folder and make the features again."


class OtherVersion(CorruptData):
    """Raised when a store was written by another version of this program."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a store holds, as it is known before any of it is there.

    Attributes:
        handle: Whose features, see `vln.encoders.handle`.
        fingerprint: Identity of what made them, hex.
        source: Identity of what they were made from, hex; empty where that is not told.
        world: Identity of the graph.
        viewpoints: V.
        dim: D.
        dtype: `float16` or `float32`.
        shard: Panoramas per shard, the piece that is written and checked at once.
    """

    handle: str
    fingerprint: str
    source: str
    world: str
    viewpoints: int
    dim: int
    dtype: str
    shard: int

    @property
    def folder_name(self) -> str:
        """What the store's folder is called."""
        return f"{Handle.parse(self.handle).slug}-{self.fingerprint[:SHORT]}{ending(self.source)}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the values: (V, 36, D)."""
        return (self.viewpoints, NUM_VIEWS, self.dim)

    @cached_property
    def header(self) -> bytes:
        """The beginning of `values.npy`, before the numbers, which are little-endian."""
        stream = io.BytesIO()
        descr = np.dtype(self.dtype).newbyteorder("<").str
        about = {"descr": descr, "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(stream, about)
        return stream.getvalue()

    @property
    def row_bytes(self) -> int:
        """Bytes of one panorama."""
        return NUM_VIEWS * self.dim * np.dtype(self.dtype).itemsize

    @property
    def file_bytes(self) -> int:
        """Bytes of `values.npy`."""
        return len(self.header) + self.viewpoints * self.row_bytes

    @property
    def num_shards(self) -> int:
        """Number of shards."""
        return -(-self.viewpoints // self.shard)

    @property
    def shards(self) -> tuple[range, ...]:
        """The panoramas of every shard."""
        starts = range(0, self.viewpoints, self.shard)
        return tuple(range(a, min(a + self.shard, self.viewpoints)) for a in starts)

    def as_json(self) -> dict[str, Any]:
        """Gives plain values."""
        return {"version": VERSION, **asdict(self)}


_PLAN: Final = {field.name: int if field.type == "int" else str for field in fields(Plan)}


@dataclass(frozen=True, kw_only=True)
class Index:
    """What `index.json` says of a whole store.

    Attributes:
        plan: What it holds.
        sha256: Of every shard's bytes, hex.
        about: How the features came to be, for people and for `export`.
    """

    plan: Plan
    sha256: tuple[str, ...]
    about: Mapping[str, Any]

    def as_bytes(self) -> bytes:
        """Gives the file's content; the same facts give the same bytes."""
        about = orjson.loads(orjson.dumps(dict(self.about), option=orjson.OPT_SORT_KEYS))
        value = {**self.plan.as_json(), "sha256": list(self.sha256), "about": about}
        return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def folder_of(graph: NavGraph, *, cache: Path | None = None) -> Path:
    """Gives where the features of a world live; the folder may not exist yet."""
    return (cache or cache_root()) / "features" / graph.world[:SHORT]


def ending(source: str) -> str:
    """Gives what a folder's name ends in for a source."""
    return f"-{source[:SHORT]}" if source else ""


def read_index(folder: Path) -> Index:
    """Gives what a store says of itself.

    Raises:
        CorruptData: There is no index, or it cannot be used.
        OtherVersion: It is one of another version of this program.
    """
    file = folder / INDEX
    try:
        value = orjson.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise CorruptData.of(file, "", f"cannot be read ({error})", REMEDY) from None
    if not isinstance(value, dict):
        raise CorruptData.of(file, "", "must be an object", REMEDY)
    if value.get("version") != VERSION:
        problem = f"is of version {value.get('version')}, expected {VERSION}"
        raise OtherVersion.of(file, "", problem, REMEDY)
    wrong = _unusable(value)
    if wrong:
        raise CorruptData.of(file, "", f"{', '.join(wrong)} cannot be used", REMEDY)
    plan, digests = Plan(**{name: value[name] for name in _PLAN}), value["sha256"]
    if folder.name != (name := plan.folder_name):
        raise CorruptData.of(file, "", f"belongs into a folder {name}", REMEDY)
    if len(digests) != plan.num_shards:
        problem = f"{len(digests)} checksums, expected {plan.num_shards}"
        raise CorruptData.of(file, "", problem, REMEDY)
    return Index(plan=plan, sha256=tuple(map(str, digests)), about=value["about"])


def read(folder: Path, graph: NavGraph, *, fingerprint: str = "", source: str = "") -> FeatureTable:
    """Gives the features in a folder of the store, memory-mapped.

    Args:
        folder: Which.
        graph: The world.
        fingerprint: What the fingerprint must be, or begin with; empty takes any.
        source: What they must be made from; empty takes any.

    Raises:
        CorruptData: The store is damaged, belongs to another world or encoder, or is made from
            something else.
    """
    plan = read_index(folder).plan
    for given, found, words in (
        (fingerprint, plan.fingerprint[: len(fingerprint)], "has the fingerprint"),
        (source, plan.source, "is made from"),
    ):
        if given != found and given:
            problem = f"{words} {found[:SHORT]}, not {_from(words)}{given[:SHORT]}"
            raise CorruptData.of(folder / INDEX, "", problem, REMEDY)
    told, asked = _world(plan.world, plan.viewpoints), _world(graph.world, len(graph.viewpoints))
    if told != asked:
        raise CorruptData.of(folder / INDEX, "", f"is of {told}, expected {asked}", REMEDY)
    return FeatureTable(
        encoder=plan.handle,
        fingerprint=plan.fingerprint,
        values=_mapped(folder / VALUES, plan),
        row=np.arange(len(graph.viewpoints)),
    )


def chunks(folder: Path, plan: Plan, *, size: int) -> Iterator[npt.NDArray[Any]]:
    """Gives all of a store's values in order, (size, 36, D) at a time and fewer in the end.

    They are read, not mapped: what is mapped stays in this process until somebody needs the memory.

    Args:
        folder: Of a store that `read` accepts.
        plan: What it holds.
        size: Panoramas.
    """
    dtype, row = np.dtype(plan.dtype).newbyteorder("<"), NUM_VIEWS * plan.dim
    with (folder / VALUES).open("rb") as stream:
        stream.seek(len(plan.header))
        for start in range(0, plan.viewpoints, size):
            count = min(size, plan.viewpoints - start)
            values = np.fromfile(stream, dtype=dtype, count=count * row)
            yield values.reshape(count, NUM_VIEWS, plan.dim)


def _unusable(value: Mapping[str, Any]) -> list[str]:
    """Gives the entries of an index that are absent or no such values."""
    kinds = {**_PLAN, "sha256": list, "about": dict}
    wrong = [name for name, kind in kinds.items() if type(value.get(name)) is not kind]
    if wrong:
        return wrong
    wrong += ["shard"] if value["shard"] < 1 else []
    wrong += ["dtype"] if value["dtype"] not in DTYPES else []
    camera = [value["about"].get(name, 0) for name in ("image_w", "image_h", "vfov")]
    return wrong + ([] if all(isinstance(one, (int, float)) for one in camera) else ["about"])


def _world(identity: str, viewpoints: int) -> str:
    return f"world {identity[:SHORT]} with {viewpoints:,} viewpoints"


def _from(words: str) -> str:
    return "from " if words.endswith("from") else ""


def _mapped(file: Path, plan: Plan) -> npt.NDArray[Any]:
    """Gives the values, memory-mapped, where the file is just what was planned."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            header = stream.read(len(plan.header))
    except OSError as error:
        raise CorruptData.of(file, "", f"cannot be read ({error.strerror})", REMEDY) from None
    if size != plan.file_bytes or header != plan.header:
        expected = f"{plan.shape} {plan.dtype}, {plan.file_bytes:,} bytes"
        raise CorruptData.of(file, "", f"of {size:,} bytes is no array {expected}", REMEDY)
    dtype = np.dtype(plan.dtype).newbyteorder("<")
    # Copy-on-write, so that torch may wrap it without complaint; nothing writes.
    return np.memmap(file, dtype=dtype, mode="c", offset=len(header), shape=plan.shape)
