"""The application below a path of a proxy: no address that it writes leads out of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import unescape
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from flask import Flask

from app.domain import clock
from app.domain.users import Role
from app.models import users
from tests.support.accounts import deposit, open_trader
from tests.support.applications import make_app
from tests.support.page_client import Answer, Browser
from tests.support.people import PASSWORD, registration

PREFIX = "/shop"
ADDRESSES = re.compile(r'\s(?:href|src|action|formaction|data-[a-z]+)="(/[^"]*|[a-z]+:[^"]*)"')
# A form's own address, what a mail leads to, a download, and what is for programs.
NOT_LINKED = {
    "/confirm-email",
    "/login/code",
    "/reset-password",
    "/account/theme",
    "/account/second-factor/passkeys/new",
    "/account/second-factor/passkeys/challenge",
    "/account/second-factor/passkeys/<passkey_id>/remove",
    "/assets/<asset_id>/review",
    "/orders/cancel",
    "/orders/<order_id>/change/confirm",
    "/assets/<asset_id>/change",
    "/admin/approvals/<approval_id>",
    "/admin/users/<username>/adjustment/review",
    "/admin/users/<username>/adjustment/change",
    "/statement.csv",
    "/activity/trades.csv",
    "/activity/gains.csv",
    "/health",
    "/ready",
    "/metrics",
    "/.well-known/change-password",
    "/.well-known/security.txt",
}


class Proxy:
    """Takes the prefix off each path, as nginx does for `proxy_pass http://app/`; outside of it is nothing."""

    def __init__(self, application: Any) -> None:
        self.application, self.prefix = application, PREFIX

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        assert path.startswith(f"{PREFIX}/"), f"{path} is another site"
        environ["PATH_INFO"] = path.removeprefix(PREFIX)
        environ |= {"HTTP_X_FORWARDED_PREFIX": self.prefix, "HTTP_X_FORWARDED_HOST": "www.example"}
        environ |= {"HTTP_X_FORWARDED_PROTO": "https"}
        answer: Iterable[bytes] = self.application(environ, start_response)
        return answer


class Visitor(Browser):
    """A browser of that proxy, which may name paths without the prefix."""

    def get(self, path: str, status: int = 200) -> Answer:
        return super().get(within(path), status)

    def send(self, form: Any, **values: str | None) -> Answer:
        self.client.environ_base["HTTP_REFERER"] = "https://www.example/"
        return super().send(form, **values)


def within(path: str) -> str:
    return path if path.startswith(f"{PREFIX}/") else PREFIX + path


@pytest.fixture(scope="module")
def shop(endpoint: str) -> Flask:
    made = make_app(endpoint, trusted_proxies=1, site_hosts=("www.example",))
    made.wsgi_app = Proxy(made.wsgi_app)  # type: ignore[method-assign]
    return made


@pytest.fixture
def proxy(shop: Flask) -> Any:
    """The one before `shop`, which a test may let name another prefix."""
    return shop.wsgi_app


@pytest.fixture
def visitor(shop: Flask) -> Visitor:
    return Visitor(shop)


def addresses_in(answer: Answer) -> set[str]:
    found = {unescape(each) for each in ADDRESSES.findall(answer.response.text)}
    assert all(each.startswith(f"{PREFIX}/") for each in found), sorted(found)
    return found


def test_no_link_of_any_page_leads_out(shop: Flask, visitor: Visitor) -> None:
    """Every page that a link leads to, from the first one on, for an administrator with a history."""
    pages: set[str] = set()

    def walk(*starts: str) -> None:
        to_see, seen = list(starts), set()
        while to_see:
            address = to_see.pop()
            path, _, query = address.partition("?")
            # One address of each kind: of a list also a further page and a filtered one.
            kind = re.sub(r"[^a-z/?&=]+|=[^&]*", "", f"{path}?{query}")
            if kind in seen or path.endswith(".csv") or "/static/" in path:
                continue
            seen.add(kind)
            answer = visitor.client.get(within(address), follow_redirects=True)
            if answer.status_code == 405:
                continue  # where a form is sent, and nothing is shown
            assert answer.status_code == 200, address
            pages.add(answer.request.path)
            if answer.content_type.startswith("text/html"):
                to_see += sorted(addresses_in(Answer(answer, None)) - {f"{PREFIX}/logout"})

    walk("/", "/login", "/register")
    visitor.register()
    name = visitor.username
    with shop.app_context():
        users.set_role(name, Role.ADMIN, now=clock.now())
        for _ in range(30):
            deposit(name, "1000.00")
        other = open_trader("1")
    visitor.log_in(name)
    Visitor(shop).log_in(name)  # another session, to be ended
    visitor.done("/assets/BTC", quantity="0.01")
    waiting = visitor.done("/assets/BTC", order_type="limit_buy", quantity="0.01", price="1")
    review = visitor.get("/assets/BTC").form()
    review.action = f"{PREFIX}/assets/BTC/review"
    change = visitor.get(f"{waiting.response.request.path}/change")
    for page in (
        change,
        visitor.send(change.form(), price="2"),
        waiting,
        visitor.send(review, quantity="0.01"),
        visitor.send(review, quantity="x"),
    ):
        assert addresses_in(page)
    assert visitor.submit("/account/tokens", name="script", scopes="read").status == 201
    walk("/dashboard", "/account", "/history", f"/admin/users/{name}", f"/admin/users/{other}/status")
    walk("/account/second-factor/codes", "/account/second-factor/remove", f"/admin/users/{other}/second-factor")
    walk(f"{waiting.response.request.path}/change", "/orders?status=pending", "/activity/trades?asset_id=BTC")
    rules = [rule for rule in shop.url_map.iter_rules() if "GET" in (rule.methods or ()) and "/api/" not in rule.rule]
    patterns = {rule.rule: re.compile(PREFIX + re.sub(r"<[^>]+>", "[^/]+", rule.rule)) for rule in rules}
    unseen = {rule for rule, pattern in patterns.items() if not any(pattern.fullmatch(page) for page in pages)}
    assert unseen <= NOT_LINKED, unseen


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing", 404), ("/logout", 405), ("/history?days=0", 422), ("/admin", 303)]
)
def test_refusals_stay_within(visitor: Visitor, path: str, status: int) -> None:
    visitor.register()
    answer = visitor.client.get(within(path))
    addresses_in(Answer(answer, None))
    assert answer.headers.get("Location", f"{PREFIX}/").startswith(f"{PREFIX}/")


def test_the_page_that_one_is_on_is_marked(visitor: Visitor) -> None:
    visitor.register()
    for path in ("/orders", "/activity/trades", "/account/password"):
        assert f'href="{PREFIX}{path}" aria-current="page"' in re.sub(r"\s+", " ", visitor.get(path).response.text)


@pytest.mark.parametrize(
    ("wanted", "landed"),
    [
        ("/shop/orders?asset_id=BTC", "/shop/orders?asset_id=BTC"),
        ("/orders", "/shop/dashboard"),
        ("/shopping/orders", "/shop/dashboard"),
        ("//shop/orders", "/shop/dashboard"),
    ],
)
def test_the_way_back_after_logging_in(visitor: Visitor, wanted: str, landed: str) -> None:
    person = registration()
    visitor.register(**person)
    stranger = Visitor(visitor.client.application)
    form = stranger.get("/login?" + urlencode({"next": wanted})).form()
    assert stranger.send(form, username=person["username"], password=PASSWORD).location == landed


def test_who_is_sent_to_log_in_comes_back(visitor: Visitor) -> None:
    there = visitor.get("/orders?status=pending", 303).location
    assert there == "/shop/login?next=/shop/orders?status%3Dpending"


def test_cookies_belong_to_the_prefix(visitor: Visitor) -> None:
    cookies = visitor.client.get("/shop/login").headers.getlist("Set-Cookie")
    assert cookies and all("; Path=/shop" in cookie for cookie in cookies)


def test_the_api_names_itself_with_the_prefix(visitor: Visitor) -> None:
    document = visitor.client.get("/shop/api/v1/openapi.json").json
    assert document["servers"] == [{"url": "/shop"}]
    assert document["externalDocs"]["url"] == "/shop/api/docs/errors"
    problem = visitor.client.get("/shop/api/v1/nothing").json
    assert problem["type"] == "/shop/api/docs/errors#not_found"
    assert visitor.client.get(problem["type"]).status_code == 200
    examples = re.findall(r'"(/[a-z/]*errors#\w+)"', visitor.client.get("/shop/api/v1/openapi.json").text)
    assert examples and all(each.startswith(PREFIX) for each in examples)


def test_the_page_of_a_new_token_names_the_whole_address(visitor: Visitor) -> None:
    visitor.register()
    made = visitor.submit("/account/tokens", name="script", scopes="read")
    assert "https://www.example/shop/" in made.text


@pytest.mark.parametrize(
    "prefix",
    ["//evil.example", "/\\evil.example", "evil", "/a//evil", '/"><script>', "/a, //evil.example", "/a b", "/é"],
)
def test_a_prefix_that_is_not_a_path_is_not_believed(
    visitor: Visitor, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setattr(proxy, "prefix", prefix)
    answer = visitor.client.get("/shop/dashboard")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/dashboard")


@pytest.mark.parametrize("prefix", ["/shop/", "/other, /shop"])
def test_ways_to_write_a_prefix(visitor: Visitor, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setattr(proxy, "prefix", prefix)
    answer = visitor.client.get("/shop/dashboard")
    assert urlsplit(answer.headers["Location"]).path == "/shop/login"
