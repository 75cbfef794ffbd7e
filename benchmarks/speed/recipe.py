"""Speed of the stages around the follower: speaker, its words, back-translation, search."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Final

import numpy as np

from agents.config import ExtraConfig, to_json
from agents.lessons.translation import TranslationLessons
from agents.recipes import back_translation, follower, speaker
from agents.search.candidates import SearchSettings
from agents.search.pragmatic import PragmaticSearch
from agents.search.rerank import RANKINGS
from agents.trainer import BEST, Trainer
from benchmarks.speed.rows import Row, Timing, measure, seconds_row
from benchmarks.speed.setting import Setting
from benchmarks.speed.training import Heard, Listener
from vln.data.splits import random_part
from vln.runs import Run

WORDS: Final = 32
"""Words that a speaker is let say: R2R's mean with its marks. Untrained, it finds no end."""
PATHS: Final = 5000
SEARCHED: Final = 256
SPLIT: Final = "val_unseen"
HOUR: Final = 3600


def recipe_rows(setting: Setting) -> list[Row]:
    """Updates EnvDrop's speaker and back-translation, generates words, searches routes."""
    return [row for width in setting.widths for row in _rows(setting, width)]


def _rows(setting: Setting, width: int) -> list[Row]:
    talker = setting.trainer_of(speaker(), width)
    rows = [_updates("a speaker", talker, setting, width)]
    walker = setting.trainer_of(follower(), width)
    rows.append(_updates("a follower", walker, setting, width))
    folder = _kept(talker, setting, width)
    extra = ExtraConfig(paths="sampled", count=_paths(setting), speaker=str(folder))
    config = dataclasses.replace(back_translation(), start="", extra=extra)
    translating = setting.trainer_of(config, width)
    lessons = translating.lessons
    assert isinstance(lessons, TranslationLessons)
    assert lessons.narrator is not None
    lessons.narrator.max_words = WORDS
    rows += [
        _updates("back-translation", translating, setting, width),
        _generation(lessons, setting, width),
        _search(lessons, setting, width),
    ]
    return rows


def _paths(setting: Setting) -> int:
    return 200 if setting.quick else PATHS


def _kept(trainer: Trainer, setting: Setting, width: int) -> Path:
    """Writes a speaker's run, for others to go on from."""
    folder = setting.scratch / f"speaker{width}"
    trainer.run = Run.create(folder, seed=0, config=to_json(trainer.config))
    trainer.save(BEST)
    return folder


def _updates(name: str, trainer: Trainer, setting: Setting, width: int) -> Row:
    """Times updates, with what they spend outside the networks where environments take part."""
    heard: list[Heard] = []

    def update() -> None:
        trainer.update()
        setting.settle()

    if trainer.config.agent == "speaker":
        timing = measure(update, repeats=setting.repeats, warm_up=2, clock=setting.clock)
    else:
        with Listener(trainer, setting) as listener:
            timing = measure(update, repeats=setting.repeats, warm_up=2, clock=setting.clock)
        heard = listener.heard[2 * len(listener.heard) // (setting.repeats + 2) :]
    updates = trainer.config.iterations
    hours = statistics.median(timing.seconds) * updates / HOUR
    details = {"hours_as_published": hours, "updates_as_published": float(updates)}
    if heard:
        details["share_outside_network"] = _outside(heard, timing)
    return seconds_row(
        "recipe", f"an update of {name}, 36x{width}, float32", timing, details=details
    )


def _outside(heard: list[Heard], timing: Timing) -> float:
    """Gives the share of an update that environments take, all its rollouts together."""
    outside = np.array([one.rollout - one.agent for one in heard])
    by_update = outside.reshape(len(timing.seconds), -1).sum(axis=1)
    return float(np.median(by_update / np.array(timing.seconds)))


def _generation(lessons: TranslationLessons, setting: Setting, width: int) -> Row:
    rows = np.arange(lessons.rows)
    timing = measure(
        lambda: lessons.tell(rows), repeats=setting.repeats, warm_up=1, clock=setting.clock
    )
    name = f"{lessons.rows} instructions of {WORDS} words, masked views, 36x{width}"
    return seconds_row("recipe", name, timing)


def _search(lessons: TranslationLessons, setting: Setting, width: int) -> Row:
    settings = SearchSettings(candidates=4 if setting.quick else 40)
    graph = lessons.scene.graph
    ranking = RANKINGS["envdrop"]
    search = PragmaticSearch(lessons.policy, graph, lessons.narrator, ranking, settings)
    whole = lessons.scene.episodes(SPLIT)
    episodes = random_part(whole, size=min(8 if setting.quick else SEARCHED, len(whole)))
    timing = measure(
        lambda: search.walk(episodes),
        repeats=max(1, setting.repeats // 3),
        warm_up=0,
        clock=setting.clock,
    )
    seconds = statistics.median(timing.seconds)
    name = f"{len(episodes)} instructions searched and re-ranked, 36x{width}"
    details = {f"seconds_for_all_of_{SPLIT}": seconds * len(whole) / len(episodes)}
    return seconds_row("recipe", name, timing, details=details)
