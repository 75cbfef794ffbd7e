"""Pairs of worlds that differ in one thing, with the same words and the goal each is right in.

r2r/R2R_original.json and r2r/R2R_twin.json hold R2R's records; those of one path_id belong
together. The twin's may say in `change` what was done to the home: recoloured, moved, ...
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vln.data import r2r
from vln.data.connectivity import scan_list
from vln.data.locations import parse_json, read_bytes
from vln.data.splits import EpisodeSet
from vln.errors import CorruptData, MissingData
from vln.graph import NavGraph
from vln.types import Episode

ORIGINAL, TWIN = "original", "twin"
UNNAMED: Final = "unnamed"
"""The change where a record names none."""

_REMEDY = "Make the twins again."


@dataclass(frozen=True, slots=True)
class Twins:
    """E pairs of episodes.

    Attributes:
        original: E episodes as they were.
        twin: E episodes in the changed homes, in the same order; ids and words are equal.
        change: E names of what was changed.
    """

    original: EpisodeSet
    twin: EpisodeSet
    change: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.change)


def check(data: Path) -> None:
    """Refuses a folder that holds no twins, before anything else of it is read.

    Raises:
        MissingData: One of the two files, or the list of homes, is not there.
    """
    _require([*(r2r.file_of(data, name) for name in (ORIGINAL, TWIN)), scan_list(data)], data)


def _require(files: Iterable[Path], data: Path) -> None:
    for file in files:
        if not file.is_file():
            raise MissingData(
                f"no {file}, so {data} holds no twins. Name a folder that `python -m vln.houses "
                "twin` wrote, or make one with it."
            )


def load_twins(data: Path, graph: NavGraph) -> Twins:
    """Gives all pairs of a folder of twins.

    Args:
        data: The folder.
        graph: Its graph, which holds the original homes and the changed ones.

    Raises:
        MissingData: One of the two files is not there.
        CorruptData: One is damaged, has no labels, or the two do not pair.
    """
    _require([r2r.file_of(data, name) for name in (ORIGINAL, TWIN)], data)
    original, twin = (r2r.load(data, name, graph) for name in (ORIGINAL, TWIN))
    if [_key(e) for e in original] != [_key(e) for e in twin]:
        first = _first_unlike([_key(e) for e in original], [_key(e) for e in twin])
        problem = f"does not pair with {original.file}: {first}"
        raise CorruptData.of(twin.file, "", problem, _REMEDY)
    if any(episode.reference is None for episode in (*original, *twin)):
        raise CorruptData.of(twin.file, "", "a path has no goal", _REMEDY)
    changes = _changes(Path(twin.file))
    return Twins(original, twin, tuple(changes[e.id.rpartition("_")[0]] for e in twin))


def _key(episode: Episode) -> tuple[str, str]:
    return episode.id, episode.instruction


def _first_unlike(ours: Sequence[tuple[str, str]], theirs: Sequence[tuple[str, str]]) -> str:
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            return f"{one} there is {other} here"
    return f"{len(ours)} instructions there, {len(theirs)} here"


def _changes(file: Path) -> dict[str, str]:
    records = parse_json(read_bytes(file), file=file)  # the loader has checked them
    return {str(record["path_id"]): str(record.get("change", UNNAMED)) for record in records}
