"""Whether back-translation helps a follower, and how good the words are that it learns from.

`python -m benchmarks.translation` trains, in every seed, one follower and one speaker, and lets
followers go on from these very weights: on labelled paths alone, on sampled paths that the speaker
describes, through masks or not, and on the same paths in the words of the world's own writer.
Then it reports success, paired differences, learning curves, and whether the frozen follower finds
its way by what the speaker says. Interrupted anywhere, the same command goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import tyro

from benchmarks.study.report import write_report
from benchmarks.translating.document import as_document, as_object
from benchmarks.translating.figures import drawn
from benchmarks.translating.results import collect_all
from benchmarks.translating.setup import Config
from benchmarks.translating.training import train_all
from vln.runs import entry_point, say


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    return entry_point(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.translation")
    if config.stage != "report":
        train_all(config)
    if config.stage != "train":
        say(_report(config))
    return 0


def _report(config: Config) -> str:
    """Writes document, numbers and figures, and gives the document."""
    found = collect_all(config)
    return write_report(
        config.results,
        figures=drawn(found, config),
        document=lambda figures: as_document(found, config, figures=figures),
        numbers=as_object(found, config),
    )


if __name__ == "__main__":
    sys.exit(main())
