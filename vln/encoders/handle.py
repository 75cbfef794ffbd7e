"""What stands behind `--encoder`: a name, words that change it, and whose features are meant.

    clip_rn50                        our own features of this encoder, else the only imported ones
    clip_rn50+bf16+squash            the same network otherwise applied, see `vln.encoders.recipe`
    clip_rn50@1a2b3c4d               a file of features that somebody else made
    clip:PATH                        weights in the layout of OpenAI's, whatever their sizes
    tower:PATH                       a small tower that `vln.pretrain` trained
    open_clip:NAME/PRETRAINED        anything that open_clip holds
    timm:NAME                        anything that timm holds

Knows no encoder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vln.errors import BadConfig

FAMILIES = ("clip", "tower", "open_clip", "timm")
FILES = ("clip", "tower")
"""Families whose names are paths."""
_UNSAFE = re.compile(r"[^\w.+@=-]+")
_IMPORTED = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class Handle:
    """A parsed `--encoder`.

    Attributes:
        name: As registered; what stands after the colon where there is a family.
        family: `clip`, `tower`, `open_clip` or `timm`; empty for a registered name.
        words: What stands after each plus.
        imported: Eight hexadecimal digits of the sha256 of the file that features came from; empty
            for our own.
    """

    name: str
    family: str = ""
    words: tuple[str, ...] = ()
    imported: str = ""

    @classmethod
    def parse(cls, text: str) -> Handle:
        """Gives the handle that a text names; whether there is such an encoder is not asked.

        Raises:
            BadConfig: No name, or what stands after @ is no beginning of a digest.
        """
        whole, at, imported = text.rpartition("@") if _ends_imported(text) else (text, "", "")
        if at and not _IMPORTED.fullmatch(imported):
            raise BadConfig(
                f"--encoder {text}: after @ expected the eight hexadecimal digits that "
                "`python -m vln.features info` lists."
            )
        family, colon, rest = whole.partition(":")
        if not colon or family not in FAMILIES:
            family, rest = "", whole
        # Words come last: a path may hold a plus before its last slash.
        head, slash, tail = rest.rpartition("/")
        name, *words = tail.split("+")
        if not name:
            raise BadConfig(f"--encoder {text!r}: no encoder is named.")
        return cls(f"{head}{slash}{name}", family, tuple(words), imported)

    @property
    def encoder(self) -> str:
        """The name with its family, without words."""
        return f"{self.family}:{self.name}" if self.family else self.name

    @property
    def plain(self) -> str:
        """The handle without @: what its features are called when we make them."""
        return "+".join((self.encoder, *self.words))

    def __str__(self) -> str:
        return f"{self.plain}@{self.imported}" if self.imported else self.plain

    @property
    def slug(self) -> str:
        """What files and folders may be called; a path's own folders are left out."""
        name = self.name.rpartition("/")[2] if self.family in FILES else self.name
        slug = "+".join((f"{self.family}={name}" if self.family else name, *self.words))
        slug = _UNSAFE.sub("_", slug)
        return f"{slug}@{self.imported}" if self.imported else slug


def _ends_imported(text: str) -> bool:
    """Tells whether an @ after the last slash asks for imported features."""
    return "@" in text.rpartition("/")[2]
