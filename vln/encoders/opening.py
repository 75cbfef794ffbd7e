"""What stands behind a handle, with its weights read: how to build it, and who it is.

Importing it costs nothing: torch and the libraries of networks are imported when weights are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vln.data.locations import cache_root
from vln.encoders.handle import Handle
from vln.encoders.recipe import Recipe
from vln.encoders.recipes import named
from vln.errors import BadConfig

if TYPE_CHECKING:
    from torch import Tensor

    from vln.encoders.networks.protocol import Network
    from vln.encoders.networks.tokens import Tokenizer

VERSION: Final = 1
"""Of what this package does with weights; raised when features change by more than rounding."""
RANDOM: Final = "random_rn50"
OURS: Final = "clip_house"
"""Comes with the toolkit."""
UNTRAINED: Final = "untrained"
"""Stands for weights that nobody trained; `open_clip:NAME/untrained` is for measuring speed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """Weights at hand, and what to do with them.

    Attributes:
        layout: Whose names the tensors have, and of which network where that is not in them.
        weights: Gives what tells these weights from others.
        recipe: What the network does to pictures unless words say otherwise.
        build: Gives the network.
        tokenizer: Makes the one that belongs to it.
    """

    layout: str
    weights: Callable[[], str]
    recipe: Recipe
    build: Callable[[], Network]
    tokenizer: Callable[[], Tokenizer] | None = None

    def fingerprint(self, recipe: Recipe) -> str:
        """Gives the identity, hex: these weights, applied by this recipe."""
        parts: dict[str, Any] = {
            "version": VERSION,
            "layout": self.layout,
            "weights": self.weights(),
            "recipe": recipe.as_json(),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def opened(
    handle: Handle, *, weights: Path | None, folders: Sequence[Path], download: bool
) -> Opened:
    """Gives the weights that a handle asks for, read and checked to be finite."""
    openers: dict[str, Callable[..., Opened]] = {
        "": _named,
        "clip": _clip_file,
        "tower": _tower_file,
        "open_clip": _open_clip,
        "timm": _timm,
    }
    places = tuple(folders) or (cache_root() / "weights",)
    return openers[handle.family](handle, weights=weights, folders=places, download=download)


def _named(
    handle: Handle, *, weights: Path | None, folders: Sequence[Path], download: bool
) -> Opened:
    if handle.name == RANDOM:
        return _untrained(handle, weights=weights)
    if handle.name == OURS:
        from vln.encoders.weights.towers import our_tower

        return _tower(handle, weights or our_tower(handle.name, folders=folders))
    from vln.encoders.weights.released import weights_file

    entry = named(handle)
    file = weights or weights_file(handle.name, folders=folders, download=download)
    tensors = _read(file)
    if handle.name.startswith("clip_"):
        return _clip(handle, tensors, file, recipe=entry.recipe, architecture=entry.architecture)

    def build() -> Network:
        from vln.encoders.networks.from_timm import resnet

        return resnet(entry.architecture, tensors, source=file, of=handle.name)

    return Opened(layout="torchvision", weights=_digest(tensors), recipe=entry.recipe, build=build)


def _untrained(handle: Handle, *, weights: Path | None) -> Opened:
    """Gives weights that are drawn only when the network is built: their rule is their identity."""
    if weights is not None:
        raise BadConfig(
            f"--encoder {handle}: it is untrained, so {weights} cannot be its weights. Leave them "
            f"out, or use --encoder clip:{weights}."
        )
    entry = named(handle)

    def build() -> Network:
        from vln.encoders.networks.openai import clip_network, untrained_weights

        return clip_network(
            untrained_weights(entry.architecture), source=handle.name, name=handle.name
        )

    return Opened(
        layout="openai",
        weights=lambda: f"{UNTRAINED}/{entry.architecture}",
        recipe=entry.recipe,
        build=build,
        tokenizer=_clip_tokenizer,
    )


def _clip_file(
    handle: Handle, *, weights: Path | None, folders: Sequence[Path], download: bool
) -> Opened:
    del download  # a file is here or it is not
    from vln.encoders.networks.architecture import ClipArchitecture
    from vln.encoders.weights.files import found

    file = weights or found(Path(handle.name), folders=folders, handle=handle.encoder)
    tensors = _read(file)
    size = ClipArchitecture.of_tensors(tensors, source=file).image_size
    return _clip(handle, tensors, file, recipe=Recipe(size=size))


def _tower_file(
    handle: Handle, *, weights: Path | None, folders: Sequence[Path], download: bool
) -> Opened:
    del download
    from vln.encoders.weights.files import found

    file = weights or found(Path(handle.name), folders=folders, handle=handle.encoder)
    return _tower(handle, file)


def _tower(handle: Handle, file: Path) -> Opened:
    """Gives a small tower, whose file says itself what is built from it."""
    from vln.encoders.networks.tower import TowerNetwork, TowerSpec, WordTokenizer
    from vln.encoders.weights.towers import tower_header

    spec = TowerSpec.of_json(tower_header(file)["spec"], source=file)
    tensors = _read(file)
    words = json.dumps(spec.as_json(), sort_keys=True)
    return Opened(
        layout=f"tower:{hashlib.sha256(words.encode()).hexdigest()}",  # no tensor tells the words
        weights=_digest(tensors),
        recipe=spec.recipe,
        build=lambda: TowerNetwork(spec, tensors, source=file, name=handle.encoder),
        tokenizer=partial(WordTokenizer, spec.words, spec.max_words) if spec.words else None,
    )


def _clip(
    handle: Handle,
    tensors: Mapping[str, Tensor],
    file: Path,
    *,
    recipe: Recipe,
    architecture: str = "",
) -> Opened:
    """Gives weights in OpenAI's layout; of an architecture that open_clip names, or of any."""

    def build() -> Network:
        from vln.encoders.networks.openai import clip_network

        return clip_network(tensors, source=file, name=handle.encoder, architecture=architecture)

    table = tensors.get("positional_embedding")
    return Opened(
        layout="openai",
        weights=_digest(tensors),
        recipe=recipe,
        build=build,
        # The length alone: the tokenizer outlives the tensors.
        tokenizer=partial(_clip_tokenizer, len(table)) if table is not None else None,
    )


def _clip_tokenizer(length: int = 77) -> Tokenizer:
    import open_clip

    made: Tokenizer = open_clip.SimpleTokenizer(context_length=length)
    return made


def _open_clip(
    handle: Handle, *, weights: Path | None, folders: Sequence[Path], download: bool
) -> Opened:
    from vln.encoders.networks import from_open_clip as library

    name = handle.name
    network, pretrained = library.split(name)
    recipe = library.open_clip_recipe(name)
    if pretrained == UNTRAINED and weights is None:
        tensors, source = library.untrained_weights(network), name
    else:
        file = weights or library.open_clip_file(name, folders=folders, download=download)
        tensors, source = _read(file, check=partial(library.check_openai, network, file)), str(file)
    return Opened(
        layout=f"open_clip:{network}",
        weights=_digest(tensors),
        recipe=recipe,
        build=partial(library.open_clip_network, name, tensors, source=source),
        tokenizer=partial(library.open_clip_tokenizer, network),
    )


def _timm(
    handle: Handle, *, weights: Path | None, folders: Sequence[Path], download: bool
) -> Opened:
    from vln.encoders.networks import from_timm as library

    name = handle.name
    recipe = library.timm_recipe(name)
    local = (folder / f"{name}.safetensors" for folder in folders)
    file = weights or next((file for file in local if file.is_file()), None)
    tensors = (
        _read(file) if file else library.timm_weights(name, folders=folders, download=download)
    )
    return Opened(
        layout=f"timm:{name.partition('.')[0]}",  # the weights tell their tag
        weights=_digest(tensors),
        recipe=recipe,
        build=partial(library.timm_network, name, tensors, source=file or f"timm:{name}"),
    )


def _digest(tensors: Mapping[str, Tensor]) -> Callable[[], str]:
    from vln.encoders.weights.tensors import digest

    return partial(digest, tensors)


def _read(
    file: Path, *, check: Callable[[Mapping[str, Tensor]], None] | None = None
) -> dict[str, Tensor]:
    """Gives the weights in a file; `check` sees it whole.

    Raises:
        CorruptData: It is damaged, holds NaN or infinity, or would run code.
    """
    from vln.encoders.networks.filling import check_finite, weights_of
    from vln.encoders.weights.tensors import NOTES, read_tensors

    whole = read_tensors(file)
    if check is not None:
        check(whole)
    tensors = weights_of(whole, leave=NOTES)
    check_finite(tensors, source=file)
    return tensors
