"""Finds pictures by their captions and captions by their pictures, with any encoder that reads.

`python -m benchmarks.retrieval --env houses --encoder clip_rn50` draws views with pairwise
different captions, encodes both, and reports how often the right one of `--among` is found first,
or among the first five. It is a client of the encoder service like any other. Chance is 1 / among.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tyro

from vln import worlds
from vln.data.captions import ViewCaption, load_view_captions
from vln.data.connectivity import load_graph
from vln.encoders import Handle, World, world_encoder
from vln.encoders.loading import load
from vln.errors import BadConfig
from vln.features.online import EncodedViews
from vln.features.opened import weight_folders
from vln.runs import entry_point, generator, say
from vln.service.requests import Limits
from vln.service.service import EncoderService

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Finds pictures by captions and captions by pictures."""

    env: str = "houses"
    """A world with captions and pictures."""
    encoder: str = "clip_rn50"
    """An encoder that reads words as well."""
    split: str = "val_unseen"
    """Whose captions."""
    among: int = 100
    """Pictures, and captions, of one draw."""
    draws: int = 20
    """Independent draws; the mean is reported."""
    seed: int = 0
    """Of the draws."""
    device: str = "cpu"
    """Where the encoder runs."""
    data: Path | None = None
    """The world's folder; without it VLN_DATA, and the cache for a world of ours."""
    threads: int = 1
    """Of the encoder on a CPU."""


@dataclass(frozen=True)
class Recall:
    """Shares, 0 to 1, of items whose partner is found at once and among the first five.

    Attributes:
        image_to_text: At 1 and at 5.
        text_to_image: At 1 and at 5.
        deviation: Of image to text at 1 between draws.
    """

    image_to_text: tuple[float, float]
    text_to_image: tuple[float, float]
    deviation: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.retrieval")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    import torch

    torch.set_num_threads(config.threads)
    if world_encoder(Handle.parse(config.encoder)) is not None:
        raise BadConfig(
            f"--encoder {config.encoder} reads no words. Name a network that does, such as "
            "clip_rn50."
        )
    data = worlds.locate(config.env, config.data).data
    world = World(data, load_graph(data))
    captions = load_view_captions(data, config.split, graph=world.graph)
    encoder = load(config.encoder, folders=weight_folders(world), device=config.device)
    with (
        EncoderService({encoder.handle: encoder.encode}, limits=Limits()) as service,
        EncodedViews(encoder, service, client="retrieval", world=world) as source,
    ):
        found = retrieve(source, captions, among=config.among, draws=config.draws, seed=config.seed)
    say(
        f"{encoder.handle} on {config.env} {config.split}: {config.among} views, "
        f"{config.draws} draws; chance {100 / config.among:.1f} %"
    )
    for name, (one, five) in (
        ("image -> text", found.image_to_text),
        ("text -> image", found.text_to_image),
    ):
        say(f"{name}  R@1 {100 * one:5.1f} %  R@5 {100 * five:5.1f} %")
    return 0


def retrieve(
    source: EncodedViews,
    captions: Sequence[ViewCaption],
    *,
    among: int = 100,
    draws: int = 20,
    seed: int = 0,
) -> Recall:
    """Gives how well an encoder's pictures and captions find each other.

    Args:
        source: Encodes both.
        captions: To draw from.
        among: Views of one draw, their captions pairwise different.
        draws: Independent draws.
        seed: Of the draws.

    Raises:
        BadConfig: There are fewer different captions, or the encoder reads no words.
    """
    if among < 2 or draws < 1:
        raise BadConfig(f"{draws} draws among {among} views; expected 1 or more among 2 or more.")
    chosen = [_draw(captions, among, seed=seed, number=number) for number in range(draws)]
    used = sorted(set(np.concatenate(chosen).tolist()))
    place = np.full(len(captions), -1)
    place[used] = np.arange(len(used))
    words = _unit(source.texts([captions[one].caption for one in used]))
    pictures = _unit(_views(source, [captions[one] for one in used]))
    ranks = np.array([_ranks(pictures[place[rows]], words[place[rows]]) for rows in chosen])
    at_one, at_five = (ranks < 1).mean(axis=2), (ranks < 5).mean(axis=2)
    to_text, to_image = zip(at_one.mean(axis=0), at_five.mean(axis=0), strict=True)
    return Recall(
        image_to_text=(float(to_text[0]), float(to_text[1])),
        text_to_image=(float(to_image[0]), float(to_image[1])),
        deviation=float(at_one[:, 0].std(ddof=1)) if draws > 1 else 0.0,
    )


def _draw(
    captions: Sequence[ViewCaption], among: int, *, seed: int, number: int
) -> npt.NDArray[np.int64]:
    """Gives views with pairwise different captions."""
    order: npt.NDArray[np.int64]
    order = generator(seed, f"retrieval/{number}").permutation(len(captions))
    texts = np.array([captions[one].caption for one in order])
    _, first = np.unique(texts, return_index=True)
    if len(first) < among:
        raise BadConfig(
            f"{len(first)} different captions among {len(captions)}; expected {among} or more. "
            "Ask for fewer with --among."
        )
    chosen: npt.NDArray[np.int64] = order[np.sort(first)[:among]]
    return chosen


def _views(source: EncodedViews, captions: Sequence[ViewCaption]) -> npt.NDArray[np.float32]:
    panorama = np.array([one.panorama for one in captions])
    view = np.array([one.view for one in captions])
    return source.of_views(panorama, view)


def _unit(features: npt.NDArray[np.float32]) -> Floats:
    values = features.astype(np.float64)
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))


def _ranks(pictures: Floats, words: Floats) -> npt.NDArray[np.int64]:
    """Gives (2, N) ranks of the right caption per picture, and of the right picture per caption.

    Ties count against the encoder: one that gives everything the same features finds nothing.
    """
    likeness = pictures @ words.T
    right = np.diag(likeness)
    by_picture = (likeness >= right[:, None]).sum(axis=1) - 1
    by_caption = (likeness >= right[None, :]).sum(axis=0) - 1
    return np.stack([by_picture, by_caption])


if __name__ == "__main__":
    sys.exit(main())
