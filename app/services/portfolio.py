"""A user's cash and holdings at current prices.

All values are USD with 2 decimals, rounded down to the cent; quantities have up to 8 decimals; percentages have 2
decimals. What has no price at the moment counts as 0.00. The totals differ in what they count:

| total | cash | cash reserved by open orders | holdings | assets reserved by open orders |
|---|---|---|---|---|
| `ValuedPortfolio.total_value` | yes | yes | yes | no |
| `Overview.total_value`, as in the portfolio's history | yes | yes | yes | yes |
| the whole of `ValuedHolding.percentage` in a portfolio | yes | no | yes | no |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from app.domain import money
from app.domain.assets import get_asset
from app.domain.orders import OrderStatus
from app.models import ledger, orders
from app.models.ledger import Balance, BalanceTransaction, Holding
from app.models.orders import Order
from app.models.paging import PageRequest
from app.prices import PriceSource, Quote

LATEST_TRANSACTIONS = PageRequest(limit=5)
# An overview neither lists nor values more open orders than these. Their own page has them all.
OPEN_ORDERS = PageRequest(limit=100)


@dataclass(frozen=True)
class ValuedHolding:
    """A holding at its current quote, which is None while the source has no price for the asset."""

    holding: Holding
    asset_name: str
    quote: Quote | None
    percentage: Decimal = money.ZERO

    @property
    def asset_id(self) -> str:
        return self.holding.asset_id

    @property
    def quantity(self) -> Decimal:
        return self.holding.quantity

    @property
    def current_price(self) -> Decimal | None:
        return self.quote.price if self.quote else None

    @property
    def market_value(self) -> Decimal | None:
        """None without a price."""
        return money.value_of(self.quantity, self.quote.price) if self.quote else None

    @property
    def counted_value(self) -> Decimal:
        """The market value, 0.00 without a price."""
        return self.market_value or money.ZERO


@dataclass(frozen=True)
class ValuedPortfolio:
    """Cash and holdings at current prices, the most valuable holding first, none of quantity 0."""

    balance: Balance
    assets: list[ValuedHolding]
    as_of: datetime

    @property
    def cash_balance(self) -> Decimal:
        return self.balance.current_balance

    @property
    def reserved_cash(self) -> Decimal:
        return self.balance.reserved_cash

    @property
    def total_value(self) -> Decimal:
        """Without what open orders to sell reserve."""
        return money.total_of([self.cash_balance, self.reserved_cash, *(each.counted_value for each in self.assets)])


@dataclass(frozen=True)
class Share:
    """A part of an overview's total value. `asset_id` is None for cash and for what open orders reserve."""

    name: str
    asset_id: str | None
    value: Decimal
    percentage: Decimal


@dataclass(frozen=True)
class Overview:
    """A portfolio with its newest open orders and transactions.

    `reserved_assets` is the value of what the listed open orders to sell reserve. `has_more_orders` says that there
    are others, which are not counted.
    """

    portfolio: ValuedPortfolio
    open_orders: list[Order]
    has_more_orders: bool
    latest: list[BalanceTransaction]
    reserved_assets: Decimal

    @property
    def total_value(self) -> Decimal:
        """With what open orders to sell reserve."""
        return money.add(self.portfolio.total_value, self.reserved_assets)

    @property
    def shares(self) -> list[Share]:
        """The parts of the total value that are above 0.00: holdings, cash, reserves."""
        total = self.total_value
        parts = [
            *((each.asset_name, each.asset_id, each.counted_value) for each in self.portfolio.assets),
            ("Cash", None, self.portfolio.cash_balance),
            ("Cash in open orders to buy", None, self.portfolio.reserved_cash),
            ("Assets in open orders to sell", None, self.reserved_assets),
        ]
        return [Share(name, id_, value, money.percentage(value, total)) for name, id_, value in parts if value]


def get_portfolio(username: str, prices: PriceSource, *, now: datetime) -> ValuedPortfolio:
    """Percentages are of cash and holdings together. One call."""
    portfolio = ledger.get_portfolio(username)
    held = [holding for holding in portfolio.holdings if holding.quantity]
    return ValuedPortfolio(
        portfolio.balance, _value_all(held, prices, cash=portfolio.balance.current_balance), as_of=now
    )


def get_overview(username: str, prices: PriceSource, *, now: datetime) -> Overview:
    """Three calls, whatever the user owns."""
    portfolio = get_portfolio(username, prices, now=now)
    latest = ledger.list_transactions(username, LATEST_TRANSACTIONS).items
    opened = orders.list_orders(username, OPEN_ORDERS, status=OrderStatus.PENDING)
    reserved = _value_reserved(opened.items, prices)
    return Overview(portfolio, opened.items, opened.next_start_key is not None, latest, reserved)


def list_holdings(username: str, prices: PriceSource) -> list[ValuedHolding]:
    """Every asset that the user ever held, the most valuable first; percentages are of all holdings. One call."""
    return _value_all(ledger.list_holdings(username), prices)


def get_holding(username: str, asset_id: str, prices: PriceSource) -> ValuedHolding:
    """One holding; its percentage is of itself. One call. Raises AssetNotFound, HoldingNotFound."""
    holding = ledger.get_holding(username, get_asset(asset_id).asset_id)
    return _value_all([holding], prices)[0]


def _value_all(holdings: list[Holding], prices: PriceSource, *, cash: Decimal = money.ZERO) -> list[ValuedHolding]:
    """The most valuable first, with percentages of all of them and the cash."""
    quotes = prices.quotes() if holdings else {}
    valued = [ValuedHolding(each, get_asset(each.asset_id).name, quotes.get(each.asset_id)) for each in holdings]
    whole = money.total_of([cash, *(each.counted_value for each in valued)])
    shared = [replace(each, percentage=money.percentage(each.counted_value, whole)) for each in valued]
    return sorted(shared, key=lambda each: (-each.counted_value, each.asset_id))


def _value_reserved(open_orders: Iterable[Order], prices: PriceSource) -> Decimal:
    """The value of what open orders to sell reserve; each reserve is rounded by itself."""
    selling = [(order.asset_id, order.reserved_quantity) for order in open_orders if order.reserved_quantity]
    quotes = prices.quotes() if selling else {}
    return money.total_of(
        money.value_of(quantity, quotes[asset_id].price) for asset_id, quantity in selling if asset_id in quotes
    )
