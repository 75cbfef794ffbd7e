"""What an agent is: told that episodes begin, asked for actions.

Knows no particular agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Turn:
    """What n agents of a batch see when it is their turn.

    Attributes:
        rows: (n,) int64, which rows of the environment are asked; rows only ever leave.
        observation: The environment's observation, each value with n rows.
        expert: (n,) int64 expert actions, or None where nobody may know them.
    """

    rows: Ints
    observation: Mapping[str, npt.NDArray[Any]]
    expert: Ints | None


class Agent(Protocol):
    """Plays batches of episodes.

    `begin` is called once per batch with every row, then `act` until all rows have ended, each
    time with the rows still going.
    """

    def begin(self, turn: Turn) -> None:
        """Forgets everything and reads the new episodes' instructions."""

    def act(self, turn: Turn) -> Ints:
        """Gives (n,) int64 actions: 0 stops, k goes to candidate k - 1."""
