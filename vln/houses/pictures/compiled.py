"""How the houses' hot loops are compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_config: Any = numba.config
_USES: Final = b"from vln.houses.pictures.compiled import"


def compiled(function: F) -> F:
    """Gives a function compiled by numba on its first call, and kept on disk for the next process.

    What is kept is made anew when any module with compiled functions changes: numba itself looks
    at the function's own file alone, and would go on with old code of what it calls elsewhere.

    Sums are never reordered, no multiplication is fused with an addition and nothing runs on
    several threads, so that every machine computes the same.
    """
    given = _config.CACHE_DIR
    _config.CACHE_DIR = given or str(_kept_in())
    try:  # where it is kept is settled here, not when it is compiled
        return cast("F", numba.njit(cache=True, nogil=True, error_model="numpy")(function))
    finally:
        _config.CACHE_DIR = given


@cache
def _kept_in() -> Path:
    """Gives a folder of these modules' own; where it cannot be written to, numba takes another."""
    here = Path(__file__).parents[1]
    contents = [file.read_bytes() for file in sorted(here.rglob("*.py"))]
    digest = hashlib.sha256(b"\0".join(text for text in contents if _USES in text))
    return here / "__pycache__" / f"compiled-{digest.hexdigest()[:16]}"
