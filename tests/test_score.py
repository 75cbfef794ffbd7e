import json

import numpy as np
import pytest

from benchmarks import score
from benchmarks.protocols import score_predictions
from vln.data.episodes import load_episodes
from vln.data.predictions import Prediction, read_predictions
from vln.errors import BadConfig, BadPredictions, UnknownName
from vln.metrics.paths import METRICS

SEQ2SEQ = [
    f"seq2seq_{split}_iter_{n}" for split in ("val_seen", "val_unseen") for n in (100, 5000, 10000)
]


@pytest.fixture
def walked(tiny_world):
    """The references of val_unseen by id: a file in order, to be spoilt by each test."""
    return {episode.id: list(episode.reference) for episode in tiny_world.episodes("val_unseen")}


@pytest.fixture
def judge(tiny_world, tiny_graph):
    """Scores {id: viewpoints}, or pairs where an id stands twice."""

    def scored(walked, *, split="val_unseen", protocol="envdrop", duplicates="refuse"):
        pairs = walked.items() if isinstance(walked, dict) else walked
        return score_predictions(
            [Prediction(name, tuple(path)) for name, path in pairs],
            file="my.json",
            split=tiny_world.episodes(split),
            graph=tiny_graph,
            protocol=protocol,
            duplicates=duplicates,
        )

    return scored


@pytest.fixture
def command(tiny_world, tmp_path, capsys):
    """Runs the command on {id: viewpoints}; gives exit code, output, errors."""

    def run(walked, *options, split="val_unseen"):
        file = tmp_path / "my.json"
        records = [
            {"instr_id": name, "trajectory": [[viewpoint, 0.0, 0.0] for viewpoint in path]}
            for name, path in walked.items()
        ]
        file.write_text(json.dumps(records))
        place = ["--env", "r2r", "--split", split, "--data", str(tiny_world.folder)]
        code = score.main([str(file), *place, "--draws", "50", *options])
        return code, *capsys.readouterr()

    return run


def some_jump(graph, path, scan):
    """A viewpoint two edges from the end of a path, reachable but not adjacent."""
    last = graph.index(scan, path[-1])
    members = np.array(graph.members(scan))
    distances = graph.distance(last, members)
    far = members[np.isfinite(distances) & (distances > 0) & ~graph.is_edge(last, members)]
    return graph.viewpoints[far[0]]


def test_the_reference_follower_succeeds_everywhere(judge, walked):
    means = judge(walked).scores.mean()

    assert (means["success"], means["ndtw"], means["navigation_error"]) == (1, 1, 0)
    assert means["spl"] == pytest.approx(1)


def test_the_order_of_the_records_does_not_matter(judge, walked):
    stopped = {name: path[:-1] for name, path in walked.items()}
    backwards = dict(reversed(stopped.items()))

    assert np.array_equal(judge(stopped).scores.table(), judge(backwards).scores.table())


def test_a_missing_id_is_named(judge, walked):
    ids = list(walked)
    for name in ids[:5]:
        del walked[name]

    with pytest.raises(BadPredictions, match=r"my.json: missing \(5\)") as caught:
        judge(walked)

    assert all(f"instr_id {name} has no record" in str(caught.value) for name in ids[:3])
    assert "and 2 more. Predict every instruction" in str(caught.value)


def test_another_splits_file_is_recognised(judge, tiny_world):
    other = {episode.id: episode.reference for episode in tiny_world.episodes("val_seen")}

    with pytest.raises(BadPredictions, match=r"none of its 73 records .* Check --env and --split"):
        judge(other)


def test_a_repeated_id_is_refused_by_name(judge, walked):
    name = next(iter(walked))

    with pytest.raises(BadPredictions, match=rf"duplicate \(1\): instr_id {name} has 2 records"):
        judge([*walked.items(), (name, walked[name])])


def test_the_first_of_repeated_records_counts_where_that_is_asked_for(judge, walked):
    name, path = next(iter(walked.items()))

    scored = judge([*walked.items(), (name, path[:1])], duplicates="first")

    assert scored.scores.success.min() == 1
    assert scored.repeated == 1


def test_unknown_ids_are_counted_and_ignored(judge, walked):
    scored = judge({**walked, "9999_0": ["nowhere"]})

    assert scored.ignored == 1
    assert len(scored.walked.episodes) == len(walked)


def test_an_unknown_viewpoint_is_named_with_its_place(judge, walked):
    name = list(walked)[3]
    walked[name][2] = "nowhere"

    with pytest.raises(BadPredictions, match=rf"{name} entry 2 is viewpoint nowhere, which scan"):
        judge(walked)


def test_a_wrong_start_is_named(judge, walked):
    name = list(walked)[3]
    start = walked[name].pop(0)

    with pytest.raises(BadPredictions, match=rf"{name} starts at .*, the episode at {start}"):
        judge(walked)


