"""Small towers, taught by captions, labels or nothing."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vln.encoders.loading import identity, load
from vln.encoders.networks.tower import TowerPair, TowerSpec, WordTokenizer
from vln.encoders.weights.towers import tower_header, write_tower
from vln.errors import BadConfig, CorruptData, MissingWeights
from vln.houses.words.caption_words import COLOURS, NOUNS, ROOMS
from vln.houses.words.naming import with_article
from vln.pretrain import training
from vln.pretrain.augment import Augmentation, augmented, plain
from vln.pretrain.config import PretrainConfig
from vln.pretrain.lexicon import ALL, facts, label
from vln.pretrain.objectives import info_nce, make
from vln.pretrain.pairs import Pairs
from vln.pretrain.training import NORM, Pretraining
from vln.runs import Run

SIZE = (84, 112)
PAINTS = {
    "red": (220, 30, 30),
    "green": (30, 180, 40),
    "blue": (30, 40, 220),
    "yellow": (220, 220, 40),
    "white": (240, 240, 240),
    "black": (10, 10, 10),
}


def painted(*, count=96, seed=0) -> Pairs:
    """Views that are left of one colour and right of another, and say so."""
    rng = np.random.default_rng(seed)
    names = list(PAINTS)
    choice = rng.integers(len(names), size=(count, 2))
    images = np.empty((count, 96, 128, 3), np.uint8)
    images[:, :, :64] = np.array([PAINTS[names[a]] for a, _ in choice])[:, None, None]
    images[:, :, 64:] = np.array([PAINTS[names[b]] for _, b in choice])[:, None, None]
    texts = tuple(
        f"{with_article(names[a]).capitalize()} sofa to the left of {with_article(names[b])} bed "
        f"in a bedroom, number {row}."
        for row, (a, b) in enumerate(choice)
    )
    return Pairs(images, texts, f"painted {seed}")


@pytest.fixture(scope="module")
def pairs():
    return painted()


@pytest.fixture(autouse=True, scope="module")
def _few_pictures_settle_a_tower():
    """Thousands settle one that shall be used."""
    whole, training.SETTLING = training.SETTLING, 2
    yield
    training.SETTLING = whole


def pretraining(folder, pairs, **options):
    config = PretrainConfig(**{"batch": 16, "warmup": 2, "evaluate_every": 2, **options})
    folder.mkdir(exist_ok=True)
    run = Run(folder, seed=config.seed)
    return Pretraining(config, pairs, painted(count=100, seed=1), run)


# What captions say.


def test_a_caption_is_read_as_objects_with_colours_a_room_a_relation_and_finishes():
    said = facts(
        "A scarlet side chair next to a tall wooden closet in a washroom with tiled walls."
    )

    assert said == {
        ("category", "chair"),
        ("coloured", "red chair"),
        ("category", "wardrobe"),
        ("room", "bathroom"),
        ("relation", "beside"),
        ("finish", "wall tiles"),
    }


@pytest.mark.parametrize(
    ("kind", "table"), [("category", NOUNS), ("room", ROOMS)], ids=["nouns", "rooms"]
)
def test_every_word_of_the_captions_is_read_as_what_it_stands_for(kind, table):
    read = {
        phrase: {
            name for k, name in facts(f"This photo shows {with_article(phrase)}.") if k == kind
        }
        for phrases in table.values()
        for phrase in phrases
    }

    assert read == {phrase: {name} for name, phrases in table.items() for phrase in phrases}


def test_every_colour_is_read_with_its_object():
    said = {word: facts(f"A {word} sofa.") for words in COLOURS.values() for word in words}

    expected = {word: f"{name} sofa" for name, words in COLOURS.items() for word in words}
    assert {word: dict(found)["coloured"] for word, found in said.items()} == expected


def test_a_colour_belongs_to_the_next_object_alone():
    assert facts("A red sofa beside a lamp.") >= {("coloured", "red sofa"), ("category", "lamp")}
    assert ("coloured", "red lamp") not in facts("A red sofa beside a lamp.")


def test_several_of_a_kind_are_read_as_the_kind():
    assert ("category", "shelf") in facts("There are two green open shelves inside a kitchen.")


def test_targets_share_one_among_the_classes_named():
    found = label(["A red sofa beside a lamp.", "A kitchen."], ALL)

    assert found["category"].target.sum(1).tolist() == [1, 0]
    assert found["category"].target[0].max() == 0.5
    assert found["room"].names == ("kitchen",)


def test_classes_of_other_captions_can_be_asked_for():
    found = label(["A red sofa."], ["category"], names={"category": ["bed", "sofa"]})

    assert found["category"].target.tolist() == [[0, 1]]


# Pictures.


def test_without_any_change_augmentation_shows_the_whole_picture(pairs):
    images = torch.from_numpy(pairs.images[:4])
    still = Augmentation(smallest=1.0, stretch=1.0, light=0.0)

    seen = augmented(images, still, size=SIZE, rng=torch.Generator())

    assert seen.shape == (4, 3, *SIZE)
    middle = (seen - plain(images, size=SIZE))[..., [*range(50), *range(62, 112)]]
    assert middle.abs().max() < 0.02


def test_augmentation_depends_on_its_generator_alone(pairs):
    images = torch.from_numpy(pairs.images[:4])

    one, again, other = (
        augmented(images, Augmentation(), size=SIZE, rng=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )

    assert torch.equal(one, again)
    assert (one - other).abs().max() > 0.1
    assert -1 <= one.min() <= one.max() <= 1


# Objectives.


def test_info_nce_is_the_mean_of_both_cross_entropies():
    one, other = torch.tensor([[1.0, 0], [0, 2]]), torch.tensor([[3.0, 0], [1, 1]])

    loss = info_nce(one, other, scale=2.0)

    root = math.sqrt(0.5)
    scores = [[2.0, 2 * root], [0.0, 2 * root]]
    rows = [math.log(sum(map(math.exp, row))) - row[i] for i, row in enumerate(scores)]
    turned = list(zip(*scores, strict=True))
    columns = [math.log(sum(map(math.exp, row))) - row[i] for i, row in enumerate(turned)]
    assert float(loss) == pytest.approx((sum(rows) + sum(columns)) / 4, rel=1e-6)


@pytest.mark.parametrize("name", ["contrastive", "labels", "told", "alone"])
def test_every_objective_starts_with_the_same_tower_and_teaches_all_of_it(name, pairs):
    torch.manual_seed(5)
    made = make(name, pairs.captions)
    torch.manual_seed(5)
    untrained = make("untrained", pairs.captions)
    tower = made.module.pair.image
    start = {k: v.clone() for k, v in tower.state_dict().items()}
    assert all(
        torch.equal(value, untrained.module.pair.image.state_dict()[key])
        for key, value in start.items()
    )

    seen = plain(torch.from_numpy(pairs.images[:8]), size=SIZE)
    crops = [tower(seen) for _ in range(made.module.crops)]
    made.module.loss(crops, torch.arange(8)).backward()

    assert all(p.grad is not None and p.grad.isfinite().all() for p in tower.parameters())
    assert sum(float(p.grad.abs().sum()) for p in tower.parameters()) > 0


def test_the_temperature_stays_within_its_bound(pairs):
    module = make("contrastive", pairs.captions).module
    module.log_scale.data.fill_(10.0)

    module.settle()

    assert module.log_scale.exp().item() == pytest.approx(100)


# Training.


@pytest.fixture(scope="module")
def trained(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("contrastive")
    file = pretraining(folder, pairs, updates=24, evaluate_every=24, lr=3e-3).train()
    return folder, file


def test_a_tower_learns_to_tell_the_captions_of_a_batch_apart(trained):
    (entry,) = Run(trained[0], seed=0).history()

    assert entry["loss"] < math.log(16) - 0.3  # chance, in a batch of 16
    assert 0 <= entry["image_to_text_1"] <= 1


def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path, pairs, monkeypatch):
    whole = pretraining(tmp_path / "whole", pairs, updates=6).train()
    broken = pretraining(tmp_path / "broken", pairs, updates=6)
    steps = broken._update

    def dies():
        if broken.updates == 3:
            raise KeyboardInterrupt
        return steps()

    monkeypatch.setattr(broken, "_update", dies)
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    resumed = pretraining(tmp_path / "broken", pairs, updates=6)

    assert resumed.updates == 2
    tensors = load_file(resumed.train())
    assert tensors.keys() == load_file(whole).keys()
    assert all(torch.equal(value, tensors[name]) for name, value in load_file(whole).items())


@pytest.mark.parametrize("name", ["alone", "told", "untrained"])
def test_towers_without_words_are_written_as_well(name, tmp_path, pairs):
    file = pretraining(tmp_path, pairs, objective=name, updates=2).train()

    encoder = load(f"tower:{file}")

    assert not encoder.has_text
    assert encoder.dim == 256
    with pytest.raises(BadConfig, match="reads no texts"):
        encoder.tokens(["a sofa"])


def test_a_finished_tower_has_features_of_the_norm_of_clips(trained, pairs):
    encoder = load(f"tower:{trained[1]}")

    features = encoder.images(np.ascontiguousarray(pairs.images[:64]))

    assert np.sqrt((features**2).sum(1).mean()) == pytest.approx(NORM, rel=0.05)


def test_a_finished_tower_gives_what_the_one_in_training_gave(trained, pairs):
    training = pretraining(trained[0], pairs, updates=24, evaluate_every=24, lr=3e-3)
    training._settle(training.module.pair.image)
    seen = plain(torch.from_numpy(pairs.images[:8]), size=SIZE)
    with torch.inference_mode():
        expected = training.module.pair.image.eval()(seen).numpy()

    encoder = load(f"tower:{trained[1]}")

    # Half-precision weights, whole grey levels.
    assert np.abs(encoder.images(pairs.images[:8]) - expected).max() < 0.05


def test_a_text_means_the_same_whoever_stands_beside_it(trained):
    encoder = load(f"tower:{trained[1]}")
    short, long = "A red sofa.", "A red sofa to the left of a blue bed in a bedroom, a red bed."

    alone = encoder.text(encoder.tokens([short]))
    together = encoder.text(encoder.tokens([short, long]))

    assert np.abs(alone[0] - together[0]).max() < 1e-5


# Files.


def test_the_file_says_how_the_tower_was_made(trained):
    about = tower_header(trained[1])["about"]

    assert about["config"]["seed"] == 0
    assert about["updates"] == 24
    assert about["curve"][-1]["step"] == 24


def test_other_words_are_another_encoder(tmp_path):
    spec = TowerSpec(words=("<PAD>", "<UNK>", "<EOS>", "sofa", "<BOS>"))
    tensors = TowerPair(spec).state_dict()
    renamed = TowerSpec(words=("<PAD>", "<UNK>", "<EOS>", "bed", "<BOS>"))
    for name, one in (("one", spec), ("other", renamed)):
        write_tower(tmp_path / name, tensors, spec=one.as_json(), about={})

    assert identity(f"tower:{tmp_path / 'one'}") != identity(f"tower:{tmp_path / 'other'}")


def test_a_file_that_is_no_towers_is_refused(tmp_path):
    (tmp_path / "text.safetensors").write_text("hello")
    write_tower(tmp_path / "odd.safetensors", {}, spec={"channels": [1, 2]}, about={})

    with pytest.raises(CorruptData, match="holds no tower"):
        load(f"tower:{tmp_path / 'text.safetensors'}")
    with pytest.raises(CorruptData, match="describes no tower"):
        load(f"tower:{tmp_path / 'odd.safetensors'}")
    with pytest.raises(MissingWeights, match="no file"):
        load(f"tower:{tmp_path / 'none.safetensors'}")


def test_texts_without_a_known_word_or_too_long_are_refused():
    words = WordTokenizer(("<PAD>", "<UNK>", "<EOS>", "sofa", "<BOS>"), 8)

    with pytest.raises(BadConfig, match="none of the"):
        words(["xyzzy"])
    assert words(["a sofa"]).tolist() == [[4, 1, 3, 2, 0, 0, 0, 0]]


@pytest.mark.parametrize("field", ["updates", "evaluate_every", "threads", "batch"])
def test_numbers_that_cannot_be_are_refused(field):
    with pytest.raises(BadConfig, match=field):
        PretrainConfig(**{field: 0})


def test_the_checkpoint_is_gone_over_when_pictures_are_others(tmp_path, pairs):
    pretraining(tmp_path, pairs, updates=2).train()

    with pytest.raises(BadConfig, match="other pictures"):
        pretraining(tmp_path, painted(seed=3), updates=4)


def test_the_curve_is_logged_once_however_often_a_run_stops(tmp_path, pairs):
    pretraining(tmp_path, pairs, updates=4).train()
    pretraining(tmp_path, pairs, updates=4).train()

    assert [entry["step"] for entry in Run(tmp_path, seed=0).history()] == [2, 4]
    assert training.LAST in {file.name for file in tmp_path.iterdir()}
