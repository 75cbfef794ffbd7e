import json
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vln.errors import BadConfig, CorruptData, MissingData
from vln.text import (
    Vocabulary,
    decode,
    encode_bytes,
    sentence,
    tokenize,
)

SMALL = Vocabulary(("<PAD>", "<UNK>", "<EOS>", "go", "left", "<BOS>"))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Walk past the Door.", ["walk", "past", "the", "door", "."]),
        ("it's", ["it", "'", "s"]),
        ("Stop...", ["stop", "..."]),
        ("in;) out", ["in", ";", ")", "out"]),
        ("wait. . now", ["wait", ". .", "now"]),
        ("under_score __", ["under_score", "_", "_"]),
        ("  \n ", []),
        ("", []),
    ],
)
def test_tokens_follow_the_reference_rule(text, tokens):
    assert tokenize(text) == tokens


def test_a_vocabulary_orders_words_by_count_then_by_first_appearance():
    vocabulary = Vocabulary.build(["b a c", "c a b", "c rare"], min_count=2)
    assert vocabulary.words == ("<PAD>", "<UNK>", "<EOS>", "c", "b", "a", "<BOS>")


def test_a_vocabulary_survives_its_file(tmp_path):
    SMALL.save(tmp_path / "words.txt")
    assert Vocabulary.from_file(tmp_path / "words.txt") == SMALL


def test_the_start_word_is_appended_to_a_published_file(tmp_path):
    (tmp_path / "words.txt").write_text("<PAD>\n<UNK>\n<EOS>\ngo\nleft\n")
    assert Vocabulary.from_file(tmp_path / "words.txt") == SMALL


@pytest.mark.parametrize("content", ["", "go\nleft\n", "<PAD>\n<UNK>\n<EOS>\ngo\ngo\n"])
def test_a_file_that_is_no_vocabulary_is_refused(tmp_path, content):
    (tmp_path / "words.txt").write_text(content)
    with pytest.raises(CorruptData, match=r"words\.txt.*Restore"):
        Vocabulary.from_file(tmp_path / "words.txt")


def test_a_missing_vocabulary_is_named(tmp_path):
    with pytest.raises(MissingData, match=r"words\.txt"):
        Vocabulary.from_file(tmp_path / "words.txt")


def test_the_order_of_words_is_part_of_the_fingerprint():
    swapped = Vocabulary(("<PAD>", "<UNK>", "<EOS>", "left", "go", "<BOS>"))
    assert swapped.sha256 != SMALL.sha256


def test_encoding_wraps_pads_and_marks_unknown_words():
    ids, lengths = SMALL.encode(["go left", "fly", ""])
    assert ids.tolist() == [[5, 3, 4, 2], [5, 1, 2, 0], [5, 2, 0, 0]]
    assert lengths.tolist() == [4, 3, 2]


def test_a_long_text_keeps_the_end_mark_and_the_loss_is_reported(caplog):
    with caplog.at_level(logging.DEBUG):
        ids, lengths = SMALL.encode(["go go go go", "go left"], max_length=4)
    assert ids.tolist() == [[5, 3, 3, 2], [5, 3, 4, 2]]
    assert lengths.tolist() == [4, 4]
    assert "1 of 2 texts" in caplog.text
    assert SMALL.num_tokens(["go go go go", "go left"]).tolist() == [6, 4]


def test_encoding_nothing_gives_no_rows():
    ids, lengths = SMALL.encode([])
    assert ids.shape == (0, 2)
    assert lengths.shape == (0,)


def test_a_length_without_room_for_the_marks_is_refused():
    with pytest.raises(BadConfig, match="max_length is 1"):
        SMALL.encode(["go"], max_length=1)


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)))
def test_bytes_give_the_text_back(texts):
    rows = encode_bytes(texts, width=80)
    assert rows.shape == (len(texts), 80)
    assert rows.dtype == np.uint8
    assert [decode(row) for row in rows] == texts


@pytest.mark.parametrize(("text", "problem"), [("élan", "needs 5 bytes"), ("a\0", "NUL")])
def test_a_text_that_a_row_cannot_hold_is_refused(text, problem):
    with pytest.raises(BadConfig, match=problem):
        encode_bytes(["ok", text], width=4)


def test_r2r_train_gives_the_published_vocabulary_word_by_word(real_data):
    records = json.loads((real_data / "r2r" / "R2R_train.json").read_bytes())
    texts = [text for record in records for text in record["instructions"]]
    built = Vocabulary.build(texts)
    shipped = Vocabulary.from_file(real_data / "r2r" / "train_vocab.txt")
    # Where a copy of the annotations has its typos of "to the" mended, "tot" falls below five.
    assert len(shipped) == 992
    assert set(built.words) ^ set(shipped.words) <= {"tot"}
    assert built.words == tuple(word for word in shipped.words if word in built.words)


def test_eighty_of_r2rs_training_instructions_are_longer_than_eighty_tokens(real_data):
    records = json.loads((real_data / "r2r" / "R2R_train.json").read_bytes())
    texts = [text for record in records for text in record["instructions"]]
    lengths = Vocabulary.from_file(real_data / "r2r" / "train_vocab.txt").num_tokens(texts)
    assert (np.count_nonzero(lengths > 80), lengths.max() - 2) == (80, 156)
    assert (lengths - 2).mean() == pytest.approx(29.4, abs=0.15)


def test_texts_are_read_as_the_same_words_again():
    said = ["walk past the sofa, then stop.", 'turn left at the "exit" sign', "go up (to the top)."]
    words = Vocabulary.build(said * 5)
    ids, _ = words.encode(said)
    assert words.texts(ids)[0] == said[0]
    np.testing.assert_array_equal(words.encode(words.texts(ids))[0], ids)


def test_nearly_all_of_r2rs_instructions_are_read_as_the_same_words_again(real_data):
    records = json.loads((real_data / "r2r" / "R2R_val_unseen.json").read_bytes())
    tokens = [tokenize(text) for record in records for text in record["instructions"]]
    other = sum(tokenize(sentence(words)) != words for words in tokens)
    assert other <= 2


def test_a_text_ends_where_the_end_is_marked():
    assert SMALL.texts(np.array([[5, 3, 4, 2, 3, 3], [5, 3, 3, 0, 0, 0]])) == ["go left", "go go"]
