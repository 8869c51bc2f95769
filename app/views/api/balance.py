"""`/api/v1/balance` and `/portfolio`: cash and holdings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Response, jsonify, request

from app.domain import clock, errors
from app.domain.periods import period_of
from app.domain.users import TRANSFER
from app.models import ledger
from app.models.dry_runs import read_dry_run
from app.models.idempotency import Applied
from app.models.ledger import BalanceTransaction
from app.schemas.dry_run_outputs import DryRunOutput
from app.schemas.inputs import (
    CashInput,
    DaysInput,
    GainsInput,
    PortfolioInput,
    StatementInput,
    TransactionListInput,
    WindowInput,
    WithdrawalInput,
)
from app.schemas.outputs import (
    BalanceOutput,
    CashMovementOutput,
    GainReportOutput,
    HoldingListOutput,
    HoldingOutput,
    OwnAccountOutput,
    PortfolioHistoryOutput,
    PortfolioOutput,
    TransactionListOutput,
    TransactionOutput,
)
from app.services import cash, gains, history, past, portfolio, statements
from app.views.api.blueprint import (
    JsonBlueprint,
    current_authentication,
    current_user,
    dry_run_answer,
    found,
    idempotency_key,
    replay_header,
)
from app.views.http import csv_answer, prices
from app.views.limits import moves_money, reads_statement
from app.views.paging import paged, part_of, read_page
from app.views.proofs import require_proof_to_withdraw, take_evidence
from app.views.reads import balance_of, holding_in_path, reads, transaction_in_path

blueprint = JsonBlueprint("Balance", __name__, description="Cash, holdings and their value")


@blueprint.get("/account")
@blueprint.authenticated
@blueprint.response(200, OwnAccountOutput)
@blueprint.alt_response(304, success=True)
def get_account() -> Any:
    """The account at a glance: status, cash, reserve, total value, and the number of the last transaction.

    Send the `ETag` of an answer as `If-None-Match`: the same answer is then 304, without a body. It covers all of it,
    also the total value, which changes with the prices.
    """
    valued = portfolio.get_portfolio(current_user().username, prices(), now=clock.now())
    response = jsonify(OwnAccountOutput().dump({"user": current_user(), "portfolio": valued}))
    response.add_etag()
    return response.make_conditional(request)


@blueprint.get("/balance")
@blueprint.authenticated
@blueprint.response(200, BalanceOutput)
@reads(balance_of)
def get_balance() -> Any:
    """The cash balance."""
    return ledger.get_balance(current_user().username, found())


@blueprint.post("/balance/deposit")
@blueprint.authenticated
@blueprint.for_scope(TRANSFER)
@blueprint.arguments(CashInput)
@blueprint.refuses(errors.NotSupported, errors.IdempotencyKeyReused, errors.TooManyRequests)
@blueprint.response(201, CashMovementOutput)
@blueprint.alt_response(200, schema=DryRunOutput, success=True)
@moves_money
@reads(balance_of)
def deposit(data: dict[str, Any]) -> Any:
    """Deposit cash."""
    applied = cash.deposit(current_user().username, **data, idempotency_key=idempotency_key(), early=found())
    return _transaction_answer("Deposit successful", applied)


@blueprint.post("/balance/withdraw")
@blueprint.authenticated
@blueprint.for_scope(TRANSFER)
@blueprint.arguments(WithdrawalInput)
@blueprint.refuses(errors.NotSupported, errors.SecondFactorRequired)
@blueprint.refuses(errors.InsufficientFunds, errors.IdempotencyKeyReused, errors.ProofRequired, errors.TooManyRequests)
@blueprint.response(201, CashMovementOutput)
@blueprint.alt_response(200, schema=DryRunOutput, success=True)
@moves_money
@reads(balance_of)
def withdraw(data: dict[str, Any]) -> Any:
    """Withdraw cash, at most the balance.

    A large amount asks for the password, where the login token was not given it a short while ago. With a second
    factor, every amount does, and for a code too. So does a dry run, for which they count as given.
    """
    require_proof_to_withdraw(current_authentication(), data["amount"], take_evidence(data))
    applied = cash.withdraw(current_user().username, **data, idempotency_key=idempotency_key(), early=found())
    return _transaction_answer("Withdrawal successful", applied)


def _transaction_answer(message: str, applied: Applied[BalanceTransaction]) -> Any:
    if applied.is_dry_run:
        return dry_run_answer(read_dry_run(applied))
    transaction = applied.item
    answer = {
        "success": True,
        "message": message,
        "transaction_id": transaction.transaction_id,
        "timestamp": transaction.created_at,
        "transaction": transaction,
    }
    return answer, 201, replay_header(applied)


@blueprint.get("/balance/transactions")
@blueprint.authenticated
@blueprint.arguments(TransactionListInput, location="query")
@blueprint.refuses(errors.InvalidCursor)
@blueprint.response(200, TransactionListOutput)
def list_transactions(query: dict[str, Any]) -> Any:
    """Transactions of the balance, newest first: all, or those of a type and a period."""
    page = ledger.list_transactions(
        current_user().username,
        read_page(query),
        transaction_type=query["transaction_type"],
        period=period_of(query["first_day"], query["last_day"]),
    )
    return {"transactions": page.items, "total_count": len(page.items), **paged(page, query)}


@blueprint.get("/balance/transactions.csv")
@blueprint.authenticated
@blueprint.arguments(StatementInput, location="query")
@blueprint.refuses(errors.TooManyRequests)
@blueprint.response(200, {"type": "string"}, content_type="text/csv")
@reads_statement
def download_statement(query: dict[str, Any]) -> Response:
    """The transactions of a period as CSV, oldest first, with the opening and closing balance."""
    statement = statements.open_statement(current_user(), **query)
    return csv_answer(statements.write_csv(statement), "transactions", query)


@blueprint.get("/balance/transactions/<transaction_id>")
@blueprint.authenticated
@blueprint.refuses(errors.TransactionNotFound)
@blueprint.response(200, TransactionOutput)
@reads(transaction_in_path)
def get_transaction(transaction_id: str) -> Any:
    """One transaction of the balance."""
    return ledger.get_transaction(current_user().username, transaction_id, found())


@blueprint.get("/balance/assets")
@blueprint.authenticated
@blueprint.arguments(WindowInput, location="query")
@blueprint.response(200, HoldingListOutput)
def list_holdings(query: dict[str, Any]) -> Any:
    """Every asset ever held, at current prices."""
    return {"data": part_of(portfolio.list_holdings(current_user().username, prices()), query)}


@blueprint.get("/balance/asset/<asset_id>")
@blueprint.authenticated
@blueprint.refuses(errors.AssetNotFound, errors.HoldingNotFound)
@blueprint.response(200, HoldingOutput)
@reads(holding_in_path)
def get_holding(asset_id: str) -> Any:
    """One holding at the current price."""
    return portfolio.get_holding(current_user().username, asset_id, prices(), found())


@blueprint.get("/portfolio")
@blueprint.authenticated
@blueprint.arguments(PortfolioInput, location="query")
@blueprint.refuses(errors.TooManyRequests)
@blueprint.response(200, PortfolioOutput)
def get_portfolio(query: dict[str, Any]) -> Any:
    """Cash and holdings at current prices, and their total.

    With `as_of`, those of a past moment at prices of that time. It reads all that was traded and paid since.
    """
    if query["as_of"] is None:
        return portfolio.get_portfolio(current_user().username, prices(), now=clock.now())
    return _portfolio_at(query["as_of"])


@reads_statement
def _portfolio_at(time: datetime) -> Any:
    return past.get_portfolio_at(current_user().username, prices(), time)


@blueprint.get("/portfolio/history")
@blueprint.authenticated
@blueprint.arguments(DaysInput, location="query")
@blueprint.response(200, PortfolioHistoryOutput)
def get_portfolio_history(query: dict[str, Any]) -> Any:
    """The total value at the end of each of the last days, and now."""
    return history.get_portfolio_history(current_user().username, prices(), days=query["days"])


@blueprint.get("/portfolio/gains")
@blueprint.authenticated
@blueprint.arguments(GainsInput, location="query")
@blueprint.refuses(errors.TooManyRequests)
@blueprint.response(200, GainReportOutput)
@reads_statement
def get_gains(query: dict[str, Any]) -> Any:
    """What the sales of a year gained, by average cost or first in, first out."""
    report = gains.read_gains(current_user().username, **query)
    assets = [{"asset_id": asset_id, **vars(total)} for asset_id, total in report.totals.assets]
    return {**vars(report), "data": report.lines, "assets": assets, "total": report.totals.total}


@blueprint.get("/portfolio/gains.csv")
@blueprint.authenticated
@blueprint.arguments(GainsInput, location="query")
@blueprint.refuses(errors.TooManyRequests)
@blueprint.response(200, {"type": "string"}, content_type="text/csv")
@reads_statement
def download_gains(query: dict[str, Any]) -> Response:
    """What the sales of a year gained as CSV: its lines, then the totals of each asset and of all."""
    return csv_answer(
        gains.write_gains_csv(gains.open_gains(current_user().username, **query)), gains.file_name(**query), {}
    )
