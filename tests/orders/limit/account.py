"""What the tests of limit orders do, and look at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from app.models.orders import Order
from tests.support.people import NOON, Person

NOW = NOON.replace(minute=34, second=56)
DAY = timedelta(days=1)
INDIA = timezone(timedelta(hours=5, minutes=30))
Fill = Callable[[dict[str, Any], str], Order]


def cancel(person: Person, placed: dict[str, Any], **more: Any) -> Any:
    return person.post(f"/orders/{placed['order_id']}/cancel", **more)


def holding(person: Person, asset_id: str) -> str | None:
    response = person.get(f"/balance/asset/{asset_id}")
    return response.json["quantity"] if response.status_code == 200 else None


def cash(person: Person) -> tuple[str, str]:
    """What can be spent, and what open orders reserve."""
    body = person.get("/portfolio").json
    return body["cash_balance"], body["reserved_cash"]


def transactions(person: Person) -> list[tuple[str, str, str | None]]:
    """Type, amount and order of each change of the balance since the fixture's own two, oldest first."""
    rows = person.get("/balance/transactions").json["transactions"]
    return [(row["transaction_type"], row["amount"], row["order_id"]) for row in reversed(rows)][2:]


def described(person: Person) -> list[str]:
    """What the transactions say, oldest first, without the deposit and the purchase of `trader`."""
    rows = person.get("/balance/transactions").json["transactions"]
    return [row["description"] for row in reversed(rows)][2:]


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
