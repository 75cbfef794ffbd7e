"""Every encoder by name."""

from pathlib import Path

from vln.encoders.base import ENCODERS, Encoder, World
from vln.encoders.image_stats import image_statistics
from vln.encoders.objects import (
    object_features,
    object_word_features,
    random_features,
    shuffled_object_features,
    write_fit,
)
from vln.encoders.stored import StoredFeatures, blind

__all__ = ["ENCODERS", "Encoder", "World", "keep_fit", "learns", "looks"]

_LEARNING: dict[str, bool] = {}
_LOOKING: dict[str, bool] = {}


def _add(name: str, encoder: Encoder, *, learns: bool = False, looks: bool = False) -> None:
    """Registers an encoder.

    Args:
        name: Its name.
        encoder: Gives its features.
        learns: It learns from training scans what a run has to keep.
        looks: It needs the world's pictures.
    """
    ENCODERS.add(name, encoder)
    _LEARNING[name], _LOOKING[name] = learns, looks


_add("none", blind)
_add("objects", object_features, learns=True)
_add("object_words", object_word_features, learns=True)
_add("objects_shuffled", shuffled_object_features, learns=True)
_add("random", random_features)
_add("image_stats", image_statistics, looks=True)
for _name, _weights, _dim in (
    ("clip_rn50", "RN50.pt", 1024),
    ("clip_rn101", "RN101.pt", 512),
    ("clip_rn50x4", "RN50x4.pt", 640),
    ("clip_vit_b32", "ViT-B-32.pt", 512),
):
    _add(_name, StoredFeatures(_name, _weights, _dim))


def learns(encoder: str) -> bool:
    """Tells whether an encoder learns from training scans; False for a stranger's."""
    return _LEARNING.get(encoder, False)


def looks(encoder: str) -> bool:
    """Tells whether an encoder needs a world's pictures; a stranger's may."""
    return _LOOKING.get(encoder, True)


def keep_fit(file: Path, encoder: str, world: World) -> None:
    """Writes what an encoder has learnt from training scans; nothing where it learns nothing.

    Args:
        file: Where to; give it as `World.fit` to see with the same eyes in another world.
        encoder: Registered name.
        world: Where it has learnt.
    """
    if learns(encoder):
        write_fit(file, world)
