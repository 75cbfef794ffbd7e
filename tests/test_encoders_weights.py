import hashlib
import pickle
import re
import struct
import zipfile

import pytest
import torch

from vln.encoders.weights.released import RELEASED, Released, missing, weights_file
from vln.encoders.weights.tensors import digest, read_tensors
from vln.errors import CorruptData, MissingWeights, UnknownName


class _Payload:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def _payload_files(tmp_path, target):
    for protocol in (2, 3, 4, 5):
        for wrapped in (False, True):
            held = {"weight": torch.ones(2), "more": _Payload(target)}
            name = f"{protocol}_{wrapped}"
            torch.save(
                held,
                tmp_path / f"{name}.pt",
                pickle_protocol=protocol,
                _use_new_zipfile_serialization=wrapped,
            )
        (tmp_path / f"{protocol}_bare.pt").write_bytes(
            pickle.dumps(_Payload(target), protocol=protocol)
        )
    return sorted(tmp_path.glob("*.pt"))


def test_a_state_dict_that_would_run_code_is_refused_and_nothing_is_run(tmp_path):
    target = tmp_path / "written"
    files = _payload_files(tmp_path, target)
    assert len(files) == 12
    for file in files:
        with pytest.raises(CorruptData, match=r"names _?io\.open, and .*would run code") as error:
            read_tensors(file)
        assert str(file) in str(error.value)
        assert not target.exists()


def test_a_checkpoint_with_objects_names_them(tmp_path):
    import argparse

    file = tmp_path / "run.pt"
    torch.save({"state_dict": {"w": torch.ones(1)}, "args": argparse.Namespace(lr=1)}, file)
    with pytest.raises(CorruptData, match=r"argparse\.Namespace.*torch\.save\(model\.state_dict"):
        read_tensors(file)


def test_the_digest_is_what_its_docstring_says():
    tensors = {"b": torch.tensor([[1.0, 2.0]]).t(), "a": torch.tensor(3)}
    told = b"a\0torch.int64\0()\n" + struct.pack("<q", 3)
    told += b"b\0torch.float32\0(2, 1)\n" + struct.pack("<2f", 1, 2)
    assert digest(tensors) == hashlib.sha256(told).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"w": torch.tensor([1.0, 2.5])},
        {"w": torch.tensor([1.0, 2.0]).half()},
        {"w": torch.tensor([[1.0, 2.0]])},
        {"v": torch.tensor([1.0, 2.0])},
        {"vocab_size": torch.ones(1)},
    ],
)
def test_the_digest_tells_names_types_shapes_and_values_apart(change):
    assert digest({"w": torch.tensor([1.0, 2.0])} | change) != digest(
        {"w": torch.tensor([1.0, 2.0])}
    )


def test_openais_notes_do_not_count():
    tensors = {"w": torch.ones(2)}
    notes = {"input_resolution": torch.tensor(224), "vocab_size": torch.tensor(49408)}
    assert digest(tensors | notes | {"context_length": torch.tensor(77)}) == digest(tensors)


def test_the_golden_state_dicts_are_read(golden):
    for name in ("openai_rn_tiny", "openai_vit_tiny"):
        found = read_tensors(golden / "clip" / f"{name}.pt")
        assert found["input_resolution"] == 64
        assert found["visual.conv1.weight"].dtype == torch.float16


