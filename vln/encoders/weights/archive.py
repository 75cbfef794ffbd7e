"""TorchScript archives, the form of OpenAI's released weights, read without TorchScript.

An archive is a zip: `NAME/data.pkl` pickles the tree of modules, whose classes are called
`__torch__...` and exist only inside the archive; `NAME/data/K` are the bytes of the storages that
its tensors look at; `NAME/code/` holds the classes' source, which is never run. Source of the
layout: what `torch.jit.save` writes, from torch 1.7 to 2.15.

Knows no network.
"""

from __future__ import annotations

import ast
import io
import math
import pickle
import re
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from vln.data.locations import RESTORE
from vln.encoders.weights.pickles import is_tame
from vln.errors import CorruptData, VlnError

UNSAFE: Final = (
    "Use weights whose source you trust; in a program of yours that can load the file, save its "
    "tensors alone, with torch.save(model.state_dict(), FILE)."
)
"""Remedy for files that would run code."""
BROKEN_ZIP: Final[tuple[type[Exception], ...]] = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    OSError,
    ValueError,
)
"""What zipfile raises on damaged, encrypted or exotic entries; it has no error of its own."""
_INFLATION: Final = 8
_ALLOWANCE: Final = 1 << 24
"""A zip may unpack to 8 times its size and 16 MiB: only source code in it is packed at all."""
_MAX_MODULES: Final = 100_000
_MAX_DEPTH: Final = 100
_DTYPES: Final = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_TAGGED: Final = frozenset(
    ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "restore_type_tag")
)
"""Functions of torch.jit._pickle that give their first argument, marked with a type."""
_REGISTERED = re.compile(r"  (__parameters__|__buffers__) = (\[.*\])")
_LISTS: Final = 2
_UNREADABLE: Final[tuple[type[Exception], ...]] = (
    *BROKEN_ZIP,
    pickle.UnpicklingError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    MemoryError,
)
_UNPARSABLE: Final = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError)


def checked_zip(file: Path) -> zipfile.ZipFile:
    """Opens a zip file that does not unpack to a multiple of itself.

    Raises:
        CorruptData: It is damaged, cut off, or grows out of all proportion.
    """
    try:
        packed = zipfile.ZipFile(file)
    except BROKEN_ZIP as error:
        raise CorruptData.of(file, "", f"not a whole zip file ({error})", RESTORE) from error
    unpacked, size = sum(entry.file_size for entry in packed.infolist()), file.stat().st_size
    if unpacked > _INFLATION * size + _ALLOWANCE:
        packed.close()
        problem = f"a zip of {size} bytes that claims to unpack to {unpacked}"
        raise CorruptData.of(file, "", problem, "It does not hold weights: take another file.")
    return packed


def is_archive(packed: zipfile.ZipFile) -> bool:
    """Tells whether a zip is a TorchScript archive rather than a state dict."""
    return any(name.endswith("/constants.pkl") for name in packed.namelist())


def read_archive(file: Path) -> dict[str, torch.Tensor]:
    """Gives the parameters and buffers of a TorchScript archive, as its `state_dict()` names them.

    Nothing in the file is run: its pickle may name `__torch__` classes, tensors and lists only.

    Raises:
        CorruptData: The file is damaged, or its pickle names anything else.
    """
    with checked_zip(file) as packed:
        archive = _Archive(file, packed)
        return dict(archive.named(archive.tree()))


class _Module:
    """A module of an archive, with its attributes and nothing else; each class has a child."""

    registered: frozenset[str] | None = None
    """Names of its parameters and buffers, where its source lists them."""
    attributes: dict[str, Any]

    def __setstate__(self, state: dict[str, Any]) -> None:
        if not isinstance(state, dict):
            raise TypeError(f"a module's state is {type(state).__name__}, expected its attributes")
        self.attributes = state


class _Storage(NamedTuple):
    """What a persistent id stands for.

    Attributes:
        key: Names the storage, for messages.
        values: All of it, (numel,).
    """

    key: str
    values: torch.Tensor


