"""The tiny world, and the contracts that every plug-in of ours and of others must keep."""

from vln.testing.contracts import AgentContract, DatasetContract, EncoderContract
from vln.testing.skyboxes import direction_colours, direction_faces, ring_colour, write_skyboxes
from vln.testing.tiny_world import TinyWorld, make_tiny_world

__all__ = [
    "AgentContract",
    "DatasetContract",
    "EncoderContract",
    "TinyWorld",
    "direction_colours",
    "direction_faces",
    "make_tiny_world",
    "ring_colour",
    "write_skyboxes",
]
