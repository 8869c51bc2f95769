"""Proofs: who has a copy of a cookie or a token cannot do what asks again for the password."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.domain import clock
from app.domain.errors import Busy, ProofRequired
from app.domain.users import Role
from app.models.users import Token, get_user, note_proof
from app.services.profile import update_profile
from tests.pages.conftest import NewBrowser
from tests.support.accounts import deposit
from tests.support.applications import LIMITS
from tests.support.page_client import Answer, Browser
from tests.support.people import PASSWORD, Person, fields_named, problem
from tests.support.usage import usage, usage_of

NewPerson = Callable[..., Person]

# What is asked of a person or an admin, about `{name}`, and what the page of the same form is sent.
MORE = {"amount": "1000.01"}
ASKED = {
    "make a token": ("POST", "/auth/tokens", {"name": "thief", "scopes": "read transfer"}),
    "withdraw much": ("POST", "/balance/withdraw", MORE),
    "adjust": ("POST", "/admin/users/{name}/adjustments", {"amount": "5.00", "reason": "gift"}),
    "suspend": ("PATCH", "/admin/users/{name}", {"status": "suspended"}),
    "reinstate": ("PATCH", "/admin/users/{name}", {"status": "active"}),
}
LINK = {"reset link": ("POST", "/admin/users/{name}/reset-link", None)}
ALWAYS = {
    "e-mail": ("PUT", "/auth/profile", {"email": "thief.{name}@example.com"}),
    "phone": ("PUT", "/auth/profile", {"phone": "+491701234567"}),
}
PAGES = {
    "make a token": ("/account/tokens", {"name": "thief", "scopes": "read transfer"}),
    "withdraw much": ("/withdraw", {**MORE, "description": "for a boat"}),
    "adjust": ("/admin/users/{name}/adjustment", {"amount": "5.00", "reason": "gift"}),
    "suspend": ("/admin/users/{name}/status", {}),
    "reset link": ("/admin/users/{name}/reset-link", {}),
    "end sessions": ("/admin/users/{name}/sessions", {}),
}

REVIEWED = {"adjust"}


@pytest.fixture
def other(new_user: NewPerson) -> Person:
    """A user whom admins act on."""
    return new_user()


def asking(person: Person, admin: Person, what: tuple[str, str, dict | None], name: str, **more: str) -> TestResponse:
    method, path, body = what
    who = admin if "/admin/" in path else person
    json = {field: value.format(name=name) for field, value in (body or {}).items()} | more
    return who.call(method, path.format(name=name), **({"json": json} if body else {}))


def state_of(app: Flask, *people: Person) -> list[object]:
    """What none of these requests may change when it is refused."""
    with app.app_context():
        users = [get_user(person.username) for person in people]
        tokens = [
            {token.token_id for token in Token.query(person.username, Token.SK.startswith("TOKEN#"))}
            for person in people
        ]
    return [person.balance() for person in people] + [user.attribute_values for user in users] + tokens


@pytest.mark.parametrize("what", [*ASKED, *LINK, *ALWAYS])
def test_a_token_that_was_copied_does_not_do(
    app: Flask, person: Person, admin: Person, other: Person, what: str
) -> None:
    """Ten minutes after the log-in, nor with a wrong password; the right one opens the way, for ten minutes."""
    asked = {**ASKED, **LINK, **ALWAYS}[what]
    person.deposit("5000")
    before = state_of(app, person, other)
    for minutes in (10, 59):
        with clock.at(clock.now() + timedelta(minutes=minutes)):
            problem(asking(person, admin, asked, other.username), 403, "proof_required")
    if what not in LINK:
        with clock.at(clock.now() + timedelta(minutes=10)):
            wrong = asking(person, admin, asked, other.username, current_password="wrong")
            assert fields_named(problem(wrong, 422, "invalid_input")) == ["current_password"]
            assert wrong.headers["X-RateLimit-Remaining"] == "20"
            again = asking(person, admin, asked, other.username, current_password="wrong")
            assert again.headers["X-RateLimit-Remaining"] == "19", "it counts as a guess"
    assert state_of(app, person, other) == before, "a refusal writes nothing"
    with clock.at(clock.now() + timedelta(minutes=10)):
        if what in LINK:
            assert admin.post("/auth/proof", {"current_password": PASSWORD}).status_code == 204
            done = asking(person, admin, asked, other.username)
        else:
            done = asking(person, admin, asked, other.username, current_password=PASSWORD)
    assert done.status_code in {200, 201}, done.text


@pytest.mark.parametrize("what", [*ASKED, *LINK])
def test_a_proof_counts_for_ten_minutes_and_costs_no_call(
    person: Person, admin: Person, other: Person, what: str
) -> None:
    asked = {**ASKED, **LINK}[what]
    person.deposit("5000")
    fresh = asking(person, admin, asked, other.username)
    assert fresh.status_code in {200, 201}
    later = clock.now() + timedelta(minutes=30)
    who = admin if "/admin/" in asked[1] else person
    with clock.at(later):
        given = who.post("/auth/proof", {"current_password": PASSWORD})
    # The call that authenticates, how often was guessed before and after the hash, and the proof.
    assert (given.status_code, usage_of(given)) == (204, usage(4, 8, 1))
    with clock.at(later + timedelta(minutes=9, seconds=59)):
        again = asking(person, admin, asked, other.username)
        assert again.status_code in {200, 201}
        assert usage_of(again).calls == usage_of(fresh).calls
    with clock.at(later + timedelta(minutes=10)):
        problem(asking(person, admin, asked, other.username), 403, "proof_required")


def test_a_fresh_login_is_no_proof_for_another_address(person: Person) -> None:
    for body in ({"email": "x@example.com"}, {"phone": "+491701234567"}, {"phone": None, "email": "x@example.com"}):
        problem(person.call("PUT", "/auth/profile", json=body), 403, "proof_required")
    same = {"email": person.email.upper(), "phone": None, "first_name": "Bo", "current_password": "anything"}
    assert person.call("PUT", "/auth/profile", json=same).status_code == 200, "an unchanged one asks nothing"


def test_a_cheap_read_of_an_older_address_is_no_way_around(app: Flask, person: Person) -> None:
    """What a request read may be old; the change looks again."""
    with app.app_context():
        stale = get_user(person.username)
        new = f"x{person.email}"
        changed = person.call("PUT", "/auth/profile", json={"email": new, "current_password": PASSWORD})
        assert changed.status_code == 200
        with pytest.raises(ProofRequired):
            update_profile(stale, {"email": stale.email})
        assert get_user(person.username).email == new


def test_up_to_a_thousand_dollars_need_no_proof(person: Person) -> None:
    person.deposit("5000")
    with clock.at(clock.now() + timedelta(minutes=59)):
        assert person.withdraw("1000.00").status_code == 201
        problem(person.withdraw("1000.01"), 403, "proof_required")


def test_a_personal_token_withdraws_and_proves_nothing(person: Person) -> None:
    """Its making was proved, and the scope chosen; it has no password to give, and is never who someone is."""
    person.deposit("5000")
    made = person.post("/auth/tokens", {"name": "payouts", "scopes": "read transfer"})
    using = {"headers": {"Authorization": f"Bearer {made.json['access_token']}"}}
    with clock.at(clock.now() + timedelta(days=1)):
        assert person.withdraw("2000", **using).status_code == 201
        proof = {"current_password": PASSWORD}
        problem(person.post("/auth/proof", proof, **using), 403, "insufficient_scope")
        for _, (method, path, body) in ALWAYS.items():
            problem(person.call(method, path, json={**body, **proof}, **using), 403, "insufficient_scope")


def test_guesses_of_the_password_are_bounded(person: Person) -> None:
    with clock.at(clock.now() + timedelta(minutes=20)):
        for _ in range(LIMITS.guesses_per_account_and_address):
            problem(person.post("/auth/proof", {"current_password": "wrong"}), 422, "invalid_input")
        problem(person.post("/auth/proof", {"current_password": PASSWORD}), 429, "too_many_requests")


def test_a_proof_of_a_session_that_has_ended_is_not_noted(app: Flask, person: Person) -> None:
    with app.app_context():
        username, token_id, _ = person.token.split(".")
        token = Token.get(*Token.key(username, token_id))
        person.post("/auth/logout")
        with pytest.raises(Busy):
            note_proof(token, now=clock.now())
        assert Token.find(Token.key(username, token_id)) is None


def test_a_token_of_an_older_version_was_proved_when_it_was_made(app: Flask, person: Person) -> None:
    username, token_id, _ = person.token.split(".")
    with app.app_context():
        Token(*Token.key(username, token_id)).update([Token.proved_at.remove()])
    assert person.post("/auth/tokens", {"name": "soon"}).status_code == 201
    with clock.at(clock.now() + timedelta(minutes=10)):
        problem(person.post("/auth/tokens", {"name": "late"}), 403, "proof_required")


@pytest.fixture
def operator(new_browser: NewBrowser) -> Browser:
    return new_browser().enter(Role.ADMIN)


def with_money(app: Flask, browser: Browser) -> None:
    with app.app_context():
        deposit(browser.username, "5000")


def asked(answer: Answer) -> bool:
    return "current_password" in answer.shown.attributes


@pytest.mark.parametrize("what", PAGES)
def test_a_cookie_that_was_copied_is_asked_for_the_password_in_place(
    app: Flask, operator: Browser, ann: Browser, what: str
) -> None:
    """The same form again, with its values and a field for the password; the right one applies it once."""
    path, values = PAGES[what]
    path = path.format(name=ann.username)
    who = operator if "/admin/" in path else ann
    with_money(app, ann)
    with clock.at(clock.now() + timedelta(minutes=10)):
        page = who.get(path)
        assert not asked(page)
        refused = who.send(who.reviewed(path, **values)) if what in REVIEWED else who.send(page.form(), **values)
        assert refused.status == 403 and asked(refused)
        assert refused.error_of("current_password") == "Enter your password to go on."
        assert {name: refused.form().values[name] for name in values if name != "scopes"} == {
            name: value for name, value in values.items() if name != "scopes"
        }
        kept = {"scopes": values["scopes"]} if "scopes" in values else {}
        wrong = who.send(refused.form(), **kept, current_password="wrong")
        assert wrong.status == 422 and wrong.error_of("current_password") == "This is not your current password."
        assert "wrong" not in wrong.form().values.values()
        done = who.send(wrong.form(), **kept, current_password=PASSWORD)
        assert done.status in {201, 303}, done.text
        # From now on the session is proved.
        again = who.send(who.reviewed(path, **values)) if what in REVIEWED else who.submit(path, **values)
        assert again.status in {201, 303}


def test_the_page_of_the_profile_asks_for_the_password_beside_the_address(ann: Browser) -> None:
    for values in ({"email": "thief@example.com"}, {"phone": "+491701234567"}):
        refused = ann.submit("/account", **values)
        assert refused.status == 403 and refused.error_of("current_password") == "Enter your password to go on."
        wrong = ann.send(refused.form(), current_password="wrong")
        assert wrong.status == 422
    assert ann.get("/account").form().values["email"] == f"{ann.username}@example.com"
    assert ann.submit("/account", first_name="Bo").status == 303
    assert ann.send(refused.form(), current_password=PASSWORD).status == 303


def test_logging_out_elsewhere_makes_no_proof(app: Flask, ann: Browser) -> None:
    """The new session of who has only a cookie is as old, as a proof, as the one that it replaces."""
    with clock.at(clock.now() + timedelta(minutes=10)):
        ann.done("/account/sessions")
        assert ann.submit("/account/tokens", name="thief").status == 403


def test_logging_in_again_is_a_proof(ann: Browser) -> None:
    with clock.at(clock.now() + timedelta(minutes=10)):
        ann.log_out()
        ann.log_in(ann.username)
        assert ann.submit("/account/tokens", name="mine").status == 201
