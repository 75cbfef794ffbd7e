"""The worlds that can be made: how many homes of which kind, how many paths, how large pictures.

A world is its specification: the same one gives the same annotations, byte for byte.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from vln.data.locations import parse_json, read_bytes
from vln.errors import BadConfig
from vln.houses.building.styles import SEEN_STYLES, UNSEEN_STYLES
from vln.runs import generator

MARK: Final = "world.json"
"""The file that a finished world has and an unfinished one has not."""
GENERATOR: Final = 1
"""Raised when the same specification would give other annotations."""
MAX_HOMES: Final = 10_000
MAX_PATHS: Final = 1_000
"""Paths of a home, for all files together, and guides of one: below `ID_SPAN`."""
MAX_CAPTIONS: Final = 10_000
ID_SPAN: Final = 2_000
"""Numbers that a home's paths and instructions may have, so that ids never meet."""


@dataclass(frozen=True)
class HomeGroup:
    """Homes of one kind.

    Attributes:
        split: Annotation file that their paths go to: `train`, `val_unseen`, `test`.
        homes: How many.
        paths: Paths per home.
        unseen_styles: Styles whose walls, floors and materials no training home has.
        new_pairs: Objects in colours that no training home shows them in.
        also: A second annotation file with this group's paths alone.
        seen_paths: Further paths per home for `val_seen`.
        seen_homes: Homes that have such paths; the others are training homes held out as `dev`.
    """

    split: str
    homes: int
    paths: int
    unseen_styles: bool = False
    new_pairs: bool = False
    also: str = ""
    seen_paths: int = 0
    seen_homes: int = 0

    @property
    def wanted(self) -> int:
        """Most paths that one of its homes is asked for."""
        return self.paths + self.seen_paths * (self.seen_homes > 0)


