"""Passkeys: what they sign counts once, for one purpose, user and site, and nothing else does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.domain import clock
from app.domain.passkeys import MOST_PASSKEYS, from_base64url, to_base64url
from app.mail import MailSettings
from app.models.factors import SecondFactor
from tests.support.applications import make_app
from tests.support.authenticator import App, enrol, steps_later
from tests.support.page_client import Browser
from tests.support.passkeys import Authenticator
from tests.support.people import PASSWORD, Person, caller, fields_named, problem
from tests.support.usage import usage_of

NewPerson = Callable[..., Person]
PASSKEYS = "/auth/second-factor/passkeys"


def options(person: Person, name: str = "challenge") -> dict[str, Any]:
    answer = person.get(f"{PASSKEYS}/{name}")
    assert answer.status_code == 200, answer.text
    return answer.json["public_key"]  # type: ignore[no-any-return]


def login_options(app: Flask, person: Person) -> dict[str, Any]:
    given = caller(app).post("/api/v1/auth/login/passkey", json={"username": person.username, "password": PASSWORD})
    assert given.status_code == 200, given.text
    return given.json["public_key"]  # type: ignore[no-any-return]


def log_in(app: Flask, person: Person, code: str) -> TestResponse:
    body = {"username": person.username, "password": PASSWORD, "code": code}
    return caller(app).post("/api/v1/auth/login", json=body)


def send(person: Person, credential: str, code: str, name: str = "phone") -> TestResponse:
    return person.post(PASSKEYS, {"name": name, "credential": credential, "current_password": PASSWORD, "code": code})


def prove(person: Person, code: str) -> TestResponse:
    return person.post("/auth/proof", {"current_password": PASSWORD, "code": code})


def add(person: Person, code: str, **more: Any) -> Authenticator:
    """A new passkey of this person, who has a second factor."""
    made = Authenticator(**more)
    done = send(person, made.create(options(person, "new")), code)
    assert done.status_code == 201, done.text
    return made


@pytest.fixture(autouse=True)
def _still_clock() -> Iterator[None]:
    with clock.at(clock.now()):
        yield


@pytest.fixture
def phone(person: Person) -> App:
    return enrol(person)


@pytest.fixture
def key(person: Person, phone: App) -> Authenticator:
    return add(person, phone.recovery_codes[0])


def passkeys_of(person: Person) -> list[dict[str, Any]]:
    return person.get("/auth/second-factor").json["passkeys"]  # type: ignore[no-any-return]


def test_adding_using_and_removing_one(app: Flask, person: Person, key: Authenticator) -> None:
    [added] = passkeys_of(person)
    assert added["name"] == "phone" and added["last_used_at"] is None
    begun = login_options(app, person)
    assert begun["allowCredentials"] == [{"type": "public-key", "id": to_base64url(key.credential_id)}]
    assert log_in(app, person, key.get(begun)).status_code == 200
    [used] = passkeys_of(person)
    assert used["last_used_at"] and {**used, "last_used_at": None} == added
    assert prove(person, key.get(options(person))).status_code == 204
    other = send(person, Authenticator().create(options(person, "new")), key.get(options(person)), "key ring")
    assert other.status_code == 201
    path = f"{PASSKEYS}/{added['passkey_id']}/remove"
    problem(person.post(path, {}), 403, "proof_required")
    gone = person.post(path, {"current_password": PASSWORD, "code": key.get(options(person))})
    assert gone.status_code == 204, gone.text
    assert [each["name"] for each in passkeys_of(person)] == ["key ring"]
    problem(log_in(app, person, key.get(login_options(app, person))), 401, "invalid_code")


def other_challenge(app: Flask, person: Person) -> dict[str, Any]:
    given = login_options(app, person)
    return {**given, "challenge": to_base64url(from_base64url(given["challenge"]) + b"x")}


REFUSED: dict[str, Callable[[Flask, Person, Person, Authenticator, Authenticator], str]] = {
    "another challenge": lambda app, ann, bob, key, his: key.get(other_challenge(app, ann)),
    "a challenge of another user": lambda app, ann, bob, key, his: key.get(login_options(app, bob)),
    "a challenge for a proof": lambda app, ann, bob, key, his: key.get(options(ann)),
    "a challenge to add one": lambda app, ann, bob, key, his: key.get({**options(ann, "new"), "rpId": "localhost"}),
    "the passkey of another user": lambda app, ann, bob, key, his: his.get(login_options(app, ann)),
    "the name of hers, and the key of another": lambda app, ann, bob, key, his: Authenticator(
        9, key.credential_id, his.key
    ).get(login_options(app, ann)),
    "another origin": lambda app, ann, bob, key, his: key.get(login_options(app, ann), origin="http://evil.example"),
    "another port": lambda app, ann, bob, key, his: key.get(login_options(app, ann), origin="http://localhost:81"),
    "another host": lambda app, ann, bob, key, his: key.get(
        {**login_options(app, ann), "rpId": "evil.example"}, origin="http://localhost"
    ),
    "nobody touched it": lambda app, ann, bob, key, his: key.get(login_options(app, ann), flags=0),
    "what makes one": lambda app, ann, bob, key, his: key.create(login_options(app, ann) | {"rp": {"id": "localhost"}}),
    "no count": lambda app, ann, bob, key, his: Authenticator(None, key.credential_id, key.key).get(
        login_options(app, ann)
    ),
    "an object": lambda app, ann, bob, key, his: "{}",
    "no JSON": lambda app, ann, bob, key, his: "{" * 7000,
    "deep": lambda app, ann, bob, key, his: '{"response":' * 600,
    "lists": lambda app, ann, bob, key, his: '{"id": [], "response": {"clientDataJSON": []}}',
    "too long": lambda app, ann, bob, key, his: key.get(login_options(app, ann)) + " " * 8000,
}


def test_what_is_refused_at_a_log_in(
    app: Flask, person: Person, phone: App, key: Authenticator, new_user: NewPerson
) -> None:
    other = new_user()
    his = add(other, enrol(other).recovery_codes[0])
    assert log_in(app, person, key.get(login_options(app, person))).status_code == 200
    for name, make in REFUSED.items():
        answer = log_in(app, person, make(app, person, other, key, his))
        assert answer.status_code == 401 and answer.json["code"] == "invalid_code", f"{name}: {answer.text}"
    with app.app_context():
        factor = SecondFactor.find(SecondFactor.key(person.username))
        assert factor and factor.wrong_at(clock.now()) == len(REFUSED), "each counts as a guess"
    assert log_in(app, person, key.get(login_options(app, person))).status_code == 200, "the right one still works"


def test_an_assertion_counts_once_and_soon(app: Flask, person: Person, key: Authenticator) -> None:
    begun = login_options(app, person)
    signed = key.get(begun)
    assert log_in(app, person, signed).status_code == 200
    problem(log_in(app, person, signed), 401, "invalid_code")
    problem(log_in(app, person, key.get(begun)), 401, "invalid_code")
    first, second = options(person), options(person)
    assert prove(person, key.get(first)).status_code == 204
    wrong = problem(prove(person, key.get(second)), 422, "invalid_input")
    assert fields_named(wrong) == ["code"], "every challenge from before a use is void"
    late = key.get(login_options(app, person))
    with clock.at(clock.now() + timedelta(minutes=5)):
        problem(log_in(app, person, late), 401, "invalid_code")


def test_an_assertion_counts_once_without_a_count_and_at_once(app: Flask, person: Person, phone: App) -> None:
    made = add(person, phone.recovery_codes[0], count=None)
    signed, both = made.get(login_options(app, person)), Barrier(2)
    moment = clock.now()

    def use(_: int) -> int:
        with clock.at(moment):
            both.wait()
            return log_in(app, person, signed).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(use, range(2))) == [200, 401]
    assert log_in(app, person, made.get(login_options(app, person))).status_code == 200


def test_a_count_that_goes_back_is_refused(app: Flask, person: Person, key: Authenticator) -> None:
    key.count = 5
    assert log_in(app, person, key.get(login_options(app, person))).status_code == 200
    for count in (5, 4, 0):
        key.count = count
        problem(log_in(app, person, key.get(login_options(app, person))), 401, "invalid_code")
        key.count = 5
    key.count = 6
    assert log_in(app, person, key.get(login_options(app, person))).status_code == 200


def test_what_cannot_be_added(app: Flask, person: Person, phone: App, new_user: NewPerson) -> None:
    other = new_user()
    enrol(other)
    codes, made = iter(phone.recovery_codes), Authenticator()
    good = options(person, "new")
    for name, credential in {
        "another origin": made.create(good, origin="https://evil.example"),
        "another host": made.create({**good, "rp": {"id": "evil.example"}}, origin="http://localhost"),
        "a challenge of another user": made.create(options(other, "new")),
        "what signs": made.get({**good, "rpId": "localhost"}),
        "another algorithm": made.create(good, algorithm=-47),
        "a long name": Authenticator(0, bytes(300)).create(good),
        "no JSON": "x",
        "an object": json.dumps({"id": "x"}),
    }.items():
        answer = send(person, credential, next(codes))
        assert fields_named(problem(answer, 422, "invalid_input")) == ["credential"], name
    assert passkeys_of(person) == []
    problem(send(person, made.create(good), "x"), 422, "invalid_input")
    problem(person.post(PASSKEYS, {"name": "x", "credential": made.create(good)}), 403, "proof_required")
    assert send(person, made.create(good), next(codes)).status_code == 201
    again = send(person, made.create(good), next(codes))
    assert fields_named(problem(again, 422, "invalid_input")) == ["credential"], "it is there already"
    with clock.at(clock.now() + timedelta(minutes=5)):
        late = send(person, Authenticator().create(good), made.get(options(person)))
        assert fields_named(problem(late, 422, "invalid_input")) == ["credential"]


def test_ten_at_most_and_none_without_a_second_factor(app: Flask, person: Person) -> None:
    problem(person.get(f"{PASSKEYS}/new"), 409, "no_second_factor")
    problem(person.get(f"{PASSKEYS}/challenge"), 409, "no_passkey")
    problem(send(person, "{}", "x"), 409, "no_second_factor")
    phone = enrol(person)
    problem(person.get(f"{PASSKEYS}/challenge"), 409, "no_passkey")
    first = add(person, phone.recovery_codes[0])
    with app.app_context():
        factor = SecondFactor.get(*SecondFactor.key(person.username))
        others = [replace(factor.keys[0], credential_id=f"other{number}") for number in range(2, MOST_PASSKEYS)]
        factor.update([SecondFactor.passkeys.set((*factor.keys, *others))])
    begun = options(person, "new")
    assert send(person, Authenticator().create(begun), first.get(options(person))).status_code == 201
    problem(person.get(f"{PASSKEYS}/new"), 409, "too_many_passkeys")
    problem(send(person, Authenticator().create(begun), first.get(options(person))), 409, "too_many_passkeys")


def test_a_new_second_factor_has_none_of_the_old_passkeys(app: Flask, person: Person, key: Authenticator) -> None:
    sent = {"current_password": PASSWORD, "code": key.get(options(person))}
    assert person.post("/auth/second-factor/remove", sent).status_code == 204
    phone = enrol(person)
    assert passkeys_of(person) == []
    other = add(person, phone.recovery_codes[0])
    problem(log_in(app, person, key.get(login_options(app, person))), 401, "invalid_code")
    assert log_in(app, person, other.get(login_options(app, person))).status_code == 200


def test_one_that_is_used_takes_a_reset_back(app: Flask, person: Person, key: Authenticator) -> None:
    with app.app_context():
        factor = SecondFactor.get(*SecondFactor.key(person.username))
        factor.update([SecondFactor.falls_at.set(clock.now() + timedelta(hours=1))])
    assert log_in(app, person, key.get(login_options(app, person))).status_code == 200
    assert person.get("/auth/second-factor").json["falls_at"] is None


def test_they_work_when_too_many_codes_were_wrong(app: Flask, person: Person, phone: App, key: Authenticator) -> None:
    with app.app_context():
        factor = SecondFactor.get(*SecondFactor.key(person.username))
        factor.update([SecondFactor.wrong_codes.set(20), SecondFactor.wrong_since.set(clock.now())])
    with clock.at(steps_later(2)):
        problem(log_in(app, person, phone.show()), 429, "too_many_requests")
        assert log_in(app, person, key.get(login_options(app, person))).status_code == 200


def test_the_password_is_asked_before_what_its_user_has(app: Flask, person: Person, key: Authenticator) -> None:
    for password in ("", "wrong"):
        body = {"username": person.username, "password": password}
        problem(caller(app).post("/api/v1/auth/login/passkey", json=body), 401, "invalid_credentials")


@pytest.fixture(scope="module")
def known(endpoint: str) -> Flask:
    """An application that knows its own address, behind a proxy."""
    return make_app(endpoint, trusted_proxies=1, mail=MailSettings(site="https://shop.example:443"))


# How a request comes, the origins that count at it, and one that does not.
SITES: dict[str, tuple[dict[str, str], str, list[str], list[str]]] = {
    "http": (
        {},
        "localhost",
        ["http://localhost", "https://localhost"],
        ["https://localhost:81", "http://evil.example"],
    ),
    "a port": ({"Host": "localhost:8000"}, "localhost", ["http://localhost:8000"], ["http://localhost"]),
    "https": ({"X-Forwarded-Proto": "https"}, "localhost", ["https://localhost"], ["http://localhost"]),
    "the port of https": ({"Host": "shop.test:443"}, "shop.test", ["https://shop.test"], ["http://shop.test"]),
}


@pytest.mark.parametrize("case", SITES)
def test_the_site_is_that_of_the_request(endpoint: str, person: Person, phone: App, case: str) -> None:
    headers, host, right, wrong = SITES[case]
    client, made = caller(make_app(endpoint, trusted_proxies=1)), Authenticator()
    headers = {"Authorization": f"Bearer {person.token}", **headers}

    def create(origin: str) -> TestResponse:
        begun = client.get(f"/api/v1{PASSKEYS}/new", headers=headers).json["public_key"]
        assert begun["rp"]["id"] == host
        body = {"name": "x", "credential": made.create(begun, origin=origin), "current_password": PASSWORD}
        body["code"] = phone.recovery_codes.pop()
        return client.post(f"/api/v1{PASSKEYS}", json=body, headers=headers)

    for origin in wrong:
        assert fields_named(problem(create(origin), 422, "invalid_input")) == ["credential"], origin
    for origin in right:
        made.credential_id = origin.encode()
        assert create(origin).status_code == 201, origin


def test_the_address_of_the_site_comes_before_that_of_the_request(known: Flask, person: Person, phone: App) -> None:
    client, headers = caller(known), {"Authorization": f"Bearer {person.token}", "Host": "other.example"}
    begun = client.get(f"/api/v1{PASSKEYS}/new", headers=headers).json["public_key"]
    assert begun["rp"]["id"] == "shop.example"
    for origin, status in (("https://other.example", 422), ("http://shop.example", 422), ("https://shop.example", 201)):
        credential = Authenticator().create(begun, origin=origin)
        body = {"name": "x", "credential": credential, "current_password": PASSWORD, "code": phone.recovery_codes.pop()}
        assert client.post(f"/api/v1{PASSKEYS}", json=body, headers=headers).status_code == status, origin


DIGITS = {
    "127.0.0.1:8000": "Open http://localhost:8000 and log in there, or use a code.",
    "[::1]:8000": "Open http://localhost:8000 and log in there, or use a code.",
    "127.0.0.1": "Open http://localhost and log in there, or use a code.",
    "192.0.2.7": "Open the site by its name, or use a code.",
}


@pytest.mark.parametrize("host", DIGITS)
def test_an_address_of_digits_can_have_none(person: Person, key: Authenticator, host: str) -> None:
    login = {"username": person.username, "password": PASSWORD}
    for answer in (
        person.call("GET", f"{PASSKEYS}/new", headers={"Host": host}),
        person.call("GET", f"{PASSKEYS}/challenge", headers={"Host": host}),
        person.call("POST", "/auth/login/passkey", headers={"Host": host}, json=login),
    ):
        told = problem(answer, 409, "passkeys_need_name")["detail"]
        assert told == f"Passkeys do not work at an address of digits. {DIGITS[host]}"


def test_what_is_refused_is_logged(person: Person, phone: App, capfd: pytest.CaptureFixture[str]) -> None:
    send(person, Authenticator().create(options(person, "new"), origin="https://evil.example"), phone.recovery_codes[0])
    [line] = [line for line in capfd.readouterr().err.splitlines() if "passkey refused" in line]
    assert json.loads(line)["subject"] == person.username and "origin" in json.loads(line)["reason"]


# Pages


def enter(browser: Browser) -> list[str]:
    """Give the user of a browser a second factor and log in with it. The recovery codes that are left."""
    assert browser.person is not None
    codes = enrol(browser.person).recovery_codes
    first = browser.log_in(browser.username)
    assert browser.send(first.form("/login/code"), code=codes[0]).status == 303
    return codes[1:]


def test_a_page_says_where_passkeys_work(ann: Browser) -> None:
    enter(ann)
    base = {"base_url": "http://127.0.0.1:8000"}
    cookie = ann.client.get_cookie("session")
    assert cookie
    ann.client.set_cookie("session_8000", cookie.value, domain="127.0.0.1")
    answer = ann.client.get("/account/second-factor/passkeys/new", **base)
    assert (answer.status_code, answer.location) == (303, "/account/second-factor")
    assert "Open http://localhost:8000 and log in there" in ann.client.get(answer.location, **base).text


def test_what_its_script_is_told(ann: Browser) -> None:
    """A script that asks for it gets each refusal as JSON, in the words for people. Anybody else gets a page."""
    as_script = {"Accept": "application/problem+json"}
    address = "/account/second-factor/passkeys/challenge"
    enter(ann)
    none = ann.client.get(address, headers=as_script)
    assert none.json["detail"] == "This account has no passkey. Enter a code instead."
    assert (none.status_code, none.content_type) == (409, "application/problem+json")
    assert ann.client.get(address).content_type.startswith("text/html")
    ann.log_out()
    gone = ann.client.get(address, headers=as_script)
    assert gone.status_code == 303 and "/login" in gone.location
    form = ann.log_in(ann.username).form("/login/code")
    assert ann.client.post("/login/code/passkey", data=form.values, headers=as_script).json["code"] == "no_passkey"
    without = {**form.values, "csrf_token": ""}
    refused = ann.client.post("/login/code/passkey", data=without, headers=as_script)
    assert (refused.status_code, refused.json["code"]) == (400, "form_expired")
    late = ann.client.post("/login/code/passkey", data={**form.values, "ticket": "x"}, headers=as_script)
    assert late.status_code == 303 and "/login" in late.location


def test_the_pages_and_what_their_script_asks_for(app: Flask, ann: Browser) -> None:
    """As a browser with the script has it. Without one a form has no passkey, and says so."""
    assert ann.get("/account/second-factor/passkeys/new", 303).location == "/account/second-factor"
    codes, key = enter(ann), Authenticator()
    page = "/account/second-factor/passkeys/new"
    shown = ann.get(page)
    assert usage_of(shown.response).calls == 1
    begun = json.loads(re.search(r'data-new-passkey="([^"]+)"', shown.response.text)[1].replace("&#34;", '"'))  # type: ignore[index]
    values = {"name": "<b>", "current_password": PASSWORD, "code": codes[0]}
    assert "Passkey: Fill this in." in ann.submit(page, **values).text
    assert ann.submit(page, **values, credential=key.create(begun)).status == 303
    shown = ann.get("/account/second-factor")
    assert "The passkey is added." in shown.text and "<b>" in shown.text and "not yet" in shown.text
    [path] = [link for link in shown.shown.links if link.endswith("/remove") and "passkeys" in link]
    ann.log_out()
    first = ann.log_in(ann.username)
    form = first.form("/login/code")
    asked = ann.client.post("/login/code/passkey", data=form.values)
    assert (usage_of(asked).calls, asked.status_code) == (2, 200)
    assert ann.send(form, code=key.get(asked.json["public_key"])).status == 303
    asked = ann.client.get("/account/second-factor/passkeys/challenge")
    assert usage_of(asked).calls == 1
    assert "Add a passkey" not in ann.get(path).text
    done = ann.submit(path, current_password=PASSWORD, code=key.get(asked.json["public_key"]))
    assert done.status == 303 and "The passkey is removed." in ann.get("/account/second-factor").text
    assert ann.client.get("/account/second-factor/passkeys/challenge").status_code == 409
    ann.get(path, 404)
