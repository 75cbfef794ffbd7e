"""The part of the graph that each agent of a batch has seen, and the walks within it.

A viewpoint is *visited* when the agent stood on it and *seen* when it was then a neighbour; an
edge is observed when either end was visited. Map-building agents may go to any seen viewpoint over
observed edges only.

Legend: B rows, N nodes seen so far (grows), K candidates at most.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vln.errors import IllegalAction
from vln.graph import NavGraph

Ints = npt.NDArray[np.int64]


class ObservedGraph:
    """Keeps, for B agents, all shortest walks over what they have observed.

    A visit adds edges that all touch one node, so every new shortest walk passes that node once:
    one relaxation through it keeps the all-pairs table exact, without a loop over the rows.

    Args:
        graph: The graph that is explored.
        num_envs: B.
    """

    def __init__(self, graph: NavGraph, num_envs: int) -> None:
        self.graph = graph
        width = 4 * (graph.max_degree + 1)
        self.seen: Ints = np.full((num_envs, width), -1, dtype=np.int64)
        self.num_seen = np.zeros(num_envs, dtype=np.int64)
        self._distance: npt.NDArray[np.float64] = np.full((num_envs, width, width), np.inf)
        self._hop: npt.NDArray[np.int16] = np.full((num_envs, width, width), -1, dtype=np.int16)

    def reset(self, rows: Ints, panorama: Ints) -> None:
        """Forgets what `rows` (n,) have seen and starts them at `panorama` (n,)."""
        self.seen[rows] = -1
        self.num_seen[rows] = 0
        self._distance[rows] = np.inf
        self._hop[rows] = -1
        self.visit(rows, panorama)

    def visit(self, rows: Ints, panorama: Ints) -> None:
        """Adds the neighbours and edges of `panorama` (n,) to what `rows` (n,) have seen."""
        if not len(rows):
            return
        around = np.concatenate([panorama[:, None], self.graph.neighbour[panorama]], axis=1)
        nodes = self._slots(rows, around)
        length = np.where(nodes[:, 1:] >= 0, self.graph.candidate_distance[panorama], np.inf)
        self._relax(rows, nodes[:, 0], np.maximum(nodes[:, 1:], 0), length)

    def _slots(self, rows: Ints, panoramas: Ints) -> Ints:
        """Gives the nodes (n, K + 1) that stand for panoramas, adding those not seen before."""
        match = panoramas[:, :, None] == self.seen[rows][:, None, :]
        known = match.any(axis=2)
        new = ~known & (panoramas >= 0)
        slot = np.where(known, match.argmax(axis=2), -1)
        fresh = self.num_seen[rows][:, None] + np.cumsum(new, axis=1) - 1
        slot = np.where(new, fresh, slot)
        self._grow(int(slot.max()) + 1)
        row, column = np.nonzero(new)
        node = slot[row, column]
        self.seen[rows[row], node] = panoramas[row, column]
        self._distance[rows[row], node, node] = 0.0
        self._hop[rows[row], node, node] = node
        self.num_seen[rows] += new.sum(axis=1)
        return np.where(panoramas >= 0, slot, -1)

    def _grow(self, width: int) -> None:
        have = self.seen.shape[1]
        if width <= have:
            return
        extra = max(width - have, have)
        self.seen = np.pad(self.seen, ((0, 0), (0, extra)), constant_values=-1)
        square = ((0, 0), (0, extra), (0, extra))
        self._distance = np.pad(self._distance, square, constant_values=np.inf)
        self._hop = np.pad(self._hop, square, constant_values=-1)

    def _relax(self, rows: Ints, node: Ints, ends: Ints, length: npt.NDArray[np.float64]) -> None:
        used = int(self.num_seen[rows].max())
        distance = self._distance[rows, :used, :used]
        hop = self._hop[rows, :used, :used]
        n = np.arange(len(rows))
        # From the visited node: over each new edge, then along what was known.
        through = length[:, :, None] + distance[n[:, None], ends]
        best = through.argmin(axis=1)
        reach = np.take_along_axis(through, best[:, None], axis=1)[:, 0]
        direct = distance[n, node]
        nearer = reach < direct
        from_node = np.where(nearer, reach, direct)
        first = np.where(nearer, np.take_along_axis(ends, best, axis=1), hop[n, node])
        # Towards it: the same walk backwards; the last edge is the first hop of its reverse.
        via = np.take_along_axis(ends, best, axis=1)
        back = hop[n[:, None], np.arange(used)[None, :], via]
        at_neighbour = via == np.arange(used)[None, :]
        back = np.where(at_neighbour, node[:, None], back)
        towards = np.where(nearer, back, hop[n, :, node])
        detour = from_node[:, :, None] + from_node[:, None, :]
        shorter = detour < distance
        hop = np.where(shorter, towards[:, :, None], hop)
        distance = np.minimum(distance, detour)
        hop[n, node] = first
        self._distance[rows, :used, :used] = distance
        self._hop[rows, :used, :used] = hop

    def route(self, rows: Ints, current: Ints, target: Ints) -> tuple[Ints, Ints]:
        """Gives the shortest observed walks to seen viewpoints, hop by hop.

        Args:
            rows: (n,) rows of the batch.
            current: (n,) panoramas where they stand.
            target: (n,) panoramas to go to.

        Returns:
            Hops (n, H) int64 panoramas without the start, -1 padding, and their numbers (n,).

        Raises:
            IllegalAction: A target was not seen by its row.
        """
        at, end = self._find(rows, current), self._find(rows, target)
        hops = []
        while not np.array_equal(at, end):
            step = self._hop[rows, at, end].astype(np.int64)
            hops.append(np.where(at == end, -1, self.seen[rows, step]))
            at = np.where(at == end, at, step)
        walked = np.stack(hops, axis=1) if hops else np.zeros((len(rows), 0), dtype=np.int64)
        return walked, (walked >= 0).sum(axis=1)

    def _find(self, rows: Ints, panorama: Ints) -> Ints:
        match = (self.seen[rows] == panorama[:, None]) & (panorama >= 0)[:, None]
        missing = np.flatnonzero(~match.any(axis=1))
        if len(missing):
            row = int(rows[missing[0]])
            raise IllegalAction(
                f"row {row}: panorama {int(panorama[missing[0]])} has not been seen in this "
                f"episode; expected one of {self.seen[row, : self.num_seen[row]].tolist()}."
            )
        found: Ints = match.argmax(axis=1)
        return found
