import itertools
import math
from collections import Counter

import numpy as np
import pytest

from vln.data import r2r
from vln.data.sampled import sample_paths
from vln.errors import BadConfig, UnknownViewpoint
from vln.graph import compile_graph


@pytest.fixture
def line(make_graph):
    """Viewpoints a to f in a row, 2 m apart."""
    return make_graph([(0, 2 * i, 0) for i in range(6)], ["ab", "bc", "cd", "de", "ef"])


def drawn(graph, scans=("made",), *, labelled=(), count=0, seed=0, **bounds):
    return sample_paths(
        graph, scans, labelled=labelled, count=count, rng=np.random.default_rng(seed), **bounds
    )


def references(episodes):
    return ["".join(episode.reference) for episode in episodes]


def test_all_paths_are_the_shortest_ones_of_four_to_six_edges_and_five_metres(tiny_graph):
    scans = tiny_graph.scans[:2]
    expected = set()
    for scan in scans:
        for start, end in itertools.permutations(tiny_graph.members(scan), 2):
            metres = tiny_graph.distance(start, end)
            if np.isfinite(metres) and metres >= 5:
                path = tiny_graph.shortest_path(start, end)
                if 4 <= len(path) - 1 <= 6:
                    expected.add((scan, tuple(tiny_graph.viewpoints[p] for p in path)))

    found = [(e.start.scan, e.reference) for e in drawn(tiny_graph, scans)]

    assert len(found) == len(expected)
    assert set(found) == expected


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, ["abcde", "abcdef", "bcdef", "edcba", "fedcb", "fedcba"]),
        ({"edges": (5, 9)}, ["abcdef", "fedcba"]),
        ({"edges": (1, 4), "least_metres": 8}, ["abcde", "bcdef", "edcba", "fedcb"]),
        ({"least_metres": 8.5}, ["abcdef", "fedcba"]),
    ],
)
def test_edges_and_metres_bound_the_paths(line, bounds, expected):
    assert sorted(references(drawn(line, **bounds))) == expected


def test_a_labelled_path_is_left_out_and_its_way_back_is_not(line):
    found = drawn(line, labelled=[("made", list("abcde"))])

    assert sorted(references(found)) == ["abcdef", "bcdef", "edcba", "fedcb", "fedcba"]


def test_a_labelled_detour_leaves_the_shortest_path_between_its_ends(make_graph):
    positions = [(0, 0, 0), (3, 0, 0), (6, 0, 0), (3, 1, 0)]
    graph = make_graph(positions, ["ab", "bc", "ad", "dc"])

    found = drawn(graph, labelled=[("made", "adc")], edges=(2, 2))

    assert {"abc", "cba"} <= set(references(found))


def test_labelled_paths_of_other_lengths_and_scans_have_no_effect(line):
    found = drawn(line, labelled=[("elsewhere", "xy"), ("made", "ab"), ("made", "abcdefedc")])

    assert len(found) == 6


def test_only_the_scans_asked_for_are_drawn_from(tiny_graph):
    scans = tiny_graph.scans[2:4]

    assert {episode.start.scan for episode in drawn(tiny_graph, scans)} == set(scans)


def test_a_draw_holds_different_paths_of_all_there_are(tiny_graph):
    everything = set(references(drawn(tiny_graph, tiny_graph.scans)))

    found = references(drawn(tiny_graph, tiny_graph.scans, count=100))

    assert len(found) == len(set(found)) == 100
    assert set(found) <= everything


def test_every_path_is_drawn_equally_often(line):
    counts = Counter(
        path for seed in range(300) for path in references(drawn(line, count=2, seed=seed))
    )

    assert len(counts) == 6
    assert max(abs(count - 100) for count in counts.values()) < 35  # 4 standard deviations


def test_a_seed_gives_the_same_episodes_again(tiny_graph):
    first, again, other = (
        drawn(tiny_graph, scans, count=50, seed=seed)
        for scans, seed in [
            (tiny_graph.scans, 1),
            (set(tiny_graph.scans), 1),
            (tiny_graph.scans, 2),
        ]
    )

    assert first == again
    assert first.episodes != other.episodes
    assert first.sha256 != other.sha256


