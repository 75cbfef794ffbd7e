"""Where B agents are, turned into what they perceive: gathers from tables made once per graph.

Knows neither episodes nor rewards. Everything it gives is fresh memory that the caller may keep.

Legend: B batch, V viewpoints, K candidates at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.graph import NavGraph
from vln.simulator import States

Ints = npt.NDArray[np.int64]
Observation = dict[str, npt.NDArray[Any]]


class Observer:
    """Holds the tables and gathers from them."""

    def __init__(self, graph: NavGraph) -> None:
        self._neighbour = np.ascontiguousarray(graph.neighbour)
        self._view = np.ascontiguousarray(graph.candidate_view)
        self._distance = graph.candidate_distance.astype(np.float32)
        self._position = graph.position
        legal = np.hstack([np.zeros((len(graph.neighbour), 1), dtype=np.int64), graph.neighbour])
        self._mask = (legal >= 0).astype(np.int8)
        real = graph.neighbour >= 0
        # A pair of float32 is one complex64: sin h + i cos h times exp(i b) is
        # sin(h - b) + i cos(h - b), the heading relative to b in one multiplication.
        heading, elevation = graph.candidate_heading, graph.candidate_elevation
        self._heading = np.where(real, 1j * np.exp(-1j * heading), 0).astype(np.complex64)
        self._elevation = np.where(real, 1j * np.exp(-1j * elevation), 0).astype(np.complex64)
        base = geometry.view_heading(np.arange(geometry.NUM_VIEWS))
        self._turn = np.exp(1j * base).astype(np.complex64)[:, None]
        self._view_angles = geometry.view_angles()
        views = np.arange(geometry.NUM_VIEWS)
        self._agent_angles = geometry.angle_features(
            geometry.view_heading(views), geometry.view_elevation(views)
        )

    def observe(
        self, states: States, *, start: Ints, step: Ints, instruction: npt.NDArray[np.uint8]
    ) -> Observation:
        """Gives the observations of B agents.

        Args:
            states: Where they are.
            start: (B,) panoramas where they began.
            step: (B,) actions taken.
            instruction: (B, N).
        """
        panorama, view = states.panorama, states.view
        origin = self._position.take(start, axis=0)
        return {
            "panorama": panorama.copy(),
            "agent_angles": self._agent_angles.take(view, axis=0),
            "position": (self._position.take(panorama, axis=0) - origin).astype(np.float32),
            "step": step.copy(),
            "view_angles": self._view_angles.take(view % geometry.NUM_HEADINGS, axis=0),
            "candidate_panorama": self._neighbour.take(panorama, axis=0),
            "candidate_view": self._view.take(panorama, axis=0),
            "candidate_angles": self._candidate_angles(panorama, view),
            "candidate_distance": self._distance.take(panorama, axis=0),
            "action_mask": self._mask.take(panorama, axis=0),
            "instruction": instruction.copy(),
        }

    def _candidate_angles(self, panorama: Ints, view: Ints) -> npt.NDArray[np.float32]:
        heading = self._heading.take(panorama, axis=0)
        angles = np.empty((*heading.shape, 2), dtype=np.complex64)
        np.multiply(heading, self._turn.take(view, axis=0), out=angles[..., 0])
        angles[..., 1] = self._elevation.take(panorama, axis=0)
        numbers = angles.view(np.float32)
        return np.clip(numbers, -1, 1, out=numbers)  # rounding may have gone 1e-7 beyond


def blank(observation: Observation, idle: npt.NDArray[np.bool_]) -> None:
    """Empties, in place, the candidates of rows (B,) without an episode; stopping stays legal."""
    for key in ("candidate_panorama", "candidate_view"):
        observation[key][idle] = -1
    for key in ("candidate_angles", "candidate_distance", "action_mask"):
        observation[key][idle] = 0
    observation["action_mask"][idle, 0] = 1
