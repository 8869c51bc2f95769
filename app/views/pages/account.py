"""Cash and holdings: the dashboard, the value over time, deposits and withdrawals."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.domain import clock
from app.models import ledger
from app.schemas.inputs import CashInput, DaysInput
from app.services import accounts
from app.services.history import get_portfolio_history
from app.services.overview import get_overview
from app.views.http import prices
from app.views.pages.charts import line_chart, share_bar
from app.views.pages.forms import Form, submits
from app.views.pages.lists import read_query
from app.views.pages.sessions import current_username, only_for_users
from app.views.pages.text import write_money

# Days of history to choose from.
PERIODS = ((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year"))

blueprint = Blueprint("account", __name__)
only_for_users(blueprint)


@blueprint.get("/dashboard")
def dashboard() -> str:
    overview = get_overview(current_username(), prices(), now=clock.now())
    return render_template("dashboard.html", overview=overview, bar=share_bar(overview.shares))


@blueprint.get("/history")
def history() -> str:
    """The account's value over time: on a page of its own, as it reads the transactions and trades of that time."""
    days = read_query(DaysInput())["days"]
    points = [
        (min(clock.end_of(point.date), clock.now()), point.total)
        for point in get_portfolio_history(current_username(), prices(), days=days)
    ]
    chart = line_chart("value-chart", f"Total value, {days} days", points, write=write_money)
    return render_template("history.html", chart=chart, days=days, periods=PERIODS)


def _deposit_page(form: Form) -> str:
    return render_template("deposit.html", form=form, balance=ledger.get_balance(current_username()))


def _withdraw_page(form: Form) -> str:
    return render_template("withdraw.html", form=form, balance=ledger.get_balance(current_username()))


@blueprint.get("/deposit")
def deposit() -> str:
    return _deposit_page(Form())


@blueprint.post("/deposit")
@submits(CashInput, again=_deposit_page)
def send_deposit(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    made = accounts.deposit(current_username(), **data, idempotency_key=form.sent_key()).item
    flash(f"Deposited {write_money(made.amount)}. Your balance is now {write_money(made.new_balance)}.")
    return redirect(url_for("account.dashboard"), 303)


@blueprint.get("/withdraw")
def withdraw() -> str:
    return _withdraw_page(Form())


@blueprint.post("/withdraw")
@submits(CashInput, again=_withdraw_page)
def send_withdrawal(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    made = accounts.withdraw(current_username(), **data, idempotency_key=form.sent_key()).item
    flash(f"Withdrew {write_money(made.amount)}. Your balance is now {write_money(made.new_balance)}.")
    return redirect(url_for("account.dashboard"), 303)
