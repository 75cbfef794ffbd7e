"""R2R's leaderboard on EvalAI (challenge 97): writes its file and performs its checks.

The server takes a JSON list of {"instr_id", "trajectory": [[viewpoint, heading, elevation], ...]}
for every instruction of the test split. It scores viewpoints only, so a trajectory of bare
viewpoint ids passes. Every two consecutive entries must be the same viewpoint or joined by an edge.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks import checks
from benchmarks.checks import Offence
from vln.data.locations import parse_json, read_bytes
from vln.data.predictions import Prediction, read_predictions, write_predictions
from vln.data.splits import EpisodeSet
from vln.graph import NavGraph
from vln.types import Pose, Trajectory

_GZIP = b"\x1f\x8b"


def write(trajectories: Iterable[Trajectory], file: Path) -> None:
    """Writes the file to upload; it appears whole or not at all."""
    write_predictions(trajectories, file)


def validate(file: Path, *, split: EpisodeSet, graph: NavGraph) -> list[Offence]:
    """Gives everything that the server would refuse, and a step that it would misread.

    Args:
        file: What is to be uploaded.
        split: The episodes it must answer; labels are not needed.
        graph: The graph that holds them.

    Raises:
        MissingData: The file cannot be read.
        BadPredictions: The file is no list of trajectories.
    """
    predictions = read_predictions(file)
    return [
        *nested_offences(predictions, file=file),
        *_content_offences(predictions, split=split, graph=graph),
    ]


def flatten(file: Path, *, out: Path) -> None:
    """Writes a file's trajectories with one viewpoint per entry, multi-hop steps spread out.

    Angles that the file does not give are written as 0: the server does not look at them.

    Raises:
        MissingData: The file cannot be read.
        BadPredictions: The file is no list of trajectories.
    """
    write((_trajectory(prediction) for prediction in read_predictions(file)), out)


def nested_offences(predictions: Sequence[Prediction], *, file: Path) -> Iterator[Offence]:
    """Gives entries that hold several viewpoints, of which the server reads the first only.

    Args:
        predictions: The file's records as read, which are flat.
        file: The file itself, to be looked at as it is.
    """
    raw = read_bytes(file)
    records = parse_json(gzip.decompress(raw) if raw.startswith(_GZIP) else raw, file=file)
    for prediction, record in zip(predictions, records, strict=True):
        if prediction.headings is not None:
            continue
        for number, step in enumerate(record.get("trajectory", record.get("path"))):
            if isinstance(step, list) and sum(isinstance(part, str) for part in step) != 1:
                problem = f"entry {number} holds {len(step)} viewpoints instead of one"
                yield Offence("nested", prediction.id, problem)


def _content_offences(
    predictions: Sequence[Prediction], *, split: EpisodeSet, graph: NavGraph
) -> Iterator[Offence]:
    yield from checks.id_offences(predictions, expected=split.episodes)
    episodes = {episode.id: episode for episode in split}
    pairs = [(episodes[record.id], record) for record in predictions if record.id in episodes]
    astray = list(checks.viewpoint_offences(pairs, graph=graph))
    yield from astray
    lost = {offence.id for offence in astray}
    walked = checks.walks([pair for pair in pairs if pair[1].id not in lost], graph=graph)
    yield from checks.start_offences(walked, graph=graph)
    yield from checks.jump_offences(walked, graph=graph)


def _trajectory(prediction: Prediction) -> Trajectory:
    nothing = (0.0,) * len(prediction.viewpoints)
    entries = zip(
        prediction.viewpoints,
        prediction.headings or nothing,
        prediction.elevations or nothing,
        strict=True,
    )
    poses = tuple(
        Pose("", viewpoint, heading, elevation) for viewpoint, heading, elevation in entries
    )
    return Trajectory(prediction.id, poses, stopped=True)
