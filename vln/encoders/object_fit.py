"""What the object encoders learn from training scans, kept apart so that another world can use it.

A fit is the columns of the features and one scale. A run keeps the one that it was trained with, so
that it sees in any world what it saw in its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from vln.data.episodes import load_episodes
from vln.data.locations import parse_json, read_bytes
from vln.data.objects import ObjectViews
from vln.encoders.base import World
from vln.errors import CorruptData
from vln.geometry import NUM_VIEWS
from vln.runs import atomic

MIN_SCANS = 3
NORM = 10.0
"""Root mean square norm of a view's features; CLIP's pooled features have about this one."""
SMALLEST = 0.003
"""Share of a view, about 14 x 11 pixels of 224 x 224, that counts as one doubling."""
REMEDY = "Remove the file, and training scans are learnt from anew, or train again."

_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Rule:
    """How boxes become features.

    Attributes:
        encoder: Registered name of the encoder.
        identity: Changes whenever the rule does, so that old features are not taken for new ones.
        labels: Gives the columns that an object's name belongs to.
        scaled_by_training: The norm holds over views of training scans; else over all views.
        weight: Gives a label's weight from the share of the view, 0..1, that its boxes cover.
    """

    encoder: str
    identity: str
    labels: Callable[[str], tuple[str, ...]]
    scaled_by_training: bool
    weight: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class ObjectFit:
    """What was learnt.

    Attributes:
        columns: Labels that count, sorted: one feature each.
        scale: Weights times this give features of the root mean square norm `NORM`.
    """

    columns: tuple[str, ...]
    scale: float

    def fingerprint(self, rule: Rule) -> str:
        """Gives the identity of the encoder, hex; the scale counts to five digits.

        More digits would depend on the order in which a machine adds.
        """
        told = "\n".join((rule.identity, f"{self.scale:.4e}", *self.columns))
        return hashlib.sha256(told.encode()).hexdigest()


def whole_name(name: str) -> tuple[str, ...]:
    """Gives the name itself, as annotated."""
    return (name,)


def words_of(name: str) -> tuple[str, ...]:
    """Gives the words of a name in lower case, and the whole: "Green bed" is bed, green bed, green.

    An unseen combination still has its words.
    """
    words = _WORD.findall(name.lower())
    return tuple(sorted({*words, " ".join(words)} - {""}))


def root(area: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Gives the square root of shares of a view."""
    return np.sqrt(area)


