"""Writes a world: a folder of homes in the field's own formats, which goes on where it stopped.

Every file appears whole or not at all. Until the last one is there the folder has no `world.json`
and is no world; what was made so far is kept and used by the next attempt.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from vln.data.locations import parse_json, read_bytes
from vln.errors import BadConfig, CannotWrite, CorruptData
from vln.houses.building.scene import load_home, scene_file, to_json
from vln.houses.graph.recorded import recorded_walk
from vln.houses.pictures.render import HomeRenderer, strip_bytes
from vln.houses.words.traces import pose_trace, trace_bytes
from vln.houses.world.crew import Crew
from vln.houses.world.derive import derive
from vln.houses.world.disk import alone, disk_errors, put
from vln.houses.world.made_by import made_by
from vln.houses.world.publish import FOLDERS, assemble, frozen, part_of, trace_file
from vln.houses.world.spec import MARK, HomePlan, WorldSpec, about
from vln.panorama.skybox import STRIP

logger = logging.getLogger(__name__)

PARTS: Final = ".parts"
STRIP_BYTES_PER_PIXEL: Final = 0.14
"""Size of a strip's JPEG, for telling in time that a disk is too small; measured, rounded up."""
_NOTES_BYTES_PER_HOME: Final = 600_000
_KEPT = "What was made so far is kept: the same command goes on with it."
_ELSEWHERE = (
    "make it elsewhere: set VLN_CACHE, or name a folder with --out of `python -m vln.houses make`."
)


def make_world(
    spec: WorldSpec,
    folder: Path,
    *,
    workers: int = 2,
    pictures: bool = True,
    progress: bool = True,
) -> Path:
    """Makes a world, or what is missing of it, and gives its folder.

    Args:
        spec: Which world.
        folder: Made where missing. It must be empty, or hold this world, finished or not.
        workers: Processes, one home each at a time; 1 works in this process.
        pictures: Whether skyboxes are drawn; a world without can be given them later.
        progress: Whether bars are drawn on standard error.

    Raises:
        BadConfig: The folder holds something else, or another version of this world.
        CannotWrite: The disk is full, or the folder cannot be written to; what was made is kept.
        CorruptData: A frozen world came out otherwise than on record.
    """
    crew = Crew(workers, progress=progress)
    folder = folder.expanduser().resolve()
    with disk_errors(folder, kept=_KEPT, elsewhere=_ELSEWHERE), alone(folder, waits=True):
        done = _claim(spec, folder)
        if done and (not pictures or done["pictures"]):
            return folder
        _keep_only_ours(spec, folder, is_annotated=bool(done))
        _check_space(spec, folder, pictures=pictures)
        plans = list(spec.homes())
        if not done:
            crew.each(partial(_annotate, spec, folder), plans, what=f"{spec.name}: homes")
            done = _assembled(spec, folder, plans)
        if pictures:
            crew.each(partial(_draw, spec, folder), plans, what=f"{spec.name}: homes drawn")
        kept = {name: done[name] for name in ("sha256", "counts")}
        mark = {**about(spec), "pictures": pictures, **kept}
        put(folder / MARK, orjson.dumps(mark, option=orjson.OPT_INDENT_2))
        shutil.rmtree(folder / PARTS, ignore_errors=True)
    return folder


def draw_home(folder: Path, scan: str, *, face: int, quality: int) -> None:
    """Draws the skyboxes of a home that are not there yet.

    Args:
        folder: The world's, with the home's scene in it.
        scan: Which home.
        face: Pixels along a face.
        quality: Of JPEG, 1 to 100.

    Raises:
        MissingData: The scene or the connectivity file is not there.
        CorruptData: One of them cannot be, or they do not go together.
    """
    home = load_home(scene_file(folder, scan))
    walk = recorded_walk(home, folder)
    files = [folder / "skyboxes" / scan / STRIP.format(viewpoint=name) for name in walk.ids]
    wanted = [number for number, file in enumerate(files) if not file.is_file()]
    if not wanted:
        return
    renderer = HomeRenderer(home, size=face)
    for number in wanted:
        faces = renderer.faces(walk.position[number], walk.rotation[number])
        put(files[number], strip_bytes(faces, quality=quality))


