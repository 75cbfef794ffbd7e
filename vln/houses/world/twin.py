"""Writes a world of twins: homes as they were, homes with one change, the same words in both.

r2r/R2R_original.json and r2r/R2R_twin.json pair by path_id. The folder is a whole world: graph,
scenes, boxes, and skyboxes, which are drawn anew only where something changed in sight.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from vln.data.locations import parse_json, read_bytes
from vln.data.twins import ORIGINAL, TWIN
from vln.errors import BadConfig, CorruptData, MissingData
from vln.houses.building.scene import Home, load_home, scene_file, to_json
from vln.houses.graph.navigate import Walk, records
from vln.houses.graph.recorded import recorded_walk
from vln.houses.graph.sight import Sights, box_records, sights_of
from vln.houses.pictures.render import HomeRenderer, strip_bytes
from vln.houses.world.crew import Crew
from vln.houses.world.disk import alone, disk_errors, pack, put
from vln.houses.world.pairs import KINDS, Twin, make_twins
from vln.houses.world.spec import MARK
from vln.panorama.skybox import STRIP
from vln.runs import atomic, generator

SPLIT: Final = "val_unseen"
"""Whose paths are paired."""
MAX_TWINS: Final = 10_000
GLANCE: Final = 192
"""Pixels along a face on which two homes are compared: slivers beyond that are no evidence."""
_MAKE = "Make the world again with `python -m vln.houses make`."
_FIELDS: Final[dict[str, type | tuple[type, ...]]] = {
    "scan": str,
    "path_id": (int, str),
    "path": list,
    "instructions": list,
    "heading": (int, float),
    "distance": (int, float),
}
_KEPT = "Nothing is kept of what was made: try again then."
_ELSEWHERE = "choose another folder with --out."


def run(
    world: Path,
    out: Path,
    *,
    count: int = 120,
    kinds: Sequence[str] = KINDS,
    seed: int = 1,
    workers: int = 2,
    pictures: bool = True,
) -> str:
    """Writes twins of a world and gives one line on what was made; arguments as `write_twins`."""
    made = write_twins(
        world, out, count=count, kinds=kinds, seed=seed, pictures=pictures, workers=workers
    )
    parts = ", ".join(f"{number:,} {kind}" for kind, number in made.items())
    return f"{out}: {sum(made.values()):,} of {count:,} twins ({parts or 'no change works'})"


@dataclass(frozen=True)
class _Job:
    """Twins of one home: what a process needs to know."""

    base: Path
    folder: Path
    scan: str
    records: list[dict[str, Any]]
    count: int
    kinds: tuple[str, ...]
    seed: int
    picture: tuple[int, int] | None
    """Pixels along a face and JPEG quality; None draws nothing."""


def write_twins(
    base_world: Path,
    folder: Path,
    *,
    count: int,
    kinds: Sequence[str] = KINDS,
    seed: int = 1,
    pictures: bool = True,
    workers: int = 1,
) -> dict[str, int]:
    """Writes a world of twins and gives how many of each kind it has.

    Args:
        base_world: A whole world of houses; its `SPLIT` is paired.
        folder: Must be missing or empty; appears only when it is whole.
        count: Pairs wanted; homes that allow fewer give fewer.
        kinds: Which of `pairs.KINDS`.
        seed: Of the choice of changes.
        pictures: Whether there are skyboxes.
        workers: Processes, one home each at a time.

    Raises:
        BadConfig: An absurd count, an unknown kind, or a folder that holds something or that
            another process writes to.
        MissingData: The base world is not whole, or has no pictures.
        CorruptData: A scene or a record of it cannot be.
        CannotWrite: The disk is full, or the folder cannot be written to.
    """
    crew = Crew(workers)
    folder = folder.expanduser().resolve()
    _check(folder, count=count, kinds=kinds)
    picture = _picture(base_world, wanted=pictures)
    jobs = _jobs(base_world, count=count, kinds=tuple(kinds), seed=seed, picture=picture)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    with (
        disk_errors(folder, kept=_KEPT, elsewhere=_ELSEWHERE),
        alone(unfinished, waits=False),
    ):
        _empty(unfinished)  # what one left whose process was killed
        try:
            jobs = [replace(job, folder=unfinished) for job in jobs]
            made = _assemble(
                base_world,
                unfinished,
                crew.each(_do, jobs, what="twins of homes"),
                pictures=pictures,
            )
            if folder.is_dir():
                folder.rmdir()
            unfinished.rename(folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return made


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _check(folder: Path, *, count: int, kinds: Sequence[str]) -> None:
    if not 1 <= count <= MAX_TWINS:
        raise BadConfig(f"{count:,} twins; expected 1 to {MAX_TWINS:,}.")
    if not kinds or any(kind not in KINDS for kind in kinds):
        raise BadConfig(f"kinds of change {list(kinds)}; expected some of {', '.join(KINDS)}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadConfig(f"{folder} holds something already. Choose another folder with --out.")


def _picture(base: Path, *, wanted: bool) -> tuple[int, int] | None:
    """Gives size and quality of a world's pictures."""
    file = base / MARK
    if not file.is_file():
        raise MissingData(f"{base} holds no whole world of houses: there is no {MARK}. {_MAKE}")
    about = parse_json(read_bytes(file), file=file)
    try:
        spec, has = about["spec"], about["pictures"]
        size = int(spec["face"]), int(spec["quality"])
    except (KeyError, TypeError, ValueError):
        raise CorruptData.of(file, "", "is no mark of a world of houses", _MAKE) from None
    if wanted and not has:
        raise MissingData(
            f"the world in {base} has no pictures. Draw them with `python -m vln.houses make`, or "
            "leave them out here, too, with --no-pictures."
        )
    return size if wanted else None


