"""What an agent's networks see: features of panoramas, on their device, in their products' type."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vln.features.source import FeatureSource, FeatureTable

Ints = npt.NDArray[np.int64]
Eyes = Callable[[Ints], Tensor]
"""Gives (n, 36, D) features of panoramas (n,)."""


def open_eyes(features: FeatureSource, *, device: str, dtype: torch.dtype) -> Eyes:
    """Gives eyes that look with some features.

    Args:
        features: Of a world; a table moves to the device whole, anything else is asked each time.
        device: Where the networks live.
        dtype: What they multiply in.
    """
    if isinstance(features, FeatureTable):
        return _Table(features, device, dtype)
    return lambda panorama: torch.from_numpy(features.gather(panorama)).to(device, dtype)


class _Table:
    """Looks features up that lie on the networks' device."""

    def __init__(self, features: FeatureTable, device: str, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._values = torch.from_numpy(features.values)
        if device != "cpu":
            self._values = self._values.to(device)
        self._row = torch.from_numpy(features.row).to(device)
        self._device = device

    def __call__(self, panorama: Ints) -> Tensor:
        """Gives the features of panoramas (n,)."""
        row = self._row[torch.from_numpy(panorama).to(self._device)]
        found = self._values.index_select(0, row).to(self._dtype)
        return found.expand(-1, 36, -1)
