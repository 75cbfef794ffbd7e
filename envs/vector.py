"""The native vector environment: B episodes of instruction following, stepped as one batch.

Legend: B environments, V viewpoints of all scans, K candidates at most, N bytes of instruction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs import scenes
from envs.episodes import EpisodeOrder, EpisodeTable, Order, instruction_width
from envs.observations import Observation, Observer, blank
from envs.spaces import Features, action_space, observation_space
from envs.tracks import Tracks
from vln.data.connectivity import load_graph
from vln.data.episodes import EpisodeSet, load_episodes
from vln.data.locations import data_root
from vln.errors import BadConfig, EpisodeOver, IllegalAction, UnknownName
from vln.graph import NavGraph
from vln.observed import ObservedGraph
from vln.simulator import Simulator, States
from vln.types import Trajectory

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Info = dict[str, Any]
Step = tuple[Observation, npt.NDArray[np.float64], Flags, Flags, Info]

ACTIONS = ("local", "global")
RENDER_MODES = ("rgb_array", "ansi")
OPTIONS = ("reset_mask", "episodes")
SUCCESS = 3.0
"""Metres from the goal, walked, within which stopping is a success."""


class Teaching(NamedTuple):
    """What a teacher knows of B rows; only rows that are `known` (B,) bool have labels.

    `action` (B,) int64, the first of the shortest walk to the goal; `distance` (B,) float64 metres.
    """

    action: Ints
    distance: npt.NDArray[np.float64]
    known: Flags


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
        features: Features | None = None,
        pixels: bool = False,
        max_steps: int = 35,
        order: Order = "shuffled",
        autoreset_mode: AutoresetMode = AutoresetMode.DISABLED,
        render_mode: str | None = None,
    ) -> None:
        """Loads what is not handed over and lays out the spaces.

        Args:
            num_envs: B.
            dataset: A name in `vln.data.episodes.DATASETS`.
            split: As for `vln.data.episodes.load_episodes`.
            data: The data folder; None takes `$VLN_DATA`.
            graph: Shares a graph that is loaded already.
            episodes: Shares episodes; `dataset`, `split` and `data` are then not used.
            instruction_bytes: N; None takes the longest instruction over all splits of the data
                set, or of `episodes` where they are handed over.
            action: `local` (0 stops, k goes to candidate k - 1) or `global` (a panorama seen in
                this episode is walked to over observed edges; the current one stops).
            features: Adds `view_features` to the observation.
            pixels: Not available: see Raises.
            max_steps: Actions per episode.
            order: `shuffled` or `sequential`.
            autoreset_mode: DISABLED, NEXT_STEP or SAME_STEP.
            render_mode: `rgb_array`, `ansi` or None.

        Raises:
            BadConfig: `pixels` is asked for, or a number cannot work.
            UnknownName: A name is not known; the closest is suggested.
            MissingData, CorruptData: The data cannot be read.
        """
        _check_settings(num_envs, max_steps, action, render_mode)
        if pixels:
            raise BadConfig(
                "pixels=True needs panorama images, which this version does not render yet. Leave "
                "it out; for what the agent sees use features=, or gather by the observation's "
                "`panorama`."
            )
        if graph is None or episodes is None:
            root = data_root(None if data is None else Path(data))
            graph = load_graph(root) if graph is None else graph
            if episodes is None:
                episodes = load_episodes(dataset, split, data=root, graph=graph)
                if instruction_bytes is None:
                    instruction_bytes = instruction_width(dataset, data=root, graph=graph)
        self.num_envs = num_envs
        self.max_steps = max_steps
        self.action = action
        self.graph = graph
        self.table = EpisodeTable.compile(episodes, graph=graph, width=instruction_bytes)
        self.order = EpisodeOrder(len(self.table), order=order)
        self.features = features
        self.render_mode = render_mode
        self.autoreset_mode = autoreset_mode
        self.metadata = {
            "render_modes": list(RENDER_MODES),
            "render_fps": 2,
            "autoreset_mode": autoreset_mode,
        }
        self._lay_out_spaces()
        self._lay_out_rows()

    def _lay_out_spaces(self) -> None:
        self.single_observation_space = observation_space(
            self.graph,
            instruction_bytes=self.table.width,
            max_steps=self.max_steps,
            features=self.features,
        )
        self.single_action_space = action_space(self.graph, is_global=self.action == "global")
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def _lay_out_rows(self) -> None:
        rows = self.num_envs
        self._simulator = Simulator(self.graph)
        self._observer = Observer(self.graph)
        self._observed = ObservedGraph(self.graph, rows) if self.action == "global" else None
        self._tracks = Tracks(rows, moves=self.max_steps)
        self._viewpoints = np.array(self.graph.viewpoints, dtype=object)
        self._largest_scan = int(np.diff(self.graph.first).max())
        self._states = States(np.zeros(rows, dtype=np.int64), np.full(rows, 12))
        self._start = np.zeros(rows, dtype=np.int64)
        self._goal = np.zeros(rows, dtype=np.int64)
        self._distance = np.zeros(rows)
        self._steps = np.zeros(rows, dtype=np.int64)
        self._episode = np.full(rows, -1)
        self._scan = np.full(rows, None, dtype=object)
        self._id = np.full(rows, None, dtype=object)
        self._instruction = np.zeros((rows, self.table.width), dtype=np.uint8)
        self._labelled = np.zeros(rows, dtype=bool)
        self._terminated = np.ones(rows, dtype=bool)
        self._truncated = np.zeros(rows, dtype=bool)
        self._live = np.zeros(rows, dtype=bool)
        self._has_begun = False
        self._has_idle = True

    @property
    def episode_index(self) -> Ints:
        """(B,) int64 places in `table` of the rows' episodes, -1 for idle rows."""
        return self._episode.copy()

    def is_under_way(self, row: int) -> bool:
        """Says whether a row has an episode that has not ended."""
        return bool(self._live[row])

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
        """
        super().reset(seed=seed)
        if seed is not None:
            self.order.restart()
        mask, chosen = self._requested(options or {})
        rows = np.flatnonzero(mask)
        if chosen is None:
            self._begin(rows, self.order.draw(len(rows), self.np_random))
        else:
            self._begin(rows, chosen[rows])
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

    def _begin(self, rows: Ints, episode: Ints) -> None:
        """Puts rows (n,) at the start of episodes (n,); -1 makes a row idle."""
        table, real = self.table, episode >= 0
        start = np.where(real, table.start[episode], 0)
        begun = self._simulator.start(start, np.where(real, table.heading[episode], 0.0))
        goal = np.where(real, table.goal[episode], -1)
        panorama, view = self._states.panorama.copy(), self._states.view.copy()
        panorama[rows], view[rows] = begun
        self._states = States(panorama, view)
        self._start[rows] = start
        self._labelled[rows] = goal >= 0
        self._goal[rows] = np.where(goal >= 0, goal, start)
        self._distance[rows] = self._simulator.distance(start, self._goal[rows])
        self._steps[rows] = 0
        self._episode[rows] = episode
        self._scan[rows] = np.where(real, table.scan[episode], None)
        self._id[rows] = np.where(real, table.id[episode], None)
        self._instruction[rows] = table.instructions(episode) * real[:, None]
        self._terminated[rows] = ~real
        self._truncated[rows] = False
        self._live = ~(self._terminated | self._truncated)
        self._has_idle = bool((self._episode < 0).any())
        self._tracks.begin(rows, self._states)
        if self._observed is not None:
            self._observed.reset(rows, start)

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
        """
        acting, due = self._live, self._due()
        action = self._checked(actions)
        if self._observed is None:
            stopped = self._step_locally(action, acting)
        else:
            stopped = self._walk(action, acting, self._observed)
        self._steps += acting
        reward = self._reward(acting, stopped)
        self._terminated |= stopped
        self._truncated |= acting & ~stopped & (self._steps >= self.max_steps)
        self._live = acting & ~(self._terminated | self._truncated)
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            return self._replace_ended(acting & ~self._live, reward)
        if due.size:
            self._begin(due, self.order.draw(len(due), self.np_random))
        info = self._info(self._episode >= 0)
        return self._observe(), reward, self._terminated.copy(), self._truncated.copy(), info

    def _due(self) -> Ints:
        """Gives the rows (n,) that this step begins anew instead of acting: none but in NEXT_STEP."""
        if not self._has_begun:
            raise EpisodeOver("step() before the first reset(); call reset() once.")
        if self.autoreset_mode != AutoresetMode.NEXT_STEP:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(~self._live & (self._episode >= 0))

    def _checked(self, actions: npt.ArrayLike) -> Ints:
        action = np.asarray(actions)
        if action.shape != (self.num_envs,) or action.dtype.kind not in "iu":
            raise BadConfig(
                f"actions are {action.dtype} {action.shape}; expected integers "
                f"({self.num_envs},), one per row."
            )
        return action

    def _step_locally(self, action: Ints, acting: Flags) -> Flags:
        action = np.where(acting, action, 0)
        try:
            self._states = self._simulator.step(self._states, action)
        except IllegalAction:
            degree = self.graph.degree[self._states.panorama]
            row = int(np.flatnonzero((action < 0) | (action > degree))[0])
            legal = f"0 (stop) to {degree[row]} (its number of candidates)"
            raise self._illegal(row, int(action[row]), legal) from None
        moved = action > 0
        self._tracks.append(moved, self._states)
        return acting & ~moved

    def _walk(self, target: Ints, acting: Flags, observed: ObservedGraph) -> Flags:
        rows = np.flatnonzero(acting)
        unseen = rows[(observed.seen[rows] != target[rows, None]).all(axis=1) | (target[rows] < 0)]
        if unseen.size:
            row = int(unseen[0])
            legal = observed.seen[row, : observed.num_seen[row]].tolist()
            raise self._illegal(row, int(target[row]), f"a panorama seen so far, {legal}")
        stopped = acting & (target == self._states.panorama)
        hops, _ = observed.route(rows, self._states.panorama[rows], target[rows])
        self._tracks.reserve(hops.shape[1])
        for hop in hops.T:
            goes = np.zeros(self.num_envs, dtype=bool)
            goes[rows] = hop >= 0
            to = np.full(self.num_envs, -2)
            to[rows] = hop
            slot = (self.graph.neighbour[self._states.panorama] == to[:, None]).argmax(axis=1)
            self._states = self._simulator.step(self._states, np.where(goes, slot + 1, 0))
            self._tracks.append(goes, self._states)
            observed.visit(np.flatnonzero(goes), self._states.panorama[goes])
        return stopped

    def _illegal(self, row: int, action: int, legal: str) -> IllegalAction:
        viewpoint = self.graph.viewpoints[self._states.panorama[row]]
        return IllegalAction(
            f"environment {row}, episode {self._id[row]}: action {action} at viewpoint {viewpoint} "
            f"of scan {self._scan[row]}; expected {legal}. Legal actions are in `action_mask`."
        )

    def _reward(self, acting: Flags, stopped: Flags) -> npt.NDArray[np.float64]:
        if not self._labelled.any():
            return np.zeros(self.num_envs)
        before = self._distance
        self._distance = now = self._simulator.distance(self._states.panorama, self._goal)
        # Comparisons, for inf - inf would be NaN where the goal is out of reach.
        progress = (now < before).astype(np.float64) - (now > before)
        arrival = np.where(now < SUCCESS, 2.0, -2.0)
        return np.where(stopped, arrival, progress) * (acting & self._labelled)

    def _replace_ended(self, ended: Flags, reward: npt.NDArray[np.float64]) -> Step:
        """Finishes a step in SAME_STEP mode: what ended goes into `info`, its rows begin anew."""
        flags = self._terminated.copy(), self._truncated.copy()
        if not ended.any():
            return self._observe(), reward, *flags, self._info(self._episode >= 0)
        last, final = self._observe(), np.full(self.num_envs, None, dtype=object)
        rows = np.flatnonzero(ended)
        for row in rows.tolist():
            final[row] = {key: value[row].copy() for key, value in last.items()}
        final_info = self._info(ended)
        self._begin(rows, self.order.draw(len(rows), self.np_random))
        info = self._info(self._episode >= 0)
        info |= {"final_obs": final, "_final_obs": ended.copy()}
        info |= {"final_info": final_info, "_final_info": ended.copy()}
        return self._observe(), reward, *flags, info

    def _observe(self) -> Observation:
        observation = self._observer.observe(
            self._states, start=self._start, step=self._steps, instruction=self._instruction
        )
        if self._has_idle:
            blank(observation, self._episode < 0)
        if self.features is not None:
            observation["view_features"] = self.features.gather(self._states.panorama)
        return observation

    def _info(self, rows: Flags) -> Info:
        info: Info = {
            "scan": self._scan.copy(),
            "viewpoint": self._viewpoints.take(self._states.panorama),
            "episode_id": self._id.copy(),
        }
        if self._observed is not None:
            seen = np.full((self.num_envs, self._largest_scan), -1, dtype=np.int64)
            have = self._observed.seen[:, : self._largest_scan]
            seen[:, : have.shape[1]] = have
            info["seen"] = seen
        return info | {f"_{key}": rows.copy() for key in info}

    def teaching(self) -> Teaching:
        """Gives what a teacher would say; for `envs.wrappers` and scoring, never for an agent."""
        panorama = self._states.panorama
        action = self._simulator.expert_action(panorama, self._goal)
        if self.action == "global":
            neighbour = self.graph.neighbour[panorama, action - 1]
            action = np.where(action == 0, panorama, neighbour)
        return Teaching(action, self._distance.copy(), self._labelled.copy())

    def trajectories(self) -> list[Trajectory]:
        """Gives where the rows that hold an episode have been since it began, in row order."""
        return [
            self._tracks.trajectory(
                row,
                graph=self.graph,
                episode_id=self._id[row],
                stopped=bool(self._terminated[row]),
            )
            for row in np.flatnonzero(self._episode >= 0).tolist()
        ]

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

    def scene(self, row: int) -> scenes.Scene | None:
        """Gives what there is to show of one row, None where it is idle."""
        if self._episode[row] < 0:
            return None
        return scenes.Scene(
            episode=self.table.episodes.episodes[self._episode[row]],
            path=self._tracks.path(row),
            view=int(self._states.view[row]),
            step=int(self._steps[row]),
            max_steps=self.max_steps,
            has_ended=not self._live[row],
        )

    def render(self) -> tuple[Any, ...] | None:
        """Gives one map (640, 640, 3) uint8 RGB, or one text, per row; None without a mode."""
        if self.render_mode is None:
            return None
        shown = [self.scene(row) for row in range(self.num_envs)]
        if self.render_mode == "ansi":
            return tuple(scenes.choices(self.graph, s) if s else scenes.IDLE_TEXT for s in shown)
        blank_map = np.full((*scenes.SIZE, 3), 255, dtype=np.uint8)
        return tuple(scenes.picture(self.graph, s) if s else blank_map.copy() for s in shown)


def _check_settings(num_envs: int, max_steps: int, action: str, render_mode: str | None) -> None:
    if num_envs < 1 or max_steps < 1:
        raise BadConfig(f"num_envs={num_envs}, max_steps={max_steps}; expected at least 1 of each.")
    if action not in ACTIONS:
        raise UnknownName.of("action mode", action, ACTIONS)
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise UnknownName.of("render mode", render_mode, RENDER_MODES)
