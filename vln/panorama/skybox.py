"""Matterport3D's skyboxes: six faces of a cube around each viewpoint, read from files as they come.

Two layouts, from folders or from the zips of the release: the strip `<viewpoint>_skybox_small.jpg`
that Matterport3DSimulator renders (faces 0 to 5 side by side, 3072 x 512), and the original six
`<viewpoint>_skybox<face>_sami.jpg` (1024 x 1024). Other sizes are read as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from vln.data.connectivity import viewpoint_ids
from vln.errors import MissingData, UnknownViewpoint
from vln.graph import NavGraph
from vln.panorama.faces import MAX_FACE, NUM_FACES, Bytes, Panorama
from vln.panorama.stored import Found, Stored, by_name

STRIP: Final = "{viewpoint}_skybox_small.jpg"
FACE: Final = "{viewpoint}_skybox{face}_sami.jpg"
DEPTH: Final = "{viewpoint}_skybox_depth_small.png"

IMAGES: Final = "matterport_skybox_images"
"""What the release calls the folder, and the zip, that holds a scan's skyboxes."""

LICENCE: Final = (
    "Matterport's images need its licence: sign the Terms of Use form of the Matterport3D project, "
    "send it in, download the type `matterport_skybox_images`, "
    "and put each scan's folder or zip there. Navigation itself works without images."
)

_PICTURE = re.compile(r"(.+)_skybox(?:_small\.jpg|_depth_small\.png|[0-5]_sami\.jpg)")
_NO_DEPTH = "Make it with Matterport3DSimulator's scripts/depth_to_skybox.py, or ask for no depth."
_RESIZE = "Copy the file again, or make it again from the original faces."


