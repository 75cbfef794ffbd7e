"""A picture whose ink is placed in metres: lines, discs, stars and words, smooth at any size.

Drawn twice as large as asked and halved at the end, so that thin ink stays clean. Knows nothing of
graphs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

OVERSAMPLE = 2
SUBPIXEL_BITS = 4
FONT = cv2.FONT_HERSHEY_SIMPLEX
TEXT_MARGIN = 8
"""Pixels around a block of text."""
LEADING = 1.9
"""From line to line, in heights of a capital."""
INK: Colour = (38, 43, 51)
PAPER: Colour = (252, 252, 250)


class Canvas:
    """A sheet of paper over a rectangle of the world, seen from above: x to the right, y up.

    Widths, radii and text heights are in pixels of the finished picture; places are in metres.
    """

    def __init__(self, size: tuple[int, int], *, centre: Floats, metres_per_pixel: float) -> None:
        """Lays out an empty sheet.

        Args:
            size: Height and width of the finished picture, pixels.
            centre: (2,) world x and y, metres, of the middle of the picture.
            metres_per_pixel: Scale of the finished picture.
        """
        self.size = size
        self.metres_per_pixel = metres_per_pixel
        self._centre = np.asarray(centre, dtype=np.float64)
        height, width = size
        shape = (height * OVERSAMPLE, width * OVERSAMPLE, 3)
        self._image: Image = np.full(shape, PAPER, dtype=np.uint8)

    @classmethod
    def over(cls, picture: Image) -> Canvas:
        """Gives a sheet that shows a picture, (H, W, 3) RGB, to draw on; a metre is a pixel."""
        height, width = picture.shape[:2]
        sheet = cls((height, width), centre=np.array([width, height]) / 2, metres_per_pixel=1.0)
        sheet._image = picture.repeat(OVERSAMPLE, axis=0).repeat(OVERSAMPLE, axis=1)
        return sheet

    def finished(self) -> Image:
        """Gives the picture, (H, W, 3) uint8 RGB."""
        height, width = self.size
        small = cv2.resize(self._image, (width, height), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(small, dtype=np.uint8)

    def pixels(self, places: npt.ArrayLike) -> Floats:
        """Gives (..., 2) finished-picture pixels (right, down) of (..., 2) places in metres."""
        offset = (np.asarray(places, dtype=np.float64) - self._centre) / self.metres_per_pixel
        height, width = self.size
        return offset * (1.0, -1.0) + (width / 2, height / 2)

    def place(self, pixels: npt.ArrayLike) -> Floats:
        """Gives the places, in metres, of finished-picture pixels; undoes `pixels`."""
        height, width = self.size
        offset = (np.asarray(pixels, dtype=np.float64) - (width / 2, height / 2)) * (1.0, -1.0)
        return offset * self.metres_per_pixel + self._centre

    def lines(self, places: npt.ArrayLike, colour: Colour, *, width: float = 1.0) -> None:
        """Draws n separate straight lines, (n, 2, 2) metres."""
        thick = max(1, round(width * OVERSAMPLE))
        for (x0, y0), (x1, y1) in self._subpixels(places).tolist():
            ends = (x0, y0), (x1, y1)
            cv2.line(self._image, *ends, colour, thick, cv2.LINE_AA, SUBPIXEL_BITS)

    def polygon(self, places: npt.ArrayLike, colour: Colour) -> None:
        """Fills a polygon, (n, 2) metres."""
        corners = self._subpixels(places)
        cv2.fillPoly(self._image, [corners], colour, cv2.LINE_AA, SUBPIXEL_BITS)

    def disc(
        self, place: npt.ArrayLike, colour: Colour, *, radius: float, rim: Colour | None = None
    ) -> None:
        """Fills a disc of `radius` pixels, with a thin rim of another colour where one is given."""
        if rim is not None:
            self._circle(place, rim, radius=radius + 1.5)
        self._circle(place, colour, radius=radius)

    def ring(
        self, place: npt.ArrayLike, colour: Colour, *, metres: float, width: float = 1.5
    ) -> None:
        """Draws a dashed circle of a radius in metres."""
        dashes = max(12, int(metres / self.metres_per_pixel / 1.6))
        begin = np.linspace(0, 2 * np.pi, dashes, endpoint=False)
        ends = np.stack([begin, begin + np.pi / dashes], axis=1)
        circle = np.stack([np.sin(ends), np.cos(ends)], axis=-1) * metres
        self.lines(np.asarray(place) + circle, colour, width=width)

    def star(
        self, place: npt.ArrayLike, colour: Colour, *, radius: float, rim: Colour = INK
    ) -> None:
        """Draws a five-pointed star, `radius` pixels to its points."""
        turn = np.arange(10) * np.pi / 5
        shape = np.stack([np.sin(turn), np.cos(turn)], axis=-1)
        shape *= np.where(np.arange(10) % 2, 0.45, 1.0)[:, None] * self.metres_per_pixel
        self.polygon(np.asarray(place) + shape * (radius + 2.5), rim)
        self.polygon(np.asarray(place) + shape * radius, colour)

    def text(
        self, words: str, pixel: Sequence[float], colour: Colour = INK, *, height: float = 12.0
    ) -> None:
        """Writes one line, centred on a finished-picture pixel; capitals are `height` pixels."""
        width = text_width(words, height=height)
        left = (pixel[0] - width / 2) * OVERSAMPLE
        bottom = (pixel[1] + height / 2) * OVERSAMPLE
        _write(self._image, words, (left, bottom), colour, height=height * OVERSAMPLE)

    def _circle(self, place: npt.ArrayLike, colour: Colour, *, radius: float) -> None:
        x, y = self._subpixels(place).tolist()
        size = round(radius * OVERSAMPLE * 2**SUBPIXEL_BITS)
        cv2.circle(self._image, (x, y), size, colour, -1, cv2.LINE_AA, SUBPIXEL_BITS)

    def _subpixels(self, places: npt.ArrayLike) -> npt.NDArray[np.int32]:
        fine = self.pixels(places) * OVERSAMPLE * 2**SUBPIXEL_BITS
        whole: npt.NDArray[np.int32] = np.round(fine).astype(np.int32)
        return whole


def spread(at: Floats, marks: Floats, *, apart: npt.ArrayLike = 23.0) -> Floats:
    """Gives label pixels near `at` (n, 2), pushed until none covers another or one of `marks`.

    Args:
        at: (n, 2) pixels.
        marks: (m, 2) pixels that labels keep away from.
        apart: Pixels between centres; one number, or one for each pair, (n, n + m).
    """
    labels = at.copy()
    own = np.eye(len(labels), len(labels) + len(marks), dtype=bool)
    order = np.arange(own.shape[1])
    nudge = 1e-3 * (order[: len(labels), None, None] - order[:, None])  # parts what is on one spot
    for _ in range(60):
        offset = labels[:, None] - np.vstack([labels, marks]) + nudge
        gap = np.where(own, np.inf, np.linalg.norm(offset, axis=-1))
        closeness = np.maximum(apart - gap, 0)
        if not closeness.any():
            break
        labels += (offset / gap[..., None] * closeness[..., None]).sum(axis=1) / 2
    return labels


def text_width(words: str, *, height: float) -> float:
    """Gives the pixels that one line takes when its capitals are `height` pixels tall."""
    return float(cv2.getTextSize(plain(words), FONT, height / 22, 1)[0][0])


def text_block(
    words: str,
    *,
    width: int,
    height: int,
    title: str = "",
    capitals: float = 9.0,
    least_capitals: float | None = None,
) -> Image:
    """Gives a (height, width, 3) strip of paper with a title and wrapped words.

    What does not fit ends in an ellipsis.

    Args:
        words: Set in the built-in font; letters that it lacks become "?".
        width: Pixels.
        height: Pixels.
        title: Heavier first line, if any.
        capitals: Height of a capital letter, pixels.
        least_capitals: Letters may become as small as this where the words would not fit.
    """
    strip = np.full((height * OVERSAMPLE, width * OVERSAMPLE, 3), PAPER, dtype=np.uint8)
    room = width - 2 * TEXT_MARGIN
    rows = _wrapped(words, width=room, capitals=capitals)
    least = capitals if least_capitals is None else least_capitals
    while len(rows) > _lines(height, title, capitals) and capitals - 1 >= least:
        capitals -= 1
        rows = _wrapped(words, width=room, capitals=capitals)
    heading = _cut(_wrapped(title, width=room, capitals=capitals, weight=2), 1)
    rows = heading + _cut(rows, _lines(height, title, capitals))
    for row, line in enumerate(rows):
        bottom = TEXT_MARGIN + capitals + row * capitals * LEADING
        weight = 2 if row < len(heading) else 1
        corner = TEXT_MARGIN * OVERSAMPLE, bottom * OVERSAMPLE
        _write(strip, line, corner, INK, height=capitals * OVERSAMPLE, weight=weight)
    small = cv2.resize(strip, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small, dtype=np.uint8)


def _lines(height: int, title: str, capitals: float) -> int:
    """Gives how many lines fit below the title, at least one."""
    return max(int((height - TEXT_MARGIN) // (capitals * LEADING)) - bool(title), 1)


def _wrapped(words: str, *, width: float, capitals: float, weight: int = 1) -> list[str]:
    """Gives lines of at most `width` pixels; a word that is wider has one of its own."""
    rows: list[str] = []
    for word in plain(words).split():
        longer = f"{rows[-1]} {word}" if rows else word
        if rows and _measured(longer, capitals, weight) <= width:
            rows[-1] = longer
        else:
            rows.append(word)
    return rows


def _measured(line: str, capitals: float, weight: int) -> float:
    fine = cv2.getTextSize(line, FONT, capitals * OVERSAMPLE / 22, weight)[0][0]
    return float(fine) / OVERSAMPLE


def _cut(rows: list[str], lines: int) -> list[str]:
    """Gives the first rows; where there are more, the last word gives way to an ellipsis."""
    if len(rows) <= lines:
        return rows
    kept = rows[:lines]
    kept[-1] = f"{kept[-1].rpartition(' ')[0]} ...".lstrip()
    return kept


def plain(words: str) -> str:
    """Gives `words` in the letters that the built-in font has: accents dropped, others "?"."""
    folded = "".join(
        c for c in unicodedata.normalize("NFKD", words) if not unicodedata.combining(c)
    )
    return folded.encode("ascii", "replace").decode()


def _write(
    image: Image,
    words: str,
    corner: tuple[float, float],
    colour: Colour,
    *,
    height: float,
    weight: int = 2,
) -> None:
    """Writes one line from its bottom left corner; sizes in pixels of `image`."""
    left, bottom = (round(x) for x in corner)
    cv2.putText(image, plain(words), (left, bottom), FONT, height / 22, colour, weight, cv2.LINE_AA)
