"""A server whose encoder takes no time: `python -m benchmarks.speed.trivial SOCKET`.

Needs no torch, so it is there at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.encoders.recipe import Recipe
from vln.service.local.offers import Offer
from vln.service.local.place import Place
from vln.service.local.server import Server
from vln.service.requests import Limits
from vln.service.service import EncoderService
from vln.types import EncoderSpec

TRIVIAL: Final = "trivial"
SIZE: Final = 224
"""Pixels of the pictures: 150 kB each."""
LIMITS: Final = Limits(max_batch=8)


def trivial(kind: str, items: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Gives 8 numbers for each item: of itself, its first."""
    del kind
    rows = np.zeros((len(items), 8), dtype=np.float32)
    rows[:, 0] = items.reshape(len(items), -1)[:, 0]
    return rows


def main() -> int:
    """Serves until the process is ended."""
    spec = EncoderSpec(8, (8, 1, 1), (SIZE, SIZE), "rgb", "fp32", "00" * 32)
    offers = {TRIVIAL: Offer(spec=spec, recipe=Recipe())}
    with (
        Place(Path(sys.argv[1])) as place,
        EncoderService({TRIVIAL: trivial}, limits=LIMITS) as service,
    ):
        Server(service, offers, place).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
