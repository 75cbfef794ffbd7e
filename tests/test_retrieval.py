"""Views found by captions and captions by views."""

import numpy as np
import pytest

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
