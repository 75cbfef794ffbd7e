"""Expected against measured: the comparison, as a Markdown report and for programs.

States differences and whether they lie within the interval; claims nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from agents.config import TrainConfig, to_json
from agents.recipes import stages_of
from benchmarks import tables
from benchmarks.reproduction.lacking import ENV
from benchmarks.reproduction.measured import PROTOCOL, Measured, Value
from benchmarks.reproduction.registered import INSTRUCTIONS, Expected, Reproduction
from benchmarks.speed.report import machine_list
from vln.encoders.handle import Handle

_NO_MATTER: Final = (
    *("device", "encoder", "env", "evaluate", "evaluate_every", "extra.speaker"),
    *("seed", "service", "start", "start_from", "threads"),
)
"""Settings that change nothing, or that are compared in words of their own."""
_OF_IMPORTED: Final = ("model.word", "model.hidden", "model.max_words", "max_steps")
"""Settings that say something of an agent that was trained elsewhere."""


@dataclass(frozen=True)
class Row:
    """One published number beside what came out.

    Attributes:
        expected: The number.
        measured: What came out; None where that stage was not played.
    """

    expected: Expected
    measured: Value | None

    @property
    def difference(self) -> float | None:
        """Measured minus expected."""
        return None if self.measured is None else self.measured.mean - self.expected.value

    @property
    def is_inside(self) -> bool | None:
        """Whether the expected number lies within the interval of the measured one."""
        if self.measured is None:
            return None
        return self.measured.low <= self.expected.value <= self.measured.high


@dataclass(frozen=True)
class Report:
    """Everything that is told.

    Attributes:
        reproduction: What was to be met.
        stages: What was played.
        untrained: Stages that were not there to be played.
        train: SHA-256 of the training annotations.
        machine: Facts about it.
        draws: Bootstrap samples behind the intervals.
    """

    reproduction: Reproduction
    stages: Sequence[Measured]
    untrained: Sequence[str]
    train: str
    machine: Mapping[str, Any]
    draws: int

    def rows(self) -> list[Row]:
        """Gives every published number beside what came out."""
        found = {
            (stage.stage, played.split, metric): value
            for stage in self.stages
            for played in stage.splits
            for metric, value in played.values.items()
        }
        return [
            Row(one, found.get((one.stage, one.split, one.metric)))
            for one in self.reproduction.expected
        ]

    def digests(self) -> dict[str, str]:
        """Gives the SHA-256 of everything that decided the numbers, by what it is."""
        named = {"R2R_train.json": self.train}
        for stage in self.stages:
            for played in stage.splits:
                named["connectivity"] = played.world
                named[f"R2R_{played.split}.json"] = played.annotations
                named |= played.digests
            named |= {
                f"{what}, {stage.stage}": digest for what, digest in stage.digests.items() if digest
            }
        return named


def differences(reproduction: Reproduction, stage: Measured) -> list[str]:
    """Gives in what a stage is unlike the published one, as far as settings and data tell."""
    return [
        *_unlike_eyes(reproduction, stage),
        *_unlike_settings(reproduction, stage),
        *_unlike_data(stage),
        *([] if stage.is_finished else ["its training has not come to its end"]),
    ]


def _unlike_eyes(reproduction: Reproduction, stage: Measured) -> Iterator[str]:
    seen = Handle.parse(stage.config.encoder)
    if seen.plain != reproduction.encoder:
        yield f"encoder {seen}, published with {reproduction.encoder}"
    elif not seen.imported:
        yield f"whether the features of {seen} are the published file's: no imported file is named"


def _unlike_settings(reproduction: Reproduction, stage: Measured) -> Iterator[str]:
    usual = stages_of(reproduction.recipe)[stage.stage]
    theirs = _flat(replace(usual, select="val_unseen"))
    for name, value in _flat(stage.config).items():
        is_told = name in _OF_IMPORTED or not stage.source
        if is_told and name not in _NO_MATTER and value != theirs[name]:
            yield f"{name} {value}, published {theirs[name]}"


def _flat(config: TrainConfig) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in to_json(config).items():
        parts = value if isinstance(value, dict) else {"": value}
        flat |= {f"{name}.{part}".rstrip("."): one for part, one in parts.items()}
    return flat


def _unlike_data(stage: Measured) -> Iterator[str]:
    if stage.config.env != ENV:
        yield f"trained on {stage.config.env}, published on {ENV}"
    if stage.stage == "speaker":
        return
    for played in stage.splits:
        published = INSTRUCTIONS[played.split]
        if played.count != published:
            yield f"{played.split} has {played.count:,} instructions, published {published:,}"


def as_object(report: Report) -> dict[str, Any]:
    """Gives the report for programs."""
    reproduction = report.reproduction
    return {
        "reproduction": reproduction.name,
        "title": reproduction.title,
        "encoder": reproduction.encoder,
        "recipe": reproduction.recipe,
        "protocol": PROTOCOL,
        "interval": {"level": 0.95, "draws": report.draws},
        "comparison": [_row_object(row) for row in report.rows()],
        "stages": [_stage_object(reproduction, stage) for stage in report.stages],
        "not_trained": list(report.untrained),
        "sha256": report.digests(),
        "machine": dict(report.machine),
    }


def _row_object(row: Row) -> dict[str, Any]:
    one, value = row.expected, row.measured
    return {
        "stage": one.stage,
        "split": one.split,
        "metric": one.metric,
        "expected": one.value,
        "source": one.source,
        "is_confirmed": one.is_confirmed,
        "measured": None if value is None else value.mean,
        "low": None if value is None else value.low,
        "high": None if value is None else value.high,
        "difference": row.difference,
        "is_inside_interval": row.is_inside,
    }


def _stage_object(reproduction: Reproduction, stage: Measured) -> dict[str, Any]:
    return {
        "stage": stage.stage,
        "run": stage.run,
        "encoder": stage.config.encoder,
        "iteration": stage.iteration,
        "is_finished": stage.is_finished,
        "imported_from": dict(stage.source),
        "unlike_published": differences(reproduction, stage),
        "splits": {
            played.split: {
                "count": played.count,
                "metrics": {name: _value_object(value) for name, value in played.values.items()},
            }
            for played in stage.splits
        },
    }


def _value_object(value: Value) -> dict[str, Any]:
    ends = {"low": value.low, "high": value.high} if value.has_interval else {}
    return {"mean": value.mean, **ends, "unit": value.unit}


def as_document(report: Report) -> str:
    """Gives the report as Markdown."""
    reproduction = report.reproduction
    untrained = "".join(f"\n- {name}: not trained yet" for name in report.untrained)
    played = "\n".join(f"- {stage.stage}: {_about(stage)}" for stage in report.stages)
    unlike = "\n".join(
        f"- {stage.stage}: {text}"
        for stage in report.stages
        for text in differences(reproduction, stage) or ["nothing that settings or data tell"]
    )
    digests = [(name, digest) for name, digest in report.digests().items()]
    return f"""# {reproduction.name}

