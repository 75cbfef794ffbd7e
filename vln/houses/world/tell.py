"""Instructions for given paths in the homes of a made world, as its writer would have worded them.

For paths that the writer would not have chosen: some of their steps nothing singles out, and are
told as well as can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vln import geometry
from vln.errors import BadConfig
from vln.houses.building.scene import load_home, scene_file
from vln.houses.graph.navigate import Walk
from vln.houses.graph.recorded import recorded_walk
from vln.houses.graph.sight import sights_of
from vln.houses.graph.surroundings import surroundings
from vln.houses.words.instruct import Guide
from vln.houses.words.routes import Route
from vln.houses.world.crew import Crew
from vln.runs import generator
from vln.types import Episode


@dataclass(frozen=True)
class _Job:
    """The paths of one home: (seed, start heading, viewpoints) each, seed after seed."""

    world: Path
    scan: str
    paths: tuple[tuple[int, float, tuple[str, ...]], ...]


def tell_paths(
    world: Path,
    paths: Mapping[int, Sequence[Episode]],
    *,
    workers: int = 1,
    progress: bool = False,
) -> dict[int, list[dict[str, Any]]]:
    """Gives R2R records of paths, one instruction each, in the paths' order.

    Of a record, `path_id` is the path's place, `heading` the start's to the last bit; `leads`, a
    field of our own, tells whether carrying out the text ends at the goal. A seed's records do not
    depend on the other seeds; all are told together since looking around a home takes longest.

    Args:
        world: A made world's folder, with `scenes/`.
        paths: By the seed of their wording: start and reference are used.
        workers: Processes, one home each at a time.
        progress: Whether a bar is drawn on standard error.

    Raises:
        BadConfig: A path has less than two viewpoints, takes one that its home has not, or a step
            that is no edge.
        MissingData: A home's scene or connectivity file is not there: no world of ours.
        CorruptData: One of them cannot be.
    """
    jobs: dict[str, list[tuple[int, float, tuple[str, ...]]]] = {}
    for seed, episodes in paths.items():
        for episode in episodes:
            one = (seed, episode.start.heading, _reference(episode))
            jobs.setdefault(episode.start.scan, []).append(one)
    given = [_Job(world, scan, tuple(mine)) for scan, mine in jobs.items()]
    told = Crew(workers, progress=progress).each(_tell, given, what="homes told of")
    left = {job.scan: iter(records) for job, records in zip(given, told, strict=True)}
    return {
        seed: [
            {"path_id": number, **next(left[episode.start.scan])}
            for number, episode in enumerate(episodes)
        ]
        for seed, episodes in paths.items()
    }


def _reference(episode: Episode) -> tuple[str, ...]:
    reference = episode.reference or ()
    if len(reference) < 2:
        raise BadConfig(
            f"{episode.id} has a path of {len(reference)} viewpoints; expected two or more."
        )
    return reference


def _tell(job: _Job) -> list[dict[str, Any]]:
    """Gives the records of a home's paths, in order."""
    home = load_home(scene_file(job.world, job.scan))
    walk = recorded_walk(home, job.world)
    guide = Guide(home, walk, surroundings(home, walk, sights_of(home, walk)))
    chance = {seed: generator(seed, f"told of {job.scan}") for seed, _, _ in job.paths}
    records = []
    for seed, heading, path in job.paths:
        visited = _visited(job, path, walk)
        metres = np.linalg.norm(np.diff(walk.position[list(visited)], axis=0), axis=1).sum()
        looks = float(geometry.snap_heading_step(heading) * geometry.STEP)
        text, leads = guide.instruction(chance[seed], Route(visited, looks, float(metres)))
        records.append(
            {
                "distance": round(float(metres), 2),
                "scan": job.scan,
                "path": list(path),
                "heading": heading,
                "instructions": [text],
                "leads": leads,
            }
        )
    return records


def _visited(job: _Job, path: Sequence[str], walk: Walk) -> tuple[int, ...]:
    """Gives a path's viewpoints as numbers of the home's.

    Raises:
        BadConfig: The home has no such viewpoint or edge.
    """
    number = {name: place for place, name in enumerate(walk.ids)}
    visited = tuple(number.get(name, -1) for name in path)
    if min(visited) < 0 or not walk.adjacency[visited[:-1], visited[1:]].all():
        raise BadConfig(
            f"a path {' - '.join(path)} does not exist in {job.scan} of {job.world}. Give paths of "
            "this world."
        )
    return visited
