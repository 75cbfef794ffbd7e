"""Lessons of a follower on labelled paths and, beside them, on further ones: back-translation.

Legend: B rows of a batch, S scans among them, D features per view.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from agents.base import Ints
from agents.config import ExtraConfig, TrainConfig
from agents.follower.policy import Told
from agents.lessons.follower import FollowerLessons
from agents.lessons.speaker import path_of
from agents.loading import check_instructions, check_same_eyes, load_narrator
from agents.scene import Scene, training_split
from agents.speaker.narrator import Narrator
from agents.speaker.routes import RouteTable
from envs.episodes import EpisodeOrder
from envs.vector import PanoramaVectorEnv
from envs.wrappers import VectorExpertActions
from vln import checkpoint
from vln.data.augmented import load_augmented, read_words
from vln.data.episodes import EpisodeSet
from vln.data.sampled import sample_paths
from vln.errors import BadConfig, CheckpointMismatch
from vln.runs import Run, generator

logger = logging.getLogger(__name__)


class TranslationLessons(FollowerLessons):
    """Teaches a follower on labelled and on further paths, both losses in every update.

    Args:
        config: What to train; `config.extra` is used.
        scene: Data, graph and features.
        run: Whose seed decides orders and masks.

    Raises:
        BadConfig, CorruptData: The further paths cannot be used.
        CheckpointMismatch: The speaker, or the run to start from, does not fit.
    """

    def __init__(self, config: TrainConfig, scene: Scene, run: Run) -> None:
        super().__init__(config, scene, run)
        extra = extra_paths(config, scene)
        episodes = PanoramaVectorEnv(
            num_envs=self.rows, graph=scene.graph, episodes=extra, max_steps=config.max_steps
        )
        self._further = VectorExpertActions(episodes)
        self._scan = scene.graph.scan_index[episodes.table.start]
        self._order = EpisodeOrder(len(extra))
        self._draws, self._masks = run.rng("extra episodes"), run.rng("environment masks")
        self._sources = {"paths": extra.sha256}
        self.narrator: Narrator | None = None
        if config.extra.words == "speaker":
            self.narrator = _speaker(config, scene)
            self._routes = RouteTable.compile(scene.graph, map(path_of, extra))
            self._check_words(self.narrator)
            self._sources["speaker"] = checkpoint.sha256(self.narrator.model.state_dict())
        else:
            check_instructions(
                extra,
                self.vocabulary,
                max_words=config.model.max_words,
                is_read=config.hide != "instruction",
            )

    def _check_words(self, narrator: Narrator) -> None:
        if narrator.vocabulary != self.vocabulary:
            raise CheckpointMismatch(
                f"the speaker of {self.config.extra.speaker} knows {len(narrator.vocabulary):,} "
                f"words, the follower {len(self.vocabulary):,} others. "
                "Train both on the same data and with the same --select."
            )

    def _check_sources(self, begun_with: Mapping[str, str]) -> None:
        for name, digest in self._sources.items():
            then = begun_with.get(name, "unknown")  # of a version that kept none
            if then != digest:
                extra = self.config.extra
                source = extra.speaker if name == "speaker" else f"--extra.paths {extra.paths}"
                raise CheckpointMismatch(
                    f"the {name} of {source} changed since this run was begun (sha256 "
                    f"{then[:12]} then, {digest[:12]} now): it would go on as neither. "
                    "Put the old ones back, or begin another run."
                )

    def accumulate(self) -> dict[str, float]:
        """Adds the gradients of labelled paths and of as many further ones; gives the losses."""
        parts = super().accumulate()
        rows = self._order.draw(self.rows, self._draws)
        with self.policy.told(self.tell(rows)):
            further = self._learn(
                self._further, weight=self.config.extra.imitation_weight, episodes=rows
            )
        return parts | {f"extra_{name}": value for name, value in further.items()}

    def tell(self, rows: Ints) -> Told:
        """Gives what the rows are told of their paths, and the mask that they are seen through."""
        mask = self._mask(rows)
        if self.narrator is None:
            return Told(mask=mask)
        drawn = self.narrator.describe(self._routes, rows, mask=mask)
        return Told(drawn.words.cpu().numpy(), drawn.lengths.cpu().numpy(), mask)

    def _mask(self, rows: Ints) -> Tensor | None:
        features, chosen = self.model.sizes.features, self.config.extra.mask
        if not features or chosen == "none":
            return None
        batch = np.arange(len(rows)) // self.config.batch
        kinds, place = np.unique(
            self._scan[rows] if chosen == "environment" else batch, return_inverse=True
        )
        drop = self.config.model.feature_dropout
        kept = self._masks.random((len(kinds), features), dtype=np.float32) >= drop
        return self._tensor((kept / np.float32(1 - drop))[place])

    def state(self) -> dict[str, Any]:
        """Gives generators, the orders of both kinds of episodes, and what the further are."""
        further = {
            "sources": self._sources,
            "order": self._order.state(),
            "draws": json.dumps(self._draws.bit_generator.state),
            "masks": json.dumps(self._masks.bit_generator.state),
        }
        return super().state() | {"extra": further}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was taken.

        Raises:
            CheckpointMismatch: The further paths or the speaker are others now.
        """
        super().restore(state)
        further = state["extra"]
        self._check_sources(further.get("sources", {}))
        self._order.restore(further["order"], self._draws)
        self._draws.bit_generator.state = json.loads(further["draws"])
        self._masks.bit_generator.state = json.loads(further["masks"])


