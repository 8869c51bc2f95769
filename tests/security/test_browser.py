"""What browsers are told and asked: forms of other sites, cookies, headers, host names, and what a cookie shows."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import Signer

from app.domain import clock
from app.factory import create_app
from tests.support.applications import config, make_app
from tests.support.page_client import NOTHING_YET, Browser, SentForm, look
from tests.support.people import NOON, PASSWORD, problem, registration

SITE = "https://shop.example"


@pytest.fixture(scope="module")
def site(endpoint: str) -> Flask:
    """An application as it runs on the internet: behind a proxy that speaks https, for one host name."""
    hosts = ("shop.example", ".shops.example")
    app = make_app(endpoint, trusted_proxies=1, site_hosts=hosts, security_contact="mailto:s@shop.example")
    app.config["SESSION_COOKIE_SECURE"] = True
    return app


def call(app: Flask, method: str, path: str, **headers: str) -> Any:
    return app.test_client().open(path, method=method, base_url=SITE, headers=headers)


# Headers of a form, and whether it is accepted: at https, and at http as far as the application knows.
OURS, EVIL = "https://shop.example", "https://evil.example"
SAID: dict[str, tuple[dict[str, str], bool, bool]] = {
    "nothing, as curl": ({}, True, True),
    "a browser of today": ({"Sec-Fetch-Site": "same-origin", "Origin": OURS}, True, True),
    "one that hides where it comes from": ({"Sec-Fetch-Site": "same-origin"}, True, True),
    "an address typed": ({"Sec-Fetch-Site": "none"}, True, True),
    "an older browser": ({"Origin": OURS}, True, True),
    "in capitals": ({"Origin": "https://SHOP.example"}, True, True),
    "the port of https": ({"Origin": "https://shop.example:443"}, True, True),
    "a page without an address": ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True, True),
    "another site": ({"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, False, False),
    "another site, of which one header is lost": ({"Origin": EVIL}, False, False),
    "another site, without Origin": ({"Sec-Fetch-Site": "cross-site"}, False, False),
    "a neighbour": ({"Sec-Fetch-Site": "same-site", "Origin": "https://blog.shop.example"}, False, False),
    "another site that lies": ({"Sec-Fetch-Site": "same-origin", "Origin": EVIL}, False, False),
    "our Origin from another site": ({"Sec-Fetch-Site": "cross-site", "Origin": OURS}, False, False),
    "a frame in a sandbox": ({"Origin": "null"}, False, False),
    "a frame in a sandbox, today": ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, False, False),
    "a word of the future": ({"Sec-Fetch-Site": "near-site"}, False, False),
    "an empty word": ({"Sec-Fetch-Site": ""}, False, False),
    "another port": ({"Origin": "https://shop.example:8443"}, False, False),
    "our name within another": ({"Origin": "https://shop.example.evil.example"}, False, False),
    "our name as a user": ({"Origin": "https://shop.example@evil.example"}, False, False),
    "an extension": ({"Origin": "moz-extension://shop.example"}, False, False),
    "no address": ({"Origin": "https://[::1"}, False, False),
    "a port that is none": ({"Origin": "https://shop.example:x"}, False, False),
    "a page over http": ({"Origin": "http://shop.example"}, False, True),
}


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("case", SAID)
def test_a_form_of_another_site_logs_nobody_in(site: Flask, new_user, case: str, scheme: str) -> None:
    """A planted cookie with its own token, as a neighbour sets it: the token alone would let the form pass."""
    headers, over_https, over_http = SAID[case]
    person = new_user()
    client = site.test_client()
    forwarded = {"X-Forwarded-Proto": scheme}
    site.config["SESSION_COOKIE_SECURE"] = scheme == "https"
    try:
        form = look(client.get("/login", base_url=SITE, headers=forwarded)).form()
        data = {**form.values, "username": person.username, "password": PASSWORD}
        answer = client.post("/login", data=data, base_url=SITE, headers=forwarded | headers)
    finally:
        site.config["SESSION_COOKIE_SECURE"] = True
    accepted = over_https if scheme == "https" else over_http
    assert answer.status_code == (303 if accepted else 400)
    assert accepted or "came from a page of another" in answer.text


def test_a_form_of_another_site_moves_no_money(app: Flask, ann: Browser) -> None:
    form = ann.get("/deposit").form("/deposit")
    data = {**form.values, "amount": "10.00"}
    for headers in ({"Origin": EVIL}, {"Sec-Fetch-Site": "cross-site"}):
        assert ann.client.post("/deposit", data=data, headers=headers).status_code == 400
        assert ann.client.post("/logout", data=form.values, headers=headers).status_code == 400
    assert NOTHING_YET in ann.get("/dashboard").text
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert ann.client.post("/deposit", data=data, headers=headers).status_code == 303


def test_the_api_takes_calls_of_other_sites(client: FlaskClient) -> None:
    """It has no cookie that a foreign page could use; CORS says who may read the answers."""
    headers = {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}
    assert client.post("/api/v1/auth/register", json=registration(), headers=headers).status_code == 201


COOKIES = {
    "the site": (SITE, "", "__Host-session", "/"),
    "a port": ("https://shop.example:8443", "", "__Host-session_8443", "/"),
    "a prefix": (SITE, "/shop", "__Secure-session", "/shop"),
}


@pytest.mark.parametrize(("address", "prefix", "name", "path"), COOKIES.values(), ids=COOKIES)
def test_nobody_else_can_plant_the_cookie(site: Flask, address: str, prefix: str, name: str, path: str) -> None:
    headers = {"X-Forwarded-Prefix": prefix} if prefix else {}
    [cookie] = site.test_client().get("/login", base_url=address, headers=headers).headers.getlist("Set-Cookie")
    assert cookie.partition("=")[0] == name
    assert {"Secure", "HttpOnly", f"Path={path}", "SameSite=Lax"} <= set(cookie.split("; ")) and "Domain" not in cookie


def test_a_planted_cookie_without_the_prefix_counts_for_nothing(site: Flask) -> None:
    client = site.test_client()
    form = look(client.get("/login", base_url=SITE)).form()
    [cookie] = [each for each in client._cookies.values() if each.key == "__Host-session"]  # type: ignore[attr-defined]
    other = site.test_client()
    other.set_cookie("session", cookie.value, domain="shop.example", secure=True)
    answer = other.post("/login", data={**form.values, "username": "x", "password": "y"}, base_url=SITE)
    assert answer.status_code == 400


ANSWERS = ["/", "/login", "/dashboard", "/nothing", "/health", "/api/v1/balance", "/api/docs", "/static/style.css"]


@pytest.mark.parametrize("path", ANSWERS)
def test_every_answer_says_how_it_may_be_used(site: Flask, path: str) -> None:
    headers = call(site, "GET", path).headers
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Permissions-Policy"] and headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
    assert not re.search("unsafe|https?:|[*]", " ".join(policy)) and headers["Referrer-Policy"] == "same-origin"
    assert not headers["Content-Type"].startswith("text/") or headers["Content-Type"].endswith("; charset=utf-8")
    plain = site.test_client().get(path, base_url="http://shop.example", headers={"X-Forwarded-Proto": "http"}).headers
    assert "Strict-Transport-Security" not in plain and plain["Permissions-Policy"]


def test_https_is_not_promised_where_cookies_do_without(app: Flask) -> None:
    answer = app.test_client().get("/login", base_url="https://localhost:8443")
    assert "Strict-Transport-Security" not in answer.headers


def test_logging_out_clears_what_the_browser_keeps(ann: Browser) -> None:
    answer = ann.send(ann.get("/dashboard").form("/logout"))
    assert answer.response.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert "Clear-Site-Data" not in ann.client.get("/").headers


HOSTS = {
    **dict.fromkeys(("shop.example", "SHOP.example", "shop.example:8443", "shops.example", "a.b.shops.example"), True),
    **dict.fromkeys(("evil.example", "www.shop.example", "shop.example.evil.example", "xshops.example"), False),
    **dict.fromkeys(("127.0.0.1", "localhost", "shop.example.", "", "shop.example@evil.example", "[::1]"), False),
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host"])
def test_a_host_that_is_not_listed_is_refused(site: Flask, host: str, header: str) -> None:
    if header != "Host" and not host:
        return
    for path in ("/", "/login", "/api/v1/inventory/assets", "/api/v1/openapi.json", "/nothing"):
        answer = site.test_client().get(path, headers={"Host": "shop.example", header: host})
        if HOSTS[host]:
            assert answer.status_code in {200, 404}
            continue
        assert answer.status_code == 400 and "evil" not in answer.text + str(answer.headers)
        if path.startswith("/api"):
            problem(answer, 400, "unknown_host")
        else:
            assert "This site has another address" in answer.text and "Set-Cookie" not in answer.headers
    for probe in ("/health", "/ready", "/metrics"):
        assert site.test_client().get(probe, headers={"Host": "shop.example", header: host}).status_code == 200


def test_no_example_names_a_host_that_nobody_has_listed(app: Flask, ann: Browser) -> None:
    form = ann.get("/account/tokens").form("/account/tokens")
    data = {**form.values, "name": "script", "scopes": "read"}
    made = ann.client.post("/account/tokens", data=data)
    assert made.status_code == 201 and "http://localhost/api/v1/balance" in made.text
    form = ann.get("/account/tokens").form("/account/tokens")
    name = ann.client.get_cookie("session").value
    ann.client.set_cookie("session", name, domain="evil.example")
    made = ann.client.post(
        "/account/tokens",
        data={**data, "idempotency_key": form.values["idempotency_key"]},
        base_url="http://evil.example",
    )
    assert made.status_code == 201 and "evil.example" not in made.text and "ADDRESS-OF-THIS-SITE/api" in made.text


def test_where_to_report_a_weakness(site: Flask, app: Flask) -> None:
    with clock.at(NOON):
        answer = call(site, "GET", "/.well-known/security.txt")
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.text == "Contact: mailto:s@shop.example\nExpires: 2026-07-14T00:00:00Z\nPreferred-Languages: en\n"
    assert app.test_client().get("/.well-known/security.txt").status_code == 404


def test_where_to_change_a_password(site: Flask) -> None:
    answer = call(site, "GET", "/.well-known/change-password", **{"X-Forwarded-Prefix": "/shop"})
    assert (answer.status_code, answer.location) == (303, "/shop/account/password")


def content_of(cookie: str) -> str:
    """What anybody reads in a session cookie without its secret."""
    body = cookie.removeprefix(".").split(".")[0]
    data = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    return (zlib.decompress(data) if cookie.startswith(".") else data).decode()


def test_no_cookie_has_an_amount(ann: Browser) -> None:
    """Each form that tells of money, and the same form sent twice."""

    def sent(form: SentForm, told: str, **values: str) -> None:
        for words in (told, "This was done already,"):
            answer = ann.send(form, **values)
            assert answer.status == 303, answer.text
            cookie = content_of(ann.client.get_cookie("session").value)
            assert not re.search(r"\d+\.\d\d\b(?!\d*Z)|4321|1234|0\.001", cookie), cookie
            page = ann.get(answer.location).text
            assert words in page and ("Your balance is" in page or "Bought" in page or "order" in page)

    sent(ann.get("/deposit").form("/deposit"), "Deposited $4,321.09. Your balance is now $4,321.09.", amount="4321.09")
    sent(ann.get("/withdraw").form("/withdraw"), "Withdrew $1,234.07. Your balance is now $3,087.02.", amount="1234.07")
    order = {"order_type": "limit_buy", "quantity": "0.001", "price": "4321.00"}
    asset = ann.get("/assets/BTC").form()
    asset.action = "/assets/BTC/review"
    review = ann.send(asset, **order)
    sent(review.form("/assets/BTC"), "Your order to buy 0.001 BTC is open and waits for its price.")


def test_a_new_secret_ends_no_session(endpoint: str, new_user) -> None:
    old, new = "the former secret of tests", "the present secret of tests"
    before, after, later = (
        create_app(replace(config(endpoint), secret_key=secret, secret_key_fallbacks=fallbacks))
        for secret, fallbacks in ((old, ()), (new, (old,)), (new, ()))
    )
    person = new_user(before)
    for amount in ("1.00", "2.00", "3.00"):
        person.deposit(amount)
    browser = Browser(before)
    browser.log_in(person.username)
    form = browser.get("/deposit").form("/deposit")
    cursor = person.get("/balance/transactions?limit=1").json["next_cursor"]
    cookie = browser.client.get_cookie("session").value

    def meets(app: Flask) -> tuple[int, int, int]:
        client = app.test_client()
        client.set_cookie("session", cookie)
        person.client = app.test_client()
        return (
            client.get("/deposit").status_code,
            client.post("/deposit", data={**form.values, "amount": "4.00"}).status_code,
            person.get(f"/balance/transactions?limit=1&cursor={cursor}").status_code,
        )

    assert meets(later)[0::2] == (303, 400), "without the former secret, all ends"
    assert meets(after) == (200, 303, 200)
    assert meets(before) == (200, 303, 200), "and copies that do not have the new one yet go on"


def test_everything_is_signed_with_sha_256(app: Flask, ann: Browser, person) -> None:
    """A signature of HMAC-SHA-256 has 43 characters, one of SHA-1 has 27."""
    assert Signer("x").digest_method().name == "sha256"
    cookie = ann.client.get_cookie("session").value
    token = ann.get("/deposit").form("/deposit").values["csrf_token"]
    assert len(json.loads(content_of(ann.client.get_cookie("session").value))["csrf_token"]) == 43, "none of SHA-1"
    for amount in ("1.00", "2.00"):
        person.deposit(amount)
    cursor = person.get("/balance/transactions?limit=1").json["next_cursor"]
    assert [len(each.rpartition(".")[2]) for each in (cookie, token, cursor)] == [43, 43, 43]
