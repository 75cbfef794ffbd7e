"""The simulator under both of MatterSim's Python interfaces.

The batched one: `initialize`, lists in, a list of states out. v0.1's: `init`, scalars in, one
state out. What `newEpisode` is given says which of them is spoken.

Public methods call private ones only: those of a subclass are for its own callers, as in C++.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import repeat
from typing import Any, NoReturn

from vln import geometry
from vln.errors import EpisodeOver
from vln.mattersim import arguments, cameras
from vln.mattersim.draws import MinimalStandard
from vln.mattersim.errors import NoEpisode, NotPicklable, WrongArgument
from vln.mattersim.pictures import Images, Pictures, blank, skyboxes
from vln.mattersim.settings import Settings
from vln.mattersim.states import SimState, sim_state
from vln.mattersim.timers import Timers
from vln.mattersim.world import Sight, World, shared_world
from vln.panorama.pinhole import Camera


class Simulator(Settings):
    """MatterSim's simulator."""

    def __init__(self) -> None:
        self._is_initialized = False
        self._timers = Timers()
        self._world: World | None = None
        self._sight: Sight | None = None
        self._sight_settings = self._camera
        self._pinhole: Camera | None = None
        self._pictures: Pictures | None = None
        self._generator: MinimalStandard | None = None
        # Which interface is spoken now: an action is scalars then, and `getState` gives no list.
        self._is_scalar = False
        self._begin_nowhere(Images([], []))

    def _begin_nowhere(self, images: Images) -> None:
        """Takes the cameras off the graph: states are those that C++ has before an episode."""
        self._scans: Sequence[str] | None = None
        self._poses = cameras.Poses([], [], [], [])
        self._step = 0
        self._images = images
        self._states: list[SimState] | None = [
            sim_state("", 0, rgb, depth, (), 0.0, 0.0, 0)
            for rgb, depth in zip(*images, strict=True)
        ]

    def initialize(self) -> None:
        """Makes ready; `newEpisode` does so itself where it was forgotten.

        Raises:
            BadConfig: No pinhole camera has the size and field of view that were set.
            MissingFiles: With pre-loading: a connectivity file, or all pictures, are not there.
        """
        self._make_ready(scalar=False)

    def init(self) -> None:
        """Makes ready as `initialize` does; the state is then one `SimState`, as in v0.1."""
        self._make_ready(scalar=True)

    def _make_ready(self, *, scalar: bool) -> None:
        if self._is_initialized:
            return
        seen, options = self._camera, self._options
        self._world = self._sight = self._pictures = self._pinhole = None
        if options.rendering:
            self._pinhole = Camera(
                width=seen.width, height=seen.height, vertical_fov=seen.vertical_fov
            )
            if options.preloading:
                with self._timers.during("preloading"):
                    self._pictures = self._renderer(self._pinhole)
        self._begin_nowhere(blank(options.batch_size, width=seen.width, height=seen.height))
        self._is_scalar = scalar and options.batch_size > 0
        self._is_initialized = True

    def newEpisode(
        self,
        scanId: Any,  # noqa: ANN401
        viewpointId: Any = "",  # noqa: ANN401
        heading: Any = 0.0,  # noqa: ANN401
        elevation: Any = 0.0,  # noqa: ANN401
    ) -> None:
        """Puts the cameras down.

        Args:
            scanId: Scans, one per environment; or one scan, then the rest are scalars too.
            viewpointId: Viewpoints. A scalar that is empty means a random one.
            heading: Radians.
            elevation: Radians.

        Raises:
            UnknownScan: The graph has no such scan (`IndexError`).
            NoSuchViewpoint: The scan has no such viewpoint, or excludes it (`ValueError`).
            MissingFiles: A connectivity file or a picture is not there (`ValueError`).
            NotFinite: An angle is infinite or no number (`ValueError`).
            TooShort: A list has fewer entries than the batch (`IndexError`).
            WrongArgument: Something is of another type (`TypeError`).
        """
        self._begin(scanId, viewpointId, heading, elevation)

    def _begin(self, *given: Any) -> None:  # noqa: ANN401
        self._timers.begin()
        with self._timers.during("process"):
            scan, *_ = given
            is_scalar, size = isinstance(scan, str | bytes), self._options.batch_size
            if is_scalar and size != 1:
                raise WrongArgument(
                    f"newEpisode: one scan, {scan!r}, for a batch of {size}; expected lists."
                )
            self._put_down(*([each] if is_scalar else each for each in given), scalar=is_scalar)

    def _put_down(
        self,
        scans: Any,  # noqa: ANN401
        viewpoints: Any,  # noqa: ANN401
        headings: Any,  # noqa: ANN401
        elevations: Any,  # noqa: ANN401
        *,
        scalar: bool,
    ) -> None:
        size = self._options.batch_size
        scans = arguments.texts(scans, size, what="newEpisode's scans")
        viewpoints = arguments.texts(viewpoints, size, what="newEpisode's viewpoints")
        headings = arguments.numbers(headings, size, what="newEpisode's headings")
        elevations = arguments.numbers(elevations, size, what="newEpisode's elevations")
        self._make_ready(scalar=False)
        world = self._graph()
        panoramas = [
            world.draw(scan, self._own_generator())
            if scalar and not viewpoint
            else world.index(scan, viewpoint)
            for scan, viewpoint in zip(scans, viewpoints, strict=True)
        ]
        poses = cameras.start(self._seeing(), panoramas, headings, elevations)
        self._show(scans, poses, step=0)
        self._is_scalar = scalar

    def newRandomEpisode(self, scanId: Sequence[str]) -> None:
        """Puts the cameras down at random viewpoints of scans, looking level.

        The headings are the same in every call, as in C++, which draws them from a new generator
        each time. Viewpoints go on from call to call.

        Raises:
            UnknownScan: As `newEpisode`, and all others as that.
        """
        size = self._options.batch_size
        scans = arguments.texts(scanId, size, what="newRandomEpisode's scans")
        self._make_ready(scalar=False)
        world, directions = self._graph(), MinimalStandard()
        generator = world.generator(self._options.seed)
        names = [world.graph.viewpoints[world.draw(scan, generator)] for scan in scans]
        headings = [directions.real(geometry.TURN) for _ in scans]
        self._begin(scans, names, headings, [0.0] * size)

    def makeAction(self, index: Any, heading: Any, elevation: Any) -> None:  # noqa: ANN401
        """Moves each camera, then turns it.

        Args:
            index: Places in each state's `navigableLocations`; 0 stays. Lists, or scalars in an
                episode that began with scalars; so are the others.
            heading: Radians to turn right; with discretised viewing angles only the sign counts.
            elevation: Radians to look up; with discretised viewing angles only the sign counts.

        Raises:
            IllegalAction: An index is not in its list (`ValueError`); nothing has moved then.
            EpisodeOver: No episode has begun (`RuntimeError`, once initialised also `ValueError`).
            NotFinite: As `newEpisode`.
            TooShort: As `newEpisode`.
            WrongArgument: As `newEpisode`.
            MissingFiles: As `newEpisode`.
        """
        begun = time.perf_counter()
        scans = self._under_way()
        if self._is_scalar:
            index = [arguments.integer(index, what="makeAction's index")]
            heading = [arguments.number(heading, what="makeAction's heading")]
            elevation = [arguments.number(elevation, what="makeAction's elevation")]
        else:
            size = self._options.batch_size
            index = arguments.entries(index, size, what="makeAction's indices", whole=True)
            heading = arguments.entries(heading, size, what="makeAction's headings")
            elevation = arguments.entries(elevation, size, what="makeAction's elevations")
        poses = cameras.act(self._seeing(), self._poses, index, heading, elevation)
        self._show(scans, poses, step=self._step + 1)
        self._timers.process += time.perf_counter() - begun

    def _under_way(self) -> Sequence[str]:
        """Gives the scans of the episode that has begun."""
        if self._is_initialized and (self._scans is not None or not self._options.batch_size):
            return self._scans or ()
        kind = NoEpisode if self._is_initialized else EpisodeOver
        raise kind("makeAction: no episode has begun; call newEpisode first.")

    def getState(self) -> Any:  # noqa: ANN401
        """Gives a list of `SimState`; one `SimState` after `init` or an episode of scalars.

        States never change: those of earlier steps stay what they were.
        """
        if self._states is None:
            columns = self._scans or (), repeat(self._step), *self._images, *self._poses
            self._states = list(map(sim_state, *columns))
        return self._states[0] if self._is_scalar else list(self._states)

    def close(self) -> None:
        """Lets pictures go. Setters work again, and the next episode initialises anew."""
        self._is_initialized = False
        self._pictures = None

    def resetTimers(self) -> None:
        """Sets the timers to zero."""
        self._timers.reset()

    def timingInfo(self) -> str:
        """Gives a few lines about the time spent."""
        return self._timers.report()

    def _show(self, scans: Sequence[str], poses: cameras.Poses, *, step: int) -> None:
        """Goes on to new poses, once their pictures are there."""
        if self._pinhole is not None:
            if self._pictures is None:
                self._pictures = self._renderer(self._pinhole)
            viewpoints = self._graph().graph.viewpoints
            here = [viewpoints[listing[0][0]] for listing in poses.listings]
            places = list(zip(scans, here, strict=True))
            self._images = self._pictures.render(places, poses.headings, poses.elevations)
        self._scans, self._poses, self._step = scans, poses, step
        self._states = None

    def _renderer(self, pinhole: Camera) -> Pictures:
        options = self._options
        source = skyboxes(
            options.dataset,
            world=self._graph(),
            depth=options.depth,
            # A batch that only turns must not read its panoramas again at every step.
            cache_size=max(options.cache_size, options.batch_size),
        )
        if options.preloading:
            source.preload_all()
        return Pictures(source, camera=pinhole, depth=options.depth, timers=self._timers)

    def _graph(self) -> World:
        if self._world is None:
            self._world = shared_world(self._options.nav_graph)
        return self._world

    def _seeing(self) -> Sight:
        """Gives the sight of the camera as it is set now."""
        if self._sight is None or self._sight_settings is not self._camera:
            self._sight, self._sight_settings = self._graph().sight(self._camera), self._camera
        return self._sight

    def __reduce__(self) -> NoReturn:
        raise NotPicklable(
            "a Simulator cannot be copied or pickled: build it in the process that uses it, a "
            "DataLoader's in its worker_init_fn. What simulators share is shared there too."
        )

    def _own_generator(self) -> MinimalStandard:
        """Gives v0.1's generator, of which each simulator has its own."""
        if self._generator is None:
            self._generator = MinimalStandard(self._options.seed)
        return self._generator
