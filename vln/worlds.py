"""What `--env` names: a data set in the data folder, or a world of ours that is made in the cache.

Entry points call `locate`, which makes a world that is not there yet; everything behind them calls
`find`, which never does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
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
    from vln.houses.world.spec import SPECS  # only when asked: a data set needs no houses

    return tuple(SPECS)


def check(env: str) -> None:
    """Refuses what is neither a data set nor a world.

    Raises:
        UnknownName: The closest name is suggested.
    """
    if env not in DATASETS and env not in names():
        raise UnknownName.of("data set or world", env, (*DATASETS, *names()))


def folder_of(name: str) -> Path:
    """Gives where a world, or its twins, is in the cache; the folder may not exist yet."""
    return cache_root() / "houses" / name


def find(env: str, data: Path | None = None) -> Located:
    """Gives where a data set or world is; makes nothing.

    Args:
        env: The name.
        data: The folder that holds it. None takes `$VLN_DATA` for a data set, and the world that
            was made in the cache for a world.

    Raises:
        UnknownName: Neither a data set nor a world.
        MissingData: There is no such folder, or the world in it is not whole, another one, or made
            by another version.
        CorruptData: The world's mark is no JSON.
    """
    check(env)
    if env in DATASETS:
        return Located(env, data_root(data))
    folder = folder_of(env) if data is None else data_root(data)
    _check_made(env, folder, given=data is not None)
    return Located(WORLD_DATASET, folder)


def _check_made(env: str, folder: Path, *, given: bool) -> None:
    """Refuses a folder that does not hold this world, or twins of it."""
    from vln.houses.world.spec import SPECS, about, is_whole, read_mark

    make = f"`python -m vln.houses make --world {env}`"
    if not is_whole(folder):
        remedy = (
            "Name another folder, or leave --data out to use the one in the cache."
            if given
            else f"Make it with {make}."
        )
        raise MissingData(f"{folder} holds no whole world {env!r}. {remedy}")
    mark = read_mark(folder)
    if mark.get("twins_of") == env:
        return
    spec = mark.get("spec")
    name = str(spec.get("name", "?")) if isinstance(spec, dict) else mark.get("twins_of", "?")
    if name != env:
        what = f"twins of {name!r}" if "twins_of" in mark else f"the world {name!r}"
        raise MissingData(
            f"{folder} holds {what}, not {env!r}. Name another folder, or read this one by its own "
            "name or as --env r2r."
        )
    if any(mark.get(key) != value for key, value in about(SPECS[env]).items()):
        raise MissingData(
            f"the world {env!r} in {folder} was made by another version. Remove it, and it is made "
            f"again when it is asked for, or with {make}."
        )


def locate(
    env: str,
    data: Path | None = None,
    *,
    pictures: bool = True,
    say: Callable[[str], None] = logger.info,
) -> Located:
    """Gives where a data set or world is, making what is missing of a world in the cache.

    Nothing is made where `data` is given.

    Args:
        env: As for `find`.
        data: As for `find`.
        pictures: Whether the world's skyboxes are needed.
        say: Is told what is made, where.

    Raises:
        UnknownName, MissingData, CorruptData: As `find`.
        CannotWrite: There is no room for the world.
    """
    check(env)
    if env in DATASETS or data is not None:
        return find(env, data)
    from vln.houses.world.spec import SPECS, is_whole, read_mark
    from vln.houses.world.write import make_world

    folder = folder_of(env)
    if is_whole(folder):
        found = find(env)
        if not pictures or read_mark(folder).get("pictures"):
            return found
        say(f"drawing the pictures of the world {env} in {folder}, once")
    else:
        say(f"making the world {env} in {folder}, once")
    return Located(WORLD_DATASET, make_world(SPECS[env], folder, pictures=pictures))


def draw(data: Path, scans: Iterable[str]) -> None:
    """Draws the skyboxes that some homes of a made world lack; nothing where it is no such world.

    Raises:
        MissingData, CorruptData: A scene is not there or cannot be.
        OSError: The folder cannot be written to.
    """
    from vln.houses.world.spec import is_whole, read_mark

    mark = read_mark(data) if is_whole(data) else {}
    if mark.get("pictures") or not isinstance(mark.get("spec"), dict):
        return
    from vln.houses.world.write import draw_home

    for scan in dict.fromkeys(scans):
        draw_home(data, scan, face=mark["spec"]["face"], quality=mark["spec"]["quality"])


def lacks_r2r(data: Path | None = None) -> str:
    """Gives why R2R cannot be trained on here, one sentence; nothing where it can."""
    if data is None and not os.environ.get("VLN_DATA"):
        return "VLN_DATA is not set, so there is no R2R here."
    try:
        root = data_root(data)
    except MissingData as error:
        return str(error)
    needed = root / "r2r" / "R2R_train.json"
    return "" if needed.is_file() else f"There is no {needed}."
