"""Exports in spreadsheets of any locale, and which origins may read the API."""

from __future__ import annotations

import csv

import pytest
from flask import Flask

from app.config import Config
from tests.support.applications import make_app

FORMULAS = [
    *("a;=1+1", "a; =1+1", 'a;"=1+1"', "a;b;@SUM(A1)", "a|=1+1", "a|-1", "=1;=2|+3", "rent; ＝1", "a;;=1"),
    *("=1+1", "  x;\N{NO-BREAK SPACE}=1", '"=1+1"'),
]
HARMLESS = ["a;b", "rent - food", "a|b", "1=1;2=2", "x; y"]


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
def test_no_cell_is_a_formula_whatever_ends_a_cell(person, separator: str) -> None:
    for text in FORMULAS:
        assert person.post("/balance/deposit", {"amount": "1", "description": text}).status_code == 201
    exported = person.get("/balance/transactions.csv").text
    cells = [cell for row in csv.reader(exported.splitlines(), delimiter=separator) for cell in row]
    assert not [cell for cell in cells if cell.strip(' "\N{NO-BREAK SPACE}').startswith(tuple("=+@＝＋－＠"))]
    assert sum("'" in cell for cell in cells) >= len(FORMULAS)


def test_other_text_is_left(person) -> None:
    for text in HARMLESS:
        assert person.post("/balance/deposit", {"amount": "1", "description": text}).status_code == 201
    rows = list(csv.DictReader(person.get("/balance/transactions.csv").text.splitlines()))
    assert [row["description"] for row in rows[1:-1]] == HARMLESS


ORIGINS = {
    "https://shop.example": True,
    "https://SHOP.example": True,
    **dict.fromkeys(("https://shopxexample", "https://shop.example.evil.example", "https://evil.example"), False),
    **dict.fromkeys(("http://shop.example", "https://shop.example:8443", "null", "https://a.shop.example"), False),
}


@pytest.fixture(scope="module")
def shared(endpoint: str) -> Flask:
    settings = {"SECRET_KEY": "a secret for tests only", "CORS_ORIGINS": "https://shop.example, https://other.example"}
    return make_app(endpoint, cors_origins=Config.from_environment(settings).cors_origins)


@pytest.mark.parametrize("origin", ORIGINS)
def test_only_the_listed_origins_may_read_the_api(shared: Flask, origin: str) -> None:
    answer = shared.test_client().get("/api/v1/inventory/assets", headers={"Origin": origin})
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if ORIGINS[origin] else None)
    assert "Access-Control-Allow-Credentials" not in answer.headers
    for page in ("/login", "/health", "/apixyz"):
        assert "Access-Control-Allow-Origin" not in shared.test_client().get(page, headers={"Origin": origin}).headers


def test_a_star_is_every_origin_without_cookies(endpoint: str) -> None:
    app = make_app(endpoint, cors_origins=("*",))
    answer = app.test_client().get("/api/v1/inventory/assets", headers={"Origin": "https://any.example"})
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", "https://any.example"}
    # What a script needs of an answer and browsers hide from it, unless it is named.
    named = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"ETag", "Idempotent-Replayed", "Retry-After", "X-Request-ID"} <= {*named}
    assert "Access-Control-Allow-Credentials" not in answer.headers
