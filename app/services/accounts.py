"""Cash and holdings of a user: moving money in and out, and seeing what is there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from app.domain import money
from app.domain.assets import get_asset
from app.domain.ledger import TransactionType
from app.domain.requests import request_key
from app.models import account, ledger
from app.models.account import Applied
from app.models.ledger import AssetBalance, BalanceTransaction
from app.prices import PriceSource, Quote


def deposit(
    username: str, amount: Decimal, description: str | None = None, *, idempotency_key: str | None = None
) -> Applied[BalanceTransaction]:
    """Add cash. Raises IdempotencyKeyReused, Busy."""
    return _move(username, TransactionType.DEPOSIT, amount, description, idempotency_key)


def withdraw(
    username: str, amount: Decimal, description: str | None = None, *, idempotency_key: str | None = None
) -> Applied[BalanceTransaction]:
    """Take cash out. Raises InsufficientFunds, IdempotencyKeyReused, Busy."""
    return _move(username, TransactionType.WITHDRAW, amount, description, idempotency_key)


def _move(
    username: str,
    transaction_type: TransactionType,
    amount: Decimal,
    description: str | None,
    idempotency_key: str | None,
) -> Applied[BalanceTransaction]:
    return account.move_cash(
        username,
        transaction_type,
        amount,
        description=description,
        request=request_key(idempotency_key, transaction_type, amount, description),
    )


@dataclass(frozen=True)
class ValuedHolding:
    """A holding at the current price; quote and value are None while the source has no price for it."""

    holding: AssetBalance
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


def _value_all(holdings: list[AssetBalance], prices: PriceSource, *, cash: Decimal) -> list[ValuedHolding]:
    """Holdings at current prices, largest first, with their share of the whole that they are with the cash."""
    quotes = prices.quotes() if holdings else {}
    valued = [_value(holding, quotes.get(holding.asset_id)) for holding in holdings]
    total = money.total_of([cash, *(each.market_value or money.ZERO for each in valued)])
    shared = [replace(each, percentage=money.percentage(each.market_value or money.ZERO, total)) for each in valued]
    return sorted(shared, key=lambda each: (-(each.market_value or money.ZERO), each.asset_id))


def _value(holding: AssetBalance, quote: Quote | None) -> ValuedHolding:
    value = money.value_of(holding.quantity, quote.price) if quote else None
    return ValuedHolding(holding, get_asset(holding.asset_id).name, quote, value)
