"""A drop-in for the C++ Matterport3D simulator's Python module.

`import vln.mattersim as MatterSim`; or `vln.mattersim.install()` before other code imports
`MatterSim`; or `python -m vln.mattersim run SCRIPT ARGUMENTS`. Navigation needs the connectivity
files alone; rendering needs Matterport's skyboxes.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from vln.mattersim.errors import NotProvided
from vln.mattersim.launch import install
from vln.mattersim.simulator import Simulator
from vln.mattersim.states import SimState, ViewPoint

Mat = np.ndarray
"""What `rgb` and `depth` are; `np.array(state.rgb, copy=False)` gives them as they are."""

__all__ = ["Mat", "SimState", "Simulator", "ViewPoint", "cbf", "install"]


def cbf(depth: object, intensity: object, mask: object, result: object) -> NoReturn:
    """Refuses: the cross bilateral filter serves only to prepare depth strips from raw scans.

    Raises:
        NotProvided: Always.
    """
    raise NotProvided(
        "cbf, which fills holes while depth strips are prepared, is not provided. Depth strips "
        "(<viewpoint>_skybox_depth_small.png) that exist are read. To make them, run "
        "depth_to_skybox.py with the C++ module, or leave fill_joint_bilateral_filter out of it: "
        "holes then stay 0, which means no reading."
    )
