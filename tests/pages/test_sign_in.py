"""Registering, logging in and out, and where one lands."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask

from app.domain import clock
from tests.pages.conftest import NewBrowser
from tests.support.applications import make_app, tables_named
from tests.support.page_client import NOTHING_YET, Browser
from tests.support.people import NOON, PASSWORD, registration

BAD_FIELDS = {
    "no username": ({"username": ""}, "username", "Fill this in."),
    "short username": ({"username": "ab"}, "username", "Write 3 to 30 characters."),
    "odd username": ({"username": "ann#1"}, "username", "Use letters a to z, digits and _ only."),
    "no e-mail": ({"email": ""}, "email", "Fill this in."),
    "no address": ({"email": "ann"}, "email", "Write an e-mail address, such as name@example.com."),
    "no password": ({"password": ""}, "password", "Fill this in."),
    "short password": ({"password": "short"}, "password", "Choose 12 to 128 characters."),
    "spaces are no padding": ({"password": " short     "}, "password", "Choose 12 to 128 characters."),
    "own name": (
        {"username": "kettles", "password": "seven green kettles"},
        "password",
        "Leave your name, username and e-mail address out of the password.",
    ),
    "no first name": ({"first_name": " "}, "first_name", "Fill this in."),
    "markup": ({"last_name": "<b>Smith</b>"}, "last_name", "Use letters, spaces, ' - and . only."),
    "short phone": ({"phone": "123"}, "phone", "Write 10 to 15 digits, such as +44 20 7946 0000."),
    "a child": ({"date_of_birth": "2025-01-01"}, "date_of_birth", "You must be 13 to 120 years old."),
    "no date": ({"date_of_birth": "1 May"}, "date_of_birth", "Write a date as YYYY-MM-DD,"),
}


@pytest.mark.parametrize(("changed", "field", "message"), BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_bad_registration_is_told_beside_the_field(
    stranger: Browser, changed: dict[str, str], field: str, message: str
) -> None:
    sent = registration(marketing_emails_consent="yes") | changed
    with clock.at(NOON):
        answer = stranger.submit("/register", **sent)
    assert answer.status == 422
    assert answer.error_of(field).startswith(message)
    kept = {name: value.strip() for name, value in sent.items() if name != "password"}
    assert kept.items() <= answer.form().values.items()
    assert answer.form().values["password"] == ""
    assert stranger.get("/dashboard", 303)


def test_every_fault_is_told_in_the_order_of_the_form(stranger: Browser) -> None:
    answer = stranger.submit("/register", **registration(first_name="", email="x", password="y"))
    faults = [link for link in answer.shown.links if link.startswith("#") and link != "#main"]
    assert faults == ["#first_name", "#email", "#password"]


@pytest.mark.parametrize("field", ["username", "email"])
def test_taken_names_are_told_beside_the_field(ann: Browser, stranger: Browser, field: str) -> None:
    taken = {"username": ann.username, "email": f"{ann.username}@example.com"}[field]
    answer = stranger.submit("/register", **registration(**{field: taken.upper()}))
    assert answer.status == 409
    assert answer.error_of(field)
    assert answer.form().values[field] == taken.upper()


def test_registering_logs_in_and_keeps_everything(new_browser: NewBrowser, store: Any) -> None:
    browser = new_browser().register(
        phone="+44 20 7946 0000", date_of_birth="1990-12-31", marketing_emails_consent="yes"
    )
    row = store.get_item(TableName="users", Key={"PK": {"S": browser.username}, "SK": {"S": "USER"}})["Item"]
    assert row["phone"] == {"S": "+442079460000"} and row["date_of_birth"] == {"S": "1990-12-31"}
    assert row["marketing_emails_consent"] == {"BOOL": True}


@pytest.mark.parametrize("write", [str, str.upper, "{}@example.com".format, " {} ".format])
def test_log_in_by_name_or_address(ann: Browser, stranger: Browser, write: Any) -> None:
    answer = stranger.log_in(write(ann.username))
    assert (answer.status, answer.location) == (303, "/dashboard")
    stranger.get("/dashboard")


@pytest.mark.parametrize(
    ("username", "password", "status"),
    [
        (None, "wrong password", 401),
        (None, f" {PASSWORD}", 401),
        ("nobody_here", PASSWORD, 401),
        ("nobody@example.com", PASSWORD, 401),
        ("#", PASSWORD, 401),
        (None, "", 422),
        ("", PASSWORD, 422),
        ("x" * 255, PASSWORD, 422),
    ],
)
def test_log_in_is_refused(ann: Browser, stranger: Browser, username: str | None, password: str, status: int) -> None:
    answer = stranger.log_in(ann.username if username is None else username, password)
    assert answer.status == status
    assert answer.form().values["username"] == (ann.username if username is None else username)
    assert answer.form().values["password"] == ""
    if status == 401:
        assert "The username or password is wrong." in answer.text
    stranger.get("/dashboard", 303)


def test_guessing_is_slowed_down(ann: Browser, stranger: Browser) -> None:
    form = stranger.get("/login").form()
    answer = stranger.send(form, username=ann.username, password="wrong")
    while answer.status == 401:
        answer = stranger.send(form, username=ann.username, password="wrong")
    assert answer.status == 429 and "Too many wrong passwords." in answer.text
    assert 0 < int(answer.response.headers["Retry-After"]) <= 15 * 60


def test_a_suspended_user_is_out_at_once(ann: Browser, stranger: Browser, store: Any) -> None:
    store.update_item(
        TableName="users",
        Key={"PK": {"S": ann.username}, "SK": {"S": "USER"}},
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "SUSPENDED"}},
    )
    ann.get("/dashboard", 303)
    answer = stranger.log_in(ann.username)
    assert answer.status == 403 and "suspended" in answer.text


def test_a_raised_epoch_ends_the_session(ann: Browser, store: Any) -> None:
    store.update_item(
        TableName="users",
        Key={"PK": {"S": ann.username}, "SK": {"S": "USER"}},
        UpdateExpression="SET session_epoch = :n",
        ExpressionAttributeValues={":n": {"N": "1"}},
    )
    assert ann.get("/orders", 303).location == "/login?next=/orders"


def test_logging_out_ends_it_and_leaves_nothing_behind(ann: Browser) -> None:
    assert "You are logged out." in ann.log_out().text
    assert ann.get("/dashboard", 303).location == "/login?next=/dashboard"


def test_logging_in_forgets_what_was_in_the_browser(ann: Browser, stranger: Browser) -> None:
    with stranger.client.session_transaction() as session:
        session["planted"] = "by someone else"
    stranger.log_in(ann.username)
    with stranger.client.session_transaction() as session:
        assert "planted" not in session


WAYS_BACK = {
    "/orders?asset_id=BTC": "/orders?asset_id=BTC",
    "/assets/BTC": "/assets/BTC",
    "//evil.example": "/dashboard",
    "///evil.example": "/dashboard",
    "/\\evil.example": "/dashboard",
    "\\\\evil.example": "/dashboard",
    "/\t/evil.example": "/dashboard",
    "/\n/evil.example": "/dashboard",
    "https://evil.example/": "/dashboard",
    "https:evil.example": "/dashboard",
    "javascript:alert(1)": "/dashboard",
    "evil.example": "/dashboard",
    "/\u2028/evil.example": "/dashboard",
    " //evil.example": "/dashboard",
    "//[": "/dashboard",
    "": "/dashboard",
}


@pytest.mark.parametrize(("wanted", "landed"), WAYS_BACK.items())
def test_logging_in_leads_back_only_within_the_site(ann: Browser, stranger: Browser, wanted: str, landed: str) -> None:
    form = look_up(stranger, wanted)
    assert stranger.send(form, username=ann.username, password=PASSWORD).location == landed


@pytest.mark.parametrize(("wanted", "landed"), WAYS_BACK.items())
def test_who_is_logged_in_already_is_led_there_at_once(ann: Browser, wanted: str, landed: str) -> None:
    for page in ("/login", "/register"):
        assert ann.get(f"{page}?{urlencode({'next': wanted})}", 303).location == landed


def look_up(browser: Browser, wanted: str) -> Any:
    return browser.get("/login?" + urlencode({"next": wanted})).form()


def test_registering_leads_back_too(stranger: Browser) -> None:
    sent = stranger.submit("/register?next=/assets/ETH", **registration())
    assert sent.location == "/assets/ETH"


@pytest.mark.parametrize("cookie", ["x", "é|é", "user|0000", "a|b|c", ""])
def test_made_up_cookies_are_no_session(stranger: Browser, cookie: str) -> None:
    for name in ("session", "remember_token"):
        stranger.client.set_cookie(name, cookie)
    assert stranger.get("/dashboard", 303).location.startswith("/login")
    stranger.get("/assets")


def test_a_form_without_its_token_is_refused(ann: Browser) -> None:
    for path, values in (("/deposit", {"amount": "1"}), ("/logout", {}), ("/login", {"username": "x"})):
        form = ann.get("/deposit").form()
        form.action = path
        answer = ann.send(form, csrf_token=None, **values)
        assert answer.status == 400 and "This form has expired." in answer.text
    assert NOTHING_YET in ann.get("/dashboard").text


def test_the_session_cookie_is_for_this_site_and_no_script(app: Flask, stranger: Browser, ann: Browser) -> None:
    sent = stranger.log_in(ann.username)
    [cookie] = [each for each in sent.response.headers.getlist("Set-Cookie") if each.startswith("session=")]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Expires" not in cookie
    assert app.permanent_session_lifetime.days == 7


class Port(Browser):
    """A browser at one port of a host; browsers keep one set of cookies for all ports of it."""

    def __init__(self, app: Flask, port: int, like: Browser | None = None) -> None:
        super().__init__(app)
        self.client.open = partial(self.client.open, base_url=f"http://localhost:{port}")  # type: ignore[method-assign]
        if like:
            self.client._cookies = like.client._cookies


def test_two_copies_side_by_side_leave_each_other_alone(app: Flask, endpoint: str) -> None:
    first = Port(app, 8000).register()
    second = Port(make_app(endpoint, **tables_named("copy")), 8001, like=first)
    assert second.get("/dashboard", 303).location == "/login?next=/dashboard"
    second.register()
    for browser in (first, second):
        assert browser.username in browser.get("/dashboard").text
    second.log_out()
    assert first.username in first.get("/dashboard").text


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("www.example", "session"),
        ("www.example:443", "session_443"),
        ("[::1]:8000", "session_8000"),
        ("[::1]", "session"),
        ("www.example:", "session"),
        ("www.example:99999999", "session"),
        ("www.example:x=1;y", "session"),
    ],
)
def test_the_name_of_the_cookie(stranger: Browser, host: str, name: str) -> None:
    [cookie] = stranger.client.get("/login", headers={"Host": host}).headers.getlist("Set-Cookie")
    assert cookie.startswith(f"{name}=") and "Path=/" in cookie
