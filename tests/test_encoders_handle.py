"""What may stand behind --encoder, and what it is called in folders."""

import pytest

from vln import encoders
from vln.encoders.handle import Handle
from vln.encoders.recipe import Recipe
from vln.encoders.recipes import NETWORKS
from vln.errors import BadConfig, UnknownName


@pytest.mark.parametrize(
    ("text", "family", "name", "words", "imported"),
    [
        ("clip_rn50", "", "clip_rn50", (), ""),
        ("clip_rn50+bf16+112px", "", "clip_rn50", ("bf16", "112px"), ""),
        ("clip_rn50@0123abcd", "", "clip_rn50", (), "0123abcd"),
        ("clip:/a+b/c@d/my.pt+squash", "clip", "/a+b/c@d/my.pt", ("squash",), ""),
        ("open_clip:ViT-B-16-SigLIP/webli", "open_clip", "ViT-B-16-SigLIP/webli", (), ""),
        ("timm:resnet50.tv_in1k+grid", "timm", "resnet50.tv_in1k", ("grid",), ""),
    ],
)
def test_a_handle_is_taken_apart_and_put_together_again(text, family, name, words, imported):
    handle = Handle.parse(text)

    assert (handle.family, handle.name, handle.words, handle.imported) == (
        family,
        name,
        words,
        imported,
    )
    assert str(handle) == text


def test_a_folder_is_called_by_what_every_system_allows():
    assert Handle.parse("clip:/secret/place/my file.pt+squash").slug == "clip=my_file.pt+squash"
    assert Handle.parse("open_clip:A/b@01234567").slug == "open_clip=A_b@01234567"
    assert Handle.parse("clip_rn50+bf16").slug == "clip_rn50+bf16"


@pytest.mark.parametrize("text", ["", "+bf16", "clip:", "clip_rn50@", "clip_rn50@xyz"])
def test_what_names_nothing_is_refused(text):
    with pytest.raises(BadConfig, match="--encoder"):
        Handle.parse(text)


def test_words_change_a_recipe_one_by_one():
    recipe = Recipe().changed(("wide", "288px", "bgr", "bf16", "grid", "w512"))

    assert recipe == Recipe(
        frame="wide",
        size=288,
        colour="bgr",
        precision="bf16",
        output="grid_mean",
        width=512,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("bf16", "fp16"), "both set the precision"),
        (("direct", "squash"), "a camera renders what"),
        (("native", "112px"), "at their own size"),
        (("8px",), "16 to 2048"),
        (("w70000",), "1 to 65536"),
    ],
)
def test_words_that_contradict_each_other_are_refused(words, message):
    with pytest.raises(BadConfig, match=message):
        Recipe().changed(words)


def test_a_misspelt_word_suggests_the_closest():
    with pytest.raises(UnknownName, match="Did you mean 'squash'"):
        encoders.check("clip_rn50+squish")


def test_a_misspelt_encoder_suggests_networks_and_others():
    with pytest.raises(UnknownName, match="Did you mean 'clip_vit_b32'"):
        encoders.check("clip_vit_b23")
    with pytest.raises(UnknownName, match="Did you mean 'objects'"):
        encoders.check("object")


def test_only_networks_take_words():
    with pytest.raises(BadConfig, match="Use --encoder objects"):
        encoders.check("objects+bf16")


def test_names_of_networks_and_of_others_never_meet():
    assert not set(NETWORKS) & set(encoders.ENCODERS)


def test_the_papers_encoders_keep_the_papers_widths():
    dims = {name: NETWORKS[name].dim for name in NETWORKS}

    assert dims["clip_rn50"] == 1024  # the paper's table of feature files
    assert (dims["clip_rn101"], dims["clip_rn50x4"], dims["clip_vit_b32"]) == (512, 640, 512)
    assert dims["imagenet_resnet152"] == 2048
    assert NETWORKS["random_rn50"].recipe == NETWORKS["clip_rn50"].recipe


def test_a_package_of_somebody_elses_brings_an_encoder(monkeypatch):
    class Point:
        name = "theirs"

        def load(self):
            return len

    monkeypatch.setattr(encoders, "entry_points", lambda group: [Point()])
    encoders._add_strangers.cache_clear()
    try:
        assert encoders.world_encoder(Handle.parse("theirs")) is len
        assert encoders.looks("theirs")
        assert not encoders.learns("theirs")
    finally:
        encoders.ENCODERS._entries.pop("theirs", None)
