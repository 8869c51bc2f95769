"""The overview of an account: what it is worth and made of, its open orders and its latest transactions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.domain import money
from app.domain.orders import OrderStatus
from app.models import ledger, orders
from app.models.ledger import BalanceTransaction
from app.models.orders import Order
from app.models.table import PageRequest
from app.prices import PriceSource
from app.services.accounts import ValuedPortfolio, get_portfolio

LATEST_TRANSACTIONS = PageRequest(limit=5)
# More open orders than this are shown on their own page, and their reserves are not all valued.
OPEN_ORDERS = PageRequest(limit=100)


@dataclass(frozen=True)
class Share:
    """A part of an account's total value. `asset_id` is None for cash and for what open orders reserve."""

    name: str
    asset_id: str | None
    value: Decimal
    percentage: Decimal


@dataclass(frozen=True)
class Overview:
    """An account at current prices. The total is that of all shares, which leave out what is worth nothing.

    `has_more_orders` says that there are open orders beyond those listed, which are not counted.
    """

    portfolio: ValuedPortfolio
    open_orders: list[Order]
    has_more_orders: bool
    latest: list[BalanceTransaction]
    reserved_assets: Decimal
    total_value: Decimal
    shares: list[Share]


def get_overview(username: str, prices: PriceSource, *, now: datetime) -> Overview:
    """Three calls, whatever the account holds."""
    portfolio = get_portfolio(username, prices, now=now)
    latest = ledger.list_transactions(username, LATEST_TRANSACTIONS)
    opened = orders.list_orders(username, OPEN_ORDERS, status=OrderStatus.PENDING)
    reserved = _value_reserved(opened.items, prices)
    total = money.add(portfolio.total_value, reserved)
    return Overview(
        portfolio,
        opened.items,
        opened.next_position is not None,
        latest.items,
        reserved,
        total,
        shares=_share(portfolio, reserved, total),
    )


def _value_reserved(open_orders: Iterable[Order], prices: PriceSource) -> Decimal:
    """What open orders to sell hold back, at current prices; nothing for what has no price."""
    selling = [(order.asset_id, order.reserved_quantity) for order in open_orders if order.reserved_quantity]
    quotes = prices.quotes() if selling else {}
    return money.total_of(
        money.value_of(quantity, quotes[asset_id].price) for asset_id, quantity in selling if asset_id in quotes
    )


def _share(portfolio: ValuedPortfolio, reserved_assets: Decimal, total: Decimal) -> list[Share]:
    values = [
        *((each.asset_name, each.asset_id, each.market_value or money.ZERO) for each in portfolio.assets),
        ("Cash", None, portfolio.cash_balance),
        ("Cash in open orders to buy", None, portfolio.reserved_cash),
        ("Assets in open orders to sell", None, reserved_assets),
    ]
    return [Share(name, asset_id, value, money.percentage(value, total)) for name, asset_id, value in values if value]
