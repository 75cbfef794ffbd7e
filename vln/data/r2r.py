"""Room-to-Room's annotation files, checked against the graph.

One JSON list per split, a record per path: {scan, path_id, path, heading, instructions, distance}.
Every instruction is an episode of its own; their number per path is not assumed. A record may hold
more than that.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vln.data.locations import parse_json, read_bytes
from vln.data.splits import EpisodeSet, dev_scans
from vln.errors import CorruptData, UnknownName, UnknownViewpoint
from vln.graph import NavGraph
from vln.types import Episode, Pose

FILES = ("train", "val_seen", "val_unseen", "test")
SPLITS = (*FILES, "dev", "train_fit")

_REMEDY = "Correct the record, or copy the published file again."
_ANY_NUMBER = (int, float)
_FIELDS: dict[str, tuple[type, ...]] = {
    "scan": (str,),
    "path_id": (int, str),
    "path": (list,),
    "heading": _ANY_NUMBER,
    "instructions": (list,),
}


def load(data: Path, split: str, graph: NavGraph) -> EpisodeSet:
    """Gives R2R's episodes of one split.

    Ids are `<path_id>_<k>`, k counting the path's instructions from 0. A path of one viewpoint
    without a `distance` is how the test split holds its labels out: its reference is None.

    Args:
        data: The data root; annotations are r2r/R2R_<split>.json in it.
        split: One of `SPLITS`, any other name that has a file, or the path of a file in the same
            format (it contains a slash).
        graph: The navigation graph the paths must follow.

    Raises:
        UnknownName: No such split.
        MissingData: The file is not there.
        CorruptData: The file is damaged, a record has a wrong type, an id stands twice, a
            viewpoint is unknown, or a path takes a step that is no edge.
    """
    if "/" in split:
        return _read(Path(split).expanduser(), split=split, graph=graph)
    if split in FILES:
        return _read(file_of(data, split), split=split, graph=graph)
    if split not in SPLITS:
        found = _found(data)
        if split not in found:
            raise UnknownName.of("split", split, {*SPLITS, *found})
        return _read(file_of(data, split), split=split, graph=graph)
    train = _read(file_of(data, "train"), split=split, graph=graph)
    seen = _read(file_of(data, "val_seen"), split="val_seen", graph=graph)
    held_out = dev_scans(train, seen={episode.start.scan for episode in seen})
    wanted = split == "dev"
    kept = tuple(e for e in train if (e.start.scan in held_out) is wanted)
    return replace(train, episodes=kept)


def _found(data: Path) -> list[str]:
    """Gives the splits that have a file, whatever their names."""
    files = sorted((data / "r2r").glob("R2R_*.json"))
    return [file.stem.removeprefix("R2R_") for file in files]


def file_of(data: Path, split: str) -> Path:
    """Gives where a split's annotations are in a data folder."""
    return data / "r2r" / f"R2R_{split}.json"


def _read(file: Path, *, split: str, graph: NavGraph) -> EpisodeSet:
    remedy = (
        "Put R2R's annotation files R2R_{train,val_seen,val_unseen,test}.json into r2r/ of the "
        "data folder (VLN_DATA or --data), or use a world of ours: --env houses."
    )
    raw = read_bytes(file, remedy=remedy)
    records = parse_json(raw, file=file)
    check_types(records, file=file)
    _check_ids(records, file=file)
    check_paths(records, graph=graph, file=file)
    episodes = tuple(chain.from_iterable(map(_episodes_of, records)))
    return EpisodeSet("r2r", split, hashlib.sha256(raw).hexdigest(), str(file), episodes)


def _episodes_of(record: dict[str, Any]) -> list[Episode]:
    path = tuple(record["path"])
    start = Pose(record["scan"], path[0], float(record["heading"]), 0.0)
    reference = path if len(path) > 1 or "distance" in record else None
    prefix = f"{record['path_id']}_"
    return [
        Episode(prefix + str(k), start, text, "en", reference)
        for k, text in enumerate(record["instructions"])
    ]


