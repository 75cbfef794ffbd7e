"""Encoders that cannot see here: the blind one, and CLIP where nobody has put its features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vln.encoders.base import World
from vln.errors import MissingFeatures
from vln.features import store
from vln.features.source import FeatureTable


def blind(world: World) -> None:
    """Gives no features: an agent that knows directions only."""
    del world


@dataclass(frozen=True)
class StoredFeatures:
    """An encoder whose features must already be in the store.

    Attributes:
        name: Registered name.
        weights: The file that its weights are published as.
        dim: D.
    """

    name: str
    weights: str
    dim: int

    def __call__(self, world: World) -> FeatureTable:
        """Gives the stored features.

        Raises:
            MissingFeatures: There are none; the message says what would be needed.
        """
        found = store.find(world.graph, encoder=self.name, cache=world.cache)
        if found is not None:
            return found
        folder = store.folder_of(world.graph, cache=world.cache)
        count = len(world.graph.viewpoints)
        images = world.data / "skyboxes"
        raise MissingFeatures(
            f"--encoder {self.name} needs features of this world and there are none. Missing: "
            f"(1) features: {folder}/{self.name}-<fingerprint>/values.npy, ({count}, 36, "
            f"{self.dim}) float16 or float32 in the graph's order; write your own with "
            f"vln.features.store.write. Or, to extract them: (2) weights: "
            f"{world.data / 'weights' / self.weights}"
            f"{_state(world.data / 'weights' / self.weights)}, and (3) images: {images}"
            f"{_state(images)}; extraction from images is not part of this version. "
            "Without any of these, train with --encoder none or --encoder objects."
        )


def _state(path: Path) -> str:
    return " (found)" if path.exists() else " (not found)"
