"""The array library behind a computation: NumPy by default, torch where a device is asked for."""

from __future__ import annotations

from typing import Any

import array_api_compat.numpy as numpy_namespace

Array = Any
"""A NumPy array, or a torch tensor where a device was asked for."""


def namespace(device: str | None) -> Any:  # noqa: ANN401
    """Gives NumPy's array-API namespace for None, torch's (imported only then) for a device."""
    if device is None:
        return numpy_namespace
    import array_api_compat.torch as torch_namespace

    return torch_namespace
