"""Statements as CSV and the history of an account's worth: both agree with the ledger, and read no more than asked."""

from __future__ import annotations

import csv
import io
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.models.users import get_user
from app.services.statements import open_statement, write_csv
from tests.support.books import check_books
from tests.support.deposits import write_deposits
from tests.support.people import LONG_AGO, Person, fields_named, problem, register
from tests.support.usage import AUTHENTICATION, metered, usage_of

COLUMNS = [
    "created_at",
    "transaction_id",
    "transaction_type",
    "amount",
    "effect",
    "previous_balance",
    "new_balance",
    "description",
    "order_id",
    "actor",
    "hash",
]


def statement(person: Person, period: str = "") -> list[dict[str, str]]:
    """The rows of a statement, whose form is checked: columns, opening and closing balance, and an unbroken chain."""
    response = person.get(f"/balance/transactions.csv{period}")
    assert response.status_code == 200, response.text
    assert response.content_type == "text/csv; charset=utf-8"
    assert "attachment" in response.headers["Content-Disposition"]
    assert response.data.startswith(b"created_at,"), "a byte order mark would be part of this name for scripts"
    assert response.data.endswith(b"\r\n") and b"\n" not in response.data.replace(b"\r\n", b"")
    table = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert list(table[0]) == COLUMNS
    opening, *rows, closing = table
    assert (opening["transaction_type"], closing["transaction_type"]) == ("opening_balance", "closing_balance")
    standing = Decimal(opening["new_balance"])
    for row in rows:
        assert Decimal(row["previous_balance"]) == standing
        standing += Decimal(row["effect"])
        assert Decimal(row["new_balance"]) == standing
    assert Decimal(closing["new_balance"]) == standing
    return table


# The first and last instant of a day, and two that lie beside midnight of the next and the last but one.
INSTANTS = [
    "2026-03-01T00:00:00.000000Z",
    "2026-03-01T23:59:59.999999Z",
    "2026-03-02T00:00:00.000000Z",
    "2026-03-02T12:00:00.000000Z",
    "2026-03-04T00:00:00.000000Z",
    "2026-03-04T23:59:59.999999Z",
]


@pytest.fixture(scope="module")
def saver(app: Flask, store: Any) -> Person:
    """Six deposits of 1.00 in the first days of March."""
    person = register(app)
    write_deposits(store, person.username, INSTANTS)
    check_books(store, person.username)
    return person


# period; numbers of the deposits in it, and with that the opening balance.
PERIODS = {
    "everything": ("", [1, 2, 3, 4, 5, 6]),
    "from the year 1": ("?from=0001-01-01", [1, 2, 3, 4, 5, 6]),
    "from the first day": ("?from=2026-03-01", [1, 2, 3, 4, 5, 6]),
    "from before": ("?from=2000-01-01", [1, 2, 3, 4, 5, 6]),
    "from the second day": ("?from=2026-03-02", [3, 4, 5, 6]),
    "from a day without any": ("?from=2026-03-03", [5, 6]),
    "from after": ("?from=2026-03-05", []),
    "to the first day": ("?to=2026-03-01", [1, 2]),
    "to a day without any": ("?to=2026-03-03", [1, 2, 3, 4]),
    "to before": ("?to=2026-02-28", []),
    "to after": ("?to=2099-12-31", [1, 2, 3, 4, 5, 6]),
    "one day": ("?from=2026-03-02&to=2026-03-02", [3, 4]),
    "one day without any": ("?from=2026-03-03&to=2026-03-03", []),
    "two days": ("?from=2026-03-01&to=2026-03-02", [1, 2, 3, 4]),
    "the future": ("?from=2098-01-01&to=2099-01-01", []),
}


@pytest.mark.parametrize(("period", "numbers"), PERIODS.values(), ids=PERIODS.keys())
def test_periods(saver, period, numbers):
    """Whole days in UTC, both included; what was before is the opening balance."""
    opening, *rows, closing = statement(saver, period)
    assert [int(row["transaction_id"]) for row in rows] == numbers
    before = sum(time < period[6:16] for time in INSTANTS) if "from" in period else 0
    assert (opening["new_balance"], closing["new_balance"]) == (f"{before}.00", f"{before + len(numbers)}.00")


