"""Prediction files: reads what the field's code writes, writes what the leaderboard takes.

Knows neither episodes nor graph: whether an id or a step is right is for the scorer to say, so
order and duplicates are kept as found.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from vln.data.locations import parse_json, read_bytes
from vln.errors import BadPredictions, CorruptData
from vln.types import Trajectory

_GZIP = b"\x1f\x8b"
_ID_KEYS = ("instr_id", "instruction_id")
_PATH_KEYS = ("trajectory", "path")
_NUMBERS = {int, float}
_FORM = (
    'Write a JSON list of {"instr_id": "<path_id>_<k>", '
    '"trajectory": [[viewpoint, heading, elevation], ...]}.'
)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One record of a prediction file.

    Attributes:
        id: The instruction's id.
        viewpoints: Every entry of the trajectory in order, at least one; turns on the spot repeat
            the viewpoint, a step over several edges names each of them.
        headings: Radians per entry; None where the file does not give them for every entry.
        elevations: As `headings`.
    """

    id: str
    viewpoints: tuple[str, ...]
    headings: tuple[float, ...] | None = None
    elevations: tuple[float, ...] | None = None


def read_predictions(file: Path) -> list[Prediction]:
    """Gives the records of a prediction file, .json or .json.gz, in its order.

    A trajectory is a list of [viewpoint, heading, elevation] (the leaderboard's form), of viewpoint
    ids, or of lists of viewpoint ids (DUET's: the edges walked in one step). It may be called
    `trajectory` or `path`; other keys, such as `details`, are ignored.

    Raises:
        MissingData: The file cannot be read.
        BadPredictions: The file is damaged or a record has another form; it names the record.
    """
    records = _parse(file)
    if not isinstance(records, list):
        problem = f"expected a JSON list of records, found {type(records).__name__}"
        raise BadPredictions.of(file, "", problem, _FORM)
    return [_prediction(record, number=i, file=file) for i, record in enumerate(records)]


def write_predictions(trajectories: Iterable[Trajectory], file: Path) -> None:
    """Writes the leaderboard's form (EvalAI), gzipped where `file` ends in .gz.

    The file appears whole or not at all: it is written beside its place and moved there.

    Args:
        trajectories: What agents did, in the order to write.
        file: Where to; its folder is made where it is missing.
    """
    content = orjson.dumps([_record(trajectory) for trajectory in trajectories])
    if file.suffix == ".gz":
        content = gzip.compress(content, mtime=0)  # no clock: the same answers, the same bytes
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _record(trajectory: Trajectory) -> dict[str, object]:
    poses = [[pose.viewpoint, pose.heading, pose.elevation] for pose in trajectory.poses]
    return {"instr_id": trajectory.episode_id, "trajectory": poses}


def _parse(file: Path) -> object:
    raw = read_bytes(file, remedy="Check the path of the prediction file.")
    try:
        if raw.startswith(_GZIP):
            raw = gzip.decompress(raw)
        return parse_json(raw, file=file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        remedy = "The file is damaged or cut off: write or copy it again."
        raise BadPredictions.of(file, "", f"not a whole gzip file ({error})", remedy) from error
    except CorruptData as error:
        raise BadPredictions(str(error)) from error


def _prediction(record: object, *, number: int, file: Path) -> Prediction:
    where = f"record {number}"
    if not isinstance(record, dict):
        problem = f"expected an object, found {type(record).__name__}"
        raise BadPredictions.of(file, where, problem, _FORM)
    identity = _first_of(record, _ID_KEYS)
    if type(identity) not in (str, int):
        problem = f"'instr_id' must be a string, found {identity!r}"
        raise BadPredictions.of(file, where, problem, _FORM)
    steps = _first_of(record, _PATH_KEYS)
    where += f" (instr_id {identity!r})"
    if not isinstance(steps, list) or not steps:
        problem = f"'trajectory' must be a non-empty list, found {steps!r}"
        raise BadPredictions.of(file, where, problem, _FORM)
    return _from_poses(str(identity), steps) or _from_steps(
        str(identity), steps, where=where, file=file
    )


def _first_of(record: dict[str, object], keys: tuple[str, ...]) -> object:
    return next((record[key] for key in keys if key in record), None)


def _from_poses(identity: str, steps: list[Any]) -> Prediction | None:
    """Gives the prediction if every step is [viewpoint, heading, elevation], else None."""
    if set(map(type, steps)) != {list} or set(map(len, steps)) != {3}:
        return None
    viewpoints, headings, elevations = zip(*steps, strict=True)
    if set(map(type, viewpoints)) != {str} or not set(map(type, headings + elevations)) <= _NUMBERS:
        return None
    return Prediction(identity, viewpoints, headings, elevations)


def _from_steps(identity: str, steps: list[Any], *, where: str, file: Path) -> Prediction:
    viewpoints: list[str] = []
    for number, step in enumerate(steps):
        hops = _hops(step)
        if hops is None:
            problem = f"trajectory entry {number} is {step!r}"
            raise BadPredictions.of(file, where, problem, _FORM)
        viewpoints.extend(hops)
    if not viewpoints:
        raise BadPredictions.of(file, where, "'trajectory' names no viewpoint", _FORM)
    return Prediction(identity, tuple(viewpoints))


def _hops(step: object) -> list[str] | None:
    """Gives the viewpoints of one trajectory entry, None if it has none of the forms.

    DUET writes an empty list for a step that ends where it began.
    """
    if isinstance(step, str):
        return [step]
    if not isinstance(step, list):
        return None
    names = step
    if len(step) == 3 and {type(angle) for angle in step[1:]} <= _NUMBERS:
        names = step[:1]
    return names if all(isinstance(name, str) for name in names) else None
