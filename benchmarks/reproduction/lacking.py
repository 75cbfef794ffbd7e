"""What a reproduction still needs here, and what to do about each; found without making anything.

Knows no agent's weights.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.reproduction.registered import SPLITS, Reproduction
from vln import worlds
from vln.data import r2r
from vln.data.connectivity import load_graph, scan_list
from vln.encoders import Handle, World, world_encoder
from vln.encoders.weights.released import missing
from vln.errors import MissingData
from vln.features import known, store
from vln.features.opened import weight_folders
from vln.panorama.skybox import LICENCE
from vln.panorama.sources import find_panoramas, num_shown

ENV = "r2r"


def refuse(reproduction: Reproduction, *, encoder: str, data: Path | None, has_agent: bool) -> None:
    """Refuses to begin where something is not here.

    Args:
        reproduction: What is to be met.
        encoder: Whose features are needed.
        data: The data folder; `$VLN_DATA` where None.
        has_agent: Whether an agent was named.

    Raises:
        MissingData: It lists everything that is missing, and what is there.
    """
    lacks: list[str] = []
    there: list[str] = []
    if not has_agent:
        lacks.append(_agent(reproduction))
    files, folder = _data(data)
    (lacks if files else there).append(files or f"annotations and connectivity in {folder}")
    if folder is not None and scan_list(folder).is_file():
        lack, found = _features(encoder, folder)
        (lacks if lack else there).append(lack or found)
    else:
        lacks.append(f"features of {encoder}, which are looked for once connectivity/ is there")
    if not lacks:
        return
    counted = " ".join(f"({number}) {text}." for number, text in enumerate(lacks, start=1))
    at_hand = "; ".join(there) or "nothing"
    raise MissingData(
        f"{reproduction.name} cannot be reproduced here yet. Missing: {counted} At hand: {at_hand}."
    )


def _agent(reproduction: Reproduction) -> str:
    return (
        f"an agent: train one with `python -m agents.train --recipe {reproduction.recipe}` and "
        "name its folder with --run RUN, or name weights that EnvDrop or CLIP-ViL saved, such as "
        "snap/agent/state_dict/best_val_unseen, with --snap SNAP --encoder HANDLE, and the words "
        "that they were trained with by --vocabulary train_vocab.txt"
    )


def _data(data: Path | None) -> tuple[str, Path | None]:
    """Gives which files of the data set are missing, "" for none, and its folder if any."""
    try:
        folder = worlds.find(ENV, data).data
    except MissingData as error:
        problem = str(error).partition(". ")[0]
        told = "set VLN_DATA or --data to the folder that holds connectivity/ and r2r/"
        return f"data: {problem}; {told}", None
    needed = [scan_list(folder), *(r2r.file_of(folder, split) for split in ("train", *SPLITS))]
    absent = [str(file.relative_to(folder)) for file in needed if not file.is_file()]
    if not absent:
        return "", folder
    told = (
        f"data: {', '.join(absent)} below {folder}; copy R2R's annotations into r2r/ and the "
        "connectivity/ folder of Matterport3DSimulator beside it"
    )
    return told, folder


def _features(encoder: str, data: Path) -> tuple[str, str]:
    """Gives what is missing of an encoder's features, "" for nothing, and what is there."""
    handle, graph = Handle.parse(encoder), load_graph(data)
    if world_encoder(handle) is not None:
        return "", f"--encoder {encoder}, which needs no weights"
    stored = store.imported(graph, encoder=handle.plain)
    if handle.imported:
        stored = [name for name in stored if name == str(handle)]
    elif store.holds(graph, encoder=handle.plain):
        stored = [handle.plain, *stored]
    if stored:
        return "", f"features {', '.join(stored)}"
    world = World(data, graph)
    told = f"features of {encoder}: none in {store.folder_of(graph)}; {_import(handle)}"
    if handle.imported:
        return told, ""
    pictures, weights = _pictures(world), _weights(handle, world)
    if not pictures and not weights:
        return "", f"pictures and weights to make features of {encoder} from"
    needed = {"weights": weights, "pictures": pictures}
    parts = "; ".join(f"{name}: {lack or 'found'}" for name, lack in needed.items())
    return f"{told}, or make them, which takes both of these. {parts}", ""


def _import(handle: Handle) -> str:
    names = [
        name for name, facts in known.load_known().items() if facts.get("encoder") == handle.plain
    ]
    published = f", published as {' or '.join(names)}" if names else ""
    return (
        f"import a file that somebody made{published}, with `python -m vln.features import FILE "
        f"--encoder {handle.plain}`"
    )


def _pictures(world: World) -> str:
    count = len(world.graph.viewpoints)
    try:
        shown = num_shown(find_panoramas(world.data, graph=world.graph), world.graph)
    except MissingData:
        shown = 0
    if shown == count:
        return ""
    return (
        f"{shown:,} of {count:,} viewpoints in skyboxes/ or panoramas/ below {world.data}. "
        f"{LICENCE.rstrip('.')}"
    )


def _weights(handle: Handle, world: World) -> str:
    if handle.family:
        return ""  # whether they can be had, opening them tells
    lack = missing(handle.name, weight_folders(world))
    return f"{lack}, or have them fetched where there is a network" if lack else ""
