"""How a request may arrive: in pieces, malformed, from a client that asks first, or sends no more."""

from __future__ import annotations

import re
import socket
import time

import pytest

from app.server import ARRIVING_SECONDS
from tests.server.raw import HEAD, answers_on, connect

pytestmark = pytest.mark.engine


BODY = b'{"username": "no\\r\\n0\\r\\n\\r\\n", "password": ""}'
CHUNK = b"%x;a=b\r\n%s\r\n" % (len(BODY), BODY)
PIECES = {
    "a page": (b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n", [200]),
    "a body": (HEAD + b"content-length:%d \r\n\r\n" % len(BODY) + BODY, [422]),
    "chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK.replace(b"\\r\\n", b"\r\n\r\n") + b"0\r\n\r\n",
        [400],
    ),
    "chunks and trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"0\r\nA: b\r\n\r\n", [422]),
    "a body that holds a last chunk": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n7\r\n\r\n0\r\n\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
        [400],
    ),
    "two requests": (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /login HTTP/1.1\r\nHost: x\r\n\r\n", [200, 200]),
    "a body, then another request": (
        HEAD + b"Content-Length: %d\r\n\r\n%sGET /health HTTP/1.1\r\nHost: x\r\n\r\n" % (len(BODY), BODY),
        [422, 200],
    ),
}


@pytest.mark.parametrize(("request_", "statuses"), PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_request_in_pieces(running, request_, statuses, size):
    server, _ = running
    with connect(server.address) as connection:
        for at in range(0, len(request_), size):
            connection.sendall(request_[at : at + size])
        assert answers_on(connection, len(statuses)) == statuses


AMBIGUOUS = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "a length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a length that is none": b"Content-Length: five\r\n\r\n",
    "a negative length": b"Content-Length: -5\r\n\r\n",
    "a chunk without a size": b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk of a negative size": b"Transfer-Encoding: chunked\r\n\r\n-5\r\n",
}


@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_nobody_waits_for_the_rest_of_what_is_malformed(running, rest):
    server, _ = running
    with connect(server.address) as connection:
        connection.sendall(HEAD + rest)
        started = time.monotonic()
        assert answers_on(connection) == [400]
        assert time.monotonic() - started < ARRIVING_SECONDS


CHUNKED = b"Transfer-Encoding: chunked\r\n"
NEXT = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
# What two programs on the way may read differently: where one request ends and the next begins.
SMUGGLED = {
    "a length, then chunks": b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "chunks, then a length": CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths that are equal": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nxxxxx",
    "two lengths in one": b"Content-Length: 5, 5\r\n\r\nxxxxx",
    "a length with a sign": b"Content-Length: +5\r\n\r\nxxxxx",
    "a length in other digits": b"Content-Length: 0x5\r\n\r\nxxxxx",
    "chunks twice": CHUNKED + CHUNKED + b"\r\n0\r\n\r\n",
    "chunks and another coding": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a tab within the coding": b"Transfer-Encoding:\tchunk\ted\r\n\r\n0\r\n\r\n",
    "a folded header": b"A: b\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare line feed": b"A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare carriage return": b"A: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a null byte": b"A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "a header without a colon": b"Content-Length 5\r\n\r\n",
    "a header without a name": b": chunked\r\n\r\n",
    "a size with a sign": CHUNKED + b"\r\n+0\r\n\r\n",
    "a size with a prefix": CHUNKED + b"\r\n0x0\r\n\r\n",
    "a size with an underscore": CHUNKED + b"\r\n0_0\r\n\r\n",
    "a size that ends in a line feed": CHUNKED + b"\r\n5\nxxxxx\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"\r\n1\r\nxxxxx\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("rest", SMUGGLED.values(), ids=SMUGGLED)
def test_what_may_be_read_in_two_ways_is_refused_and_ends_the_connection(running, rest):
    """What follows is not answered: another client may have sent it."""
    server, _ = running
    with connect(server.address) as connection:
        connection.sendall(HEAD + rest + NEXT)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    [status] = re.findall(rb"HTTP/1\.1 (\d+)", answers)
    assert status in {b"400", b"501"}


def test_a_client_that_asks_first_is_told_to_go_on(running):
    server, _ = running
    with connect(server.address) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert answers_on(connection) == [422]


def test_a_client_that_sends_no_more_has_its_answer(running):
    server, _ = running
    with connect(server.address) as connection:
        connection.sendall(b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert answers_on(connection) == [200]


def test_an_answer_without_a_body_arrives_and_then_the_next_one(running):
    server, _ = running
    with connect(server.address) as connection:
        connection.sendall(b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n")
        connection.sendall(NEXT)
        assert answers_on(connection) == [200]
