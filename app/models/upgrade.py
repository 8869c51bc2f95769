"""Upgrade: brings what an older version wrote into the form that this version reads.

| item | PK | SK |
|---|---|---|
| StoreFormat | `STORE#FORMAT` | `FORMAT` |

Formats: 1 has no StoreFormat. 2 has UserOpenOrdersIndex, and holdings with `reserved_quantity`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError
from pynamodb.attributes import NumberAttribute

from app.domain import clock
from app.domain.orders import OrderStatus
from app.models.attributes import TimeAttribute
from app.models.batch import write_if
from app.models.item import Key, table_schema
from app.models.order_changes import upgrade_order
from app.models.orders import Order, OrdersItem
from app.models.users import UsersItem

log = logging.getLogger(__name__)

FORMAT = 2
POLL_SECONDS = 1


class StoreFormat(UsersItem, discriminator="STORE"):
    """In which form the store is written as a whole."""

    number = NumberAttribute()
    updated_at = TimeAttribute()

    @staticmethod
    def key() -> Key:
        return "STORE#FORMAT", "FORMAT"


def is_current() -> bool:
    """Whether an upgrade to this version's format was finished. One call."""
    found = StoreFormat.find(StoreFormat.key())
    return found is not None and found.number >= FORMAT


def bring_up_to_date() -> None:
    """Upgrade a store of an older version, or a new one. One call if that was done before."""
    if not is_current():
        for step in upgrade():
            log.info("upgrade: %s", step)


def upgrade() -> Iterator[str]:
    """Do what is missing, and say each step once it is done. Reads all orders.

    Every step is idempotent and conditional. So it may be interrupted and repeated, and run while copies of this
    version serve requests. What copies of an older version write meanwhile needs another upgrade, once they are gone.
    """
    yield from _add_missing_indexes()
    changed = 0
    for order in _uncounted_orders():
        upgrade_order(order)
        changed += 1
    if changed:
        yield f"brought {changed} order{'s' * (changed > 1)} into line"
    if write_format():
        yield f"wrote format {FORMAT}"


def write_format() -> bool:
    """Say that the whole store has this version's format; False when it said so already. One call."""
    written = StoreFormat(*StoreFormat.key(), number=FORMAT, updated_at=clock.now())
    return write_if(lambda: written.save(condition=StoreFormat.absent() | (StoreFormat.number < FORMAT)))


def _uncounted_orders() -> Iterator[Order]:
    """Scans all orders once."""
    is_open, is_counted = Order.status == OrderStatus.PENDING.value, Order.open_owner.exists()
    wrong = (is_open & Order.open_owner.does_not_exist()) | (~is_open & is_counted)
    return Order.scan(wrong, consistent_read=True)


def _add_missing_indexes() -> Iterator[str]:
    schema, states = table_schema(OrdersItem), _index_states()
    for index in schema["GlobalSecondaryIndexes"]:
        name = index["IndexName"]
        is_missing = name not in states
        if is_missing:
            _add_index(index, schema["AttributeDefinitions"])
            states = _index_states()
        # Also where another upgrade adds it: until then it cannot be read.
        while states[name] != "ACTIVE":
            time.sleep(POLL_SECONDS)
            states = _index_states()
        if is_missing:
            yield f"added index {name}"


def _add_index(index: dict[str, Any], attributes: list[dict[str, str]]) -> None:
    keys = {key["AttributeName"] for key in index["KeySchema"]}
    definitions = [each for each in attributes if each["AttributeName"] in keys]
    try:
        _dispatch("UpdateTable", AttributeDefinitions=definitions, GlobalSecondaryIndexUpdates=[{"Create": index}])
    except ClientError:
        # Another upgrade may have been faster.
        if index["IndexName"] not in _index_states():
            raise


def _index_states() -> dict[str, str]:
    indexes = _dispatch("DescribeTable")["Table"].get("GlobalSecondaryIndexes", [])
    return {index["IndexName"]: index["IndexStatus"] for index in indexes}


def _dispatch(operation: str, **arguments: Any) -> dict[str, Any]:
    connection = OrdersItem._get_connection()
    return connection.connection.dispatch(operation, {"TableName": connection.table_name, **arguments})
