"""What agents do on the splits of a reproduction: each stage of a run played and scored.

Scores are those of `benchmarks.evaluate`. Knows no published number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from agents.config import TrainConfig, from_json
from agents.course import is_done
from agents.imported.envdrop import Agent
from agents.lessons.speaker import Lines
from agents.loading import Trained, load_narrator
from agents.stages import Stages, holds_stages
from agents.trainer import BEST
from benchmarks.evaluate import evaluate
from benchmarks.players import Choice, open_player
from benchmarks.reproduction.lacking import ENV
from benchmarks.reproduction.registered import SPLITS, Stage
from benchmarks.score import bootstrap
from vln.data.locations import sha256
from vln.encoders.weights.download import file_sha256
from vln.errors import BadConfig, CheckpointMismatch
from vln.metrics.paths import METRICS
from vln.metrics.text import corpus_bleu
from vln.runs import Run

PROTOCOL: Final = "envdrop"


@dataclass(frozen=True, kw_only=True)
class How:
    """What playing takes beside an agent.

    Attributes:
        predictions: Where walks are written to: FOLDER/BEGINNING, which stage and split follow.
        data: The data folder; `$VLN_DATA` where None.
        device: Where networks live.
        threads: Of matrix products on a CPU.
        draws: Bootstrap samples.
        seed: Of the bootstrap.
    """

    predictions: Path
    data: Path | None = None
    device: str = "cpu"
    threads: int = 1
    draws: int = 2000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    """A measured mean; the ends of its interval are equal to it where there is none."""

    mean: float
    low: float
    high: float
    unit: str
    has_interval: bool = True


@dataclass(frozen=True)
class Played:
    """One split.

    Attributes:
        split: Its name.
        count: Instructions that were followed, or paths that were described.
        annotations: SHA-256 of its file.
        world: SHA-256 of the connectivity files.
        values: By metric.
        digests: SHA-256 of files that were written, by name.
    """

    split: str
    count: int
    annotations: str
    world: str
    values: Mapping[str, Value]
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Measured:
    """One stage of a run.

    Attributes:
        stage: Which.
        run: What its folder is called.
        config: Its settings.
        is_finished: Whether it was trained to its end.
        source: What it was imported from; empty for an agent trained here.
        iteration: Of the checkpoint that was played.
        digests: SHA-256 of weights, words, features, by name.
        splits: What it did.
    """

    stage: Stage
    run: str
    config: TrainConfig
    is_finished: bool
    source: Mapping[str, str]
    iteration: int
    digests: Mapping[str, str]
    splits: Sequence[Played]


@dataclass(frozen=True)
class Candidate:
    """A run that may be played as a stage.

    Attributes:
        stage: Which.
        folder: The run's.
        config: Its settings.
    """

    stage: Stage
    folder: Path
    config: TrainConfig

    @property
    def is_there(self) -> bool:
        """Whether it has a checkpoint yet."""
        return (self.folder / BEST).is_file()

    @property
    def agent(self) -> Agent:
        """What kind of agent it is."""
        return "speaker" if self.config.agent == "speaker" else "follower"


def candidates(run: Path, *, stage: Stage | None = None) -> list[Candidate]:
    """Gives the stages of a run in order, those without a checkpoint too.

    Args:
        run: A run's folder, or a whole recipe's.
        stage: What a single run is taken for; told by its settings where None, and the last stage
            for a follower that was imported, which has no settings of its own.

    Raises:
        CheckpointMismatch: No such run.
        BadConfig: A stage was named that the run cannot be.
    """
    if holds_stages(run):
        if stage is not None:
            raise BadConfig(f"{run} has stages of its own. Leave --stage out.")
        saved = Stages.read(run).configs
        configs = {run / name: from_json(values) for name, values in saved.items()}
        return [Candidate(_stage_of(c), folder, c) for folder, c in configs.items()]
    config = from_json(Run.read_config(run))
    told = _stage_of(config)
    if told == "follower" and "source" in Trained.read(run, agent="follower").state:
        told = "back_translation"
    if stage is not None and (stage == "speaker") != (told == "speaker"):
        raise BadConfig(f"{run} is the run of a {config.agent}, not of the stage {stage}.")
    return [Candidate(stage or told, run, config)]


def _stage_of(config: TrainConfig) -> Stage:
    if config.agent == "speaker":
        return "speaker"
    return "back_translation" if config.extra.is_used else "follower"


def measure(candidate: Candidate, how: How) -> Measured:
    """Plays the best checkpoint of a stage on every split.

    Raises:
        CheckpointMismatch: It does not fit the data and features found.
        MissingData, CorruptData: Data or features cannot be used.
    """
    if not candidate.is_there:
        raise CheckpointMismatch(f"{candidate.folder} has no checkpoint yet.")
    torch.set_num_threads(how.threads)
    trained = Trained.read(candidate.folder, agent=candidate.agent)
    play = _described if candidate.agent == "speaker" else _walked
    splits = play(candidate, how)
    source = dict(trained.state.get("source", {}))
    digests = {
        "weights": file_sha256(candidate.folder / BEST),
        "words": trained.vocabulary.sha256,
        "features": trained.state["features"],
    }
    if source:
        digests["imported file"] = source["sha256"]
    return Measured(
        stage=candidate.stage,
        run=candidate.folder.name,
        config=candidate.config,
        is_finished=is_done(candidate.config, candidate.folder),
        source=source,
        iteration=trained.state["progress"]["iteration"],
        digests=digests,
        splits=splits,
    )


def _walked(candidate: Candidate, how: How) -> list[Played]:
    return [_walk(candidate, split, how) for split in SPLITS]


def _walk(candidate: Candidate, split: str, how: How) -> Played:
    choice = Choice(
        split=split,
        run=candidate.folder,
        env=ENV,
        data=how.data,
        device=how.device,
        threads=how.threads,
    )
    beginning = how.predictions
    file = beginning.with_name(f"{beginning.name}-{candidate.stage}-{split}.json")
    player = open_player(choice)
    scored = evaluate(player, file=file, protocol=PROTOCOL)
    interval = bootstrap(scored, draws=how.draws, seed=how.seed)
    ends = zip(METRICS, interval.estimate, interval.low, interval.high, strict=True)
    return Played(
        split=split,
        count=len(scored.walked.episodes),
        annotations=scored.split.sha256,
        world=player.graph.world,
        values={
            metric.label: Value(float(mean), float(low), float(high), metric.unit)
            for metric, mean, low, high in ends
        },
        digests={file.name: sha256(file)},
    )


def _described(candidate: Candidate, how: How) -> list[Played]:
    narrator, scene, *_ = load_narrator(candidate.folder, data=how.data, env=ENV, device=how.device)
    played = []
    for split in SPLITS:
        episodes = scene.episodes(split)
        lines = Lines.of(episodes, scene.graph, narrator)
        told = narrator.texts(lines.routes)
        scores: dict[str, Any] = {
            "BLEU-4, EnvDrop's": corpus_bleu(told, lines.references, protocol="envdrop").score,
            "BLEU-4, sacrebleu's": corpus_bleu(told, lines.references, protocol="sacrebleu").score,
        }
        values = {
            name: Value(score, score, score, "%", has_interval=False)
            for name, score in scores.items()
        }
        played.append(Played(split, len(told), episodes.sha256, scene.graph.world, values, {}))
    scene.close()
    return played
