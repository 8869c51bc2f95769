"""Bad input to what moves money: a clear refusal that names the field, and nothing written."""

from __future__ import annotations

import json

import pytest

from tests.support.amounts import SAMPLE
from tests.support.books import check_books
from tests.support.people import fields_named, problem, register
from tests.support.texts import MISLEADING, UNSEEN
from tests.support.usage import usage_of

DIGITS = "9" * 5000

# JSON texts that are not an amount of any kind: texts that the rule refuses, and what only JSON can send.
NO_AMOUNT = {name: json.dumps(text) for name, text in SAMPLE.items()} | {
    "null": "null",
    "true": "true",
    "false": "false",
    "array": "[1]",
    "empty array": "[]",
    "object": '{"a": 1}',
    "lone surrogate": '"\\ud800"',
    "number: negative": "-1",
    "number: zero": "0",
    "number: minus zero": "-0.0",
    "number: negative with an exponent": "-1e2",
    "number: zero with an exponent": "0e5",
    "number: too small by its exponent": "1e-9",
    "number: too large by its exponent": "1e15",
    "number: exponent beyond Decimal": f"1e{DIGITS}",
    "number: negative exponent beyond Decimal": f"1e-{DIGITS}",
    "number: 5000 digits and an exponent": f"{DIGITS}e-4990",
    "number: overflow": "1e309",
    "number: tiny": "1e-309",
    "number: huge exponent": "1e999999999",
    "number: 5000 digits": DIGITS,
    "number: 5000 decimals": f"0.{DIGITS}",
    "number: too precise": "0.123456789",
    "number: too large": "100000000000000.01",
}
# These are amounts, but not of money.
NO_MONEY = {
    "half a cent": "5e-3",
    "three decimals": "1.005",
    "three decimals text": '"0.010"',
    "a cent over the bound": "1000000.01",
}
NO_DESCRIPTION = {
    **{f"only {name}": json.dumps(text) for name, text in UNSEEN.items()},
    **{name: json.dumps(f"a{char}b") for name, char in MISLEADING.items()},
    "number": "1",
    "true": "true",
    "array": '["a"]',
    "object": "{}",
    "201 characters": json.dumps("x" * 201),
    "line break": '"a\\nb"',
    "null byte": '"a\\u0000"',
    "escape": '"\\u001b[31m"',
    "C1 control": '"\\u0085x"',
    "lone surrogate": '"\\ud800"',
    "lone low surrogate": '"x\\udc00"',
    "surrogates the wrong way": '"\\udc00\\ud800"',
}


@pytest.fixture(scope="module")
def refused(app, store):
    """Someone with 100.00, for all the tests of this module; in the end there is that one deposit."""
    person = register(app)
    person.deposit("100")
    yield person
    books = check_books(store, person.username)
    assert [row["amount"] for row in books.transactions] == ["100.00"]
    assert (books.orders, books.holdings, books.claims) == ([], [], [])


def send(person, path, body, status, code):
    """A body as text or bytes; the refusal must be this, and must have written nothing."""
    data = body if isinstance(body, bytes) else body.encode()
    response = person.post(path, data=data, content_type="application/json", headers={"Idempotency-Key": "bad"})
    found = problem(response, status, code)
    used = usage_of(response)
    assert used.write_units == 0
    if code == "invalid_input":
        assert used.calls == 1, "only authentication"
    return found


@pytest.mark.parametrize("amount", {**NO_AMOUNT, **NO_MONEY}.values(), ids={**NO_AMOUNT, **NO_MONEY}.keys())
def test_amounts(refused, amount):
    for route in ("deposit", "withdraw"):
        found = send(refused, f"/balance/{route}", f'{{"amount": {amount}}}', 422, "invalid_input")
        assert fields_named(found) == ["amount"]


@pytest.mark.parametrize("description", NO_DESCRIPTION.values(), ids=NO_DESCRIPTION.keys())
def test_descriptions(refused, description):
    body = f'{{"amount": "1", "description": {description}}}'
    assert fields_named(send(refused, "/balance/deposit", body, 422, "invalid_input")) == ["description"]


