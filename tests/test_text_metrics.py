import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vln.errors import BadConfig, UnknownName
from vln.metrics.text import corpus_bleu
from vln.text import tokenize

PROTOCOLS = ("sacrebleu", "envdrop")

TEXTS = st.lists(st.sampled_from(["walk", "to", "the", "Door", ".", ". ."]), max_size=8).map(
    " ".join
)
CORPORA = st.lists(
    st.tuples(TEXTS, st.lists(TEXTS, min_size=1, max_size=3)), min_size=1, max_size=5
)

# 5 tokens; 5 of 5, 3 of 4, 2 of 3 and 1 of 2 n-grams are in a reference: 1/4 together
HYPOTHESIS = "walk to the red door"
REFERENCES = ("walk to the red chair now", "to the door")  # 6 tokens, the closest; 3, the shortest


def counted(hypotheses, references):
    """Counts matches and n-grams straight from the definition."""
    matches, possible = [0] * 4, [0] * 4
    for text, texts in zip(hypotheses, references, strict=True):
        for size in range(1, 5):
            said = grams(text, size)
            most = Counter()
            for reference in texts:
                most |= grams(reference, size)
            matches[size - 1] += sum(min(count, most[gram]) for gram, count in said.items())
            possible[size - 1] += sum(said.values())
    return matches, possible


def grams(text, size):
    tokens = tokenize(text)
    return Counter(tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1))


@pytest.fixture(scope="module")
def described(tiny_world):
    """Per path of the tiny world, its first instruction and the other ones."""
    by_path = {}
    for episode in tiny_world.episodes("val_unseen"):
        by_path.setdefault(episode.id.rpartition("_")[0], []).append(episode.instruction)
    texts = list(by_path.values())
    return [own[0] for own in texts], [own[1:] for own in texts]


def test_sacrebleu_compares_with_the_length_of_the_closest_reference():
    bleu = corpus_bleu([HYPOTHESIS], [REFERENCES], protocol="sacrebleu")

    assert bleu.precisions == pytest.approx([100, 75, 200 / 3, 50])
    assert (bleu.hypothesis_length, bleu.reference_length) == (5, 6)
    assert bleu.brevity_penalty == pytest.approx(math.exp(1 - 6 / 5))
    assert bleu.score == pytest.approx(100 * 0.25**0.25 * math.exp(-0.2))


def test_envdrop_compares_with_the_length_of_the_shortest_reference():
    bleu = corpus_bleu([HYPOTHESIS], [REFERENCES], protocol="envdrop")

    assert bleu.precisions == pytest.approx([100, 75, 200 / 3, 50])
    assert (bleu.hypothesis_length, bleu.reference_length) == (5, 3)
    assert bleu.brevity_penalty == 1
    assert bleu.score == pytest.approx(100 * 0.25**0.25)


def test_envdrop_punishes_what_is_shorter_than_the_shortest_reference():
    bleu = corpus_bleu(["walk to the red"], [["walk to the red door"]], protocol="envdrop")

    assert bleu.score == pytest.approx(100 * math.exp(1 - 5 / 4))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_word_counts_as_often_as_one_reference_has_it(protocol):
    bleu = corpus_bleu(["the the the the"], [["the door", "the the hall"]], protocol=protocol)

    assert bleu.precisions[0] == 50


def test_the_protocols_agree_on_lower_case_words_and_one_reference():
    hypotheses = [HYPOTHESIS, "turn left and wait here"]
    references = [REFERENCES[:1], ["turn left and wait there now"]]

    ours, theirs = (corpus_bleu(hypotheses, references, protocol=name) for name in PROTOCOLS)

    assert ours.score == pytest.approx(theirs.score)
    assert ours.score > 0


def test_envdrop_counts_by_its_definition(described):
    matches, possible = counted(*described)

    bleu = corpus_bleu(*described, protocol="envdrop")

    expected = [100 * m / p for m, p in zip(matches, possible, strict=True)]
    assert bleu.precisions == pytest.approx(expected)
    assert bleu.reference_length == sum(min(len(tokenize(t)) for t in ts) for ts in described[1])
    assert bleu.hypothesis_length == sum(len(tokenize(text)) for text in described[0])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_corpus_is_its_own_best_description(described, protocol):
    hypotheses, references = described
    references = [[*texts, text] for text, texts in zip(hypotheses, references, strict=True)]

    assert corpus_bleu(hypotheses, references, protocol=protocol).score == pytest.approx(100)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("hypotheses", [["", ""], ["  ", "\n"]])
