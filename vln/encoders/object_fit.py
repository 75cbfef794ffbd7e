"""What the object encoders learn from training scans, kept apart so that another world can use it.

A fit is the columns of the features and one scale. A world may bring one along, in
reverie/object_fit.json; without it the fit is made from the world's own training scans.
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
REMEDY = "Remove the file, and the fit is made from the world's own training scans."

_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Rule:
    """How boxes become features.

    Attributes:
        encoder: Registered name of the encoder.
        identity: Changes whenever the rule does, so that old features are not taken for new ones.
        labels: Gives the columns that an object's name belongs to.
        scaled_by_training: The norm holds over views of training scans; else over all views.
    """

    encoder: str
    identity: str
    labels: Callable[[str], tuple[str, ...]]
    scaled_by_training: bool


@dataclass(frozen=True, slots=True)
class ObjectFit:
    """What was learnt.

    Attributes:
        columns: Labels that count, sorted: one feature each.
        scale: Root areas times this give features of the root mean square norm `NORM`.
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


OBJECTS = Rule("objects", "sqrt-area/3-scans/norm-10", whole_name, scaled_by_training=False)
OBJECT_WORDS = Rule(
    "object_words", "words/sqrt-area/3-scans/norm-10", words_of, scaled_by_training=True
)
RULES = (OBJECTS, OBJECT_WORDS)


def fit_of(world: World, seen: ObjectViews, rule: Rule) -> ObjectFit:
    """Gives the fit that the world brings along, else the one of its own training scans.

    Raises:
        MissingData: It brings none and has no training annotations.
        CorruptData: Its fit cannot be used.
    """
    file = _file_of(world)
    if file.is_file():
        return _read(file, rule)
    return make_fit(world, seen, rule)


def make_fit(world: World, seen: ObjectViews, rule: Rule) -> ObjectFit:
    """Gives the fit of a world's own training scans.

    Labels count if at least three training scans show them, so that none describes one house.

    Raises:
        MissingData: No training annotations.
        CorruptData: They are damaged.
    """
    training = _in_training(world, seen)
    columns = tuple(sorted(_shared(world, training, rule)))
    _, values = root_areas(training if rule.scaled_by_training else seen, columns, rule)
    norms = np.einsum("cd,cd->c", values, values)
    shown = norms[norms > 0]
    return ObjectFit(columns, float(NORM / np.sqrt(shown.mean())) if shown.size else 1.0)


def write_fit(world: World, seen: ObjectViews) -> Path:
    """Makes every rule's fit from the world's training scans, for it and other worlds to use.

    Returns:
        The file written, reverie/object_fit.json in the world's folder.
    """
    fits = {rule.encoder: (rule, make_fit(world, seen, rule)) for rule in RULES}
    content = {
        name: {"rule": rule.identity, "columns": list(fit.columns), "scale": fit.scale}
        for name, (rule, fit) in fits.items()
    }
    file = _file_of(world)
    with atomic(file) as stream:
        stream.write(orjson.dumps({"encoder": content}, option=orjson.OPT_INDENT_2))
    return file


def root_areas(
    seen: ObjectViews, columns: Sequence[str], rule: Rule
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Gives the root of the share of a view that boxes of a label cover.

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
    return cells, np.sqrt(values, out=values)


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


def _file_of(world: World) -> Path:
    return world.data / "reverie" / "object_fit.json"


def _read(file: Path, rule: Rule) -> ObjectFit:
    content = parse_json(read_bytes(file), file=file)
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
