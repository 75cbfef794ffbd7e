"""A file of features that somebody else made -> the store, all or nothing.

They are stored under a handle of their own, `clip_rn50@1a2b3c4d` with the first digits of the
file's sha256, and in their own precision: nobody takes them for ours by accident.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from vln.encoders.handle import Handle
from vln.encoders.recipes import NETWORKS
from vln.errors import BadConfig, CorruptData, MissingData, MissingFeatures, UnknownViewpoint
from vln.features import store
from vln.features.exchange.rows import COPY_AGAIN, Camera, Row
from vln.features.exchange.tsv import read_tsv
from vln.features.source import FeatureTable
from vln.features.writing import StoreWriter
from vln.graph import NavGraph

SUFFIXES: Final = (".hdf5", ".h5")
_PACKED: Final = (b"\x1f\x8b", b"PK\x03\x04")
"""How gzip and zip files begin."""
_BLOCK: Final = 2**20


@dataclass(frozen=True, eq=False)
class Imported:
    """What came of a file.

    Attributes:
        table: The features.
        is_new: False where the file had been imported before.
        rows: Rows that the file holds; 0 where it was not read again.
        strangers: Rows of viewpoints that the world does not hold, left out.
        columns_left_out: Columns after the features, logits usually, left out.
        rounded: Rows with a float64 value that float32 cannot hold exactly.
    """

    table: FeatureTable
    is_new: bool
    rows: int = 0
    strangers: int = 0
    columns_left_out: int = 0
    rounded: int = 0


def import_file(
    file: Path,
    graph: NavGraph,
    *,
    encoder: str,
    dim: int = 0,
    cache: Path | None = None,
    progress: bool = True,
) -> Imported:
    """Gives the features of a file, stored.

    Args:
        file: TSV as MatterSim writes it, or HDF5 as HAMT reads it; told by its content.
        graph: The world.
        encoder: Handle of the encoder that is said to have made them.
        dim: D; 0 takes the one that is known of the encoder.
        cache: Root of the store; the user's cache where None.
        progress: Whether bars are drawn on standard error.

    Raises:
        BadConfig: The handle or `dim` cannot be.
        MissingData: The file cannot be read.
        MissingFeatures: It lacks viewpoints of the world.
        CorruptData: It is damaged, cut off, no feature file, or not finite; line or data set is
            named.
        CannotWrite, InUse: As `StoreWriter`.
    """
    wanted = _dim(encoder, dim)
    digest = _sha256(file, progress=progress)
    handle = f"{Handle.parse(encoder)}@{digest[:8]}"
    fingerprint = hashlib.sha256(f"imported/{digest}".encode()).hexdigest()
    found = store.find(graph, encoder=handle, fingerprint=fingerprint, cache=cache)
    if found is not None:
        _check_same_dim(found, wanted, folder=store.folder_of(graph, cache=cache))
        return Imported(found, is_new=False)
    rows = _read(file)
    first = next(rows, None)
    if first is None:
        raise CorruptData.of(file, "", "holds no features", COPY_AGAIN)
    _check_dim(first, wanted, encoder=encoder, file=file)
    if not dim:
        _check_no_doubles(first, wanted, file=file)
    taken = _Taken(file, graph, first, dim=wanted)
    writer = StoreWriter(
        graph,
        encoder=handle,
        fingerprint=fingerprint,
        dim=taken.dim,
        dtype=taken.dtype,
        about={"imported_from": file.name, "file_sha256": digest},
        anew=True,
        cache=cache,
    )
    with writer:
        try:
            taken.all(first, rows, writer, progress=progress)
            table = writer.finish(about=taken.about())
        except BaseException:
            writer.discard()
            raise
    return Imported(
        table,
        is_new=True,
        rows=len(taken.places),
        strangers=taken.strangers,
        columns_left_out=taken.width - taken.dim,
        rounded=taken.rounded,
    )


class _Taken:
    """What has been taken from a file so far."""

    def __init__(self, file: Path, graph: NavGraph, first: Row, *, dim: int) -> None:
        self.dim, self.width = dim, first.values.shape[1]
        self.dtype = "float16" if first.values.dtype.name == "float16" else "float32"
        self.places: dict[tuple[str, str], str] = {}
        self.strangers = self.rounded = 0
        self._file, self._graph, self._first = file, graph, first
        self._is_here = np.zeros(len(graph.viewpoints), dtype=bool)

    def all(self, first: Row, rows: Iterator[Row], writer: StoreWriter, *, progress: bool) -> None:
        """Takes every row, and refuses a file that lacks some."""
        total = self._file.stat().st_size
        with _bar(total, f"importing {self._file.name}", progress=progress) as bar:
            self._take(first, writer)
            bar.update(first.size)
            for row in rows:
                self._take(row, writer)
                bar.update(min(row.size, total - bar.n))
            bar.update(total - bar.n)  # what lies between data sets
        self._check_complete()

    def about(self) -> dict[str, Any]:
        """Gives what the file told, for the store's index."""
        camera = self._first.camera
        return {
            **(camera.as_json() if camera else {}),
            "file_rows": len(self.places),
            "file_width": self.width,
            "file_dtype": self._first.values.dtype.name,
        }

    def _take(self, row: Row, writer: StoreWriter) -> None:
        key = row.scan, row.viewpoint
        self._check_like_first(row)
        before = self.places.setdefault(key, row.place)
        if before != row.place:
            raise self._corrupt(row, f"is there twice, first in {before}")
        values = row.values[:, : self.dim]
        finite = np.isfinite(values)
        if not finite.all():
            view = int(np.flatnonzero(~finite.all(axis=1))[0])
            raise self._corrupt(row, f"not finite, view {view}")
        try:
            panorama = self._graph.index(*key)
        except UnknownViewpoint:
            self.strangers += 1
            return
        writer.put_row(panorama, self._in_store_type(row, values))
        self._is_here[panorama] = True

    def _in_store_type(self, row: Row, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if values.dtype.name != "float64":
            return values
        with np.errstate(over="ignore"):
            stored = values.astype(np.float32)
        if not np.isfinite(stored).all():
            raise self._corrupt(row, "a value too large for float32")
        self.rounded += not np.array_equal(stored, values)
        return stored

    def _check_like_first(self, row: Row) -> None:
        first = self._first
        told = row.values.shape[1], row.values.dtype.name, row.camera
        expected = first.values.shape[1], first.values.dtype.name, first.camera
        if told != expected:
            raise self._corrupt(row, f"{_words(*told)}, but {_words(*expected)} in {first.place}")

    def _check_complete(self) -> None:
        lacking = np.flatnonzero(~self._is_here)
        if not len(lacking):
            return
        names = ", ".join(
            f"{self._graph.scan_of(i)}_{self._graph.viewpoints[i]}" for i in lacking[:3]
        )
        raise MissingFeatures(
            f"{self._file} lacks {len(lacking):,} of the {len(self._is_here):,} viewpoints of this "
            f"world, the first {names}; {self.strangers:,} of its {len(self.places):,} rows are of "
            "viewpoints that this world does not hold. Nothing was imported. If it is the right "
            "file for --data, it is cut off: copy or download it again."
        )

    def _corrupt(self, row: Row, problem: str) -> CorruptData:
        return CorruptData.of(
            self._file,
            row.place,
            f"viewpoint {row.viewpoint} of scan {row.scan}: {problem}",
            "Nothing was imported. Copy or download the file again, or make it anew.",
        )


def _words(width: int, dtype: str, camera: Camera | None) -> str:
    told = f", {camera.image_w} x {camera.image_h}, vfov {camera.vfov:g}" if camera else ""
    return f"{width} columns of {dtype}{told}"


def _dim(encoder: str, dim: int) -> int:
    """Gives the features per view that are asked for or known; 0 where neither is."""
    handle = Handle.parse(encoder)
    if handle.imported:
        raise BadConfig(
            f"--encoder {encoder}: the part after @ follows from the file. Use --encoder "
            f"{handle.plain}."
        )
    if dim < 0:
        raise BadConfig(f"--dim {dim}; expected at least 1.")
    return dim or _usual_dim(handle)


def _check_dim(first: Row, wanted: int, *, encoder: str, file: Path) -> None:
    """Refuses a file whose first row has no room for D features."""
    width = first.values.shape[1]
    if not wanted:
        raise BadConfig(
            f"how many features {encoder} has is not known here, and {file} has {width} columns in "
            f"each view, perhaps with logits. Say how many are features: --dim {width}."
        )
    if width < wanted:
        raise CorruptData.of(
            file,
            first.place,
            f"{width} columns in each view, fewer than the {wanted} features of {encoder}",
            "Name the encoder that made the file, or say --dim.",
        )


def _check_no_doubles(first: Row, wanted: int, *, file: Path) -> None:
    # Read as float32, the halves of a float64 are numbers too, and nothing else would notice.
    if first.values.dtype.name == "float32" and first.values.shape[1] == 2 * wanted:
        raise CorruptData.of(
            file,
            first.place,
            f"{2 * wanted} columns in each view, just twice the features, as if they were float64",
            f"Write it as float32; or, if the first half are the features, say --dim {wanted}.",
        )


def _check_same_dim(found: FeatureTable, wanted: int, *, folder: Path) -> None:
    if wanted not in (0, found.dim):
        raise BadConfig(
            f"the file is imported as {found.encoder} with {found.dim} features already, not "
            f"{wanted}. Remove its folder in {folder} to import it again."
        )


def _read(file: Path) -> Iterator[Row]:
    """Gives the rows of a file of either format."""
    with file.open("rb") as stream:
        beginning = stream.read(8)
    if beginning.startswith(_PACKED):
        raise CorruptData.of(file, "", "is compressed", "Unpack it, and import what was in it.")
    from vln.features.exchange.hdf5 import SIGNATURE, read_hdf5  # h5py: not for TSV files

    if beginning == SIGNATURE or file.suffix.lower() in SUFFIXES:
        return read_hdf5(file)
    return read_tsv(file)


def _sha256(file: Path, *, progress: bool) -> str:
    digest = hashlib.sha256()
    try:
        size = file.stat().st_size
        with file.open("rb") as stream, _bar(size, "reading", progress=progress) as bar:
            while block := stream.read(_BLOCK):
                digest.update(block)
                bar.update(len(block))
    except OSError as error:
        raise MissingData(
            f"cannot read {file} ({error.strerror}). Check that it is there and may be read."
        ) from error
    return digest.hexdigest()


def _bar(size: int, words: str, *, progress: bool) -> Any:  # noqa: ANN401 - tqdm of its own stubs
    return tqdm(total=size, desc=words, unit="B", unit_scale=True, disable=not progress)


def _usual_dim(handle: Handle) -> int:
    """Gives the features of a network with a name; 0 where it has none, or words change it."""
    known = None if handle.words else NETWORKS.get(handle.encoder)
    return 0 if known is None else known.dim
