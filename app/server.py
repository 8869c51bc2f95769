"""What the hooks of `gunicorn.conf.py` do."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterable

from flask import Flask

from app.models.create_tables import create_tables, tables_answer

# How long a client may pause while it sends a request or reads its answer.
PAUSE_SECONDS = 5


def limit_pauses(listeners: Iterable[socket.socket]) -> None:
    """End connections that stall: otherwise 8 unfinished requests would block all threads of a worker.

    gunicorn has no such limit for gthread. Connections inherit these options from the listener.
    """
    pause = struct.pack("ll", PAUSE_SECONDS, 0)
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, pause)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, pause)
        if listener.family != socket.AF_UNIX and hasattr(socket, "TCP_DEFER_ACCEPT"):
            # A connection that has sent nothing yet waits in the kernel, not in a thread.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)


def create_missing_tables(app: Flask) -> None:
    """Create the tables that do not exist; end the process with a message where that is not possible."""
    # Imported here: it brings the counters, which must come after gunicorn.conf.py has said where they are kept.
    from app.cli.failures import DATABASE_ERRORS, sentence_of

    try:
        with app.app_context():
            create_tables()
    except DATABASE_ERRORS as error:
        sys.exit(sentence_of(error))


def warm_up(app: Flask) -> None:
    """Make the first, slow calls to DynamoDB before a request has to wait for them."""
    with app.app_context():
        tables_answer()
