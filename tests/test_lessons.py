"""What a follower is taught beside labelled paths, and what it refuses to be taught."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.config import ExtraConfig, ModelConfig, TrainConfig
from agents.course import train_run
from agents.follower.policy import Told
from agents.lessons.follower import FollowerLessons
from agents.lessons.speaker import SpeakerLessons
from agents.lessons.translation import TranslationLessons, extra_paths
from agents.loading import check_instructions, load_narrator
from agents.scene import Scene
from vln.data.splits import EpisodeSet
from vln.errors import BadConfig, CheckpointMismatch
from vln.runs import Run
from vln.text import Vocabulary

SMALL = TrainConfig(
    encoder="random",
    batch=6,
    iterations=2,
    evaluate_every=2,
    max_steps=5,
    evaluate=("val_seen",),
    model=ModelConfig(word=8, hidden=16, max_words=20, feature_dropout=0.5),
)


pytestmark = pytest.mark.usefixtures("in_tiny_world")


@pytest.fixture(scope="module")
def speaker(tiny_world, tmp_path_factory):
    """A run of a speaker."""
    base = tmp_path_factory.mktemp("speakers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLN_DATA", str(tiny_world.folder))
        patch.setenv("VLN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        train_run(replace(SMALL, agent="speaker"), base / "run", data=None, resumes=False)
    return base / "run"


def translating(speaker, **settings):
    """A configuration with back-translation."""
    extra = ExtraConfig(**{"paths": "sampled", "speaker": str(speaker), **settings})
    return replace(SMALL, extra=extra)


def lessons(config, folder, kind=TranslationLessons):
    return kind(config, Scene.open(config), Run(folder, seed=config.seed))


def gradients(model):
    return {
        name: weight.grad.clone()
        for name, weight in model.named_parameters()
        if weight.grad is not None
    }


def test_both_kinds_of_paths_teach_in_one_update(speaker, tmp_path):
    taught = lessons(translating(speaker), tmp_path)
    parts = taught.accumulate()
    both = gradients(taught.model)
    plain = lessons(SMALL, tmp_path, FollowerLessons)
    assert plain.accumulate() == {k: v for k, v in parts.items() if not k.startswith("extra_")}
    labelled = gradients(plain.model)
    assert any(not torch.equal(both[name], labelled[name]) for name in labelled)
    assert parts["extra_imitation_loss"] > 0


def test_no_gradient_goes_through_the_speaker(speaker, tmp_path):
    taught = lessons(translating(speaker), tmp_path)
    taught.accumulate()
    assert gradients(taught.narrator.model) == {}


def test_without_further_paths_nothing_is_told(speaker, tmp_path):
    taught = lessons(translating(speaker), tmp_path)
    taught.accumulate()
    assert taught.policy._told is None


@pytest.mark.parametrize("kind", ["environment", "batch"])
def test_a_mask_is_drawn_for_every_environment_or_for_a_mini_batch(speaker, tmp_path, kind):
    taught = lessons(translating(speaker, mask=kind), tmp_path)
    rows = taught._order.draw(taught.rows, taught._draws)
    mask = taught._mask(rows)
    scans = taught._scan[rows]
    assert set(mask.unique().tolist()) == {0.0, 2.0}
    same = (mask[:, None] == mask[None]).all(dim=2).numpy()
    group = np.arange(len(rows)) // SMALL.batch if kind == "batch" else scans
    expected = group[:, None] == group[None]
    assert len(np.unique(scans)) > 1
    np.testing.assert_array_equal(same, expected)


def test_masks_keep_features_as_often_as_they_should(speaker, tmp_path):
    taught = lessons(translating(speaker), tmp_path)
    drawn = [taught._mask(np.array([0])) for _ in range(200)]
    kept = (torch.cat(drawn) > 0).float().mean()
    assert abs(float(kept) - 0.5) < 0.03


def test_without_a_mask_each_feature_drops_by_itself(speaker, tmp_path):
    taught = lessons(translating(speaker, mask="none"), tmp_path)
    assert taught._mask(np.array([0, 1])) is None


def test_the_speaker_and_the_follower_see_through_one_mask(speaker, tmp_path, monkeypatch):
    taught = lessons(translating(speaker), tmp_path)
    spoken, told = [], []
    describe, tell = taught.narrator.describe, taught.policy.told

    def listen(routes, rows, *, mask):
        spoken.append(mask)
        return describe(routes, rows, mask=mask)

    def follow(said):
        told.append(said.mask)
        return tell(said)

    monkeypatch.setattr(taught.narrator, "describe", listen)
    monkeypatch.setattr(taught.policy, "told", follow)
    taught.accumulate()
    assert torch.equal(spoken[0], told[0])


def test_a_mask_is_the_same_as_masked_features(speaker, tmp_path):
    """Played with a mask, a follower does what it does with features that were masked before."""
    config = SMALL
    follower = lessons(config, tmp_path, FollowerLessons)
    policy, scene = follower.policy, follower.scene
    policy.model.eval()
    mask = (torch.rand(policy.model.sizes.features) < 0.5).float() * 2
    env, rows = follower._env, np.arange(follower.rows)
    from agents.rollout import play

    with policy.told(Told(mask=mask.expand(follower.rows, -1))), torch.no_grad():
        seen = play(env, policy, rows)
    values = scene.features.values * mask.numpy().astype(scene.features.dtype)
    policy.look_with(replace(scene.features, values=values))
    with torch.no_grad():
        expected = play(env, policy, rows)
    assert [t.poses for t in seen.trajectories] == [t.poses for t in expected.trajectories]


def test_what_is_told_is_what_the_speaker_says(speaker, tmp_path):
    config = translating(speaker, mask="none")
    taught = lessons(config, tmp_path)
    rows = np.arange(5)
    told = taught.tell(rows)
    narrator, *_ = load_narrator(speaker, taught.scene)
    narrator.max_words = 20
    expected = narrator.describe(taught._routes, rows)
    np.testing.assert_array_equal(told.words, expected.words.numpy())
    assert (told.words[:, 0] == len(narrator.vocabulary) - 1).all()  # <BOS>


def test_sampled_paths_lie_in_scans_that_are_trained_on(speaker):
    config = translating(speaker)
    scene = Scene.open(config)
    found = extra_paths(config, scene)
    scans = {episode.start.scan for episode in scene.episodes("train_fit")}
    labelled = {e.reference for split in ("train", "val_seen") for e in scene.episodes(split)}
    assert {episode.start.scan for episode in found} <= scans
    assert not labelled & {episode.reference for episode in found}


@pytest.fixture
def written(speaker, tmp_path):
    """A file of sampled paths, half of them in scans that are not trained on."""
    scene = Scene.open(SMALL)
    episodes = [*list(extra_paths(translating(speaker), scene))[:8], *scene.episodes("dev")]
    records = [
        {
            "scan": e.start.scan,
            "path": list(e.reference),
            "heading": e.start.heading,
            "instructions": ["Walk on and wait there."],
        }
        for e in episodes
    ]
    file = tmp_path / "aug_paths.json"
    file.write_text(json.dumps(records))
    return file


def test_paths_of_a_file_in_other_scans_are_left_out(written):
    config = replace(SMALL, extra=ExtraConfig(paths=str(written), words="file"))
    scene = Scene.open(config)
    found = extra_paths(config, scene)
    assert len(found) == 8
    assert {e.start.scan for e in found}.isdisjoint(e.start.scan for e in scene.episodes("dev"))


def test_paths_of_val_seen_are_left_out_of_a_file(written):
    scene = Scene.open(SMALL)
    records = json.loads(written.read_text())
    scans = {e.start.scan for e in scene.episodes("train_fit")}
    seen = next(e for e in scene.episodes("val_seen") if e.start.scan in scans)
    given = {"scan": seen.start.scan, "path": list(seen.reference), "heading": 1.0}
    written.write_text(json.dumps([*records, {**given, "instructions": ["Walk on."]}]))
    found = extra_paths(replace(SMALL, extra=ExtraConfig(paths=str(written), words="file")), scene)
    assert seen.reference not in {e.reference for e in found}
    assert len(found) == 8


def test_the_words_of_a_file_need_no_speaker(written, tmp_path):
    config = replace(SMALL, extra=ExtraConfig(paths=str(written), words="file"), batch=4)
    taught = lessons(config, tmp_path)
    assert taught.accumulate()["extra_imitation_loss"] > 0


def test_words_are_asked_of_a_file_that_has_none(written):
    records = json.loads(written.read_text())
    del records[0]["instructions"]
    written.write_text(json.dumps(records))
    config = replace(SMALL, extra=ExtraConfig(paths=str(written), words="file"))
    with pytest.raises(BadConfig, match="come without instructions"):
        extra_paths(config, Scene.open(config))


def test_a_speaker_with_other_eyes_is_refused(speaker, tmp_path):
    config = replace(translating(speaker), encoder="none")
    with pytest.raises(CheckpointMismatch, match="trained on --encoder random"):
        lessons(config, tmp_path)


def test_a_speaker_with_its_eyes_elsewhere_is_refused(speaker, tmp_path):
    with pytest.raises(CheckpointMismatch, match="do not see the same"):
        lessons(replace(translating(speaker), eyes="elsewhere"), tmp_path)


def test_lessons_go_on_with_the_speaker_they_began_with_and_no_other(speaker, tmp_path):
    state = lessons(translating(speaker), tmp_path).state()
    lessons(translating(speaker), tmp_path).restore(state)
    other = replace(SMALL, agent="speaker", start=str(speaker), iterations=1)
    train_run(other, tmp_path / "other", data=None, resumes=False)
    with pytest.raises(CheckpointMismatch, match=r"the speaker of .* changed since"):
        lessons(translating(tmp_path / "other"), tmp_path).restore(state)


def test_lessons_of_a_version_that_kept_no_digests_do_not_go_on(speaker, tmp_path):
    state = lessons(translating(speaker), tmp_path).state()
    del state["extra"]["sources"]
    with pytest.raises(CheckpointMismatch, match="unknown then"):
        lessons(translating(speaker), tmp_path).restore(state)


def test_lessons_go_on_with_the_paths_they_began_with_and_no_others(speaker, tmp_path):
    state = lessons(translating(speaker), tmp_path).state()
    with pytest.raises(CheckpointMismatch, match=r"the paths of --extra\.paths sampled changed"):
        lessons(translating(speaker, count=3), tmp_path).restore(state)


def test_further_paths_lie_in_training_scans_that_have_no_label_too(speaker, tmp_path):
    one = replace(translating(speaker), labels=1, batch=1)
    scene = Scene.open(one)
    everywhere = {episode.start.scan for episode in scene.episodes("train_fit")}
    assert len(everywhere) > 1
    assert {episode.start.scan for episode in extra_paths(one, scene)} == everywhere


def test_a_part_of_the_labels_is_learnt_from_and_gives_the_words(tmp_path):
    few = replace(SMALL, labels=13)
    scene = Scene.open(few)
    taught = lessons(few, tmp_path, FollowerLessons)
    part = scene.episodes("train_fit@13")
    assert len(part) == len(taught._episodes.table) == 13
    assert taught.vocabulary == Vocabulary.build(one.instruction for one in part)


def test_more_labels_than_there_are_are_refused(tmp_path):
    with pytest.raises(BadConfig, match="Ask for 1 to"):
        lessons(replace(SMALL, labels=10**6), tmp_path, FollowerLessons)
    with pytest.raises(BadConfig, match="labels is -1"):
        replace(SMALL, labels=-1)


def test_a_blind_speaker_teaches_a_blind_follower(tmp_path):
    blind = replace(SMALL, encoder="none", iterations=1)
    train_run(replace(blind, agent="speaker"), tmp_path / "run", data=None, resumes=False)
    extra = ExtraConfig(paths="sampled", speaker=str(tmp_path / "run"))
    taught = lessons(replace(blind, extra=extra), tmp_path)
    assert taught.accumulate()["extra_imitation_loss"] > 0


def test_an_agent_without_instructions_is_not_told_any_by_the_speaker(
    speaker, tmp_path, monkeypatch
):
    taught = lessons(replace(translating(speaker), hide="instruction"), tmp_path)
    read, encode = [], taught.model.encoder.forward

    def reading(words, *given, **named):
        read.append(words)
        return encode(words, *given, **named)

    monkeypatch.setattr(taught.model.encoder, "forward", reading)
    taught.accumulate()
    assert [words.shape[1] for words in read] == [2, 2]  # <BOS> and <EOS>


def test_weights_that_have_seen_the_houses_of_dev_are_said_to_have(tmp_path, caplog):
    every = replace(SMALL, select="val_unseen", iterations=1)
    train_run(every, tmp_path / "run", data=None, resumes=False)
    lessons(replace(SMALL, start=str(tmp_path / "run")), tmp_path, FollowerLessons)
    assert "was trained on the houses of dev too" in caplog.text


def test_a_speaker_is_loaded_without_the_server_it_was_trained_with(speaker, tmp_path):
    shutil.copytree(speaker, tmp_path / "run")
    config = json.loads((speaker / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps(config | {"service": "gone.sock"}))
    load_narrator(tmp_path / "run")
    with pytest.raises(BadConfig, match="needs no server"):
        load_narrator(tmp_path / "run", service="other.sock")


def test_instructions_are_not_hidden_from_a_speaker():
    with pytest.raises(BadConfig, match="learns from nothing else"):
        replace(SMALL, agent="speaker", hide="instruction")


@pytest.mark.parametrize(
    ("extra", "part"),
    [
        ({"speaker": "x"}, "without paths to learn from"),
        ({"paths": "sampled"}, "needs a speaker"),
        ({"paths": "sampled", "words": "file"}, "come without words"),
        ({"paths": "sampled", "speaker": "x", "count": -1}, "expected 0"),
    ],
)
def test_settings_of_further_paths_that_cannot_work_are_refused(extra, part):
    with pytest.raises(BadConfig, match=part):
        replace(SMALL, extra=ExtraConfig(**extra))


def test_a_speaker_learns_what_it_reads(tmp_path):
    config = replace(SMALL, agent="speaker", batch=12, model=replace(SMALL.model, dropout=0.0))
    taught = lessons(config, tmp_path, SpeakerLessons)
    optimizer = torch.optim.Adam(taught.model.parameters(), lr=0.02)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        losses.append(taught.accumulate()["word_loss"])
        optimizer.step()
    assert np.mean(losses[-5:]) < 0.7 * losses[0]


def test_a_speaker_is_judged_by_path(tmp_path):
    config = replace(SMALL, agent="speaker")
    taught = lessons(config, tmp_path, SpeakerLessons)
    judged = taught.judge("val_seen")
    assert 0 <= judged["bleu"] <= 100
    assert judged["word_loss"] == pytest.approx(np.log(len(taught.vocabulary)), rel=0.2)
    assert 0 <= judged["word_accuracy"] <= 1


WORDS = Vocabulary.build(["walk past the sofa ."] * 5)


@pytest.mark.parametrize(
    ("instruction", "part"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("walk " * 10_000, "longer than 1,000 words"),
        ("सोफे के पास से चलें .", "no word that the agent knows"),
    ],
)
def test_an_instruction_that_nobody_could_follow_is_named(tiny_world, instruction, part):
    scene = Scene.open(SMALL)
    episodes = scene.episodes("val_seen")
    wrong = replace(episodes.episodes[1], instruction=instruction)
    right = replace(episodes.episodes[0], instruction="Walk past.")
    given = EpisodeSet("r2r", "val_seen", "", "file.json", (right, wrong))
    with pytest.raises(BadConfig, match=part) as caught:
        check_instructions(given, WORDS, max_words=80)
    assert f"that of {wrong.id}" in str(caught.value)


def test_an_agent_that_reads_nothing_takes_any_instruction(tiny_world):
    scene = Scene.open(SMALL)
    wrong = replace(scene.episodes("val_seen").episodes[0], instruction="")
    given = EpisodeSet("r2r", "val_seen", "", "file.json", (wrong,))
    check_instructions(given, WORDS, max_words=80, is_read=False)
