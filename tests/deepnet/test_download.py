"""Downloads against a local server that can break off and can ignore ranges."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deepnet.download import fetch

CONTENT = bytes(range(256)) * 9000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    knows_ranges = True
    breaks_after = len(CONTENT)
    asked: list[str | None] = []  # noqa: RUF012 - reset by the fixture

    def do_GET(self):
        wanted = self.headers["Range"]
        Handler.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and Handler.knows_ranges else 0
        if start >= len(CONTENT):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + Handler.breaks_after])
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Handler.knows_ranges, Handler.breaks_after, Handler.asked = True, len(CONTENT), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/file.bin"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_arrives_and_is_not_fetched_twice(url, tmp_path):
    path = tmp_path / "new" / "file.bin"
    assert fetch(url, path, SHA256, True).read_bytes() == CONTENT
    fetch(url, path, SHA256, True)
    assert Handler.asked == [None]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_download_goes_on_where_it_stopped(url, tmp_path, knows_ranges):
    path = tmp_path / "file.bin"
    Handler.breaks_after = 1_000_000
    with pytest.raises(ValueError, match="connection lost after 1000000 of 2304000 bytes"):
        fetch(url, path, SHA256, True)
    assert not path.exists()
    Handler.knows_ranges, Handler.breaks_after = knows_ranges, len(CONTENT)
    assert fetch(url, path, SHA256, True).read_bytes() == CONTENT
    assert Handler.asked == [None, "bytes=1000000-"]
    assert [file.name for file in tmp_path.iterdir()] == ["file.bin"]


def test_a_complete_part_is_taken(url, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch(url, tmp_path / "file.bin", SHA256, True).read_bytes() == CONTENT


def test_another_hash_is_refused(url, tmp_path):
    with pytest.raises(ValueError, match="must have sha256 0000, got"):
        fetch(url, tmp_path / "file.bin", "0000", True)
    assert not (tmp_path / "file.bin").exists()


def test_no_server_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"--data-folder.*http://127\.0\.0\.1:1/"):
        fetch("http://127.0.0.1:1/file.bin", tmp_path / "file.bin", SHA256, True)


def test_nothing_is_downloaded_unasked(url, tmp_path):
    folder = tmp_path / "mistyped"
    with pytest.raises(ValueError, match=r"`--data-folder` must be a folder that holds file\.bin \(`--download true`"):
        fetch(url, folder / "file.bin", SHA256, False)
    assert Handler.asked == []
    assert not folder.exists()
