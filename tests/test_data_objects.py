import json
import shutil
import zipfile

import numpy as np
import pytest

from vln.data.objects import load_objects
from vln.errors import CorruptData, MissingData


@pytest.fixture
def boxes(tmp_path, tiny_world):
    """A copy of the tiny world's boxes, to be damaged."""
    shutil.copytree(tiny_world.folder / "reverie" / "BBox", tmp_path / "reverie" / "BBox")
    return tmp_path / "reverie" / "BBox"


@pytest.fixture
def first(boxes, tiny_graph):
    """The file of panorama 0 and its content with one known object."""
    viewpoint = tiny_graph.viewpoints[0]
    item = {"name": "dining#chair", "visible_pos": [3, 4], "bbox2d": [[0, 0, 320, 240]] * 2}
    return boxes / f"{tiny_graph.scans[0]}_{viewpoint}.json", {viewpoint: {"7": item}}, item


def packed(folder, file):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("BBox/", "")
        for member in sorted(folder.glob("*.json"), reverse=True):
            archive.write(member, f"BBox/{member.name}")
        archive.writestr("__MACOSX/BBox/._x.json", b"junk")


def test_rows_say_who_shows_what_where_and_how_large(tmp_path, tiny_graph, first):
    file, content, item = first
    item["bbox2d"] = [[0, 0, 320, 240], [600, 400, 80, 160]]
    file.write_text(json.dumps(content))
    objects = load_objects(tmp_path, tiny_graph)
    rows = objects.panorama == 0
    assert objects.view[rows].tolist() == [3, 4]
    assert {objects.names[i] for i in objects.name[rows]} == {"dining#chair"}
    # The second box reaches beyond the view: 40 x 80 of its pixels are inside.
    assert objects.area[rows] == pytest.approx([0.25, 40 * 80 / (640 * 480)])
    assert (objects.view.dtype, objects.area.dtype) == (np.int64, np.float32)


def test_rows_stand_in_panorama_order(tiny_world, tiny_graph):
    objects = load_objects(tiny_world.folder, tiny_graph)
    assert (np.diff(objects.panorama) >= 0).all()
    assert len(objects) == len(objects.view) == len(objects.name) == len(objects.area)
    assert objects.names == tuple(sorted(set(objects.names)))


def test_a_zip_gives_the_same_as_a_folder(tmp_path, boxes, tiny_world, tiny_graph):
    packed(boxes, tmp_path / "reverie" / "BBox.zip")
    shutil.rmtree(boxes)
    zipped, loose = (load_objects(p, tiny_graph) for p in (tmp_path, tiny_world.folder))
    assert zipped.names == loose.names
    for field in ("panorama", "view", "name", "area"):
        assert np.array_equal(getattr(zipped, field), getattr(loose, field))


def test_a_name_that_is_seen_from_nowhere_is_left_out(tmp_path, tiny_graph, first):
    file, content, item = first
    item.update(name="ghost", visible_pos=[], bbox2d=[])
    file.write_text(json.dumps(content))
    assert "ghost" not in load_objects(tmp_path, tiny_graph).names


