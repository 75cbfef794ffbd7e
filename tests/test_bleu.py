import json

import numpy as np
import pytest

from benchmarks import bleu
from vln.errors import BadConfig, UnknownName
from vln.metrics.intervals import Hierarchy, resample
from vln.metrics.text import bleu_interval, corpus_bleu

PROTOCOLS = ("sacrebleu", "envdrop")


pytestmark = pytest.mark.usefixtures("in_tiny_world")


@pytest.fixture
def records(tiny_world):
    """The paths of val_unseen with the first instruction of each."""
    first = {}
    for one in tiny_world.episodes("val_unseen"):
        first.setdefault((one.start.scan, one.reference), one)
    return [
        {
            "scan": scan,
            "path": list(path),
            "heading": one.start.heading,
            "instructions": [one.instruction],
        }
        for (scan, path), one in first.items()
    ]


def compared(tmp_path, records, capsys, *flags, split="val_unseen"):
    """Runs the command, and gives its exit code and what it printed."""
    file = tmp_path / "told.json"
    file.write_text(json.dumps(records))
    code = bleu.main([str(file), "--env", "r2r", "--split", split, *flags])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_own_words_find_all_their_ngrams(tmp_path, records, capsys, protocol):
    code, printed = compared(tmp_path, records, capsys, "--json", "--protocol", protocol)
    found = json.loads(printed)
    assert code == 0
    assert found["bleu"]["score"] == pytest.approx(100)
    assert found["paths"] == found["instructions"] == len(records)


def test_each_protocol_is_the_metric_of_that_name(tmp_path, records, capsys, tiny_world):
    for record in records:
        record["instructions"] = ["walk to the door and stop ."]
    references = {}
    for one in tiny_world.episodes("val_unseen"):
        references.setdefault((one.start.scan, one.reference), []).append(one.instruction)
    told = ["walk to the door and stop ."] * len(records)
    for protocol in PROTOCOLS:
        expected = corpus_bleu(told, list(references.values()), protocol=protocol)
        _, printed = compared(tmp_path, records, capsys, "--json", "--protocol", protocol)
        found = json.loads(printed)
        assert found["bleu"]["score"] == pytest.approx(expected.score)
        assert found["signature"] == expected.signature


def test_several_instructions_of_a_path_all_count(tmp_path, records, capsys):
    for record in records:
        record["instructions"] *= 2
    _, printed = compared(tmp_path, records, capsys, "--json")
    assert json.loads(printed)["instructions"] == 2 * len(records)


def test_paths_of_other_splits_are_left_out_and_counted(tmp_path, records, capsys, tiny_world):
    other = next(iter(tiny_world.episodes("train")))
    far = {
        "scan": other.start.scan,
        "path": list(other.reference),
        "heading": 0.0,
        "instructions": ["walk ."],
    }
    _, printed = compared(tmp_path, [*records, far], capsys)
    assert "1 of other paths (ignored)" in printed
    assert "100.0" in printed


def test_a_split_half_described_is_refused(tmp_path, records, capsys):
    code, printed = compared(tmp_path, records[:-1], capsys)
    assert code == 2
    assert f"lacks 1 of {len(records)} paths" in printed
    assert "agents.describe" in printed


def test_paths_without_words_are_refused(tmp_path, records, capsys):
    for record in records:
        del record["instructions"]
    code, printed = compared(tmp_path, records, capsys)
    assert code == 2
    assert "without instructions" in printed


def test_a_split_whose_paths_are_held_out_is_refused(tmp_path, records, capsys):
    code, printed = compared(tmp_path, records, capsys, split="test")
    assert code == 2
    assert "are held out" in printed


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_counts_of_parts_add_up_to_those_of_the_whole(protocol):
    told = ["walk to the red door", "stop by the bed . now", "turn left"]
    known = [["walk to the door"], ["stop by the bed", "stop near the bed ."], ["turn right"]]
    whole = corpus_bleu(told, known, protocol=protocol)
    parts = [
        corpus_bleu([text], [texts], protocol=protocol)
        for text, texts in zip(told, known, strict=True)
    ]
    np.testing.assert_array_equal(whole.counts, sum(part.counts for part in parts))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_sample_that_draws_every_path_once_has_the_score_of_the_corpus(protocol):
    told = ["walk to the red door and stop", "stop by the bed . now", "turn left at the bed"]
    known = [["walk to the red door"], ["stop by the bed . wait"], ["turn left at the bed ."]]
    hierarchy = Hierarchy.of(["a", "a", "b"], paths=[1, 2, 1])
    ends = bleu_interval(
        told,
        known,
        protocol=protocol,
        hierarchy=hierarchy,
        weights=np.ones((1, 3), dtype=np.int32),
    )
    expected = corpus_bleu(told, known, protocol=protocol).score
    assert expected > 10
    assert ends == pytest.approx((expected, expected))


def test_the_interval_holds_the_score_and_knows_its_scans():
    told = ["walk to the door and stop"] * 12
    known = [["walk to the door and stop"]] * 6 + [["turn left by the door and wait here"]] * 6
    paths = list(range(12))
    score = corpus_bleu(told, known, protocol="envdrop").score

    def ends(scans):
        hierarchy = Hierarchy.of(scans, paths=paths)
        weights = resample(hierarchy, draws=500, generator=np.random.default_rng(0))
        return bleu_interval(told, known, protocol="envdrop", hierarchy=hierarchy, weights=weights)

    alone, together = ends(paths), ends(["a"] * 6 + ["b"] * 6)
    assert alone[0] < score < alone[1]
    assert together[1] - together[0] > alone[1] - alone[0]


def test_an_unknown_protocol_is_refused_before_anything_is_counted():
    hierarchy = Hierarchy.of(["a"], paths=[0])
    with pytest.raises(UnknownName, match="BLEU protocol"):
        bleu_interval(
            ["a"], [["a"]], protocol="other", hierarchy=hierarchy, weights=np.ones((1, 1))
        )
    with pytest.raises(BadConfig, match="at least one"):
        bleu_interval([], [], protocol="envdrop", hierarchy=hierarchy, weights=np.ones((1, 1)))
