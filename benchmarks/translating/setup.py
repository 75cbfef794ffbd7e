"""What the study of back-translation is made of: rows that go on from one follower and one speaker.

Every seed trains a follower and a speaker; all rows of that seed begin with these very weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import tyro

from agents.config import ExtraConfig, TrainConfig
from agents.recipes import RECIPES
from benchmarks.study.setup import UNSEEN, Row, folder_of
from vln import worlds
from vln.encoders import check
from vln.errors import BadConfig, UnknownName

FOLLOWER: Final = "follower"
LONGER: Final = "longer"
TOLD: Final = "told"
SPEAKER: Final = "speaker"
"""No row: the run that the others' words come from."""
TOLD_PATHS: Final = "told-paths"
"""What is written before any run of `told` begins."""
ABOUT: Final[Mapping[str, str]] = {
    FOLLOWER: "where all others begin: labelled paths alone",
    LONGER: "as many further updates as below, on labelled paths alone",
    "translation": "and on sampled paths that the speaker describes, features dropped one by one",
    "translation_masked": "the same, all views of a scan seen and described through one mask",
    "translation_batch": "the same, all scans of a batch through one mask",
    TOLD: "the same sampled paths with instructions that the world's own writer made: a ceiling",
}
"""Every row there is, in order."""
MASKS: Final[Mapping[str, Literal["environment", "batch", "none"]]] = {
    "translation": "none",
    "translation_masked": "environment",
    "translation_batch": "batch",
}
"""Rows whose words are the speaker's."""
UNASKED: Final = ("translation_batch",)
"""Rows that are trained only where they are asked for."""
BASELINES: Final = (LONGER, FOLLOWER)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Trains followers with and without back-translation from the same beginnings; compares them.

    What is finished is kept: an interrupted study goes on when the same command is given again.
    """

    env: str = "houses-bench-v1"
    """World or data set."""
    encoder: str = "object_words"
    """What followers and speakers see with."""
    seeds: int = 5
    """Runs of every row, seeds 0, 1, ..."""
    updates: int = 1200
    """Weight updates of the follower that all rows begin with."""
    further: int = 1200
    """Weight updates after that, the same in all rows."""
    speaker_updates: int = 1200
    """Weight updates of the speaker."""
    paths: int = 10_000
    """Sampled paths, other ones for every seed; 0 takes all there are."""
    labels: int = 0
    """Labelled instructions that followers and speakers learn from; 0 takes all there are."""
    curve: int = 6
    """Points of each part of a learning curve, evenly spaced."""
    recipe: str = "houses_bench"
    """Everything else of a follower, see `agents.recipes`."""
    speaker_recipe: str = "houses_speaker"
    """Everything else of a speaker."""
    search: int = 0
    """Routes that a second table's search ends with, the speaker judging; 0 searches nothing."""
    row: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A row that is left out where nobody asks for it: translation_batch."""
    only: tuple[str, ...] = ()
    """Rows to train and report; all where absent. What they begin with is trained in any case."""
    out: Path = Path("runs/translation")
    """Folder of the runs."""
    results: Path = Path("runs/translation/results")
    """Report: RESULTS.md, RESULTS.json and pictures beside them."""
    stage: Literal["all", "train", "report"] = "all"
    """Train and let play, report on what is there, or both."""
    data: Path | None = None
    """Data folder; without it VLN_DATA, and the cache for a world."""
    threads: int = 1
    """Threads of matrix products on a CPU."""
    jobs: int = 1
    """Processes that train side by side, each another run."""
    device: str = "cpu"
    """Where networks live: cpu, cuda, cuda:1."""
    draws: int = 2000
    """Bootstrap samples behind the intervals."""

    def __post_init__(self) -> None:
        counts = ("seeds", "updates", "further", "speaker_updates", "curve", "threads", "jobs")
        for name in (*counts, "draws"):
            if getattr(self, name) < 1:
                raise BadConfig(
                    f"--{name.replace('_', '-')} {getattr(self, name)}; expected 1 or more."
                )
        for name in ("paths", "labels", "search"):
            if getattr(self, name) < 0:
                raise BadConfig(f"--{name} {getattr(self, name)}; expected 0 or more.")


def rows_of(config: Config) -> list[Row]:
    """Gives the rows, in order.

    Raises:
        BadConfig: `told` is asked for where nobody can write instructions.
        UnknownName: No such row, encoder, data set, world or recipe.
    """
    worlds.check(config.env)
    check(config.encoder)
    training_of(config, FOLLOWER, 0)
    training_of(config, SPEAKER, 0)
    for name in (*config.row, *config.only):
        if name not in ABOUT:
            raise UnknownName.of("row", name, ABOUT)
    is_ours = config.env in worlds.names()
    if TOLD in (*config.row, *config.only) and not is_ours:
        raise BadConfig(
            f"row {TOLD} needs instructions for sampled paths, and only worlds of ours "
            f"({', '.join(worlds.names())}) have somebody who writes them, not {config.env}."
        )
    absent = {name for name in UNASKED if name not in (*config.row, *config.only)}
    absent |= set() if is_ours else {TOLD}
    return [
        Row(name, config.encoder, about=about)
        for name, about in ABOUT.items()
        if name not in absent and (not config.only or name in config.only)
    ]


def row_of(config: Config, name: str) -> Row:
    """Gives a row, or the speaker's run, by name."""
    return Row(name, config.encoder, about=ABOUT.get(name, ""))


