import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from vln import checkpoint
from vln.errors import CheckpointMismatch


@pytest.fixture
def file(tmp_path):
    return tmp_path / "checkpoints" / "last.safetensors"


def saved(file, **tensors):
    checkpoint.save(file, tensors=tensors, state={"iteration": 7})
    return file


def test_tensors_come_back_bit_by_bit_in_their_types(file):
    tensors = {
        "weight": torch.randn(3, 4),
        "view": torch.randn(4, 3).t(),
        "half": torch.randn(5).to(torch.bfloat16),
        "step": torch.tensor(12),
        "parameter": nn.Parameter(torch.randn(2)),
        "nothing": torch.zeros(0, 3),
    }
    checkpoint.save(file, tensors=tensors, state={})
    loaded, _ = checkpoint.load(file)
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor.detach())


def test_the_128_bit_states_of_generators_come_back(file):
    rng = np.random.default_rng(5)
    rng.random(3)
    state = {"rng": rng.bit_generator.state, "words": ["naïve", "walk"], "best": 0.1 + 0.2}
    checkpoint.save(file, tensors={}, state=state)
    _, loaded = checkpoint.load(file)
    assert loaded == state
    assert max(loaded["rng"]["state"].values()) > 2**64
    expected = rng.random(4)
    other = np.random.default_rng(0)
    other.bit_generator.state = loaded["rng"]
    np.testing.assert_array_equal(other.random(4), expected)


def test_saving_again_replaces_the_file_and_leaves_nothing_else(file):
    saved(file, weight=torch.zeros(2))
    saved(file, weight=torch.ones(2))
    tensors, _ = checkpoint.load(file)
    assert tensors["weight"].tolist() == [1, 1]
    assert list(file.parent.iterdir()) == [file]


def test_a_missing_checkpoint_says_what_happened(file):
    with pytest.raises(CheckpointMismatch, match=r"no checkpoint .*last\.safetensors.*start it"):
        checkpoint.load(file)


@pytest.mark.parametrize("size", [0, 3, 40, -1])
def test_a_damaged_checkpoint_is_named(file, size):
    saved(file, weight=torch.randn(100))
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(CheckpointMismatch, match=r"last\.safetensors.*damaged.*Use another"):
        checkpoint.load(file)


def test_a_pickle_is_not_read(file):
    file.parent.mkdir()
    torch.save({"weight": torch.zeros(3)}, file)
    with pytest.raises(CheckpointMismatch, match="not a checkpoint of ours"):
        checkpoint.load(file)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"state": "{"}])
def test_safetensors_of_others_are_not_taken_for_ours(file, metadata):
    file.parent.mkdir()
    safetensors.torch.save_file({"weight": torch.zeros(3)}, file, metadata=metadata)
    with pytest.raises(CheckpointMismatch, match="not a checkpoint of ours"):
        checkpoint.load(file)


def test_weights_go_into_the_module_they_came_from(file):
    module, other = nn.Linear(3, 2), nn.Linear(3, 2)
    saved(file, **module.state_dict())
    checkpoint.load_weights(other, checkpoint.load(file)[0], source=file)
    assert torch.equal(other.weight, module.weight)
    assert torch.equal(other.bias, module.bias)


def test_missing_surplus_and_reshaped_weights_are_all_listed():
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    weights = module.state_dict()
    before = {name: value.clone() for name, value in weights.items()}
    del weights["1.bias"]
    weights |= {"2.weight": torch.zeros(1), "0.weight": torch.zeros(2, 5)}
    with pytest.raises(CheckpointMismatch) as caught:
        checkpoint.load_weights(module, weights, source="runs/mine")
    message = str(caught.value)
    assert message.startswith("runs/mine does not fit")
    assert "missing ['1.bias']" in message
    assert "surplus ['2.weight']" in message
    assert "0.weight is (2, 5), expected (2, 3)" in message
    assert "encoder" in message
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
