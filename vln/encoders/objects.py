"""Eyes without images: the objects that REVERIE's boxes name in every view, and two controls.

A view's features are an area-weighted multi-hot over object names: the square root of the share of
the view that boxes of that name cover, scaled so that views with objects have a root mean square
norm of `NORM`, about that of CLIP's features: much smaller ones drown beside the angle features,
which count 32 times. Names count if they are seen in at least three training scans, so that none
describes one house. `objects_shuffled` gives each viewpoint the objects of another one of its scan;
`random` gives each viewpoint one fixed random vector, the same in all views.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from vln.data.episodes import load_episodes
from vln.data.objects import ObjectViews, load_objects
from vln.encoders.base import World
from vln.features import store
from vln.features.source import FeatureTable
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph
from vln.runs import generator

MIN_SCANS = 3
RANDOM_DIM = 256
NORM = 10.0
"""Root mean square norm of a view's features; CLIP's pooled features have about this one."""
RULE = "sqrt-area/3-scans/norm-10"
"""Changes whenever the rule above does, so that old features are not taken for new ones."""


def object_features(world: World) -> FeatureTable:
    """Gives the objects seen in every view, (V, 36, D) float16; stored, so made only once.

    Raises:
        MissingData: No REVERIE boxes or no training annotations.
        CorruptData: One of them is damaged.
    """
    seen = load_objects(world.data, world.graph)
    names = training_names(seen, world)
    digest = hashlib.sha256("\n".join((RULE, world.graph.world, *names)).encode())
    for part in (seen.panorama, seen.view, seen.name, seen.area):
        digest.update(np.ascontiguousarray(part).tobytes())
    fingerprint = digest.hexdigest()
    found = store.find(world.graph, encoder="objects", fingerprint=fingerprint, cache=world.cache)
    if found is not None:
        return found
    values = _multi_hot(seen, names, len(world.graph.viewpoints))
    return store.write(
        values, world.graph, encoder="objects", fingerprint=fingerprint, cache=world.cache
    )


def shuffled_object_features(world: World) -> FeatureTable:
    """Gives `object_features` with viewpoints permuted within each scan: right house, wrong place.

    Raises:
        MissingData: As `object_features`.
        CorruptData: As `object_features`.
    """
    table = object_features(world)
    fingerprint = hashlib.sha256(f"shuffled/{table.fingerprint}".encode()).hexdigest()
    return FeatureTable(
        encoder="objects_shuffled",
        fingerprint=fingerprint,
        values=table.values,
        row=_permuted_within_scans(world.graph),
    )


def random_features(world: World) -> FeatureTable:
    """Gives a fixed random vector per viewpoint: it can be memorised but means nothing."""
    rng = generator(0, f"random features/{world.graph.world}")
    shape = (len(world.graph.viewpoints), 1, RANDOM_DIM)
    values = rng.standard_normal(shape, dtype=np.float32)
    values *= np.float32(NORM / np.sqrt(RANDOM_DIM))
    return FeatureTable(
        encoder="random",
        fingerprint=hashlib.sha256(values.tobytes()).hexdigest(),
        values=values.astype(np.float16),
        row=np.arange(shape[0]),
    )


def training_names(seen: ObjectViews, world: World) -> tuple[str, ...]:
    """Gives the object names that at least three training scans show, in alphabetical order."""
    train = load_episodes("r2r", "train", data=world.data, graph=world.graph)
    scans = np.array(sorted({world.graph.scans.index(e.start.scan) for e in train}))
    scan = world.graph.scan_index[seen.panorama]
    inside = np.isin(scan, scans)
    pairs = np.unique(np.stack([seen.name[inside], scan[inside]]), axis=1)
    spread = np.bincount(pairs[0], minlength=len(seen.names))
    return tuple(name for name, count in zip(seen.names, spread, strict=True) if count >= MIN_SCANS)


def _multi_hot(
    seen: ObjectViews, names: tuple[str, ...], num_viewpoints: int
) -> npt.NDArray[np.float16]:
    column_of = {name: i for i, name in enumerate(names)}
    column = np.array([column_of.get(name, -1) for name in seen.names])[seen.name]
    kept = column >= 0
    values = np.zeros((num_viewpoints, NUM_VIEWS, len(names)), dtype=np.float32)
    np.add.at(values, (seen.panorama[kept], seen.view[kept], column[kept]), seen.area[kept])
    np.sqrt(values, out=values)
    norms = np.einsum("pvd,pvd->pv", values, values)
    values *= NORM / np.sqrt(norms[norms > 0].mean())
    return values.astype(np.float16)


def _permuted_within_scans(graph: NavGraph) -> npt.NDArray[np.int64]:
    rng = generator(0, f"objects shuffled/{graph.world}")
    starts = zip(graph.first[:-1], graph.first[1:], strict=True)
    return np.concatenate([start + rng.permutation(end - start) for start, end in starts])
