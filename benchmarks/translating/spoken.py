"""What a speaker says of paths that people described, and whether a follower finds the way by it.

The follower is one that learnt from labelled paths alone and learns nothing here: it judges words
by what they are for. Shuffled among the paths of a home, the same words are the floor.
"""

# P paths

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from agents.lessons.speaker import Lines, path_of
from agents.loading import load_narrator
from agents.scene import Scene
from benchmarks.players import Player
from benchmarks.study.training import is_fresh
from benchmarks.translating.setup import Config
from vln.data.predictions import write_predictions
from vln.data.splits import EpisodeSet
from vln.runs import atomic, generator
from vln.types import Episode, Pose

KINDS: Final = ("generated", "shuffled")


@dataclass(frozen=True)
class Spoken:
    """What a speaker said of a split.

    Attributes:
        texts: By `KINDS`, one per path.
        likelihood: How likely people's own words are to it, see `Lines.likelihood`.
    """

    texts: dict[str, list[str]]
    likelihood: dict[str, float]

    @classmethod
    def read(cls, folder: Path, split: str) -> Spoken:
        """Reads what `ask` wrote."""
        found: dict[str, Any] = orjson.loads(_texts_of(folder, split).read_bytes())
        return cls({kind: found[kind] for kind in KINDS}, found["likelihood"])


def spoken_folder(config: Config, seed: int) -> Path:
    """Gives where what a seed's speaker says is kept, and how its follower walks by it."""
    return config.out / f"spoken-seed{seed}"


def walks_by(folder: Path, split: str, kind: str) -> Path:
    """Gives where the follower's walks by one of `KINDS` are kept."""
    return folder / f"{split}-{kind}.json"


def _texts_of(folder: Path, split: str) -> Path:
    return folder / f"{split}.json"


def is_asked(folder: Path, split: str, *sources: Path) -> bool:
    """Tells whether a split is done, with these weights."""
    files = [_texts_of(folder, split), *(walks_by(folder, split, kind) for kind in KINDS)]
    return all(is_fresh(file, *sources) for file in files)


def ask(
    follower: Player,
    speaker: Path,
    scene: Scene,
    *,
    split: str,
    seed: int,
    out: Path,
    device: str = "cpu",
) -> None:
    """Lets a speaker describe every path of a split, and a follower walk by that.

    Args:
        follower: Who walks.
        speaker: Folder of the speaker's run; its best weights speak, as they do in lessons.
        scene: Where.
        split: With labels.
        seed: Of the shuffling.
        out: Folder for texts and walks.
        device: Where the speaker's networks live.
    """
    narrator, *_ = load_narrator(speaker, scene, device=device)
    episodes = scene.episodes(split)
    lines = Lines.of(episodes, scene.graph, narrator)
    generated = narrator.texts(lines.routes)
    paths = unique_paths(episodes)
    moved = shuffled([start.scan for start, _ in paths], rng=generator(seed, f"shuffled {split}"))
    texts = {"generated": generated, "shuffled": [generated[place] for place in moved]}
    for kind in KINDS:
        player = replace(follower, episodes=as_episodes(texts[kind], paths, episodes))
        write_predictions(player.play(), walks_by(out, split, kind))
    with atomic(_texts_of(out, split)) as stream:
        found = {**texts, "likelihood": lines.likelihood(narrator)}
        stream.write(orjson.dumps(found, option=orjson.OPT_INDENT_2))


def unique_paths(episodes: EpisodeSet) -> list[tuple[Pose, tuple[str, ...]]]:
    """Gives the P paths of a split, each once, in the order of their first instructions."""
    return list(dict.fromkeys(map(path_of, episodes)))


def shuffled(scans: Sequence[str], *, rng: np.random.Generator) -> list[int]:
    """Gives for each of P paths another one of its scan; itself where the scan has no other.

    Args:
        scans: Of the paths.
        rng: Decides which.
    """
    place = np.arange(len(scans))
    names = np.array(scans)
    for scan in dict.fromkeys(scans):
        around = rng.permutation(np.flatnonzero(names == scan))
        place[around] = np.roll(around, 1)
    found: list[int] = place.tolist()
    return found


def as_episodes(
    texts: Sequence[str], paths: Sequence[tuple[Pose, tuple[str, ...]]], like: EpisodeSet
) -> EpisodeSet:
    """Gives one episode per path, with such texts for instructions."""
    episodes = tuple(
        Episode(f"path_{number}", start, text, "en", reference)
        for number, (text, (start, reference)) in enumerate(zip(texts, paths, strict=True))
    )
    return replace(like, episodes=episodes)