ORDER = {"order_type": '"market_buy"', "asset_id": '"BTC"', "quantity": '"0.0001"', "price": "null"}


def order(**changed: str | None) -> str:
    """The text of an order with some values, as JSON texts, changed or left out."""
    values = {name: value for name, value in {**ORDER, **changed}.items() if value is not None}
    return "{" + ", ".join(f'"{name}": {value}' for name, value in values.items()) + "}"


@pytest.mark.parametrize("quantity", NO_AMOUNT.values(), ids=NO_AMOUNT.keys())
@pytest.mark.parametrize("field", ["quantity", "price"])
def test_quantities_and_prices(refused, field, quantity):
    if (field, quantity) == ("price", "null"):
        quantity = "[null]"
    found = send(refused, "/orders", order(**{field: quantity}), 422, "invalid_input")
    assert fields_named(found) == [field]


ORDER_FIELDS = {
    "no type": ("order_type", None),
    "type null": ("order_type", "null"),
    "type unknown": ("order_type", '"stop_loss"'),
    "type in capitals": ("order_type", '"MARKET_BUY"'),
    "type a number": ("order_type", "1"),
    "type an array": ("order_type", '["market_buy"]'),
    "type with a lone surrogate": ("order_type", '"\\ud800"'),
    "type empty": ("order_type", '""'),
    "no asset": ("asset_id", None),
    "asset null": ("asset_id", "null"),
    "asset a number": ("asset_id", "1"),
    "asset empty": ("asset_id", '""'),
    "asset of 11": ("asset_id", '"ABCDEFGHIJK"'),
    "asset with a hash": ("asset_id", '"BTC#ETH"'),
    "asset with a line break": ("asset_id", '"BTC\\n"'),
    "asset with ß": ("asset_id", '"aß"'),
    "asset with a lone surrogate": ("asset_id", '"\\ud800"'),
    "asset full-width": ("asset_id", '"ＢＴＣ"'),
    "asset an object": ("asset_id", "{}"),
    "no quantity": ("quantity", None),
}


@pytest.mark.parametrize(("field", "value"), ORDER_FIELDS.values(), ids=ORDER_FIELDS.keys())
def test_fields_of_an_order(refused, field, value):
    assert fields_named(send(refused, "/orders", order(**{field: value}), 422, "invalid_input")) == [field]


def test_every_wrong_field_of_an_order_is_named_at_once(refused):
    found = send(refused, "/orders", '{"asset_id": 1, "quantity": 0, "price": "x"}', 422, "invalid_input")
    assert fields_named(found) == ["asset_id", "order_type", "price", "quantity"]


# Orders of the right form that a rule refuses: (changes, status, code).
RULES = {
    "unknown asset": ({"asset_id": '"NOSUCH"'}, 422, "asset_not_tradeable"),
    "inactive asset": ({"asset_id": '"MATIC"'}, 422, "asset_not_tradeable"),
    "more than the balance": ({"quantity": "1"}, 422, "insufficient_funds"),
    "worth less than a cent": ({"quantity": "0.00000001"}, 422, "order_too_small"),
    "worth too much": ({"quantity": "1000000"}, 422, "order_too_large"),
    "worth far too much": ({"quantity": "100000000000000"}, 422, "order_too_large"),
    "never held": ({"order_type": '"market_sell"'}, 422, "insufficient_holding"),
    "dearer than accepted": ({"price": '"0.01"'}, 409, "price_moved"),
    "cheaper than accepted": ({"order_type": '"market_sell"', "price": "999999.99"}, 409, "price_moved"),
    "inactive asset, not held": ({"order_type": '"market_sell"', "asset_id": '"matic"'}, 422, "asset_not_tradeable"),
}


@pytest.mark.parametrize(("changes", "status", "code"), RULES.values(), ids=RULES.keys())
def test_rules_of_orders(refused, changes, status, code):
    found = send(refused, "/orders", order(**changes), status, code)
    assert "errors" not in found


