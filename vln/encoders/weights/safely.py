"""What torch.save wrote, read without running anything in it, and what is wrong where it cannot be.

Knows neither networks nor agents.
"""

from __future__ import annotations

import pickle
import re
import struct
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from vln.data.locations import RESTORE
from vln.encoders.weights.archive import BROKEN_ZIP, UNSAFE, checked_zip
from vln.encoders.weights.pickles import named_globals
from vln.errors import CorruptData

ZIP: Final = b"PK\x03\x04"
PICKLE: Final = b"\x80"
"""What the two forms of torch.save begin with."""
_LEGACY_PICKLES: Final = 4
"""The older form is a row of pickles: three notes, then the object."""
_REFUSED = re.compile(r"GLOBAL ([\w.]*\w)")
_SAID = re.compile(r"WeightsUnpickler error:\s*(.+?)\.?\s*$", re.M)
_HARMLESS = (
    r"torch\.(?:\w+|_utils\._rebuild\w+|nn\.parameter\.\w+|_tensor\.\w+|storage\.\w+)"
    r"|collections\.\w+|_codecs\.encode"
)
_UNLOADABLE: Final[tuple[type[Exception], ...]] = (
    *BROKEN_ZIP,
    struct.error,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,
    ArithmeticError,
    MemoryError,
)
"""What torch.load raises on damaged files."""

StandIn = Callable[..., Any] | tuple[Callable[..., Any], str]


@dataclass(frozen=True)
class Kind:
    """What a file is expected to hold.

    Attributes:
        name: What messages call it.
        remedy: What to do where it cannot be read though it may be whole.
        harmless: Expression of further names that it may hold beside tensors and containers.
        stand_ins: What such names are read as.
    """

    name: str
    remedy: str = RESTORE
    harmless: str = ""
    stand_ins: Sequence[StandIn] = ()

    def is_harmless(self, name: str) -> bool:
        """Says whether a name that a file imports is one of plain tensors, or allowed."""
        pattern = f"{_HARMLESS}|{self.harmless}" if self.harmless else _HARMLESS
        return re.fullmatch(pattern, name) is not None


def load_safely(file: Path, kind: Kind) -> object:
    """Gives what torch.load reads of plain tensors, containers, numbers and texts, on the CPU.

    Raises:
        CorruptData: It is damaged, or would run code; the message names what it would import.
    """
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(kind.stand_ins)):
            warnings.simplefilter("ignore", UserWarning)  # of forms that are refused if they matter
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(file, kind, str(error)) from error
    except _UNLOADABLE as error:
        said = str(error).splitlines()
        problem = f"not a whole {kind.name} ({said[0] if said else type(error).__name__})"
        raise CorruptData.of(file, "", problem, RESTORE) from error


def _refusal(file: Path, kind: Kind, message: str) -> CorruptData:
    """Gives the error for a file that torch does not read safely."""
    names = _REFUSED.findall(message)[:1] or [
        name for name in _named(file) if not kind.is_harmless(name)
    ]
    if names:
        problem = f"names {', '.join(names)}, and loading it would run code. Nothing was run"
        return CorruptData.of(file, "", problem, UNSAFE)
    # The rest of what torch says is advice to load the file unsafely.
    found = _SAID.search(message)
    reason = found[1] if found else "damaged"
    problem = f"not a {kind.name} that torch reads safely ({reason})"
    return CorruptData.of(file, "", problem, kind.remedy)


def _named(file: Path) -> list[str]:
    """Gives what a file's pickles import, as far as can be told."""
    named: list[str] = []
    with file.open("rb") as stream:
        if stream.read(len(ZIP)) != ZIP:
            stream.seek(0)
            for _ in range(_LEGACY_PICKLES):
                named += named_globals(stream)
            return named
    with checked_zip(file) as packed, suppress(*BROKEN_ZIP):  # torch's own error says what it met
        for entry in packed.namelist():
            if entry.endswith("data.pkl"):
                with packed.open(entry) as stream:
                    named += named_globals(stream)
    return named
