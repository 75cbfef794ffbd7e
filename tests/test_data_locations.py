import hashlib
import math
from pathlib import Path

import pytest

from vln.data.locations import cache_root, data_root, parse_json, read_bytes, sha256
from vln.errors import CorruptData, MissingData


def test_the_given_data_folder_wins_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("VLN_DATA", "/nowhere")
    assert data_root(tmp_path) == tmp_path


def test_the_data_folder_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tmp_path))
    assert data_root() == tmp_path


def test_no_data_folder_says_what_to_set(monkeypatch):
    monkeypatch.delenv("VLN_DATA", raising=False)
    with pytest.raises(MissingData, match=r"Set VLN_DATA \(or --data\)"):
        data_root()


def test_a_data_folder_that_is_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tmp_path / "absent"))
    with pytest.raises(MissingData, match=r"VLN_DATA is .*absent"):
        data_root()
    with pytest.raises(MissingData, match=r"the given data folder is .*other"):
        data_root(tmp_path / "other")


def test_the_cache_is_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("VLN_CACHE", "/some/cache")
    assert cache_root() == Path("/some/cache")


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_cache_is_the_users_own_by_default(monkeypatch, tmp_path, platform):
    monkeypatch.delenv("VLN_CACHE", raising=False)
    monkeypatch.setattr("sys.platform", platform)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    assert cache_root().name == "vln-toolkit"
    assert cache_root().parent in (tmp_path, Path.home() / "Library" / "Caches")


def test_the_fingerprint_of_a_file_is_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_an_unreadable_file_is_missing_data_with_the_remedy(tmp_path):
    with pytest.raises(MissingData, match=r"absent.*Do this\."):
        read_bytes(tmp_path / "absent", remedy="Do this.")
    with pytest.raises(MissingData, match="Is a directory"):
        read_bytes(tmp_path)


def test_json_may_start_with_a_byte_order_mark():
    assert parse_json(b"\xef\xbb\xbf[1]", file="f") == [1]


def test_nan_is_let_through_for_the_caller_to_name():
    assert math.isnan(parse_json(b"[NaN]", file="f")[0])


@pytest.mark.parametrize("raw", [b"", b'[{"a": 1}, {"a"', b"[NaN, ", b"\xff[]"])
def test_damaged_json_names_the_file_and_the_remedy(raw):
    with pytest.raises(CorruptData, match=r"^f: not valid JSON .*download it again"):
        parse_json(raw, file="f")
