"""Captions of pictures in COCO's format: `captions/captions_<split>.json`.

A world's pictures are views of its panoramas, called `<scan>/<viewpoint>_<view>`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vln.data.locations import parse_json, read_bytes
from vln.errors import CorruptData, UnknownName
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph

_VIEW = re.compile(r"(?P<scan>[^/]+)/(?P<viewpoint>[^/]+)_(?P<view>\d\d)")
_FILE = re.compile(r"captions_(\w+)\.json")
_REMEDY = "Make the world again, or copy the file again."


@dataclass(frozen=True, slots=True)
class ViewCaption:
    """What somebody says of one view.

    Attributes:
        panorama: Index in the graph.
        view: 0 to 35.
        caption: The text.
    """

    panorama: int
    view: int
    caption: str


def load_view_captions(data: Path, split: str, *, graph: NavGraph) -> list[ViewCaption]:
    """Gives a world's captions of single views, in the file's order.

    Raises:
        UnknownName: There is no such split.
        MissingData: The world has no captions.
        CorruptData: The file is damaged, or names a view that the graph does not hold.
    """
    folder = data / "captions"
    file = folder / f"captions_{split}.json"
    if folder.is_dir() and not file.is_file():
        splits = [found[1] for one in folder.iterdir() if (found := _FILE.fullmatch(one.name))]
        raise UnknownName.of("split of captions", split, splits)
    remedy = "Worlds of ours have captions: --env houses."
    content = parse_json(read_bytes(file, remedy=remedy), file=file)
    try:
        names = {image["id"]: image["file_name"] for image in content["images"]}
        told = [(names[one["image_id"]], one["caption"]) for one in content["annotations"]]
    except (KeyError, TypeError) as error:
        problem = f"no captions in COCO's format ({error!r})"
        raise CorruptData.of(file, "", problem, _REMEDY) from None
    return [_view_caption(name, text, graph=graph, file=file) for name, text in told]


def _view_caption(name: Any, text: Any, *, graph: NavGraph, file: Path) -> ViewCaption:  # noqa: ANN401
    found = _VIEW.fullmatch(name) if isinstance(name, str) else None
    if found is None or int(found["view"]) >= NUM_VIEWS or not isinstance(text, str):
        problem = f"expected <scan>/<viewpoint>_<00 to {NUM_VIEWS - 1}> and a text"
        raise CorruptData.of(file, repr(name), problem, _REMEDY)
    panorama = graph.index(found["scan"], found["viewpoint"])
    return ViewCaption(panorama, int(found["view"]), text)
