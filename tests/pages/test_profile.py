"""The account's own pages: profile, password, sessions elsewhere, personal tokens."""

from __future__ import annotations

import html
import re
from typing import Any, NoReturn

import pytest
from flask import Flask

from app.domain import clock, errors
from app.factory import create_app
from tests.pages.conftest import NewBrowser
from tests.support.applications import config
from tests.support.page_client import Browser
from tests.support.people import NOON, PASSWORD, caller
from tests.support.usage import usage_of

# Beyond the one call that authenticates.
CALLS = {
    "/account": 0,
    "/account/password": 0,
    "/account/second-factor": 0,
    "/account/sessions": 1,
    "/account/tokens": 1,
}
NEW_PASSWORD = "nine yellow saucers"


@pytest.fixture
def other(ann: Browser, new_browser: NewBrowser) -> Browser:
    """Another browser of the same user."""
    browser = new_browser()
    assert browser.log_in(ann.username).status == 303
    return browser


def make_token(browser: Browser, **values: str) -> tuple[str, str]:
    """The secret of a new token, and the address of the page that revokes it."""
    answer = browser.submit("/account/tokens", **{"name": "report", **values})
    assert answer.status == 201, answer.text
    page = next(link for link in browser.get("/account/tokens").shown.links if link.startswith("/account/tokens/"))
    return answer.shown.text_of("secret"), page


@pytest.mark.parametrize(("path", "calls"), CALLS.items())
def test_a_page_costs_so_many_calls(ann: Browser, path: str, calls: int) -> None:
    answer = ann.get(path)
    assert usage_of(answer.response).calls == 1 + calls
    assert "/account" in answer.shown.links


@pytest.mark.parametrize("path", [*CALLS, "/account/tokens/0123456789abcdef"])
def test_strangers_are_asked_to_log_in_and_come_back(stranger: Browser, ann: Browser, path: str) -> None:
    there = stranger.get(path, 303)
    assert stranger.log_in(ann.username, page=there.location).location == path


@pytest.mark.parametrize(
    "path",
    [
        "/account",
        "/account/password",
        "/account/sessions",
        "/account/tokens",
        "/account/tokens/0123456789abcdef",
        "/deposit",
    ],
)
def test_a_form_of_an_ended_session_applies_nothing_and_says_so(ann: Browser, other: Browser, path: str) -> None:
    form = other.get("/account").form()
    form.action = path
    ann.done("/account/sessions")
    sent = other.send(form, first_name="Eve")
    assert (sent.status, sent.location) == (303, f"/login?next={path}")
    page = other.get(sent.location)
    assert "Your session had ended, so nothing was applied." in page.text
    assert other.send(page.form(), username=ann.username, password=PASSWORD).location == path
    assert "Eve" not in ann.get("/account").response.text


@pytest.mark.parametrize("path", [*CALLS])
def test_a_form_without_its_token_is_refused(ann: Browser, path: str) -> None:
    answer = ann.send(ann.get(path).form(), csrf_token=None)
    assert answer.status == 400 and "Nothing was applied." in answer.text and "load the page again" in answer.text


def test_the_profile_is_shown_and_saved(ann: Browser) -> None:
    page = ann.get("/account")
    assert page.form().values["email"] == f"{ann.username}@example.com"
    assert ann.username in page.text and "Member since" in page.text and "<time" in page.response.text
    ann.done(
        "/account",
        first_name="Anne",
        last_name="O’Neil",
        phone="+44 20 7946 0000",
        date_of_birth="1990-12-31",
        marketing_emails_consent="yes",
        current_password=PASSWORD,
    )
    saved = ann.get("/account").form().values
    assert saved["first_name"] == "Anne" and saved["last_name"] == "O'Neil"
    assert saved["phone"] == "+442079460000" and saved["date_of_birth"] == "1990-12-31"
    assert saved["marketing_emails_consent"] == "yes"
    form = ann.get("/account").form()
    sent = ann.send(form, phone="", date_of_birth="", marketing_emails_consent=None, current_password=PASSWORD)
    assert "Your profile is saved." in ann.get(sent.location).text
    cleared = ann.get("/account").form().values
    assert cleared["phone"] == "" and cleared["date_of_birth"] == "" and "marketing_emails_consent" not in cleared


def profile_of(browser: Browser) -> dict[str, str]:
    return {name: value for name, value in browser.get("/account").form().values.items() if name != "csrf_token"}


BAD_PROFILES = {
    "no first name": ({"first_name": ""}, "first_name", "Fill this in."),
    "markup": ({"last_name": "<b>Smith</b>"}, "last_name", "Use letters, spaces, ' - and . only."),
    "no e-mail": ({"email": " "}, "email", "Fill this in."),
    "odd e-mail": ({"email": "ann"}, "email", "Write an e-mail address, such as name@example.com."),
    "short phone": ({"phone": "123"}, "phone", "Write 10 to 15 digits, such as +44 20 7946 0000."),
    "a child": ({"date_of_birth": "2025-01-01"}, "date_of_birth", "You must be 13 to 120 years old."),
}


