"""What `/metrics` counts, and that nothing a client sends becomes a label."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from app.domain import clock
from app.domain.errors import StoreUnavailable
from app.factory import create_app
from app.services import guesses
from app.views.request_log import LOGIN_ENDPOINTS
from tests.support.applications import LIMITS, config, make_app, tables_named
from tests.support.authenticator import enrol
from tests.support.counters import Moved, counters_of, total
from tests.support.deposits import write_deposits
from tests.support.faults import cancel, drop, refuse
from tests.support.page_client import Browser
from tests.support.people import PASSWORD

TABLES = tables_named("metrics")


@pytest.fixture(scope="module")
def _market_app(endpoint):
    """On tables of its own: a round of the worker fills and ends the orders of this file alone."""
    return make_app(endpoint, **TABLES)


HOSTILE = {
    "a path that nobody made": ("GET", "/secret/f00dcafe?token=f00dcafe"),
    "an address with a name in it": ("GET", "/api/v1/orders/order_f00dcafe"),
    "a new line and a quote": ("GET", '/f00dcafe"%0ahttp_requests_total{route="f00dcafe"} 1'),
    "a long path": ("GET", "/" + "f00dcafe" * 300),
    "an asset of nobody": ("GET", "/assets/F00DCAFE"),
    "a method of nobody": ("F00DCAFE", "/health"),
    "a method that is not taken": ("DELETE", "/health"),
    "a user of nobody": ("GET", "/api/v1/admin/users/f00dcafe"),
    "not text": ("GET", "/%ff%fe/f00dcafe"),
    "a file of nobody": ("GET", "/static/f00dcafe.css"),
}


@pytest.mark.parametrize(("method", "path"), HOSTILE.values(), ids=HOSTILE)
def test_what_a_client_sends_is_no_label(app, client, method, path):
    moved = Moved(app)
    for number in range(3):
        client.open(path.replace("f00d", f"f00d{number}"), method=method, headers={"X-Request-ID": "f00dcafe"})
    after = counters_of(app)
    assert "f00d" not in str(after).lower()
    assert moved("http_requests_total") >= 3 or path.startswith("/static")
    # However often, it is one series.
    new = {labels for name, labels in set(after) - set(moved.before) if name == "http_requests_total"}
    assert len([labels for labels in new if ("route", "/metrics") not in labels]) <= 1


def test_every_label_is_of_a_short_list(app, person):
    moved = Moved(app)
    person.deposit("10.00")
    person.get("/balance")
    routes = {rule.rule for rule in app.url_map.iter_rules()} | {"none", "orders run"}
    allowed = {
        "route": lambda value: value in routes,
        "method": lambda value: value in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"},
        "status": lambda value: re.fullmatch(r"[2-5]\d\d", value),
        "operation": lambda value: re.fullmatch(r"[A-Z][A-Za-z]+", value),
        "change": lambda value: re.fullmatch(r"[a-z_]+", value),
        "reason": lambda value: value in {"credentials", "code", "suspended", "too_many"},
        "outcome": lambda value: value in {"done", "given_up", "filled", "expired", "lost", "failed"},
        "le": lambda value: value == "+Inf" or float(value),
    }
    new = set(counters_of(app).items()) - set(moved.before.items())
    assert len(new) > 30
    for (name, labels), _ in new:
        for label, value in labels:
            assert allowed[label](value), (name, label, value)


def test_a_journey(app, new_user):
    moved = Moved(app)
    person = new_user()
    person.deposit("1000.00")
    person.buy("BTC", "0.001")
    assert person.withdraw("100000.00").status_code == 422
    assert moved("http_requests_total", route="/api/v1/balance/deposit", method="POST", status="201") == 1
    assert moved("http_requests_total", route="/api/v1/balance/withdraw", status="422") == 1
    assert moved("http_request_duration_seconds_count", route="/api/v1/orders") == 1
    assert 0 < moved("http_request_duration_seconds_sum", route="/api/v1/orders") < 10
    assert moved("dynamodb_calls_total", route="/api/v1/orders") == 2
    assert moved("dynamodb_calls_total", route="/api/v1/orders", operation="BatchGetItem") == 1
    assert moved("dynamodb_read_units_total", route="/api/v1/orders", operation="BatchGetItem") == 2
    assert moved("dynamodb_write_units_total", route="/api/v1/orders", operation="TransactWriteItems") == 15
    assert moved("dynamodb_seconds_total", route="/api/v1/orders") > 0
    assert moved("dynamodb_resends_total") == moved("change_conflicts_total") == 0


def test_orders_by_what_happens_to_them(market_app, market, new_user):
    market.set("BTC", "100.00")
    person = new_user(market_app)
    person.deposit("1000.00")
    moved = Moved(market_app)

    def changes():
        return [int(moved("orders_total", change=change)) for change in ("placed", "filled", "cancelled", "expired")]

    person.buy("BTC", "1", key="once")
    assert changes() == [1, 1, 0, 0]
    person.buy("BTC", "1", key="once")
    assert changes() == [1, 1, 0, 0], "a repeated request is no second order"
    assert person.order("market_buy", "BTC", "1000").status_code == 422
    assert changes() == [1, 1, 0, 0]
    waiting = person.order("limit_buy", "BTC", "1", price="90").json["data"]["order_id"]
    assert changes() == [2, 1, 0, 0]
    assert person.post(f"/orders/{waiting}/cancel").status_code == 200
    assert person.post(f"/orders/{waiting}/cancel").status_code == 409
    assert changes() == [2, 1, 1, 0]


LOGINS = {"a wrong password": ("wrong password here", "credentials"), "the right one": (None, None)}


@pytest.mark.parametrize(("password", "reason"), LOGINS.values(), ids=LOGINS)
@pytest.mark.parametrize("way", ["json", "form"])
def test_failed_logins(app, person, password, reason, way):
    moved = Moved(app)
    if way == "form":
        browser = Browser(app)
        browser.log_in(person.username, *([password] if password else []))
    elif password:
        person.client.post("/api/v1/auth/login", json={"username": person.username, "password": password})
    else:
        person.log_in()
    assert moved("logins_failed_total") == (1 if reason else 0)
    assert not reason or moved("logins_failed_total", reason=reason) == 1


def test_failed_second_steps(app, new_user):
    """What asks for a code is no failure: the password was right."""
    person = new_user()
    browser = Browser(app)
    codes = enrol(person).recovery_codes
    login = {"username": person.username, "password": PASSWORD}

    def send(path, **more):
        return lambda: person.client.post(f"/api/v1/auth/{path}", json={**login, **more})

    step = browser.log_in(person.username).form("/login/code")
    for act, reason in [
        (send("login"), None),
        (send("login", code="123456"), "code"),
        (send("login", code=codes[0]), None),
        (send("login/passkey"), None),
        (send("login/passkey", password="wrong password here"), "credentials"),
        (lambda: browser.send(step, code="123456"), "code"),
        (lambda: browser.send(step, code=codes[1]), None),
    ]:
        moved = Moved(app)
        act()
        assert moved("logins_failed_total") == (1 if reason else 0)
        assert not reason or moved("logins_failed_total", reason=reason) == 1
    with app.app_context():
        for _ in range(LIMITS.guesses_per_account_and_address):
            guesses.note_failure(guesses.begin_login(person.username, address="10.99.0.1"), "invalid_code")
    moved = Moved(app)
    person.client.post("/api/v1/auth/login/passkey", json=login, environ_base={"REMOTE_ADDR": "10.99.0.1"})
    assert moved("logins_failed_total", reason="too_many") == moved("logins_failed_total") == 1


def test_the_ways_to_log_in_are_still_there(app):
    assert set(app.view_functions) >= LOGIN_ENDPOINTS


def test_resends_and_conflicts(faulty_app, faults, new_user):
    person = new_user(faulty_app)
    moved = Moved(faulty_app)
    faults.inject("TransactWriteItems", cancel("TransactionConflict", "None"), cancel("None", "TransactionConflict"))
    assert person.deposit("10.00").status_code == 201
    route = "/api/v1/balance/deposit"
    assert moved("change_conflicts_total", change="post_transaction", route=route) == 2
    assert moved("dynamodb_calls_total", operation="TransactWriteItems", route=route) == 3
    assert moved("dynamodb_resends_total") == 0
    faults.inject("TransactWriteItems", drop, refuse("InternalServerError", status=500))
    assert person.deposit("10.00").status_code == 201
    assert moved("dynamodb_resends_total", operation="TransactWriteItems", route=route) == 2
    assert moved("dynamodb_calls_total", operation="TransactWriteItems", route=route) == 6
    assert moved("change_conflicts_total") == 2


def test_resends_are_counted_also_where_no_answer_ever_comes(faulty_app, faults, new_user):
    person = new_user(faulty_app)
    moved = Moved(faulty_app)
    faults.inject("BatchGetItem", drop, drop, drop)
    assert person.get("/balance").status_code == 503
    assert moved("dynamodb_resends_total", operation="BatchGetItem") == 2
    assert moved("dynamodb_calls_total", operation="BatchGetItem") == 3


def test_what_is_read_while_an_answer_is_sent_counts(app, person):
    person.deposit("10.00")
    moved = Moved(app)
    with person.get("/balance/transactions.csv") as response:
        assert "closing_balance" in response.text
    route = "/api/v1/balance/transactions.csv"
    assert moved("http_requests_total", route=route, status="200") == 1
    assert moved("dynamodb_calls_total", route=route, operation="Query") >= 1


BREAKS = {
    "read to its end": (None, "200"),
    "a fault of the database": (drop, "500"),
    "a client that goes away": ("close", "499"),
    "a client that goes away at once": ("never", "499"),
}


@pytest.mark.parametrize(("fault", "status"), BREAKS.values(), ids=BREAKS)
@pytest.mark.parametrize("way", ["api", "page"])
def test_a_download_counts_as_what_became_of_it(faulty_app, faults, store, capfd, way, fault, status):
    browser = Browser(faulty_app).enter()
    write_deposits(store, browser.username, [f"2026-01-01T00:00:00.{number:06}Z" for number in range(1200)])
    client, path, headers = browser.client, "/statement.csv", {}
    if way == "api":
        path = "/api/v1/balance/transactions.csv"
        body = {"username": browser.username, "password": PASSWORD}
        token = client.post("/api/v1/auth/login", json=body).json["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
    moved = Moved(faulty_app)
    capfd.readouterr()
    answer = client.get(path, headers=headers, buffered=False)
    parts = iter(answer.response)
    assert answer.status_code == 200
    if fault != "never":
        next(parts)
    if fault is drop:
        faults.inject("Query", drop, drop, drop)
        with pytest.raises(StoreUnavailable):
            list(parts)
    elif fault is None:
        assert sum(part.count(b"\n") for part in parts) in {1202, 1203}  # the first part may be a mark alone
    answer.close()
    assert moved("http_requests_total", route=path, status=status) == moved("http_requests_total", route=path) == 1
    [line] = [json.loads(each) for each in capfd.readouterr().err.splitlines() if path in each]
    assert (line["status"], line["level"]) == (int(status), "error" if status == "500" else "info")


def test_the_head_of_a_download_is_no_break(app, person):
    moved = Moved(app)
    person.client.head("/api/v1/balance/transactions.csv", headers={"Authorization": f"Bearer {person.token}"}).close()
    assert moved("http_requests_total", method="HEAD", status="200") == 1


def test_a_worker_counts_its_rounds(market_app, market, new_user):
    market.set("BTC", "100.00")
    person = new_user(market_app)
    person.deposit("1000.00")
    end = clock.to_text(clock.now() + timedelta(seconds=61))
    for price, more in (("90", {}), ("80", {"expires_at": end})):
        assert person.order("limit_buy", "BTC", "1", price=price, **more).status_code == 201
    market.set("BTC", "85.00")
    runner, now = market_app.test_cli_runner(), clock.now()
    assert runner.invoke(args=["orders", "run", "--once"]).exit_code == 0
    moved = Moved(market_app)
    assert total(moved.before, "worker_orders_total", outcome="filled") >= 1
    last = total(moved.before, "worker_last_round_timestamp_seconds")
    with clock.at(now):  # what has ended since, of any test, is not this round's
        assert runner.invoke(args=["orders", "run", "--once"]).exit_code == 0
    assert moved("worker_rounds_total", outcome="done") == moved("worker_round_duration_seconds_count") == 1
    assert moved("worker_rounds_total", outcome="given_up") == 0
    assert moved("worker_last_round_timestamp_seconds") > 0 < last
    assert moved("dynamodb_calls_total", route="orders run", operation="Query") > 0
    assert moved("worker_orders_total") == moved("orders_total") == 0


def test_switched_off(endpoint, app):
    off = create_app(config(endpoint, metrics=False))
    moved = Moved(app)
    client = off.test_client(use_cookies=False)
    assert client.get("/metrics").status_code == 404
    client.get("/api/v1/balance")
    assert moved("http_requests_total", route="/api/v1/balance") == 0


def test_with_a_port_of_its_own_nothing_is_shown_beside_the_pages(endpoint):
    client = create_app(config(endpoint, metrics_port=9100)).test_client(use_cookies=False)
    for headers in ({}, {"Host": "localhost:9100"}, {"X-Forwarded-Port": "9100"}):
        assert client.get("/metrics", headers=headers).status_code == 404
    assert client.get("/health").status_code == 200


def test_how_late_an_order_is_ended(market_app, market, new_user, store):
    market.set("BTC", "100.00")
    person = new_user(market_app)
    person.deposit("1000.00")
    order_id = person.order("limit_buy", "BTC", "1", price="1").json["data"]["order_id"]
    now = clock.now()
    end = now - timedelta(seconds=20)
    store.update_item(
        TableName=TABLES["orders"],
        Key={"PK": {"S": order_id}, "SK": {"S": "ORDER"}},
        UpdateExpression="SET expires_at = :end, expiry_day = :day",
        ExpressionAttributeValues={":end": {"S": clock.to_text(end)}, ":day": {"S": end.date().isoformat()}},
    )
    runner = market_app.test_cli_runner()
    moved = Moved(market_app)
    with clock.at(now):
        assert runner.invoke(args=["orders", "run", "--once"]).exit_code == 0
    assert moved("orders_total", change="expired") == moved("worker_orders_total", outcome="expired") == 1
    assert moved("worker_expiry_lag_seconds_count") == 1
    assert moved("worker_expiry_lag_seconds_sum") == pytest.approx(20)
    assert moved("worker_expiry_lag_seconds_bucket", le="10.0") == 0


def test_a_round_that_is_given_up(faulty_app, faults):
    runner = faulty_app.test_cli_runner()
    assert runner.invoke(args=["orders", "run", "--once"]).exit_code == 0
    moved = Moved(faulty_app)
    faults.inject("Scan", drop, drop, drop)
    assert runner.invoke(args=["orders", "run", "--once"]).exit_code == 3
    assert moved("worker_rounds_total", outcome="given_up") == 1
    assert moved("worker_rounds_total", outcome="done") == moved("worker_last_round_timestamp_seconds") == 0
    assert moved("dynamodb_resends_total", operation="Scan", route="orders run") == 2
