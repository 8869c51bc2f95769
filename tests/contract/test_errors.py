"""Errors: one shape for all that Flask, Werkzeug and the libraries answer by themselves, and a word on every code."""

from __future__ import annotations

import re
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.domain.errors import ProductError
from app.factory import create_app
from app.schemas.outputs import ProblemOutput
from app.views.api.docs import errors_as_markdown
from app.views.errors import ALL
from tests.support.applications import config
from tests.support.page_client import look
from tests.support.people import Person, problem, register

DOCS = Path(__file__).parents[2] / "docs/errors.md"


@pytest.mark.parametrize("kind", ALL, ids=[each.code for each in ALL])
def test_every_error_is_described_and_makes_an_example(kind: type[ProductError]) -> None:
    own = vars(kind)
    assert {"code", "cause", "remedy"} <= own.keys(), "what it inherits describes another error"
    assert own["cause"].endswith(".") and own["remedy"].endswith(".") and 400 <= kind.status < 600
    assert [each for each in ALL if each.code == kind.code] == [kind]
    error = kind.make_example()
    assert str(error).endswith(".") and error.details.keys().isdisjoint(ProblemOutput().fields)
    assert [name for name, value in error.details.items() if str(value) not in str(error)] == []


def test_the_file_of_errors_is_up_to_date() -> None:
    assert DOCS.read_text() == errors_as_markdown(), "run make docs"


def test_the_type_of_an_error_leads_to_its_explanation(contract_app: Flask) -> None:
    client = contract_app.test_client()
    address, _, code = client.get("/api/nope").json["type"].partition("#")
    page = look(client.get(address)).shown
    assert {each.code for each in ALL} <= set(page.attributes)
    assert "Check the address" in page.text_of(code)


@pytest.fixture
def caller(contract_app: Flask) -> Person:
    return register(contract_app)


JSON = {"content_type": "application/json"}
SHAPES: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "no such path": ("GET", "/nope", {}, 404, "not_found"),
    "a slash at the end": ("GET", "/balance/", {}, 404, "not_found"),
    "two slashes": ("GET", "//balance", {}, 404, "not_found"),
    "two slashes and a body": ("POST", "//balance/deposit", {"json": {"amount": 1}}, 404, "not_found"),
    "an empty id": ("POST", "/orders//cancel", {}, 404, "not_found"),
    "a path in capitals": ("GET", "/BALANCE", {}, 404, "not_found"),
    "an encoded slash": ("GET", "/orders/a%2Fb", {}, 404, "not_found"),
    "dots": ("GET", "/orders/../../../etc/passwd", {}, 404, "not_found"),
    "broken percent-encoding": ("GET", "/orders/%zz%", {}, 422, "invalid_input"),
    "no UTF-8 in the path": ("GET", "/orders/%ff%fe%fd%fc%fb%fa%f9%f8%f7%f6", {}, 422, "invalid_input"),
    "a null byte in the path": ("GET", "/orders/abcdefghij%00", {}, 422, "invalid_input"),
    "a line break in the path": ("GET", "/orders/abcdefghij%0a", {}, 422, "invalid_input"),
    "another method": ("PUT", "/balance", {}, 405, "method_not_allowed"),
    "an invented method": ("BREW", "/balance", {}, 405, "method_not_allowed"),
    "TRACE": ("TRACE", "/orders", {}, 405, "method_not_allowed"),
    "no JSON": ("POST", "/balance/deposit", {"data": "{", **JSON}, 400, "bad_request"),
    "nothing": ("POST", "/balance/deposit", {"data": "", **JSON}, 400, "bad_request"),
    "a name twice": ("POST", "/balance/deposit", {"data": '{"amount":1,"amount":2}', **JSON}, 400, "bad_request"),
    "not a number": ("POST", "/balance/deposit", {"data": '{"amount":NaN}', **JSON}, 400, "bad_request"),
    "no UTF-8": ("POST", "/balance/deposit", {"data": b'{"amount":"\xff"}', **JSON}, 400, "bad_request"),
    "UTF-16": ("POST", "/balance/deposit", {"data": '{"amount":1}'.encode("utf-16"), **JSON}, 400, "bad_request"),
    "too deep": ("POST", "/balance/deposit", {"data": "[" * 30_000, **JSON}, 400, "bad_request"),
    "a list": ("POST", "/balance/deposit", {"data": "[]", **JSON}, 422, "invalid_input"),
    "null": ("POST", "/balance/deposit", {"data": "null", **JSON}, 422, "invalid_input"),
    "a form": ("POST", "/balance/deposit", {"data": {"amount": "1"}}, 415, "unsupported_media_type"),
    "no content type": ("POST", "/balance/deposit", {"data": "{}"}, 415, "unsupported_media_type"),
    "too large": ("POST", "/balance/deposit", {"data": b" " * 65_537, **JSON}, 413, "body_too_large"),
    "no UTF-8 in the query": ("GET", "/orders?limit=%ff", {}, 422, "invalid_input"),
    "a null byte in the query": ("GET", "/orders?status=%00", {}, 422, "invalid_input"),
    "a broken query": ("GET", "/orders?limit=%zz&&&=", {}, 422, "unknown_parameter"),
}


