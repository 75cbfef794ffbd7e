"""How close generated instructions come to people's: corpus BLEU; pure functions of texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics.bleu import BLEU, BLEUScore

from vln.errors import BadConfig, UnknownName
from vln.text import tokenize

Protocol = Literal["sacrebleu", "envdrop"]

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
    """

    score: float
    precisions: npt.NDArray[np.float64]
    brevity_penalty: float
    hypothesis_length: int
    reference_length: int
    signature: str


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
    if protocol == "sacrebleu":
        return _sacrebleu(hypotheses, references)
    if protocol == "envdrop":
        return _envdrop(hypotheses, references)
    raise UnknownName.of("BLEU protocol", protocol, get_args(Protocol))


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


def _sacrebleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Bleu:
    # Generated words have no capitals; forced, since it warns of spaces before full stops.
    metric = BLEU(force=True, lowercase=True)
    score = metric.corpus_score(hypotheses, _streams(references))
    return _of(score, signature=str(metric.get_signature()))


def _envdrop(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Bleu:
    said = [_tokens(text) for text in hypotheses]
    known = [[_tokens(text) for text in texts] for texts in references]
    metric = BLEU(force=True, tokenize="none", smooth_method="none")
    counted = metric.corpus_score(
        list(map(" ".join, said)), _streams([list(map(" ".join, texts)) for texts in known])
    )
    shortest = sum(min(map(len, texts)) for texts in known)
    score = BLEU.compute_bleu(counted.counts, counted.totals, counted.sys_len, shortest)
    number = f"nrefs:{metric.num_refs if metric.num_refs > 0 else 'var'}"
    return _of(score, signature=f"{number}|case:lc|eff:no|tok:r2r|smooth:none|length:shortest")


def _tokens(text: str) -> list[str]:
    """Gives R2R's tokens as the library, which splits at any space, can take them."""
    return [_SPACE.sub("\0", token) for token in tokenize(text)]


def _streams(references: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Gives references as the library takes them: all first ones, all second ones, and so on.

    Where a path has fewer there is None, which the library skips though its types do not say so.
    """
    return cast("Sequence[Sequence[str]]", list(zip_longest(*references)))


def _of(score: BLEUScore, *, signature: str) -> Bleu:
    return Bleu(
        score=score.score,
        precisions=np.array(score.precisions, dtype=np.float64),
        brevity_penalty=score.bp,
        hypothesis_length=score.sys_len,
        reference_length=score.ref_len,
        signature=signature,
    )
