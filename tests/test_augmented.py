import gzip
import hashlib
import json

import numpy as np
import pytest

from vln.data.augmented import load_augmented, read_words
from vln.data.sampled import sample_paths
from vln.errors import CorruptData, MissingData
from vln.text import BOS, EOS, PAD, UNK, Vocabulary, tokenize

WORDS = Vocabulary((PAD, UNK, EOS, "walk", "to", "the", '"', "den", ".", BOS))


@pytest.fixture
def records(tiny_world):
    """Three records of R2R's format, each with its first instruction only."""
    found = json.loads((tiny_world.folder / "r2r" / "R2R_train.json").read_bytes())[:3]
    return [{**record, "instructions": record["instructions"][:1]} for record in found]


@pytest.fixture
def encoded(records):
    """Makes three records, the second with word ids instead of words."""

    def make(encodings, *, name="instr_encodings"):
        del records[1]["instructions"]
        records[1][name] = encodings
        return records

    return make


@pytest.fixture
def load(tmp_path, tiny_graph):
    def load_records(content, *, name="extra.json", words=None):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return load_augmented(file, tiny_graph, words=words)

    return load_records


def instructions(episodes):
    return [episode.instruction for episode in episodes]


def in_lines(records):
    return "\n".join(map(json.dumps, records)).encode()


def test_every_instruction_of_an_r2r_file_is_an_episode(load, records):
    records[1]["instructions"] = ["Walk out.", "Leave."]

    episodes = load(records)

    assert [e.id for e in episodes] == [f"augmented_{k}" for k in ("0_0", "1_0", "1_1", "2_0")]
    assert instructions(episodes)[1:3] == ["Walk out.", "Leave."]
    first = episodes.episodes[0]
    assert (first.reference, first.language) == (tuple(records[0]["path"]), "en")
    assert (first.start.scan, first.start.viewpoint) == (records[0]["scan"], records[0]["path"][0])
    assert (first.start.heading, first.start.elevation) == (records[0]["heading"], 0.0)


def test_the_set_names_its_file_and_that_files_fingerprint(load, records, tmp_path):
    episodes = load(records)

    file = tmp_path / "extra.json"
    assert episodes.file == episodes.split == str(file)
    assert episodes.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("path_id", [7, "7", None])
def test_path_ids_that_repeat_or_lack_leave_ids_different(load, records, path_id):
    for record in records:
        record["path_id"] = path_id

    assert len({episode.id for episode in load(records)}) == 3


def test_a_record_needs_no_path_id(load, records):
    del records[0]["path_id"]

    assert len(load(records)) == 3


@pytest.mark.parametrize("given", [{}, {"instructions": None}, {"instructions": []}])
def test_a_record_without_instructions_is_an_episode_without_words(load, records, given):
    del records[1]["instructions"]
    records[1] |= given

    assert instructions(load(records))[1] == ""


def test_a_record_may_have_one_instruction_and_its_language(load, records):
    del records[1]["instructions"]
    records[1] |= {"instruction": "Leave.", "language": "en-IN"}

    episode = load(records).episodes[1]

    assert (episode.instruction, episode.language) == ("Leave.", "en-IN")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("extra.jsonl", in_lines),
        ("extra.jsonl", lambda records: in_lines(records) + b"\n\n"),
        ("extra.jsonl", lambda records: json.dumps(records).encode()),
        ("extra.json.gz", lambda records: gzip.compress(json.dumps(records).encode())),
        ("extra.jsonl.gz", lambda records: gzip.compress(in_lines(records))),
    ],
)
def test_lines_and_gzip_hold_the_same_episodes(load, records, name, write):
    assert load(write(records), name=name).episodes == load(records).episodes


@pytest.mark.parametrize("name", ["instr_encodings", "instr_enc"])
def test_word_ids_are_turned_back_into_words(load, encoded, name):
    episodes = load(encoded([[9, 3, 4, 5, 7, 2, 0, 0], [9, 3, 2]], name=name), words=WORDS)

    assert instructions(episodes)[1:3] == ["walk to the den", "walk"]


def test_word_ids_may_be_a_single_list(load, encoded):
    assert instructions(load(encoded([9, 3, 2], name="instr_enc"), words=WORDS))[1] == "walk"


def test_pieces_of_words_are_joined(load, encoded):
    words = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "hall", "##way", "##s", "."))

    episodes = load(encoded([[2, 4, 5, 6, 7, 3, 0]]), words=words)

    assert instructions(episodes)[1] == "hallways."


def test_a_word_the_vocabulary_did_not_know_is_one_unknown_word(load, encoded):
    text = instructions(load(encoded([[9, 5, 1, 2]]), words=WORDS))[1]

    assert WORDS.encode([text])[0].tolist() == [[9, 5, 1, 2]]


def test_neighbouring_marks_are_the_same_words_again(load, encoded):
    text = instructions(load(encoded([[9, 6, 7, 6, 8, 2]]), words=WORDS))[1]

    assert tokenize(text) == ['"', "den", '"', "."]


def test_full_stops_with_a_space_between_stay_one_word(load, encoded):
    words = Vocabulary((PAD, UNK, EOS, ". .", BOS))

    text = instructions(load(encoded([[4, 3, 2]]), words=words))[1]

    assert tokenize(text) == [". ."]


def test_words_are_taken_before_word_ids(load, records):
    records[1]["instr_encodings"] = [[99999]]

    assert instructions(load(records)) == [record["instructions"][0] for record in records]


def test_empty_word_ids_are_no_words(load, encoded):
    assert instructions(load(encoded([])))[1] == ""


