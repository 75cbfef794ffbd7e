"""`python -m agents.train`: trains an agent, or a recipe's in order, and ends with scores."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from agents.config import TrainConfig, from_json
from agents.course import check_stages, report_stages, train_run, train_stages
from agents.lessons.registry import LESSONS
from agents.recipes import RECIPES, USUAL, names, stages_of
from agents.report import eyes, report
from agents.scene import check_device
from agents.stages import Stages, holds_stages
from agents.trainer import run_folder
from vln import worlds
from vln.data.episodes import DATASETS
from vln.encoders import check
from vln.errors import BadConfig, UnknownName
from vln.runs import Run, entry_point

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Command:
    """Trains an agent, or several that build on each other; --resume RUN goes on."""

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


@dataclass(frozen=True)
class Asked:
    """What a command line asks for.

    Attributes:
        recipe: Name of the recipe.
        stages: Commands by the stage's name; of one run, a single one called "".
        reason: Why it trains in houses where nobody named them; empty otherwise.
    """

    recipe: str
    stages: Mapping[str, Command]
    reason: str = ""

    @property
    def first(self) -> Command:
        """The first stage's: what is not a setting is the same in all."""
        return next(iter(self.stages.values()))

    @property
    def configs(self) -> dict[str, TrainConfig]:
        """Settings by the stage's name."""
        return {name: command.config for name, command in self.stages.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return entry_point(lambda: _run(given))


def _run(given: list[str]) -> int:
    asked = _parse(given)
    command = asked.first
    for config in asked.configs.values():
        _check(config)
    if asked.reason:
        logger.info(
            "%s Training in the world houses instead, furnished homes of our own.", asked.reason
        )
        logger.info("%s", eyes(command.config))
    _check_resumed(command)
    folder = command.resume or command.out or run_folder(command.config)
    resumes = command.resume is not None
    try:
        if "" in asked.stages:
            data = train_run(command.config, folder, data=command.data, resumes=resumes)
            report(folder, command.config, data)
        else:
            data = train_stages(
                asked.configs, folder, recipe=asked.recipe, data=command.data, resumes=resumes
            )
            report_stages(asked.configs, folder, data)
    except KeyboardInterrupt:
        how = f"go on with --resume {folder}" if folder.exists() else "nothing had begun"
        sys.stderr.write(f"\nstopped; {how}\n")
        raise
    return 0


def _parse(given: list[str]) -> Asked:
    """Gives what is asked for.

    `--recipe NAME` sets the defaults that other flags change; in a recipe of stages a flag changes
    all of them, and `--STAGE.flag` only one.
    """
    given, recipe = _take(given, "--recipe")
    _, resumed = _take(given, "--resume")
    if resumed is not None:
        return _resumed(given, Path(resumed))
    reason = _why_houses(given)
    recipe = recipe or _usual_recipe(given, reason)
    defaults = stages_of(recipe)
    if reason:
        defaults = {name: _in_houses(config) for name, config in defaults.items()}
    stages = {
        name: _command(_of_stage(given, name, defaults), default)
        for name, default in defaults.items()
    }
    if "" in stages:
        check_stages(stages[""].config)
    else:
        _check_whole(stages, defaults)
    return Asked(recipe, stages, reason)


def _check_whole(stages: Mapping[str, Command], defaults: Mapping[str, TrainConfig]) -> None:
    """Refuses what cannot be said of a single stage of a recipe.

    Raises:
        BadConfig: A stage has another folder than the others, or trains another kind of agent.
    """
    first = next(iter(stages.values()))
    for name, command in stages.items():
        if replace(command, config=first.config) != first:
            raise BadConfig(
                "--out, --resume, --data and --or-houses are those of all stages together. Give "
                "them without the name of a stage."
            )
        if command.config.agent != defaults[name].agent:
            raise BadConfig(
                f"--agent {command.config.agent}, but stage {name} trains a "
                f"{defaults[name].agent}. Leave --agent out, or name the recipe of one run."
            )


def _resumed(given: list[str], folder: Path) -> Asked:
    """Gives a run, or a recipe's stages, as they were saved."""
    if holds_stages(folder):
        saved = Stages.read(folder)
    else:
        saved = Stages("", {"": Run.read_config(folder)})
    defaults = {name: from_json(values) for name, values in saved.configs.items()}
    commands = {}
    for name, default in defaults.items():
        command = _command(_of_stage(given, name, defaults), default)
        changed = command.config
        if changed != replace(
            default,
            threads=changed.threads,
            iterations=changed.iterations,
            service=changed.service,
        ):
            raise BadConfig(
                f"--resume {folder} goes on with that run's settings; only --threads, --iterations "
                "and --service may change. Leave the other flags out, or start a new run."
            )
        commands[name] = command
    _check_whole(commands, defaults)
    return Asked(saved.recipe, commands)


def _command(given: list[str], default: TrainConfig) -> Command:
    return tyro.cli(
        Command,
        args=given,
        default=Command(config=default),
        prog="python -m agents.train",
        description=(
            f"{Command.__doc__} Start from --recipe {'|'.join(names())} (default {USUAL}: speaker, "
            "follower and back-translation; with --agent NAME that one alone; with --or-houses "
            "demo or houses). In a recipe of several stages a flag holds for all of them, and "
            "--STAGE.flag, such as --speaker.iterations, for one."
        ),
    )


def _of_stage(given: list[str], stage: str, stages: Mapping[str, object]) -> list[str]:
    """Gives the arguments that hold for a stage: everybody's, and its own ones without its name.

    Its own come last, where they count however the command line has them.
    """
    common: list[str] = []
    own: list[str] = []
    kept = common
    for argument in given:
        if argument.startswith("--"):
            owner, dot, rest = argument.removeprefix("--").partition(".")
            owner = owner.replace("-", "_")
            is_owned = bool(stage) and bool(dot) and owner in stages
            kept = common if not is_owned else own if owner == stage else []
            argument = f"--{rest}" if is_owned else argument
        kept.append(argument)
    return common + own


def _in_houses(config: TrainConfig) -> TrainConfig:
    if config.env not in DATASETS:
        return config
    return replace(config, env="houses", encoder=RECIPES["houses"]().encoder)


def _why_houses(given: list[str]) -> str:
    """Gives why --or-houses takes the houses: R2R is not here, and no other data are named."""
    named = any(_take(given, flag)[1] is not None for flag in ("--env", "--data"))
    return "" if "--or-houses" not in given or named else worlds.lacks_r2r()


def _usual_recipe(given: list[str], reason: str) -> str:
    """Gives the recipe where none is named."""
    if "--or-houses" not in given:
        _, agent = _take(given, "--agent")
        if agent is not None and agent not in LESSONS:
            raise UnknownName.of("agent", agent, LESSONS)
        return agent or USUAL
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
        name, equals, value = argument.partition("=")
        if name == flag:
            if equals:
                return given[:index] + given[index + 1 :], value
            if index + 1 == len(given):
                raise BadConfig(f"{flag} needs a value after it.")
            return given[:index] + given[index + 2 :], given[index + 1]
    return given, None


def _check(config: TrainConfig) -> None:
    """Refuses names that are not known and settings that cannot work."""
    check(config.encoder)
    worlds.check(config.env)
    if config.agent not in LESSONS:
        raise UnknownName.of("agent", config.agent, LESSONS)
    check_device(config.device)


if __name__ == "__main__":
    sys.exit(main())
