"""An account to which one thing happens after the other: what each operation does, and which answers fit it.

Cash is in cents and quantities in units of 0.00000001, both whole numbers. A step is a function of the account that
gives the account after it, or None where the answer cannot have come from this account. Whatever the ledger tells of
an operation (`number`, its place among the account's transactions) narrows down where it can stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from tests.proofs.bank.linearizable import Step


class Account(NamedTuple):
    """One user's money and assets; `open_orders` are the ids of those that wait."""

    cash: int = 0
    deposits: int = 0
    withdrawals: int = 0
    reserved: int = 0
    version: int = 0
    holdings: tuple[tuple[str, int], ...] = ()
    open_orders: frozenset[str] = frozenset()

    def held(self, asset_id: str) -> int:
        return dict(self.holdings).get(asset_id, 0)


class Trade(NamedTuple):
    """An order; `total` is what it costs, brings or reserves, in cents."""

    order_id: str
    side: str
    asset_id: str
    units: int
    total: int


def cents(text: str) -> int:
    return _whole(text, 2)


def units(text: str) -> int:
    return _whole(text, 8)


def _whole(text: str, decimals: int) -> int:
    scaled = Decimal(text).scaleb(decimals)
    assert scaled == int(scaled), text
    return int(scaled)


def posted(account: Account, cash: int, number: int | None = None) -> Account | None:
    """One transaction of the ledger."""
    after = account._replace(cash=account.cash + cash, version=account.version + 1)
    return after if after.cash >= 0 and number in (None, after.version) else None


def with_holding(account: Account | None, asset_id: str, change: int) -> Account | None:
    if account is None:
        return None
    held = {**dict(account.holdings), asset_id: account.held(asset_id) + change}
    if held[asset_id] < 0:
        return None
    return account._replace(holdings=tuple(sorted((name, count) for name, count in held.items() if count)))


def moved(kind: str, amount: int, number: int | None = None, *, previous: int | None = None) -> Step:
    """A deposit, a withdrawal (its amount is positive) or an adjustment (signed); `previous` is the cash before it."""
    effect = -amount if kind == "withdraw" else amount

    def step(account: Account) -> Account | None:
        after = posted(account, effect, number) if previous in (None, account.cash) else None
        if after is None:
            return None
        return after._replace(
            deposits=after.deposits + (amount if kind == "deposit" else 0),
            withdrawals=after.withdrawals + (amount if kind == "withdraw" else 0),
        )

    return step


def traded(trade: Trade, number: int | None = None) -> Step:
    """An order that was executed when it was placed."""
    sign = 1 if trade.side == "BUY" else -1
    cash, quantity = -sign * trade.total, sign * trade.units
    return lambda account: with_holding(posted(account, cash, number), trade.asset_id, quantity)


def placed(trade: Trade, number: int | None = None) -> Step:
    """An order that waits: it took what it may need."""

    def step(account: Account) -> Account | None:
        after = account._replace(open_orders=account.open_orders | {trade.order_id})
        if trade.side == "SELL":
            return with_holding(after, trade.asset_id, -trade.units)
        return posted(after._replace(reserved=after.reserved + trade.total), -trade.total, number)

    return step


def ended(trade: Trade, number: int | None = None, *, filled_for: int | None = None) -> Step:
    """The end of a waiting order: filled for this many cents, or else everything that it reserved is returned."""

    def step(account: Account) -> Account | None:
        if trade.order_id not in account.open_orders:
            return None
        after = account._replace(open_orders=account.open_orders - {trade.order_id})
        if trade.side == "SELL":
            if filled_for is None:
                return with_holding(after, trade.asset_id, trade.units)
            return posted(after, filled_for, number)
        refund = trade.total - (filled_for or 0)
        after = after._replace(reserved=after.reserved - trade.total)
        paid = posted(after, refund, number) if refund else after
        return paid if filled_for is None else with_holding(paid, trade.asset_id, trade.units)

    return step


def saw(**figures: int) -> Step:
    """An answer that states fields of the account."""
    return lambda account: account if all(getattr(account, name) == seen for name, seen in figures.items()) else None


def saw_holdings(holdings: Mapping[str, int], **figures: int) -> Step:
    """The portfolio: all holdings that are not zero, and fields."""
    wanted, fields = tuple(sorted(holdings.items())), saw(**figures)
    return lambda account: fields(account) if account.holdings == wanted else None


def saw_holding(asset_id: str, held: int) -> Step:
    return lambda account: account if account.held(asset_id) == held else None


def saw_order(order_id: str, *, is_open: bool) -> Step:
    return lambda account: account if (order_id in account.open_orders) is is_open else None


def lacked_cash(available: int, required: int) -> Step:
    return lambda account: account if account.cash == available < required else None


def lacked_holding(asset_id: str, available: int, required: int) -> Step:
    return lambda account: account if account.held(asset_id) == available < required else None
