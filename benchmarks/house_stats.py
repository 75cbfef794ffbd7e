"""What a world is like, in numbers that can be laid beside R2R's own.

Everything is counted from files in the field's formats, so that a made world and the real data are
measured by the same lines. What only scenes know (rooms) is left out where there are none.
"""

from __future__ import annotations

import math
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import orjson

from benchmarks.tables import Table
from vln import geometry
from vln.data import r2r
from vln.data.connectivity import load_graph
from vln.data.episodes import load_episodes
from vln.data.objects import load_objects
from vln.errors import MissingData
from vln.graph import NavGraph
from vln.houses.building.scene import Home, load_home, scene_file
from vln.metrics.paths import SUCCESS_RADIUS
from vln.text import SPECIAL, Vocabulary, tokenize
from vln.types import Episode

NOTES = """\
- Rooms are known of made homes alone. Objects are those that boxes show: REVERIE's boxes in
  R2R's homes are of things within about 3 m, here they are of everything that is seen.
- Goal disc: share of the home's viewpoints from which stopping would count as success (less than
  3 m of walk from the goal), mean over paths.
- Paths of train, val_seen and val_unseen, which have labels; test's are only counted."""
FACING = math.radians(30)
"""A path starts facing its first edge where the heading is at most this far from it."""


@dataclass(frozen=True)
class Statistics:
    """A world in numbers; None where its files do not say.

    Attributes:
        homes: Scans of the graph.
        rooms_per_home: Mean.
        objects_per_home: Mean over homes of the objects that boxes show.
        objects_per_view: Mean boxes in one of the 36 views of a viewpoint.
        categories: Kinds of objects, colours apart.
        viewpoints_per_home: Median.
        edges_per_viewpoint: Mean.
        edge_metres: Mean length of an edge.
        goal_disc: Mean over paths of the share of the home's viewpoints that lie less than 3 m of
            walk from the goal.
        paths: Split -> paths.
        viewpoints_per_path: Viewpoints -> share of the paths.
        path_metres: Mean length of a path.
        instruction_tokens: Mean, by R2R's tokenizer.
        vocabulary: Words that occur five times or more in train.
        facing: Share of the paths whose start looks at most 30 degrees past the first edge.
    """

    homes: int
    rooms_per_home: float | None
    objects_per_home: float | None
    objects_per_view: float | None
    categories: int | None
    viewpoints_per_home: float
    edges_per_viewpoint: float
    edge_metres: float
    goal_disc: float
    paths: Mapping[str, int]
    viewpoints_per_path: Mapping[int, float]
    path_metres: float
    instruction_tokens: float
    vocabulary: int
    facing: float


def measure_world(data: Path) -> Statistics:
    """Gives the statistics of a data folder.

    Args:
        data: With connectivity/ and r2r/, and reverie/ and scenes/ where they are there.

    Raises:
        MissingData: There is no graph, or no paths of train, val_seen or val_unseen.
        CorruptData: A file is damaged.
    """
    graph = load_graph(data)
    splits = {name: _episodes(data, name, graph) for name in r2r.FILES}
    paths = {name: _paths(episodes) for name, episodes in splits.items()}
    labelled = [path for found in paths.values() for path in found if path.reference is not None]
    if not labelled:
        raise MissingData(f"no labelled paths in {data / 'r2r'}: a world of another kind, or none.")
    words = [e.instruction for episodes in splits.values() for e in episodes if e.reference]
    homes = _homes(data, graph)
    return Statistics(
        homes=len(graph.scans),
        rooms_per_home=_mean([len(home.rooms) for home in homes]),
        **_objects(data, graph, homes),
        viewpoints_per_home=float(np.median(np.diff(graph.first))),
        edges_per_viewpoint=float(graph.degree.mean()),
        edge_metres=float(graph.candidate_distance[graph.neighbour >= 0].mean()),
        goal_disc=_goal_disc(graph, labelled),
        paths={name: len(found) for name, found in paths.items() if found},
        viewpoints_per_path=_shares([len(path.reference or ()) for path in labelled]),
        path_metres=float(np.mean([_metres(graph, path) for path in labelled])),
        instruction_tokens=float(np.mean([len(tokenize(text)) for text in words])),
        vocabulary=_words(splits["train"]),
        facing=float(np.mean([_is_facing(graph, path) for path in labelled])),
    )


def _episodes(data: Path, split: str, graph: NavGraph) -> tuple[Episode, ...]:
    if not r2r.file_of(data, split).is_file():
        return ()
    return load_episodes("r2r", split, data=data, graph=graph).episodes


def _paths(episodes: Sequence[Episode]) -> list[Episode]:
    """Gives one episode of each path."""
    return list({e.id.rpartition("_")[0]: e for e in episodes}.values())


def _words(train: Sequence[Episode]) -> int:
    vocabulary = Vocabulary.build(episode.instruction for episode in train)
    return len(vocabulary) - len(SPECIAL) - 1


