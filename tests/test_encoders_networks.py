"""Parity: with OpenAI's own outputs, with open_clip's, and with timm's second implementation."""

import numpy as np
import open_clip
import pytest
import torch

from vln.encoders.loading import load
from vln.encoders.networks.filling import weights_of
from vln.encoders.networks.openai import clip_network
from vln.encoders.networks.protocol import places
from vln.encoders.weights.tensors import NOTES, digest

RESNET = {"layers": [1, 2, 1, 1], "width": 16, "patch_size": None}
TRANSFORMER = {"layers": 2, "width": 64, "patch_size": 16}
TOWERS = {"resnet": RESNET, "transformer": TRANSFORMER}


@pytest.fixture(params=TOWERS)
def tower(request):
    return request.param


@pytest.fixture
def tensors(clip_tensors, tower):
    return clip_tensors(**TOWERS[tower])


@pytest.fixture
def network(tensors):
    made = clip_network(weights_of(tensors), source="test", name="tiny")
    made.module.eval().requires_grad_(requires_grad=False)
    return made


@pytest.fixture
def reference(tensors, tower):
    """open_clip's own network with the same weights, at its own size only."""
    vision = {"image_size": 64} | TOWERS[tower]
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
    model = open_clip.CLIP(
        32, vision_cfg=open_clip.CLIPVisionCfg(**vision), text_cfg=text, quick_gelu=True
    )
    model.load_state_dict(tensors)
    return model.eval()


def _images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _close(found, expected, tolerance=1e-4):
    difference = float((torch.as_tensor(found) - torch.as_tensor(expected)).abs().max())
    return difference <= tolerance * float(torch.as_tensor(expected).abs().max())


@pytest.mark.parametrize("name", ["rn", "vit"])
def test_openais_own_outputs_are_met(golden, name):
    reference = np.load(golden / f"clip/openai_{name}_tiny_reference.npz")
    encoder = load(f"clip:{golden}/clip/openai_{name}_tiny.pt")
    images = torch.from_numpy(reference["images"])
    network = encoder.network
    with torch.inference_mode():
        pooled = network.pooled(images)
        grid = network.grid(images) if name == "rn" else network.tokens(images)
    text = encoder.text(reference["tokens"])
    assert _close(pooled, reference["pooled"])
    assert _close(grid, reference["grid"])
    assert _close(text, reference["text"])
    directions = [torch.nn.functional.normalize(torch.as_tensor(side)) for side in (pooled, text)]
    scale = network.module.logit_scale.exp()
    assert _close(scale * directions[0] @ directions[1].T, reference["logits_per_image"])


@torch.inference_mode()
def test_at_its_own_size_a_network_is_open_clips(network, reference, tower):
    images, tokens = _images(3, 3, 64, 64), torch.randint(49408, (3, 77))
    last = reference.visual.forward_intermediates(images, indices=1, intermediates_only=True)
    assert _close(network.pooled(images), reference.encode_image(images))
    assert _close(network.grid(images), last["image_intermediates"][-1])
    assert _close(network.text(tokens), reference.encode_text(tokens))


@torch.inference_mode()
def test_the_grid_of_a_transformer_is_its_tokens_without_the_first(clip_tensors):
    network = clip_network(weights_of(clip_tensors(**TRANSFORMER)), source="test", name="tiny")
    images = _images(2, 3, 64, 96)
    tokens, grid = network.tokens(images), network.grid(images)
    assert tokens.shape == (2, 1 + 4 * 6, 64)
    assert torch.equal(grid[1, :, 2, 5], tokens[1, 1 + 2 * 6 + 5])


