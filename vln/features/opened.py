"""From `--encoder` to features: found in the store, worked out, or a precise word on what lacks."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vln.data.locations import cache_root
from vln.encoders import NETWORKS, world_encoder
from vln.encoders.base import Identity, Sight, World
from vln.encoders.handle import Handle
from vln.errors import BadConfig, MissingData, MissingFeatures, MissingWeights
from vln.features import store
from vln.features.source import FeatureTable
from vln.geometry import NUM_VIEWS
from vln.panorama.equirectangular import EquirectangularSource
from vln.panorama.skybox import LICENCE, SkyboxSource
from vln.panorama.sources import find_panoramas, num_shown, pictures_identity

if TYPE_CHECKING:
    from vln.features.extract import Extraction

logger = logging.getLogger(__name__)

Panoramas = SkyboxSource | EquirectangularSource


def open_features(encoder: str, world: World, *, device: str = "cpu") -> FeatureTable | None:
    """Gives an encoder's features of a world, worked out and stored where they are not yet.

    Args:
        encoder: A handle, see `vln.encoders.handle`.
        world: The world.
        device: Where a network runs if it has to.

    Returns:
        None for an encoder that sees nothing.

    Raises:
        UnknownName, BadConfig: The handle cannot be.
        MissingFeatures: They are not there, and images or weights to make them neither; the
            message says what each remedy needs.
        MissingData, CorruptData: What they would be made from is not there or damaged.
    """
    handle = Handle.parse(encoder)
    looking = world_encoder(handle)
    if looking is not None:
        sight = looking(world)
        return None if sight is None else _kept(sight, world)
    if handle.imported:
        return _imported(handle, world)
    return _networks(handle, world, device=device)


def _kept(sight: Sight, world: World) -> FeatureTable:
    """Gives a world encoder's features from the store, else computes them and stores them."""
    kept = sight.kept_as
    table = (
        FeatureTable(
            encoder=sight.identity.encoder,
            fingerprint=sight.identity.fingerprint,
            values=(values := sight.compute()),
            row=np.arange(len(values)),
        )
        if kept is None
        else _stored(kept, sight, world)
    )
    if sight.row is None:
        return table
    return replace(
        table,
        encoder=sight.identity.encoder,
        fingerprint=sight.identity.fingerprint,
        row=sight.row,
    )


def _stored(kept: Identity, sight: Sight, world: World) -> FeatureTable:
    """Gives features from the store, computed and written now where they are not there."""
    found = store.find(
        world.graph,
        encoder=kept.encoder,
        fingerprint=kept.fingerprint,
        source=sight.source,
        cache=world.cache,
    )
    return found or store.write(
        sight.compute(),
        world.graph,
        encoder=kept.encoder,
        fingerprint=kept.fingerprint,
        source=sight.source,
        cache=world.cache,
    )


def _imported(handle: Handle, world: World) -> FeatureTable:
    """Gives the features that somebody else made."""
    found = store.find(world.graph, encoder=str(handle), cache=world.cache)
    if found is None:
        others = store.imported(world.graph, encoder=handle.plain, cache=world.cache)
        raise MissingFeatures(
            f"no features {handle} of this world. Imported ones of {handle.plain}: "
            f"{', '.join(others) or 'none'}. Import a file with `python -m vln.features import "
            f"FILE --encoder {handle.plain}`."
        )
    return found


def _networks(handle: Handle, world: World, *, device: str) -> FeatureTable:
    """Gives our own features of a network, else the only imported ones, else extracts them."""
    own = _own(handle, world)
    if own is not None:
        return own
    imported = store.imported(world.graph, encoder=handle.plain, cache=world.cache)
    if len(imported) > 1:
        raise BadConfig(
            f"--encoder {handle}: there are none of our own features, and several imported ones. "
            f"Name one of {', '.join(imported)}."
        )
    if imported:
        logger.info("features of %s: the imported %s, the only ones here", handle, imported[0])
        return _imported(Handle.parse(imported[0]), world)
    return extract_features(str(handle), world, device=device)


def _own(handle: Handle, world: World) -> FeatureTable | None:
    """Gives our own features where they are in the store already.

    Where the weights are at hand, only features made with them count; where all pictures are, only
    features made from them. Where neither is, the features were made elsewhere and brought here.
    """
    graph, cache = world.graph, world.cache
    if not store.holds(graph, encoder=handle.plain, cache=cache):
        return None
    whole = _shown(world, _pictures(world)) == len(graph.viewpoints)
    source = pictures_identity(world.data, graph) if whole else ""
    if not store.holds(graph, encoder=handle.plain, source=source, cache=cache):
        return None  # before weights are read, which takes seconds
    from vln.encoders.loading import identity

    try:
        fingerprint = identity(handle, folders=weight_folders(world))
    except MissingWeights:
        fingerprint = ""
    return store.find(
        graph, encoder=handle.plain, fingerprint=fingerprint, source=source, cache=cache
    )


