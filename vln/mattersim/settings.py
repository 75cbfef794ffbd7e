"""The simulator's settings: MatterSim's setters and defaults, and when they take effect."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vln.camera import CameraSettings
from vln.errors import BadConfig
from vln.mattersim import arguments
from vln.mattersim.errors import WrongArgument


@dataclass(frozen=True)
class Options:
    """What is fixed while a simulator is initialised; the camera's settings stand beside it."""

    dataset: Path = Path("data/v1/scans")
    nav_graph: Path = Path("connectivity")
    rendering: bool = True
    preloading: bool = False
    depth: bool = False
    batch_size: int = 1
    cache_size: int = 200
    seed: int = 1


class Settings:
    """Setters.

    Those of the camera's resolution, field of view and elevation limits always work; the others
    have no effect while the simulator is initialised. Both as in C++.
    """

    # Here and not in __init__, since subclasses call setters before it.
    _options = Options()
    _camera = CameraSettings()
    _is_initialized = False

    def setDatasetPath(self, path: str | bytes | os.PathLike[str]) -> None:
        """Sets where <scan>/matterport_skybox_images lie, or v1/scans/ with these in it."""
        self._set(dataset=_path(path, "setDatasetPath"))

    def setNavGraphPath(self, path: str | bytes | os.PathLike[str]) -> None:
        """Sets the folder of scans.txt and the connectivity files."""
        self._set(nav_graph=_path(path, "setNavGraphPath"))

    def setRenderingEnabled(self, value: bool) -> None:  # noqa: FBT001 - MatterSim's signature
        """Sets whether pictures are rendered; without, none are looked for."""
        self._set(rendering=arguments.flag(value, what="setRenderingEnabled"))

    def setCameraResolution(self, width: int, height: int) -> None:
        """Sets the size in pixels; while initialised, only what is navigable follows it."""
        width = arguments.integer(width, what="setCameraResolution's width")
        height = arguments.integer(height, what="setCameraResolution's height")
        self._look(width=width, height=height)

    def setCameraVFOV(self, vfov: float) -> None:
        """Sets the vertical field of view in radians; while initialised, as the resolution."""
        angle = arguments.number(vfov, what="setCameraVFOV")
        if not 0 < angle < math.inf:
            raise BadConfig(f"setCameraVFOV: {angle}; expected a positive number of radians.")
        self._look(vertical_fov=angle)

    def setElevationLimits(self, min: float, max: float) -> bool:
        """Sets the limits in radians, and says whether they were taken.

        They are if -pi / 2 < min < 0 < max < pi / 2. Discretised viewing angles ignore them.
        """
        low = arguments.number(min, what="setElevationLimits' min")
        high = arguments.number(max, what="setElevationLimits' max")
        accepted = -math.pi / 2 < low < 0 < high < math.pi / 2
        if accepted:
            self._look(min_elevation=low, max_elevation=high)
        return accepted

    def setDiscretizedViewingAngles(self, value: bool) -> None:  # noqa: FBT001
        """Sets whether the camera turns in steps of 30 degrees."""
        on = arguments.flag(value, what="setDiscretizedViewingAngles")
        if not self._is_initialized:
            self._look(discretized=on)

    def setRestrictedNavigation(self, value: bool) -> None:  # noqa: FBT001
        """Sets whether only viewpoints within the horizontal field of view are navigable."""
        on = arguments.flag(value, what="setRestrictedNavigation")
        if not self._is_initialized:
            self._look(restricted=on)

    def setPreloadingEnabled(self, value: bool) -> None:  # noqa: FBT001
        """Sets whether initialising reads all panoramas, 6.3 MB each."""
        self._set(preloading=arguments.flag(value, what="setPreloadingEnabled"))

    def setDepthEnabled(self, value: bool) -> None:  # noqa: FBT001
        """Sets whether depth is rendered."""
        self._set(depth=arguments.flag(value, what="setDepthEnabled"))

    def setBatchSize(self, size: int) -> None:
        """Sets how many environments there are; of none, all lists are empty."""
        self._set(batch_size=arguments.integer(size, what="setBatchSize", least=0))

    def setCacheSize(self, size: int) -> None:
        """Sets how many panoramas are kept in memory, 6.3 MB each; never fewer than the batch.

        Simulators of the same pictures share them; the largest number counts.
        """
        self._set(cache_size=arguments.integer(size, what="setCacheSize", least=0))

    def setSeed(self, seed: int) -> None:
        """Sets the seed of random viewpoints."""
        self._set(seed=arguments.integer(seed, what="setSeed"))

    def _set(self, **options: Any) -> None:  # noqa: ANN401
        if not self._is_initialized:
            self._options = replace(self._options, **options)

    def _look(self, **settings: Any) -> None:  # noqa: ANN401
        self._camera = replace(self._camera, **settings)


def _path(value: Any, name: str) -> Path:  # noqa: ANN401
    try:
        return Path(os.fsdecode(value))
    except TypeError:
        raise WrongArgument(f"{name}: expected a path, not {value!r}.") from None
