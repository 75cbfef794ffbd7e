"""Reads a world's connectivity files, Matterport3DSimulator's format, into a `NavGraph`.

The only place that opens them. A file that is truncated, mistyped or contradicts itself is an
error that names the file, the record and the remedy.
"""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vln.data.locations import parse_json, read_bytes
from vln.errors import CorruptData, MissingData
from vln.graph import NavGraph, ScanViewpoints, compile_graph

REMEDY = "Copy the file again from Matterport3DSimulator's connectivity folder."
SCANS = "scans.txt"
UNLIST = "Or remove the scan from scans.txt."


def load_graph(data: Path, *, scans: Sequence[str] | None = None) -> NavGraph:
    """Gives the graph of all scans that `connectivity/scans.txt` lists.

    Args:
        data: A world's folder, as `vln.data.locations.data_root` finds it.
        scans: Only these scans; all where None.

    Raises:
        MissingData: The folder, the list or a scan's file is not there.
        CorruptData: A file cannot be used; the message names the record.
    """
    return load_folder(data / "connectivity", scans=scans)


def scan_list(data: Path) -> Path:
    """Gives where a world's folder lists its scans."""
    return data / "connectivity" / SCANS


def load_folder(folder: Path, *, scans: Sequence[str] | None = None) -> NavGraph:
    """Gives the graph of a folder that holds scans.txt and the connectivity files themselves.

    Args:
        folder: What MatterSim calls the navigation graph path.
        scans: As `load_graph`.

    Raises:
        MissingData: As `load_graph`.
        CorruptData: As `load_graph`.
    """
    names = list(scans) if scans is not None else _listed_scans(folder)
    digest = hashlib.sha256()
    read = []
    for name in names:
        file = folder / f"{name}_connectivity.json"
        if not file.is_file():
            raise MissingData(f"no {file}, though scan {name!r} was asked for. {REMEDY} {UNLIST}")
        content = file.read_bytes()
        digest.update(name.encode() + b"\0" + content)
        read.append(parse_scan(content, scan=name, file=file))
    return compile_graph(read, world=digest.hexdigest())


def viewpoint_ids(folder: Path, scan: str) -> list[str]:
    """Gives the viewpoints of a scan's file in its order, excluded ones as well.

    Args:
        folder: As `load_folder`.
        scan: The scan's id.

    Raises:
        MissingData: The file is not there.
        CorruptData: It is no list of objects with an `image_id` each.
    """
    file = folder / f"{scan}_connectivity.json"
    return _ids(_records(read_bytes(file, remedy=REMEDY), file), file)


def _listed_scans(folder: Path) -> list[str]:
    listing = folder / SCANS
    if not listing.is_file():
        raise MissingData(
            f"no {listing}. Expected a world folder that holds connectivity/scans.txt; set "
            "VLN_DATA or --data to it, or use a world of ours: --env houses."
        )
    try:
        names = listing.read_text(encoding="utf-8").split()
    except UnicodeDecodeError as error:
        raise CorruptData.of(listing, "", f"not UTF-8 text ({error.reason})", REMEDY) from None
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise CorruptData.of(listing, "", f"lists {twice} twice", "Remove the repeated lines.")
    if not names:
        raise CorruptData.of(listing, "", "lists no scan", REMEDY)
    return names


def parse_scan(content: bytes, *, scan: str, file: Path) -> ScanViewpoints:
    """Gives the included viewpoints of one connectivity file.

    Args:
        content: The file's bytes.
        scan: The scan's id.
        file: Named in errors.

    Raises:
        CorruptData: Not JSON, a field missing or mistyped, a pose that is not finite, an id twice,
            an edge that only one end knows.
    """
    records = _records(content, file)
    ids = _ids(records, file)
    included = np.array(
        [_field(r, i, "included", bool, file) for i, r in enumerate(records)], dtype=bool
    )
    _check_unique(ids, file)
    keep = np.flatnonzero(included)
    if not len(keep):
        raise CorruptData.of(file, "", "no viewpoint is included", f"{REMEDY} {UNLIST}")
    adjacency = _flags(records, ids, file)[np.ix_(keep, keep)]
    names = tuple(ids[i] for i in keep)
    _check_edges(adjacency, names, file)
    return ScanViewpoints(
        scan=scan,
        viewpoints=names,
        file_index=keep.astype(np.int64),
        pose=_poses(records, keep, ids, file),
        adjacency=adjacency,
    )


