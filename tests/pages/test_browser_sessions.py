"""Browser sessions: what ends one, and that a copy of its cookie ends with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.models.ledger import get_balance
from app.models.users import end_sessions, get_user, list_tokens, set_password
from app.services.tokens import MOST_CREDENTIALS, Origin, begin_session
from tests.pages.conftest import NewBrowser
from tests.support.applications import change_settings
from tests.support.page_client import Browser
from tests.support.people import LONG_AGO, NOON, PASSWORD, caller
from tests.support.usage import usage, usage_of


@pytest.fixture
def thief(ann: Browser, new_browser: NewBrowser) -> Browser:
    """A browser with a copy of Ann's cookie."""
    browser = new_browser()
    with ann.client.session_transaction() as session:
        copied = dict(session)
    with browser.client.session_transaction() as session:
        session.update(copied)
    browser.get("/dashboard")
    return browser


def is_in(browser: Browser) -> bool:
    return browser.client.get("/account").status_code == 200


def log_in_elsewhere(ann: Browser, new_browser: NewBrowser) -> Browser:
    other = new_browser()
    assert other.log_in(ann.username).status == 303
    return other


# What Ann does, and whether the browser in which she does it stays logged in.
ENDINGS: dict[str, tuple[Any, bool]] = {
    "logs out": (lambda ann: ann.log_out(), False),
    "logs out everywhere": (lambda ann: ann.done("/account/sessions"), True),
    "changes the password": (
        lambda ann: ann.done("/account/password", current_password=PASSWORD, new_password="nine yellow saucers"),
        True,
    ),
    "logs in again": (lambda ann: log_in_again(ann), True),
}


def log_in_again(ann: Browser) -> None:
    """With the form of a page that was opened before she was logged in."""
    form = ann.get("/account").form()
    form.action = "/login"
    assert ann.send(form, username=ann.username, password=PASSWORD).status == 303


@pytest.mark.parametrize(("act", "stays"), ENDINGS.values(), ids=ENDINGS)
def test_a_copied_cookie_ends_with_its_session(ann: Browser, thief: Browser, act: Any, stays: bool) -> None:
    form = thief.get("/deposit").form()
    act(ann)
    assert (is_in(ann), is_in(thief)) == (stays, False)
    assert thief.send(form, amount="5").location == "/login?next=/deposit"
    with ann.client.application.app_context():
        assert get_balance(ann.username).current_balance == 0


@pytest.mark.parametrize(
    ("pauses", "stays"),
    [([29], True), ([31], False), ([20] * 35, True), ([20] * 36 + [1], False)],
    ids=["29 minutes", "31 minutes", "35 times 20 minutes", "more than 12 hours"],
)
def test_a_session_ends_without_use_and_after_half_a_day(app: Flask, pauses: list[int], stays: bool) -> None:
    now = NOON
    with clock.at(LONG_AGO):
        browser = Browser(app).enter()
    with clock.at(now):
        browser.log_in(browser.username)
    for pause in pauses:
        now += timedelta(minutes=pause)
        with clock.at(now):
            is_last = is_in(browser)
    assert is_last == stays


@pytest.fixture
def set_idle(app: Flask) -> Iterator[Callable[[timedelta], None]]:
    """Sets how long sessions last unused, until the test is over."""
    before = app.extensions["services"].session_idle
    yield lambda idle: change_settings(app, session_idle=idle)
    change_settings(app, session_idle=before)


@pytest.mark.parametrize("minutes", [1, 5, 6, 30, 60])
def test_a_session_that_is_used_does_not_end(app: Flask, set_idle: Callable[[timedelta], None], minutes: int) -> None:
    """Used at half of its idle time again and again; then left alone for the whole of it."""
    idle = timedelta(minutes=minutes)
    set_idle(idle)
    with clock.at(LONG_AGO):
        browser = Browser(app).enter()
    now = NOON
    with clock.at(now):
        browser.log_in(browser.username)
    for _ in range(12):
        now += idle / 2
        with clock.at(now):
            assert is_in(browser)
    with clock.at(now + idle):
        assert not is_in(browser)


def test_what_a_session_costs(ann: Browser) -> None:
    """A page notes the use of its session once in five minutes."""
    now = clock.now()
    spent = []
    for minutes in (1, 6, 7, 12):
        with clock.at(now + timedelta(minutes=minutes)):
            spent.append(usage_of(ann.get("/account").response))
    assert spent == [usage(1, 1, 0), usage(2, 1, 1), usage(1, 1, 0), usage(2, 1, 1)]


