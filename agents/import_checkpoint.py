"""Makes a run of ours from an agent that somebody else trained.

`python -m agents.import_checkpoint --from envdrop snap/agent --encoder clip_rn50 --vocabulary
train_vocab.txt --out runs/NAME` reads what EnvDrop and CLIP-ViL publish; `python -m
benchmarks.evaluate --run runs/NAME --split val_unseen` plays it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import tyro

from agents.config import ModelConfig, TrainConfig, to_json
from agents.imported.envdrop import Agent, Imported, Sizes, find_file, read_envdrop
from agents.recipes import RECIPES
from agents.scene import Scene
from agents.trainer import BEST, LAST, Progress
from vln import checkpoint, worlds
from vln.encoders import check, looks
from vln.errors import BadConfig, CheckpointMismatch
from vln.runs import Run, entry_point, say
from vln.text import Vocabulary

DEFAULTS: Final = {"action": 64, "angles": 4, "angle_repeats": 32}
"""Widths that a run's settings do not hold, because all published agents have the same."""
SHIPPED: Final = (992, 991)
"""Words of published agents, and of one copy of R2R's annotations counted anew; `<BOS>` too."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Makes a run of ours from an agent that somebody else trained."""

    source: Annotated[Literal["envdrop"], tyro.conf.arg(name="from")]
    """Whose files: envdrop, which CLIP-ViL's are too."""
    snap: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SNAP")]
    """File of weights, such as snap/agent/state_dict/best_val_unseen, or the folder snap/agent."""
    encoder: str
    """Whose features it was trained on: a handle such as clip_rn50, or clip_rn50@1a2b3c4d for
    features that were imported."""
    out: Path
    """Folder of the new run."""
    vocabulary: Path | None = None
    """The words that it was trained with, one a line: train_vocab.txt. Counted anew in the
    training annotations where absent."""
    env: str = "r2r"
    """Data set or world that it walks in."""
    data: Path | None = None
    """The world's folder; VLN_DATA where absent."""
    agent: Literal["follower", "speaker"] | None = None
    """What it has to be; told by its tensors where absent."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m agents.import_checkpoint")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    found = import_run(
        config.snap,
        encoder=config.encoder,
        out=config.out,
        vocabulary=config.vocabulary,
        env=config.env,
        data=config.data,
        agent=config.agent,
    )
    say(
        f"{config.out}: a {found.agent} after {found.iteration:,} iterations, "
        f"{found.sizes.vocabulary:,} words, {found.sizes.features:,} features per view; from a "
        f"file of sha256 {found.sha256[:12]}"
    )
    if found.agent == "follower":
        say(f"play it: python -m benchmarks.evaluate --run {config.out} --split val_unseen")
    else:
        say(f"teach with it: python -m agents.train ... --extra.speaker {config.out}")
    return 0


def import_run(
    snap: Path,
    *,
    encoder: str,
    out: Path,
    vocabulary: Path | None = None,
    env: str = "r2r",
    data: Path | None = None,
    agent: Agent | None = None,
) -> Imported:
    """Writes the run of an agent that EnvDrop or CLIP-ViL saved, and gives what was read.

    Args:
        snap: File of weights, or its snap folder.
        encoder: Handle of the features that it was trained on.
        out: Folder of the new run.
        vocabulary: File of its words; those of the training annotations where None.
        env: Data set or world that it walks in.
        data: The world's folder; see `vln.worlds.find`.
        agent: What it has to be; either where None.

    Raises:
        MissingData: The weights, the words, the data or the features are not there.
        CorruptData: A file is damaged, or would run code.
        CheckpointMismatch: The weights are not of such an agent, or do not fit words or features.
        BadConfig: The folder holds a run already.
        UnknownName: No such encoder, data set or world.
    """
    check(encoder)
    worlds.check(env)
    file = find_file(snap, agent=agent)
    found = read_envdrop(file)
    if agent not in (None, found.agent):
        raise CheckpointMismatch(
            f"{file} holds a {found.agent}, expected a {agent}. Name another file, or leave "
            "--agent out."
        )
    _check_defaults(found.sizes, file)
    data = worlds.locate(env, data, pictures=looks(encoder)).data
    config = _config(found, encoder=encoder, env=env)
    if (out / "config.json").exists():  # before features are looked for, which may take hours
        raise BadConfig(f"{out} already holds a run. Choose another folder with --out.")
    given = None if vocabulary is None else _words_of(vocabulary, found.sizes, file)
    scene = Scene.open(config, data)
    try:
        words = given or _counted_words(scene, found.sizes, file)
        _check_width(found.sizes, scene, encoder=encoder, file=file)
        _write(out, config, found, scene, words, source=file)
    finally:
        scene.close()
    return found


def _check_defaults(sizes: Sizes, file: Path) -> None:
    others = {
        name: (value, getattr(sizes, name))
        for name, value in DEFAULTS.items()
        if getattr(sizes, name, value) != value
    }
    if others:
        told = ", ".join(
            f"{name} is {has} and not {usual}" for name, (usual, has) in others.items()
        )
        raise CheckpointMismatch(
            f"{file} has other widths than all published agents, which a run's settings do not "
            f"hold: {told}. In a program, agents.imported.envdrop.read_envdrop reads it."
        )


def _config(found: Imported, *, encoder: str, env: str) -> TrainConfig:
    """Gives settings under which the agent plays, and could be trained on."""
    usual = RECIPES[found.agent]()
    model = replace(usual.model, word=found.sizes.word, hidden=found.sizes.hidden)
    assert isinstance(model, ModelConfig)
    return replace(
        usual,
        env=env,
        encoder=encoder,
        iterations=max(1, found.iteration),
        select="val_unseen",  # what EnvDrop's best files are chosen on
        model=model,
    )


def _words_of(vocabulary: Path, sizes: Sizes, file: Path) -> Vocabulary:
    words = Vocabulary.from_file(vocabulary)
    if len(words) != sizes.vocabulary:
        raise CheckpointMismatch(
            f"{file} knows {sizes.vocabulary:,} words, and {vocabulary} has {len(words):,}, <BOS> "
            "included. Name the file of words that it was trained with."
        )
    return words


def _counted_words(scene: Scene, sizes: Sizes, file: Path) -> Vocabulary:
    episodes = scene.episodes("train")
    words = Vocabulary.build(episode.instruction for episode in episodes)
    if len(words) == sizes.vocabulary:
        return words
    shipped = ""
    if (sizes.vocabulary, len(words)) == SHIPPED:
        shipped = (
            " The train_vocab.txt that EnvDrop ships with R2R's tasks has a word more, 'tot', "
            "which some copies of the annotations give less than five times: 991 lines, and <BOS>."
        )
    raise CheckpointMismatch(
        f"{file} knows {sizes.vocabulary:,} words, and the training annotations give "
        f"{len(words):,}, <BOS> included.{shipped} Name the file of words that it was trained with "
        "by --vocabulary."
    )


def _check_width(sizes: Sizes, scene: Scene, *, encoder: str, file: Path) -> None:
    dim = 0 if scene.features is None else scene.features.dim
    if dim != sizes.features:
        raise CheckpointMismatch(
            f"{file} sees {sizes.features:,} features per view, and --encoder {encoder} gives "
            f"{dim:,}. Name the encoder that it was trained on."
        )


def _write(
    out: Path,
    config: TrainConfig,
    found: Imported,
    scene: Scene,
    vocabulary: Vocabulary,
    *,
    source: Path,
) -> None:
    progress = Progress(iteration=found.iteration, best_iteration=found.iteration)
    state: dict[str, Any] = {
        "progress": vars(progress),
        "vocabulary": list(vocabulary.words),
        "features": scene.fingerprint,
        "features_dim": found.sizes.features,
        "world": scene.graph.world,
        "source": {"layout": "envdrop", "name": source.name, "sha256": found.sha256},
    }
    tensors = {f"model.{name}": tensor for name, tensor in found.tensors.items()}
    Run.create(out, seed=config.seed, config=to_json(config))
    scene.keep_fit(config, out)
    for name in (BEST, LAST):
        checkpoint.save(out / name, tensors=tensors, state=state)


if __name__ == "__main__":
    sys.exit(main())
