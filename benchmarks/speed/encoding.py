"""Speed of encoding views: the bare network, and the service around it.

The bare network's best is the limit that the service is held against; the two are timed
alternately, for the machine's speed drifts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.speed.rows import Clock, Row, Timing, rate_row, value_row
from vln.data.connectivity import load_graph
from vln.encoders import World
from vln.encoders.handle import Handle
from vln.encoders.loading import load
from vln.encoders.network import VIEW, ImageEncoder
from vln.encoders.networks.openai import untrained_weights
from vln.encoders.opening import OURS, RANDOM
from vln.encoders.preprocess import fitted
from vln.encoders.recipes import NETWORKS, named
from vln.runs import generator
from vln.service.requests import Limits
from vln.service.service import EncoderService
from vln.testing import make_tiny_world, write_skyboxes

KNOWN = {
    "clip_rn50": 6.3,
    "clip_rn50+bf16": 14.0,
    "clip_vit_b32": 7.6,
    "clip_vit_b32+bf16": 18.0,
}
"""Images/s of one thread of such a machine, bare open_clip, measured before this was written."""
SINGLES = 20
"""Single images of one repeat."""


@dataclass(frozen=True, eq=False)
class EncodeSetting:
    """What all measurements share.

    Attributes:
        encoders: Handles of CLIPs with names; their weights are drawn, for speed is the same.
        scratch: Folder for a small world and its features.
        device: Where networks run.
        repeats: Timed repeats.
        quick: Do as little as shows that it works.
        loaded: Encoders by handle.
    """

    encoders: tuple[str, ...]
    scratch: Path
    device: str = "cpu"
    repeats: int = 5
    quick: bool = False
    loaded: dict[str, ImageEncoder] = field(default_factory=dict)

    @property
    def clock(self) -> Clock:
        """Processor time of one thread on a CPU, the wall's for a GPU."""
        return "cpu" if self.device == "cpu" else "wall"

    @property
    def batches(self) -> tuple[int, ...]:
        """Batch sizes that are tried."""
        if self.quick:
            return (1, 2)
        return (1, 8, 32) if self.device == "cpu" else (1, 32, 144, 288, 576)

    @cached_property
    def world(self) -> World:
        """One house with pictures as large as Matterport's strips."""
        folder = make_tiny_world(self.scratch / "world").folder
        scans = folder / "connectivity" / "scans.txt"
        scans.write_text(scans.read_text().splitlines()[0] + "\n")
        graph = load_graph(folder)
        write_skyboxes(folder, graph, size=32 if self.quick else 512)
        return World(folder, graph, self.scratch / "cache")

    def encoder(self, handle: str) -> ImageEncoder:
        """Gives an encoder with weights that nobody trained, loaded once."""
        if handle not in self.loaded:
            file = self._weights(Handle.parse(handle))
            self.loaded[handle] = load(handle, weights=file, device=self.device)
        return self.loaded[handle]

    def served(self, handle: str) -> str:
        """Gives a handle by which another process loads the same CLIP."""
        asked = Handle.parse(handle)
        words = "".join(f"+{word}" for word in asked.words)
        file = self._weights(asked)
        return f"clip:{file}{words}" if file else handle

    def _weights(self, handle: Handle) -> Path | None:
        """Gives a file of weights that nobody trained; None for an encoder that needs none."""
        architecture = named(handle).architecture
        file = self.scratch / f"{architecture}.safetensors"
        if handle.name in (RANDOM, OURS):
            return None
        if not file.exists():
            is_clip = handle.name.startswith("clip_")
            weights = untrained_weights(architecture) if is_clip else untrained_resnet(architecture)
            save_file(weights, file)
        return file

    def images(self, encoder: ImageEncoder, count: int) -> npt.NDArray[np.uint8]:
        """Gives (count, h, w, 3) noise, as a network sees 640 x 480 views."""
        rng = generator(0, "images")
        views = rng.integers(256, size=(count, *VIEW, 3), dtype=np.uint8)
        return fitted(views, encoder.recipe)


def named_rows(setting: EncodeSetting) -> list[Row]:
    """Gives the bare rate of every network with a name, on 640 x 480 views as they come."""
    rng = generator(0, "views")
    views = rng.integers(256, size=(1 if setting.quick else 8, *VIEW, 3), dtype=np.uint8)
    rows = []
    for name in ("clip_rn50",) if setting.quick else NETWORKS:
        encoder = setting.encoder(name)
        # whole frames take much memory, and as much time as six squares
        batch = views[:2] if encoder.recipe.frame == "native" else views
        (timing,) = _alternating([_repeated(encoder, batch, 1)], setting, repeats=3)
        label = f"{name}, {encoder.spec.image_size[1]} x {encoder.spec.image_size[0]}"
        rows.append(rate_row("named", label, timing, count=len(batch), unit="views/s"))
        del setting.loaded[name]
    return rows


