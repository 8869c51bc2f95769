"""What holds of every page: who may see it, what it costs, and how errors and static files look."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import pytest
from flask import Flask

from app.domain.orders import Side
from tests.support.accounts import deposit, place
from tests.support.faults import FaultyStore, drop, lose_answer
from tests.support.page_client import NOTHING_YET, Browser, look
from tests.support.usage import usage_of

PUBLIC = ["/assets", "/assets/BTC", "/assets/matic", "/forgot-password"]
FRONT = ["/", "/login", "/register"]
# Beyond the one call that authenticates.
CALLS = {
    "/dashboard": 3,
    "/deposit": 0,
    "/withdraw": 0,
    "/orders": 1,
    "/orders?asset_id=BTC": 1,
    "/activity": 1,
    "/activity?transaction_type=deposit": 1,
    "/activity/trades": 1,
    "/activity/trades?asset_id=BTC": 1,
    "/activity/gains": 1,
    "/assets": 0,
    "/assets/BTC": 1,
    "/account": 0,
    "/account/second-factor": 0,
    "/account/events": 1,
    "/account/close": 1,
}
PRIVATE = [path for path in CALLS if path not in PUBLIC]
VENDORED = {
    "pico-2.1.1.min.css": "fbc9a63fc9fc9f72d12fd7fc9806e11fa9f77ae4f9cad146b27003a1119ba3db",
    "pico-LICENSE.txt": "afaff063e044233f917b7807dccab022f09dca474f92b642846bee4850655bbf",
    "uplot-1.6.32.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uplot-1.6.32.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uplot-LICENSE.txt": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}
STATIC = Path(__file__).parents[2] / "app/static"


@pytest.mark.parametrize("path", PUBLIC + FRONT)
def test_everybody_sees_it_without_a_call(stranger: Browser, path: str) -> None:
    answer = stranger.get(path)
    assert usage_of(answer.response).calls == 0
    assert "Log in" in answer.text and "Log out" not in answer.text


@pytest.mark.parametrize("path", PRIVATE + ["/activity/000000000001", "/orders/order_00000000000000000000000000"])
def test_strangers_are_asked_to_log_in_and_come_back(stranger: Browser, ann: Browser, path: str) -> None:
    there = stranger.get(path, 303)
    assert there.location.startswith("/login?next=/")
    assert "Log in to continue" in stranger.get(there.location).text
    assert stranger.log_in(ann.username, page=there.location).location == path


@pytest.mark.parametrize("path", ["/deposit", "/withdraw", "/assets/BTC"])
def test_a_form_of_an_ended_session_leads_back_to_its_page(stranger: Browser, path: str) -> None:
    form = stranger.get("/login").form()
    form.action = path
    assert stranger.send(form).location == f"/login?next={path}"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_sends_no_form_is_not_told_that_one_was_not_applied(stranger: Browser, method: str) -> None:
    stranger.client.open("/deposit", method=method)
    assert "Your session had ended" not in stranger.get("/login").text


@pytest.mark.parametrize("path", FRONT)
def test_users_go_straight_to_the_dashboard(ann: Browser, path: str) -> None:
    assert ann.get(path, 303).location == "/dashboard"


@pytest.mark.parametrize(("path", "calls"), CALLS.items())
@pytest.mark.parametrize("has_history", [False, True])
def test_a_page_costs_so_many_calls(ann: Browser, path: str, calls: int, has_history: bool) -> None:
    if has_history:
        with ann.client.application.app_context():
            deposit(ann.username, "1000")
            for asset_id in ("BTC", "ETH", "SOL"):
                place(ann.username, Side.BUY, "0.001", price="100", asset_id=asset_id)
    answer = ann.get(path)
    assert usage_of(answer.response).calls == 1 + calls
    assert ann.username in answer.text


def test_one_order_and_one_transaction_come_with_the_session(ann: Browser) -> None:
    ann.done("/deposit", amount="1000")
    order = ann.done("/assets/BTC", quantity="0.001")
    assert usage_of(order.response).calls == 2, "the message after a form reads what it tells of"
    assert usage_of(ann.get(order.response.request.path).response).calls == 1
    assert usage_of(ann.get("/activity/000000000002").response).calls == 1
    sale = ann.done("/assets/BTC", order_type="market_sell", quantity="0.001").response.request.path
    assert usage_of(ann.get(sale).response).calls == 2, "what it gained stands in its trade"


@pytest.mark.parametrize(
    ("path", "values"),
    [("/deposit", {"amount": "1"}), ("/withdraw", {"amount": "1"}), ("/assets/BTC", {"quantity": "0.001"})],
)
def test_a_form_that_is_applied_costs_one_call_beside_the_session(
    ann: Browser, path: str, values: dict[str, str]
) -> None:
    ann.done("/deposit", amount="1000")
    assert usage_of(ann.submit(path, **values).response).calls == 2


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/dashboard", f"First steps {NOTHING_YET}"),
        ("/orders", "You have not placed an order yet."),
        ("/activity", "Nothing has happened yet."),
        ("/activity/trades", "You have not traded yet."),
        ("/withdraw", "there is nothing to withdraw"),
    ],
)
def test_an_empty_list_says_what_to_do_next(ann: Browser, path: str, says: str) -> None:
    assert says in ann.get(path).text


@pytest.mark.parametrize(
    "path",
    ["/nope", "/static/", "/static/nope.css", "/static/../config.py", "/static/%2e%2e/config.py", "/assets/NOPE"],
)
def test_what_does_not_exist_is_a_page(stranger: Browser, path: str) -> None:
    answer = stranger.get(path, 404)
    assert answer.response.headers["X-Request-ID"] in answer.text
    assert usage_of(answer.response).calls == 0


def test_a_wrong_method_is_a_page(ann: Browser) -> None:
    assert set(ann.get("/logout", 405).response.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


def test_a_large_form_is_a_page(ann: Browser) -> None:
    assert ann.submit("/deposit", amount="1", description="x" * 70_000).status == 413


def test_errors_need_no_store(faulty_app: Flask, faults: FaultyStore) -> None:
    browser = Browser(faulty_app).enter()
    faults.inject("BatchGetItem", *[drop] * 20)
    answer = look(browser.client.get("/dashboard"))
    assert answer.status == 503 and answer.response.headers["Retry-After"]
    assert look(browser.client.get("/nope")).status == 404


def test_a_form_whose_answer_got_lost_can_be_sent_again(faulty_app: Flask, faults: FaultyStore) -> None:
    browser = Browser(faulty_app).enter()
    form = browser.get("/deposit").form()
    faults.inject("TransactWriteItems", *[lose_answer] * 3)
    answer = browser.send(form, amount="10")
    assert answer.status == 503 and "it will not be applied twice" in answer.text
    assert answer.response.headers["Retry-After"] == "1"
    again = browser.send(answer.form())
    text = browser.get(again.location).text
    assert "This was done already, at " in text and "Nothing was changed now. Your balance is $10.00." in text


# A form, the call from which on nothing comes back any more (the first authenticates), the status, and what the page
# that is left says of the form. Its own page needs the store too.
LEFT = {
    "a refused amount": ("/deposit", {"amount": "x"}, 2, 422, "Write digits and at most one point", False),
    "too little money": ("/withdraw", {"amount": "1"}, 4, 422, "The balance is $0.00, and this needs $1.00.", False),
    "a deposit that may be written": ("/deposit", {"amount": "1"}, 2, 503, "The service did not answer in time", True),
    "a review, which writes nothing": ("/assets/BTC/review", {"quantity": "1"}, 2, 503, "The service did not", False),
}


@pytest.mark.parametrize(("path", "values", "call", "status", "says", "may_be_applied"), LEFT.values(), ids=LEFT)
def test_a_refusal_whose_page_fails_too_stays_true(
    faulty_app: Flask,
    faults: FaultyStore,
    path: str,
    values: dict[str, str],
    call: int,
    status: int,
    says: str,
    may_be_applied: bool,
) -> None:
    browser = Browser(faulty_app).enter()
    form = browser.get(path.removesuffix("/review")).form()
    form.action = path
    faults.break_call(call, drop, onward=True)
    answer = browser.send(form, **values)
    assert answer.status == status and says in answer.text, answer.text
    assert ("it may have been applied" in answer.text) == may_be_applied
    assert ("Nothing was applied" in answer.text) != may_be_applied


@pytest.mark.parametrize(("name", "digest"), VENDORED.items())
def test_vendored_files_are_as_published(name: str, digest: str) -> None:
    assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == digest


def test_compressed_files_hold_the_same() -> None:
    for compressed in STATIC.rglob("*.gz"):
        assert gzip.decompress(compressed.read_bytes()) == compressed.with_suffix("").read_bytes()


def test_the_first_visit_is_light(stranger: Browser) -> None:
    page = stranger.get("/")
    addresses = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.response.text))
    size = len(page.response.data)
    for address in addresses:
        with stranger.client.get(address, headers={"Accept-Encoding": "gzip"}) as response:
            size += len(response.data)
    assert size < 60_000