def test_a_path_has_one_id_in_every_draw(tiny_graph):
    every = {e.reference: e.id for e in drawn(tiny_graph, tiny_graph.scans)}

    some = {e.reference: e.id for e in drawn(tiny_graph, tiny_graph.scans, count=20, seed=3)}

    assert len(set(every.values())) == len(every)
    assert all(every[path] == identity for path, identity in some.items())


def test_an_episode_begins_where_its_path_does_and_has_no_words(line):
    episode = drawn(line, count=1).episodes[0]

    assert episode.id.startswith("sampled_")
    assert (episode.instruction, episode.language) == ("", "en")
    assert (episode.start.scan, episode.start.viewpoint) == ("made", episode.reference[0])
    assert episode.start.elevation == 0.0


def test_start_headings_fill_the_circle_evenly(tiny_graph):
    headings = np.array([e.start.heading for e in drawn(tiny_graph, tiny_graph.scans)])

    shares = np.histogram(headings, bins=4, range=(0, 2 * math.pi))[0] / len(headings)
    assert headings.min() >= 0
    assert headings.max() < 2 * math.pi
    assert np.abs(shares - 0.25).max() < 4 * math.sqrt(0.25 * 0.75 / len(headings))


def test_the_set_bears_the_name_it_is_given(line):
    named = drawn(line, dataset="r4r", split="extra")

    assert (named.dataset, named.split, len(named.sha256)) == ("r4r", "extra", 64)


def test_viewpoints_at_one_place_do_not_hold_a_walk_up(make_scan):
    positions = [(0, 0, 0), (0, 3, 0), (0, 3, 0), (0, 6, 0)]
    graph = compile_graph([make_scan(positions, ["ab", "bc", "cd"])], world="made")

    assert sorted(references(drawn(graph, edges=(3, 3)))) == ["abcd", "dcba"]


def test_an_unknown_scan_is_named(line):
    with pytest.raises(UnknownViewpoint, match="no scan 'elsewhere'"):
        drawn(line, ["made", "elsewhere"])


def test_more_paths_than_there_are_says_how_many_there_are(line):
    with pytest.raises(BadConfig, match="7 paths asked for, but 1 scans have 6 shortest paths"):
        drawn(line, count=7)


@pytest.mark.parametrize(
    ("scans", "bounds"), [((), {}), (("made",), {"edges": (6, 6)}), (("made",), {"count": 1})]
)
def test_nothing_to_draw_from_is_refused(make_graph, scans, bounds):
    graph = make_graph([(0, 2 * i, 0) for i in range(3)], ["ab", "bc"])

    with pytest.raises(BadConfig, match="have 0 shortest paths"):
        drawn(graph, scans, **bounds)


@pytest.mark.parametrize(
    ("bounds", "problem"),
    [
        ({"count": -1}, "-1 paths asked for"),
        ({"edges": (5, 4)}, "5 to 4 edges"),
        ({"edges": (0, 4)}, "0 to 4 edges"),
        ({"least_metres": float("nan")}, "nan m"),
    ],
)
def test_bounds_that_cannot_be_met_are_refused(line, bounds, problem):
    with pytest.raises(BadConfig, match=problem):
        drawn(line, **bounds)


@pytest.mark.parametrize(("are_labelled_left_out", "there_are"), [(False, 178300), (True, 173633)])
def test_the_training_scans_have_about_as_many_paths_as_the_field_draws(
    real_data, real_graph, are_labelled_left_out, there_are
):
    train = r2r.load(real_data, "train", real_graph)
    scans = {e.start.scan for e in train}
    labelled = [(e.start.scan, e.reference) for e in train] if are_labelled_left_out else []

    with pytest.raises(BadConfig, match=f"61 scans have {there_are} shortest paths"):
        drawn(real_graph, scans, labelled=labelled, count=10**6)
