"""Data sets by name: a split's episodes, whichever file they come from.

A data set is added with one line below; every file format has its own module.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vln.data import r2r, r4r
from vln.data.locations import HELD_OUT
from vln.data.splits import EpisodeSet, random_part
from vln.errors import BadConfig
from vln.graph import NavGraph
from vln.registry import Registry

__all__ = ["DATASETS", "EpisodeSet", "Loader", "load_episodes"]

Loader = Callable[[Path, str, NavGraph], EpisodeSet]

DATASETS: Registry[Loader] = Registry("data set")
DATASETS.add("r2r", r2r.load)
DATASETS.add("r4r", r4r.load)


def load_episodes(dataset: str, split: str, *, data: Path, graph: NavGraph) -> EpisodeSet:
    """Gives the episodes of one split, checked against the graph.

    Args:
        dataset: A name in `DATASETS`.
        split: `train`, `val_seen`, `val_unseen`, `test`; `dev` (episodes of training houses held
            out for choosing checkpoints) and `train_fit` (train without them); any other name
            that the data folder has a file for; or the path of an annotation file, recognised by
            a slash. `name@5000` keeps a fixed random 5,000 episodes.
        data: The data root.
        graph: The navigation graph the episodes live in.

    Raises:
        UnknownName: No such data set or split; the closest is suggested.
        MissingData: The annotation file is not there.
        CorruptData: The file is damaged or contradicts the graph.
        BadConfig: `@N` asks for more than there is, dev has no house to hold out, or the path is
            that of labels that a world holds out.
    """
    load = DATASETS[dataset]
    if "/" in split and Path(split).expanduser().resolve().parent.name == HELD_OUT:
        raise BadConfig(
            f"{split} holds a test split's labels, which only `python -m benchmarks.submit "
            "--local` scores against. Name another split."
        )
    name, _, size = split.rpartition("@")
    if name and size.isdecimal():
        return random_part(load(data, name, graph), size=int(size))
    return load(data, split, graph)
