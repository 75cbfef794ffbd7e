"""What every network of pictures can do, and the networks of CLIP at any picture size.

The modules are open_clip's; how positions meet them is ours. A table of positions is made for
square pictures of one size. For others it is resampled to the rows and columns at hand: bicubic,
antialiased, pixel centres aligned, as open_clip and timm resample theirs. The module's own table
stays as it is, and pictures of its own size meet it unchanged.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from vln.encoders.networks.architecture import STRIDE

# N pictures, h w places, P = h * w, C channels of the grid, D features, A heads, L tokens of a text


class Network(Protocol):
    """A network of pictures, perhaps of texts as well.

    Attributes:
        module: Holds the weights; moving it moves the network.
        dim: Pooled features.
        grid_dim: Channels of the grid; 0 where there is none.
        text_dim: Features of a text; 0 where it reads none.
        vocabulary: Different tokens; 0 where it reads no texts.
        size: Pixels a side of the pictures that it is made for.
        stride: Pixels a side that become one place of the grid; smaller pictures have no place.
        convolutional: Whether its memory likes channels last.
    """

    module: nn.Module
    dim: int
    grid_dim: int
    text_dim: int
    vocabulary: int
    size: int
    stride: int
    convolutional: bool

    def pooled(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, D), not normalised."""

    def grid(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, C, h, w), before the pooling."""

    def grid_size(self, height: int, width: int) -> tuple[int, int]:
        """Gives the rows and columns of the grid of pictures of so many pixels."""

    def text(self, tokens_NL: Tensor) -> Tensor:
        """Gives (N, D), not normalised; only where `text_dim` is not 0."""


def places(table_PC: Tensor, *, own: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Gives a table of positions for other rows and columns.

    Args:
        table_PC: One position a row, row by row of the grid.
        own: Rows and columns that it is made for.
        size: Rows and columns wanted.

    Returns:
        (rows * columns, C); the table itself where nothing changes.
    """
    if own == size:
        return table_PC
    grid_1Chw = table_PC.to(torch.float32).view(*own, -1).permute(2, 0, 1)[None]
    resampled_1Chw = functional.interpolate(
        grid_1Chw, size, mode="bicubic", align_corners=False, antialias=True
    )
    return resampled_1Chw[0].flatten(1).T.to(table_PC.dtype)


class ReadsText:
    """The text side of a model of open_clip's.

    Args:
        model: Encodes images and texts into one space.
        dim: Features of both.
    """

    def __init__(self, model: Any, *, dim: int) -> None:  # noqa: ANN401, untyped library
        self.module = model
        self.dim = self.text_dim = dim
        reader: nn.Module = getattr(model, "text", model)
        tables = (part for part in reader.modules() if isinstance(part, nn.Embedding))
        self.vocabulary = next(tables).num_embeddings  # the first of a text is that of its tokens

    def text(self, tokens_NL: Tensor) -> Tensor:
        """Gives (N, D), not normalised."""
        encoded: Tensor = self.module.encode_text(tokens_NL)
        return encoded


class SeesWholePlaces:
    """A tower whose places are whole: pixels past the last one, right or below, are not seen."""

    stride: int

    def grid_size(self, height: int, width: int) -> tuple[int, int]:
        """Gives the rows and columns of the grid of pictures of so many pixels."""
        return height // self.stride, width // self.stride


class ClipResNet(ReadsText, SeesWholePlaces):
    """CLIP's ResNet with attention for a pooling, for pictures of any size."""

    convolutional = True
    stride = STRIDE

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        super().__init__(model, dim=model.visual.output_dim)
        self.grid_dim: int = model.visual.attnpool.positional_embedding.shape[1]
        self.size: int = model.visual.image_size

    def grid(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, C, h, w), the output of the last stage."""
        visual = self.module.visual
        return _through(
            images_N3HW,
            (visual.stem, *(visual.get_submodule(f"layer{stage}") for stage in (1, 2, 3, 4))),
        )

    def pooled(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, D): what the mean place gathers from all places."""
        pool, grid_NChw = self.module.visual.attnpool, self.grid(images_N3HW)
        table, side = pool.positional_embedding, self.size // STRIDE
        rows, columns = grid_NChw.shape[2:]
        positions_PC = places(table[1:], own=(side, side), size=(rows, columns))
        values_NPC = grid_NChw.flatten(2).transpose(1, 2)
        query_N1C = values_NPC.mean(1, keepdim=True) + table[0]
        keys_NPC = torch.cat([query_N1C, values_NPC + positions_PC], dim=1)

        def heads(values: Tensor) -> Tensor:
            return values.view(*values.shape[:2], pool.num_heads, -1).transpose(1, 2)

        # Only the mean place's answer is taken, so only its question is asked.
        gathered_NA1c = functional.scaled_dot_product_attention(
            heads(pool.q_proj(query_N1C)),
            heads(pool.k_proj(keys_NPC)),
            heads(pool.v_proj(keys_NPC)),
        )
        pooled_ND: Tensor = pool.c_proj(gathered_NA1c.flatten(1))
        return pooled_ND


class ClipTransformer(ReadsText, SeesWholePlaces):
    """CLIP's vision transformer, and its relatives in open_clip, for pictures of any size."""

    convolutional = False

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        visual = model.visual
        super().__init__(model, dim=visual.output_dim)
        self.grid_dim: int = visual.conv1.out_channels
        self.size: int = visual.image_size[0]
        self.stride: int = visual.patch_size[0]

    def tokens(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, 1 + P, C): after the last block, before any norm; the class token first."""
        visual = self.module.visual
        patches_NChw = visual.conv1(images_N3HW)
        table = visual.positional_embedding
        positions_PC = places(
            table[1:], own=tuple(visual.grid_size), size=tuple(patches_NChw.shape[2:])
        )
        patches_NPC = patches_NChw.flatten(2).transpose(1, 2) + positions_PC
        first_N1C = (visual.class_embedding + table[0]).expand(len(patches_NPC), 1, -1)
        return _through(
            torch.cat([first_N1C, patches_NPC], dim=1), (visual.ln_pre, visual.transformer)
        )

    def grid(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, C, h, w), the tokens of the patches."""
        rows, columns = self.grid_size(*images_N3HW.shape[2:])
        tokens_NCP = self.tokens(images_N3HW)[:, 1:].transpose(1, 2)
        return tokens_NCP.reshape(*tokens_NCP.shape[:2], rows, columns)

    def pooled(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, D): pooled as the network is made to (CLIP: its class token), projected."""
        visual = self.module.visual
        pooled_NC: Tensor = visual._pool(self.tokens(images_N3HW))[0]  # every kind of pooling
        return pooled_NC if visual.proj is None else pooled_NC @ visual.proj


def _through(values: Tensor, modules: tuple[Any, ...]) -> Tensor:
    for module in modules:
        values = module(values)
    return values
