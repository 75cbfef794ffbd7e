"""Lays the study of back-translation out: a document for people, the same for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from benchmarks.score import metrics_object
from benchmarks.study.document import (
    cell,
    curves_object,
    difference_parts,
    figure_parts,
    joined,
    machines_text,
    method,
    results_object,
    scores_table,
    unfinished,
)
from benchmarks.study.results import Results
from benchmarks.study.setup import UNSEEN
from benchmarks.tables import Table, as_markdown
from benchmarks.translating.figures import FIGURES
from benchmarks.translating.results import OWN, Floats, Found, Words
from benchmarks.translating.setup import FOLLOWER, Config, training_of
from benchmarks.translating.walkers import GREEDY, all_walked
from vln.metrics.intervals import Interval
from vln.metrics.paths import METRICS

SHOWN: Final = ("SR", "SPL", "nDTW", "NE")
"""Metrics in the document; the JSON file has all."""
MEANINGS: Final = {
    OWN: "the data's own words",
    "generated": "the speaker's",
    "shuffled": "the speaker's of another path of the scan",
}


def as_document(found: Found, config: Config, *, figures: Mapping[str, str]) -> str:
    """Gives the Markdown document.

    Args:
        found: What to lay out.
        config: The study.
        figures: Names of the pictures beside the document, by keys of `FIGURES`.
    """
    greedy = found.greedy
    parts = [
        f"# What back-translation buys in {config.env}",
        _setting(config),
        unfinished(greedy.missing),
        as_markdown(_rows_table(greedy)),
        "## Success rate, %",
        as_markdown(scores_table(greedy)),
        f"On {UNSEEN}, by other measures:",
        as_markdown(_metrics_table(greedy)),
        *difference_parts(greedy),
        *_walker_parts(found),
        *_words_parts(found),
        *_loss_parts(found),
        "## Figures",
        *figure_parts(figures, FIGURES),
        "## How it was measured",
        _method(found),
        method(greedy, draws=config.draws),
        machines_text(greedy.machines),
    ]
    return joined(parts)


def _setting(config: Config) -> str:
    labels = f", {config.labels:,} instructions of all there are" if config.labels else ""
    paths = f"{config.paths:,}" if config.paths else "all"
    mine = training_of(config, "translation", 0)
    return (
        "Written by `python -m benchmarks.translation`. In every seed one follower "
        f"(recipe `{config.recipe}`, `--encoder {config.encoder}`, {config.updates:,} updates) and "
        f"one speaker (recipe `{config.speaker_recipe}`, {config.speaker_updates:,} updates) learn "
        f"from the labelled paths{labels}. All rows of that seed go on from that follower's last "
        f"weights for {config.further:,} updates. With further paths ({paths} sampled ones in "
        f"training scans, none of them labelled) an update has {mine.batch} labelled episodes and "
        f"as many others, whose imitation loss weighs {mine.extra.imitation_weight:g} beside "
        f"{mine.learning.imitation_weight:g}; without, the labelled ones alone. The last weights "
        "are reported: nothing was chosen on a reported split. The speaker's weights are its best "
        "by BLEU on dev, which are training homes held out."
    )


def _rows_table(results: Results) -> Table:
    header = ("row", "seeds", "s per update", "what it learns from")
    body = [
        (one.row.name, str(len(one.seeds)), f"{one.update_seconds:.2f}", one.row.about)
        for one in results.rows
    ]
    return Table(header, body)


def _metrics_table(results: Results) -> Table:
    labels = [metric.label for metric in METRICS]
    body = [
        (one.row.name, *(cell(one.scores[UNSEEN], metric=labels.index(name)) for name in SHOWN[1:]))
        for one in results.rows
    ]
    units = {metric.label: metric.unit for metric in METRICS}
    return Table(("mean [95 %]", *(f"{name} ({units[name]})" for name in SHOWN[1:])), body)


def _walker_parts(found: Found) -> list[str]:
    parts = []
    for walker, results in found.results.items():
        if (walked := found.results.get(all_walked(walker))) is None:
            continue
        parts += [
            f"## Success rate of {walker}, %",
            "State-factored search, the speaker's weight the one that does best on dev; the "
            "chosen route alone, as if it had been known.",
            as_markdown(scores_table(results)),
            f"On {UNSEEN}, the chosen route alone, and with all that is walked to find the routes, "
            "which is what a leaderboard counts:",
            as_markdown(_lengths_table(results, walked)),
            *(part.replace("in success", f"of {walker}") for part in difference_parts(results)),
        ]
    return parts


def _lengths_table(alone: Results, walked: Results) -> Table:
    labels = [metric.label for metric in METRICS]
    header = tuple(f"{name} {of}" for of in ("alone", "walked") for name in ("TL (m)", "SPL (%)"))
    body = [
        (
            one.row.name,
            *(
                cell(side.scores[UNSEEN], metric=labels.index(name))
                for side in (one, other)
                for name in ("TL", "SPL")
            ),
        )
        for one, other in zip(alone.rows, walked.rows, strict=True)
    ]
    return Table(("mean [95 %]", *header), body)


def _words_parts(found: Found) -> list[str]:
    if not found.words:
        return []
    return [
        "## The speaker's words",
        as_markdown(_words_table(found)),
        "BLEU-4 of one instruction per path against all of its own, ± s.d. of seeds: sacrebleu's, "
        "and by EnvDrop's definition. Word loss and accuracy are those of people's own words, each "
        "foretold from those before it.",
        f"A frozen judge, the row `{FOLLOWER}`, by whose words (success, %):",
        as_markdown(_judged_table(found)),
        "One generated instruction per path beside the mean over that path's own; intervals over "
        "seeds, homes and paths. Shuffled: the floor, what the judge reaches without the words "
        "fitting the path. Differences are those of the speaker's words.",
        *_named_parts(found),
        f"Paths of {UNSEEN} and what is said of them:",
        *_example_parts(found),
    ]


def _words_table(found: Found) -> Table:
    header = ("", "seeds", "paths", "BLEU", "BLEU (EnvDrop)", "word loss (nats)", "words right, %")
    body = [
        (
            one.split,
            str(len(one.seeds)),
            f"{one.paths[0]:,} in {one.paths[1]} homes",
            _spread(one.bleu["sacrebleu"], 1),
            _spread(one.bleu["envdrop"], 1),
            _spread(one.likelihood["word_loss"], 2),
            _spread(100 * one.likelihood["word_accuracy"], 1),
        )
        for one in found.words
    ]
    return Table(header, body)


def _spread(values: Floats, digits: int) -> str:
    deviation = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{deviation}"


def _judged_table(found: Found) -> Table:
    header = ("", *(one.split for one in found.words))
    body = [
        (about, *(cell(one.walked[kind]) for one in found.words))
        for kind, about in MEANINGS.items()
    ]
    body += [
        (
            f"difference from {MEANINGS[other]}",
            *(cell(one.differences[other], "+") for one in found.words),
        )
        for other in found.words[0].differences
    ]
    return Table(header, body)


def _named_parts(found: Found) -> list[str]:
    if not all(one.named for one in found.words):
        return []
    header = ("objects named", *(one.split for one in found.words))
    body = [
        (about, *(_named(one, kind) for one in found.words)) for kind, about in MEANINGS.items()
    ]
    return [
        as_markdown(Table(header, body)),
        "Per instruction, and the share of them that is in sight from some viewpoint of the path: "
        "an object of that category, and of that colour where it is said.",
    ]


def _named(words: Words, kind: str) -> str:
    count, share = words.named[kind]
    return f"{count:.1f}, {100 * share:.0f} %" if np.isfinite(share) else f"{count:.1f}"


def _example_parts(found: Found) -> list[str]:
    return [
        "\n".join(
            (
                f"- {one.scan}, {len(one.path) - 1} steps. Speaker: {one.generated or '(nothing)'}",
                *(f"  - own: {text}" for text in one.own),
            )
        )
        for one in found.examples
    ]


def _loss_parts(found: Found) -> list[str]:
    labelled, further = found.losses["labelled"], found.losses["further"]
    body = [
        (name, _last(curve), _last(further[name]) if name in further else "")
        for name, curve in labelled.items()
    ]
    return [
        "## Losses at the end of training",
        as_markdown(Table(("imitation loss", "labelled paths", "further paths"), body)),
        "Nats per path, means over the updates since the last point of the curve, then over seeds, "
        "with dropout as in training. A row learns what its words tell apart: where the further "
        "paths' loss stays high, their words do not say where to go.",
    ]


def _last(curve: Mapping[int, list[float]]) -> str:
    return f"{float(np.mean(curve[max(curve)])):.2f}"


def _method(found: Found) -> str:
    said = (
        "Every further run begins with fresh optimiser states and its own learning rate schedule, "
        "the same in all rows. Rows of one seed draw the same labelled batches, and those with "
        "further paths the same of these."
    )
    if np.isfinite(found.leads):
        said += (
            " The ceiling's instructions are written as the world's own, but for paths that nobody "
            "chose for being easy to tell: what nothing singles out is told by the nearest turn, "
            f"and for {100 * found.leads:.0f} % of paths carrying out the text leads to the goal "
            "(of the world's own, for all)."
        )
    if found.words:
        said += (
            " The judge of the speaker's words and the speaker have learnt from the same paths, "
            "never from the reported ones."
        )
    return said


def as_object(found: Found, config: Config) -> dict[str, Any]:
    """Gives the same for programs, every metric included."""
    return {
        **{
            name: getattr(config, name)
            for name in (
                *("env", "encoder", "recipe", "speaker_recipe", "updates", "further"),
                *("speaker_updates", "paths"),
            )
        },
        **results_object(found.greedy, draws=config.draws),
        "walkers": {
            walker: results_object(results, draws=config.draws)
            for walker, results in found.results.items()
            if walker != GREEDY
        },
        "speaker": [_words_object(one) for one in found.words],
        "examples": [asdict(one) for one in found.examples],
        "told_leads": found.leads if np.isfinite(found.leads) else None,
        "curves": {
            "metric": "SR",
            "split": UNSEEN,
            "rows": curves_object(found.greedy.curves),
        },
        "losses": {kind: curves_object(curves) for kind, curves in found.losses.items()},
    }


def _words_object(one: Words) -> dict[str, Any]:
    return {
        "split": one.split,
        "seeds": one.seeds,
        "paths": one.paths[0],
        "homes": one.paths[1],
        "bleu": {name: values.tolist() for name, values in one.bleu.items()},
        **{name: values.tolist() for name, values in one.likelihood.items()},
        "judged": _metrics(one.walked),
        "generated_minus": _metrics(one.differences),
        "objects_named": {
            kind: {"per_text": count, "in_sight": share if np.isfinite(share) else None}
            for kind, (count, share) in one.named.items()
        },
    }


def _metrics(scores: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: metrics_object(interval) for name, interval in scores.items()}
