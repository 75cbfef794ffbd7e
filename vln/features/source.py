"""Features by name: what agents gather from, wherever the numbers came from.

Knows nothing of encoders or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vln.geometry import NUM_VIEWS

Ints = npt.NDArray[np.int64]


class FeatureSource(Protocol):
    """Anything that gives view features for panorama indices."""

    @property
    def dim(self) -> int:
        """D, features per view."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the features, float16 or float32."""

    def gather(self, panorama: Ints) -> npt.NDArray[Any]:
        """Gives (B, 36, D) features of panoramas (B,)."""


class KnownSource(FeatureSource, Protocol):
    """A source that says whose features it gives."""

    @property
    def fingerprint(self) -> str:
        """Identity of the encoder and of what it encoded."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """All features of a world in one array, mapped from a file or in memory.

    Attributes:
        encoder: Name of the encoder.
        fingerprint: Identity of the encoder and of what it encoded.
        values: (R, 36, D), or (R, 1, D) where all views of a panorama share one vector.
        row: (V,) int64, which row of `values` stands for a panorama.
    """

    encoder: str
    fingerprint: str
    values: npt.NDArray[Any]
    row: Ints

    @property
    def dim(self) -> int:
        """D, features per view."""
        return int(self.values.shape[2])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the features."""
        return self.values.dtype

    def gather(self, panorama: Ints) -> npt.NDArray[Any]:
        """Gives (B, 36, D) features of panoramas (B,)."""
        found = np.take(self.values, self.row[panorama], axis=0)
        return found if found.shape[1] == NUM_VIEWS else np.repeat(found, NUM_VIEWS, axis=1)
