"""The navigation graph of all scans as flat arrays: one catalogue of viewpoints, tables beside it.

A viewpoint's place in the catalogue is its *panorama* index. Everything that an environment, an
expert or a metric asks of the graph is a gather from one of these arrays. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from vln import geometry
from vln.errors import CorruptData, UnknownViewpoint, Unreachable

if TYPE_CHECKING:
    import networkx

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

HALF_FIELD_OF_VIEW = np.radians(40.0)
"""MatterSim lists a neighbour within this angle: its *linear* horizontal field of view, halved."""

MAX_DEGREE = 127
"""Neighbours that the tables of first hops, one byte per pair, can tell apart from none."""


@dataclass(frozen=True)
class ScanViewpoints:
    """One scan as read from its connectivity file, included viewpoints only.

    Attributes:
        scan: Scan id.
        viewpoints: n viewpoint ids.
        file_index: (n,) int64, MatterSim's `ix`: the place in the file.
        pose: (n, 4, 4) float64, skybox camera to world, metres, z up.
        adjacency: (n, n) bool, symmetric, diagonal false.
    """

    scan: str
    viewpoints: tuple[str, ...]
    file_index: Ints
    pose: Floats
    adjacency: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class NavGraph:
    """All scans, compiled. S scans, V viewpoints, K candidates at most, P pairs within scans.

    Attributes:
        world: sha256 (hex) of the connectivity files, the identity of the data.
        scans: S scan ids.
        viewpoints: V viewpoint ids; the position in this tuple is the panorama index.
        scan_index: (V,) int64.
        first: (S + 1,) int64; scan s owns panoramas first[s] up to first[s + 1].
        file_index: (V,) int64, MatterSim's `ix`.
        position: (V, 3) float64, metres, z up.
        rotation: (V, 3, 3) float64, skybox frame to world.
        degree: (V,) int64.
        neighbour: (V, K) int64 panoramas in the order of MatterSim's view sweep, -1 padding.
        candidate_view: (V, K) int64, the view that shows the neighbour best, -1 padding.
        candidate_heading: (V, K) float64 in [0, 2 pi), absolute, 0 padding.
        candidate_elevation: (V, K) float64, 0 padding.
        candidate_distance: (V, K) float64, straight metres, 0 padding.
        pair_base: (V,) int64; the pair (a, b) of one scan sits at pair_base[a] + b.
        pair_distance: (P,) float64, shortest walk in metres, inf where there is none.
        pair_slot: (P,) int8, candidate slot of the first hop, -1 where there is none.
    """

    world: str
    scans: tuple[str, ...]
    viewpoints: tuple[str, ...]
    scan_index: Ints
    first: Ints
    file_index: Ints
    position: Floats
    rotation: Floats
    degree: Ints
    neighbour: Ints
    candidate_view: Ints
    candidate_heading: Floats
    candidate_elevation: Floats
    candidate_distance: Floats
    pair_base: Ints
    pair_distance: Floats
    pair_slot: npt.NDArray[np.int8]

    @property
    def max_degree(self) -> int:
        """K, the largest number of neighbours of any viewpoint."""
        return int(self.neighbour.shape[1])

    @cached_property
    def _catalogue(self) -> dict[tuple[str, str], int]:
        scan_names = [self.scans[s] for s in self.scan_index]
        return {key: i for i, key in enumerate(zip(scan_names, self.viewpoints, strict=True))}

    def index(self, scan: str, viewpoint: str) -> int:
        """Gives the panorama index of a viewpoint.

        Raises:
            UnknownViewpoint: The scan does not hold it, or it is excluded from navigation.
        """
        try:
            return self._catalogue[scan, viewpoint]
        except KeyError:
            known = "a scan of this graph" if scan in self.scans else "no scan of this graph"
            raise UnknownViewpoint(
                f"no viewpoint {viewpoint!r} in scan {scan!r} ({known}). Viewpoints are the "
                "`image_id`s marked `included` in the scan's connectivity file."
            ) from None

    def indices(self, scan: str, viewpoints: Sequence[str]) -> Ints:
        """Gives (n,) int64 panorama indices of n viewpoints of one scan.

        Raises:
            UnknownViewpoint: As `index`.
        """
        catalogue = self._catalogue
        try:
            return np.array([catalogue[scan, name] for name in viewpoints], dtype=np.int64)
        except KeyError:
            return np.array([self.index(scan, name) for name in viewpoints], dtype=np.int64)

    def scan_of(self, panorama: int) -> str:
        """Gives the scan id of a panorama."""
        return self.scans[int(self.scan_index[panorama])]

    def members(self, scan: str) -> range:
        """Gives the panorama indices of one scan.

        Raises:
            UnknownViewpoint: No such scan.
        """
        if scan not in self.scans:
            raise UnknownViewpoint(f"no scan {scan!r} in this graph of {len(self.scans)} scans.")
        s = self.scans.index(scan)
        return range(int(self.first[s]), int(self.first[s + 1]))

    def _pair(self, start: npt.ArrayLike, end: npt.ArrayLike) -> Ints:
        start, end = np.asarray(start, dtype=np.int64), np.asarray(end, dtype=np.int64)
        if not (self.scan_index[start] == self.scan_index[end]).all():
            raise Unreachable("two panoramas lie in different scans; no walk joins them.")
        pair: Ints = self.pair_base[start] + end
        return pair

    def distance(self, start: npt.ArrayLike, end: npt.ArrayLike) -> Floats:
        """Gives the metres of the shortest walk between panoramas, inf where there is none.

        Args:
            start: Panorama indices, any shape.
            end: Panorama indices of the same scans, broadcast against `start`.

        Raises:
            Unreachable: A pair lies in different scans.
        """
        return self.pair_distance[self._pair(start, end)]

    def next_slot(self, start: npt.ArrayLike, end: npt.ArrayLike) -> Ints:
        """Gives the candidate slot of the first hop from `start` to `end`, -1 where there is none.

        Raises:
            Unreachable: A pair lies in different scans.
        """
        return self.pair_slot[self._pair(start, end)].astype(np.int64)

    def is_edge(self, start: npt.ArrayLike, end: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Says of panorama pairs (broadcast) whether one step joins them."""
        start, end = np.broadcast_arrays(
            np.asarray(start, dtype=np.int64), np.asarray(end, dtype=np.int64)
        )
        adjacent: npt.NDArray[np.bool_] = (self.neighbour[start] == end[..., None]).any(axis=-1)
        return adjacent & (end >= 0)

    def shortest_path(self, start: int, end: int) -> list[int]:
        """Gives the panoramas of the shortest walk, both ends included.

        Raises:
            Unreachable: No walk joins the two.
        """
        if not np.isfinite(self.distance(start, end)):
            raise Unreachable(
                f"no walk joins {self.viewpoints[start]} and {self.viewpoints[end]} "
                f"in scan {self.scan_of(start)}."
            )
        path = [int(start)]
        while path[-1] != end:
            path.append(int(self.neighbour[path[-1], self.next_slot(path[-1], end)]))
        return path

    def to_networkx(self, scan: str) -> networkx.Graph[str]:
        """Gives one scan as an undirected graph of viewpoint ids.

        Edges carry `weight` (metres), nodes `position` (x, y, z). Isolated viewpoints are nodes
        without edges; EnvDrop leaves them out.
        """
        import networkx

        graph: networkx.Graph[str] = networkx.Graph()
        members = self.members(scan)
        for panorama in members:
            graph.add_node(
                self.viewpoints[panorama], position=tuple(self.position[panorama].tolist())
            )
        for panorama in members:
            for slot in range(int(self.degree[panorama])):
                graph.add_edge(
                    self.viewpoints[panorama],
                    self.viewpoints[self.neighbour[panorama, slot]],
                    weight=float(self.candidate_distance[panorama, slot]),
                )
        return graph


