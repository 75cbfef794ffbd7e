"""What the study of back-translation came to: rows, losses, and how good the speaker's words are.

Lays nothing out.
"""

# N seeds, P paths, M metrics

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson

from agents.trainer import BEST, LAST
from benchmarks.curves import Curves, gather
from benchmarks.study.results import Results, Samples, collect
from benchmarks.study.setup import SEEN, UNSEEN, predictions_of
from benchmarks.study.walks import Walks, score_file
from benchmarks.translating.naming import InSight
from benchmarks.translating.setup import (
    BASELINES,
    FOLLOWER,
    LONGER,
    SPEAKER,
    TOLD,
    Config,
    rows_of,
    run_of,
    told_file,
)
from benchmarks.translating.spoken import (
    KINDS,
    Spoken,
    as_episodes,
    is_asked,
    spoken_folder,
    unique_paths,
    walks_by,
)
from benchmarks.translating.walkers import GREEDY, walkers_of
from vln import worlds
from vln.data.episodes import load_episodes
from vln.data.splits import EpisodeSet
from vln.errors import BadConfig
from vln.graph import NavGraph
from vln.metrics.intervals import Hierarchy, Interval
from vln.metrics.text import corpus_bleu

Floats = npt.NDArray[np.float64]

OWN: Final = "own"
EXAMPLES: Final = 3


@dataclass(frozen=True, eq=False)
class Words:
    """How good the speaker's instructions for a split are; one per path.

    Attributes:
        split: Whose paths.
        seeds: N seeds.
        paths: P, and the homes that they lie in.
        bleu: (N,) by protocol of `corpus_bleu`, 0 to 100.
        likelihood: (N,) word loss in nats and word accuracy, of people's own words.
        walked: Scores of the frozen follower by `own` words, all of a path's averaged, and by
            `KINDS`.
        differences: `generated` minus the two others.
        named: Of `own` words and of `KINDS`, objects named per text, and the share of them that is
            in sight along the path; empty where nobody can tell.
    """

    split: str
    seeds: tuple[int, ...]
    paths: tuple[int, int]
    bleu: Mapping[str, Floats]
    likelihood: Mapping[str, Floats]
    walked: Mapping[str, Interval]
    differences: Mapping[str, Interval]
    named: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Example:
    """A path, what the world says of it and what the speaker does."""

    scan: str
    path: tuple[str, ...]
    own: tuple[str, ...]
    generated: str


@dataclass(frozen=True, eq=False)
class Found:
    """All that a study has come to.

    Attributes:
        results: By walker; all have the same rows.
        losses: Imitation losses on `labelled` and on `further` paths against updates, by row; the
            speaker's `word_loss` and `bleu`.
        words: One per split; none without a speaker.
        examples: Of val_unseen, by the speaker of the first seed.
        leads: Share of `told` instructions whose reading ends at the goal; NaN without such.
    """

    results: Mapping[str, Results]
    losses: Mapping[str, Curves]
    words: Sequence[Words]
    examples: Sequence[Example]
    leads: float

    @property
    def greedy(self) -> Results:
        """Of greedy walks, curves included."""
        return self.results[GREEDY]


def collect_all(config: Config) -> Found:
    """Gives the results of all finished runs.

    Raises:
        BadConfig: Nothing is finished.
        BadPredictions, MissingData, CorruptData: Walks or data are not those of the runs.
    """
    rows = rows_of(config)
    walks = Walks.of(config, rows)
    results = {GREEDY: collect(walks, baselines=BASELINES)}
    for walker in (name for one in walkers_of(config) for name in one.names):
        if walker != GREEDY and _is_there(config, walker):
            others = Walks.of(config, rows, walker=walker)
            results[walker] = collect(others, baselines=BASELINES)
    judge = _Judge(config, walks.graph)
    words = [judge.words(split) for split in (SEEN, UNSEEN)] if judge.seeds else []
    return Found(
        results=results,
        losses=_losses(config, walks),
        words=words,
        examples=judge.examples() if judge.seeds else [],
        leads=_leads(config) if any(row.name == TOLD for row in rows) else float("nan"),
    )


