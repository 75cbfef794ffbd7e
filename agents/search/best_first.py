"""State-factored best-first search with a follower, for many instructions at once.

Every round expands one state of each search that is not over: one decoder step for all of them
together. Known to EnvDrop as "dijkstra" and to Speaker-Follower as state-factored search.

Source: Tan et al. 2019, arXiv:1904.04195; Fried et al. 2018, arXiv:1806.02724.

Legend: B searches, n of them, H hidden, K candidates at most.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.base import Turn
from agents.follower.model import State
from agents.follower.policy import FollowerPolicy
from agents.search.candidates import Floats, Found, Ints, SearchSettings, split_by_row
from agents.search.frontier import Frontier
from agents.search.states import StateSpace
from envs.episodes import EpisodeTable
from envs.observations import Observation, Observer
from vln.data.episodes import EpisodeSet
from vln.errors import BadConfig
from vln.graph import NavGraph
from vln.simulator import Simulator, States


def search(
    policy: FollowerPolicy,
    graph: NavGraph,
    episodes: EpisodeSet,
    *,
    settings: SearchSettings,
    batch: int = 256,
) -> list[Found]:
    """Gives the likeliest routes of every episode, in the order of the episodes.

    Labels are not looked at. The follower is left in evaluation mode.

    Args:
        policy: The follower; its way of choosing actions plays no part.
        graph: Where the episodes live.
        episodes: At least one.
        settings: When to end.
        batch: Instructions searched together; those of similar length are.

    Raises:
        BadConfig: There are no episodes, or none may be searched at once.
    """
    if batch < 1:
        raise BadConfig(f"batch is {batch}; expected 1 or more instructions at once.")
    policy.model.eval()
    table = EpisodeTable.compile(episodes, graph=graph)
    length = np.array([len(episode.instruction) for episode in episodes])
    order = np.argsort(length, kind="stable")
    searches = _Searches(policy, graph, settings)
    found: list[Found] = []
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            found += searches.run(table, order[start : start + batch])
    back = np.argsort(order, kind="stable")
    return [found[index] for index in back.tolist()]


class _Searches:
    """Runs batches of searches over one graph with one follower."""

    def __init__(self, policy: FollowerPolicy, graph: NavGraph, settings: SearchSettings) -> None:
        self._policy, self._settings = policy, settings
        self._space = StateSpace.of(graph, factored_by=settings.factored_by)
        self._observer, self._simulator = Observer(graph), Simulator(graph)

    def run(self, table: EpisodeTable, episodes: Ints) -> list[Found]:
        """Gives what the searches for episodes (B,) of the table find."""
        begun = self._simulator.start(table.start[episodes], table.heading[episodes])
        frontier = self._frontier(begun)
        room = min(self._settings.expansions, frontier.num_states)
        decoder = _Decoder(self._policy, table.instructions(episodes), room=room)
        explored = []
        rows, column = frontier.pop(np.arange(len(episodes)))
        while len(rows):
            states = self._enter(frontier, rows, column, begun=begun)
            depth = frontier.depth[rows, column]
            log_probs = decoder.step(
                rows,
                self._observe(states, start=begun.panorama[rows], depth=depth),
                memory=frontier.memory[rows, column],
            )
            explored.append((rows, states.panorama))
            to = self._ways(frontier, column, states, depth=depth)
            frontier.push(rows, column, to=to, log_probs=log_probs, memory=len(explored))
            rows, column = frontier.pop(rows)
        stood = split_by_row(explored, len(episodes))
        facts = zip(table.id[episodes].tolist(), frontier.routes(), stood, strict=True)
        return [Found(*fact) for fact in facts]

    def _frontier(self, begun: States) -> Frontier:
        return Frontier(
            self._space.start(begun.panorama, begun.view),
            num_states=self._space.width(begun.panorama),
            num_ends=self._space.num_ends(begun.panorama),
            candidates=self._settings.candidates,
            expansions=self._settings.expansions,
        )

    def _enter(self, frontier: Frontier, rows: Ints, column: Ints, *, begun: States) -> States:
        """Gives where searches (n,) stand in states (n,), one move from the states before."""
        if not frontier.memory[rows, column].any():  # the first round: nobody has moved
            states = States(begun.panorama[rows], begun.view[rows])
        else:
            parent = frontier.parent[rows, column]
            before = States(frontier.panorama[rows, parent], frontier.view[rows, parent])
            states = self._simulator.step(before, frontier.action[rows, column])
        frontier.enter(rows, column, panorama=states.panorama, view=states.view)
        return states

    def _observe(self, states: States, *, start: Ints, depth: Ints) -> Observation:
        unread: npt.NDArray[np.uint8] = np.zeros((len(depth), 0), dtype=np.uint8)
        return self._observer.observe(states, start=start, step=depth, instruction=unread)

    def _ways(self, frontier: Frontier, column: Ints, states: States, *, depth: Ints) -> Ints:
        """Gives the columns (n, K + 1) that actions lead to, -1 for those that are none."""
        stop = frontier.num_states + self._space.end(states.panorama, column)
        moves = self._space.arrival[states.panorama]
        # A move has to leave room for the stop after it.
        has_room = depth + 2 <= self._settings.max_steps
        return np.column_stack([stop, np.where(has_room[:, None], moves, -1)])


class _Decoder:
    """Steps a follower's decoder from any memory it has had, for B instructions.

    Memory 0 is the encoder's, memory k that of the k-th step.

    Args:
        policy: The follower.
        instruction: (B, N) uint8.
        room: Steps at most.
    """

    def __init__(
        self, policy: FollowerPolicy, instruction: npt.NDArray[np.uint8], *, room: int
    ) -> None:
        rows = np.arange(len(instruction))
        policy.begin(Turn(rows, {"instruction": instruction}, None))
        self._policy, self._steps, self._num_rows = policy, 0, len(rows)
        first, _ = policy.memory
        # Pages of it that no step reaches are never touched, so on a CPU they cost nothing.
        self._memory = State(*(part.new_empty(room + 1, *part.shape) for part in first))
        self._keep(first, rows)

    def step(self, rows: Ints, observation: Observation, *, memory: Ints) -> Floats:
        """Gives the log-probabilities (n, K + 1) of actions, -inf where illegal.

        Args:
            rows: (n,) of the B instructions, in order; rows only ever leave.
            observation: What each sees.
            memory: (n,), which memory each goes on from.
        """
        _, held = self._policy.memory
        number: Ints = np.zeros(self._num_rows, dtype=np.int64)
        number[rows] = memory
        place = self._tensor(number[held]), self._tensor(held)
        remembered = State(*(part[place] for part in self._memory))
        logits = self._policy.decide(Turn(rows, observation, None), remembered)
        self._steps += 1
        self._keep(*self._policy.memory)
        log_probs: Floats = torch.log_softmax(logits, dim=1).double().cpu().numpy()
        return log_probs

    def _keep(self, state: State, rows: Ints) -> None:
        for kept, part in zip(self._memory, state, strict=True):
            kept[self._steps].index_copy_(0, self._tensor(rows), part)

    def _tensor(self, values: Ints) -> Tensor:
        return torch.from_numpy(values).to(self._memory.cell.device)
