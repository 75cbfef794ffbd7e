"""Readers of procedural homes' instructions: what words are worth with all objects, and with none.

`reader` is told which objects are in sight, by name, direction, distance and size, and carries the
instruction out clause by clause. `reader_blind` has the same words and the graph, but no object.
Neither knows the goal. They need a world that keeps its homes' scenes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agents.base import Ints, Turn
from vln import geometry
from vln.encoders.base import World
from vln.errors import CorruptData, MissingData
from vln.houses.building.scene import load_home, scene_file
from vln.houses.graph.recorded import recorded_walk
from vln.houses.graph.sight import sights_of
from vln.houses.graph.surroundings import Place, surroundings
from vln.houses.words.clauses import parse
from vln.houses.words.reading import BlindReader, Reader
from vln.houses.words.routes import Tree, walked_metres
from vln.runs import generator
from vln.text import decode

Step = Callable[[Place, int, float], int]
"""Gives the way to take from a place, its index in the home and a heading; -1 stops."""


@dataclass(frozen=True, eq=False)
class Known:
    """One home as readers know it.

    Attributes:
        places: What is around every viewpoint.
        ids: Viewpoint ids, in the same order.
        number: Place in that order by id.
        metres: (V, V) shortest walks.
    """

    places: tuple[Place, ...]
    ids: tuple[str, ...]
    number: dict[str, int]
    metres: npt.NDArray[np.float64]


class ReaderAgent:
    """Carries out instructions with the objects in sight.

    Args:
        world: The world's folder and graph.

    Raises:
        MissingData: There is no world, or one without scenes.
    """

    def __init__(self, world: World | None) -> None:
        if world is None or not (world.data / "scenes").is_dir():
            where = "no world was given" if world is None else f"{world.data} has no scenes"
            raise MissingData(
                f"readers need the scenes of procedural homes, and {where}. Play them with "
                "--env houses, or on a folder that `python -m vln.houses make` wrote."
            )
        self._world = world
        self._homes: dict[str, Known] = {}
        self._steps: dict[int, Step] = {}

    def begin(self, turn: Turn) -> None:
        """Reads every row's instruction.

        Raises:
            BadConfig: One is written in other words than procedural homes' instructions.
            MissingData: A home's scene is not there.
            CorruptData: A scene cannot be used.
        """
        texts = [decode(row) for row in turn.observation["instruction"]]
        panoramas = turn.observation["panorama"].tolist()
        self._steps = {
            row: self._told(text, panorama)
            for row, text, panorama in zip(turn.rows.tolist(), texts, panoramas, strict=True)
        }

    def _told(self, text: str, panorama: int) -> Step:
        reader = Reader(parse(text))
        return lambda place, _, heading: reader.step(place, heading=heading)

    def act(self, turn: Turn) -> Ints:
        """Gives what the clauses ask for."""
        angles = turn.observation["agent_angles"].astype(np.float64)
        heading = geometry.snap_heading_step(np.arctan2(angles[:, 0], angles[:, 1]))
        action = np.zeros(len(turn.rows), dtype=np.int64)
        for i, row in enumerate(turn.rows.tolist()):
            panorama = int(turn.observation["panorama"][i])
            home, here = self._locate(panorama)
            place = home.places[here]
            way = self._steps[row](place, here, float(heading[i] * geometry.STEP))
            if way >= 0:
                candidates = turn.observation["candidate_panorama"][i].tolist()
                action[i] = 1 + candidates.index(
                    self._panorama(home, int(place.ways[way]), turn, i)
                )
        return action

    def _panorama(self, home: Known, viewpoint: int, turn: Turn, i: int) -> int:
        scan = self._world.graph.scan_of(int(turn.observation["panorama"][i]))
        return self._world.graph.index(scan, home.ids[viewpoint])

    def _locate(self, panorama: int) -> tuple[Known, int]:
        """Gives the home and the viewpoint's place in it."""
        graph = self._world.graph
        scan = graph.scan_of(panorama)
        if scan not in self._homes:
            self._homes[scan] = self._home(scan)
        home = self._homes[scan]
        return home, home.number[graph.viewpoints[panorama]]

    def _home(self, scan: str) -> Known:
        graph, file = self._world.graph, scene_file(self._world.data, scan)
        home = known_home(file)
        if sorted(home.ids) != sorted(graph.viewpoints[p] for p in graph.members(scan)):
            raise CorruptData.of(
                file,
                "",
                "its viewpoints are not those of the connectivity file",
                "Undo the edit, or generate the world again with `python -m vln.houses make`.",
            )
        return home


class BlindReaderAgent(ReaderAgent):
    """Carries out turns, doors and stairs, and guesses where only an object could tell.

    Args:
        seed: Of its guesses.
        world: The world's folder and graph.

    Raises:
        MissingData: There is no world, or one without scenes.
    """

    def __init__(self, seed: int, world: World | None) -> None:
        super().__init__(world)
        self._seed = seed

    def _told(self, text: str, panorama: int) -> Step:
        home, start = self._locate(panorama)
        # Of its own for each episode: guesses must not hang on who plays beside it.
        rng = generator(self._seed, f"{home.ids[start]}/{text}")
        reader = BlindReader(parse(text), rng)
        tree = Tree(home.places, home.metres[start])

        def step(place: Place, here: int, heading: float) -> int:
            onward = np.zeros(len(place.ways), dtype=np.bool_)
            onward[tree.onward[here]] = True
            return reader.step(place, heading=heading, onward=onward)

        return step


def known_home(file: Path) -> Known:
    """Gives a home as readers know it, measured from its scene once.

    Raises:
        MissingData: The scene cannot be read.
        CorruptData: It is damaged.
    """
    changed = file.stat().st_mtime_ns if file.exists() else 0
    return _known_home(file, changed)


@cache  # a world's homes are asked for again and again, in turn
def _known_home(file: Path, changed: int) -> Known:
    home = load_home(file)
    walk = recorded_walk(home, file.parent.parent)
    places = surroundings(home, walk, sights_of(home, walk))
    number = {name: i for i, name in enumerate(walk.ids)}
    return Known(places, walk.ids, number, walked_metres(places))