def _is_there(config: Config, walker: str) -> bool:
    return any(
        predictions_of(run_of(config, row.name, seed), UNSEEN, walker=walker).is_file()
        for row in rows_of(config)
        for seed in range(config.seeds)
    )


def two_phases(curves: Curves, config: Config) -> Curves:
    """Gives curves against all updates: rows go on from where the follower ends."""
    end = curves.get(FOLLOWER, {}).get(config.updates)
    return {
        name: curve
        if name == FOLLOWER
        else {
            **({config.updates: end} if end else {}),
            **{config.updates + step: values for step, values in curve.items()},
        }
        for name, curve in curves.items()
    }


def _losses(config: Config, walks: Walks) -> dict[str, Curves]:
    def of(key: str, names: Mapping[str, Sequence[int]]) -> Curves:
        runs = [(name, run_of(config, name, seed)) for name in names for seed in names[name]]
        if not runs:
            return {}
        return gather(
            [run for _, run in runs], key=key, scale=1.0, names=[name for name, _ in runs]
        )

    rows = {row.name: seeds for row, seeds in walks.seeds.items()}
    further = {name: seeds for name, seeds in rows.items() if name not in (FOLLOWER, LONGER)}
    told = range(config.seeds)
    speakers = {SPEAKER: [s for s in told if (run_of(config, SPEAKER, s) / BEST).is_file()]}
    return {
        "labelled": of("imitation_loss", rows),
        "further": of("extra_imitation_loss", further),
        "word_loss": of("word_loss", speakers),
        "bleu": of(f"{UNSEEN}/bleu", speakers),
    }


def _leads(config: Config) -> float:
    files = [told_file(config, seed) for seed in range(config.seeds)]
    records = [one for file in files if file.is_file() for one in orjson.loads(file.read_bytes())]
    return float(np.mean([one["leads"] for one in records])) if records else float("nan")


