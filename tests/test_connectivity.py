import json
import shutil

import numpy as np
import pytest

from vln.data.connectivity import load_graph
from vln.errors import CorruptData, MissingData

SCAN = "tinyHouse00"


@pytest.fixture
def records(tiny_world):
    """The first house's records, to be damaged."""
    file = tiny_world.folder / "connectivity" / f"{SCAN}_connectivity.json"
    return json.loads(file.read_bytes())


@pytest.fixture
def load(tmp_path):
    def load_records(content):
        folder = tmp_path / "connectivity"
        folder.mkdir(exist_ok=True)
        (folder / "scans.txt").write_text(SCAN)
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / f"{SCAN}_connectivity.json").write_bytes(content)
        return load_graph(tmp_path)

    return load_records


def message_of(load, content):
    """The error's text; every one must name the file and end in a remedy."""
    with pytest.raises(CorruptData) as caught:
        load(content)
    message = str(caught.value)
    assert f"{SCAN}_connectivity.json" in message
    assert any(remedy in message for remedy in ("Copy the file", "copy or download it"))
    return message


def test_whole_files_are_read_as_they_stand(load, records):
    graph = load(records)
    kept = [index for index, record in enumerate(records) if record["included"]]
    assert len(kept) < len(records)
    assert graph.scans == (SCAN,)
    assert graph.viewpoints == tuple(records[index]["image_id"] for index in kept)
    assert graph.file_index.tolist() == kept
    poses = np.array([records[index]["pose"] for index in kept]).reshape(-1, 4, 4)
    np.testing.assert_array_equal(graph.position, poses[:, :3, 3])
    np.testing.assert_array_equal(graph.rotation, poses[:, :3, :3])


def test_only_the_scans_asked_for_are_read(tiny_world):
    graph = load_graph(tiny_world.folder, scans=["tinyHouse03", "tinyHouse01"])
    assert graph.scans == ("tinyHouse03", "tinyHouse01")


def test_the_world_is_the_hash_of_what_was_read(tiny_world, load, records):
    whole = load_graph(tiny_world.folder)
    part = load_graph(tiny_world.folder, scans=whole.scans[:2])
    assert load_graph(tiny_world.folder).world == whole.world
    assert part.world != whole.world
    before = load(records).world
    records[0]["pose"][3] += 1
    assert load(records).world != before


def test_a_truncated_file_is_named_with_the_place_where_it_ends(load, records):
    message = message_of(load, json.dumps(records).encode()[:5000])
    assert "not valid JSON" in message
    assert "line 1 column" in message


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[" * 5000])
def test_what_is_no_json_is_refused(load, content):
    assert "not valid JSON" in message_of(load, content)


@pytest.mark.parametrize("content", [{}, 3, None, [[]], ["record"]])
def test_another_structure_is_refused(load, content):
    assert "expected a list of objects" in message_of(load, content)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("image_id", 7, "str"),
        ("image_id", None, "str"),
        ("included", 1, "bool"),
        ("included", "true", "bool"),
        ("unobstructed", {"0": True}, "list"),
        ("unobstructed", None, "list"),
        ("pose", "0 0 0", "list"),
        ("pose", 3.0, "list"),
    ],
)
def test_a_field_of_the_wrong_type_names_its_record(load, records, field, value, expected):
    records[2][field] = value
    message = message_of(load, records)
    assert "record 2" in message
    assert f"`{field}` is {value!r}, expected {expected}" in message


@pytest.mark.parametrize("field", ["image_id", "included", "unobstructed", "pose"])
def test_a_missing_field_names_its_record(load, records, field):
    del records[2][field]
    message = message_of(load, records)
    assert "record 2" in message
    assert f"`{field}` is None" in message


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_pose_that_is_not_finite_names_its_viewpoint(load, records, number):
    records[1]["pose"][7] = number
    message = message_of(load, records)
    assert f"viewpoint {records[1]['image_id']}" in message
    assert "`pose` is not finite" in message


@pytest.mark.parametrize("wrong", [[0.0] * 15, [0.0] * 17, [], [0.0] * 15 + ["1"], [True] * 16])
def test_a_pose_that_is_not_16_numbers_names_its_viewpoint(load, records, wrong):
    records[1]["pose"] = wrong
    message = message_of(load, records)
    assert f"viewpoint {records[1]['image_id']}: `pose` must be 16 numbers" in message


