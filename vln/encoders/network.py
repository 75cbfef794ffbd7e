"""A network at work: pictures and texts in, float32 features out.

Knows no file: `vln.encoders.loading` makes these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vln.encoders.networks.exact import ExactFactors
from vln.encoders.networks.memory import is_out_of_memory, release
from vln.encoders.networks.protocol import Network
from vln.encoders.networks.tokens import Tokenizer, tokenized
from vln.encoders.preprocess import prepared, seen_size
from vln.encoders.recipe import Recipe
from vln.errors import BadConfig, BadImage, EncodingFailed, OutOfMemory, UnknownName
from vln.runs import generator
from vln.types import EncoderSpec

# N pictures or texts, H W pixels, h w places, C channels of the grid, D features, L tokens

Features = npt.NDArray[np.float32]
VIEW: Final = (480, 640)
"""Height and width in pixels of a view of the field's."""
_DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_EXACT: Final = ExactFactors()


class ImageEncoder:
    """Pictures -> features, in batches of any size; texts as well where the network reads.

    What comes out depends on nothing but its arguments: not on the batch they come in (beyond
    rounding), nor on torch's modes and default types. Safe to share between threads.

    Args:
        handle: What it is asked for by.
        network: Its weights are in place; taken over.
        recipe: What is done to pictures, and what is taken.
        fingerprint: Identity, hex.
        device: Where it runs.
        tokenizer: Makes the one of its texts when the first comes; None where it reads none.

    Raises:
        BadConfig: The device is not there, or cannot do the recipe's precision; the recipe's
            pictures are too small.
    """

    def __init__(
        self,
        handle: str,
        *,
        network: Network,
        recipe: Recipe,
        fingerprint: str,
        device: str = "cpu",
        tokenizer: Callable[[], Tokenizer] | None = None,
    ) -> None:
        self.handle, self.recipe, self.device = handle, recipe, device
        self.network = network
        self._tokenizer = cache(tokenizer) if tokenizer and network.text_dim else None
        self._device = checked_device(device, recipe.precision)
        self._dtype = _DTYPES[recipe.precision]
        layout = torch.channels_last if network.convolutional else torch.preserve_format
        network.module.to(self._device, self._dtype).to(memory_format=layout)
        network.module.eval().requires_grad_(requires_grad=False)
        taken = network.grid_dim if recipe.output == "grid_mean" else network.dim
        self.dim = recipe.width or taken
        self._projection = self._matrix(taken) if recipe.width else None
        if recipe.size < network.stride:
            raise BadConfig(
                f"--encoder {handle}: pictures of {recipe.size} px for a network that sees places "
                f"of {network.stride} px. Use at least +{network.stride}px."
            )
        self.spec = self._spec(fingerprint)

    @property
    def has_text(self) -> bool:
        """Whether it reads texts."""
        return self.text_dim > 0

    @property
    def text_dim(self) -> int:
        """Features of a text, never projected; 0 where it reads none."""
        return self.network.text_dim

    def images(self, images_NHW3: npt.NDArray[np.uint8]) -> Features:
        """Gives (N, dim) float32 of uint8 RGB pictures, not normalised.

        Raises:
            BadImage: They are no pictures, or too small for the network.
            EncodingFailed: The network gives no finite numbers.
            OutOfMemory: They do not fit into the device's memory together.
        """
        with self._at_work():
            seen = self._seen(images_NHW3)
            if not len(seen):
                return np.empty((0, self.dim), dtype=np.float32)
            if self.recipe.output == "pooled":
                features_ND = self.network.pooled(seen).to(torch.float32)
            else:
                features_ND = self.network.grid(seen).to(torch.float32).mean((2, 3))
            if self._projection is not None:
                features_ND = features_ND @ self._projection
            return self._given(features_ND)

    def grid(self, images_NHW3: npt.NDArray[np.uint8]) -> Features:
        """Gives (N, C, h, w) float32, the grid before the pooling; never projected.

        Raises:
            BadImage, EncodingFailed, OutOfMemory: As `images`.
            BadConfig: The network has no grid.
        """
        with self._at_work():
            seen = self._seen(images_NHW3)
            if not len(seen):
                size = self.network.grid_size(*seen.shape[2:])
                return np.empty((0, self.network.grid_dim, *size), dtype=np.float32)
            return self._given(self.network.grid(seen).to(torch.float32))

    def tokens(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Gives (N, L) tokens of texts, padded by the network's own tokenizer.

        Raises:
            BadConfig: The network reads no texts, or one has more than L tokens; none is cut.
        """
        return tokenized(self._reads(), texts)

    def text(self, tokens_NL: npt.NDArray[np.int64]) -> Features:
        """Gives (N, text_dim) float32 of what `tokens` gave, not normalised.

        Raises:
            BadConfig: The network reads no texts, or these are no tokens of its.
            EncodingFailed, OutOfMemory: As `images`.
        """
        length = self._reads().context_length
        tokens = np.asarray(tokens_NL)
        if tokens.ndim != 2 or tokens.shape[1] != length or tokens.dtype.kind not in "iu":
            raise BadConfig(
                f"tokens of type {tokens.dtype} and shape {tokens.shape} for {self.handle}; "
                f"expected integers (N, {length}), as ImageEncoder.tokens gives."
            )
        known = self.network.vocabulary
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < known:  # ends a GPU's context
            raise BadConfig(
                f"tokens from {tokens.min()} to {tokens.max()} for {self.handle}; expected 0 to "
                f"{known - 1}, as ImageEncoder.tokens gives."
            )
        if not len(tokens):
            return np.empty((0, self.text_dim), dtype=np.float32)
        with self._at_work():
            on_device = torch.from_numpy(tokens.astype(np.int64)).to(self._device)
            return self._given(self.network.text(on_device).to(torch.float32))

    def encode(self, kind: str, items: npt.NDArray[Any]) -> Features:
        """Gives `images`, `grid` or `text` of what they take; what an encoder service calls.

        Raises:
            UnknownName: There is no such kind.
        """
        kinds: dict[str, Callable[[npt.NDArray[Any]], Features]]
        kinds = {"images": self.images, "grid": self.grid, "text": self.text}
        if kind not in kinds:
            raise UnknownName.of("kind of features", kind, kinds)
        return kinds[kind](items)

    def _seen(self, images_NHW3: npt.NDArray[np.uint8]) -> Tensor:
        """Gives pictures as the network wants them."""
        seen = prepared(images_NHW3, self.recipe, device=self._device)
        self._check_size(*seen.shape[2:])
        layout = torch.channels_last if self.network.convolutional else torch.contiguous_format
        return seen.to(self._dtype, memory_format=layout)

    def _check_size(self, height: int, width: int) -> None:
        if min(height, width) < self.network.stride:
            raise BadImage(
                f"pictures of {width} x {height} pixels for {self.handle}, whose network sees "
                f"places of {self.network.stride}. Use larger ones, or more px."
            )

    def _reads(self) -> Tokenizer:
        if self._tokenizer is None:
            raise BadConfig(
                f"{self.handle} reads no texts. Use an encoder that does, such as clip_rn50."
            )
        return self._tokenizer()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Shields the network from torch's global state, and tells memory that runs out."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            stack.enter_context(torch.autocast(self._device.type, enabled=False))
            stack.enter_context(_EXACT)
            try:
                yield
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                release(error)
                raise OutOfMemory(
                    f"{self.device} is out of memory: {self.handle} was given more items at once "
                    "than fit. Give it fewer, or smaller pictures."
                ) from None

    def _given(self, features: Tensor) -> Features:
        """Gives features as an array.

        Raises:
            EncodingFailed: Some are no finite numbers.
        """
        if not bool(features.isfinite().all()):
            raise EncodingFailed(
                f"{self.handle} in {self.recipe.precision} gives NaN or infinity. Use "
                f"{'+bf16 or no word for' if self.recipe.precision == 'fp16' else 'another'} "
                "precision, or other weights."
            )
        return features.numpy(force=True)

    def _matrix(self, dim: int) -> Tensor:
        """Gives the (D, W) projection: gaussian of variance 1 / W, which keeps the mean norm."""
        width = self.recipe.width
        entries = generator(0, f"projection/{dim}/{width}").standard_normal((dim, width))
        return torch.from_numpy((entries / np.sqrt(width)).astype(np.float32)).to(self._device)

    def _spec(self, fingerprint: str) -> EncoderSpec:
        height, width = seen_size(*VIEW, self.recipe)
        channels = self.network.grid_dim
        rows, columns = self.network.grid_size(height, width) if channels else (0, 0)
        return EncoderSpec(
            pooled_dim=self.dim,
            grid=(channels, rows, columns),
            image_size=(height, width),
            color_order=self.recipe.colour,
            precision=self.recipe.precision,
            fingerprint=fingerprint,
        )


def checked_device(device: str, precision: str) -> torch.device:
    """Gives a device that is there and can do a recipe's `precision`.

    Raises:
        BadConfig: It is not there, or cannot.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise BadConfig(
            f"no device {device!r} here ({_first_sentence(error)}). Use cpu, or a device of this "
            "machine."
        ) from None
    if found.type == "meta":
        raise BadConfig("device 'meta' computes nothing. Use cpu, or a device of this machine.")
    if found.type == "cpu" and precision == "fp16":
        raise BadConfig("+fp16 on a CPU: it has no arithmetic for that. Use +bf16 instead.")
    return found


def _first_sentence(error: Exception) -> str:
    """Gives the beginning of what torch says, without its advice on drivers."""
    return str(error).splitlines()[0].split(". ")[0].rstrip(".")
