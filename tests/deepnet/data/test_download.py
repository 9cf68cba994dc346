"""Downloads against local servers that break off, ignore ranges, give no length, or send one elsewhere."""

import errno
import gc
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deepnet.data.download import fetch

# urllib leaves the connection open of an answer that sends it nowhere
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

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


@contextmanager
def serving(answer) -> Iterator[str]:
    """A server whose `answer(handler)` is up to the test; gives the address of its file."""
    handler = type("Answering", (BaseHTTPRequestHandler,), {"do_GET": answer, "log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/file.bin"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def slow(handler) -> None:
    """The file or its rest, in eight parts that take their time."""
    asked = handler.headers["Range"]
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
    handler.send_response(206 if asked else 200)
    if asked:
        handler.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
    handler.send_header("Content-Length", str(len(CONTENT) - start))
    handler.end_headers()
    for begin in range(start, len(CONTENT), len(CONTENT) // 8):
        handler.wfile.write(CONTENT[begin : begin + len(CONTENT) // 8])
        handler.wfile.flush()
        time.sleep(0.05)


def test_three_at_once_download_one_file(tmp_path):
    """Each call opens the file anew, so that threads stand for processes here."""
    answered = []
    serves = serving(lambda handler: (answered.append(handler.headers["Range"]), slow(handler)))
    with serves as url, ThreadPoolExecutor(3) as pool:
        paths = list(pool.map(lambda _: fetch(url, tmp_path / "file.bin", SHA256, True), range(3)))
    assert [path.read_bytes() == CONTENT for path in paths] == [True] * 3
    assert answered == [None]
    assert [file.name for file in tmp_path.iterdir()] == ["file.bin"]


def test_a_process_goes_on_where_one_that_was_killed_while_it_waited_stopped(tmp_path):
    path = tmp_path / "file.bin"
    code = "import sys; from pathlib import Path; from deepnet.data.download import fetch; "
    code += "fetch(sys.argv[1], Path(sys.argv[2]), sys.argv[3], True)"
    answered = []
    with serving(lambda handler: (answered.append(handler.headers["Range"]), slow(handler))) as url:
        command = [sys.executable, "-c", code, url, str(path), SHA256]
        first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        part = tmp_path / "file.bin.part"
        while not (part.exists() and part.stat().st_size) and first.poll() is None:
            time.sleep(0.01)
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(fetch, url, path, SHA256, True)
            time.sleep(0.05)
            first.kill()
            first.wait()
            assert second.result().read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("stale", [b"of another file" * 1000, CONTENT[:1000] + b"x", CONTENT + b"and more"])
def test_a_part_of_another_file_is_started_over(url, tmp_path, stale):
    (tmp_path / "file.bin.part").write_bytes(stale)
    assert fetch(url, tmp_path / "file.bin", SHA256, True).read_bytes() == CONTENT
    assert Handler.asked == [f"bytes={len(stale)}-", None]


def chunked(handler) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n" % len(CONTENT) + CONTENT + b"\r\n0\r\n\r\n")


def until_it_closes(handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(CONTENT)


def no_number(handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "many")
    handler.end_headers()
    handler.wfile.write(CONTENT)


def elsewhere(handler) -> None:
    if handler.path == "/file.bin":
        handler.send_response(302)
        handler.send_header("Location", "/moved.bin")
        handler.end_headers()
    else:
        slow(handler)


def from_an_earlier_byte(handler) -> None:
    """A proxy that knows ranges of a thousand bytes only."""
    start = int((handler.headers["Range"] or "bytes=0-").removeprefix("bytes=").rstrip("-")) // 1000 * 1000
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
    handler.send_header("Content-Length", str(len(CONTENT) - start))
    handler.end_headers()
    handler.wfile.write(CONTENT[start:])


@pytest.mark.parametrize("answer", [chunked, until_it_closes, no_number, elsewhere, from_an_earlier_byte])
@pytest.mark.parametrize("have", [0, 1234])
def test_whatever_the_server_says_of_the_length_the_file_arrives(answer, have, tmp_path):
    if have:
        (tmp_path / "file.bin.part").write_bytes(CONTENT[:have])
    with serving(answer) as url:
        assert fetch(url, tmp_path / "file.bin", SHA256, True).read_bytes() == CONTENT


def cut_chunk(handler) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n" % len(CONTENT) + CONTENT[:5000])
    handler.close_connection = True


def cut_without_a_length(handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(CONTENT[:5000])


def in_circles(handler) -> None:
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.end_headers()


def to_nowhere(handler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "http://[broken")
    handler.end_headers()


def beyond(handler) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes 9000-{len(CONTENT) - 1}/{len(CONTENT)}")
    handler.send_header("Content-Length", str(len(CONTENT) - 9000))
    handler.end_headers()
    handler.wfile.write(CONTENT[9000:])


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (cut_chunk, "must be within reach"),
        (cut_without_a_length, f"must have sha256 {SHA256}, got [0-9a-f]{{64}} .5000 bytes have arrived"),
        (in_circles, "must be within reach"),
        (to_nowhere, "must be within reach"),
        (beyond, "it sends what follows byte 9000, asked for what follows byte 0"),
    ],
)
def test_what_does_not_arrive_is_one_sentence(answer, sentence, tmp_path):
    with serving(answer) as url, pytest.raises(ValueError, match=sentence) as error:
        fetch(url, tmp_path / "file.bin", SHA256, True)
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "file.bin").exists()
    del error
    gc.collect()  # a connection that urllib left open is closed here, and not in another test


def test_a_full_disk_is_not_blamed_on_the_line(url, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left on device"):
            fetch(url, tmp_path / "file.bin", SHA256, True)
    assert fetch(url, tmp_path / "file.bin", SHA256, True).read_bytes() == CONTENT
