"""What an administrator sees: accounts, who holds an asset, and what looking costs."""

from __future__ import annotations

import pytest

from tests.admin.routes import BODIES, ROUTES
from tests.support.people import fields_named, problem
from tests.support.usage import AUTHENTICATION, usage, usage_of


def test_find_by_name_and_by_email(admin, trader):
    name, email = trader.username, trader.email
    for query in (f"username={name}", f"username={name.upper()}", f"email={email}", f"email={email.upper()}"):
        [found] = admin.get(f"/admin/users?{query}").json["data"]
        assert found == {**trader.get("/auth/profile").json, "status": "active"}
    nobody = {"data": [], "has_more": False, "next_cursor": None}
    assert admin.get("/admin/users?username=nobody_here").json == nobody
    assert admin.get("/admin/users?email=nobody@example.com").json == nobody


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "username"),
        ("username=abc&email=a@example.com", "username"),
        ("username=", "username"),
        ("username=a%23b", "username"),
        ("email=nonsense", "email"),
        ("username=ab", "username"),
    ],
)
def test_malformed_searches(admin, query, field):
    assert fields_named(problem(admin.get(f"/admin/users?{query}"), 422, "invalid_input")) == [field]


def test_an_account(admin, trader):
    """What its owner sees; only the moment and the prices of the two applications differ."""
    body = admin.get(f"/admin/users/{trader.username}").json
    assert set(body) == {"user", "balance", "portfolio"}
    assert body["user"] == {**trader.get("/auth/profile").json, "status": "active"}
    assert body["balance"] == trader.get("/balance").json
    own = trader.get("/portfolio").json
    assert (body["portfolio"]["cash_balance"], body["portfolio"]["reserved_cash"]) == ("890.00", "50.00")
    assert [(each["asset_id"], each["quantity"]) for each in body["portfolio"]["assets"]] == [("BTC", "0.4")]
    assert set(body["portfolio"]) == set(own)
    text = admin.get(f"/admin/users/{trader.username}").text
    assert "password" not in text and "hash" not in text and "epoch" not in text


def test_orders_and_transactions_of_a_user(admin, trader):
    for path, key in (("orders", "data"), ("transactions", "transactions")):
        own = trader.get(f"/{path}" if path == "orders" else "/balance/transactions").json
        assert admin.get(f"/admin/users/{trader.username}/{path}").json == own
        seen, cursor = [], ""
        while cursor is not None:
            page = admin.get(f"/admin/users/{trader.username}/{path}?limit=3{cursor and '&cursor=' + cursor}").json
            seen += page[key]
            cursor = page["next_cursor"]
        assert seen == own[key] and len(seen) == 4


def test_a_cursor_belongs_to_one_users_list(admin, trader, new_user):
    cursor = admin.get(f"/admin/users/{trader.username}/orders?limit=1").json["next_cursor"]
    for path in (
        f"/admin/users/{new_user().username}/orders",
        f"/admin/users/{trader.username}/transactions",
        "/admin/assets/BTC/balances",
        "/orders",
    ):
        problem(admin.get(f"{path}?limit=1&cursor={cursor}"), 400, "invalid_cursor")


@pytest.mark.parametrize("username", ["nobody_here", "a%23b", "ab", "x" * 200, "EMAIL%23a@example.com"])
def test_an_account_of_nobody(admin, username):
    for method, path in ROUTES[2:9]:
        body = {"json": BODIES[method]} if method in BODIES else {}
        problem(admin.call(method, path.format(name=username), **body), 404, "user_not_found")


def page_through(admin, path):
    rows, cursor, pages = [], "", 0
    while cursor is not None:
        body = admin.get(f"{path}?limit=2{cursor and '&cursor=' + cursor}").json
        rows += body["data"]
        cursor, pages = body["next_cursor"], pages + 1
        assert (cursor is not None) == body["has_more"] and pages < 50
    return rows


def test_who_holds_an_asset_and_all_its_trades(admin, new_user, market, market_app):
    """Complete and without a row twice, however it is paged; those who own nothing are left out."""
    market.set("XMR", "10")
    people = [new_user(market_app) for _ in range(5)]
    for number, person in enumerate(people, start=1):
        person.deposit("1000")
        for _ in range(number):
            person.buy("XMR", "1")
    people[0].sell("XMR", "1")
    people[1].order("limit_sell", "XMR", "2", price="99")
    holders = page_through(admin, "/admin/assets/xmr/balances")
    assert {row["username"]: row["quantity"] for row in holders} == {
        person.username: quantity for person, quantity in zip(people[1:], "0345", strict=True)
    }
    assert [row["reserved_quantity"] for row in holders if row["username"] == people[1].username] == ["2"]
    fields = {"username", "asset_id", "quantity", "reserved_quantity", "created_at", "updated_at"}
    assert len(holders) == 4 and set(holders[0]) == fields
    trades = page_through(admin, "/admin/assets/XMR/transactions")
    own = [
        {**trade, "username": person.username}
        for person in people
        for trade in person.get("/assets/XMR/transactions").json["data"]
    ]
    assert len(trades) == 16 == len({(row["username"], row["timestamp"]) for row in trades})
    assert sorted(repr(sorted(row.items())) for row in trades) == sorted(repr(sorted(row.items())) for row in own)
    assert admin.get("/admin/assets/NOSUCH/balances").json["data"] == []
    problem(admin.get("/admin/assets/no-asset/balances"), 422, "invalid_input")


COSTS = {
    "find by name": ("/admin/users?username={name}", (1, 1)),
    "find by e-mail": ("/admin/users?email={email}", (2, 2)),
    "an account": ("/admin/users/{name}", (2, 2)),
    "its orders": ("/admin/users/{name}/orders", (2, 1.5)),
    "its transactions": ("/admin/users/{name}/transactions", (2, 1.5)),
}


@pytest.mark.parametrize(("path", "expected"), COSTS.values(), ids=COSTS.keys())
def test_what_looking_costs(admin, person, path, expected):
    response = admin.get(path.format(name=person.username, email=person.email))
    assert usage_of(response) - AUTHENTICATION == usage(*expected, 0)
