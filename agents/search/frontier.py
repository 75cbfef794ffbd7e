"""The bookkeeping of B best-first searches that advance together: what waits, and what led there.

One table per fact, a row per search and a column per state or stop, so that popping and pushing
are array operations. Knows no network and no graph.

Legend: B searches, n of them, W columns for states, K candidates at most, C routes at most.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agents.search.candidates import Candidate, Floats, Ints

Flags = npt.NDArray[np.bool_]


class Frontier:
    """Keeps the best history of every state and stop, and gives what waits, likeliest first.

    Log-probabilities are never above 0, so what has been popped was popped with its best score:
    later histories cannot improve it, and no closed entry is ever opened again.

    Args:
        start: (B,) columns of the states in which the searches begin.
        num_states: W.
        num_ends: Columns for stops, behind the states.
        candidates: C.
        expansions: Entries to pop at most.

    Attributes:
        panorama: (B, W) int64, where a state stands; set when it is entered, as are `view` and
            `depth`.
        view: (B, W) int64, the view that it faces.
        depth: (B, W) int64, moves that led to it.
        parent: (B, columns) int64, state that an entry was pushed from.
        action: (B, columns) int64 that leads there.
        memory: (B, columns) int64, number of the expansions that it was pushed with.
    """

    def __init__(
        self, start: Ints, *, num_states: int, num_ends: int, candidates: int, expansions: int
    ) -> None:
        rows, shape = np.arange(len(start)), (len(start), num_states + num_ends)
        self.num_states = num_states
        self._expansions, self._candidates = expansions, candidates
        self._waiting: Floats = np.full(shape, -np.inf)
        self._best: Floats = np.full(shape, -np.inf)
        self._log_prob: Floats = np.zeros(shape)
        self.parent, self.action, self.memory = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        self.panorama, self.view, self.depth = (
            np.zeros((len(start), num_states), dtype=np.int64) for _ in range(3)
        )
        self._popped = np.zeros(len(start), dtype=np.int64)
        self._ends: Ints = np.full((len(start), min(candidates, num_ends)), -1, dtype=np.int64)
        self._num_ends = np.zeros(len(start), dtype=np.int64)
        self._start = start
        self._waiting[rows, start] = self._best[rows, start] = 0.0

    def pop(self, rows: Ints) -> tuple[Ints, Ints]:
        """Gives, for the searches of `rows` (n,) that are not over, the next state to expand.

        Stops that come before it are completed routes; they need no network.

        Returns:
            Rows (m,) in order, and the columns (m,) of their states.
        """
        states: Ints = np.full(len(self._start), -1, dtype=np.int64)
        while len(rows):
            rows = rows[
                (self._popped[rows] < self._expansions) & (self._num_ends[rows] < self._candidates)
            ]
            column = self._waiting[rows].argmax(axis=1)
            is_open = self._waiting[rows, column] > -np.inf
            rows, column = rows[is_open], column[is_open]
            self._waiting[rows, column] = -np.inf
            self._popped[rows] += 1
            is_end = column >= self.num_states
            states[rows[~is_end]] = column[~is_end]
            rows, column = rows[is_end], column[is_end]
            self._ends[rows, self._num_ends[rows]] = column
            self._num_ends[rows] += 1
        going = np.flatnonzero(states >= 0)
        return going, states[going]

    def enter(self, rows: Ints, column: Ints, *, panorama: Ints, view: Ints) -> None:
        """Notes where the states (n,) of searches (n,) stand, all arguments (n,)."""
        self.panorama[rows, column], self.view[rows, column] = panorama, view
        moved = column != self._start[rows]
        parent = self.parent[rows, column]
        self.depth[rows, column] = np.where(moved, self.depth[rows, parent] + 1, 0)

    def push(self, rows: Ints, column: Ints, *, to: Ints, log_probs: Floats, memory: int) -> None:
        """Adds what expanded states lead to, where that is likelier than what is known.

        Args:
            rows: (n,) searches.
            column: (n,) states that were expanded.
            to: (n, K + 1) columns that each action leads to, -1 for none; no two alike in a row.
            log_probs: (n, K + 1) of the actions.
            memory: Number of these expansions.
        """
        score = self._best[rows, column][:, None] + log_probs
        place = np.maximum(to, 0)
        is_better = (to >= 0) & (score > self._best[rows[:, None], place])
        n, action = np.nonzero(is_better)
        where = rows[n], to[n, action]
        self._best[where] = self._waiting[where] = score[n, action]
        self._log_prob[where] = log_probs[n, action]
        self.parent[where], self.action[where], self.memory[where] = column[n], action, memory

    def routes(self) -> list[tuple[Candidate, ...]]:
        """Gives the routes of every search, best first.

        Where none was completed: the likeliest stop that waits, marked as such.
        """
        is_complete = self._num_ends > 0
        ends, counts = self._ends.copy(), np.maximum(self._num_ends, 1)
        without = np.flatnonzero(~is_complete)
        waiting = self._waiting[without, self.num_states :]
        ends[without, 0] = self.num_states + waiting.argmax(axis=1)
        row = np.repeat(np.arange(len(ends)), counts)
        flat = self._trace(row, ends[ends >= 0], is_complete=is_complete[row])
        begin = np.cumsum(counts) - counts
        return [tuple(flat[i : i + n]) for i, n in zip(begin, counts, strict=True)]

    def _trace(self, row: Ints, end: Ints, *, is_complete: Flags) -> list[Candidate]:
        """Gives routes by walking back, all at once, from stops (n,) of searches (n,)."""
        length = self.depth[row, self.parent[row, end]] + 1
        shape = (len(row), int(length.max()))
        panorama, view, action = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        log_prob = np.zeros(shape)
        number, column = np.arange(len(row)), end
        for back in range(1, shape[1] + 1):
            going = length >= back
            number, row, column = (part[going[number]] for part in (number, row, column))
            place = number, length[number] - back
            action[place], log_prob[place] = self.action[row, column], self._log_prob[row, column]
            column = self.parent[row, column]
            panorama[place], view[place] = self.panorama[row, column], self.view[row, column]
        facts = zip(length.tolist(), panorama, view, action, log_prob, is_complete, strict=True)
        return [
            Candidate(p[:n].copy(), v[:n].copy(), a[:n].copy(), score[:n].copy(), bool(complete))
            for n, p, v, a, score, complete in facts
        ]
