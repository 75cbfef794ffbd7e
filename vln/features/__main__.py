"""The store's commands: `python -m vln.features extract | import | export | info | verify`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import tyro

from vln import worlds
from vln.data.connectivity import load_graph
from vln.encoders import World, check
from vln.encoders.handle import Handle
from vln.errors import BadConfig, CorruptData
from vln.features import catalogue, known, store
from vln.features.exchange.exporting import export
from vln.features.exchange.importing import Imported, import_file
from vln.features.extract import Extraction, best_workers
from vln.features.layout import read_index
from vln.features.opened import extract_features
from vln.features.part import MB
from vln.features.verifying import damage
from vln.graph import NavGraph
from vln.runs import entry_point, say

DAMAGED = 1
"""Exit code of `verify` where a store is not what was written."""


@dataclass(frozen=True, kw_only=True)
class InWorld:
    """What every command takes."""

    env: str = "r2r"
    """Data set or world whose features they are."""
    data: Path | None = None
    """World folder with connectivity/; without it VLN_DATA, or the cache for a world of ours."""


@dataclass(frozen=True, kw_only=True)
class Extract(InWorld):
    """Renders a world's views, encodes them and stores the features.

    Interrupted, it goes on where it was when it is started again.
    """

    encoder: str
    """A network: clip_rn50, clip_rn50+bf16, imagenet_resnet152, clip:FILE,
    open_clip:NAME/PRETRAINED, timm:NAME."""
    weights: Path | None = None
    """File of its weights; found in weights/ of the data or cache, or fetched, where absent."""
    device: str = "cpu"
    """Where it runs: cpu, cuda, cuda:1."""
    threads: int = 1
    """Of the network on a CPU; more than free cores is slower than one."""
    workers: int | None = None
    """Threads that read and render panoramas; as many as keep the device busy where absent."""
    block: int = 0
    """Views that the network gets at once; 0 for what it does fastest."""
    dtype: Literal["float16", "float32"] = "float16"
    """Of the stored features."""
    ray: int = 0
    """So many processes through Ray, on its cluster or this machine; needs the extra [ray]."""


@dataclass(frozen=True, kw_only=True)
class Import(InWorld):
    """Stores a file of features that somebody else made.

    Takes TSV as MatterSim writes it and HDF5 as HAMT reads it. The features get a handle of their
    own, such as clip_rn50@1a2b3c4d.
    """

    file: Annotated[Path, tyro.conf.Positional]
    """The file; its content tells which of the two it is."""
    encoder: str
    """The encoder that made it, such as clip_rn50."""
    dim: int = 0
    """Features per view; what follows them, logits usually, is left out. 0: what is known of the
    encoder."""


@dataclass(frozen=True, kw_only=True)
class Export(InWorld):
    """Writes stored features as a file that others read, float32."""

    encoder: str
    """Whose: a handle that `info` lists."""
    fingerprint: str = ""
    """Its beginning, where there are several features of one handle."""
    out: Path
    """File to write: .tsv as MatterSim, EnvDrop and CLIP-ViL, .hdf5 as HAMT and DUET read it."""
    force: bool = False
    """Replace a file that is there."""


@dataclass(frozen=True, kw_only=True)
class Info(InWorld):
    """Lists the stored features of a world with numbers by which they are recognised."""

    encoder: str = ""
    """Only this handle."""
    fingerprint: str = ""
    """Its beginning, where there are several features of one handle."""
    json: bool = False
    """A JSON list for programs."""


@dataclass(frozen=True, kw_only=True)
class Verify(InWorld):
    """Checks that stored features are what was written, and compares them with known files.

    All bytes are read. The exit code is 1 where features are damaged.
    """

    encoder: str = ""
    """Only this handle."""
    fingerprint: str = ""
    """Its beginning, where there are several features of one handle."""
    known: Path | None = None
    """Your own table of known files; known_features.json in the cache where absent."""
    remember: str = ""
    """Note what was measured in your own table, under this name; with --encoder."""


Command = Extract | Import | Export | Info | Verify


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    command: Command = tyro.extras.subcommand_cli_from_dict(
        {
            "extract": Extract,
            "import": Import,
            "export": Export,
            "info": Info,
            "verify": Verify,
        },
        args=arguments,
        prog="python -m vln.features",
        description="Keeps the features of a world's views: one store for all encoders and tasks.",
    )
    return entry_point(lambda: _run(command))


def _run(command: Command) -> int:
    if isinstance(command, Extract):
        say(_extract(command))
        return 0
    graph = load_graph(worlds.find(command.env, command.data).data)
    if isinstance(command, Verify):
        return _verify(command, graph)
    if isinstance(command, Import):
        say(_import(command, graph))
    elif isinstance(command, Export):
        say(_export(command, graph))
    else:
        say(_info(command, graph))
    return 0


def _extract(command: Extract) -> str:
    import torch

    if command.threads < 1:
        raise BadConfig(f"--threads {command.threads}; expected 1 or more.")
    if command.ray < 0:
        raise BadConfig(f"--ray {command.ray}; expected 1 or more processes, or 0 for none.")
    torch.set_num_threads(command.threads)
    settings = Extraction(
        workers=best_workers(command.device) if command.workers is None else command.workers,
        block=command.block,
        dtype=command.dtype,
    )
    check(command.encoder)
    data = worlds.locate(command.env, command.data).data
    table = extract_features(
        command.encoder,
        World(data, load_graph(data)),
        device=command.device,
        weights=command.weights,
        settings=settings,
        processes=command.ray,
    )
    return f"{table.encoder}: {len(table.row):,} x 36 x {table.dim} {table.dtype}"


def _import(command: Import, graph: NavGraph) -> str:
    done = import_file(command.file, graph, encoder=command.encoder, dim=command.dim)
    table = done.table
    what = f"{table.encoder}: {len(table.row):,} x 36 x {table.dim} {table.dtype}"
    if not done.is_new:
        return f"{what}; this file has been imported already"
    return "\n".join([f"{what}, imported from {command.file}", *_left_out(done)])


def _left_out(done: Imported) -> list[str]:
    """Gives a line on each thing that did not go into the store as it was."""
    lines = []
    if done.strangers:
        lines.append(
            f"  {done.strangers:,} rows left out: the world does not hold their viewpoints"
        )
    if done.columns_left_out:
        lines.append(f"  {done.columns_left_out:,} columns after the features of a view left out")
    if done.rounded:
        lines.append(f"  float64 in {done.rounded:,} rows rounded to float32")
    return lines


def _export(command: Export, graph: NavGraph) -> str:
    folder = catalogue.pick(graph, encoder=command.encoder, fingerprint=command.fingerprint)
    handle = read_index(folder).plan.handle
    size = export(folder, graph, command.out, force=command.force)
    return f"{command.out}: {handle}, {len(graph.viewpoints):,} viewpoints, {size / MB:,.1f} MB"


def _info(command: Info, graph: NavGraph) -> str:
    found, damaged = [], []
    for folder in _asked(graph, command.encoder, command.fingerprint):
        try:
            found.append(catalogue.summarise(folder, graph))
        except CorruptData as error:
            if command.encoder or command.json:
                raise
            damaged.append(f"{folder.name}\n  damaged: {error}")
    if command.json:
        listed = [summary.as_json() for summary in found]
        return orjson.dumps(listed, option=orjson.OPT_INDENT_2).decode()
    parts = [_described(summary) for summary in found] + damaged
    if not command.encoder:
        parts += [
            f"{name}\n  not finished: {count:,} shards so far"
            for name, count in catalogue.unfinished(graph).items()
        ]
    return "\n\n".join(parts) or f"no features in {store.folder_of(graph)}"


def _asked(graph: NavGraph, encoder: str, fingerprint: str) -> list[Path]:
    if encoder:
        return [catalogue.pick(graph, encoder=encoder, fingerprint=fingerprint)]
    if fingerprint:
        raise BadConfig("--fingerprint is for several features of one --encoder; name it, too.")
    return store.every(graph)


def _described(summary: catalogue.Summary) -> str:
    about = summary.about
    facts = {
        "features": f"{summary.viewpoints:,} x 36 x {summary.dim} {summary.dtype}, "
        f"{summary.size / MB:,.1f} MB",
        "mean norm": f"{summary.mean_norm:.4f}",
        "fingerprint": summary.fingerprint[: store.SHORT],
        "source": summary.source[: store.SHORT],
        "file": about.get("imported_from", ""),
        "pictures": _pictures(about),
        "made": summary.made,
        "folder": str(summary.folder),
    }
    lines = [f"  {name:<12} {value}" for name, value in facts.items() if value]
    before = ""
    for sample in summary.samples:
        place = f"{sample.scan} {sample.viewpoint}"
        if place != before:
            lines.append(f"  {place}")
        values = " ".join(f"{value:9.5f}" for value in sample.values)
        lines.append(f"    view {sample.view:>2}    {values}")
        before = place
    return "\n".join([summary.handle, *lines])


def _pictures(about: Mapping[str, Any]) -> str:
    if not {"image_w", "image_h", "vfov"} <= about.keys():
        return ""
    return f"{about['image_w']} x {about['image_h']}, {about['vfov']:g} degrees high"


def _verify(command: Verify, graph: NavGraph) -> int:
    if command.remember and not command.encoder:
        raise BadConfig("--remember notes one store; say which with --encoder.")
    own = command.known
    table = known.load_known(own if own is None or own.exists() or not command.remember else None)
    folders = _asked(graph, command.encoder, command.fingerprint)
    damaged = [folder for folder in folders if not _is_good(folder, graph, command, table)]
    if not folders:
        say(f"no features in {store.folder_of(graph)}")
    return DAMAGED if damaged else 0


def _is_good(folder: Path, graph: NavGraph, command: Verify, table: dict[str, known.Facts]) -> bool:
    """Says what becomes of one store."""
    problems = damage(folder, graph)
    if problems:
        say("\n  ".join([f"{folder.name}: damaged", *problems]))
        return False
    summary = catalogue.summarise(folder, graph)
    facts = known.facts_of(summary)
    verdict = known.compare(facts, table, is_imported=bool(Handle.parse(summary.handle).imported))
    say(f"{summary.handle}: whole; {verdict}")
    if command.remember:
        file = known.remember(command.remember, facts, own=command.known)
        say(f"noted as {command.remember} in {file}")
    return True


if __name__ == "__main__":
    sys.exit(main())