{reproduction.title}. Written by `python -m benchmarks.reproduce`.

{headline(report)}

{tables.as_markdown(_comparison(report))}

The interval holds 95 % of {report.draws:,} bootstrap samples of scans, then of paths within them:
it speaks of other houses, not of other trainings. \
{" ".join(reproduction.notes)}

## What was played

{played}{untrained}

{tables.as_markdown(_measured(report))}

## Unlike the published agent

{unlike}

## Protocol

Protocol {PROTOCOL}: every instruction counts and is followed once, greedily, without a beam; an
agent succeeds that stops less than 3 m of walked distance from the goal; lengths are walked on the
connectivity graph. A speaker describes every path once.

## SHA-256

{tables.as_markdown(tables.Table(("what", "sha256"), digests))}

## Machine

{machine_list(report.machine)}
"""


def _about(stage: Measured) -> str:
    seen = f"--encoder {stage.config.encoder}"
    if stage.source:
        digest = stage.source["sha256"][:12]
        told = f"{stage.source['name']} (sha256 {digest}) after {stage.iteration:,} iterations"
        return f"imported from {told}, {seen}"
    judged = "BLEU" if stage.stage == "speaker" else "success rate"
    return (
        f"the run {stage.run} after {stage.iteration:,} updates, its best by {judged} on "
        f"{stage.config.select}, {seen}"
    )


def headline(report: Report) -> str:
    """Gives the main number in one sentence: what was expected, what came out, how far apart."""
    rows = [row for row in report.rows() if row.expected.metric == "SR"]
    told = [row for row in rows if row.measured is not None]
    if not told:
        return "None of the published numbers belongs to what was played."
    row = told[-1]
    one, value = row.expected, row.measured
    assert value is not None
    where = "within" if row.is_inside else "outside"
    return (
        f"Success rate on {one.split} after the stage {one.stage}: {value.mean:.1f} %, expected "
        f"{one.value:.1f} % ({one.source}); the difference is {_signed(row.difference)}, and the "
        f"expected number lies {where} the interval [{value.low:.1f}, {value.high:.1f}]."
    )


def _comparison(report: Report) -> tables.Table:
    header = ("stage, split, metric", "expected", "measured", "95 % interval", "difference")
    lines = []
    for row in report.rows():
        one, value = row.expected, row.measured
        lines.append(
            (
                f"{one.stage}, {one.split}, {one.metric}",
                f"{one.value:g}",
                "not played" if value is None else f"{value.mean:.2f}",
                "" if value is None else f"[{value.low:.2f}, {value.high:.2f}]",
                "" if value is None else _signed(row.difference),
                _verdict(row),
                one.source,
            )
        )
    return tables.Table((*header, "expected lies", "who says so"), lines)


def _verdict(row: Row) -> str:
    inside = row.is_inside
    return "" if inside is None else "within" if inside else "outside"


def _signed(difference: float | None) -> str:
    assert difference is not None
    return f"{difference:+.2f}"


def _measured(report: Report) -> tables.Table:
    rows = [
        (
            f"{stage.stage}, {played.split} ({played.count:,}), {name}",
            f"{value.mean:.2f} {value.unit}",
            f"[{value.low:.2f}, {value.high:.2f}]" if value.has_interval else "",
        )
        for stage in report.stages
        for played in stage.splits
        for name, value in played.values.items()
    ]
    return tables.Table(("stage, split (instructions or paths), metric", "mean", "95 %"), rows)
