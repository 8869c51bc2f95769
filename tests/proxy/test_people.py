"""What people and scripts do over https, through nginx; what clients forge."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.proxy.conftest import Copies, through
from tests.support.nginx import HOST, Proxy
from tests.support.people import PASSWORD, registration
from tests.support.server import Caller
from tests.support.visitor import Visitor

pytestmark = pytest.mark.engine


def test_the_story_in_a_browser(_chromium: Any, either: Proxy) -> None:
    """The market moves, so prices are not told."""
    ann = Visitor(_chromium, either.site)
    path = either.prefix
    ann.page.goto(f"{path}/register")
    for name, text in (filled := registration()).items():
        ann.page.fill(f"#{name}", text)
    ann.press("Open the account").sees("Welcome")
    kind = "__Secure-" if path else "__Host-"
    cookies = ann.context.cookies()
    assert {each["name"] for each in cookies} == {f"{kind}session_{either.port}", f"{kind}device_{either.port}"}
    assert all(each["secure"] and each["httpOnly"] and each["sameSite"] == "Lax" for each in cookies)
    assert {each["path"] for each in cookies} == {path or "/"}
    ann.open(f"{path}/deposit").fill(amount="1000").press("Deposit").sees("Your balance is now $1,000.00.")
    ann.open(f"{path}/assets/BTC").fill(quantity="0.001").press("Review the order").press("Confirm")
    ann.sees("Bought 0.001 BTC for $", "Filled")
    ann.open(f"{path}/assets/BTC").press("Sell all").press("Review the order").press("Confirm")
    ann.sees("Sold 0.001 BTC for $")
    ann.page.get_by_role("button", name="Log out").click()
    ann.sees("You are logged out.")
    ann.open(f"{path}/login").fill(username=filled["username"], password=filled["password"]).press("Log in")
    ann.page.wait_for_url("**/dashboard")
    assert not ann.faults, ann.faults
    ann.close()


def test_the_api(copies: Copies, either: Proxy) -> None:
    with through(copies, either).account(deposit="1000") as ann:
        order = {"order_type": "market_buy", "asset_id": "BTC", "quantity": "0.001"}
        placed = ann.post("/orders", order, key="once")
        again = ann.post("/orders", order, key="once")
        assert placed.status_code == 201 and again.json() == placed.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert placed.headers["Strict-Transport-Security"]
        assert ann.get(f"/orders/{placed.json()['data']['order_id']}").status_code == 200
        assert ann.get("/orders/unknown").json()["code"] == "invalid_input"


def test_plain_http_leads_to_https(proxy: Proxy) -> None:
    answer = requests.get(f"http://127.0.0.1:{proxy.plain_port}/login?next=/orders", allow_redirects=False, timeout=20)
    assert (answer.status_code, answer.headers["Location"]) == (301, f"https://{HOST}:{proxy.port}/login?next=/orders")


FORGED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Prefix": "/evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Ssl": "off",
    "X-Forwarded-Port": "666",
    "X-Real-IP": "6.6.6.6",
    "Forwarded": "for=6.6.6.6;host=evil.example;proto=http",
    "Script-Name": "/evil.example",
    "X-Script-Name": "/evil.example",
    "X_Forwarded_For": "6.6.6.6",
    "Connection": "close, X-Forwarded-For, X-Forwarded-Proto",
}


def test_headers_that_a_client_forges_change_nothing(copies: Copies, either: Proxy) -> None:
    with through(copies, either).account() as ann:
        [caller] = ann.callers
        for name, value in FORGED.items():
            caller.session.cookies.clear()
            page = caller.session.get(f"{either.address}/login", headers={name: value}, timeout=20)
            assert page.status_code == 200 and f'action="{either.prefix}/login"' in page.text, name
            assert "evil" not in page.text and "Strict-Transport-Security" in page.headers, name
            assert page.headers["Set-Cookie"].startswith(f"__{'Secure' if either.prefix else 'Host'}-session"), name
        caller.session.headers.update(FORGED)
        assert "evil" not in ann.get("/openapi.json").text
        assert ann.post("/auth/login", {"username": ann.username, "password": PASSWORD}).status_code == 200
        assert {each["address"] for each in ann.get("/auth/events").json()["data"]} == {"127.0.0.1"}


def test_another_host_is_refused(proxy: Proxy) -> None:
    caller = Caller(proxy.address, certificate=proxy.certificate)
    caller.session.headers["Host"] = "evil.example"
    answer = caller.get("/inventory/assets")
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_host")
    caller.close()


def test_the_counters_are_not_shown(copies: Copies, proxy: Proxy) -> None:
    answer = requests.get(f"{proxy.address}/metrics", verify=str(proxy.certificate), timeout=20)
    assert answer.status_code == 404
    for port in copies.ports.values():
        assert "http_requests_total" in requests.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
