"""Servers that mean no good, on loopback: bounded in time and bytes, and told in one line."""

import hashlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from counterpoint.data.download import http
from counterpoint.errors import DownloadError

LINE = b"HTTP/1.1 200 OK\r\n"
OK = LINE + b"Content-Length: 1000000\r\n\r\n"
EMPTY = "\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name, value in {"PAUSE": 0.001, "TIMEOUT": 0.5, "TRIES": 2, "PATIENCE": 0.1, "SLOWEST": 10_000}.items():
        monkeypatch.setattr(http, name, value)


@contextmanager
def serving(answers: Callable[[str], Iterator[bytes]]) -> Iterator[str]:
    """A server that sends to each connection what `answers` gives, until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    url, over, threads = f"http://127.0.0.1:{listener.getsockname()[1]}", threading.Event(), []

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(4096)
                for part in answers(url):
                    if over.is_set():
                        return
                    connection.sendall(part)
            except OSError:
                pass  # they have had enough

    def listen() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=answer, args=(connection,), daemon=True))
            threads[-1].start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield url
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join(5)
            assert not thread.is_alive()


def trickle(text: bytes) -> Iterator[bytes]:
    for byte in itertools.cycle(text):
        time.sleep(0.01)
        yield bytes([byte])


def once(text: str, body: bytes = b"") -> Iterator[bytes]:
    return iter([text.encode("latin-1") + body])


def for_ever(start: bytes, body: bytes) -> Iterator[bytes]:
    return itertools.chain([start], itertools.repeat(body))


def leading_to(place: str) -> Iterator[bytes]:
    return once(f"HTTP/1.1 302 Found\r\nLocation: {place}{EMPTY}")


SERVERS = {
    "trickles its first line": lambda url: trickle(b"HTTP"),
    "trickles headers": lambda url: itertools.chain([LINE], trickle(b"X: y\r\n")),
    "headers without end": lambda url: for_ever(LINE, b"X: y\r\n" * 99),
    "a header without end": lambda url: for_ever(LINE + b"X: ", b"y" * 9999),
    "trickles a body": lambda url: itertools.chain([OK], trickle(b"0")),
    "trickles chunks": lambda url: itertools.chain([LINE + b"Transfer-Encoding: chunked\r\n\r\n"], trickle(b"1;x")),
    "says nothing": lambda url: (time.sleep(0.05) or b"" for _ in itertools.repeat(0)),
    "closes at once": lambda url: iter([]),
    "garbage": lambda url: iter([b"\x1b[2J\x00\xff\xfe garbage \x07\r\n" * 50]),
    "an odd reason": lambda url: once(f"HTTP/1.1 404 \x1b[2J\x1b]0;title\x07{EMPTY}"),
    "an odd version": lambda url: once(f"HTTP/9.9 200 \x1b[31m{EMPTY}"),
    "an odd wait": lambda url: once(f"HTTP/1.1 503 Busy\r\nRetry-After: \xb2{EMPTY}"),
    "leads to itself": lambda url: leading_to(f"{url}/again"),
    "leads on and on": lambda url: leading_to(f"{url}/{time.monotonic_ns()}"),
    "leads to a file": lambda url: leading_to("file:///etc/passwd"),
    "leads to ftp": lambda url: leading_to("ftp://127.0.0.1/x"),
    "leads to nowhere": lambda url: leading_to("http://["),
    "a list without end": lambda url: for_ever(LINE + b"\r\n[", b"1," * 9999),
    "a deep list": lambda url: iter([LINE + b"\r\n", b"[" * 200_000]),
    "a list that is none": lambda url: iter([LINE + b"\r\n", b"\x1b[2J<html>"]),
}


@pytest.mark.parametrize("what", ["list", "file"])
@pytest.mark.parametrize("server", SERVERS)
def test_a_bad_server_is_given_up_soon_and_in_one_line(server, what, tmp_path):
    began = time.monotonic()
    with serving(SERVERS[server]) as url, pytest.raises(DownloadError) as caught:
        if what == "list":
            http.fetch_json(f"{url}/list", "the list")
        else:
            http.fetch_file(f"{url}/clip.zip", tmp_path / "clip.zip", size=10**6, md5="0" * 32)
    assert time.monotonic() - began < 10
    said = str(caught.value)
    assert said.isprintable() and len(said) < 500
    assert not (tmp_path / "clip.zip").exists()


def test_a_server_that_brings_a_byte_per_connection_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(http, "TRIES", 5)
    asked = []

    def answers(url):
        asked.append(url)
        yield OK.replace(b"1000000", b"1") + b"0"

    with serving(answers) as url, pytest.raises(DownloadError, match="5 times in a row"):
        http.fetch_file(f"{url}/clip.zip", tmp_path / "clip.zip", size=10**6, md5="0" * 32)
    assert len(asked) == 5


def test_a_slow_but_steady_server_is_waited_for(tmp_path):
    body = bytes(range(200)) * 100

    def answers(url):
        yield OK.replace(b"1000000", str(len(body)).encode())
        for at in range(0, len(body), 1000):
            time.sleep(0.03)  # three times as fast as is asked for
            yield body[at : at + 1000]

    with serving(answers) as url:
        path = tmp_path / "clip.zip"
        assert http.fetch_file(f"{url}/clip.zip", path, size=len(body), md5=hashlib.md5(body).hexdigest())
    assert path.read_bytes() == body
