"""Raw connections to the server, for what no client library sends."""

from __future__ import annotations

import socket
from http.client import HTTPResponse

HEAD = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def connect(address: str, source: str = "127.0.0.1") -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20, source_address=(source, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def answers_on(connection: socket.socket, number: int = 1) -> list[int]:
    """The statuses of so many answers."""
    statuses = []
    with connection.makefile("rb") as stream:
        for _ in range(number):
            answer = HTTPResponse(_Opened(stream))
            answer.begin()
            answer.read()
            statuses.append(answer.status)
    return statuses


class _Opened:
    """What HTTPResponse wants of a socket, so that it reads one answer and not the next."""

    def __init__(self, stream) -> None:
        self.stream = stream

    def makefile(self, _: str):
        return self

    def __getattr__(self, name: str):
        return getattr(self.stream, name)

    def close(self) -> None:
        """The stream goes on."""
