"""Files of extra training paths: EnvDrop's and Speaker-Follower's, PREVALENT's, and ones like them.

R2R's records with less order: path ids repeat or are missing, and an instruction is a list of
texts, one text, or word ids only. The paths are held to the graph as R2R's are.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from vln.data import r2r
from vln.data.locations import RESTORE, parse_json, read_bytes
from vln.data.splits import EpisodeSet
from vln.errors import CorruptData
from vln.graph import NavGraph
from vln.text import BOS, EOS, PAD, UNK, Vocabulary, sentence
from vln.types import Episode, Pose

ENCODINGS = ("instr_encodings", "instr_enc")
"""Fields of word ids: a list per instruction, or a single list."""

UNKNOWN = "unk"
"""What a word that the vocabulary did not know is called in a text, one word of R2R's tokenizer."""

_Refuse = Callable[[str, str], CorruptData]  # of what is wrong with a record, and what to do

_SILENT = frozenset({PAD, BOS, EOS, "[PAD]", "[CLS]", "[SEP]"})
_UNKNOWN = frozenset({UNK, "[UNK]"})
_GZIP = b"\x1f\x8b"
_REMEDY = "Correct the record, or leave it out."
_NAME_WORDS = "Name the vocabulary (a file of words, one a line) that they were encoded with."


def load_augmented(file: Path, graph: NavGraph, *, words: Vocabulary | None = None) -> EpisodeSet:
    """Gives the episodes of a file of extra paths; one without words has the instruction "".

    A record has `scan`, `path`, `heading`, and the first of these that is there and not empty:

    * `instructions`: texts, as in R2R and EnvDrop's `aug_paths.json`;
    * `instruction`: one text, as in RxR, perhaps with a `language`;
    * `instr_encodings` or `instr_enc`: word ids, as PREVALENT's files come, turned back into words
      without what marks begin, end and padding; BERT's pieces are joined.

    Every instruction is an episode of its own. Ids are `augmented_<number>_<k>`, the number being
    the record's, since path ids repeat in published files; k counts its instructions from 0.

    Args:
        file: A JSON list of records, or .jsonl with a record a line; either may be gzipped.
        graph: The navigation graph that the paths must follow.
        words: The word of every id, for records that have word ids only; see `read_words`.

    Raises:
        MissingData: The file is not there.
        CorruptData: The file is damaged or empty, a record has a wrong type or less than two
            viewpoints, a viewpoint is unknown, a step is no edge, or word ids lack their words.
    """
    raw = read_bytes(file, remedy="Check the path of the file of extra paths.")
    found = _records(raw, file=file)
    records: list[Any] = [
        _in_r2r_form(record, refuse=_refusal(record, number, file=file), words=words)
        for number, record in enumerate(found)
    ]
    r2r.check_types(records, file=file, optional=("path_id",))
    _check_lengths(records, file=file)
    r2r.check_paths(records, graph=graph, file=file)
    episodes = tuple(
        episode for number, record in enumerate(records) for episode in _episodes(record, number)
    )
    digest = hashlib.sha256(raw).hexdigest()
    return EpisodeSet("r2r", str(file), digest, str(file), episodes)


def read_words(file: Path) -> Vocabulary:
    """Reads the words of word ids, one a line: R2R's `train_vocab.txt`, or BERT's `vocab.txt`.

    R2R's begin with `<PAD>`, `<UNK>`, `<EOS>` and get `<BOS>` for their last; others stay as they
    are.

    Raises:
        MissingData: No such file.
        CorruptData: It is empty or not UTF-8, or R2R's with a word that stands twice.
    """
    try:
        text = read_bytes(file, remedy=_NAME_WORDS).decode()
    except UnicodeDecodeError as error:
        raise CorruptData.of(file, "", f"not UTF-8 ({error})", RESTORE) from error
    if not text.strip():
        raise CorruptData.of(file, "", "holds no word", _NAME_WORDS)
    lines = text.removesuffix("\n").split("\n")
    if lines[0] == PAD:
        return Vocabulary.from_file(file)
    return Vocabulary(tuple(line.removesuffix("\r") for line in lines))


