"""What every encoder, data set and agent must keep, as classes of tests to inherit from.

A plug-in's test module derives one class, says how to make the thing, and pytest runs the rest:

    class TestMyEncoder(EncoderContract):
        def make_features(self, world: World) -> FeatureTable:
            return open_features("mine", world)

Each needs pytest's `tmp_path` only. Knows neither environments nor agents: an agent's contract is
given a function that plays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vln.data.splits import EpisodeSet
from vln.encoders.base import World
from vln.features.source import FeatureTable
from vln.geometry import NUM_VIEWS
from vln.testing.tiny_world import TinyWorld, make_tiny_world
from vln.types import Trajectory


class EncoderContract(ABC):
    """An encoder gives finite features of every view, and the same ones every time."""

    @abstractmethod
    def make_features(self, world: World) -> FeatureTable:
        """Gives the encoder's features of a world, nothing cached from another call."""

    def test_every_view_has_finite_features(self, tmp_path: Path) -> None:
        """Shape, type and values of a gather over the whole world."""
        world = _world(tmp_path)
        table = self.make_features(world)
        found = table.gather(np.arange(len(world.graph.viewpoints)))
        assert found.shape == (len(world.graph.viewpoints), NUM_VIEWS, table.dim)
        assert found.dtype in (np.float16, np.float32)
        assert np.isfinite(found).all()
        assert np.abs(found).max() > 0, "an encoder that shows nothing is `none`"

    def test_a_panorama_has_the_same_features_in_any_batch(self, tmp_path: Path) -> None:
        """Batch invariance: alone, repeated, or among others."""
        table = self.make_features(_world(tmp_path))
        together = table.gather(np.array([3, 0, 3, 5]))
        alone = table.gather(np.array([3]))
        np.testing.assert_array_equal(together[0], alone[0])
        np.testing.assert_array_equal(together[0], together[2])

    def test_making_the_features_again_gives_the_same(self, tmp_path: Path) -> None:
        """Fingerprint and values do not depend on the call or on the cache."""
        first = self.make_features(_world(tmp_path / "first"))
        again = self.make_features(_world(tmp_path / "again"))
        assert first.fingerprint == again.fingerprint
        np.testing.assert_array_equal(first.gather(np.arange(9)), again.gather(np.arange(9)))

    def test_another_world_has_features_of_its_own(self, tmp_path: Path) -> None:
        """Features of one world are never taken for those of another, though both are kept."""
        one, other = _world(tmp_path / "one"), _world(tmp_path / "other", seed=1)
        self.make_features(replace(one, cache=tmp_path / "shared"))
        shared = self.make_features(replace(other, cache=tmp_path / "shared"))
        alone = self.make_features(other)
        assert shared.fingerprint == alone.fingerprint
        np.testing.assert_array_equal(shared.gather(np.arange(9)), alone.gather(np.arange(9)))


class DatasetContract(ABC):
    """A data set's episodes have unique ids, known places, and references that can be walked."""

    labelled: Sequence[str] = ("train", "val_seen", "val_unseen")

    @abstractmethod
    def load(self, world: TinyWorld, split: str) -> EpisodeSet:
        """Gives the episodes of a split of the tiny world."""

    def test_ids_are_unique_and_instructions_are_text(self, tmp_path: Path) -> None:
        """What leaderboards and agents need of every episode."""
        world = make_tiny_world(tmp_path)
        for split in self.labelled:
            episodes = self.load(world, split)
            assert len(episodes) > 0
            assert len({episode.id for episode in episodes}) == len(episodes)
            assert all(episode.instruction.strip() for episode in episodes)
            assert len(episodes.sha256) == 64

    def test_references_start_at_the_start_and_follow_edges(self, tmp_path: Path) -> None:
        """Every labelled episode can be walked on the graph."""
        world = make_tiny_world(tmp_path)
        for split in self.labelled:
            for episode in self.load(world, split):
                assert episode.reference is not None
                assert episode.reference[0] == episode.start.viewpoint
                path = world.graph.indices(episode.start.scan, episode.reference)
                assert world.graph.is_edge(path[:-1], path[1:]).all()

    def test_headings_are_finite_radians(self, tmp_path: Path) -> None:
        """The data set's heading, not yet snapped."""
        world = make_tiny_world(tmp_path)
        for split in self.labelled:
            headings = np.array([episode.start.heading for episode in self.load(world, split)])
            assert np.isfinite(headings).all()
            assert (np.abs(headings) <= 2 * np.pi).all()


class AgentContract(ABC):
    """An agent takes legal actions only, and its episodes know nothing of each other."""

    split: str = "val_unseen"

    @abstractmethod
    def play(self, world: TinyWorld, episodes: Sequence[int]) -> list[Trajectory]:
        """Plays episodes of `split` as one batch with a fresh agent of one fixed seed.

        Args:
            world: The tiny world.
            episodes: Places in the split.

        Returns:
            One trajectory per episode, in that order.
        """

    def test_every_walk_starts_at_its_start_and_follows_edges(self, tmp_path: Path) -> None:
        """The mask is respected."""
        world = make_tiny_world(tmp_path)
        episodes = world.episodes(self.split).episodes
        walked = self.play(world, range(len(episodes)))
        for episode, trajectory in zip(episodes, walked, strict=True):
            assert trajectory.episode_id == episode.id
            assert trajectory.poses[0].viewpoint == episode.start.viewpoint
            names = [pose.viewpoint for pose in trajectory.poses]
            path = world.graph.indices(episode.start.scan, names)
            assert (world.graph.is_edge(path[:-1], path[1:]) | (path[:-1] == path[1:])).all()

    def test_an_episode_plays_the_same_alone_and_among_others(self, tmp_path: Path) -> None:
        """Reset isolates episodes, and so does the batch."""
        world = make_tiny_world(tmp_path)
        together = self.play(world, [4, 0, 7, 2])
        assert self.play(world, [4])[0] == together[0]

    def test_playing_again_gives_the_same(self, tmp_path: Path) -> None:
        """One seed, one behaviour."""
        world = make_tiny_world(tmp_path)
        assert self.play(world, [1, 2, 3]) == self.play(world, [1, 2, 3])


def _world(folder: Path, *, seed: int = 0) -> World:
    world = make_tiny_world(folder / "world", seed=seed)
    return World(data=world.folder, graph=world.graph, cache=folder / "cache")
