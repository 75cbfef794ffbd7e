"""Whatever open_clip holds, by its own names: what is done to pictures, weights, networks.

Weights come from a local file where there is one, else through the library's own download, which
keeps what it fetches in caches of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import open_clip
import torch
from open_clip.coca_model import CoCa
from open_clip.convert import convert_state_dict
from open_clip.model import CLIP, CustomTextCLIP, convert_to_custom_text_state_dict
from torch import Tensor

from vln.encoders.networks.filling import fill, weights_of
from vln.encoders.networks.protocol import Network
from vln.encoders.networks.tokens import Tokenizer
from vln.encoders.networks.wrapped import network_of
from vln.encoders.recipe import Recipe
from vln.encoders.weights.files import (
    check_known,
    checked_interpolation,
    found,
    library_weights_missing,
)
from vln.encoders.weights.hub import OFFLINE, hub, said
from vln.encoders.weights.tensors import NOTES
from vln.errors import BadConfig, MissingWeights

_SUFFIXES: Final = (".safetensors", ".pt", ".pth", ".bin")


def split(name: str) -> tuple[str, str]:
    """Gives open_clip's name and what stands after the first slash, a tag or a file.

    Raises:
        BadConfig: open_clip knows no such network, or nothing stands there.
    """
    network, _, pretrained = name.partition("/")
    check_known("open_clip", network, open_clip.list_models())
    if not pretrained:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(network)) or "none"
        raise BadConfig(
            f"--encoder open_clip:{network}: which weights? Expected open_clip:{network}/TAG or "
            f"open_clip:{network}/FILE; its tags: {tags}."
        )
    return network, pretrained


def open_clip_recipe(name: str) -> Recipe:
    """Gives what a network of open_clip's does to pictures, as its weights were trained with.

    Args:
        name: `NAME/TAG` or `NAME/FILE`.

    Raises:
        BadConfig: No such network or tag; for a file, open_clip's tags disagree on it.
    """
    network, pretrained = split(name)
    tags = open_clip.list_pretrained_tags_by_model(network)
    config = open_clip.get_model_config(network)
    if pretrained == "untrained":
        return _recipe({}, config)
    if pretrained in tags:
        _check_activation(network, pretrained, config)
        return _recipe(_preprocess(network, pretrained), config)
    kinds = {repr(made): made for made in (_preprocess(network, tag) for tag in tags)}
    if len(kinds) > 1:
        raise BadConfig(
            f"--encoder open_clip:{name}: open_clip's weights of {network} were trained on "
            "pictures normalised in different ways, and a file does not say which. Name it "
            f"{network}-TAG{Path(pretrained).suffix}, put it under weights/ and use "
            f"open_clip:{network}/TAG with one of {', '.join(tags)}."
        )
    return _recipe(next(iter(kinds.values()), {}), config)


def open_clip_file(name: str, *, folders: Sequence[Path], download: bool) -> Path:
    """Gives the file of a network of open_clip's.

    Raises:
        MissingWeights: It is not here and not to be had.
    """
    network, pretrained = split(name)
    handle = f"open_clip:{name}"
    tags = open_clip.list_pretrained_tags_by_model(network)
    if pretrained not in tags:
        return found(Path(pretrained), folders=folders, handle=handle, tags=tags)
    stem = f"{network}-{pretrained}"
    for file in (folder / f"{stem}{suffix}" for folder in folders for suffix in _SUFFIXES):
        if file.is_file():
            return file
    if not download:
        raise library_weights_missing(
            handle, f"{stem}.safetensors", folders, why="no download is wanted"
        )
    try:
        with hub():
            config = open_clip.get_pretrained_cfg(network, pretrained)
            return Path(open_clip.download_pretrained(config))
    except OFFLINE as error:
        raise library_weights_missing(
            handle, f"{stem}.safetensors", folders, why=said(error)
        ) from error


def check_openai(network: str, file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuses OpenAI's own archives for networks of another activation, silently wrong otherwise.

    Raises:
        BadConfig: The file holds OpenAI's notes, and the network has no quick GELU.
    """
    if tensors.keys() >= NOTES and not open_clip.get_model_config(network).get("quick_gelu"):
        raise BadConfig(
            f"{file} is an archive of OpenAI's, trained with quick GELU, which open_clip:{network} "
            f"does not have, so all features would be wrong. Use --encoder clip:{file}."
        )


