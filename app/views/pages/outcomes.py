"""What the page after a form tells of it.

Browsers show a session cookie to who can open them. So no message in it has an amount, a name or an e-mail address. The
cookie says what was made, and the next page reads that and tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Flask, flash, url_for

from app.domain import clock
from app.domain.ledger import TransactionType
from app.domain.orders import Side
from app.models import ledger, orders
from app.models.ledger import Balance, Holding
from app.models.orders import Order
from app.models.reading import Place, read_together
from app.models.users import User
from app.schemas.fields import read_time
from app.views.pages.formatters import (
    write_moment,
    write_money,
    write_price,
    write_quantity,
    write_short_time,
    write_signed_money,
)
from app.views.pages.links import mail_note
from app.views.pages.sessions import is_logged_in, logged_in_user

DONE = {"BUY": "Bought", "SELL": "Sold", TransactionType.DEPOSIT: "Deposited", TransactionType.WITHDRAW: "Withdrew"}


@dataclass(frozen=True)
class Outcome:
    """What was done and what happens next; figures as they are now, by name; and links to where it shows, by name."""

    sentence: str
    next: str = ""
    figures: Sequence[tuple[str, str]] = ()
    links: Sequence[tuple[str, str]] = ()


def init_app(app: Flask) -> None:
    app.jinja_env.globals["told"] = told


def flash_outcome(kind: str, username: str, key: str, *, replay_of: datetime | None) -> None:
    """Tell with the next page what a form did; it costs that page one call.

    `kind` is one of KINDS. `key` names the transaction of `username`, or the order and after a `/` its asset.
    `replay_of` is when it was made, if the form was sent before. Then nothing was changed, and the balance is told as
    it is by then.
    """
    flash(f"{username} {key} {clock.to_text(replay_of) if replay_of else ''}", kind)


def already_done(time: datetime) -> str:
    """What a form that is sent again is told."""
    return f"This was done already, {write_moment(time)}. Nothing was changed now."


def told(kind: str, message: str) -> Outcome:
    """What a flashed message tells: its text, a welcome, or of what `flash_outcome` was given. Up to one call."""
    if kind == "welcome":
        return Outcome(_welcome(logged_in_user()) if is_logged_in() else "Your account is open.")
    if kind not in KINDS:
        return Outcome(message)
    username, key, replay_of = message.split(" ")
    if not replay_of:
        return KINDS[kind](username, key)
    whose = f"The balance of {username}" if kind == "adjustment" else "Your balance"
    balance = ledger.get_balance(username).current_balance
    return Outcome(f"{already_done(read_time(replay_of))} {whose} is {write_money(balance)}.")


def _welcome(user: User) -> str:
    asks = "" if user.has_confirmed_email else f" Open the link in the mail to {user.email}.{mail_note()}"
    return f"Welcome, {user.first_name}. Your account is open.{asks}"


def _tell_cash(username: str, transaction_id: str) -> Outcome:
    made = ledger.get_transaction(username, transaction_id)
    is_deposit = made.transaction_type == TransactionType.DEPOSIT
    did = f"{DONE[made.transaction_type]} {write_money(made.amount)}."
    return Outcome(
        f"{did} Your balance is now {write_money(made.new_balance)}.",
        next="You can buy with it at once." if is_deposit else "It has left your balance.",
        figures=[("Transaction number", str(int(transaction_id)))],
        links=[
            ("This transaction", url_for("activity.transaction", transaction_id=transaction_id)),
            ("Statement", url_for("statement.statement")),
        ],
    )


def _tell_adjustment(username: str, transaction_id: str) -> Outcome:
    made = ledger.get_transaction(username, transaction_id)
    return Outcome(
        f"Adjusted the balance of {username} by {write_signed_money(made.amount)} to {write_money(made.new_balance)}, "
        f"and recorded {made.actor} as the administrator who did it."
    )


def _tell_order(username: str, key: str) -> Outcome:
    order, figures = _read_order(username, key)
    what = f"{write_quantity(order.quantity)} {order.asset_id}"
    if order.is_pending:
        return Outcome(
            f"Your order to {order.side.lower()} {what} is open and waits for its price.",
            next=f"{_write_wait(order)} You can cancel it before.",
            figures=figures,
            links=[("Open orders", url_for("orders.order_list", status="pending"))],
        )
    return Outcome(
        f"{DONE[order.order_type]} {what} for {write_money(order.total_amount)}.",
        next="Nothing is left to do.",
        figures=figures,
        links=[
            ("Your trades", url_for("activity.trades", asset_id=order.asset_id)),
            ("Dashboard", url_for("dashboard.dashboard")),
        ],
    )


def _write_wait(order: Order) -> str:
    """What an open order waits for, and until when."""
    until = f", until {write_short_time(order.expires_at)}" if order.expires_at else ""
    better = "less" if order.side is Side.BUY else "more"
    limit = f"{write_price(order.limit_price, order.asset_id)} or {better}" if order.limit_price is not None else ""
    if not order.awaits_stop:
        return f"It is executed as soon as the price is {limit}{until}."
    move = "rise" if order.side is Side.BUY else "fall"
    stop = write_price(order.stop_price, order.asset_id)
    at = limit or "the price of that moment"
    return f"It waits for the price to {move} to {stop}{until}. Then it is executed at {at}."


def _tell_cancellation(username: str, key: str) -> Outcome:
    return Outcome(
        "Your order is cancelled. What it reserved is yours again.",
        next="It can no longer be executed.",
        figures=_read_order(username, key)[1],
        links=[("Ended orders", url_for("orders.order_list", ended="true"))],
    )


def _tell_change(username: str, key: str) -> Outcome:
    order, figures = _read_order(username, key)
    return Outcome(
        "Your order is changed.",
        next=_write_wait(order) if order.is_pending else "",
        figures=figures,
        links=[("Open orders", url_for("orders.order_list", status="pending"))],
    )


def _read_order(username: str, key: str) -> tuple[Order, list[tuple[str, str]]]:
    """An order, and its number with what its user can spend and sell now. One call."""
    order_id, _, asset_id = key.partition("/")
    holding_key = Holding.key(username, asset_id)
    places: list[Place] = [(Order, Order.key(order_id)), (Balance, Balance.key(username)), (Holding, holding_key)]
    found = read_together(places)
    holding = found.get(Holding, holding_key)
    return orders.get_order(username, order_id, found), [
        ("Order number", order_id),
        ("Cash now", write_money(ledger.get_balance(username, found).current_balance)),
        (f"{asset_id} to sell now", write_quantity(holding.quantity) if holding else "0"),
    ]


KINDS: dict[str, Callable[[str, str], Outcome]] = {
    "cash": _tell_cash,
    "adjustment": _tell_adjustment,
    "order": _tell_order,
    "cancellation": _tell_cancellation,
    "change": _tell_change,
}
