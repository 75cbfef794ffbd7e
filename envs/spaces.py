"""The spaces of observations and actions.

Legend: V viewpoints of all scans, K candidates at most, N bytes of the longest instruction, H x W
pixels of a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector.utils import batch_differing_spaces, batch_space

from vln.errors import BadConfig
from vln.features.source import FeatureSource
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph
from vln.panorama.pinhole import Camera

Mask = npt.NDArray[Any]


class Choices(spaces.Discrete[np.int64]):
    """Actions 0 to K, of which `sample()` without a mask draws only what is legal everywhere.

    Those are 0 (stop) and 1 (the first candidate): Gymnasium's checkers and benchmarks sample
    blindly, and an illegal action is an error here. For a random walk sample with the mask:
    `space.sample(observation["action_mask"])`.
    """

    def sample(self, mask: Mask | None = None, probability: Mask | None = None) -> np.int64:
        """Gives a random action, from `mask` (K + 1,) int8 or `probability` where one is given."""
        if mask is None and probability is None:
            return np.int64(self.np_random.integers(2))
        return super().sample(mask, probability)


class BatchedChoices(spaces.MultiDiscrete[np.int64]):
    """A batch of `Choices`, sampled by the same rule."""

    def sample(self, mask: Any = None, probability: Any = None) -> npt.NDArray[np.int64]:  # noqa: ANN401
        """Gives random actions, from the tuples `mask` or `probability` where one is given."""
        if mask is None and probability is None:
            return self.np_random.integers(2, size=self.nvec.shape)
        return super().sample(mask, probability)


@batch_space.register(Choices)
def _batch_choices(space: Choices, n: int = 1) -> BatchedChoices:
    return BatchedChoices([int(space.n)] * n, seed=int(space.np_random.integers(2**31)))


def _batch_differing_choices(spaces: Sequence[Choices]) -> BatchedChoices:
    seed = int(spaces[0].np_random.integers(2**31))
    return BatchedChoices([int(space.n) for space in spaces], seed=seed)


class Pictures(spaces.Box[np.uint8]):
    """All pictures of one shape: a `Box` from 0 to 255 whose bounds take no memory.

    An ordinary one keeps four arrays of its own shape, 133 MB for a sweep of 36 views of 640 x 480
    and as much again for every environment of a batch; comparing two takes 0.76 GB more.
    """

    def __init__(
        self, shape: tuple[int, ...], *, seed: int | np.random.Generator | None = None
    ) -> None:
        """Takes the shape of uint8 pictures."""
        super().__init__(0, 255, (1,) * len(shape), np.uint8, seed)
        self.low_repr, self.high_repr = "0", "255"
        self._spread(shape)

    def _spread(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self.low, self.high = (np.broadcast_to(np.uint8(limit), shape) for limit in (0, 255))
        self.bounded_below = self.bounded_above = np.broadcast_to(np.True_, shape)

    def contains(self, x: Any) -> bool:  # noqa: ANN401 - as in Box
        """Says whether `x` is an array of bytes of this shape; any byte is a colour."""
        return isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.shape == self.shape

    def sample(self, mask: None = None, probability: None = None) -> npt.NDArray[np.uint8]:
        """Gives noise."""
        if mask is not None or probability is not None:
            return super().sample(mask, probability)  # which refuses them
        return self.np_random.integers(256, size=self.shape, dtype=np.uint8)

    def __eq__(self, other: object) -> bool:
        return self.shape == other.shape if isinstance(other, Pictures) else super().__eq__(other)

    def __getstate__(self) -> dict[str, Any]:
        bounds = ("low", "high", "bounded_below", "bounded_above")
        return {key: value for key, value in vars(self).items() if key not in bounds}

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401 - as in Box
        super().__setstate__(state)
        self._spread(self.shape)


@batch_space.register(Pictures)
def _batch_pictures(space: Pictures, n: int = 1) -> Pictures:
    return Pictures((n, *space.shape), seed=deepcopy(space.np_random))


def _batch_differing_pictures(spaces: Sequence[Pictures]) -> Pictures:
    shapes = sorted({space.shape for space in spaces})
    if len(shapes) > 1:
        raise BadConfig(f"pictures of shapes {shapes}; a batch takes those of one camera.")
    return _batch_pictures(spaces[0], len(spaces))


# Declared for a sequence of spaces, but chosen by the type of its first: as no checker can tell.
_register: Any = batch_differing_spaces.register
_register(Choices, _batch_differing_choices)
_register(Pictures, _batch_differing_pictures)


def observation_space(
    graph: NavGraph,
    *,
    instruction_bytes: int,
    max_steps: int,
    features: FeatureSource | None = None,
    camera: Camera | None = None,
) -> spaces.Dict:
    """Gives the space of one environment's observations.

    Args:
        graph: Sets V and K.
        instruction_bytes: N.
        max_steps: Most actions of an episode.
        features: Adds `view_features`.
        camera: Adds `views`.
    """
    last, slots = len(graph.viewpoints) - 1, graph.max_degree
    reach = float(np.ptp(graph.position, axis=0).max()) + 1.0
    parts: dict[str, spaces.Space[Any]] = {
        "panorama": spaces.Discrete(last + 1),
        "agent_angles": spaces.Box(-1, 1, (4,), np.float32),
        "position": spaces.Box(-reach, reach, (3,), np.float32),
        "step": spaces.Discrete(max_steps + 1),
        "view_angles": spaces.Box(-1, 1, (NUM_VIEWS, 4), np.float32),
        "candidate_panorama": spaces.Box(-1, last, (slots,), np.int64),
        "candidate_view": spaces.Box(-1, NUM_VIEWS - 1, (slots,), np.int64),
        "candidate_angles": spaces.Box(-1, 1, (slots, 4), np.float32),
        "candidate_distance": spaces.Box(0, reach * 2, (slots,), np.float32),
        "action_mask": spaces.MultiBinary(slots + 1),
        "instruction": spaces.Box(0, 255, (instruction_bytes,), np.uint8),
    }
    if features is not None:
        dtype = np.dtype(features.dtype)
        limit, shape = np.finfo(dtype).max, (NUM_VIEWS, features.dim)
        parts["view_features"] = spaces.Box(-limit, limit, shape, dtype)
    if camera is not None:
        parts["views"] = Pictures((NUM_VIEWS, camera.height, camera.width, 3))
    return spaces.Dict(parts)


def action_space(graph: NavGraph, *, is_global: bool) -> spaces.Discrete[np.int64]:
    """Gives the space of one environment's actions.

    Args:
        graph: Sets V and K.
        is_global: The action is a panorama, 0 to V - 1; else stop or a candidate, 0 to K.
    """
    return spaces.Discrete(len(graph.viewpoints)) if is_global else Choices(graph.max_degree + 1)
