"""float32 that is float32: torch may be told to round the factors of products to fewer bits."""

from __future__ import annotations

import threading
from typing import Any

import torch

Switch = tuple[Any, str, object]
"""An object of torch's, a setting on it, and its value for products that are not rounded."""


class ExactFactors:
    """Has torch round no factors while any thread is within; puts its settings back after the last.

    TF32 on NVIDIA's GPUs keeps 10 bits, bfloat16 on CPUs 7. Enter one instance from everywhere:
    the settings are the process's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within = 0
        self._before: list[Any] = []

    def __enter__(self) -> None:
        with self._lock:
            if not self._within:
                self._before = [getattr(holder, name) for holder, name, _ in _switches()]
                for holder, name, value in _switches():
                    setattr(holder, name, value)
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                for switch, before in zip(_switches(), self._before, strict=True):
                    setattr(*switch[:2], before)


def _switches() -> list[Switch]:
    backends: Any = torch.backends
    if hasattr(backends.cuda.matmul, "fp32_precision"):  # from torch 2.9
        parts = (
            backends.cudnn.conv,
            backends.cuda.matmul,
            backends.mkldnn.conv,
            backends.mkldnn.matmul,
        )
        return [(part, "fp32_precision", "ieee") for part in parts]
    return [(backends.cudnn, "allow_tf32", False), (backends.cuda.matmul, "allow_tf32", False)]
