"""`python -m vln.houses make | twin`: makes a world of furnished homes, or changed pairs of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson
import tyro

from vln.data.locations import cache_root
from vln.errors import UnknownName
from vln.houses.spec import SPECS
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    command = tyro.cli(Make, args=arguments, prog="python -m vln.houses")
    return entry_point(lambda: _make(command))


def _make(command: Make) -> int:
    from vln.houses.write import MARK, make_world

    name = command.world + ("-tiny" if command.quality == "tiny" else "")
    if name not in SPECS:
        raise UnknownName.of("world", name, SPECS)
    spec = SPECS[name]
    folder = command.out or cache_root() / "houses" / name
    make_world(spec, folder, workers=command.workers, pictures=command.pictures)
    counts = orjson.loads((folder / MARK).read_bytes())["counts"]
    paths = ", ".join(f"{count:,} {split}" for split, count in counts["paths"].items())
    say(f"{folder}: {counts['homes']} homes, {counts['viewpoints']:,} viewpoints; paths: {paths}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
