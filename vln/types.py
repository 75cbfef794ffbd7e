"""The records that every package speaks: where an agent is, what it is asked, where it went.

Knows nothing of graphs, arrays or files.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an agent stands and which way it looks.

    Attributes:
        scan: Matterport scan (house) id.
        viewpoint: Viewpoint id within the scan.
        heading: Radians in [0, 2 pi); 0 looks along world +y, turning right increases it.
        elevation: Radians from the horizontal plane, up positive.
    """

    scan: str
    viewpoint: str
    heading: float
    elevation: float


@dataclass(frozen=True, slots=True)
class Episode:
    """One instruction to follow.

    Attributes:
        id: The leaderboard's id, `<path_id>_<k>` in R2R.
        start: Where the agent begins; the heading is the data set's, not yet snapped.
        instruction: The text, as annotated.
        language: BCP 47 tag such as `en`.
        reference: The guide's viewpoints from start to goal; None where labels are held out.
    """

    id: str
    start: Pose
    instruction: str
    language: str
    reference: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What an agent did in one episode.

    Attributes:
        episode_id: Which episode.
        poses: Every pose in order, start first, turns on the spot included.
        stopped: Whether the agent chose to stop (False: it ran out of steps).
    """

    episode_id: str
    poses: tuple[Pose, ...]
    stopped: bool


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """What an image encoder gives, and who it is.

    Attributes:
        pooled_dim: Features of an image.
        grid: Channels, rows and columns of the grid before the pooling, at the encoder's own size.
        image_size: Height and width in pixels of what the network sees of a 640 x 480 view.
        color_order: `rgb`, or `bgr` to match features that were made with swapped colours.
        precision: `fp32`, `bf16` or `fp16`.
        fingerprint: Identity, hex: weights, preprocessing, colour order, precision, output.
    """

    pooled_dim: int
    grid: tuple[int, int, int]
    image_size: tuple[int, int]
    color_order: str
    precision: str
    fingerprint: str