def test_more_than_is_held(new_user, market_app, market):
    market.set("BTC", "10000")
    person = new_user(market_app)
    person.deposit("100")
    person.buy("BTC", "0.01")
    refused = person.order("market_sell", "BTC", "0.01000001")
    found = problem(refused, 422, "insufficient_holding")
    assert (found["asset_id"], found["available"], found["required"]) == ("BTC", "0.01", "0.01000001")
    assert usage_of(refused).write_units == 0
    assert person.get("/balance/asset/BTC").json["quantity"] == "0.01"


def test_more_than_the_balance(refused):
    found = problem(refused.withdraw("100.01"), 422, "insufficient_funds")
    assert (found["available"], found["required"]) == ("100.00", "100.01")


def test_a_price_that_is_stale_is_not_traded_on(new_user, market_app, market):
    person = new_user(market_app)
    person.deposit("100")
    market.set("BTC", "10")
    market.stale.add("BTC")
    response = person.order("market_buy", "BTC", "1")
    problem(response, 503, "price_unavailable")
    assert "Retry-After" in response.headers and usage_of(response).write_units == 0


POSTS = ["/balance/deposit", "/balance/withdraw", "/orders"]

# Whole bodies: (body, status, code, fields).
BROKEN = {
    "empty": ("", 400),
    "spaces": ("  \n", 400),
    "half an object": ('{"amount": "1"', 400),
    "two objects": ('{"amount": "1"}{"amount": "1"}', 400),
    "trailing comma": ('{"amount": "1",}', 400),
    "single quotes": ("{'amount': '1'}", 400),
    "no quotes": ('{amount: "1"}', 400),
    "a comment": ("{} // x", 400),
    "a form": ("amount=1&quantity=1", 400),
    "a line break in a text": ('{"amount": "1\n"}', 400),
    "NaN": ('{"amount": NaN}', 400),
    "Infinity": ('{"amount": Infinity}', 400),
    "-Infinity": ('{"quantity": -Infinity}', 400),
    "NaN in an unknown field": ('{"other": [NaN]}', 400),
    "a name twice": ('{"amount": "1", "amount": "2"}', 400),
    "a name twice, same value": ('{"amount": "1", "amount": "1"}', 400),
    "a name twice, escaped": ('{"amount": "1", "\\u0061mount": "1"}', 400),
    "a name twice, inside": ('{"amount": "1", "other": {"a": 1, "a": 2}}', 400),
    "a byte order mark": (b'\xef\xbb\xbf{"amount": "1"}', 400),
    "UTF-16": ('{"amount": "1"}'.encode("utf-16"), 400),
    "latin-1": ('{"amount": "1", "description": "é"}'.encode("latin-1"), 400),
    "broken UTF-8": (b'{"amount": "1", "description": "\xff"}', 400),
    "half a character": (b'{"amount": "1", "description": "\xc3"}', 400),
    "overlong UTF-8": (b'{"amount": "1", "description": "\xc0\xaf"}', 400),
    "UTF-8 of a surrogate": (b'{"amount": "1", "description": "\xed\xa0\x80"}', 400),
    "only a null byte": (b"\x00", 400),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", 400),
    "half an escape": ('{"amount": "\\u12"}', 400),
    "deep arrays": ("[" * 30_000, 400),
    "deep objects": ('{"a":' * 10_000, 400),
    "deep and closed": ("[" * 30_000 + "]" * 30_000, 400),
    "leading zero": ('{"amount": 01}', 400),
    "plus sign": ('{"amount": +1}', 400),
    "bare point": ('{"amount": .5}', 400),
    "null": ("null", 422),
    "a number": ("1", 422),
    "a large number": (DIGITS, 422),
    "a text": ('"amount"', 422),
    "true": ("true", 422),
    "an array": ("[]", 422),
    "an array of objects": ('[{"amount": "1"}]', 422),
    "an empty object": ("{}", 422),
    "unknown fields alone": ('{"Deposit": "1", "__proto__": {}, "": 1, "\\ud800": 1}', 422),
}


