"""The single environment: the native batch with one row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from envs.batch import Teaching
from envs.episodes import Order
from envs.observations import Observation
from envs.vector import METADATA, PanoramaVectorEnv
from vln.data.episodes import EpisodeSet
from vln.errors import BadConfig, EpisodeOver
from vln.features.source import FeatureSource
from vln.graph import NavGraph
from vln.panorama.faces import PanoramaSource
from vln.panorama.pinhole import Camera
from vln.types import Trajectory


class PanoramaEnv(gymnasium.Env[Observation, np.int64]):
    """Follows one instruction at a time; `PanoramaVectorEnv` describes everything else."""

    metadata = METADATA

    def __init__(
        self,
        *,
        dataset: str = "r2r",
        split: str = "train",
        data: Path | str | None = None,
        graph: NavGraph | None = None,
        episodes: EpisodeSet | None = None,
        instruction_bytes: int | None = None,
        action: str = "local",
        features: FeatureSource | None = None,
        pixels: bool = False,
        camera: Camera | None = None,
        panoramas: PanoramaSource | None = None,
        max_steps: int = 35,
        order: Order = "shuffled",
        render_mode: str | None = None,
    ) -> None:
        """Takes what `PanoramaVectorEnv` takes, and raises what it raises."""
        self.vector = PanoramaVectorEnv(
            num_envs=1,
            dataset=dataset,
            split=split,
            data=data,
            graph=graph,
            episodes=episodes,
            instruction_bytes=instruction_bytes,
            action=action,
            features=features,
            pixels=pixels,
            camera=camera,
            panoramas=panoramas,
            max_steps=max_steps,
            order=order,
            render_mode=render_mode,
        )
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begins the next episode.

        Args:
            seed: Seeds the order of the episodes and begins it anew.
            options: `episode`, the index of the episode to begin instead of drawing one.

        Raises:
            BadConfig: An option is not known or not an episode.
            MissingData, CorruptData: With `pixels`, and the panorama cannot be read. The episode
                has begun then.
        """
        super().reset(seed=seed)
        self.vector.np_random = self.np_random
        if seed is not None:
            self.vector.order.restart()
        observation, info = self.vector.reset(options=self._for_vector(options or {}))
        return self._only(observation), self._only_info(info)

    def _for_vector(self, options: Mapping[str, Any]) -> dict[str, Any]:
        if not options:
            return {}
        if set(options) != {"episode"} or not 0 <= options["episode"] < len(self.vector.table):
            raise BadConfig(
                f"reset options are {dict(options)}; expected none, or `episode`, 0 to "
                f"{len(self.vector.table) - 1}."
            )
        return {"episodes": np.array([options["episode"]], dtype=np.int64)}

    def step(self, action: npt.ArrayLike) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes one action.

        Raises:
            EpisodeOver: No episode is under way.
            IllegalAction: The action is masked here.
            MissingData, CorruptData: With `pixels`, and the panorama cannot be read. The step has
                been taken then and its reward is lost: `reset`, or step on.
        """
        if not self.vector.is_under_way(0):
            raise EpisodeOver("step() without an episode under way; call reset() first.")
        observation, reward, terminated, truncated, info = self.vector.step(np.reshape(action, 1))
        return (
            self._only(observation),
            float(reward[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            self._only_info(info),
        )

    def render(self) -> Any:  # noqa: ANN401 - an array or a string, as Gymnasium has it
        """Gives what `PanoramaVectorEnv.render` gives for one row; None without a mode."""
        frames = self.vector.render()
        return None if frames is None else frames[0]

    def teaching(self) -> Teaching:
        """Gives what a teacher would say, arrays of one; never for an agent."""
        return self.vector.teaching()

    def trajectory(self) -> Trajectory:
        """Gives where the agent has been since the episode began.

        Raises:
            EpisodeOver: Before the first reset.
        """
        walked = self.vector.trajectories()
        if not walked:
            raise EpisodeOver("trajectory() before the first reset(); there is no episode yet.")
        return walked[0]

    @staticmethod
    def _only(observation: Observation) -> Observation:
        return {key: value[0] for key, value in observation.items()}

    @staticmethod
    def _only_info(info: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value[0] for key, value in info.items() if not key.startswith("_")}