def test_word_ids_without_a_vocabulary_say_to_name_one(load, encoded):
    problem = r"record 1 \(path_id 1\): has word ids .*Name the vocabulary \(a file of words"
    with pytest.raises(CorruptData, match=problem):
        load(encoded([[9, 3, 2]]))


@pytest.mark.parametrize("outside", [10, -1])
def test_a_word_id_outside_the_vocabulary_is_named(load, encoded, outside):
    problem = rf"'instr_encodings' holds {outside}, but there are 10 words.*Name the vocabulary"
    with pytest.raises(CorruptData, match=problem):
        load(encoded([[9, 3, 2], [9, outside, 2]]), words=WORDS)


@pytest.mark.parametrize("encodings", ["walk", {"a": 1}, [["walk"]], [[1.0]], [[True]], [3, [4]]])
def test_word_ids_of_a_wrong_type_are_refused(load, encoded, encodings):
    with pytest.raises(CorruptData, match=r"record 1 .*'instr_encodings' must hold lists of word"):
        load(encoded(encodings), words=WORDS)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("scan", 3, "'scan' must be str, found int"),
        ("path_id", 1.5, "'path_id' must be int or str, found float"),
        ("path", "abc", "'path' must be list, found str"),
        ("path", [], "'path' is empty"),
        ("path", ["a", 1], "'path' must hold strings only"),
        ("path", ["a"], "'path' has one viewpoint"),
        ("path", ["0" * 32, "1" * 32], "no viewpoint '0{32}'"),
        ("heading", None, "'heading' must be int or float"),
        ("heading", float("nan"), "'heading' is nan"),
        ("instructions", "go", "'instructions' must be list, found str"),
        ("instructions", "", "'instructions' must be list, found str"),
        ("instructions", ["go", None], "'instructions' must hold strings only"),
        ("language", 3, "'language' must be str, found int"),
        ("scan", "noSuchScan1", "no viewpoint .* in scan 'noSuchScan1'"),
    ],
)
def test_a_bad_field_names_file_and_record(load, records, key, value, problem):
    records[1][key] = value

    with pytest.raises(CorruptData, match=rf"extra\.json, record 1 .*{problem}"):
        load(records)


def test_an_instruction_that_is_no_text_is_named(load, records):
    del records[1]["instructions"]
    records[1]["instruction"] = ["go"]

    with pytest.raises(CorruptData, match=r"record 1 .*'instruction' must be str, found list"):
        load(records)


@pytest.mark.parametrize("key", ["scan", "path", "heading"])
def test_a_missing_field_is_named(load, records, key):
    del records[2][key], records[2]["path_id"]

    with pytest.raises(CorruptData, match=f"record 2: has no '{key}'"):
        load(records)


def test_a_path_that_jumps_is_refused(load, records):
    del records[1]["path"][1]

    with pytest.raises(CorruptData, match=r"record 1 \(path_id 1, scan .*no edge leads from"):
        load(records)


def test_a_record_that_is_no_object_is_named(load, records):
    with pytest.raises(CorruptData, match="record 3: expected an object, found list"):
        load([*records, []])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("extra.json", b"", "not valid JSON"),
        ("extra.jsonl", b"\n", "non-empty JSON list"),
        ("extra.json", b"[]", "non-empty JSON list"),
        ("extra.json", b"{}", "non-empty JSON list"),
        ("extra.jsonl", b'{"scan": "a"}\n{"scan"', r"extra\.jsonl, line 2: not valid JSON"),
        ("extra.json.gz", gzip.compress(b"[]")[:-4], "not a whole gzip file"),
    ],
)
def test_an_empty_or_damaged_file_is_refused(load, name, content, problem):
    with pytest.raises(CorruptData, match=problem):
        load(content, name=name)


def test_a_missing_file_is_named(tmp_path, tiny_graph):
    with pytest.raises(MissingData, match=r"none\.json.*Check the path"):
        load_augmented(tmp_path / "none.json", tiny_graph)


def test_sampled_paths_written_down_are_read_again(load, tiny_graph):
    rng = np.random.default_rng(0)
    sampled = sample_paths(tiny_graph, tiny_graph.scans, labelled=[], count=20, rng=rng)

    found = load(
        [{"scan": e.start.scan, "path": e.reference, "heading": e.start.heading} for e in sampled]
    )

    assert [(e.start, e.reference) for e in found] == [(e.start, e.reference) for e in sampled]


def test_words_of_r2r_get_their_beginning(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("<PAD>\n<UNK>\n<EOS>\nwalk\n")

    assert read_words(file).words == (PAD, UNK, EOS, "walk", BOS)


@pytest.mark.parametrize("content", [b"[PAD]\n[CLS]\nwalk\n", b"[PAD]\r\n[CLS]\r\nwalk"])
def test_words_of_others_stay_as_they_are(tmp_path, content):
    file = tmp_path / "words.txt"
    file.write_bytes(content)

    assert read_words(file).words == ("[PAD]", "[CLS]", "walk")


@pytest.mark.parametrize(("content", "problem"), [(b"\n", "no word"), (b"\xff\xfe", "not UTF-8")])
def test_a_file_that_holds_no_words_is_refused(tmp_path, content, problem):
    file = tmp_path / "words.txt"
    file.write_bytes(content)

    with pytest.raises(CorruptData, match=problem):
        read_words(file)


def test_a_missing_file_of_words_is_named(tmp_path):
    with pytest.raises(MissingData, match=r"words\.txt"):
        read_words(tmp_path / "words.txt")
