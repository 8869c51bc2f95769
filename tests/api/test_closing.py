"""Closing an account: what must be gone before, what is left of it, and what can no longer be done with it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import bcrypt
import pytest
from flask import Flask, current_app

from app.audit.run import audit_user
from app.domain import clock
from app.domain.errors import UserNotFound
from app.domain.ledger import TransactionType
from app.domain.mails import MailKind
from app.domain.orders import Side
from app.domain.users import Role
from app.models import addresses, users
from app.models.balance_changes import open_account, post_transaction
from app.models.proofs import new_proof
from app.models.users import EmailClaim, User
from app.services import admin, closing, guesses, profile
from app.services.passwords import MATCHES_NOTHING, hash_password, is_password
from app.services.proving import Evidence
from app.services.second_factor import begin_reset
from tests.support.accounts import deposit, place, place_limit, user_item
from tests.support.authenticator import enrol
from tests.support.books import check_books, query, scan
from tests.support.faults import let
from tests.support.page_client import Browser
from tests.support.people import PASSWORD, Person, caller, fields_named, problem, register, registration
from tests.support.usage import usage, usage_of

PERSONAL = {"phone": "+442079460000", "date_of_birth": "1990-12-31", "marketing_emails_consent": True}
_numbers = itertools.count(1)


def close(person: Person, password: str = PASSWORD) -> Any:
    return person.post("/account/close", {"current_password": password})


# What somebody owns, as JSON names it, and where the page leads.
REMAINS: dict[str, tuple[Callable[[str], object], dict[str, str], str]] = {
    "cash": (lambda name: deposit(name, "5.00"), {"cash": "5.00"}, '<a href="/withdraw">Withdraw</a>'),
    "an open order to buy": (
        lambda name: (deposit(name, "5.00"), place_limit(name, Side.BUY, "1", "5")),
        {"reserved_cash": "5.00"},
        '<a href="/orders?status=pending">open orders to buy</a>',
    ),
    "an asset": (
        lambda name: (deposit(name, "5.00"), place(name, Side.BUY, "0.5", price="10")),
        {"holdings": "0.5 BTC"},
        '<a href="/assets/BTC">BTC</a>',
    ),
    "an open order to sell": (
        lambda name: (
            deposit(name, "5.00"),
            place(name, Side.BUY, "0.5", price="10"),
            place_limit(name, Side.SELL, "0.5", "20"),
        ),
        {"reserved_holdings": "0.5 BTC"},
        '<a href="/orders?status=pending&amp;asset_id=BTC">open orders to sell',
    ),
}
NOTHING = dict.fromkeys(("cash", "reserved_cash", "holdings", "reserved_holdings"), "")


@pytest.mark.parametrize(("own", "left", "link"), REMAINS.values(), ids=REMAINS.keys())
def test_an_account_that_is_not_empty_stays(
    app: Flask, new_user: Callable[..., Person], own: Any, left: dict[str, str], link: str
) -> None:
    person = new_user()
    with app.app_context():
        own(person.username)
        before = users.get_user(person.username).attribute_values
        refused = problem(close(person), 409, "account_not_empty")
        assert {name: refused[name] for name in NOTHING} == {**NOTHING, **left}
        assert all(text in refused["detail"] for text in left.values())
        assert users.get_user(person.username).attribute_values == before
    browser = Browser(app)
    browser.log_in(person.username)
    page = browser.get("/account/close")
    assert link in " ".join(page.response.text.split()) and "current_password" not in page.shown.attributes


def test_the_way_by_page(app: Flask, person: Person) -> None:
    browser, other = Browser(app), Browser(app)
    for each in (browser, other):
        each.log_in(person.username)
    assert "/account/close" in browser.get("/account").shown.links
    form = browser.get("/account/close").form()
    assert form.action == "/account/close"
    refused = browser.send(form, current_password="wrong horse")
    assert "not your current password" in refused.error_of("current_password")
    cookie = {each.key: each.value for each in browser.client._cookies.values()}
    done = browser.send(form, current_password=PASSWORD)
    assert (done.status, done.location) == (303, "/")
    assert "Your account is closed" in browser.get("/").text
    assert browser.get("/dashboard", 303).location.startswith("/login")
    assert other.get("/dashboard", 303).location.startswith("/login")
    # A second click, which left before the answer to the first came.
    for name, value in cookie.items():
        browser.client.set_cookie(name, value)
    again = browser.send(form, current_password=PASSWORD)
    assert (again.status, again.location) == (303, "/")
    told = browser.get("/").text
    assert "Your account is closed" in told and "nothing was applied" not in told


def test_nothing_personal_is_left(app: Flask, store: Any, person: Person) -> None:
    assert (
        person.call(
            "PUT", "/auth/profile", json={**PERSONAL, "first_name": "Zoraida", "current_password": PASSWORD}
        ).status_code
        == 200
    )
    person.deposit("5")
    person.withdraw("5")
    for number in range(3):
        person.post("/auth/tokens", {"name": f"Zoraida's script {number}"})
    ledger = query(store, "users", "PK", person.username)
    assert usage_of(close(person)) == usage(7, 13, 10 + 3 * 2)
    rows = [row for row in scan(store, "users") if person.username in json.dumps(row)]
    text = json.dumps(rows)
    for personal in (person.email, "Zoraida", "Smith", PERSONAL["phone"], PERSONAL["date_of_birth"]):
        assert personal not in text
    assert not query(store, "users", "email", person.email, index="EmailIndex")
    [user] = [row for row in rows if row["SK"] == "USER"]
    assert user["status"] == "CLOSED" and user["password_hash"] == MATCHES_NOTHING
    assert (user["session_epoch"], user["token_epoch"], user["marketing_emails_consent"]) == ("1", "1", False)
    kept = [row for row in ledger if row["SK"].startswith("TRANS#")]
    assert kept and kept == [row for row in rows if row["SK"].startswith("TRANS#")]
    check_books(store, person.username)
    with app.app_context():
        assert audit_user(person.username, pauses=()).violations == []


def test_more_tokens_than_a_batch_takes_do_not_stand_in_the_way(app: Flask, store: Any, person: Person) -> None:
    """The others are ended, and stay until their own end."""
    phone = enrol(person)
    with app.app_context():
        [token] = users.list_tokens(person.username)
        for number in range(100):
            token.token_id, token.stored_kind = f"{number:016x}", "personal"
            token.SK = f"TOKEN#{token.token_id}"
            assert users.add_token(token)
    done = person.post("/account/close", {"current_password": PASSWORD, "code": phone.recovery_codes[0]})
    assert done.status_code == 204
    rows = query(store, "users", "PK", person.username)
    assert sum(row.get("kind") == "personal" for row in rows) == 100 - 94
    with app.app_context():
        assert audit_user(person.username, pauses=()).violations == []


def test_closing_costs_and_a_repetition_is_answered_as_the_first(app: Flask, person: Person) -> None:
    assert usage_of(close(person, "wrong horse")) == usage(5, 5, 3)
    first = close(person)
    assert (first.status_code, usage_of(first)) == (204, usage(7, 13, 10))
    for _ in range(2):
        again = close(person)
        assert (again.status_code, again.data, usage_of(again)) == (204, b"", usage(2, 3, 0))
    # Only by the credential that closed it, or lived then.
    stranger = register(app)
    stranger.token = f"{person.username}.{stranger.token.split('.', 1)[1]}"
    problem(close(stranger), 401, "not_authenticated")
    person.token = person.token[:-1] + ("A" if person.token[-1] != "A" else "B")
    problem(close(person), 401, "not_authenticated")


def test_a_wrong_password_counts_as_a_guess(app: Flask, person: Person) -> None:
    left = []
    for _ in range(2):
        refused = close(person, "wrong horse")
        assert fields_named(problem(refused, 422, "invalid_input")) == ["current_password"]
        left.append(int(refused.headers["X-RateLimit-Remaining"]))
    assert left[1] == left[0] - 1


def test_who_may_close(app: Flask, person: Person) -> None:
    made = person.post("/auth/tokens", {"name": "all", "scopes": "read trade transfer"}).json
    login, person.token = person.token, made["access_token"]
    problem(close(person), 403, "insufficient_scope")
    person.token = login
    with app.app_context():
        users.set_role(person.username, Role.ADMIN, now=clock.now())
    person.log_in()
    problem(close(person), 409, "still_admin")
    browser = Browser(app)
    browser.log_in(person.username)
    page = browser.get("/account/close")
    assert "cannot be closed" in page.text and "current_password" not in page.shown.attributes


def test_a_second_factor_is_asked_for_and_goes_too(app: Flask, store: Any, person: Person) -> None:
    phone = enrol(person)
    problem(close(person), 403, "proof_required")
    wrong = person.post("/account/close", {"current_password": PASSWORD, "code": "000000"})
    assert fields_named(problem(wrong, 422, "invalid_input")) == ["code"]
    browser = Browser(app)
    browser.submit("/login", username=person.username, password=PASSWORD)
    done = person.post("/account/close", {"current_password": PASSWORD, "code": phone.recovery_codes[0]})
    assert (done.status_code, usage_of(done)) == (204, usage(9, 14, 10 + 2 + 4)), (
        "a factor removed, a code used with its event"
    )
    rows = query(store, "users", "PK", person.username)
    assert not [row for row in rows if row["SK"] == "FACTOR" or "second_factor" in row]
    with app.app_context():
        assert audit_user(person.username, pauses=()).violations == []
        with pytest.raises(UserNotFound):
            begin_reset(person.username, current_app.extensions["factors"])


def test_a_closed_account_is_like_an_unknown_one(
    app: Flask, new_user: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same answers, calls and units; and a hash at the cost of today, not at that of what stands for its hash."""
    person = new_user()
    personal = person.post("/auth/tokens", {"name": "script"}).json["access_token"]
    client, device = (
        caller(app),
        person.client.post("/api/v1/auth/login", json={"username": person.username, "password": PASSWORD}).json[
            "device"
        ],
    )
    assert close(person).status_code == 204
    monkeypatch.setattr(bcrypt, "checkpw", None)
    unknown = registration()
    for name, other in ((person.username, unknown["username"]), (person.email, unknown["email"])):
        answers = [
            client.post("/api/v1/auth/login", json={"username": each, "password": PASSWORD}) for each in (name, other)
        ]
        for answer in answers:
            problem(answer, 401, "invalid_credentials")
        assert usage_of(answers[0]) == usage_of(answers[1])
        assert answers[0].json["detail"] == answers[1].json["detail"]
    with_mark = {"json": {"username": person.username, "password": PASSWORD}, "headers": {"X-Device": device}}
    problem(client.post("/api/v1/auth/login", **with_mark), 401, "invalid_credentials")
    for token in (person.token, personal):
        person.token = token
        for path in ("/balance", "/auth/profile", "/orders", "/auth/tokens", "/portfolio"):
            problem(person.get(path), 401, "not_authenticated")
        for path, body in (("/balance/deposit", {"amount": "1"}), ("/auth/logout", None)):
            problem(person.post(path, body), 401, "not_authenticated")