def test_the_page_lists_where_one_is_logged_in_and_ends_each(ann: Browser, new_browser: NewBrowser, app: Flask) -> None:
    other = new_browser()
    other.client.environ_base["HTTP_USER_AGENT"] = "Firefox <b>on</b> a phone"
    other.log_in(ann.username)
    client = caller(app)
    log_in = {"username": ann.username, "password": PASSWORD}
    bearer = client.post("/api/v1/auth/login", json=log_in, headers={"User-Agent": "script/1"}).json["access_token"]
    page = ann.get("/account/sessions")
    assert page.text.count("this one") == 1 and "Firefox <b>on</b> a phone" in page.text and "script/1" in page.text
    links = [link for link in page.shown.links if link.startswith("/account/sessions/")]
    assert len(links) == 3  # with the token that the test has of her
    for link in links:
        assert "Log out this session?" in ann.get(link).text
        assert "The session has ended." in ann.done(link).text
        ann.get(link, 404)
    headers = {"Authorization": f"Bearer {bearer}"}
    assert not is_in(other) and client.get("/api/v1/balance", headers=headers).status_code == 401
    assert is_in(ann)


def test_a_session_of_someone_else_does_not_exist(ann: Browser, rich: Browser, new_browser: NewBrowser) -> None:
    other = log_in_elsewhere(ann, new_browser)
    link = next(link for link in ann.get("/account/sessions").shown.links if link.startswith("/account/sessions/"))
    rich.get(link, 404)
    form = rich.get("/account/sessions").form()
    form.action = link
    assert rich.send(form).status == 404
    assert is_in(other)


def test_scripts_list_and_end_sessions_too(ann: Browser, app: Flask) -> None:
    person = ann.person
    person.token = person.log_in()
    listed = person.get("/auth/sessions").json
    kinds = {each["session_id"]: each["kind"] for each in listed["data"]}
    assert sorted(kinds.values()) == ["login", "login", "session"]
    assert kinds[listed["current_session_id"]] == "login"
    browser = next(each for each, kind in kinds.items() if kind == "session")
    assert person.delete(f"/auth/sessions/{browser}").status_code == 204
    assert person.delete(f"/auth/sessions/{browser}").status_code == 404
    assert not is_in(ann)
    assert person.delete("/auth/sessions").status_code == 204
    assert person.get("/balance").status_code == 401


def test_neither_credential_serves_for_the_other(ann: Browser, app: Flask) -> None:
    with ann.client.session_transaction() as session:
        text = session["_user_id"]
    answer = caller(app).get("/api/v1/balance", headers={"Authorization": f"Bearer {text}"})
    assert answer.status_code == 401
    with ann.client.session_transaction() as session:
        session["_user_id"] = ann.person.token
    assert not is_in(ann)


@pytest.mark.parametrize("text", ["{}:0", "{}", "{}.0123456789abcdef", "", ".."])
def test_what_is_no_session_opens_nothing(ann: Browser, text: str) -> None:
    """The first is what the cookie of an older version said."""
    with ann.client.session_transaction() as session:
        session["_user_id"] = text.format(ann.username)
    assert not is_in(ann)


def test_a_browser_too_many_ends_the_oldest(ann: Browser, new_browser: NewBrowser) -> None:
    others = [log_in_elsewhere(ann, new_browser) for _ in range(MOST_CREDENTIALS)]
    assert not is_in(ann) and all(is_in(each) for each in others)


def test_what_ended_is_removed_where_the_database_does_not(app: Flask, ann: Browser, new_browser: NewBrowser) -> None:
    now = clock.now()
    with clock.at(now + timedelta(days=1)), app.app_context():
        log_in_elsewhere(ann, new_browser)
        assert len(list_tokens(ann.username)) == 1


def test_a_log_in_that_was_overtaken_ends_no_newer_session(app: Flask, ann: Browser) -> None:
    """It read the user before everything was logged out, and began after a new session had."""
    with app.app_context():
        before = get_user(ann.username)
    ann.done("/account/sessions")
    with app.app_context():
        begin_session(before, Origin())
    assert is_in(ann)


@pytest.mark.parametrize("keep_tokens", [True, False])
def test_no_epoch_comes_twice(app: Flask, ann: Browser, keep_tokens: bool) -> None:
    """Someone logs out everywhere while the password is changed: what that began must end too."""
    with app.app_context():
        user = get_user(ann.username)
        meanwhile = end_sessions(ann.username, keep_tokens=False, now=clock.now())
        assert set_password(user, "another hash", keep_tokens=keep_tokens, now=clock.now())
        found = get_user(ann.username)
    assert found.session_epoch == meanwhile.session_epoch + 1 and found.password_hash == "another hash"
    assert found.token_epoch == meanwhile.token_epoch + (not keep_tokens)


def test_a_password_is_changed_once(app: Flask, ann: Browser) -> None:
    with app.app_context():
        first, second = get_user(ann.username), get_user(ann.username)
        assert set_password(first, "one", now=clock.now())
        assert not set_password(second, "two", now=clock.now())
        assert get_user(ann.username).password_hash == "one"
