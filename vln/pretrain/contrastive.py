"""`python -m vln.pretrain.contrastive` trains a small CLIP on houses: an image and a text tower.

The standard recipe of CLIP: symmetric InfoNCE, a learnt temperature, crops. Other `--objective`s
teach the same image tower otherwise, for comparisons. A run that was stopped goes on when the same
command is given again.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from vln import worlds
from vln.errors import BadConfig
from vln.pretrain.config import PretrainConfig
from vln.runs import Run, entry_point, say


@dataclass(frozen=True, kw_only=True)
class Config(PretrainConfig):
    """Trains a small CLIP, or the same image tower by another objective."""

    data: Path | None = None
    """The world's folder; without it the cache's, where it is made if need be."""
    out: Path = Path("runs/clip_house")
    """The run's folder; the finished tower is OUT/tower.safetensors."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m vln.pretrain.contrastive")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    import torch

    from vln.encoders.networks.tower import TowerSpec
    from vln.pretrain.pairs import load_pairs
    from vln.pretrain.training import Pretraining

    torch.set_num_threads(config.threads)
    data = worlds.locate(config.env, config.data).data
    pairs, unseen = (
        load_pairs(data, split, size=TowerSpec().size) for split in ("train", "val_unseen")
    )
    fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(PretrainConfig)}
    training = Pretraining(PretrainConfig(**fields), pairs, unseen, _open(config, fields))
    file = training.train()
    say(f"{file}: {training.updates:,} updates in {training.seconds / 60:.1f} minutes")
    say(f"use it with --encoder tower:{file}")
    return 0


def _open(config: Config, fields: dict[str, object]) -> Run:
    """Gives the run's folder: a new one, or the one that the same command began.

    Raises:
        BadConfig: The folder holds a run with other settings.
    """
    asked = asdict(PretrainConfig(**fields))  # type: ignore[arg-type]
    if not (config.out / "config.json").exists():
        return Run.create(config.out, seed=config.seed, config=asked)
    begun = Run.read_config(config.out)
    free = {"threads", "evaluate_every"}  # change no weight beyond rounding
    other = [name for name in asked if name not in free and begun.get(name) != asked[name]]
    if other:
        raise BadConfig(
            f"{config.out} holds a run with another {', '.join(other)} "
            f"({', '.join(str(begun.get(name)) for name in other)}). Give it the same settings to "
            "go on, or choose another folder with --out."
        )
    return Run(config.out, seed=config.seed)


if __name__ == "__main__":
    sys.exit(main())
