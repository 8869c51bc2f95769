"""Upgrade: brings what an older version wrote into the form that this version reads.

| item | PK | SK |
|---|---|---|
| StoreFormat | `STORE#FORMAT` | `FORMAT` |

Formats: 1 has no StoreFormat. 2 has UserOpenOrdersIndex, and holdings with `reserved_quantity`. 3 has holdings with
`cost_total` and `realised_gain`, and sales with `cost_total` and `gain`. 4 has UsersByJoinIndex and OperatorActsIndex,
with users and security events in them. 5 may have stop orders, and orders whose `revision` is above 1. Copies of a
version before it would take a stop for a limit, and end a changed order with the reserve that it had at first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from pynamodb.expressions.update import Action

from app.domain import clock
from app.domain.errors import Busy, UpgradeUnfinished
from app.domain.orders import OrderStatus
from app.domain.users import UserStatus
from app.models.attributes import NumberAttribute, TimeAttribute, UnicodeAttribute
from app.models.batch import write_if
from app.models.cost_upgrade import upgrade_holding
from app.models.database import database
from app.models.events import SecurityEvent
from app.models.item import Item, Key, table_schema
from app.models.ledger import Holding
from app.models.order_changes import upgrade_order
from app.models.orders import Order, OrdersItem
from app.models.users import User, UsersItem, month_of

log = logging.getLogger(__name__)

FORMAT = 5
POLL_SECONDS = 1


class ImportUnfinished(Exception):
    """The store has a part of what `flask import` was to write. Nothing but the same import may change it."""


class StoreFormat(UsersItem, discriminator="STORE"):
    """In which form the store is written as a whole.

    No copy of a version with a format before `oldest_running` runs on it; without it, one may.
    While `flask import` fills it: `importing` is the SHA-256 of the file, and `imported` how many items are written.
    """

    number = NumberAttribute()
    oldest_running = NumberAttribute(null=True)
    updated_at = TimeAttribute()
    importing = UnicodeAttribute(null=True)
    imported = NumberAttribute(null=True)

    @staticmethod
    def key() -> Key:
        return "STORE#FORMAT", "FORMAT"


def is_current() -> bool:
    """Whether an upgrade to this version's format was finished. One call. Raises ImportUnfinished."""
    found = _find_format()
    return found is not None and found.number >= FORMAT


def is_alone() -> bool:
    """Whether, besides, no copy of a version with an older format runs. One call. Raises ImportUnfinished."""
    found = _find_format()
    return found is not None and min(found.number, found.oldest_running or 0) >= FORMAT


def _find_format() -> StoreFormat | None:
    found = StoreFormat.find(StoreFormat.key())
    if found and found.importing:
        raise ImportUnfinished()
    return found


def require_alone() -> None:
    """Refuse what a copy of an older version would undo, as long as one may run. Raises UpgradeUnfinished.

    One call until none runs. From then on none: this process remembers it.
    """
    if database().is_alone:
        return
    try:
        database().is_alone = is_alone()
    except ImportUnfinished as error:
        raise UpgradeUnfinished() from error
    if not database().is_alone:
        raise UpgradeUnfinished()


def bring_up_to_date(*, alone: bool) -> None:
    """Upgrade a store of an older version, or a new one; `alone` says that no older version runs on it.

    One call if that was done before.
    """
    if is_alone() if alone else is_current():
        return
    for step in () if is_current() else upgrade():
        log.info("upgrade: %s", step)
    if alone:
        write_alone()


def write_alone() -> bool:
    """Say that no copy of a version with an older format runs; False where the store has another format. One call."""
    alone: list[Action] = [StoreFormat.oldest_running.set(FORMAT)]
    return write_if(lambda: StoreFormat(*StoreFormat.key()).update(alone, condition=StoreFormat.number == FORMAT))


def upgrade() -> Iterator[str]:
    """Do what is missing, and say each step once it is done. Scans both tables, and reads all trades.

    Every step is idempotent and conditional. So it may be interrupted and repeated, and run while copies of this
    version serve requests. What copies of an older version write meanwhile needs another upgrade, once they are gone.
    """
    for table in (UsersItem, OrdersItem):
        yield from _add_missing_indexes(table)
    changed = 0
    for order in _uncounted_orders():
        upgrade_order(order)
        changed += 1
    if changed:
        yield f"brought {changed} order{'s' * (changed > 1)} into line"
    computed = _compute_costs()
    if computed:
        yield f"computed the cost of {computed} holding{'s' * (computed > 1)}"
    if listed := _list_by_month():
        yield f"listed {listed} user{'s' * (listed > 1)} and acts of operators by month"
    if write_format():
        yield f"wrote format {FORMAT}"


