"""Pictures of made homes for the README: rooms, floor plans, and a home beside its twin.

Homes of the world `houses`, made anew; nothing is read. Knows nothing of command lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np

from vln.errors import BadConfig
from vln.houses.building.catalogue import ROOM_KINDS
from vln.houses.building.home import make_home
from vln.houses.building.scene import Home
from vln.houses.building.styles import STYLES
from vln.houses.graph.navigate import Walk, walk_of
from vln.houses.graph.sight import sights_of
from vln.houses.world.derive import derive
from vln.houses.world.pairs import Twin, make_twins
from vln.houses.world.spec import SPECS, HomePlan
from vln.panorama.faces import Panorama
from vln.panorama.pinhole import Camera
from vln.panorama.views import ViewRenderer
from vln.registry import Registry
from vln.runs import generator
from vln.viz.canvas import PAPER, Image, text_block
from vln.viz.home_sheet import Look, RenderedPanoramas, best_look, grid, view_along, with_caption
from vln.viz.plans import draw_plan

WORLD: Final = "houses"
FACE: Final = 1024
"""Pixels along a face of what is drawn here: finer than the world's own pictures."""
_WIDE: Final = Camera(width=720, height=480, vertical_fov=math.radians(66))
_SMALL_PLAN: Final = 36.0
_STEPS_AWAY: Final = 1.4
_SLICES: Final = 60
_SLICE: Final = 8
_STRIP_HEIGHT: Final = 96


@dataclass(frozen=True)
class Picture:
    """A picture of the gallery.

    Attributes:
        file: Its name.
        draw: Gives the file's content.
    """

    file: str
    draw: Callable[[], bytes]


PICTURES: Registry[Picture] = Registry("picture")


def houses() -> bytes:
    """Gives a JPEG of twelve rooms: every kind once, each of another home."""
    cells = [_cell(*chosen) for chosen in one_of_each_kind()]
    return jpeg(grid(cells, columns=4), most_bytes=1_200_000)


def plans() -> bytes:
    """Gives a PNG of three floor plans side by side."""
    return png(_beside([draw_plan(*made(scan)) for scan in three_plans()]))


def twin() -> bytes:
    """Gives a JPEG: one view in a home and in its twin, the words, and where they lead in each."""
    return jpeg(side_by_side(*_first_twin()), most_bytes=1_000_000)


PICTURES.add("houses", Picture("houses.jpg", houses))
PICTURES.add("plans", Picture("plans.png", plans))
PICTURES.add("twin", Picture("twin.jpg", twin))


@cache
def planned() -> dict[str, HomePlan]:
    """Gives the plans of the world's homes by name."""
    return {plan.scan: plan for plan in SPECS[WORLD].homes()}


@cache
def made(scan: str) -> tuple[Home, Walk]:
    """Gives a home of the world, and its viewpoints."""
    plan = planned()[scan]
    home = make_home(
        scan,
        seed=plan.seed,
        style=plan.style,
        new_pairs=plan.group.new_pairs,
        viewpoints=plan.viewpoints,
    )
    return home, walk_of(home)


def one_of_each_kind() -> Iterator[tuple[str, int, Look]]:
    """Yields home, room and where to look from: the rarest kind of room takes its pick first.

    No home twice, and a style again only where no other is left; then the view that shows most.
    """
    looks: dict[str, list[tuple[str, int, Look]]] = {kind: [] for kind in ROOM_KINDS}
    for scan in planned():
        home, walk = made(scan)
        for number, room in enumerate(home.rooms):
            if (walk.room == number).any():
                looks[room.kind].append((scan, number, best_look(home, walk, number)))
    taken: list[str] = []
    chosen = {}
    for kind in sorted(ROOM_KINDS, key=lambda kind: len(looks[kind])):
        styles = [made(scan)[0].style for scan in taken]
        free = [look for look in looks[kind] if look[0] not in taken]
        if free:
            chosen[kind] = min(
                free, key=lambda look: (styles.count(made(look[0])[0].style), -look[2].score)
            )
            taken.append(chosen[kind][0])
    yield from (chosen[kind] for kind in ROOM_KINDS if kind in chosen)


def _cell(scan: str, room: int, look: Look) -> Image:
    """Gives a room's best view above the whole panorama, and what it is."""
    home, walk = made(scan)
    drawn = RenderedPanoramas(home, walk, size=FACE).panorama(scan, walk.ids[look.viewpoint])
    view = view_along(drawn, look.heading)
    line = np.full((3, view.shape[1], 3), PAPER, np.uint8)
    picture = np.vstack([view, line, cylinder(drawn, look.heading)])
    return with_caption(picture, f"{home.rooms[room].kind}, {home.style} ({scan})")


def cylinder(panorama: Panorama, heading: float) -> Image:
    """Gives (96, 480, 3) uint8 RGB: all that is around, unrolled, a heading in the middle.

    Narrow views side by side: within 6 degrees a plane is as good as a cylinder.
    """
    step = 2 * math.pi / _SLICES
    focal = _SLICE / 2 / math.tan(step / 2)
    fov = 2 * math.atan(_STRIP_HEIGHT / 2 / focal)
    camera = Camera(width=_SLICE, height=_STRIP_HEIGHT, vertical_fov=fov)
    headings = heading + (np.arange(_SLICES) - (_SLICES - 1) / 2) * step
    slices = ViewRenderer(camera, smooth=True).views(panorama, headings, np.zeros(_SLICES))
    return np.hstack(list(slices))


