"""Captions of views are read as they stand, and damage is named."""

import json

import pytest

from vln.data.captions import ViewCaption, load_view_captions
from vln.errors import CorruptData, MissingData, UnknownName, UnknownViewpoint


@pytest.fixture
def write(tiny_graph, tmp_path):
    def write(file_name="", caption="A red chair."):
        place = f"{tiny_graph.scan_of(3)}/{tiny_graph.viewpoints[3]}_07"
        content = {
            "images": [{"id": 5, "file_name": file_name or place}],
            "annotations": [{"id": 0, "image_id": 5, "caption": caption}],
        }
        (tmp_path / "captions").mkdir(exist_ok=True)
        (tmp_path / "captions" / "captions_train.json").write_text(json.dumps(content))
        return tmp_path

    return write


def test_a_caption_belongs_to_a_view_of_the_graph(write, tiny_graph):
    found = load_view_captions(write(), "train", graph=tiny_graph)

    assert found == [ViewCaption(3, 7, "A red chair.")]


@pytest.mark.parametrize("file_name", ["room.jpg", "a/b_36", "a/b_7"])
def test_a_picture_that_is_no_view_is_refused(write, tiny_graph, file_name):
    with pytest.raises(CorruptData, match=r"captions_train\.json.*expected <scan>/<viewpoint>_"):
        load_view_captions(write(file_name), "train", graph=tiny_graph)


def test_a_view_of_another_world_is_refused(write, tiny_graph):
    with pytest.raises(UnknownViewpoint):
        load_view_captions(write("elsewhere/b_07"), "train", graph=tiny_graph)


def test_another_split_is_refused_with_those_there_are(write, tiny_graph):
    with pytest.raises(UnknownName, match="Did you mean 'train'"):
        load_view_captions(write(), "trayn", graph=tiny_graph)


def test_a_world_without_captions_says_which_have_them(tiny_graph, tmp_path):
    with pytest.raises(MissingData, match="--env houses"):
        load_view_captions(tmp_path, "train", graph=tiny_graph)


def test_a_file_that_is_not_cocos_is_named(write, tiny_graph):
    folder = write()
    (folder / "captions" / "captions_train.json").write_text("[]")

    with pytest.raises(CorruptData, match="COCO"):
        load_view_captions(folder, "train", graph=tiny_graph)