def test_the_name_stays_taken_and_the_address_is_free(app: Flask, person: Person) -> None:
    assert close(person).status_code == 204
    client = caller(app)
    taken = client.post("/api/v1/auth/register", json=registration(username=person.username))
    problem(taken, 409, "username_taken")
    assert client.post("/api/v1/auth/register", json=registration(email=person.email)).status_code == 201
    hint = Browser(app).get("/register").shown.text_of("username-hint")
    assert "do not use your real name" in hint


def test_what_operators_see_and_can_do(app: Flask, new_user: Callable[..., Person]) -> None:
    person, boss = new_user(), new_user()
    with app.app_context():
        deposit(person.username, "5.00")
        place(person.username, Side.BUY, "0.5", price="10", asset_id="XRP")
        place(person.username, Side.SELL, "0.5", price="10", asset_id="XRP")
        post_transaction(person.username, TransactionType.WITHDRAW, Decimal("5.00"))
        users.set_role(boss.username, Role.ADMIN, now=clock.now())
    boss.log_in()
    assert close(person).status_code == 204
    name = f"/admin/users/{person.username}"
    seen = boss.get(name).json["user"]
    assert (seen["status"], seen["email"], seen["first_name"], seen["last_name"]) == ("closed", None, None, None)
    assert boss.get(f"/admin/users?username={person.username}").json["data"] == [seen]
    assert boss.get(f"/admin/users?email={person.email}").json["data"] == []
    assert len(boss.get(f"{name}/transactions").json["transactions"]) == 4
    assert len(boss.get(f"{name}/orders").json["data"]) == 2
    holders = boss.get("/admin/assets/XRP/balances").json["data"]
    assert person.username not in {row["username"] for row in holders}
    for status in ("active", "suspended"):
        problem(boss.call("PATCH", name, json={"status": status}), 404, "user_not_found")
    invalid = problem(boss.call("PATCH", name, json={"status": "closed"}), 422, "invalid_input")
    assert invalid["errors"] == [{"field": "status", "message": "Choose one of: active, suspended."}]
    for amount in ("5", "20000"):
        problem(boss.post(f"{name}/adjustments", {"amount": amount, "reason": "x"}), 404, "user_not_found")
    assert boss.get(f"{name}/events").json["data"][0]["event"] == "account_closed"
    problem(boss.post(f"{name}/reset-link"), 404, "user_not_found")
    browser = Browser(app)
    browser.log_in(boss.username)
    page = browser.get(name)
    assert "Its owner closed this account" in page.text and "None" not in page.text
    assert not [link for link in page.shown.links if link.endswith(("/status", "/adjustment", "/reset-link"))]
    for path in ("/status", "/adjustment", "/reset-link"):
        browser.get(name + path, 404)
    for command in ("promote", "demote", "reset-link"):
        assert app.test_cli_runner().invoke(args=["users", command, person.username]).exit_code == 1