def three_plans() -> tuple[str, ...]:
    """Gives a home with two floors, the one with most corners, and one of an unseen style."""
    homes = [made(scan)[0] for scan in planned()]
    tall = [home for home in homes if home.stairs]
    new = [home for home in homes if not STYLES[home.style].is_seen]
    cornered = sorted((home for home in homes if not home.stairs), key=_filled)
    chosen = [*tall[:1], *cornered[:1], *(home for home in new if home is not cornered[0])]
    return tuple(home.scan for home in (*chosen, *cornered[1:]))[:3]


def _filled(home: Home) -> float:
    """Gives the share of a home's bounding box that its rooms fill."""
    boxes = np.array([room.box for room in home.rooms])
    sides = boxes[:, 2:] - boxes[:, :2]
    around = boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0)
    return float(sides.prod(axis=1).sum() / around.prod())


def _first_twin() -> tuple[Twin, Home, Walk]:
    """Gives a twin that differs in colours alone, of the first unseen home that has one."""
    for scan, plan in planned().items():
        if plan.group.split != "val_unseen":
            continue
        derived = derive(plan, SPECS[WORLD])
        home, walk = derived.home, derived.walk
        found = make_twins(
            home,
            walk,
            sights_of(home, walk),
            derived.r2r[plan.group.split],
            rng=generator(1, f"gallery/{scan}"),
            kinds=("recoloured",),
            count=1,
        )
        if found:
            return found[0], home, walk
    raise BadConfig(f"no change of colours turns an instruction of {WORLD}.")


def side_by_side(twin: Twin, home: Home, walk: Walk) -> Image:
    """Gives the words above two columns: the view, and the path on the plan."""
    viewpoint, heading = where_it_shows(twin, home, walk)
    changed = f"its twin, {twin.kind}: {twin.record['changed']['what']}"
    columns = []
    for title, here, there, record in (
        ("as it was", home, walk, twin.original),
        (changed, twin.home, twin.walk, twin.record),
    ):
        drawn = RenderedPanoramas(here, there, size=FACE).panorama(here.scan, there.ids[viewpoint])
        view = with_caption(view_along(drawn, heading, camera=_WIDE), title)
        path = [there.ids.index(name) for name in record["path"]]
        plan = draw_plan(here, there, path=path, pixels_per_metre=_SMALL_PLAN)
        width = max(view.shape[1], plan.shape[1])
        columns.append(np.vstack([_widened(view, width), _widened(plan, width)]))
    both = _beside(columns)
    said = text_block(
        f'"{twin.record["instructions"][0]}"', width=both.shape[1], height=64, capitals=15
    )
    return np.vstack([said, both])


def where_it_shows(twin: Twin, home: Home, walk: Walk) -> tuple[int, float]:
    """Gives the viewpoint and heading that show most of what changed, a few steps away."""
    pairs = zip(home.items, twin.home.items, strict=True)  # these changes add and remove nothing
    changed = [number for number, (before, after) in enumerate(pairs) if before != after]
    sights = sights_of(home, walk)
    rows = np.flatnonzero(np.isin(sights.item, changed) & (sights.distance > _STEPS_AWAY))
    if not len(rows):
        raise BadConfig(f"nothing that changed in {twin.home.scan} is seen from afar.")
    best = rows[np.argmax(sights.pixels[rows])]
    return int(sights.viewpoint[best]), float(sights.heading[best])


def _widened(image: Image, width: int) -> Image:
    missing = width - image.shape[1]
    sides = (missing // 2, missing - missing // 2)
    return np.pad(image, ((0, 0), sides, (0, 0)), constant_values=PAPER[0])


def _beside(pictures: list[Image]) -> Image:
    """Gives pictures in a row, each in the middle of its height."""
    height = max(len(picture) for picture in pictures)
    padded = [
        np.pad(picture, ((0, height - len(picture)), (0, 24), (0, 0)), constant_values=PAPER[0])
        for picture in pictures
    ]
    return np.hstack(padded)


def jpeg(image: Image, *, most_bytes: int) -> bytes:
    """Gives a JPEG in the best quality, 92 at most, that fits into so many bytes."""
    flipped = np.ascontiguousarray(image[..., ::-1])  # OpenCV wants BGR
    for quality in range(92, 30, -4):
        _, encoded = cv2.imencode(".jpg", flipped, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(encoded) <= most_bytes:
            return encoded.tobytes()
    raise BadConfig(f"a picture of {image.shape} does not fit into {most_bytes:,} bytes.")


def png(image: Image) -> bytes:
    """Gives a PNG."""
    flipped = np.ascontiguousarray(image[..., ::-1])
    _, encoded = cv2.imencode(".png", flipped, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return encoded.tobytes()