def _say_unrecorded(spec: WorldSpec) -> None:
    if spec.frozen and spec.name not in frozen():
        logger.warning(
            "no annotations of %s are on record in this version, so nothing tells whether these "
            "are the ones that others have: compare the sha256 in world.json",
            spec.name,
        )


def _claim(spec: WorldSpec, folder: Path) -> dict[str, Any] | None:
    """Gives the mark of a finished world, None for one to be made; refuses what is neither."""
    expected = about(spec)
    for file in (folder / MARK, folder / PARTS / MARK):
        if file.is_file():
            found = parse_json(read_bytes(file), file=file)
            if not isinstance(found, dict) or {k: found.get(k) for k in expected} != expected:
                raise BadConfig(
                    f"{folder} holds another world, or one of another version. Remove it, or "
                    f"{_ELSEWHERE}"
                )
            return found if file.parent == folder else None
    if any(path.name != PARTS for path in folder.iterdir()):
        raise BadConfig(
            f"{folder} is not empty and holds no world. Empty or remove it, or {_ELSEWHERE}"
        )
    return None


def _keep_only_ours(spec: WorldSpec, folder: Path, *, is_annotated: bool) -> None:
    """Drops what another version, or other libraries, left of this world when it was interrupted.

    Args:
        spec: The world.
        folder: Its folder.
        is_annotated: Whether all but the pictures is done, and stays.
    """
    file = folder / PARTS / MARK
    ours = {**about(spec), "made_by": made_by()}
    if file.is_file() and parse_json(read_bytes(file), file=file) == ours:
        return
    old = ("skyboxes",) if is_annotated else (PARTS, "skyboxes", *FOLDERS)
    if any((folder / name).exists() for name in old):
        logger.warning(
            "%s: what was begun otherwise (by another version, or home by home) is made anew",
            folder,
        )
    for name in old:
        shutil.rmtree(folder / name, ignore_errors=True)
    put(file, orjson.dumps(ours))


def _assembled(spec: WorldSpec, folder: Path, plans: Sequence[HomePlan]) -> dict[str, Any]:
    """Writes the annotation files; where they cannot be right, forgets what they were made of."""
    try:
        done = assemble(spec, folder, _parts(folder, plans))
    except CorruptData:
        for plan in plans:
            _part(folder, plan).unlink(missing_ok=True)
        raise
    _say_unrecorded(spec)
    return done


def _check_space(spec: WorldSpec, folder: Path, *, pictures: bool) -> None:
    plans = list(spec.homes())
    needed = len(plans) * _NOTES_BYTES_PER_HOME
    if pictures:
        strips = sum(plan.viewpoints for plan in plans)
        needed += int(strips * 6 * spec.face**2 * STRIP_BYTES_PER_PIXEL)
        needed -= sum(
            file.stat().st_size for file in folder.glob("skyboxes/*/" + STRIP.format(viewpoint="*"))
        )
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CannotWrite(
            f"{folder}: {free / 1e6:,.0f} MB are free and about {needed / 1e6:,.0f} MB are needed. "
            f"Make room, or {_ELSEWHERE}"
        )


def _annotate(spec: WorldSpec, folder: Path, plan: HomePlan) -> None:
    part = _part(folder, plan)
    if part.is_file():
        return
    derived = derive(plan, spec)
    put(scene_file(folder, plan.scan), to_json(derived.home))
    connectivity = folder / "connectivity" / f"{plan.scan}_connectivity.json"
    put(connectivity, orjson.dumps(derived.connectivity))
    for record in derived.guides:
        put(trace_file(folder, record), trace_bytes(pose_trace(record, derived.walk)))
    put(part, orjson.dumps(part_of(derived)))


def _draw(spec: WorldSpec, folder: Path, plan: HomePlan) -> None:
    draw_home(folder, plan.scan, face=spec.face, quality=spec.quality)


def _part(folder: Path, plan: HomePlan) -> Path:
    return folder / PARTS / f"{plan.scan}.json"


def _parts(folder: Path, plans: Sequence[HomePlan]) -> Iterator[dict[str, Any]]:
    for plan in plans:
        file = _part(folder, plan)
        yield parse_json(read_bytes(file), file=file)
