"""Dropout whose masks cost a random byte per element instead of a random float.

torch's CPU dropout is an order of magnitude slower than the products around it in a follower's
decoder. A byte gives keep probabilities in steps of 1/256, and the scale is that probability's
inverse, so the expectation is exact. Drawn from a NumPy generator whose state can be saved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class Dropout:
    """Draws dropout masks; does nothing while `enabled` is False.

    Args:
        seed: Of the masks.
    """

    def __init__(self, seed: int) -> None:
        self.enabled = True
        self._rng = np.random.Generator(np.random.SFC64(seed))
        self._device_rng: torch.Generator | None = None
        self._device_state: list[int] | None = None  # until it is known which device
        self._seed = seed

    def __call__(self, values: Tensor, probability: float) -> Tensor:
        """Gives `values` with elements zeroed at `probability` and the rest scaled up."""
        if not self.enabled or probability == 0:
            return values
        mask, scale = self.mask(values, probability)
        return (values * mask).mul_(scale)

    def mask(self, values: Tensor, probability: float) -> tuple[Tensor, float]:
        """Gives the mask of `values`, uint8 zeros and ones, and the scale of what is kept."""
        if values.device.type != "cpu":
            if self._device_rng is None:
                self._device_rng = torch.Generator(values.device).manual_seed(self._seed)
                if self._device_state is not None:
                    held = torch.tensor(self._device_state, dtype=torch.uint8)
                    self._device_rng.set_state(held)
            noise = torch.empty_like(values, dtype=torch.float32)
            noise.uniform_(generator=self._device_rng)
            return (noise >= probability).view(torch.uint8), 1 / (1 - probability)
        threshold = round((1 - probability) * 256)
        count = values.numel()
        words = self._rng.integers(
            0, 2**64 - 1, size=-(-count // 8), dtype=np.uint64, endpoint=True
        )
        kept = words.view(np.uint8)[:count] < threshold
        # As bytes: a product with booleans takes torch four times as long.
        return torch.from_numpy(kept.view(np.uint8)).view(values.shape), 256 / threshold

    def state(self) -> dict[str, Any]:
        """Gives the generator's state, to be saved with a checkpoint."""
        state = {key: _plain(value) for key, value in self._rng.bit_generator.state.items()}
        if self._device_rng is not None:
            state["device"] = self._device_rng.get_state().tolist()
        elif self._device_state is not None:
            state["device"] = self._device_state
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Continues where `state` was taken."""
        parts = dict(state)
        self._device_rng, self._device_state = None, parts.pop("device", None)
        parts["state"] = {"state": np.array(parts["state"]["state"], dtype=np.uint64)}
        self._rng.bit_generator.state = parts


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value
