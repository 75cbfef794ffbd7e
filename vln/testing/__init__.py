"""The tiny world, and the contracts that every plug-in of ours and of others must keep."""

from vln.testing.contracts import AgentContract, DatasetContract, EncoderContract
from vln.testing.tiny_world import TinyWorld, make_tiny_world

__all__ = [
    "AgentContract",
    "DatasetContract",
    "EncoderContract",
    "TinyWorld",
    "make_tiny_world",
]