def test_no_boxes_say_where_to_put_them(tmp_path, tiny_graph):
    with pytest.raises(MissingData, match=r"BBox\.zip.*--encoder none"):
        load_objects(tmp_path, tiny_graph)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"visible_pos": [3, 36]}, r"'visible_pos' holds 36, expected views 0\.\.35"),
        ({"visible_pos": [-1, 3]}, "holds -1"),
        ({"visible_pos": [3, "4"]}, "holds '4'"),
        ({"visible_pos": [3, 2**70]}, "holds 1.18"),
        ({"visible_pos": [3, True]}, "holds True"),
        ({"visible_pos": [3]}, "1 views in 'visible_pos' but 2 boxes in 'bbox2d'"),
        ({"visible_pos": None}, "must be lists"),
        ({"bbox2d": [[0, 0, 1, 1], [0, 0, 1]]}, r"'bbox2d' holds \[0, 0, 1\]"),
        ({"bbox2d": [[0, 0, 1], [0, 0, 1, 1, 1]]}, r"'bbox2d' holds \[0, 0, 1\]"),
        ({"bbox2d": [[0, 0, 1, 1], 5]}, "'bbox2d' holds 5"),
        ({"bbox2d": [[0, 0, 1, 1], "abcd"]}, "'bbox2d' holds 'abcd'"),
        ({"bbox2d": [[0, 0, 1, 1], [0, 0, 1, True]]}, "'bbox2d' holds .*True"),
        ({"bbox2d": [[0, 0, 1, 1], [0, 0, 1, float("nan")]]}, "'bbox2d' holds .*nan"),
        ({"name": 3}, "'name' must be str"),
    ],
)
def test_a_bad_field_names_file_object_and_remedy(tmp_path, tiny_graph, first, change, problem):
    file, content, item = first
    item.update(change)
    file.write_text(json.dumps(content))
    with pytest.raises(CorruptData, match=rf"{file.name}, object .*{problem}.*copy REVERIE's"):
        load_objects(tmp_path, tiny_graph)


@pytest.mark.parametrize(
    "content", [{}, [], {"other": {}}, {"a": {}, "b": {}}, 3], ids=["{}", "[]", "other", "two", "3"]
)
def test_a_file_of_another_viewpoint_is_refused(tmp_path, tiny_graph, first, content):
    first[0].write_text(json.dumps(content))
    with pytest.raises(CorruptData, match=rf"{first[0].name}: expected one object whose only key"):
        load_objects(tmp_path, tiny_graph)


def test_an_object_without_its_fields_is_named(tmp_path, tiny_graph, first):
    file, content, item = first
    del item["bbox2d"]
    file.write_text(json.dumps(content))
    with pytest.raises(CorruptData, match="object 7: needs name, visible_pos and bbox2d"):
        load_objects(tmp_path, tiny_graph)


def test_a_truncated_file_is_named(tmp_path, tiny_graph, first):
    first[0].write_bytes(first[0].read_bytes()[:20])
    with pytest.raises(CorruptData, match=rf"{first[0].name}: not valid JSON"):
        load_objects(tmp_path, tiny_graph)


def test_a_viewpoint_without_a_file_is_named(tmp_path, tiny_graph, first):
    first[0].unlink()
    with pytest.raises(CorruptData, match=rf"1 viewpoints have no file, {first[0].name}"):
        load_objects(tmp_path, tiny_graph)


def test_a_file_of_an_unknown_viewpoint_is_named(tmp_path, boxes, tiny_graph):
    (boxes / "house_view.json").write_text("{}")
    with pytest.raises(CorruptData, match=r"house_view\.json: no viewpoint 'view' in scan 'house'"):
        load_objects(tmp_path, tiny_graph)


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_zip_is_named(tmp_path, boxes, tiny_graph, damage):
    file = tmp_path / "reverie" / "BBox.zip"
    packed(boxes, file)
    shutil.rmtree(boxes)
    raw = bytearray(file.read_bytes())
    if damage == "cut":
        raw = raw[: len(raw) // 2]
    else:
        raw[150:160] = bytes(10)
    file.write_bytes(raw)
    with pytest.raises(CorruptData, match=r"BBox\.zip.*download it again"):
        load_objects(tmp_path, tiny_graph)


def test_the_real_boxes_have_their_known_totals(real_data, real_graph):
    objects = load_objects(real_data, real_graph)
    assert len(objects) == 210_198
    assert len(objects.names) == 1_093
    # 2,385 files name no object at all; in 1,173 more, none of the objects is in sight.
    assert len(real_graph.viewpoints) - len(np.unique(objects.panorama)) == 2_385 + 1_173
    assert 0 < objects.area.min() <= objects.area.max() <= 1
