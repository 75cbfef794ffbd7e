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
from agents.scene import FIT, Scene, check_device, load_policy
from agents.trainer import Trainer, run_folder
from vln import worlds
from vln.data.episodes import DATASETS
from vln.encoders import check, looks
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
    command, reason = _parse(given)
    config = _check(command.config)
    if reason:
        logger.info("%s Training in the world houses instead, furnished homes of our own.", reason)
        logger.info("%s", _eyes(config))
    torch.set_num_threads(config.threads)
    _check_resumed(command)
    data = worlds.locate(config.env, command.data, pictures=looks(config.encoder)).data
    # not with the run's fit: where it learns otherwise now, the data have changed
    scene = Scene.open(config, data)
    folder = command.resume or command.out or run_folder(config)
    run = Run(folder, seed=config.seed)
    trainer = Trainer(config, scene, run)
    if command.resume is not None:
        trainer.resume()
    else:  # only now, so that settings that cannot work leave no folder behind
        Run.create(folder, seed=config.seed, config=to_json(config))
    if not (folder / FIT).is_file():  # also after a kill between the two
        scene.keep_fit(config, folder)
    sys.stderr.write(f"run {run.folder}\n")
    try:
        trainer.train()
    except KeyboardInterrupt:
        sys.stderr.write(f"\nstopped; go on with --resume {run.folder}\n")
        raise
    finally:
        run.close()
        scene.close()
    _report(run.folder, config, data)
    return 0


def _parse(given: list[str]) -> tuple[Command, str]:
    """Gives the command, and why it trains in the houses where nobody named them.

    `--recipe NAME` sets the defaults that other flags change.
    """
    given, recipe = _take(given, "--recipe")
    _, resumed = _take(given, "--resume")
    reason = "" if resumed is not None else _why_houses(given)
    if resumed is not None:
        default = from_json(Run.read_config(Path(resumed)))
    else:
        default = RECIPES[recipe or _usual_recipe(given, reason)]()
    if reason and default.env in DATASETS:
        default = replace(default, env="houses", encoder=RECIPES["houses"]().encoder)
    command = tyro.cli(
        Command,
        args=given,
        default=Command(config=default),
        prog="python -m agents.train",
        description=(
            f"{Command.__doc__} Start from --recipe {'|'.join(RECIPES)} (default envdrop; with "
            "--or-houses demo or houses)."
        ),
    )
    if resumed is not None and command.config != replace(
        default,
        threads=command.config.threads,
        iterations=command.config.iterations,
        service=command.config.service,
    ):
        raise BadConfig(
            f"--resume {resumed} goes on with that run's settings; only --threads, --iterations "
            "and --service may change. Leave the other flags out, or start a new run."
        )
    return command, reason


def _why_houses(given: list[str]) -> str:
    """Gives why --or-houses takes the houses: R2R is not here, and no other data are named."""
    named = any(_take(given, flag)[1] is not None for flag in ("--env", "--data"))
    return "" if "--or-houses" not in given or named else worlds.lacks_r2r()


def _usual_recipe(given: list[str], reason: str) -> str:
    """Gives the recipe where none is named."""
    if "--or-houses" not in given:
        return "envdrop"
    _, env = _take(given, "--env")
    return "houses" if reason or (env is not None and env in worlds.names()) else "demo"


def _check_resumed(command: Command) -> None:
    """Refuses to go on with a run on R2R by --or-houses where there is none."""
    if not command.or_houses or command.resume is None or command.config.env not in DATASETS:
        return
    reason = worlds.lacks_r2r(command.data)
    if reason:
        raise BadConfig(
            f"{command.resume} was trained on {command.config.env}, which is not here. {reason} "
            "Set VLN_DATA to go on, or begin anew: remove the folder, or name another with "
            "RUN=runs/NAME."
        )


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
    check(config.encoder)
    worlds.check(config.env)
    if config.agent not in AGENTS:
        raise UnknownName.of("agent", config.agent, AGENTS)
    check_device(config.device)
    return config


def _eyes(config: TrainConfig) -> str:
    """Gives one sentence on what the agent sees."""
    if config.encoder == "none":
        return "The agent sees nothing (--encoder none): it knows directions alone."
    if config.encoder == "object_words":
        return (
            "The agent sees the names of the objects in every view (--encoder object_words), not "
            "the pictures: that needs no download."
        )
    return f"The agent sees with --encoder {config.encoder}."


def _report(folder: Path, config: TrainConfig, data: Path) -> None:
    """Prints the best checkpoint's scores and draws some of its walks."""
    policy, scene, _, state = load_policy(
        folder, data=data, device=config.device, service=config.service
    )
    hidden = "" if config.hide == "nothing" else f", without {config.hide}s"
    say(
        f"\n{folder}: {config.env} in {data}, --encoder {config.encoder}{hidden}: the best of "
        f"{config.iterations} updates is "
        f"{state['progress']['iteration']}, chosen by success rate on {config.select} "
        + ("(training houses held out)" if config.select == "dev" else "(a reported split)")
    )
    say(_eyes(config))
    say(f"{'split':12}{'episodes':>9}{'TL':>8}{'NE':>7}{'OSR':>7}{'SR':>7}{'SPL':>7}{'nDTW':>7}")
    splits = tuple(dict.fromkeys((config.select, *config.evaluate)))
    for split in splits:
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
        if split == ("val_unseen" if "val_unseen" in splits else splits[-1]):
            outcomes = walked, episodes
    scene.close()
    say(draw_outcomes(outcomes[0], scene, outcomes[1], folder=folder))
    say(f"walks drawn: {folder}/walks_*.png; curves: tensorboard --logdir {folder}")


if __name__ == "__main__":
    sys.exit(main())
