import gzip
import itertools
import json
import math

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vln.data.episodes import load_episodes
from vln.data.predictions import read_predictions
from vln.errors import UnknownViewpoint, Unreachable
from vln.metrics import paths as paths_module
from vln.metrics.paths import METRICS, locate, score_episodes, score_paths, without_repeats

AGENTS = ("shortest", "stop", "random_walk5", "partly_correct", "overshoot2")
SEEDS = st.integers(0, 2**32 - 1)


def padded(rows):
    lengths = np.array([len(row) for row in rows])
    table = np.full((len(rows), max(lengths)), -1)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table, lengths


def score(graph, walked, references, **options):
    paths, lengths = padded(walked)
    goals, goal_lengths = padded(references)
    return score_paths(
        graph,
        paths=paths,
        lengths=lengths,
        references=goals,
        reference_lengths=goal_lengths,
        **options,
    )


def random_walks(graph, rng, *, count):
    """Random walks with turns on the spot, as lists of panoramas."""
    walks = []
    for panorama in rng.choice(np.flatnonzero(graph.degree > 0), size=count).tolist():
        walk = [panorama]
        for _ in range(rng.integers(0, 9)):
            slot = rng.integers(-2, graph.degree[walk[-1]])
            walk.append(walk[-1] if slot < 0 else int(graph.neighbour[walk[-1], slot]))
        walks.append(walk)
    return walks


def random_references(graph, rng, walks):
    return [
        graph.shortest_path(walk[0], int(rng.choice(walkable_members(graph, walk[0]))))
        for walk in walks
    ]


def walkable_members(graph, panorama):
    members = np.array(graph.members(graph.scan_of(panorama)))
    return members[graph.degree[members] > 0]


def plainly(graph, walk, reference):
    """The formulas of the papers, one loop at a time, on networkx distances."""
    nx = graph.to_networkx(graph.scan_of(walk[0]))
    between = dict(networkx.all_pairs_dijkstra_path_length(nx))

    def d(a, b):
        return between[graph.viewpoints[a]][graph.viewpoints[b]]

    def metres(nodes):
        return sum(d(a, b) for a, b in itertools.pairwise(nodes))

    flat = [node for i, node in enumerate(walk) if i == 0 or node != walk[i - 1]]
    goal, length = reference[-1], metres(walk)
    error, shortest = d(walk[-1], goal), d(walk[0], goal)
    success = float(error < 3)
    coverage = np.mean([math.exp(-min(d(r, p) for p in walk) / 3) for r in reference])
    expected = coverage * metres(reference)
    total = expected + abs(expected - length)
    table = np.full((len(flat) + 1, len(reference) + 1), np.inf)
    table[0, 0] = 0
    for i, p in enumerate(flat):
        for j, r in enumerate(reference):
            best = min(table[i, j], table[i + 1, j], table[i, j + 1])
            table[i + 1, j + 1] = d(p, r) + best
    ndtw = math.exp(-table[-1, -1] / (3 * len(reference)))
    return {
        "trajectory_length": length,
        "navigation_error": error,
        "oracle_error": min(d(p, goal) for p in walk),
        "oracle_success": float(min(d(p, goal) for p in walk) < 3),
        "success": success,
        "spl": success * shortest / max(shortest, length, 0.01),
        "cls": coverage * (expected / total if total else 1.0),
        "dtw": table[-1, -1],
        "ndtw": ndtw,
        "sdtw": success * ndtw,
    }


def test_scores_equal_the_papers_formulas_written_out_plainly(tiny_graph):
    rng = np.random.default_rng(0)
    walks = random_walks(tiny_graph, rng, count=60)
    references = random_references(tiny_graph, rng, walks)

    scores = score(tiny_graph, walks, references)

    for row, (walk, reference) in enumerate(zip(walks, references, strict=True)):
        for name, value in plainly(tiny_graph, walk, reference).items():
            assert getattr(scores, name)[row] == pytest.approx(value, abs=1e-12), (row, name)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_a_path_that_equals_its_reference_scores_one(tiny_graph, seed):
    rng = np.random.default_rng(seed)
    references = random_references(tiny_graph, rng, random_walks(tiny_graph, rng, count=8))

    scores = score(tiny_graph, references, references)

    moved = scores.trajectory_length > 0.01
    assert scores.spl[moved] == pytest.approx(1)
    for name in ("success", "oracle_success", "ndtw", "sdtw"):
        assert np.all(getattr(scores, name) == 1), name
    assert scores.cls == pytest.approx(1)
    assert np.all(scores.dtw == 0)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_scores_stay_within_their_bounds(tiny_graph, seed):
    rng = np.random.default_rng(seed)
    walks = random_walks(tiny_graph, rng, count=16)

    scores = score(tiny_graph, walks, random_references(tiny_graph, rng, walks))

    for name in ("oracle_success", "success", "spl", "cls", "ndtw", "sdtw"):
        assert np.all((getattr(scores, name) >= 0) & (getattr(scores, name) <= 1)), name
    assert np.all(scores.ndtw > 0)
    assert np.all(scores.success <= scores.oracle_success)
    assert np.all(scores.spl <= scores.success)
    assert np.all(scores.oracle_error <= scores.navigation_error)
    assert np.all(scores.trajectory_length >= 0)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_turning_on_the_spot_changes_no_score(tiny_graph, seed):
    rng = np.random.default_rng(seed)
    walks = random_walks(tiny_graph, rng, count=8)
    references = random_references(tiny_graph, rng, walks)
    turning = [np.repeat(walk, rng.integers(1, 4, len(walk))).tolist() for walk in walks]

    plain, turned = (score(tiny_graph, rows, references) for rows in (walks, turning))

    assert np.array_equal(plain.table(), turned.table())
    assert np.array_equal(plain.dtw, turned.dtw)


