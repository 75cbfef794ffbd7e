"""How close generated instructions come to people's: corpus BLEU; pure functions of texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, Literal, cast, get_args

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics.bleu import BLEU, BLEUScore

from vln.errors import BadConfig, UnknownName
from vln.metrics.intervals import Hierarchy, Weights, percentile_interval
from vln.text import tokenize

Protocol = Literal["sacrebleu", "envdrop"]

ORDER: Final = 4
"""Tokens of the longest n-grams."""

_SPACE = re.compile(r"\s")


@dataclass(frozen=True, slots=True, eq=False)
class Bleu:
    """Corpus BLEU and what it is made of.

    Attributes:
        score: 0 to 100.
        precisions: (4,) float64, 0 to 100, of n-grams of 1 to 4 tokens.
        brevity_penalty: 0 to 1.
        hypothesis_length: Tokens of all hypotheses.
        reference_length: Tokens of one reference per hypothesis, which one is the protocol's.
        signature: What has to be the same for two scores to be comparable.
        counts: (10,) int64: matching n-grams of 1 to 4 tokens, all of them, and both lengths. Those
            of two corpora add up to those of both together.
    """

    score: float
    precisions: npt.NDArray[np.float64]
    brevity_penalty: float
    hypothesis_length: int
    reference_length: int
    signature: str
    counts: npt.NDArray[np.int64]


def corpus_bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, protocol: Protocol
) -> Bleu:
    """Gives BLEU-4 over a corpus: one hypothesis per path against all that people said of it.

    * `sacrebleu`: the library's, without case, for speakers write in lower case; the length
      compared with is that of the closest reference.
    * `envdrop`: of the speaker in EnvDrop and CLIP-ViL. R2R's lower-case tokens, and the length
      compared with is that of the *shortest* reference; no smoothing, so a corpus without a
      common 4-gram scores 0. A hypothesis is text, tokenized as references are: two marks with a
      space between are one token.

    Args:
        hypotheses: A text per path, "" where nothing was generated.
        references: One or more texts per path; their number may differ.
        protocol: Whose definition.

    Raises:
        BadConfig: There is no hypothesis, as many references as hypotheses are not there, or a
            path has none.
        UnknownName: No such protocol.

    Source: Papineni et al. 2002; Post 2018 (`sacrebleu`); EnvDrop's `bleu.py` (`envdrop`).
    """
    _check(hypotheses, references)
    return _Rules.of(protocol).corpus(hypotheses, references)


def bleu_interval(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    protocol: Protocol,
    hierarchy: Hierarchy,
    weights: Weights,
    level: float = 0.95,
) -> tuple[float, float]:
    """Gives the ends of the percentile interval of `corpus_bleu`, over other scans and paths.

    Args:
        hypotheses: E texts.
        references: One or more texts for each.
        protocol: Whose definition.
        hierarchy: Paths and scans of the E texts.
        weights: (D, P) from `vln.metrics.intervals.resample`.
        level: Share of the samples inside.

    Raises:
        BadConfig, UnknownName: See `corpus_bleu`.
    """
    _check(hypotheses, references)
    rules = _Rules.of(protocol)
    counts = np.zeros((hierarchy.num_paths, 2 * ORDER + 2))
    alone = [
        rules.corpus([said], [known]) for said, known in zip(hypotheses, references, strict=True)
    ]
    np.add.at(counts, hierarchy.path_of, np.array([one.counts for one in alone]))
    whole, *samples = [
        rules.score(drawn).score for drawn in (counts.sum(axis=0), *weights @ counts)
    ]
    found = percentile_interval(np.array(samples), estimate=np.array(whole), level=level)
    return float(found.low), float(found.high)


def _check(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if not hypotheses or len(hypotheses) != len(references):
        raise BadConfig(
            f"{len(hypotheses)} hypotheses for the references of {len(references)} paths. "
            "Give one hypothesis per path, and at least one."
        )
    lacking = [number for number, texts in enumerate(references) if not texts]
    if lacking:
        raise BadConfig(
            f"{len(lacking)} paths have no reference, the first is number {lacking[0]}. Leave out "
            "paths that nobody described."
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Rules:
    """A definition of BLEU.

    Attributes:
        metric: The library's, with its settings.
        is_r2r: Whether texts are split as R2R's are, and the shortest reference's length counts.
    """

    metric: BLEU
    is_r2r: bool

    @classmethod
    def of(cls, protocol: str) -> _Rules:
        # Forced, since the library warns of spaces before full stops; whether words begin with
        # capitals does not matter, for generated ones do not.
        if protocol == "sacrebleu":
            return cls(BLEU(force=True, lowercase=True), is_r2r=False)
        if protocol == "envdrop":
            return cls(BLEU(force=True, tokenize="none", smooth_method="none"), is_r2r=True)
        raise UnknownName.of("BLEU protocol", protocol, get_args(Protocol))

    def corpus(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Bleu:
        if not self.is_r2r:
            counted = self.metric.corpus_score(hypotheses, _streams(references))
            return self._told(counted, signature=str(self.metric.get_signature()))
        known = [[_tokens(text) for text in texts] for texts in references]
        counted = self.metric.corpus_score(
            [" ".join(_tokens(text)) for text in hypotheses],
            _streams([list(map(" ".join, texts)) for texts in known]),
        )
        shortest = sum(min(map(len, texts)) for texts in known)
        number = f"nrefs:{self.metric.num_refs if self.metric.num_refs > 0 else 'var'}"
        return self._told(
            self.score([*counted.counts, *counted.totals, counted.sys_len, shortest]),
            signature=f"{number}|case:lc|eff:no|tok:r2r|smooth:none|length:shortest",
        )

    def score(self, counts: Iterable[float]) -> BLEUScore:
        """Gives the score of counts like `Bleu.counts`, added up."""
        *grams, said, known = map(int, counts)
        method = "none" if self.is_r2r else "exp"
        return BLEU.compute_bleu(grams[:ORDER], grams[ORDER:], said, known, smooth_method=method)

    def _told(self, score: BLEUScore, *, signature: str) -> Bleu:
        return Bleu(
            score=score.score,
            precisions=np.array(score.precisions, dtype=np.float64),
            brevity_penalty=score.bp,
            hypothesis_length=score.sys_len,
            reference_length=score.ref_len,
            signature=signature,
            counts=np.array(
                [*score.counts, *score.totals, score.sys_len, score.ref_len], dtype=np.int64
            ),
        )


def _tokens(text: str) -> list[str]:
    """Gives R2R's tokens as the library, which splits at any space, can take them."""
    return [_SPACE.sub("\0", token) for token in tokenize(text)]


def _streams(references: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Gives references as the library takes them: all first ones, all second ones, and so on.

    Where a path has fewer there is None, which the library skips though its types do not say so.
    """
    return cast("Sequence[Sequence[str]]", list(zip_longest(*references)))
