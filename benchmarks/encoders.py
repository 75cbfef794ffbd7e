"""What an agent's eyes should have been taught: towers compared in navigation, all else equal.

`python -m benchmarks.encoders --tower contrastive=clip_house --tower labels=tower:FILE ...` trains
the same follower, for equally many updates, on the features of every tower, and beside them blind,
on random vectors, on the first tower's features at wrong viewpoints, and on the true objects; five
seeds each. Then it reports success, paired differences, learning curves and, with `--twins`, flip
rates. Interrupted anywhere, the same command goes on. What other runs foresee of the expert's
actions tells `benchmarks.foresight`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

import tyro

from benchmarks.study.document import as_document, as_object
from benchmarks.study.figures import DRAWN
from benchmarks.study.report import write_report
from benchmarks.study.results import collect
from benchmarks.study.setup import UNTRAINED, Config, rows_of
from benchmarks.study.training import train_all
from benchmarks.study.walks import Walks
from vln.runs import entry_point, say


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    return entry_point(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.encoders")
    if config.stage != "report":
        train_all(config)
    if config.stage != "train":
        say(_report(config))
    return 0


def _report(config: Config) -> str:
    """Writes document, numbers and figures, and gives the document.

    Raises:
        CannotWrite: There is no room, or no permission.
    """
    first = config.tower[0].partition("=")[0]
    walks = Walks.of(config, rows_of(config))
    results = collect(walks, baselines=(first, UNTRAINED), twins=config.twins)
    return write_report(
        config.results,
        figures={
            key: partial(draw, results)
            for key, draw in DRAWN.items()
            if key != "differences" or results.differences
        },
        document=lambda figures: as_document(results, config, figures=figures),
        numbers=as_object(results, config),
    )


if __name__ == "__main__":
    sys.exit(main())
