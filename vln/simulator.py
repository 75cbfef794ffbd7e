"""Batched navigation on a `NavGraph` in EnvDrop's panoramic action space.

A state is a panorama and the view that the agent faces; a step, an expert action or a distance is
a gather from the graph's tables. One body serves NumPy (the default) and torch tensors on any
device; torch is imported only when a device is asked for. Knows nothing of episodes or rewards.

Legend: B batch, K candidates at most.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vln import geometry
from vln.arrays import Array, namespace
from vln.errors import IllegalAction
from vln.graph import NavGraph


class States(NamedTuple):
    """Where B agents are: `panorama` (B,) int64 and `view` (B,) int64, the faced view, 0-35."""

    panorama: Array
    view: Array


class Surroundings(NamedTuple):
    """What B agents may do and should do.

    `neighbour` (B, K) int64, -1 padding; `mask` (B, K + 1) bool, the legal actions; `expert` (B,)
    int64, the shortest walk's action; `distance` (B,) float64, metres to the goal.
    """

    neighbour: Array
    mask: Array
    expert: Array
    distance: Array


class Simulator:
    """Moves batches of agents over the graph.

    Actions: 0 stays (stop), k goes to candidate k - 1 in the order of `NavGraph.neighbour`. A move
    leaves the agent facing the view that showed the neighbour best, as EnvDrop's turn-right-only
    execution does.

    Args:
        graph: The compiled graph.
        device: None computes with NumPy; else a torch device, on which all arrays live.
        validate: Checks every action. On a GPU each check waits for the device.
    """

    def __init__(
        self, graph: NavGraph, *, device: str | None = None, validate: bool = True
    ) -> None:
        self.graph = graph
        self.device = device
        self.num_actions = graph.max_degree + 1
        self._validate = validate
        self._xp: Any = namespace(device)
        stay = np.arange(len(graph.neighbour))[:, None]
        self._target = self._array(np.hstack([stay, graph.neighbour]).ravel())
        facing = np.hstack([np.full_like(stay, -1), graph.candidate_view])
        self._facing = self._array(facing.ravel())
        self._neighbour = self._array(graph.neighbour)
        self._mask = self._array(np.hstack([stay, graph.neighbour]) >= 0)
        self._pair_base = self._array(graph.pair_base)
        self._distance = self._array(graph.pair_distance)
        self._expert = self._array(graph.pair_slot.astype(np.int8) + np.int8(1))

    def _array(self, values: Any) -> Array:  # noqa: ANN401
        if self.device is None:
            return np.ascontiguousarray(values)
        return self._xp.asarray(np.ascontiguousarray(values), device=self.device)

    def start(self, panorama: Array, heading: Array) -> States:
        """Gives the states of agents put down with a heading, looking level.

        Args:
            panorama: (B,) int64.
            heading: (B,) float64 radians, snapped to the nearest 30 degrees.
        """
        if self.device is None:
            panorama = np.asarray(panorama, dtype=np.int64)
            return States(panorama, geometry.snap_heading_step(heading) + geometry.NUM_HEADINGS)
        xp = self._xp
        turns = xp.asarray(heading, device=self.device, dtype=xp.float64) / geometry.STEP
        step = xp.astype(xp.floor(turns + 0.5), xp.int64) % geometry.NUM_HEADINGS
        panorama = xp.asarray(panorama, device=self.device, dtype=xp.int64)
        return States(panorama, step + geometry.NUM_HEADINGS)

    def step(self, states: States, action: Array) -> States:
        """Gives the states after one action each.

        Args:
            states: B states.
            action: (B,) int64, 0 to K.

        Raises:
            IllegalAction: An action leads nowhere from its state.
        """
        action = self._xp.asarray(action, device=self.device)
        if self._validate and bool(((action < 0) | (action >= self.num_actions)).any()):
            self._refuse(states, action)
        place = states.panorama * self.num_actions + action
        panorama = self._target.take(place)
        if self._validate and bool((panorama < 0).any()):
            self._refuse(states, action)
        view = self._xp.where(action == 0, states.view, self._facing.take(place))
        return States(panorama, view)

    def _refuse(self, states: States, action: Array) -> None:
        for row, (panorama, choice) in enumerate(
            zip(states.panorama.tolist(), action.tolist(), strict=True)
        ):
            degree = int(self.graph.degree[panorama])
            if not 0 <= choice <= degree:
                raise IllegalAction(
                    f"row {row}: action {choice} at viewpoint {self.graph.viewpoints[panorama]}; "
                    f"expected 0 (stop) to {degree} (its number of candidates)."
                )

    def candidates(self, panorama: Array) -> Array:
        """Gives (B, K) int64 neighbours of panoramas (B,), -1 padding."""
        return self._xp.take(self._neighbour, panorama, axis=0)

    def action_mask(self, panorama: Array) -> Array:
        """Gives (B, K + 1) bool, the legal actions at panoramas (B,)."""
        return self._xp.take(self._mask, panorama, axis=0)

    def expert_action(self, panorama: Array, goal: Array) -> Array:
        """Gives (B,) int64, the first action of the shortest walk; 0 at the goal or out of reach.

        Both panoramas must lie in one scan; this is not checked here.
        """
        slot = self._expert.take(self._pair_base.take(panorama) + goal)
        return self._xp.astype(slot, self._xp.int64)

    def distance(self, panorama: Array, goal: Array) -> Array:
        """Gives (B,) float64 metres of the shortest walk, inf where there is none.

        Both panoramas must lie in one scan; this is not checked here.
        """
        return self._distance.take(self._pair_base.take(panorama) + goal)

    def surroundings(self, panorama: Array, goal: Array) -> Surroundings:
        """Gives candidates, mask, expert and distance of panoramas (B,) with goals (B,) at once."""
        pair = self._pair_base.take(panorama) + goal
        return Surroundings(
            neighbour=self._xp.take(self._neighbour, panorama, axis=0),
            mask=self._xp.take(self._mask, panorama, axis=0),
            expert=self._xp.astype(self._expert.take(pair), self._xp.int64),
            distance=self._distance.take(pair),
        )
