"""Deposits and withdrawals."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.domain.money import MAX_AMOUNT
from app.models import ledger
from app.models.idempotency import Applied
from app.models.ledger import BalanceTransaction
from app.schemas.inputs import CashInput
from app.services import cash
from app.views.pages.formatters import write_money
from app.views.pages.forms import Form, flash_outcome, submits
from app.views.pages.sessions import current_username, only_for_users

blueprint = Blueprint("cash", __name__)
only_for_users(blueprint)


def _deposit_page(form: Form) -> str:
    return render_template("deposit.html", form=form, balance=ledger.get_balance(current_username()))


def _withdraw_page(form: Form) -> str:
    balance = ledger.get_balance(current_username())
    most = min(balance.current_balance, MAX_AMOUNT)
    return render_template("withdraw.html", form=form, balance=balance, most=most)


@blueprint.get("/deposit")
def deposit() -> str:
    return _deposit_page(Form())


@blueprint.post("/deposit")
@submits(CashInput, again=_deposit_page)
def send_deposit(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    return _done("Deposited", cash.deposit(current_username(), **data, idempotency_key=form.sent_key()))


@blueprint.get("/withdraw")
def withdraw() -> str:
    return _withdraw_page(Form())


@blueprint.post("/withdraw")
@submits(CashInput, again=_withdraw_page)
def send_withdrawal(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    return _done("Withdrew", cash.withdraw(current_username(), **data, idempotency_key=form.sent_key()))


def _done(verb: str, posted: Applied[BalanceTransaction]) -> ResponseReturnValue:
    made = posted.item
    flash_outcome(
        f"{verb} {write_money(made.amount)}. Your balance is now {write_money(made.new_balance)}.",
        replay_of=made.created_at if posted.is_replay else None,
        username=made.username,
    )
    return redirect(url_for("dashboard.dashboard"), 303)
