"""A recipe's folder: the runs of its stages in order, and which of them is meant.

Knows names, kinds and folders, not how a stage is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from vln.errors import BadConfig, CheckpointMismatch
from vln.runs import atomic

STAGE: Final = "stage:"
"""Before the name of a stage where settings name a run: that of the same recipe's folder."""
FILE: Final = "recipe.json"
"""In a recipe's folder: what its stages are."""


@dataclass(frozen=True)
class Stages:
    """What a recipe is made of.

    Attributes:
        recipe: Its name.
        configs: Settings of every stage as plain values, by the stage's name, in order.
    """

    recipe: str
    configs: Mapping[str, Mapping[str, Any]]

    def write(self, folder: Path) -> None:
        """Writes it into a folder.

        Raises:
            BadConfig: The folder holds a run or a recipe, or cannot be written to.
        """
        check_free(folder)
        content = {"recipe": self.recipe, "stages": self.configs}
        try:
            with atomic(folder / FILE) as stream:
                stream.write(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        except OSError as error:
            raise BadConfig(
                f"cannot write to {folder} ({error.strerror}). Choose another folder with --out."
            ) from None

    @classmethod
    def read(cls, folder: Path) -> Stages:
        """Reads what `write` wrote.

        Raises:
            CheckpointMismatch: It cannot be read.
        """
        try:
            content = orjson.loads((folder / FILE).read_bytes())
            return cls(content["recipe"], dict(content["stages"]))
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointMismatch(
                f"{folder / FILE} cannot be read ({error}). Start a new run."
            ) from None


def check_free(folder: Path) -> None:
    """Refuses a folder that holds a run or a recipe.

    Raises:
        BadConfig: It does.
    """
    if holds_stages(folder) or (folder / "config.json").exists():
        raise BadConfig(
            f"{folder} already holds a run. Go on with `--resume {folder}`, or choose another "
            "folder with --out."
        )


def holds_stages(folder: Path) -> bool:
    """Says whether a folder is a recipe's."""
    return (folder / FILE).is_file()


def stage_of(folder: Path, agent: str) -> Path:
    """Gives the run of a recipe's last stage that trains such an agent and has a checkpoint.

    Args:
        folder: A recipe's folder; any other is given back as it is.
        agent: `follower` or `speaker`.

    Raises:
        CheckpointMismatch: No such stage has come that far.
    """
    if not holds_stages(folder):
        return folder
    configs = Stages.read(folder).configs
    names = [name for name, config in configs.items() if config["agent"] == agent]
    begun = [name for name in names if (folder / name / "checkpoints").is_dir()]
    if not begun:
        raise CheckpointMismatch(
            f"{folder} has no trained {agent} yet (stages of such: {', '.join(names) or 'none'}). "
            f"Go on with `python -m agents.train --resume {folder}`."
        )
    return folder / begun[-1]
