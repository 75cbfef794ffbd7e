"""Pose traces of guides in Room-Across-Room's format: where a guide stood and looked, and when.

Derived from a guide record's own times and glances. Knows nothing of how they came about.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vln.geometry import wrap
from vln.houses.graph.navigate import Walk
from vln.houses.world.disk import EPOCH

Trace = dict[str, npt.NDArray[Any]]

FIELD_OF_VIEW: Final = math.radians(60.0)
ASPECT: Final = 4 / 3
_NEAR, _FAR = 0.1, 100.0
_TURNING: Final = 1.2
"""Radians that a guide turns in a second."""


def pose_trace(record: Mapping[str, Any], walk: Walk) -> Trace:
    """Gives the snapshots of a guide's camera, one per change of pose and one at the end.

    Args:
        record: As `guide_records` gives it.
        walk: The home's viewpoints.

    Returns:
        For n snapshots, ascending in time: `pano` (n, 1) text; `time` (n, 1) float32 seconds;
        `extrinsic_matrix` (n, 16) float32, row-major, camera (x right, y up, looking along -z) to
        a world with y up, which is (x, z, -y) of ours; `intrinsic_matrix` (n, 16) float32,
        row-major, OpenGL's perspective projection. Only followers have an `audio_time`.

    Source: the schema and the viewer in google-research-datasets/RxR.
    """
    place = {name: number for number, name in enumerate(walk.ids)}
    poses = _poses(record)
    viewpoint = [place[record["path"][step]] for _, step, _, _ in poses]
    heading, elevation = (np.array([pose[k] for pose in poses]) for k in (2, 3))
    extrinsic = _camera_to_world(walk.position[viewpoint], heading, elevation)
    return {
        "pano": np.array([[walk.ids[v]] for v in viewpoint]),
        "time": np.array([[pose[0]] for pose in poses], dtype=np.float32).round(2),
        "extrinsic_matrix": extrinsic.reshape(-1, 16).round(5).astype(np.float32) + np.float32(0),
        "intrinsic_matrix": np.tile(_projection().ravel(), (len(poses), 1)),
    }


def _poses(record: Mapping[str, Any]) -> list[tuple[float, int, float, float]]:
    """Gives (seconds, index into the path, heading, elevation) of every snapshot."""
    words = record["timed_instruction"]
    poses: list[tuple[float, int, float, float]] = [(0.0, 0, float(record["heading"]), 0.0)]
    for first, step, heading, elevation in record["glances"]:
        arrives = float(words[int(first)]["start_time"])
        leaves = float(words[int(first) - 1]["end_time"]) if first else 0.0
        poses += _moved(poses[-1], (arrives, int(step), heading, elevation), leaves=leaves)
    end = float(words[-1]["end_time"])
    last = len(record["path"]) - 1
    poses += _moved(poses[-1], (end + 1.0, last, poses[-1][2], poses[-1][3]), leaves=end)
    return poses


def _moved(
    old: tuple[float, int, float, float], new: tuple[float, int, float, float], *, leaves: float
) -> list[tuple[float, int, float, float]]:
    """Gives the snapshots between two glances: one per viewpoint, and one amid a long turn."""
    arrives, step, heading, elevation = new
    between = list(range(old[1] + 1, step + 1))
    turn = float(wrap(np.array(heading - old[2])))
    found = []
    count = len(between) + 1
    for number, passed in enumerate(between, start=1):
        moment = leaves + (arrives - leaves) * number / (count + 1)
        found.append((moment, passed, old[2], 0.0))
    if abs(turn) > _TURNING / 2:
        moment = leaves + (arrives - leaves) * count / (count + 1)
        found.append((moment, step, (old[2] + turn / 2) % math.tau, (old[3] + elevation) / 2))
    return [*found, (arrives, step, float(heading), float(elevation))]


def _camera_to_world(
    position: npt.NDArray[np.float64],
    heading: npt.NDArray[np.float64],
    elevation: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Gives (n, 4, 4) poses in a world with y up."""
    sin_h, cos_h, sin_e, cos_e = (f(a) for a in (heading, elevation) for f in (np.sin, np.cos))
    none = np.zeros_like(heading)
    right = np.stack([cos_h, -sin_h, none], axis=-1)
    up = np.stack([-sin_h * sin_e, -cos_h * sin_e, cos_e], axis=-1)
    back = -np.stack([sin_h * cos_e, cos_h * cos_e, sin_e], axis=-1)
    pose = np.zeros((len(heading), 4, 4))
    ours = np.stack([right, up, back, position], axis=-1)
    # z up becomes y up: (x, y, z) -> (x, z, -y).
    pose[:, 0], pose[:, 1], pose[:, 2] = ours[:, 0], ours[:, 2], -ours[:, 1]
    pose[:, 3, 3] = 1.0
    return pose


def _projection() -> npt.NDArray[np.float32]:
    focal = 1 / math.tan(FIELD_OF_VIEW / 2)
    depth = _NEAR - _FAR
    rows = [
        [focal / ASPECT, 0, 0, 0],
        [0, focal, 0, 0],
        [0, 0, (_NEAR + _FAR) / depth, 2 * _NEAR * _FAR / depth],
        [0, 0, -1, 0],
    ]
    return np.array(rows, dtype=np.float32)


def trace_bytes(trace: Trace) -> bytes:
    """Gives the .npz file of a trace; equal traces give equal bytes, on every machine."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, values in trace.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(values), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), member.getvalue())
    return buffer.getvalue()
