"""The history of one account as operations with a beginning and an end, of what the customers and the worker did.

The ledger is asked where the customers cannot know: what became of a request that was not answered, at which place
among the transactions an order stands, and which orders the worker ended. It states no moment that is taken for
granted but one: an order was not ended before the time that it bears.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from math import inf
from typing import Any

from tests.proofs.bank.calls import Call, Fate
from tests.proofs.bank.kinds import PLACING
from tests.proofs.bank.linearizable import Operation, Step
from tests.proofs.bank.reckoning import CASH, claim_name, claims_of, entry, told
from tests.proofs.bank.sequential import (
    Trade,
    cents,
    ended,
    lacked_cash,
    lacked_holding,
    moved,
    placed,
    saw,
    saw_holding,
    saw_holdings,
    saw_order,
    traded,
    units,
)
from tests.support.books import Books, Row

# How far the clock of the day may be put right while a test runs.
CLOCKS_DIFFER_SECONDS = 1


def history_of(calls: Iterable[Call], books: Books, *, admin: str = "") -> list[Operation]:
    """Everything that happened to one account, and what it was at last."""
    return list(_History(calls, books, admin).operations())


class _History:
    def __init__(self, calls: Iterable[Call], books: Books, admin: str) -> None:
        self.calls = _without_repeats(calls)
        self.books = books
        self.admin = admin
        self.claims = claims_of(books)
        self.orders = {row["order_id"]: row for row in books.orders}
        self.numbers = {
            (row["order_id"], row["transaction_type"]): int(row["transaction_id"])
            for row in books.transactions
            if "order_id" in row
        }
        self.end = time.monotonic()  # all is over

    def operations(self) -> Iterator[Operation]:
        for call in self.calls:
            step = self._step(call)
            if step is not None:
                is_known = call.fate in {Fate.DONE, Fate.REFUSED}
                label = f"{call.kind} {call.key or call.request.subject}: {call.outcome} {_summary(call)}"
                yield Operation(label, step, call.started, call.answered if is_known else inf)
        for order_id, row in self.orders.items():
            if _has_waited(row) and row["status"] in {"COMPLETED", "EXPIRED"}:
                label, not_before = f"{row['status']} {order_id}", _monotonic(row["updated_at"])
                yield Operation(label, self._ended(row), not_before, self.end)
        balance, holdings = self.books.balance, self.books.holdings
        yield Operation(
            "the books at the end",
            saw_holdings(
                {row["asset_id"]: units(row["quantity"]) for row in holdings if units(row["quantity"])},
                cash=cents(balance["current_balance"]),
                reserved=cents(balance["reserved_cash"]),
                version=int(balance["version"]),
                deposits=cents(balance["total_deposits"]),
                withdrawals=cents(balance["total_withdrawals"]),
            ),
            self.end,
            self.end,
        )

    def _step(self, call: Call) -> Step | None:
        """What a call did or saw; None when it says nothing of the account."""
        if call.fate is Fate.DONE and call.kind in SEEN:
            return SEEN[call.kind](call)
        if call.fate is Fate.REFUSED:
            return _refused(call)
        reference = self.claims.get(claim_name(call, self.admin)) if call.key else None
        if reference is None or call.fate is Fate.UNTOUCHED:
            return None
        row = entry(call, reference, self.books)
        assert row is not None, call
        if call.kind in CASH:
            # What was answered, where there was an answer: the ledger is not to be believed more than that.
            said = told(call) if call.fate is Fate.DONE else row
            return moved(
                call.kind, cents(said["amount"]), int(said["transaction_id"]), previous=cents(said["previous_balance"])
            )
        return self._placed(call, row) if call.kind in PLACING else self._ended(row)

    def _placed(self, call: Call, row: Row) -> Step:
        if _has_waited(row):
            return placed(_trade(row), self.numbers.get((row["order_id"], "ORDER_PAYMENT")))
        trade = _trade(row)
        if call.fate is Fate.DONE:
            trade = trade._replace(total=cents(told(call)["total_amount"]))
        kind = "ORDER_PAYMENT" if trade.side == "BUY" else "ORDER_SALE"
        return traded(trade, self.numbers.get((row["order_id"], kind)))

    def _ended(self, row: Row) -> Step:
        kind = "ORDER_REFUND" if row["order_type"] == "BUY" else "ORDER_SALE"
        filled_for = cents(row["total_amount"]) if row["status"] == "COMPLETED" else None
        return ended(_trade(row), self.numbers.get((row["order_id"], kind)), filled_for=filled_for)


def _without_repeats(calls: Iterable[Call]) -> list[Call]:
    """One call for each key: the first that was answered, from the moment at which the first of all began."""
    by_key: dict[object, list[Call]] = {}
    for call in calls:
        by_key.setdefault((call.kind, call.key) if call.key else call, []).append(call)
    return [
        replace(next((each for each in same if each.fate is Fate.DONE), same[-1]), started=same[0].started)
        for same in by_key.values()
    ]


SEEN: dict[str, Callable[[Call], Step]] = {
    "balance": lambda call: saw(
        cash=cents(call.body["current_balance"]),
        deposits=cents(call.body["total_deposits"]),
        withdrawals=cents(call.body["total_withdrawals"]),
    ),
    "portfolio": lambda call: saw_holdings(
        {each["asset_id"]: units(each["quantity"]) for each in call.body["assets"]},
        cash=cents(call.body["cash_balance"]),
        reserved=cents(call.body["reserved_cash"]),
    ),
    "holding": lambda call: saw_holding(call.body["asset_id"], units(call.body["quantity"])),
    "order": lambda call: saw_order(call.request.subject, is_open=call.body["data"]["status"] == "pending"),
}


def _refused(call: Call) -> Step | None:
    body = call.body
    if call.code == "insufficient_funds":
        return lacked_cash(cents(body["available"]), cents(body["required"]))
    if call.code == "insufficient_holding":
        return lacked_holding(body["asset_id"], units(body["available"]), units(body["required"]))
    if call.code == "holding_not_found":
        return saw_holding(call.request.subject, 0)
    return saw_order(call.request.subject, is_open=False) if call.code == "order_not_pending" else None


def _has_waited(row: Row) -> bool:
    return "reserved_amount" in row or "reserved_quantity" in row


def _trade(row: Row) -> Trade:
    total = cents(row.get("reserved_amount", row["total_amount"]))
    return Trade(row["order_id"], row["order_type"], row["asset_id"], units(row["quantity"]), total)


def _monotonic(text: str) -> float:
    """The earliest moment that a time of the ledger can be by the monotonic clock, of this machine too."""
    return datetime.fromisoformat(text).timestamp() - (time.time() - time.monotonic()) - CLOCKS_DIFFER_SECONDS


def _summary(call: Call) -> dict[str, Any]:
    """The figures of an answer that a person would look at."""
    body = call.body if isinstance(call.body, dict) else {}
    flat = {**body, **(body.get("transaction") or {}), **(body["data"] if isinstance(body.get("data"), dict) else {})}
    wanted = (
        "transaction_id",
        "order_id",
        "status",
        "amount",
        "previous_balance",
        "current_balance",
        "cash_balance",
        "reserved_cash",
        "quantity",
        "total_amount",
        "available",
        "required",
    )
    return {name: flat[name] for name in wanted if name in flat}
