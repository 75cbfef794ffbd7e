"""Gymnasium environments on the panoramic simulator; importing this registers their ids.

`gymnasium.make("envs:vln/R2R-v0", split="val_unseen")` gives one environment,
`gymnasium.make_vec("envs:vln/R2R-v0", num_envs=64)` the native batch. A data set that is new to
`vln.data.episodes` needs one line here. `vln/Houses-v0` opens a world of ours that has been made,
by `python -m vln.houses make` or any command with `--env houses`.
"""

from __future__ import annotations

import gymnasium

_DATASETS = {"vln/R2R-v0": "r2r", "vln/R4R-v0": "r4r", "vln/Houses-v0": "houses"}

for _id, _dataset in _DATASETS.items():
    gymnasium.register(
        id=_id,
        entry_point="envs.panorama:PanoramaEnv",
        vector_entry_point="envs.vector:PanoramaVectorEnv",
        kwargs={"dataset": _dataset},
    )
