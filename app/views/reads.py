"""What a view reads in the call that authenticates its request, so that the request costs one call less.

A view names what it needs with `@reads(...)`, and hands what was found to the function that needs it. For an answer
(GET) it is read consistently. For a change it is read cheaply, and may be old: the change is conditional on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app, request

from app.domain.identifiers import APPROVAL_ID, ASSET_ID, ORDER_ID, TRANSACTION_ID, matches
from app.models.adjustments import Approval
from app.models.factors import SecondFactor
from app.models.ledger import Balance, BalanceTransaction, Holding
from app.models.orders import Order
from app.models.reading import Needed, Place
from app.views.context import this_request

ViewT = TypeVar("ViewT", bound=Callable[..., Any])
Read = Callable[[str], Place | None]
"""Where a user's item is that this request needs; None where the request does not name one."""


def reads(*needed: Read, cheaply: bool = False) -> Callable[[ViewT], ViewT]:
    """What the view of an answer reads `cheaply` may be old, as that of a change."""

    def decorate(view: ViewT) -> ViewT:
        view.reads, view.reads_cheaply = needed, cheaply  # type: ignore[attr-defined]
        return view

    return decorate


def needed(username: str) -> Needed:
    """Where the items are that the view of this request needs."""
    asked = this_request()
    view = current_app.view_functions.get(asked.endpoint or "")
    places = [each(username) for each in getattr(view, "reads", ())]
    is_exact = asked.method in {"GET", "HEAD"} and not getattr(view, "reads_cheaply", False)
    return Needed([place for place in places if place], consistent=is_exact)


def balance_of(username: str) -> Place:
    return Balance, Balance.key(username)


def factor_of(username: str) -> Place:
    return SecondFactor, SecondFactor.key(username)


def holding_in_path(username: str) -> Place | None:
    return holding_of(username, _in_path("asset_id"))


def holding_of(username: str, asset_id: str) -> Place | None:
    return (Holding, Holding.key(username, asset_id.upper())) if matches(ASSET_ID, asset_id) else None


def order_in_path(_: str) -> Place | None:
    order_id = _in_path("order_id")
    return (Order, Order.key(order_id)) if matches(ORDER_ID, order_id) else None


def approval_in_path(_: str) -> Place | None:
    approval_id = _in_path("approval_id")
    return (Approval, Approval.key(approval_id)) if matches(APPROVAL_ID, approval_id) else None


def transaction_in_path(username: str) -> Place | None:
    transaction_id = _in_path("transaction_id")
    is_one = matches(TRANSACTION_ID, transaction_id)
    return (BalanceTransaction, BalanceTransaction.key(username, transaction_id)) if is_one else None


def _in_path(name: str) -> str:
    return str((request.view_args or {})[name])
