"""An account in which everything has happened, and a shelf for its items."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.audit.run import audit_all
from app.audit.totals import save_totals
from app.domain import clock
from app.domain.idempotency import identify
from app.domain.ledger import TransactionType
from app.domain.mails import MailKind
from app.domain.orders import NewTerms, Side
from app.domain.passkeys import Passkey
from app.models import adjustments, order_changes
from app.models.adjustments import Approval, adjust
from app.models.balance_changes import open_account, post_transaction
from app.models.closing import close_account
from app.models.events import SecurityEvent
from app.models.factors import SecondFactor
from app.models.idempotency import IdempotencyClaim
from app.models.outbox import QueuedMail
from app.models.proofs import new_proof
from app.models.rate_limits import RateLimit, add_hit
from app.models.shared_text import StoredText
from app.models.system import Pulse
from app.models.users import Token, User, add_token, month_of
from tests.audit.shelf import TABLES, Shelf
from tests.support.accounts import place, user_item
from tests.support.applications import make_app
from tests.support.people import LONG_AGO


@pytest.fixture(scope="module")
def audit_app(endpoint: str) -> Flask:
    """An application on tables of its own, which the damages do not leave."""
    app = make_app(endpoint, **TABLES)
    with app.app_context():
        for username in ("ann", "ben"):
            _live(username)
        _leave("cleo")
        with clock.at(LONG_AGO):
            report = audit_all(pauses=())
            save_totals(report.sums, taken_at=LONG_AGO, seconds=1, items=report.items, violations=0)
            Pulse("one").beat()
    return app


def _leave(username: str) -> None:
    """Somebody trades, takes everything out, and closes the account."""
    user = open_account(user_item(username))
    post_transaction(username, TransactionType.DEPOSIT, Decimal("10.00"))
    place(username, Side.BUY, "1", price="10")
    place(username, Side.SELL, "1", price="10")
    post_transaction(username, TransactionType.WITHDRAW, Decimal("10.00"))
    close_account(user, no_password="x")


def _live(username: str) -> None:
    """Everything that can happen to an account happens to this one."""
    open_account(user_item(username))
    _trade(username)
    _stop(username)
    _hold_credentials(username)
    _adjust(username)
    _leave_traces(username)


def _trade(username: str) -> None:
    """Cash that moves, and orders that are executed, filled, cancelled, changed and expired, or still wait."""
    post_transaction(username, TransactionType.DEPOSIT, Decimal("10000.00"), idempotency=identify("cash", "deposit"))
    post_transaction(username, TransactionType.WITHDRAW, Decimal("100.00"), description="Rent")
    adjust(username, Decimal("-5.00"), reason="A fee", actor="admin", waits=False)
    place(username, Side.BUY, "0.1", price="50000.00", key="order", client_order_id="mine")
    place(username, Side.SELL, "0.02", price="51000.01")
    place(username, Side.BUY, "0.5", asset_id="ETH", price="1999.99", limit="2000")
    order_changes.fill_order(
        place(username, Side.BUY, "1", asset_id="ETH", price="2500", limit="2000"), Decimal("1900.005")
    )
    order_changes.fill_order(place(username, Side.BUY, "1", asset_id="SOL", price="120", limit="100"), Decimal("100"))
    order_changes.fill_order(place(username, Side.SELL, "0.01", price="50000", limit="60000"), Decimal("61000.50"))
    order_changes.cancel_order(
        username, place(username, Side.BUY, "0.1", asset_id="ETH", price="2500", limit="1000").order_id
    )
    order_changes.cancel_order(
        username, place(username, Side.SELL, "0.1", asset_id="ETH", price="2500", limit="3000").order_id
    )
    changed = place(username, Side.BUY, "100", asset_id="XRP", price="0.5", limit="0.4", key="changed")
    for number, terms in enumerate((NewTerms(limit_price=Decimal("0.45")), NewTerms(quantity=Decimal(50)))):
        key = identify(f"change {number}", "change")
        changed = order_changes.change_order(username, changed.order_id, terms, idempotency=key).item
    order_changes.fill_order(changed, Decimal("0.44"))
    order_changes.expire_order(place(username, Side.BUY, "100", asset_id="ADA", price="0.4", limit="0.3"))
    place(username, Side.BUY, "0.5", asset_id="ETH", price="2500", limit="1000")
    place(username, Side.SELL, "0.01", price="50000", limit="90000")


def _hold_credentials(username: str) -> None:
    """A token, a second factor, a link and its mail."""
    now = clock.now()
    add_token(
        Token(
            *Token.key(username, "0" * 16),
            username=username,
            token_id="0" * 16,
            secret_hash="x",
            name="n",
            scopes="read",
            created_at=now,
            expires_at=now,
            ttl=now,
        )
    )
    add_factor(username, now=LONG_AGO)
    proof = new_proof(MailKind.RESET_PASSWORD, username, f"{username}@example.com", session_epoch=0).proof
    mail_id = "0" * 16
    QueuedMail(
        *QueuedMail.key(username, LONG_AGO, mail_id),
        mail_id=mail_id,
        kind="password_changed",
        username=username,
        recipient=f"{username}@example.com",
        text_values="{}",
        next_attempt_at=now,
        created_at=LONG_AGO,
        expires_at=now,
        ttl=now,
    ).save()
    proof.save()


def _adjust(username: str) -> None:
    """Large adjustments that were approved and rejected, and one that waits, with the claim of who asked for it."""
    now = clock.now()
    for decide, amount in ((adjustments.approve, "20000.00"), (adjustments.reject, "-20000.00")):
        asked = adjustments.adjust(username, Decimal(amount), reason="A prize", actor="admin", waits=True).item
        decide(asked.reference, actor="boss")
    approval_id = f"approval_{('0' if username == 'ann' else '2') * 26}"
    Approval(
        *Approval.key(approval_id),
        approval_id=approval_id,
        username=username,
        amount=Decimal("20000.00"),
        reason="A prize",
        asked_by="ann",
        created_at=LONG_AGO,
        expires_at=now,
        ttl=now,
    ).save()
    claim = IdempotencyClaim(
        *IdempotencyClaim.key(username, "large"),
        username="ben",
        fingerprint="x",
        reference=approval_id,
        created_at=LONG_AGO,
        ttl=now,
    )
    claim.save()


def _leave_traces(username: str) -> None:
    """Security events, a rate limit that counts, and a text that processes share."""
    now = clock.now()
    for event_id, kind, actor in (("0" * 16, "log_in", None), ("1" * 16, "suspended", "admin")):
        SecurityEvent(
            *SecurityEvent.key(username, LONG_AGO, event_id),
            username=username,
            event_id=event_id,
            kind=kind,
            outcome="done",
            actor=actor,
            act_month=month_of(LONG_AGO) if actor else None,
            created_at=LONG_AGO,
            ttl=now,
        ).save()
    add_hit(RateLimit("log-in", 10, 60), username, now=now)
    StoredText("coingecko").replace("{}", version=0)


def _stop(username: str) -> None:
    """Stop orders that wait, with a limit and without, one that is triggered, and two that were executed."""
    place(username, Side.SELL, "0.01", price="50000", stop="40000")
    place(username, Side.SELL, "0.1", asset_id="ETH", price="2500", stop="2000", limit="1900")
    order_changes.trigger_order(place(username, Side.BUY, "1", asset_id="ADA", price="0.4", stop="0.5", limit="0.6"))
    executed = place(username, Side.SELL, "0.1", asset_id="ETH", price="2500", stop="2400")
    order_changes.fill_order(executed, Decimal("2300"))
    triggered = order_changes.trigger_order(
        place(username, Side.BUY, "1", asset_id="SOL", price="100", stop="110", limit="120")
    )
    order_changes.fill_order(triggered, Decimal("115"))


def add_factor(username: str, *, now: datetime) -> None:
    """A second factor with two recovery codes and a passkey."""
    factor = SecondFactor(*SecondFactor.key(username), username=username, seed="x", totp_step=1, created_at=now)
    factor.recovery_hashes = f"{'0' * 64} {'1' * 64}"
    factor.passkeys = (Passkey("x", "y", 0, "phone", now),)
    factor.save()
    User(*User.key(username)).update([User.second_factor.set(now)])


@pytest.fixture(scope="module")
def _shelf(audit_app: Flask, store: Any) -> Iterator[Shelf]:
    shelf = Shelf(store, Shelf.read(store))
    yield shelf
    assert Shelf.read(store) == shelf.sound


@pytest.fixture
def shelf(audit_app: Flask, _shelf: Shelf) -> Iterator[Shelf]:
    with audit_app.app_context():
        yield _shelf
    _shelf.restore()
