"""Instructions told word by word, against whole instructions scored at once."""

import pytest
import torch

from agents.speaker.decoding import _drawn, draw
from agents.speaker.losses import word_log_probs
from agents.speaker.model import Speaker, SpeakerSizes, Told
from vln.errors import BadConfig
from vln.nn.dropout import Dropout
from vln.nn.recurrent import pack

F32 = torch.float32
VOCABULARY, HIDDEN = 12, 8
PAD, UNK, END, BEGIN = 0, 1, 2, VOCABULARY - 1
FORBIDDEN = [PAD, UNK, BEGIN]
TELL = {"begin": BEGIN, "end": END, "forbidden": FORBIDDEN, "max_words": 10, "dtype": F32}


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        yield


def close(given, expected, tolerance=1e-5):
    torch.testing.assert_close(given, expected, rtol=tolerance, atol=tolerance)


def made_speaker():
    return Speaker(SpeakerSizes(vocabulary=VOCABULARY, word=6, hidden=HIDDEN, features=0))


def decided_speaker():
    """A speaker whose instructions differ and end at different places."""
    model = made_speaker()
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight *= 4
        model.decoder.projection.bias[END] += 1.5
    return model


def made_told(*, rows=16):
    """Contexts of `rows` routes between 1 and 4 steps long."""
    steps = torch.arange(rows) % 4 + 1
    padding = torch.arange(4) >= steps[:, None]
    return Told(torch.randn(rows, 4, HIDDEN).masked_fill(padding[:, :, None], 0), padding)


def allowed(logits):
    """Logits with forbidden words ruled out."""
    return logits.index_fill(-1, torch.tensor(FORBIDDEN), -torch.inf)


def scored(model, told, words):
    """Teacher-forced logits, forbidden words ruled out; words may be padded or have no end."""
    lengths = (words != PAD).sum(dim=1).numpy()
    packing, no_dropout = pack(lengths, words.shape[1]), Dropout(0)
    no_dropout.enabled = False
    with torch.no_grad():
        return allowed(model.logits(told, words, packing, no_dropout, dtype=F32))


def told_step_by_step(model, told):
    """The most likely instruction per row, from whole instructions scored again and again."""
    instructions = []
    for row in range(len(told.padding)):
        one = Told(told.context[row : row + 1], told.padding[row : row + 1])
        words = [BEGIN]
        while words[-1] != END and len(words) < TELL["max_words"] - 1:
            words.append(scored(model, one, torch.tensor([words]))[0, -1].argmax().item())
        instructions.append(words if words[-1] == END else [*words, END])
    return instructions


def as_lists(drawn):
    pairs = zip(drawn.words.tolist(), drawn.lengths.tolist(), strict=True)
    return [words[:length] for words, length in pairs]


def test_greedy_telling_is_the_argmax_of_teacher_forced_logits_step_by_step():
    model, told = decided_speaker(), made_told()
    drawn = draw(model, told, **TELL)
    assert as_lists(drawn) == told_step_by_step(model, told)
    assert len(set(drawn.lengths.tolist())) >= 3, "rows should end at different places"
    assert drawn.words.shape[1] == drawn.lengths.max()
    padding = torch.arange(drawn.words.shape[1]) >= drawn.lengths[:, None]
    assert torch.equal(drawn.words == PAD, padding)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("seed", [None, 3], ids=["greedy", "sampled"])
def test_log_probabilities_are_those_of_the_words_among_the_allowed_ones(seed, temperature):
    model, told = decided_speaker(), made_told()
    sampler = None if seed is None else torch.Generator().manual_seed(seed)
    drawn = draw(model, told, **TELL, sampler=sampler, temperature=temperature)
    expected = word_log_probs(scored(model, told, drawn.words) / temperature, drawn.words)
    forced = drawn.lengths == TELL["max_words"]
    assert forced.any()
    assert not forced.all()
    expected[forced, -1] = 0
    close(drawn.log_probs, expected)
    assert drawn.log_probs.dtype == F32


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_sampled_words_follow_the_distribution(temperature):
    model, one = made_speaker(), made_told(rows=1)
    with torch.no_grad():
        model.decoder.projection.weight *= 5
    count = 20_000
    told = Told(one.context.expand(count, -1, -1), one.padding.expand(count, -1))
    sampler = torch.Generator().manual_seed(0)
    options = {**TELL, "max_words": 4}
    words = draw(model, told, **options, sampler=sampler, temperature=temperature).words

    first = (scored(model, one, torch.tensor([[BEGIN]]))[0, 0] / temperature).softmax(dim=0)
    check_frequencies(words[:, 1], first)
    common = first.index_fill(0, torch.tensor([END]), 0).argmax()
    second = scored(model, one, torch.tensor([[BEGIN, common]]))[0, 1] / temperature
    check_frequencies(words[words[:, 1] == common, 2], second.softmax(dim=0))


