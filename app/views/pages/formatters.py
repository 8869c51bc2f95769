"""How values are written on pages. Nothing is computed or rounded here: `app.domain.money` does that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from flask import Flask
from markupsafe import Markup

from app.domain import clock, money
from app.domain.assets import get_asset
from app.domain.ledger import TransactionType

Write = Callable[[Decimal], str]
MINUS = "\N{MINUS SIGN}"
TRANSACTION_NAMES = {
    TransactionType.DEPOSIT: "Deposit",
    TransactionType.WITHDRAW: "Withdrawal",
    TransactionType.ORDER_PAYMENT: "Order payment",
    TransactionType.ORDER_SALE: "Order sale",
    TransactionType.ORDER_REFUND: "Order refund",
    TransactionType.SYSTEM_ADJUSTMENT: "Adjustment",
}
SIDE_NAMES = {"BUY": "Buy", "SELL": "Sell"}


def init_app(app: Flask) -> None:
    app.jinja_env.filters.update(
        money=write_money,
        signed_money=write_signed_money,
        quantity=write_quantity,
        price=write_price,
        percent=write_percent,
        signed_percent=write_signed_percent,
        time=write_time,
        short_time=write_short_time,
        transaction_name=transaction_name,
        side_name=side_name,
    )


def write_money(amount: Decimal) -> str:
    """`1,234.56`"""
    return f"{amount:,.2f}".replace("-", MINUS)


def write_signed_money(amount: Decimal) -> str:
    """`+1,234.56`"""
    return f"{amount:+,.2f}".replace("-", MINUS)


def write_quantity(quantity: Decimal) -> str:
    """`0.25`: all of its decimals, without trailing zeros."""
    return money.plain(quantity)


def write_price(price: Decimal, asset_id: str) -> str:
    """`60,000.10`, `0.11000`: with the decimals of the asset's prices, so that they line up."""
    return money.grouped(price, decimals=get_asset(asset_id).price_decimals)


def write_percent(percentage: Decimal) -> str:
    """`12.50%`"""
    return f"{percentage:,.2f}%".replace("-", MINUS)


def write_signed_percent(percentage: Decimal) -> str:
    """`+12.50%`"""
    return f"{percentage:+,.2f}%".replace("-", MINUS)


def write_time(time: datetime) -> Markup:
    """`22 Nov 2026, 14:40` in UTC, with the exact time for programs."""
    return Markup('<time datetime="{}">{}</time>').format(clock.to_text(time), write_short_time(time))


def write_short_time(time: datetime) -> str:
    """`22 Nov 2026, 14:40`"""
    return f"{time.day} {time:%b %Y, %H:%M}"


def write_days(days: int) -> str:
    """`1 day`, `30 days`"""
    return f"{days} day{'' if days == 1 else 's'}"


def write_moment(time: datetime) -> str:
    """`at 14:40` of a time today, else `on 22 Nov 2026, 14:40`."""
    return f"at {time:%H:%M}" if time.date() == clock.now().date() else f"on {write_short_time(time)}"


def transaction_name(transaction_type: str) -> str:
    return TRANSACTION_NAMES[TransactionType(transaction_type)]


def side_name(side: str) -> str:
    return SIDE_NAMES[side]
