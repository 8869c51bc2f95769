"""How values are written on pages. Nothing is computed or rounded here: `app.domain.money` does that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal

from flask import Flask
from markupsafe import Markup

from app.domain import clock, money
from app.domain.assets import find_asset, get_asset
from app.domain.events import WAITS, EventKind, Means
from app.domain.ledger import TransactionType
from app.domain.orders import PAYMENT_TYPE, Described, read_description
from app.domain.writing import MINUS, dollars, grouped
from app.models.ledger import BalanceTransaction

Write = Callable[[Decimal], str]
TRANSACTION_NAMES = {
    TransactionType.DEPOSIT: "Deposited",
    TransactionType.WITHDRAW: "Withdrawn",
    TransactionType.ORDER_PAYMENT: "Bought or reserved",
    TransactionType.ORDER_SALE: "Sold",
    TransactionType.ORDER_REFUND: "Returned",
    TransactionType.SYSTEM_ADJUSTMENT: "Adjusted",
}
EVENT_NAMES = {
    EventKind.REGISTERED: "Account opened",
    EventKind.LOG_IN: "Logged in",
    EventKind.LOGGED_OUT: "Logged out",
    EventKind.PASSWORD_CHANGED: "Password changed",
    EventKind.PASSWORD_RESET: "New password chosen by a link",
    EventKind.RESET_LINK_MADE: "Link for a new password made",
    EventKind.EMAIL_CHANGED: "E-mail address changed",
    EventKind.EMAIL_CONFIRMED: "E-mail address confirmed",
    EventKind.PROFILE_CHANGED: "Profile changed",
    EventKind.TOKEN_MADE: "Personal token made",
    EventKind.TOKEN_ENDED: "Personal token revoked",
    EventKind.SESSION_ENDED: "One session ended",
    EventKind.SESSIONS_ENDED: "Logged out everywhere",
    EventKind.SECOND_FACTOR_ADDED: "Second factor set up",
    EventKind.SECOND_FACTOR_REMOVED: "Second factor removed",
    EventKind.PASSKEY_ADDED: "Passkey added",
    EventKind.PASSKEY_REMOVED: "Passkey removed",
    EventKind.SECOND_FACTOR_RESET: "Reset of the second factor begun",
    EventKind.SECOND_FACTOR_KEPT: "Reset of the second factor taken back",
    EventKind.RECOVERY_CODES_MADE: "New recovery codes made",
    EventKind.RECOVERY_CODE_USED: "Recovery code used",
    EventKind.SUSPENDED: "Account suspended",
    EventKind.REINSTATED: "Account reinstated",
    EventKind.PROMOTED: "Made an administrator",
    EventKind.DEMOTED: "Made an ordinary user",
    EventKind.ACCOUNT_CLOSED: "Account closed",
    EventKind.ADJUSTED: "Balance adjusted",
}
MEANS_NAMES = {
    Means.SESSION: "in a browser",
    Means.LOGIN: "by a script that logged in",
    Means.PERSONAL: "by a personal token",
    Means.LINK: "by a link",
    Means.COMMAND_LINE: "at the command line",
}
FIGURE_SPACE, PUNCTUATION_SPACE = "\N{FIGURE SPACE}", "\N{PUNCTUATION SPACE}"
SIDE_NAMES = {"BUY": "Buy", "SELL": "Sell"}


def init_app(app: Flask) -> None:
    app.jinja_env.filters.update(
        money=write_money,
        signed_money=write_signed_money,
        large_money=write_large_money,
        plain=money.plain,
        quantity=write_quantity,
        most_decimals=most_decimals,
        price=write_price,
        percent=write_percent,
        signed_percent=write_signed_percent,
        time=write_time,
        days=write_days,
        month=write_month,
        ago=write_ago,
        seconds=write_seconds,
        transaction_name=transaction_name,
        trade_in=trade_in,
        side_name=side_name,
        event_name=event_name,
        means_name=means_name,
    )
    app.jinja_env.globals["AMOUNT_RANGE"] = f"From {write_money(money.CENT)} to {write_money(money.MAX_AMOUNT)}"


def write_money(amount: Decimal) -> str:
    """`$1,234.56`"""
    return dollars(f"{amount:.2f}")


def write_signed_money(amount: Decimal) -> str:
    """`+$1,234.56`"""
    return dollars(f"{amount:.2f}", plus=True)


def write_large_money(amount: Decimal) -> str:
    """`$1.15 trillion`; what is below a million as `write_money` does."""
    number, unit = money.shortened(amount)
    return f"{write_money(number)} {unit}".rstrip()


def write_quantity(quantity: Decimal, decimals: int = 0) -> str:
    """`1,234.5`: all of its decimals, without trailing zeros.

    In a column, with `most_decimals` of it, spaces as wide as a point and as digits stand for what others have more.
    """
    written = grouped(money.plain(quantity))
    whole, point, fraction = written.partition(".")
    if not decimals:
        return written
    return f"{whole}{point or PUNCTUATION_SPACE}{fraction.ljust(decimals, FIGURE_SPACE)}"


def most_decimals(quantities: Iterable[Decimal]) -> int:
    """The largest number of decimals that one of the quantities is written with."""
    return max((len(money.plain(each).partition(".")[2]) for each in quantities), default=0)


def write_price(price: Decimal, asset_id: str) -> str:
    """`$60,000.10`, `$0.11000`: with the decimals of the asset's prices, so that they line up."""
    return dollars(money.plain(price), decimals=get_asset(asset_id).price_decimals)


