"""Agents as EnvDrop saves them: read to their own numbers, and played as a run of ours."""

import json
import shutil
from collections import OrderedDict

import numpy as np
import pytest
import torch

from agents import import_checkpoint, train
from agents.config import ModelConfig, TrainConfig
from agents.evaluation import evaluate as play_split
from agents.follower.model import ENVDROP_NAMES as FOLLOWER_NAMES
from agents.follower.model import Follower, FollowerSizes, Sight
from agents.follower.policy import FollowerPolicy
from agents.imported.envdrop import find_file, read_envdrop
from agents.loading import load_narrator, load_policy
from agents.scene import Scene
from agents.speaker.model import ENVDROP_NAMES as SPEAKER_NAMES
from agents.speaker.model import Route, Speaker, SpeakerSizes
from benchmarks import evaluate
from vln import checkpoint
from vln.errors import CheckpointMismatch, CorruptData, MissingData
from vln.nn.dropout import Dropout
from vln.nn.recurrent import pack
from vln.testing import TinyWorld
from vln.text import Vocabulary

F32 = torch.float32
SMALL = {"word": 12, "hidden": 16}
UNUSED = (
    "decoder/feat_att_layer.linear_out.weight",
    "decoder/candidate_att_layer.linear_out.weight",
)
BASELINE = ("decoder/baseline_projection.0.weight", "decoder/baseline_projection.3.bias")


def close(given, expected):
    torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-5)


def no_dropout():
    drop = Dropout(0)
    drop.enabled = False
    return drop


pytestmark = pytest.mark.usefixtures("in_tiny_world")


def optimizer_state(tensors):
    """What EnvDrop's RMSprop leaves beside the weights, and a few numbers of NumPy's."""
    held = {
        number: {"step": 7, "square_avg": torch.ones_like(tensor)}
        for number, tensor in enumerate(tensors.values())
    }
    group = {"lr": np.float64(1e-4), "alpha": np.float32(0.99), "params": list(held)}
    return {"state": held, "param_groups": [group], "schedule": np.arange(3.0)}