def network_rows(setting: EncodeSetting) -> list[Row]:
    """Gives, per encoder, the bare network's rate by batch size, then the service's at the best."""
    return [row for handle in setting.encoders for row in _encoder_rows(setting, handle)]


def _encoder_rows(setting: EncodeSetting, handle: str) -> list[Row]:
    encoder = setting.encoder(handle)
    images = setting.images(encoder, max(setting.batches))
    bare = []
    for batch in setting.batches:
        work = _repeated(encoder, images[:batch], max(setting.batches) // batch)
        timing = _alternating([work], setting)[0]
        count = max(setting.batches) // batch * batch
        bare.append(
            rate_row("bare", f"{handle}, batch {batch}", timing, count=count, unit="images/s")
        )
    fastest = int(np.argmax([row.value for row in bare]))
    bare[fastest] = replace(bare[fastest], incumbent=KNOWN.get(handle))
    return [*bare, *_service_rows(setting, encoder, setting.batches[fastest])]


def untrained_resnet(name: str) -> dict[str, Tensor]:
    """Gives weights of one of torchvision's ResNets that nobody trained."""
    import timm

    module = timm.create_model(f"{name}.tv_in1k", pretrained=False)
    weights: dict[str, Tensor] = module.state_dict()
    return weights


def _repeated(
    encoder: ImageEncoder, images: npt.NDArray[np.uint8], times: int
) -> Callable[[], object]:
    def work() -> None:
        for _ in range(times):
            encoder.images(images)

    return work


def _service_rows(setting: EncodeSetting, encoder: ImageEncoder, best: int) -> list[Row]:
    """Gives the service's rate beside the bare network's at its best batch size, and latencies."""
    count = max(4, 64 // best) if not setting.quick else 2
    images = setting.images(encoder, best)
    single = images[:1]
    handle = encoder.handle
    limits = Limits(max_batch=best)
    with (
        EncoderService({handle: encoder.encode}, limits=limits) as service,
        service.client("one") as one,
        service.client("other") as other,
    ):
        clients = (one, other)

        def through_service() -> None:
            # Single images, from two clients in turn: every batch has to be put together.
            asked = [
                clients[i % 2].submit(handle, "images", images[i % best : i % best + 1])
                for i in range(count * best)
            ]
            for answer in asked:
                answer.result()

        def alone() -> None:
            one.encode(handle, "images", single)

        bare, served = _alternating([_repeated(encoder, images, count), through_service], setting)
        bare_single, served_single = _alternating(
            [lambda: encoder.images(single), alone],
            setting,
            repeats=SINGLES if not setting.quick else 2,
        )
    share = statistics.median(b / s for b, s in zip(bare.seconds, served.seconds, strict=True))
    added = statistics.median(
        s - b for b, s in zip(bare_single.wall, served_single.wall, strict=True)
    )
    return [
        rate_row(
            "service",
            f"{handle}, single images of two clients, batches of {best}",
            served,
            count=count * best,
            unit="images/s",
            details={"bare_images_per_s": count * best / statistics.median(bare.seconds)},
        ),
        value_row(
            "service",
            f"{handle}, share of the bare network's rate in the same run (asked: 95 %)",
            100 * share,
            unit="%",
            rising=True,
        ),
        value_row(
            "service",
            f"{handle}, a single image on an idle service, above the network's own "
            f"{1000 * statistics.median(bare_single.wall):.0f} ms (asked: under 5 ms)",
            1000 * added,
            unit="ms",
        ),
    ]


def _alternating(
    works: Sequence[Callable[[], object]], setting: EncodeSetting, *, repeats: int = 0
) -> list[Timing]:
    """Gives timings of several works, done in turn so that a drift of the machine meets all."""
    for work in works:
        work()
    cpu: list[list[float]] = [[] for _ in works]
    wall: list[list[float]] = [[] for _ in works]
    for _ in range(repeats or (1 if setting.quick else setting.repeats)):
        for place, work in enumerate(works):
            start_cpu, start_wall = time.process_time(), time.perf_counter()
            work()
            cpu[place].append(time.process_time() - start_cpu)
            wall[place].append(time.perf_counter() - start_wall)
    return [Timing(tuple(c), tuple(w), setting.clock) for c, w in zip(cpu, wall, strict=True)]
