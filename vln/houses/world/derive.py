"""One home from its plan to everything that is written about it, pictures excepted.

No files are touched, and the same plan gives the same records.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from vln.errors import BadConfig
from vln.houses.building.home import make_home
from vln.houses.building.scene import Home
from vln.houses.graph.navigate import Walk, records, walk_of
from vln.houses.graph.sight import box_records, sights_of
from vln.houses.words.caption import captions
from vln.houses.words.instruct import r2r_records
from vln.houses.words.narrate import guide_records
from vln.houses.world.spec import ID_SPAN, HomePlan, WorldSpec
from vln.runs import generator


@dataclass(frozen=True, eq=False)
class Derived:
    """A home and all that is written about it.

    Attributes:
        home: The scene.
        walk: Its viewpoints.
        connectivity: Records of its connectivity file.
        boxes: Per viewpoint id, the content of REVERIE's file.
        r2r: R2R records per annotation file, labels included.
        guides: RxR guide records.
        captions: Captions of single views.
    """

    home: Home
    walk: Walk
    connectivity: list[dict[str, Any]]
    boxes: dict[str, dict[str, Any]]
    r2r: dict[str, list[dict[str, Any]]]
    guides: list[dict[str, Any]]
    captions: list[dict[str, Any]]


def derive(plan: HomePlan, spec: WorldSpec) -> Derived:
    """Gives the home of a plan and its annotations."""
    home = make_home(
        plan.scan,
        seed=plan.seed,
        style=plan.style,
        new_pairs=plan.group.new_pairs,
        viewpoints=plan.viewpoints,
    )
    walk = walk_of(home)
    sights = sights_of(home, walk)
    first = (plan.number + 1) * ID_SPAN
    wanted = plan.group.paths + plan.is_seen * plan.group.seen_paths
    made = r2r_records(
        generator(plan.seed, "paths"), home, walk, sights, count=wanted, first_id=first
    )
    guides = guide_records(
        generator(plan.seed, "guides"),
        home,
        walk,
        sights,
        split=plan.group.split,
        count=spec.guides if plan.group.split != "test" else 0,  # their labels stay here
        first_id=first,
    )
    return Derived(
        home=home,
        walk=walk,
        connectivity=records(walk),
        boxes=box_records(home, walk, sights),
        r2r=_shared_out(made, plan),
        guides=guides,
        captions=captions(
            generator(plan.seed, "captions"), home, walk, sights, count=spec.captions
        ),
    )


def _shared_out(made: list[dict[str, Any]], plan: HomePlan) -> dict[str, list[dict[str, Any]]]:
    """Gives the records per file; a home that gave fewer than wanted gives every file its share."""
    group = plan.group
    seen = group.seen_paths if plan.is_seen else 0
    kept = len(made) - math.floor(len(made) * seen / (seen + group.paths))
    if seen and kept == len(made):
        raise BadConfig(
            f"home {plan.scan} has room for {len(made)} of the {seen + group.paths} paths wanted, "
            "so val_seen would get none. Ask for more viewpoints, or for fewer paths."
        )
    files = {group.split: made[:kept]}
    if seen:
        files["val_seen"] = made[kept:]
    if group.also:
        files[group.also] = made[:kept]
    return files