class SkyboxSource:
    """Panoramas of the skyboxes below a folder.

    A scan's pictures are looked for in skyboxes/<scan>/, <scan>/ and v1/scans/<scan>/ below the
    root: there as files, in matterport_skybox_images/ or in matterport_skybox_images.zip, and
    beside it in <scan>.zip. Where a picture lies in several of these, the first counts, and files
    before zips. A viewpoint's strip is taken before its six faces. Once pictures of a scan have
    been found, the list is kept: files that come later are not seen. A folder or zip that cannot be
    read is an error only for what is found nowhere else. Extensions may be in upper case, and EXIF
    turns no picture.

    Args:
        root: A world's data folder, or a folder of scans such as MatterSim's dataset path.
        graph: Has the pose of every viewpoint.
        depth: Reads Matterport3DSimulator's depth strips as well, `DEPTH`.
    """

    def __init__(self, root: Path, *, graph: NavGraph, depth: bool = False) -> None:
        self.root = root
        self.graph = graph
        self._with_depth = depth
        self._found: dict[str, Found] = {}

    def panorama(self, scan: str, viewpoint: str) -> Panorama:
        """Gives the faces in the pose that the graph has for the viewpoint.

        Raises:
            UnknownViewpoint: The graph does not hold the viewpoint.
            MissingData: There are no such pictures, or not all six, or no depth where it is wanted;
                or what may hold them cannot be read.
            CorruptData: A picture or zip is cut off or damaged, or has the wrong shape.
        """
        rotation = self.graph.rotation[self._index(scan, viewpoint)]
        faces = self._faces(scan, viewpoint)
        depth = self._depth(scan, viewpoint) if self._with_depth else None
        return Panorama.of_bgr(faces, rotation=rotation, depth=depth)

    def has(self, scan: str, viewpoint: str) -> bool:
        """Tells whether the graph holds the viewpoint and pictures of it are there, unread.

        Raises:
            MissingData, CorruptData: None are found, but a folder or zip cannot be read.
        """
        try:
            self.graph.index(scan, viewpoint)
        except UnknownViewpoint:
            return False
        if _is_shown(self._pictures(scan), viewpoint):
            return True
        self._raise_problem(scan)
        return False

    def viewpoints(self, scan: str) -> tuple[str, ...]:
        """Gives the viewpoints of the graph that have pictures, sorted.

        Raises:
            UnknownViewpoint: The graph has no such scan.
            MissingData, CorruptData: Not all have, and a folder or zip cannot be read.
        """
        members, pictures = self._members(scan), self._pictures(scan)
        shown = tuple(sorted(name for name in members if _is_shown(pictures, name)))
        if len(shown) < len(members):
            self._raise_problem(scan)
        return shown

    def shows_any(self) -> bool:
        """Tells whether at least one viewpoint of the graph has pictures, unread.

        Raises:
            MissingData, CorruptData: None are found, but a folder or zip cannot be read.
        """
        graph = self.graph
        for scan in graph.scans:
            pictures = self._pictures(scan)
            if any(_is_shown(pictures, name) for name in self._members(scan)):
                return True
        for scan in graph.scans:
            self._raise_problem(scan)
        return False

    def check(self, scan: str, *, connectivity: Path | None = None) -> None:
        """Makes sure that every picture of a scan is named after one of its viewpoints.

        The release also has pictures of viewpoints that are excluded from navigation. They are
        right, but only the connectivity file tells them from others.

        Args:
            scan: A scan of the graph.
            connectivity: The folder of connectivity files. None takes connectivity/ below the
                root; where there is none, a picture of an excluded viewpoint is an error too.

        Raises:
            CorruptData: There is a picture of no viewpoint, and the message names it; or a zip or
                the connectivity file is damaged.
            MissingData: The folder of connectivity files lacks the scan's; or a folder or zip of
                pictures may not be read.
            UnknownViewpoint: The graph has no such scan.
        """
        self._raise_problem(scan)
        known = self._known(scan, connectivity)
        strays = [(name, at) for name, at in self._named(scan) if name not in known]
        if not strays:
            return
        first, picture = strays[0]
        others = len({name for name, _ in strays}) - 1
        homes = (self.graph.scan_of(i) for i, v in enumerate(self.graph.viewpoints) if v == first)
        home = next(homes, None)
        raise picture.corrupt(
            f"scan {scan} has no viewpoint {first!r}"
            + (f", nor {others} others that have pictures" if others else ""),
            f"It belongs to scan {home}: move it there."
            if home is not None
            else "Name it by an `image_id` of the scan's connectivity file, or remove it; if it "
            "shows an excluded viewpoint, say where the connectivity files are.",
        )

    def _known(self, scan: str, connectivity: Path | None) -> frozenset[str]:
        folder = connectivity or self.root / "connectivity"
        if connectivity is None and not folder.is_dir():
            return self._members(scan)
        return self._members(scan) | frozenset(viewpoint_ids(folder, scan))

    def _index(self, scan: str, viewpoint: str) -> int:
        try:
            return self.graph.index(scan, viewpoint)
        except UnknownViewpoint as error:
            if scan not in self.graph.scans:
                raise
            picture = next((at for name, at in self._named(scan) if name == viewpoint), None)
            if picture is None:
                raise
            raise UnknownViewpoint(f"{error} So {picture} cannot be used.") from None

    def _members(self, scan: str) -> frozenset[str]:
        members = self.graph.members(scan)
        return frozenset(self.graph.viewpoints[members.start : members.stop])

    def _pictures(self, scan: str) -> dict[str, Stored]:
        return self._look(scan).pictures

    def _raise_problem(self, scan: str) -> None:
        """Raises what kept the pictures of a scan from being known, where something did."""
        for problem in self._look(scan).problems:
            raise problem.with_traceback(None)  # kept, and each raising would add to it

    def _look(self, scan: str) -> Found:
        found = self._found.get(scan)
        if found is None:
            places = [self.root / "skyboxes" / scan, self.root / scan]
            places.append(self.root / "v1" / "scans" / scan)
            folders = [folder for place in places for folder in (place, place / IMAGES)]
            zips = [zip_ for place in places for zip_ in (place / f"{IMAGES}.zip", _beside(place))]
            stored, problems = by_name(folders, zips)
            pictures = {name: stored[name] for name in sorted(stored) if _PICTURE.fullmatch(name)}
            found = Found(pictures, problems)
            if pictures:
                self._found[scan] = found
        return found

    def _named(self, scan: str) -> Iterator[tuple[str, Stored]]:
        """Yields viewpoint and place of every picture of a scan, in the order of their names."""
        for name, stored in self._pictures(scan).items():
            match = _PICTURE.fullmatch(name)
            if match:
                yield match[1], stored

    def _faces(self, scan: str, viewpoint: str) -> Iterable[Bytes]:
        pictures = self._pictures(scan)
        strip = pictures.get(STRIP.format(viewpoint=viewpoint))
        if strip is not None:
            return _six(strip.picture(), stored=strip)
        names = [FACE.format(viewpoint=viewpoint, face=face) for face in range(NUM_FACES)]
        absent = "".join(str(face) for face in range(NUM_FACES) if names[face] not in pictures)
        if absent:
            self._raise_problem(scan)
            lacking = FACE.format(viewpoint=viewpoint, face=f"[{absent}]")
            whole = STRIP.format(viewpoint=viewpoint)
            what = f"neither {whole} nor all six faces ({lacking} missing)"
            raise self._missing(scan, what, LICENCE)
        return _decoded([pictures[name] for name in names])

    def _depth(self, scan: str, viewpoint: str) -> npt.NDArray[np.uint16]:
        name = DEPTH.format(viewpoint=viewpoint)
        stored = self._pictures(scan).get(name)
        if stored is None:
            self._raise_problem(scan)
            raise self._missing(scan, f"no depth strip {name}", _NO_DEPTH)
        strip = stored.picture(flags=cv2.IMREAD_UNCHANGED)
        if strip.dtype != np.uint16 or strip.ndim != 2:
            raise stored.corrupt(
                f"{strip.dtype} of {strip.shape}, expected one channel of 16 bits", _RESIZE
            )
        return np.stack(_six(strip, stored=stored))

    def _missing(self, scan: str, what: str, remedy: str) -> MissingData:
        return MissingData(
            f"scan {scan} has {what}: looked in skyboxes/{scan}, {scan} and v1/scans/{scan} of "
            f"{self.root}, there in {IMAGES}/ and {IMAGES}.zip too, and in {scan}.zip beside them. "
            f"{remedy}"
        )


