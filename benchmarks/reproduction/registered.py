"""Published numbers by name: what was trained, in which stages, and what came out of each.

A number that nobody has looked up again since it was written down from memory says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from vln.registry import Registry

Stage = Literal["speaker", "follower", "back_translation"]
STAGES: Final[tuple[Stage, ...]] = ("speaker", "follower", "back_translation")
"""Of EnvDrop's recipe, in order."""
SPLITS: Final = ("val_seen", "val_unseen")
INSTRUCTIONS: Final = {"val_seen": 1021, "val_unseen": 2349}
"""Of R2R's files, which the published numbers were measured on."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One published number.

    Attributes:
        stage: Of the recipe, after which it was measured.
        split: On which.
        metric: A label in `vln.metrics.paths.METRICS`.
        value: In that metric's unit.
        source: Who says so.
        is_confirmed: False where it was written down from memory.
    """

    stage: Stage
    split: str
    metric: str
    value: float
    source: str
    is_confirmed: bool


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A published agent whose numbers are to be met.

    Attributes:
        name: What it is asked for by.
        title: What it is.
        encoder: Whose features it was trained on.
        recipe: Ours of the same stages; a name in `agents.recipes`.
        expected: Its numbers.
        notes: What a reader of a comparison has to know.
    """

    name: str
    title: str
    encoder: str
    recipe: str
    expected: tuple[Expected, ...]
    notes: tuple[str, ...] = ()

    def headline(self) -> dict[str, Expected]:
        """Gives success rate and SPL on val_unseen after the last stage."""
        return {
            one.metric: one
            for one in self.expected
            if (one.stage, one.split) == (STAGES[-1], "val_unseen") and one.metric in ("SR", "SPL")
        }


REPRODUCTIONS: Registry[Reproduction] = Registry("reproduction")

_LOG: Final = "EnvDrop's own log, PyTorch 1.7.1"
_README: Final = "README of the released code, about"
_TABLE: Final = "CLIP-ViL's table of encoders, from memory: take it as ±1"
_INDEX: Final = "CLIP-ViL, as an index of results quotes it"
_CHOSEN: Final = (
    "The published checkpoint is the best of many on val_unseen itself, which makes its number "
    "there optimistic."
)


def _expected(
    stage: Stage,
    values: Mapping[str, float],
    *,
    source: str,
    split: str = "val_unseen",
    is_confirmed: bool = True,
) -> tuple[Expected, ...]:
    return tuple(
        Expected(stage, split, metric, value, source, is_confirmed)
        for metric, value in values.items()
    )


def _clip(
    encoder: str,
    *,
    follower: tuple[float, float],
    final: tuple[float, float],
    is_quoted: bool = False,
) -> Reproduction:
    """Gives a row of CLIP-ViL's table.

    Args:
        encoder: Whose row.
        follower: Success rate and SPL on val_unseen after the first stage.
        final: The same after the last.
        is_quoted: Whether somebody else quotes the last success rate.
    """
    last = {"SR": final[0], "SPL": final[1]}
    quoted = {"SR": last.pop("SR")} if is_quoted else {}
    recalled = _expected(
        "follower",
        {"SR": follower[0], "SPL": follower[1]},
        source=_TABLE,
        is_confirmed=False,
    )
    return Reproduction(
        name=f"r2r_{encoder}",
        title=f"CLIP-ViL's EnvDrop agent on R2R with {encoder}",
        encoder=encoder,
        recipe=f"r2r_{encoder}",
        expected=(
            *recalled,
            *_expected("back_translation", quoted, source=_INDEX),
            *_expected("back_translation", last, source=_TABLE, is_confirmed=False),
        ),
        notes=(_CHOSEN,),
    )


ENVDROP: Final = Reproduction(
    name="r2r_envdrop",
    title="EnvDrop on R2R with ImageNet's ResNet-152",
    encoder="imagenet_resnet152",
    recipe="r2r_resnet152",
    expected=(
        *_expected("follower", {"SR": 46.0}, source=_README),
        *_expected("follower", {"SR": 48.2, "SPL": 44.4}, source=_TABLE, is_confirmed=False),
        *_expected(
            "back_translation",
            {"NE": 3.804, "SR": 65.5, "SPL": 62.4},
            source=_LOG,
            split="val_seen",
        ),
        *_expected(
            "back_translation",
            {"TL": 12.10, "NE": 5.067, "OSR": 60.7, "SR": 53.5, "SPL": 48.8},
            source=_LOG,
        ),
    ),
    notes=(
        _CHOSEN,
        "EnvDrop's README reports success rates of 51, 52 and 53.5 % for the same script under "
        "different versions of PyTorch.",
        "The published features come from Caffe's ResNet-152, imagenet_resnet152 from "
        "torchvision's; import the published file to see with the same eyes.",
    ),
)

for _entry in (
    ENVDROP,
    _clip("clip_rn50", follower=(52.6, 47.4), final=(56.2, 49.7)),
    _clip("clip_vit_b32", follower=(52.5, 47.7), final=(57.4, 51.3)),
    _clip("clip_rn101", follower=(53.6, 47.5), final=(56.7, 49.5)),
    _clip("clip_rn50x4", follower=(54.7, 48.7), final=(59.2, 52.9), is_quoted=True),
):
    REPRODUCTIONS.add(_entry.name, _entry)
