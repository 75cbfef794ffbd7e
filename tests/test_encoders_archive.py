import io
import os
import pickle
import pickletools
import re
import struct
import warnings
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vln.encoders.weights.pickles import is_tame, named_globals
from vln.encoders.weights.tensors import digest, read_tensors
from vln.errors import CorruptData


class Network(nn.Module):
    """A tree of modules with everything that the names of tensors depend on."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
        self.tied = self.layers[0]
        self.list = nn.ParameterList([nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))])
        self.turned = nn.Parameter(torch.rand(2, 3).half().t())
        both = torch.arange(12.0)
        self.register_buffer("lower", both[2:8].reshape(2, 3))
        self.register_buffer("upper", both[6:])
        self.register_buffer("input_resolution", torch.tensor(224))
        self.register_buffer("brain", torch.rand(4).bfloat16())
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("none", None)
        self.register_buffer("empty", torch.zeros(0, 3))

    def forward(self, x):
        return self.layers(x).sum() + self.input_resolution


class Scripted(nn.Module):
    """What scripting, unlike tracing, saves beside the tensors."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 2)
        self.words, self.sizes, self.flag = ["a", "b"], [1, 2], True
        self.rates, self.word = [0.5], "text"
        self.plain = torch.ones(3)

    def forward(self, x):
        if self.flag:
            x = x * self.rates[0] + self.sizes[1] + len(self.words) + len(self.word) + self.plain
        return self.inner(x)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network().eval()


@pytest.fixture(scope="module")
def archive(network, tmp_path_factory):
    """A TorchScript archive in the form of OpenAI's, and its own `state_dict()`."""
    file = tmp_path_factory.mktemp("archive") / "network.pt"
    return file, _script(torch.jit.trace, network, file, torch.rand(1, 1, 5, 5))


