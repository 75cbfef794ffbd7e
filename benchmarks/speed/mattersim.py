"""Speed of the drop-in for MatterSim's Python module: navigation, every field read, and pictures.

Walks are drawn before; what is measured is `newEpisode`, `makeAction`, `getState` and reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.speed.rendering import MATTERSIM_SWEEP, RenderSetting
from benchmarks.speed.rows import Row, measure, rate_row, seconds_row
from vln import geometry
from vln.mattersim import SimState, Simulator
from vln.runs import generator

BATCH = 64
EPISODE = 20
MATTERSIM_STEPS = 93_000
"""Environment steps per second of MatterSim's batched interface from Python, as measured here."""
INCUMBENT = "incumbent: MatterSim's batched interface from Python; pictures with OSMesa on one core"
FIRST, AGAIN = "first visit", "views seen before"


@dataclass(frozen=True)
class Kind:
    """A kind of simulator."""

    name: str
    discretized: bool = True
    restricted: bool = True
    scalar: bool = False

    def make(self, setting: RenderSetting, *, number: int = 0, batch: int = BATCH) -> Simulator:
        """Gives a new simulator; another number's camera is so little wider that none notices."""
        made = Simulator()
        made.setNavGraphPath(setting.data / "connectivity")
        made.setRenderingEnabled(False)
        made.setDiscretizedViewingAngles(self.discretized)
        made.setRestrictedNavigation(self.restricted)
        made.setCameraResolution(640, 480)
        made.setCameraVFOV(math.pi / 3 + 1e-12 * number)
        made.setBatchSize(1 if self.scalar else batch)
        return made


KINDS = (
    Kind("discretised"),
    Kind("discretised, unrestricted", restricted=False),
    Kind("continuous", discretized=False),
    Kind("continuous, unrestricted", discretized=False, restricted=False),
    Kind("discretised, v0.1's scalars", scalar=True),
)


def navigation_rows(setting: RenderSetting) -> list[Row]:
    """Walks at random where nobody has been, and again; for continuous cameras that is the same."""
    rows = []
    for kind in KINDS:
        walk = _drawn(setting, kind)
        rows.append(_row(setting, kind, walk, FIRST if kind.discretized else ""))
        if kind.discretized:
            rows.append(_row(setting, kind, walk, AGAIN))
    return rows


def sweeping_rows(setting: RenderSetting) -> list[Row]:
    """Renders the 36 views as scripts that precompute features do: look, turn, look, turn."""
    simulator = Kind("discretised").make(setting, batch=1)
    simulator.setRenderingEnabled(True)
    simulator.setDatasetPath(str(setting.strips.root))
    simulator.initialize()
    shown: list[object] = []

    def work() -> None:
        shown.clear()
        for scan, viewpoint in setting.first_viewpoints:
            simulator.newEpisode([scan], [viewpoint], [0.0], [-geometry.STEP])
            for view in range(geometry.NUM_VIEWS):
                (state,) = simulator.getState()
                assert state.viewIndex == view
                shown.append(state.rgb)
                up = (view + 1) % geometry.NUM_HEADINGS == 0
                simulator.makeAction([0], [1.0], [1.0 if up else 0.0])

    timing = measure(work, repeats=setting.repeats)
    return [
        seconds_row(
            "mattersim",
            "36 views of 640 x 480 one by one through makeAction, and one more",
            timing,
            per=len(setting.first_viewpoints),
            incumbent=MATTERSIM_SWEEP,
            note=INCUMBENT,
        )
    ]


Walk = list[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]
"""Per episode: what `newEpisode` is given, and what each `makeAction` is given."""


def _row(setting: RenderSetting, kind: Kind, walk: Walk, which: str) -> Row:
    fresh = _prepared(setting, kind, walk)
    known = next(fresh)
    simulators = fresh if which == FIRST else iter(lambda: known, None)

    def work() -> None:
        simulator = next(simulators)
        for start, actions in walk:
            simulator.newEpisode(*start)
            for action in actions:
                simulator.makeAction(*action)
                _read(simulator, kind)

    timing = measure(work, repeats=setting.repeats, warm_up=3)  # views are kept by then
    batch = 1 if kind.scalar else BATCH
    return rate_row(
        "mattersim",
        ", ".join(filter(None, (f"steps with all fields read, batch {batch}", kind.name, which))),
        timing,
        count=batch * sum(len(actions) for _, actions in walk),
        unit="steps/s",
        incumbent=None if kind.scalar else MATTERSIM_STEPS,
        note=INCUMBENT,
    )


def _prepared(setting: RenderSetting, kind: Kind, walk: Walk) -> Iterator[Simulator]:
    """Yields simulators, each with a camera that has listed nothing yet but its first views."""
    number = 0
    while True:
        number += 1
        simulator = kind.make(setting, number=number)
        simulator.newEpisode(*walk[0][0])
        yield simulator


def _read(simulator: Simulator, kind: Kind) -> None:
    state = simulator.getState()
    if kind.scalar:
        _touch(state)
    else:
        for each in state:
            _touch(each)


def _touch(state: SimState) -> None:
    _ = (state.scanId, state.step, state.heading, state.elevation, state.viewIndex, state.rgb)
    here = state.location
    assert here is not None
    _ = (here.viewpointId, here.ix, here.x, here.y, here.z)
    _ = (here.rel_heading, here.rel_elevation, here.rel_distance)
    for place in state.navigableLocations:
        _ = (place.viewpointId, place.ix, place.x, place.y, place.z)
        _ = (place.rel_heading, place.rel_elevation, place.rel_distance)


def _drawn(setting: RenderSetting, kind: Kind) -> Walk:
    """Gives episodes from random viewpoints of the whole graph: random moves, turns and tilts."""
    rng, graph = generator(0, f"walk/{kind.name}"), setting.graph
    simulator, batch = kind.make(setting), 1 if kind.scalar else BATCH
    shape: Callable[[list[Any]], Any] = (lambda given: given[0]) if kind.scalar else list
    walk: Walk = []
    for _ in range(2 if setting.quick else 20 * BATCH // batch // (8 if kind.scalar else 1)):
        places = rng.integers(len(graph.viewpoints), size=batch).tolist()
        scans, names = [graph.scan_of(p) for p in places], [graph.viewpoints[p] for p in places]
        headings = rng.uniform(0, 2 * math.pi, batch).tolist()
        start = shape(scans), shape(names), shape(headings), shape([0.0] * batch)
        simulator.newEpisode(*start)
        actions = []
        for _ in range(EPISODE):
            states = [simulator.getState()] if kind.scalar else simulator.getState()
            counts = np.array([len(state.navigableLocations) for state in states])
            index = (rng.random(batch) * counts).astype(np.int64).tolist()
            turn, tilt = rng.integers(-1, 2, (2, batch)).astype(np.float64).tolist()
            actions.append((shape(index), shape(turn), shape(tilt)))
            simulator.makeAction(*actions[-1])
        walk.append((start, actions))
    return walk