def _compute_costs() -> int:
    """Of how many holdings a cost was written. Scans all holdings once, and reads all trades."""
    computed, busy = 0, []
    for each in Holding.scan(consistent_read=True):
        try:
            computed += upgrade_holding(each.username, each.asset_id)
        except Busy:
            # Its owner trades without a pause: that must not keep all others waiting.
            busy.append(each)
    return computed + sum(upgrade_holding(each.username, each.asset_id) for each in busy)


def _list_by_month() -> int:
    """How many users and acts got their month. Scans table `users` twice."""
    is_unlisted = (User.status != UserStatus.CLOSED.value) & User.join_month.does_not_exist()
    of_another = SecurityEvent.actor.exists() & (SecurityEvent.actor != SecurityEvent.username)
    is_unlisted_act = of_another & SecurityEvent.act_month.does_not_exist()
    listed = 0
    for user in User.scan(is_unlisted, consistent_read=True):
        # Who closes the account meanwhile is not listed again.
        actions: list[Action] = [User.join_month.set(month_of(user.created_at))]
        listed += write_if(partial(user.update, actions, condition=User.PK.exists() & is_unlisted))
    for event in SecurityEvent.scan(is_unlisted_act, consistent_read=True):
        actions = [SecurityEvent.act_month.set(month_of(event.created_at))]
        # It may be deleted meanwhile, at its end.
        listed += write_if(partial(event.update, actions, condition=SecurityEvent.PK.exists() & is_unlisted_act))
    return listed


def write_format(*, is_new: bool = False) -> bool:
    """Say that the whole store has this version's format; False when it said so already. One call.

    On a new one no other version runs.
    """
    oldest_running = FORMAT if is_new else None
    written = StoreFormat(*StoreFormat.key(), number=FORMAT, oldest_running=oldest_running, updated_at=clock.now())
    return write_if(lambda: written.save(condition=StoreFormat.absent() | (StoreFormat.number < FORMAT)))


def _uncounted_orders() -> Iterator[Order]:
    """Scans all orders once."""
    is_open, is_counted = Order.status == OrderStatus.PENDING.value, Order.open_owner.exists()
    wrong = (is_open & Order.open_owner.does_not_exist()) | (~is_open & is_counted)
    return Order.scan(wrong, consistent_read=True)


def _add_missing_indexes(table: type[Item]) -> Iterator[str]:
    schema, states = table_schema(table), _index_states(table)
    for index in schema["GlobalSecondaryIndexes"]:
        name = index["IndexName"]
        is_missing = name not in states
        if is_missing:
            _add_index(table, index, schema["AttributeDefinitions"])
            states = _index_states(table)
        # Also where another upgrade adds it: until then it cannot be read.
        while states[name] != "ACTIVE":
            time.sleep(POLL_SECONDS)
            states = _index_states(table)
        if is_missing:
            yield f"added index {name}"


def _add_index(table: type[Item], index: dict[str, Any], attributes: list[dict[str, str]]) -> None:
    keys = {key["AttributeName"] for key in index["KeySchema"]}
    definitions = [each for each in attributes if each["AttributeName"] in keys]
    try:
        created = {"AttributeDefinitions": definitions, "GlobalSecondaryIndexUpdates": [{"Create": index}]}
        _dispatch(table, "UpdateTable", **created)
    except ClientError:
        # Another upgrade may have been faster.
        if index["IndexName"] not in _index_states(table):
            raise


def _index_states(table: type[Item]) -> dict[str, str]:
    indexes = _dispatch(table, "DescribeTable")["Table"].get("GlobalSecondaryIndexes", [])
    return {index["IndexName"]: index["IndexStatus"] for index in indexes}


def _dispatch(table: type[Item], operation: str, **arguments: Any) -> dict[str, Any]:
    connection = table._get_connection()
    return connection.connection.dispatch(operation, {"TableName": connection.table_name, **arguments})
