"""Writing a store, shard by shard: resumable, checksummed, one writer at a time.

Until it is whole, the numbers are in `values.npy.part` and the list of finished shards in
`journal.jsonl`; a kill loses at most the shard that was being written. Whatever the interruptions,
the same features end in the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from vln.errors import BadConfig, CannotWrite, CorruptData, InUse, MissingFeatures
from vln.features.journal import Journal
from vln.features.layout import (
    DTYPES,
    INDEX,
    VALUES,
    Index,
    Plan,
    folder_of,
    read,
    read_index,
)
from vln.features.part import PartFile, disk_errors, in_type, sync_folder
from vln.features.source import FeatureTable
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph
from vln.runs import atomic

SHARD: Final = 16
"""Panoramas per shard: 1.2 MB of RN50's features in half precision."""
PART, JOURNAL, LOCK, WRITER = f"{VALUES}.part", "journal.jsonl", ".lock", ".writer"
_KEPT: Final = "What is finished is kept: start again afterwards."


class StoreWriter:
    """Writes the features of a whole world; a context manager that keeps other writers out.

    Leaving it without `finish` keeps what is finished: the next writer of the same plan goes on
    from there. A store that is whole already has nothing to do. For one thread.

    Args:
        graph: The world.
        encoder: Handle of what makes the features.
        fingerprint: Identity of what makes them, hex.
        source: Identity of what they are made from, hex.
        dim: D.
        dtype: float16 or float32.
        about: How they are made, for the index. The same on every machine, or else the same
            features end in other bytes.
        shard: Panoramas per shard.
        anew: Whether nothing of what is there counts; a whole store stays until the new one is.
        cache: Root of the store; the user's cache where None.

    Raises:
        BadConfig: A width or type that no store has.
    """

    def __init__(
        self,
        graph: NavGraph,
        *,
        encoder: str,
        fingerprint: str,
        source: str = "",
        dim: int,
        dtype: npt.DTypeLike,
        about: Mapping[str, Any] | None = None,
        shard: int = SHARD,
        anew: bool = False,
        cache: Path | None = None,
    ) -> None:
        name = np.dtype(dtype).name
        if name not in DTYPES or dim < 1 or shard < 1:
            raise BadConfig(
                f"a store of {dim} features as {name} in shards of {shard}; expected at least one "
                "feature, float16 or float32, and shards of at least one panorama."
            )
        self.plan = Plan(
            handle=encoder,
            fingerprint=fingerprint,
            source=source,
            world=graph.world,
            viewpoints=len(graph.viewpoints),
            dim=dim,
            dtype=name,
            shard=shard,
        )
        self.folder = folder_of(graph, cache=cache) / self.plan.folder_name
        self._graph = graph
        self._about = dict(about or {})
        self._anew = anew
        self._shards = self.plan.shards
        self._journal = Journal(self.folder / JOURNAL, self.plan)
        # Not bound to a thread: who finishes may be another than who began.
        self._lock = FileLock(self.folder / LOCK, timeout=0, thread_local=False)
        self._part: PartFile | None = None
        self._done: dict[int, str] = {}
        self._rows = np.zeros(self.plan.viewpoints, dtype=bool)

    def __enter__(self) -> StoreWriter:
        """Takes the lock, reserves the space and looks what is finished.

        Raises:
            InUse: Another writer has the folder.
            CannotWrite: There is no room, or the folder cannot be written to.
        """
        with self._disk_errors():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            try:
                if not self._anew and self._is_whole():
                    self._clear()
                else:
                    self._open()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._lock.is_locked:
            (self.folder / WRITER).unlink(missing_ok=True)
            self._lock.release()

    @property
    def todo(self) -> tuple[range, ...]:
        """Panoramas of the shards that are not finished, in order."""
        if self._part is None:
            return ()
        return tuple(shard for k, shard in enumerate(self._shards) if k not in self._done)

    def put(self, shard: range, values: npt.NDArray[Any]) -> None:
        """Writes a shard; when this returns, no kill can lose it.

        Args:
            shard: One of `todo`.
            values: (len(shard), 36, D) float16 or float32.

        Raises:
            CorruptData: Wrong shape or type, not finite, or too large for float16; nothing is
                written then, and viewpoint and view are named.
            CannotWrite: The disk is full; finished shards stay.
        """
        number = shard.start // self.plan.shard
        assert self._shards[number] == shard, f"{shard} is no shard of {self.plan}"
        stored = self._checked(values, shard)
        with self._disk_errors():
            self._opened.write(shard.start, stored)
            self._opened.sync()
            digest = hashlib.sha256(stored.data).hexdigest()
            self._journal.add(number, digest)
        self._done[number] = digest

    def put_row(self, panorama: int, values: npt.NDArray[Any]) -> None:
        """Writes one panorama, in any order; a kill before `finish` loses all of them.

        Args:
            panorama: Which.
            values: (36, D) float16 or float32.

        Raises:
            CorruptData, CannotWrite: As `put`.
        """
        stored = self._checked(values[None], range(panorama, panorama + 1))
        with self._disk_errors():
            self._opened.write(panorama, stored)
        self._rows[panorama] = True

    def finish(self, *, about: Mapping[str, Any] | None = None) -> FeatureTable:
        """Gives the whole store, from now on visible to everybody.

        Args:
            about: More for the index, known only now.

        Raises:
            MissingFeatures: Panoramas are still to do.
            CannotWrite: The disk is full.
        """
        if self._part is not None:
            self._about.update(about or {})
            with self._disk_errors():
                self._seal_rows()
                self._check_complete()
                self._publish()
        return read(self.folder, self._graph)

    def discard(self) -> None:
        """Removes what has been written of a store that is not whole."""
        if self._part is None:
            return
        self._close()
        self._clear()
        (self.folder / WRITER).unlink(missing_ok=True)
        if not (self.folder / INDEX).exists():
            (self.folder / LOCK).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody keeps something else in it
                self.folder.rmdir()

    @property
    def _opened(self) -> PartFile:
        assert self._part is not None, "a StoreWriter is written to inside `with`, while todo"
        return self._part

    def _close(self) -> None:
        if self._part is not None:
            self._part.close()
            self._part = None

    def _clear(self) -> None:
        self._journal.remove()
        (self.folder / PART).unlink(missing_ok=True)

    def _disk_errors(self) -> contextlib.AbstractContextManager[None]:
        return disk_errors(self.folder, needed=self.plan.file_bytes, kept=_KEPT)

    def _take_lock(self) -> None:
        note = self.folder / WRITER
        try:
            self._lock.acquire()
        except Timeout:
            who = note.read_text(encoding="utf-8") if note.exists() else ""
            raise InUse(
                f"{self.folder} is being written by another process{who and f' ({who})'}. Wait "
                f"for it, or end it and start again. {_KEPT}"
            ) from None
        except NotImplementedError as error:
            raise CannotWrite(
                f"{self.folder} lies on a disk without file locks. Set VLN_CACHE to another disk."
            ) from error
        note.write_text(f"process {os.getpid()}", encoding="utf-8")

    def _is_whole(self) -> bool:
        """Tells whether the folder holds all that is planned; another plan's store is replaced."""
        try:
            known = read_index(self.folder).plan
        except CorruptData:
            return False
        return known == self.plan and PartFile.is_there(self.folder / VALUES, self.plan)

    def _open(self) -> None:
        """Opens the part file, with what is finished of this plan or else empty."""
        part, values = self.folder / PART, self.folder / VALUES
        finished = None if self._anew else self._journal.read()
        if finished and not part.exists() and not (self.folder / INDEX).exists():
            with contextlib.suppress(FileNotFoundError):
                values.replace(part)  # a kill came between the last two steps
        if finished is None or not PartFile.is_there(part, self.plan):
            finished = {}
            self._journal.remove()
            PartFile.reserve(part, self.plan)
            self._journal.begin()
        self._part = PartFile(part, self.plan)
        for number, digest in finished.items():
            if self._part.digest(self._shards[number]) == digest:
                self._done[number] = digest

    def _checked(self, values: npt.NDArray[Any], panoramas: range) -> npt.NDArray[Any]:
        """Gives values in the store's type."""
        expected = (len(panoramas), NUM_VIEWS, self.plan.dim)
        if values.shape != expected or values.dtype.name not in DTYPES:
            raise CorruptData.of(
                self.folder,
                f"viewpoint {self._graph.viewpoints[panoramas.start]}",
                f"features of shape {values.shape}, {values.dtype}",
                f"Expected {expected}, float16 or float32, in the graph's order.",
            )
        stored = in_type(values, self.plan.dtype)
        finite = np.isfinite(stored)
        if not finite.all():
            row, view, column = (int(i) for i in np.argwhere(~finite)[0])
            value = float(values[row, view, column])
            large = np.isfinite(value)
            raise CorruptData.of(
                self.folder,
                f"viewpoint {self._graph.viewpoints[panoramas[row]]}",
                f"{f'{value:g} is too large for float16' if large else 'not finite'}, view {view}",
                "Store them as float32." if large else "Encode it again.",
            )
        return stored

    def _seal_rows(self) -> None:
        for number, shard in enumerate(self._shards):
            if number not in self._done and self._rows[shard.start : shard.stop].all():
                self._done[number] = self._opened.digest(shard)

    def _check_complete(self) -> None:
        lacking = [row for shard in self.todo for row in shard if not self._rows[row]]
        if lacking:
            names = ", ".join(self._graph.viewpoints[panorama] for panorama in lacking[:3])
            raise MissingFeatures(
                f"{self.folder}: no features yet of {len(lacking):,} of "
                f"{self.plan.viewpoints:,} viewpoints, the first {names}. Put them before `finish`."
            )

    def _publish(self) -> None:
        """Gives the files their names, the index last."""
        digests = tuple(self._done[number] for number in range(len(self._shards)))
        index = Index(plan=self.plan, sha256=digests, about=self._about)
        self._opened.sync()
        self._close()
        (self.folder / INDEX).unlink(missing_ok=True)
        (self.folder / PART).replace(self.folder / VALUES)
        sync_folder(self.folder)
        with atomic(self.folder / INDEX) as stream:
            stream.write(index.as_bytes())
        sync_folder(self.folder)
        self._journal.remove()