def test_no_password_has_the_hash_of_a_closed_account() -> None:
    assert not is_password(PASSWORD, MATCHES_NOTHING) and not is_password("", MATCHES_NOTHING)


# What happens between the reading and the batch: what closing answers then, and whether the account is closed.
def opened(app: Flask) -> str:
    name = f"closing_{next(_numbers)}"
    with app.app_context():
        open_account(user_item(name, password_hash=hash_password(PASSWORD)))
    return name


def try_to_close(name: str) -> str:
    try:
        attempt = guesses.begin_login(name, address="10.9.8.7")
        closing.close_account(attempt, Evidence(PASSWORD), current_app.extensions["factors"])
    except Exception as error:
        return getattr(error, "code", repr(error))
    return "done"


def buy_all(name: str) -> None:
    deposit(name, "5.00")
    place(name, Side.BUY, "0.5", price="10")


def move_address(name: str) -> None:
    addresses.update_profile(name, {"email": f"{name}.new@example.com"}, proved=True, now=clock.now())


BETWEEN: dict[str, tuple[Callable[[str], object], str]] = {
    "nothing": (lambda name: None, "done"),
    "a deposit": (lambda name: deposit(name, "5.00"), "account_not_empty"),
    "a deposit that is spent at once": (buy_all, "account_not_empty"),
    "a promotion": (lambda name: users.set_role(name, Role.ADMIN, now=clock.now()), "not_authenticated"),
    "a new password": (
        lambda name: users.set_password(users.get_user(name), hash_password("x"), now=clock.now()),
        "not_authenticated",
    ),
    "another address": (move_address, "done"),
    "the same form": (try_to_close, "done"),
}


