"""What a request or a block of code asked of DynamoDB: calls, and read and write capacity units."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from flask import Flask, Response, request_finished
from werkzeug.test import TestResponse

from app.models.database import database, meter
from app.models.meter import Meter


@dataclass(frozen=True)
class Usage:
    """Calls and capacity units."""

    calls: int
    read_units: Decimal
    write_units: Decimal

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.calls + other.calls, self.read_units + other.read_units, self.write_units + other.write_units)

    def __sub__(self, other: Usage) -> Usage:
        return Usage(self.calls - other.calls, self.read_units - other.read_units, self.write_units - other.write_units)


def usage(calls: int, read_units: object, write_units: object) -> Usage:
    return Usage(calls, Decimal(str(read_units)), Decimal(str(write_units)))


# An eventually consistent read of user and token, half a unit each.
AUTHENTICATION = usage(1, 1, 0)


_hidden: OrderedDict[str, Usage] = OrderedDict()


@request_finished.connect
def _note_hidden(_: Flask, response: Response, **__: object) -> None:
    """Some answers do not tell what they cost, because it could tell who has an account: note it here instead."""
    if "db;" not in response.headers["Server-Timing"]:
        used = meter()
        _hidden[response.headers["X-Request-ID"]] = usage(used.calls, used.read_units, used.write_units)
        while len(_hidden) > 100:
            _hidden.popitem(last=False)


def usage_of(response: TestResponse) -> Usage:
    """What a request asked of DynamoDB: what the Server-Timing header of its answer says, if it does."""
    if hidden := _hidden.get(response.headers["X-Request-ID"]):
        return hidden
    pattern = r'db;dur=[0-9.]+;desc="(\d+) calls, ([0-9.]+) read units, ([0-9.]+) write units"'
    match = re.search(pattern, response.headers["Server-Timing"])
    assert match, response.headers["Server-Timing"]
    return usage(int(match[1]), match[2], match[3])


@contextmanager
def metered() -> Iterator[Meter]:
    """The meter of a block of code; needs an application context."""
    with database().active() as meter:
        yield meter
