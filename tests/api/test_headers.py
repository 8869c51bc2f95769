"""Headers and errors that belong to no single route."""

from __future__ import annotations

import re

import pytest

from tests.support.people import problem

SOME = ["/health", "/ready", "/api/v1/inventory/assets", "/api/v1/balance", "/api/v1/nothing", "/api/nothing"]


@pytest.mark.parametrize("path", SOME)
def test_every_answer(client, path):
    response = client.get(path)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", response.headers["X-Request-ID"])
    assert re.search(
        r'total;dur=[0-9.]+, db;dur=[0-9.]+;desc="\d+ calls, [0-9.]+ read units, [0-9.]+ write units"',
        response.headers["Server-Timing"],
    )
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response.headers["Cache-Control"]
    assert "Set-Cookie" not in response.headers
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    "path", ["/api/v1/balance", "/api/v1/inventory/assets", "/api/v1/nowhere", "/health", "/ready"]
)
def test_no_answer_depends_on_a_cookie(client, path):
    """Not on one that is broken either."""
    plain, sent = client.get(path), client.get(path, headers={"Cookie": "session=eyJhIjoxfQ.a.b"})
    assert sent.status_code == plain.status_code
    for answer in (plain, sent):
        assert "Vary" not in answer.headers and "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("sent", ["a", "A-Z_09", "x" * 64, "0192f1c3-7b2e-7cc1-a3f0-0123456789ab"])
def test_a_request_id_comes_back(client, sent):
    assert client.get("/health", headers={"X-Request-ID": sent}).headers["X-Request-ID"] == sent
    response = client.get("/api/v1/balance", headers={"X-Request-ID": sent})
    assert problem(response, 401, "not_authenticated")["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a.b", "<b>", "ü", "a,b", "a\tb", "../x"])
def test_a_malformed_request_id_is_replaced(client, sent):
    got = client.get("/health", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
    assert got != sent and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", got)


def test_request_ids_differ(client):
    assert len({client.get("/health").headers["X-Request-ID"] for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/balance", {"GET"}),
        ("DELETE", "/api/v1/orders", {"GET", "POST"}),
        ("GET", "/api/v1/auth/register", {"POST"}),
        ("GET", "/api/v1/balance/deposit", {"POST"}),
        ("PUT", "/api/v1/orders/order_0123456789", {"GET", "PATCH"}),
        ("POST", "/api/v1/inventory/assets", {"GET"}),
        ("POST", "/health", {"GET"}),
        ("TRACE", "/api/v1/balance", {"GET"}),
    ],
)
def test_another_method_names_those_that_are_allowed(client, method, path, allowed):
    response = client.open(path, method=method, json={})
    problem(response, 405, "method_not_allowed")
    assert set(re.split(r",\s*", response.headers["Allow"])) - {"HEAD", "OPTIONS"} == allowed


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/v1",
        "/api/v2/balance",
        "/api/v1/nothing",
        "/api/v1/balance/",
        "/api/v1/balance/nothing",
        "/api/v1/orders/",
        "/api/v1/%00",
    ],
)
def test_no_such_address(client, path):
    problem(client.get(path), 404, "not_found")


BODIES = [
    "/api/v1/auth/register",
    "/api/v1/auth/login",
    "/api/v1/balance/deposit",
    "/api/v1/balance/withdraw",
    "/api/v1/orders",
]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonx",
        "text/json",
        "*/*",
        "json",
        "application/octet-stream",
        ";",
        "application/json, text/plain",
    ],
)
def test_another_media_type(person, path, content_type):
    response = person.client.post(
        path, data=b'{"amount": "1"}', content_type=content_type, headers={"Authorization": f"Bearer {person.token}"}
    )
    problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "application/vnd.ours+json",
        "application/json;charset=latin-1",
    ],
)
def test_json_by_its_other_names(person, content_type):
    response = person.post(
        "/balance/deposit", data='{"amount": "1", "description": "Ä"}'.encode(), content_type=content_type
    )
    assert response.status_code == 201 and response.json["transaction"]["description"] == "Ä"


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(("size", "status"), [(64 * 1024, 422), (64 * 1024 + 1, 413), (1024 * 1024, 413)])
def test_a_body_over_64_kilobytes(person, path, size, status):
    start, end = b'{"other": "', b'"}'
    body = start + b"x" * (size - len(start) - len(end)) + end
    response = person.client.post(
        path, data=body, content_type="application/json", headers={"Authorization": f"Bearer {person.token}"}
    )
    problem(response, status, "body_too_large" if status == 413 else "invalid_input")


def test_errors_never_show_what_is_inside(person):
    """No exception, no table, no stack, whatever went wrong."""
    for response in (
        person.post("/balance/deposit", {"amount": []}),
        person.post("/balance/deposit", data=b"{", content_type="application/json"),
        person.withdraw("1"),
        person.get("/orders/order_0123456789"),
        person.get("/orders?cursor=x"),
        person.client.get("/api/v1/balance"),
    ):
        assert response.status_code >= 400
        for word in ("Traceback", "Exception", "Error(", "dynamodb", "DynamoDB", "users", "pynamodb", ".py"):
            assert word not in response.text
