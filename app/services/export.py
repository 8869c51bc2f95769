"""Everything that an account has, as a ZIP archive that is written while it is read.

Each file is a table of columns with what they mean, from which README.txt is made too. No secret and no hash of one is
in any of them.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from app.domain import chain, clock, money
from app.models import ledger, orders, users
from app.models.account_events import iterate_account_events
from app.models.events import SecurityEvent, iterate_events
from app.models.ledger import Balance, Portfolio
from app.models.orders import Order
from app.models.users import Token, User
from app.services import statements
from app.services.statements import CSV_COLUMNS, TRADE_COLUMNS, Statement, csv_line

# How much of the archive is handed on at once.
CHUNK_BYTES = 32 * 1024


@dataclass(frozen=True)
class Column:
    """A value of an item, and what it means to its owner."""

    about: str
    read: Callable[[Any], Any]


def _text(name: str) -> Callable[[Any], Any]:
    return attrgetter(name)


def _time(name: str) -> Callable[[Any], str | None]:
    return lambda each: clock.to_text(getattr(each, name)) if getattr(each, name) else None


def _plain(name: str) -> Callable[[Any], str | None]:
    return lambda each: None if getattr(each, name) is None else money.plain(getattr(each, name))


def _number(name: str) -> Callable[[Any], int | None]:
    return lambda each: None if getattr(each, name) is None else int(getattr(each, name))


def _amount(name: str) -> Callable[[Any], str | None]:
    return lambda each: None if getattr(each, name) is None else str(getattr(each, name))


PROFILE: Mapping[str, Column] = {
    "username": Column("Your name here. It is on every record and never changes.", _text("username")),
    "email": Column("Your e-mail address.", _text("email")),
    "email_unconfirmed_since": Column(
        "Since when the address waits to be confirmed.", _time("email_unconfirmed_since")
    ),
    "first_name": Column("Your first name.", _text("first_name")),
    "last_name": Column("Your last name.", _text("last_name")),
    "phone": Column("Your phone number.", _text("phone")),
    "date_of_birth": Column("Your date of birth.", _text("date_of_birth")),
    "marketing_emails_consent": Column("Whether you asked for news by e-mail.", _text("marketing_emails_consent")),
    "role": Column("CUSTOMER, or ADMIN for an administrator.", _text("role")),
    "status": Column("ACTIVE.", _text("status")),
    "second_factor": Column("Since when you have a second factor.", _time("second_factor")),
    "events_seen": Column("The last event of account_events.csv that the dashboard told of.", _number("events_seen")),
    "created_at": Column("When you registered.", _time("created_at")),
    "updated_at": Column("When the profile, the password or the sessions last changed.", _time("updated_at")),
}
BALANCE: Mapping[str, Column] = {
    "current_balance": Column("The cash that you can spend.", _amount("current_balance")),
    "reserved_cash": Column("The cash that open orders to buy reserve.", _amount("reserved_cash")),
    "total_deposits": Column("The sum of all deposits.", _amount("total_deposits")),
    "total_withdrawals": Column("The sum of all withdrawals.", _amount("total_withdrawals")),
    "transactions": Column("How many transactions there are: the number of the last one.", lambda it: int(it.version)),
    "head": Column("The hash of that transaction.", _text("head")),
    "account_events": Column("How many account events there were: the number of the last one.", _text("events")),
    "created_at": Column("When the account was opened.", _time("created_at")),
    "updated_at": Column("When the balance last changed.", _time("updated_at")),
}
TRANSACTIONS: Mapping[str, str] = {
    "created_at": "When it was made. The first and the last row have none: they are the balances before and after all.",
    "transaction_id": "Its number, from 1 without a gap.",
    "transaction_type": "deposit, withdraw, order_payment, order_sale, order_refund or system_adjustment.",
    "amount": "How much. Above 0, but for an adjustment, which has a sign.",
    "effect": "The same with its sign: what it added to the balance.",
    "previous_balance": "The balance before it.",
    "new_balance": "The balance after it.",
    "description": "Your words, or what it was for. An apostrophe keeps spreadsheets from running it as a formula.",
    "order_id": "Its order in orders.csv.",
    "actor": "The administrator who made an adjustment.",
    "hash": "Shows that it and all before it are unchanged. Statement, Check a statement has a program for that.",
}
TRADES: Mapping[str, str] = {
    "timestamp": "When it was made.",
    "asset_id": "What was traded.",
    "transaction_type": "BUY or SELL.",
    "quantity": "How many units.",
    "price": "Of one unit.",
    "total_amount": "What was paid, or what the sale brought.",
    "order_id": "Its order in orders.csv.",
    "cost_total": "Of a sale: what its units had cost, by average.",
    "gain": "Of a sale: what it brought beyond that.",
}
ORDERS: Mapping[str, Column] = {
    "order_id": Column("Its number.", _text("order_id")),
    "created_at": Column("When it was placed.", _time("created_at")),
    "order_type": Column("BUY or SELL.", _text("order_type")),
    "price_type": Column("MARKET, LIMIT, STOP or STOP_LIMIT.", _text("price_type")),
    "asset_id": Column("What is traded.", _text("asset_id")),
    "status": Column("PENDING while it is open, then COMPLETED, CANCELLED or EXPIRED.", _text("status")),
    "quantity": Column("How many units.", _plain("quantity")),
    "limit_price": Column("The worst price that it accepts.", _plain("limit_price")),
    "stop_price": Column("The price that it waits for first.", _plain("stop_price")),
    "order_price": Column(
        "Of one unit, when it was executed; until then the limit, or the stop without one.", _plain("order_price")
    ),
    "total_amount": Column("Quantity times price.", _amount("total_amount")),
    "reserved_amount": Column("The cash that it reserved when it had to wait.", _amount("reserved_amount")),
    "reserved_quantity": Column("The units that it reserved when it had to wait.", _plain("reserved_quantity")),
    "client_order_id": Column("What a script of yours calls it.", _text("client_order_id")),
    "time_in_force": Column("How long it stands: GTC, DAY, IOC or FOK.", _text("time_in_force")),
    "expires_at": Column("Until when it is open.", _time("expires_at")),
    "triggered_at": Column("When the price reached its stop.", _time("triggered_at")),
    "executed_at": Column("When it was executed.", _time("executed_at")),
    "revision": Column("1, and 1 more for each of its lines in order_changes.csv.", _text("revision_number")),
    "event_number": Column("Its end in account_events.csv, which has the last 30 days.", _text("event_number")),
    "updated_at": Column("When it last changed.", _time("updated_at")),
}
ORDER_CHANGES: Mapping[str, Column] = {
    "order_id": Column("Its order in orders.csv, which says what it is now.", _text("order_id")),
    "revision": Column("Which form of the order it ended: 1 is the one that was placed.", lambda it: int(it.revision)),
    "created_at": Column("When you changed it.", _time("created_at")),
    "quantity_before": Column("How many units it was for.", _plain("quantity_before")),
    "quantity_after": Column("How many units it was for from then on.", _plain("quantity_after")),
    "limit_before": Column("The worst price that it accepted.", _plain("limit_before")),
    "limit_after": Column("The worst price that it accepted from then on.", _plain("limit_after")),
    "end_before": Column("Until when it was open.", _time("end_before")),
    "end_after": Column("Until when it was open from then on.", _time("end_after")),
    "event_number": Column("Itself in account_events.csv, which has the last 30 days.", _text("event_number")),
}
HOLDINGS: Mapping[str, Column] = {
    "asset_id": Column("What you own, or once owned.", _text("asset_id")),
    "quantity": Column("How many units you can sell.", _plain("quantity")),
    "reserved_quantity": Column(
        "How many units open orders to sell reserve.", lambda each: money.plain(each.reserved_quantity or Decimal(0))
    ),
    "cost_total": Column("What both together cost.", _amount("cost_total")),
    "realised_gain": Column("What all sales gained.", _amount("realised_gain")),
    "created_at": Column("When you first bought it.", _time("created_at")),
    "updated_at": Column("When it last changed.", _time("updated_at")),
}
EVENTS: Mapping[str, Column] = {
    "created_at": Column("When it happened.", _time("created_at")),
    "event": Column("What was done to the account.", _text("kind")),
    "outcome": Column("What came of it.", _text("outcome")),
    "by_administrator": Column(
        "Whether an administrator did it. The columns after this one are then empty.", _text("is_by_another")
    ),
    "via": Column("What the one who did it was known by.", _text("via")),
    "address": Column("The IP address that it was done from.", _text("address")),
    "agent": Column("What the browser or the program said it is.", lambda each: statements.harmless(each.agent or "")),
    "request_id": Column("The number of the request.", _text("request_id")),
}
ACCOUNT_EVENTS: Mapping[str, Column] = {
    "event_number": Column("Its number, as scripts know it.", _text("event_number")),
    "created_at": Column("When it happened.", _time("created_at")),
    "event_type": Column("What happened to an order that waited, or to the account.", _text("event_type")),
    "order_id": Column("The order, in orders.csv.", _text("order_id")),
    "transaction_id": Column("Of an adjustment: its number in transactions.csv.", _text("transaction_id")),
}
_ENDS: Mapping[str, Column] = {
    "created_at": Column("When it began.", _time("created_at")),
    "last_used_at": Column("When it was last used, roughly.", _time("last_used_at")),
    "expires_at": Column("When it ends, unless it was ended before.", _time("expires_at")),
}
TOKENS: Mapping[str, Column] = {
    "name": Column("The name that you gave it.", _text("name")),
    "scopes": Column("What it may do.", _text("scope_words")),
    **_ENDS,
}
SESSIONS: Mapping[str, Column] = {
    "kind": Column("session of a browser, or login of a program.", lambda each: each.kind.value),
    "address": Column("The IP address that it was begun from.", _text("address")),
    "agent": Column("What the browser or the program said it is.", _text("agent")),
    **_ENDS,
    "proved_at": Column("When the password was last given in it.", _time("proved_at")),
    "ends_at": Column("When it ends however much it is used.", _time("ends_at")),
}


@dataclass(frozen=True)
class File:
    """A file of the archive: what it is, its columns, and its text, made while it is read."""

    about: str
    columns: Mapping[str, str]
    texts: Callable[[], Iterable[str]]


def open_export(user: User, *, now: datetime) -> Iterator[bytes]:
    """All that is stored of a user's account as a ZIP archive, in chunks, to be read as a stream.

    Two calls at once: where one fails, nothing has been answered yet. Then one for each 500 transactions, trades,
    orders and events, and one for each order that was changed. Each kind but the transactions takes at least one. The
    memory that it takes does not grow with the account, but for the ids of orders that were changed.
    """
    portfolio, tokens = ledger.get_portfolio(user.username), users.list_tokens(user.username)
    files = _files(user, portfolio, tokens)
    texts = {"README.txt": lambda: [_readme(user, files, now)], **{name: file.texts for name, file in files.items()}}
    return write_zip(texts, now=now)


def _files(user: User, portfolio: Portfolio, tokens: list[Token]) -> dict[str, File]:
    name, balance = user.username, portfolio.balance
    sessions = [token for token in tokens if not token.is_personal]
    personal = [token for token in tokens if token.is_personal]
    # The ids alone, known when orders.csv is written.
    changed: list[str] = []
    return {
        "profile.json": File("Who you are.", _abouts(PROFILE), lambda: [_json(_row(PROFILE, user))]),
        "balance.json": File("Your cash.", _abouts(BALANCE), lambda: [_json(_row(BALANCE, balance))]),
        "transactions.csv": File(
            "Every change of your cash, oldest first.",
            {column: TRANSACTIONS[column] for column in CSV_COLUMNS},
            lambda: statements.write_csv(_statement_up_to(balance)),
        ),
        "holdings.csv": File(
            "Every asset that you own or once owned.",
            _abouts(HOLDINGS),
            lambda: _write_csv(HOLDINGS, portfolio.holdings),
        ),
        "trades.csv": File(
            "Every purchase and sale, oldest first.",
            {column: TRADES[column] for column in TRADE_COLUMNS},
            lambda: statements.write_trades_csv(statements.open_trades(name, None, None)),
        ),
        "orders.csv": File(
            "Every order, oldest first.", _abouts(ORDERS), lambda: _write_csv(ORDERS, _noting(name, changed))
        ),
        "order_changes.csv": File(
            "What you changed of orders while they waited, oldest first for each.",
            _abouts(ORDER_CHANGES),
            lambda: _write_csv(
                ORDER_CHANGES, (each for order_id in changed for each in orders.iterate_changes(order_id))
            ),
        ),
        "events.csv": File(
            "What was done to the account in the last 90 days, oldest first.",
            _abouts(EVENTS),
            lambda: _write_csv(EVENTS, map(SecurityEvent.hide_administrator, iterate_events(name))),
        ),
        "account_events.csv": File(
            "What happened to your orders and your cash in the last 30 days, as scripts follow it, oldest first.",
            _abouts(ACCOUNT_EVENTS),
            lambda: _write_csv(ACCOUNT_EVENTS, iterate_account_events(name)),
        ),
        "tokens.json": File(
            "Your personal API tokens, without what is secret.",
            _abouts(TOKENS),
            lambda: [_json(_rows(TOKENS, personal))],
        ),
        "sessions.json": File(
            "Where you are, or lately were, logged in.", _abouts(SESSIONS), lambda: [_json(_rows(SESSIONS, sessions))]
        ),
    }


def _noting(username: str, changed: list[str]) -> Iterator[Order]:
    """Every order of a user, oldest first. It adds to `changed` the ids of those that have changes."""
    for order in orders.iterate_orders(username):
        if order.revision_number > 1:
            changed.append(order.order_id)
        yield order


def _statement_up_to(balance: Balance) -> Statement:
    """All transactions up to the last one that a balance counts."""
    transactions = ledger.iterate_transactions(balance.username, 1, int(balance.version))
    return Statement(money.ZERO, chain.first_hash(balance.username, balance.created_at), transactions)


def _abouts(columns: Mapping[str, Column]) -> dict[str, str]:
    return {name: column.about for name, column in columns.items()}


def _write_csv(columns: Mapping[str, Column], items: Iterable[object]) -> Iterator[str]:
    """Text that a person wrote, which a spreadsheet could run, must be harmless already."""
    yield csv_line(columns)
    for item in items:
        yield csv_line(_row(columns, item).values())


def _row(columns: Mapping[str, Column], item: object) -> dict[str, Any]:
    return {name: column.read(item) for name, column in columns.items()}


def _rows(columns: Mapping[str, Column], items: Iterable[object]) -> list[dict[str, Any]]:
    return [_row(columns, item) for item in items]


def _json(values: object) -> str:
    return json.dumps(values, ensure_ascii=False, indent=2) + "\n"


def _readme(user: User, files: Mapping[str, File], now: datetime) -> str:
    lines = [
        f"Everything that is stored of the account {user.username}, as of {clock.to_text(now)}.",
        "",
        "Amounts are US dollars. Times are UTC. Tables are CSV (RFC 4180), texts UTF-8. An empty value is not there.",
        "The files were read one after the other. What changed meanwhile may be in one and not yet in another.",
        "The transactions are those that the balance counts.",
        "",
        "Not here: passwords, and the secrets of tokens and links, of which only hashes are stored. Nor what is",
        "deleted by itself within 30 days: keys of repeated requests, counts of wrong passwords, links, and mails that",
        "wait to be sent.",
    ]
    for name, file in files.items():
        width = max(map(len, file.columns)) + 2
        lines += ["", f"{name}: {file.about}", ""]
        for column, about in file.columns.items():
            first, *more = textwrap.wrap(about, 110 - width)
            lines += [f"  {column:{width}}{first}", *(f"  {'':{width}}{line}" for line in more)]
    return "\n".join(lines) + "\n"


class _Pipe:
    """Takes what the archive writes, and gives it away. zipfile finds no `tell`, so it never goes back in it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """There is nothing behind this."""

    def close(self) -> None:
        """Nor is there anything to close."""

    def take(self) -> bytes:
        taken, self._parts, self.size = b"".join(self._parts), [], 0
        return taken


def write_zip(files: Mapping[str, Callable[[], Iterable[str]]], *, now: datetime) -> Iterator[bytes]:
    """An archive with these texts, by the standard library, in chunks of about CHUNK_BYTES. A file is up to 2 GB.

    Where a text breaks off, so does the archive: without its directory, which comes last, no program takes it for
    whole.
    """
    pipe = _Pipe()
    archive = ZipFile(pipe, "w")
    for name, texts in files.items():
        info = ZipInfo(name, date_time=now.timetuple()[:6])
        info.compress_type = ZIP_DEFLATED
        with archive.open(info, "w") as file:
            for text in texts():
                file.write(text.encode())
                if pipe.size >= CHUNK_BYTES:
                    yield pipe.take()
    archive.close()
    yield pipe.take()
