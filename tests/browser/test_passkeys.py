"""Passkeys in a real browser, whose authenticator is a virtual one: add it, log in and prove with it, remove it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import NewVisitor
from tests.support.authenticator import enrol
from tests.support.page_client import Browser
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


@pytest.fixture
def visitor(new_visitor: NewVisitor) -> Iterator[Visitor]:
    """At `localhost`: an address in digits can have no passkeys."""
    visitor = new_visitor(fresh=True)
    visitor.address = visitor.address.replace("127.0.0.1", "localhost")
    session = visitor.context.new_cdp_session(visitor.page)
    session.send("WebAuthn.enable")
    made = {"protocol": "ctap2", "transport": "usb", "automaticPresenceSimulation": True}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": made})
    yield visitor


def go(visitor: Visitor, path: str) -> Visitor:
    return visitor.open(f"{visitor.address}{path}")


# What the service, or what stands in front of it, answers to the script, and what the person is told.
ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "a limit": (
        {"status": 429, "content_type": "application/problem+json", "body": '{"detail": "Wait 5 minutes."}'},
        "Wait 5 minutes.",
    ),
    "a page": ({"status": 503, "content_type": "text/html", "body": "<h1>Busy</h1>"}, "No answer came."),
    "a log-in": ({"status": 303, "headers": {"Location": "/login"}}, "This took too long, or your session has ended."),
    "broken": ({"status": 200, "content_type": "application/json", "body": "{"}, "No answer came."),
}


def fulfill(answer: dict[str, Any], route: Route) -> None:
    route.fulfill(**answer)


def test_what_a_person_is_told_when_none_is_used(visitor: Visitor, client: Browser) -> None:
    assert client.person is not None
    enrol(client.person)
    visitor.username, page = client.username, visitor.page
    go(visitor, "/login").fill(username=visitor.username, password=PASSWORD).press("Log in").sees("Enter a code")
    alert, button = (
        page.locator("[data-passkey] [role=alert]"),
        page.get_by_role("button", name="Use a passkey instead"),
    )
    button.click()
    expect(alert).to_have_text("This account has no passkey. Enter a code instead.")
    for answer, told in ANSWERS.values():
        page.route("**/login/code/passkey", partial(fulfill, answer))
        button.click()
        expect(alert).to_contain_text(told)
        expect(button).to_be_enabled()
        page.unroute_all()
    page.route("**/login/code/passkey", lambda route: route.abort())
    button.click()
    expect(alert).to_contain_text("No answer came.")
    expect(page.get_by_role("button", name="Log in", exact=True)).to_be_enabled()
    # The console tells of each.
    visitor.faults.clear()


def test_adding_again_after_the_browser_refused(visitor: Visitor, client: Browser) -> None:
    assert client.person is not None
    codes = enrol(client.person).recovery_codes
    visitor.username, page = client.username, visitor.page
    go(visitor, "/login?next=/account/second-factor/passkeys/new")
    visitor.fill(username=visitor.username, password=PASSWORD).press("Log in")
    visitor.fill(code=codes[0]).press("Log in").sees("Add a passkey")
    page.evaluate("""() => {
        navigator.credentials.create = () => { throw new DOMException("", "NotAllowedError"); };
    }""")
    visitor.fill(name="key ring", current_password=PASSWORD, code=codes[1]).press("Add it")
    alert, button = page.locator("[data-new-passkey] [role=alert]"), page.get_by_role("button", name="Add it")
    expect(alert).to_have_text("No passkey was added. Try again.")
    expect(button).to_be_enabled()
    page.evaluate("delete navigator.credentials.create")
    visitor.press("Add it")
    page.wait_for_url("**/account/second-factor")
    visitor.sees("The passkey is added.")


def test_adding_logging_in_proving_and_removing(visitor: Visitor, client: Browser) -> None:
    assert client.person is not None
    codes = enrol(client.person).recovery_codes
    visitor.username, page = client.username, visitor.page
    go(visitor, "/login?next=/account/second-factor")
    visitor.fill(username=visitor.username, password=PASSWORD).press("Log in")
    visitor.fill(code=codes[0]).press("Log in").sees("You have none.")
    page.get_by_role("button", name="Add a passkey").click()
    visitor.fill(name="key ring", current_password=PASSWORD, code=codes[1]).press("Add it")
    page.wait_for_url("**/account/second-factor")
    visitor.sees("The passkey is added.", "key ring", "not yet")
    page.get_by_role("button", name="Log out").click()
    go(visitor, "/login?next=/account/second-factor")
    visitor.fill(username=visitor.username, password=PASSWORD).press("Log in").sees("Enter a code")
    visitor.press("Use a passkey instead")
    page.wait_for_url("**/account/second-factor")
    page.get_by_role("link", name="Remove key ring").click()
    visitor.press("Use a passkey instead")
    # It is asked for when all else is there.
    page.locator("#current_password:focus").wait_for()
    visitor.fill(current_password=PASSWORD).press("Use a passkey instead")
    page.wait_for_url("**/account/second-factor")
    visitor.sees("The passkey is removed.", "You have none.")
