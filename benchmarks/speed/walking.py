"""Speed of a greedy evaluation and of scoring."""

from __future__ import annotations

import numpy as np
import torch

from agents.evaluation import evaluate, walk
from agents.follower.policy import FollowerPolicy
from agents.loading import load_policy
from agents.scene import Scene
from agents.scripted import RandomAgent
from benchmarks.players import as_predictions
from benchmarks.protocols import score_predictions
from benchmarks.score import bootstrap
from benchmarks.speed.rows import Row, measure, seconds_row
from benchmarks.speed.setting import BLIND, Setting, follower_of

SPLIT = "val_unseen"
UPDATES = 150
DRAWS = 2000


def evaluation_rows(setting: Setting) -> list[Row]:
    """Walks val_unseen greedily with a blind agent, with two threads, and scores it."""
    policy, scene, who, max_steps = _agent(setting)
    episodes = scene.episodes(SPLIT)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first = measure(
            lambda: evaluate(policy, scene, SPLIT, max_steps=max_steps),
            repeats=1,
            warm_up=0,
            clock="wall",
        )
        timing = measure(
            lambda: evaluate(policy, scene, SPLIT, max_steps=max_steps),
            repeats=setting.repeats,
            clock="wall",
        )
        walked = walk(policy, scene.graph, episodes, max_steps=max_steps)
    finally:
        torch.set_num_threads(before)
    steps = np.array([len(trajectory.poses) for trajectory in walked])
    details = {
        "episodes": len(walked),
        "moves_per_episode": float((steps - 1).mean()),
        "cpu_s": float(np.median(timing.cpu)),
    }
    name = f"greedy walk over {SPLIT} and its scores, {who}, 2 threads"
    note = (
        "wall clock after start-up; the incumbent walks paths of the expert's length, ours "
        f"{details['moves_per_episode']:.1f} moves per episode"
    )
    return [
        seconds_row("evaluation", f"{name}, first", first, incumbent=19.9, note=note),
        seconds_row("evaluation", name, timing, incumbent=11.7, note=note, details=details),
    ]


def _agent(setting: Setting) -> tuple[FollowerPolicy, Scene, str, int]:
    if setting.run is not None:
        policy, scene, config, _ = load_policy(setting.run, data=setting.data)
        return policy, scene, f"run {setting.run.name}", config.max_steps
    updates = 2 if setting.quick else UPDATES
    trainer = setting.trainer(BLIND, reinforcement=False, precision="bfloat16")
    for group in trainer.optimizer.param_groups:
        group["lr"] = 3e-4  # it has to stop like a trained agent, after few updates
    for _ in range(updates):
        trainer.update()
    who = f"blind agent of {updates} bfloat16 updates"
    return follower_of(trainer).policy, trainer.scene, who, 35


def scoring_rows(setting: Setting) -> list[Row]:
    """Scores the random agent's walk over val_unseen: every metric, then intervals."""
    graph, episodes = setting.graph, setting.episodes(SPLIT)
    predictions = as_predictions(walk(RandomAgent(0), graph, episodes))
    timing = measure(
        lambda: score_predictions(
            predictions, file="", split=episodes, graph=graph, protocol="envdrop"
        ),
        repeats=setting.repeats,
    )
    scored = score_predictions(
        predictions, file="", split=episodes, graph=graph, protocol="envdrop"
    )
    intervals = measure(lambda: bootstrap(scored, draws=DRAWS, seed=0), repeats=setting.repeats)
    return [
        seconds_row(
            "scoring",
            f"{SPLIT}, checks and every metric, DTW included",
            timing,
            incumbent=0.21,
            note="incumbent: 0.19 s set-up and 0.02 s without the DTW metrics and checks",
        ),
        seconds_row("scoring", f"{SPLIT}, intervals from {DRAWS:,} bootstrap samples", intervals),
    ]
