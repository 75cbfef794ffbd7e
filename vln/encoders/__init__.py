"""Every encoder by name.

Two kinds: those that look at a world as a whole, registered here, and networks that look at
pictures (`vln.encoders.loading`). A package may bring its own as entry points of the group
`vln.encoders`: name = a `WorldEncoder`.
"""

from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from vln.encoders.base import ENCODERS, Identity, Sight, World, WorldEncoder
from vln.encoders.handle import Handle
from vln.encoders.image_stats import image_statistics
from vln.encoders.objects import (
    object_features,
    object_word_features,
    random_features,
    shuffled_object_features,
    write_fit,
)
from vln.encoders.recipe import Recipe
from vln.encoders.recipes import NETWORKS, named
from vln.errors import BadConfig, UnknownName

__all__ = [
    "ENCODERS",
    "NETWORKS",
    "Handle",
    "Identity",
    "Sight",
    "World",
    "check",
    "keep_fit",
    "learns",
    "looks",
    "world_encoder",
]

ENTRY_POINTS = "vln.encoders"
_LEARNING: dict[str, bool] = {}
_LOOKING: dict[str, bool] = {}


def blind(world: World) -> None:
    """Gives no features: an agent that knows directions only."""
    del world


def _add(name: str, encoder: WorldEncoder, *, learns: bool = False, looks: bool = False) -> None:
    """Registers an encoder.

    Args:
        name: Its name.
        encoder: Gives what it sees.
        learns: It learns from training scans what a run has to keep.
        looks: It needs the world's pictures.
    """
    ENCODERS.add(name, encoder)
    _LEARNING[name], _LOOKING[name] = learns, looks


_add("none", blind)
_add("objects", object_features, learns=True)
_add("object_words", object_word_features, learns=True)
_add("objects_shuffled", shuffled_object_features, learns=True)
_add("random", random_features)
_add("image_stats", image_statistics, looks=True)


def world_encoder(handle: Handle) -> WorldEncoder | None:
    """Gives the encoder that looks at a world as a whole; None where a network is meant.

    Raises:
        UnknownName: Neither is called so.
        BadConfig: It has words or an @, which only networks have.
    """
    _add_strangers()
    if handle.encoder not in ENCODERS:
        if not handle.family and handle.name not in NETWORKS:
            raise UnknownName.of("encoder", handle.name, (*ENCODERS, *NETWORKS))
        return None
    if handle.words or handle.imported:
        raise BadConfig(
            f"--encoder {handle}: {handle.name} looks at annotations or whole worlds, so there is "
            f"nothing that + or @ could change. Use --encoder {handle.name}."
        )
    return ENCODERS[handle.encoder]


def check(encoder: str) -> None:
    """Refuses a handle that names no encoder, or changes one in ways that cannot be.

    Raises:
        UnknownName: An unknown name or word; the closest is suggested.
        BadConfig: Words that contradict each other.
    """
    handle = Handle.parse(encoder)
    if world_encoder(handle) is None:
        recipe = Recipe() if handle.family else named(handle).recipe
        recipe.changed(handle.words)


def learns(encoder: str) -> bool:
    """Tells whether an encoder learns from training scans; False for a stranger's."""
    return _LEARNING.get(encoder, False)


def looks(encoder: str) -> bool:
    """Tells whether an encoder needs a world's pictures; a stranger's may."""
    return _LOOKING.get(encoder, True) and not Handle.parse(encoder).imported


def keep_fit(file: Path, encoder: str, world: World) -> None:
    """Writes what an encoder has learnt from training scans; nothing where it learns nothing.

    Args:
        file: Where to; give it as `World.fit` to see with the same eyes in another world.
        encoder: Registered name.
        world: Where it has learnt.
    """
    if learns(encoder):
        write_fit(file, world)


@cache
def _add_strangers() -> None:
    for point in entry_points(group=ENTRY_POINTS):
        ENCODERS.add(point.name, point.load())
