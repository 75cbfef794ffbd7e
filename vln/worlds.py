"""Which folder a command works in, made on the spot where need be. For entry points only."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from pathlib import Path

from vln.data.locations import cache_root, data_root
from vln.errors import MissingData
from vln.testing import make_tiny_world

logger = logging.getLogger(__name__)


def given_or_tiny(given: Path | None) -> Path:
    """Gives the data folder if it holds R2R, else the tiny world's, made in the cache if need be.

    Which of the two it is, and why, is logged.
    """
    try:
        root = data_root(given)
    except MissingData as error:
        return _tiny(str(error))
    needed = root / "r2r" / "R2R_train.json"
    if not needed.is_file():
        return _tiny(f"no {needed}.")
    return root


def _tiny(reason: str) -> Path:
    folder = cache_root() / "worlds" / "tiny-0"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            make_tiny_world(Path(scratch) / "tiny", seed=0)
            with contextlib.suppress(OSError):  # another process was first, with the same world
                (Path(scratch) / "tiny").rename(folder)
    logger.info("%s Using the tiny world instead: a few made-up houses in %s.", reason, folder)
    return folder
