"""Speed of features that are stored: gathering a batch, and one store for many processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.speed.encoding import EncodeSetting
from benchmarks.speed.rows import Row, measure, value_row
from vln.features.extract import Extraction, ViewMaker, extract
from vln.features.source import FeatureTable
from vln.geometry import NUM_VIEWS
from vln.panorama.sources import find_panoramas
from vln.runs import generator

PANORAMAS = 10_567
"""Of Matterport's 90 scans."""
R2R_VIEWS = PANORAMAS * NUM_VIEWS
DIM = 1024
BATCH = 64
PROCESSES = 8
PAGE = 4096
MB = 1e6


def gather_rows(setting: EncodeSetting) -> list[Row]:
    """Gathers batches of 64 panoramas from a warm store, beside plain copies of as many bytes."""
    file = _store(setting)
    values = np.load(file, mmap_mode="c")
    table = FeatureTable("speed", "", values, np.arange(len(values)))
    _read(values)
    batches = 4 if setting.quick else 50
    panoramas = generator(0, "gather").integers(len(values), size=(batches, BATCH))
    source = np.ones((BATCH, *values.shape[1:]), dtype=values.dtype)
    works = {
        "gathered": lambda: [table.gather(rows) for rows in panoramas],
        "copied": lambda: [source.copy() for _ in panoramas],
    }
    timings = {
        name: measure(work, repeats=setting.repeats, clock="wall") for name, work in works.items()
    }
    speed = {
        name: batches * source.nbytes / float(np.median(timing.seconds)) / 1e9
        for name, timing in timings.items()
    }
    size = f"{file.stat().st_size / MB:,.0f} MB store"
    rows = [
        value_row(
            "store",
            f"features of {BATCH} panoramas gathered, {size}; plain copies of as many bytes: "
            f"{speed['copied']:.2f} GB/s (asked: half of it)",
            speed["gathered"],
            unit="GB/s",
            rising=True,
            details={"copy_GB_per_s": speed["copied"]},
        )
    ]
    if sys.platform == "linux":
        count = 2 if setting.quick else PROCESSES
        rows.append(
            value_row(
                "store",
                f"memory of the {size} in {count} processes that have read all of it, and in this "
                "one, pages they share counted once",
                _shared(file, count),
                unit="MB",
            )
        )
    return rows


def _store(setting: EncodeSetting) -> Path:
    """Gives values.npy of a store as large as Matterport's, its numbers meaning nothing."""
    file = setting.scratch / "speed.npy"
    shape = (64 if setting.quick else PANORAMAS, NUM_VIEWS, DIM)
    values = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
    rng = generator(0, "store")
    for start in range(0, len(values), BATCH):
        part = values[start : start + BATCH]
        part[...] = rng.integers(1000, size=(1, *shape[1:]), dtype=np.int16)
    values.flush()
    return file


def _read(values: npt.NDArray[Any]) -> int:
    """Reads every page of an array."""
    return int(values.reshape(-1).view(np.uint8)[::PAGE].sum(dtype=np.int64))


def _shared(file: Path, count: int) -> float:
    """Gives the MB that a mapped file takes in some processes together.

    Source: proc(5), smaps: a mapping's Pss counts a page by how many processes map it.
    """
    command = [sys.executable, "-m", "benchmarks.speed.stored", str(file)]
    pipe = subprocess.PIPE
    others = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(count)]
    try:
        for other in others:
            assert other.stdout is not None
            other.stdout.readline()  # it has read everything
        holders = [os.getpid(), *(other.pid for other in others)]  # this process maps it as well
        return sum(_proportional(holder, file) for holder in holders)
    finally:
        for other in others:
            other.communicate("")


def _proportional(process: int, file: Path) -> float:
    """Gives the MB of a file's mapping in a process, shared pages divided among their sharers."""
    lines = Path(f"/proc/{process}/smaps").read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if line.endswith(file.name)]
    found = [
        next(line for line in lines[start:] if line.startswith("Pss:")).split()[1]
        for start in starts
    ]
    return sum(map(int, found)) * 1024 / MB


def extraction_rows(setting: EncodeSetting) -> list[Row]:
    """Extracts the small world with the first encoder, beside its parts alone."""
    first = setting.encoders[0]
    encoder = setting.encoder(f"{first}+64px" if setting.quick and "px" not in first else first)
    world, graph = setting.world, setting.world.graph
    maker = ViewMaker(find_panoramas(world.data, graph=graph), encoder.recipe)
    count = 1 if setting.quick else 4
    names = [(graph.scan_of(i), graph.viewpoints[i]) for i in range(count)]
    rendering = measure(lambda: [maker.views(*name) for name in names], repeats=setting.repeats)
    start_cpu, start = time.process_time(), time.perf_counter()
    extract(encoder, world, settings=Extraction(block=max(setting.batches), progress=False))
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    views = len(graph.viewpoints) * NUM_VIEWS
    rendered = count * NUM_VIEWS / float(np.median(rendering.cpu))
    return [
        value_row(
            "extraction", "views rendered and fitted alone", rendered, unit="views/s", rising=True
        ),
        value_row(
            "extraction",
            f"{encoder.handle}: a world rendered, encoded and written ({views:,} views)",
            views / wall,
            unit="views/s",
            rising=True,
            details={"wall_s": wall, "cpu_s": cpu},
        ),
        value_row(
            "extraction",
            f"{encoder.handle}: all {R2R_VIEWS:,} views of R2R at this rate",
            R2R_VIEWS * wall / views / 3600,
            unit="hours",
        ),
    ]


def _hold(file: Path) -> None:
    """Reads a whole store, says so, and holds it until standard input ends."""
    values = np.load(file, mmap_mode="c")
    sys.stdout.write(f"{_read(values)}\n")
    sys.stdout.flush()
    sys.stdin.read()
    del values


if __name__ == "__main__":
    _hold(Path(sys.argv[1]))
