"""What stands around the content of every page: navigation, the label of a simulated market, theme and encoding."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from flask import Flask

from tests.support.applications import make_app
from tests.support.faults import FaultyStore, drop
from tests.support.page_client import Answer, Browser, look
from tests.support.usage import usage_of

DESCRIBED = [
    "/",
    "/login",
    "/register",
    "/forgot-password",
    "/assets",
    "/assets/BTC",
    "/assets/ETH",
    "/api/docs/errors",
]


def description_of(browser: Browser, path: str) -> str:
    [found] = re.findall(r'<meta name="description" content="([^"]+)">', browser.client.get(path).text)
    return str(found)


def test_every_public_page_has_a_description_of_its_own(stranger: Browser) -> None:
    found = [description_of(stranger, path) for path in DESCRIBED]
    assert len(set(found)) == len(found)
    assert all(50 <= len(each) <= 260 for each in found), found


def test_a_simulated_market_says_so_and_explains_itself(stranger: Browser, ann: Browser) -> None:
    for page in (stranger.get("/"), ann.get("/dashboard"), stranger.get("/nope", 404)):
        assert "Simulated market" in page.text and "/assets#simulated" in page.shown.links
    assert "simulated" in stranger.get("/assets").shown.attributes


def test_a_real_market_says_nothing_of_a_simulation(endpoint: str) -> None:
    browser = Browser(make_app(endpoint, price_source="coingecko"))
    assert "imulated" not in look(browser.client.get("/login")).text


@pytest.mark.parametrize("path", ["/nope", "/orders/order_00000000000000000000000000", "/assets/NOPE"])
def test_what_does_not_exist_keeps_the_navigation_of_a_user(ann: Browser, path: str) -> None:
    answer = ann.get(path, 404)
    assert "/orders" in answer.shown.links and ann.username in answer.text
    assert usage_of(answer.response).calls == 1
    assert ann.send(answer.form("/logout")).location == "/"


def test_an_error_without_a_store_has_no_navigation(faulty_app: Flask, faults: FaultyStore) -> None:
    browser = Browser(faulty_app).enter()
    faults.inject("BatchGetItem", *[drop] * 20)
    for path, status in (("/nope", 404), ("/dashboard", 503)):
        assert "Log out" not in browser.get(path, status).text


def test_the_user_is_shown_where_an_administrator_is_asked_for(ann: Browser) -> None:
    assert ann.username in ann.get("/admin", 403).text


def theme_of(answer: Answer) -> str | None:
    found = re.search(r'<html lang="en"(?: data-theme="(\w+)")?>', answer.response.text)
    assert found
    return found[1]


@pytest.mark.parametrize(("cookie", "theme"), [("dark", "dark"), ("light", "light"), ("", None), ('"><script>', None)])
def test_a_chosen_theme_is_in_the_page(stranger: Browser, cookie: str, theme: str | None) -> None:
    stranger.client.set_cookie("theme", cookie)
    assert theme_of(stranger.get("/assets")) == theme


def test_a_theme_is_chosen_and_kept_beyond_the_session(ann: Browser) -> None:
    for theme in ("dark", "light"):
        sent = ann.send(ann.get("/account").form("/account/theme"), theme=theme)
        [cookie] = [each for each in sent.response.headers.getlist("Set-Cookie") if each.startswith("theme=")]
        assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
        page = ann.get(sent.location)
        assert theme_of(page) == theme and page.form("/account/theme").values["theme"] == theme
    refused = ann.send(page.form("/account/theme"), theme="pink")
    assert refused.status == 422 and "Choose one of" in refused.text
    assert ann.username in refused.form("/account").values["email"]
    assert theme_of(ann.log_out()) == "light"
    ann.log_in(ann.username)
    ann.send(ann.get("/account").form("/account/theme"), theme="device")
    assert theme_of(ann.get("/account")) is None


def test_the_page_can_be_installed(stranger: Browser) -> None:
    [address] = re.findall(r'<link rel="manifest" href="([^"]+)">', stranger.get("/").response.text)
    with stranger.client.get(address) as response:
        assert response.content_type == "application/manifest+json"
        manifest = json.loads(response.data)
    for icon in manifest["icons"]:
        with stranger.client.get(f"/static/{icon['src']}") as response:
            assert (response.status_code, response.content_type) == (200, icon["type"])


def ask(browser: Browser, path: str, accepted: str = "gzip") -> tuple[str | None, str]:
    """How the page is encoded, and the page."""
    response = browser.client.get(path, headers={"Accept-Encoding": accepted})
    encoding = response.headers.get("Content-Encoding")
    return encoding, (gzip.decompress(response.data) if encoding else response.data).decode()


@pytest.mark.parametrize("path", ["/", "/assets", "/assets/BTC", "/api/docs/errors"])
def test_a_page_without_a_secret_is_compressed(stranger: Browser, path: str) -> None:
    encoding, page = ask(stranger, path)
    assert encoding == "gzip" and page.endswith("</html>") and 'name="csrf_token"' not in page
    assert ask(stranger, path, "identity")[0] is None
    assert "Accept-Encoding" in stranger.client.get(path).headers["Vary"]


@pytest.mark.parametrize("path", ["/login", "/register"])
def test_a_page_with_the_token_of_a_form_is_not(stranger: Browser, path: str) -> None:
    encoding, page = ask(stranger, path)
    assert encoding is None and 'name="csrf_token"' in page
    # From now on the browser has a session, of which the pages could tell.
    assert ask(stranger, "/assets")[0] is None


@pytest.mark.parametrize("path", ["/assets", "/assets/BTC", "/dashboard", "/nope"])
def test_a_page_of_a_user_is_not(ann: Browser, path: str) -> None:
    encoding, page = ask(ann, path)
    assert encoding is None and ann.username in page