def extract_features(
    encoder: str,
    world: World,
    *,
    device: str = "cpu",
    weights: Path | None = None,
    settings: Extraction | None = None,
    processes: int = 0,
) -> FeatureTable:
    """Gives a network's features of a world, rendered and encoded where they are not stored.

    Args:
        encoder: Handle of a network.
        world: The world.
        device: Where the network runs.
        weights: A file to take its weights from; found or fetched where None.
        settings: How it is done; as the device does it best where None.
        processes: Through Ray, by so many; 0 for this one alone.

    Raises:
        UnknownName, BadConfig: The handle cannot be, or is no network's; Ray is not installed.
        MissingFeatures: Images or weights are missing; the message says what each remedy needs.
        CorruptData, CheckpointMismatch: Weights or a picture cannot be used.
        InUse, CannotWrite, EncodingFailed: As `extract`.
    """
    handle = Handle.parse(encoder)
    if world_encoder(handle) is not None or handle.imported:
        raise BadConfig(
            f"--encoder {handle} cannot be extracted from pictures. Name a network, such as "
            "clip_rn50."
        )
    panoramas = _pictures(world)
    shown = _shown(world, panoramas)
    if panoramas is None or shown < len(world.graph.viewpoints):
        raise MissingFeatures(_lacks(handle, world, shown=shown))
    from vln.encoders.loading import load
    from vln.features.extract import extract

    folders = weight_folders(world)
    try:
        network = load(handle, weights=weights, folders=folders, device=device)
    except MissingWeights as error:
        lacks = _lacks(handle, world, shown=shown, weights=str(error).rstrip("."))
        raise MissingFeatures(lacks) from None
    logger.info("features of %s: %s", handle, _cost(handle, world))
    if processes:
        from vln.features.spread import extract_spread

        return extract_spread(
            network, world, processes=processes, folders=folders, weights=weights, settings=settings
        )
    return extract(network, world, settings=settings, panoramas=panoramas)


def weight_folders(world: World) -> tuple[Path, ...]:
    """Gives where weights are looked for; what is downloaded goes to the last one."""
    return (world.data / "weights", (world.cache or cache_root()) / "weights")


def _shown(world: World, panoramas: Panoramas | None) -> int:
    """Gives of how many viewpoints there are pictures."""
    return 0 if panoramas is None else num_shown(panoramas, world.graph)


def _pictures(world: World) -> Panoramas | None:
    try:
        return find_panoramas(world.data, graph=world.graph)
    except MissingData:
        return None


def _lacks(handle: Handle, world: World, *, shown: int, weights: str = "") -> str:
    """Gives one text on which of features, images and weights is missing, and what each takes.

    Args:
        handle: The encoder.
        world: The world.
        shown: Of how many viewpoints there are pictures.
        weights: Why there are none, where that was tried.
    """
    from vln.encoders.weights.released import missing

    count = len(world.graph.viewpoints)
    pictures = (
        "found."
        if shown == count
        else f"of {shown:,} of {count:,} viewpoints found in skyboxes/ or panoramas/ below "
        f"{world.data}. {LICENCE}"
    )
    if not weights and not handle.family:
        absent = missing(handle.name, weight_folders(world))
        weights = f"{absent}, or have them fetched where there is a network" if absent else "found"
    return (
        f"--encoder {handle} needs features of this world, and there are none in "
        f"{store.folder_of(world.graph, cache=world.cache)}. Either (1) import a file of features "
        "that somebody extracted, a matter of minutes: `python -m vln.features import FILE "
        f"--encoder {handle.plain} --data {world.data}`. Or extract them, {_cost(handle, world)}, "
        f"which needs both (2) images: {pictures} And (3) weights: {weights or handle.encoder}. "
        "Without any of these, train with --encoder none or objects, or in houses of ours with "
        "--env houses."
    )


def _cost(handle: Handle, world: World) -> str:
    """Gives what extraction takes, in words."""
    views = len(world.graph.viewpoints) * NUM_VIEWS
    known = None if handle.words else NETWORKS.get(handle.plain)
    if known is None:
        return f"{views:,} views"
    hours = views / known.views_per_second / 3600
    return (
        f"{views:,} views or about {hours:.1f} hours of one CPU core at "
        f"{known.views_per_second:g} views/s (half of it with --encoder {handle}+bf16)"
    )
