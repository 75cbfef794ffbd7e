"""Feature files as MatterSim, EnvDrop and CLIP-ViL write them: tab-separated, no header.

Columns are scanId, viewpointId, image_w, image_h, vfov and features: base64 of float32 (36, W),
little-endian, views in MatterSim's order. Lines end as Python's `csv` ends them, in carriage return
and line feed; a line feed alone is read too, and empty lines are passed over.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from vln.errors import CorruptData, MissingData
from vln.features.exchange.rows import COPY_AGAIN, Camera, Row
from vln.geometry import NUM_VIEWS

COLUMNS: Final = ("scanId", "viewpointId", "image_w", "image_h", "vfov", "features")
MAX_LINE: Final = 2**26
"""Bytes: 36 views of 349,000 features. Without a limit, a file without lines would fill memory."""
_VIEW_BYTES: Final = NUM_VIEWS * 4
_HEADER: Final = "\t".join(COLUMNS).encode()


def read_tsv(file: Path) -> Iterator[Row]:
    """Gives the rows of a file one by one, float32.

    Raises:
        MissingData: The file cannot be read.
        CorruptData: It is no such file, damaged or cut off; the line is named.
    """
    try:
        with file.open("rb") as stream:
            yield from _rows(stream, file)
    except OSError as error:
        raise MissingData(
            f"cannot read {file} ({error.strerror}). Check that it is there and may be read."
        ) from error


def write_tsv(
    file: Path, rows: Iterable[tuple[str, str, npt.NDArray[np.float32]]], *, camera: Camera
) -> None:
    """Writes rows of scan, viewpoint and (36, W) float32 features."""
    told = f"{camera.image_w}\t{camera.image_h}\t{camera.vfov:g}\t".encode()
    with file.open("wb") as stream:
        for scan, viewpoint, values in rows:
            stream.write(f"{scan}\t{viewpoint}\t".encode() + told)
            stream.write(base64.b64encode(values.astype("<f4").data) + b"\r\n")


def _rows(stream: IO[bytes], file: Path) -> Iterator[Row]:
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        content = line.rstrip(b"\r\n")
        if content and (number > 1 or content != _HEADER):
            yield _Line(file, number, is_whole=line.endswith(b"\n")).row(content, size=len(line))


class _Line:
    """One line of a file; knows where it is, for errors."""

    def __init__(self, file: Path, number: int, *, is_whole: bool) -> None:
        self._file, self._is_whole = file, is_whole
        self._place = f"line {number}"

    def row(self, content: bytes, *, size: int) -> Row:
        if size > MAX_LINE:
            raise self._corrupt(f"longer than {MAX_LINE:,} bytes: no TSV file of features")
        fields = content.split(b"\t")
        if len(fields) != len(COLUMNS):
            raise self._corrupt(f"columns: {len(fields)}, expected {len(COLUMNS)}")
        scan, viewpoint, *numbers = (self._text(field) for field in fields[:-1])
        return Row(
            place=self._place,
            scan=scan,
            viewpoint=viewpoint,
            camera=self._camera(numbers),
            values=self._values(fields[-1]),
            size=size,
        )

    def _text(self, field: bytes) -> str:
        try:
            return field.decode("ascii")
        except UnicodeDecodeError:
            raise self._corrupt("a name or number that is no text") from None

    def _camera(self, numbers: list[str]) -> Camera:
        try:
            width, height, field_of_view = map(float, numbers)
            return Camera(int(width), int(height), field_of_view)
        except (ValueError, OverflowError):
            raise self._corrupt(
                f"image_w, image_h and vfov are {numbers}, expected numbers"
            ) from None

    def _values(self, field: bytes) -> npt.NDArray[Any]:
        try:
            content = base64.b64decode(field, validate=True)
        except binascii.Error as error:
            raise self._corrupt(f"features are no base64 ({error})") from None
        if not content or len(content) % _VIEW_BYTES:
            raise self._corrupt(
                f"features of {len(content):,} bytes, expected float32 of {NUM_VIEWS} views"
            )
        return np.frombuffer(content, dtype="<f4").reshape(NUM_VIEWS, -1)

    def _corrupt(self, problem: str) -> CorruptData:
        remedy = f"Expected lines of {', '.join(COLUMNS)}, separated by tabs."
        if not self._is_whole:
            remedy = f"It is the last line and has no end. {COPY_AGAIN}"
        return CorruptData.of(self._file, self._place, problem, remedy)
