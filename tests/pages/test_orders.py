"""Trading from an asset's page, and the lists of orders, transactions and trades."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.domain.orders import Side
from tests.pages.conftest import NewBrowser
from tests.support.accounts import place
from tests.support.page_client import Browser

BAD_ORDERS = {
    "no quantity": ({"quantity": ""}, 422, "quantity", "Fill this in."),
    "minus": ({"quantity": "-1"}, 422, "quantity", "Write digits and at most one point, such as 0.25."),
    "too precise": ({"quantity": "0.123456789"}, 422, "quantity", "At most 8 decimals, such as 0.25."),
    "too little": ({"quantity": "0.00001"}, 422, "quantity", "The order is worth less than 0.01."),
    "too much": ({"quantity": "999999"}, 422, "quantity", "The order is worth more than 1000000.00."),
    "no money": ({"quantity": "100.01"}, 422, "quantity", "The balance is 10000.00, and this needs 10001.00."),
    "not held": ({"quantity": "1", "order_type": "market_sell"}, 422, "quantity", "You have 0 BTC to sell,"),
    "no side": ({"quantity": "1", "order_type": None}, 422, "order_type", "Fill this in."),
    "odd side": ({"quantity": "1", "order_type": "x"}, 422, "order_type", "Choose one of:"),
    "odd price": ({"quantity": "1", "price": "x"}, 422, "price", "Write digits and at most one point,"),
    "moved": ({"quantity": "1", "price": "99.99"}, 409, "price", "The price is now 100, worse than the 99.99"),
}


@pytest.mark.parametrize(("values", "status", "field", "message"), BAD_ORDERS.values(), ids=BAD_ORDERS)
def test_a_bad_order_is_told_beside_the_field(
    rich: Browser, values: dict[str, Any], status: int, field: str, message: str
) -> None:
    answer = rich.submit("/assets/BTC", **values)
    assert answer.status == status
    assert answer.error_of(field).startswith(message)
    kept = {name: value for name, value in values.items() if name == "quantity" or name == "price"}
    if field == "price" and status == 409:
        kept["price"] = "100.5"  # a new one, with the new quote
    assert kept.items() <= answer.form().values.items()
    assert "not placed an order yet" in rich.get("/orders").text


def test_the_whole_story(rich: Browser) -> None:
    bought = rich.done("/assets/btc", quantity="0.5")
    assert "Bought 0.5 BTC for 50.00." in bought.text and "Completed" in bought.text
    assert "/assets/BTC" in bought.shown.links
    dashboard = rich.get("/dashboard")
    assert "Bitcoin 0.5 BTC 50.00 at 100.00 0.50%" in dashboard.text, dashboard.text
    assert "Cash to spend 9,950.00" in dashboard.text
    sold = rich.done("/assets/BTC?side=sell", quantity="0.2")
    assert "Sold 0.2 BTC for 20.00." in sold.text
    assert "and 0.3 BTC to sell" in rich.get("/assets/BTC").text
    rich.done("/withdraw", amount="9970")
    assert "Cash to spend 0.00" in rich.get("/dashboard").text
    assert "Sell 0.2 BTC" in rich.get("/orders").text
    rich.log_out()
    rich.get(bought.response.request.path, 303)


def test_an_order_that_waits_can_be_cancelled(rich: Browser) -> None:
    order = rich.done("/assets/BTC", order_type="limit_buy", quantity="10", price="90")
    assert "is open and waits for its price" in order.text
    assert "at 90.00 or less" in order.text and "900.00 was reserved" in order.text
    assert "Cash in open orders 900.00" in rich.get("/dashboard").text
    path, form = order.response.request.path, order.form()
    assert path in rich.get("/orders?status=pending").shown.links
    for says in ("Your order is cancelled.", "Nothing was changed now. Your balance is 10,000.00."):
        assert rich.send(form).location == path
        assert says in rich.get(path).text
    assert ": what was reserved came back to you." in rich.get(path).text
    assert "Cash to spend 10,000.00" in rich.get("/dashboard").text


def test_what_has_ended_cannot_be_cancelled(rich: Browser) -> None:
    waiting = rich.done("/assets/BTC", order_type="limit_buy", quantity="1", price="90")
    form = waiting.form()
    rich.send(form)
    answer = rich.send(form, idempotency_key="another")
    assert answer.status == 409 and "can no longer change" in answer.text


def test_an_order_of_someone_else_cannot_be_cancelled(rich: Browser, new_browser: NewBrowser) -> None:
    waiting = rich.done("/assets/BTC", order_type="limit_buy", quantity="1", price="90")
    other = new_browser(rich.client.application).register()
    form = other.get("/deposit").form()
    form.action = waiting.response.request.path
    assert other.send(form).status == 404
    assert "Pending" in rich.get(waiting.response.request.path).text


def test_a_limit_needs_its_price_and_a_good_day(rich: Browser) -> None:
    answer = rich.submit("/assets/BTC", order_type="limit_sell", quantity="1")
    assert answer.status == 422 and answer.error_of("price")
    answer = rich.submit("/assets/BTC", order_type="limit_buy", quantity="1", price="90", expires_at="2020-01-01")
    assert answer.status == 422 and answer.error_of("expires_at")
    assert answer.form().values["expires_at"] == "2020-01-01"


def test_a_transaction_leads_to_its_order(rich: Browser) -> None:
    order = rich.done("/assets/BTC", quantity="1")
    transaction = rich.get("/activity/000000000002")
    assert "Order payment" in transaction.text and "−100.00" in transaction.text
    assert order.response.request.path in transaction.shown.links


def test_the_price_that_is_accepted(rich: Browser) -> None:
    assert "Bought 1 BTC" in rich.done("/assets/BTC", quantity="1", price="100").text
    assert "Sold 1 BTC" in rich.done("/assets/BTC?side=sell", quantity="1", price="100").text


def test_no_trade_without_a_fresh_price(rich: Browser, market: Any) -> None:
    market.stale.add("BTC")
    answer = rich.submit("/assets/BTC", quantity="1")
    assert answer.status == 503 and answer.response.headers["Retry-After"] == "1"
    assert answer.form().values["quantity"] == "1"


def test_what_is_not_traded_has_no_form(ann: Browser) -> None:
    answer = ann.get("/assets/MATIC")
    assert "not traded here any more" in answer.text
    form = ann.get("/assets/BTC").form()
    form.action = "/assets/MATIC"
    refused = ann.send(form, quantity="1")
    assert refused.status == 422 and "MATIC cannot be traded here." in refused.text


@pytest.mark.parametrize("asset_id", ["NOPE", "x" * 11, "B-C", "%00", "ß"])
def test_no_such_asset(rich: Browser, asset_id: str) -> None:
    rich.get(f"/assets/{asset_id}", 404)
    form = rich.get("/assets/BTC").form()
    form.action = f"/assets/{asset_id}"
    assert rich.send(form, quantity="1").status in {404, 422}


def test_what_is_someone_elses_does_not_exist(rich: Browser, new_browser: NewBrowser) -> None:
    mine = rich.done("/assets/BTC", quantity="1").response.request.path
    other = new_browser().register()
    theirs = other.get(mine, 404).text
    none = other.get("/orders/order_00000000000000000000000000", 404).text
    assert re.sub("request id [0-9a-f]+", "", theirs) == re.sub("request id [0-9a-f]+", "", none)
    other.get("/activity/000000000001", 404)


@pytest.mark.parametrize(
    "path",
    [
        "/orders/short",
        "/orders/" + "x" * 3000,
        "/orders/order_01%23x",
        "/orders/order_01é_____",
        "/activity/1",
        "/activity/" + "9" * 12,
        "/activity/" + "9" * 3000,
        "/activity/００００００００００００",
    ],
)
def test_no_such_thing(ann: Browser, path: str) -> None:
    ann.get(path, 404)


def buy_many(browser: Browser, count: int) -> None:
    with browser.client.application.app_context():
        for _ in range(count):
            place(browser.username, Side.BUY, "1", price="10", asset_id="ETH")


def follow(browser: Browser, path: str) -> list[list[str]]:
    """The links of every page of a list, from the newest to the oldest."""
    pages = []
    while path:
        answer = browser.get(path)
        rows = "/activity/[0-9]" if path.startswith("/activity?") or path == "/activity" else "/orders/order_"
        pages.append([link for link in answer.shown.links if re.match(rows, link)])
        path = next((link for link in answer.shown.links if "cursor=" in link), "")
    return pages


def test_lists_are_paged_to_their_end(rich: Browser, subtests: pytest.Subtests) -> None:
    buy_many(rich, 30)
    lists = {
        "/orders": 30,
        "/orders?asset_id=ETH&status=completed": 30,
        "/activity": 31,
        "/activity?transaction_type=order_payment": 30,
        "/activity/trades": 30,
        "/activity/trades?asset_id=ETH": 30,
    }
    for path, expected in lists.items():
        with subtests.test(path):
            pages = follow(rich, path)
            assert [len(page) for page in pages] == [25, expected - 25]
            rows = [link for page in pages for link in page]
            assert len(set(rows)) == expected
            if "trades" not in path:
                assert rows == sorted(rows, reverse=True)


def test_a_cursor_belongs_to_its_list_and_user(rich: Browser, ann: Browser) -> None:
    buy_many(rich, 26)
    [cursor] = [link for link in rich.get("/orders").shown.links if "cursor=" in link]
    first = rich.get(cursor).shown.links
    assert "/orders" in first and not any("cursor=" in link for link in first)
    ann.get(cursor, 400)
    for path in (cursor.replace("/orders", "/activity"), cursor + "x", cursor + "&status=completed"):
        rich.get(path, 400)


def test_the_type_in_the_address_filters_and_stays_in_the_form(rich: Browser) -> None:
    bought = rich.submit("/assets/BTC", quantity="0.01").location
    waiting = rich.submit("/assets/BTC", quantity="0.01", order_type="limit_buy", price="1").location
    answer = rich.get("/orders?order_type=limit_buy")
    assert waiting in answer.shown.links and bought not in answer.shown.links
    assert '<option value="limit_buy" selected>' in answer.response.text


@pytest.mark.parametrize(
    "path",
    [
        "/orders?status=odd",
        "/orders?order_type=odd",
        "/orders?asset_id=%23",
        "/activity?transaction_type=odd",
        "/activity/trades?asset_id=B C",
    ],
)
def test_an_odd_filter_is_refused(ann: Browser, path: str) -> None:
    ann.get(path, 422)


WORDS = ["_scheme=javascript&_external=1", "endpoint=x", "offset=1000", "limit=1", "filename=x", "%22%3E%3Cb%3E=1"]


def test_other_words_in_the_address_change_nothing(rich: Browser, subtests: pytest.Subtests) -> None:
    buy_many(rich, 26)
    for query in WORDS:
        with subtests.test(query):
            links = [link for link in rich.get(f"/orders?{query}").shown.links if "cursor=" in link]
            assert len(links) == 1 and links[0].startswith("/orders?")
            rich.get(links[0])


def test_an_empty_filter_says_how_to_see_all(rich: Browser) -> None:
    rich.done("/assets/BTC", quantity="1")
    for path in (
        "/orders?asset_id=ETH",
        "/orders?status=expired",
        "/activity?transaction_type=withdraw",
        "/activity/trades?asset_id=ETH",
    ):
        answer = rich.get(path)
        assert "Nothing matches this filter." in answer.text
        assert path.partition("?")[0] in answer.shown.links