@torch.inference_mode()
def test_any_rectangle_gives_features_and_leaves_the_weights_alone(network):
    before = digest(network.module.state_dict())
    shapes = {}
    for height, width in ((64, 64), (64, 96), (96, 64), (32, 40), (75, 203)):
        images = _images(2, 3, height, width)
        grid = network.grid(images)
        shapes[height, width] = tuple(grid.shape[2:])
        assert network.pooled(images).shape == (2, 32)
        assert network.pooled(images).abs().min() > 0
    rows = {size: tuple(side // network.stride for side in size) for size in shapes}
    assert shapes == rows
    assert digest(network.module.state_dict()) == before


def test_positions_of_a_tables_own_size_are_the_table():
    table = torch.randn(6, 4)
    assert places(table, own=(2, 3), size=(2, 3)) is table


def test_positions_are_resampled_row_by_row():
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    table = torch.stack([rows.flatten(), columns.flatten()], dim=1)
    found = places(table, own=(8, 8), size=(8, 16)).reshape(8, 16, 2)
    inner = found[:, 4:-4]  # a ramp stays a ramp, but for its ends
    assert torch.allclose(inner[..., 0], torch.arange(8.0)[:, None].expand(8, 8), atol=1e-5)
    assert torch.allclose(inner[3, :, 1], torch.arange(4, 12) / 2 - 0.25, atol=0.02)


@torch.inference_mode()
def test_a_position_table_of_zeros_is_another_network(clip_tensors):
    """As in the published extractor whose resized table was never put in place."""
    tensors = weights_of(clip_tensors(**TRANSFORMER))
    zeros = tensors | {"visual.positional_embedding": torch.zeros(17, 64)}
    wide = _images(1, 3, 64, 128)
    features = [
        clip_network(weights, source="test", name="tiny").pooled(wide)
        for weights in (tensors, zeros)
    ]
    assert not _close(*features, tolerance=1e-2)


@torch.inference_mode()
def test_plain_gelu_would_be_another_network(clip_tensors):
    images = _images(2, 3, 64, 64)
    right, plain = (
        clip_network(weights_of(clip_tensors(**TRANSFORMER)), source="test", name="tiny")
        for _ in range(2)
    )
    for block in plain.module.visual.transformer.resblocks:
        block.mlp.gelu = torch.nn.GELU()
    assert not _close(plain.pooled(images), right.pooled(images), tolerance=1e-3)


_SECOND = {
    "RN50-quickgelu": "resnet50_clip.openai",
    "RN101-quickgelu": "resnet101_clip.openai",
    "RN50x4-quickgelu": "resnet50x4_clip.openai",
    "ViT-B-32-quickgelu": "vit_base_patch32_clip_quickgelu_224",
    "ViT-B-16-quickgelu": "vit_base_patch16_clip_quickgelu_224",
}


def _timms(name, tensors):
    """timm's network of a full-size CLIP, with the same weights by timm's own renaming."""
    import timm
    from timm.models import byobnet, vision_transformer

    config = open_clip.get_model_config(name)
    any_size = {} if name.startswith("RN") else {"dynamic_img_size": True}
    model = timm.create_model(
        _SECOND[name], pretrained=False, num_classes=config["embed_dim"], **any_size
    )
    module = byobnet if name.startswith("RN") else vision_transformer
    model.load_state_dict(module.checkpoint_filter_fn(dict(tensors), model))
    return model.eval()


@pytest.mark.parametrize("name", _SECOND)
@torch.inference_mode()
def test_two_implementations_agree_at_full_size(clip_tensors, name):
    config = open_clip.get_model_config(name)
    tensors = clip_tensors(config)
    size = config["vision_cfg"]["image_size"]
    network = clip_network(weights_of(tensors), source="test", name=name)
    images = _images(2, 3, size, size)
    second = _timms(name, tensors)
    network.module.eval()
    assert _close(network.pooled(images), second(images))
    wide = _images(1, 3, size, size + 3 * network.stride)  # timm resamples positions as well
    assert _close(network.pooled(wide), second(wide))


def test_notes_are_no_weights(clip_tensors):
    tensors = clip_tensors(**RESNET)
    noted = tensors | dict.fromkeys(NOTES, torch.tensor(64))
    assert weights_of(noted, leave=NOTES).keys() == weights_of(tensors).keys()
