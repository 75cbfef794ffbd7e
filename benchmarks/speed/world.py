"""Speed and memory of graph, simulator and environment."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode

from benchmarks.speed import probe
from benchmarks.speed.rows import Row, Timing, measure, rate_row, seconds_row, value_row
from benchmarks.speed.setting import BLIND, Setting
from envs.vector import PanoramaVectorEnv
from envs.wrappers import VectorExpertActions
from vln.arrays import Array
from vln.data.connectivity import load_graph
from vln.runs import generator
from vln.simulator import Simulator, States

Ints = npt.NDArray[np.int64]

BATCHES = (1, 64, 1024)
GPU_BATCH = 65_536
WIDTH = 512
MATTERSIM_STEPS = {64: 189_000.0}
ENVDROP_OBSERVATIONS = 6_200.0
ENVDROP_FIRST_EPOCH = 2_200.0
TEACHER_EPISODE = 7
"""Observations of an average episode of the expert's: six steps, and one to begin anew."""


def graph_rows(setting: Setting) -> list[Row]:
    """Reads and compiles all scans, with all distances and next hops."""
    timing = measure(lambda: load_graph(setting.data), repeats=setting.repeats)
    graph = setting.graph
    arrays = [value for value in vars(graph).values() if isinstance(value, np.ndarray)]
    size = sum(array.nbytes for array in arrays) / 1e6
    memory = probe.ask("graph", setting.data)
    counts = f"{len(graph.scans)} scans, {len(graph.viewpoints):,} viewpoints"
    return [
        seconds_row("graph", f"read and compile {counts}", timing),
        value_row(
            "graph",
            "memory of the compiled graph",
            memory["graph_MB"],
            unit="MB",
            note="growth of a fresh process's resident memory over its imports",
            details={"arrays_MB": size, "peak_MB": memory["peak_MB"]},
        ),
    ]


def simulator_rows(setting: Setting) -> list[Row]:
    """Steps a recorded random walk: new state, candidates, mask, expert's action and distance."""
    batches = BATCHES if setting.device == "cpu" else (*BATCHES, GPU_BATCH)
    return [_stepping(setting, batch) for batch in batches]


