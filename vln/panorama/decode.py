"""Bytes of a picture file -> pixels, colours in OpenCV's BGR. Knows nothing of panoramas.

What OpenCV does not say is found here. It refuses a JPEG that was cut off, but not one whose tail
is zeros (a copy whose room was set aside and never filled): that it decodes, grey from there on.
Damage in the middle of a JPEG leaves no trace but the picture itself.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vln.data.locations import RESTORE
from vln.errors import CorruptData

_START, _END, _SCAN = b"\xff\xd8", b"\xff\xd9", 0xDA


def decode(
    raw: bytes, *, file: object, record: str = "", flags: int = cv2.IMREAD_COLOR
) -> npt.NDArray[Any]:
    """Gives the pixels of a picture as they are stored, whichever way EXIF would turn them.

    Args:
        raw: Content of a file of a format that OpenCV reads.
        file: Named in errors.
        record: Named in errors, such as the entry of a zip.
        flags: OpenCV's `IMREAD_...`.

    Returns:
        (H, W, 3), or (H, W) where the flags allow it; uint8, or as deep as the flags allow.

    Raises:
        CorruptData: Empty, cut off, or no picture.
    """
    problem = _damage(raw)
    if problem:
        raise CorruptData.of(file, record, problem, RESTORE)
    flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture: npt.NDArray[Any] | None = cv2.imdecode(np.frombuffer(raw, np.uint8), flags)
    except cv2.error as error:  # more pixels than OpenCV decodes
        problem = f"OpenCV cannot decode it ({' '.join(str(error).split())})"
        raise CorruptData.of(file, record, problem, RESTORE) from None
    if picture is None:
        raise CorruptData.of(file, record, "not a whole picture that OpenCV can decode", RESTORE)
    return picture


def _damage(raw: bytes) -> str:
    if not raw:
        return "the file is empty"
    if raw.startswith(_START) and raw.rfind(_END, _scan_start(raw)) < 0:
        return f"a JPEG that ends early, its end is not among the {len(raw)} bytes"
    return ""


def _scan_start(raw: bytes) -> int:
    """Gives where the first scan of a JPEG begins; a thumbnail before it has an end of its own.

    Source: ITU-T T.81, B.1.1: segments are FF, marker, and a big-endian length that counts itself.
    """
    at = len(_START)
    while at + 4 <= len(raw) and raw[at] == 0xFF and raw[at + 1] != _SCAN:
        is_fill = raw[at + 1] == 0xFF  # any number of them may stand before a marker
        at += 1 if is_fill else 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    return at
