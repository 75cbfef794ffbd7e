"""How long homes take to make: words, what is seen, light, pictures, files.

One core, processor time. Knows nothing of worlds on disk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.speed.rows import Row, Timing, measure, rate_row, seconds_row, value_row
from vln.houses.building.home import make_home
from vln.houses.building.scene import Home
from vln.houses.graph.navigate import Walk, walk_of
from vln.houses.graph.sight import FACE
from vln.houses.pictures.portals import in_sight
from vln.houses.pictures.raster import visible
from vln.houses.pictures.render import HomeRenderer, strip_bytes
from vln.houses.shapes.mesh import home_mesh
from vln.houses.world.derive import derive
from vln.houses.world.spec import SPECS, HomePlan, WorldSpec
from vln.panorama.faces import NUM_FACES, UPRIGHT

GOAL_RATE: Final = 40.0
"""Faces/s on a core that pictures must reach, at 512 pixels."""


@dataclass(frozen=True)
class HouseSetting:
    """What is measured.

    Attributes:
        repeats: Timed repeats.
        quick: As little as shows that it works.
    """

    repeats: int = 5
    quick: bool = False

    @property
    def spec(self) -> WorldSpec:
        """The world whose homes are taken."""
        return SPECS["houses-tiny" if self.quick else "houses"]

    @property
    def size(self) -> int:
        """Pixels along a face of pictures."""
        return 64 if self.quick else 512

    @cached_property
    def plans(self) -> list[HomePlan]:
        """The first training homes: one style each, one with two floors among them."""
        return list(itertools.islice(self.spec.homes(), 1 if self.quick else 4))

    @cached_property
    def homes(self) -> list[tuple[Home, Walk]]:
        """Their homes and viewpoints."""
        homes = [
            make_home(
                plan.scan,
                seed=plan.seed,
                style=plan.style,
                new_pairs=plan.group.new_pairs,
                viewpoints=plan.viewpoints,
            )
            for plan in self.plans
        ]
        return [(home, walk_of(home)) for home in homes]

    @cached_property
    def renderers(self) -> list[HomeRenderer]:
        """One per home, light baked."""
        return [HomeRenderer(home, size=self.size) for home, _ in self.homes]

    @property
    def stops(self) -> list[tuple[int, int]]:
        """(home, viewpoint) at which pictures are taken, spread over each home."""
        count = 1 if self.quick else 4
        return [
            (number, int(viewpoint))
            for number, (_, walk) in enumerate(self.homes)
            for viewpoint in np.linspace(0, len(walk) - 1, count)
        ]

    def timed(self, work: Callable[[], object]) -> Timing:
        """Gives timings of a piece of work; what is compiled is compiled before."""
        return measure(work, repeats=1 if self.quick else self.repeats)


def annotation_rows(setting: HouseSetting) -> list[Row]:
    """Gives the time that a home and all that is written about it take."""
    timing = setting.timed(lambda: [derive(plan, setting.spec) for plan in setting.plans])
    paths = [plan.group.paths + plan.group.seen_paths * plan.is_seen for plan in setting.plans]
    row = seconds_row(
        "annotations",
        "a home with its graph, boxes, paths, words and captions",
        timing,
        per=len(setting.plans),
        note=f"{np.mean([len(walk) for _, walk in setting.homes]):.0f} viewpoints, "
        f"{np.mean(paths):.0f} paths and {setting.spec.guides} longer ones a home",
    )
    return [row]


def visibility_rows(setting: HouseSetting) -> list[Row]:
    """Gives the faces/s of finding what each pixel shows, without colours."""
    seen = [_in_sight(*setting.homes[home], viewpoint) for home, viewpoint in setting.stops]
    rows = []
    for size, use in ((setting.size, "as for pictures"), (FACE, "as for boxes")):

        def look(size: int = size) -> None:
            for corners, eye in seen:
                visible(corners, eye=eye, rotation=UPRIGHT, size=size)

        rows.append(
            rate_row(
                "visibility",
                f"{use}, {size} px",
                setting.timed(look),
                count=NUM_FACES * len(setting.stops),
                unit="faces/s",
                note=f"{np.mean([len(corners) for corners, _ in seen]):,.0f} triangles a face, "
                "those of the rooms that can be seen",
            )
        )
    return rows


def _in_sight(
    home: Home, walk: Walk, viewpoint: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Gives the triangles of the rooms that a viewpoint sees into, as `sights_of` tries them."""
    mesh, eye = home_mesh(home, step=None), walk.position[viewpoint]
    in_room = np.array([item.room for item in home.items])
    room = np.where(mesh.owner < 0, -1 - mesh.owner, in_room[np.maximum(mesh.owner, 0)])
    return mesh.corners[in_sight(home, eye)[0][room]], eye


def baking_rows(setting: HouseSetting) -> list[Row]:
    """Gives the time that a home's light takes, once per home."""

    def bake() -> list[HomeRenderer]:
        return [HomeRenderer(home, size=setting.size) for home, _ in setting.homes]

    return [
        seconds_row("light", "baking a home's", setting.timed(bake), per=len(setting.homes)),
    ]


def picture_rows(setting: HouseSetting) -> list[Row]:
    """Gives the faces/s of whole pictures: visibility, colour, smoothed edges."""
    renderers = setting.renderers

    def draw() -> None:
        for home, viewpoint in setting.stops:
            walk = setting.homes[home][1]
            renderers[home].faces(walk.position[viewpoint], walk.rotation[viewpoint])

    timing = setting.timed(draw)
    row = rate_row(
        "pictures",
        f"drawing, {setting.size} px",
        timing,
        count=NUM_FACES * len(setting.stops),
        unit="faces/s",
        note=f"the light is baked before; at least {GOAL_RATE:.0f} faces/s are asked for at 512 px",
    )
    return [row]


def file_rows(setting: HouseSetting) -> list[Row]:
    """Gives what a panorama takes on disk, and the time to pack it."""
    walks = [walk for _, walk in setting.homes]
    pictures = [
        setting.renderers[home].faces(walks[home].position[at], walks[home].rotation[at])
        for home, at in setting.stops
    ]
    quality = setting.spec.quality
    packed = [len(strip_bytes(faces, quality=quality)) / 1000 for faces in pictures]
    timing = setting.timed(lambda: [strip_bytes(faces, quality=quality) for faces in pictures])
    return [
        value_row(
            "files",
            f"a strip of six faces, {setting.size} px, JPEG {quality}",
            float(np.mean(packed)),
            unit="kB",
            details={"low_kB": min(packed), "high_kB": max(packed)},
        ),
        seconds_row("files", "packing a strip", timing, per=len(pictures)),
    ]