def save_snap(file, named, *, epoch=60_001, prefix="", is_zip=True):
    """Writes tensors called encoder/NAME, decoder/NAME, ... as EnvDrop does."""
    parts = {}
    for name, tensor in named.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, OrderedDict())[prefix + rest] = tensor
    states = {
        part: {"epoch": epoch, "state_dict": state, "optimizer": optimizer_state(state)}
        for part, state in parts.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(states, file, _use_new_zipfile_serialization=is_zip)
    return file


@pytest.fixture
def envdrop(golden):
    with np.load(golden / "envdrop_model.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def golden_snap(file, envdrop, *, agent, **options):
    """EnvDrop's golden weights, all of them, in a file of its own kind."""
    weights = {k.removeprefix("weights/"): v for k, v in envdrop.items() if k[:8] == "weights/"}
    is_speaker = {name: name.startswith("speaker_") for name in weights}
    chosen = {
        name.removeprefix("speaker_"): tensor
        for name, tensor in weights.items()
        if is_speaker[name] == (agent == "speaker")
    }
    return save_snap(file, chosen, **options)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("prefix", ["", "module."], ids=["plain", "data parallel"])
def test_a_follower_that_is_read_gives_envdrops_numbers(envdrop, tmp_path, is_zip, prefix):
    file = golden_snap(tmp_path / "best", envdrop, agent="follower", is_zip=is_zip, prefix=prefix)

    # Its 8 angle numbers are no repeats of 4, so nothing may be folded.
    found = read_envdrop(file, angles=8)
    model = Follower(found.sizes).eval()
    model.load_state_dict(dict(found.tensors))

    drop = no_dropout()
    encoded = model.encoder(envdrop["follower/words"], pack(np.full(3, 7), 7), drop, dtype=F32)
    unrolled, state = model.decoder.unroll(encoded, drop, dtype=F32), encoded.state
    for step in range(4):
        views = envdrop[f"follower/{step}/views"]
        candidates = envdrop[f"follower/{step}/candidates"][:, :4]
        sight = Sight(
            agent_angles=envdrop[f"follower/{step}/action_angles"],
            view_angles=views[:, :, 24:],
            candidate_angles=candidates[:, :, 24:],
            view_features=views[:, :, :24],
            candidate_features=candidates[:, :, :24],
            legal=torch.ones(3, 5, dtype=torch.bool),
        )
        logits, hidden, state = unrolled.step(state, sight)
        close(logits.roll(-1, dims=1), envdrop[f"follower/{step}/logits"])  # EnvDrop: stop last
        close(model.critic(hidden, drop), envdrop[f"follower/{step}/value"])


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_a_speaker_that_is_read_gives_envdrops_numbers(envdrop, tmp_path, is_zip):
    file = golden_snap(tmp_path / "best", envdrop, agent="speaker", is_zip=is_zip)

    found = read_envdrop(file, angles=8, repeats=1)
    model = Speaker(found.sizes).eval()
    model.load_state_dict(dict(found.tensors))

    actions, views = envdrop["speaker/actions"], envdrop["speaker/panoramas"]
    route = Route(actions[..., :24], actions[..., 24:], views[..., :24], views[..., 24:])
    told = model.read(route, pack(np.full(3, 4), 4), no_dropout(), dtype=F32)
    words = envdrop["speaker/words"]
    logits = model.logits(told, words, pack(np.full(3, 9), 9), no_dropout(), dtype=F32)
    close(logits, envdrop["speaker/logits"])


def test_agent_sizes_and_progress_are_read_off_the_file(envdrop, tmp_path):
    file = golden_snap(tmp_path / "best", envdrop, agent="follower", epoch=np.int64(1234))

    found = read_envdrop(file, angles=8)

    assert (found.agent, found.iteration) == ("follower", 1234)
    assert found.sizes == FollowerSizes(
        vocabulary=50, features=24, word=12, hidden=32, action=8, angles=8, angle_repeats=1
    )


# ----------------------------------------------------------------- a made one on the tiny world


def theirs(model, names, *, unused=()):
    """A network's tensors by EnvDrop's names, with some that are never used."""
    named = {}
    for ours, tensor in model.state_dict().items():
        module = next(module for module in names if ours.startswith(f"{module}."))
        part, _, rest = (names[module] + ours.removeprefix(module)).partition(".")
        named[f"{part.removeprefix('speaker_')}/{rest}"] = tensor
    return named | {name: torch.ones(2, 2) for name in unused}


@pytest.fixture(scope="module")
def words(tiny_world):
    return Vocabulary.build(episode.instruction for episode in tiny_world.episodes("train"))


@pytest.fixture(scope="module")
def scene(tiny_world):
    return Scene.open(TrainConfig(encoder="random"), tiny_world.folder)


def made_model(kind, sizes, words, scene, **changed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        given = {"vocabulary": len(words), "features": scene.features.dim, **SMALL, **changed}
        return kind(sizes(**given))


@pytest.fixture(scope="module")
def follower(words, scene):
    return made_model(Follower, FollowerSizes, words, scene)


@pytest.fixture(scope="module")
def follower_tensors(follower):
    return theirs(follower, FOLLOWER_NAMES, unused=UNUSED)


@pytest.fixture(scope="module")
def speaker_tensors(words, scene):
    model = made_model(Speaker, SpeakerSizes, words, scene)
    return theirs(model, SPEAKER_NAMES, unused=BASELINE)


@pytest.fixture
def snap(follower_tensors, tmp_path):
    """A snap folder with a follower in it."""
    save_snap(tmp_path / "snap/agent/state_dict/best_val_unseen", follower_tensors)
    return tmp_path / "snap/agent"


@pytest.fixture
def command(tmp_path, capsys):
    """Runs the command; gives exit code, output, errors."""

    def run_it(snap, *options, encoder="random", out=tmp_path / "run"):
        given = ["--from", "envdrop", str(snap), "--encoder", encoder, "--out", str(out)]
        code = import_checkpoint.main([*given, *map(str, options)])
        return code, *capsys.readouterr()

    return run_it


def test_a_follower_becomes_a_run_that_is_evaluated_like_a_policy_made_directly(
    command, snap, follower, words, scene, tmp_path, capsys
):
    code, out, err = command(snap)
    assert (code, err) == (0, "")
    assert "a follower after 60,001 iterations" in out

    evaluated = evaluate.main(["--run", str(tmp_path / "run"), "--split", "val_unseen", "--json"])
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    policy = FollowerPolicy(follower.eval(), vocabulary=words, features=scene.features)
    expected = play_split(policy, scene, "val_unseen").mean()
    assert evaluated == 0
    assert metrics["NE"]["mean"] == pytest.approx(expected["navigation_error"])
    assert metrics["SPL"]["mean"] == pytest.approx(100 * expected["spl"])
    assert metrics["nDTW"]["mean"] == pytest.approx(100 * expected["ndtw"])


def test_a_run_says_which_file_it_was_made_from(command, snap, tmp_path, scene):
    command(snap)

    _, state = checkpoint.load(tmp_path / "run/checkpoints/last.safetensors")
    file = find_file(snap)
    assert state["source"] == {
        "layout": "envdrop",
        "name": "best_val_unseen",
        "sha256": read_envdrop(file).sha256,
    }
    assert state["progress"]["iteration"] == 60_001
    assert (state["features"], state["world"]) == (scene.fingerprint, scene.graph.world)


def test_a_speaker_becomes_a_run_that_speaks(command, speaker_tensors, tmp_path):
    save_snap(tmp_path / "snap/speaker/state_dict/best_val_unseen_bleu", speaker_tensors)

    code, out, _ = command(tmp_path / "snap/speaker")

    assert code == 0
    assert "a speaker" in out
    narrator, *_ = load_narrator(tmp_path / "run")
    assert torch.equal(
        narrator.model.decoder.projection.weight, speaker_tensors["decoder/projection.weight"]
    )


def test_words_are_taken_from_a_file_that_is_named(command, snap, words, tmp_path):
    shuffled = Vocabulary((*words.words[:3], *sorted(words.words[3:-1]), words.words[-1]))
    shuffled.save(tmp_path / "vocab.txt")

    command(snap, "--vocabulary", tmp_path / "vocab.txt")

    policy, *_ = load_policy(tmp_path / "run")
    assert policy.vocabulary == shuffled


# -------------------------------------------------------------------------------- what is refused


@pytest.fixture
def refused(command, tmp_path):
    """Runs the command on tensors that cannot be used; gives its error."""

    def run_it(tensors, *options, encoder="random", **how):
        file = save_snap(tmp_path / "file", tensors, **how)
        code, out, err = command(file, *options, encoder=encoder)
        assert (code, out) == (2, "")
        assert not (tmp_path / "run").exists()
        return err

    return run_it


class Payload:
    """Runs code where it is unpickled carelessly."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("place", ["epoch", "optimizer"])
def test_code_in_a_file_is_refused_and_not_run(follower_tensors, tmp_path, is_zip, place):
    target = tmp_path / "written"
    states = {"encoder": {"epoch": 1, "state_dict": follower_tensors, place: Payload(target)}}
    torch.save(states, tmp_path / "bad", _use_new_zipfile_serialization=is_zip)

    with pytest.raises(CorruptData, match=r"names _?io\.open, and loading it would run code"):
        read_envdrop(tmp_path / "bad")
    assert not target.exists()


def test_a_file_may_not_call_numpy_with_what_it_says(tmp_path):
    states = {"encoder": {"epoch": 1, "state_dict": np.array([{}], dtype=object)}}
    torch.save(states, tmp_path / "bad")

    with pytest.raises(CorruptData, match="NumPy type 'O8'"):
        read_envdrop(tmp_path / "bad")


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_a_file_that_is_cut_off_is_damaged(follower_tensors, tmp_path, is_zip):
    file = save_snap(tmp_path / "file", follower_tensors, is_zip=is_zip)
    file.write_bytes(file.read_bytes()[:-5000])

    with pytest.raises(CorruptData, match="copy or download it again"):
        read_envdrop(file)


def test_a_file_of_something_else_says_what_it_begins_with(tmp_path):
    (tmp_path / "page").write_bytes(b"<html>")

    with pytest.raises(CorruptData, match="begins with b'<htm'"):
        read_envdrop(tmp_path / "page")


@pytest.mark.parametrize(
    ("held", "problem"),
    [
        ([1], "holds a list"),
        ({"weight": torch.ones(2)}, "holds a Tensor under 'weight', without a state_dict"),
        ({"encoder": {"epoch": "x", "state_dict": {}}}, "'x', expected the count of iterations"),
        ({"encoder": {"epoch": 1, "state_dict": {}}}, "neither a follower nor a speaker"),
    ],
)
def test_a_file_without_networks_says_what_it_holds(tmp_path, held, problem):
    torch.save(held, tmp_path / "held")

    with pytest.raises(CheckpointMismatch, match=problem):
        read_envdrop(tmp_path / "held")


def test_a_folder_without_the_best_weights_lists_what_is_there(tmp_path, follower_tensors):
    save_snap(tmp_path / "state_dict/LAST_iter80000", follower_tensors)

    with pytest.raises(MissingData, match=r"no best_val_unseen or .* There: LAST_iter80000"):
        find_file(tmp_path)


def test_a_file_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingData, match="No such file"):
        read_envdrop(tmp_path / "nowhere")


def test_a_speaker_is_no_follower(refused, speaker_tensors):
    err = refused(speaker_tensors, "--agent", "follower")

    assert "holds a speaker, expected a follower" in err


def test_missing_and_surplus_tensors_are_listed(refused, follower_tensors):
    tensors = dict(follower_tensors)
    tensors["decoder/novel.weight"] = tensors.pop("critic/state2value.3.bias")

    err = refused(tensors)

    assert "missing critic/state2value.3.bias; surplus decoder/novel.weight." in err


def test_tensors_of_other_shapes_are_listed(refused, follower_tensors):
    name = "decoder/attention_layer.linear_out.weight"

    err = refused(follower_tensors | {name: torch.ones(16, 30)})

    assert f"{name} is (16, 30), expected (16, 32)" in err


def test_a_tensor_that_claims_more_than_the_file_holds_is_damaged(refused, follower_tensors):
    name = "encoder/encoder2decoder.bias"

    err = refused(follower_tensors | {name: torch.ones(1).expand(16)})

    assert f"tensor {name}: claims 16 numbers" in err


def test_weights_that_are_no_numbers_are_damaged(refused, follower_tensors):
    name = "encoder/encoder2decoder.bias"

    err = refused(follower_tensors | {name: torch.full((16,), torch.nan)})

    assert "holds NaN or infinity" in err


def test_words_of_another_number_are_refused_with_both(refused, follower_tensors, words, tmp_path):
    Vocabulary((*words.words[:-2], words.words[-1])).save(tmp_path / "vocab.txt")

    err = refused(follower_tensors, "--vocabulary", tmp_path / "vocab.txt")

    assert f"knows {len(words)} words, and {tmp_path}/vocab.txt has {len(words) - 1}" in err


def test_counted_words_of_another_number_ask_for_the_file(refused, follower_tensors, words):
    more = torch.ones(len(words) + 1, SMALL["word"])

    err = refused(follower_tensors | {"encoder/embedding.weight": more})

    assert f"knows {len(words) + 1} words, and the training annotations give {len(words)}" in err
    assert "by --vocabulary" in err
    assert "tot" not in err.split()


def test_the_word_that_published_agents_have_more_than_some_annotations_is_named(
    refused, tiny_world, words, scene, tmp_path
):
    world = TinyWorld(tmp_path / "world")
    shutil.copytree(tiny_world.folder, world.folder)
    train = world.folder / "r2r/R2R_train.json"
    records = json.loads(train.read_bytes())
    more = " ".join(f"word{number}" for number in range(991 - len(words)))
    records[0]["instructions"] += 5 * [more]
    train.write_text(json.dumps(records))
    tensors = theirs(
        made_model(Follower, FollowerSizes, words, scene, vocabulary=992), FOLLOWER_NAMES
    )

    err = refused(tensors, "--data", world.folder)

    assert "knows 992 words, and the training annotations give 991" in err
    assert "has a word more, 'tot'" in err


def test_features_of_another_width_are_refused_with_both(refused, follower_tensors, scene):
    err = refused(follower_tensors, encoder="none")

    assert f"sees {scene.features.dim} features per view, and --encoder none gives 0" in err


def test_an_agent_of_unusual_widths_is_read_but_makes_no_run(refused, words, scene, tmp_path):
    model = made_model(Follower, FollowerSizes, words, scene, action=8, angle_repeats=1)

    err = refused(theirs(model, FOLLOWER_NAMES))

    assert "action is 8 and not 64, angle_repeats is 1 and not 32" in err
    assert read_envdrop(tmp_path / "file").sizes.angle_repeats == 1


def test_a_folder_that_holds_a_run_is_left_alone(command, snap):
    command(snap)

    code, _, err = command(snap)

    assert code == 2
    assert "already holds a run" in err


def test_an_imported_run_has_the_settings_of_what_was_published(command, snap, tmp_path):
    command(snap)

    _, _, config, _ = load_policy(tmp_path / "run")
    assert config.model == ModelConfig(word=12, hidden=16)
    assert (config.max_steps, config.select, config.iterations) == (35, "val_unseen", 60_001)


def test_an_imported_run_is_not_resumed_but_begun_from(command, snap, tmp_path, capsys):
    command(snap)
    run = str(tmp_path / "run")
    assert train.main(["--resume", run, "--iterations", "70000"]) == 2
    assert f"--start {run}" in capsys.readouterr().err
    small = ["--agent", "follower", "--encoder", "random", "--batch", "6", "--iterations", "1"]
    small += ["--model.word", "12", "--model.hidden", "16", "--max-steps", "4"]
    assert train.main([*small, "--start", run, "--out", str(tmp_path / "begun")]) == 0
