"""What is said and drawn once an agent has been trained."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from agents.config import TrainConfig
from agents.evaluation import draw_outcomes, sample_walks, score, walk
from agents.lessons.speaker import Lines
from agents.loading import load_narrator, load_policy
from vln.runs import say
from vln.viz.maps import draw_paths, write_png

EXAMPLES: Final = 3
"""Paths whose made instructions are shown beside people's."""


def report(folder: Path, config: TrainConfig, data: Path) -> None:
    """Prints the scores of a run's best checkpoint, and draws walks or shows instructions."""
    shown = _report_speaker if config.agent == "speaker" else _report_follower
    shown(folder, config, data)


def eyes(config: TrainConfig) -> str:
    """Gives one sentence on what the agent sees."""
    if config.encoder == "none":
        return "The agent sees nothing (--encoder none): it knows directions alone."
    if config.encoder == "object_words":
        return (
            "The agent sees the names of the objects in every view (--encoder object_words), not "
            "the pictures: that needs no download."
        )
    return f"The agent sees with --encoder {config.encoder}."


def _report_follower(folder: Path, config: TrainConfig, data: Path) -> None:
    policy, scene, _, state = load_policy(
        folder, data=data, device=config.device, service=config.service
    )
    say(_headline(folder, config, data, state["progress"]["iteration"], chosen_by="success rate"))
    say(eyes(config))
    say(f"{'split':12}{'episodes':>9}{'TL':>8}{'NE':>7}{'OSR':>7}{'SR':>7}{'SPL':>7}{'nDTW':>7}")
    splits = _splits(config)
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


def _report_speaker(folder: Path, config: TrainConfig, data: Path) -> None:
    narrator, scene, _, state = load_narrator(
        folder, data=data, device=config.device, service=config.service
    )
    say(_headline(folder, config, data, state["progress"]["iteration"], chosen_by="BLEU"))
    say(f"{'split':12}{'paths':>9}{'BLEU':>8}{'EnvDrop':>9}{'word loss':>11}{'words right':>13}")
    splits = _splits(config)
    for split in splits:
        lines = Lines.of(scene.episodes(split), scene.graph, narrator)
        told = narrator.texts(lines.routes)
        judged = lines.judge(narrator, told)
        say(
            f"{split:12}{len(told):>9}{judged['bleu']:>8.1f}{judged['bleu_envdrop']:>9.1f}"
            f"{judged['word_loss']:>11.3f}{100 * judged['word_accuracy']:>12.1f}%"
        )
    for place in np.unique(np.linspace(0, len(told) - 1, EXAMPLES).astype(int)).tolist():
        say(f"{splits[-1]} path {place}: {told[place]}")
        say(f"    a person: {lines.references[place][0]}")
    scene.close()
    say(f"curves: tensorboard --logdir {folder}")


def _headline(
    folder: Path, config: TrainConfig, data: Path, iteration: int, *, chosen_by: str
) -> str:
    hidden = "" if config.hide == "nothing" else f", without {config.hide}s"
    kind = "training houses held out" if config.select == "dev" else "a reported split"
    return (
        f"\n{folder}: {config.env} in {data}, --encoder {config.encoder}{hidden}: the best of "
        f"{config.iterations} updates is {iteration}, chosen by {chosen_by} on {config.select} "
        f"({kind})"
    )


def _splits(config: TrainConfig) -> tuple[str, ...]:
    return tuple(dict.fromkeys((config.select, *config.evaluate)))
