"""B episodes under way: where their agents are, and what actions and time do to them.

Knows nothing of Gymnasium, of observations or of when an ended row begins anew.

Legend: B rows, K candidates at most, N bytes of instruction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from envs.episodes import EpisodeTable
from envs.scenes import Scene
from envs.tracks import Tracks
from vln.errors import IllegalAction
from vln.graph import NavGraph
from vln.metrics.paths import SUCCESS_RADIUS
from vln.observed import ObservedGraph
from vln.simulator import Simulator, States
from vln.types import Trajectory

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEVEL_NORTH = 12


class Teaching(NamedTuple):
    """What a teacher knows of B rows.

    `action` (B,) int64, the first of the shortest walk to the goal; `distance` (B,) float64 metres
    to it; `known` (B,) bool, the rows with labels: only there do the others mean anything.
    """

    action: Ints
    distance: Floats
    known: Flags


class EpisodeBatch:
    """Holds one array per fact, a row per episode.

    Attributes:
        states: Panoramas and views of all rows.
        start: (B,) int64 panoramas where the episodes began.
        steps: (B,) int64 actions taken.
        episode: (B,) int64 indices into the table, -1 for idle rows.
        instruction: (B, N) uint8.
        terminated: (B,) bool, stopped (idle rows as well).
        truncated: (B,) bool, out of steps.
        live: (B,) bool, neither.
        has_idle: Whether a row is idle.
    """

    def __init__(
        self,
        graph: NavGraph,
        table: EpisodeTable,
        *,
        num_envs: int,
        max_steps: int,
        is_global: bool,
    ) -> None:
        """Lays out `num_envs` idle rows."""
        self.graph, self.table, self.max_steps = graph, table, max_steps
        self._simulator = Simulator(graph)
        self._observed = ObservedGraph(graph, num_envs) if is_global else None
        self._tracks = Tracks(num_envs, moves=max_steps)
        self._viewpoints = np.array(graph.viewpoints, dtype=object)
        self._largest_scan = int(np.diff(graph.first).max())
        nowhere = np.zeros(num_envs, dtype=np.int64)
        self.states = States(nowhere, np.full(num_envs, LEVEL_NORTH))
        self.start, self.steps, self._goal = (np.zeros_like(nowhere) for _ in range(3))
        self.episode = np.full(num_envs, -1)
        self.instruction = np.zeros((num_envs, table.width), dtype=np.uint8)
        self.terminated = np.ones(num_envs, dtype=bool)
        self.truncated = np.zeros(num_envs, dtype=bool)
        self.live: Flags = np.zeros(num_envs, dtype=bool)
        self.has_idle = True
        self._distance = np.zeros(num_envs)
        self._labelled = np.zeros(num_envs, dtype=bool)
        self._scan, self._id = (np.full(num_envs, None, dtype=object) for _ in range(2))

    def __getstate__(self) -> dict[str, Any]:
        # The simulator holds modules, which do not pickle, and tables that the graph gives again.
        return {key: value for key, value in vars(self).items() if key != "_simulator"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._simulator = Simulator(self.graph)

    def begin(self, rows: Ints, episode: Ints) -> None:
        """Puts rows (n,) at the start of episodes (n,); -1 makes a row idle."""
        table, real = self.table, episode >= 0
        start = np.where(real, table.start[episode], 0)
        begun = self._simulator.start(start, np.where(real, table.heading[episode], 0.0))
        panorama, view = self.states.panorama.copy(), self.states.view.copy()
        panorama[rows], view[rows] = begun
        self.states = States(panorama, view)
        goal = np.where(real, table.goal[episode], -1)
        self._labelled[rows] = goal >= 0
        self._goal[rows] = goal = np.where(goal >= 0, goal, start)  # itself, to be looked up at all
        self._distance[rows] = self._simulator.distance(start, goal)
        self.start[rows], self.steps[rows], self.episode[rows] = start, 0, episode
        self.terminated[rows], self.truncated[rows], self.live[rows] = ~real, False, real
        self._tracks.begin(rows, self.states)
        if self._observed is not None:
            self._observed.reset(rows, start)
        self._name(rows, episode, real)

    def _name(self, rows: Ints, episode: Ints, real: Flags) -> None:
        table = self.table
        self._scan[rows], self._id[rows] = table.scan[episode], table.id[episode]
        self.instruction[rows] = table.instructions(episode)
        self.has_idle = bool((self.episode < 0).any())
        if not real.all():
            idle = rows[~real]
            self._scan[idle], self._id[idle], self.instruction[idle] = None, None, 0

    def act(self, action: Ints) -> Floats:
        """Takes one action per live row, ignores the others' (B,), and gives the rewards (B,).

        Raises:
            IllegalAction: A live row cannot take its action; nothing has changed then.
        """
        acting = self.live
        if self._observed is None:
            stopped = self._step(np.where(acting, action, 0))
        else:
            stopped = self._walk(np.where(acting, action, self.states.panorama), self._observed)
        stopped &= acting
        self.steps += acting
        reward = self._reward(acting, stopped)
        self.terminated |= stopped
        going_on = acting & ~stopped
        self.live = going_on & (self.steps < self.max_steps)
        self.truncated |= going_on & ~self.live
        return reward

    def _step(self, action: Ints) -> Flags:
        """Takes local actions and says which rows stay."""
        try:
            self.states = self._simulator.step(self.states, action)
        except IllegalAction:
            degree = self.graph.degree[self.states.panorama]
            row = int(np.flatnonzero((action < 0) | (action > degree))[0])
            legal = f"0 (stop) to {degree[row]} (its number of candidates)"
            raise self._illegal(row, int(action[row]), legal) from None
        moved = action > 0
        self._tracks.append(moved, self.states)
        return ~moved

    def _walk(self, target: Ints, observed: ObservedGraph) -> Flags:
        """Walks to panoramas seen before, hop by hop, and says which rows stay."""
        stays: Flags = target == self.states.panorama
        rows = np.flatnonzero(~stays)
        unseen = rows[(observed.seen[rows] != target[rows, None]).all(axis=1) | (target[rows] < 0)]
        if unseen.size:
            row = int(unseen[0])
            seen = observed.seen[row, : observed.num_seen[row]].tolist()
            legal = f"a panorama seen so far ({seen}), the current one to stop"
            raise self._illegal(row, int(target[row]), legal)
        hops, _ = observed.route(rows, self.states.panorama[rows], target[rows])
        self._tracks.reserve(hops.shape[1])
        for hop in hops.T:
            to = self.states.panorama.copy()
            to[rows] = np.where(hop >= 0, hop, to[rows])
            slots = self.graph.neighbour[self.states.panorama] == to[:, None]
            action = np.where(slots.any(axis=1), slots.argmax(axis=1) + 1, 0)
            self.states = self._simulator.step(self.states, action)
            self._tracks.append(action > 0, self.states)
            going = np.flatnonzero(action)
            observed.visit(going, self.states.panorama[going])
        return stays

    def _illegal(self, row: int, action: int, legal: str) -> IllegalAction:
        viewpoint = self.graph.viewpoints[self.states.panorama[row]]
        return IllegalAction(
            f"environment {row}, episode {self._id[row]}: action {action} at viewpoint "
            f"{viewpoint} of scan {self._scan[row]}; expected {legal}."
        )

    def _reward(self, acting: Flags, stopped: Flags) -> Floats:
        if not self._labelled.any():
            return np.zeros(len(acting))
        before = self._distance
        self._distance = now = self._simulator.distance(self.states.panorama, self._goal)
        # Comparisons, for inf - inf would be NaN where the goal is out of reach.
        progress = (now < before).astype(np.float64) - (now > before)
        arrival = np.where(now < SUCCESS_RADIUS, 2.0, -2.0)
        reward: Floats = np.where(stopped, arrival, progress) * (acting & self._labelled)
        return reward

    def names(self) -> dict[str, npt.NDArray[Any]]:
        """Gives scan, viewpoint and episode id of all rows, (B,) object; None where idle.

        With global actions also `seen` (B, S) int64, the panoramas that may be walked to, -1
        padded; S is the size of the largest scan.
        """
        names: dict[str, npt.NDArray[Any]] = {
            "scan": self._scan.copy(),
            "viewpoint": self._viewpoints.take(self.states.panorama),
            "episode_id": self._id.copy(),
        }
        if self.has_idle:
            names["viewpoint"][self.episode < 0] = None
        if self._observed is not None:
            seen = np.full((len(self.episode), self._largest_scan), -1, dtype=np.int64)
            have = self._observed.seen[:, : self._largest_scan]
            seen[:, : have.shape[1]] = have
            names["seen"] = seen
        return names

    def teaching(self) -> Teaching:
        """Gives what a teacher would say."""
        panorama = self.states.panorama
        action = self._simulator.expert_action(panorama, self._goal)
        if self._observed is not None:
            hop = self.graph.neighbour[panorama, action - 1]
            action = np.where(action == 0, panorama, hop)
        return Teaching(action, self._distance.copy(), self._labelled.copy())

    def trajectories(self) -> list[Trajectory]:
        """Gives where the rows that hold an episode have been since it began, in row order."""
        return [
            self._tracks.trajectory(
                row,
                graph=self.graph,
                episode_id=self._id[row],
                stopped=bool(self.terminated[row]),
            )
            for row in np.flatnonzero(self.episode >= 0).tolist()
        ]

    def scene(self, row: int) -> Scene | None:
        """Gives what there is to show of one row, None where it is idle."""
        if self.episode[row] < 0:
            return None
        return Scene(
            episode=self.table.episodes.episodes[self.episode[row]],
            path=self._tracks.path(row),
            view=int(self.states.view[row]),
            step=int(self.steps[row]),
            max_steps=self.max_steps,
            has_ended=not self.live[row],
        )
