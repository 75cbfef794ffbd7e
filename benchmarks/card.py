"""Writes what a tower is beside its weights: `python -m benchmarks.card FILE --out OUT`.

OUT.safetensors is the file itself, OUT.md says how it was made (command, seed, pictures), how large
it is, and how well it finds and names things in homes that it has not seen; OUT.png is its curve.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import tables, zeroshot
from benchmarks.curves import keep, plotting
from benchmarks.retrieval import Config as Retrieval
from benchmarks.retrieval import encoded_views, retrieve
from vln import worlds
from vln.data.captions import load_view_captions
from vln.data.connectivity import load_graph
from vln.data.objects import load_objects
from vln.encoders import World
from vln.encoders.networks.tower import TowerPair, TowerSpec
from vln.encoders.weights.towers import tower_header
from vln.errors import BadConfig
from vln.metrics.recall import Recall
from vln.pretrain.config import PretrainConfig
from vln.runs import atomic, entry_point, say


@dataclass(frozen=True, kw_only=True)
class Config:
    """Describes a tower that `python -m vln.pretrain.contrastive` trained, captions and all."""

    file: Annotated[Path, tyro.conf.Positional]
    """The finished tower."""
    out: Path = Path("assets/weights/clip_house")
    """Writes OUT.safetensors, OUT.md and OUT.png."""
    env: tuple[str, ...] = ("houses-pretrain-v1", "houses")
    """Worlds whose unseen homes it is measured on."""
    split: str = "val_unseen"
    """Of their captions."""
    draws: int = 20
    """Of 100 views each, for retrieval."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.card")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    header = tower_header(config.file)
    spec = TowerSpec.of_json(header["spec"], source=config.file)
    if not spec.words:
        raise BadConfig(f"{config.file} reads no words. Give a tower of --objective contrastive.")
    measured = [measure(env, config) for env in config.env]
    copy = config.out.with_suffix(".safetensors")
    with atomic(copy) as target, config.file.open("rb") as source:
        shutil.copyfileobj(source, target)
    _draw(header["about"]["curve"], file=config.out.with_suffix(".png"))
    text = document(
        header["about"],
        spec,
        size=copy.stat().st_size,
        measured=measured,
        config=config,
    )
    with atomic(config.out.with_suffix(".md"), "w") as stream:
        stream.write(text)
    say(text)
    return 0


@dataclass(frozen=True)
class Measured:
    """How well a tower knows the unseen homes of a world.

    Attributes:
        env: The world.
        homes: How many of its homes have captions there.
        captions: How many.
        found: Captions by views and views by captions.
        named: Objects and rooms.
    """

    env: str
    homes: int
    captions: int
    found: Recall
    named: Sequence[zeroshot.Named]


def measure(env: str, config: Config) -> Measured:
    """Gives how well the tower finds and names things in a world's unseen homes."""
    data = worlds.locate(env).data
    world = World(data, load_graph(data))
    captions = load_view_captions(data, config.split, graph=world.graph)
    asked = Retrieval(encoder=f"tower:{config.file.resolve()}")
    with encoded_views(asked, world) as source:
        found = retrieve(source, captions, draws=config.draws)
        named = zeroshot.name_views(source, captions, load_objects(data, world.graph))
    homes = len({world.graph.scan_of(one.panorama) for one in captions})
    return Measured(env, homes, len(captions), found, named)


def megaflops(spec: TowerSpec) -> float:
    """Gives the arithmetic of one view in millions, two operations per multiply-add."""
    tower = TowerPair(spec).image.eval()
    view = torch.zeros(1, 3, spec.size, spec.size * 4 // 3)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        tower(view)
    return float(counter.get_total_flops()) / 1e6


def command(config: Mapping[str, Any]) -> str:
    """Gives the command that trains such a tower again: what differs from the defaults."""
    plain, parts = vars(PretrainConfig()), ["python -m vln.pretrain.contrastive"]
    parts += [
        f"--{name.replace('_', '-')} {value}"
        for name, value in config.items()
        if name in plain and name not in ("augmentation", "threads") and plain[name] != value
    ]
    return " ".join(parts)


def document(
    about: Mapping[str, Any],
    spec: TowerSpec,
    *,
    size: int,
    measured: Sequence[Measured],
    config: Config,
) -> str:
    """Gives the card as Markdown."""
    curve = [
        (
            f"{row['step']:,}",
            f"{row['minutes']:.1f}",
            f"{row['loss']:.3f}",
            f"{100 * row['image_to_text_1']:.1f}",
            f"{100 * row['text_to_image_1']:.1f}",
        )
        for row in about["curve"]
    ]
    header = ("update", "minutes", "loss", "image to text R@1, %", "text to image R@1, %")
    return f"""# {config.out.name}

A small CLIP for houses of ours: a residual image tower ({megaflops(spec):.0f} MFLOP a view of
{spec.size * 4 // 3} x {spec.size} pixels, {spec.dim} features) and a reader of {len(spec.words)}
words, {size / 1e6:.1f} MB in half precision.

    {command(about["config"])}

Seed {about["config"]["seed"]}, {about["updates"]:,} updates, {about["minutes"]:.0f} minutes on one
core of a shared 2-core machine; pictures and captions {about["pairs"][:16]}. Written by
`python -m benchmarks.card`.

## In homes it has not seen

Among 100 views with pairwise different captions, mean of {config.draws} draws (± deviation between
draws; chance 1 and 5), split {config.split}, in %:

{tables.as_markdown(_found(measured))}

Without having been taught the task (`python -m benchmarks.zeroshot`), in %:

{tables.as_markdown(_named(measured))}

## Curve

On {about["config"]["env"]}'s own unseen homes, while it was trained:

{tables.as_markdown(tables.Table(header, curve))}
"""


def _found(measured: Sequence[Measured]) -> tables.Table:
    header = ("", "homes", "captions", "image to text R@1", "R@5", "text to image R@1", "R@5")
    rows = [
        (
            one.env,
            str(one.homes),
            f"{one.captions:,}",
            f"{100 * one.found.image_to_text[0]:.1f} ± {100 * one.found.deviation:.1f}",
            f"{100 * one.found.image_to_text[1]:.1f}",
            *(f"{100 * share:.1f}" for share in one.found.text_to_image),
        )
        for one in measured
    ]
    return tables.Table(header, rows)


def _named(measured: Sequence[Measured]) -> tables.Table:
    parts = [(one.env, zeroshot.as_table(one.named)) for one in measured]
    rows = [(f"{kind}, {env}", *cells) for env, part in parts for kind, *cells in part.rows]
    return tables.Table(parts[0][1].header, rows)


def _draw(curve: Sequence[Mapping[str, float]], *, file: Path) -> None:
    pyplot = plotting()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4))
    steps = [row["step"] for row in curve]
    left.plot(steps, [row["loss"] for row in curve], marker="o")
    left.set(xlabel="update", ylabel="loss (nats)", title="training")
    for key, label in (("image_to_text_1", "image to text"), ("text_to_image_1", "text to image")):
        right.plot(steps, [100 * row[key] for row in curve], marker="o", label=label)
    right.axhline(1, color="grey", linestyle=":", label="chance")
    right.set(xlabel="update", ylabel="R@1 among 100 (%)", title="unseen homes", ylim=(0, 100))
    right.legend(frameon=False)
    keep(figure, file)


if __name__ == "__main__":
    sys.exit(main())