def doublings(area: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Gives how often shares of a view double the smallest that counts, 0 for none.

    A chair across the room then is not lost beside the sofa in front of it, and twice as large is
    the same step everywhere.
    """
    doubled: npt.NDArray[np.float32] = np.log2(1 + area / SMALLEST).astype(np.float32)
    return doubled


OBJECTS = Rule(
    "objects", "sqrt-area/3-scans/norm-10", whole_name, scaled_by_training=False, weight=root
)
OBJECT_WORDS = Rule(
    "object_words",
    "words/log-area/3-scans/norm-10",
    words_of,
    scaled_by_training=True,
    weight=doublings,
)
RULES = (OBJECTS, OBJECT_WORDS)


def fit_of(world: World, seen: ObjectViews, rule: Rule) -> ObjectFit:
    """Gives the fit that is brought along, else the one of the world's own training scans.

    Raises:
        MissingData: None is brought and the world has no training annotations.
        CorruptData: The one that is brought cannot be used.
    """
    return make_fit(world, seen, rule) if world.fit is None else _read(world.fit, rule)


def make_fit(world: World, seen: ObjectViews, rule: Rule) -> ObjectFit:
    """Gives the fit of a world's own training scans.

    Labels count if at least three training scans show them, so that none describes one house.

    Raises:
        MissingData: No training annotations.
        CorruptData: They are damaged.
    """
    training = _in_training(world, seen)
    columns = tuple(sorted(_shared(world, training, rule)))
    _, values = weights(training if rule.scaled_by_training else seen, columns, rule)
    norms = np.einsum("cd,cd->c", values, values)
    shown = norms[norms > 0]
    return ObjectFit(columns, float(NORM / np.sqrt(shown.mean())) if shown.size else 1.0)


def write_fit(file: Path, world: World, seen: ObjectViews) -> None:
    """Writes every rule's fit, for use in this world and others."""
    fits = {rule.encoder: (rule, fit_of(world, seen, rule)) for rule in RULES}
    content = {
        name: {"rule": rule.identity, "columns": list(fit.columns), "scale": fit.scale}
        for name, (rule, fit) in fits.items()
    }
    with atomic(file) as stream:
        stream.write(orjson.dumps({"encoder": content}, option=orjson.OPT_INDENT_2))


def weights(
    seen: ObjectViews, columns: Sequence[str], rule: Rule
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Gives the weights of labels, from the share of a view that their boxes cover.

    Args:
        seen: The boxes that count.
        columns: D labels.
        rule: Gives each name its labels.

    Returns:
        (C,) int64 sorted views with a box, panorama * 36 + view, and their (C, D) float32.
    """
    cells, cell = np.unique(seen.panorama * NUM_VIEWS + seen.view, return_inverse=True)
    values = np.zeros((len(cells), len(columns)), dtype=np.float32)
    place = {label: i for i, label in enumerate(columns)}
    own = [[place[label] for label in rule.labels(name) if label in place] for name in seen.names]
    for rank in range(max(map(len, own), default=0)):  # the n-th label of every name at once
        column = np.array([c[rank] if rank < len(c) else -1 for c in own])[seen.name]
        kept = column >= 0
        np.add.at(values, (cell.ravel()[kept], column[kept]), seen.area[kept])
    return cells, rule.weight(values)


def _in_training(world: World, seen: ObjectViews) -> ObjectViews:
    """Gives the boxes of training scans."""
    train = load_episodes("r2r", "train", data=world.data, graph=world.graph)
    scans = np.array(sorted({world.graph.scans.index(e.start.scan) for e in train}))
    inside = np.isin(world.graph.scan_index[seen.panorama], scans)
    return replace(
        seen,
        panorama=seen.panorama[inside],
        view=seen.view[inside],
        name=seen.name[inside],
        area=seen.area[inside],
    )


def _shared(world: World, seen: ObjectViews, rule: Rule) -> set[str]:
    """Gives the labels that `MIN_SCANS` scans or more show."""
    scan = world.graph.scan_index[seen.panorama]
    where: dict[str, set[int]] = {}
    for name, house in np.unique(np.stack([seen.name, scan]), axis=1).T.tolist():
        for label in rule.labels(seen.names[name]):
            where.setdefault(label, set()).add(house)
    return {label for label, houses in where.items() if len(houses) >= MIN_SCANS}


def _read(file: Path, rule: Rule) -> ObjectFit:
    try:
        content = parse_json(read_bytes(file), file=file)
    except CorruptData:
        raise CorruptData.of(file, "", "is cut off or no JSON", REMEDY) from None
    fits = content.get("encoder") if isinstance(content, dict) else None
    fit = fits.get(rule.encoder) if isinstance(fits, dict) else None
    if not isinstance(fit, dict) or fit.get("rule") != rule.identity:
        problem = f"holds no fit of {rule.encoder!r} by the rule {rule.identity!r}"
        raise CorruptData.of(file, "", problem, REMEDY)
    columns: Any = fit.get("columns")
    scale: Any = fit.get("scale")
    if not _is_usable(columns, scale):
        problem = "expected 'columns', a sorted list of labels, and 'scale', a positive number"
        raise CorruptData.of(file, rule.encoder, problem, REMEDY)
    return ObjectFit(tuple(columns), float(scale))


def _is_usable(columns: Any, scale: Any) -> bool:  # noqa: ANN401 - JSON is of any type
    return (
        isinstance(columns, list)
        and all(isinstance(label, str) for label in columns)
        and columns == sorted(set(columns))
        and type(scale) in (int, float)
        and 0 < scale < float("inf")
    )
