"""Words as numbers: R2R's tokenizer, its vocabulary rule, and UTF-8 rows for observations.

Knows nothing of episodes, files of annotations or networks.
"""

from __future__ import annotations

import hashlib
import logging
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vln.errors import BadConfig, CorruptData, MissingData

logger = logging.getLogger(__name__)

PAD, UNK, EOS, BOS = "<PAD>", "<UNK>", "<EOS>", "<BOS>"
SPECIAL = (PAD, UNK, EOS)

_SEPARATORS = re.compile(r"(\W+)")
_PUNCTUATION = frozenset(string.punctuation)
_STOP = "."  # two of them with a space between are one word, two without are another
_MARKS = re.escape(string.punctuation.replace("_", "").replace(_STOP, ""))
_BEFORE_MARK = re.compile(r"(?<=[a-z0-9]) (?=[.,;:!?])")
_BETWEEN_MARKS = re.compile(rf"(?<=[{_MARKS}]) (?=[.{_MARKS}])|(?<=[.]) (?=[{_MARKS}])")


def tokenize(text: str) -> list[str]:
    """Gives the lower-case tokens of an instruction, punctuation included.

    Splits on runs of non-word characters, keeps them, and breaks a token made only of punctuation
    into characters, unless it is made only of full stops ("..." stays whole). Punctuation with a
    space inside (". .") is not only punctuation and stays whole, as in the reference.

    Source: the rule of Anderson et al. 2018 (R2R), kept by EnvDrop.
    """
    return [token for piece in _SEPARATORS.split(text) for token in _tokens_of(piece)]


