"""A published number beside what comes out here: `python -m benchmarks.reproduce r2r_envdrop`.

`--run RUN` plays a recipe that was trained here, stage by stage; `--snap SNAP --encoder HANDLE` the
weights that EnvDrop or CLIP-ViL published. Without either it says what is missing. The report
states how far apart the numbers are; it claims nothing.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
import tyro

from agents.import_checkpoint import import_run
from agents.imported.envdrop import Agent, find_file
from agents.scene import check_device
from benchmarks import tables
from benchmarks.reproduction import lacking
from benchmarks.reproduction.document import Report, as_document, as_object, headline
from benchmarks.reproduction.measured import Candidate, How, candidates, measure
from benchmarks.reproduction.registered import REPRODUCTIONS, Reproduction, Stage
from benchmarks.speed.machine import describe
from vln import worlds
from vln.data import r2r
from vln.data.locations import sha256
from vln.encoders import check
from vln.encoders.weights.download import file_sha256
from vln.errors import BadConfig, CheckpointMismatch
from vln.runs import atomic, entry_point, say


@dataclass(frozen=True, kw_only=True)
class Config:
    """Plays an agent and puts its scores beside published ones."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = ""
    """Which published numbers, such as r2r_envdrop; --list shows all."""
    list: bool = False
    """Show what can be reproduced, and do nothing else."""
    run: Path | None = None
    """Folder of a run, or of a recipe's, that `python -m agents.train` or
    `python -m agents.import_checkpoint` wrote."""
    snap: Path | None = None
    """Weights that EnvDrop or CLIP-ViL saved, or their snap folder; instead of --run."""
    encoder: str = ""
    """Whose features --snap was trained on; those of the published agent where absent."""
    vocabulary: Path | None = None
    """The words that --snap was trained with: train_vocab.txt."""
    stage: Stage | None = None
    """Which stage a single run or --snap comes from. Told by a run's settings where absent; the
    last one of an imported follower."""
    out: Path | None = None
    """File of the report, .md; the same for programs is beside it as .json, and so are the walks.
    reproduction.md in the run's folder, or in runs/NAME-SHA256 for --snap, where absent."""
    data: Path | None = None
    """Data folder; without it VLN_DATA."""
    device: str = "cpu"
    """Where networks live: cpu, cuda, cuda:1."""
    threads: int = 1
    """Threads of matrix products on a CPU."""
    draws: int = 2000
    """Bootstrap samples behind the intervals."""
    seed: int = 0
    """Seed of the bootstrap."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.reproduce")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    if config.list:
        say(tables.as_text(listing()))
        return 0
    reproduction = _check(config)
    check_device(config.device)
    given = [] if config.run is None else _stages(config.run, stage=config.stage)
    for encoder in dict.fromkeys(_encoders(config, reproduction, given)):
        has_agent = config.run is not None or config.snap is not None
        lacking.refuse(reproduction, encoder=encoder, data=config.data, has_agent=has_agent)
    out = _out(config)
    with _played(config, reproduction, given) as stages:
        report = reproduce(reproduction, stages, config=config, out=out)
    with atomic(out.with_suffix(".json")) as stream:
        stream.write(orjson.dumps(as_object(report), option=orjson.OPT_INDENT_2))
    with atomic(out, "w") as stream:
        stream.write(as_document(report))
    say(f"{headline(report)}\n{out}")
    return 0


def listing() -> tables.Table:
    """Gives one row per reproduction: its encoder, and the last stage's numbers on val_unseen."""
    rows = []
    for name in REPRODUCTIONS:
        entry = REPRODUCTIONS[name]
        last = entry.headline()
        unsure = [metric for metric, one in last.items() if not one.is_confirmed]
        note = f"{', '.join(unsure)} from memory, not confirmed" if unsure else "confirmed"
        numbers = " ".join(f"{metric} {one.value:g}" for metric, one in last.items())
        rows.append((name, entry.encoder, entry.recipe, numbers, note))
    return tables.Table(("name", "encoder", "recipe", "val_unseen", ""), rows)


def reproduce(
    reproduction: Reproduction, stages: Sequence[Candidate], *, config: Config, out: Path
) -> Report:
    """Plays the stages that are there, and gives what came out.

    Args:
        reproduction: What is to be met.
        stages: In order, those that are not there yet too.
        config: How they are played.
        out: File of the report, beside which the walks are written.

    Raises:
        CheckpointMismatch: A stage does not fit the data or features found.
    """
    how = How(
        predictions=out.with_suffix(""),
        data=config.data,
        device=config.device,
        threads=config.threads,
        draws=config.draws,
        seed=config.seed,
    )
    data = worlds.find(lacking.ENV, config.data).data
    return Report(
        reproduction=reproduction,
        stages=[measure(stage, how) for stage in stages if stage.is_there],
        untrained=[stage.stage for stage in stages if not stage.is_there],
        train=sha256(r2r.file_of(data, "train")),
        machine=describe(threads=config.threads, device=config.device),
        draws=config.draws,
    )


def _check(config: Config) -> Reproduction:
    """Gives what is to be reproduced, where the options go together."""
    if not config.name:
        raise BadConfig(f"name what is to be reproduced: {', '.join(REPRODUCTIONS)}; see --list.")
    reproduction = REPRODUCTIONS[config.name]
    if config.run is not None and config.snap is not None:
        raise BadConfig("name one agent: either --run RUN, or --snap SNAP.")
    if config.snap is None and (config.encoder or config.vocabulary is not None):
        raise BadConfig("--encoder and --vocabulary go with --snap; a run has its own.")
    if config.out is not None and config.out.suffix != ".md":
        raise BadConfig(f"--out {config.out}: expected a file that ends in .md.")
    if config.encoder:
        check(config.encoder)
    return reproduction


def _stages(run: Path, *, stage: Stage | None) -> list[Candidate]:
    """Gives the stages of a run, at least one of which has been trained."""
    given = candidates(run, stage=stage)
    if not any(one.is_there for one in given):
        raise CheckpointMismatch(
            f"no stage of {run} has a checkpoint yet. Train it to its first evaluation with "
            f"`python -m agents.train --resume {run}`."
        )
    return given


def _encoders(
    config: Config, reproduction: Reproduction, given: Sequence[Candidate]
) -> Sequence[str]:
    """Gives whose features are needed."""
    if given:
        return [stage.config.encoder for stage in given if stage.is_there]
    return [config.encoder or reproduction.encoder]


def _out(config: Config) -> Path:
    if config.out is not None:
        return config.out
    if config.run is not None:
        return config.run / "reproduction.md"
    assert config.snap is not None
    file = find_file(config.snap, agent=_agent(config))
    return Path("runs") / f"{config.name}-{file_sha256(file)[:8]}" / "reproduction.md"


def _agent(config: Config) -> Agent | None:
    if config.stage is None:
        return None
    return "speaker" if config.stage == "speaker" else "follower"


@contextmanager
def _played(
    config: Config, reproduction: Reproduction, given: Sequence[Candidate]
) -> Iterator[Sequence[Candidate]]:
    """Gives the stages to play: the run's, or that of weights imported for as long as it takes."""
    if config.snap is None:
        yield given
        return
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "imported"
        import_run(
            config.snap,
            encoder=config.encoder or reproduction.encoder,
            out=run,
            vocabulary=config.vocabulary,
            data=config.data,
            agent=_agent(config),
        )
        yield candidates(run, stage=config.stage)


if __name__ == "__main__":
    sys.exit(main())
