"""EnvDrop's networks and losses: against its own numbers, and against plain rewritings."""

import numpy as np
import pytest
import torch
from torch import nn

from agents.follower import losses
from agents.follower.model import ENVDROP_NAMES, Follower, FollowerSizes, Sight, State
from vln.nn.dropout import Dropout
from vln.nn.recurrent import pack

F32 = torch.float32
BATCH, SLOTS, FEATURES, REPEATS = 3, 4, 5, 32


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


@pytest.fixture
def envdrop_follower(envdrop):
    # Its 8 angle numbers are no repeats of 4, so nothing may be folded.
    sizes = {"vocabulary": 50, "features": 24, "word": 12, "hidden": 32, "action": 8}
    model = Follower(FollowerSizes(**sizes, angles=8, angle_repeats=1))
    model.load_state_dict({name: envdrop_weight(envdrop, name) for name in model.state_dict()})
    return model.eval()


def test_the_encoder_gives_envdrops_numbers(envdrop, envdrop_follower):
    words, drop = envdrop["follower/words"], no_dropout()
    encoded = envdrop_follower.encoder(words, pack(np.full(3, 7), 7), drop, dtype=F32)
    close(encoded.context, envdrop["follower/ctx"])
    close(encoded.state.attended, envdrop["follower/h0"])
    close(encoded.state.cell, envdrop["follower/c0"])


def test_the_decoder_and_the_critic_give_envdrops_numbers(envdrop, envdrop_follower):
    drop = no_dropout()
    words = envdrop["follower/words"]
    encoded = envdrop_follower.encoder(words, pack(np.full(3, 7), 7), drop, dtype=F32)
    unrolled, state = envdrop_follower.decoder.unroll(encoded, drop, dtype=F32), encoded.state
    for step in range(4):
        golden = {
            key.rpartition("/")[2]: value
            for key, value in envdrop.items()
            if key.startswith(f"follower/{step}/")
        }
        views, candidates = golden["views"], golden["candidates"][:, :4]
        sight = Sight(
            agent_angles=golden["action_angles"],
            view_angles=views[:, :, 24:],
            candidate_angles=candidates[:, :, 24:],
            view_features=views[:, :, :24],
            candidate_features=candidates[:, :, :24],
            legal=torch.ones(3, 5, dtype=torch.bool),
        )
        logits, hidden, state = unrolled.step(state, sight)
        close(logits.roll(-1, dims=1), golden["logits"])  # EnvDrop puts stop last
        close(hidden, golden["hidden"])
        close(state.cell, golden["cell"])
        close(state.attended, golden["attended_hidden"])
        close(envdrop_follower.critic(hidden, drop), golden["value"])


@pytest.fixture(params=[FEATURES, 0], ids=["seeing", "blind"])
def follower(request):
    sizes = {"vocabulary": 20, "word": 6, "hidden": 8, "action": 3}
    return Follower(FollowerSizes(**sizes, features=request.param))


def made_sight(model, *, rows=BATCH):
    features = model.sizes.features
    legal = torch.ones(rows, SLOTS + 1, dtype=torch.bool)
    legal[1:, -1] = False
    return Sight(
        agent_angles=torch.randn(rows, 4),
        view_angles=torch.randn(rows, 36, 4),
        candidate_angles=torch.randn(rows, SLOTS, 4),
        view_features=torch.randn(rows, 36, features),
        candidate_features=torch.randn(rows, SLOTS, features),
        legal=legal,
    )


def made_words(lengths):
    words = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, length in enumerate(lengths):
        words[row, :length] = torch.randint(1, 20, (length,))
    return words, pack(np.array(lengths), max(lengths))