def test_turns_cost_in_dtw_when_repeats_are_kept(tiny_graph):
    start = int(np.flatnonzero(tiny_graph.degree > 0)[0])
    neighbour = int(tiny_graph.neighbour[start, 0])

    kept = score(tiny_graph, [[start, start]], [[start, neighbour]], keep_repeats=True)
    plain = score(tiny_graph, [[start, start]], [[start, neighbour]])

    step = tiny_graph.distance(start, neighbour)
    assert (kept.dtw[0], plain.dtw[0]) == (step, step)  # the second turn covers the second node
    kept = score(tiny_graph, [[start] * 3], [[start, neighbour]], keep_repeats=True)
    assert kept.dtw[0] == step
    back = score(tiny_graph, [[start, neighbour, neighbour]], [[start]], keep_repeats=True)
    assert back.dtw[0] == 2 * step


def test_an_episode_scores_the_same_alone_as_in_a_batch(tiny_graph, monkeypatch):
    rng = np.random.default_rng(3)
    walks = random_walks(tiny_graph, rng, count=30)
    references = random_references(tiny_graph, rng, walks)

    together = score(tiny_graph, walks, references)
    alone = [score(tiny_graph, [w], [r]) for w, r in zip(walks, references, strict=True)]
    monkeypatch.setattr(paths_module, "_CELLS", 200)
    in_parts = score(tiny_graph, walks, references)

    apart = np.concatenate([one.table() for one in alone])
    assert together.table() == pytest.approx(apart, abs=1e-12)  # sums differ in their order
    assert in_parts.table() == pytest.approx(apart, abs=1e-12)


def test_exactly_three_metres_is_not_success(tiny_graph):
    start = int(np.flatnonzero(tiny_graph.degree > 0)[0])
    goal = int(tiny_graph.neighbour[start, 0])
    radius = float(tiny_graph.distance(start, goal))

    at_the_edge = score(tiny_graph, [[start]], [[start, goal]], radius=radius)
    within = score(tiny_graph, [[start]], [[start, goal]], radius=np.nextafter(radius, 9))

    assert (at_the_edge.success[0], within.success[0]) == (0, 1)


def test_a_reference_that_never_moves_divides_nothing_by_zero(tiny_graph):
    start = int(np.flatnonzero(tiny_graph.degree > 0)[0])

    scores = score(
        tiny_graph, [[start], [start, int(tiny_graph.neighbour[start, 0])]], [[start]] * 2
    )

    assert scores.cls.tolist() == [1.0, 0.0]
    assert scores.spl[0] == 0.0  # EnvDrop's floor of a centimetre: a walk of nothing earns nothing


def test_a_path_from_which_no_walk_leads_to_the_goal_is_refused_by_number(tiny_graph):
    isolated = int(np.flatnonzero(tiny_graph.degree == 0)[0])
    start = tiny_graph.members(tiny_graph.scan_of(isolated))[0]

    with pytest.raises(Unreachable, match=r"path 1 \(counted from 0\)"):
        score(tiny_graph, [[start], [start, isolated]], [[start], [start]])


def test_repeats_are_removed_only_where_consecutive():
    paths, lengths = padded([[5, 5, 6, 5, 5, 5], [7], [8, 9]])

    walked, walked_lengths = without_repeats(paths, lengths)

    assert walked.tolist() == [[5, 6, 5], [7, -1, -1], [8, 9, -1]]
    assert walked_lengths.tolist() == [3, 1, 2]


def test_names_are_located_in_their_own_scan(tiny_world, tiny_graph):
    episodes = tiny_world.episodes("val_unseen").episodes
    scans = [episode.start.scan for episode in episodes]

    table, lengths = locate(tiny_graph, scans=scans, paths=[e.reference for e in episodes])

    for episode, row, length in zip(episodes, table, lengths, strict=True):
        names = tuple(tiny_graph.viewpoints[panorama] for panorama in row[:length])
        assert names == episode.reference
        assert np.all(row[length:] == -1)


