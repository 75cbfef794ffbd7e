"""Start-up time and memory, measured in fresh processes: `python -m benchmarks.speed.probe NAME`.

A probe imports what it measures itself, notes its memory on the way and prints one JSON object.
`ask` starts one and gives its answers.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vln.errors import MissingData

Answers = dict[str, float]
MB = 1e6
STEPS = 50


def ask(name: str, *arguments: object) -> Answers:
    """Gives the answers of a probe that runs in a process of its own.

    Besides its own answers, from the start of the process to the probe's last answer, all imports
    included: `wall_s` on the clock and `cpu_s` of processor time.
    """
    begun = time.time()
    command = [sys.executable, "-m", "benchmarks.speed.probe", name, *map(str, arguments)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    if finished.returncode:
        raise RuntimeError(f"probe {name} failed:\n{finished.stderr}")
    answers: Answers = json.loads(finished.stdout.splitlines()[-1])
    answers["wall_s"] = answers.pop("at") - begun
    return answers


def resident() -> float:
    """Gives this process's resident memory in MB, without pages mapped from files.

    Raises:
        MissingData: psutil is not installed.
    """
    try:
        import psutil
    except ImportError:
        raise MissingData(
            'measuring memory needs psutil: pip install "vln-toolkit[dev]", or leave the groups '
            "`graph`, `startup` and `memory` out with --only."
        ) from None
    memory = psutil.Process().memory_info()
    return float(memory.rss - getattr(memory, "shared", 0)) / MB


def peak() -> float:
    """Gives the most resident memory that this process ever had, in MB, mapped files included."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


def _graph(data: Path) -> Answers:
    from vln.data.connectivity import load_graph

    before = resident()
    graph = load_graph(data)
    answers = {"graph_MB": resident() - before, "peak_MB": peak() - before}
    assert len(graph.viewpoints)
    return answers


def _start(data: Path, features: str = "") -> Answers:
    """Starts the training environment as a user does and takes the first observation."""
    from envs.vector import PanoramaVectorEnv
    from envs.wrappers import VectorExpertActions
    from vln.data.connectivity import load_graph
    from vln.features import store

    imported = time.process_time()
    graph = load_graph(data)
    table: Any = store.read(Path(features), graph) if features else None
    env = VectorExpertActions(
        PanoramaVectorEnv(num_envs=64, split="train", data=data, graph=graph, features=table)
    )
    env.reset(seed=0)
    return {"cpu_s_after_imports": time.process_time() - imported}


def _environment(data: Path, features: str = "") -> Answers:
    """Notes memory after `import torch`, after building the environment, and after using it."""
    import torch  # noqa: F401 - its memory is what the rest is compared with
    from gymnasium.vector import AutoresetMode

    bare, bare_peak = resident(), peak()
    from envs.vector import PanoramaVectorEnv
    from envs.wrappers import VectorExpertActions
    from vln.data.connectivity import load_graph
    from vln.features import store

    imported = resident()
    graph = load_graph(data)
    table: Any = store.read(Path(features), graph) if features else None
    env = VectorExpertActions(
        PanoramaVectorEnv(
            num_envs=64,
            split="train",
            data=data,
            graph=graph,
            features=table,
            autoreset_mode=AutoresetMode.NEXT_STEP,
        )
    )
    _, info = env.reset(seed=0)
    built = resident()
    for _ in range(STEPS):
        info = env.step(info["expert_action"])[-1]
    return {
        "torch_MB": bare,
        "imports_MB": imported - bare,
        "built_MB": built - bare,
        "used_MB": resident() - bare,
        "peak_MB": peak() - bare_peak,
    }


def _training(data: Path, width: str, scratch: str, quick: str) -> Answers:
    """Notes memory after `import torch`, with a trainer, and at the peak of its updates."""
    import torch

    bare = resident()
    from benchmarks.speed.setting import Setting

    torch.set_num_threads(1)
    setting = Setting(data=data, scratch=Path(scratch), quick=quick == "quick")
    trainer = setting.trainer(int(width), reinforcement=True)
    built = resident()
    high = built
    backward = torch.Tensor.backward

    def watched(tensor: torch.Tensor, *arguments: object) -> None:
        # Before the backward pass every activation is alive.
        nonlocal high
        high = max(high, resident())
        backward(tensor, *arguments)  # type: ignore[no-untyped-call]

    torch.Tensor.backward = watched  # type: ignore[method-assign]
    for _ in range(2):
        trainer.update()
    return {"torch_MB": bare, "built_MB": built - bare, "activations_MB": high - built}


PROBES: dict[str, Callable[..., Answers]] = {
    "graph": _graph,
    "start": _start,
    "environment": _environment,
    "training": _training,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one probe and prints its answers."""
    name, data, *rest = sys.argv[1:] if arguments is None else arguments
    answers = PROBES[name](Path(data), *rest)
    answers |= {"at": time.time(), "cpu_s": time.process_time()}
    sys.stdout.write(json.dumps(answers) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
