"""`python -m agents.train`: trains an agent and ends with a table of its scores."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from agents.config import TrainConfig, from_json, to_json
from agents.evaluation import draw_outcomes, sample_walks, score, walk
from agents.recipes import RECIPES
from agents.scene import Scene, check_device, load_policy
from agents.trainer import Trainer, run_folder
from vln import worlds
from vln.encoders import ENCODERS
from vln.errors import BadConfig, UnknownName
from vln.runs import Run, entry_point, say
from vln.viz.maps import draw_paths, write_png

logger = logging.getLogger(__name__)

AGENTS = ("follower",)


@dataclass(frozen=True, kw_only=True)
class Command:
    """Trains an agent; interrupted runs go on with --resume RUN."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    resume: Path | None = None
    """Folder of a run to go on with; its saved settings are used, all others must be absent."""
    out: Path | None = None
    """Folder of the new run; runs/ENV-ENCODER-seedN-TIME where absent."""
    data: Path | None = None
    """The world's folder; VLN_DATA where absent, and the cache for a world of ours."""
    or_houses: bool = False
    """Trains the recipe demo where there is R2R; else says so, makes the world houses, and trains
    the recipe houses."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return entry_point(lambda: _run(given))


def _run(given: list[str]) -> int:
    command = _parse(given)
    config = _check(command.config)
    torch.set_num_threads(config.threads)
    data = worlds.locate(config.env, command.data).data
    scene = Scene.open(config, data, run=command.resume)
    folder = command.resume or command.out or run_folder(config)
    run = Run(folder, seed=config.seed)
    trainer = Trainer(config, scene, run)
    if command.resume is not None:
        trainer.resume()
    else:  # only now, so that settings that cannot work leave no folder behind
        Run.create(folder, seed=config.seed, config=to_json(config))
        scene.keep_fit(config, folder)
    sys.stderr.write(f"run {run.folder}\n")
    try:
        trainer.train()
    except KeyboardInterrupt:
        sys.stderr.write(f"\nstopped; go on with --resume {run.folder}\n")
        raise
    finally:
        run.close()
    _report(run.folder, config, data)
    return 0


def _parse(given: list[str]) -> Command:
    """Gives the command; `--recipe NAME` sets the defaults that other flags change."""
    given, recipe = _take(given, "--recipe")
    _, resumed = _take(given, "--resume")
    default = RECIPES[recipe or _usual_recipe(given)]()
    if resumed is not None:
        default = from_json(Run.read_config(Path(resumed)))
    command = tyro.cli(
        Command,
        args=given,
        default=Command(config=default),
        prog="python -m agents.train",
        description=(
            f"{Command.__doc__} Start from --recipe {'|'.join(RECIPES)} (default envdrop)."
        ),
    )
    if resumed is not None and command.config != replace(
        default, threads=command.config.threads, iterations=command.config.iterations
    ):
        raise BadConfig(
            f"--resume {resumed} goes on with that run's settings; only --threads and "
            "--iterations may change. Leave the other flags out, or start a new run."
        )
    return command


def _usual_recipe(given: list[str]) -> str:
    """Gives the recipe where none is named."""
    _, resumed = _take(given, "--resume")
    if "--or-houses" not in given or resumed is not None:
        return "envdrop"
    _, data = _take(given, "--data")
    reason = worlds.lacks_r2r(None if data is None else Path(data))
    if not reason:
        return "demo"
    logger.info(
        "%s Training in the world houses instead, furnished homes of our own. The agent sees the "
        "names of the objects in every view (--encoder object_words), not the pictures.",
        reason,
    )
    return "houses"


def _take(given: list[str], flag: str) -> tuple[list[str], str | None]:
    """Gives the arguments without a flag and its value, and the value."""
    for index, argument in enumerate(given):
        name, _, value = argument.partition("=")
        if name == flag:
            if value:
                return given[:index] + given[index + 1 :], value
            if index + 1 == len(given):
                raise BadConfig(f"{flag} needs a value after it.")
            return given[:index] + given[index + 2 :], given[index + 1]
    return given, None


def _check(config: TrainConfig) -> TrainConfig:
    """Gives the configuration back if every name in it is known and every setting possible."""
    ENCODERS[config.encoder]
    worlds.check(config.env)
    if config.agent not in AGENTS:
        raise UnknownName.of("agent", config.agent, AGENTS)
    check_device(config.device)
    return config


def _report(folder: Path, config: TrainConfig, data: Path) -> None:
    """Prints the best checkpoint's scores and draws some of its walks."""
    policy, scene, _, state = load_policy(folder, data=data, device=config.device)
    say(
        f"\n{folder}: the best of {config.iterations} updates is "
        f"{state['progress']['iteration']}, chosen by success rate on {config.select} "
        + ("(training houses held out)" if config.select == "dev" else "(a reported split)")
    )
    say(f"{'split':12}{'episodes':>9}{'TL':>8}{'NE':>7}{'OSR':>7}{'SR':>7}{'SPL':>7}{'nDTW':>7}")
    for split in dict.fromkeys((config.select, *config.evaluate)):
        episodes = scene.episodes(split)
        walked = walk(policy, scene.graph, episodes, max_steps=config.max_steps)
        mean = score(walked, scene.graph, episodes).mean()
        percent = [100 * mean[k] for k in ("oracle_success", "success", "spl", "ndtw")]
        say(
            f"{split:12}{len(episodes):>9}{mean['trajectory_length']:>8.2f}"
            f"{mean['navigation_error']:>7.2f}" + "".join(f"{x:>7.1f}" for x in percent)
        )
        picture = folder / f"walks_{split}.png"
        write_png(draw_paths(scene.graph, sample_walks(walked, scene.graph, episodes)), picture)
        if split == "val_unseen":
            say(draw_outcomes(walked, scene, episodes, folder=folder))
    say(f"walks drawn: {folder}/walks_*.png; curves: tensorboard --logdir {folder}")


if __name__ == "__main__":
    sys.exit(main())
