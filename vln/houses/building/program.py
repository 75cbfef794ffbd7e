"""Which rooms lie side by side along a corridor, and how wide they are.

Rooms that belong together, a kitchen and its dining room say, are chosen together; what a home has
already is chosen less often. Knows nothing of where the corridor is.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

import numpy as np

Group = tuple[str, ...]

_DRAWS = 6
_FITS = 0.16

_WIDTHS: Final[dict[str, tuple[float, float]]] = {
    "living room": (6.6, 8.3),
    "dining room": (5.2, 6.6),
    "kitchen": (4.7, 6.1),
    "bedroom": (5.0, 6.3),
    "bathroom": (3.4, 4.4),
    "office": (4.4, 5.5),
    "library": (5.0, 6.6),
    "playroom": (5.0, 6.6),
    "laundry room": (3.6, 4.4),
    "gym": (5.2, 6.9),
    "music room": (5.0, 6.6),
}
"""Metres that a room takes along its corridor."""

_ENOUGH: Final = {"bedroom": 0.4, "bathroom": 0.4, "laundry room": 3.0}
"""How much each room of a kind speaks against another one; 1 else."""

_SHARES: Final[dict[Group, float]] = {
    ("bedroom", "bathroom"): 0.16,
    ("bedroom", "bathroom", "bedroom"): 0.06,
    ("bedroom",): 0.08,
    ("bathroom",): 0.015,
    ("office",): 0.09,
    ("library",): 0.11,
    ("playroom",): 0.11,
    ("laundry room",): 0.045,
    ("gym",): 0.11,
    ("music room",): 0.11,
    ("living room",): 0.05,
    ("kitchen", "dining room"): 0.03,
    ("dining room", "living room"): 0.04,
}
"""Rooms that are planned together -> share of all such choices."""


def fill(
    length: float, *, chosen: Counter[str], rng: np.random.Generator
) -> tuple[list[str], list[float]]:
    """Gives kinds and widths of rooms that are about as long together."""

    def misfit(groups: list[list[tuple[str, float]]]) -> float:
        return abs(math.log(_length_of(groups) / length))

    draws = []
    for _ in range(_DRAWS):
        draws.append(_drawn_rooms(length, chosen=chosen.copy(), rng=rng))
        if misfit(draws[-1]) < _FITS:  # not the best of all: that would favour narrow rooms
            break
    groups = min(draws, key=misfit)
    rooms = [room for i in rng.permutation(len(groups)) for room in groups[int(i)]]
    chosen.update(kind for kind, _ in rooms)
    return [kind for kind, _ in rooms], [width for _, width in rooms]


def _drawn_rooms(
    length: float, *, chosen: Counter[str], rng: np.random.Generator
) -> list[list[tuple[str, float]]]:
    """Gives groups of rooms, each a kind and a width, until no more fits; counts them."""
    groups: list[list[tuple[str, float]]] = []
    while length - _length_of(groups) > 1.3 or not groups:
        left = length - _length_of(groups)
        group = _next_group(left, is_first=not groups, chosen=chosen, rng=rng)
        if group is None:
            break
        groups.append(group)
        chosen.update(kind for kind, _ in group)
    return groups


def _length_of(groups: list[list[tuple[str, float]]]) -> float:
    return sum(width for group in groups for _, width in group)


def _next_group(
    left: float, *, is_first: bool, chosen: Counter[str], rng: np.random.Generator
) -> list[tuple[str, float]] | None:
    """Gives the rooms to place next, or nothing where none fits."""
    if not chosen:
        whole = ("kitchen", "dining room", "living room")
        options: dict[Group, float] = {whole if left > 12 else ("kitchen", "living room"): 1.0}
    elif not chosen["bathroom"]:
        options = {("bedroom", "bathroom"): 1.0}
    else:
        options = {g: s / (0.35 + _most(g, chosen) / 2) for g, s in _SHARES.items()}
    fitting = {g: w for g, w in options.items() if sum(_WIDTHS[k][0] for k in g) <= left + 0.9}
    if not fitting and is_first:  # a short strip still becomes a room, or two small ones
        fitting = options if len(options) == 1 else {("office",): 1.0, ("bedroom",): 1.0}
    if not fitting:
        return None
    group = _drawn(fitting, rng=rng)
    if rng.random() < 0.5:
        group = group[::-1]
    return [(kind, float(rng.uniform(*_WIDTHS[kind]))) for kind in group]


def _most(group: Group, chosen: Counter[str]) -> float:
    """Gives how often the commonest kind of a group is there, each by its own measure."""
    return max(chosen[kind] * _ENOUGH.get(kind, 1.0) for kind in group)


def _drawn(options: dict[Group, float], *, rng: np.random.Generator) -> Group:
    """Gives one of the options, as likely as its weight says."""
    edges = np.cumsum(list(options.values()))
    at = int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))
    return list(options)[min(at, len(options) - 1)]
