"""Views and their captions, rendered once: what pre-training learns from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson
from tqdm import tqdm

from vln.data.captions import ViewCaption, load_view_captions
from vln.data.connectivity import load_graph
from vln.data.locations import cache_root
from vln.encoders.recipe import Recipe
from vln.errors import BadConfig
from vln.features.extract import ViewMaker, view_camera
from vln.panorama.sources import find_panoramas, pictures_identity

MARGIN: Final = 8 / 7
"""How much larger pictures are kept than they are seen, so that crops lose no sharpness."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pictures, each with what somebody says of it.

    Attributes:
        images: (N, H, W, 3) uint8 RGB, mapped from a file.
        captions: N texts.
        identity: Of the pictures and their captions, hex.
    """

    images: npt.NDArray[np.uint8]
    captions: tuple[str, ...]
    identity: str

    def __len__(self) -> int:
        return len(self.captions)


def load_pairs(data: Path, split: str, *, size: int, cache: Path | None = None) -> Pairs:
    """Gives the captioned views of a world's split, rendered when they are first asked for.

    Args:
        data: The world, with pictures.
        split: Of its captions.
        size: Pixels of the shorter side that a tower sees; pictures are kept `MARGIN` larger.
        cache: Where rendered views are kept; `VLN_CACHE` where None.

    Raises:
        MissingData, CorruptData: There are no captions or pictures, or they are damaged.
        BadConfig: There are no captions at all.
    """
    graph = load_graph(data)
    told = load_view_captions(data, split, graph=graph)
    if not told:
        raise BadConfig(f"{data} has no captions in its split {split}. Use a world that has some.")
    captions = tuple(one.caption for one in told)
    recipe = Recipe(frame="wide", size=round(size * MARGIN), direct=True)
    places = [
        (graph.scan_of(one.panorama), graph.viewpoints[one.panorama], one.view) for one in told
    ]
    source = pictures_identity(data, graph)
    key = orjson.dumps([source, recipe.size, places, captions])
    identity = hashlib.sha256(key).hexdigest()
    file = (cache or cache_root()) / "pretrain" / f"{data.name}-{split}-{identity[:16]}.npy"
    if not file.is_file():
        views = ViewMaker(find_panoramas(data, graph=graph), recipe)
        with _appearing(file) as unfinished:
            _render(unfinished, views, told, places, name=f"{data.name} {split}")
    return Pairs(np.load(file, mmap_mode="r"), captions, identity)


@contextmanager
def _appearing(file: Path) -> Iterator[Path]:
    """Gives the name of an unfinished file, which gets its own when nothing went wrong."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def _render(
    file: Path,
    maker: ViewMaker,
    told: list[ViewCaption],
    places: list[tuple[str, str, int]],
    *,
    name: str,
) -> None:
    """Writes the views of all captions, panorama by panorama, each at its own row."""
    camera = view_camera(maker.recipe)
    shape = (len(told), camera.height, camera.width, 3)
    images = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    panorama = np.array([one.panorama for one in told])
    view = np.array([one.view for one in told])
    for index in tqdm(np.unique(panorama), desc=f"{name}: views rendered", mininterval=1.0):
        rows = np.flatnonzero(panorama == index)
        scan, viewpoint, _ = places[rows[0]]
        images[rows] = maker.views(scan, viewpoint, view[rows])
    images.flush()
