"""How a trained follower walks: by name, so that more ways than one can be reported.

A walker gives one trajectory per episode, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.loading import load_narrator
from agents.scene import Scene
from agents.speaker.narrator import Narrator
from benchmarks.players import Player
from vln.types import Trajectory


@dataclass(frozen=True, eq=False)
class Walking:
    """What a walker may use.

    Attributes:
        player: The follower with its last weights, the graph, and the episodes to walk.
        scene: Where it walks, with the features that it sees.
        speaker_run: Folder of its seed's speaker, which may not have been trained.
        device: Where networks live.
    """

    player: Player
    scene: Scene
    speaker_run: Path
    device: str

    def speaker(self) -> Narrator:
        """Gives the seed's speaker, with the weights that the others are told by.

        Raises:
            CheckpointMismatch: There is none, or it does not fit.
        """
        return load_narrator(self.speaker_run, self.scene, device=self.device)[0]


Walker = Callable[[Walking], list[Trajectory]]

GREEDY: Final = ""
"""The walker whose walks every other study keeps under the same names."""


def greedy(walking: Walking) -> list[Trajectory]:
    """Takes the likeliest action at every step."""
    return walking.player.play()


WALKERS: Final[Mapping[str, Walker]] = {GREEDY: greedy}
"""Every walker by what its files and tables are called; the greedy one, called nothing, first."""