def _script(how, module, file, *inputs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; released weights are not
        scripted = how(module, *inputs)
        scripted.save(str(file))
        return scripted.state_dict()


def _assert_same(found, expected):
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        assert torch.equal(found[name], tensor), name
        assert not found[name].requires_grad, name


def _rezipped(source, target, *, change=None, drop="", compression=zipfile.ZIP_STORED):
    """Writes a zip anew with entries changed: {end of the name: bytes or function of bytes}."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for entry in old.namelist():
            if drop and entry.endswith(drop):
                continue
            content = old.read(entry)
            for end, given in (change or {}).items():
                if entry.endswith(end):
                    content = given(content) if callable(given) else given
            new.writestr(entry, content)
    return target


def test_an_archive_gives_the_tensors_of_its_state_dict(archive):
    file, expected = archive
    found = read_tensors(file)
    _assert_same(found, expected)
    assert "tied.weight" in found
    assert "list.1" in found
    assert found["turned"].stride() == expected["turned"].stride() == (1, 3)


def test_tensors_of_an_archive_share_the_storages_that_they_shared(archive):
    found = read_tensors(archive[0])
    assert found["tied.weight"].data_ptr() == found["layers.0.weight"].data_ptr()
    assert found["lower"].untyped_storage().data_ptr() == (
        found["upper"].untyped_storage().data_ptr()
    )


def test_attributes_of_a_scripted_module_that_are_not_in_its_state_dict_are_left_out(tmp_path):
    file = tmp_path / "scripted.pt"
    expected = _script(torch.jit.script, Scripted(), file)
    _assert_same(read_tensors(file), expected)
    assert set(expected) == {"inner.weight", "inner.bias"}
    bare = _rezipped(file, tmp_path / "bare.pt", drop=".py")
    assert set(read_tensors(bare)) == {*expected, "plain"}  # no source, no list of buffers


def test_an_archive_is_read_without_torchscript(archive, monkeypatch):
    monkeypatch.setattr(torch.jit, "load", None)
    monkeypatch.setattr(torch._C, "import_ir_module", None)
    assert read_tensors(archive[0])["input_resolution"] == 224


@pytest.mark.parametrize("named", ["os.system", "builtins.eval", "torch.hub.load", "torch.jit.x"])
def test_an_archive_that_would_run_code_is_refused_with_the_name(archive, tmp_path, named):
    module, _, name = named.rpartition(".")
    code = f"c{module}\n{name}\n(X\x04\x00\x00\x00evilttR.".encode()
    file = _rezipped(archive[0], tmp_path / "evil.pt", change={"/data.pkl": b"\x80\x02" + code})
    with pytest.raises(CorruptData, match=rf"names {named}, .*would run code"):
        read_tensors(file)


def _with_tensor(size, stride, offset, *, count=6, key="0", cls="__torch__ M"):
    """Gives the pickle of a module with one tensor of these measures."""
    ints = b"".join
    number = lambda n: b"J" + struct.pack("<i", n)  # noqa: E731
    text = lambda t: b"X" + struct.pack("<I", len(t)) + t.encode()  # noqa: E731
    module, _, name = cls.partition(" ")
    return ints(
        [
            b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n)\x81}" + text("w"),
            b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage"),
            b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(count) + b"tQ",
            number(offset) + b"(" + ints(map(number, size)) + b"t",
            b"(" + ints(map(number, stride)) + b"t\x89Nt",
            b"Rsb.",
        ]
    )


def _small_archive(file, pickled, *, stored=bytes(24)):
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("m/data.pkl", pickled)
        packed.writestr("m/constants.pkl", b"\x80\x02).")
        packed.writestr("m/data/0", stored)
    return file


def test_a_tensor_inside_its_storage_is_read(tmp_path):
    stored = torch.arange(6.0).numpy().tobytes()
    pickled = _with_tensor((2, 2), (1, 2), 2)
    found = read_tensors(_small_archive(tmp_path / "m.pt", pickled, stored=stored))
    assert found["w"].tolist() == [[2.0, 4.0], [3.0, 5.0]]


@pytest.mark.parametrize(
    ("measures", "problem"),
    [
        ({"size": (2, 4), "stride": (4, 1), "offset": 0}, "in a storage of 6"),
        ({"size": (6,), "stride": (1,), "offset": 1}, "in a storage of 6"),
        ({"size": (2,), "stride": (6,), "offset": 0}, "in a storage of 6"),
        ({"size": (2,), "stride": (1,), "offset": -1}, "a tensor of size"),
        ({"size": (-2,), "stride": (1,), "offset": 0}, "a tensor of size"),
        ({"size": (2,), "stride": (-1,), "offset": 5}, "a tensor of size"),
        ({"size": (2,), "stride": (1, 1), "offset": 0}, "a tensor of size"),
        ({"size": (1 << 20, 1 << 20), "stride": (0, 0), "offset": 0}, "in a storage of 6"),
        ({"size": (2,), "stride": (1,), "offset": 0, "count": 7}, "24 bytes, expected 28"),
        ({"size": (2,), "stride": (1,), "offset": 0, "count": -1}, "expected a storage"),
        ({"size": (2,), "stride": (1,), "offset": 0, "key": "7"}, "m/data/7: missing"),
        ({"size": (2,), "stride": (1,), "offset": 0, "key": "../../x"}, "x: missing"),
        ({"size": (2,), "stride": (1,), "offset": 0, "cls": "torch nn"}, "would run code"),
    ],
)
def test_a_tensor_that_its_storage_does_not_hold_is_refused(tmp_path, measures, problem):
    file = _small_archive(tmp_path / "m.pt", _with_tensor(**measures))
    with pytest.raises(CorruptData, match=re.escape(problem)):
        read_tensors(file)


@pytest.mark.parametrize(
    ("pickled", "problem"),
    [
        (b"\x80\x02}.", "holds a dict, expected a module"),
        (b"\x80\x02c__torch__\nM\n)\x81K\x01b.", "state is int"),
        (b"\x80\x02c__torch__\nM\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb.", "without end"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "not a whole pickle"),
        (b"\x80\x02c__torch__\nM\n)\x81", "not a whole pickle"),
        (b"\x80\x02h\x05.", "cannot be read"),
        (b"\x80\x02c__torch__\nM\n(K\x01tR.", "cannot be read"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "cannot be read"),
    ],
)
def test_a_tree_that_no_module_wrote_is_refused(tmp_path, pickled, problem):
    with pytest.raises(CorruptData, match=problem):
        read_tensors(_small_archive(tmp_path / "m.pt", pickled))


def test_a_damaged_storage_is_noticed(archive, tmp_path):
    file = tmp_path / "flipped.pt"
    content = bytearray(archive[0].read_bytes())
    with zipfile.ZipFile(archive[0]) as packed:
        place = next(e.header_offset for e in packed.infolist() if e.filename.endswith("/data/0"))
    content[place + 120] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorruptData, match="cannot be unpacked"):
        read_tensors(file)


def test_an_archive_or_state_dict_that_is_cut_off_anywhere_is_refused(archive, network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "new.pth")
    torch.save(network.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file({"w": torch.ones(50, 3)}, tmp_path / "a.safetensors")
    for file in (archive[0], *sorted(tmp_path.iterdir())):
        content = file.read_bytes()
        short = tmp_path / f"short{file.suffix}"
        for part in range(1, 20):
            short.write_bytes(content[: len(content) * part // 20])
            with pytest.raises(CorruptData, match=re.escape(str(short))):
                read_tensors(short)


def test_a_zip_that_unpacks_to_a_multiple_of_itself_is_refused(archive, tmp_path):
    file = _rezipped(
        archive[0],
        tmp_path / "bomb.pt",
        change={"/data/0": bytes(1 << 25)},
        compression=zipfile.ZIP_DEFLATED,
    )
    assert file.stat().st_size < 1 << 17
    with pytest.raises(CorruptData, match="claims to unpack to"):
        read_tensors(file)


def test_one_digest_for_the_same_tensors_in_every_form(archive, tmp_path):
    tensors = {name: value.clone() for name, value in archive[1].items()}
    torch.save(tensors, tmp_path / "new.pt")
    torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    parallel = {f"module.{name}": value for name, value in reversed(tensors.items())}
    torch.save({"epoch": 3, "name": "x", "state_dict": parallel}, tmp_path / "run.pt")
    contiguous = {name: value.contiguous() for name, value in tensors.items()}
    save_file(contiguous, tmp_path / "a.safetensors")
    save_file(contiguous, tmp_path / "renamed.bin")
    digests = set()
    for file in (archive[0], *tmp_path.iterdir()):
        found = read_tensors(file)
        _assert_same(found, tensors)
        digests.add(digest(found))
    assert digests == {digest(tensors)}
    assert len(list(tmp_path.iterdir())) == 5


class _Opens:
    def __reduce__(self):
        return open, ("a", "w")


def test_the_names_in_a_pickle_are_found_in_every_protocol():
    for protocol in range(6):
        stream = io.BytesIO(pickle.dumps([_Opens(), os.getcwd], protocol=protocol))
        assert {name.split(".")[-1] for name in named_globals(stream)} == {"open", "getcwd"}


def test_tame_pickles_are_whole_and_refer_back_within_themselves():
    pickled = pickle.dumps({"a": [1, "b"]}, protocol=2)
    assert is_tame(pickled)
    assert is_tame(pickletools.optimize(pickled))
    assert not is_tame(pickled[:-1])
    assert not is_tame(b"\x80\x02}r\xff\xff\xff\x7f.")
