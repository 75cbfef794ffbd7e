"""What a client knows of an encoder that is held elsewhere: by a server, or on a cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vln.encoders.recipe import Recipe
from vln.errors import BadConfig
from vln.types import EncoderSpec

_MAX_KEY: Final = 1024


@dataclass(frozen=True)
class HeldEncoder:
    """An encoder that another process holds.

    Attributes:
        handle: What it is asked for by.
        dim: Features of a picture.
        text_dim: Features of a text; 0 where it reads none.
        spec: What it gives, and who it is.
        recipe: What it does to pictures.
    """

    handle: str
    dim: int
    text_dim: int
    spec: EncoderSpec
    recipe: Recipe

    @property
    def has_text(self) -> bool:
        """Whether it reads texts."""
        return self.text_dim > 0


def fields_of(handle: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the fields of a `HeldEncoder` from what its holder tells of it in JSON.

    Raises:
        KeyError, TypeError, AttributeError: The holder is of another version.
    """
    return {
        "handle": handle,
        "dim": facts["dim"],
        "text_dim": facts["text_dim"],
        "spec": EncoderSpec(**_tuples(facts["spec"])),
        "recipe": Recipe(**_tuples(facts["recipe"])),
    }


def key_to_send(key: str) -> str:
    """Gives an identity of items as any message can hold it: short, and ASCII."""
    if len(key) <= _MAX_KEY and key.isascii():
        return key
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def checked_texts(texts: Sequence[str]) -> list[str]:
    """Gives texts that any message can hold.

    Raises:
        BadConfig: They are no list of strings, or one is no Unicode.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise BadConfig(f"texts {str(texts)[:40]!r}; expected a list of strings.")
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadConfig(f"the text {text[:40]!r}... is no Unicode ({error.reason}).") from None
    return list(texts)


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Gives fields of ours as they were before they were JSON."""
    return {key: tuple(one) if isinstance(one, list) else one for key, one in values.items()}
