"""Extraction by several processes, on one machine or many, through Ray Data; needs `[ray]`.

Shards go out by number and come back as plain bytes, in any order, into the one store of the
process that asked. Blocks are cut as one process cuts them, so the features are the same. Every
machine must see the world and the weights under the same path.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from vln.data.connectivity import load_graph
from vln.encoders.base import World
from vln.errors import BadConfig, CheckpointMismatch, VlnError
from vln.features.extract import Extraction, Pipeline, ViewMaker, bar, settled, writer_of
from vln.features.source import FeatureTable
from vln.geometry import NUM_VIEWS
from vln.panorama.sources import find_panoramas
from vln.service.ray.cluster import PATIENCE_S, cluster, must_have_room
from vln.service.ray.messages import packed, told, unpacked, words
from vln.service.requests import Limits
from vln.service.service import EncoderService

if TYPE_CHECKING:
    from vln.encoders.network import ImageEncoder


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every worker needs to know; plain values, so that it can be sent.

    Attributes:
        encoder: Handle.
        fingerprint: That its weights must have.
        folders: Where these are looked for.
        weights: A file to take them from; empty where they are to be found.
        data: The world's folder.
        device: Where a worker's network runs.
        settings: Fields of `Extraction`.
    """

    encoder: str
    fingerprint: str
    folders: tuple[str, ...]
    weights: str
    data: str
    device: str
    settings: Mapping[str, Any]


def extract_spread(
    encoder: ImageEncoder,
    world: World,
    *,
    processes: int,
    folders: tuple[Path, ...] = (),
    weights: Path | None = None,
    settings: Extraction | None = None,
    patience_s: float = PATIENCE_S,
) -> FeatureTable:
    """Gives what `extract` gives, worked out by several processes; goes on where it was stopped.

    Args:
        encoder: The same that the workers will load; says who it is.
        world: Its pictures are rendered.
        processes: Workers, with a CPU each, or a GPU where the encoder runs on one.
        folders: Where workers look for weights.
        weights: A file for them to take the weights from instead.
        settings: How; as the device does it best where None.
        patience_s: Longest wait in seconds for room for a first worker; the others join when there
            is more.

    Raises:
        BadConfig: No worker; Ray is not installed, or its cluster not there.
        ServiceBusy: The cluster has no room.
        MissingData, CorruptData, InUse, CannotWrite, EncodingFailed: As `extract`.
        CheckpointMismatch: A worker finds other weights.
    """
    if processes < 1:
        raise BadConfig(f"{processes} processes to extract with; expected 1 or more.")
    settings = settled(settings or Extraction(), encoder)
    work = Work(
        encoder=encoder.handle,
        fingerprint=encoder.spec.fingerprint,
        folders=tuple(str(folder.resolve()) for folder in folders),
        weights="" if weights is None else str(weights.resolve()),
        data=str(world.data.resolve()),
        device=encoder.device,
        settings={**asdict(settings), "progress": False},
    )
    with writer_of(encoder, world, settings) as writer, ExitStack() as stack:
        if writer.todo:
            stack.enter_context(cluster(cpus=processes))
            must_have_room(_needs(encoder.device), patience_s=patience_s)
            shown = stack.enter_context(bar(encoder.handle, writer, progress=settings.progress))
            with closing(_shards(work, writer.todo, processes=processes)) as shards:
                for shard, features in shards:
                    writer.put(shard, features)
                    shown.update(len(shard) * NUM_VIEWS)
        return writer.finish()


def _shards(
    work: Work, todo: tuple[range, ...], *, processes: int
) -> Generator[tuple[range, npt.NDArray[np.float32]], None, None]:
    """Gives shards and their (n, 36, D) features as they come."""
    import ray

    needs = _needs(work.device)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    pieces = ray.data.from_items(
        [{"start": shard.start, "stop": shard.stop} for shard in todo],
        override_num_blocks=len(todo),
    )
    done = pieces.map_batches(
        Worker,
        fn_constructor_args=(asdict(work),),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(processes, len(todo))),
        num_cpus=needs["CPU"],
        num_gpus=needs["GPU"],
    )
    for row in done.iter_rows():
        header = words(row["header"])
        yield range(row["start"], row["stop"]), unpacked(header, row["features"])


def _needs(device: str) -> dict[str, float]:
    """Gives what a worker takes of a cluster."""
    return {"CPU": 1.0, "GPU": 0.0 if device.startswith("cpu") else 1.0}


class Worker:
    """One of the processes: shards in, features out; errors of ours are told, not raised.

    Args:
        work: `Work` as plain values.
    """

    def __init__(self, work: Mapping[str, Any]) -> None:
        self._work = Work(**work)

    def __call__(self, batch: Mapping[str, npt.NDArray[Any]]) -> dict[str, list[Any]]:
        """Gives the features of the one shard of a batch, as a header and bytes."""
        start, stop = int(batch["start"][0]), int(batch["stop"][0])
        try:
            header, body = packed(self._features(range(start, stop)))
        except VlnError as error:
            header, body = told(error)
        return {"start": [start], "stop": [stop], "header": [header], "features": [body]}

    def _features(self, shard: range) -> npt.NDArray[np.float32]:
        encoder, settings = self._encoder, Extraction(**self._work.settings)
        world, maker = self._seen
        limits = Limits(max_batch=settings.block, max_queue_items=4 * settings.block)
        with (
            EncoderService({encoder.handle: encoder.encode}, limits=limits) as service,
            service.client("extraction") as client,
            tqdm(disable=True) as hidden,
            closing(Pipeline(maker, world, client, settings, hidden)) as pipeline,
        ):
            ((_, features),) = pipeline.features(encoder.handle, (shard,))
        return features

    @cached_property
    def _seen(self) -> tuple[World, ViewMaker]:
        data = Path(self._work.data)
        world = World(data, load_graph(data))
        pictures = find_panoramas(data, graph=world.graph)
        return world, ViewMaker(pictures, self._encoder.recipe)

    @cached_property
    def _encoder(self) -> ImageEncoder:
        import torch

        from vln.encoders.loading import load

        torch.set_num_threads(1)  # a CPU each is what they were given
        work = self._work
        encoder = load(
            work.encoder,
            weights=Path(work.weights) if work.weights else None,
            folders=[Path(folder) for folder in work.folders],
            device=work.device,
        )
        if encoder.spec.fingerprint != work.fingerprint:
            raise CheckpointMismatch(
                f"{work.encoder} has the fingerprint {encoder.spec.fingerprint[:16]} on a worker, "
                f"and {work.fingerprint[:16]} where extraction was started. Put the same weights "
                "on every machine."
            )
        return encoder
