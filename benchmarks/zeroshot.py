"""Names objects and rooms in views without having learnt to, with any encoder that reads words.

`python -m benchmarks.zeroshot --env houses --encoder clip_house` asks, of every captioned view of a
split, which of a list of sentences its picture is nearest to: "There is a sofa in a room.", "A view
of a kitchen.". A class is the mean of several sentences. What is right: for objects, the object
whose boxes cover most of the view; for rooms, the room that the caption names. Beside the accuracy
stands that of always saying the most frequent class.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import tyro

from benchmarks import tables
from benchmarks.retrieval import Config as Retrieval
from benchmarks.retrieval import encoded_views
from vln import worlds
from vln.data.captions import ViewCaption, load_view_captions
from vln.data.connectivity import load_graph
from vln.data.objects import ObjectViews, load_objects
from vln.encoders import World
from vln.errors import BadConfig
from vln.features.online import EncodedViews
from vln.geometry import NUM_VIEWS
from vln.houses.words.caption_words import COLOURS, NOUNS, ROOMS
from vln.metrics.recall import unit
from vln.pretrain.lexicon import ROOM, facts
from vln.runs import entry_point, say

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

OBJECT_SENTENCES: Final = (
    "A view of a room showing a {}.",
    "This photo shows a {}.",
    "There is a {} in a room.",
    "A {} against the wall.",
)
ROOM_SENTENCES: Final = ("A view of a {}.", "A photo of a {}.", "In a {}.", "A {} with furniture.")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Names objects and rooms of views without having been taught to."""

    env: str = "houses"
    """A world of ours, with captions, pictures and boxes."""
    encoder: str = "clip_house"
    """An encoder that reads words as well."""
    split: str = "val_unseen"
    """Whose captioned views."""
    device: str = "cpu"
    """Where the encoder runs."""
    service: Path | None = None
    """Socket of a running server that holds the encoder; it runs here where absent."""
    data: Path | None = None
    """The world's folder; without it the cache's."""
    threads: int = 1
    """Of the encoder on a CPU."""


@dataclass(frozen=True)
class Named:
    """How well one kind of thing is named; shares are 0 to 1.

    Attributes:
        kind: What was named.
        classes: How many there are to choose from.
        views: How many were asked about.
        at_one: Share whose nearest class is right.
        at_five: Share whose right class is among the five nearest.
        shown: Share whose nearest class is anything that the view shows; for objects only.
        frequent: Share that always saying the most frequent class would get right.
    """

    kind: str
    classes: int
    views: int
    at_one: float
    at_five: float
    shown: float | None
    frequent: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.zeroshot")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    data = worlds.locate(config.env, config.data).data
    world = World(data, load_graph(data))
    captions = load_view_captions(data, config.split, graph=world.graph)
    objects = load_objects(data, world.graph)
    asked = Retrieval(
        encoder=config.encoder,
        device=config.device,
        service=config.service,
        threads=config.threads,
    )
    with encoded_views(asked, world) as source:
        found = name_views(source, captions, objects)
    say(f"{config.encoder} on {config.env} {config.split}, in %\n")
    say(tables.as_text(as_table(found)))
    return 0


def name_views(
    source: EncodedViews, captions: Sequence[ViewCaption], objects: ObjectViews
) -> list[Named]:
    """Gives how well an encoder names the objects and the rooms of captioned views.

    Args:
        source: Encodes views and sentences.
        captions: Of the views that are asked about; each view counts once.
        objects: What the world's views show, named as a world of ours names it.

    Raises:
        BadConfig: No view shows anything that has a name here.
    """
    views = list({(one.panorama, one.view): one for one in captions}.values())
    panorama = np.array([one.panorama for one in views])
    view = np.array([one.view for one in views])
    pictures = unit(source.of_views(panorama, view))
    cover_VK = _cover(objects, panorama, view)
    kinds = (
        _of_objects(pictures, cover_VK, source),
        _of_rooms(pictures, [one.caption for one in views], source),
    )
    return list(kinds)


