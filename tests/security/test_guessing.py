"""Guesses of passwords: how many are looked at, from wherever they come, and that they keep no owner out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.domain import clock
from app.domain.errors import TooManyGuesses
from app.domain.networks import network_of
from app.models.users import end_sessions, get_user
from app.services import guesses
from app.services.auth import check_password
from app.services.recovery import make_reset_link
from tests.conftest import NewUser
from tests.security.conftest import SetLimits
from tests.support.applications import LIMITS, make_app
from tests.support.page_client import Browser
from tests.support.people import NOON, PASSWORD, Person, caller, new_address, problem, registration
from tests.support.usage import usage, usage_of

LOG_IN = "/api/v1/auth/login"
WRONG = "not the password"
OTHER_PASSWORD = "nine yellow saucers"
# A quarter of the defaults, so that the tests are quick.
FEWER = replace(
    LIMITS, guesses_per_account=25, guesses_per_account_and_address=5, guesses_per_address=75, guesses_per_device=3
)
PER_ACCOUNT, PER_DEVICE = FEWER.guesses_per_account, FEWER.guesses_per_device
PER_PAIR, PER_ADDRESS = FEWER.guesses_per_account_and_address, FEWER.guesses_per_address


@pytest.fixture(autouse=True)
def fewer(proxied: Flask, set_limits: SetLimits) -> Iterator[None]:
    """No window ends while a test counts."""
    set_limits(FEWER)
    set_limits(FEWER, proxied)
    with clock.at(NOON):
        yield


@pytest.fixture(scope="module")
def proxied(app: Flask, endpoint: str) -> Flask:
    """The application behind a proxy, which says from where people come."""
    return make_app(endpoint, trusted_proxies=1)


def guess(app: Flask, name: str, address: str, *, password: str = WRONG, device: str = "") -> TestResponse:
    headers = {"X-Forwarded-For": address, **({"X-Device": device} if device else {})}
    client = app.test_client(use_cookies=False)
    return client.post(LOG_IN, json={"username": name, "password": password}, headers=headers)


def fill(person: Person) -> None:
    """Use up the guesses at an account, from many addresses."""
    with person.client.application.app_context():
        for number in range(PER_ACCOUNT):
            attempt = guesses.begin_login(person.username, address=f"elsewhere {number % 15}")
            guesses.note_failure(attempt, "invalid_credentials")


def test_guesses_from_many_addresses(proxied: Flask, person: Person) -> None:
    device = guess(proxied, person.username, new_address(), password=PASSWORD).json["device"]
    addresses = [new_address() for _ in range(15)]
    answers = [guess(proxied, person.username, addresses[number % 15]) for number in range(150)]
    assert Counter(each.status_code for each in answers) == {401: PER_ACCOUNT, 429: 150 - PER_ACCOUNT}
    refused = problem(answers[-1], 429, "too_many_requests")
    assert "hours" in refused["detail"] and answers[-1].headers["Retry-After"] == str(12 * 60 * 60)
    # A right guess is not told from a wrong one any more, and costs no hash.
    right = guess(proxied, person.username, new_address(), password=PASSWORD)
    assert problem(right, 429, "too_many_requests")["detail"] == refused["detail"]
    assert usage_of(right) == usage(1, 4, 0)
    # The owner gets in at home, from whatever address.
    assert guess(proxied, person.username, new_address(), password=PASSWORD, device=device).status_code == 200
    with clock.at(NOON + timedelta(hours=12)):
        assert guess(proxied, person.username, addresses[0], password=PASSWORD).status_code == 200


# Where guesses come from that count as one address.
ONE_ADDRESS: dict[str, Callable[[int], str]] = {
    "one IPv6 network": lambda number: f"2001:db8:ffff:1::{number + 1:x}",
    "ports": lambda number: f"8.8.4.4:{1000 + number}",
    "mapped into IPv6": lambda number: ("8.8.4.5", "::ffff:8.8.4.5", "[::ffff:8.8.4.5]:443")[number % 3],
}


@pytest.mark.parametrize("address", ONE_ADDRESS.values(), ids=ONE_ADDRESS.keys())
def test_one_address(proxied: Flask, person: Person, address: Callable[[int], str]) -> None:
    statuses = Counter(guess(proxied, person.username, address(number)).status_code for number in range(PER_PAIR + 10))
    assert statuses == {401: PER_PAIR, 429: 10}


def test_username_and_e_mail_address_are_one_account(proxied: Flask, person: Person) -> None:
    address = new_address()
    names = [person.username, person.email.upper()] * PER_PAIR
    assert Counter(guess(proxied, name, address).status_code for name in names) == {401: PER_PAIR, 429: PER_PAIR}


@pytest.mark.parametrize("written", ["{}", "{}@example.com"])
def test_an_unknown_name_answers_alike(app: Flask, person: Person, written: str) -> None:
    known, unknown = written.format(person.username), written.format(registration()["username"])
    clients = {name: caller(app) for name in (known, unknown)}
    calls = 4 + ("@" in written)
    for number in range(PER_PAIR + 2):
        one, other = (
            client.post(LOG_IN, json={"username": name, "password": WRONG}) for name, client in clients.items()
        )
        assert {**one.json, "request_id": ""} == {**other.json, "request_id": ""}
        for header in ("X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"):
            assert one.headers.get(header) == other.headers.get(header)
        looked_at = number < PER_PAIR
        assert usage_of(one) == usage_of(other) == usage(calls if looked_at else calls - 3, calls, 3 * looked_at)


def test_many_names_from_one_network(app: Flask) -> None:
    """Names that are tried one after the other share the count of the address."""
    address = network_of("2001:db8:ffff:2::1")
    with app.app_context():
        for number in range(PER_ADDRESS):
            guesses.note_failure(guesses.begin_login(f"nobody_{number}", address=address), "invalid_credentials")
        for number in range(20):
            with pytest.raises(TooManyGuesses):
                guesses.begin_login(f"nobody_{PER_ADDRESS + number}", address=address)


@pytest.mark.parametrize(("addresses", "looked_at"), [(1, PER_PAIR), (64, PER_ACCOUNT)])
def test_128_guesses_at_once(app: Flask, person: Person, addresses: int, looked_at: int) -> None:
    """All of them have begun before any is counted, and the right one is no exception."""

    def run(act: Callable[[], object]) -> bool:
        with app.app_context():
            try:
                act()
            except TooManyGuesses:
                return False
            return True

    with app.app_context():
        begun = [guesses.begin_login(person.username, address=f"one of {number % addresses}") for number in range(128)]
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda attempt: run(lambda: guesses.note_failure(attempt, "invalid_credentials")), begun))
    assert told.count(True) == looked_at
    assert not run(lambda: check_password(begun[0], PASSWORD))


# What is sent as a mark of a device, made of the owner's own and of somebody else's: whether it is one.
def _altered(mark: str) -> str:
    # Not the last sign: some of its bits say nothing.
    return mark[:-2] + ("A" if mark[-2] != "A" else "B") + mark[-1]


MARKS: dict[str, tuple[Callable[[str, str], str], bool]] = {
    "its own": (lambda own, other: own, True),
    "its own behind others": (lambda own, other: f"{other}~nonsense~{own}", True),
    "of another account": (lambda own, other: other, False),
    "altered": (lambda own, other: _altered(own), False),
    "without its signature": (lambda own, other: own.rpartition(".")[0], False),
    "behind too many": (lambda own, other: "~".join([other] * 5 + [own]), False),
    "nonsense": (lambda own, other: "\xff.\xfe", False),
}


@pytest.mark.parametrize(
    ("way", "name"), [*(("JSON", name) for name in MARKS), ("page", "its own"), ("page", "of another account")]
)
def test_only_a_mark_of_the_account_has_tries_of_its_own(app: Flask, new_user: NewUser, way: str, name: str) -> None:
    made, is_known = MARKS[name]
    owner, other = new_user(), new_user()
    marks = [
        caller(app).post(LOG_IN, json={"username": each.username, "password": PASSWORD}).json["device"]
        for each in (owner, other)
    ]
    fill(owner)
    if way == "JSON":
        body = {"username": owner.username, "password": PASSWORD}
        status = caller(app).post(LOG_IN, json=body, headers={"X-Device": made(*marks)}).status_code
    else:
        browser = Browser(app)
        browser.client.set_cookie("device", made(*marks))
        status = browser.log_in(owner.username).status
    assert status == ((303 if way == "page" else 200) if is_known else 429)


def test_a_mark_has_no_more_than_its_own_tries(app: Flask, person: Person) -> None:
    first, second = (caller(app).post(LOG_IN, json=_login(person)).json["device"] for _ in range(2))
    wrong = [
        caller(app).post(LOG_IN, json=_login(person, WRONG), headers={"X-Device": first}) for _ in range(PER_DEVICE + 1)
    ]
    assert [each.status_code for each in wrong] == [401] * PER_DEVICE + [429]
    assert (usage_of(wrong[0]), usage_of(wrong[-1])) == (usage(2, 2, 1), usage(1, 2, 0))
    # Neither another device nor who has none is any worse off by them.
    again = caller(app).post(LOG_IN, json=_login(person), headers={"X-Device": second})
    assert again.status_code == 200 and usage_of(again) == usage(5, 4, 1 + 1)
    assert again.headers["X-RateLimit-Remaining"] == str(PER_DEVICE)
    assert caller(app).post(LOG_IN, json=_login(person, WRONG)).headers["X-RateLimit-Remaining"] == str(PER_PAIR)


def _login(person: Person, password: str = PASSWORD) -> dict[str, str]:
    return {"username": person.username, "password": password}


def test_who_shares_the_address_of_many_guesses_gets_in_from_a_known_device(app: Flask, person: Person) -> None:
    client = caller(app)
    device = client.post(LOG_IN, json=_login(person)).json["device"]
    with app.app_context():
        for number in range(PER_ADDRESS):
            attempt = guesses.begin_login(f"nobody_{number}", address=client.environ_base["REMOTE_ADDR"])
            guesses.note_failure(attempt, "invalid_credentials")
    assert client.post(LOG_IN, json=_login(person)).status_code == 429
    assert client.post(LOG_IN, json=_login(person), headers={"X-Device": device}).status_code == 200


def test_marks_end_with_all_sessions_and_after_a_year(app: Flask, person: Person) -> None:
    device = caller(app).post(LOG_IN, json=_login(person)).json["device"]

    def remaining() -> str:
        answer = caller(app).post(LOG_IN, json=_login(person), headers={"X-Device": device})
        return answer.headers["X-RateLimit-Limit"]

    assert remaining() == str(PER_DEVICE)
    with clock.at(NOON + timedelta(days=364)):
        assert remaining() == str(PER_DEVICE)
    with clock.at(NOON + timedelta(days=365)):
        assert remaining() == str(PER_PAIR)
    with app.app_context():
        end_sessions(person.username, now=clock.now())
    assert remaining() == str(PER_PAIR)


def test_a_mark_outlives_the_rotation_of_secrets(
    app: Flask, endpoint: str, person: Person, set_limits: SetLimits
) -> None:
    device = caller(app).post(LOG_IN, json=_login(person)).json["device"]
    other = make_app(endpoint)
    set_limits(FEWER, other)
    for fallbacks, limit in (([app.config["SECRET_KEY"]], PER_DEVICE), ([], PER_PAIR)):
        other.config.update(SECRET_KEY="another secret for tests", SECRET_KEY_FALLBACKS=fallbacks)
        answer = caller(other).post(LOG_IN, json=_login(person), headers={"X-Device": device})
        assert answer.headers["X-RateLimit-Limit"] == str(limit)


def test_a_browser_keeps_its_mark_when_it_logs_out(app: Flask, stranger: Browser, person: Person) -> None:
    answer = stranger.log_in(person.username)
    [sent] = [each for each in answer.response.headers.getlist("Set-Cookie") if each.startswith("device=")]
    assert {"HttpOnly", "SameSite=Lax", "Max-Age=31536000", "Path=/"} <= set(sent.split("; "))
    assert person.username not in sent
    stranger.log_out()
    fill(person)
    refused = Browser(app).log_in(person.username)
    assert refused.status == 429 and refused.response.headers["Retry-After"] == str(12 * 60 * 60)
    for advice in ("Wait 12 hours", "a browser in which you have logged in before", "Forgot your password?"):
        assert advice in refused.text
    assert stranger.log_in(person.username).status == 303


def test_a_browser_of_two_people_knows_both(app: Flask, stranger: Browser, new_user: NewUser) -> None:
    people = [new_user(), new_user()]
    for each in [*people, people[0]]:
        stranger.log_in(each.username)
        stranger.log_out()
    assert len(stranger.client.get_cookie("device").value.split("~")) == len(people)
    for each in people:
        fill(each)
        assert stranger.log_in(each.username).status == 303
        stranger.log_out()


def test_who_chooses_a_new_password_by_a_link_gets_in(app: Flask, stranger: Browser, person: Person) -> None:
    fill(person)
    with app.app_context():
        link = make_reset_link(get_user(person.username))
    assert stranger.log_in(person.username).status == 429
    stranger.done(f"/reset-password?token={link.token}", new_password=OTHER_PASSWORD)
    assert stranger.log_in(person.username, OTHER_PASSWORD).status == 303


@pytest.mark.parametrize("way", ["JSON", "page"])
def test_a_wrong_current_password_counts_for_the_device(
    app: Flask, stranger: Browser, person: Person, way: str
) -> None:
    client, values = caller(app), {"current_password": WRONG, "new_password": OTHER_PASSWORD}
    stranger.log_in(person.username)
    device = client.post(LOG_IN, json=_login(person)).json["device"]

    def change() -> int:
        if way == "page":
            return stranger.submit("/account/password", **values).status
        headers = {"Authorization": f"Bearer {person.token}", "X-Device": device}
        return client.post("/api/v1/auth/password", json=values, headers=headers).status_code

    fill(person)
    assert [change() for _ in range(PER_DEVICE + 1)] == [422] * PER_DEVICE + [429]
