import networkx
import numpy as np
import pytest

from vln import geometry
from vln.errors import CorruptData, UnknownViewpoint, Unreachable
from vln.graph import compile_graph
from vln.simulator import Simulator

HOUSE = "tinyHouse00"  # has an isolated viewpoint and two at one place


def test_scans_own_consecutive_panoramas(tiny_graph):
    graph = tiny_graph
    assert graph.first[0] == 0
    assert graph.first[-1] == len(graph.viewpoints)
    for s, scan in enumerate(graph.scans):
        assert (graph.scan_index[list(graph.members(scan))] == s).all()
        assert graph.scan_of(int(graph.first[s])) == scan


def test_every_viewpoint_is_found_by_its_name(tiny_graph):
    scan = tiny_graph.scans[2]
    members = tiny_graph.members(scan)
    names = [tiny_graph.viewpoints[i] for i in members]
    assert [tiny_graph.index(scan, name) for name in names] == list(members)
    assert tiny_graph.indices(scan, names).tolist() == list(members)
    assert tiny_graph.indices(scan, []).shape == (0,)


def test_edges_go_both_ways_and_stay_in_their_scan(tiny_graph):
    source, slot = np.nonzero(tiny_graph.neighbour >= 0)
    target = tiny_graph.neighbour[source, slot]
    assert tiny_graph.is_edge(source, target).all()
    assert tiny_graph.is_edge(target, source).all()
    assert (tiny_graph.scan_index[source] == tiny_graph.scan_index[target]).all()
    assert (source != target).all()


def test_candidates_fill_the_first_slots_and_the_rest_is_padding(tiny_graph):
    slots = np.arange(tiny_graph.max_degree)
    padding = slots >= tiny_graph.degree[:, None]
    assert ((tiny_graph.neighbour < 0) == padding).all()
    assert ((tiny_graph.candidate_view < 0) == padding).all()
    for table in ("candidate_heading", "candidate_elevation", "candidate_distance"):
        assert (getattr(tiny_graph, table)[padding] == 0).all()


def test_candidate_directions_are_those_of_the_displacement(tiny_graph):
    source, slot = np.nonzero(tiny_graph.neighbour >= 0)
    target = tiny_graph.neighbour[source, slot]
    moved = tiny_graph.position[target] - tiny_graph.position[source]
    at = (source, slot)
    np.testing.assert_allclose(tiny_graph.candidate_distance[at], np.linalg.norm(moved, axis=1))
    np.testing.assert_allclose(tiny_graph.candidate_heading[at], geometry.heading_of(moved))
    np.testing.assert_allclose(tiny_graph.candidate_elevation[at], geometry.elevation_of(moved))


def test_distances_equal_networkx(tiny_graph):
    for scan in tiny_graph.scans:
        members = np.array(tiny_graph.members(scan))
        names = [tiny_graph.viewpoints[i] for i in members]
        lengths = dict(networkx.all_pairs_dijkstra_path_length(tiny_graph.to_networkx(scan)))
        expected = [[lengths[a].get(b, np.inf) for b in names] for a in names]
        np.testing.assert_allclose(
            tiny_graph.distance(members[:, None], members), expected, atol=1e-12
        )


def test_walks_along_first_hops_are_as_long_as_their_distance(tiny_graph):
    for scan in tiny_graph.scans:
        members = tiny_graph.members(scan)
        for end in members[::5]:
            for start in members:
                if not np.isfinite(tiny_graph.distance(start, end)):
                    continue
                path = tiny_graph.shortest_path(start, end)
                assert (path[0], path[-1]) == (start, end)
                assert tiny_graph.is_edge(path[:-1], path[1:]).all()
                walked = tiny_graph.distance(path[:-1], path[1:]).sum()
                assert walked == pytest.approx(tiny_graph.distance(start, end), abs=1e-12)


def test_networkx_graphs_hold_every_viewpoint_and_edge(tiny_graph):
    graph = tiny_graph.to_networkx(HOUSE)
    members = list(tiny_graph.members(HOUSE))
    assert list(graph.nodes) == [tiny_graph.viewpoints[i] for i in members]
    assert graph.number_of_edges() == tiny_graph.degree[members].sum() / 2
    assert len(list(networkx.isolates(graph))) == 1
    for a, b, weight in graph.edges(data="weight"):
        gap = np.subtract(graph.nodes[a]["position"], graph.nodes[b]["position"])
        assert weight == pytest.approx(np.linalg.norm(gap))


def test_an_isolated_viewpoint_can_be_asked_about_but_not_reached(tiny_graph):
    members = np.array(tiny_graph.members(HOUSE))
    (lonely,) = members[tiny_graph.degree[members] == 0]
    others = members[members != lonely]
    assert tiny_graph.distance(lonely, lonely) == 0
    assert np.isinf(tiny_graph.distance(lonely, others)).all()
    assert (tiny_graph.next_slot(others, lonely) == -1).all()
    assert tiny_graph.shortest_path(int(lonely), int(lonely)) == [lonely]
    assert not tiny_graph.is_edge(lonely, others).any()
    with pytest.raises(Unreachable, match=rf"no walk joins .* in scan {HOUSE}"):
        tiny_graph.shortest_path(int(others[0]), int(lonely))


