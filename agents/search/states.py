"""Which histories of a search count as the same state, as columns of a table with a row per search.

A recurrent follower's future depends on its whole past, so exact best routes need every history.
State-factored search keeps one history per state, the likeliest: with it come the decoder's memory
and so all scores further on. Two published notions of a state are kept apart here; see
`SearchSettings.factored_by`.

Legend: n rows, V viewpoints, S scans, K candidates at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.search.candidates import Factor, Ints
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph


@dataclass(frozen=True, eq=False)
class StateSpace:
    """The states of every scan.

    Column 0 is a start that no move leads to; the states that moves lead to follow.

    Attributes:
        factored_by: What a state is.
        arrival: (V, K) int64 column of the state that a move leads to, -1 padding.
        size: (S,) int64 columns of each scan.
        first_panorama: (V,) int64, the first panorama of each one's scan.
        scan_index: (V,) int64.
    """

    factored_by: Factor
    arrival: Ints
    size: Ints
    first_panorama: Ints
    scan_index: Ints
    _poses: Ints
    _first_pose: Ints

    @classmethod
    def of(cls, graph: NavGraph, *, factored_by: Factor) -> StateSpace:
        """Gives the states of a graph."""
        source, slot = np.nonzero(graph.neighbour >= 0)
        move = source * graph.max_degree + slot
        pose = graph.neighbour[source, slot] * NUM_VIEWS + graph.candidate_view[source, slot]
        # Panoramas of one scan are neighbours in the catalogue: so are its states, once sorted.
        keys, state = np.unique(pose if factored_by == "pose" else move, return_inverse=True)
        per_panorama = NUM_VIEWS if factored_by == "pose" else graph.max_degree
        first_state = np.searchsorted(keys, graph.first * per_panorama)
        arrival = np.full(graph.neighbour.shape, -1, dtype=np.int64)
        arrival[source, slot] = 1 + state - first_state[graph.scan_index[source]]
        return cls(
            factored_by=factored_by,
            arrival=arrival,
            size=1 + np.diff(first_state),
            first_panorama=graph.first[graph.scan_index],
            scan_index=graph.scan_index,
            _poses=keys if factored_by == "pose" else keys[:0],
            _first_pose=first_state[:-1],
        )

    def width(self, panorama: Ints) -> int:
        """Gives the columns that searches starting at panoramas (n,) need for states."""
        return int(self.size[self.scan_index[panorama]].max())

    def start(self, panorama: Ints, view: Ints) -> Ints:
        """Gives the columns (n,) of starts: 0, or the state that they are a pose of."""
        key = panorama * NUM_VIEWS + view
        if not len(self._poses):
            return np.zeros_like(key)
        place = np.searchsorted(self._poses, key).clip(max=len(self._poses) - 1)
        column = 1 + place - self._first_pose[self.scan_index[panorama]]
        started: Ints = np.where(self._poses[place] == key, column, 0)
        return started

    def end(self, panorama: Ints, column: Ints) -> Ints:
        """Gives the numbers (n,) of stops at panoramas in the states of `column`, from 0.

        They are at most as many as a scan has states or viewpoints.
        """
        if self.factored_by == "pose":
            return column
        local: Ints = panorama - self.first_panorama[panorama]
        return local

    def num_ends(self, panorama: Ints) -> int:
        """Gives how many stops searches starting at panoramas (n,) may have."""
        if self.factored_by == "pose":
            return self.width(panorama)
        scans = self.scan_index[panorama]
        return int(np.bincount(self.scan_index)[scans].max())
