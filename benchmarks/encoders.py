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

import orjson
import tyro

from benchmarks.study.document import as_document, as_object
from benchmarks.study.figures import DRAWN
from benchmarks.study.results import collect
from benchmarks.study.setup import Config
from benchmarks.study.training import train_all
from benchmarks.study.walks import Walks
from vln.errors import CannotWrite
from vln.runs import atomic, entry_point, say


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
    results = collect(Walks.of(config))
    stem = config.results
    try:
        figures = {}
        for key, draw in DRAWN.items():
            if key != "differences" or results.differences:
                file = stem.with_name(f"{stem.name}_{key}.png")
                draw(results, file)
                figures[key] = file.name
        document = as_document(results, config, figures=figures)
        with atomic(stem.with_name(f"{stem.name}.json")) as stream:
            stream.write(orjson.dumps(as_object(results, config), option=orjson.OPT_INDENT_2))
        with atomic(stem.with_name(f"{stem.name}.md"), "w") as stream:
            stream.write(document)
    except OSError as error:
        raise CannotWrite(
            f"{stem}: cannot be written ({error.strerror}). Choose another with --results."
        ) from error
    return document


if __name__ == "__main__":
    sys.exit(main())
