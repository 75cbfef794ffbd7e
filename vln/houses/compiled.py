"""How the houses' hot loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Gives a function compiled by numba on its first call, and kept on disk for the next process.

    What is kept is made anew when the function's own file changes, not when a file does that it
    calls into: after such an edit, remove the `.nbi` files in `__pycache__`.

    Sums are never reordered, no multiplication is fused with an addition and nothing runs on
    several threads, so that every machine computes the same.
    """
    return cast("F", numba.njit(cache=True, nogil=True, error_model="numpy")(function))
