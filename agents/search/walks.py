"""What an agent would have walked to find and follow a route: leaderboards want it submitted.

Between two states that a search expands, the agent takes the shortest walk over edges that it has
observed by then; at last it goes back to the start and follows the chosen route.

Source: EnvDrop's `dijk_path` and Speaker-Follower's `physical_traversal`.

Legend: E searches, n of them, X expansions at most.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from agents.search.candidates import Candidate, Found, Ints, split_by_row
from envs.tracks import ELEVATIONS, HEADINGS
from vln.graph import NavGraph
from vln.observed import ObservedGraph
from vln.types import Pose, Trajectory

Path = tuple[Pose, tuple[str, ...]]
"""The pose that a path begins with, and its viewpoints, the first one included."""

ROWS = 64
"""Walks made together; what they have observed takes a table per walk."""


def physical_walk(graph: NavGraph, found: Found, chosen: int) -> list[int]:
    """Gives the panoramas of one walk, start first; see `physical_walks`."""
    walk: list[int] = physical_walks(graph, [found], np.array([chosen]))[0].tolist()
    return walk


def physical_walks(
    graph: NavGraph, found: Sequence[Found], chosen: Ints, *, rows: int = ROWS
) -> list[Ints]:
    """Gives everything walked: to all that was expanded, back, and along the chosen route.

    Args:
        graph: Where the searches took place.
        found: E of them.
        chosen: (E,) routes that the agents settle for.
        rows: Walks made together.

    Returns:
        E arrays of panoramas, start first, each an edge's length from the one before.
    """
    walks: list[Ints] = []
    for start in range(0, len(found), rows):
        part = slice(start, start + rows)
        walks += _walk_together(graph, found[part], chosen[part])
    return walks


def _walk_together(graph: NavGraph, found: Sequence[Found], chosen: Ints) -> list[Ints]:
    lengths = np.array([len(one.explored) for one in found])
    targets: Ints = np.full((len(found), int(lengths.max()) + 1), -1, dtype=np.int64)
    for row, one in enumerate(found):
        targets[row, : lengths[row]] = one.explored
    start = targets[:, 0]
    targets[np.arange(len(found)), lengths] = start  # where all return to in the end
    everyone = np.arange(len(found))
    observed = ObservedGraph(graph, len(found))
    observed.reset(everyone, start)
    visited: npt.NDArray[np.bool_] = np.zeros((len(found), len(graph.viewpoints)), dtype=bool)
    visited[everyone, start] = True
    rounds, here = [(everyone, start)], start.copy()
    for target in targets[:, 1:].T:
        rows = np.flatnonzero(target >= 0)
        to = target[rows]
        hops, counts = observed.route(rows, here[rows], to)
        rounds.append((np.repeat(rows, counts), hops[hops >= 0]))
        here[rows] = to
        is_new = ~visited[rows, to]
        observed.visit(rows[is_new], to[is_new])
        visited[rows, to] = True
    explored = split_by_row(rounds, len(found))
    routes = [one.routes[route].panoramas for one, route in zip(found, chosen, strict=True)]
    return [np.concatenate([walk, route[1:]]) for walk, route in zip(explored, routes, strict=True)]


def as_path(graph: NavGraph, route: Candidate) -> Path:
    """Gives a route by name, as speakers read it."""
    scan, view = graph.scan_of(int(route.panoramas[0])), int(route.views[0])
    names = tuple(graph.viewpoints[panorama] for panorama in route.panoramas.tolist())
    return Pose(scan, names[0], HEADINGS[view], ELEVATIONS[view]), names


def as_trajectories(
    graph: NavGraph, found: Sequence[Found], chosen: Ints, *, explores: bool
) -> list[Trajectory]:
    """Gives trajectories in which agents follow the chosen routes (E,).

    Args:
        graph: Where the searches took place.
        found: E of them.
        chosen: (E,) routes.
        explores: Puts the walk that found the route before it, as a leaderboard requires; without,
            the route stands alone, as if it had been known.
    """
    routes = [one.routes[route] for one, route in zip(found, chosen, strict=True)]
    walks = physical_walks(graph, found, chosen) if explores else [r.panoramas for r in routes]
    return [
        Trajectory(
            one.episode_id,
            _poses(graph, walk, view=int(route.views[0])),
            stopped=route.is_complete,
        )
        for one, walk, route in zip(found, walks, routes, strict=True)
    ]


def _poses(graph: NavGraph, walk: Ints, *, view: int) -> tuple[Pose, ...]:
    """Gives the poses of a walk along edges (n,) that begins facing `view`.

    After a move the agent faces the view that showed the neighbour best, as the simulator has it
    (EnvDrop writes heading and elevation 0 for its exploration).
    """
    scan = graph.scan_of(int(walk[0]))
    slot = (graph.neighbour[walk[:-1]] == walk[1:, None]).argmax(axis=1)
    views = [view, *graph.candidate_view[walk[:-1], slot].tolist()]
    return tuple(
        Pose(scan, graph.viewpoints[panorama], HEADINGS[faced], ELEVATIONS[faced])
        for panorama, faced in zip(walk.tolist(), views, strict=True)
    )
