"""The cash and the holdings of a user as they were: those of now, from which each later change is taken back.

What is owned changes by trades, deposits, withdrawals and adjustments. They are read from the base table, consistently.
An index that lags would leave a trade of the last moment in the past of all times. A change that is made up to a moment
has happened at it. What is changed while this reads is left out, as it is in none of the figures that were read first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import takewhile

from app.domain import money
from app.domain.periods import BEGINNING, Period
from app.models import ledger, orders
from app.models.ledger import Balance, Holding, Portfolio, Trade


def get_portfolio_at(username: str, time: datetime) -> Portfolio:
    """The portfolio at a past moment; before the account began, nothing. Of the balance it has the amounts of cash.

    One call, and one for each asset that was ever held. Then one for each further 500 trades in one asset, and each 500
    transactions, since that moment. The orders of the 100 days before it take one for each 1 MB. Only how much of a
    holding waited to be sold is read from an index, which may lag by a moment.
    """
    now = ledger.get_portfolio(username)
    if time < now.balance.created_at:
        return Portfolio(_balance(username, money.ZERO, money.ZERO), [])
    owned_cash = money.add(now.balance.current_balance, now.balance.reserved_cash)
    holdings = []
    reserved = orders.find_reserved_quantities(username, time)
    for each in now.holdings:
        (past,), cash_effect = _take_back(each, now.balance, [time])
        owned_cash = money.subtract(owned_cash, cash_effect)
        past.reserved_quantity = min(reserved.get(each.asset_id, Decimal(0)), past.quantity)
        past.quantity = money.subtract(past.quantity, past.reserved_quantity)
        holdings.append(past)
    current = now.balance.current_balance
    newest_first = ledger.iterate_newest_transactions(username, int(now.balance.version))
    for transaction in takewhile(lambda each: each.created_at > time, newest_first):
        current = transaction.previous_balance
        if not transaction.order_id:
            owned_cash = money.subtract(owned_cash, transaction.effect)
    return Portfolio(_balance(username, current, money.subtract(owned_cash, current)), holdings)


def list_owned_at(username: str, times: Sequence[datetime]) -> list[list[Holding]]:
    """What was owned of each asset at some moments, as a list for each. What waited to be sold is in `quantity`.

    One call; one for each asset that was ever held, and for each further 500 trades in it since the first moment.
    """
    now = ledger.get_portfolio(username)
    each_past = [_take_back(each, now.balance, times)[0] for each in now.holdings]
    return [list(holdings) for holdings in zip(*each_past, strict=True)] or [[] for _ in times]


def _take_back(holding: Holding, balance: Balance, times: Sequence[datetime]) -> tuple[list[Holding], Decimal]:
    """What was owned of an asset at each moment, and what the trades since the first of them added to the cash."""
    since = max(min(times), BEGINNING)
    period = Period(since, max(since, ledger.read_until(holding, balance)))
    found, cash_effect = [_copy(holding) for _ in times], money.ZERO
    for trade in ledger.iterate_trades(holding.username, period, asset_id=holding.asset_id):
        for past, time in zip(found, times, strict=True):
            if trade.traded_at > time:
                _take_back_trade(past, trade)
        if trade.traded_at > since:
            cash_effect = money.add(cash_effect, trade.cash_effect)
    return found, cash_effect


def _balance(username: str, current: Decimal, reserved: Decimal) -> Balance:
    return Balance(*Balance.key(username), username=username, current_balance=current, reserved_cash=reserved)


def _copy(holding: Holding) -> Holding:
    """All that is owned, in one figure."""
    return Holding(
        *Holding.key(holding.username, holding.asset_id),
        username=holding.username,
        asset_id=holding.asset_id,
        quantity=holding.asset_account.owned_quantity,
        cost_total=holding.cost_total,
        realised_gain=holding.realised_gain,
    )


def _take_back_trade(holding: Holding, trade: Trade) -> None:
    holding.quantity = money.subtract(holding.quantity, trade.effect)
    if holding.cost_total is None or trade.cost_effect is None:
        holding.cost_total = holding.realised_gain = None
        return
    holding.cost_total = money.subtract(holding.cost_total, trade.cost_effect)
    holding.realised_gain = money.subtract(holding.realised_gain, trade.gain or money.ZERO)
