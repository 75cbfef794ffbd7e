import networkx
import numpy as np
import pytest

from vln.errors import IllegalAction
from vln.observed import ObservedGraph


class Mirror:
    """What one row has observed, kept by networkx."""

    def __init__(self, graph, panorama):
        self.graph, self.seen = graph, networkx.Graph()
        self.visit(panorama)

    def visit(self, panorama):
        self.seen.add_node(panorama)
        for slot in range(int(self.graph.degree[panorama])):
            self.seen.add_edge(
                panorama,
                int(self.graph.neighbour[panorama, slot]),
                weight=float(self.graph.candidate_distance[panorama, slot]),
            )


def starts_of(graph, count, rng):
    return rng.choice(np.flatnonzero(graph.degree > 0), count)


def hops_of(observed, row, current, target):
    walked, number = observed.route(np.array([row]), np.array([current]), np.array([target]))
    assert number[0] == walked.shape[1]
    return walked[0].tolist()


def explore(graph, *, rows, visits, seed):
    """Yields rows, panoramas and mirrors after every visit of a random observed viewpoint."""
    rng = np.random.default_rng(seed)
    observed = ObservedGraph(graph, rows)
    current = starts_of(graph, rows, rng)
    everyone = np.arange(rows)
    observed.reset(everyone, current)
    mirrors = [Mirror(graph, int(panorama)) for panorama in current]
    yield observed, current, mirrors
    for _ in range(visits):
        current = np.array([rng.choice(list(mirror.seen.nodes)) for mirror in mirrors])
        observed.visit(everyone, current)
        for mirror, panorama in zip(mirrors, current, strict=True):
            mirror.visit(int(panorama))
        yield observed, current, mirrors


@pytest.mark.parametrize("seed", range(4))
def test_routes_are_networkx_shortest_walks_over_what_was_observed(tiny_graph, seed):
    for observed, current, mirrors in explore(tiny_graph, rows=6, visits=12, seed=seed):
        for row, mirror in enumerate(mirrors):
            assert set(observed.seen[row, : observed.num_seen[row]]) == set(mirror.seen.nodes)
            lengths = networkx.single_source_dijkstra_path_length(mirror.seen, int(current[row]))
            for target, expected in lengths.items():
                walk = [int(current[row]), *hops_of(observed, row, current[row], target)]
                assert walk[-1] == target
                length = networkx.path_weight(mirror.seen, walk, "weight")
                assert length == pytest.approx(expected, abs=1e-12)


def test_routes_between_any_two_seen_viewpoints_are_shortest(tiny_graph):
    *_, (observed, _, mirrors) = explore(tiny_graph, rows=3, visits=9, seed=11)
    for row, mirror in enumerate(mirrors):
        lengths = dict(networkx.all_pairs_dijkstra_path_length(mirror.seen))
        for start, end in [(a, b) for a in mirror.seen for b in mirror.seen]:
            walk = [start, *hops_of(observed, row, start, end)]
            length = networkx.path_weight(mirror.seen, walk, "weight")
            assert length == pytest.approx(lengths[start][end], abs=1e-12)


def test_real_houses_are_explored_as_networkx_says(real_graph):
    *_, (observed, current, mirrors) = explore(real_graph, rows=20, visits=25, seed=0)
    for row, mirror in enumerate(mirrors):
        lengths = networkx.single_source_dijkstra_path_length(mirror.seen, int(current[row]))
        for target, expected in lengths.items():
            walk = [int(current[row]), *hops_of(observed, row, current[row], target)]
            length = networkx.path_weight(mirror.seen, walk, "weight")
            assert length == pytest.approx(expected, abs=1e-9)


def test_an_edge_between_two_seen_viewpoints_is_unknown_until_one_is_visited(make_graph):
    # A triangle: from a both others are seen, but not that b and c are neighbours.
    positions = [(0, 0, 0), (5, 0, 0), (5, 1, 0)]
    graph = make_graph(positions, ["ab", "ac", "bc"])
    observed = ObservedGraph(graph, 1)
    observed.reset(np.array([0]), np.array([0]))
    assert hops_of(observed, 0, 1, 2) == [0, 2]
    observed.visit(np.array([0]), np.array([1]))
    assert hops_of(observed, 0, 1, 2) == [2]


def test_routes_of_several_rows_are_padded(make_graph):
    graph = make_graph([(k, 0, 0) for k in range(4)], ["ab", "bc", "cd"])
    observed, rows = ObservedGraph(graph, 3), np.arange(3)
    observed.reset(rows, np.zeros(3, dtype=np.int64))
    for panorama in (1, 2):
        observed.visit(rows, np.full(3, panorama))
    hops, number = observed.route(rows, np.array([0, 3, 2]), np.array([3, 2, 2]))
    assert hops.tolist() == [[1, 2, 3], [2, -1, -1], [-1, -1, -1]]
    assert number.tolist() == [3, 1, 0]


def test_a_route_to_where_one_stands_has_no_hops(tiny_graph):
    observed = ObservedGraph(tiny_graph, 1)
    observed.reset(np.array([0]), np.array([4]))
    hops, number = observed.route(np.array([0]), np.array([4]), np.array([4]))
    assert hops.shape == (1, 0)
    assert number.tolist() == [0]


def test_a_viewpoint_at_the_same_place_is_reached_in_one_hop(tiny_graph):
    zero = (tiny_graph.candidate_distance == 0) & (tiny_graph.neighbour >= 0)
    (one, other), _ = np.nonzero(zero)
    observed = ObservedGraph(tiny_graph, 1)
    observed.reset(np.array([0]), np.array([one]))
    assert hops_of(observed, 0, one, other) == [other]
    observed.visit(np.array([0]), np.array([other]))
    assert hops_of(observed, 0, other, one) == [one]


def test_an_isolated_viewpoint_sees_only_itself(tiny_graph):
    lonely = np.flatnonzero(tiny_graph.degree == 0)[:1]
    observed = ObservedGraph(tiny_graph, 1)
    observed.reset(np.array([0]), lonely)
    assert observed.num_seen.tolist() == [1]
    assert observed.seen[0, 0] == lonely


def test_a_reset_forgets_only_its_rows(tiny_graph):
    *_, (observed, current, mirrors) = explore(tiny_graph, rows=3, visits=6, seed=2)
    observed.reset(np.array([1]), current[:1])
    assert observed.num_seen[1] == 1 + tiny_graph.degree[current[0]]
    for row in (0, 2):
        assert observed.num_seen[row] == len(mirrors[row].seen)


@pytest.mark.parametrize("target", [-1, 10**5])
def test_a_target_that_was_not_seen_is_an_error_that_lists_what_was(tiny_graph, target):
    observed = ObservedGraph(tiny_graph, 2)
    observed.reset(np.arange(2), np.array([0, 1]))
    seen = observed.seen[1, : observed.num_seen[1]].tolist()
    message = rf"row 1: panorama {target} has not been seen in this episode; expected one of "
    with pytest.raises(IllegalAction, match=message) as caught:
        observed.route(np.arange(2), np.array([0, 1]), np.array([0, target]))
    assert str(seen) in str(caught.value)
