"""A run's folder, seeds and log, and what every command line shares.

A run folder holds `config.json`, `metrics.jsonl` (one object per step, units in the keys), a
TensorBoard log, and what its owner adds. Knows nothing of agents.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import orjson

from vln.errors import BadConfig, CheckpointMismatch, VlnError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)


def entry_point(run: Callable[[], int]) -> int:
    """Runs a command's body and gives its exit code; our own errors become one line and code 2."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return run()
    except VlnError as error:
        sys.stderr.write(f"error: {' '.join(str(error).splitlines())}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def say(text: str) -> None:
    """Writes a line of a command's result to standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def atomic(file: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Opens a file that appears under its name only when it is whole and on disk.

    Args:
        file: Final name; its folder is made.
        mode: `wb` or `w`.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, mode) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)  # mkstemp's 0600 would hide it from lab mates
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def generator(seed: int, name: str) -> np.random.Generator:
    """Gives the random generator called `name` of a run with this seed."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


class Run:
    """One run's folder, open for writing.

    Args:
        folder: Where it lives.
        seed: The one seed that all named generators derive from.
    """

    def __init__(self, folder: Path, *, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self._tensorboard: SummaryWriter | None = None

    @classmethod
    def create(cls, folder: Path, *, seed: int, config: Mapping[str, Any]) -> Run:
        """Gives a new run and saves its configuration.

        Raises:
            BadConfig: The folder already holds a run, or cannot be written to.
        """
        if (folder / "config.json").exists():
            raise BadConfig(
                f"{folder} already holds a run. Go on with `--resume {folder}`, or choose another "
                "folder with --out."
            )
        try:
            with atomic(folder / "config.json") as stream:
                stream.write(orjson.dumps(dict(config), option=orjson.OPT_INDENT_2))
        except OSError as error:
            raise BadConfig(
                f"cannot write to {folder} ({error.strerror}). Choose another folder with --out."
            ) from None
        return cls(folder, seed=seed)

    @staticmethod
    def read_config(folder: Path) -> dict[str, Any]:
        """Gives the configuration saved with a run.

        Raises:
            CheckpointMismatch: The folder holds no readable run.
        """
        file = folder / "config.json"
        if not file.is_file():
            raise CheckpointMismatch(
                f"no run in {folder}: it has no config.json. Expected a folder that "
                "`python -m agents.train` wrote, such as runs/NAME."
            )
        try:
            config = orjson.loads(file.read_bytes())
        except orjson.JSONDecodeError as error:
            raise CheckpointMismatch(f"{file} is not JSON ({error}); start a new run.") from None
        if not isinstance(config, dict):
            raise CheckpointMismatch(
                f"{file} holds a {type(config).__name__}, expected an object; start a new run."
            )
        return config

    def rng(self, name: str) -> np.random.Generator:
        """Gives this run's generator called `name`."""
        return generator(self.seed, name)

    def rewind(self, step: int) -> None:
        """Drops the log entries past `step`, which a killed run wrote after its checkpoint."""
        file = self.folder / "metrics.jsonl"
        if not file.exists():
            return
        kept = [line for line in file.read_bytes().splitlines() if _step_of(line) <= step]
        with atomic(file) as stream:
            stream.write(b"".join(line + b"\n" for line in kept))

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Appends one object to `metrics.jsonl` and its scalars to TensorBoard."""
        line = orjson.dumps({"step": step, **values}, option=orjson.OPT_SERIALIZE_NUMPY)
        with (self.folder / "metrics.jsonl").open("ab") as stream:
            stream.write(line + b"\n")
        board = self._board(step)
        for key, value in values.items():
            if isinstance(value, (int, float)):
                board.add_scalar(key, value, step)

    def history(self) -> list[dict[str, Any]]:
        """Gives every logged object, oldest first; not the line that a kill cut short."""
        file = self.folder / "metrics.jsonl"
        lines = file.read_bytes().splitlines() if file.exists() else []
        return [orjson.loads(line) for line in lines if _step_of(line) < sys.maxsize]

    def _board(self, step: int) -> SummaryWriter:
        if self._tensorboard is None:
            from torch.utils.tensorboard import SummaryWriter

            self._tensorboard = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step)
        return self._tensorboard

    def close(self) -> None:
        """Flushes the TensorBoard log."""
        if self._tensorboard is not None:
            self._tensorboard.close()


def _step_of(line: bytes) -> int:
    try:
        return int(orjson.loads(line)["step"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return sys.maxsize  # the line that the kill cut short
