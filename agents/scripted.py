"""Agents that need no training: the trivial rows of every table.

All act on whole batches; none here reads the instruction. `agents.reader` holds those that do.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from agents.base import Agent, Ints, Turn
from vln import geometry
from vln.encoders.base import World
from vln.errors import MissingData
from vln.graph import HALF_FIELD_OF_VIEW
from vln.registry import Registry

Floats = npt.NDArray[np.float64]
HOPS = 5


class StopAgent:
    """Stops where it starts."""

    def begin(self, turn: Turn) -> None:
        """Needs nothing."""

    def act(self, turn: Turn) -> Ints:
        """Gives stop for every row."""
        return np.zeros(len(turn.rows), dtype=np.int64)


class ShortestPathAgent:
    """Follows the expert."""

    def begin(self, turn: Turn) -> None:
        """Needs nothing."""

    def act(self, turn: Turn) -> Ints:
        """Gives the expert's actions.

        Raises:
            MissingData: The split's labels are held out, so there is no expert.
        """
        if turn.expert is None:
            raise MissingData(
                "the shortest-path agent needs goals, and this split's are held out. "
                "Choose a split with labels, such as val_unseen."
            )
        return turn.expert


class StraightAheadAgent:
    """Takes five hops, each to the candidate that asks for the smallest turn."""

    def __init__(self) -> None:
        self._hops = 0

    def begin(self, turn: Turn) -> None:
        """Starts counting hops."""
        self._hops = 0

    def act(self, turn: Turn) -> Ints:
        """Gives the straightest candidates, then stop."""
        self._hops += 1
        if self._hops > HOPS:
            return np.zeros(len(turn.rows), dtype=np.int64)
        angles = turn.observation["candidate_angles"]
        padding = turn.observation["candidate_panorama"] < 0
        turned = np.where(padding, np.inf, np.abs(np.arctan2(angles[..., 0], angles[..., 1])))
        return np.where(padding.all(axis=1), 0, 1 + turned.argmin(axis=1))


class RandomAgent:
    """R2R's random agent: turns 0 to 11 steps to the right, then walks five hops ahead.

    It moves as MatterSim's camera does: to the neighbour nearest to the middle of its view,
    turning right by 30 degrees as long as there is none, with 30 camera actions in all. Its camera
    keeps its heading when it moves, unlike our environment's.

    Args:
        seed: Of the first turns.
    """

    CAMERA_ACTIONS = 30

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._heading: Floats = np.zeros(0)
        self._spent: Ints = np.zeros(0, dtype=np.int64)
        self._hops: Ints = np.zeros(0, dtype=np.int64)

    def begin(self, turn: Turn) -> None:
        """Draws the first turn of every row."""
        turns = self._rng.integers(0, geometry.NUM_HEADINGS, len(turn.rows))
        width = int(turn.rows.max(initial=-1)) + 1
        self._heading = np.zeros(width)
        self._heading[turn.rows] = _own_heading(turn) + turns * geometry.STEP
        self._spent = np.zeros(width, dtype=np.int64)
        self._spent[turn.rows] = turns
        self._hops = np.zeros(width, dtype=np.int64)

    def act(self, turn: Turn) -> Ints:
        """Gives the candidate in the middle of the camera's view, or stop."""
        rows = turn.rows
        turns, choice = self._nearest_in_view(turn)
        self._heading[rows] += turns * geometry.STEP
        self._spent[rows] += turns + 1
        done = (self._hops[rows] >= HOPS) | (self._spent[rows] > self.CAMERA_ACTIONS)
        self._hops[rows] += 1
        return np.where(done | (choice < 0), 0, choice + 1)

    def _nearest_in_view(self, turn: Turn) -> tuple[Ints, Ints]:
        """Gives how often to turn right until a candidate is in view, and the nearest one's slot.

        The camera looks level: R2R's agent never tilts it.
        """
        angles = turn.observation["candidate_angles"].astype(np.float64)
        bearing = np.arctan2(angles[..., 0], angles[..., 1]) + _own_heading(turn)[:, None]
        rise = np.arctan2(angles[..., 2], angles[..., 3])
        camera = self._heading[turn.rows, None] + np.arange(geometry.NUM_HEADINGS) * geometry.STEP
        aside = np.abs(geometry.wrap(bearing[:, None, :] - camera[:, :, None]))
        padding = (turn.observation["candidate_panorama"] < 0)[:, None, :]
        seen = (aside <= HALF_FIELD_OF_VIEW) & ~padding
        turns = seen.any(axis=2).argmax(axis=1)
        row = np.arange(len(turns))
        off_centre = np.where(seen, np.hypot(aside, rise[:, None, :]), np.inf)[row, turns]
        choice = np.where(np.isfinite(off_centre).any(axis=1), off_centre.argmin(axis=1), -1)
        return turns, choice


def _own_heading(turn: Turn) -> Floats:
    angles = turn.observation["agent_angles"].astype(np.float64)
    heading: Floats = np.arctan2(angles[:, 0], angles[:, 1])
    return heading


class ScriptedAgent(Protocol):
    """Makes an agent that needs no training."""

    def __call__(self, seed: int, world: World | None = None) -> Agent:
        """Gives the agent.

        Args:
            seed: Of its chance.
            world: The folder and graph that it may look things up in; most need none.
        """


def _reader(seed: int, world: World | None = None) -> Agent:
    from agents.reader import ReaderAgent  # brings compiled code, which no other agent needs

    return ReaderAgent(world)


def _blind_reader(seed: int, world: World | None = None) -> Agent:
    from agents.reader import BlindReaderAgent

    return BlindReaderAgent(seed, world)


SCRIPTED: Registry[ScriptedAgent] = Registry("scripted agent")
SCRIPTED.add("stop", lambda seed, world=None: StopAgent())
SCRIPTED.add("random", lambda seed, world=None: RandomAgent(seed))
SCRIPTED.add("straight", lambda seed, world=None: StraightAheadAgent())
SCRIPTED.add("shortest", lambda seed, world=None: ShortestPathAgent())
SCRIPTED.add("reader", _reader)
SCRIPTED.add("reader_blind", _blind_reader)