def _of_objects(pictures: Floats, cover_VK: Floats, source: EncodedViews) -> Named:
    rows = np.flatnonzero(cover_VK.any(axis=1))
    nearest = _nearest(pictures[rows], NOUNS, OBJECT_SENTENCES, source)
    right, shown = cover_VK[rows].argmax(axis=1), cover_VK[rows] > 0
    return _named("object", right, nearest, list(NOUNS), shown=shown)


def _of_rooms(pictures: Floats, captions: Sequence[str], source: EncodedViews) -> Named:
    names = list(ROOMS)
    rooms = [[name for kind, name in facts(caption) if kind == ROOM] for caption in captions]
    rows = np.array([row for row, here in enumerate(rooms) if len(here) == 1], dtype=np.int64)
    right = np.array([names.index(rooms[row][0]) for row in rows], dtype=np.int64)
    nearest = _nearest(pictures[rows], ROOMS, ROOM_SENTENCES, source)
    return _named("room", right, nearest, names)


def _cover(objects: ObjectViews, panorama: Ints, view: Ints) -> Floats:
    """Gives (V, K), the share of each view that boxes of each category cover."""
    names = list(NOUNS)
    colours = tuple(f"{colour} " for colour in COLOURS)
    category = np.array([_category(name, names, colours) for name in objects.names], np.int64)
    rows = {key: row for row, key in enumerate(zip(panorama.tolist(), view.tolist(), strict=True))}
    key = np.full((int(max(panorama.max(), objects.panorama.max())) + 1, NUM_VIEWS), -1)
    for (place, number), row in rows.items():
        key[place, number] = row
    where, what = key[objects.panorama, objects.view], category[objects.name]
    kept = (where >= 0) & (what >= 0)
    cover = np.zeros((len(panorama), len(names)))
    np.add.at(cover, (where[kept], what[kept]), objects.area[kept])
    if not cover.any():
        raise BadConfig(
            "no captioned view shows an object that has a name in our houses. Use a world of ours, "
            "such as --env houses."
        )
    return cover


def _category(name: str, names: Sequence[str], colours: tuple[str, ...]) -> int:
    """Gives the category of a box's name, "green bed"; -1 for what is none."""
    bare = next((name[len(colour) :] for colour in colours if name.startswith(colour)), name)
    return names.index(bare) if bare in names else -1


def _nearest(
    pictures: Floats,
    phrases: Mapping[str, Sequence[str]],
    sentences: Sequence[str],
    source: EncodedViews,
) -> Ints:
    """Gives (V, K) classes of each picture, the nearest first."""
    texts = [s.format(phrases[name][0]) for name in phrases for s in sentences]
    words = unit(source.texts(texts)).reshape(len(phrases), len(sentences), -1)
    classes = unit(words.mean(axis=1).astype(np.float32))
    order: Ints = np.argsort(-pictures @ classes.T, axis=1, kind="stable")
    return order


def _named(
    kind: str,
    right: Ints,
    nearest: Ints,
    names: Sequence[str],
    *,
    shown: npt.NDArray[np.bool_] | None = None,
) -> Named:
    if not len(right):
        raise BadConfig(f"no view whose {kind} is known. Use a split with more captions.")
    hits = nearest == right[:, None]
    rows = np.arange(len(right))
    return Named(
        kind=kind,
        classes=len(names),
        views=len(right),
        at_one=float(hits[:, 0].mean()),
        at_five=float(hits[:, :5].any(axis=1).mean()),
        shown=None if shown is None else float(shown[rows, nearest[:, 0]].mean()),
        frequent=float(np.bincount(right).max() / len(right)),
    )


def as_table(found: Sequence[Named]) -> tables.Table:
    """Gives one row per kind, shares in %."""
    header = ("", "classes", "views", "top 1", "top 5", "top 1 is in sight", "most frequent")
    rows = [
        (
            one.kind,
            str(one.classes),
            f"{one.views:,}",
            f"{100 * one.at_one:.1f}",
            f"{100 * one.at_five:.1f}",
            "" if one.shown is None else f"{100 * one.shown:.1f}",
            f"{100 * one.frequent:.1f}",
        )
        for one in found
    ]
    return tables.Table(header, rows)


if __name__ == "__main__":
    sys.exit(main())
