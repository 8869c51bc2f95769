"""What the page after a form tells of it.

Browsers show a session cookie to whoever can open them. So a message with amounts is not in it: the cookie names what
was made, and the next page reads that and tells it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import Flask, flash

from app.domain import clock
from app.domain.ledger import TransactionType
from app.models import ledger, orders
from app.schemas.fields import read_time
from app.views.pages.formatters import write_moment, write_money, write_quantity, write_signed_money

DONE = {"BUY": "Bought", "SELL": "Sold", TransactionType.DEPOSIT: "Deposited", TransactionType.WITHDRAW: "Withdrew"}


def init_app(app: Flask) -> None:
    app.jinja_env.globals["told"] = told


def flash_outcome(kind: str, username: str, key: str, *, replay_of: datetime | None) -> None:
    """Tell with the next page what a form did; it costs that page one call.

    `kind` is one of KINDS, `key` names the transaction or order of `username`. `replay_of` is when it was made if this
    is not the first time that the form was sent: then nothing was changed, and the balance is told as it is by then.
    """
    flash(f"{username} {key} {clock.to_text(replay_of) if replay_of else ''}", kind)


def already_done(time: datetime) -> str:
    """What a form that is sent again is told."""
    return f"This was done already, {write_moment(time)}. Nothing was changed now."


def told(kind: str, message: str) -> str:
    """The sentence of a flashed message: its text, or what `flash_outcome` was given. Up to one call."""
    if kind not in KINDS:
        return message
    username, key, replay_of = message.split(" ")
    if not replay_of:
        return KINDS[kind](username, key)
    whose = f"The balance of {username}" if kind == "adjustment" else "Your balance"
    balance = ledger.get_balance(username).current_balance
    return f"{already_done(read_time(replay_of))} {whose} is {write_money(balance)}."


def _tell_cash(username: str, transaction_id: str) -> str:
    made = ledger.get_transaction(username, transaction_id)
    verb = DONE[made.transaction_type]
    return f"{verb} {write_money(made.amount)}. Your balance is now {write_money(made.new_balance)}."


def _tell_adjustment(username: str, transaction_id: str) -> str:
    made = ledger.get_transaction(username, transaction_id)
    return (
        f"Adjusted the balance of {username} by {write_signed_money(made.amount)} to {write_money(made.new_balance)}, "
        f"and recorded {made.actor} as the administrator who did it."
    )


def _tell_order(username: str, order_id: str) -> str:
    order = orders.get_order(username, order_id)
    what = f"{write_quantity(order.quantity)} {order.asset_id}"
    if order.is_pending:
        return f"Your order to {order.side.lower()} {what} is open and waits for its price."
    return f"{DONE[order.order_type]} {what} for {write_money(order.total_amount)}."


KINDS: dict[str, Callable[[str, str], str]] = {
    "cash": _tell_cash,
    "adjustment": _tell_adjustment,
    "order": _tell_order,
    "cancellation": lambda username, order_id: "Your order is cancelled. What it reserved is yours again.",
}
