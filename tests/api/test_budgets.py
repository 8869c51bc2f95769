"""What each operation costs in DynamoDB calls and units, now and when the account has a long history.

The figures are those of README.md. They contain the call that authenticates, which reads what it can besides.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.domain import clock
from app.domain.orders import Side
from tests.support.accounts import deposit, place
from tests.support.books import check_books
from tests.support.people import caller, register, registration
from tests.support.usage import AUTHENTICATION, usage, usage_of

OPERATIONS = {
    "balance": (lambda it: it.get("/balance"), usage(1, 3, 0)),
    "deposit": (lambda it: it.deposit("1"), usage(2, 1.5, 4)),
    "deposit with a key": (lambda it: it.deposit("1", key=fresh_key()), usage(2, 1.5, 6)),
    "withdraw": (lambda it: it.withdraw("1"), usage(2, 1.5, 4)),
    "withdraw with a key": (lambda it: it.withdraw("1", key=fresh_key()), usage(2, 1.5, 6)),
    "first buy of an asset": (lambda it: it.order("market_buy", fresh_asset(), "10"), usage(2, 2, 15)),
    "buy": (lambda it: it.order("market_buy", "BTC", "0.0001"), usage(2, 2, 14)),
    "buy with a key": (lambda it: it.order("market_buy", "BTC", "0.0001", key=fresh_key()), usage(2, 2, 16)),
    "sell": (lambda it: it.order("market_sell", "BTC", "0.00001"), usage(2, 2, 14)),
    "sell with a key": (lambda it: it.order("market_sell", "BTC", "0.00001", key=fresh_key()), usage(2, 2, 16)),
    "one order": (lambda it: it.get(f"/orders/{it.order_id}"), usage(1, 2, 0)),
    "one transaction": (lambda it: it.get("/balance/transactions/000000000001"), usage(1, 3, 0)),
    "one holding": (lambda it: it.get("/balance/asset/BTC"), usage(1, 3, 0)),
    "deposit that is tried": (
        lambda it: it.post("/balance/deposit", {"amount": "1", "dry_run": True}),
        usage(2, 2.5, 0),
    ),
    "order that is tried": (
        lambda it: it.order("market_buy", "BTC", "0.0001", dry_run=True, key="tried"),
        usage(2, 4, 0),
    ),
    "preview": (
        lambda it: it.post("/orders/preview", {"order_type": "market_buy", "asset_id": "BTC", "spend": "5"}),
        usage(2, 3, 0),
    ),
    "account": (lambda it: it.get("/account"), usage(2, 2, 0)),
    "refused withdrawal": (lambda it: it.withdraw("999999"), usage(2, 2.5, 0)),
    "refused order": (lambda it: it.order("market_buy", "BTC", "1"), usage(2, 4, 0)),
    "log out": (lambda it: it.post("/auth/logout"), usage(3, 1, 1 + 1)),
}
TODAY = clock.now().date()
LISTS = {
    "transactions": "/balance/transactions?limit=20",
    "transactions by type": "/balance/transactions?transaction_type=deposit",
    "orders": "/orders?limit=20",
    "orders of an asset": "/orders?limit=20&asset_id=BTC",
    "trades": "/assets/transactions?limit=20",
    "trades of an asset": "/assets/BTC/transactions?limit=20",
    "orders of a period": f"/orders?from={TODAY}&to={TODAY + timedelta(days=1)}",
    "open orders of a period": f"/orders?status=pending&from={TODAY}",
    "trades of a period": f"/assets/transactions?limit=20&from={TODAY}",
    "holdings": "/balance/assets",
    "portfolio": "/portfolio",
    "gains of a year": "/portfolio/gains",
}
# Their cost must not follow the history: the two filtered lists look at no more than EXAMINED_ROWS.
FLAT_LISTS = ["transactions", "orders", "trades", "trades of an asset", "holdings", "portfolio"]
_keys, _assets = iter(range(1000)), iter(["ADA", "XRP"])


def fresh_key() -> str:
    return f"key-{next(_keys)}"


def fresh_asset() -> str:
    return next(_assets)


@pytest.fixture(scope="module", params=["at the start", "after 100 more transactions"])
def account(request, app, store):
    """One account for the module: first with 5 transactions, then with 100 more."""
    if request.param == "at the start":
        account.person = register(app)
        account.person.deposit("50000")
        account.person.order_id = account.person.buy("BTC", "0.01")["order_id"]
        return account.person
    person = account.person
    with app.app_context():
        for number in range(50):
            deposit(person.username, "10")
            place(person.username, list(Side)[number % 2], "0.00001", price="1000")
    assert len(check_books(store, person.username).transactions) > 100
    return person


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(account, name):
    run, budget = OPERATIONS[name]
    used = usage_of(run(account))
    if name == "log out":
        account.log_in()
    assert used == budget


@pytest.mark.parametrize("name", LISTS)
def test_lists_take_one_call(account, name):
    response = account.get(LISTS[name])
    assert response.status_code == 200
    used = usage_of(response) - AUTHENTICATION
    assert (used.calls, used.write_units) == (1, 0)
    # 20 rows of less than half a kilobyte, read eventually at 8 KB or consistently at 4 KB a unit.
    assert used.read_units <= (3 if name in FLAT_LISTS else 20)


def test_registration_and_log_in(app):
    client = caller(app)
    body = registration()
    assert usage_of(client.post("/api/v1/auth/register", json=body)) == usage(2, 2, 8 + 2)
    log_in = {"username": body["username"], "password": body["password"]}
    for identifier, used in ((body["username"], usage(5, 8, 1 + 1)), (body["email"], usage(6, 9, 1 + 1))):
        answer = client.post("/api/v1/auth/login", json={**log_in, "username": identifier})
        assert usage_of(answer) == used
        # From the device that has just logged in.
        headers = {"X-Device": answer.json["device"]}
        answer = client.post("/api/v1/auth/login", json={**log_in, "username": identifier}, headers=headers)
        assert usage_of(answer) == used - usage(0, 4, 0)


def test_a_refused_registration(app):
    client = caller(app)
    body = registration()
    client.post("/api/v1/auth/register", json=body)
    assert usage_of(client.post("/api/v1/auth/register", json=body)).calls == 1


def test_a_replay_is_read_not_written(account):
    account.deposit("1", key="replayed")
    used = usage_of(account.deposit("1", key="replayed"))
    assert used.calls <= 4 and used.write_units == 0


@pytest.mark.parametrize(
    "path",
    [
        "/health",
        "/api/v1/inventory/assets",
        "/api/v1/inventory/assets/BTC",
        "/api/v1/inventory/assets/BTC/prices",
        "/api/v1/openapi.json",
    ],
)
def test_what_needs_no_store_asks_none(app, path):
    assert usage_of(app.test_client().get(path)) == usage(0, 0, 0)