def _stepping(setting: Setting, batch: int) -> Row:
    on_cpu = setting.device == "cpu"
    count = max(20, (20_000 if setting.quick else 1_000_000) // max(batch, 64))
    if batch == GPU_BATCH:
        count = 100
    device = None if on_cpu else setting.device
    simulator = Simulator(setting.graph, device=device, validate=on_cpu)
    begin, goal, actions = _walk(setting, batch, count)
    if not on_cpu:
        goal, actions = (torch.from_numpy(x).to(device) for x in (goal, actions))

    def work() -> None:
        states: States = simulator.start(begin, np.zeros(batch))
        for action in actions:
            states = simulator.step(states, action)
            simulator.surroundings(states.panorama, goal)
        setting.settle()

    timing = measure(work, repeats=setting.repeats, clock=setting.clock)
    return rate_row(
        "simulator",
        f"steps, batch {batch:,}",
        timing,
        count=batch * count,
        unit="steps/s",
        incumbent=MATTERSIM_STEPS.get(batch),
        note="incumbent: MatterSim v0.1; its batched API reaches 93,000" if batch == 64 else "",
        details={"us_per_call": 1e6 * min(timing.seconds) / count},
    )


def _walk(setting: Setting, batch: int, count: int) -> tuple[Array, Array, Array]:
    """Gives starts and goals (B,) of training episodes and legal actions (T, B), drawn before."""
    rng = generator(0, f"walk/{batch}")
    graph = setting.graph
    episodes = setting.episodes("train").episodes
    drawn = [episodes[i] for i in rng.integers(len(episodes), size=min(batch, 1024))]
    pairs = [
        graph.indices(e.start.scan, (e.start.viewpoint, *(e.reference or ())[-1:])) for e in drawn
    ]
    ends = np.resize(np.stack(pairs), (batch, 2))
    start, goal = ends[:, 0].copy(), ends[:, 1].copy()
    actions = np.empty((count, batch), dtype=np.int64)
    states = States(start, np.full(batch, 12))
    simulator = Simulator(graph)
    for action in actions:
        action[:] = 1 + rng.integers(1 << 30, size=batch) % graph.degree[states.panorama]
        states = simulator.step(states, action)
    return start, goal, actions


def environment_rows(setting: Setting) -> list[Row]:
    """Steps the training environment along the expert's actions, its observations whole."""
    rows = []
    for width in (BLIND, WIDTH):
        for batch in BATCHES:
            if batch == 64:
                rows.append(_first_epoch(setting, width))
            rows.append(_observing(setting, width, batch))
    return rows


def _environment(setting: Setting, width: int, batch: int) -> VectorExpertActions:
    features: Any = setting.features(width) if width else None
    return VectorExpertActions(
        PanoramaVectorEnv(
            num_envs=batch,
            graph=setting.graph,
            episodes=setting.episodes("train"),
            features=features,
            autoreset_mode=AutoresetMode.NEXT_STEP,
        )
    )


def _stepper(env: VectorExpertActions, count: int) -> Callable[[], None]:
    """Gives work that takes `count` steps of the whole batch, the expert choosing."""
    _, info = env.reset(seed=0)
    action: Ints = info["expert_action"]

    def work() -> None:
        nonlocal action
        for _ in range(count):
            action = env.step(action)[-1]["expert_action"]

    return work


def _name(width: int, batch: int, what: str = "") -> str:
    seen = f"with 36x{width} float16 features" if width else "without features"
    return f"observations {seen} and expert, batch {batch:,}{what}"


def _observing(setting: Setting, width: int, batch: int) -> Row:
    whole = TEACHER_EPISODE * len(setting.episodes("train"))
    count = max(20, min(whole, 200_000) // max(batch, 64) // (20 if setting.quick else 1))
    work = _stepper(_environment(setting, width, batch), count)
    timing = measure(work, repeats=setting.repeats)
    is_incumbents = width == WIDTH and batch == 64
    return rate_row(
        "environment",
        _name(width, batch),
        timing,
        count=batch * count,
        unit="obs/s",
        incumbent=ENVDROP_OBSERVATIONS if is_incumbents else None,
    )


def _first_epoch(setting: Setting, width: int, batch: int = 64) -> Row:
    """Times the first pass over the training episodes of a new environment, mapping included."""
    count = -(-TEACHER_EPISODE * len(setting.episodes("train")) // batch)
    count = 20 if setting.quick else count
    work = _stepper(_environment(setting, width, batch), count)
    timing = measure(work, repeats=1, warm_up=0)
    return rate_row(
        "environment",
        _name(width, batch, ", first epoch"),
        timing,
        count=batch * count,
        unit="obs/s",
        incumbent=ENVDROP_FIRST_EPOCH if width else None,
        note="features newly mapped, their file in the page cache" if width else "",
    )


def startup_rows(setting: Setting) -> list[Row]:
    """Starts the training environment in fresh processes: seconds and memory."""
    folder = setting.features_folder(WIDTH)
    setting.features(WIDTH)
    starts = [probe.ask("start", setting.data, folder) for _ in range(setting.repeats)]
    used = probe.ask("environment", setting.data)
    seen = probe.ask("environment", setting.data, folder)
    timing = Timing(
        cpu=tuple(start["cpu_s"] for start in starts),
        wall=tuple(start["wall_s"] for start in starts),
    )
    after = statistics.median(start["cpu_s_after_imports"] for start in starts)
    how = "resident memory of a fresh process above `import torch`, mapped files not counted"
    return [
        seconds_row(
            "startup",
            "R2R train environment, from process start to first observation",
            timing,
            incumbent=7.0,
            note="fresh processes, imports included; the incumbent parses JSON for 70 s more "
            "during its first epoch",
            details={"cpu_s_after_imports": after},
        ),
        value_row(
            "startup",
            "memory of graph, data and environment, without features",
            used["used_MB"],
            unit="MB",
            note=how,
            details=used,
        ),
        value_row(
            "startup",
            f"memory of graph, data and environment, 36x{WIDTH} features mapped",
            seen["used_MB"],
            unit="MB",
            incumbent=1500.0,
            note=how,
            details=seen,
        ),
    ]


def memory_rows(setting: Setting) -> list[Row]:
    """Trains in fresh processes: memory of what is held, and of a rollout's activations."""
    rows = []
    mode = "quick" if setting.quick else "full"
    for width in (BLIND,) if setting.quick else (BLIND, *setting.widths):
        if width != BLIND:
            setting.features(width)
        asked = probe.ask("training", setting.data, width, setting.scratch, mode)
        seen = "blind" if width == BLIND else f"36x{width}"
        name = f"imitation and reward, {seen}, batch {setting.batch}"
        rows.append(
            value_row(
                "memory",
                f"{name}: held before the first update",
                asked["built_MB"],
                unit="MB",
                incumbent={512: 1500.0, 2048: 3700.0}.get(width),
                note="graph, data, environment, imports of agents and weights, above "
                "`import torch`; mapped features not counted",
            )
        )
        rows.append(
            value_row(
                "memory",
                f"{name}: activations",
                asked["activations_MB"],
                unit="MB",
                note="growth until the backward pass begins, over two updates",
            )
        )
    return rows
