import hashlib
import logging
import re
import resource
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from filelock import FileLock

from vln.encoders.weights import download as module
from vln.encoders.weights.download import download, file_sha256
from vln.encoders.weights.released import Released, weights_file
from vln.errors import CannotWrite, CorruptData, MissingWeights

CONTENT = bytes(range(256)) * 16_384  # 4 MiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Site:
    """A web server with one file, and what may go wrong with it.

    Attributes:
        content: What it serves.
        cuts: After so many bytes each next answer's connection is closed.
        honours_range: Whether it serves parts.
        shift: Added to where its parts begin.
        status: Of every answer, if not 0.
        told_length: Whether answers say how long they are.
        ranges: The Range header of each request, "" for none.
        gate: Waited for before each answer.
    """

    def __init__(self):
        self.content, self.cuts, self.ranges = CONTENT, [], []
        self.honours_range, self.told_length, self.shift, self.status = True, True, 0, 0
        self.gate = threading.Event()
        self.gate.set()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # clients that hang up are the point
        self.url = f"http://127.0.0.1:{self.server.server_port}/weights.pt"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self, handler):
        asked = handler.headers.get("Range", "")
        self.ranges.append(asked)
        self.gate.wait(10)
        start = int(re.findall(r"\d+", asked)[0]) if asked and self.honours_range else 0
        if self.status:
            handler.send_error(self.status)
            return
        if start >= len(self.content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            handler.end_headers()
            return
        start += self.shift if start else 0
        body = self.content[start:]
        handler.send_response(206 if asked and self.honours_range else 200)
        if asked and self.honours_range:
            last, total = len(self.content) - 1, len(self.content)
            handler.send_header("Content-Range", f"bytes {start}-{last}/{total}")
        if self.told_length:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    site = Site()
    yield site
    site.close()


def _part(file, size, *, content=CONTENT):
    part = file.with_name(f"{file.name}.part")
    part.write_bytes(content[:size])
    return part


def test_a_whole_file_arrives_under_its_name_with_a_bar(site, tmp_path, capsys):
    file = tmp_path / "made" / "weights.pt"
    download(site.url, file, sha256=DIGEST)
    assert file.read_bytes() == CONTENT
    assert [name.name for name in file.parent.iterdir() if name.suffix == ".part"] == []
    assert file_sha256(file) == DIGEST
    told = capsys.readouterr()
    assert "weights.pt" in told.err
    assert told.out == ""


def test_a_download_goes_on_from_what_came_before(site, tmp_path):
    file = tmp_path / "weights.pt"
    _part(file, 1_000_000)
    download(site.url, file, sha256=DIGEST)
    assert file.read_bytes() == CONTENT
    assert site.ranges == ["bytes=1000000-"]


def test_a_connection_that_breaks_off_is_taken_up_where_it_broke(site, tmp_path):
    site.cuts = [1_500_000, 700_000]
    download(site.url, tmp_path / "weights.pt", sha256=DIGEST)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert site.ranges == ["", "bytes=1500000-", "bytes=2200000-"]


def test_a_server_that_always_breaks_off_leaves_a_part_for_the_next_call(site, tmp_path):
    file = tmp_path / "weights.pt"
    site.cuts = [100_000] * 5
    with pytest.raises(MissingWeights, match=r"5 connections broke off.*500000 bytes in .*\.part"):
        download(site.url, file, sha256=DIGEST)
    assert not file.exists()
    download(site.url, file, sha256=DIGEST)
    assert file.read_bytes() == CONTENT
    assert site.ranges[-1] == "bytes=500000-"


def test_a_short_body_that_brings_nothing_ends_with_its_reason(site, tmp_path):
    site.cuts = [300, 0]
    with pytest.raises(MissingWeights, match="broke off after 300 of 4194304 bytes"):
        download(site.url, tmp_path / "weights.pt", sha256=DIGEST)
    assert (tmp_path / "weights.pt.part").read_bytes() == CONTENT[:300]


def test_a_server_without_parts_sends_it_anew(site, tmp_path):
    file = tmp_path / "weights.pt"
    site.honours_range = False
    _part(file, 1000, content=b"x" * 1000)
    download(site.url, file, sha256=DIGEST)
    assert file.read_bytes() == CONTENT
    assert site.ranges == ["bytes=1000-"]


def test_a_server_that_sends_another_part_is_asked_for_the_whole(site, tmp_path):
    file = tmp_path / "weights.pt"
    site.shift = 5
    _part(file, 1000)
    download(site.url, file, sha256=DIGEST)
    assert file.read_bytes() == CONTENT
    assert site.ranges == ["bytes=1000-", ""]


def test_a_server_that_says_no_length_is_believed_when_the_checksum_agrees(site, tmp_path):
    site.told_length = False
    download(site.url, tmp_path / "weights.pt", sha256=DIGEST)
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_part_that_is_whole_needs_no_server(tmp_path):
    file = tmp_path / "weights.pt"
    _part(file, len(CONTENT))
    download("http://127.0.0.1:9/none", file, sha256=DIGEST)
    assert file.read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_dropped(site, tmp_path):
    file = tmp_path / "weights.pt"
    _part(file, None, content=CONTENT + b"x")
    download(site.url, file, sha256=DIGEST)
    assert file.read_bytes() == CONTENT
    assert site.ranges == ["bytes=4194305-", ""]


def test_another_checksum_removes_what_came(site, tmp_path):
    file = tmp_path / "weights.pt"
    with pytest.raises(CorruptData, match=f"has sha256 {DIGEST}, expected 00ff.*try again"):
        download(site.url, file, sha256="00ff")
    assert [name for name in tmp_path.iterdir() if "weights.pt" in name.name[:10]] == []


def test_a_part_of_another_file_does_not_stay(site, tmp_path):
    file = tmp_path / "weights.pt"
    part = _part(file, 1000, content=b"x" * 1000)
    with pytest.raises(CorruptData, match="It was removed"):
        download(site.url, file, sha256=DIGEST)
    assert not part.exists()
    download(site.url, file, sha256=DIGEST)
    assert file.read_bytes() == CONTENT


def test_the_beginning_of_a_checksum_will_do(site, tmp_path):
    download(site.url, tmp_path / "weights.pt", sha256=DIGEST[:8])
    assert (tmp_path / "weights.pt").exists()


@pytest.mark.parametrize(("status", "reason"), [(404, "404 Not Found"), (503, "503 Service")])
def test_an_error_of_the_server_is_told(site, tmp_path, status, reason):
    site.status = status
    with pytest.raises(MissingWeights, match=rf"cannot download {site.url} \({reason}"):
        download(site.url, tmp_path / "weights.pt", sha256=DIGEST)
    assert len(site.ranges) == 1


def _closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_refused_connection_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    url = f"http://127.0.0.1:{_closed_port()}/weights.pt"
    with pytest.raises(MissingWeights, match=rf"cannot download {url} \(Connection refused\)\."):
        download(url, tmp_path / "weights.pt", sha256=DIGEST)


def test_a_server_that_falls_silent_is_given_up(site, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", 0.05)
    site.gate.clear()
    with pytest.raises(MissingWeights, match="timed out"):
        download(site.url, tmp_path / "weights.pt", sha256=DIGEST)
    site.gate.set()


def test_a_full_disk_is_told_and_what_came_is_kept(site, tmp_path):
    file = tmp_path / "weights.pt"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on the size of files stops writing half-way, as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, limits[1]))
    try:
        with pytest.raises(CannotWrite, match=r"weights\.pt\.part .*Make room"):
            download(site.url, file, sha256=DIGEST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not file.exists()
    assert (tmp_path / "weights.pt.part").read_bytes() == CONTENT[:1_500_000]
    download(site.url, file, sha256=DIGEST)
    assert file.read_bytes() == CONTENT
    assert site.ranges[-1] == "bytes=1500000-"


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="file"):
        download("http://127.0.0.1:9/none", tmp_path / "file" / "weights.pt", sha256=DIGEST)


