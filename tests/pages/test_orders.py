"""Trading from an asset's page, and the lists of orders, transactions and trades."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from app.domain.orders import NewTerms, Side
from app.models.order_changes import change_order
from app.models.orders import Order
from tests.pages.conftest import NewBrowser
from tests.support.accounts import place
from tests.support.page_client import Answer, Browser, SentForm
from tests.support.usage import usage_of

BAD_ORDERS = {
    "no quantity": ({"quantity": ""}, 422, "quantity", "Fill this in."),
    "minus": ({"quantity": "-1"}, 422, "quantity", "Write digits and at most one point, such as 0.25."),
    "too precise": ({"quantity": "0.123456789"}, 422, "quantity", "At most 8 decimals, such as 0.25."),
    "too little": ({"quantity": "0.00001"}, 422, "quantity", "The order is worth less than $0.01."),
    "too much": ({"quantity": "999999"}, 422, "quantity", "The order is worth more than $1,000,000.00."),
    "no money": ({"quantity": "100.01"}, 422, "quantity", "The balance is $10,000.00, and this needs $10,001.00."),
    "not held": ({"quantity": "1", "order_type": "market_sell"}, 422, "quantity", "You have 0 BTC to sell,"),
    "no side": ({"quantity": "1", "order_type": None}, 422, "order_type", "Fill this in."),
    "odd side": ({"quantity": "1", "order_type": "x"}, 422, "order_type", "Choose one of:"),
    "odd price": ({"quantity": "1", "price": "x"}, 422, "price", "Write digits and at most one point,"),
    "moved": ({"quantity": "1", "price": "99.99"}, 409, "price", "The price is now $100.00, worse than the $99.99"),
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
    assert "Bought 0.5 BTC for $50.00." in bought.text and "Completed" in bought.text
    assert "/assets/BTC" in bought.shown.links
    dashboard = rich.get("/dashboard")
    assert "Bitcoin 0.5 BTC $50.00 at $100.00 " in dashboard.text, dashboard.text
    assert " in 24 hours $0.00 no gain 0.50%" in dashboard.text, dashboard.text
    assert "Cash to spend $9,950.00" in dashboard.text
    sold = rich.done("/assets/BTC?side=sell", quantity="0.2")
    assert "Sold 0.2 BTC for $20.00." in sold.text
    assert "and 0.3 BTC to sell" in rich.get("/assets/BTC").text
    rich.done("/withdraw", amount="9970")
    assert "Cash to spend $0.00" in rich.get("/dashboard").text
    assert "Sell 0.2 BTC" in rich.get("/orders").text
    rich.log_out()
    rich.get(bought.response.request.path, 303)


def test_an_order_that_waits_can_be_cancelled(rich: Browser) -> None:
    order = rich.done("/assets/BTC", order_type="limit_buy", quantity="10", price="90")
    assert "is open and waits for its price" in order.text
    assert "at $90.00 or less" in order.text and "$900.00 was reserved" in order.text
    assert "Cash in open orders $900.00" in rich.get("/dashboard").text
    path, form = order.response.request.path, order.form()
    assert path in rich.get("/orders?status=pending").shown.links
    for says in ("Your order is cancelled.", "Nothing was changed now. Your balance is $10,000.00."):
        assert rich.send(form).location == path
        assert says in rich.get(path).text
    assert ": what was reserved came back to you." in rich.get(path).text
    assert "Cash to spend $10,000.00" in rich.get("/dashboard").text


def change_form(browser: Browser, order: Answer) -> SentForm:
    """The form of the page that an open order leads to."""
    path = f"{order.response.request.path}/change"
    assert path in order.shown.links
    return browser.get(path).form()


def test_an_order_that_waits_can_be_changed(rich: Browser) -> None:
    order = rich.done("/assets/BTC", order_type="limit_buy", quantity="10", price="90")
    path, form = order.response.request.path, change_form(rich, order)
    assert {"price": "90", "quantity": "10"}.items() <= form.values.items()
    review = rich.send(form, price="80,5", quantity="9")
    assert "Comes back now $175.50" in review.text and "Price now $100.00" in review.text
    assert "Limit $90.00 $80.50" in review.text and "Quantity 10 9" in review.text
    assert "Reserved for it $900.00 $724.50" in review.text and "Cash to spend $9,100.00 $9,275.50" in review.text
    confirm = review.form()
    again = rich.get(f"{path}/change?price=80.5&quantity=9").form()
    assert {"price": "80.5", "quantity": "9"}.items() <= again.values.items()
    assert "Cash in open orders $900.00" in rich.get("/dashboard").text, "nothing was written yet"
    for says in ("Your order is changed.", "Nothing was changed now. Your balance is $9,275.50."):
        assert rich.send(confirm).location == path
        assert says in rich.get(path).text
    shown = rich.get(path).text
    assert "you asked to buy 10 BTC at $90.00 or less" in shown and "$900.00 was reserved" in shown
    assert "limit $90.00 → $80.50, quantity 10 → 9." in shown
    assert "as soon as the price is $80.50 or less" in shown
    rich.send(rich.send(rich.get(f"{path}/change").form(), quantity="10").form())
    listed = rich.get(f"{path}/transactions")
    assert "Reserved: order changed" in listed.text and "Returned: order changed" in listed.text
    assert "Bought" not in listed.text and "Bought" not in rich.get("/activity/000000000004").text


def test_a_sale_that_waits_can_be_changed(rich: Browser) -> None:
    rich.done("/assets/BTC", quantity="10")
    order = rich.done("/assets/BTC", order_type="limit_sell", quantity="4", price="110")
    review = rich.send(change_form(rich, order), quantity="6.5", price="95")
    assert "Reserved in addition 2.5 BTC" in review.text and "BTC to sell 6 3.5" in review.text
    assert "The price is already as good as this limit." in review.text
    assert rich.send(review.form()).location == order.response.request.path
    assert "and 3.5 BTC to sell" in rich.get("/assets/BTC").text


# What is sent for an order to buy 10 BTC at 90.00 of 10000.00, and what is said, beside which field.
BAD_CHANGES: dict[str, tuple[dict[str, str], str, str]] = {
    "nothing": ({"price": "", "quantity": ""}, "price", "Fill this in."),
    "the same": ({"price": "90.0"}, "", "The order has these values already."),
    "a word": ({"price": "x"}, "price", "Write digits and at most one point,"),
    "too much": ({"quantity": "111.2"}, "quantity", "The balance is $9,100.00, and this needs $9,108.00."),
    "a past day": ({"expires_at": "2020-01-01"}, "expires_at", "Choose a time in the future,"),
}


@pytest.mark.parametrize(("values", "field", "message"), BAD_CHANGES.values(), ids=BAD_CHANGES)
def test_a_bad_change_is_told_beside_the_field(rich: Browser, values: dict[str, str], field: str, message: str) -> None:
    order = rich.done("/assets/BTC", order_type="limit_buy", quantity="10", price="90")
    form = change_form(rich, order)
    answer = rich.send(form, **values)
    assert answer.status == 422 and (answer.error_of(field) if field else answer.text).count(message) == 1
    kept = {name: value for name, value in values.items() if value}
    assert kept.items() <= answer.form().values.items()
    labels = [answer.text.rindex(label) for label in ("Amount (BTC)", "Price limit (USD)", "Open until")]
    assert labels == sorted(labels), "fields are called as in the list of errors, and in its order"
    assert "Changed" not in rich.get(order.response.request.path).text


def test_what_ended_during_the_review_is_not_changed(rich: Browser) -> None:
    order = rich.done("/assets/BTC", order_type="limit_buy", quantity="10", price="90")
    confirm = rich.send(change_form(rich, order), price="80").form()
    rich.send(order.form())
    answer = rich.send(confirm)
    assert answer.status == 409 and "already cancelled and can no longer change" in answer.text
    for path in ("change", "change/confirm"):
        refused = rich.get(f"{order.response.request.path}/{path}", 409)
        assert "already cancelled and can no longer change" in refused.text


def test_an_order_of_someone_else_cannot_be_changed(rich: Browser, new_browser: NewBrowser) -> None:
    order = rich.done("/assets/BTC", order_type="limit_buy", quantity="1", price="90")
    other = new_browser(rich.client.application).register()
    form = other.get("/deposit").form()
    for path in ("change", "change/confirm"):
        form.action = f"{order.response.request.path}/{path}"
        assert other.send(form, price="80").status == 404
        other.get(form.action, 404)


def test_many_changes_are_shown_in_part(rich: Browser) -> None:
    order = rich.done("/assets/BTC", order_type="limit_buy", quantity="1", price="90")
    path = order.response.request.path
    with rich.client.application.app_context():
        _, _, order_id = path.split("/")
        username = Order.get(*Order.key(order_id)).username
        for price in range(60, 83):
            change_order(username, order_id, NewTerms(limit_price=Decimal(price)))
    answer = rich.get(path)
    assert answer.text.count("Changed") == 1 + 20
    assert "limit $90.00 → $60.00. Changes that are not shown here: 2." in answer.text
    assert "limit $81.00 → $82.00." in answer.text
    assert usage_of(answer.response).calls == 3


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
    assert "Bought 1 BTC" in transaction.text and "−$100.00" in transaction.text
    assert "Price of one $100.00" in transaction.text and "/assets/BTC" in transaction.shown.links
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
    assert '<input type="hidden" name="order_type" value="limit_buy">' in answer.response.text


def test_open_and_ended_orders_have_a_tab_each(rich: Browser) -> None:
    filled = rich.submit("/assets/BTC", quantity="0.01").location
    waiting = rich.submit("/assets/BTC", quantity="0.01", order_type="limit_buy", price="1").location
    cancelled = rich.submit("/assets/ETH", quantity="0.01", order_type="limit_buy", price="1").location
    rich.get(rich.send(rich.get(cancelled).form()).location)
    tabs = {"/orders": {filled, waiting, cancelled}, "/orders?status=pending": {waiting}}
    tabs |= {"/orders?ended=true": {filled, cancelled}, "/orders?ended=true&asset_id=ETH": {cancelled}}
    for path, expected in tabs.items():
        answer = rich.get(path)
        assert {link for link in answer.shown.links if link.startswith("/orders/order_")} == expected
        assert usage_of(answer.response).calls == 2
        # The tab that is open, after that of the navigation.
        current = re.findall('<a href="([^"]*)" aria-current="page"', answer.response.text)
        query = path.partition("?")[2]
        assert set(current[1].partition("?")[2].split("&amp;")) == set(query.split("&"))
        assert set(tabs) - {"/orders?ended=true&asset_id=ETH"} <= set(rich.get("/orders").shown.links)


def test_a_row_says_what_an_order_is_and_how_far_its_price_is(rich: Browser, market: Any) -> None:
    buy = rich.submit("/assets/BTC", order_type="limit_buy", quantity="2", price="90").location
    rich.done("/assets/BTC", quantity="1")
    sell = rich.submit("/assets/BTC", order_type="limit_sell", quantity="1", price="125").location
    text = rich.get("/orders").text
    assert re.search(r"Buy 2 BTC Limit · .*? \$180.00 limit \$90.00 must fall 10.00% Pending until ", text)
    assert re.search(r"Buy 1 BTC Market · .*? \$100.00 at \$100.00 Completed ", text)
    assert re.search(r"Sell 1 BTC Limit · .*? \$125.00 limit \$125.00 must rise 25.00% Pending until ", text)
    assert "must fall 10.00%" in rich.get("/dashboard").text
    for path, says in ((buy, "Must still fall $10.00 10.00%"), (sell, "Must still rise $25.00 25.00%")):
        answer = rich.get(path)
        assert f"Price now $100.00 {says}" in answer.text and usage_of(answer.response).calls <= 2
    market.set("BTC", "80.00")
    assert "limit reached" in rich.get("/orders").text and "Must still fall" not in rich.get(buy).text
    market.stale.add("BTC")
    assert "Price now no price" in rich.get(buy).text and "must rise" not in rich.get("/orders").text


def test_an_order_is_cancelled_in_its_row(rich: Browser) -> None:
    waiting = rich.submit("/assets/BTC", order_type="limit_buy", quantity="2", price="90").location
    form = rich.get("/orders").form(waiting)
    assert "Cancel buy 2 BTC" in rich.get("/orders").text
    for _ in range(2):
        assert rich.send(form).location == waiting
    assert "Cancelled" in rich.get(waiting).text
    assert not [each for each in rich.get("/orders").shown.forms if each.action == waiting]


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


def test_all_open_orders_are_cancelled(rich: Browser) -> None:
    """Those of one asset, or all; a second click and a reload change nothing more."""
    assert "Cancel all open orders" not in rich.get("/orders?status=pending").text
    for asset_id in ("BTC", "BTC", "ETH"):
        rich.done(f"/assets/{asset_id}", order_type="limit_buy", quantity="1", price="9")
    assert "Cancel all open orders" not in rich.get("/orders").text
    shown = rich.get("/orders?status=pending&asset_id=BTC")
    form = shown.form("/orders/cancel?status=pending&asset_id=BTC")
    assert "Cancel all open orders in BTC now" in shown.text
    for _ in range(2):
        sent = rich.send(form)
        assert sent.location == "/orders?status=pending&asset_id=BTC"
        assert "Cancelled 2 orders. What was reserved for them is yours again." in rich.get(sent.location).text
    [left] = rich.person.get("/orders?status=pending").json["data"]
    assert left["asset_id"] == "ETH"
    rest = rich.get("/orders?status=pending").form("/orders/cancel?status=pending")
    assert "Cancelled 1 order." in rich.get(rich.send(rest).location).text
    assert "Cash to spend $10,000.00" in rich.get("/dashboard").text


def test_what_cannot_be_cancelled_is_told_on_the_list(rich: Browser) -> None:
    rich.done("/assets/BTC", order_type="limit_buy", quantity="1", price="9")
    form = rich.get("/orders?status=pending").form("/orders/cancel?status=pending")
    refused = rich.send(form, asset_id="#")
    assert refused.status == 422 and "Open" in refused.text
    assert len(rich.person.get("/orders?status=pending").json["data"]) == 1
