"""Logging in and out, and what a token opens."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.domain import clock
from app.models.users import Token, User
from tests.support.people import PASSWORD, problem, registration
from tests.support.usage import AUTHENTICATION, usage_of

PROTECTED = [
    ("GET", "/auth/profile"),
    ("POST", "/auth/logout"),
    ("GET", "/balance"),
    ("POST", "/balance/deposit"),
    ("POST", "/balance/withdraw"),
    ("GET", "/balance/transactions"),
    ("GET", "/balance/transactions/000000000001"),
    ("GET", "/balance/assets"),
    ("GET", "/balance/asset/BTC"),
    ("GET", "/portfolio"),
    ("POST", "/orders"),
    ("GET", "/orders"),
    ("GET", "/orders/order_0123456789"),
    ("GET", "/assets/transactions"),
    ("GET", "/assets/transactions.csv"),
    ("GET", "/assets/BTC/transactions"),
]


def log_in(client, username, password=PASSWORD):
    return client.post("/api/v1/auth/login", json={"username": username, "password": password})


def test_the_answer(person, client):
    response = log_in(client, person.username)
    assert response.status_code == 200
    body = response.json
    assert set(body) == {"success", "access_token", "token_type", "expires_in", "device", "user"}
    assert (body["success"], body["token_type"], body["expires_in"]) == (True, "bearer", 3600)
    assert len(body["access_token"]) > 40
    assert body["user"] == person.get("/auth/profile").json
    assert body["user"]["username"] == person.username


def test_by_username_or_email_in_any_case(person, client):
    for identifier in (
        person.username,
        person.username.upper(),
        f" {person.username} ",
        person.email,
        person.email.upper(),
    ):
        person.log_in(identifier)
        assert person.get("/auth/profile").json["username"] == person.username


# How an address may be typed at registration and at log-in; all of one row are the same.
SAME_ADDRESS = {
    "punycode": ["{}@xn--bcher-kva.example", "{}@bücher.example", "{}@BÜCHER.example", "{}@XN--BCHER-KVA.EXAMPLE"],
    "decomposed": ["{}é@example.com", "{}e\u0301@example.com", "{}É@example.com"],
    "full-width domain": ["{}@ｅxample.com", "{}@example.com"],
    "ideographic full stop": ["{}@example\u3002com", "{}@example.com"],
    "spaces around": [" {}@example.com ", "{}@example.com"],
}


@pytest.mark.parametrize("typed", SAME_ADDRESS.values(), ids=SAME_ADDRESS.keys())
def test_the_address_that_was_registered_logs_in(client, typed):
    for registered in typed:
        body = registration()
        name = body["username"]
        assert client.post("/api/v1/auth/register", json={**body, "email": registered.format(name)}).status_code == 201
        for each in typed:
            answer = log_in(client, each.format(name))
            assert answer.status_code == 200, (registered, each)
            # As the profile shows it.
            assert log_in(client, answer.json["user"]["email"]).status_code == 200
        problem(
            client.post("/api/v1/auth/register", json={**registration(), "email": each.format(name)}),
            409,
            "email_taken",
        )


def test_failures_count_for_the_address_however_it_is_written(client):
    name = registration()["username"]
    left = [
        int(log_in(client, each.format(name), "wrong").headers["X-RateLimit-Remaining"])
        for each in SAME_ADDRESS["punycode"]
    ]
    assert left == [20, 19, 18, 17]


@pytest.mark.parametrize(
    "name", ["@", "a@", "ann@printer.local", "a@b@c", "ann@[127.0.0.1]", "\u212aelvin", "#", "x" * 254]
)
def test_what_cannot_be_a_name_is_simply_wrong(client, name):
    problem(log_in(client, name), 401, "invalid_credentials")


@pytest.mark.parametrize(
    "identifier",
    ["nobody_at_all", "nobody@example.com", "no such form!", "a", "a#b", "@", "#", "TRANS#x", "x" * 254, "ann@", "né"],
)
def test_unknown_and_wrong_are_the_same_401(person, client, identifier):
    wrong = problem(log_in(client, person.username, "not the password"), 401, "invalid_credentials")
    unknown = problem(log_in(client, identifier), 401, "invalid_credentials")
    assert {**wrong, "request_id": ""} == {**unknown, "request_id": ""}


@pytest.mark.parametrize("password", ["", "short", "x" * 129, "x" * 20_000, "a\0b", "a\nb", "\ud800", "\udfff" * 12])
def test_what_is_no_possible_password_is_a_wrong_one(person, client, password):
    problem(log_in(client, person.username, password), 401, "invalid_credentials")
    problem(log_in(client, f"nobody_{abs(hash(password)) % 10**9}", password), 401, "invalid_credentials")


@pytest.mark.parametrize(
    "body",
    [
        {"username": "ann"},
        {"password": PASSWORD},
        {"username": 1, "password": PASSWORD},
        {},
        {"username": "ann", "password": 123456789012},
        {"username": ["ann"], "password": PASSWORD},
        {"username": None, "password": None},
        {"username": "a\ud800", "password": PASSWORD},
        {"username": "x" * 300, "password": PASSWORD},
    ],
    ids=str,
)
def test_malformed_log_in(client, body):
    problem(client.post("/api/v1/auth/login", json=body), 422, "invalid_input")


def test_each_log_in_has_a_token_of_its_own(person):
    first = person.token
    second = person.log_in()
    assert first != second
    assert person.get("/balance").status_code == 200
    person.token = first
    assert person.get("/balance").status_code == 200


def test_log_out_ends_this_token_only(person):
    first = person.token
    second = person.log_in()
    response = person.post("/auth/logout")
    assert (response.status_code, response.json) == (200, {"message": "Logged out successfully"})
    for method, path in PROTECTED:
        problem(person.call(method, path), 401, "not_authenticated")
    person.token = first
    assert person.get("/balance").status_code == 200 and second != first


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"json": {"anything": 1}},
        {"data": b"", "content_type": "text/plain"},
        {"data": b"{", "content_type": "application/json"},
    ],
    ids=["nothing", "json", "plain text", "broken json"],
)
def test_log_out_needs_no_body(person, sent):
    assert person.call("POST", "/auth/logout", **sent).status_code == 200


# What is sent instead of a token; {token} is a live one, {other} a live one of somebody else.
NO_TOKENS = {
    "missing": None,
    "empty": "",
    "only the scheme": "Bearer",
    "scheme and space": "Bearer ",
    "no scheme": "{token}",
    "another scheme": "Basic {token}",
    "two tokens": "Bearer {token} {token}",
    "one letter more": "Bearer {token}x",
    "one letter less": "Bearer {token:.-1}",
    "unknown secret": "Bearer {forged}",
    "token of another user": "Bearer {stolen}",
    "capitals": "Bearer {capitals}",
    "a JSON web token": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.",
    "not ASCII": "Bearer ü.ü.ü",
    "very long": "Bearer " + "x" * 5000,
    "key characters": "Bearer BALANCE#x.0123456789abcdef.x",
}


def forge(template: str | None, token: str, other: str) -> str | None:
    if template is None:
        return None
    username, token_id, secret = token.split(".")
    return (
        template.replace("{token:.-1}", token[:-1])
        .replace("{token}", token)
        .replace("{forged}", f"{username}.{token_id}.{secret[1:]}{secret[0]}A"[: len(token)])
        .replace("{stolen}", ".".join([other.split(".")[0], token_id, secret]))
        .replace("{capitals}", token.upper())
    )


@pytest.mark.parametrize("template", NO_TOKENS.values(), ids=NO_TOKENS.keys())
def test_no_token_no_answer(person, new_user, client, template):
    sent = forge(template, person.token, new_user().token)
    headers = {} if sent is None else {"Authorization": sent}
    for method, path in PROTECTED:
        response = client.open(f"/api/v1{path}", method=method, headers=headers, json={} if method == "POST" else None)
        problem(response, 401, "not_authenticated")
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert person.get("/balance").status_code == 200


def test_the_scheme_may_be_in_any_case(person):
    for scheme in ("bearer", "BEARER"):
        assert person.get("/balance", headers={"Authorization": f"{scheme} {person.token}"}).status_code == 200


@pytest.mark.parametrize("place", ["cookie", "query", "form"])
def test_a_token_is_read_from_the_header_alone(person, client, place):
    sent = {
        "cookie": {"headers": {"Cookie": f"Authorization=Bearer {person.token}; session={person.token}"}},
        "query": {"query_string": {"access_token": person.token, "token": person.token}},
        "form": {"data": {"access_token": person.token}},
    }[place]
    problem(client.get("/api/v1/balance", **sent), 401, "not_authenticated")


def change_items(app, username, *, status=None, epoch=None, expires_at=None):
    with app.app_context():
        if status or epoch:
            changes = [User.status.set(status)] if status else [User.session_epoch.set(epoch)]
            User.get(*User.key(username)).update(actions=changes)
        if expires_at:
            for token in Token.query(username, Token.SK.startswith("TOKEN#")):
                token.update(actions=[Token.expires_at.set(expires_at)])


def test_an_expired_token_opens_nothing(app, person):
    change_items(app, person.username, expires_at=clock.now() + timedelta(seconds=30))
    assert person.get("/balance").status_code == 200
    change_items(app, person.username, expires_at=clock.now() - timedelta(seconds=1))
    for method, path in PROTECTED:
        problem(person.call(method, path), 401, "not_authenticated")
    assert person.log_in() and person.get("/balance").status_code == 200


def test_a_login_lives_one_hour(app, person):
    with app.app_context():
        [token] = Token.query(person.username, Token.SK.startswith("TOKEN#"))
    assert abs(token.expires_at - token.created_at - timedelta(hours=1)) < timedelta(seconds=1)
    assert abs(clock.now() - token.created_at) < timedelta(minutes=1)
    assert token.ttl >= token.expires_at - timedelta(seconds=1), "deleted before it has expired"


def test_a_token_of_an_older_session_epoch_opens_nothing(app, person):
    change_items(app, person.username, epoch=1)
    problem(person.get("/balance"), 401, "not_authenticated")
    assert person.log_in() and person.get("/balance").status_code == 200


def test_a_suspended_user_is_told_so_and_can_do_nothing(app, person, client):
    person.deposit("10")
    change_items(app, person.username, status="SUSPENDED")
    for method, path in PROTECTED:
        problem(person.call(method, path), 403, "account_suspended")
    problem(log_in(client, person.username), 403, "account_suspended")
    problem(log_in(client, person.username, "not the password"), 401, "invalid_credentials")
    change_items(app, person.username, status="ACTIVE")
    assert person.balance() == "10.00"


def test_authentication_takes_one_call(person):
    assert usage_of(person.get("/auth/profile")) == AUTHENTICATION


def test_a_refused_token_costs_no_more_than_two_calls(person):
    person.token = person.token[:-43] + "A" * 43
    # The balance is read consistently, and the token with it.
    for path, calls in (("/auth/profile", 2), ("/balance", 1)):
        response = person.get(path)
        assert usage_of(response).calls == calls and response.status_code == 401


def test_a_malformed_token_costs_nothing(person):
    person.token = "x" * 100
    assert usage_of(person.get("/balance")).calls == 0
