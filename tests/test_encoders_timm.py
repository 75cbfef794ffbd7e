"""Networks of timm's at any picture size, or a word that they see one only."""

import pytest
import timm
import torch

from vln.encoders.networks.timm import TimmNetwork, let_see_any_size
from vln.errors import BadConfig


def _made(name, **settings):
    return timm.create_model(name, pretrained=False, **settings).eval()


def _images(height, width):
    return torch.randn((1, 3, height, width), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "ghostnet_050", "rexnet_100", "vgg11", "mobilenetv3_small_050"]
)
@torch.inference_mode()
def test_the_grid_is_as_wide_as_it_says_where_the_pooled_is_wider(name):
    network, images = TimmNetwork(_made(name)), _images(96, 128)
    assert network.grid(images).shape == (1, network.grid_dim, *network.grid_size(96, 128))
    assert network.pooled(images).shape == (1, network.dim)


@torch.inference_mode()
def test_pixels_that_fill_no_patch_are_not_seen():
    network = TimmNetwork(_made("vit_tiny_patch16_224", dynamic_img_size=True))
    images = _images(224, 298)
    assert network.grid_size(224, 298) == (14, 18)
    assert torch.equal(network.pooled(images), network.pooled(images[..., :288]))
    assert torch.equal(network.grid(images), network.grid(images[..., :288]))


@torch.inference_mode()
def test_a_network_for_one_size_says_which():
    network = TimmNetwork(_made("levit_128s"))
    assert network.pooled(_images(224, 224)).shape == (1, network.dim)
    with pytest.raises(BadConfig, match=r"298 x 224 pixels; it is made for 224 x 224. Use \+224px"):
        network.pooled(_images(224, 298))
    with pytest.raises(BadConfig, match="made for 224 x 224"):
        network.grid_size(96, 96)


@torch.inference_mode()
def test_memory_that_runs_out_is_no_matter_of_size(monkeypatch):
    network = TimmNetwork(_made("resnet18"))

    def fails(images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(network.module, "forward_features", fails)
    with pytest.raises(torch.OutOfMemoryError):
        network.pooled(_images(96, 128))


@torch.inference_mode()
def test_a_transformer_made_for_one_size_learns_to_see_any():
    late, early = (_made("vit_tiny_patch16_224", dynamic_img_size=flag) for flag in (False, True))
    early.load_state_dict(late.state_dict())
    own, wide = _images(224, 224), _images(224, 288)
    expected = late(own)
    let_see_any_size(late)
    assert torch.equal(late(own), expected)
    assert torch.equal(late(wide), early(wide))
