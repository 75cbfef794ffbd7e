"""The speaker's networks: against EnvDrop's numbers, and against a plain rewriting."""

import numpy as np
import pytest
import torch
from torch import nn

from agents.speaker.losses import word_log_probs, word_loss
from agents.speaker.model import ENVDROP_NAMES, Route, Speaker, SpeakerSizes
from vln.nn import glimpse
from vln.nn.dropout import Dropout
from vln.nn.recurrent import pack

F32 = torch.float32
VOCABULARY, FEATURES, HIDDEN, REPEATS = 12, 5, 8, 32
STEPS, LENGTHS = [3, 6, 1, 4], [7, 2, 5, 9]
PAD, END, BEGIN = 0, 2, VOCABULARY - 1


def close(given, expected, tolerance=1e-5):
    torch.testing.assert_close(given, expected, rtol=tolerance, atol=tolerance)


def no_dropout():
    drop = Dropout(0)
    drop.enabled = False
    return drop


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        yield


@pytest.fixture
def envdrop(golden):
    with np.load(golden / "envdrop_model.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def envdrop_weight(arrays, name):
    """The golden weight that our parameter `name` stands for."""
    module = next(module for module in ENVDROP_NAMES if name.startswith(f"{module}."))
    folder, _, rest = (ENVDROP_NAMES[module] + name.removeprefix(module)).partition(".")
    return arrays[f"weights/{folder}/{rest}"]


def test_context_and_logits_are_envdrops(envdrop):
    # Its 8 angle numbers are no repeats of 4, so nothing may be summed.
    sizes = {"vocabulary": 50, "features": 24, "word": 12, "hidden": 32}
    model = Speaker(SpeakerSizes(**sizes, angles=8, angle_repeats=1))
    model.load_state_dict({name: envdrop_weight(envdrop, name) for name in model.state_dict()})
    actions, views = envdrop["speaker/actions"], envdrop["speaker/panoramas"]
    route = Route(actions[..., :24], actions[..., 24:], views[..., :24], views[..., 24:])
    told = model.read(route, pack(np.full(3, 4), 4), no_dropout(), dtype=F32)
    close(told.context, envdrop["speaker/context"])
    words = envdrop["speaker/words"]
    logits = model.logits(told, words, pack(np.full(3, 9), 9), no_dropout(), dtype=F32)
    close(logits, envdrop["speaker/logits"])


def made_speaker(*, features=FEATURES, **options):
    sizes = {"vocabulary": VOCABULARY, "word": 6, "hidden": HIDDEN, "features": features}
    return Speaker(SpeakerSizes(**sizes, **options))


@pytest.fixture(params=[FEATURES, 0], ids=["seeing", "blind"])
def speaker(request):
    return made_speaker(features=request.param)


def made_route(model, *, steps=STEPS):
    """Routes with numbers at the padding too, which nothing may read; and their packing."""
    rows, longest, features = len(steps), max(steps), model.sizes.features
    route = Route(
        action_features=torch.randn(rows, longest, features),
        action_angles=torch.randn(rows, longest, 4),
        view_features=torch.randn(rows, longest, 36, features),
        view_angles=torch.randn(rows, longest, 36, 4),
    )
    return route, pack(np.array(steps), longest)


def made_words(*, lengths=LENGTHS):
    words = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, length in enumerate(lengths):
        words[row, :length] = torch.randint(3, VOCABULARY - 1, (length,))
        words[row, 0], words[row, length - 1] = BEGIN, END
    return words, pack(np.array(lengths), max(lengths))


def plain_lstm(module, inputs, lengths):
    packed = nn.utils.rnn.pack_padded_sequence(
        inputs, torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    return nn.utils.rnn.pad_packed_sequence(module(packed)[0], batch_first=True)[0]


def plain_context(model, route, steps):
    """EnvDrop's speaker encoder as it stands in its paper, every angle written out 32 times."""
    encoder = model.encoder
    angles = route.action_angles.repeat(1, 1, REPEATS)
    done = plain_lstm(encoder.action_lstm, torch.cat([route.action_features, angles], 2), steps)
    views = torch.cat([route.view_features, route.view_angles.repeat(1, 1, 1, REPEATS)], dim=3)
    scores = (views @ encoder.view_query(done)[..., None])[..., 0]
    looked = (scores.softmax(dim=2)[:, :, None] @ views)[:, :, 0]
    mixed = encoder.mix(torch.cat([looked, done], dim=2)).tanh()
    return plain_lstm(encoder.route_lstm, mixed, steps)


def plain_logits(model, context, steps, words, lengths):
    decoder = model.decoder
    said = plain_lstm(decoder.lstm, decoder.embedding(words), lengths)
    scores = decoder.step_query(said) @ context.transpose(1, 2)
    blocked = torch.arange(context.shape[1]) >= torch.tensor(steps)[:, None]
    read = scores.masked_fill(blocked[:, None], -torch.inf).softmax(dim=2) @ context
    return decoder.projection(decoder.mix(torch.cat([read, said], dim=2)).tanh())


def test_context_logits_and_gradients_are_those_of_a_plain_rewriting(speaker):
    (route, packing), (words, word_packing) = made_route(speaker), made_words()
    told = speaker.read(route, packing, no_dropout(), dtype=F32)
    logits = speaker.logits(told, words, word_packing, no_dropout(), dtype=F32)
    context = plain_context(speaker, route, STEPS)
    expected = plain_logits(speaker, context, STEPS, words, LENGTHS)
    close(told.context, context)
    said = words != PAD
    close(logits[said], expected[said])

    weights = torch.randn_like(expected) * said[:, :, None]
    parameters = dict(speaker.named_parameters())
    ours = torch.autograd.grad((logits * weights).sum(), parameters.values())
    theirs = torch.autograd.grad((expected * weights).sum(), parameters.values())
    for name, given, wanted in zip(parameters, ours, theirs, strict=True):
        torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-5, msg=name)


def test_padding_is_marked_and_holds_zeros(speaker):
    (route, packing), (words, word_packing) = made_route(speaker), made_words()
    told = speaker.read(route, packing, no_dropout(), dtype=F32)
    logits = speaker.logits(told, words, word_packing, no_dropout(), dtype=F32)
    assert told.padding.sum(dim=1).tolist() == [3, 0, 5, 2]
    assert (told.context[told.padding] == 0).all()
    assert (logits[words == PAD] == 0).all()


def test_a_route_is_told_the_same_alone_and_beside_longer_ones(speaker):
    (route, packing), (words, word_packing) = made_route(speaker), made_words()
    told = speaker.read(route, packing, no_dropout(), dtype=F32)
    logits = speaker.logits(told, words, word_packing, no_dropout(), dtype=F32)
    for row, (steps, length) in enumerate(zip(STEPS, LENGTHS, strict=True)):
        one = Route(*(part[row : row + 1, :steps] for part in route))
        alone = speaker.read(one, pack(np.array([steps]), steps), no_dropout(), dtype=F32)
        close(alone.context[0], told.context[row, :steps], 1e-6)
        own, packed = words[row : row + 1, :length], pack(np.array([length]), length)
        said = speaker.logits(alone, own, packed, no_dropout(), dtype=F32)
        close(said[0], logits[row, :length], 1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_coarse_features_are_read_as_they_are(dtype):
    model = made_speaker()
    route, packing = made_route(model)
    coarse = route._replace(view_features=route.view_features.to(dtype))
    given = model.read(coarse, packing, no_dropout(), dtype=F32).context
    assert given.dtype == F32
    close(given, model.read(route, packing, no_dropout(), dtype=F32).context, 0.01)


def test_bfloat16_products_stay_close_to_float32():
    model = made_speaker()
    (route, packing), (words, word_packing) = made_route(model), made_words()
    exact, rough = (
        model.logits(
            model.read(route, packing, no_dropout(), dtype=dtype),
            words,
            word_packing,
            no_dropout(),
            dtype=dtype,
        )
        for dtype in (F32, torch.bfloat16)
    )
    assert rough.dtype == F32
    close(rough, exact, 0.03)


@pytest.mark.parametrize("enabled", [False, True], ids=["in evaluation", "in training"])
def test_environment_dropout_equals_features_multiplied_beforehand(enabled):
    # All dropout but that of features is off, and that gives way to the mask.
    model = made_speaker(dropout=0.0, feature_dropout=0.9)
    route, packing = made_route(model)
    mask = (torch.rand(len(STEPS), FEATURES) > 0.4) / 0.6
    drop = Dropout(0)
    drop.enabled = enabled
    masked = route._replace(
        action_features=route.action_features * mask[:, None],
        view_features=route.view_features * mask[:, None, None],
    )
    given = model.read(route, packing, drop, dtype=F32, seen=mask).context
    expected = model.read(masked, packing, no_dropout(), dtype=F32).context
    close(given, expected)
    weights, parameters = torch.randn_like(expected), list(model.encoder.parameters())
    ours, theirs = (
        torch.autograd.grad((value * weights).sum(), parameters) for value in (given, expected)
    )
    for one, other in zip(ours, theirs, strict=True):
        close(one, other)


def test_feature_dropout_changes_what_is_seen_and_leaves_the_features_alone():
    model = made_speaker(dropout=0.0, feature_dropout=0.5)
    route, packing = made_route(model)
    before, drop = route.view_features.clone(), Dropout(0)
    first = model.read(route, packing, drop, dtype=F32).context
    assert not torch.allclose(first, model.read(route, packing, drop, dtype=F32).context)
    assert torch.equal(route.view_features, before)


def test_gradients_with_dropout_are_the_slope_of_the_loss(monkeypatch):
    # The same seed draws the same masks, so the loss is a function of the weights.
    monkeypatch.setattr(glimpse, "BLOCK", 3 * 36 * FEATURES)
    model = made_speaker()
    (route, packing), (words, word_packing) = made_route(model), made_words()

    def loss():
        drop = Dropout(4)
        told = model.read(route, packing, drop, dtype=F32)
        return word_loss(model.logits(told, words, word_packing, drop, dtype=F32), words)

    loss().backward()
    for parameter in model.parameters():
        direction = parameter.grad / parameter.grad.norm()
        slope, step = (parameter.grad * direction).sum(), 1e-2
        with torch.no_grad():
            parameter += step * direction
            above = loss()
            parameter -= 2 * step * direction
            below = loss()
            parameter += step * direction
        torch.testing.assert_close((above - below) / (2 * step), slope, rtol=0.02, atol=1e-4)


def test_the_loss_is_the_mean_over_words_of_minus_their_log_probability():
    words, _ = made_words()
    logits = torch.randn(*words.shape, VOCABULARY)
    total, count = 0.0, 0
    for row, length in enumerate(LENGTHS):
        for place in range(length - 1):
            policy = logits[row, place].log_softmax(dim=0)
            total, count = total - policy[words[row, place + 1]].item(), count + 1
    assert word_loss(logits, words).item() == pytest.approx(total / count, rel=1e-5)
    scores = word_log_probs(logits, words)
    assert scores.shape == (len(LENGTHS), max(LENGTHS) - 1)
    assert (scores[words[:, 1:] == PAD] == 0).all()
    assert scores.sum().item() == pytest.approx(-total, rel=1e-5)


def test_the_losss_gradient_is_its_slope_and_zero_at_padding():
    words, _ = made_words(lengths=[4, 2])
    logits = torch.randn(*words.shape, VOCABULARY, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda scores: word_loss(scores, words), (logits,))
    word_loss(logits, words).backward()
    assert (logits.grad[1, 1:] == 0).all()
    assert (logits.grad[0, -1] == 0).all()
