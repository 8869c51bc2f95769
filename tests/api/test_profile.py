"""The profile and the password: what can be changed, by whom, and what that ends."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from app.domain import clock
from tests.support.page_client import Browser
from tests.support.people import NOON, PASSWORD, fields_named, problem, registration
from tests.support.usage import AUTHENTICATION, usage, usage_of

NEW_PASSWORD = "nine yellow saucers"


def change(person, **fields):
    """With the password, which another address or phone number needs."""
    return person.call("PUT", "/auth/profile", json={"current_password": PASSWORD, **fields})


def changed(person, **fields):
    """A change that must succeed: the user afterwards."""
    response = change(person, **fields)
    assert response.status_code == 200, response.text
    assert set(response.json) == {"success", "message", "user"} and response.json["success"] is True
    assert person.get("/auth/profile").json == response.json["user"]
    return response.json["user"]


CHANGES = {
    "first name": ({"first_name": " Zoë "}, {"first_name": "Zoë"}),
    "last name": ({"last_name": "O’Neill-Świątek Jr."}, {"last_name": "O'Neill-Świątek Jr."}),
    "phone": ({"phone": "+44 (20) 7946-0000"}, {"phone": "+442079460000"}),
    "date of birth": ({"date_of_birth": "1990-02-28"}, {"date_of_birth": "1990-02-28"}),
    "consent": ({"marketing_emails_consent": True}, {"marketing_emails_consent": True}),
    "several": ({"first_name": "Bo", "phone": "0123456789"}, {"first_name": "Bo", "phone": "0123456789"}),
    "nothing": ({}, {}),
    "fields that cannot be set": (
        {
            "username": "eve",
            "role": "admin",
            "status": "suspended",
            "created_at": "2020-01-01",
            "password": "x",
            "password_hash": "x",
            "session_epoch": 9,
        },
        {},
    ),
}


@pytest.mark.parametrize(("sent", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_changes(person, sent, expected):
    before = person.get("/auth/profile").json
    after = changed(person, **sent)
    assert after["updated_at"] > before["updated_at"]
    assert {**after, "updated_at": ""} == {**before, **expected, "updated_at": ""}
    assert person.log_in()


def test_null_clears_an_optional_field(person):
    changed(person, phone="0123456789", date_of_birth="1990-01-01")
    after = changed(person, phone=None, date_of_birth=None)
    assert (after["phone"], after["date_of_birth"]) == (None, None)
    assert (changed(person, phone=None)["phone"]) is None


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"first_name": None}, "first_name"),
        ({"last_name": None}, "last_name"),
        ({"email": None}, "email"),
        ({"marketing_emails_consent": None}, "marketing_emails_consent"),
        ({"first_name": ""}, "first_name"),
        ({"first_name": "<b>"}, "first_name"),
        ({"first_name": "x" * 51}, "first_name"),
        ({"first_name": 5}, "first_name"),
        ({"last_name": "a\nb"}, "last_name"),
        ({"phone": "123"}, "phone"),
        ({"phone": 1234567890}, "phone"),
        ({"phone": ""}, "phone"),
        ({"date_of_birth": "2025-01-01"}, "date_of_birth"),
        ({"date_of_birth": "1800-01-01"}, "date_of_birth"),
        ({"date_of_birth": "01.02.1990"}, "date_of_birth"),
        ({"email": "nonsense"}, "email"),
        ({"email": "a#b@example.com"}, "email"),
        ({"marketing_emails_consent": "true"}, "marketing_emails_consent"),
    ],
    ids=str,
)
def test_refused_changes(person, sent, field):
    before = person.get("/auth/profile").json
    with clock.at(NOON):
        response = change(person, last_name="Changed", **sent) if field != "last_name" else change(person, **sent)
    assert fields_named(problem(response, 422, "invalid_input")) == [field]
    assert person.get("/auth/profile").json == before, "all or nothing"


def claim_of(store, email):
    return store.get_item(TableName="users", Key={"PK": {"S": f"EMAIL#{email}"}, "SK": {"S": "EMAIL"}}).get("Item")


def test_a_new_email_address_moves_its_claim(person, new_user, client, store):
    old = person.email
    assert changed(person, email="Moved.Here@Example.COM")["email"] == "moved.here@example.com"
    assert claim_of(store, old) is None
    assert claim_of(store, "moved.here@example.com")["username"]["S"] == person.username
    assert person.log_in("moved.here@example.com")
    credentials = {"username": old, "password": PASSWORD}
    problem(client.post("/api/v1/auth/login", json=credentials), 401, "invalid_credentials")
    taken = registration(email="moved.here@example.com")
    problem(client.post("/api/v1/auth/register", json=taken), 409, "email_taken")
    assert new_user(email=old).get("/auth/profile").json["email"] == old, "the old address is free again"
    problem(change(person, email=old, first_name="Bo"), 409, "email_taken")
    assert person.get("/auth/profile").json["first_name"] == "Ann"


def test_the_same_address_in_other_letters_is_no_change(person, store):
    assert changed(person, email=person.email.upper())["email"] == person.email
    assert claim_of(store, person.email)["username"]["S"] == person.username


def test_back_and_forth(person):
    old = person.email
    for email in (f"x{old}", old, f"x{old}", old):
        assert changed(person, email=email)["email"] == email


def test_two_users_race_for_one_address(new_user, store):
    """Exactly one gets it; the other keeps its own."""
    ann, ben = new_user(), new_user()
    won = Counter()
    with ThreadPoolExecutor(2) as pool:
        for number in range(10):
            wanted, barrier = f"wanted{number}.{ann.username}@example.com", Barrier(2)
            before = {person.username: person.get("/auth/profile").json["email"] for person in (ann, ben)}

            def ask(person, wanted=wanted, barrier=barrier):
                barrier.wait()
                return change(person, email=wanted)

            answers = dict(zip((ann.username, ben.username), pool.map(ask, (ann, ben)), strict=True))
            winner = claim_of(store, wanted)["username"]["S"]
            [loser] = set(answers) - {winner}
            won[winner] += 1
            assert answers[winner].status_code == 200
            problem(answers[loser], 409, "email_taken")
            assert claim_of(store, before[winner]) is None
            assert claim_of(store, before[loser])["username"]["S"] == loser
    assert won.total() == 10


def test_one_user_changes_the_address_twice_at_once(person, store):
    """Both changes are made, one after the other: one claim stays."""
    barrier = Barrier(2)
    wanted = [f"{side}.{person.username}@example.com" for side in ("left", "right")]

    def ask(email):
        barrier.wait()
        return change(person, email=email)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, wanted))
    assert {answer.status_code for answer in answers} == {200}
    final = person.get("/auth/profile").json["email"]
    claims = [email for email in (person.email, *wanted) if claim_of(store, email)]
    assert claims == [final] and final in wanted


def test_what_a_change_costs(person):
    assert usage_of(change(person, first_name="Bo")) - AUTHENTICATION == usage(3, 1, 1 + 1)
    assert usage_of(change(person, first_name="Bo")) - AUTHENTICATION == usage(2, 1, 1), "nothing changes"
    used = usage_of(change(person, email=f"x{person.email}")) - AUTHENTICATION
    # Another address needs the password: how often it was guessed, before and after the hash, and that it was given.
    assert (used.calls, used.read_units) == (5, 8)


def test_reading_and_changing_need_a_token_that_may(person, client):
    problem(client.put("/api/v1/auth/profile", json={"first_name": "Eve"}), 401, "not_authenticated")
    person.token = person.post("/auth/tokens", {"name": "r", "scopes": "read"}).json["access_token"]
    assert person.get("/auth/profile").status_code == 200
    problem(change(person, first_name="Eve"), 403, "insufficient_scope")


def change_password(person, current=PASSWORD, new=NEW_PASSWORD, **more):
    return person.post("/auth/password", {"current_password": current, "new_password": new, **more})


@pytest.mark.parametrize("keep", [True, False])
def test_a_new_password_ends_every_session_and_token_unless_tokens_are_kept(app, person, client, keep):
    first, second = person.token, person.log_in()
    personal = person.post("/auth/tokens", {"name": "script", "scopes": "read trade"}).json["access_token"]
    browser = Browser(app)
    browser.log_in(person.username)
    response = change_password(person, **({"keep_tokens": True} if keep else {}))
    assert (response.status_code, response.data) == (204, b"")
    for token in (first, second, *([] if keep else [personal])):
        person.token = token
        problem(person.get("/balance"), 401, "not_authenticated")
    assert browser.get("/dashboard", status=303).location.startswith("/login")
    person.token = personal
    assert person.get("/balance").status_code == (200 if keep else 401)
    login = {"username": person.username, "password": PASSWORD}
    problem(client.post("/api/v1/auth/login", json=login), 401, "invalid_credentials")
    assert client.post("/api/v1/auth/login", json={**login, "password": NEW_PASSWORD}).status_code == 200


@pytest.mark.parametrize("current", ["not the password", PASSWORD + " ", PASSWORD.upper(), "", "x" * 5000, "\ud800"])
def test_a_wrong_current_password(person, current):
    body = problem(change_password(person, current=current), 422, "invalid_input")
    assert fields_named(body) == ["current_password"]
    assert person.get("/balance").status_code == 200 and person.log_in()


NO_PASSWORDS = {
    "too short": "eleven char",
    "too long": "x1y2" * 33,
    "the username": "my {name} password",
    "one letter": "a" * 20,
    "the username in capitals": "MY {NAME} PASSWORD",
    "the e-mail address": "{name}@example.com",
    "a common one": "password1234",
    "a control character": "seven\ngreen kettles",
    "a number": 123456789012,
    "nothing": None,
}


@pytest.mark.parametrize("new", NO_PASSWORDS.values(), ids=NO_PASSWORDS.keys())
def test_refused_passwords(person, new):
    if isinstance(new, str):
        new = new.replace("{name}", person.username).replace("{NAME}", person.username.upper())
    body = problem(change_password(person, new=new), 422, "invalid_input")
    assert fields_named(body) == ["new_password"] and person.log_in()


@pytest.mark.parametrize("missing", ["current_password", "new_password"])
def test_both_passwords_are_needed(person, missing):
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    del body[missing]
    assert fields_named(problem(person.post("/auth/password", body), 422, "invalid_input")) == [missing]


def test_a_password_of_72_bytes_and_more_counts_whole(person, client):
    long = "ünïcödé " * 12
    assert change_password(person, new=long + "one").status_code == 204
    login = {"username": person.username, "password": long + "two"}
    problem(client.post("/api/v1/auth/login", json=login), 401, "invalid_credentials")
    assert client.post("/api/v1/auth/login", json={**login, "password": long + "one"}).status_code == 200


def test_a_personal_token_cannot_change_the_password(person):
    for scopes in ("read", "read trade"):
        token = person.post("/auth/tokens", {"name": "script", "scopes": scopes}).json["access_token"]
        response = person.post(
            "/auth/password",
            {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
            headers={"Authorization": f"Bearer {token}"},
        )
        problem(response, 403, "insufficient_scope")
    assert person.log_in()


def test_two_changes_at_once_leave_one_password(person, client):
    """The second to come finds that the current password is another one already."""
    barrier = Barrier(2)

    def ask(new):
        barrier.wait()
        return change_password(person, new=new).status_code

    new = ["first green kettle", "second green kettle"]
    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(ask, new))
    assert sorted(statuses) in ([204, 401], [204, 422]), statuses
    login = [
        client.post("/api/v1/auth/login", json={"username": person.username, "password": each}).status_code
        for each in new
    ]
    assert [status == 200 for status in login] == [status == 204 for status in statuses]


def test_no_answer_holds_a_secret(person):
    text = person.get("/auth/profile").text + change(person, first_name="Bo").text
    assert not re.search(r"\$2[aby]\$|password|epoch|secret", text)