@pytest.mark.parametrize(
    ("period", "field"),
    [
        ("?from=2026-03-02&to=2026-03-01", "to"),
        ("?from=2026-02-30", "from"),
        ("?to=yesterday", "to"),
        ("?from=20260301", "from"),
        ("?from=2026-03-01T00:00:00Z", "from"),
        ("?to=", "to"),
        ("?from=2026-W10-1", "from"),
        ("?from=0000-01-01", "from"),
    ],
)
def test_no_periods(saver, period, field):
    response = saver.get(f"/balance/transactions.csv{period}")
    assert fields_named(problem(response, 422, "invalid_input")) == [field]


def test_rows_are_the_ledgers(person):
    person.post("/balance/deposit", {"amount": "100", "description": "Savings"})
    person.withdraw("30.5")
    order = person.buy("DOGE", "50")
    opening, *rows, closing = statement(person)
    listed = person.get("/balance/transactions").json["transactions"][::-1]
    assert [{**{name: row[name] or None for name in COLUMNS if name != "effect"}} for row in rows] == [
        {name: row[name] for name in COLUMNS if name != "effect"} for row in listed
    ]
    assert [row["effect"] for row in rows] == ["100.00", "-30.50", f"-{order['total_amount']}"]
    assert (opening["new_balance"], closing["new_balance"]) == ("0.00", person.balance())


def test_a_statement_without_transactions(person):
    opening, closing = statement(person)
    assert (opening["new_balance"], closing["new_balance"]) == ("0.00", "0.00")
    assert len(statement(person, f"?from={clock.now().date()}&to={clock.now().date()}")) == 2


FORMULAS = [
    "=1+1",
    "+1",
    "-1+2",
    "@SUM(A1)",
    '=HYPERLINK("http://x","y")',
    "=cmd|' /C calc'!A0",
    "＝1+1",
    "＋1",
    "＠A1",
]


HARMLESS = ["Für später", 'a "quoted", comma; and \'', "1=1", "a\u00a0b", "🪙", "x" * 200]


def test_text_stays_text_in_a_spreadsheet(person):
    for description in FORMULAS + HARMLESS:
        response = person.post("/balance/deposit", {"amount": "1", "description": description})
        assert response.status_code == 201
    texts = [row["description"] for row in statement(person)[1:-1]]
    assert texts == [f"'{formula}" for formula in FORMULAS] + HARMLESS


def test_a_statement_is_ones_own(person, new_user, client):
    person.deposit("5")
    assert len(statement(new_user())) == 2
    problem(client.get("/api/v1/balance/transactions.csv"), 401, "not_authenticated")
    problem(person.get("/balance/transactions.csv?username=x"), 422, "unknown_parameter")


FILES = {
    "/balance/transactions.csv": "transactions.csv",
    "/balance/transactions.csv?from=2026-01-01": "transactions-from-2026-01-01.csv",
    "/balance/transactions.csv?to=2026-01-31": "transactions-to-2026-01-31.csv",
    "/balance/transactions.csv?from=2026-01-01&to=2026-01-31": "transactions-from-2026-01-01-to-2026-01-31.csv",
    "/assets/transactions.csv": "trades.csv",
    "/assets/transactions.csv?asset_id=btc": "trades-BTC.csv",
    "/assets/transactions.csv?asset_id=BTC&from=2026-01-01&to=2026-01-31": (
        "trades-BTC-from-2026-01-01-to-2026-01-31.csv"
    ),
}


@pytest.mark.parametrize(("path", "name"), FILES.items(), ids=FILES.keys())
def test_a_file_is_named_after_what_it_holds(person, path, name):
    assert person.get(path).headers["Content-Disposition"] == f"attachment; filename={name}"


def trades(person: Person, query: str = "") -> list[dict[str, str]]:
    response = person.get(f"/assets/transactions.csv{query}")
    assert (response.status_code, response.content_type) == (200, "text/csv; charset=utf-8")
    names = b"timestamp,asset_id,transaction_type,quantity,price,total_amount,order_id,cost_total,gain\r\n"
    assert response.data.startswith(names)
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


# The moment of each trade, its type and asset.
TRADED = [
    ("2026-03-01T00:00:00.000000Z", "market_buy", "BTC"),
    ("2026-03-01T23:59:59.999999Z", "market_buy", "DOGE"),
    ("2026-03-02T00:00:00.000000Z", "market_sell", "BTC"),
    ("2026-03-03T12:00:00.000000Z", "market_sell", "DOGE"),
]


@pytest.fixture(scope="module")
def dealer(app: Flask) -> Person:
    person = register(app)
    with clock.at(LONG_AGO):
        person.deposit("1000")
    for moment, order_type, asset_id in TRADED:
        with clock.at(clock.from_text(moment)):
            assert (
                person.order(order_type, asset_id, "0.50000001" if asset_id == "DOGE" else "0.001").status_code == 201
            )
    return person


