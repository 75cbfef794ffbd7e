"""The native vector environment: B episodes of instruction following, stepped as one batch.

Legend: B environments, V viewpoints of all scans, K candidates at most, N bytes of instruction,
H x W pixels of a view.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs import scenes
from envs.batch import EpisodeBatch, Teaching
from envs.episodes import EpisodeOrder, EpisodeTable, Order, instruction_width, located
from envs.observations import Observation, Observer, blank
from envs.scenes import Scene
from envs.sight import Sight, world_panoramas
from envs.spaces import action_space, observation_space
from vln.data.connectivity import load_graph
from vln.data.episodes import EpisodeSet, load_episodes
from vln.data.locations import data_root
from vln.errors import BadConfig, EpisodeOver, UnknownName
from vln.features.source import FeatureSource
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph
from vln.panorama.faces import PanoramaSource
from vln.panorama.pinhole import Camera
from vln.types import Trajectory

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Info = dict[str, Any]
Step = tuple[Observation, npt.NDArray[np.float64], Flags, Flags, Info]

ACTIONS = ("local", "global")
RENDER_MODES = ("rgb_array", "ansi")
METADATA: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 2}
OPTIONS = ("reset_mask", "episodes")


class PanoramaVectorEnv(VectorEnv[Observation, Ints, npt.NDArray[Any]]):
    """Follows instructions on the navigation graph, B episodes at a time.

    Observations are those of the table in the README. `info` names `scan`, `viewpoint` and
    `episode_id` (object arrays with their `_` masks; gathers, so every step can afford them), and
    with global actions lists the panoramas `seen`, -1 padded. It never holds the expert's action
    or the goal: see `envs.wrappers`.

    A move earns the sign of the decrease in distance to the goal, stopping +2 within 3 m and -2
    beyond (EnvDrop's reward, an equal distance earning 0); without labels all rewards are 0.
    `terminated` means stopped, `truncated` out of steps.

    Autoreset is DISABLED unless asked for: a row that has ended ignores its action, earns 0 and
    keeps its flags until `reset(options={"reset_mask": ...})`. `options={"episodes": ...}` (B,)
    int64 chooses episodes by index instead of drawing them; -1 leaves a row idle: terminated,
    nothing but stopping legal.
    """

    def __init__(
        self,
        *,
        num_envs: int = 1,
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
        autoreset_mode: AutoresetMode = AutoresetMode.DISABLED,
        render_mode: str | None = None,
    ) -> None:
        """Loads what is not handed over and lays out the spaces.

        Args:
            num_envs: B.
            dataset: A name in `vln.data.episodes.DATASETS`, or a world's.
            split: As for `vln.data.episodes.load_episodes`.
            data: The data folder; None takes `$VLN_DATA`, and the cache for a world.
            graph: Shares a graph that is loaded already.
            episodes: Shares episodes; `dataset` and `split` are then not used.
            instruction_bytes: N; None takes the longest instruction over all splits of the data
                set, or of `episodes` where they are handed over.
            action: `local` (0 stops, k goes to candidate k - 1) or `global` (a panorama seen in
                this episode is walked to over observed edges; the current one stops).
            features: Adds `view_features` to the observation.
            pixels: Adds `views`, all 36 of the panorama: B x 33 MB per observation at 640x480,
                B x 5.4 MB at 224x224, and in each environment `envs.sight.KEPT_BYTES` beside them.
            camera: What `views` are taken with; None takes 640x480 and 60 degrees. Where faces are
                finer they are filtered: 640x480 from 1024 pixels is softer than MatterSim's.
            panoramas: Where pictures come from; None takes those in the data folder. They are read
                for `pixels` and for rendering only.
            max_steps: Actions per episode.
            order: `shuffled` or `sequential`.
            autoreset_mode: DISABLED, NEXT_STEP or SAME_STEP.
            render_mode: `rgb_array`, `ansi` or None.

        Raises:
            BadConfig: A number cannot work, the views would not fit into memory, or there is a
                camera without `pixels`.
            UnknownName: A name is not known; the closest is suggested.
            MissingData, CorruptData: The data cannot be read, or `pixels` are asked for and there
                are no panoramas.
        """
        _check_settings(num_envs, max_steps, action, render_mode)
        lens = _checked_lens(camera, pixels=pixels, num_envs=num_envs)
        dataset, folder = located(dataset, data)
        if graph is None or episodes is None:
            graph, episodes, instruction_bytes = _loaded(
                folder, dataset, split, graph=graph, episodes=episodes, width=instruction_bytes
            )
        self.num_envs = num_envs
        self.action = action
        self.graph = graph
        self.features = features
        self.render_mode = render_mode
        self.autoreset_mode = autoreset_mode
        self.metadata = METADATA | {"autoreset_mode": autoreset_mode}
        self.table = EpisodeTable.compile(episodes, graph=graph, width=instruction_bytes)
        self.order = EpisodeOrder(len(self.table), order=order)
        self._observer = Observer(graph)
        self._batch = EpisodeBatch(
            graph, self.table, num_envs=num_envs, max_steps=max_steps, is_global=action == "global"
        )
        self._has_begun = False
        window = scenes.WINDOW if render_mode == "rgb_array" else None
        if panoramas is None and (lens or window):
            panoramas = world_panoramas(folder, graph=graph, are_needed=pixels)
        self._sight = _sight(panoramas, graph=graph, camera=lens)
        self._window = _sight(panoramas, graph=graph, camera=window)
        self._lay_out_spaces(max_steps=max_steps, lens=lens)

    def _lay_out_spaces(self, *, max_steps: int, lens: Camera | None) -> None:
        self.single_observation_space = observation_space(
            self.graph,
            instruction_bytes=self.table.width,
            max_steps=max_steps,
            features=self.features,
            camera=lens,
        )
        self.single_action_space = action_space(self.graph, is_global=self.action == "global")
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    @property
    def episode_index(self) -> Ints:
        """(B,) int64 places in `table` of the rows' episodes, -1 for idle rows."""
        return self._batch.episode.copy()

    def is_under_way(self, row: int) -> bool:
        """Says whether a row has an episode that has not ended."""
        return bool(self._batch.live[row])

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begins new episodes.

        Args:
            seed: Seeds the order of the episodes and begins it anew.
            options: `reset_mask` (B,) bool, the rows to begin (all); `episodes` (B,) int64.

        Raises:
            UnknownName: An option is not known.
            BadConfig: An option has a wrong shape, type or value.
            MissingData, CorruptData: With `pixels`; see `step`. The episodes have begun then.
        """
        super().reset(seed=seed)
        if seed is not None:
            self.order.restart()
        mask, chosen = self._requested(options or {})
        rows = np.flatnonzero(mask)
        self._batch.begin(rows, self._draw(len(rows)) if chosen is None else chosen[rows])
        self._has_begun = True
        return self._observe(), self._info(mask)

    def _requested(self, options: Mapping[str, Any]) -> tuple[Flags, Ints | None]:
        for name in options:
            if name not in OPTIONS:
                raise UnknownName.of("reset option", name, OPTIONS)
        shape = (self.num_envs,)
        mask = np.asarray(options.get("reset_mask", np.ones(shape, dtype=bool)))
        if mask.shape != shape or mask.dtype != np.bool_:
            raise BadConfig(
                f"reset_mask is {mask.dtype} {mask.shape}; expected bool {shape}, one per row."
            )
        if "episodes" not in options:
            return mask, None
        chosen = np.asarray(options["episodes"])
        if chosen.shape != shape or chosen.dtype.kind not in "iu":
            raise BadConfig(
                f"episodes is {chosen.dtype} {chosen.shape}; expected int64 {shape}, one per row."
            )
        if (chosen < -1).any() or (chosen >= len(self.table)).any():
            raise BadConfig(
                f"episodes holds {int(chosen.min())} to {int(chosen.max())}; expected -1 (idle) to "
                f"{len(self.table) - 1}."
            )
        return mask, chosen.astype(np.int64)

    def step(self, actions: npt.ArrayLike) -> Step:
        """Takes one action per row.

        Args:
            actions: (B,) integers; those of rows that have ended are ignored.

        Returns:
            Observations, rewards (B,) float64, terminated (B,) bool, truncated (B,) bool, info.

        Raises:
            EpisodeOver: Before the first reset.
            IllegalAction: A row that is under way cannot take its action; nothing has moved then.
            BadConfig: `actions` has a wrong shape or type.
            MissingData, CorruptData: With `pixels`, and a panorama cannot be read. The step has
                been taken then and its rewards are lost: `reset` the rows, or step on.
        """
        if not self._has_begun:
            raise EpisodeOver("step() before the first reset(); call reset() once.")
        batch = self._batch
        due = self._ended() if self.autoreset_mode == AutoresetMode.NEXT_STEP else ()
        reward = batch.act(self._checked(actions))
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            return self._replace_ended(reward)
        if len(due):
            batch.begin(np.asarray(due), self._draw(len(due)))
        info = self._info(batch.episode >= 0)
        return self._observe(), reward, batch.terminated.copy(), batch.truncated.copy(), info

    def _ended(self) -> Ints:
        """Gives the rows (n,) whose episode is over."""
        return np.flatnonzero(~self._batch.live & (self._batch.episode >= 0))

    def _draw(self, count: int) -> Ints:
        return self.order.draw(count, self.np_random)

    def _checked(self, actions: npt.ArrayLike) -> Ints:
        action = np.asarray(actions)
        if action.shape != (self.num_envs,) or action.dtype.kind not in "iu":
            raise BadConfig(
                f"actions are {action.dtype} {action.shape}; expected integers "
                f"({self.num_envs},), one per row."
            )
        return action

    def _replace_ended(self, reward: npt.NDArray[np.float64]) -> Step:
        """Finishes a step in SAME_STEP mode: what ended goes into `info`, its rows begin anew."""
        batch, rows = self._batch, self._ended()
        flags = batch.terminated.copy(), batch.truncated.copy()
        if not len(rows):
            return self._observe(), reward, *flags, self._info(batch.episode >= 0)
        ended = np.zeros(self.num_envs, dtype=bool)
        ended[rows] = True
        last, final = self._observe(), np.full(self.num_envs, None, dtype=object)
        for row in rows.tolist():
            final[row] = {key: value[row].copy() for key, value in last.items()}
        final_info = self._info(ended)
        batch.begin(rows, self._draw(len(rows)))
        info = self._info(batch.episode >= 0)
        info |= {"final_obs": final, "_final_obs": ended.copy()}
        info |= {"final_info": final_info, "_final_info": ended.copy()}
        return self._observe(), reward, *flags, info

    def _observe(self) -> Observation:
        batch = self._batch
        observation = self._observer.observe(
            batch.states, start=batch.start, step=batch.steps, instruction=batch.instruction
        )
        if batch.has_idle:
            blank(observation, batch.episode < 0)
        if self.features is not None:
            observation["view_features"] = self.features.gather(batch.states.panorama)
        if self._sight is not None:
            is_shown = batch.episode >= 0
            observation["views"] = self._sight.sweeps(batch.states.panorama, is_shown=is_shown)
        return observation

    def _info(self, rows: Flags) -> Info:
        info: Info = self._batch.names()
        return info | {f"_{key}": rows.copy() for key in info}

    def teaching(self) -> Teaching:
        """Gives what a teacher would say; for `envs.wrappers` and scoring, never for an agent."""
        return self._batch.teaching()

    def trajectories(self) -> list[Trajectory]:
        """Gives where the rows that hold an episode have been since it began, in row order.

        Ask before the rows begin anew.
        """
        return self._batch.trajectories()

    def state(self) -> dict[str, Any]:
        """Gives what the next draws of episodes depend on, for an exact resume; fits JSON.

        Episodes under way are not part of it: save between rollouts.
        """
        random = json.dumps(self.np_random.bit_generator.state)
        return {"order": self.order.state(), "random": random}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to a saved `state`; call `reset()` without a seed afterwards.

        Raises:
            CheckpointMismatch: It was saved by an environment over other episodes.
        """
        self.order.restore(state["order"], self.np_random)
        self.np_random.bit_generator.state = json.loads(state["random"])

    def render(self) -> tuple[Any, ...] | None:
        """Gives one frame, or one text, per row; None without a mode.

        A frame is a map (640, 640, 3) uint8 RGB, or, where there are panoramas, (640, 1280, 3): the
        map, right of it the agent's view with the candidates marked, and the instruction below.
        Which of the two is settled when the environment is made.

        Raises:
            MissingData, CorruptData: There are panoramas, but not this one.
        """
        if self.render_mode is None:
            return None
        draw = self._choices if self.render_mode == "ansi" else self._frame
        return tuple(draw(row, self._batch.scene(row)) for row in range(self.num_envs))

    def _choices(self, row: int, scene: Scene | None) -> str:
        return scenes.choices(self.graph, scene) if scene else scenes.IDLE_TEXT

    def _frame(self, row: int, scene: Scene | None) -> npt.NDArray[np.uint8]:
        if scene is None:
            return scenes.blank(is_beside=self._window is not None)
        if self._window is None:
            return scenes.picture(self.graph, scene)
        here = scene.path[-1]
        seen = self._window.view(row, here, heading=scene.heading, elevation=scene.elevation)
        return scenes.picture_beside(self.graph, scene, seen)


def _loaded(
    folder: Path | None,
    dataset: str,
    split: str,
    *,
    graph: NavGraph | None,
    episodes: EpisodeSet | None,
    width: int | None,
) -> tuple[NavGraph, EpisodeSet, int | None]:
    """Reads what was not handed over: the graph, the episodes, and with these their width."""
    root = data_root(folder)
    graph = load_graph(root) if graph is None else graph
    if episodes is not None:
        return graph, episodes, width
    episodes = load_episodes(dataset, split, data=root, graph=graph)
    if width is None:
        longest = max((len(e.instruction.encode()) for e in episodes), default=1)
        width = max(longest, instruction_width(dataset, data=root, graph=graph))
    return graph, episodes, width


def _sight(
    source: PanoramaSource | None, *, graph: NavGraph, camera: Camera | None
) -> Sight | None:
    if source is None or camera is None:
        return None
    return Sight(source, graph=graph, camera=camera)


def _checked_lens(camera: Camera | None, *, pixels: bool, num_envs: int) -> Camera | None:
    """Gives the camera of the observations, None for those without pixels."""
    if not pixels:
        if camera is not None:
            raise BadConfig("a camera has nothing to do without pixels=True; leave it out.")
        return None
    lens = Camera() if camera is None else camera
    lens.check_room(num_envs * NUM_VIEWS)
    return lens


def _check_settings(num_envs: int, max_steps: int, action: str, render_mode: str | None) -> None:
    if num_envs < 1 or max_steps < 1:
        raise BadConfig(f"num_envs={num_envs}, max_steps={max_steps}; expected at least 1 of each.")
    if action not in ACTIONS:
        raise UnknownName.of("action mode", action, ACTIONS)
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise UnknownName.of("render mode", render_mode, RENDER_MODES)