def compile_graph(scans: Sequence[ScanViewpoints], *, world: str) -> NavGraph:
    """Gives the arrays of all scans: candidates, distances and first hops.

    Candidate angles and views follow EnvDrop's closed form, whose direction of a zero-length edge
    is heading 0; nothing is normalised, so nothing divides by zero.

    Args:
        scans: Scans in catalogue order.
        world: Identity of the data they came from.

    Raises:
        CorruptData: A viewpoint has more than `MAX_DEGREE` neighbours.
    """
    _check_degrees(scans)
    sizes = np.array([len(scan.viewpoints) for scan in scans], dtype=np.int64)
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    pose = np.concatenate([scan.pose for scan in scans]) if scans else np.zeros((0, 4, 4))
    position = np.ascontiguousarray(pose[:, :3, 3])
    tables = _candidate_tables(scans, first, position)
    scan_index = np.repeat(np.arange(len(scans)), sizes)
    block = np.concatenate([[0], np.cumsum(sizes**2)]).astype(np.int64)
    local = np.arange(first[-1]) - first[scan_index]
    pair_base = block[scan_index] + local * sizes[scan_index] - first[scan_index]
    pair_distance, pair_slot = _all_pairs(first, block, tables)
    return NavGraph(
        world=world,
        scans=tuple(scan.scan for scan in scans),
        viewpoints=tuple(name for scan in scans for name in scan.viewpoints),
        scan_index=scan_index,
        first=first,
        file_index=np.concatenate([scan.file_index for scan in scans]),
        position=position,
        rotation=np.ascontiguousarray(pose[:, :3, :3]),
        degree=(tables.neighbour >= 0).sum(axis=1),
        neighbour=tables.neighbour,
        candidate_view=tables.view,
        candidate_heading=tables.heading,
        candidate_elevation=tables.elevation,
        candidate_distance=tables.distance,
        pair_base=pair_base,
        pair_distance=pair_distance,
        pair_slot=pair_slot,
    )


