"""Every encoder by name."""

from vln.encoders.base import ENCODERS, Encoder, World
from vln.encoders.image_stats import image_statistics
from vln.encoders.objects import (
    object_features,
    object_word_features,
    random_features,
    shuffled_object_features,
)
from vln.encoders.stored import StoredFeatures, blind

__all__ = ["ENCODERS", "Encoder", "World"]

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
