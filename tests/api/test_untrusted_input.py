"""No request whatsoever may end in a 5xx: every route, with everything that a test could think of."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.schemas.order_inputs import OrderInput
from tests.support.people import new_address, register, registration

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
VALUES = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    "",
    " ",
    "x" * 70,
    "\0",
    "\n",
    "\ud800",
    "\udfff\ud800",
    "NaN",
    "1e309",
    "１２",
    "1_000",
    "#",
    "a#b",
    "%",
    "%s",
    "{}",
    "../..",
    "' OR 1=1 --",
    "<script>",
    "\u202e",
    "\ufeff",
    "\uffff",
    "𝟙",
    "İ",
    "ß",
    "ﬃ",
    "1" * 500,
    "é" * 200,
    [],
    [[]],
    {},
    {"": {}},
    [None],
    {"$ne": None},
    {"S": "x"},
]
RAW = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"{",
    b"[" * 30_000,
    b'{"a":' * 20_000,
    b"1" * 5_000,
    b"-",
    b'"',
    b"\xed\xa0\x80",
    b"null",
    b"NaN",
    b"[]",
    b'"x"',
    b"1e99999999",
    b'{"amount":1e99999999}',
    b'{"quantity":1e-99999999}',
    b'{"\\ud800":1}',
    b"x" * 65_537,
    b"a=1&a=2",
    b"--x\r\n",
    b"\xef\xbb\xbf{}",
]
TEXTS = [
    "x",
    "",
    "%",
    "%00",
    "..",
    "a" * 300,
    "é",
    "😀",
    "#",
    "?",
    "\n",
    "\x7f",
    "İ",
    "ß",
    "K",
    "１２",
    "%ff%fe",
    "order_0123456789",
    "000000000001",
    "BTC",
    "btc\n",
    "0" * 40,
    "-1",
    "NaN",
    "\\",
    "'",
    '"',
    ";",
    "{}",
    "*",
    "+",
    "ﬀ",
    "a" * 3000,
]
HEADERS = [
    {"Authorization": "Bearer " + "x" * 8000},
    {"Authorization": "Bearer a.b.c"},
    {"Authorization": "\xff\xfe"},
    {"Authorization": "Bearer é.0123456789abcdef." + "x" * 43},
    {"X-Request-ID": "\xff" * 100},
    {"Cookie": "session=\xff;;=;"},
    {"Cookie": "session=.eJw; remember_token=x|y"},
    {"Content-Type": "application/json; charset=\xff"},
    {"Content-Type": "multipart/form-data"},
    {"Content-Length": "-1"},
    {"Content-Encoding": "gzip"},
    {"Accept": "\xff/\xff;q=x"},
    {"Accept-Language": "xx-\xff;q=nan"},
    {"Host": "[::bad"},
    {"Host": ""},
    {"X-Forwarded-For": "\xff"},
    {"Range": "bytes=9-1"},
    {"If-None-Match": '"'},
    {"If-Modified-Since": "x"},
    {"Origin": "null"},
    {"Expect": "100-continue"},
    {"Idempotency-Key": "\xff" * 300},
    {"Transfer-Encoding": "chunked"},
    {"Upgrade": "h2c"},
]


@pytest.fixture(scope="module")
def person(app):
    person = register(app)
    person.deposit("1000")
    person.client.application.config["PROPAGATE_EXCEPTIONS"] = False
    yield person
    person.client.application.config["PROPAGATE_EXCEPTIONS"] = None


@pytest.fixture(scope="module")
def routes(app):
    """Every route outside the pages, as (template, method)."""
    found = {
        (rule.rule, method)
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api") or rule.rule in {"/health", "/ready", "/metrics"}
    }
    return sorted(found)


def fill(rule, text):
    parts = [quote(text, safe="%") if part.startswith("<") else part for part in rule.split("/")]
    return "/".join(parts)


def answered(response):
    assert response.status_code < 500, (response.request.method, response.request.url, response.text)
    if response.status_code >= 400 and response.request.method != "HEAD":
        body = response.json
        assert response.content_type == "application/problem+json"
        assert set(body) >= {"type", "title", "status", "detail", "code", "request_id"}
        assert body["status"] == response.status_code


def call(person, method, path, **kwargs):
    headers = {"Authorization": f"Bearer {person.token}", **kwargs.pop("headers", {})}
    # Each from another address, as attempts to log in are counted; read to its end, as some answers are streamed.
    address = {"REMOTE_ADDR": new_address()}
    response = person.client.open(
        path, method=method, headers=headers, environ_overrides=address, buffered=True, **kwargs
    )
    answered(response)
    if path.endswith("/logout") and response.status_code == 200:
        person.log_in()
    return response


def some(values, number):
    """Every fourth, from another one on for each number: each value meets every fourth route or field."""
    return values[number % 4 :: 4]


def test_paths(person, routes):
    for number, (rule, method) in enumerate(routes):
        for text in some(TEXTS, number) if "<" in rule else ["x"]:
            call(person, method, fill(rule, text), json={} if method != "GET" else None)


def test_bodies(person, routes):
    for number, (rule, method) in enumerate(routes):
        if method in {"POST", "PUT", "PATCH", "DELETE"}:
            for body in some(RAW, number):
                call(person, method, fill(rule, "order_0123456789"), data=body, content_type="application/json")


BODIES = {
    "/auth/register": registration(phone="0123456789", date_of_birth="1990-01-01", marketing_emails_consent=True),
    "/auth/login": {"username": "nobody", "password": "nothing at all"},
    "/auth/password": {"current_password": "not the password", "new_password": "another long one"},
    "/account/close": {"current_password": "not the password"},
    "/auth/tokens": {"name": "script", "scopes": "read", "expires_at": None},
    "/balance/deposit": {"amount": "1", "description": "x"},
    "/balance/withdraw": {"amount": "1", "description": "x"},
    "/orders": {
        **dict.fromkeys(OrderInput.names()),
        "order_type": "market_buy",
        "asset_id": "BTC",
        "quantity": "0.00001",
        "price": "1",
    },
}


@pytest.mark.parametrize("path", BODIES)
def test_values(person, path):
    """Each field with odd values, the others as they should be."""
    for number, field in enumerate(BODIES[path], start=list(BODIES).index(path)):
        for value in some(VALUES, number):
            body = json.dumps({**BODIES[path], field: value})
            call(person, "POST", f"/api/v1{path}", data=body, content_type="application/json")


def test_queries(person, routes):
    names = ["limit", "offset", "cursor", "transaction_type", "asset_id", "order_type", "status", "days", "active_only"]
    for number, (rule, method) in enumerate(routes):
        if method == "GET":
            for text in some(TEXTS, number):
                query = "&".join(f"{name}={quote(text, safe='%')}" for name in names)
                call(person, method, fill(rule, "BTC"), query_string=query)
            query = "&".join(f"{name}=1&{name}=2&{name}[]=3&={name}&{name}" for name in names)
            call(person, method, fill(rule, "BTC"), query_string=query)


@pytest.mark.parametrize("name", ["limit", "offset", "cursor", "transaction_type"])
def test_one_odd_value_in_a_query(person, name):
    for text in TEXTS:
        call(person, "GET", "/api/v1/balance/transactions", query_string=f"{name}={quote(text, safe='%')}")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("GET", "/api/v1/inventory/assets"),
        ("GET", "/api/v1/balance"),
        ("POST", "/api/v1/balance/deposit"),
        ("POST", "/api/v1/auth/login"),
    ],
)
def test_headers(person, method, path):
    for headers in HEADERS:
        call(person, method, path, headers=headers, data=b"{}" if method == "POST" else None)


def test_methods(person, routes):
    for number, rule in enumerate(sorted({rule for rule, _ in routes})):
        for method in [*METHODS, *some(["TRACE", "PROPFIND", "X" * 50, "get"], number)]:
            call(person, method, fill(rule, "order_0123456789"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_json_at_all(person, data):
    path = data.draw(st.sampled_from(sorted(BODIES)))
    field = data.draw(st.sampled_from(sorted(BODIES[path])))
    body = json.dumps({**BODIES[path], field: data.draw(json_values)})
    call(person, "POST", f"/api/v1{path}", data=body, content_type="application/json")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_login_and_address_at_all(person, first, second):
    for path, body in (
        ("/auth/login", {"username": first, "password": second}),
        ("/auth/register", {**registration(), "username": first, "email": second, "password": first + second}),
        ("/auth/register", {**registration(), "first_name": first, "last_name": second, "phone": first}),
    ):
        call(person, "POST", f"/api/v1{path}", json=body)
