"""Forms and addresses that are refused before any rule sees them: the page says what would help."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from app.views.errors import FormExpired
from tests.support.applications import make_app
from tests.support.page_client import Answer, Browser, SentForm, look

HTTPS = "https://shop.example"


@pytest.fixture(scope="module")
def secure_app(endpoint: str) -> Flask:
    """An application whose cookies are for https alone."""
    app = make_app(endpoint)
    app.config["SESSION_COOKIE_SECURE"] = True
    return app


@pytest.fixture
def visitor(secure_app: Flask) -> Browser:
    return Browser(secure_app)


def log_in_form(browser: Browser, base_url: str) -> SentForm:
    return look(browser.client.get("/login", base_url=base_url)).form()


def send(browser: Browser, form: SentForm, *, base_url: str, cookies: bool = True, **said: str) -> Answer:
    """Send a form as a browser does that says so in Referer, Origin and Sec-Fetch-Site."""
    if not cookies:
        browser.client = browser.client.application.test_client(use_cookies=False)
    headers = {{"site": "Sec-Fetch-Site"}.get(name, name): value for name, value in said.items()}
    data = {**form.values, "username": "nobody_here", "password": "wrong"}
    return look(browser.client.post(form.action, data=data, base_url=base_url, headers=headers))


# How the form is sent, the cause in the log, and words of the sentence.
FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no cookies over https": (
        {"base_url": HTTPS, "referer": f"{HTTPS}/login", "cookies": False},
        "no_cookie",
        "Allow cookies for this site",
    ),
    "plain http": ({"base_url": "http://shop.example", "cookies": False}, "cookie_needs_https", "begins with https://"),
    "plain http behind a proxy that does https": (
        {"base_url": "http://shop.example", "referer": f"{HTTPS}/login", "cookies": False},
        "no_cookie",
        "Allow cookies for this site",
    ),
    "another site": ({"base_url": HTTPS, "site": "cross-site"}, "other_site", "of another site"),
    "a neighbour": ({"base_url": HTTPS, "site": "same-site", "origin": HTTPS}, "other_site", "of another site"),
    "another host": ({"base_url": HTTPS, "origin": "https://other.example"}, "other_host", "at its own address"),
    "a Host that was not passed on": (
        {"base_url": HTTPS, "origin": "https://www.shop.example"},
        "other_host",
        "tell those who run it",
    ),
}


@pytest.mark.parametrize(("how", "cause", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_each_cause_has_its_own_sentence_and_a_line_in_the_log(
    visitor: Browser, capfd: pytest.CaptureFixture[str], how: dict[str, Any], cause: str, words: str
) -> None:
    form = log_in_form(visitor, how["base_url"])
    capfd.readouterr()
    answer = send(visitor, form, **how)
    assert answer.status == 400 and words in answer.text and FormExpired.message not in answer.text
    assert "Nothing was applied." in answer.text
    log = capfd.readouterr().err
    [line] = [line for line in map(json.loads, log.splitlines()) if line["event"] == "form refused"]
    assert (line["level"], line["cause"], line["request_id"]) == (
        "warning",
        cause,
        answer.response.headers["X-Request-ID"],
    )
    assert ("hint" in line) is (cause in {"cookie_needs_https", "other_host"})
    assert "other.example" not in log and "shop.example" not in log, "headers of a client are not logged"


def test_a_form_of_an_ended_session_has_expired(visitor: Browser) -> None:
    form = log_in_form(visitor, HTTPS)
    with visitor.client.session_transaction(base_url=HTTPS) as session:
        session["csrf_token"] = "of another session"
    assert FormExpired.message in send(visitor, form, base_url=HTTPS, referer=f"{HTTPS}/login").text


def test_a_form_that_is_sent_as_it_should_be_is_accepted(visitor: Browser) -> None:
    answer = send(visitor, log_in_form(visitor, HTTPS), base_url=HTTPS, referer=f"{HTTPS}/login")
    assert answer.status == 401


def test_a_refused_log_out_leads_to_pages_that_exist(ann: Browser) -> None:
    form = ann.get("/dashboard").form("/logout")
    answer = ann.send(form, csrf_token=None)
    assert answer.status == 400 and FormExpired.message in answer.text
    for link in answer.shown.links:
        if not link.startswith("#"):
            assert link.startswith("/") and ann.client.get(link, follow_redirects=True).status_code == 200


ADDRESSES = {
    "/history?days=0": ("days", "Write a whole number from 1 to 365."),
    "/orders?status=nope": ("status", "Choose one of: pending, completed, cancelled, expired."),
    "/orders?status=nope&asset_id=%23": ("asset_id", "Write an asset id, such as BTC."),
    "/statement.csv?from=bad": ("from", "Write a date as YYYY-MM-DD, such as 2030-12-31."),
    "/statement.csv?from=2026-02-01&to=2026-01-01": ("to", "Choose a last day that is not before the first one."),
    "/activity/trades?asset_id=B+C": ("asset_id", "Write an asset id, such as BTC."),
    "/activity/gains.csv?method=lifo": ("method", "Choose one of: average, fifo."),
    "/assets/BTC?days=x": ("days", "Write a whole number from 1 to 365."),
}


@pytest.mark.parametrize(("path", "error"), ADDRESSES.items(), ids=ADDRESSES.keys())
def test_an_address_that_cannot_be_used_says_why(ann: Browser, path: str, error: tuple[str, str]) -> None:
    answer = ann.get(path, 422)
    assert ": ".join(error) in answer.text
    assert "each field" not in answer.text and "Unprocessable" not in answer.response.text


def test_what_an_address_says_is_text(ann: Browser) -> None:
    assert "<b>" not in ann.get("/orders?status=%3Cb%3E", 422).response.text.partition("<main")[2]
