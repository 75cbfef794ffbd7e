"""Writes a world: a folder of homes in the field's own formats, which goes on where it stopped.

Every file appears whole or not at all. Until the last one is there the folder has no `world.json`
and is no world; what was made so far is kept and used by the next attempt.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final

import orjson
from tqdm import tqdm

from vln.data.locations import parse_json, read_bytes
from vln.errors import BadConfig, CannotWrite, CorruptData
from vln.houses.derive import derive
from vln.houses.navigate import walk_of
from vln.houses.publish import assemble, frozen, part_of, trace_file
from vln.houses.render import HomeRenderer, strip_bytes
from vln.houses.scene import load_home, scene_file, to_json
from vln.houses.spec import MARK, HomePlan, WorldSpec, about
from vln.houses.traces import pose_trace, trace_bytes
from vln.panorama.skybox import STRIP
from vln.runs import atomic

logger = logging.getLogger(__name__)

PARTS: Final = ".parts"
STRIP_BYTES_PER_PIXEL: Final = 0.14
"""Size of a strip's JPEG, for telling in time that a disk is too small; measured, rounded up."""
_NOTES_BYTES_PER_HOME: Final = 600_000
_FULL = (errno.ENOSPC, errno.EDQUOT)
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
    if workers < 1:
        raise BadConfig(f"{workers} workers; expected 1 or more.")
    with _disk_errors(folder), _alone(folder):
        done = _claim(spec, folder)
        if done and (not pictures or done["pictures"]):
            return folder
        _check_space(spec, folder, pictures=pictures)
        run = _Crew(workers, progress=progress)
        plans = list(spec.homes())
        if not done:
            run.each(_annotate, plans, spec, folder, what="homes")
            done = assemble(spec, folder, _parts(folder, plans))
            _say_unrecorded(spec)
        if pictures:
            run.each(_draw, plans, spec, folder, what="homes drawn")
        kept = {name: done[name] for name in ("sha256", "counts")}
        mark = {**about(spec), "pictures": pictures, **kept}
        _write(folder / MARK, orjson.dumps(mark, option=orjson.OPT_INDENT_2))
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
        CorruptData: The scene cannot be.
    """
    home = load_home(scene_file(folder, scan))
    walk = walk_of(home)
    files = [folder / "skyboxes" / scan / STRIP.format(viewpoint=name) for name in walk.ids]
    wanted = [number for number, file in enumerate(files) if not file.is_file()]
    if not wanted:
        return
    renderer = HomeRenderer(home, size=face)
    for number in wanted:
        faces = renderer.faces(walk.position[number], walk.rotation[number])
        _write(files[number], strip_bytes(faces, quality=quality))


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
    _write(folder / PARTS / MARK, orjson.dumps(expected))
    return None


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


def _annotate(plan: HomePlan, spec: WorldSpec, folder: Path) -> None:
    part = _part(folder, plan)
    if part.is_file():
        return
    derived = derive(plan, spec)
    _write(scene_file(folder, plan.scan), to_json(derived.home))
    connectivity = folder / "connectivity" / f"{plan.scan}_connectivity.json"
    _write(connectivity, orjson.dumps(derived.connectivity))
    for record in derived.guides:
        trace = trace_file(folder, record)
        _write(trace, trace_bytes(pose_trace(record, derived.walk)))
    _write(part, orjson.dumps(part_of(derived)))


def _draw(plan: HomePlan, spec: WorldSpec, folder: Path) -> None:
    draw_home(folder, plan.scan, face=spec.face, quality=spec.quality)


def _part(folder: Path, plan: HomePlan) -> Path:
    return folder / PARTS / f"{plan.scan}.json"


def _parts(folder: Path, plans: Sequence[HomePlan]) -> Iterator[dict[str, Any]]:
    for plan in plans:
        file = _part(folder, plan)
        yield parse_json(read_bytes(file), file=file)


def _write(file: Path, content: bytes) -> None:
    with atomic(file) as stream:
        stream.write(content)


Task = Callable[[HomePlan, WorldSpec, Path], None]


class _Crew:
    """Does one thing to every home, on several processes, with a bar."""

    def __init__(self, workers: int, *, progress: bool) -> None:
        self._workers = workers
        self._progress = progress

    def each(
        self, task: Task, plans: Sequence[HomePlan], spec: WorldSpec, folder: Path, *, what: str
    ) -> None:
        with tqdm(total=len(plans), desc=f"{spec.name}: {what}", disable=not self._progress) as bar:
            if self._workers == 1:
                for plan in plans:
                    task(plan, spec, folder)
                    bar.update()
                return
            # Spawned, not forked: a fork of a process with threads (torch's, say) may hang.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(self._workers, mp_context=context) as pool:
                futures = [pool.submit(task, plan, spec, folder) for plan in plans]
                try:
                    for future in as_completed(futures):
                        future.result()
                        bar.update()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (CannotWrite, CorruptData, BadConfig):
        raise
    except FileNotFoundError:
        raise
    except OSError as error:
        kept = "What was made so far is kept: the same command goes on with it."
        if error.errno in _FULL:
            raise CannotWrite(f"{folder}: the disk is full. Make room. {kept}") from error
        raise CannotWrite(
            f"{folder}: cannot be written ({error.strerror}). Make it writable, or {_ELSEWHERE}"
        ) from error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other process makes a world in this folder."""
    try:
        import fcntl
    except ImportError:  # not on Windows: two processes then write the same bytes twice
        yield
        return
    # The lock stays: who removed it could take it away from one that has just begun to wait.
    with (folder.parent / f".{folder.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