def test_a_file_that_is_there_is_verified_and_not_fetched(site, tmp_path):
    file = tmp_path / "weights.pt"
    file.write_bytes(CONTENT)
    download(site.url, file, sha256=DIGEST)
    file.write_bytes(b"others")
    with pytest.raises(CorruptData, match="Remove it"):
        download(site.url, file, sha256=DIGEST)
    assert file.read_bytes() == b"others"
    assert site.ranges == []


def test_of_two_at_once_one_waits_and_takes_the_others_file(site, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    file = tmp_path / "weights.pt"
    site.gate.clear()
    calls = [
        threading.Thread(target=download, args=(site.url, file), kwargs={"sha256": DIGEST})
        for _ in range(2)
    ]
    for call in calls:
        call.start()
    site.gate.set()
    for call in calls:
        call.join(30)
    assert file.read_bytes() == CONTENT
    assert len(site.ranges) == 1


def test_a_wait_for_another_process_is_told(site, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    file = tmp_path / "weights.pt"
    with FileLock(tmp_path / ".weights.pt.lock"):
        waiting = threading.Thread(
            target=download, args=(site.url, file), kwargs={"sha256": DIGEST}
        )
        waiting.start()
        while not caplog.messages:
            waiting.join(0.01)
        file.write_bytes(CONTENT)
    waiting.join(30)
    assert caplog.messages == [f"waiting for another process that downloads {file}"]
    assert site.ranges == []


# Released weights


@pytest.fixture
def released(site, monkeypatch):
    """Makes the site's file the only released one, "tiny"."""
    released = Released("tiny.pt", DIGEST, "torchvision", "Tiny", 4)
    monkeypatch.setattr("vln.encoders.weights.released.RELEASED", {"tiny": released})
    monkeypatch.setattr(Released, "url", property(lambda _: site.url))
    return released


def test_released_weights_are_downloaded_into_the_last_folder(released, tmp_path):
    folders = [tmp_path / "data", tmp_path / "cache" / "weights"]
    assert weights_file("tiny", folders=folders) == folders[1] / "tiny.pt"
    assert not folders[0].exists()
    assert weights_file("tiny", folders=folders, download=False).read_bytes() == CONTENT


def test_a_last_folder_that_cannot_be_is_passed_over(released, tmp_path):
    (tmp_path / "file").write_text("")
    folders = [tmp_path / "data", tmp_path / "file" / "weights"]
    assert weights_file("tiny", folders=folders) == folders[0] / "tiny.pt"
    with pytest.raises(CannotWrite, match=r"tiny\.pt .*Set VLN_CACHE"):
        weights_file("tiny", folders=folders[1:])


def test_offline_one_sentence_says_which_file_to_put_where(released, site, tmp_path):
    site.status = 404
    with pytest.raises(MissingWeights) as error:
        weights_file("tiny", folders=[tmp_path])
    assert str(error.value) == (
        f"no weights for tiny: cannot download {site.url} (404 Not Found); "
        f"put tiny.pt (sha256 {DIGEST}, 4 MB) into {tmp_path}."
    )


def test_downloaded_weights_with_another_checksum_do_not_stay(released, site, tmp_path):
    site.content = b"something else"
    with pytest.raises(CorruptData, match=f"expected {DIGEST}"):
        weights_file("tiny", folders=[tmp_path])
    assert not (tmp_path / "tiny.pt").exists()