def _jobs(
    base: Path, *, count: int, kinds: tuple[str, ...], seed: int, picture: tuple[int, int] | None
) -> list[_Job]:
    file = base / "r2r" / f"R2R_{SPLIT}.json"
    records_of: dict[str, list[dict[str, Any]]] = {}
    found = parse_json(read_bytes(file, remedy=_MAKE), file=file)
    if not isinstance(found, list):
        raise CorruptData.of(file, "", "expected a list of paths", _MAKE)
    for number, record in enumerate(found):
        if not _is_labelled(record):
            raise CorruptData.of(file, f"[{number}]", "is no R2R record with its labels", _MAKE)
        records_of.setdefault(record["scan"], []).append(record)
    share, rest = divmod(count, max(len(records_of), 1))
    return [
        _Job(base, base, scan, found, share + (number < rest), kinds, seed, picture)
        for number, (scan, found) in enumerate(records_of.items())
        if share + (number < rest)
    ]


def _is_labelled(record: object) -> bool:
    """Tells whether a record has all that a twin is made of."""
    if not isinstance(record, dict):
        return False
    if not all(isinstance(record.get(name), kind) for name, kind in _FIELDS.items()):
        return False
    words = [*record["path"], *record["instructions"]]
    return bool(record["path"]) and all(isinstance(word, str) for word in words)


def _do(job: _Job) -> dict[str, Any]:
    """Makes one home's twins, writes their scenes, graphs and pictures; gives what is left."""
    home = load_home(scene_file(job.base, job.scan))
    walk = recorded_walk(home, job.base)
    sights = sights_of(home, walk)
    rng = generator(job.seed, f"twins/{job.scan}")
    twins = make_twins(home, walk, sights, job.records, rng=rng, kinds=job.kinds, count=job.count)
    part: dict[str, Any] = {"pairs": [], "boxes": {}}
    if not twins:
        return part
    part["boxes"][home.scan] = _write_home(job, home, walk, sights)
    _link_pictures(job, walk, home.scan, walk)
    before = _Glances(home, walk)
    for twin in twins:
        part["pairs"].append([twin.original, twin.record])
        if twin.home.scan not in part["boxes"]:  # all mirrored twins of a home share one mirror
            part["boxes"][twin.home.scan] = _write_home(job, twin.home, twin.walk, twin.sights)
            _draw_pictures(job, twin, before)
    return part


def _write_home(job: _Job, home: Home, walk: Walk, sights: Sights) -> dict[str, dict[str, Any]]:
    put(scene_file(job.folder, home.scan), to_json(home))
    file = job.folder / "connectivity" / f"{home.scan}_connectivity.json"
    put(file, orjson.dumps(records(walk)))
    return box_records(home, walk, sights)


