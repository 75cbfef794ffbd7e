"""The graph behind all simulators of a process, and what cameras on it list, kept for reuse.

Like the C++ simulator, a process compiles a folder of connectivity files once. Listings never
change, so states share them. Knows nothing of steps or pictures.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

from vln import geometry
from vln.camera import CameraSettings, CameraSimulator, CameraStates
from vln.data.connectivity import load_folder, viewpoint_ids
from vln.errors import UnknownViewpoint
from vln.graph import NavGraph
from vln.mattersim.draws import MinimalStandard
from vln.mattersim.errors import (
    MissingFiles,
    NoSuchViewpoint,
    UnknownScan,
    missing_is_value_error,
)
from vln.mattersim.states import Listing

WORLDS_KEPT: Final = 4
SIGHTS_KEPT: Final = 16
VIEWS_KEPT: Final = 65_536
"""Listings kept per camera, about 50 MB of them, twice that unrestricted; past it, anew."""
FEW: Final = 4
"""Up to so many views are listed with all headings beside them, which costs little more."""


class Sight:
    """A kind of camera on a graph: lists what its cameras may go to.

    Args:
        world: Where the cameras stand.
        settings: What kind.
    """

    def __init__(self, world: World, settings: CameraSettings) -> None:
        self.simulator = CameraSimulator(world.graph, settings=settings)
        self._world = world
        self._kept: dict[int, Listing] = {}
        self._once: set[int] = set()

    def around(self, states: CameraStates) -> list[Listing]:
        """Gives what cameras list, wherever they look."""
        found = self.simulator.navigable(states)
        count = found.count
        listed = np.arange(found.panorama.shape[1]) < count[:, None]
        panoramas, *relative = (part[listed].tolist() for part in found[:4])
        fixed, seen = self._world.places, zip(*relative, strict=True)
        places = [fixed[at] + angles for at, angles in zip(panoramas, seen, strict=True)]
        ends = np.cumsum(count).tolist()
        starts = [0, *ends]
        return [tuple(places[a:b]) for a, b in zip(starts, ends, strict=False)]

    def on_grid(self, keys: list[int]) -> list[Listing]:
        """Gives what discretised cameras list; for views that are seen often, by look-up.

        Args:
            keys: 36 times the panorama plus the view, per camera.
        """
        kept = self._kept
        try:
            return [kept[key] for key in keys]
        except KeyError:
            found = self._looked_up([key for key in dict.fromkeys(keys) if key not in kept])
            return [found.get(key) or kept[key] for key in keys]

    def _looked_up(self, keys: list[int]) -> dict[int, Listing]:
        """Gives listings that are not kept, and maybe more, and keeps some.

        A view is kept at its second sight: to keep what is never seen again costs more than to
        compute it. A few views are kept at once with all headings beside them, which come next.
        """
        are_few = len(keys) <= FEW
        if are_few:
            keys = list(_rows(keys))
        panorama, view = np.divmod(np.array(keys, dtype=np.int64), geometry.NUM_VIEWS)
        heading, elevation = geometry.view_heading(view), geometry.view_elevation(view)
        states = CameraStates(panorama, heading, elevation, np.zeros_like(panorama))
        found = dict(zip(keys, self.around(states), strict=True))
        # Not cleared but replaced, since another thread may be reading.
        if len(self._kept) > VIEWS_KEPT:
            self._kept = {}
        if len(self._once) > VIEWS_KEPT:
            self._once = set()
        again = found.keys() if are_few else self._once.intersection(keys)
        self._kept.update((key, found[key]) for key in again)
        self._once.update(keys)
        return found


def _rows(keys: Iterable[int]) -> Iterable[int]:
    for row in dict.fromkeys(key // geometry.NUM_HEADINGS for key in keys):
        yield from range(row * geometry.NUM_HEADINGS, (row + 1) * geometry.NUM_HEADINGS)


class World:
    """A folder of connectivity files, compiled.

    Args:
        folder: Holds scans.txt and the files that it lists.

    Raises:
        MissingFiles: One of them is not there.
        CorruptData: One of them cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        listing = folder / "scans.txt"
        if not listing.is_file():
            raise MissingFiles(
                f"no {listing}. setNavGraphPath names the folder that holds scans.txt and "
                "Matterport3DSimulator's connectivity files; a relative path starts from the "
                f"working directory, {Path.cwd()}."
            )
        with missing_is_value_error():
            self.graph: NavGraph = load_folder(folder)
        self.folder = folder
        graph = self.graph
        # MatterSim's positions are float32; Python sees them widened.
        metres = graph.position.astype(np.float32).T.tolist()
        everywhere = range(len(graph.viewpoints))
        self.places = list(
            zip(everywhere, graph.viewpoints, graph.file_index.tolist(), *metres, strict=True)
        )
        self._sights: dict[CameraSettings, Sight] = {}
        self._generators: dict[int, MinimalStandard] = {}
        self._sizes: dict[str, int] = {}

    def sight(self, settings: CameraSettings) -> Sight:
        """Gives the sight of a kind of camera, the same for all that ask."""
        if settings not in self._sights:
            if len(self._sights) >= SIGHTS_KEPT:
                self._sights = {}
            self._sights[settings] = Sight(self, settings)
        return self._sights[settings]

    def index(self, scan: str, viewpoint: str) -> int:
        """Gives a viewpoint's panorama index.

        Raises:
            UnknownScan: No such scan.
            NoSuchViewpoint: The scan does not hold the viewpoint, or excludes it.
        """
        try:
            return self.graph.index(scan, viewpoint)
        except UnknownViewpoint as error:
            self._check_known(scan)
            raise NoSuchViewpoint(str(error)) from None

    def _check_known(self, scan: str) -> None:
        if scan not in self.graph.scans:
            raise UnknownScan(
                f"no scan {scan!r} among the {len(self.graph.scans)} that "
                f"{self.folder / 'scans.txt'} lists. setNavGraphPath chooses the folder."
            )

    def generator(self, seed: int) -> MinimalStandard:
        """Gives the generator of all simulators of the process that have this seed."""
        return self._generators.setdefault(seed, MinimalStandard(seed))

    def draw(self, scan: str, generator: MinimalStandard) -> int:
        """Gives a random panorama of a scan as MatterSim draws it.

        All viewpoints of the file are equally likely to be hit, and the first from there on that
        is not excluded is taken.

        Raises:
            UnknownScan: No such scan.
        """
        self._check_known(scan)
        if scan not in self._sizes:
            with missing_is_value_error():
                self._sizes[scan] = len(viewpoint_ids(self.folder, scan))
        members = self.graph.members(scan)
        hit = generator.below(self._sizes[scan])
        included = self.graph.file_index[members.start : members.stop]
        return members[int(np.searchsorted(included, hit)) % len(members)]


def shared_world(folder: Path) -> World:
    """Gives the world of a folder, compiled at its first use in the process.

    Raises:
        MissingFiles: As `World`.
        CorruptData: As `World`.
    """
    return _world(folder.expanduser().resolve())


_world = functools.lru_cache(maxsize=WORLDS_KEPT)(World)