def plain_step(model, context, padding, state, sight):
    """EnvDrop's decoder as it stands in its paper, every angle written out 32 times."""
    decoder = model.decoder

    def repeated(features, angles):
        return torch.cat([features, angles.repeat(*[1] * (angles.dim() - 1), REPEATS)], dim=-1)

    def attention(query, slots, blocked=None):
        scores = (slots @ query[:, :, None])[:, :, 0]
        if blocked is not None:
            scores = scores.masked_fill(blocked, -torch.inf)
        return (scores.softmax(dim=1)[:, None] @ slots)[:, 0]

    action = decoder.action(sight.agent_angles.repeat(1, REPEATS)).tanh()
    views = repeated(sight.view_features, sight.view_angles)
    looked = attention(decoder.view_query(state.attended), views)
    hidden, cell = decoder.lstm(torch.cat([action, looked], dim=1), (state.attended, state.cell))
    read = attention(decoder.word_query(hidden), context, padding)
    attended = decoder.mix(torch.cat([read, hidden], dim=1)).tanh()
    candidates = repeated(sight.candidate_features, sight.candidate_angles)
    candidates = torch.cat([torch.zeros_like(candidates[:, :1]), candidates], dim=1)
    logits = (candidates @ decoder.candidate_query(attended)[:, :, None])[:, :, 0]
    return logits.masked_fill(~sight.legal, -torch.inf), hidden, State(attended, cell)


def flat(outputs):
    logits, hidden, state = outputs
    return logits, hidden, *state


def summed(outputs):
    """One number that every finite output moves."""
    logits, hidden, state = outputs
    return logits.clamp_min(-50).square().sum() + hidden.sum() + state.attended.square().sum()


def test_folded_angles_equal_angles_written_out_32_times(follower):
    words, packing = made_words([6, 2, 4])
    sights = [made_sight(follower) for _ in range(3)]
    encoded = follower.encoder(words, packing, no_dropout(), dtype=F32)
    # The plain rewriting asks for words as (B, L, H), whatever the encoder hands on.
    plain = plain_context(follower, words, [6, 2, 4])

    ours, theirs = torch.zeros(()), torch.zeros(())
    unrolled = follower.decoder.unroll(encoded, no_dropout(), dtype=F32)
    state, plain_state = encoded.state, encoded.state
    for sight in sights:
        outputs = unrolled.step(state, sight)
        expected = plain_step(follower, plain, words == 0, plain_state, sight)
        for given, wanted in zip(flat(outputs), flat(expected), strict=True):
            close(given, wanted)
        state, plain_state = outputs[2], expected[2]
        ours, theirs = ours + summed(outputs), theirs + summed(expected)

    parameters = dict(follower.decoder.named_parameters())
    given = torch.autograd.grad(ours, parameters.values(), retain_graph=True)
    wanted = torch.autograd.grad(theirs, parameters.values())
    for name, one, other in zip(parameters, given, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=name)


