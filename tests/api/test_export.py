"""Everything of an account as a ZIP archive: nothing is forgotten, nothing is secret, and it is streamed."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.errors import StoreUnavailable
from app.models.account_events import AccountEvent
from app.models.events import SecurityEvent
from app.models.item import Item
from app.models.ledger import Balance, BalanceTransaction, Holding, Trade
from app.models.orders import Order, OrderChange, OrdersItem
from app.models.users import Token, User, UsersItem, get_user
from app.services import export
from app.services.export import open_export, write_zip
from tests.support.authenticator import enrol
from tests.support.books import query, scan
from tests.support.deposits import write_deposits
from tests.support.faults import drop
from tests.support.page_client import Browser
from tests.support.people import NOON, PASSWORD, Person, caller, problem
from tests.support.usage import metered, usage, usage_of

PROJECT = Path(__file__).parents[2]
FILES = [
    *("README.txt", "profile.json", "balance.json", "transactions.csv", "holdings.csv", "trades.csv", "orders.csv"),
    "order_changes.csv",
    *("events.csv", "account_events.csv", "tokens.json", "sessions.json"),
]
# Kinds of items, what the documentation says of each in the export and at closing.
LEAVING = {
    kind: (exported, closed)
    for kind, exported, closed in re.findall(
        r"^\| `([A-Z_]+)` \| (.+?) \| (.+?) \|$",
        (PROJECT / "docs/architecture.md").read_text().partition("\n## Leaving\n")[2].partition("\n## ")[0],
        re.MULTILINE,
    )
}
# Attributes that are in no file: keys of the store, what is secret, what another column says, who approved an
# adjustment, which statements do not tell either, and the end of an account, after which nobody can ask.
LEFT_OUT = {
    "": {"PK", "SK", "entity_type", "username", "ttl"},
    "USER": {"password_hash", "session_epoch", "token_epoch", "join_month"},
    "BALANCE": {"head_number", "closed_at"},
    "TRANSACTION": {"status", "event_number", "approved_by"},
    "ASSET_TRANSACTION": {"status", "created_at"},
    "EVENT": {"event_id", "actor", "act_month"},
    "ACCOUNT_EVENT": set(),
    "ORDER": {"open_owner", "open_book", "expiry_day"},
    "CHANGE": set(),
    "TOKEN": {"secret_hash", "token_id", "session_epoch", "token_epoch"},
}

# The columns of each kind, and the attributes of which a column of another name tells.
COLUMNS: dict[type[Item], tuple[set[str], set[str]]] = {
    User: ({*export.PROFILE}, set()),
    Balance: ({*export.BALANCE}, {"version", "head_hash", "event_version"}),
    BalanceTransaction: ({*export.TRANSACTIONS}, set()),
    Holding: ({*export.HOLDINGS}, set()),
    Trade: ({*export.TRADES}, {"traded_at"}),
    Order: ({*export.ORDERS}, {"book_price", "stop_limit_price", "stored_time_in_force"}),
    OrderChange: ({*export.ORDER_CHANGES}, set()),
    SecurityEvent: ({*export.EVENTS}, {"kind"}),
    AccountEvent: ({*export.ACCOUNT_EVENTS}, set()),
    Token: ({*export.TOKENS, *export.SESSIONS}, {"stored_kind"}),
}


def read_archive(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None and archive.namelist() == FILES
        return {name: archive.read(name).decode() for name in FILES}


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def busy(market_app: Flask, market: Any, new_user: Callable[..., Person]) -> Person:
    """Somebody with items of every kind that an account has."""
    market.set("BTC", "100")
    market.set("ETH", "10")
    person = new_user(market_app)
    profile = {"first_name": "Zoë", "phone": "+442079460000", "date_of_birth": "1990-12-31"}
    assert (
        person.call(
            "PUT", "/auth/profile", json={**profile, "marketing_emails_consent": True, "current_password": PASSWORD}
        ).status_code
        == 200
    )
    person.post("/balance/deposit", {"amount": "1000", "description": "=Savings, für Zoë"}, key="a-key-of-mine")
    person.withdraw("5")
    person.buy("BTC", "3")
    person.sell("BTC", "0.5")
    person.buy("ETH", "1")
    person.sell("ETH", "1")
    person.place("limit_buy", "ETH", "2", price="4")
    person.place("limit_sell", "BTC", "0.25", price="300")
    ended = person.place("limit_buy", "BTC", "1", price="7")
    for price in ("6.5", "6"):
        assert person.call("PATCH", f"/orders/{ended['order_id']}", json={"price": price}).status_code == 200
    assert person.post(f"/orders/{ended['order_id']}/cancel").status_code == 200
    person.post("/auth/tokens", {"name": "nightly report"})
    browser = Browser(market_app)
    browser.log_in(person.username)
    return person


@pytest.fixture
def archive(busy: Person) -> dict[str, str]:
    now = clock.now()
    with clock.at(now):
        answer = busy.get("/account/export")
    assert answer.status_code == 200 and answer.content_type == "application/zip"
    day = now.date()
    assert answer.headers["Content-Disposition"] == f"attachment; filename={busy.username}-{day}.zip"
    return read_archive(answer.data)


def items_of(store: Any, username: str) -> list[dict[str, Any]]:
    """All items of an account, found by a scan."""
    rows = [*scan(store, "users"), *scan(store, "orders")]
    own = {row["PK"] for row in rows if row.get("username") == username and row["entity_type"] == "ORDER"}
    return [row for row in rows if row["PK"] in {username, *own} or row.get("username") == username]


def test_all_items_of_the_account_are_in_it(store: Any, busy: Person, archive: dict[str, str]) -> None:
    items = items_of(store, busy.username)
    kinds = {item["entity_type"] for item in items}
    assert kinds >= {
        "ACCOUNT_EVENT",
        "USER",
        "BALANCE",
        "TRANSACTION",
        "ASSET",
        "ASSET_TRANSACTION",
        "ORDER",
        "TOKEN",
        "REQUEST",
    }
    for item in items:
        kind = item["entity_type"]
        if kind == "TOKEN":
            # Personal tokens have a file of their own, and sessions may do everything.
            del item["kind" if item["kind"] == "personal" else "scopes"]
        files = re.findall(r"`(\w+\.\w+)`", LEAVING[kind][0])
        text = "".join(archive[name] for name in files).lower()
        left_out = LEFT_OUT[""] | LEFT_OUT.get(kind, set())
        for name in item.keys() - left_out if kind in LEFT_OUT or kind == "ASSET" else ():
            value = json.dumps(item[name], ensure_ascii=False).strip('"').lower()
            assert value in text, f"{name} of {kind}"
    for name, kind in (
        ("trades.csv", "ASSET_TRANSACTION"),
        ("orders.csv", "ORDER"),
        ("order_changes.csv", "CHANGE"),
        ("holdings.csv", "ASSET"),
        ("events.csv", "EVENT"),
        ("account_events.csv", "ACCOUNT_EVENT"),
    ):
        assert len(rows_of(archive[name])) == sum(item["entity_type"] == kind for item in items), name
    # With the balances before and after all.
    transactions = rows_of(archive["transactions.csv"])
    assert len(transactions) == sum(item["entity_type"] == "TRANSACTION" for item in items) + 2
    tokens = [item for item in items if item["entity_type"] == "TOKEN"]
    assert len(json.loads(archive["tokens.json"])) == 1
    assert len(json.loads(archive["sessions.json"])) == len(tokens) - 1 == 2


def test_no_secret_and_no_hash_of_one_is_in_it(store: Any, busy: Person, archive: dict[str, str]) -> None:
    text = "".join(archive.values())
    for item in items_of(store, busy.username):
        for name in ("password_hash", "secret_hash", "fingerprint"):
            assert name not in text and item.get(name, "nothing") not in text
    assert busy.token.split(".")[2] not in text


def test_balance_and_holdings_follow_from_the_files_alone(store: Any, busy: Person, archive: dict[str, str]) -> None:
    orders = [row for row in rows_of(archive["orders.csv"]) if row["status"] == "PENDING"]
    cash = sum(Fraction(row["effect"] or 0) for row in rows_of(archive["transactions.csv"]))
    reserved_cash = sum(Fraction(row["reserved_amount"] or 0) for row in orders)
    owned: dict[str, Fraction] = {}
    for row in rows_of(archive["trades.csv"]):
        sign = {"BUY": 1, "SELL": -1}[row["transaction_type"]]
        owned[row["asset_id"]] = owned.get(row["asset_id"], Fraction(0)) + sign * Fraction(row["quantity"])
    reserved = dict.fromkeys(owned, Fraction(0))
    for row in orders:
        reserved[row["asset_id"]] += Fraction(row["reserved_quantity"] or 0)
    rebuilt = {asset_id: (owned[asset_id] - reserved[asset_id], reserved[asset_id]) for asset_id in owned}
    items = query(store, "users", "PK", busy.username)
    [stored] = [item for item in items if item["SK"] == "BALANCE"]
    for balance in (json.loads(archive["balance.json"]), stored):
        assert (Fraction(balance["current_balance"]), Fraction(balance["reserved_cash"])) == (cash, reserved_cash)
    for holdings in (rows_of(archive["holdings.csv"]), [item for item in items if item["SK"].startswith("ASSET#")]):
        found = {row["asset_id"]: (Fraction(row["quantity"]), Fraction(row["reserved_quantity"])) for row in holdings}
        assert found == rebuilt and len(found) == 2


def test_its_statement_is_the_one_that_can_be_checked(busy: Person, archive: dict[str, str], tmp_path: Path) -> None:
    assert archive["transactions.csv"] == busy.get("/balance/transactions.csv").get_data(as_text=True)
    assert archive["trades.csv"] == busy.get("/assets/transactions.csv").get_data(as_text=True)
    path = tmp_path / "transactions.csv"
    path.write_bytes(archive["transactions.csv"].encode())
    command = [sys.executable, "-I", PROJECT / "app/static/verify.py", busy.username, path]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0 and json.loads(archive["balance.json"])["head"] in checked.stdout


def test_the_readme_explains_each_file_and_column(archive: dict[str, str]) -> None:
    sections = dict(re.findall(r"^(\w+\.\w+): .+\n\n((?:  .+\n)+)", archive["README.txt"], re.MULTILINE))
    assert list(sections) == FILES[1:]
    for name, text in sections.items():
        explained = re.findall(r"^  (\w+) +\S.+", text, re.MULTILINE)
        whole = archive[name]
        value = json.loads(whole) if name.endswith(".json") else rows_of(whole)
        assert explained == list(value if isinstance(value, dict) else value[0]), name
    assert max(map(len, archive["README.txt"].splitlines())) <= 120


def test_an_empty_account_has_one_too(person: Person) -> None:
    files = read_archive(person.get("/account/export").data)
    assert [len(rows_of(files[name])) for name in FILES if name.endswith(".csv")] == [2, 0, 0, 0, 0, 0, 0]
    assert json.loads(files["tokens.json"]) == []


def test_by_page(market_app: Flask, busy: Person, archive: dict[str, str]) -> None:
    browser = Browser(market_app)
    browser.log_in(busy.username)
    assert "/account/export" in browser.get("/account").shown.links
    same = read_archive(browser.client.get("/account/export").data)
    differ = {name for name in FILES if same[name] != archive[name]}
    assert differ <= {"README.txt", "events.csv", "sessions.json"}
    stranger = Browser(market_app)
    assert stranger.get("/account/export", 303).location == "/login?next=/account/export"
    problem(caller(market_app).get("/api/v1/account/export"), 401, "not_authenticated")


def test_what_it_costs(app: Flask, store: Any, person: Person) -> None:
    """Two calls before the answer begins, beside the one that authenticates; then one for 500 rows of each kind."""
    begun = person.get("/account/export", buffered=False)
    assert usage_of(begun) == usage(3, 3, 0)
    begun.close()
    with app.app_context():
        user = get_user(person.username)
        with metered() as used:
            assert b"".join(open_export(user, now=clock.now()))
        # The portfolio, the tokens, the trades, the orders and both kinds of events; there are no transactions.
        assert (used.calls, used.read_units, used.write_units) == (6, Decimal("4.5"), 0)
    write_deposits(store, person.username, [clock.to_text(NOON + timedelta(minutes=n)) for n in range(1_400)])
    with app.app_context(), metered() as used:
        assert b"".join(open_export(user, now=clock.now()))
    # Rows of a quarter of a kilobyte, read consistently at 4 KB a unit.
    assert used.calls == 6 + 3 and 80 < used.read_units < 130


def test_it_is_never_whole_in_memory() -> None:
    """What is written leaves at once, however long a text is."""
    made, random = 0, Random(1)

    def lines() -> Iterator[str]:
        nonlocal made
        for _ in range(8_000):
            made += 1
            yield random.randbytes(500).hex() + "\r\n"

    tracemalloc.start()
    chunks = write_zip({"a.csv": lines, "b.csv": lambda: ["x"]}, now=NOON)
    size = len(next(chunks))
    assert made < 200, "the first chunk leaves before the rest is made"
    size += sum(map(len, chunks))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made == 8_000 and size > 4_000_000 and peak < 1_500_000


def test_an_archive_that_breaks_off_is_not_taken_for_whole() -> None:
    def lines() -> Iterator[str]:
        yield from (f"{number * 7919 % 1_000_003}\r\n" for number in range(50_000))
        raise StoreUnavailable()

    received = b""
    with pytest.raises(StoreUnavailable):
        for chunk in write_zip({"a.csv": lines}, now=NOON):
            received += chunk
    assert received.startswith(b"PK")
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(received))


def test_a_store_that_does_not_answer_shows_before_the_answer_begins(
    faulty_app: Flask, faults: Any, busy: Person
) -> None:
    busy.client = caller(faulty_app)
    faults.break_call(2, drop, onward=True)
    problem(busy.get("/account/export"), 503, "store_unavailable")


@pytest.mark.parametrize("model", COLUMNS, ids=lambda model: model.__name__)
def test_every_attribute_has_its_column_or_is_left_out(model: type[Item]) -> None:
    """Also one that no account of these tests has."""
    kind = str(model.entity_type.get_discriminator(model))
    columns, told_elsewhere = COLUMNS[model]
    attributes = set(model.get_attributes()) - LEFT_OUT[""] - LEFT_OUT.get(kind, set())
    assert attributes - told_elsewhere <= columns


# The application imports every model.
@pytest.mark.usefixtures("app")
def test_every_kind_of_item_is_exported_or_not_and_removed_or_kept_for_a_reason() -> None:
    kinds = set()
    for root in (UsersItem, OrdersItem):
        models = set(root.entity_type.get_registered_subclasses(root)) - {root}
        kinds |= {str(root.entity_type.get_discriminator(model)) for model in models}
    assert set(LEAVING) == kinds
    assert {file for exported, _ in LEAVING.values() for file in re.findall(r"`(\w+\.\w+)`", exported)} == {*FILES[1:]}


def test_what_closing_removes_and_keeps(store: Any, busy: Person) -> None:
    for order in busy.get("/orders?status=pending").json["data"]:
        busy.post(f"/orders/{order['order_id']}/cancel")
    busy.sell("BTC", "2.5")
    busy.withdraw(busy.balance())
    [code, *_] = enrol(busy).recovery_codes
    before = items_of(store, busy.username)
    assert busy.post("/account/close", {"current_password": PASSWORD, "code": code}).status_code == 204
    after = items_of(store, busy.username)
    for kind, (_, at_closing) in LEAVING.items():
        had, has = ([item for item in items if item["entity_type"] == kind] for items in (before, after))
        if at_closing.startswith(("kept: the books", "kept for")):
            left = {(item["PK"], item["SK"]): item for item in has}
            unlike = [set(item.items()) ^ set(left[item["PK"], item["SK"]].items()) for item in had]
            assert {name for each in unlike for name, _ in each} <= {"closed_at", "updated_at"}
        if at_closing == "removed":
            assert had and not has, kind
    assert {item["kind"] for item in after if item["entity_type"] == "TOKEN"} == {"session", "login"}
