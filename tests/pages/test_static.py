"""Static files: what may be kept for good, and which of two representations is sent."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from app.views.http import SECURITY_HEADERS
from tests.support.page_client import Browser

STYLE = (Path(__file__).parents[2] / "app/static/style.css").read_bytes()


def ask(browser: Browser, address: str = "/static/style.css", method: str = "GET", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return browser.client.open(address, method=method, headers=named)


@pytest.fixture
def version(stranger: Browser) -> str:
    """What the pages write after the address of the style."""
    [found] = re.findall(r'"/static/style.css\?v=([0-9a-f]{12})"', stranger.get("/").response.text)
    return str(found)


def test_every_file_of_a_page_is_kept_for_good_and_carries_the_headers(stranger: Browser) -> None:
    addresses = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', stranger.get("/").response.text))
    assert len(addresses) == 7
    for address in addresses:
        answer = ask(stranger, address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert SECURITY_HEADERS.items() <= dict(answer.headers).items()
        assert not {"Access-Control-Allow-Origin", "Set-Cookie"} & set(answer.headers.keys())


@pytest.mark.parametrize("query", ["", "?v=", "?v=000000000000", "?v={version}0", "?w={version}", "?v=1&v={version}"])
def test_a_file_is_asked_for_again_unless_its_address_names_what_is_sent(
    stranger: Browser, version: str, query: str
) -> None:
    answer = ask(stranger, f"/static/style.css{query.format(version=version)}")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")
    assert answer.data == STYLE
    again = ask(stranger, f"/static/style.css{query.format(version=version)}", If_None_Match=answer.headers["ETag"])
    assert (again.status_code, again.headers["Cache-Control"]) == (304, "no-cache")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("br;q=1, gzip;q=0.2", "gzip"),
        ("*", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0.0, br", None),
        ("gzip;q=0, *", None),
        ("*;q=0", None),
        ("identity", None),
        ("notgzip", None),
        ("", None),
    ],
)
def test_what_is_compressed(stranger: Browser, accepted: str, encoding: str | None) -> None:
    answer = ask(stranger, Accept_Encoding=accepted)
    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    assert (gzip.decompress(answer.data) if encoding else answer.data) == STYLE


def test_each_representation_has_its_own_tag(stranger: Browser) -> None:
    plain, compressed = ask(stranger), ask(stranger, Accept_Encoding="gzip")
    tags = plain.headers["ETag"], compressed.headers["ETag"]
    assert tags[0] != tags[1] and not any(tag.startswith("W/") for tag in tags)
    for encoding, own, other in (("identity", *tags), ("gzip", *reversed(tags))):
        known = ask(stranger, Accept_Encoding=encoding, If_None_Match=own)
        assert (known.status_code, known.data, known.headers["ETag"]) == (304, b"", own)
        assert known.headers["Vary"] == "Accept-Encoding"
        assert "Content-Encoding" not in known.headers
        assert SECURITY_HEADERS.items() <= dict(known.headers).items()
        assert ask(stranger, Accept_Encoding=encoding, If_None_Match=other).status_code == 200


@pytest.mark.parametrize("wanted", ["bytes=10-19", "bytes=9999999-", "bytes=x"])
def test_a_file_is_sent_whole(stranger: Browser, wanted: str) -> None:
    answer = ask(stranger, Range=wanted)
    assert (answer.status_code, answer.data) == (200, STYLE)
    assert "Accept-Ranges" not in answer.headers


def test_methods(stranger: Browser) -> None:
    head, get = ask(stranger, method="HEAD"), ask(stranger)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers == get.headers
    for method in ("POST", "PUT", "DELETE"):
        answer = ask(stranger, method=method)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_the_compressed_form_has_no_address_of_its_own(stranger: Browser) -> None:
    assert stranger.get("/static/vendor/pico-2.1.1.min.css.gz", 404)
