"""`/api/docs`: Swagger UI from our own files, without anything inline."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from flask import Flask

from tests.support.page_client import look

VENDOR = Path(__file__).parents[2] / "app/static/vendor/swagger-ui"
# Of swagger-ui-dist 5.35.0.
VENDORED = {
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
}


def test_the_page_has_nothing_inline_and_all_that_it_loads(contract_app: Flask) -> None:
    client = contract_app.test_client()
    page = look(client.get("/api/docs")).response.text
    addresses = re.findall(r'(?:href|src|data-url)="([^"]+)"', page)
    assert "/api/v1/openapi.json" in addresses
    for address in addresses:
        assert address.startswith("/") and not address.startswith("//")
        with client.get(address) as response:
            assert response.status_code == 200 and response.data, address


@pytest.mark.parametrize(("name", "digest"), VENDORED.items())
def test_vendored_files_are_as_published(name: str, digest: str) -> None:
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest


def test_their_licence_comes_with_them() -> None:
    assert "Apache License" in (VENDOR / "LICENSE.txt").read_text()
    assert "SmartBear" in (VENDOR / "NOTICE.txt").read_text()
