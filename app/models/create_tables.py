"""Creating the two tables, and checking that they answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import ParamSpec, TypeVar

from pynamodb.constants import PAY_PER_REQUEST_BILLING_MODE
from pynamodb.exceptions import PynamoDBException, TableError

from app.domain import clock
from app.domain.errors import Busy, StoreUnavailable
from app.domain.orders import OrderStatus
from app.models.database import unavailable
from app.models.item import Item
from app.models.orders import OrdersItem, list_orders
from app.models.rate_limits import RateLimit, add_hit
from app.models.upgrade import write_format
from app.models.users import Token, UsersItem, list_joined

T = TypeVar("T")
P = ParamSpec("P")

# How long to wait for a database that is just starting.
MOST_SECONDS = 10
ROOTS: tuple[type[Item], ...] = (UsersItem, OrdersItem)
# One write a minute, of all processes together, shows whether writes succeed.
PROOF_OF_WRITING = RateLimit("ready", hits=1, seconds=60)


def create_tables() -> list[str]:
    """Create the tables that do not exist, wait until they are active, and return the names of those created.

    Waits up to MOST_SECONDS for a database that is just starting or throttles, then raises StoreUnavailable or Busy.
    """
    created = [item for item in ROOTS if not _patiently(item.exists)]
    for item in created:
        _patiently(_create, item)
    if len(created) == len(ROOTS):
        _patiently(write_format, is_new=True)
    if UsersItem in created:
        _patiently(_enable_ttl)
    return [item.Meta.table_name for item in created]


def _patiently(step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    deadline = monotonic() + MOST_SECONDS
    while True:
        try:
            return step(*args, **kwargs)
        except (Busy, StoreUnavailable):
            if monotonic() >= deadline:
                raise
        time.sleep(0.1)


def _create(item: type[Item]) -> None:
    """Create a table unless it exists by now, and wait for it."""
    try:
        item.create_table(wait=True, billing_mode=PAY_PER_REQUEST_BILLING_MODE)
    except TableError as error:
        if error.cause_response_code != "ResourceInUseException":
            raise
        raise Busy() from error  # another process makes it at this moment


def _enable_ttl() -> None:
    # Only tidies up: every reader treats an item past its ttl as gone. Not every endpoint supports it.
    with suppress(PynamoDBException):
        Token.update_ttl(ignore_update_ttl_errors=False)


def check_tables() -> None:
    """Read both tables. Two calls. Raises Busy, and StoreUnavailable also where a table is missing or refused."""
    try:
        _read_tables()
    except PynamoDBException as error:
        raise unavailable("Query", str(error.cause_response_code)) from error


def tables_answer() -> bool:
    """Whether both tables can be read now, in the form of this version: its newest index must be there.

    Two calls, which also open the connections of a new process.
    """
    try:
        _read_tables()
    except (Busy, StoreUnavailable, PynamoDBException):
        return False
    return True


def _read_tables() -> None:
    list_joined("ready")
    list_orders("ready", status=OrderStatus.PENDING)


def check_writes() -> None:
    """Show that writes succeed. One call. Raises StoreUnavailable, such as when the engine's disk is full.

    The first process in each minute writes an item. The others are refused by its condition, because one succeeded.
    """
    with suppress(Busy):  # a database that throttles answers
        try:
            add_hit(PROOF_OF_WRITING, "write", now=clock.now())
        except PynamoDBException as error:
            raise unavailable("UpdateItem", str(error.cause_response_code)) from error