def test_a_jump_counts_as_its_shortest_walk_or_is_refused(judge, walked, tiny_world, tiny_graph):
    episode = tiny_world.episodes("val_unseen").episodes[0]
    far = some_jump(tiny_graph, walked[episode.id], episode.start.scan)
    ends = [tiny_graph.index(episode.start.scan, name) for name in (walked[episode.id][-1], far)]
    before = judge(walked).scores.trajectory_length[0]
    walked[episode.id].append(far)

    scored = judge(walked)

    assert scored.jumps == 1
    grown = scored.scores.trajectory_length[0] - before
    assert grown == pytest.approx(tiny_graph.distance(*ends))
    with pytest.raises(BadPredictions, match=rf"jump \(1\): instr_id {episode.id} move \d+ goes"):
        judge(walked, protocol="mattersim")


def test_a_viewpoint_no_walk_leads_to_cannot_be_scored(judge, tiny_world, tiny_graph):
    isolated = int(np.flatnonzero(tiny_graph.degree == 0)[0])
    scan = tiny_graph.scan_of(isolated)
    walked = {e.id: list(e.reference) for e in tiny_world.episodes("val_seen")}
    name = next(e.id for e in tiny_world.episodes("val_seen") if e.start.scan == scan)
    walked[name].append(tiny_graph.viewpoints[isolated])

    with pytest.raises(BadPredictions, match=rf"unreachable \(1\): instr_id {name} visits"):
        judge(walked, split="val_seen")


def test_the_protocols_count_different_instructions(judge, tiny_world):
    walked = {e.id: e.reference for e in tiny_world.episodes("val_seen")}
    assert any(name.endswith("_3") for name in walked)

    every, three = (judge(walked, split="val_seen", protocol=p) for p in ("envdrop", "mattersim"))

    assert (len(every.walked.episodes), len(three.walked.episodes)) == (73, 72)
    assert (every.ignored, three.ignored) == (0, 1)


def test_a_split_without_labels_is_not_scored(judge):
    with pytest.raises(BadConfig, match=r"'test' of r2r cannot be scored .* benchmarks.validate"):
        judge({}, split="test")


def test_an_unknown_protocol_is_named(judge, walked):
    with pytest.raises(UnknownName, match="Did you mean 'envdrop'"):
        judge(walked, protocol="envdrob")


def test_the_command_prints_denominator_protocol_annotations_and_every_metric(
    command, walked, tiny_world
):
    code, out, err = command(walked)

    split = tiny_world.episodes("val_unseen")
    assert (code, err) == (0, "")
    assert "protocol envdrop" in out
    assert f"denominator  {len(split)} of {len(split)} instructions" in out
    assert f"sha256 {split.sha256[:12]}" in out
    for metric in METRICS:
        assert f"\n{metric.label} ({metric.unit})" in out
    assert "\nSR (%)    100.00  [100.00, 100.00]" in out


def test_the_command_prints_one_json_object(command, walked, tiny_world):
    walked = {name: path[:-1] for name, path in walked.items()}

    code, out, _ = command(walked, "--json", "--protocol", "mattersim")

    result = json.loads(out)
    assert code == 0
    assert result["annotations_sha256"] == tiny_world.episodes("val_unseen").sha256
    assert result["protocol"] == "mattersim"
    assert result["instructions_scored"] <= result["instructions_in_split"]
    assert list(result["metrics"]) == [metric.label for metric in METRICS]
    rate = result["metrics"]["nDTW"]
    assert rate["low"] <= rate["mean"] <= rate["high"] < 100
    assert result["interval"] == {"level": 0.95, "draws": 50, "seed": 0}


def test_the_command_prints_the_same_twice(command, walked):
    assert command(walked) == command(walked)


@pytest.mark.parametrize(
    ("options", "split", "message"),
    [
        ((), "test", "cannot be scored here"),
        ((), "val_unsen", "Did you mean 'val_unseen'"),
        (("--draws", "0"), "val_unseen", "0 bootstrap samples"),
        (("--data", "/nowhere"), "val_unseen", "is no folder"),
    ],
)
def test_the_command_says_what_it_cannot_do(command, walked, options, split, message):
    code, out, err = command(walked, *options, split=split)

    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err


def test_the_command_names_a_file_that_is_not_there(tiny_world, capsys):
    arguments = ["gone.json", "--env", "r2r", "--split", "val_seen"]

    code = score.main([*arguments, "--data", str(tiny_world.folder)])

    assert code == 2
    assert "cannot read gone.json" in capsys.readouterr().err


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_published_predictions_score_what_the_original_evaluator_says(real_data, real_graph, name):
    expected = json.loads((real_data / "predictions" / "expected.json").read_bytes())
    expected = expected[f"{name}.json.gz"]
    split = load_episodes("r2r", expected["split"], data=real_data, graph=real_graph)

    scored = score_predictions(
        read_predictions(real_data / "predictions" / f"{name}.json.gz"),
        file=name,
        split=split,
        graph=real_graph,
        protocol=expected["protocol"],
    )

    means = scored.scores.mean()
    assert len(scored.walked.episodes) == {"val_seen": 1020, "val_unseen": 2349}[split.split]
    for ours, theirs in {
        "trajectory_length": "trajectory_length",
        "navigation_error": "navigation_error",
        "oracle_success": "oracle_success_rate",
        "success": "success_rate",
        "spl": "spl",
    }.items():
        assert means[ours] == pytest.approx(expected[theirs], abs=1e-9), ours
