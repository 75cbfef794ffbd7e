import hashlib
import json
import shutil

import pytest

from vln.data import r2r
from vln.errors import CorruptData, MissingData, UnknownName


@pytest.fixture
def records(tiny_world):
    """The first train records, to be damaged."""
    return json.loads((tiny_world.folder / "r2r" / "R2R_train.json").read_bytes())[:3]


@pytest.fixture
def load(tmp_path, tiny_world):
    def load_records(content):
        file = tmp_path / "mine.json"
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return r2r.load(tiny_world.folder, str(file), tiny_world.graph)

    return load_records


def test_every_instruction_is_an_episode_of_its_own(load, records):
    episodes = load(records).episodes
    assert [e.id for e in episodes] == ["0_0", "0_1", "0_2", "0_3"] + [
        f"{path}_{k}" for path in (1, 2) for k in range(3)
    ]
    first = episodes[0]
    assert first.instruction == records[0]["instructions"][0]
    assert first.reference == tuple(records[0]["path"])
    assert first.start.viewpoint == records[0]["path"][0]
    assert (first.start.heading, first.start.elevation) == (records[0]["heading"], 0.0)
    assert first.language == "en"


def test_the_fingerprint_is_the_annotation_files(tiny_world):
    episodes = tiny_world.episodes("train")
    file = tiny_world.folder / "r2r" / "R2R_train.json"
    assert episodes.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert episodes.file == str(file)


def test_the_test_split_has_no_reference(tiny_world):
    assert all(episode.reference is None for episode in tiny_world.episodes("test"))


def test_a_blank_instruction_keeps_its_id(load, records):
    records[1]["instructions"][1] = "  "
    assert "1_1" in {episode.id for episode in load(records)}


def test_a_labelled_path_of_one_viewpoint_keeps_its_reference(load, records):
    records[0]["path"] = records[0]["path"][:1]
    assert load(records).episodes[0].reference == (records[0]["path"][0],)


def test_an_unknown_split_suggests_the_closest(tiny_world):
    with pytest.raises(UnknownName, match=r"'val_unsen'\. Did you mean 'val_unseen'"):
        tiny_world.episodes("val_unsen")


def test_a_missing_file_says_where_to_put_it(tmp_path, tiny_world):
    with pytest.raises(MissingData, match=r"R2R_train\.json.*Put R2R's annotation files"):
        r2r.load(tmp_path, "train", tiny_world.graph)


def test_a_truncated_file_is_named(load, records):
    with pytest.raises(CorruptData, match=r"mine\.json: not valid JSON"):
        load(json.dumps(records).encode()[:-40])


@pytest.mark.parametrize("content", [{}, [], "text", None])
def test_a_file_that_is_no_list_of_paths_is_refused(load, content):
    with pytest.raises(CorruptData, match="non-empty JSON list"):
        load(content)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("scan", 3, "'scan' must be str, found int"),
        ("path_id", 1.5, "'path_id' must be int or str, found float"),
        ("path_id", True, "found bool"),
        ("path", "abc", "'path' must be list, found str"),
        ("path", [], "'path' is empty"),
        ("path", ["a", 1], "'path' must hold strings only"),
        ("heading", None, "'heading' must be int or float, found NoneType"),
        ("heading", "1.0", "found str"),
        ("heading", float("nan"), "'heading' is nan, expected finite radians"),
        ("heading", float("inf"), "'heading' is inf"),
        ("instructions", "go", "'instructions' must be list"),
        ("instructions", [], "'instructions' is empty"),
        ("instructions", ["go", None], "'instructions' must hold strings only"),
        ("scan", "noSuchScan1", "no viewpoint .* in scan 'noSuchScan1'"),
        ("path", ["0" * 32], "no viewpoint '0{32}'"),
    ],
)
def test_a_bad_field_names_file_record_and_remedy(load, records, key, value, problem):
    records[1][key] = value
    with pytest.raises(CorruptData, match=rf"mine\.json, record 1 .*{problem}.*Correct the record"):
        load(records)


