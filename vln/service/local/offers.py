"""What a server says of the encoders that it holds, and how much it takes from a client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vln.encoders import NETWORKS, Handle, check, world_encoder
from vln.encoders.recipe import Recipe
from vln.errors import BadConfig
from vln.types import EncoderSpec

if TYPE_CHECKING:
    from vln.encoders.network import ImageEncoder


@dataclass(frozen=True, kw_only=True)
class Offer:
    """An encoder, as clients see it.

    Attributes:
        spec: What it gives, and who it is.
        recipe: What it does to pictures.
        text_dim: Features of a text; 0 where it reads none.
        tokens: Gives (N, L) int64 tokens of texts; None where it reads none.
    """

    spec: EncoderSpec
    recipe: Recipe
    text_dim: int = 0
    tokens: Callable[[Sequence[str]], npt.NDArray[np.int64]] | None = None

    @classmethod
    def of(cls, encoder: ImageEncoder) -> Offer:
        """Gives what is to be said of an encoder."""
        return cls(
            spec=encoder.spec,
            recipe=encoder.recipe,
            text_dim=encoder.text_dim,
            tokens=encoder.tokens if encoder.has_text else None,
        )

    def as_json(self) -> dict[str, Any]:
        """Gives plain values."""
        return {
            "fingerprint": self.spec.fingerprint,
            "dim": self.spec.pooled_dim,
            "text_dim": self.text_dim,
            "spec": asdict(self.spec),
            "recipe": self.recipe.as_json(),
        }


def must_be_networks(handles: Iterable[str]) -> None:
    """Checks what is to be held for others, before seconds of loading.

    Raises:
        UnknownName: No such encoder, or an unknown word.
        BadConfig: It is no network; the message tells what can be held.
    """
    for handle in handles:
        check(handle)
        if world_encoder(Handle.parse(handle)) is not None:
            raise BadConfig(
                f"--encoder {handle} is an encoder of another kind: it reads annotations or the "
                "world as a whole, costs next to nothing, and needs no server. Use it without "
                f"--service. What can be served is a network: {', '.join(sorted(NETWORKS))}, "
                "clip:FILE, tower:FILE, open_clip:NAME/PRETRAINED or timm:NAME."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """What a server takes from its clients.

    Attributes:
        max_clients: Connections at once.
        max_pending: Requests of one connection that are on their way; it is not read meanwhile.
        max_segments: Segments of one connection.
        max_segment_bytes: Bytes of these together.
        max_unsent_bytes: Answers that a connection has not taken yet; beyond it no more requests
            are read from it, and its patience is a tenth.
        max_stall_s: Longest time in seconds in which a connection takes nothing of what waits for
            it, before it is closed.
        max_silence_s: Longest time before a connection says who it is.
        max_farewell_s: Longest time for last words, to one connection or, at the end, to all.
    """

    max_clients: int = 256
    max_pending: int = 4096
    max_segments: int = 64
    max_segment_bytes: int = 2**32
    max_unsent_bytes: int = 2**26
    max_stall_s: float = 30.0
    max_silence_s: float = 10.0
    max_farewell_s: float = 2.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise BadConfig(f"{name} is {value}; expected more than 0.")