def test_a_viewpoint_of_another_scan_is_unknown(tiny_graph):
    with pytest.raises(UnknownViewpoint):
        locate(tiny_graph, scans=[tiny_graph.scans[0]], paths=[[tiny_graph.viewpoints[-1]]])


def test_no_episodes_give_no_scores(tiny_graph):
    none = np.zeros((0, 1), dtype=np.int64)
    length = np.zeros(0, dtype=np.int64)

    scores = score_paths(
        tiny_graph, paths=none, lengths=length, references=none, reference_lengths=length
    )

    assert scores.table().shape == (0, len(METRICS))


@pytest.mark.parametrize("agent", AGENTS)
def test_scores_equal_the_reference_evaluators_item_by_item(golden, real_data, real_graph, agent):
    split = load_episodes("r2r", "val_unseen", data=real_data, graph=real_graph)
    by_id = {episode.id: episode for episode in split}
    file = golden / "predictions" / f"{agent}_val_unseen.json.gz"
    walked = {record.id: record.viewpoints for record in read_predictions(file)}
    with gzip.open(golden / "metrics_items.jsonl.gz") as lines:
        items = [item for item in map(json.loads, lines) if item["agent"] == agent]
    episodes = [by_id[item["instr_id"]] for item in items]
    scans = [episode.start.scan for episode in episodes]
    paths, lengths = locate(real_graph, scans=scans, paths=[walked[e.id] for e in episodes])
    references, goals = locate(real_graph, scans=scans, paths=[e.reference for e in episodes])

    scores = {
        kind: score_paths(
            real_graph,
            paths=paths,
            lengths=lengths,
            references=references,
            reference_lengths=goals,
            keep_repeats=kind == "raw",
        )
        for kind in ("raw", "dedup")
    }

    assert len(items) == 2349
    names = {
        "trajectory_length": "length",
        "navigation_error": "nav_error",
        "oracle_error": "oracle_error",
        "oracle_success": "oracle_success",
        "success": "success",
        "spl": "spl",
    }
    for ours, theirs in names.items():
        expected = [item[theirs] for item in items]
        assert getattr(scores["dedup"], ours) == pytest.approx(expected, abs=1e-9), ours
    for kind in ("raw", "dedup"):
        for name in ("CLS", "DTW", "nDTW", "SDTW"):
            expected = [item[kind][name] for item in items]
            assert getattr(scores[kind], name.lower()) == pytest.approx(expected, abs=1e-9), name


@pytest.mark.parametrize("agent", AGENTS)
def test_means_equal_the_reference_evaluators(golden, real_data, real_graph, agent):
    split = load_episodes("r2r", "val_unseen", data=real_data, graph=real_graph)
    file = golden / "predictions" / f"{agent}_val_unseen.json.gz"
    walked = {record.id: record.viewpoints for record in read_predictions(file)}
    expected = json.loads((golden / "metrics.json").read_bytes())[agent]

    means = score_episodes(
        real_graph, episodes=split.episodes, paths=[walked[episode.id] for episode in split]
    ).mean()

    for ours, theirs in {
        "navigation_error": "nav_error",
        "oracle_error": "oracle_error",
        "trajectory_length": "lengths",
        "success": "success_rate",
        "oracle_success": "oracle_rate",
        "spl": "spl",
    }.items():
        assert means[ours] == pytest.approx(expected["envdrop"][theirs], abs=1e-9), ours
    for name, value in expected["hamt_dedup_trajectory"].items():
        assert means[name.lower()] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize(
    ("split", "spl"), [("train", 100.0), ("val_seen", 100.0), ("val_unseen", 99.8)]
)
def test_walking_the_reference_scores_the_published_spl(real_data, real_graph, split, spl):
    episodes = load_episodes("r2r", split, data=real_data, graph=real_graph).episodes

    means = score_episodes(
        real_graph, episodes=episodes, paths=[episode.reference for episode in episodes]
    ).mean()

    assert round(100 * means["spl"], 1) == spl
    assert (means["success"], means["ndtw"]) == (1, 1)


def test_eight_val_unseen_references_are_not_shortest(real_data, real_graph):
    episodes = load_episodes("r2r", "val_unseen", data=real_data, graph=real_graph).episodes

    scores = score_episodes(
        real_graph, episodes=episodes, paths=[episode.reference for episode in episodes]
    )

    longer = np.flatnonzero(scores.spl < 1 - 1e-9)
    assert len(longer) == 24
    assert len({episodes[row].reference for row in longer.tolist()}) == 8
