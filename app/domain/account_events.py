"""Account events: what happened to the orders and the money of an account, numbered without a gap.

Scripts follow them with a cursor, the number of the last one that they read. So what they did not do themselves is
among them, and what another script or a page did. *Security events* (`events.py`) are something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from app.domain.orders import OrderStatus

KEPT_FOR = timedelta(days=30)


class AccountEventType(StrEnum):
    """What happened."""

    ORDER_FILLED = "order_filled"
    ORDER_EXPIRED = "order_expired"
    ORDER_CANCELLED = "order_cancelled"
    ORDER_CHANGED = "order_changed"
    ADJUSTED = "adjusted"
    SUSPENDED = "suspended"
    REINSTATED = "reinstated"


# How an order that waited came to its end.
ENDS: Mapping[OrderStatus, AccountEventType] = {
    OrderStatus.COMPLETED: AccountEventType.ORDER_FILLED,
    OrderStatus.EXPIRED: AccountEventType.ORDER_EXPIRED,
    OrderStatus.CANCELLED: AccountEventType.ORDER_CANCELLED,
}
# Which of them are news to the owner: a cancellation or a change of an order was asked for.
UNASKED = (
    AccountEventType.ORDER_FILLED,
    AccountEventType.ORDER_EXPIRED,
    AccountEventType.ADJUSTED,
    AccountEventType.SUSPENDED,
    AccountEventType.REINSTATED,
)


def event_number(number: int) -> str:
    """The number of an event in its account as text: 12 digits, so that the order of text is that of the numbers."""
    return f"{number:012d}"
