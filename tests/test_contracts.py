"""Everything registered keeps its contract; a new registration is tested by adding one class."""

import numpy as np
import torch

from agents.config import ModelConfig, TrainConfig
from agents.loading import build_policy
from agents.rollout import play
from agents.scene import Scene
from agents.scripted import SCRIPTED
from envs.vector import PanoramaVectorEnv
from envs.wrappers import VectorExpertActions
from vln.data.episodes import DATASETS, load_episodes
from vln.encoders import ENCODERS
from vln.features.opened import open_features
from vln.testing import AgentContract, DatasetContract, EncoderContract, write_skyboxes


class TestObjects(EncoderContract):
    def make_features(self, world):
        return open_features("objects", world)


class TestObjectWords(EncoderContract):
    def make_features(self, world):
        return open_features("object_words", world)


class TestImageStatistics(EncoderContract):
    def make_features(self, world):
        if not (world.data / "skyboxes").exists():
            write_skyboxes(world.data, world.graph, size=8)
        return open_features("image_stats", world)


class TestShuffledObjects(EncoderContract):
    def make_features(self, world):
        return open_features("objects_shuffled", world)


class TestRandomFeatures(EncoderContract):
    def make_features(self, world):
        return open_features("random", world)


class TestR2R(DatasetContract):
    def load(self, world, split):
        return load_episodes("r2r", split, data=world.folder, graph=world.graph)


class TestR4R(DatasetContract):
    def load(self, world, split):
        return load_episodes("r4r", split, data=world.folder, graph=world.graph)


def _play(agent, world, split, episodes):
    env = VectorExpertActions(
        PanoramaVectorEnv(
            num_envs=len(episodes), graph=world.graph, episodes=world.episodes(split), max_steps=8
        )
    )
    with torch.inference_mode():
        return play(env, agent, np.asarray(episodes)).trajectories


class ScriptedContract(AgentContract):
    name: str

    def play(self, world, episodes):
        return _play(SCRIPTED[self.name](0), world, self.split, episodes)


class TestStop(ScriptedContract):
    name = "stop"


class TestStraight(ScriptedContract):
    name = "straight"


class TestShortest(ScriptedContract):
    name = "shortest"


class TestRandom(ScriptedContract):
    name = "random"


class TestFollower(AgentContract):
    def play(self, world, episodes):
        config = TrainConfig(model=ModelConfig(word=16, hidden=32))
        policy = build_policy(config, Scene("r2r", world.folder, world.graph, features=None))
        policy.model.eval()
        return _play(policy, world, self.split, episodes)


def test_every_registered_name_is_under_contract_here():
    assert set(DATASETS) == {"r2r", "r4r"}
    readers = {"reader", "reader_blind"}  # of procedural homes alone: see test_reader.py
    assert set(SCRIPTED) - readers == {"stop", "random", "straight", "shortest"}
    objects = {"objects", "object_words", "objects_shuffled"}
    assert set(ENCODERS) == {"none", "random", "image_stats", *objects}