@pytest.mark.parametrize("call", ["BatchGetItem", "Query", "TransactWriteItems"])
@pytest.mark.parametrize(("between", "answer"), BETWEEN.values(), ids=BETWEEN.keys())
def test_closing_sees_what_came_between(
    app: Flask, faulty_app: Flask, faults: Any, store: Any, between: Any, answer: str, call: str
) -> None:
    name = opened(app)
    # Of the calls that read several items, the third reads what is decided on, after two about the password.
    first = [None] * 2 if call == "BatchGetItem" else []
    passed = [lambda forwarder, sent: forwarder.forward(sent) for _ in first]
    faults.inject(call, *passed, let(app, lambda: between(name)))
    with faulty_app.app_context():
        assert try_to_close(name) == answer
    assert not faults.waiting
    with app.app_context():
        user = User.get(*User.key(name))
        assert user.is_closed == (answer == "done")
        assert audit_user(name, pauses=()).violations == []
        if user.is_closed:
            for address in (f"{name}@example.com", f"{name}.new@example.com"):
                assert EmailClaim.find(EmailClaim.key(address)) is None
    check_books(store, name)


def adjust(name: str, amount: str = "5.00") -> Any:
    return admin.adjust_balance(user_item("boss"), name, Decimal(amount), "gift", approval_over=Decimal("100.00"))