class _Glances:
    """Small pictures of a home as it was, drawn when they are asked for."""

    def __init__(self, home: Home, walk: Walk) -> None:
        self.walk = walk
        self._home = home
        self._seen: dict[int, npt.NDArray[np.uint8]] = {}

    @cached_property
    def _renderer(self) -> HomeRenderer:
        return HomeRenderer(self._home, size=GLANCE)

    def differing(self, twin: Twin, renderer: HomeRenderer) -> list[int]:
        """Gives the viewpoints from which a changed home looks otherwise."""
        if twin.kind == "mirrored":
            return list(twin.touched)
        after = renderer.at(GLANCE)
        return [
            number
            for number in twin.touched
            if not np.array_equal(self._faces(number), after.faces(*_eye(twin.walk, number)))
        ]

    def _faces(self, number: int) -> npt.NDArray[np.uint8]:
        if number not in self._seen:
            self._seen[number] = self._renderer.faces(*_eye(self.walk, number))
        return self._seen[number]


def _eye(walk: Walk, number: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return walk.position[number], walk.rotation[number]


def _draw_pictures(job: _Job, twin: Twin, before: _Glances) -> None:
    if job.picture is None:
        return
    face, quality = job.picture
    renderer = HomeRenderer(twin.home, size=face)
    differing = before.differing(twin, renderer)
    kept = [number for number in range(len(before.walk)) if number not in differing]
    _link_pictures(job, before.walk, twin.home.scan, twin.walk, numbers=kept)
    for number in differing:
        faces = renderer.faces(*_eye(twin.walk, number))
        name = STRIP.format(viewpoint=twin.walk.ids[number])
        file = job.folder / "skyboxes" / twin.home.scan / name
        put(file, strip_bytes(faces, quality=quality))


def _link_pictures(
    job: _Job, base: Walk, scan: str, walk: Walk, *, numbers: Sequence[int] | None = None
) -> None:
    """Gives viewpoints the base world's pictures of the same place."""
    if job.picture is None:
        return
    target = job.folder / "skyboxes" / scan
    target.mkdir(parents=True, exist_ok=True)
    for number in range(len(walk)) if numbers is None else numbers:
        old = job.base / "skyboxes" / job.scan / STRIP.format(viewpoint=base.ids[number])
        new = target / STRIP.format(viewpoint=walk.ids[number])
        if not old.is_file():
            raise MissingData(f"no {old}. {_MAKE}")
        try:
            os.link(old, new)
        except OSError:  # another disk, or one that knows no links
            shutil.copyfile(old, new)


def _assemble(
    base: Path, folder: Path, parts: list[dict[str, Any]], *, pictures: bool
) -> dict[str, int]:
    """Writes what is not kept per home, the mark last, and gives counts by kind."""
    pairs = [pair for part in parts for pair in part["pairs"]]
    boxes = {scan: found for part in parts for scan, found in part["boxes"].items()}
    if not pairs:
        raise BadConfig(
            f"no change of these kinds turns an instruction of {base}. Name other kinds, or take a "
            "larger world."
        )
    for name, which in ((ORIGINAL, 0), (TWIN, 1)):
        put(folder / "r2r" / f"R2R_{name}.json", orjson.dumps([pair[which] for pair in pairs]))
    _write_boxes(folder / "reverie" / "BBox.zip", boxes)
    fit = base / "reverie" / "object_fit.json"
    if fit.is_file():  # what a run was trained with, so that it can be tried here
        put(folder / "reverie" / "object_fit.json", fit.read_bytes())
    put(folder / "connectivity" / "scans.txt", ("\n".join(boxes) + "\n").encode())
    made = dict(sorted(Counter(pair[1]["change"] for pair in pairs).items()))
    about = {"twins_of": str(base.name), "pictures": pictures, "counts": made}
    put(folder / MARK, orjson.dumps(about, option=orjson.OPT_INDENT_2))
    return made


def _write_boxes(file: Path, boxes: Mapping[str, Mapping[str, Any]]) -> None:
    with atomic(file) as stream, zipfile.ZipFile(stream, "w") as packed:
        for scan, found in boxes.items():
            for viewpoint, record in found.items():
                pack(packed, f"BBox/{scan}_{viewpoint}.json", orjson.dumps(record))