@pytest.mark.parametrize(("method", "path", "kwargs", "status", "code"), SHAPES.values(), ids=SHAPES.keys())
def test_the_shape_of(caller: Person, method: str, path: str, kwargs: dict[str, Any], status: int, code: str) -> None:
    response = caller.call(method, path, **kwargs)
    body = problem(response, status, code)
    assert body["type"] == f"/api/docs/errors#{code}"
    assert body["title"] == HTTPStatus(status).phrase
    assert response.headers["Cache-Control"] == "no-store"
    assert not re.search("Traceback|Exception|werkzeug|marshmallow|dynamo", response.text, re.IGNORECASE)


def test_what_an_address_takes_is_told(caller: Person) -> None:
    for method, path, allowed in (
        ("PUT", "/orders", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("GET", "/balance/deposit", {"OPTIONS", "POST"}),
    ):
        assert set(caller.call(method, path).headers["Allow"].split(", ")) == allowed
        options = caller.call("OPTIONS", path)
        assert options.status_code == 200 and not options.data
        assert set(options.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/balance", 200),
        ("/orders", 200),
        ("/nope", 404),
        ("/balance/transactions/000000000099", 404),
        ("/balance/deposit", 405),
    ],
)
def test_head_is_get_without_the_body(caller: Person, path: str, status: int) -> None:
    response = caller.call("HEAD", path)
    assert response.status_code == status and not response.data
    if status >= 400:
        assert response.content_type == "application/problem+json"


def test_a_body_without_a_length_has_the_same_limit(caller: Person) -> None:
    """Chunked, as gunicorn hands it on."""

    def send(size: int) -> TestResponse:
        body = b'{"amount": "1"' + b" " * size + b"}"
        return caller.call(
            "POST",
            "/balance/deposit",
            input_stream=BytesIO(body),
            content_type="application/json",
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True},
        )

    problem(send(70_000), 413, "body_too_large")
    assert send(100).status_code == 201


@pytest.mark.parametrize("host", ["a b", "example.com:port", "<script>", "a/b", ""])
def test_a_broken_host_is_a_bad_request_or_harmless(caller: Person, host: str) -> None:
    response = caller.call("GET", "/balance", headers={"Host": host})
    if response.status_code != 200:
        problem(response, 400, "bad_request")
    assert host not in response.text or not host


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b.c", "Bearer " + "x" * 5000, "Bearer \xff", "bearer  a b"],
)
def test_without_a_token(caller: Person, authorization: str) -> None:
    response = caller.call("GET", "/balance", headers={"Authorization": authorization})
    problem(response, 401, "not_authenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_cookie_is_not_read(contract_app: Flask) -> None:
    client = contract_app.test_client()
    client.set_cookie("session", "made-up")
    problem(client.get("/api/v1/balance"), 401, "not_authenticated")


@pytest.mark.parametrize("path", ["/api/v1/breaks", "/api/breaks"])
def test_a_defect_is_recorded_and_tells_nothing(endpoint: str, path: str, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(config(endpoint))

    @app.get(path)
    def breaks() -> str:
        raise RuntimeError("the secret inside")

    response = app.test_client().get(path, headers={"X-Request-ID": "mine"})
    assert problem(response, 500, "internal_error")["request_id"] == "mine"
    assert "secret" not in response.text
    assert "the secret inside" in caplog.text


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1", "/api/v2/balance", "/api/docs/nope"])
def test_everything_below_api_is_for_programs(contract_app: Flask, path: str) -> None:
    problem(contract_app.test_client().get(path), 404, "not_found")