def open_clip_network(name: str, tensors: Mapping[str, Tensor], *, source: object) -> Network:
    """Gives one of open_clip's networks with weights.

    Raises:
        CheckpointMismatch: They are not its.
        MissingWeights: open_clip cannot build it without files that are not here.
    """
    network, _ = split(name)
    model = _model(network)
    fill(model, _converted(model, tensors), source=source, of=f"open_clip:{network}")
    return network_of(model)


def untrained_weights(network: str) -> dict[str, Tensor]:
    """Gives weights as open_clip draws them before a training, always the same ones.

    Raises:
        MissingWeights: As `open_clip_network`.
    """
    return weights_of(_model(network).state_dict())


def open_clip_tokenizer(network: str) -> Tokenizer:
    """Gives the tokenizer that belongs to one of open_clip's networks.

    Raises:
        MissingWeights: Its vocabulary is not here and not to be had.
    """
    try:
        with _asks(open_clip.get_model_config(network)):
            made: Tokenizer = open_clip.get_tokenizer(network)
    except (*OFFLINE, ImportError) as error:
        raise MissingWeights(
            f"open_clip cannot make the tokenizer of {network} from what is here ({said(error)}). "
            "Run it once with a network connection; pictures are encoded without it."
        ) from error
    return made


def _model(network: str) -> Any:  # noqa: ANN401
    """Gives a model of open_clip's; its own `create_model` would warn that it has no weights."""
    config = open_clip.get_model_config(network)
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    kind = CustomTextCLIP if custom else CLIP
    if custom and "multimodal_cfg" in config:
        kind = CoCa
    for tower, named, own in (
        ("vision_cfg", "timm_model_name", "timm_model_pretrained"),
        ("text_cfg", "hf_model_name", "hf_model_pretrained"),
    ):
        if named in config[tower]:
            config[tower][own] = False
    try:
        # The CPU's generator alone: torch.manual_seed would seed the GPUs' as well.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"), _asks(config):
            torch.default_generator.manual_seed(0)
            return kind(**config)
    except OFFLINE as error:
        raise MissingWeights(
            f"open_clip cannot build {network} from what is here ({said(error)}). Run it once "
            "with a network connection, or use another one."
        ) from error


def _asks(config: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Gives what surrounds the making of what a configuration takes from the hub, if anything."""
    from_hub = any(name in config["text_cfg"] for name in ("hf_model_name", "hf_tokenizer_name"))
    return hub() if from_hub else nullcontext()


def _converted(model: Any, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:  # noqa: ANN401
    """Gives tensors as a model of open_clip's calls them: older and foreign layouts are renamed."""
    converted: dict[str, Tensor] = convert_state_dict(model, dict(tensors))
    if "positional_embedding" in converted and not hasattr(model, "positional_embedding"):
        converted = convert_to_custom_text_state_dict(converted)
    return converted


def _preprocess(network: str, tag: str) -> dict[str, Any]:
    wanted = ("mean", "std", "interpolation", "resize_mode")
    config = open_clip.get_pretrained_cfg(network, tag)
    return {name: config[name] for name in wanted if name in config}


def _recipe(preprocess: Mapping[str, Any], config: Mapping[str, Any]) -> Recipe:
    plain = Recipe()
    return Recipe(
        frame="squash" if preprocess.get("resize_mode") == "squash" else "center",
        size=config["vision_cfg"].get("image_size", 224),
        interpolation=checked_interpolation(
            preprocess.get("interpolation", "bicubic"), "open_clip"
        ),
        mean=tuple(preprocess.get("mean", plain.mean)),
        std=tuple(preprocess.get("std", plain.std)),
    )


def _check_activation(network: str, tag: str, config: Mapping[str, Any]) -> None:
    """Refuses a tag with a network of another activation, which would be silently wrong."""
    trained = bool(open_clip.get_pretrained_cfg(network, tag).get("quick_gelu"))
    if trained == bool(config.get("quick_gelu")):
        return
    stem = network.removesuffix("-quickgelu")
    other = f"{stem}-quickgelu" if trained else stem
    raise BadConfig(
        f"--encoder open_clip:{network}/{tag}: these weights were trained with "
        f"{'quick GELU' if trained else 'GELU'}, which {network} does not have, so all features "
        f"would be wrong. Use open_clip:{other}/{tag}."
    )
