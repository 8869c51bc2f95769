"""Over https, behind a proxy, in a real browser: what people do works, and what another site sends does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from tests.support.applications import make_app
from tests.support.chromium import serving
from tests.support.people import PASSWORD, registration
from tests.support.tls import tls_in_front_of

FORM = """<form method="post" action="{address}/deposit">
<input name="amount" value="1"><input name="csrf_token" value="{token}"><input name="idempotency_key" value="{key}">
<button>Win</button></form>"""


@pytest.fixture(scope="module")
def port(endpoint: str, app: Flask, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    site = make_app(endpoint, trusted_proxies=1, site_hosts=("shop.localhost",))
    site.config["SESSION_COOKIE_SECURE"] = True
    with serving(site) as address, tls_in_front_of(address, tmp_path_factory.mktemp("tls")) as port:
        yield port


@pytest.fixture(scope="module")
def context(_chromium: Any, port: int) -> Iterator[Any]:
    made = _chromium.new_context(base_url=f"https://shop.localhost:{port}", ignore_https_errors=True)
    made.set_default_timeout(20_000)
    yield made
    made.close()


@pytest.fixture(scope="module")
def page(context: Any) -> Any:
    """The dashboard of somebody who has registered; the tests go on where the one before has ended."""
    page = context.new_page()
    page.goto("/register")
    for name, text in registration().items():
        page.fill(f"#{name}", text)
    page.get_by_role("button", name="Open the account").click()
    page.wait_for_url("**/dashboard")
    return page


@pytest.mark.parametrize("host", ["evil.localhost", "blog.shop.localhost"])
def test_a_page_of_another_site_deposits_nothing(context: Any, page: Any, port: int, host: str) -> None:
    """Even one that knows the token of the form; a neighbour's form comes with the cookie, too."""
    page.goto("/deposit")
    values = {name: page.input_value(f'main form [name="{name}"]') for name in ("csrf_token", "idempotency_key")}
    address = f"https://shop.localhost:{port}"
    evil = FORM.format(address=address, token=values["csrf_token"], key=values["idempotency_key"])
    context.route(f"https://{host}/**", lambda route: route.fulfill(content_type="text/html", body=evil))
    other = context.new_page()
    other.goto(f"https://{host}/")
    with other.expect_response(f"{address}/deposit") as answer:
        other.get_by_role("button", name="Win").click()
    assert answer.value.status == 400 and "a page of another site" in answer.value.text()
    other.close()
    page.goto("/dashboard")
    assert "It is there at once" in page.text_content("main"), "nothing was deposited"


def test_people_deposit_and_log_out_and_in_over_https(context: Any, page: Any, port: int) -> None:
    """Also those whose browser sends no Referer."""
    cookies = {each["name"]: each for each in context.cookies()}
    assert cookies.keys() == {f"__Host-session_{port}", f"__Host-device_{port}"}
    assert all(each["secure"] and each["httpOnly"] and each["sameSite"] == "Lax" for each in cookies.values())
    page.goto("/deposit")
    page.fill("#amount", "12.34")
    page.locator("main").get_by_role("button", name="Deposit").click()
    page.wait_for_url("**/dashboard")
    assert "Deposited $12.34. Your balance is now $12.34." in page.text_content("main")
    username = page.text_content(".who")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"https://shop.localhost:{port}/")
    assert "You are logged out." in page.text_content("main")
    # Clear-Site-Data leaves the mark of the device.
    assert cookies[f"__Host-device_{port}"]["value"] in {each["value"] for each in context.cookies()}
    context.route("**", lambda route: route.continue_(headers={**route.request.headers, "referer": ""}))
    page.goto("/login")
    page.fill("#username", username)
    page.fill("#password", PASSWORD)
    page.locator("main").get_by_role("button", name="Log in").click()
    page.wait_for_url("**/dashboard")