def test_nothing_said_scores_nothing(protocol, hypotheses):
    bleu = corpus_bleu(hypotheses, [REFERENCES, REFERENCES], protocol=protocol)

    assert (bleu.score, bleu.brevity_penalty, bleu.hypothesis_length) == (0, 0, 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_silence_about_one_path_costs_length(protocol):
    both, one = (
        corpus_bleu([HYPOTHESIS, text], [[HYPOTHESIS]] * 2, protocol=protocol).brevity_penalty
        for text in (HYPOTHESIS, "")
    )

    assert (both, one) == (1, pytest.approx(math.exp(-1)))


def test_envdrop_gives_nothing_without_a_common_run_of_four():
    bleu = corpus_bleu(["walk to the hall"], [["walk to the door"]], protocol="envdrop")

    assert (bleu.score, bleu.precisions[3]) == (0, 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_paths_may_have_different_numbers_of_references(protocol):
    few = corpus_bleu([HYPOTHESIS] * 2, [REFERENCES[:1], REFERENCES], protocol=protocol)

    assert "nrefs:var" in few.signature
    assert few.reference_length == {"sacrebleu": 6 + 6, "envdrop": 6 + 3}[protocol]


def test_case_does_not_count():
    scores = {
        name: corpus_bleu([HYPOTHESIS], [[HYPOTHESIS.upper()]], protocol=name).score
        for name in PROTOCOLS
    }

    assert scores == {"sacrebleu": pytest.approx(100), "envdrop": pytest.approx(100)}


def test_the_signature_is_the_librarys_own():
    bleu = corpus_bleu([HYPOTHESIS], [REFERENCES], protocol="sacrebleu")

    assert bleu.signature.startswith("nrefs:2|case:lc|eff:no|tok:13a|smooth:exp|version:")


def test_envdrops_signature_tells_its_deviations():
    bleu = corpus_bleu([HYPOTHESIS], [REFERENCES], protocol="envdrop")

    assert bleu.signature == "nrefs:2|case:lc|eff:no|tok:r2r|smooth:none|length:shortest"


def test_a_token_with_a_space_inside_stays_one():
    assert corpus_bleu(["stop . ."], [["stop"]], protocol="envdrop").hypothesis_length == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(corpus=CORPORA)
@settings(max_examples=50, deadline=None)
def test_scores_are_percent(protocol, corpus):
    bleu = corpus_bleu(*zip(*corpus, strict=True), protocol=protocol)

    assert 0 <= bleu.score <= 100 + 1e-9
    assert 0 <= bleu.brevity_penalty <= 1
    assert bleu.precisions.min() >= 0
    assert bleu.precisions.max() <= 100


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(corpus=CORPORA)
@settings(max_examples=50, deadline=None)
def test_the_order_of_paths_and_of_references_does_not_matter(protocol, corpus):
    turned = [(text, texts[::-1]) for text, texts in corpus[::-1]]

    one, other = (
        corpus_bleu(*zip(*pairs, strict=True), protocol=protocol).score
        for pairs in (corpus, turned)
    )

    assert one == pytest.approx(other)


@pytest.mark.parametrize(
    ("hypotheses", "references", "problem"),
    [
        ([HYPOTHESIS], [REFERENCES] * 2, "1 hypotheses for the references of 2 paths"),
        ([], [], "0 hypotheses"),
        ([HYPOTHESIS] * 2, [REFERENCES, []], "1 paths have no reference, the first is number 1"),
    ],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_hypotheses_and_references_must_belong_together(protocol, hypotheses, references, problem):
    with pytest.raises(BadConfig, match=problem):
        corpus_bleu(hypotheses, references, protocol=protocol)


def test_an_unknown_protocol_suggests_the_closest():
    with pytest.raises(UnknownName, match="Did you mean 'sacrebleu'"):
        corpus_bleu([HYPOTHESIS], [REFERENCES], protocol="sacreblue")