class _Archive(pickle.Unpickler):
    """Reads an archive's modules and the storages that they refer to.

    Args:
        file: For messages.
        packed: The archive, open.
    """

    def __init__(self, file: Path, packed: zipfile.ZipFile) -> None:
        self.file = file
        self._packed = packed
        self._entries = frozenset(packed.namelist())
        trees = [name for name in packed.namelist() if re.fullmatch(r"[^/]+/data\.pkl", name)]
        if len(trees) != 1:
            raise self._corrupt("", f"{len(trees)} entries data.pkl, expected one")
        self._tree = trees[0]
        self._root = self._tree.removesuffix("data.pkl")
        self._storages: dict[tuple[str, torch.dtype], _Storage] = {}
        self._kinds: dict[str, type[_Module]] = {}
        pickled = self._read(self._tree)
        if not is_tame(pickled):
            raise self._corrupt(self._tree, "not a whole pickle")
        super().__init__(io.BytesIO(pickled))

    def tree(self) -> _Module:
        """Gives the outermost module."""
        try:
            tree = self.load()
        except VlnError:
            raise
        except _UNREADABLE as error:
            raise self._corrupt(self._tree, f"cannot be read ({error})") from error
        if not isinstance(tree, _Module):
            raise self._corrupt(self._tree, f"holds a {type(tree).__name__}, expected a module")
        return tree

    def named(self, tree: _Module) -> Iterator[tuple[str, torch.Tensor]]:
        """Gives the registered tensors of a module and of those in it, with dotted names."""
        waiting: list[tuple[str, int, _Module]] = [("", 0, tree)]
        seen = 0
        while waiting:
            prefix, depth, module = waiting.pop()
            seen += 1
            if depth > _MAX_DEPTH or seen > _MAX_MODULES:
                raise self._corrupt(self._tree, "modules without end in one another")
            for name, value in getattr(module, "attributes", {}).items():
                if isinstance(value, _Module):
                    waiting.append((f"{prefix}{name}.", depth + 1, value))
                elif isinstance(value, torch.Tensor) and _is_registered(module, name):
                    yield f"{prefix}{name}", value

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Gives what a global of the pickle stands for, without importing anything.

        Raises:
            CorruptData: The global is none of those that weights need.
        """
        if module.partition(".")[0] == "__torch__":
            return self._kind(module, name)
        # Bound methods take no attributes, so that no pickle can change them for the next.
        known: dict[tuple[str, str], Any] = {
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "device"): self._first,
            **{("torch", storage): dtype for storage, dtype in _DTYPES.items()},
            **{("torch.jit._pickle", tag): self._first for tag in _TAGGED},
        }
        if (module, name) not in known:
            problem = f"names {module}.{name}, and loading it would run code. Nothing was run"
            raise CorruptData.of(self.file, self._tree, problem, UNSAFE)
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401
        """Gives the storage that a persistent id names."""
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not _is_count(count):
            raise self._corrupt(self._tree, f"a reference to {pid!r}, expected a storage")
        entry = f"{self._root}data/{key}"
        if entry not in self._entries:
            raise self._corrupt(entry, "missing in the archive")
        if (key, dtype) not in self._storages:
            self._storages[key, dtype] = self._storage(entry, dtype, count)
        return self._storages[key, dtype]

    def _storage(self, entry: str, dtype: torch.dtype, count: int) -> _Storage:
        stored = bytearray(self._read(entry))  # a copy that may be written to, as tensors may
        if count * dtype.itemsize > len(stored):
            problem = f"{len(stored)} bytes, expected {count * dtype.itemsize} of {dtype}"
            raise self._corrupt(entry, problem)
        if not count:
            return _Storage(entry, torch.empty(0, dtype=dtype))
        return _Storage(entry, torch.frombuffer(stored, dtype=dtype, count=count))

    def _tensor(
        self,
        storage: _Storage,
        offset: int,
        size: Sequence[int],
        stride: Sequence[int],
        *_: object,
    ) -> torch.Tensor:
        """Gives the view of a storage that a tensor is."""
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or not all(map(_is_count, numbers)):
            raise self._corrupt(storage.key, f"a tensor of size {size} and stride {stride}")
        held, count = storage.values.numel(), math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        # The second claim forbids strides of 0, with which one number makes a tensor of any size.
        if count and (last >= held or count > held):
            problem = f"a tensor of size {tuple(size)} and stride {tuple(stride)} from {offset}"
            raise self._corrupt(storage.key, f"{problem} in a storage of {held}")
        return storage.values.as_strided(tuple(size), tuple(stride), offset)

    def _parameter(self, data: torch.Tensor, *_: object) -> torch.Tensor:
        return data

    def _first(self, value: object, *_: object) -> object:
        return value

    def _kind(self, module: str, name: str) -> type[_Module]:
        """Gives the class of records that stands for a class of the archive."""
        path = f"{module}.{name}"
        if path not in self._kinds:
            source = f"{self._root}code/{module.replace('.', '/')}.py"
            names = self._registered(source, name)
            self._kinds[path] = type(name, (_Module,), {"registered": names})
        return self._kinds[path]

    def _registered(self, source: str, name: str) -> frozenset[str] | None:
        """Gives the parameters and buffers that a class's source lists; None without a list.

        Tensors that are plain attributes lie in the tree like the others, but no `state_dict()`
        holds them.
        """
        if source not in self._entries:
            return None
        text = self._read(source).decode(errors="replace")
        _, _, body = f"\n{text}".partition(f"\nclass {name}(")
        lists = dict(_REGISTERED.findall(body.partition("\nclass ")[0]))
        if len(lists) < _LISTS:
            return None
        try:
            return frozenset(key for found in lists.values() for key in ast.literal_eval(found))
        except _UNPARSABLE as error:
            raise self._corrupt(source, f"cannot be read ({error})") from error

    def _read(self, entry: str) -> bytes:
        try:
            return self._packed.read(entry)
        except BROKEN_ZIP as error:
            raise self._corrupt(entry, f"cannot be unpacked ({error})") from error

    def _corrupt(self, record: str, problem: str) -> CorruptData:
        return CorruptData.of(self.file, record, problem, RESTORE)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0  # True is an int for isinstance


def _is_registered(module: _Module, name: str) -> bool:
    return module.registered is None or name in module.registered