def test_a_missing_field_is_named(load, records):
    del records[2]["heading"]
    with pytest.raises(CorruptData, match=r"record 2 \(path_id 2\): has no 'heading'"):
        load(records)


def test_a_record_that_is_no_object_is_named(load, records):
    with pytest.raises(CorruptData, match="record 3: expected an object, found list"):
        load([*records, []])


def test_a_path_that_jumps_names_both_ends(load, records):
    path = records[1]["path"]
    del path[1]
    problem = rf"record 1 \(path_id 1, scan .*no edge leads from viewpoint {path[0]} to {path[1]}"
    with pytest.raises(CorruptData, match=problem):
        load(records)


def test_a_path_that_stands_still_is_no_walk(load, records):
    records[1]["path"].insert(1, records[1]["path"][0])
    with pytest.raises(CorruptData, match="no edge leads"):
        load(records)


def test_a_path_id_that_stands_twice_is_named(load, records):
    with pytest.raises(CorruptData, match="path_id 1: stands 2 times"):
        load([*records, records[1]])


@pytest.mark.parametrize(
    ("split", "paths", "instructions", "scans"),
    [
        ("train", 4675, 14039, 61),
        ("val_seen", 340, 1021, 56),
        ("val_unseen", 783, 2349, 11),
        ("test", 1391, 4173, 18),
    ],
)
def test_the_real_splits_have_their_published_sizes(
    real_data, real_graph, split, paths, instructions, scans
):
    episodes = r2r.load(real_data, split, real_graph)
    assert len(episodes) == instructions
    assert len({episode.id.rpartition("_")[0] for episode in episodes}) == paths
    assert len({episode.start.scan for episode in episodes}) == scans
    held_out = [episode.reference is None for episode in episodes]
    assert all(held_out) if split == "test" else not any(held_out)


def test_the_real_dev_split_is_the_five_houses_val_seen_never_visits(real_data, real_graph):
    dev = r2r.load(real_data, "dev", real_graph)
    fit = r2r.load(real_data, "train_fit", real_graph)
    assert {episode.start.scan for episode in dev} == {
        "HxpKQynjfin", "YmJkqBEsHnH", "VVfe2KiqLaN", "D7G3Y4RVNrH", "GdvgFV5R1Z5"
    }  # fmt: skip
    assert (len(dev), len(fit)) == (268, 14039 - 268)


def test_any_name_that_has_a_file_is_a_split(tmp_path, tiny_world, tiny_graph):
    (tmp_path / "r2r").mkdir()
    file = tmp_path / "r2r" / "R2R_val_unseen_pair.json"
    shutil.copy(tiny_world.folder / "r2r" / "R2R_val_unseen.json", file)

    found = r2r.load(tmp_path, "val_unseen_pair", tiny_graph)

    assert (found.split, found.file) == ("val_unseen_pair", str(file))
    assert found.episodes == tiny_world.episodes("val_unseen").episodes


def test_an_unknown_split_is_named_beside_the_known_and_those_that_have_a_file(
    tmp_path, tiny_graph
):
    (tmp_path / "r2r").mkdir()
    (tmp_path / "r2r" / "R2R_val_unseen_pair.json").write_text("[]")

    with pytest.raises(UnknownName, match=r"split 'val_unseen_pairs'\. Did you mean") as caught:
        r2r.load(tmp_path, "val_unseen_pairs", tiny_graph)

    for name in (*r2r.SPLITS, "val_unseen_pair"):
        assert name in str(caught.value)


def test_a_record_may_hold_more_than_it_must(tmp_path, tiny_world, tiny_graph):
    records = json.loads((tiny_world.folder / "r2r" / "R2R_val_seen.json").read_bytes())
    file = tmp_path / "twins.json"
    file.write_text(json.dumps([{**record, "change": "moved"} for record in records]))

    found = r2r.load(tmp_path, str(file), tiny_graph)

    assert found.episodes == tiny_world.episodes("val_seen").episodes