def write_bound(message: str) -> str:
    """The sentence of an amount out of bounds, with its numbers as they are written here; any other as it is."""
    return BOUNDS.get(message, message)


def write_percent(percentage: Decimal) -> str:
    """`12.50%`"""
    return f"{percentage:,.2f}%".replace("-", MINUS)


def write_signed_percent(percentage: Decimal) -> str:
    """`+12.50%`"""
    return f"{percentage:+,.2f}%".replace("-", MINUS)


def write_time(time: datetime) -> Markup:
    """`22 Nov 2026, 14:40 UTC`, with the exact time for programs."""
    return Markup('<time datetime="{}">{}</time>').format(clock.to_text(time), write_short_time(time))


def write_short_time(time: datetime) -> str:
    """`22 Nov 2026, 14:40 UTC`: in the zone of the days that people choose."""
    return f"{time.day} {time:%b %Y, %H:%M} UTC"


def write_days(days: int) -> str:
    """`1 day`, `30 days`"""
    return f"{days} day{'' if days == 1 else 's'}"


def write_month(month: str) -> str:
    """`November 2026`, of `2026-11`."""
    return f"{date.fromisoformat(month + '-01'):%B %Y}"


def write_seconds(seconds: int) -> str:
    """`less than a second`, `1 second`, `90 seconds`"""
    return f"{seconds} second{'' if seconds == 1 else 's'}" if seconds else "less than a second"


def write_ago(moment: datetime) -> str:
    """`20 seconds ago`, `5 minutes ago`"""
    seconds = max(0, int((clock.now() - moment).total_seconds()))
    number, unit = (seconds, "second") if seconds < 120 else (seconds // 60, "minute")
    return f"{number} {unit}{'' if number == 1 else 's'} ago"


def write_moment(time: datetime) -> str:
    """`at 14:40 UTC` of a time today, else `on 22 Nov 2026, 14:40 UTC`."""
    return f"at {time:%H:%M} UTC" if time.date() == clock.now().date() else f"on {write_short_time(time)}"


# What is said of amounts beyond their bounds, with the numbers as pages write them.
BOUNDS = {
    money.AMOUNT_BOUNDS: f"Choose an amount from {write_money(money.CENT)} to {write_money(money.MAX_AMOUNT)}.",
    money.QUANTITY_BOUNDS: (
        f"Choose a quantity from {write_quantity(money.MIN_QUANTITY)} to {write_quantity(money.MAX_QUANTITY)}."
    ),
    money.PRICE_BOUNDS: f"Choose a price above $0, at most {dollars(money.plain(money.MAX_PRICE), decimals=0)}.",
}


def transaction_name(transaction_type: str) -> str:
    return TRANSACTION_NAMES[TransactionType(transaction_type)]


def trade_in(transaction: BalanceTransaction) -> Described | None:
    """What was bought, sold or reserved by a transaction; None where it is of no order, or its words do not say."""
    is_of_order = transaction.transaction_type in set(PAYMENT_TYPE.values())
    said = read_description(transaction.description) if is_of_order else None
    return said if said and find_asset(said.asset_id) else None


def event_name(kind: str, outcome: str) -> str:
    name = EVENT_NAMES[EventKind(kind)]
    return f"{name}: waits to be confirmed" if outcome == WAITS else name


def means_name(via: str) -> str:
    return MEANS_NAMES[Means(via)]


def side_name(side: str) -> str:
    return SIDE_NAMES[side]