def _records(raw: bytes, *, file: Path) -> list[Any]:
    content = _unpacked(raw, file=file)
    # RxR's .jsonl of one project is a single JSON list, so the content has a say as well
    if ".jsonl" in file.suffixes and not content.lstrip().startswith(b"["):
        lines = enumerate(content.split(b"\n"), start=1)
        records = [parse_json(line, file=f"{file}, line {n}") for n, line in lines if line.strip()]
    else:
        records = parse_json(content, file=file)
    if not isinstance(records, list):
        r2r.check_types(records, file=file)
    return records


def _unpacked(raw: bytes, *, file: Path) -> bytes:
    if not raw.startswith(_GZIP):
        return raw
    try:
        return gzip.decompress(raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorruptData.of(file, "", f"not a whole gzip file ({error})", RESTORE) from error


def _refusal(record: object, number: int, *, file: Path) -> _Refuse:
    return lambda problem, remedy: CorruptData.of(
        file, r2r.name_of(record, number=number), problem, remedy
    )


def _in_r2r_form(record: object, *, refuse: _Refuse, words: Vocabulary | None) -> object:
    """Gives a record whose `instructions` are there; its other fields are for R2R's checks."""
    if not isinstance(record, dict):
        return record
    kept = {name: record[name] for name in ("scan", "path", "heading") if name in record}
    if record.get("path_id") is not None:
        kept["path_id"] = record["path_id"]
    kept["language"] = _text(record, "language", refuse=refuse) or "en"
    kept["instructions"] = _instructions(record, refuse=refuse, words=words)
    return kept


def _instructions(record: dict[str, Any], *, refuse: _Refuse, words: Vocabulary | None) -> object:
    """Gives a record's texts; whether `instructions` is a list of texts is left to R2R's checks."""
    texts = record.get("instructions")
    if texts is not None and texts != []:
        return texts
    text = _text(record, "instruction", refuse=refuse)
    name = next((name for name in ENCODINGS if record.get(name) not in (None, [])), None)
    if text or name is None:
        return [text]
    return _decoded(record[name], name=name, refuse=refuse, words=words)


def _text(record: dict[str, Any], name: str, *, refuse: _Refuse) -> str:
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise refuse(f"{name!r} must be str, found {type(value).__name__}", _REMEDY)
    return value


def _decoded(
    encodings: object, *, name: str, refuse: _Refuse, words: Vocabulary | None
) -> list[str]:
    rows = encodings if _is_list_of(list, encodings) else [encodings]
    assert isinstance(rows, list), "either of the two is"
    if not all(_is_list_of(int, row) for row in rows):
        raise refuse(f"{name!r} must hold lists of word ids", _REMEDY)
    if words is None:
        raise refuse(f"has word ids ({name!r}) and no words", _NAME_WORDS)
    unknown = [i for row in rows for i in row if not 0 <= i < len(words)]
    if unknown:
        problem = f"{name!r} holds {unknown[0]}, but there are {len(words)} words, from 0"
        raise refuse(problem, _NAME_WORDS)
    return [_spoken([words.words[i] for i in row]) for row in rows]


def _is_list_of(kind: type, value: object) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)


def _spoken(words: Iterable[str]) -> str:
    """Gives the sentence of words that may be pieces, as BERT's are, marks of its end left out."""
    kept = (UNKNOWN if word in _UNKNOWN else word for word in words if word not in _SILENT)
    return sentence(" ".join(kept).replace(" ##", "").split(" "))


def _check_lengths(records: Sequence[dict[str, Any]], *, file: Path) -> None:
    for number, record in enumerate(records):
        if len(record["path"]) < 2:
            where = r2r.name_of(record, number=number)
            problem = "'path' has one viewpoint, expected two or more"
            raise CorruptData.of(file, where, problem, _REMEDY)


def _episodes(record: dict[str, Any], number: int) -> list[Episode]:
    path = tuple(record["path"])
    start = Pose(record["scan"], path[0], float(record["heading"]), 0.0)
    return [
        Episode(f"augmented_{number}_{k}", start, text, record["language"], path)
        for k, text in enumerate(record["instructions"])
    ]