@pytest.mark.parametrize(
    ("held", "problem"),
    [
        (torch.ones(2), "holds a Tensor, expected tensors by name"),
        ([torch.ones(2)], "holds a list"),
        ({}, "holds no tensor"),
        ({"state_dict": {}}, "holds no tensor"),
        ({"weight": torch.ones(2), "epoch": 3}, "'epoch': a int, expected a tensor"),
        ({3: torch.ones(2)}, "3: a Tensor, expected a tensor under a name"),
        ({"w": torch.ones(1).expand(1000)}, "claims 1000 numbers"),
        ({"w": torch.ones(2).to_sparse()}, "torch.sparse_coo"),
        ({"w": torch.ones(2, device="meta")}, "meta"),
    ],
)
def test_a_file_of_something_else_says_what_it_holds(tmp_path, held, problem):
    torch.save(held, tmp_path / "held.pt")
    with pytest.raises(CorruptData, match=re.escape(problem)):
        read_tensors(tmp_path / "held.pt")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>Not found</body></html>", "a web page"),
        (b"<HTML><head>", "a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
        (b"hello", "neither a TorchScript archive"),
        (b"PK\x03\x04 no zip", "not a whole zip"),
        (b"\x80\x02garbage", "not a state dict that torch"),
        (b'\x10\0\0\0\0\0\0\0{"w": 12345678}', "not whole safetensors"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_that_is_no_weights_says_what_it_is(tmp_path, content, problem, suffix):
    if suffix == ".safetensors" and content in (b"hello", b"\x80\x02garbage"):
        problem = "not whole safetensors"
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(content)
    with pytest.raises(CorruptData, match=problem) as error:
        read_tensors(file)
    assert str(file) in str(error.value)


def test_a_pickle_protocol_that_torch_does_not_read_safely_has_a_remedy(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "new.pt", pickle_protocol=5)
    with pytest.raises(
        CorruptData, match=r"reads safely \(Unsupported operand \d+\).*save it again"
    ):
        read_tensors(tmp_path / "new.pt")


def test_other_zips_are_not_weights(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as packed:
        packed.writestr("notes.txt", "text")
    with pytest.raises(CorruptData, match="not a whole state dict"):
        read_tensors(tmp_path / "other.pt")


def test_a_folder_and_a_missing_file_are_missing_weights(tmp_path):
    with pytest.raises(MissingWeights, match="is a folder"):
        read_tensors(tmp_path)
    with pytest.raises(MissingWeights, match="No such file"):
        read_tensors(tmp_path / "none.pt")


# Released weights


@pytest.fixture
def own_release(monkeypatch):
    """A release of our own, "tiny", with its content and a table that holds it alone."""
    content = b"weights"
    released = Released("tiny.pt", hashlib.sha256(content).hexdigest(), "open_clip", "tiny", 3)
    monkeypatch.setattr("vln.encoders.weights.released.RELEASED", {"tiny": released})
    return content


@pytest.mark.parametrize("name", RELEASED)
def test_released_weights_lie_where_the_libraries_say(name):
    released = RELEASED[name]
    *_, folder, file = released.url.split("/")
    assert file == released.file
    assert released.sha256 in (folder, file.partition("-")[2].removesuffix(".pth"))


def test_the_sizes_of_torchvisions_files_are_its_own():
    import torchvision

    released = [of for of in RELEASED.values() if of.package == "torchvision"]
    for of in released:
        weights = torchvision.models.get_weight(f"{of.entry}.IMAGENET1K_V1")
        assert round(weights.meta["_file_size"]) == of.size_mb
    assert len(released) == 2


def test_weights_in_the_first_folder_that_has_them_are_verified(own_release, tmp_path):
    folders = [tmp_path / "none", tmp_path / "data", tmp_path / "cache"]
    for folder in folders[1:]:
        folder.mkdir()
        (folder / "tiny.pt").write_bytes(own_release)
    assert weights_file("tiny", folders=folders, download=False) == folders[1] / "tiny.pt"


def test_weights_with_another_checksum_are_refused_with_both(own_release, tmp_path):
    (tmp_path / "tiny.pt").write_bytes(b"others")
    expected, found = (hashlib.sha256(c).hexdigest() for c in (own_release, b"others"))
    remedy = f"--encoder clip:{tmp_path / 'tiny.pt'}"
    with pytest.raises(CorruptData, match=rf"is {found}, expected {expected}.*Remove it.*{remedy}"):
        weights_file("tiny", folders=[tmp_path], download=False)


def test_missing_weights_say_in_one_sentence_which_file_to_put_where(own_release, tmp_path):
    folders = [tmp_path / "data", tmp_path / "cache"]
    with pytest.raises(MissingWeights) as error:
        weights_file("tiny", folders=folders, download=False)
    digest_of = hashlib.sha256(own_release).hexdigest()
    assert str(error.value) == (
        f"no weights for tiny: put tiny.pt (sha256 {digest_of}, 3 MB) into {folders[1]} "
        f"(or {folders[0]})."
    )
    assert missing("tiny", folders) in str(error.value)


def test_nothing_is_missing_once_it_is_there_nor_where_nothing_is_released(own_release, tmp_path):
    (tmp_path / "tiny.pt").write_bytes(own_release)
    assert missing("tiny", [tmp_path]) == ""
    assert missing("random_rn50", [tmp_path]) == ""


def test_a_beginning_of_a_checksum_is_called_one():
    assert str(RELEASED["imagenet_resnet50"]) == (
        "resnet50-0676ba61.pth (sha256 beginning with 0676ba61, 98 MB)"
    )


def test_an_encoder_without_released_weights_is_unknown_here(tmp_path):
    with pytest.raises(UnknownName, match="clip_rn50"):
        weights_file("clip_rn5", folders=[tmp_path])
