"""Networks from weights in the layout of OpenAI's released CLIPs, of any size; built by open_clip.

One way for released files, files of one's own and made-up weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP
from torch import Tensor

from vln.encoders.networks.architecture import ClipArchitecture
from vln.encoders.networks.filling import fill, weights_of
from vln.encoders.networks.protocol import Network
from vln.encoders.networks.wrapped import network_of
from vln.errors import CheckpointMismatch
from vln.runs import generator

SEED: Final = 0
"""Of weights that nobody trained."""
_LAST_GAIN: Final = 1 / 400
"""Of the last layer, so that an untrained RN50's features of pictures of rooms have norms of about
10 (measured), the size of CLIP's."""


def clip_network(
    tensors: Mapping[str, Tensor], *, source: object, name: str, architecture: str = ""
) -> Network:
    """Gives the network that weights in OpenAI's layout are for.

    Args:
        tensors: As `weights_of` gives them.
        source: Where they are from, for messages.
        name: What the encoder is called, for messages.
        architecture: open_clip's name of what they must be weights of; empty for any.

    Raises:
        CheckpointMismatch: They are in another layout, or of another architecture.
    """
    found = ClipArchitecture.of_tensors(tensors, source=source)
    if architecture:
        expected = ClipArchitecture.of_config(open_clip.get_model_config(architecture))
        if found != expected:
            raise CheckpointMismatch(
                f"{source} holds weights of another network than {name}: found {found}; expected "
                f"{expected}. Use the file that belongs to {name}, or --encoder clip:FILE for "
                "whatever a file holds."
            )
    with torch.device("meta"):  # real numbers would be drawn only to be thrown away
        model = CLIP(**_config(found))
    fill(model, tensors, source=source, of=name)
    length = found.context
    future_LL = torch.full((length, length), -torch.inf, device="cpu", dtype=torch.float32).triu_(1)
    model.attn_mask = future_LL  # no weight, so `fill` leaves it on meta
    return network_of(model)


def untrained_weights(architecture: str) -> dict[str, Tensor]:
    """Gives the weights of a network that nobody trained, always and everywhere the same ones.

    Drawn as He et al. (2015, arXiv:1502.01852) do for networks of ReLUs, which keeps activations
    alive without a training. As torch and open_clip draw them, they die down from stage to stage
    until all pictures look alike in half precision.

    Args:
        architecture: open_clip's name of the network.
    """
    with torch.device("meta"):
        shapes = weights_of(CLIP(**open_clip.get_model_config(architecture)).state_dict())
    return {name: _drawn(name, tuple(like.shape)) for name, like in shapes.items()}


def _drawn(name: str, shape: tuple[int, ...]) -> Tensor:
    """Gives one tensor of a network without training, by a generator of its own."""
    if len(shape) < 2:
        # Scales and variances are 1, shifts and means 0; residual branches count half, so that
        # sixteen of them do not double what they add to each time.
        scale = name.endswith(("weight", "running_var", "logit_scale"))
        value = 0.5 if name.endswith("bn3.weight") and ".layer" in name else float(scale)
        return torch.full(shape, value, dtype=torch.float32, device="cpu")
    gain = 2.0 if len(shape) == 4 else 1.0
    if name == "visual.attnpool.c_proj.weight":
        gain = _LAST_GAIN
    entries = generator(SEED, f"untrained/{name}").standard_normal(shape, dtype=np.float32)
    entries *= np.float32(np.sqrt(gain / np.prod(shape[1:])))
    return torch.from_numpy(entries)


def _config(architecture: ClipArchitecture) -> dict[str, Any]:
    """Gives what open_clip builds from; with the activation that OpenAI trained with."""
    layers = architecture.layers
    return {
        "embed_dim": architecture.dim,
        "quick_gelu": True,
        "vision_cfg": {
            "layers": layers[0] if architecture.patch else list(layers),
            "width": architecture.width,
            "patch_size": architecture.patch or None,
            "image_size": architecture.image_size,
        },
        "text_cfg": {
            "context_length": architecture.context,
            "vocab_size": architecture.vocabulary,
            "width": architecture.text_width,
            "heads": architecture.text_width // 64,
            "layers": architecture.text_layers,
        },
    }
