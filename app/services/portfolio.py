"""A user's cash and holdings at current prices. `value_portfolio` computes the total that every surface shows.

All values are USD with 2 decimals, rounded down to the cent; quantities have up to 8 decimals; percentages have 2
decimals and are parts of the total value. Values, percentages and totals count all that the user owns: also the cash
and the assets that open orders reserve. What has no price at the moment counts as 0.00.

Gains are signed, by average cost and without fees. A gain is None where it is not known: without a price, or without a
cost. A store of an older version has no costs until it is upgraded. Where all is known, the total value is what was
deposited, less what was withdrawn, with adjustments and with `total_gain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from app.domain import money
from app.domain.assets import get_asset
from app.domain.orders import OrderStatus
from app.models import ledger, orders
from app.models.ledger import Balance, BalanceTransaction, Holding, Portfolio
from app.models.orders import Order
from app.models.paging import PageRequest
from app.models.reading import NOTHING, Found
from app.prices import PriceSource, Quote

LATEST_TRANSACTIONS = PageRequest(limit=5)
# An overview lists no more open orders than these. Their own page has them all.
OPEN_ORDERS = PageRequest(limit=100)


@dataclass(frozen=True)
class ValuedHolding:
    """A holding at its current quote, which is None while the source has no price for the asset.

    `quantity` can be sold now, and `reserved_quantity` is in open orders to sell.
    """

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
    def reserved_quantity(self) -> Decimal:
        return self.holding.asset_account.reserved_quantity

    @property
    def owned_quantity(self) -> Decimal:
        return self.holding.asset_account.owned_quantity

    @property
    def current_price(self) -> Decimal | None:
        return self.quote.price if self.quote else None

    @property
    def priced_at(self) -> datetime | None:
        """The price's own time."""
        return self.quote.as_of if self.quote else None

    @property
    def market_value(self) -> Decimal | None:
        """The value of the owned quantity; None without a price."""
        return money.value_of(self.owned_quantity, self.quote.price) if self.quote else None

    @property
    def counted_value(self) -> Decimal:
        """The market value, 0.00 without a price."""
        return self.market_value or money.ZERO

    @property
    def cost_total(self) -> Decimal | None:
        """What the owned quantity cost."""
        return self.holding.cost_total

    @property
    def realised_gain(self) -> Decimal | None:
        """What all sales gained since the account began."""
        return self.holding.realised_gain

    @property
    def average_price(self) -> Decimal | None:
        """What one owned unit cost, with the decimals of the asset's prices; None where nothing is owned."""
        if self.cost_total is None or not self.owned_quantity:
            return None
        decimals = get_asset(self.asset_id).price_decimals
        return money.average_price(self.cost_total, self.owned_quantity, decimals=decimals)

    @property
    def unrealised_gain(self) -> Decimal | None:
        """What the owned quantity is worth beyond its cost."""
        return _gain(self.market_value, self.cost_total)

    @property
    def unrealised_gain_percent(self) -> Decimal | None:
        """Of the cost; None where nothing is owned."""
        return _gain_percent(self.unrealised_gain, self.cost_total)


@dataclass(frozen=True)
class Share:
    """A part of the total value. `asset_id` is None for cash."""

    name: str
    asset_id: str | None
    value: Decimal
    percentage: Decimal


@dataclass(frozen=True)
class ValuedPortfolio:
    """Cash and holdings at current prices, the most valuable holding first, none that is all sold.

    `realised_gain` is that of all sales since the account began, also of what is all sold.
    """

    balance: Balance
    assets: list[ValuedHolding]
    realised_gain: Decimal | None
    as_of: datetime

    @property
    def cash_balance(self) -> Decimal:
        return self.balance.current_balance

    @property
    def reserved_cash(self) -> Decimal:
        return self.balance.reserved_cash

    @property
    def owned_cash(self) -> Decimal:
        return money.add(self.cash_balance, self.reserved_cash)

    @property
    def assets_value(self) -> Decimal:
        return money.total_of(each.counted_value for each in self.assets)

    @property
    def total_value(self) -> Decimal:
        return money.add(self.owned_cash, self.assets_value)

    @property
    def cost_total(self) -> Decimal | None:
        """What all that is owned cost, without cash."""
        return money.known_total(each.cost_total for each in self.assets)

    @property
    def unrealised_gain(self) -> Decimal | None:
        return money.known_total(each.unrealised_gain for each in self.assets)

    @property
    def unrealised_gain_percent(self) -> Decimal | None:
        """Of the cost; None where nothing is owned."""
        return _gain_percent(self.unrealised_gain, self.cost_total)

    @property
    def total_gain(self) -> Decimal | None:
        """Realised and unrealised."""
        return money.known_total([self.realised_gain, self.unrealised_gain])

    @property
    def net_deposits(self) -> Decimal | None:
        """Deposits less withdrawals, with adjustments.

        It is what is in cash or was paid for what is owned, and was not gained by sales: see `app.domain.gains`.
        """
        if self.cost_total is None or self.realised_gain is None:
            return None
        return money.subtract(money.add(self.owned_cash, self.cost_total), self.realised_gain)

    @property
    def shares(self) -> list[Share]:
        """The parts of the total value that are above 0.00: holdings, cash, cash in open orders."""
        total = self.total_value
        parts = [
            *((each.asset_name, each.asset_id, each.counted_value) for each in self.assets),
            ("Cash", None, self.cash_balance),
            ("Cash in open orders to buy", None, self.reserved_cash),
        ]
        return [Share(name, id_, value, money.percentage(value, total)) for name, id_, value in parts if value]