@pytest.mark.parametrize(("body", "status"), BROKEN.values(), ids=BROKEN.keys())
def test_bodies(refused, body, status):
    for path in POSTS:
        send(refused, path, body, status, "bad_request" if status == 400 else "invalid_input")


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "ü", "a\tb", "\x7f", "日本"])
def test_idempotency_keys(refused, key):
    sent = {"/balance/deposit": {"amount": "1"}, "/balance/withdraw": {"amount": "1"}, "/orders": json.loads(order())}
    for path, body in sent.items():
        response = refused.client.post(
            f"/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {refused.token}", "Idempotency-Key": key.encode().decode("latin-1")},
        )
        assert fields_named(problem(response, 422, "invalid_input")) == ["Idempotency-Key"]
        assert usage_of(response).write_units == 0


QUERIES = {
    "limit 0": "limit=0",
    "limit 101": "limit=101",
    "limit negative": "limit=-1",
    "limit a word": "limit=ten",
    "limit empty": "limit=",
    "limit a fraction": "limit=1.5",
    "limit in full-width digits": "limit=１",
    "limit of 5000 digits": f"limit={'1' * 5000}",
    "limit with an underscore": "limit=1_0",
    "limit with a plus": "limit=%2B1",
    "limit null byte": "limit=1%00",
    "offset negative": "offset=-1",
    "offset 1001": "offset=1001",
    "offset a word": "offset=x",
    "offset large": "offset=99999999999999999999",
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
@pytest.mark.parametrize(
    "path", ["/balance/transactions", "/orders", "/assets/transactions", "/assets/BTC/transactions"]
)
def test_queries_of_lists(refused, path, query):
    found = problem(refused.get(f"{path}?{query}"), 422, "invalid_input")
    assert fields_named(found) == [query.split("=")[0]]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/balance/transactions?transaction_type=gift", "transaction_type"),
        ("/balance/transactions?transaction_type=", "transaction_type"),
        ("/balance/transactions?transaction_type=depo%C5%BFit", "transaction_type"),
        ("/orders?status=exp%C4%B1red", "status"),
        ("/orders?status=lost", "status"),
        ("/orders?order_type=BUY", "order_type"),
        ("/orders?asset_id=B-T-C", "asset_id"),
        ("/orders/short", "order_id"),
        ("/orders/" + "x" * 51, "order_id"),
        ("/orders/order-0123456789", "order_id"),
        ("/orders/order_%E2%82%AC123456", "order_id"),
        ("/orders/order_012345678%0A", "order_id"),
        ("/assets/B-T-C/transactions", "asset_id"),
        ("/assets/ABCDEFGHIJK/transactions", "asset_id"),
        ("/inventory/assets/B-T-C", "asset_id"),
        ("/inventory/assets/ABCDEFGHIJK", "asset_id"),
        ("/inventory/assets/%C3%9F", "asset_id"),
        ("/inventory/assets/BTC%0A", "asset_id"),
        ("/inventory/assets/B-T-C/prices", "asset_id"),
        ("/inventory/assets?limit=0", "limit"),
        ("/inventory/assets?limit=251", "limit"),
        ("/inventory/assets?active_only=maybe", "active_only"),
        ("/inventory/assets/BTC/prices?days=0", "days"),
        ("/inventory/assets/BTC/prices?days=366", "days"),
        ("/inventory/assets/BTC/prices?days=1.5", "days"),
    ],
)
def test_paths_and_queries(refused, path, field):
    assert fields_named(problem(refused.get(path), 422, "invalid_input")) == [field]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/inventory/assets/NOSUCH", "asset_not_found"),
        ("/inventory/assets/NOSUCH/prices", "asset_not_found"),
        ("/balance/asset/NOSUCH", "asset_not_found"),
        ("/balance/asset/BTC", "holding_not_found"),
        ("/orders/order_0123456789", "order_not_found"),
        ("/balance/transactions/000000000002", "transaction_not_found"),
        ("/balance/transactions/1", "transaction_not_found"),
        ("/balance/transactions/BALANCE", "transaction_not_found"),
    ],
)
def test_what_is_not_there(refused, path, code):
    problem(refused.get(path), 404, code)
