"""Finds pictures by their captions and captions by their pictures, with any encoder that reads.

`python -m benchmarks.retrieval --env houses --encoder clip_rn50` draws views with pairwise
different captions, encodes both, and reports how often the right one of `--among` is found first,
or among the first five. It is a client of the encoder service like any other. Chance is 1 / among.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from vln.features.online import EncodedViews, served_views
from vln.features.opened import weight_folders
from vln.metrics.recall import Recall, draw, of_draws, unit
from vln.runs import entry_point, say
from vln.service.requests import Limits
from vln.service.service import EncoderService


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
    service: Path | None = None
    """Socket of a running server (`python -m vln.service serve`) that holds the encoder; it runs
    here where absent."""
    data: Path | None = None
    """The world's folder; without it VLN_DATA, and the cache for a world of ours."""
    threads: int = 1
    """Of the encoder on a CPU."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.retrieval")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    if world_encoder(Handle.parse(config.encoder)) is not None:
        raise BadConfig(
            f"--encoder {config.encoder} reads no words. Name a network that does, such as "
            "clip_rn50."
        )
    data = worlds.locate(config.env, config.data).data
    world = World(data, load_graph(data))
    captions = load_view_captions(data, config.split, graph=world.graph)
    with encoded_views(config, world) as source:
        found = retrieve(source, captions, among=config.among, draws=config.draws, seed=config.seed)
    say(
        f"{config.encoder} on {config.env} {config.split}: {config.among} views, "
        f"{config.draws} draws; chance {100 / config.among:.1f} %"
    )
    for name, (one, five) in (
        ("image -> text", found.image_to_text),
        ("text -> image", found.text_to_image),
    ):
        say(f"{name}  R@1 {100 * one:5.1f} %  R@5 {100 * five:5.1f} %")
    return 0


@contextmanager
def encoded_views(config: Config, world: World) -> Iterator[EncodedViews]:
    """Gives what encodes views and captions: a server's client, or a service of our own."""
    if config.service is not None:
        with served_views(
            config.encoder, world, socket=config.service, client="retrieval"
        ) as source:
            yield source
        return
    import torch

    torch.set_num_threads(config.threads)
    encoder = load(config.encoder, folders=weight_folders(world), device=config.device)
    with (
        EncoderService({encoder.handle: encoder.encode}, limits=Limits()) as service,
        EncodedViews(encoder, service, client="retrieval", world=world) as source,
    ):
        yield source


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
    chosen = draw([one.caption for one in captions], among=among, draws=draws, seed=seed)
    used, place = np.unique(np.concatenate(chosen), return_inverse=True)
    words = unit(source.texts([captions[one].caption for one in used]))
    pictures = unit(_views(source, [captions[one] for one in used]))
    return of_draws(pictures, words, list(place.reshape(draws, among)))


def _views(source: EncodedViews, captions: Sequence[ViewCaption]) -> npt.NDArray[np.float32]:
    panorama = np.array([one.panorama for one in captions])
    view = np.array([one.view for one in captions])
    return source.of_views(panorama, view)


if __name__ == "__main__":
    sys.exit(main())