# Which of the trades are in the export.
EXPORTS = {
    "everything": ("", [0, 1, 2, 3]),
    "one asset": ("?asset_id=btc", [0, 2]),
    "an asset never traded": ("?asset_id=ETH", []),
    "no asset": ("?asset_id=NOSUCH", []),
    "one day": ("?from=2026-03-01&to=2026-03-01", [0, 1]),
    "from a day": ("?from=2026-03-02", [2, 3]),
    "to a day": ("?to=2026-03-02", [0, 1, 2]),
    "an asset on a day": ("?asset_id=BTC&from=2026-03-02&to=2026-03-02", [2]),
    "from the year 1": ("?from=0001-01-01", [0, 1, 2, 3]),
    "a day without any": ("?from=2026-03-04&to=2026-03-04", []),
}


@pytest.mark.parametrize(("query", "numbers"), EXPORTS.values(), ids=EXPORTS.keys())
def test_an_export_of_trades_has_the_rows_of_the_list(dealer, query, numbers):
    """Oldest first, whole days in UTC, and every figure as JSON has it."""
    listed = dealer.get("/assets/transactions").json["data"][::-1]
    assert [row["timestamp"] for row in listed] == [moment for moment, _, _ in TRADED]
    rows = trades(dealer, query)
    assert rows == [
        {name: listed[number][name] or "" for name in row} for number, row in zip(numbers, rows, strict=True)
    ]


def test_an_export_of_trades_is_ones_own_and_costs_one_call(dealer, person):
    assert trades(person) == []
    for asset in ("", "?asset_id=BTC"):
        assert (usage_of(dealer.get(f"/assets/transactions.csv{asset}")) - AUTHENTICATION).calls == 1


@pytest.mark.parametrize(
    ("query", "field"), [("?asset_id=B-T-C", "asset_id"), ("?from=2026-02-02&to=2026-02-01", "to")]
)
def test_what_is_no_export_of_trades(dealer, query, field):
    assert fields_named(problem(dealer.get(f"/assets/transactions.csv{query}"), 422, "invalid_input")) == [field]


@pytest.fixture(scope="module")
def old_hand(app: Flask, store: Any) -> Person:
    """4,000 deposits, 400 a day."""
    person = register(app)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [start + timedelta(days=number // 400, minutes=number % 400) for number in range(4_000)]
    write_deposits(store, person.username, [clock.to_text(time) for time in times])
    return person


def test_a_long_statement_is_streamed_in_constant_memory(app, old_hand):
    """However long the statement is, only some hundred rows are in memory."""
    with app.app_context():
        user = get_user(old_hand.username)

    def peak() -> int:
        with app.app_context(), metered() as meter:
            tracemalloc.start()
            lines = sum(1 for _ in write_csv(open_statement(user, None, None)))
            reached = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert lines == 4_003 and meter.read_units < 500
        return reached

    # What other threads of this process take meanwhile counts too, though not each time.
    assert any(peak() < 10_000_000 for _ in range(3))


def test_a_long_statement_begins_before_all_is_read(old_hand):
    response = old_hand.get("/balance/transactions.csv", buffered=False)
    used = usage_of(response) - AUTHENTICATION
    assert used.calls == 2 and used.read_units < 60, "the balance and 500 rows; the others are read while they are sent"
    lines = iter(response.response)
    assert [next(lines)[:12] for _ in range(3)] == [b"created_at,t", b",,opening_ba", b"2026-01-01T0"]
    response.close()


# Days; the calls: balance, 50 transactions at known numbers for each end that is given, and pages of 500 rows.
@pytest.mark.parametrize(
    ("first", "last", "most_calls", "rows"),
    [(9, None, 6, 800), (None, 1, 5, 400), (5, 5, 5, 400), (20, None, 3, 0), (None, None, 10, 4_000)],
)
def test_what_a_statement_costs(app, old_hand, first, last, most_calls, rows):
    with app.app_context():
        user = get_user(old_hand.username)
    with app.app_context(), metered() as meter:
        days = [day and date(2026, 1, day) for day in (first, last)]
        assert sum(1 for _ in open_statement(user, *days).transactions) == rows
        assert meter.calls <= most_calls, meter.operations
        # 0.1 units for a row of about 400 bytes, of which up to 800 lie around the period.
        assert meter.read_units <= 1 + 100 + (rows + 800) * Decimal("0.11")