def _homes(data: Path, graph: NavGraph) -> list[Home]:
    if not (data / "scenes").is_dir():
        return []
    return [load_home(scene_file(data, scan)) for scan in graph.scans]


def _objects(data: Path, graph: NavGraph, homes: Sequence[Home]) -> dict[str, Any]:
    if not (data / "reverie").is_dir():
        return dict.fromkeys(("objects_per_home", "objects_per_view", "categories"))
    boxes = load_objects(data, graph)
    kinds = {item.category for home in homes for item in home.items} or set(boxes.names)
    return {
        "objects_per_home": _mean([len(ids) for ids in _object_ids(data).values()]),
        "objects_per_view": len(boxes) / len(graph.viewpoints) / geometry.NUM_VIEWS,
        "categories": len(kinds),
    }


def _object_ids(data: Path) -> dict[str, set[str]]:
    """Gives per home the ids in its boxes; that the files are whole is known by now."""
    folder = data / "reverie" / "BBox"
    found: dict[str, set[str]] = {}
    for name, content in _loose(folder) if folder.is_dir() else _packed(folder):
        ids = found.setdefault(name.rpartition("_")[0], set())
        for seen in orjson.loads(content).values():
            ids.update(seen)
    return found


def _loose(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in folder.glob("*.json"):
        yield file.stem, file.read_bytes()


def _packed(folder: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(folder.with_suffix(".zip")) as packed:
        for name in packed.namelist():
            if name.endswith(".json") and not name.startswith("__MACOSX"):
                yield PurePosixPath(name).stem, packed.read(name)


def _goal_disc(graph: NavGraph, paths: Sequence[Episode]) -> float:
    shares = []
    for path in paths:
        members = np.array(graph.members(path.start.scan))
        goal = graph.index(path.start.scan, (path.reference or ())[-1])
        shares.append((graph.distance(members, goal) < SUCCESS_RADIUS).mean())
    return float(np.mean(shares))


def _metres(graph: NavGraph, path: Episode) -> float:
    at = graph.position[graph.indices(path.start.scan, path.reference or ())]
    return float(np.linalg.norm(np.diff(at, axis=0), axis=1).sum())


def _is_facing(graph: NavGraph, path: Episode) -> bool:
    here, there = graph.position[graph.indices(path.start.scan, (path.reference or ())[:2])]
    aside = geometry.wrap(geometry.heading_of(there - here) - path.start.heading)
    return bool(np.abs(aside) <= FACING)


def _shares(counts: Sequence[int]) -> dict[int, float]:
    return {n: count / len(counts) for n, count in sorted(Counter(counts).items())}


def _mean(values: Sequence[int]) -> float | None:
    return float(np.mean(values)) if values else None


def as_object(measured: Mapping[str, Statistics]) -> dict[str, Any]:
    """Gives statistics by world, for programs."""
    found = {name: asdict(each) for name, each in measured.items()}
    for each in found.values():
        shares = each["viewpoints_per_path"]
        each["viewpoints_per_path"] = {str(count): share for count, share in shares.items()}
    return found


def as_table(measured: Mapping[str, Statistics]) -> Table:
    """Gives one line per number, one column per world."""
    worlds = list(measured.values())
    splits = dict.fromkeys(split for world in worlds for split in world.paths)
    lengths = sorted({length for world in worlds for length in world.viewpoints_per_path})
    rows = [
        ("homes", [f"{w.homes}" for w in worlds]),
        ("rooms per home", [_number(w.rooms_per_home) for w in worlds]),
        ("objects per home", [_number(w.objects_per_home) for w in worlds]),
        ("objects per view", [_number(w.objects_per_view, 2) for w in worlds]),
        ("categories of objects", [_number(w.categories, 0) for w in worlds]),
        ("viewpoints per home (median)", [_number(w.viewpoints_per_home) for w in worlds]),
        ("edges per viewpoint", [_number(w.edges_per_viewpoint, 2) for w in worlds]),
        ("edge length (m)", [_number(w.edge_metres, 2) for w in worlds]),
        ("goal disc (% of viewpoints)", [_number(100 * w.goal_disc) for w in worlds]),
        *((f"paths: {s}", [_number(w.paths.get(s), 0) for w in worlds]) for s in splits),
        *(
            (
                f"paths of {n} viewpoints (%)",
                [_number(100 * w.viewpoints_per_path.get(n, 0.0)) for w in worlds],
            )
            for n in lengths
        ),
        ("path length (m)", [_number(w.path_metres, 2) for w in worlds]),
        ("tokens per instruction", [_number(w.instruction_tokens) for w in worlds]),
        ("vocabulary (words 5 times or more in train)", [_number(w.vocabulary, 0) for w in worlds]),
        (
            "start within 30 degrees of the first edge (%)",
            [_number(100 * w.facing) for w in worlds],
        ),
    ]
    return Table(("", *measured), [(name, *cells) for name, cells in rows])


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
