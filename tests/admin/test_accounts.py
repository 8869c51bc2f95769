"""Administration by JSON: who may, finding users and their accounts, suspending, adjusting, an asset's holders."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.domain.users import Role, UserStatus
from app.models.users import User
from tests.support.page_client import Browser
from tests.support.people import PASSWORD, fields_named, problem
from tests.support.prices import SetPrices
from tests.support.texts import MISLEADING, UNSEEN
from tests.support.usage import AUTHENTICATION, usage, usage_of

ROUTES = [
    ("GET", "/admin/users?username={name}"),
    ("GET", "/admin/users?email={name}@example.com"),
    ("GET", "/admin/users/{name}"),
    ("PATCH", "/admin/users/{name}"),
    ("POST", "/admin/users/{name}/reset-link"),
    ("POST", "/admin/users/{name}/adjustments"),
    ("GET", "/admin/users/{name}/transactions"),
    ("GET", "/admin/users/{name}/orders"),
    ("GET", "/admin/assets/BTC/balances"),
    ("GET", "/admin/assets/BTC/transactions"),
]
BODIES = {"PATCH": {"status": "suspended"}, "POST": {"amount": "5", "reason": "gift"}}


def run(app, *arguments):
    return app.test_cli_runner().invoke(args=["users", *arguments])


@pytest.fixture
def admin(new_user, app):
    person = new_user()
    assert run(app, "promote", person.username).exit_code == 0
    person.log_in()
    return person


@pytest.fixture
def trader(new_user, market: SetPrices, market_app):
    """Someone with 860.00, of which 50.00 are reserved, and 0.6 BTC at 100.00, of which 0.2 wait to be sold."""
    person = new_user(market_app)
    market.set("BTC", "100.00")
    person.deposit("1000")
    person.buy("BTC", "1")
    person.sell("BTC", "0.4")
    person.order("limit_buy", "BTC", "1", price="50")
    person.order("limit_sell", "BTC", "0.2", price="200")
    return person


def everything(person, other):
    """The answers of all routes of the administration."""
    return [
        person.call(method, path.format(name=other.username), **({"json": BODIES[method]} if method != "GET" else {}))
        for method, path in ROUTES
    ]


def test_every_route_of_the_administration_is_tested(app):
    rules = {
        (method, rule.rule.removeprefix("/api/v1").replace("<username>", "{name}").replace("<asset_id>", "BTC"))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/admin")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert rules == {(method, path.partition("?")[0]) for method, path in ROUTES}


def test_not_for_ordinary_users(person, new_user):
    other = new_user()
    for subject in (other, person):
        for response in everything(person, subject):
            problem(response, 403, "not_admin")
    assert other.balance() == "0.00"


def test_not_for_visitors(person, new_user):
    other = new_user()
    person.token = ""
    for response in everything(person, other):
        problem(response, 401, "not_authenticated")
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert other.balance() == "0.00"


def test_not_for_a_suspended_admin(admin, new_user, app):
    other = new_user()
    personal = admin.post("/auth/tokens", {"name": "ops", "scopes": "read trade"}).json["access_token"]
    boss = new_user()
    run(app, "promote", boss.username)
    boss.log_in()
    assert boss.call("PATCH", f"/admin/users/{admin.username}", json={"status": "suspended"}).status_code == 200
    for response in everything(admin, other):
        problem(response, 401, "not_authenticated")
    admin.token = personal
    for response in everything(admin, other):
        problem(response, 403, "account_suspended")
    assert other.balance() == "0.00"


def test_a_personal_token_never_operates(admin, new_user):
    other = new_user()
    made = admin.post("/auth/tokens", {"name": "report", "scopes": "read trade transfer"})
    admin.token = made.json["access_token"]
    for response in everything(admin, other):
        problem(response, 403, "insufficient_scope")
    assert other.balance() == "0.00"


def test_promote_and_demote(person, app, new_user):
    """From the next log in on, as each ends every session and login token."""
    promoted = run(app, "promote", person.username.upper())
    assert promoted.exit_code == 0 and person.username in promoted.output and "ADMIN" in promoted.output
    problem(person.get("/admin/users?username=abc"), 401, "not_authenticated")
    person.log_in()
    assert person.get("/auth/profile").json["role"] == "admin"
    assert person.get("/admin/users?username=abc").status_code == 200
    personal = person.post("/auth/tokens", {"name": "ops", "scopes": "read trade"}).json["access_token"]
    assert run(app, "demote", person.username).exit_code == 0
    problem(person.get("/admin/users?username=abc"), 401, "not_authenticated")
    person.token = personal
    problem(person.get("/admin/users?username=abc"), 403, "insufficient_scope")
    person.log_in()
    problem(person.get("/admin/users?username=abc"), 403, "not_admin")


@pytest.mark.parametrize("command", ["promote", "demote"])
@pytest.mark.parametrize(
    ("username", "status", "says"),
    [
        ("nobody_here", 1, "no such user"),
        ("no#body", 2, "'no#body' cannot be a username"),
        ("", 2, "'' cannot be a username"),
        ("a@b.com", 2, "'a@b.com' cannot be a username"),
    ],
)
def test_promoting_nobody(app, command, username, status, says):
    result = run(app, command, username)
    assert result.exit_code == status and says in result.output and "Traceback" not in result.output


def test_find_by_name_and_by_email(admin, trader):
    name, email = trader.username, trader.email
    for query in (f"username={name}", f"username={name.upper()}", f"email={email}", f"email={email.upper()}"):
        [found] = admin.get(f"/admin/users?{query}").json["data"]
        assert found == {**trader.get("/auth/profile").json, "status": "active"}
    assert admin.get("/admin/users?username=nobody_here").json == {"data": []}
    assert admin.get("/admin/users?email=nobody@example.com").json == {"data": []}


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
    for method, path in ROUTES[2:7]:
        body = {"json": BODIES[method]} if method != "GET" else {}
        problem(admin.call(method, path.format(name=username), **body), 404, "user_not_found")


def change_status(admin, username, status):
    return admin.call("PATCH", f"/admin/users/{username}", json={"status": status})


def test_suspend_and_reinstate(admin, app, person, client):
    """Sessions, login tokens and personal tokens end at once; reinstated, only the personal ones live again."""
    person.deposit("10")
    personal = person.post("/auth/tokens", {"name": "script", "scopes": "read"}).json["access_token"]
    login, browser = person.token, Browser(app)
    browser.log_in(person.username)
    assert browser.get("/dashboard").status == 200

    answer = change_status(admin, person.username, "suspended")
    assert (answer.status_code, answer.json["status"], answer.json["username"]) == (200, "suspended", person.username)
    problem(person.get("/balance"), 401, "not_authenticated")
    person.token = personal
    problem(person.get("/balance"), 403, "account_suspended")
    assert browser.get("/dashboard", status=303).location.startswith("/login")
    credentials = {"username": person.username, "password": PASSWORD}
    problem(client.post("/api/v1/auth/login", json=credentials), 403, "account_suspended")

    assert change_status(admin, person.username, "active").json["status"] == "active"
    assert person.balance() == "10.00"
    person.token = login
    problem(person.get("/balance"), 401, "not_authenticated")
    assert browser.get("/dashboard", status=303).location.startswith("/login")
    assert person.log_in() and person.balance() == "10.00"


def test_an_admin_cannot_suspend_itself(admin, new_user, app):
    problem(change_status(admin, admin.username, "suspended"), 409, "own_account")
    assert admin.get("/auth/profile").status_code == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"status": "deleted"}, {"status": ""}, {"status": None}, {"status": True}, {"status": ["suspended"]}],
    ids=str,
)
def test_no_such_status(admin, person, body):
    response = admin.call("PATCH", f"/admin/users/{person.username}", json=body)
    assert fields_named(problem(response, 422, "invalid_input")) == ["status"]
    assert person.get("/balance").status_code == 200


def adjust(admin, person, amount, reason="correction", **more):
    return admin.post(f"/admin/users/{person.username}/adjustments", {"amount": amount, "reason": reason}, **more)


def test_adjustments_are_signed_and_recorded_with_reason_and_actor(admin, person, store):
    person.deposit("100")
    for amount, after in (("25.5", "125.50"), ("-125.49", "0.01"), ("-0.01", "0.00"), (7, "7.00"), (-7, "0.00")):
        response = adjust(admin, person, amount, reason="Double deposit of 1 May")
        assert response.status_code == 201 and set(response.json) == {"data"}
        made = response.json["data"]
        assert (made["transaction_type"], made["new_balance"]) == ("system_adjustment", after)
        assert Decimal(made["amount"]) == Decimal(str(amount))
        assert (made["actor"], made["description"]) == (admin.username, "Double deposit of 1 May")
        assert person.balance() == after
    body = person.get("/balance").json
    assert (body["total_deposits"], body["total_withdrawals"]) == ("100.00", "0.00"), "neither in nor out"
    [newest, *_] = person.get("/balance/transactions?transaction_type=system_adjustment").json["transactions"]
    assert newest["description"] == "Double deposit of 1 May" and newest["amount"] == "-7.00"
    raw = store.get_item(TableName="users", Key={"PK": {"S": person.username}, "SK": {"S": "TRANS#000000000006"}})[
        "Item"
    ]
    assert raw["actor"]["S"] == admin.username and raw["amount"]["S"] == "-7.00"


def test_an_adjustment_never_takes_more_than_there_is(admin, trader):
    body = problem(adjust(admin, trader, "-890.01"), 422, "insufficient_funds")
    assert (body["available"], body["required"]) == ("890.00", "890.01")
    assert adjust(admin, trader, "-890.00").status_code == 201
    assert trader.balance() == "0.00" and trader.get("/portfolio").json["reserved_cash"] == "50.00"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["amount", "reason"]),
        ({"amount": "5"}, ["reason"]),
        ({"reason": "x"}, ["amount"]),
        ({"amount": "5", "reason": ""}, ["reason"]),
        ({"amount": "5", "reason": "  "}, ["reason"]),
        ({"amount": "5", "reason": None}, ["reason"]),
        ({"amount": "5", "reason": "x" * 201}, ["reason"]),
        ({"amount": "5", "reason": "a\nb"}, ["reason"]),
        *(({"amount": "5", "reason": text}, ["reason"]) for text in UNSEEN.values()),
        *(({"amount": "5", "reason": f"a{char}b"}, ["reason"]) for char in MISLEADING.values()),
        ({"amount": "0", "reason": "x"}, ["amount"]),
        ({"amount": "-0", "reason": "x"}, ["amount"]),
        ({"amount": "-0.00", "reason": "x"}, ["amount"]),
        ({"amount": "+5", "reason": "x"}, ["amount"]),
        ({"amount": "--5", "reason": "x"}, ["amount"]),
        ({"amount": "- 5", "reason": "x"}, ["amount"]),
        ({"amount": "−5", "reason": "x"}, ["amount"]),
        ({"amount": "0.001", "reason": "x"}, ["amount"]),
        ({"amount": "-1000000.01", "reason": "x"}, ["amount"]),
        ({"amount": "NaN", "reason": "x"}, ["amount"]),
        ({"amount": "-Infinity", "reason": "x"}, ["amount"]),
        ({"amount": "-1e2", "reason": "x"}, ["amount"]),
        ({"amount": True, "reason": "x"}, ["amount"]),
        ({"amount": None, "reason": "x"}, ["amount"]),
        ({"amount": -0.0, "reason": "x"}, ["amount"]),
    ],
    ids=str,
)
def test_malformed_adjustments(admin, person, body, fields):
    response = admin.post(f"/admin/users/{person.username}/adjustments", body)
    assert fields_named(problem(response, 422, "invalid_input")) == fields
    assert person.balance() == "0.00"


def test_keyed_adjustments(admin, person, new_user, app):
    """One key of the owner, of one admin and of another are three keys; each is for one request."""
    second = new_user()
    run(app, "promote", second.username)
    second.log_in()
    assert person.deposit("100", key="k").status_code == 201
    first = adjust(admin, person, "5", key="k")
    again = adjust(admin, person, "5.00", key="k")
    assert again.json == first.json and again.headers["Idempotent-Replayed"] == "true"
    assert adjust(second, person, "5", key="k").status_code == 201
    assert person.balance() == "110.00"
    for changed in ({"amount": "6"}, {"amount": "-5"}, {"amount": "5", "reason": "another"}):
        problem(adjust(admin, person, **changed, key="k"), 422, "idempotency_key_reused")
    problem(adjust(admin, second, "5", key="k"), 422, "idempotency_key_reused")
    assert second.balance() == "0.00"
    problem(admin.post("/balance/deposit", {"amount": "5"}, key="k"), 422, "idempotency_key_reused")
    replayed = person.deposit("100", key="k")
    assert replayed.headers["Idempotent-Replayed"] == "true" and person.balance() == "110.00"


def test_nobody_adjusts_their_own_balance(admin):
    problem(adjust(admin, admin, "5"), 409, "own_account")
    assert admin.balance() == "0.00"


def test_a_replayed_adjustment_that_emptied_the_balance(admin, person):
    person.deposit("5")
    first = adjust(admin, person, "-5", key="k")
    assert adjust(admin, person, "-5", key="k").json == first.json
    assert person.balance() == "0.00"


def page_through(admin, path):
    rows, cursor, pages = [], "", 0
    while cursor is not None:
        body = admin.get(f"{path}?limit=2{cursor and '&cursor=' + cursor}").json
        rows += body["data"]
        cursor, pages = body["next_cursor"], pages + 1
        assert (cursor is not None) == body["has_more"] and pages < 50
    return rows


def test_who_holds_an_asset_and_all_its_trades(admin, new_user, market, market_app):
    """Complete and without a row twice, however it is paged; those who sold everything are shown with 0."""
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
        person.username: quantity for person, quantity in zip(people, "00345", strict=True)
    }
    assert [row["reserved_quantity"] for row in holders if row["username"] == people[1].username] == ["2"]
    fields = {"username", "asset_id", "quantity", "reserved_quantity", "created_at", "updated_at"}
    assert len(holders) == 5 and set(holders[0]) == fields
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


def test_what_adjusting_and_suspending_cost(admin, person):
    assert usage_of(adjust(admin, person, "5")) - AUTHENTICATION == usage(3, 2, 4)
    used = usage_of(change_status(admin, person.username, "suspended")) - AUTHENTICATION
    assert (used.calls, used.read_units) == (2, 1)


def test_the_role_and_status_of_a_new_user(app, person):
    with app.app_context():
        user = User.get(*User.key(person.username))
    assert (user.role, user.status) == (Role.CUSTOMER, UserStatus.ACTIVE)
    response = person.call("PUT", "/auth/profile", json={"role": "admin", "status": "active", "first_name": "Eve"})
    assert response.json["user"]["role"] == "customer"
