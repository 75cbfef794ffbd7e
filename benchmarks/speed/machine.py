"""Which machine it was, and how fast it multiplies matrices."""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.speed.setting import Setting
from vln.errors import BadConfig

SQUARE = 1024
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def check_device(device: str) -> None:
    """Refuses a device that is not here.

    Raises:
        BadConfig: It is neither cpu nor a visible CUDA device.
    """
    if device == "cpu":
        return
    if not device.startswith("cuda") or not torch.cuda.is_available():
        raise BadConfig(f"--device {device}: expected cpu, or cuda where a GPU is visible.")


def describe(*, threads: int, device: str) -> dict[str, Any]:
    """Gives what decides how fast a program runs here.

    Args:
        threads: As set for matrix products or pictures.
        device: cpu or a CUDA device.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    affinity = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    about: dict[str, Any] = {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "cores_allowed": len(affinity),
        "memory_GB": round(memory / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "threads": threads,
        "device": device,
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "date": time.strftime("%Y-%m-%d"),
    }
    if device != "cpu":
        about["gpu"] = torch.cuda.get_device_name(device)
    return about


def _cpu_name() -> str:
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor() or platform.machine()
    lines = [line.partition(":") for line in file.read_text().splitlines()]
    facts = {name.strip(): value.strip() for name, _, value in lines}
    return f"{facts.get('model name', '?')} (family {facts.get('cpu family', '?')}, model " + (
        f"{facts.get('model', '?')})"
    )


def matrix_rates(setting: Setting) -> dict[str, float]:
    """Gives GFLOP/s of products of two 1024 x 1024 matrices, by type, with the threads set."""
    return {name: _rate(setting, dtype) for name, dtype in DTYPES.items()}


def _rate(setting: Setting, dtype: torch.dtype) -> float:
    left, right = torch.randn(2, SQUARE, SQUARE, device=setting.device).to(dtype)
    rates = []
    for repeat in range(2 if setting.quick else 12):
        start = time.process_time() if setting.clock == "cpu" else time.perf_counter()
        torch.mm(left, right)
        setting.settle()
        end = time.process_time() if setting.clock == "cpu" else time.perf_counter()
        if repeat:
            rates.append(2 * SQUARE**3 / (end - start) / 1e9)
    return statistics.median(rates)