def test_a_zero_length_edge_is_an_edge_that_looks_north_and_level(tiny_graph):
    zero = (tiny_graph.candidate_distance == 0) & (tiny_graph.neighbour >= 0)
    (source, target), slot = np.nonzero(zero)
    assert tiny_graph.neighbour[source, slot[0]] == target
    assert tiny_graph.distance(source, target) == 0
    assert tiny_graph.next_slot(source, target) == slot[0]
    assert tiny_graph.candidate_view[source, slot[0]] == 12
    assert tiny_graph.candidate_heading[source, slot[0]] == 0
    assert tiny_graph.candidate_elevation[source, slot[0]] == 0
    assert tiny_graph.shortest_path(int(source), int(target)) == [source, target]


def test_walks_through_a_zero_length_edge_end(make_graph):
    graph = make_graph([(0, 0, 0), (2, 0, 0), (2, 0, 0), (4, 0, 0)], ["ab", "bc", "cd"])
    assert graph.shortest_path(0, 3) == [0, 1, 2, 3]
    assert graph.shortest_path(3, 0) == [3, 2, 1, 0]
    assert graph.distance(0, 3) == 4


def test_candidates_stand_in_the_order_of_the_view_sweep(make_graph):
    # North, east, west, a little left of north, north but up: the sweep starts looking north and
    # down, lists what is within 40 degrees, nearest to its centre first, then turns right.
    graph = make_graph(
        [(0, 0, 0), (0, 2, 0), (2, 0, 0), (-2, 0, 0), (-0.5, 2, 0), (0, 3, 2)],
        ["ab", "ac", "ad", "ae", "af"],
    )
    assert [graph.viewpoints[i] for i in graph.neighbour[0]] == ["b", "e", "f", "c", "d"]
    assert graph.candidate_view[0].tolist() == [12, 12, 24, 12 + 3, 12 + 9]


def test_the_shorter_of_two_walks_is_chosen(make_graph):
    positions = [(0, 0, 0), (1, 3, 0), (1, -1, 0), (2, 0, 0)]
    graph = make_graph(positions, ["ab", "bd", "ac", "cd"])
    assert graph.shortest_path(0, 3) == [0, 2, 3]


@pytest.mark.parametrize("count", [1, 2])
def test_a_scan_without_edges_is_a_graph(make_graph, count):
    graph = make_graph(np.zeros((count, 3)), [])
    assert graph.degree.tolist() == [0] * count
    assert graph.distance(0, 0) == 0
    assert graph.max_degree >= 1


def test_names_repeat_between_scans_without_confusion(make_scan):
    places = [(0, 0, 0), (1, 0, 0)]
    one, two = make_scan(places, ["ab"], scan="one"), make_scan(places, [], scan="two")
    graph = compile_graph([one, two], world="made")
    assert graph.index("two", "a") == 2
    assert graph.degree.tolist() == [1, 1, 0, 0]


def test_an_unknown_viewpoint_is_named(tiny_graph):
    with pytest.raises(UnknownViewpoint, match=rf"'nowhere' in scan '{HOUSE}' \(a scan of this"):
        tiny_graph.index(HOUSE, "nowhere")
    with pytest.raises(UnknownViewpoint, match="no scan of this graph"):
        tiny_graph.index("nohouse", "nowhere")
    known = tiny_graph.viewpoints[0]
    with pytest.raises(UnknownViewpoint, match="'nowhere'"):
        tiny_graph.indices(HOUSE, [known, "nowhere"])
    with pytest.raises(UnknownViewpoint, match="'nohouse'"):
        tiny_graph.members("nohouse")


def test_panoramas_of_two_scans_are_unreachable(tiny_graph):
    here, there = int(tiny_graph.first[0]), int(tiny_graph.first[1])
    for ask in (tiny_graph.distance, tiny_graph.next_slot, tiny_graph.shortest_path):
        with pytest.raises(Unreachable, match="different scans"):
            ask(here, there)
    assert not tiny_graph.is_edge(here, there)


def test_distances_broadcast(tiny_graph):
    members = np.array(tiny_graph.members(tiny_graph.scans[1]))
    table = tiny_graph.distance(members[:, None], members[None, :])
    assert table.shape == (len(members), len(members))
    np.testing.assert_array_equal(table[2], tiny_graph.distance(members[2], members))
    assert tiny_graph.next_slot(members, members).tolist() == [-1] * len(members)


def star_of(count):
    """Positions and edges of one viewpoint amid `count` others."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    positions = [(0, 0, 0), *zip(np.sin(turn), np.cos(turn), 0 * turn, strict=True)]
    return positions, [("a", chr(ord("a") + i)) for i in range(1, count + 1)]


def test_more_neighbours_than_the_tables_hold_are_an_error(make_graph):
    with pytest.raises(CorruptData, match=r"scan made, viewpoint a: 130 neighbours.*127"):
        make_graph(*star_of(130))


def test_as_many_neighbours_as_the_tables_hold_are_told_apart(make_graph):
    graph = make_graph(*star_of(127))
    assert graph.max_degree == 127
    goals = np.arange(1, 128)
    assert (graph.neighbour[0, graph.next_slot(0, goals)] == goals).all()
    assert (Simulator(graph).expert_action(np.zeros_like(goals), goals) > 0).all()
