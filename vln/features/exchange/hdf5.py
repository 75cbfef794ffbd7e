"""Feature files as HAMT and DUET read them: HDF5, one data set per viewpoint.

Its key is `<scan>_<viewpoint>`, its value (36, W) floats of any precision; attributes scanId,
viewpointId, image_w, image_h and vfov may be there. Logits may follow the features in each view.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
import numpy.typing as npt

from vln.errors import CorruptData, MissingData
from vln.features.exchange.rows import COPY_AGAIN, Camera, Row
from vln.geometry import NUM_VIEWS

if TYPE_CHECKING:
    from typing_extensions import Buffer

SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
"""How such files begin; source: HDF5 file format specification, section II.A."""
_FLOATS: Final = ("float16", "float32", "float64")
# What h5py raises on damaged files; it has no error of its own.
_BROKEN: Final = (OSError, RuntimeError, KeyError, ValueError)


def read_hdf5(file: Path) -> Iterator[Row]:
    """Gives the rows of a file one by one, in its own precision.

    Raises:
        MissingData: The file cannot be read.
        CorruptData: It is no such file, damaged or cut off; the data set is named.
    """
    if not file.is_file():
        raise MissingData(f"cannot read {file} (no such file). Check that it is there.")
    try:
        opened = h5py.File(file, "r")
    except OSError as error:
        raise CorruptData.of(file, "", f"no HDF5 file ({error})", COPY_AGAIN) from error
    with opened:
        for key in _keys(opened, file):
            yield _row(opened, key, file)


def write_hdf5(
    file: Path, rows: Iterable[tuple[str, str, npt.NDArray[np.float32]]], *, camera: Camera
) -> None:
    """Writes rows of scan, viewpoint and (36, W) float32 features.

    Raises:
        OSError: The disk refuses.
    """
    with _Sink(file) as sink:
        with h5py.File(sink, "w") as opened:
            for scan, viewpoint, values in rows:
                made = opened.create_dataset(f"{scan}_{viewpoint}", data=values)
                made.attrs.update({"scanId": scan, "viewpointId": viewpoint, **camera.as_json()})
                sink.check()
        sink.check()


class _Sink(io.FileIO):
    """A file that keeps its errors until it is asked.

    The library only prints what goes wrong while it closes data sets, goes on, and may then end the
    process; so it is never told. What it writes after an error is lost, and the file with it.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file, "w+")
        self._error: OSError | None = None

    def write(self, content: Buffer, /) -> int:
        """Writes all of the bytes, or keeps the error."""
        left = memoryview(content).cast("B")
        size = len(left)
        try:
            while left and self._error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self._error = error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        """Cuts or lengthens the file, or keeps the error."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def check(self) -> None:
        """Raises what was kept."""
        if self._error is not None:
            raise self._error


def _keys(opened: Any, file: Path) -> list[str]:  # noqa: ANN401 - h5py has no types
    try:
        return list(opened)
    except _BROKEN as error:
        raise CorruptData.of(file, "", f"cannot be listed ({error})", COPY_AGAIN) from error


def _row(opened: Any, key: str, file: Path) -> Row:  # noqa: ANN401 - h5py has no types
    place = f"data set {key}"
    try:
        found = opened[key]
        if not isinstance(found, h5py.Dataset):
            raise CorruptData.of(
                file, place, "is a group", "Expected one data set per viewpoint, scan_viewpoint."
            )
        if found.ndim != 2 or found.shape[0] != NUM_VIEWS or found.dtype.name not in _FLOATS:
            raise CorruptData.of(
                file,
                place,
                f"shape {found.shape}, {found.dtype}",
                f"Expected ({NUM_VIEWS}, width) float16, float32 or float64.",
            )
        values, attributes = found[()], dict(found.attrs)
        size = found.id.get_storage_size()
    except CorruptData:
        raise
    except _BROKEN as error:
        raise CorruptData.of(file, place, f"cannot be read ({error})", COPY_AGAIN) from error
    scan, viewpoint = _names(key, attributes)
    return Row(place, scan, viewpoint, _camera(attributes, file, place), values, size)


def _names(key: str, attributes: Mapping[str, Any]) -> tuple[str, str]:
    scan, _, viewpoint = key.partition("_")
    return _text(attributes.get("scanId", scan)), _text(attributes.get("viewpointId", viewpoint))


def _text(value: Any) -> str:  # noqa: ANN401 - attributes are text or bytes
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _camera(attributes: Mapping[str, Any], file: Path, place: str) -> Camera | None:
    names = ("image_w", "image_h", "vfov")
    if not all(name in attributes for name in names):
        return None
    try:
        width, height, field_of_view = (float(attributes[name]) for name in names)
        return Camera(int(width), int(height), field_of_view)
    except (TypeError, ValueError, OverflowError):
        raise CorruptData.of(
            file, place, "image_w, image_h or vfov is no number", COPY_AGAIN
        ) from None