def _beside(place: Path) -> Path:
    return place.with_name(f"{place.name}.zip")


def _is_shown(pictures: dict[str, Stored], viewpoint: str) -> bool:
    return STRIP.format(viewpoint=viewpoint) in pictures or all(
        FACE.format(viewpoint=viewpoint, face=face) in pictures for face in range(NUM_FACES)
    )


def _six(strip: npt.NDArray[Any], *, stored: Stored) -> list[npt.NDArray[Any]]:
    """Cuts a strip into six square faces, views of it."""
    height, width = strip.shape[:2]
    if width != NUM_FACES * height:
        raise stored.corrupt(
            f"{width} x {height} pixels, expected six squares side by side, as 3072 x 512", _RESIZE
        )
    _check_fits(height, stored=stored)
    return np.split(strip, NUM_FACES, axis=1)


def _decoded(six: Sequence[Stored]) -> Iterator[Bytes]:
    """Decodes one face at a time: `Panorama.of_bgr` needs no two at once."""
    size = 0
    for stored in six:
        face = stored.picture()
        height, width = face.shape[:2]
        size = size or height
        if (height, width) != (size, size):
            raise stored.corrupt(
                f"{width} x {height} pixels, expected a square as large as face 0's {size}", _RESIZE
            )
        _check_fits(size, stored=stored)
        yield face


def _check_fits(size: int, *, stored: Stored) -> None:
    if size > MAX_FACE:
        raise stored.corrupt(f"faces of {size} pixels, at most {MAX_FACE} can be used", _RESIZE)
