"""Which agents can be trained: `--agent` name -> lessons. One line adds another."""

from __future__ import annotations

from collections.abc import Callable

from agents.config import TrainConfig
from agents.lessons.base import Lessons
from agents.lessons.follower import FollowerLessons
from agents.lessons.speaker import SpeakerLessons
from agents.lessons.translation import TranslationLessons
from agents.scene import Scene
from vln.registry import Registry
from vln.runs import Run

LESSONS: Registry[Callable[[TrainConfig, Scene, Run], Lessons]] = Registry("agent")


def follower_lessons(config: TrainConfig, scene: Scene, run: Run) -> FollowerLessons:
    """Gives a follower's lessons, with back-translation where there are further paths."""
    kind = TranslationLessons if config.extra.is_used else FollowerLessons
    return kind(config, scene, run)


LESSONS.add("follower", follower_lessons)
LESSONS.add("speaker", SpeakerLessons)
