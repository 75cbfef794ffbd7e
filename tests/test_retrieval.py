"""Views found by captions and captions by views."""

import json
import re
import shutil

import numpy as np
import pytest
from safetensors.torch import save_file

from benchmarks import retrieval
from benchmarks.retrieval import retrieve
from vln.data.captions import ViewCaption
from vln.errors import BadConfig

COUNT = 60


class Source:
    """Gives every caption its own direction, and its view the same one, more or less blurred."""

    def __init__(self, *, noise=0.0, shift=0, constant=False):
        self.rng = np.random.default_rng(0)
        self.own = self.rng.standard_normal((COUNT, 16)).astype(np.float32)
        self.noise, self.shift, self.constant = noise, shift, constant

    def texts(self, texts):
        return self._of(np.array([int(text.split()[-1]) for text in texts]))

    def of_views(self, panorama, view):
        assert (view == panorama % 36).all()
        features = self._of((panorama + self.shift) % COUNT) * 7
        return features + self.noise * self.rng.standard_normal(features.shape)

    def _of(self, numbers):
        return np.ones((len(numbers), 16), np.float32) if self.constant else self.own[numbers]


CAPTIONS = [ViewCaption(i, i % 36, f"Chair number {i}") for i in range(COUNT)]


def test_an_encoder_that_knows_finds_everything():
    found = retrieve(Source(), CAPTIONS, among=20, draws=3)

    assert found.image_to_text == found.text_to_image == (1.0, 1.0)
    assert found.deviation == 0


def test_an_encoder_that_says_the_same_of_everything_finds_nothing():
    found = retrieve(Source(constant=True), CAPTIONS, among=20, draws=3)

    assert found.image_to_text == found.text_to_image == (0.0, 0.0)


def test_an_encoder_that_mixes_views_up_finds_about_as_much_as_chance():
    found = retrieve(Source(shift=1), CAPTIONS, among=20, draws=20)

    assert found.image_to_text[0] < 0.15
    assert found.image_to_text[1] == pytest.approx(5 / 20, abs=0.1)


def test_a_blurred_eye_finds_more_among_five_than_at_once():
    found = retrieve(Source(noise=12), CAPTIONS, among=20, draws=20)

    assert 0.05 < found.image_to_text[0] < found.image_to_text[1] < 1
    assert found.deviation > 0


def test_captions_of_one_draw_are_pairwise_different():
    doubled = [*CAPTIONS[:10], *CAPTIONS[:10]]

    assert retrieve(Source(), doubled, among=10, draws=2).image_to_text[0] == 1
    with pytest.raises(BadConfig, match="10 different captions among 20; expected 11"):
        retrieve(Source(), doubled, among=11)


@pytest.mark.parametrize("wrong", [{"among": 1}, {"draws": 0}])
def test_draws_of_nothing_are_refused(wrong):
    with pytest.raises(BadConfig, match="expected 1 or more among 2 or more"):
        retrieve(Source(), CAPTIONS, **wrong)


@pytest.fixture
def captioned(tiny_panoramas, tmp_path):
    """The tiny world with pictures, and a caption of one view of every viewpoint."""
    folder = shutil.copytree(tiny_panoramas.folder, tmp_path / "world")
    graph = tiny_panoramas.graph
    names = [f"{graph.scan_of(i)}/{viewpoint}" for i, viewpoint in enumerate(graph.viewpoints)]
    content = {
        "images": [{"id": i, "file_name": f"{name}_12"} for i, name in enumerate(names)],
        "annotations": [{"image_id": i, "caption": f"Door {i}."} for i in range(len(names))],
    }
    (folder / "captions").mkdir()
    (folder / "captions" / "captions_train.json").write_text(json.dumps(content))
    return folder


def test_the_command_finds_as_much_as_chance_with_weights_that_mean_nothing(
    captioned, clip_tensors, tmp_path, capsys
):
    save_file(clip_tensors(layers=1), tmp_path / "small.safetensors")
    encoder = f"clip:{tmp_path / 'small.safetensors'}+direct+32px"
    where = ["--env", "r2r", "--data", str(captioned), "--split", "train"]

    code = retrieval.main([*where, "--encoder", encoder, "--among", "20", "--draws", "5"])

    said = capsys.readouterr().out
    assert code == 0
    assert "20 views, 5 draws; chance 5.0 %" in said
    rates = [float(rate) for rate in re.findall(r"R@1 +([\d.]+) %", said)]
    assert len(rates) == 2
    assert max(rates) < 25


def test_an_encoder_without_words_is_refused_before_a_world_is_made(capsys):
    assert retrieval.main(["--encoder", "objects", "--env", "houses"]) == 2
    assert "reads no words" in capsys.readouterr().err