@dataclass(frozen=True)
class Overview:
    """A portfolio with its newest open orders and transactions. `has_more_orders` says that there are others."""

    portfolio: ValuedPortfolio
    open_orders: list[Order]
    has_more_orders: bool
    latest: list[BalanceTransaction]


def get_portfolio(username: str, prices: PriceSource, *, now: datetime) -> ValuedPortfolio:
    """One call."""
    return value_portfolio(ledger.get_portfolio(username), prices, as_of=now)


def value_portfolio(portfolio: Portfolio, prices: PriceSource, *, as_of: datetime) -> ValuedPortfolio:
    """What one reading of a portfolio is worth now."""
    is_empty = not any(holding.asset_account.owned_quantity for holding in portfolio.holdings)
    return value_at(portfolio, {} if is_empty else prices.quotes(), as_of=as_of)


def value_at(portfolio: Portfolio, quotes: Mapping[str, Quote], *, as_of: datetime) -> ValuedPortfolio:
    """What a portfolio is worth at some quotes."""
    owned = [holding for holding in portfolio.holdings if holding.asset_account.owned_quantity]
    realised_gain = money.known_total(holding.realised_gain for holding in portfolio.holdings)
    valued = ValuedPortfolio(portfolio.balance, value_holdings(owned, quotes), realised_gain, as_of)
    total = valued.total_value
    shared = [replace(each, percentage=money.percentage(each.counted_value, total)) for each in valued.assets]
    return replace(valued, assets=shared)


def get_overview(username: str, prices: PriceSource, *, now: datetime) -> Overview:
    """Three calls, whatever the user owns. All figures come from the first."""
    portfolio = get_portfolio(username, prices, now=now)
    latest = ledger.list_transactions(username, LATEST_TRANSACTIONS).items
    opened = orders.list_orders(username, OPEN_ORDERS, status=OrderStatus.PENDING)
    return Overview(portfolio, opened.items, opened.next_start_key is not None, latest)


def list_holdings(username: str, prices: PriceSource) -> list[ValuedHolding]:
    """Every asset that the user ever held, the most valuable first, without percentages. One call."""
    holdings = ledger.list_holdings(username)
    return value_holdings(holdings, prices.quotes() if holdings else {})


def get_holding(username: str, asset_id: str, prices: PriceSource, found: Found = NOTHING) -> ValuedHolding:
    """One holding, without its percentage. One call, unless it is in `found`. Raises AssetNotFound, HoldingNotFound."""
    holding = ledger.get_holding(username, get_asset(asset_id).asset_id, found)
    return value_holdings([holding], prices.quotes())[0]


def value_holdings(holdings: list[Holding], quotes: Mapping[str, Quote]) -> list[ValuedHolding]:
    """Holdings at some quotes, the most valuable first, without percentages."""
    valued = [ValuedHolding(each, get_asset(each.asset_id).name, quotes.get(each.asset_id)) for each in holdings]
    return sorted(valued, key=lambda each: (-each.counted_value, each.asset_id))


def _gain(value: Decimal | None, cost: Decimal | None) -> Decimal | None:
    return None if value is None or cost is None else money.subtract(value, cost)


def _gain_percent(gain: Decimal | None, cost: Decimal | None) -> Decimal | None:
    return money.percentage(gain, cost) if gain is not None and cost else None
