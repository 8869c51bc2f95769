"""Statements: the transactions of a period between its opening and its closing balance, to print or as CSV."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request
from flask.typing import ResponseReturnValue

from app.domain import clock
from app.domain.errors import TransactionNotFound
from app.domain.ledger import TransactionType, transaction_id
from app.models import ledger
from app.models.ledger import BalanceTransaction
from app.schemas.inputs import KeptHashInput, StatementInput
from app.services import past, statements
from app.views.http import csv_answer, prices
from app.views.limits import reads_statement
from app.views.pages.formatters import TRANSACTION_NAMES
from app.views.pages.forms import Form, read_filter
from app.views.pages.sessions import logged_in_user, only_for_users

STATEMENT_ROWS = 500
# What the transactions of each type come to, in the order of the sum.
NAMES = TRANSACTION_NAMES | {TransactionType.ORDER_PAYMENT: "Bought"}

blueprint = Blueprint("statement", __name__)
only_for_users(blueprint)


@blueprint.get("/statement")
@reads_statement
def statement() -> ResponseReturnValue:
    today = clock.now().date()
    this_month = {"from": _day(today.replace(day=1)), "to": _day(today)}
    form, query = read_filter(StatementInput(), defaults=this_month)
    found = _read(query, today) if query else {}
    page = render_template("statement.html", form=form, choices=_choices(today), rows=STATEMENT_ROWS, **found)
    return make_response(page, form.status)


def _read(query: dict[str, Any], today: date) -> dict[str, Any]:
    user = logged_in_user()
    first_day = query["first_day"] or min(user.created_at.date(), query["last_day"] or today)
    last_day = query["last_day"] or max(first_day, today)
    return {
        "statement": statements.read_statement(user, first_day, last_day, rows=STATEMENT_ROWS),
        "owned": past.list_owned_around(user.username, prices(), first_day, last_day),
        "first_day": first_day,
        "last_day": last_day,
        "user": user,
        "now": clock.now(),
        "names": NAMES,
        "period": {"from": _day(first_day), "to": _day(last_day)},
    }


def _choices(today: date) -> list[tuple[str, dict[str, str]]]:
    """The periods that people ask for most."""
    this_month = today.replace(day=1)
    last_month = this_month - timedelta(days=1)
    return [
        ("This month", {"from": _day(this_month), "to": _day(today)}),
        ("Last month", {"from": _day(last_month.replace(day=1)), "to": _day(last_month)}),
        ("This year", {"from": _day(today.replace(month=1, day=1)), "to": _day(today)}),
        ("Everything", {"from": "", "to": ""}),
    ]


def _day(day: date) -> str:
    return day.isoformat()


@blueprint.get("/statement/check")
def check() -> ResponseReturnValue:
    """How to check a statement by oneself, and whether a transaction still has the hash that was kept of it.

    Nothing else is compared: that the transactions before lead to that hash, verify.py shows.
    """
    form, kept = read_filter(KeptHashInput()) if request.args else (Form({}), None)
    user = logged_in_user()
    found = kept and _find(user.username, kept["transaction_id"])
    balance = ledger.get_balance(user.username)
    answer = {"kept": kept, "found": found, "head": balance.head, "last": transaction_id(int(balance.version))}
    return make_response(render_template("statement_check.html", form=form, user=user, **answer), form.status)


def _find(username: str, number: str) -> BalanceTransaction | None:
    with suppress(TransactionNotFound):
        return ledger.get_transaction(username, number)
    return None


@blueprint.get("/statement.csv")
@reads_statement
def download() -> Response:
    """Without a period: all transactions. Raises InvalidInput."""
    period = Form(request.args.to_dict()).load(StatementInput(), {})
    statement = statements.open_statement(logged_in_user(), **period)
    return csv_answer(statements.write_csv(statement), "transactions", period, for_spreadsheet=True)