def check_types(records: object, *, file: Path, optional: Collection[str] = ()) -> None:
    """Refuses what is no list of records whose fields have the format's types.

    Args:
        records: What a file held.
        file: What to call it in an error.
        optional: Fields that a record may lack.

    Raises:
        CorruptData: It names the record, counted from 0, and its `path_id`.
    """
    if not isinstance(records, list) or not records:
        raise CorruptData.of(file, "", "expected a non-empty JSON list of paths", _REMEDY)
    for number, record in enumerate(records):
        problem = _type_problem(record, optional)
        if problem is not None:
            raise CorruptData.of(file, name_of(record, number=number), problem, _REMEDY)


def name_of(record: object, *, number: int, fields: tuple[str, ...] = ("path_id",)) -> str:
    """Gives what to call a record in an error: its number in the file, and the fields it has."""
    given = record if isinstance(record, dict) else {}
    told = ", ".join(f"{name} {given[name]!r}" for name in fields if name in given)
    return f"record {number} ({told})" if told else f"record {number}"


def _type_problem(record: object, optional: Collection[str]) -> str | None:
    if not isinstance(record, dict):
        return f"expected an object, found {type(record).__name__}"
    for name, types in _FIELDS.items():
        if name not in record:
            if name in optional:
                continue
            return f"has no {name!r}"
        if not _is_one_of(record[name], types):
            names = " or ".join(t.__name__ for t in types)
            return f"{name!r} must be {names}, found {type(record[name]).__name__}"
    if not math.isfinite(record["heading"]):
        return f"'heading' is {record['heading']}, expected finite radians"
    for name in ("path", "instructions"):
        if not record[name]:
            return f"{name!r} is empty"
        if not all(isinstance(item, str) for item in record[name]):
            return f"{name!r} must hold strings only"
    return None


def _is_one_of(value: object, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and not isinstance(value, bool)  # which Python counts as int


def _check_ids(records: list[dict[str, Any]], *, file: Path) -> None:
    counts = Counter(str(record["path_id"]) for record in records)
    if len(counts) < len(records):
        twice, count = counts.most_common(1)[0]
        raise CorruptData.of(file, f"path_id {twice}", f"stands {count} times", _REMEDY)


def check_paths(records: list[dict[str, Any]], *, graph: NavGraph, file: Path) -> None:
    """Refuses paths that the graph does not hold, of records that `check_types` has let through.

    Raises:
        CorruptData: A viewpoint is unknown, or a path takes a step that is no edge; it names the
            record.
    """
    panoramas = _panoramas(records, graph=graph, file=file)
    owner = np.repeat(np.arange(len(records)), [len(record["path"]) for record in records])
    here, there = panoramas[:-1], panoramas[1:]
    inside = owner[:-1] == owner[1:]
    wrong = np.flatnonzero(inside)[~graph.is_edge(here[inside], there[inside])]
    if wrong.size:
        first = int(wrong[0])
        names = graph.viewpoints[here[first]], graph.viewpoints[there[first]]
        number = int(owner[first])
        raise CorruptData.of(
            file,
            name_of(records[number], number=number, fields=("path_id", "scan")),
            f"no edge leads from viewpoint {names[0]} to {names[1]}",
            "A path moves along edges of the connectivity graph only. " + _REMEDY,
        )


def _panoramas(records: list[dict[str, Any]], *, graph: NavGraph, file: Path) -> NDArray[np.int64]:
    index = graph.index
    found: list[int] = []
    for number, record in enumerate(records):
        scan = record["scan"]
        try:
            found.extend([index(scan, viewpoint) for viewpoint in record["path"]])
        except UnknownViewpoint as error:
            where = name_of(record, number=number)
            raise CorruptData.of(file, where, str(error).rstrip("."), _REMEDY) from error
    return np.array(found, np.int64)
