"""Weights that no table of ours lists: found by their paths, or missing with a word on what to do.

Knows no library.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vln.errors import BadConfig, MissingWeights


def found(file: Path, *, folders: Sequence[Path], handle: str, tags: Iterable[str] = ()) -> Path:
    """Gives a file that is named, as it is or under the folders.

    Raises:
        MissingWeights: It is in none of them.
    """
    for place in (file.expanduser(), *(folder / file for folder in folders)):
        if place.is_file():
            return place
    known = ", ".join(tags)
    raise MissingWeights(
        f"--encoder {handle}: no file {file} here or under "
        f"{', '.join(map(str, folders)) or 'any folder of weights'}. Give the path of a file of "
        f"weights{f', or one of the tags {known}' if known else ''}."
    )


def library_weights_missing(
    handle: str, file: str, folders: Sequence[Path], *, why: str
) -> MissingWeights:
    """Gives the error for weights that a library could not fetch."""
    where = folders[0] if folders else "weights/ under the data folder"
    return MissingWeights(
        f"no weights for --encoder {handle} ({why}): put them as {file} into {where}."
    )


def check_known(library: str, name: str, known: Sequence[str]) -> None:
    """Refuses a network that a library does not have.

    Raises:
        BadConfig: The closest is suggested.
    """
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {library}:{close[0]}?" if close else ""
    raise BadConfig(
        f"--encoder {library}:{name}: {library} has no such network.{hint} "
        f"`{library}.list_models()` lists all."
    )


def checked_interpolation(name: str, network: str) -> Any:  # noqa: ANN401, one of the literals
    """Gives the name of an interpolation that recipes know.

    Raises:
        BadConfig: They do not.
    """
    if name not in ("bicubic", "bilinear"):
        raise BadConfig(
            f"{network} is trained on pictures resized with {name!r} interpolation; expected "
            "bicubic or bilinear. Use another network."
        )
    return name