# What was begun before, and is written after the account was closed.
TOO_LATE: dict[str, tuple[Callable[[str], object], str]] = {
    "a deposit": (lambda name: deposit(name, "5.00"), "not_authenticated"),
    "an adjustment": (adjust, "user_not_found"),
    "a change of the profile": (
        lambda name: addresses.update_profile(name, {"first_name": "Zoraida"}, proved=False, now=clock.now()),
        "not_authenticated",
    ),
    "another address": (move_address, "not_authenticated"),
    "the end of all sessions": (lambda name: profile.log_out_everywhere(name), "user_not_found"),
    "a promotion": (lambda name: users.set_role(name, Role.ADMIN, now=clock.now()), "user_not_found"),
}


@pytest.mark.parametrize(("act", "code"), TOO_LATE.values(), ids=TOO_LATE.keys())
def test_nothing_follows_the_end(
    app: Flask, faulty_app: Flask, faults: Any, store: Any, act: Callable[[str], object], code: str
) -> None:
    name = opened(app)
    between = let(app, lambda: try_to_close(name))
    for call in ("TransactWriteItems", "UpdateItem"):
        faults.inject(call, between)
    with faulty_app.app_context(), pytest.raises(Exception) as raised:
        act(name)
    assert raised.value.code == code
    faults.heal()
    rows = query(store, "users", "PK", name)
    assert {row["status"] for row in rows if row["SK"] == "USER"} == {"CLOSED"}
    assert [row for row in rows if row["SK"].startswith("TRANS#")] == [] and "Zoraida" not in str(rows)
    with app.app_context():
        assert audit_user(name, pauses=()).violations == []


def test_a_new_password_that_comes_too_late_is_refused(app: Flask, faulty_app: Flask, faults: Any) -> None:
    name = opened(app)
    with faulty_app.app_context():
        user = users.get_user(name)
        faults.inject("TransactWriteItems", let(app, lambda: try_to_close(name)))
        assert not users.set_password(user, hash_password("another one"), now=clock.now())
        assert users.find_user(name) is None and users.find_user(name, even_closed=True)


def test_the_claim_of_another_stays(app: Flask, store: Any) -> None:
    """An address that was never confirmed may be another's by now."""
    name, owner = opened(app), opened(app)
    with app.app_context():
        user = users.get_user(name)
        since = clock.now()
        user.update([User.email_unconfirmed_since.set(since)])
        claim = EmailClaim.find(EmailClaim.key(user.email))
        assert claim
        claim.update([EmailClaim.username.set(owner)])
        assert try_to_close(name) == "done"
        left = EmailClaim.find(EmailClaim.key(f"{name}@example.com"))
        assert left and left.username == owner
        left.delete()


def test_a_link_that_is_used_meanwhile_leaves_no_claim(app: Flask, faulty_app: Flask, faults: Any) -> None:
    name = opened(app)
    with app.app_context():
        user = users.get_user(name)
        user.update([User.email_unconfirmed_since.set(clock.now())])
        EmailClaim(*EmailClaim.key(user.email)).delete()
        link = new_proof(MailKind.CONFIRM_EMAIL, name, user.email, session_epoch=0)
        link.proof.save()
    faults.inject("TransactWriteItems", let(app, lambda: addresses.confirm_address(link.token)))
    with faulty_app.app_context():
        assert try_to_close(name) == "done"
    with app.app_context():
        assert EmailClaim.find(EmailClaim.key(f"{name}@example.com")) is None


def test_many_who_close_at_once(app: Flask, store: Any, person: Person) -> None:
    with ThreadPoolExecutor(4) as pool:
        people = [Person(caller(app), person.username, person.email, person.token) for _ in range(4)]
        answers = {answer.status_code for answer in pool.map(close, people)}
    assert answers <= {204, 503} and 204 in answers
    [user] = [row for row in query(store, "users", "PK", person.username) if row["SK"] == "USER"]
    assert user["session_epoch"] == "1"