def _speaker(config: TrainConfig, scene: Scene) -> Narrator:
    """Gives the speaker, in the scene of the follower: with its eyes or not at all."""
    narrator, _, trained, _ = load_narrator(Path(config.extra.speaker), scene, device=config.device)
    check_same_eyes(trained, config)
    narrator.max_words = min(narrator.max_words, config.model.max_words)
    return narrator


def extra_paths(config: TrainConfig, scene: Scene) -> EpisodeSet:
    """Gives the further paths that a configuration names, all of them in scans trained on.

    No sampled path is a labelled one, and none of a file is one of val_seen.

    Raises:
        BadConfig: There are none, too few, or some without the words that are asked for.
        MissingData, CorruptData: A file is not there or cannot be used.
    """
    every = training_split(replace(config, labels=0))  # paths need nobody's words
    scans = {episode.start.scan for episode in scene.episodes(every)}
    if config.extra.paths == "sampled":
        return sample_paths(
            scene.graph,
            scans,
            labelled=_labelled(scene, scans),
            count=config.extra.count,
            rng=generator(config.seed, "sampled paths"),
            dataset=scene.dataset,
        )
    return _of_file(config.extra, scene, scans)


def _labelled(scene: Scene, scans: Collection[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Gives the described paths in these scans: val_seen's too, which lie in training scans."""
    for split in ("train", "val_seen"):
        for episode in scene.episodes(split):
            if episode.start.scan in scans and episode.reference is not None:
                yield episode.start.scan, episode.reference


def _of_file(extra: ExtraConfig, scene: Scene, scans: Collection[str]) -> EpisodeSet:
    """Gives the paths of a file that lie in scans trained on: others would give tests away.

    So would the paths of val_seen, which lie in these scans.
    """
    words = read_words(Path(extra.vocabulary)) if extra.vocabulary else None
    found = load_augmented(Path(extra.paths), scene.graph, words=words)
    reported = {(one.start.scan, one.reference) for one in scene.episodes("val_seen")}
    kept = tuple(
        one
        for one in found
        if one.start.scan in scans and (one.start.scan, one.reference) not in reported
    )
    if len(kept) < len(found):
        left = len(found) - len(kept)
        logger.info(
            "%d of %d episodes of %s are not in scans trained on, or are on paths of val_seen: "
            "left out",
            left,
            len(found),
            extra.paths,
        )
    if not kept:
        raise BadConfig(f"--extra.paths {extra.paths} has no path in a scan that is trained on.")
    silent = sum(not episode.instruction.strip() for episode in kept)
    if extra.words == "file" and silent:
        raise BadConfig(
            f"--extra.words file, but {silent:,} of {len(kept):,} paths of {extra.paths} come "
            "without instructions. Take --extra.words speaker, or a file with instructions."
        )
    return replace(found, episodes=kept)
