"""Captions of single views: what is seen, in which room, and how things lie to each other.

Every object that a caption names covers `NAMED_PIXELS` of its view; every relation is measured.
Wording is that of `caption_words`, not the instructions'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vln.houses.building.scene import Home, Item
from vln.houses.graph.navigate import Walk
from vln.houses.graph.sight import HEIGHT, WIDTH, Sights
from vln.houses.words import caption_words as words
from vln.houses.words.naming import (
    FLOORINGS,
    NAMED_PIXELS,
    WALLINGS,
    counted,
    likely,
    pick,
    room_words,
    size_words,
    substance,
    with_article,
)
from vln.houses.words.view_geometry import View, outlines, relation, stance, views_of

SHORTEST, LONGEST = 8, 25
"""Words of a caption."""
_ROWS: Final = (0.12, 0.82, 0.06)
"""Share of captions of views that look down, ahead and up."""
_MOST: Final = 6
"""Objects of a view that are considered for a caption: the largest ones."""
_TRIES: Final = 12
_FAR, _NEAR = 3.5, 2.2
_SIZED: Final = frozenset({"tall", "low", "double", "flat", "small", "hanging", "suspended"})

_RELATIONS: Final = {
    "on": words.ON,
    "on rug": words.ON_RUG,
    "above": words.ABOVE,
    "over": words.OVER,
    "beside": words.BESIDE,
    "before": words.BEFORE,
    "behind": words.BEHIND,
    "left": words.LEFT,
    "right": words.RIGHT,
}
_STANCES: Final = {
    "hung": words.HUNG,
    "ceiling": words.CEILING,
    "against": words.AGAINST,
    "corner": words.CORNER,
    "window": words.WINDOW,
    "before window": words.BEFORE_WINDOW,
}


def captions(
    rng: np.random.Generator, home: Home, walk: Walk, sights: Sights, *, count: int
) -> list[dict[str, Any]]:
    """Gives captions of a home's views, most of them of level ones.

    Args:
        rng: Decides on views and wording.
        home: The home.
        walk: Its viewpoints.
        sights: What is seen from them.
        count: How many captions; a view has a second one only when every view has one.

    Returns:
        Per caption: `scan`, `viewpoint`, `view` 0..35, `caption`, and `objects`, the indices of
        the objects it names. None where nothing in the home can be seen.
    """
    outline = outlines(home)
    result = []
    for view in _chosen(rng, views_of(sights), count=count):
        text, rows = _Caption(rng, home, walk, view, outline).write()
        result.append(
            {
                "scan": home.scan,
                "viewpoint": walk.ids[view.viewpoint],
                "view": view.view,
                "caption": text,
                "objects": [int(view.item[row]) for row in rows],
            }
        )
    return result


def coco(captions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Gives captions in COCO's format; several of one view share an image."""
    number_of: dict[str, int] = {}
    annotations: list[dict[str, Any]] = []
    for caption in captions:
        name = "{scan}/{viewpoint}_{view:02}".format_map(caption)
        image = number_of.setdefault(name, len(number_of))
        annotations.append(
            {"id": len(annotations), "image_id": image, "caption": caption["caption"]}
        )
    images = [
        {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for name, number in number_of.items()
    ]
    return {"images": images, "annotations": annotations}


def _chosen(rng: np.random.Generator, views: list[View], *, count: int) -> list[View]:
    telling = [view for view in views if view.pixels[0] >= NAMED_PIXELS]
    if not telling or count < 1:
        return []
    row = np.array([view.view // 12 for view in telling])
    weight = np.array(_ROWS)[row] / np.bincount(row, minlength=3)[row]
    chosen: list[View] = []
    while len(chosen) < count:
        # The largest of weighted exponentials: drawn without putting back, in one go.
        order = np.argsort(rng.exponential(size=len(telling)) / weight, kind="stable")
        chosen += [telling[i] for i in order[: count - len(chosen)]]
    return chosen


class _Caption:
    """One caption in the making."""

    def __init__(
        self,
        rng: np.random.Generator,
        home: Home,
        walk: Walk,
        view: View,
        outline: npt.NDArray[np.float64],
    ) -> None:
        self._rng = rng
        self._home = home
        self._walk = walk
        self._view = view
        self._outline = outline
        self._room = home.rooms[int(walk.room[view.viewpoint])]
        large = np.flatnonzero(view.pixels >= NAMED_PIXELS)[:_MOST]
        self._items = [home.items[int(i)] for i in view.item]
        self._here = [row for row in large.tolist() if self._is_here(self._items[row])]
        self._large: list[int] = large.tolist()

    def _is_here(self, item: Item) -> bool:
        return item.room == int(self._walk.room[self._view.viewpoint])

    def write(self) -> tuple[str, list[int]]:
        """Gives the text and the rows of the objects named."""
        for _ in range(_TRIES):
            text, rows = self._draft()
            if SHORTEST <= len(text.split()) <= LONGEST:
                return text, rows
        row = self._main(self._here or self._large)
        place = self._bare() if self._here else "home"
        return self._say("This photo of {bare} shows {a}.", a=row, bare=with_article(place))

    def _draft(self) -> tuple[str, list[int]]:
        if not self._here or (len(self._here) < len(self._large) and self._rng.random() < 0.15):
            return self._beyond()
        draw = self._rng.random()
        pairs = self._pairs() if draw < 0.8 else []
        depth = self._by_depth() if draw < 0.1 else None
        if depth:
            near, far = depth
            return self._say(pick(self._rng, words.DEPTH), a=near, b=far)
        if pairs:
            return self._pair(pairs)
        row = self._main(self._here)
        at = stance(self._home, self._walk, self._view, row)
        if at and self._rng.random() < 0.7:
            place = pick(self._rng, _STANCES[at])
            return self._say(pick(self._rng, words.AT), a=row, place=place)
        return self._say(pick(self._rng, words.ALONE), a=row, several=True)

    def _beyond(self) -> tuple[str, list[int]]:
        others = [row for row in self._large if row not in self._here] or self._large
        level = [row for row in others if self._storey(row) == self._room.storey]
        if not level:
            return self._say("A room with {a} on another floor.", a=self._main(others))
        return self._say(pick(self._rng, words.BEYOND), a=self._main(level))

    def _storey(self, row: int) -> int:
        return self._home.rooms[self._items[row].room].storey

    def _main(self, rows: list[int]) -> int:
        weight = np.sqrt(self._view.pixels[rows])
        return rows[int(self._rng.choice(len(rows), p=weight / weight.sum()))]

    def _pairs(self) -> list[tuple[int, int, str]]:
        found = []
        for a in self._here:
            for b in self._here:
                if a != b and self._items[a].name != self._items[b].name:
                    how = relation(self._home, self._outline, self._view, a, b)
                    found += [(a, b, how)] if how else []
        return found

    def _by_depth(self) -> tuple[int, int] | None:
        """Gives the nearest and the farthest object of the room, where they are far apart."""
        near = min(self._here, key=lambda row: float(self._view.distance[row]))
        far = max(self._here, key=lambda row: float(self._view.distance[row]))
        apart = self._view.distance[near] < _NEAR and self._view.distance[far] > _FAR
        same = self._items[near].name == self._items[far].name
        return (near, far) if apart and not same else None

    def _pair(self, pairs: list[tuple[int, int, str]]) -> tuple[str, list[int]]:
        rng = self._rng
        rare = [pair for pair in pairs if pair[2] not in ("left", "right")]
        options = rare if rare and rng.random() < 0.6 else pairs
        a, b, how = options[int(rng.integers(len(options)))]
        word = pick(rng, _RELATIONS[how])
        thirds = [row for row in self._here if self._items[row].name not in self._names(a, b)]
        if thirds and rng.random() < 0.35:
            c = thirds[int(rng.integers(len(thirds)))]
            side = self._side(c)
            if side:
                return self._say(pick(rng, words.THREE), a=a, b=b, c=c, relation=word, side=side)
        return self._say(pick(rng, words.TWO), a=a, b=b, relation=word)

    def _names(self, *rows: int) -> list[str]:
        return [self._items[row].name for row in rows]

    def _side(self, row: int) -> str:
        x, _, width, _ = self._view.box[row]
        middle = x + width / 2
        return "left" if middle < WIDTH * 0.4 else "right" if middle > WIDTH * 0.6 else ""

    def _say(
        self, sentence: str, *, several: bool = False, **parts: int | str
    ) -> tuple[str, list[int]]:
        rows = [part for part in parts.values() if isinstance(part, int)]
        bare = self._bare()
        filled: dict[str, str] = {"bare": bare, "room": with_article(bare)}
        plain = "with" in sentence or sentence in words.BEYOND
        if self._view.view // 12 == 1 and not plain and self._rng.random() < 0.25:
            filled["room"] += self._finish()
        for key, part in parts.items():
            filled[key] = self._object(part, several=several) if isinstance(part, int) else part
        text = sentence.format_map(filled)
        return text[0].upper() + text[1:], rows

    def _bare(self) -> str:
        noun = likely(self._rng, words.ROOMS[self._room.kind])
        sizes = room_words(self._room)
        if sizes and self._rng.random() < 0.3:
            return f"{pick(self._rng, sizes)} {noun}"
        return noun

    def _finish(self) -> str:
        wall = pick(self._rng, WALLINGS[self._room.wall.material])
        floor = pick(self._rng, FLOORINGS[self._room.floor.material])
        return pick(self._rng, words.FINISHES).format(wall=wall, floor=with_article(floor))

    def _object(self, row: int, *, several: bool) -> str:
        rng, item = self._rng, self._items[row]
        noun = likely(rng, words.NOUNS[item.category])
        parts = [likely(rng, words.COLOURS[item.colour])]
        if substance(item) and rng.random() < 0.35:
            parts.append(pick(rng, substance(item)))
        number = self._alike(row) if several else 1
        sizes = size_words(item)
        if number == 1 and sizes and rng.random() < 0.3 and not _SIZED & set(noun.split()):
            parts.insert(0, pick(rng, sizes))
        return counted(number, " ".join([*parts, noun]))

    def _alike(self, row: int) -> int:
        """Gives how many objects of one name the view shows, 1 if some of them can be missed."""
        same = [r for r, item in enumerate(self._items) if item.name == self._items[row].name]
        return len(same) if self._view.pixels[same].min() >= NAMED_PIXELS else 1
