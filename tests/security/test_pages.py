"""What pages do with what was typed, with passwords, and with addresses that are only opened."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from app.domain import clock
from app.domain.users import Role
from tests.pages.conftest import NewBrowser
from tests.pages.test_every_page import PRIVATE
from tests.support.page_client import Browser
from tests.support.people import LONG_AGO, PASSWORD
from tests.support.usage import usage_of

STATIC = Path(__file__).parents[2] / "app/static"
# Ends an attribute in either kind of quotes, and the element; begins a script in an attribute and in an element.
HOSTILE = "\"'> <b onfocus=alert(1) autofocus><script>alert(1)</script>{{7*7}}${7*7}&quot;"
FORMS = ["/register", "/login", "/deposit", "/withdraw", "/assets/BTC", "/account/tokens"]
PASSWORDS = {
    "/login": {"password": "current-password"},
    "/register": {"password": "new-password"},
    "/account/password": {"current_password": "current-password", "new_password": "new-password"},
}


@pytest.mark.parametrize("path", [*FORMS, "/account", "/admin/users/{name}/adjustment"])
def test_what_was_typed_comes_back_as_text(new_browser: NewBrowser, path: str) -> None:
    """`look` finds every attribute and script that a page should not have."""
    browser = new_browser()
    if path not in {"/register", "/login"}:
        browser.enter(Role.ADMIN)
    path = path.format(name=browser.username)
    form = browser.get(path).form()
    kept = {"csrf_token", "idempotency_key", "scopes", "order_type", "unit", "time_in_force"}
    typed = {name: HOSTILE for name in form.values if name not in kept and not name.startswith("suggested_")}
    answer = browser.send(form, **typed)
    assert answer.status in {401, 422}
    shown = answer.form(form.action).values
    assert {shown[name] for name in typed if "password" not in name and name != "marketing_emails_consent"} == {HOSTILE}
    assert "<script>alert" not in answer.response.text and " onfocus=alert(1) autofocus>" not in answer.response.text


@pytest.mark.parametrize("path", PASSWORDS)
def test_passwords_are_hidden_and_may_be_pasted_and_kept(ann: Browser, stranger: Browser, path: str) -> None:
    page = (ann if path.startswith("/account") else stranger).get(path).shown
    given = {name: each for name, each in page.attributes.items() if each.get("type") == "password"}
    assert {name: each["autocomplete"] for name, each in given.items()} == PASSWORDS[path]
    scripts = "".join(script.read_text() for script in STATIC.glob("*.js"))
    assert not re.search("paste|clipboard", scripts), "and no script looks at what is pasted"


def test_no_script_of_ours_writes_markup_or_keeps_anything() -> None:
    """Text gets into a page as textContent; nothing is run that was text, listened to from elsewhere, or stored."""
    markup = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|srcdoc"
    run = r"\beval\b|\bFunction\(|setTimeout\(\s*[\"'`]|javascript:"
    kept = r"localStorage|sessionStorage|indexedDB|document\.cookie|caches\.|serviceWorker"
    merged = r"__proto__|\.prototype\b|\[\w+\]\[\w+\]\s*=[^=]"
    for script in STATIC.glob("*.js"):
        found = re.search(f"{markup}|{run}|{kept}|{merged}|postMessage|onmessage", script.read_text())
        assert not found, (script.name, found)


def test_every_page_of_a_user_leads_out(ann: Browser) -> None:
    for path in [*PRIVATE, "/account/password", "/account/sessions", "/account/tokens", "/statement", "/history"]:
        assert "/logout" in {form.action for form in ann.get(path).shown.forms}, path
        assert "Log out" in ann.get(path).text


def test_nothing_changes_when_an_address_is_opened(app: Flask, new_browser: NewBrowser) -> None:
    """Not by GET, and so not by a link, a picture or a page that is fetched ahead."""
    admin = new_browser().enter(Role.ADMIN)
    values = {"username": admin.username, "asset_id": "BTC", "order_id": "order_0123456789", "transaction_id": "0" * 12}
    values["filename"] = "style.css"
    opened = []
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.rule in {"/ready", "/metrics"}:
            continue
        assert not {"POST", "PUT", "PATCH", "DELETE"} & set(rule.methods or ()), "one function for reading and changing"
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda name: values.get(name[1], "0" * 16), rule.rule)
        client, headers = admin.client, {}
        if path.startswith("/api/"):
            client, headers = admin.person.client, {"Authorization": f"Bearer {admin.person.token}"}  # type: ignore[union-attr]
        answer = client.get(path, headers=headers)
        assert answer.status_code < 500, path
        if "db;" in answer.headers["Server-Timing"]:
            assert usage_of(answer).write_units == 0, path
        opened.append(path)
    assert len(opened) > 60
    assert "Log out" in admin.get("/dashboard").text


def test_a_password_does_not_age(app: Flask) -> None:
    with clock.at(LONG_AGO):
        browser = Browser(app).enter()
    with clock.at(LONG_AGO.replace(year=2040)):
        assert browser.log_in(browser.username, PASSWORD).location == "/dashboard"
