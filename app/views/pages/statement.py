"""Statements: the transactions of a period between its opening and its closing balance, to print or as CSV."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request
from flask.typing import ResponseReturnValue

from app.domain import clock
from app.schemas.inputs import StatementInput
from app.services import statements
from app.views.http import csv_answer
from app.views.pages.forms import Form, read_filter
from app.views.pages.sessions import current_username, logged_in_user, only_for_users

STATEMENT_ROWS = 500

blueprint = Blueprint("statement", __name__)
only_for_users(blueprint)


@blueprint.get("/statement")
def statement() -> ResponseReturnValue:
    today = clock.now().date()
    form, query = read_filter(StatementInput(), **{"from": _day(today.replace(day=1)), "to": _day(today)})
    found = _read(query, today) if query else {}
    page = render_template("statement.html", form=form, choices=_choices(today), rows=STATEMENT_ROWS, **found)
    return make_response(page, form.status)


def _read(query: dict[str, Any], today: date) -> dict[str, Any]:
    user = logged_in_user()
    first_day = query["first_day"] or min(user.created_at.date(), query["last_day"] or today)
    last_day = query["last_day"] or max(first_day, today)
    return {
        "statement": statements.read_statement(user.username, first_day, last_day, rows=STATEMENT_ROWS),
        "first_day": first_day,
        "last_day": last_day,
        "user": user,
        "now": clock.now(),
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


@blueprint.get("/statement.csv")
def download() -> Response:
    """Without a period: all transactions. Raises InvalidInput."""
    period = Form(request.args.to_dict()).load(StatementInput(), {})
    statement = statements.open_statement(current_username(), **period)
    return csv_answer(statements.write_csv(statement), "transactions", period, for_spreadsheet=True)