def check_frequencies(words, probabilities):
    """Chi-square of words against probabilities, within what a fixed seed should give."""
    possible = probabilities > 0
    counts = torch.bincount(words, minlength=len(probabilities))
    assert (counts[~possible] == 0).all()
    expected = probabilities[possible] * len(words)
    statistic = ((counts[possible] - expected) ** 2 / expected).sum()
    freedom = possible.sum() - 1
    assert statistic < freedom + 4 * (2 * freedom) ** 0.5


def test_the_smallest_and_the_largest_random_number_draw_possible_words():
    log_policy = torch.tensor([[0.0, 0.3, 0.0, 0.7, 0.0]]).log().expand(3, -1)
    uniform = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    assert _drawn(log_policy, uniform).tolist() == [1, 3, 3]


def test_a_seed_tells_the_same_words_and_another_one_others():
    model, told = decided_speaker(), made_told()
    first, again, other = (
        draw(model, told, **TELL, sampler=torch.Generator().manual_seed(seed)).words
        for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


@pytest.mark.parametrize("seed", [None, 5], ids=["greedy", "sampled"])
def test_words_do_not_depend_on_when_the_other_rows_end(seed):
    model, told = decided_speaker(), made_told()
    others = made_told()
    # The last rows, whose place changes most when others leave.
    others = Told(torch.cat([others.context[:10], told.context[10:]]), told.padding)
    first, second = (
        as_lists(
            draw(
                model,
                routes,
                **TELL,
                sampler=None if seed is None else torch.Generator().manual_seed(seed),
            )
        )
        for routes in (told, others)
    )
    assert first[10:] == second[10:]
    assert first[:10] != second[:10]


def test_forbidden_words_are_never_told_however_likely():
    model, told = made_speaker(), made_told(rows=500)
    with torch.no_grad():
        model.decoder.projection.bias[FORBIDDEN] = 30
    drawn = draw(model, told, **TELL, sampler=torch.Generator().manual_seed(0))
    told_words = drawn.words[:, 1:][torch.arange(1, drawn.words.shape[1]) < drawn.lengths[:, None]]
    assert not torch.isin(told_words, torch.tensor(FORBIDDEN)).any()
    assert torch.isfinite(drawn.log_probs).all()


@pytest.mark.parametrize("max_words", [2, 3, 6])
def test_who_does_not_end_is_ended_at_the_longest_length(max_words):
    model, told = made_speaker(), made_told(rows=3)
    with torch.no_grad():
        model.decoder.projection.bias[END] = -100
    drawn = draw(model, told, **{**TELL, "max_words": max_words})
    assert drawn.lengths.tolist() == [max_words] * 3
    assert (drawn.words[:, -1] == END).all()
    assert not (drawn.words[:, :-1] == END).any()
    assert (drawn.log_probs[:, -1] == 0).all()
    assert (drawn.log_probs[:, :-1] < 0).all()


def test_who_ends_at_once_says_nothing():
    model, told = made_speaker(), made_told(rows=3)
    with torch.no_grad():
        model.decoder.projection.bias[END] = 100
    drawn = draw(model, told, **TELL)
    assert drawn.words.tolist() == [[BEGIN, END]] * 3
    assert drawn.lengths.tolist() == [2] * 3


def test_telling_leaves_no_gradient_behind():
    told = made_told()
    told.context.requires_grad_()
    drawn = draw(made_speaker(), told, **TELL)
    assert not drawn.log_probs.requires_grad


@pytest.mark.parametrize("wrong", [{"max_words": 1}, {"temperature": 0.0}])
def test_telling_refuses_what_cannot_work(wrong):
    with pytest.raises(BadConfig, match=next(iter(wrong))):
        draw(made_speaker(), made_told(), **{**TELL, **wrong})
