"""Closing one's own account, for good."""

from __future__ import annotations

from app.domain.closing import Remains, remains_of
from app.models import closing, ledger
from app.services.guesses import LoginAttempt
from app.services.passwords import MATCHES_NOTHING
from app.services.proving import Evidence, check_evidence
from app.services.second_factor import FactorRules


def find_remains(username: str) -> Remains:
    """What an account still has, which must be gone before it can be closed. One call."""
    portfolio = ledger.get_portfolio(username)
    return remains_of(portfolio.balance.cash_account, (each.asset_account for each in portfolio.holdings))


def close_account(attempt: LoginAttempt, evidence: Evidence, factors: FactorRules) -> None:
    """Close the account of an attempt, which ends every session and token. A repetition changes nothing.

    The calls of `check_evidence`, and four. Raises what that raises, AccountNotEmpty, StillAdmin, NotAuthenticated, and
    Busy.
    """
    user = check_evidence(attempt, evidence, factors)
    closing.close_account(user, no_password=MATCHES_NOTHING)
