"""Makes worlds of homes, changes them, shows one: `python -m vln.houses make | twin | show`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson
import tyro

from vln import worlds
from vln.errors import BadConfig, UnknownName
from vln.houses.world.spec import MARK, SPECS, WorldSpec, is_whole
from vln.runs import entry_point, say


@dataclass(frozen=True, kw_only=True)
class Make:
    """Makes a world; an interrupted one goes on where it stopped."""

    world: str = "houses"
    """houses, or houses-bench-v1 (frozen, for numbers that are compared)."""
    quality: Literal["full", "tiny"] = "full"
    """tiny: a few small homes with small pictures, in seconds."""
    out: Path | None = None
    """Its folder; in the cache where absent, where `--env` finds it."""
    workers: int = 2
    """Processes that make homes."""
    pictures: bool = True
    """Draw skyboxes; a world without can be given them later."""


@dataclass(frozen=True, kw_only=True)
class Twin:
    """Makes pairs of homes that differ in one thing, with words that lead elsewhere in each."""

    world: str = "houses"
    """Whose val_unseen is paired; made in the cache where it is not there."""
    data: Path | None = None
    """The world's folder; without it the cache."""
    out: Path | None = None
    """Folder of the twins, empty or missing; in the cache where absent."""
    count: int = 120
    """Pairs wanted; fewer where homes allow no more."""
    kinds: tuple[str, ...] = ()
    """Changes: recoloured, moved, exchanged, removed, mirrored. All where absent."""
    seed: int = 1
    """Of the choice of changes."""
    workers: int = 2
    """Processes, one home each at a time."""
    pictures: bool = True
    """Draw skyboxes where something changed in sight."""


@dataclass(frozen=True, kw_only=True)
class Show:
    """Writes a home's floor plan above a view of each of its rooms, as PNG."""

    world: str = "houses"
    """The home's world, which need not have been made."""
    scan: str
    """The home, such as house0003."""
    out: Path
    """PNG file to write."""
    data: Path | None = None
    """A made world's folder; its skyboxes are read where they are there, else drawn."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    command: Make | Twin | Show = tyro.extras.subcommand_cli_from_dict(
        {"make": Make, "twin": Twin, "show": Show},
        args=arguments,
        prog="python -m vln.houses",
        description="Makes worlds of furnished homes, changed pairs of them, and pictures of one.",
    )
    return entry_point(lambda: _run(command))


def _run(command: Make | Twin | Show) -> int:
    if isinstance(command, Make):
        say(_make(command))
    elif isinstance(command, Twin):
        say(_twin(command))
    else:
        say(_show(command))
    return 0


def _spec(world: str) -> WorldSpec:
    if world not in SPECS:
        raise UnknownName.of("world", world, SPECS)
    return SPECS[world]


def _make(command: Make) -> str:
    from vln.houses.world.write import make_world

    spec = _spec(command.world + ("-tiny" if command.quality == "tiny" else ""))
    folder = command.out or worlds.folder_of(spec.name)
    make_world(spec, folder, workers=command.workers, pictures=command.pictures)
    counts = orjson.loads((folder / MARK).read_bytes())["counts"]
    paths = ", ".join(f"{count:,} {split}" for split, count in counts["paths"].items())
    return f"{folder}: {counts['homes']} homes, {counts['viewpoints']:,} viewpoints; paths: {paths}"


def _twin(command: Twin) -> str:
    from vln.houses.world.pairs import KINDS
    from vln.houses.world.twin import run

    _spec(command.world)
    return run(
        worlds.locate(command.world, command.data, pictures=command.pictures).data,
        command.out or worlds.folder_of(f"{command.world}-twins"),
        count=command.count,
        kinds=command.kinds or KINDS,
        seed=command.seed,
        workers=command.workers,
        pictures=command.pictures,
    )


def _show(command: Show) -> str:
    from vln.viz.home_sheet import draw_home_sheet, open_made, open_planned
    from vln.viz.maps import write_png

    if command.out.suffix.lower() != ".png":
        raise BadConfig(f"--out {command.out} is no PNG; give a name that ends in .png.")
    spec = _spec(command.world)
    folder = command.data or worlds.folder_of(spec.name)
    if command.data is not None or is_whole(folder):
        shown = open_made(folder, command.scan)
    else:
        shown = open_planned(spec, command.scan)
    image = draw_home_sheet(*shown)
    try:
        write_png(image, command.out)
    except OSError as error:
        raise BadConfig(f"cannot write {command.out} ({error.strerror}).") from error
    return f"{command.out}: {image.shape[1]} x {image.shape[0]} pixels"


if __name__ == "__main__":
    sys.exit(main())