class _Judge:
    """Judges what speakers said; seeds are those that are done."""

    def __init__(self, config: Config, graph: NavGraph) -> None:
        self._config, self._graph = config, graph
        self._located = worlds.find(config.env, config.data)
        self._sight: InSight | None = None
        self.seeds = tuple(seed for seed in range(config.seeds) if self._is_done(seed))

    def _is_done(self, seed: int) -> bool:
        sources = [
            run_of(self._config, name, seed) / file
            for name, file in ((FOLLOWER, LAST), (SPEAKER, BEST))
        ]
        folder = spoken_folder(self._config, seed)
        own = [predictions_of(sources[0].parents[1], split) for split in (SEEN, UNSEEN)]
        return all(file.is_file() for file in (*sources, *own)) and all(
            is_asked(folder, split, *sources) for split in (SEEN, UNSEEN)
        )

    def words(self, split: str) -> Words:
        """Gives what the speakers' words for a split are worth.

        Raises:
            BadPredictions: Walks are not those of the split.
        """
        episodes = self._episodes(split)
        paths = unique_paths(episodes)
        said = [Spoken.read(spoken_folder(self._config, seed), split) for seed in self.seeds]
        samples = Samples.of(
            Hierarchy.of([start.scan for start, _ in paths], paths=range(len(paths))),
            draws=self._config.draws,
        )
        values = {
            OWN: np.stack([self._by_own_words(split, episodes, seed) for seed in self.seeds]),
            **{kind: self._by_texts(split, kind, episodes, said) for kind in KINDS},
        }
        return Words(
            split,
            self.seeds,
            (len(paths), samples.hierarchy.num_scans),
            bleu=_bleu(said, own_texts(episodes)),
            likelihood={
                key: np.array([one.likelihood[key] for one in said]) for key in said[0].likelihood
            },
            walked={key: samples.interval(value, name=key) for key, value in values.items()},
            differences={
                other: samples.interval(values["generated"] - values[other], name=f"from {other}")
                for other in (OWN, "shuffled")
            },
            named=self._named(episodes, said),
        )

    def _episodes(self, split: str) -> EpisodeSet:
        found = self._located
        return load_episodes(found.dataset, split, data=found.data, graph=self._graph)

    def _by_own_words(self, split: str, episodes: EpisodeSet, seed: int) -> Floats:
        """Gives (P, M) scores by a path's own instructions, averaged."""
        file = predictions_of(run_of(self._config, FOLLOWER, seed), split)
        table = score_file(file, episodes, self._graph, env=self._config.env).scores.table()
        number = {path: place for place, path in enumerate(unique_paths(episodes))}
        path = np.array([number[one.start, one.reference or ()] for one in episodes])
        total = np.zeros((len(number), table.shape[1]))
        np.add.at(total, path, table)
        averaged: Floats = total / np.bincount(path)[:, None]
        return averaged

    def _by_texts(
        self, split: str, kind: str, episodes: EpisodeSet, said: Sequence[Spoken]
    ) -> Floats:
        """Gives (N, P, M) scores by the speakers' instructions."""
        paths, tables = unique_paths(episodes), []
        for seed, one in zip(self.seeds, said, strict=True):
            if len(one.texts[kind]) != len(paths):
                raise BadConfig(
                    f"{spoken_folder(self._config, seed)} has texts of other paths than {split} "
                    "has now. Remove it, and they are made again."
                )
            told = as_episodes(one.texts[kind], paths, episodes)
            file = walks_by(spoken_folder(self._config, seed), split, kind)
            tables.append(score_file(file, told, self._graph, env=self._config.env).scores.table())
        return np.stack(tables)

    def _named(
        self, episodes: EpisodeSet, said: Sequence[Spoken]
    ) -> dict[str, tuple[float, float]]:
        if self._config.env not in worlds.names():
            return {}
        self._sight = self._sight or InSight(self._located.data, self._graph)
        paths = [(start.scan, reference) for start, reference in unique_paths(episodes)]
        own = [(one.start.scan, one.reference or ()) for one in episodes]
        texts = {OWN: ([one.instruction for one in episodes], own)}
        for kind in KINDS:
            every = [text for one in said for text in one.texts[kind]]
            texts[kind] = (every, paths * len(said))
        return {kind: _share(self._sight.named, *given) for kind, given in texts.items()}

    def examples(self) -> list[Example]:
        """Gives a few paths of val_unseen, spread evenly."""
        episodes = self._episodes(UNSEEN)
        said = Spoken.read(spoken_folder(self._config, self.seeds[0]), UNSEEN)
        paths, own = unique_paths(episodes), own_texts(episodes)
        chosen = np.unique(np.linspace(0, len(paths) - 1, EXAMPLES).astype(np.int64))
        return [
            Example(start.scan, reference, tuple(own[place]), said.texts["generated"][place])
            for place in chosen.tolist()
            for start, reference in [paths[place]]
        ]


def own_texts(episodes: EpisodeSet) -> list[list[str]]:
    """Gives what people said of each path, in the order of `unique_paths`."""
    texts: dict[object, list[str]] = {path: [] for path in unique_paths(episodes)}
    for one in episodes:
        texts[one.start, one.reference].append(one.instruction)
    return list(texts.values())


def _bleu(said: Sequence[Spoken], references: Sequence[Sequence[str]]) -> dict[str, Floats]:
    scored = {
        "sacrebleu": partial(corpus_bleu, protocol="sacrebleu"),
        "envdrop": partial(corpus_bleu, protocol="envdrop"),
    }
    return {
        name: np.array([score(one.texts["generated"], references).score for one in said])
        for name, score in scored.items()
    }


def _share(
    named: Callable[..., tuple[int, int]],
    texts: Sequence[str],
    paths: Sequence[tuple[str, Sequence[str]]],
) -> tuple[float, float]:
    count, found = named(texts, paths)
    return count / len(texts), found / count if count else float("nan")
