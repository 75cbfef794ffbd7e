"""From a handle to a network at work: weights found, read, checked, and put in place.

Importing it costs nothing: torch and the libraries of networks are imported when weights are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vln.encoders.handle import FILES, Handle
from vln.encoders.opening import opened
from vln.encoders.recipe import Recipe
from vln.encoders.recipes import named
from vln.errors import BadConfig

if TYPE_CHECKING:
    from vln.encoders.network import ImageEncoder


def load(
    handle: str | Handle,
    *,
    weights: Path | None = None,
    folders: Sequence[Path] = (),
    device: str = "cpu",
    download: bool = True,
) -> ImageEncoder:
    """Gives the encoder that a handle asks for, its weights in place.

    Args:
        handle: A name, or `clip:FILE`, `tower:FILE`, `open_clip:NAME/PRETRAINED`,
            `timm:NAME`; words after +.
        weights: A file to take the weights from, whatever it is called.
        folders: Where files of weights are looked for, downloads go to the last one; the cache's
            where there are none.
        device: Where it runs.
        download: Whether published weights may be fetched.

    Raises:
        UnknownName: No such encoder, or an unknown word.
        BadConfig: The handle asks for what cannot be; the device is not there, or cannot do it.
        MissingWeights: The weights are not here and not to be had.
        CorruptData: They are damaged, hold NaN or infinity, or would run code.
        CheckpointMismatch: They belong to another network.
    """
    from vln.encoders.network import ImageEncoder, checked_device

    asked = _asked(handle)
    checked_device(device, Recipe().changed(asked.words).precision)  # before seconds of reading
    found = opened(asked, weights=weights, folders=folders, download=download)
    recipe = found.recipe.changed(asked.words)
    return ImageEncoder(
        str(asked),
        network=found.build(),
        recipe=recipe,
        fingerprint=found.fingerprint(recipe),
        device=device,
        tokenizer=found.tokenizer,
    )


def identity(
    handle: str | Handle,
    *,
    weights: Path | None = None,
    folders: Sequence[Path] = (),
    download: bool = False,
) -> str:
    """Gives an encoder's fingerprint: who it is, whatever file its weights lie in.

    `clip:FILE` of a released file is who its name is. Weights that another library builds the
    network for (`open_clip:RN50-quickgelu/openai`) are somebody else.

    Reads the weights, but builds no network unless timm fetches them.

    Raises:
        As `load`.
    """
    asked = _asked(handle)
    found = opened(asked, weights=weights, folders=folders, download=download)
    return found.fingerprint(found.recipe.changed(asked.words))


def recipe_of(
    handle: str | Handle, *, weights: Path | None = None, folders: Sequence[Path] = ()
) -> Recipe:
    """Gives what an encoder does to pictures; costs nothing for those with names.

    Of `clip:FILE` and `tower:FILE` the file is read, which tells the size of its pictures.

    Raises:
        As `load`, as far as that is looked at.
    """
    asked = _asked(handle)
    if asked.family in FILES:
        recipe = opened(asked, weights=weights, folders=folders, download=False).recipe
    elif asked.family:
        recipe = _library_recipe(asked)
    else:
        recipe = named(asked).recipe
    return recipe.changed(asked.words)


def _library_recipe(handle: Handle) -> Recipe:
    if handle.family == "timm":
        from vln.encoders.networks.from_timm import timm_recipe

        return timm_recipe(handle.name)
    from vln.encoders.networks.from_open_clip import open_clip_recipe

    return open_clip_recipe(handle.name)


def _asked(handle: str | Handle) -> Handle:
    asked = Handle.parse(handle) if isinstance(handle, str) else handle
    if asked.imported:
        raise BadConfig(
            f"--encoder {asked}: what stands after @ is somebody else's file of features, which "
            f"cannot see new pictures. Use --encoder {asked.plain} for that."
        )
    return asked
