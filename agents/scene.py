"""What an agent needs around it: data, graph, eyes; and a follower put together from them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.config import TrainConfig, from_json
from agents.follower.model import Follower, FollowerSizes
from agents.follower.policy import FollowerPolicy
from vln import checkpoint, worlds
from vln.data import r2r
from vln.data.connectivity import load_graph
from vln.data.episodes import DATASETS, EpisodeSet, load_episodes
from vln.encoders import World, check, keep_fit, learns
from vln.errors import BadConfig, CheckpointMismatch
from vln.features.online import EncodedViews, served_views
from vln.features.opened import open_features
from vln.features.source import FeatureTable, KnownSource
from vln.graph import NavGraph
from vln.runs import Run, generator
from vln.text import Vocabulary

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
FIT = "object_fit.json"
"""What a run's encoder has learnt from its training scans, where it learns anything."""
CHECKPOINTS = ("best", "last")


@dataclass(frozen=True)
class Scene:
    """The data of one run.

    Attributes:
        dataset: Registered name of the data set.
        data: The world's folder.
        graph: Its graph.
        features: What its encoder makes of it; None for a blind agent.
    """

    dataset: str
    data: Path
    graph: NavGraph
    features: KnownSource | None
    _loaded: dict[str, EpisodeSet] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        config: TrainConfig,
        data: Path | None = None,
        *,
        env: str = "",
        run: Path | None = None,
    ) -> Scene:
        """Gives the scene of a configuration.

        Args:
            config: What is trained, or was.
            data: The folder; see `vln.worlds.find`.
            env: Another data set or world than the configuration's.
            run: Folder of the run that brings along what its encoder has learnt; it learns from
                this data where None.

        Raises:
            UnknownName: No such encoder, data set or world.
            MissingData: Data or features are not there.
            ServiceClosed: The configuration names a server that does not answer.
            CorruptData: A file cannot be used.
            CheckpointMismatch: The run does not bring along what its encoder has learnt, and this
                is not the world that it learnt from.
        """
        check(config.encoder)
        found = worlds.find(env or config.env, data)
        graph = load_graph(found.data)
        fit = None
        if run is not None and learns(config.encoder):
            fit = _fit_of(run, config, env=env or config.env, data=found.data)
        world = World(found.data, graph, fit=fit)
        return cls(found.dataset, found.data, graph, _seen(config, world))

    def keep_fit(self, config: TrainConfig, run: Path) -> None:
        """Writes into a run's folder what its encoder has learnt, for `open` in other worlds."""
        keep_fit(run / FIT, config.encoder, World(self.data, self.graph))

    def episodes(self, split: str) -> EpisodeSet:
        """Gives the episodes of a split, loaded once."""
        if split not in self._loaded:
            self._loaded[split] = load_episodes(
                self.dataset, split, data=self.data, graph=self.graph
            )
        return self._loaded[split]

    @property
    def fingerprint(self) -> str:
        """Identity of the features, empty for a blind agent."""
        return "" if self.features is None else self.features.fingerprint

    def close(self) -> None:
        """Leaves the server that encodes its features, where one does."""
        if isinstance(self.features, EncodedViews):
            self.features.close()


def _seen(config: TrainConfig, world: World) -> KnownSource | None:
    """Gives what a configuration's encoder makes of a world."""
    if config.service:
        socket = Path(config.service)
        return served_views(config.encoder, world, socket=socket, client=f"agent {config.agent}")
    features = open_features(config.encoder, world, device=config.device)
    if features is None or config.eyes == "own":
        return features
    return elsewhere(features, world.graph, rng=generator(config.seed, "eyes elsewhere"))


def elsewhere(features: FeatureTable, graph: NavGraph, *, rng: np.random.Generator) -> FeatureTable:
    """Gives each viewpoint the features of another one of its scan, always the same one.

    A scan of one viewpoint keeps its own.
    """
    row = np.empty_like(features.row)
    for start, end in zip(graph.first[:-1], graph.first[1:], strict=True):
        around = start + rng.permutation(end - start)  # each sees what the next of the round would
        row[around] = features.row[np.roll(around, -1)]
    return replace(features, row=row)


def _fit_of(run: Path, config: TrainConfig, *, env: str, data: Path) -> Path | None:
    """Gives a run's fit; None where it has none and this world can be learnt from instead."""
    fit = run / FIT
    if fit.is_file():
        return fit
    is_other = env != config.env and not (env in DATASETS and config.env in DATASETS)
    if is_other or not r2r.file_of(data, "train").is_file():
        raise CheckpointMismatch(
            f"{run} has no {FIT}, what --encoder {config.encoder} learnt from its training scans "
            f"in {config.env}, so it cannot see in {data}. Train it again with this version, or "
            "copy that file into the run."
        )
    return None