@dataclass(frozen=True)
class WorldSpec:
    """A world to be made.

    Attributes:
        name: What `--env` calls it, and its folder.
        seed: All homes derive from it.
        groups: Its homes.
        viewpoints: Fewest and most viewpoints that a home is asked to have, roughly.
        face: Pixels along a skybox face.
        quality: Of JPEG, 1 to 100.
        guides: RxR-like instructions per home.
        captions: Captions per home.
        frozen: Whether its annotations must equal those on record.
    """

    name: str
    seed: int
    groups: tuple[HomeGroup, ...]
    viewpoints: tuple[int, int]
    face: int = 512
    quality: int = 88
    guides: int = 12
    captions: int = 60
    frozen: bool = False

    def __post_init__(self) -> None:
        count = sum(group.homes for group in self.groups)
        if not 1 <= count <= MAX_HOMES or any(group.homes < 0 for group in self.groups):
            raise BadConfig(f"a world of {count:,} homes; expected 1 to {MAX_HOMES:,}.")
        if not all(
            group.paths >= 1 and group.seen_paths >= 0 and group.wanted <= MAX_PATHS
            for group in self.groups
        ):
            raise BadConfig(
                f"paths per home must be 1 to {MAX_PATHS:,}, those to val_seen included."
            )
        if not all(0 <= group.seen_homes <= group.homes for group in self.groups):
            raise BadConfig("seen_homes must be 0 to the group's homes.")
        self._check_words()
        low, high = self.viewpoints
        if not 12 <= low <= high <= 150:
            raise BadConfig(f"{low} to {high} viewpoints per home; expected 12 to 150, low first.")
        if not 16 <= self.face <= 2048 or not 1 <= self.quality <= 100:
            raise BadConfig(
                f"faces of {self.face} pixels in JPEG quality {self.quality}; expected 16 to 2,048 "
                "and 1 to 100."
            )

    def _check_words(self) -> None:
        if not 0 <= self.guides <= MAX_PATHS or not 0 <= self.captions <= MAX_CAPTIONS:
            raise BadConfig(
                f"{self.guides:,} guides and {self.captions:,} captions per home; expected 0 to "
                f"{MAX_PATHS:,} and 0 to {MAX_CAPTIONS:,}."
            )

    def homes(self) -> Iterator[HomePlan]:
        """Yields every home's plan, in the order of scans.txt."""
        number = 0
        for group in self.groups:
            for position in range(group.homes):
                yield self._plan(group, position, number)
                number += 1

    def _plan(self, group: HomeGroup, position: int, number: int) -> HomePlan:
        rng = generator(self.seed, f"{self.name}/home {number}")
        styles = UNSEEN_STYLES if group.unseen_styles else SEEN_STYLES
        low, high = self.viewpoints
        return HomePlan(
            scan=f"house{number:04d}",
            number=number,
            seed=int(rng.integers(2**31)),
            style=styles[position % len(styles)],
            viewpoints=int(rng.integers(low, high + 1)),
            group=group,
            is_seen=position < group.seen_homes,
        )

    def to_json(self) -> dict[str, Any]:
        """Gives the specification as plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class HomePlan:
    """One home of a world.

    Attributes:
        scan: Its id.
        number: Its place in scans.txt.
        seed: Its own.
        style: Name of its style.
        viewpoints: Roughly how many it shall have.
        group: What kind it is.
        is_seen: Whether it has paths in `val_seen` as well.
    """

    scan: str
    number: int
    seed: int
    style: str
    viewpoints: int
    group: HomeGroup
    is_seen: bool


def _groups(
    *, train: int, dev: int, unseen: int, test: int, paths: tuple[int, int, int, int]
) -> tuple[HomeGroup, ...]:
    """Gives training homes, three kinds of unseen ones, and test homes.

    Args:
        train: Training homes.
        dev: How many of them val_seen does not visit.
        unseen: Unseen homes of each kind.
        test: Test homes, of seen styles.
        paths: Per home: train, val_seen, val_unseen, test.
    """
    to_train, seen, to_unseen, to_test = paths
    kinds = (
        ("val_unseen_home", False, False),
        ("val_unseen_style", True, False),
        ("val_unseen_pair", False, True),
    )
    return (
        HomeGroup("train", train, to_train, seen_paths=seen, seen_homes=train - dev),
        *(
            HomeGroup("val_unseen", unseen, to_unseen, unseen_styles=s, new_pairs=p, also=name)
            for name, s, p in kinds
        ),
        HomeGroup("test", test, to_test),
    )


SPECS: Final[dict[str, WorldSpec]] = {
    spec.name: spec
    for spec in (
        WorldSpec(
            "houses",
            seed=1,
            groups=_groups(train=24, dev=2, unseen=2, test=2, paths=(45, 6, 20, 20)),
            viewpoints=(38, 52),
        ),
        WorldSpec(
            "houses-tiny",
            seed=2,
            groups=_groups(train=4, dev=1, unseen=1, test=1, paths=(20, 4, 10, 10)),
            viewpoints=(16, 24),
            face=96,
            guides=4,
            captions=12,
        ),
        WorldSpec(
            "houses-bench-v1",
            seed=20_261_124,
            groups=_groups(train=240, dev=12, unseen=10, test=10, paths=(20, 2, 24, 30)),
            viewpoints=(66, 96),
            guides=6,
            captions=40,
            frozen=True,
        ),
        WorldSpec(
            "houses-pretrain-v1",
            seed=20_261_125,
            groups=(HomeGroup("train", 240, 1), HomeGroup("val_unseen", 12, 4)),
            viewpoints=(38, 52),
            face=256,
            guides=0,
            captions=400,
        ),
        WorldSpec(
            "houses-study-v1",
            seed=20_261_126,
            groups=_groups(train=128, dev=8, unseen=10, test=2, paths=(30, 4, 20, 20)),
            viewpoints=(38, 52),
            face=256,
            guides=0,
            captions=40,
        ),
    )
}
"""Every world by the name that `--env` gives it."""


def about(spec: WorldSpec) -> dict[str, Any]:
    """Gives what the mark of a world says of how it was made: `generator` and `spec`."""
    return {"generator": GENERATOR, "spec": orjson.loads(orjson.dumps(spec.to_json()))}


def is_whole(folder: Path) -> bool:
    """Tells whether a folder holds a finished world, of whatever specification."""
    return (folder / MARK).is_file()


def read_mark(folder: Path) -> dict[str, Any]:
    """Gives the mark of a finished world; nothing in it where it is no object.

    Raises:
        MissingData: The folder holds no finished world.
        CorruptData: The mark is no JSON.
    """
    file = folder / MARK
    found = parse_json(read_bytes(file), file=file)
    return found if isinstance(found, dict) else {}
