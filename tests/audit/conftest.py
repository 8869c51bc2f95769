"""An account in which everything has happened, and a shelf for its items."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.idempotency import identify
from app.domain.ledger import TransactionType
from app.domain.mails import MailKind
from app.domain.orders import Side
from app.models import order_changes
from app.models.balance_changes import open_account, post_transaction
from app.models.outbox import QueuedMail
from app.models.proofs import new_proof
from app.models.rate_limits import RateLimit, add_hit
from app.models.shared_text import StoredText
from app.models.users import Token, add_token
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
    return app


def _live(username: str) -> None:
    """Everything that can happen to an account happens to this one."""
    now = clock.now()
    open_account(user_item(username))
    post_transaction(username, TransactionType.DEPOSIT, Decimal("10000.00"), idempotency=identify("cash", "deposit"))
    post_transaction(username, TransactionType.WITHDRAW, Decimal("100.00"), description="Rent")
    post_transaction(username, TransactionType.SYSTEM_ADJUSTMENT, Decimal("-5.00"), description="A fee", actor="admin")
    place(username, Side.BUY, "0.1", price="50000.00", key="order")
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
    order_changes.expire_order(place(username, Side.BUY, "100", asset_id="ADA", price="0.4", limit="0.3"))
    place(username, Side.BUY, "0.5", asset_id="ETH", price="2500", limit="1000")
    place(username, Side.SELL, "0.01", price="50000", limit="90000")
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
    add_hit(RateLimit("log-in", 10, 60), username, now=now)
    StoredText("coingecko").replace("{}", version=0)


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