def remedy(config: TrainConfig, data: Path) -> str:
    """Gives what to do about a run that does not fit the data and features found."""
    where = (
        "Point VLN_DATA or --data and VLN_CACHE to the ones it was trained with"
        if config.env in DATASETS
        else f"The world {config.env} is now in {data}: point --data or VLN_CACHE to the one it "
        "was trained in"
    )
    return f"{where}; or it was trained by an older version: then train again."


def check_device(name: str) -> None:
    """Refuses a device that torch cannot use here.

    Raises:
        BadConfig: No such kind of device, or no GPU is visible.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadConfig(f"no device {name!r}; expected cpu, cuda or cuda:N.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BadConfig(f"--device {name}, but no GPU is visible. Use --device cpu.")


def training_split(config: TrainConfig) -> str:
    """Gives the split that is trained on: without the houses of `dev` where they select."""
    return "train_fit" if config.select == "dev" else "train"


def build_policy(config: TrainConfig, scene: Scene) -> FollowerPolicy:
    """Gives an untrained follower; its vocabulary comes from its training episodes."""
    episodes = scene.episodes(training_split(config))
    words = Vocabulary.build(episode.instruction for episode in episodes)
    return _assemble(config, scene, words)


def load_policy(
    folder: Path,
    *,
    which: str = "best",
    data: Path | None = None,
    env: str = "",
    device: str = "cpu",
    service: str = "",
) -> tuple[FollowerPolicy, Scene, TrainConfig, dict[str, Any]]:
    """Gives a trained follower, its scene, its configuration and its checkpoint's state.

    Args:
        folder: A run's folder.
        which: `best` or `last`.
        data: The world's folder; see `vln.worlds.find`.
        env: Another data set or world than the run's.
        device: Where the networks shall live, whatever they were trained on.
        service: Socket of a server that encodes the views now, whatever did in training; from the
            store where empty.

    Raises:
        CheckpointMismatch: No such run, or one that does not fit the data and features found.
        BadConfig: torch cannot use the device.
    """
    check_device(device)
    config = replace(from_json(Run.read_config(folder)), device=device, service=service)
    tensors, state = checkpoint.load(folder / f"checkpoints/{which}.safetensors")
    scene = Scene.open(config, data, env=env, run=folder)
    if state["features"] != scene.fingerprint:
        raise CheckpointMismatch(
            f"{folder} was trained on features {state['features'][:16] or 'of none'}, and "
            f"--encoder {config.encoder} now gives {scene.fingerprint[:16] or 'none'}. "
            + remedy(config, scene.data)
        )
    policy = _assemble(config, scene, Vocabulary(tuple(state["vocabulary"])))
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    checkpoint.load_weights(policy.model, weights, source=folder)
    policy.model.eval()
    return policy, scene, config, state


def _assemble(config: TrainConfig, scene: Scene, vocabulary: Vocabulary) -> FollowerPolicy:
    sizes = FollowerSizes(
        vocabulary=len(vocabulary),
        features=0 if scene.features is None else scene.features.dim,
        word=config.model.word,
        hidden=config.model.hidden,
        dropout=config.model.dropout,
        feature_dropout=config.model.feature_dropout,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(config.seed, "weights").integers(2**31)))
        model = Follower(sizes).to(config.device)
    return FollowerPolicy(
        model,
        vocabulary=vocabulary,
        features=scene.features,
        max_length=config.model.max_words,
        hides_instructions=config.hide == "instruction",
        seed=int(generator(config.seed, "policy").integers(2**31)),
        device=config.device,
        dtype=DTYPES[config.optim.precision],
    )


def log_cut_instructions(episodes: EpisodeSet, policy: FollowerPolicy) -> None:
    """Says how many instructions are longer than the agent reads."""
    if policy.hides_instructions:
        logger.info("the instructions are hidden from the agent (--hide instruction)")
        return
    lengths = policy.vocabulary.num_tokens([episode.instruction for episode in episodes])
    cut = int((lengths > policy.max_length).sum())
    if cut:
        logger.info(
            "%d of %d %s instructions have more than %d words and lose their end "
            "(--model.max-words)",
            cut,
            len(episodes),
            episodes.split,
            policy.max_length,
        )
