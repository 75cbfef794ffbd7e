"""The store -> a file that others read: all rows in the graph's order, float32, all or nothing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from vln.errors import BadConfig, CannotWrite, CorruptData
from vln.features.exchange.rows import Camera
from vln.features.exchange.tsv import write_tsv
from vln.features.layout import REMEDY, VALUES, Index, chunks, read, read_index
from vln.features.part import MB, disk_errors
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph

HDF5: Final = (".hdf5", ".h5")
TSV: Final = (".tsv",)
_ROOM: Final = 1.34
"""A file's size over that of its numbers: base64 takes four bytes for three."""


def check_name(file: Path) -> None:
    """Refuses a name whose ending tells no format.

    Raises:
        BadConfig: It ends in something else.
    """
    if file.suffix.lower() not in (*TSV, *HDF5):
        raise BadConfig(
            f"--out {file}: its ending tells the format. Use .tsv (MatterSim, EnvDrop, CLIP-ViL) "
            "or .hdf5 (HAMT, DUET)."
        )


def export(
    folder: Path, graph: NavGraph, file: Path, *, force: bool = False, progress: bool = True
) -> int:
    """Writes a store as a TSV or HDF5 file, by the file's ending; gives its bytes.

    Args:
        folder: Of the store.
        graph: The world.
        file: Appears when it is whole.
        force: Whether a file that is there is replaced.
        progress: Whether a bar is drawn on standard error.

    Raises:
        BadConfig: Unknown ending, or the file is there.
        CorruptData: The store is damaged.
        CannotWrite: The disk is full, or the folder cannot be written to.
    """
    check_name(file)
    if file.is_dir():
        raise BadConfig(f"--out {file} is a folder. Give the name of a file.")
    if file.exists() and not force:
        raise BadConfig(f"{file} is there already. Replace it with --force, or give another name.")
    read(folder, graph)  # refuses what is of another world or cut off
    index = read_index(folder)
    plan, camera = index.plan, Camera.of(index.about)
    needed = int(plan.viewpoints * NUM_VIEWS * plan.dim * 4 * _ROOM)
    with disk_errors(file, needed=needed), _replacing(file) as new:
        _check_room(file, needed)
        rows = _rows(folder, graph, index, words=f"writing {file.name}", progress=progress)
        if file.suffix.lower() in TSV:
            write_tsv(new, rows, camera=camera)
        else:
            from vln.features.exchange.hdf5 import write_hdf5  # h5py: not for TSV files

            write_hdf5(new, rows, camera=camera)
    return file.stat().st_size


def _rows(
    folder: Path, graph: NavGraph, index: Index, *, words: str, progress: bool
) -> Iterator[tuple[str, str, npt.NDArray[np.float32]]]:
    plan = index.plan
    parts = chunks(folder, plan, size=plan.shard)
    with tqdm(total=plan.viewpoints, desc=words, unit="panorama", disable=not progress) as bar:
        for shard, part, expected in zip(plan.shards, parts, index.sha256, strict=True):
            if hashlib.sha256(part.data).hexdigest() != expected:
                first = graph.viewpoints[shard.start]
                problem = f"viewpoint {first} and the next {len(shard) - 1}: not what was written"
                raise CorruptData.of(folder / VALUES, "", problem, REMEDY)
            for panorama, values in zip(shard, part, strict=True):
                single = values.astype(np.float32, copy=False)
                yield graph.scan_of(panorama), graph.viewpoints[panorama], single
                bar.update()


def _check_room(file: Path, needed: int) -> None:
    free = shutil.disk_usage(file.parent).free
    if free < needed:
        raise CannotWrite(
            f"{file} will take up to {needed / MB:,.1f} MB, and {free / MB:,.1f} MB are free. Make "
            "room, or choose another disk."
        )


@contextlib.contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    """Gives the name of a file beside `file`, which takes its name when all went well."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    os.close(handle)
    new = Path(name)
    try:
        yield new
        with new.open("rb+") as stream:
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        new.chmod(0o666 & ~umask)  # mkstemp's 0600 would hide it from lab mates
        new.replace(file)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