def plain_context(model, words, lengths):
    encoder = model.encoder
    packed = nn.utils.rnn.pack_padded_sequence(
        encoder.embedding(words), torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    hidden, _ = nn.utils.rnn.pad_packed_sequence(encoder.lstm(packed)[0], batch_first=True)
    return hidden


def test_an_instruction_reads_the_same_alone_and_beside_longer_ones(follower):
    words, packing = made_words([3, 9, 5])
    together = follower.encoder(words, packing, no_dropout(), dtype=F32)
    alone = follower.encoder(words[:1, :3], pack(np.array([3]), 3), no_dropout(), dtype=F32)
    close(together.state.attended[0], alone.state.attended[0], 1e-6)
    close(together.state.cell[0], alone.state.cell[0], 1e-6)


def test_the_first_state_is_a_maximum_over_words_without_padding(follower):
    words, packing = made_words([3, 9, 5])
    encoded = follower.encoder(words, packing, no_dropout(), dtype=F32)
    hidden = plain_context(follower, words, [3, 9, 5])
    top = hidden.masked_fill((words == 0)[:, :, None], -torch.inf).amax(dim=1)
    close(encoded.state.attended, follower.encoder.to_decoder(top).tanh())


def test_stop_weighs_nothing_and_illegal_actions_are_ruled_out(follower):
    words, packing = made_words([6, 2, 4])
    encoded = follower.encoder(words, packing, no_dropout(), dtype=F32)
    sight = made_sight(follower)
    unrolled = follower.decoder.unroll(encoded, no_dropout(), dtype=F32)
    logits, *_ = unrolled.step(encoded.state, sight)
    assert (logits[:, 0] == 0).all()
    assert torch.equal(torch.isinf(logits), ~sight.legal)


def test_rows_that_stay_go_on_as_if_the_others_had_stayed_too(follower):
    words, packing = made_words([6, 2, 4])
    sight, kept = made_sight(follower), torch.tensor([0, 2])
    encoded = follower.encoder(words, packing, no_dropout(), dtype=F32)
    whole = follower.decoder.unroll(encoded, no_dropout(), dtype=F32)
    fewer = follower.decoder.unroll(encoded, no_dropout(), dtype=F32)
    fewer.select(kept)
    expected, *_ = whole.step(encoded.state, sight)
    logits, *_ = fewer.step(encoded.state.select(kept), Sight(*(part[kept] for part in sight)))
    close(logits, expected[kept], 1e-6)


def test_imitation_is_the_cross_entropy_summed_over_steps_per_episode():
    logits = [torch.randn(4, 6), torch.randn(2, 6)]
    logits[0][1, 4:] = -torch.inf
    expert = torch.tensor([0, 3, 5, 1, 2, 0])
    given = losses.imitation_loss(losses.log_policy_of(logits), expert, batch=4)
    expected = nn.functional.cross_entropy(torch.cat(logits), expert, reduction="sum") / 4
    close(given, expected)


def test_actor_critic_terms_of_two_actions_by_hand():
    policy = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.2, 0.6]])
    values = torch.tensor([1.0, -1.0], requires_grad=True)
    log_policy = policy.log().requires_grad_()
    terms = losses.actor_critic(log_policy, torch.tensor([1, 2]), torch.tensor([3.0, -2.0]), values)
    # Advantages 2 and -1; squared errors 4 and 1.
    close(terms.policy, torch.tensor(-(2 * np.log(0.5) - np.log(0.6)) / 2).float())
    close(terms.value, torch.tensor(2.5))
    entropy = -(2 * 0.5 * np.log(0.5) + 2 * 0.2 * np.log(0.2) + 0.6 * np.log(0.6)) / 2
    close(terms.entropy, torch.tensor(entropy).float())
    total = terms.total(entropy_weight=0.01)
    close(total, terms.policy + 1.25 - 0.01 * terms.entropy)

    # The critic learns from its own error only, the policy from the advantage.
    assert torch.autograd.grad(terms.policy, values, allow_unused=True) == (None,)
    close(torch.autograd.grad(0.5 * terms.value, values)[0], torch.tensor([-1.0, 0.5]))


def test_illegal_actions_leave_no_trace_in_the_gradient():
    logits = torch.tensor([[1.0, 2.0, -torch.inf]], requires_grad=True)
    terms = losses.actor_critic(
        losses.log_policy_of([logits]), torch.tensor([0]), torch.ones(1), torch.zeros(1)
    )
    terms.total(entropy_weight=0.1).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 2] == 0


def test_returns_are_discounted_sums_of_rewards_by_hand():
    # Row 0 acts three times and stops, row 1 twice and runs out of steps before a value of 10,
    # row 2 stops at once.
    rewards = [np.array([1.0, -1.0, 2.0]), np.array([-1.0, 1.0]), np.array([2.0])]
    rows = [np.array([0, 1, 2]), np.array([0, 1]), np.array([0])]
    returns = losses.discounted_returns(rewards, rows, np.array([0.0, 10.0, 0.0]), discount=0.5)
    last = [2.0]
    second = [-1.0 + 0.5 * 2.0, 1.0 + 0.5 * 10.0]
    first = [1.0 + 0.5 * second[0], -1.0 + 0.5 * second[1], 2.0]
    for given, expected in zip(returns, (first, second, last), strict=True):
        np.testing.assert_allclose(given, expected)


def test_returns_leave_the_estimates_they_began_with_alone():
    last = np.array([1.0])
    losses.discounted_returns([np.ones(1)], [np.zeros(1, dtype=int)], last, discount=0.9)
    assert last.tolist() == [1.0]
