import gzip
import json
import os

import pytest

from vln.data.predictions import Prediction, read_predictions, write_predictions
from vln.errors import BadPredictions, MissingData
from vln.types import Pose, Trajectory


@pytest.fixture
def read(tmp_path):
    def read_content(content):
        file = tmp_path / "mine.json"
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return read_predictions(file)

    return read_content


def test_the_leaderboards_form_keeps_turns_and_angles(read):
    poses = [["a", 0.5, 0], ["a", 1.0, 0.0], ["b", 1.0, -0.5]]
    assert read([{"instr_id": "1_0", "trajectory": poses}]) == [
        Prediction("1_0", ("a", "a", "b"), (0.5, 1.0, 1.0), (0, 0.0, -0.5))
    ]


@pytest.mark.parametrize(
    "trajectory",
    [
        ["a", "b", "c"],
        [["a"], ["b", "c"]],
        [["a"], [], ["b", "c"]],
        [["a", "b", "c"]],
        [["a", 0.0, 0.0], ["b", "c"]],
        ["a", ["b", 0, 0], ["c"]],
    ],
)
def test_viewpoints_are_read_from_every_form_the_field_writes(read, trajectory):
    assert read([{"instr_id": "1_0", "trajectory": trajectory}])[0].viewpoints == ("a", "b", "c")


def test_lists_of_three_viewpoints_are_hops_and_not_poses(read):
    nested = [{"instr_id": "1_0", "trajectory": [["a", "b", "c"], ["d", "e", "f"]]}]
    assert read(nested) == [Prediction("1_0", tuple("abcdef"))]


def test_other_keys_are_ignored_and_a_path_is_a_trajectory(read):
    detailed = {"instr_id": "1_0", "path": ["a"], "details": {"a": {"stop_prob": 0.5}}, "a_t": []}
    assert read([detailed]) == [Prediction("1_0", ("a",))]


def test_a_numeric_id_becomes_text(read):
    assert read([{"instruction_id": 26, "path": ["a"]}])[0].id == "26"


def test_order_and_duplicates_stay_for_the_scorer_to_judge(read):
    records = [{"instr_id": i, "trajectory": ["a"]} for i in ("2_0", "1_0", "2_0")]
    assert [prediction.id for prediction in read(records)] == ["2_0", "1_0", "2_0"]


def test_a_heading_that_is_nan_does_not_hide_the_path(read):
    assert read(b'[{"instr_id": "1", "trajectory": [["a", NaN, 0]]}]')[0].viewpoints == ("a",)


def test_a_gzipped_file_is_read_whatever_it_is_called(read):
    assert read(gzip.compress(b'[{"instr_id": "1", "path": ["a"]}]'))[0].id == "1"


@pytest.mark.parametrize("name", ["out.json", "out.json.gz"])
def test_what_is_written_is_read_back(tmp_path, name):
    poses = (Pose("s", "a", 0.1, -0.5), Pose("s", "b", 1 / 3, 0.0))
    file = tmp_path / "new" / name
    write_predictions([Trajectory("1_0", poses, stopped=True)], file)
    assert read_predictions(file) == [Prediction("1_0", ("a", "b"), (0.1, 1 / 3), (-0.5, 0.0))]
    assert list(file.parent.iterdir()) == [file]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    file = tmp_path / "out.json"
    file.write_text("[]")

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_predictions([Trajectory("1_0", (Pose("s", "a", 0, 0),), stopped=True)], file)
    assert file.read_text() == "[]"
    assert list(tmp_path.iterdir()) == [file]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingData, match=r"absent\.json"):
        read_predictions(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "content",
    [b"", b'[{"instr_id": "1_0", "traj', gzip.compress(b"[]" * 99)[:-9], b"\x1f\x8bjunk"],
    ids=["empty", "cut", "cut gzip", "no gzip"],
)
def test_a_damaged_file_is_named_with_a_remedy(read, content):
    with pytest.raises(BadPredictions, match=r"mine\.json.*damaged or cut off"):
        read(content)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ([], "record 1: expected an object, found list"),
        ({"trajectory": ["a"]}, "record 1: 'instr_id' must be a string, found None"),
        ({"instr_id": 1.5, "trajectory": ["a"]}, "found 1.5"),
        ({"instr_id": True, "trajectory": ["a"]}, "found True"),
        ({"instr_id": "7_0"}, r"record 1 \(instr_id '7_0'\): 'trajectory' must be a non-empty"),
        ({"instr_id": "7_0", "trajectory": []}, "non-empty list"),
        ({"instr_id": "7_0", "trajectory": [[]]}, "names no viewpoint"),
        ({"instr_id": "7_0", "trajectory": ["a", 3]}, "trajectory entry 1 is 3"),
        ({"instr_id": "7_0", "trajectory": [["a", 0.0]]}, r"entry 0 is \['a', 0.0\]"),
        ({"instr_id": "7_0", "trajectory": [["a", None, 0.0]]}, "entry 0 is"),
        ({"instr_id": "7_0", "trajectory": [[1, 0.0, 0.0]]}, "entry 0 is"),
        ({"instr_id": "7_0", "trajectory": [["a", True, 0.0]]}, "entry 0 is"),
    ],
)
def test_a_bad_record_is_named_with_the_form_expected(read, record, problem):
    with pytest.raises(BadPredictions, match=rf"mine\.json, .*{problem}.*Write a JSON list of"):
        read([{"instr_id": "1_0", "trajectory": ["a"]}, record])


def test_a_file_that_is_no_list_is_refused(read):
    with pytest.raises(BadPredictions, match="expected a JSON list of records, found dict"):
        read({"1_0": ["a"]})


def test_real_prediction_files_are_read_with_their_angles(real_data):
    for file in sorted((real_data / "predictions").glob("*.json.gz")):
        predictions = read_predictions(file)
        assert len(predictions) == (1021 if "val_seen" in file.name else 2349)
        assert all(len(p.headings) == len(p.viewpoints) for p in predictions)
