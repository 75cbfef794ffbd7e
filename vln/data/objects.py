"""REVERIE's object boxes: which named objects every view of every viewpoint shows.

One file per viewpoint, `SCAN_VIEWPOINT.json`, loose in reverie/BBox/ or packed in
reverie/BBox.zip: {viewpoint: {object: {name, visible_pos: [view], bbox2d: [[x, y, w, h]]}}} with
boxes in pixels of a 640x480 view. Names are kept as annotated, typos included.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vln.data.locations import RESTORE, parse_json, read_bytes
from vln.errors import CorruptData, MissingData, UnknownViewpoint
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph

WIDTH, HEIGHT = 640, 480

_REMEDY = "Correct the record, or copy REVERIE's boxes again."
_Files = Iterator[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class ObjectViews:
    """Every sight of an object as flat arrays, one row per box, in panorama order.

    Attributes:
        panorama: (N,) int64, index into the graph's viewpoints.
        view: (N,) int64, 0..35.
        name: (N,) int64, index into `names`.
        area: (N,) float32, the share of the view that the box covers, 0..1, clipped to the view.
        names: Names that are seen from somewhere, sorted.
    """

    panorama: NDArray[np.int64]
    view: NDArray[np.int64]
    name: NDArray[np.int64]
    area: NDArray[np.float32]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.panorama)


def load_objects(data: Path, graph: NavGraph) -> ObjectViews:
    """Gives all object boxes of the graph's viewpoints.

    A viewpoint whose file shows no object is fine; a viewpoint without a file is not.

    Args:
        data: The data root, with reverie/BBox/ or reverie/BBox.zip in it.
        graph: The navigation graph whose viewpoints the files must cover.

    Raises:
        MissingData: Neither folder nor zip is there.
        CorruptData: A file is truncated or has a wrong type, a view lies outside 0..35, views and
            boxes differ in number, or a viewpoint is unknown or has no file.
    """
    source = _source(data)
    files = _loose(source) if source.is_dir() else _zipped(source)
    rows = _Rows()
    seen = np.zeros(len(graph.viewpoints), np.bool_)
    for name, raw in files:
        panorama = _panorama_of(name, graph=graph, source=source)
        seen[panorama] = True
        _collect(rows, raw, panorama=panorama, viewpoint=graph.viewpoints[panorama], file=name)
    if not seen.all():
        first = int(np.argmin(seen))
        scan = graph.scans[int(graph.scan_index[first])]
        missing = f"{scan}_{graph.viewpoints[first]}.json"
        problem = f"{np.count_nonzero(~seen)} viewpoints have no file, {missing} first"
        raise CorruptData.of(source, "", problem, RESTORE)
    return rows.arrays(source=source)


def _source(data: Path) -> Path:
    folder, packed = data / "reverie" / "BBox", data / "reverie" / "BBox.zip"
    for source, exists in ((folder, folder.is_dir()), (packed, packed.is_file())):
        if exists:
            return source
    raise MissingData(
        f"no object boxes at {folder} or {packed}. Put REVERIE's BBox.zip there, or train without "
        "objects (--encoder none)."
    )


def _loose(folder: Path) -> _Files:
    for file in sorted(folder.glob("*.json")):
        yield file.name, read_bytes(file)


def _zipped(file: Path) -> _Files:
    raw = read_bytes(file)
    try:
        with zipfile.ZipFile(file) as packed:
            members = packed.infolist()
    except zipfile.BadZipFile as error:
        raise CorruptData.of(file, "", f"not a whole zip file ({error})", RESTORE) from error
    for member in sorted(members, key=lambda m: m.filename):
        path = PurePosixPath(member.filename)
        if path.suffix == ".json" and not path.parts[0].startswith("__MACOSX"):
            yield path.name, _unpack(raw, member, file=file)


def _unpack(raw: bytes, member: zipfile.ZipInfo, *, file: Path) -> bytes:
    # `ZipFile.read` spends four times as long on bookkeeping as on unpacking so small a member.
    # Local header: 30 bytes, lengths of name and extra field at 26 and 28 (PKWARE APPNOTE 4.3.7).
    start = member.header_offset
    name, extra = raw[start + 26 : start + 28], raw[start + 28 : start + 30]
    start += 30 + int.from_bytes(name, "little") + int.from_bytes(extra, "little")
    packed = raw[start : start + member.compress_size]
    try:
        content = packed if member.compress_type == zipfile.ZIP_STORED else _inflate(packed)
    except zlib.error as error:
        raise CorruptData.of(file, member.filename, str(error), RESTORE) from error
    if zlib.crc32(content) != member.CRC:
        raise CorruptData.of(file, member.filename, "the checksum is wrong", RESTORE)
    return content


def _inflate(packed: bytes) -> bytes:
    return zlib.decompress(packed, -zlib.MAX_WBITS)


def _panorama_of(name: str, *, graph: NavGraph, source: Path) -> int:
    scan, _, viewpoint = name.removesuffix(".json").rpartition("_")
    try:
        return graph.index(scan, viewpoint)
    except UnknownViewpoint as error:
        raise CorruptData.of(source, name, str(error).rstrip("."), "Remove the file.") from error


class _Rows:
    """Collects lists while files are read; arrays are made once, at the end."""

    def __init__(self) -> None:
        self.owner: list[tuple[int, str, str]] = []  # panorama, object name, file
        self.counts: list[int] = []
        self.views: list[Any] = []
        self.boxes: list[Any] = []

    def arrays(self, *, source: Path) -> ObjectViews:
        counts = np.array(self.counts, np.int64)
        view = self._integers(counts, source=source)
        area = _areas(self._numbers(counts, source=source))
        names = sorted({name for (_, name, _), n in zip(self.owner, self.counts, strict=True) if n})
        index = {name: i for i, name in enumerate(names)}
        panorama = np.array([panorama for panorama, _, _ in self.owner], np.int64)
        name = np.array([index.get(name, -1) for _, name, _ in self.owner], np.int64)
        order = np.argsort(np.repeat(panorama, counts), kind="stable")
        return ObjectViews(
            np.repeat(panorama, counts)[order],
            view[order],
            np.repeat(name, counts)[order],
            area[order],
            tuple(names),
        )

    def _integers(self, counts: NDArray[np.int64], *, source: Path) -> NDArray[np.int64]:
        bad = [i for i, view in enumerate(self.views) if type(view) is not int]
        if not bad:
            view = np.array(self.views, np.int64)
            bad = np.flatnonzero((view < 0) | (view >= NUM_VIEWS)).tolist()
        if bad:
            problem = f"'visible_pos' holds {self.views[bad[0]]!r}, expected views 0..35"
            raise self._error(bad[0], problem, counts, source=source)
        return view

    def _numbers(self, counts: NDArray[np.int64], *, source: Path) -> NDArray[np.float64]:
        try:
            flat = list(chain.from_iterable(self.boxes))
            boxes = np.array(flat, np.float64).reshape(len(self.boxes), 4)
            has_four = set(map(len, self.boxes)) <= {4}
            if has_four and np.isfinite(boxes).all() and set(map(type, flat)) <= {int, float}:
                return boxes
        except (TypeError, ValueError, OverflowError):
            pass  # found and named below
        first = next(i for i, box in enumerate(self.boxes) if not _is_box(box))
        problem = f"'bbox2d' holds {self.boxes[first]!r}, expected [x, y, width, height] in pixels"
        raise self._error(first, problem, counts, source=source)

    def _error(
        self, row: int, problem: str, counts: NDArray[np.int64], *, source: Path
    ) -> CorruptData:
        _, name, file = self.owner[int(np.searchsorted(np.cumsum(counts), row, side="right"))]
        return CorruptData.of(source, f"{file}, object {name!r}", problem, _REMEDY)


def _collect(rows: _Rows, raw: bytes, *, panorama: int, viewpoint: str, file: str) -> None:
    content = parse_json(raw, file=file)
    objects = content.get(viewpoint) if isinstance(content, dict) else None
    if not isinstance(objects, dict) or len(content) != 1:
        problem = f"expected one object whose only key is {viewpoint}"
        raise CorruptData.of(file, "", problem, _REMEDY)
    for key, item in objects.items():
        try:
            name, views, boxes = item["name"], item["visible_pos"], item["bbox2d"]
        except (TypeError, KeyError):
            needed = "needs name, visible_pos and bbox2d"
            raise CorruptData.of(file, f"object {key}", needed, _REMEDY) from None
        wrong = _item_problem(name, views, boxes)
        if wrong is not None:
            raise CorruptData.of(file, f"object {key}", wrong, _REMEDY)
        rows.owner.append((panorama, name, file))
        rows.counts.append(len(views))
        rows.views.extend(views)
        rows.boxes.extend(boxes)


def _item_problem(name: object, views: object, boxes: object) -> str | None:
    if not isinstance(name, str):
        return f"'name' must be str, found {type(name).__name__}"
    if not isinstance(views, list) or not isinstance(boxes, list):
        return "'visible_pos' and 'bbox2d' must be lists"
    if len(views) != len(boxes):
        return f"{len(views)} views in 'visible_pos' but {len(boxes)} boxes in 'bbox2d'"
    return None


def _is_box(box: object) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(type(value) in (int, float) and np.isfinite(value) for value in box)
    )


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float32]:
    """Gives the share of a view that each box [x, y, w, h] covers, clipped to it."""
    size = np.array([WIDTH, HEIGHT], np.float64)
    near = np.clip(boxes[:, :2], 0, size)
    far = np.clip(boxes[:, :2] + boxes[:, 2:], 0, size)
    share: NDArray[np.float64] = np.maximum(far - near, 0).prod(axis=1) / size.prod()
    return share.astype(np.float32)