def _check_degrees(scans: Sequence[ScanViewpoints]) -> None:
    for scan in scans:
        degree = scan.adjacency.sum(axis=1)
        busiest = int(degree.argmax())
        if degree[busiest] > MAX_DEGREE:
            raise CorruptData.of(
                f"scan {scan.scan}",
                f"viewpoint {scan.viewpoints[busiest]}",
                f"{degree[busiest]} neighbours, expected at most {MAX_DEGREE}",
                "Leave the scan out, or join viewpoints that are close to each other.",
            )


@dataclass(frozen=True)
class _Candidates:
    neighbour: Ints
    view: Ints
    heading: Floats
    elevation: Floats
    distance: Floats


def _candidate_tables(
    scans: Sequence[ScanViewpoints], first: Ints, position: Floats
) -> _Candidates:
    edges = [np.argwhere(scan.adjacency) + first[s] for s, scan in enumerate(scans)]
    source, target = np.concatenate(edges).T if edges else np.zeros((2, 0), dtype=np.int64)
    displacement = position[target] - position[source]
    heading = geometry.heading_of(displacement)
    elevation = geometry.elevation_of(displacement)
    order = _sweep_order(source, heading, elevation)
    source, target = source[order], target[order]
    heading, elevation = heading[order], elevation[order]
    degree = np.bincount(source, minlength=len(position))
    slot = np.arange(len(source)) - np.repeat(np.cumsum(degree) - degree, degree)
    shape = (len(position), int(degree.max(initial=1)))

    def table(values: npt.NDArray[np.generic], padding: int) -> npt.NDArray[np.generic]:
        full = np.full(shape, padding, dtype=values.dtype)
        full[source, slot] = values
        return full

    return _Candidates(
        neighbour=table(target, -1).astype(np.int64),
        view=table(geometry.nearest_view(heading, elevation), -1).astype(np.int64),
        heading=table(heading, 0).astype(np.float64),
        elevation=table(elevation, 0).astype(np.float64),
        distance=table(np.linalg.norm(displacement[order], axis=1), 0).astype(np.float64),
    )


def _sweep_order(source: Ints, heading: Floats, elevation: Floats) -> Ints:
    """Sorts edges by source, first view of the sweep that lists them, closeness in that view.

    Every neighbour is listed in all three rows, so the sweep first meets it in the lowest one.
    """
    views = np.arange(geometry.NUM_HEADINGS) * geometry.STEP
    turn = np.abs(geometry.wrap(heading[:, None] - views))
    first_view = np.argmax(turn <= HALF_FIELD_OF_VIEW, axis=1)
    sideways = turn[np.arange(len(source)), first_view]
    off_centre = np.hypot(sideways, elevation + geometry.STEP)
    order: Ints = np.lexsort((off_centre, first_view, source))
    return order


def _all_pairs(
    first: Ints, block: Ints, tables: _Candidates
) -> tuple[Floats, npt.NDArray[np.int8]]:
    distances = np.empty(int(block[-1]), dtype=np.float64)
    slots = np.empty(int(block[-1]), dtype=np.int8)
    for s in range(len(first) - 1):
        inside = slice(int(first[s]), int(first[s + 1]))
        distance, slot = _shortest_walks(
            tables.neighbour[inside] - first[s], tables.distance[inside]
        )
        distances[block[s] : block[s + 1]] = distance.ravel()
        slots[block[s] : block[s + 1]] = slot.ravel()
    return distances, slots


def _shortest_walks(neighbour: Ints, length: Floats) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Gives (n, n) walk lengths and first-hop slots of one scan, from its candidate tables.

    The first hop from a to b is the predecessor of a on the walk from b, the graph being symmetric.
    """
    size = len(neighbour)
    source, slot = np.nonzero(neighbour >= 0)
    target = neighbour[source, slot]
    weights = csr_array((length[source, slot], (source, target)), shape=(size, size))
    distance, before = dijkstra(weights, return_predecessors=True)
    slot_of = np.full((size, size + 1), -1, dtype=np.int8)  # the last column serves "no walk"
    slot_of[source, target] = slot
    hop = np.where(before.T < 0, size, before.T)
    return distance, np.take_along_axis(slot_of, hop, axis=1)