def run_of(config: Config, name: str, seed: int) -> Path:
    """Gives where the run of a row, or a speaker's, lives."""
    return folder_of(config, row_of(config, name), seed)


def needs_of(name: str) -> tuple[str, ...]:
    """Gives the kinds of runs of the same seed that a run begins with."""
    if name in (FOLLOWER, SPEAKER):
        return ()
    return (FOLLOWER, SPEAKER) if name in MASKS else (FOLLOWER,)


def told_file(config: Config, seed: int) -> Path:
    """Gives where the instructions for a seed's sampled paths are kept."""
    return config.out / TOLD_PATHS / f"seed{seed}.json"


def training_of(config: Config, name: str, seed: int) -> TrainConfig:
    """Gives the settings of one run.

    Raises:
        UnknownName: No such recipe.
        BadConfig: The recipe trains another kind of agent.
    """
    if name == SPEAKER:
        return _begun(config, config.speaker_recipe, config.speaker_updates, seed, agent=SPEAKER)
    base = _begun(config, config.recipe, config.updates, seed, agent=FOLLOWER)
    if name == FOLLOWER:
        return base
    longer = replace(
        base,
        start=str(run_of(config, FOLLOWER, seed)),
        start_from="last",
        iterations=config.further,
        evaluate_every=max(1, config.further // config.curve),
    )
    if name == LONGER:
        return longer
    return replace(longer, extra=_extra(config, name, seed, base))


def _begun(config: Config, recipe: str, updates: int, seed: int, *, agent: str) -> TrainConfig:
    made = RECIPES[recipe]()
    if made.agent != agent or made.start or made.extra.is_used:
        raise BadConfig(f"recipe {recipe!r} trains no {agent} from the beginning; name another.")
    return replace(
        made,
        env=config.env,
        encoder=config.encoder,
        labels=config.labels,
        seed=seed,
        iterations=updates,
        evaluate_every=max(1, updates // config.curve),
        evaluate=(UNSEEN,),
        device=config.device,
        threads=config.threads,
    )


def _extra(config: Config, name: str, seed: int, base: TrainConfig) -> ExtraConfig:
    learning = base.learning
    # Without reward there is nothing that the two weights could be balanced against.
    weight = ExtraConfig().imitation_weight if learning.reinforcement else learning.imitation_weight
    if name == TOLD:
        file = str(told_file(config, seed))
        return ExtraConfig(paths=file, words="file", mask="none", imitation_weight=weight)
    return ExtraConfig(
        paths="sampled",
        count=config.paths,
        words="speaker",
        speaker=str(run_of(config, SPEAKER, seed)),
        mask=MASKS[name],
        imitation_weight=weight,
    )
