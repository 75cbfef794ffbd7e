import json

import numpy as np
import pytest

from vln.data import r4r
from vln.errors import BadConfig


def by_path(episodes):
    return {episode.id.rpartition("_")[0]: episode for episode in episodes}


@pytest.fixture(scope="module")
def source(tiny_world):
    return by_path(tiny_world.episodes("val_unseen"))


def test_exactly_the_pairs_within_three_metres_are_joined(tiny_world, source):
    graph = tiny_world.graph
    expected = set()
    for a, first in source.items():
        for b, second in source.items():
            if a == b or first.start.scan != second.start.scan:
                continue
            end = graph.index(first.start.scan, first.reference[-1])
            start = graph.index(first.start.scan, second.reference[0])
            if graph.distance(end, start) < 3.0:
                expected.add(f"{a}_{b}")
    assert set(by_path(tiny_world.episodes("val_unseen", dataset="r4r"))) == expected


def test_a_join_is_the_first_path_the_shortest_walk_and_the_second(tiny_world, source):
    graph = tiny_world.graph
    seen = set()
    for pair, episode in by_path(tiny_world.episodes("val_unseen", dataset="r4r")).items():
        first, second = (source[path] for path in pair.split("_"))
        scan = first.start.scan
        ends = graph.index(scan, first.reference[-1]), graph.index(scan, second.reference[0])
        walk = tuple(graph.viewpoints[panorama] for panorama in graph.shortest_path(*ends))
        assert episode.reference == first.reference[:-1] + walk + second.reference[1:]
        assert episode.start == first.start
        seen.add(len(walk))
    assert 1 in seen, "no pair shares its joint, so the test says nothing of it"
    assert max(seen) > 1


def test_every_pair_of_instructions_is_an_episode(tmp_path, tiny_world):
    records = json.loads((tiny_world.folder / "r2r" / "R2R_val_unseen.json").read_bytes())
    there = records[0]
    back = {**there, "path_id": 999, "path": there["path"][::-1], "instructions": ["Back. ", "B."]}
    there["instructions"] = ["Go. ", " Walk."]
    (tmp_path / "two.json").write_text(json.dumps([there, back]))
    episodes = r4r.load(tiny_world.folder, str(tmp_path / "two.json"), tiny_world.graph)
    there_and_back = f"{there['path_id']}_999"
    assert [(e.id, e.instruction) for e in episodes.episodes[:4]] == [
        (f"{there_and_back}_0", "Go. Back. "),
        (f"{there_and_back}_1", "Go. B."),
        (f"{there_and_back}_2", " Walk. Back. "),
        (f"{there_and_back}_3", " Walk. B."),
    ]
    assert len(episodes) == 8


def test_the_fingerprint_is_the_r2r_files(tiny_world):
    made, source = (tiny_world.episodes("val_seen", dataset=d) for d in ("r4r", "r2r"))
    assert (made.sha256, made.file) == (source.sha256, source.file)


def test_a_split_without_labels_cannot_be_joined(tiny_world):
    with pytest.raises(BadConfig, match=r"'test'.*labels"):
        tiny_world.episodes("test", dataset="r4r")


@pytest.mark.parametrize(
    ("split", "paths", "instructions"),
    [("train", 25_921, 233_532), ("val_seen", 115, 1_035), ("val_unseen", 5_026, 45_234)],
)
def test_the_real_graphs_give_the_measured_counts(
    real_data, real_graph, split, paths, instructions
):
    episodes = r4r.load(real_data, split, real_graph)
    assert len(episodes) == instructions
    assert len({episode.id.rpartition("_")[0] for episode in episodes}) == paths
    for episode in episodes.episodes[:: instructions // 100]:
        walk = real_graph.indices(episode.start.scan, episode.reference)
        assert np.all(real_graph.is_edge(walk[:-1], walk[1:]))
