"""The real graphs against the facts known of them and against MatterSim's and EnvDrop's answers."""

import networkx
import numpy as np
import pytest

from vln import geometry


@pytest.fixture(scope="module")
def all_candidates(read_golden):
    """Rows [scan, viewpoint, [[viewpoint, point id, index, heading, elevation], ...]]."""
    return read_golden("candidates_all_viewpoints.jsonl.gz")


@pytest.fixture(scope="module")
def candidates(read_golden):
    return read_golden("candidates.jsonl.gz")


@pytest.fixture(scope="module")
def teacher(read_golden):
    return read_golden("teacher.jsonl.gz")


def flat(rows):
    return [item for row in rows for item in row]


def panoramas_of(graph, pairs):
    return np.array([graph.index(scan, viewpoint) for scan, viewpoint in pairs])


def assert_same_angle(given, expected, tolerance):
    assert np.abs(geometry.wrap(np.subtract(given, expected))).max() <= tolerance


def test_the_90_graphs_have_the_sizes_known_of_them(real_graph):
    assert len(real_graph.scans) == 90
    assert len(real_graph.viewpoints) == 10_567
    assert real_graph.degree.sum() == 2 * 21_468
    assert (real_graph.degree == 0).sum() == 8
    assert real_graph.max_degree == 13
    sizes = dict(zip(real_graph.scans, np.diff(real_graph.first).tolist(), strict=True))
    assert sizes["gZ6f7yhEvPG"] == min(sizes.values()) == 8
    assert sizes["B6ByNegPMKs"] == max(sizes.values()) == 348


def test_edges_have_the_lengths_known_of_them(real_graph):
    length = real_graph.candidate_distance[real_graph.neighbour >= 0]
    assert round(length.mean(), 2) == 2.27
    assert round(length.max(), 1) == 16.8
    assert round(length.min(), 4) == 0.0002


def test_every_scan_is_connected_but_for_isolated_viewpoints(real_graph):
    counts = []
    for scan in real_graph.scans:
        graph = real_graph.to_networkx(scan)
        counts.append(networkx.number_connected_components(graph))
        graph.remove_nodes_from(list(networkx.isolates(graph)))
        assert networkx.is_connected(graph)
    assert sorted(counts) == [1] * 84 + [2] * 5 + [4]


def test_all_viewpoints_have_envdrops_candidates_in_its_order(real_graph, all_candidates):
    here = panoramas_of(real_graph, [(scan, name) for scan, name, _ in all_candidates])
    degree = np.array([len(found) for *_, found in all_candidates])
    np.testing.assert_array_equal(real_graph.degree[here], degree)

    there = panoramas_of(
        real_graph, flat([(scan, c[0]) for c in found] for scan, _, found in all_candidates)
    )
    row = np.repeat(here, degree)
    slot = np.arange(len(row)) - np.repeat(np.cumsum(degree) - degree, degree)
    shown = flat(found for *_, found in all_candidates)
    view, heading, elevation = (np.array([c[k] for c in shown]) for k in (1, 3, 4))
    np.testing.assert_array_equal(real_graph.neighbour[row, slot], there)
    np.testing.assert_array_equal(real_graph.candidate_view[row, slot], view)
    assert_same_angle(real_graph.candidate_heading[row, slot], heading, 2e-4)
    assert_same_angle(real_graph.candidate_elevation[row, slot], elevation, 2e-4)


def test_candidates_seen_from_any_view_are_those_of_the_tables(real_graph, candidates):
    for record in candidates:
        here = real_graph.index(record["scanId"], record["viewpointId"])
        found = record["candidates"]
        names = [candidate["viewpointId"] for candidate in found]
        there = real_graph.indices(record["scanId"], names)
        used = slice(0, int(real_graph.degree[here]))
        np.testing.assert_array_equal(real_graph.neighbour[here, used], there)
        views = [candidate["pointId"] for candidate in found]
        np.testing.assert_array_equal(real_graph.candidate_view[here, used], views)
        base = record["viewIndex"] % 12 * np.radians(30)
        heading = real_graph.candidate_heading[here, used]
        assert_same_angle(heading, [c["normalized_heading"] for c in found], 2e-4)
        assert_same_angle(heading - base, [c["heading"] for c in found], 2e-4)
        elevation = real_graph.candidate_elevation[here, used]
        assert_same_angle(elevation, [c["elevation"] for c in found], 2e-4)


def test_distances_are_the_teachers(real_graph, teacher):
    start = panoramas_of(real_graph, [(r["scanId"], r["start"]) for r in teacher])
    goal = panoramas_of(real_graph, [(r["scanId"], r["goal"]) for r in teacher])
    expected = [record["distance"] for record in teacher]
    np.testing.assert_allclose(real_graph.distance(start, goal), expected, rtol=0, atol=1e-9)


def test_walks_are_the_teachers(real_graph, teacher):
    for record in teacher:
        scan, path = record["scanId"], record["path"]
        start, goal = (real_graph.index(scan, record[end]) for end in ("start", "goal"))
        walked = real_graph.shortest_path(start, goal)
        assert [real_graph.viewpoints[i] for i in walked] == path


def test_first_hops_are_the_teachers(real_graph, teacher):
    for record in teacher:
        start, goal = (real_graph.index(record["scanId"], record[end]) for end in ("start", "goal"))
        slot = int(real_graph.next_slot(start, goal))
        stops = record["teacher_action"] == record["stop_action"]
        assert slot == (-1 if stops else record["teacher_action"])
        if not stops:
            hop = real_graph.viewpoints[real_graph.neighbour[start, slot]]
            assert hop == record["teacher_viewpoint"]


def test_a_view_shows_its_candidate_within_half_a_step(real_graph):
    source, slot = np.nonzero(real_graph.neighbour >= 0)
    view = real_graph.candidate_view[source, slot]
    aside = real_graph.candidate_heading[source, slot] - geometry.view_heading(view)
    assert np.abs(geometry.wrap(aside)).max() <= geometry.STEP / 2 + 1e-9
