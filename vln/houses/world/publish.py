"""A world's annotation files, put together from what was derived of its homes.

R2R's JSON, RxR's compressed JSON lines and pose traces, REVERIE's zip of boxes, COCO's captions.
"""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import orjson

from vln.errors import BadConfig, CorruptData
from vln.houses.words.caption import coco
from vln.houses.world.derive import Derived
from vln.houses.world.disk import pack, put
from vln.houses.world.spec import MARK, SPECS, WorldSpec, read_mark
from vln.runs import atomic

HELD_OUT: Final = "held_out"
"""Folder of the test split's labels."""
FOLDERS: Final = ("scenes", "connectivity", "r2r", "rxr", "reverie", "captions", HELD_OUT)
"""All folders of a world but that of its pictures."""


def part_of(derived: Derived) -> dict[str, Any]:
    """Gives what the annotation files need of a home, as plain JSON values."""
    return {
        "scan": derived.home.scan,
        "boxes": derived.boxes,
        "r2r": derived.r2r,
        "guides": derived.guides,
        "captions": derived.captions,
        "viewpoints": len(derived.walk),
    }


def trace_file(folder: Path, record: dict[str, Any]) -> Path:
    """Gives where the pose trace of a guide record is kept, by RxR's names."""
    name = f"{record['instruction_id']:06}_guide_pose_trace.npz"
    return folder / "rxr" / "pose_traces" / f"rxr_{record['split']}" / name


def assemble(spec: WorldSpec, folder: Path, parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Writes all annotation files and gives their digests and counts.

    Args:
        spec: The world.
        folder: Its folder, with scenes, connectivity and pose traces of all homes.
        parts: `part_of` every home, in order.

    Returns:
        `sha256`: of the content of every file or family of files, in hex; `counts`.

    Raises:
        CorruptData: A frozen world came out otherwise than on record.
    """
    files = _Files(folder)
    scans, viewpoints = [], 0
    r2r: dict[str, list[dict[str, Any]]] = {}
    guides: dict[str, list[dict[str, Any]]] = {}
    captions: dict[str, list[dict[str, Any]]] = {}
    split_of = {plan.scan: plan.group.split for plan in spec.homes()}
    with atomic(folder / "reverie" / "BBox.zip") as stream, zipfile.ZipFile(stream, "w") as boxes:
        for part in parts:
            scan, split = part["scan"], split_of[part["scan"]]
            scans.append(scan)
            viewpoints += part["viewpoints"]
            files.pack(boxes, scan, part["boxes"])
            for name, records in part["r2r"].items():
                r2r.setdefault(name, []).extend(records)
            guides.setdefault(split, []).extend(part["guides"])
            captions.setdefault(split, []).extend(part["captions"])
    files.family("connectivity", [f"{scan}_connectivity.json" for scan in scans])
    files.family("scenes", [f"{scan}.json" for scan in scans])
    traces = [trace_file(folder, r) for part in guides.values() for r in part]
    files.family("rxr", [str(trace.relative_to(folder / "rxr")) for trace in traces])
    for split, records in r2r.items():
        files.r2r(split, records)
    for split, records in guides.items():
        files.guides(split, records)
    for split, records in captions.items():
        files.json(f"captions/captions_{split}.json", coco(records))
    files.text("connectivity/scans.txt", "\n".join(scans) + "\n")
    _check_frozen(spec, folder, files.sha256)
    counts = {
        "homes": len(scans),
        "viewpoints": viewpoints,
        "paths": {name: len(records) for name, records in r2r.items()},
        "guides": {name: len(records) for name, records in guides.items()},
        "captions": {name: len(records) for name, records in captions.items()},
    }
    return {"sha256": files.sha256, "counts": counts}


class _Files:
    """Writes files and keeps the digests of their contents."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._boxes = hashlib.sha256()
        self._digests: dict[str, str] = {}

    @property
    def sha256(self) -> dict[str, str]:
        """Digest by file or family, sorted by name."""
        found = {**self._digests, "reverie/BBox": self._boxes.hexdigest()}
        return dict(sorted(found.items()))

    def r2r(self, split: str, records: list[dict[str, Any]]) -> None:
        """Writes a split's paths; those of the test split without their labels."""
        if split != "test":
            self.json(f"r2r/R2R_{split}.json", records)
            return
        self.json(f"{HELD_OUT}/R2R_{split}.json", records)
        masked = [
            {k: v for k, v in {**r, "path": r["path"][:1]}.items() if k != "distance"}
            for r in records
        ]
        self.json(f"r2r/R2R_{split}.json", masked)

    def guides(self, split: str, records: list[dict[str, Any]]) -> None:
        """Writes a split's RxR guide records; test homes have no labels to give away."""
        if split == "test":
            return
        content = b"".join(orjson.dumps(record) + b"\n" for record in records)
        packed = gzip.compress(content, mtime=0)
        self._keep(f"rxr/rxr_{split}_guide.jsonl.gz", packed, content=content)

    def json(self, name: str, value: object) -> None:
        """Writes a JSON file."""
        content = orjson.dumps(value)
        self._keep(name, content, content=content)

    def text(self, name: str, text: str) -> None:
        """Writes a text file."""
        self._keep(name, text.encode(), content=text.encode())

    def pack(self, boxes: zipfile.ZipFile, scan: str, records: dict[str, Any]) -> None:
        """Adds the boxes of a home to the zip."""
        for viewpoint, record in records.items():
            name, content = f"{scan}_{viewpoint}.json", orjson.dumps(record)
            self._boxes.update(name.encode() + b"\0" + content)
            pack(boxes, f"BBox/{name}", content)

    def family(self, folder: str, names: list[str]) -> None:
        """Digests files that are written already, all under one name."""
        digest = hashlib.sha256()
        for name in names:
            digest.update(name.encode() + b"\0" + (self._folder / folder / name).read_bytes())
        self._digests[f"{folder}/*"] = digest.hexdigest()

    def _keep(self, name: str, packed: bytes, *, content: bytes) -> None:
        put(self._folder / name, packed)
        # Of the content, not of the file: compressed bytes depend on the library's version.
        self._digests[name] = hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=1)
