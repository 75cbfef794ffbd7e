"""How close instructions come to people's: `python -m benchmarks.bleu FILE --env r2r --split ...`.

The file is one of `python -m agents.describe`, or any other of paths with instructions in R2R's
format. BLEU compares words; whether somebody finds the way by them, `benchmarks.evaluate` tells: it
takes the file as a split.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import tyro

from benchmarks import tables
from benchmarks.score import load_split
from vln.data.augmented import load_augmented
from vln.data.locations import read_bytes
from vln.data.splits import EpisodeSet
from vln.errors import BadConfig, BadPredictions
from vln.metrics.intervals import Hierarchy, resample
from vln.metrics.text import Bleu, Protocol, bleu_interval, corpus_bleu
from vln.runs import entry_point, generator, say
from vln.types import Episode

_Path = tuple[str, tuple[str, ...]]  # scan and viewpoints


@dataclass(frozen=True)
class Config:
    """Compares the instructions of a file with those that people wrote for the same paths."""

    file: Annotated[Path, tyro.conf.Positional]
    """Paths with instructions, all paths of the split; several of one path all count."""
    env: str
    """Data set or world: r2r, houses."""
    split: str
    """Split with people's instructions, such as val_unseen."""
    protocol: Protocol = "sacrebleu"
    """sacrebleu: the library's. envdrop: R2R's tokens, the shortest reference's length."""
    json: bool = False
    """Print one JSON object instead of a table."""
    data: Path | None = None
    """Data folder; without it VLN_DATA, and the cache for a world."""
    draws: int = 2000
    """Bootstrap samples behind the interval."""
    seed: int = 0
    """Seed of the bootstrap."""


@dataclass(frozen=True, eq=False)
class Compared:
    """A file's instructions beside people's.

    Attributes:
        bleu: Over all.
        low, high: Ends of its 95 % interval.
        told: E instructions that were scored.
        paths: How many paths they describe.
        ignored: Instructions of other paths.
        split: Whose words they were compared with.
    """

    bleu: Bleu
    low: float
    high: float
    told: int
    paths: int
    ignored: int
    split: EpisodeSet


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.bleu")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    read_bytes(config.file, remedy="Name the file to compare.")  # before a world is made for it
    graph, split = load_split(config.env, config.split, data=config.data)
    found = compare(
        load_augmented(config.file, graph),
        split,
        protocol=config.protocol,
        draws=config.draws,
        seed=config.seed,
    )
    if config.json:
        say(orjson.dumps(_as_object(found, config), option=orjson.OPT_INDENT_2).decode())
    else:
        say(_as_text(found, config))
    return 0


def compare(
    told: EpisodeSet, split: EpisodeSet, *, protocol: Protocol, draws: int, seed: int
) -> Compared:
    """Gives BLEU of instructions against all that people wrote for the same paths.

    Args:
        told: Paths with instructions.
        split: The same paths, with people's.
        protocol: Whose definition of BLEU.
        draws: Bootstrap samples.
        seed: Of the bootstrap.

    Raises:
        BadConfig: The split's paths are held out.
        BadPredictions: Paths of the split are missing, or come without instructions.
    """
    references: dict[_Path, list[str]] = {}
    for one in split:
        references.setdefault(_path(one, split), []).append(one.instruction)
    kept = [one for one in told if _path(one, told) in references]
    _check(kept, references, told)
    hierarchy = Hierarchy.of(
        [one.start.scan for one in kept], paths=[one.reference for one in kept]
    )
    texts, known = [e.instruction for e in kept], [references[_path(e, told)] for e in kept]
    low, high = bleu_interval(
        texts,
        known,
        protocol=protocol,
        hierarchy=hierarchy,
        weights=resample(hierarchy, draws=draws, generator=generator(seed, "bootstrap")),
    )
    return Compared(
        corpus_bleu(texts, known, protocol=protocol),
        low,
        high,
        told=len(kept),
        paths=hierarchy.num_paths,
        ignored=len(told) - len(kept),
        split=split,
    )


def _path(episode: Episode, split: EpisodeSet) -> _Path:
    if episode.reference is None:
        raise BadConfig(
            f"the paths of split {split.split!r} are held out: nobody's words are there to compare "
            "with. Choose a split with labels."
        )
    return episode.start.scan, episode.reference


def _check(kept: Sequence[Episode], references: dict[_Path, list[str]], told: EpisodeSet) -> None:
    missing = references.keys() - {_path(one, told) for one in kept}
    if missing:
        scan, path = min(missing)
        raise BadPredictions.of(
            told.file,
            "",
            f"lacks {len(missing):,} of {len(references):,} paths of the split, that from "
            f"{path[0]} to {path[-1]} in {scan} for example",
            "Describe the whole split: python -m agents.describe --run RUN --split SPLIT.",
        )
    silent = sum(not one.instruction.strip() for one in kept)
    if silent == len(kept):
        raise BadPredictions.of(
            told.file,
            "",
            "has paths without instructions",
            "Name a file of instructions in words; word ids alone do not tell them.",
        )


def _as_object(found: Compared, config: Config) -> dict[str, Any]:
    bleu, split = found.bleu, found.split
    return {
        "file": str(config.file),
        "env": config.env,
        "split": split.split,
        "annotations": split.file,
        "annotations_sha256": split.sha256,
        "protocol": config.protocol,
        "signature": bleu.signature,
        "bleu": {"score": bleu.score, "low": found.low, "high": found.high},
        "precisions": bleu.precisions.tolist(),
        "brevity_penalty": bleu.brevity_penalty,
        "tokens": bleu.hypothesis_length,
        "tokens_of_references": bleu.reference_length,
        "instructions": found.told,
        "instructions_ignored": found.ignored,
        "paths": found.paths,
        "interval": {"level": 0.95, "draws": config.draws, "seed": config.seed},
    }


def _as_text(found: Compared, config: Config) -> str:
    bleu, split = found.bleu, found.split
    table = tables.Table(
        ("BLEU-4", "95 % interval", "1 / 2 / 3 / 4-grams found, %", "brevity penalty"),
        [
            (
                f"{bleu.score:.1f}",
                f"[{found.low:.1f}, {found.high:.1f}]",
                " / ".join(f"{share:.1f}" for share in bleu.precisions),
                f"{bleu.brevity_penalty:.3f}",
            )
        ],
    )
    lines = [
        f"{config.file}",
        f"data set     {config.env} {split.split}, protocol {config.protocol} ({bleu.signature})",
        f"annotations  {split.file}, sha256 {split.sha256[:12]}",
        f"denominator  {found.told:,} instructions of {found.paths:,} paths, "
        f"{bleu.hypothesis_length:,} tokens beside {bleu.reference_length:,}; "
        f"{found.ignored:,} of other paths (ignored)",
        "",
        tables.as_text(table),
        "",
        f"95 % interval: {config.draws:,} bootstrap samples of scans, then of paths within them",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
