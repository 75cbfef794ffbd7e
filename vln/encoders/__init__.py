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

__all__ = ["ENCODERS", "Encoder", "World", "keep_fit"]

_LEARNS = ("objects", "object_words", "objects_shuffled")

ENCODERS.add("none", blind)
ENCODERS.add("objects", object_features)
ENCODERS.add("object_words", object_word_features)
ENCODERS.add("objects_shuffled", shuffled_object_features)
ENCODERS.add("random", random_features)
ENCODERS.add("image_stats", image_statistics)
for _name, _weights, _dim in (
    ("clip_rn50", "RN50.pt", 1024),
    ("clip_rn101", "RN101.pt", 512),
    ("clip_rn50x4", "RN50x4.pt", 640),
    ("clip_vit_b32", "ViT-B-32.pt", 512),
):
    ENCODERS.add(_name, StoredFeatures(_name, _weights, _dim))


def keep_fit(file: Path, encoder: str, world: World) -> None:
    """Writes what an encoder has learnt from training scans; nothing where it learns nothing.

    Args:
        file: Where to; give it as `World.fit` to see with the same eyes in another world.
        encoder: Registered name.
        world: Where it has learnt.
    """
    if encoder in _LEARNS:
        write_fit(file, world)
