import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.vector.utils import batch_differing_spaces, batch_space

from envs.spaces import BatchedChoices, Choices, Pictures
from vln.errors import BadConfig


def test_choices_of_different_sizes_make_a_batch_that_samples_what_is_legal_everywhere():
    batch = batch_differing_spaces([Choices(5), Choices(9)])

    assert isinstance(batch, BatchedChoices)
    assert batch.nvec.tolist() == [5, 9]
    assert max(batch.sample().max() for _ in range(50)) == 1


def test_pictures_of_different_cameras_make_no_batch():
    with pytest.raises(BadConfig, match=r"\(2, 3\), \(3, 3\)"):
        batch_differing_spaces([Pictures((3, 3)), Pictures((2, 3))])


def test_the_space_of_pictures_takes_no_memory_and_works_as_a_box():
    space = Pictures((36, 480, 640, 3), seed=0)
    batch = batch_space(space, 64)
    small = Pictures((2, 3))

    copied = pickle.dumps(batch)

    assert len(copied) < 10_000
    assert pickle.loads(copied) == batch  # noqa: S301 - our own bytes
    assert (batch.shape, batch.dtype) == ((64, 36, 480, 640, 3), np.uint8)
    assert batch != space
    assert repr(small) == "Box(0, 255, (2, 3), uint8)"
    assert small.sample() in small
    assert np.zeros((2, 3), np.int64) not in small
    assert np.zeros((3, 2), np.uint8) not in small
    assert small == gymnasium.spaces.Box(0, 255, (2, 3), np.uint8)
    assert small.is_bounded()