def sentence(words: Iterable[str]) -> str:
    """Gives a text that `tokenize` splits into these words again, all but always.

    Marks that follow each other with a space between them would be read as one word, so they stand
    without, and so do those that end a phrase, as people write them.
    """
    return _BEFORE_MARK.sub("", _BETWEEN_MARKS.sub("", " ".join(words)))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Maps words to ids.

    Attributes:
        words: The word of every id: `<PAD>`, `<UNK>`, `<EOS>`, words by falling frequency, `<BOS>`.
    """

    words: tuple[str, ...]

    @classmethod
    def build(cls, texts: Iterable[str], *, min_count: int = 5) -> Vocabulary:
        """Gives the words that occur at least `min_count` times, most frequent first.

        Words of equal frequency stand in order of first appearance, which reproduces the
        published `train_vocab.txt` line by line from R2R's training instructions.
        """
        pieces = Counter(chain.from_iterable(map(_SEPARATORS.split, texts)))
        counts: Counter[str] = Counter()
        for piece, count in pieces.items():
            for token in _tokens_of(piece):
                counts[token] += count
        # A word file has one word a line, so a token with a line break inside cannot be in it.
        kept = (word for word, count in counts.most_common() if count >= min_count)
        return cls((*SPECIAL, *(word for word in kept if "\n" not in word), BOS))

    @classmethod
    def from_file(cls, file: Path) -> Vocabulary:
        """Reads one word a line, as R2R ships them; `<BOS>` is appended where it is absent.

        Raises:
            MissingData: No such file.
            CorruptData: The three special words do not come first, or a word stands twice.
        """
        try:
            lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
        except OSError as error:
            raise MissingData(f"no vocabulary at {file} ({error.strerror}).") from error
        except UnicodeDecodeError as error:
            raise CorruptData.of(file, "", f"not UTF-8 ({error})", "Restore the file.") from error
        words = tuple(lines if lines[-1] == BOS else [*lines, BOS])
        if words[:3] != SPECIAL or len(set(words)) != len(words):
            problem = "must start with <PAD>, <UNK>, <EOS> and name every word once"
            raise CorruptData.of(file, "", problem, "Restore it or rebuild it from train.")
        return cls(words)

    def save(self, file: Path) -> None:
        """Writes one word a line, to be read by `from_file`."""
        file.write_text("\n".join(self.words) + "\n", encoding="utf-8", newline="\n")

    def __len__(self) -> int:
        return len(self.words)

    @property
    def sha256(self) -> str:
        """The fingerprint of the words and their order, in hex."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()

    def encode(
        self, texts: Sequence[str], *, max_length: int = 80
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Gives `<BOS>` + word ids + `<EOS>` per text, zero padded to the longest.

        A longer text is cut at `max_length` and its last id becomes `<EOS>`; how many were cut is
        logged for debugging; whoever owns the texts says it once, from `num_tokens`.

        Args:
            texts: N instructions; an empty one becomes `<BOS><EOS>`.
            max_length: Most ids per text, `<BOS>` and `<EOS>` included.

        Returns:
            ids (N, L) int64 with L <= max_length, and lengths (N,) int64 after cutting.

        Raises:
            BadConfig: `max_length` has no room for `<BOS>` and `<EOS>`.
        """
        if max_length < 2:
            raise BadConfig(f"max_length is {max_length}; `<BOS>` and `<EOS>` alone need 2.")
        rows = self._rows(texts)
        cut = sum(len(row) > max_length for row in rows)
        if cut:
            message = "%d of %d texts have more than %d tokens and lose their end"
            logger.debug(message, cut, len(rows), max_length)
        for row in rows:
            if len(row) > max_length:
                row[max_length - 1 :] = [SPECIAL.index(EOS)]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.zeros((len(rows), int(lengths.max(initial=2))), np.int64)
        flat = np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))
        ids[np.arange(ids.shape[1]) < lengths[:, None]] = flat
        return ids, lengths

    def num_tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Gives the uncut length of every text, (N,) int64, `<BOS>` and `<EOS>` included."""
        return np.fromiter(map(len, self._rows(texts)), np.int64, len(texts))

    def texts(self, ids: NDArray[np.int64]) -> list[str]:
        """Gives the sentences of (N, L) ids; what follows `<EOS>` is left out, as are marks.

        `<UNK>` stands in them as it is, and is not read as one word again.
        """
        words, silent = np.array(self.words, dtype=object), {PAD, BOS}
        rows = [row[: _place(row, SPECIAL.index(EOS))] for row in ids]
        return [sentence(word for word in words[row] if word not in silent) for row in rows]

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        index = {word: i for i, word in enumerate(self.words)}
        ids_of = _PieceIds(index)
        first, last = [index[BOS]], [index[EOS]]
        split = _SEPARATORS.split
        return [
            first + [i for piece in split(text) for i in ids_of[piece]] + last for text in texts
        ]


def encode_bytes(texts: Sequence[str], *, width: int) -> NDArray[np.uint8]:
    """Gives the texts as UTF-8 rows, (N, width) uint8, zero padded.

    Raises:
        BadConfig: A text needs more than `width` bytes, or holds the padding character NUL.
    """
    raw = [text.encode() for text in texts]
    lengths = np.fromiter(map(len, raw), np.int64, len(raw))
    joined = b"".join(raw)
    longest = int(lengths.max(initial=0))
    if longest > width:
        where = int(lengths.argmax())
        raise BadConfig(f"text {where} needs {longest} bytes but a row holds {width}. Widen it.")
    if b"\0" in joined:
        where = next(i for i, row in enumerate(raw) if b"\0" in row)
        raise BadConfig(f"text {where} holds a NUL character, which marks padding. Remove it.")
    rows = np.zeros((len(raw), width), np.uint8)
    rows[np.arange(width) < lengths[:, None]] = np.frombuffer(joined, np.uint8)
    return rows


def decode(row: NDArray[np.uint8]) -> str:
    """Gives the text of one zero-padded UTF-8 row, (width,) uint8."""
    return row.tobytes().rstrip(b"\0").decode()


def _place(row: NDArray[np.int64], wanted: int) -> int:
    """Gives where an id stands first in a row, the row's length where it does not."""
    found = np.flatnonzero(row == wanted)
    return int(found[0]) if len(found) else len(row)


def _tokens_of(piece: str) -> list[str]:
    word = piece.strip().lower()
    if word and _PUNCTUATION.issuperset(word) and word != "." * len(word):
        return list(word)
    return [word] if word else []


class _PieceIds(dict[str, list[int]]):
    """Remembers the ids of a piece of text: few distinct pieces make up a whole data set."""

    def __init__(self, index: dict[str, int]) -> None:
        super().__init__()
        self._index = index

    def __missing__(self, piece: str) -> list[int]:
        unknown = self._index[UNK]
        ids = self[piece] = [self._index.get(token, unknown) for token in _tokens_of(piece)]
        return ids
