"""The kinds of requests: how often a customer makes each, what it may be refused with, and how one is made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from app.domain import clock
from tests.proofs.bank.calls import Answer, Request
from tests.support.people import PASSWORD

if TYPE_CHECKING:
    from tests.proofs.bank.customers import Customer, SharedUser

# Traded assets, and about what one costs.
ASSETS = {"BTC": 60_000, "ETH": 2_600}
LISTS = ("/orders", "/orders?status=pending", "/balance/transactions", "/assets/transactions", "/balance/assets")


def log_in(person: SharedUser) -> Request:
    body = {"username": person.username, "password": PASSWORD}
    return Request("log in", person.username, "", "POST", "/api/v1/auth/login", body)


def cash_request(kind: str, person: SharedUser, amount: str) -> Request:
    path = f"/api/v1/balance/{kind}"
    return Request(kind, person.username, person.tokens[-1], "POST", path, {"amount": amount}, keyed=True)


def cancel_request(person: SharedUser, order_id: str) -> Request:
    path = f"/api/v1/orders/{order_id}/cancel"
    return Request("cancel", person.username, person.tokens[-1], "POST", path, keyed=True, subject=order_id)


def _amount(customer: Customer, most: int) -> str:
    return f"{customer.random.randint(1, most * 100) / 100:.2f}"


def _cash(most: int) -> Make:
    return lambda customer, kind, person: cash_request(kind, person, _amount(customer, most))


def _adjustment(customer: Customer, kind: str, person: SharedUser) -> Request:
    body = {"amount": customer.random.choice(["", "-"]) + _amount(customer, 100)}
    path = f"/api/v1/admin/users/{person.username}/adjustments"
    return Request(kind, person.username, customer.bank.admin_token, "POST", path, body, keyed=True)


def order_request(kind: str, person: SharedUser, asset_id: str, quantity: str, **terms: str) -> Request:
    body = {"order_type": kind.replace(" ", "_"), "asset_id": asset_id, "quantity": quantity, **terms}
    return Request(kind, person.username, person.tokens[-1], "POST", "/api/v1/orders", body, keyed=True)


def _order(customer: Customer, kind: str, person: SharedUser) -> Request:
    asset_id = customer.random.choice(list(ASSETS))
    # About 10 to 150 dollars, and hardly ever the same quantity twice.
    quantity = Decimal(customer.random.randint(10_000_000, 150_000_000)) / ASSETS[asset_id] / 1_000_000
    return order_request(kind, person, asset_id, f"{quantity:.8f}", **_terms(customer, kind, asset_id))


def _terms(customer: Customer, kind: str, asset_id: str) -> dict[str, str]:
    """A limit near the price, that is reached soon, late or never; perhaps an end within seconds."""
    is_limit = kind.startswith("limit")
    if not is_limit and customer.random.random() < 0.7:
        return {}
    better = Decimal(customer.random.randint(-30, 80) if is_limit else customer.random.randint(-100, 10)) / 10_000
    price = customer.bank.price(asset_id) * (1 - better if kind.endswith("buy") else 1 + better)
    terms = {"price": f"{price:.2f}"}
    if is_limit and customer.random.random() < 0.5:
        terms["expires_at"] = clock.to_text(clock.now() + timedelta(seconds=customer.random.uniform(1, 6)))
    return terms


def _a_recent_order(make: Callable[[SharedUser, str], Request]) -> Make:
    """About one of the newest orders, which may still be open; nothing where there are none."""
    return lambda customer, kind, person: (
        make(person, customer.random.choice(person.orders[-5:])) if person.orders else None
    )


def _read(path: str, *, asset_id: str = "") -> Make:
    return lambda customer, kind, person: Request(
        kind, person.username, customer.random.choice(person.tokens[-3:]), "GET", path, subject=asset_id
    )


def _any_of(*makes: Make) -> Make:
    return lambda customer, kind, person: customer.random.choice(makes)(customer, kind, person)


Make = Callable[["Customer", str, "SharedUser"], Request | None]


class Kind(NamedTuple):
    """How often it is asked, what it may be refused with, and a request of it."""

    weight: int
    refusals: set[str]
    make: Make


def _nothing(*_: Any) -> None:
    return None


KINDS = {
    "deposit": Kind(10, set(), _cash(150)),
    "withdraw": Kind(12, {"insufficient_funds"}, _cash(200)),
    "adjust": Kind(3, {"insufficient_funds"}, _adjustment),
    "market buy": Kind(10, {"insufficient_funds", "price_moved"}, _order),
    "market sell": Kind(8, {"insufficient_holding", "price_moved"}, _order),
    # The end of an order may be past when its request arrives at last.
    "limit buy": Kind(9, {"insufficient_funds", "invalid_input"}, _order),
    "limit sell": Kind(7, {"insufficient_holding", "invalid_input"}, _order),
    "cancel": Kind(8, {"order_not_pending"}, _a_recent_order(cancel_request)),
    "balance": Kind(9, set(), _read("/api/v1/balance")),
    "portfolio": Kind(9, set(), _read("/api/v1/portfolio")),
    "holding": Kind(
        3,
        {"holding_not_found"},
        _any_of(*(_read(f"/api/v1/balance/asset/{asset_id}", asset_id=asset_id) for asset_id in ASSETS)),
    ),
    "order": Kind(
        4,
        set(),
        _a_recent_order(
            lambda person, order_id: Request(
                "order", person.username, person.tokens[-1], "GET", f"/api/v1/orders/{order_id}", subject=order_id
            )
        ),
    ),
    "list": Kind(3, set(), _any_of(*(_read(f"/api/v1{path}") for path in LISTS))),
    "statement": Kind(1, set(), _read("/api/v1/balance/transactions.csv")),
    "page": Kind(2, set(), _any_of(*(_read(path) for path in ("/", "/login", "/assets/BTC")))),
    "log in": Kind(2, set(), lambda customer, kind, person: log_in(person)),
    "look for": Kind(0, {"invalid_credentials"}, _nothing),
    "register": Kind(1, {"username_taken"}, _nothing),
    "make token": Kind(1, set(), _nothing),
    "use token": Kind(0, {"not_authenticated"}, _nothing),
    "revoke token": Kind(0, {"token_not_found"}, _nothing),
}
PLACING = frozenset({"market buy", "market sell", "limit buy", "limit sell"})


def is_documented(kind: str, answer: Answer | None) -> bool:
    """Whether this kind of request may be answered so. No answer at all is what a killed server gives."""
    if answer is None or answer.status in {200, 201, 204}:
        return True
    if answer.status == 503:
        return kind == "page" or answer.code in {"busy", "overloaded", "store_unavailable"}
    return answer.code in KINDS[kind].refusals