def _records(content: bytes, file: Path) -> list[dict[str, Any]]:
    records = parse_json(content, file=file)
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise CorruptData.of(file, "", "expected a list of objects", REMEDY)
    return records


def _ids(records: list[dict[str, Any]], file: Path) -> list[str]:
    return [_field(r, i, "image_id", str, file) for i, r in enumerate(records)]


def _field(record: dict[str, Any], index: int, name: str, kind: type, file: Path) -> Any:  # noqa: ANN401
    value = record.get(name)
    if not isinstance(value, kind):
        raise CorruptData.of(
            file,
            f"record {index}",
            f"`{name}` is {reprlib.repr(value)}, expected {kind.__name__}",
            REMEDY,
        )
    return value


def _check_unique(ids: list[str], file: Path) -> None:
    if len(set(ids)) == len(ids):
        return
    index = next(i for i, name in enumerate(ids) if name in ids[:i])
    raise CorruptData.of(file, f"record {index}", f"viewpoint {ids[index]} appears twice", REMEDY)


def _flags(records: list[dict[str, Any]], ids: list[str], file: Path) -> npt.NDArray[np.bool_]:
    """Gives the (n, n) `unobstructed` table; `bytes` of a list of flags is its fastest reading."""
    rows = []
    for index, record in enumerate(records):
        row = _field(record, index, "unobstructed", list, file)
        try:
            packed = bytes(row)
        except (TypeError, ValueError):
            packed = b"\2"
        if len(packed) != len(records) or packed.strip(b"\0\1"):
            raise CorruptData.of(
                file,
                f"viewpoint {ids[index]}",
                f"`unobstructed` must be {len(records)} booleans, one per record",
                REMEDY,
            )
        rows.append(packed)
    return np.frombuffer(b"".join(rows), dtype=bool).reshape(len(records), len(records))


def _check_edges(adjacency: npt.NDArray[np.bool_], names: tuple[str, ...], file: Path) -> None:
    one_way = np.argwhere(adjacency & ~adjacency.T)
    if len(one_way):
        start, end = (names[i] for i in one_way[0])
        raise CorruptData.of(
            file,
            f"viewpoint {start}",
            f"edge to {end} has no edge back ({len(one_way)} such edges); edges must be symmetric",
            REMEDY,
        )
    loops = np.flatnonzero(adjacency.diagonal())
    if len(loops):
        raise CorruptData.of(
            file, f"viewpoint {names[loops[0]]}", "is marked as its own neighbour", REMEDY
        )


def _poses(
    records: list[dict[str, Any]], keep: npt.NDArray[np.int64], ids: list[str], file: Path
) -> npt.NDArray[np.float64]:
    poses = np.empty((len(keep), 4, 4), dtype=np.float64)
    for row, index in enumerate(keep):
        value = _field(records[index], int(index), "pose", list, file)
        where = f"viewpoint {ids[index]}"
        if len(value) != 16 or not all(type(x) in (int, float) for x in value):
            raise CorruptData.of(file, where, "`pose` must be 16 numbers", REMEDY)
        poses[row] = np.reshape(value, (4, 4))
    bad = np.flatnonzero(~np.isfinite(poses).all(axis=(1, 2)))
    if len(bad):
        raise CorruptData.of(file, f"viewpoint {ids[keep[bad[0]]]}", "`pose` is not finite", REMEDY)
    return poses
