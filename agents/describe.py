"""`python -m agents.describe`: a trained speaker's instructions for paths.

Paths come from the command line, from a split, or from a file in R2R's format; what comes out is
text, or a file in R2R's format that a follower can be trained or tried on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import torch
import tyro

from agents.lessons.speaker import path_of
from agents.loading import load_narrator
from agents.scene import Scene
from agents.speaker.narrator import Narrator
from agents.speaker.routes import RouteTable
from vln.data.augmented import load_augmented
from vln.data.splits import EpisodeSet
from vln.errors import BadConfig, CannotWrite
from vln.runs import atomic, entry_point, say
from vln.types import Episode, Pose


@dataclass(frozen=True, kw_only=True)
class Command:
    """Writes instructions for paths: one of --path, --split and --paths."""

    run: Path
    """Folder of a speaker's run, or of a recipe's that has one."""
    path: tuple[str, ...] = ()
    """Viewpoints in order, adjacent ones; needs --scan."""
    scan: str = ""
    """The scan that --path lies in."""
    heading: float = 0.0
    """Radians that --path begins with; 0 looks along +y, turning right increases it."""
    split: str = ""
    """A split with labels: each of its paths once."""
    paths: Path | None = None
    """File of paths in R2R's format, such as aug_paths.json."""
    samples: int = 0
    """Draws so many instructions per path instead of taking the likeliest words."""
    temperature: float = 1.0
    """Of drawing; below 1 favours likely words."""
    seed: int = 0
    """Of drawing."""
    out: Path | None = None
    """File in R2R's format; printed where absent."""
    env: str = ""
    """Another data set or world than the run's."""
    data: Path | None = None
    """Data folder; VLN_DATA where absent, and the cache for a world."""
    device: str = "cpu"
    """Where the networks live: cpu, cuda, cuda:1."""
    threads: int = 1
    """Threads of matrix products on a CPU."""
    service: str = ""
    """Socket of a running server (`python -m vln.service serve`) that encodes what the speaker
    sees, instead of a store."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    return entry_point(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    command = tyro.cli(Command, args=arguments, prog="python -m agents.describe")
    _check(command)
    torch.set_num_threads(command.threads)
    narrator, scene, _, _ = load_narrator(
        command.run,
        data=command.data,
        env=command.env,
        device=command.device,
        service=command.service,
    )
    try:
        walks = _walks(command, scene)
        instructions = _told(
            command, narrator, RouteTable.compile(scene.graph, map(path_of, walks))
        )
    finally:
        scene.close()
    if command.out is None:
        for walk, texts in zip(walks, instructions, strict=True):
            say("\n".join(f"{walk.id}: {text}" for text in texts))
    else:
        _write(command.out, walks, instructions)
        say(f"{command.out}: {sum(map(len, instructions)):,} instructions of {len(walks):,} paths")
    return 0


def _told(command: Command, narrator: Narrator, routes: RouteTable) -> list[tuple[str, ...]]:
    """Gives the instructions of every path."""
    if not command.samples:
        return [(text,) for text in narrator.texts(routes)]
    sampler = torch.Generator(command.device).manual_seed(command.seed)
    draws = [
        narrator.texts(routes, sampler=sampler, temperature=command.temperature)
        for _ in range(command.samples)
    ]
    return list(zip(*draws, strict=True))


def _check(command: Command) -> None:
    given = [bool(command.path), bool(command.split), command.paths is not None]
    if sum(given) != 1:
        raise BadConfig("name what to describe: one of --path (with --scan), --split and --paths.")
    if command.path and not command.scan:
        raise BadConfig("--path needs --scan, the scan that its viewpoints are in.")
    if command.samples < 0 or command.temperature <= 0:
        raise BadConfig(
            f"--samples {command.samples}, --temperature {command.temperature}; expected 0 or "
            "more, and above 0."
        )


def _walks(command: Command, scene: Scene) -> list[Episode]:
    """Gives the paths as episodes, each once.

    Raises:
        BadConfig: The split has no labels.
    """
    if command.path:
        start = Pose(command.scan, command.path[0], command.heading, 0.0)
        return [Episode("path", start, "", "en", command.path)]
    if command.split:
        episodes = scene.episodes(command.split)
    else:
        assert command.paths is not None
        episodes = load_augmented(command.paths, scene.graph)
    return _each_once(episodes)


def _each_once(episodes: EpisodeSet) -> list[Episode]:
    unlabelled = next((e.id for e in episodes if e.reference is None), None)
    if unlabelled is not None:
        raise BadConfig(
            f"split {episodes.split!r} has no paths to describe ({unlabelled} is held out). Choose "
            "a split with labels."
        )
    unique: dict[object, Episode] = {}
    for episode in episodes:
        unique.setdefault(path_of(episode), episode)
    return [replace(e, id=e.id.rpartition("_")[0] or e.id) for e in unique.values()]


def _write(file: Path, walks: Sequence[Episode], instructions: Sequence[Sequence[str]]) -> None:
    """Writes paths and instructions in R2R's format.

    Raises:
        CannotWrite: There is no room, or no permission.
    """
    records = [_record(walk, texts) for walk, texts in zip(walks, instructions, strict=True)]
    try:
        with atomic(file) as stream:
            stream.write(orjson.dumps(records, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise CannotWrite(
            f"{file}: cannot be written ({error.strerror}). Choose another with --out."
        ) from error


def _record(walk: Episode, texts: Sequence[str]) -> dict[str, Any]:
    return {
        "scan": walk.start.scan,
        "path_id": walk.id,
        "path": list(walk.reference or ()),
        "heading": walk.start.heading,
        "instructions": list(texts),
    }


if __name__ == "__main__":
    sys.exit(main())