def test_a_number_too_large_for_a_float_is_no_pose(load, records):
    records[1]["pose"][3] = 0.125
    content = json.dumps(records).replace("0.125", "1e999").encode()
    assert "1e999" in content.decode()
    message_of(load, content)


def test_a_viewpoint_that_appears_twice_names_its_second_record(load, records):
    records[4]["image_id"] = records[1]["image_id"]
    message = message_of(load, records)
    assert f"record 4: viewpoint {records[1]['image_id']} appears twice" in message


def test_an_edge_that_only_one_end_knows_names_both(load, records):
    end = records[0]["unobstructed"].index(True)
    records[end]["unobstructed"][0] = False
    message = message_of(load, records)
    assert f"viewpoint {records[0]['image_id']}: edge to {records[end]['image_id']}" in message
    assert "symmetric" in message


def test_an_excluded_viewpoint_may_have_one_way_edges(load, records):
    excluded = next(i for i, record in enumerate(records) if not record["included"])
    records[excluded]["unobstructed"] = [False] * len(records)
    assert load(records).viewpoints


def test_a_self_loop_names_its_viewpoint(load, records):
    records[3]["unobstructed"][3] = True
    message = message_of(load, records)
    assert f"viewpoint {records[3]['image_id']}: is marked as its own neighbour" in message


@pytest.mark.parametrize(
    "damage",
    [
        lambda row: row[:-1],
        lambda row: [*row, False],
        lambda row: [2, *row[1:]],
        lambda row: [-1, *row[1:]],
        lambda row: [300, *row[1:]],
        lambda row: ["true", *row[1:]],
        lambda row: [None, *row[1:]],
        lambda row: [0.0, *row[1:]],
    ],
)
def test_flags_that_do_not_fit_name_their_viewpoint(load, records, damage):
    records[2]["unobstructed"] = damage(records[2]["unobstructed"])
    message = message_of(load, records)
    assert f"viewpoint {records[2]['image_id']}" in message
    assert f"`unobstructed` must be {len(records)} booleans" in message


def test_a_scan_without_any_included_viewpoint_is_refused(load, records):
    for record in records:
        record["included"] = False
    assert "no viewpoint is included" in message_of(load, records)


def test_a_long_wrong_value_is_cut_in_the_message(load, records):
    records[2]["image_id"] = ["x" * 50] * 1000
    assert len(message_of(load, records)) < 600


@pytest.fixture
def world(tiny_world, tmp_path):
    shutil.copytree(tiny_world.folder / "connectivity", tmp_path / "connectivity")
    return tmp_path


def test_a_missing_listing_says_where_it_should_be(tmp_path):
    with pytest.raises(MissingData, match=r"connectivity/scans\.txt.*VLN_DATA"):
        load_graph(tmp_path)


def test_a_missing_scan_file_is_named_with_its_scan(world):
    (world / "connectivity" / f"{SCAN}_connectivity.json").unlink()
    with pytest.raises(MissingData, match=rf"{SCAN}_connectivity\.json.*{SCAN}.*scans\.txt"):
        load_graph(world)


def test_an_unknown_scan_asked_for_is_an_error(world):
    with pytest.raises(MissingData, match="nowhere_connectivity"):
        load_graph(world, scans=["nowhere"])


def test_a_scan_listed_twice_is_named(world):
    (world / "connectivity" / "scans.txt").write_text(f"tinyHouse01\n{SCAN}\n{SCAN}\n")
    with pytest.raises(CorruptData, match=rf"scans\.txt: lists \['{SCAN}'\] twice.*Remove"):
        load_graph(world)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_listing_is_an_error(world, content):
    (world / "connectivity" / "scans.txt").write_bytes(content)
    with pytest.raises(CorruptData, match=r"scans\.txt: lists no scan"):
        load_graph(world)


def test_a_listing_that_is_no_text_is_an_error(world):
    (world / "connectivity" / "scans.txt").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(CorruptData, match=r"scans\.txt.*UTF-8"):
        load_graph(world)
