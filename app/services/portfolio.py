"""Cash and holdings of a user: moving money in and out, and seeing what is there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from app.domain import money
from app.domain.assets import get_asset
from app.domain.orders import OrderStatus
from app.models import ledger, orders
from app.models.ledger import BalanceTransaction, Holding
from app.models.orders import Order
from app.models.paging import PageRequest
from app.prices import PriceSource, Quote


@dataclass(frozen=True)
class ValuedHolding:
    """A holding at the current price; quote and value are None while the source has no price for it."""

    holding: Holding
    asset_name: str
    quote: Quote | None
    market_value: Decimal | None
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


@dataclass(frozen=True)
class ValuedPortfolio:
    """Cash, cash reserved by open orders to buy, and holdings at current prices, and the total of all three.

    Percentages are of cash and holdings. What open orders to sell reserve is no holding, and is not counted.
    """

    assets: list[ValuedHolding]
    cash_balance: Decimal
    reserved_cash: Decimal
    total_value: Decimal
    as_of: datetime
    balance: ledger.Balance


def get_portfolio(username: str, prices: PriceSource, *, now: datetime) -> ValuedPortfolio:
    """Everything that a user has, largest holding first. One call. Holdings of quantity zero are left out."""
    portfolio = ledger.get_portfolio(username)
    cash = portfolio.balance.current_balance
    assets = _value_all([holding for holding in portfolio.holdings if holding.quantity], prices, cash=cash)
    reserved = portfolio.balance.reserved_cash
    total = money.total_of([cash, reserved, *(each.market_value or money.ZERO for each in assets)])
    return ValuedPortfolio(assets, cash, reserved, total, now, portfolio.balance)


def list_holdings(username: str, prices: PriceSource) -> list[ValuedHolding]:
    """Every asset that the user ever held, largest holding first; percentages are of all holdings. One call."""
    return _value_all(ledger.list_holdings(username), prices, cash=money.ZERO)


def get_holding(username: str, asset_id: str, prices: PriceSource) -> ValuedHolding:
    """One holding at the current price. Raises AssetNotFound, HoldingNotFound."""
    holding = ledger.get_holding(username, get_asset(asset_id).asset_id)
    return _value_all([holding], prices, cash=money.ZERO)[0]


def _value_all(holdings: list[Holding], prices: PriceSource, *, cash: Decimal) -> list[ValuedHolding]:
    """Holdings at current prices, largest first, with their share of the whole that they are with the cash."""
    quotes = prices.quotes() if holdings else {}
    valued = [_value(holding, quotes.get(holding.asset_id)) for holding in holdings]
    total = money.total_of([cash, *(each.market_value or money.ZERO for each in valued)])
    shared = [replace(each, percentage=money.percentage(each.market_value or money.ZERO, total)) for each in valued]
    return sorted(shared, key=lambda each: (-(each.market_value or money.ZERO), each.asset_id))


def _value(holding: Holding, quote: Quote | None) -> ValuedHolding:
    value = money.value_of(holding.quantity, quote.price) if quote else None
    return ValuedHolding(holding, get_asset(holding.asset_id).name, quote, value)


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
        opened.next_start_key is not None,
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
