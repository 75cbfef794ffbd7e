"""Eyes without images: the objects that REVERIE's boxes name in every view, and two controls.

A view's features are an area-weighted multi-hot over object names: the square root of the share of
the view that boxes of that name cover, scaled so that views with objects have a root mean square
norm of `NORM`, about that of CLIP's features: much smaller ones drown beside the angle features,
which count 32 times. Names count if they are seen in at least three training scans, so that none
describes one house. `object_words` has a column for every word of a name as well, so that a "green
bed" that no training scan holds is still green and a bed. `objects_shuffled` gives each viewpoint
the objects of another one of its scan; `random` gives each viewpoint one fixed random vector, the
same in all views.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vln.data.objects import ObjectViews, load_objects
from vln.encoders import object_fit
from vln.encoders.base import Identity, Sight, World
from vln.encoders.object_fit import NORM, OBJECT_WORDS, OBJECTS, Rule
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph
from vln.runs import generator

RANDOM_DIM = 256


def object_features(world: World) -> Sight:
    """Gives the objects seen in every view, (V, 36, D) float16.

    Raises:
        MissingData: No REVERIE boxes, or neither a fit nor training annotations.
        CorruptData: One of them is damaged.
    """
    return _features(world, OBJECTS)


def object_word_features(world: World) -> Sight:
    """Gives the words of the objects seen in every view; as `object_features` otherwise."""
    return _features(world, OBJECT_WORDS)


def shuffled_object_features(world: World) -> Sight:
    """Gives `object_features` with viewpoints permuted within each scan: right house, wrong place.

    Raises:
        MissingData: As `object_features`.
        CorruptData: As `object_features`.
    """
    objects = object_features(world)
    digest = hashlib.sha256(f"shuffled/{objects.identity.fingerprint}".encode()).hexdigest()
    return replace(
        objects,
        identity=Identity("objects_shuffled", digest),
        row=_permuted_within_scans(world.graph),
    )


def random_features(world: World) -> Sight:
    """Gives a fixed random vector per viewpoint: it can be memorised but means nothing."""
    rng = generator(0, f"random features/{world.graph.world}")
    shape = (len(world.graph.viewpoints), 1, RANDOM_DIM)
    values = rng.standard_normal(shape, dtype=np.float32)
    values *= np.float32(NORM / np.sqrt(RANDOM_DIM))
    identity = Identity("random", hashlib.sha256(values.tobytes()).hexdigest())
    return Sight(identity, lambda: values.astype(np.float16))


def write_fit(file: Path, world: World) -> None:
    """Writes what the object encoders learn from a world's training scans.

    With it as `World.fit`, another world has features that agents of this one understand.

    Raises:
        MissingData: No REVERIE boxes or no training annotations.
        CorruptData: One of them is damaged.
    """
    object_fit.write_fit(file, world, load_objects(world.data, world.graph))


def _features(world: World, rule: Rule) -> Sight:
    seen = load_objects(world.data, world.graph)
    fit = object_fit.fit_of(world, seen, rule)
    identity = Identity(rule.encoder, fit.fingerprint(rule))

    def compute() -> npt.NDArray[np.float16]:
        cells, shown = object_fit.weights(seen, fit.columns, rule)
        shape = (len(world.graph.viewpoints), NUM_VIEWS, len(fit.columns))
        values = np.zeros(shape, dtype=np.float16)
        values.reshape(-1, shape[2])[cells] = shown * fit.scale
        return values

    return Sight(identity, compute, source=_digest(seen), kept_as=identity)


def _digest(seen: ObjectViews) -> str:
    """Gives the identity of all boxes, hex."""
    digest = hashlib.sha256("\n".join(seen.names).encode())
    for part in (seen.panorama, seen.view, seen.name, seen.area):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _permuted_within_scans(graph: NavGraph) -> npt.NDArray[np.int64]:
    rng = generator(0, f"objects shuffled/{graph.world}")
    starts = zip(graph.first[:-1], graph.first[1:], strict=True)
    return np.concatenate([start + rng.permutation(end - start) for start, end in starts])