@pytest.mark.parametrize(("changed", "field", "message"), BAD_PROFILES.values(), ids=BAD_PROFILES)
def test_a_bad_profile_is_told_beside_the_field(
    ann: Browser, changed: dict[str, str], field: str, message: str
) -> None:
    before = profile_of(ann)
    with clock.at(NOON):
        answer = ann.submit("/account", **changed)
    assert answer.status == 422 and answer.error_of(field) == message
    assert answer.form().values[field] == changed[field].strip()
    assert profile_of(ann) == before


def test_the_email_moves_and_a_taken_one_is_told_beside_the_field(ann: Browser, rich: Browser) -> None:
    taken = ann.submit("/account", email=f"{rich.username}@example.com".upper(), current_password=PASSWORD)
    assert taken.status == 409 and taken.error_of("email").startswith("An account with this e-mail address exists.")
    new = f"new_{ann.username}@example.com"
    assert "Your profile is saved." in ann.done("/account", email=new, current_password=PASSWORD).text
    assert ann.get("/account").form().values["email"] == new
    ann.log_out()
    assert ann.log_in(new).location == "/dashboard"


def test_a_new_password_ends_every_session_but_this_one(ann: Browser, other: Browser, stranger: Browser) -> None:
    done = ann.done("/account/password", current_password=PASSWORD, new_password=NEW_PASSWORD)
    assert "You stay logged in here; everywhere else you are logged out." in done.text
    ann.get("/dashboard")
    other.get("/dashboard", 303)
    assert stranger.log_in(ann.username).status == 401
    assert stranger.log_in(ann.username, NEW_PASSWORD).status == 303


BAD_PASSWORDS = {
    "wrong": ({"current_password": "wrong password"}, "current_password", "This is not your current password."),
    "none": ({"current_password": ""}, "current_password", "Fill this in."),
    "no new one": ({"new_password": ""}, "new_password", "Fill this in."),
    "short": ({"new_password": "short"}, "new_password", "Choose 12 to 128 characters."),
    "common": (
        {"new_password": "1qaz2wsx3edc"},
        "new_password",
        "This password is easy to guess. Choose another one, such as four words that do not belong together.",
    ),
}


@pytest.mark.parametrize(("changed", "field", "message"), BAD_PASSWORDS.values(), ids=BAD_PASSWORDS)
def test_a_bad_password_is_told_beside_the_field(
    ann: Browser, other: Browser, changed: dict[str, str], field: str, message: str
) -> None:
    sent = {"current_password": PASSWORD, "new_password": NEW_PASSWORD, **changed}
    answer = ann.submit("/account/password", **sent)
    assert answer.status == 422 and answer.error_of(field) == message
    assert answer.form().values["current_password"] == answer.form().values["new_password"] == ""
    other.get("/dashboard")


@pytest.mark.parametrize("keep", [True, False])
def test_logging_out_everywhere_keeps_this_browser_and_personal_tokens_if_asked(
    ann: Browser, other: Browser, app: Flask, keep: bool
) -> None:
    secret, _ = make_token(ann)
    client = caller(app)
    login = client.post("/api/v1/auth/login", json={"username": ann.username, "password": PASSWORD})
    ticked = {"keep_tokens": "yes"} if keep else {}
    assert "logged out everywhere but here" in ann.done("/account/sessions", **ticked).text
    ann.get("/dashboard")
    other.get("/dashboard", 303)
    for bearer, status in ((login.json["access_token"], 401), (secret, 200 if keep else 401)):
        answer = client.get("/api/v1/balance", headers={"Authorization": f"Bearer {bearer}"})
        assert answer.status_code == status


def test_the_secret_is_shown_once_and_works_as_the_example_says(ann: Browser, app: Flask) -> None:
    answer = ann.submit("/account/tokens", name="report", scopes="read trade", ends_on="")
    secret = answer.shown.text_of("secret")
    assert answer.status == 201 and "Copy it now." in answer.text and "Read and trade" in answer.text
    assert "Location" not in answer.response.headers
    with ann.client.session_transaction() as session:
        assert secret not in repr(dict(session))
    for path in ("/account/tokens", "/account", "/dashboard"):
        assert secret.rpartition(".")[2] not in ann.get(path).response.text
    header, address = re.fullmatch("curl -H '(.*)' (.*)", answer.shown.text_of("example")).groups()
    name, _, value = header.partition(": ")
    used = caller(app).get(address, headers={name: value})
    assert used.status_code == 200 and used.json["current_balance"] == "0.00"
    assert "last used" in ann.get("/account/tokens").text


