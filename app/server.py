"""What the hooks of `gunicorn.conf.py` do."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterable

from flask import Flask

from app.domain.errors import StoreUnavailable
from app.models.create_tables import create_tables, tables_answer
from app.models.upgrade import bring_up_to_date

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
    """Create the tables that do not exist, and upgrade those of an older version.

    Ends the process with a message if DynamoDB does not answer.
    """
    try:
        with app.app_context():
            create_tables()
            bring_up_to_date()
    except StoreUnavailable:
        sys.exit("DynamoDB does not answer: check DYNAMODB_ENDPOINT or the AWS settings.")


def warm_up(app: Flask) -> None:
    """Make the first, slow calls to DynamoDB before a request has to wait for them."""
    with app.app_context():
        tables_answer()
