"""What `--env` names: a data set in the data folder, or a world of ours that is made in the cache.

Entry points call `locate`, which makes a world that is not there yet; everything behind them calls
`find`, which never does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vln.data.episodes import DATASETS
from vln.data.locations import cache_root, data_root
from vln.errors import MissingData, UnknownName

logger = logging.getLogger(__name__)

WORLD_DATASET = "r2r"
"""The data set whose files hold a made world's paths and words."""


@dataclass(frozen=True, slots=True)
class Located:
    """What a name on a command line comes to.

    Attributes:
        dataset: A name in `vln.data.episodes.DATASETS`.
        data: The folder that holds it.
    """

    dataset: str
    data: Path


def names() -> tuple[str, ...]:
    """Gives the worlds that can be made."""
    from vln.houses.spec import SPECS  # only when asked: a data set needs no houses

    return tuple(SPECS)


def check(env: str) -> None:
    """Refuses what is neither a data set nor a world.

    Raises:
        UnknownName: The closest name is suggested.
    """
    if env not in DATASETS and env not in names():
        raise UnknownName.of("data set or world", env, (*DATASETS, *names()))


def find(env: str, data: Path | None = None) -> Located:
    """Gives where a data set or world is; makes nothing.

    Args:
        env: The name.
        data: The folder that holds it. None takes `$VLN_DATA` for a data set, and the world that
            was made in the cache for a world.

    Raises:
        UnknownName: Neither a data set nor a world.
        MissingData: There is no such folder, or the world in it is not whole.
    """
    check(env)
    if env in DATASETS:
        return Located(env, data_root(data))
    folder = _folder(env) if data is None else data_root(data)
    if not _is_whole(folder):
        remedy = (
            f"Make it with `python -m vln.houses make --world {env}`."
            if data is None
            else "Name another folder, or leave --data out to use the one in the cache."
        )
        raise MissingData(f"{folder} holds no whole world {env!r}. {remedy}")
    return Located(WORLD_DATASET, folder)


def locate(
    env: str, data: Path | None = None, *, say: Callable[[str], None] = logger.info
) -> Located:
    """Gives where a data set or world is, making the world in the cache where it is not whole.

    Nothing is made where `data` is given.

    Args:
        env: As for `find`.
        data: As for `find`.
        say: Is told what is made, where.

    Raises:
        UnknownName, MissingData: As `find`.
    """
    check(env)
    if env in DATASETS or data is not None or _is_whole(_folder(env)):
        return find(env, data)
    from vln.houses.spec import SPECS
    from vln.houses.write import make_world

    say(f"making the world {env} in {_folder(env)}, once")
    return Located(WORLD_DATASET, make_world(SPECS[env], _folder(env)))


def lacks_r2r(data: Path | None = None) -> str:
    """Gives why R2R cannot be trained on here, one sentence; nothing where it can."""
    try:
        root = data_root(data)
    except MissingData as error:
        return str(error)
    needed = root / "r2r" / "R2R_train.json"
    return "" if needed.is_file() else f"There is no {needed}."


def _folder(env: str) -> Path:
    return cache_root() / "houses" / env


def _is_whole(folder: Path) -> bool:
    from vln.houses.spec import is_whole

    return is_whole(folder)