def frozen() -> dict[str, dict[str, str]]:
    """Gives the digests on record: world -> file -> sha256."""
    file = resources.files("vln.houses.world") / "frozen.json"
    found: dict[str, dict[str, str]] = orjson.loads(file.read_bytes())
    return found


def record(folder: Path) -> Path:
    """Puts a frozen world's digests on record, once, and gives the file that has them.

    From then on, whoever makes that world makes the same one or is told. Whoever freezes a world
    calls this once, on the whole world.

    Args:
        folder: The whole world.

    Raises:
        BadConfig: It is no world to be frozen, or one that is on record with other contents.
        MissingData: It is not whole.
    """
    mark = read_mark(folder)
    name = mark["spec"]["name"]
    if name not in SPECS or not SPECS[name].frozen:
        raise BadConfig(
            f"{folder}: {name} is no frozen world; set `frozen` in vln/houses/world/spec.py."
        )
    known = frozen()
    if known.get(name, mark["sha256"]) != mark["sha256"]:
        raise BadConfig(
            f"{name} is on record with other contents than {folder / MARK}. A frozen world stays "
            "as it is: give the new one a name of its own."
        )
    file = Path(str(resources.files("vln.houses.world") / "frozen.json"))
    put(file, orjson.dumps({**known, name: mark["sha256"]}, option=orjson.OPT_INDENT_2) + b"\n")
    frozen.cache_clear()
    return file


def _check_frozen(spec: WorldSpec, folder: Path, found: dict[str, str]) -> None:
    if not spec.frozen or spec.name not in frozen():
        return
    expected = frozen()[spec.name]
    other = [
        name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
    ]
    if other:
        raise CorruptData.of(
            folder,
            ", ".join(sorted(other)),
            f"differs from the {spec.name} on record",
            "Scores on it cannot be compared with others. Compare the versions of numpy, opencv "
            "and numba with those in constraints.txt, or make a world with a name of its own.",
        )
