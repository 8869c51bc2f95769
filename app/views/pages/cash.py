"""Deposits and withdrawals."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.domain.money import MAX_AMOUNT
from app.models import ledger
from app.models.idempotency import Applied
from app.models.ledger import BalanceTransaction
from app.models.reading import NOTHING, Found
from app.schemas.inputs import CashForm, WithdrawalForm
from app.services import cash
from app.views.limits import moves_money
from app.views.pages.forms import Form, submits
from app.views.pages.outcomes import flash_outcome
from app.views.pages.sessions import (
    current_authentication,
    current_username,
    found,
    lead_to_second_factor,
    only_for_users,
)
from app.views.proofs import require_proof_to_withdraw, take_evidence
from app.views.reads import balance_of, reads

blueprint = Blueprint("cash", __name__)
only_for_users(blueprint)


def _deposit_page(form: Form, found: Found = NOTHING) -> str:
    return render_template("deposit.html", form=form, balance=ledger.get_balance(current_username(), found))


def _withdraw_page(form: Form, found: Found = NOTHING) -> str:
    balance = ledger.get_balance(current_username(), found)
    most = min(balance.current_balance, MAX_AMOUNT)
    return render_template("withdraw.html", form=form, balance=balance, most=most)


@blueprint.get("/deposit")
@reads(balance_of)
def deposit() -> str:
    return _deposit_page(Form(), found())


@blueprint.post("/deposit")
@submits(CashForm, again=_deposit_page)
@moves_money
@reads(balance_of)
def send_deposit(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    return _done(cash.deposit(current_username(), **data, idempotency_key=form.sent_key(), early=found()))


@blueprint.get("/withdraw")
@reads(balance_of)
def withdraw() -> ResponseReturnValue:
    return lead_to_second_factor() or _withdraw_page(Form(), found())


@blueprint.post("/withdraw")
@submits(WithdrawalForm, again=_withdraw_page)
@moves_money
@reads(balance_of)
def send_withdrawal(form: Form, data: dict[str, Any]) -> ResponseReturnValue:
    if elsewhere := lead_to_second_factor():
        return elsewhere
    require_proof_to_withdraw(current_authentication(), data["amount"], take_evidence(data))
    return _done(cash.withdraw(current_username(), **data, idempotency_key=form.sent_key(), early=found()))


def _done(posted: Applied[BalanceTransaction]) -> ResponseReturnValue:
    made = posted.item
    replay_of = made.created_at if posted.is_replay else None
    flash_outcome("cash", made.username, made.transaction_id, replay_of=replay_of)
    return redirect(url_for("dashboard.dashboard"), 303)
