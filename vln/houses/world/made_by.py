"""By what a world is made: the houses' own files, and the libraries that they hang on."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

LIBRARIES: Final = ("numpy", "scipy", "opencv-python-headless", "opencv-python", "numba")
"""Whose versions may change a number or a pixel."""


@cache
def made_by() -> dict[str, str]:
    """Gives the sha256 of everything in `vln.houses`, and the version of every library."""
    return {"houses": _digest(Path(__file__).parents[1]), **_versions()}


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    files = sorted(file for kind in ("*.py", "*.json") for file in folder.rglob(kind))
    for file in files:
        content = file.read_bytes()
        found.update(f"{file.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


def _versions() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # there are several builds of OpenCV
            continue
    return versions