def test_a_token_form_sent_again_makes_no_other_token(ann: Browser) -> None:
    form = ann.get("/account/tokens").form()
    secret = ann.send(form, name="report").shown.text_of("secret")
    again = ann.send(form, name="report")
    assert again.status == 303
    answer = ann.get(again.location)
    assert "This was done already, at " in answer.text and "Nothing was changed now. Its secret was" in answer.text
    assert secret.rpartition(".")[2] not in answer.response.text and answer.text.count("report ") == 2
    other = ann.send(form, name="other")
    assert other.status == 422 and "This form was sent before, with other values." in other.text
    assert ann.send(other.form()).status == 201


def test_tokens_are_listed_and_revoked_after_a_question(ann: Browser, app: Flask) -> None:
    assert "You have no token." in ann.get("/account/tokens").text
    secret, page = make_token(ann, name="weekly report")
    asked = ann.get(page)
    assert "Revoke this token?" in asked.text and "weekly report" in asked.text
    assert usage_of(asked.response).calls == 2
    assert "The token is revoked." in ann.done(page).text
    used = caller(app).get("/api/v1/balance", headers={"Authorization": f"Bearer {secret}"})
    assert used.status_code == 401
    ann.get(page, 404)
    assert "You have no token." in ann.get("/account/tokens").text


def test_a_token_of_someone_else_does_not_exist(ann: Browser, rich: Browser) -> None:
    _, page = make_token(ann)
    rich.get(page, 404)
    form = rich.get("/account/sessions").form()
    form.action = page
    assert rich.send(form).status == 404
    assert "report" in ann.get("/account/tokens").text


BAD_TOKENS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no name": ({"name": ""}, "name", "Fill this in."),
    "long name": ({"name": "x" * 51}, "name", "Write 1 to 50 characters."),
    "past": ({"ends_on": "2020-01-01"}, "ends_on", "Choose a time in the future, at most 366 days ahead."),
    "far": ({"ends_on": "2999-01-01"}, "ends_on", "Choose a time in the future, at most 366 days ahead."),
    "no date": ({"ends_on": "soon"}, "ends_on", "Write a date,"),
}


@pytest.mark.parametrize(("changed", "field", "message"), BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_a_bad_token_is_told_beside_the_field(ann: Browser, changed: dict[str, str], field: str, message: str) -> None:
    answer = ann.submit("/account/tokens", **{"name": "report", **changed})
    assert answer.status == 422 and answer.error_of(field).startswith(message)
    assert "You have no token." in ann.get("/account/tokens").text


@pytest.mark.parametrize("scopes", [None, "", "admin", "trade", "read read", "read  trade"])
def test_odd_scopes_are_refused(ann: Browser, scopes: Any) -> None:
    assert ann.send(ann.get("/account/tokens").form(), name="report", scopes=scopes).status == 422


def test_a_name_is_shown_as_text(ann: Browser) -> None:
    hostile = "<script>alert(1)</script>\"'>"
    _, page = make_token(ann, name=hostile)
    for path in ("/account/tokens", page):
        answer = ann.get(path)
        assert hostile in answer.text and html.escape("<script>") in answer.response.text
        assert "<script>alert" not in answer.response.text


@pytest.mark.parametrize(
    ("path", "status"), [("/nope", 404), ("/activity?cursor=x", 400), ("/admin", 403), ("/logout", 405)]
)
def test_every_refusal_names_the_request_and_what_to_do(ann: Browser, path: str, status: int) -> None:
    answer = ann.get(path, status)
    assert answer.response.headers["X-Request-ID"] in answer.text
    assert "/" in answer.shown.links


# Each failure, its status, and whether the form that met it may have been applied.
FAILURES = {
    "limit": (errors.TooManyRequests(limit=5, reset_seconds=40), 429, False),
    "defect": (RuntimeError("made by a test"), 500, True),
    "busy": (errors.Busy(), 503, False),
    "price": (errors.PriceUnavailable(), 503, False),
    "store": (errors.StoreUnavailable(), 503, True),
}


@pytest.fixture(scope="module")
def failing_app(app: Flask, endpoint: str) -> Flask:
    """An application with pages that fail."""

    def fail(name: str) -> NoReturn:
        raise FAILURES[name][0]

    made = create_app(config(endpoint))
    made.add_url_rule("/fails/<name>", view_func=fail, methods=["GET", "POST"])
    return made


@pytest.mark.parametrize("name", FAILURES)
def test_what_may_pass_can_be_tried_again(failing_app: Flask, name: str) -> None:
    _, status, may_be_applied = FAILURES[name]
    browser = Browser(failing_app)
    asked = browser.get(f"/fails/{name}", status)
    form = browser.get("/login").form()
    form.action = f"/fails/{name}"
    sent = browser.send(form)
    for answer in (asked, sent):
        assert answer.status == status and "Try again" in answer.text and "" in answer.shown.links
        assert answer.response.headers["X-Request-ID"] in answer.text
        assert ("Retry-After" in answer.response.headers) == (status != 500)
    assert ("it may have been applied" in sent.text) == may_be_applied
    assert ("Nothing was applied" in sent.text) != may_be_applied
    assert "applied" not in asked.text
