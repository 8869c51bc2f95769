"""Statements: the balance before, during and after a period, on a page, on paper and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from flask import Flask

from app.domain import clock
from app.domain.ledger import TransactionType
from app.domain.orders import Side
from app.models.adjustments import adjust
from app.models.users import get_user
from app.prices import PricePoint
from app.services import cash
from app.services.statements import read_statement
from tests.support.accounts import place
from tests.support.deposits import write_deposits
from tests.support.page_client import Browser, look
from tests.support.people import LONG_AGO
from tests.support.prices import FixedPrices
from tests.support.usage import usage_of

STYLE = Path(__file__).parents[2] / "app/static/style.css"
START = datetime(2026, 1, 1, tzinfo=UTC)
Deposit = Callable[[str, str], None]


@pytest.fixture
def deposit(app: Flask, ann: Browser) -> Deposit:
    """Makes a deposit of ann's at a moment, such as `2026-01-31T23:59:59`."""

    def make(moment: str, amount: str) -> None:
        with app.app_context(), clock.at(datetime.fromisoformat(moment).replace(tzinfo=UTC)):
            cash.deposit(ann.username, Decimal(amount), "Pay")

    return make


@pytest.fixture
def history(deposit: Deposit) -> None:
    """Deposits of 1.00, 2.00, ... 6.00 at the edges of January and February 2026."""
    for number, moment in enumerate(
        (
            "2025-12-31T23:59:59.999999",
            "2026-01-01T00:00:00",
            "2026-01-15T12:00:00",
            "2026-01-31T23:59:59.999999",
            "2026-02-01T00:00:00",
            "2026-02-28T12:00:00",
        ),
        1,
    ):
        deposit(moment, f"{number}.00")


# Period; opening balance, money in, closing balance.
PERIODS = {
    "from=2026-01-01&to=2026-01-31": ("$1.00", "+$9.00", "$10.00"),
    "from=2025-12-31&to=2025-12-31": ("$0.00", "+$1.00", "$1.00"),
    "from=2026-01-02&to=2026-01-14": ("$3.00", "$0.00", "$3.00"),
    "from=2026-02-01&to=2026-02-28": ("$10.00", "+$11.00", "$21.00"),
    "from=2026-03-01": ("$21.00", "$0.00", "$21.00"),
    "from=2020-01-01&to=2020-12-31": ("$0.00", "$0.00", "$0.00"),
    "from=0001-01-01&to=9999-12-31": ("$0.00", "+$21.00", "$21.00"),
    "from=0001-01-01&to=0500-01-01": ("$0.00", "$0.00", "$0.00"),
}


@pytest.mark.parametrize(("query", "figures"), PERIODS.items())
def test_a_period_has_its_own_balances(ann: Browser, history: None, query: str, figures: tuple[str, str, str]) -> None:
    opening, deposited, closing = figures
    summed = f"Deposited {deposited} " if deposited != "$0.00" else ""
    text = ann.get(f"/statement?{query}").text
    assert f"Opening balance {opening} {summed}Closing balance {closing}" in text


@pytest.mark.parametrize(("query", "first_day"), [("to=2026-01-01", LONG_AGO.date()), ("to=2019-12-31", "2019-12-31")])
def test_without_a_first_day_it_begins_with_the_account(
    ann: Browser, history: None, query: str, first_day: object
) -> None:
    answer = ann.get(f"/statement?{query}")
    assert answer.shown.attributes["from"]["value"] == "" and f"from={first_day}" in answer.response.text
    assert "Opening balance $0.00" in answer.text


@pytest.mark.parametrize(("query", "figures"), PERIODS.items())
@pytest.mark.parametrize("slack", [1, 0])
def test_a_period_that_must_be_looked_for_has_the_same_balances(
    ann: Browser, app: Flask, history: None, query: str, figures: tuple[str, str, str], slack: int
) -> None:
    """As in accounts of hundreds of transactions."""
    days = {name: date.fromisoformat(text) for name, [text] in parse_qs(query).items()}
    last = days.get("to", clock.now().date())
    with app.app_context():
        found = read_statement(get_user(ann.username), days.get("from", last), last, rows=500, slack=slack)
    assert found.is_whole and found.effects
    balances = (found.opening_balance, found.effects[TransactionType.DEPOSIT], found.closing_balance)
    assert balances == tuple(Decimal(figure.replace("$", "")) for figure in figures)


def test_trading_is_told_from_what_was_paid_in(rich: Browser) -> None:
    """Each kind has its own line, with what reserves took and gave back; what did not happen has none."""
    today = clock.now().date()
    rich.done("/withdraw", amount="50")
    rich.done("/assets/BTC", quantity="2")
    rich.done("/assets/BTC", order_type="market_sell", quantity="1")
    waiting = rich.done("/assets/ETH", order_type="limit_buy", quantity="1", price="9")
    rich.send(waiting.form())
    with rich.client.application.app_context():
        adjust(rich.username, Decimal("-0.50"), reason="Correction", actor="operator", waits=False)
    text = rich.get(f"/statement?from={today}&to={today + timedelta(days=1)}").text
    assert (
        "Opening balance $10,000.00 Withdrawn −$50.00 Bought −$209.00 Sold +$100.00 Returned +$9.00 Adjusted −$0.50 "
        "Closing balance $9,849.50 What was bought counts what orders to buy reserved." in text
    )
    assert "Deposited" not in text and "Money in" not in text


@pytest.mark.parametrize(("query", "calls"), [("", 3), ("?from=2026-01-01&to=2026-01-31", 3), ("?from=x", 0)])
def test_what_it_costs(ann: Browser, history: None, query: str, calls: int) -> None:
    answer = ann.get(f"/statement{query}", 422 if "x" in query else 200)
    assert usage_of(answer.response).calls == 1 + calls


@pytest.mark.parametrize(
    "moment", ["2024-02-29T12:00:00", "2025-12-31T23:59:59.999998", "2026-01-01T00:00:00", "2026-01-31T23:59:59"]
)
def test_without_a_period_it_is_this_month(ann: Browser, moment: str) -> None:
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    with clock.at(now):
        ann.done("/deposit", amount="350.5", description="<b>Salary</b>")
        ann.done("/withdraw", amount="50")
        answer = ann.get("/statement")
    today = now.date()
    assert answer.shown.attributes["from"]["value"] == today.replace(day=1).isoformat()
    assert answer.shown.attributes["to"]["value"] == today.isoformat()
    assert "Opening balance $0.00 Deposited +$350.50 Withdrawn −$50.00 Closing balance $300.50" in answer.text
    assert "<b>Salary</b>" in answer.text and "<b>Salary" not in answer.response.text
    assert f"/statement.csv?from={today.replace(day=1)}&to={today}" in answer.shown.links


@pytest.mark.parametrize("query", ["utm_source=mail", "lang=de&x=", "cursor=x"])
def test_what_others_add_to_the_address_changes_nothing(ann: Browser, query: str) -> None:
    with clock.at(datetime(2026, 1, 15, 12, tzinfo=UTC)):
        shown = ann.get(f"/statement?{query}").shown
    assert [shown.attributes[name]["value"] for name in ("from", "to")] == ["2026-01-01", "2026-01-15"]


def test_an_empty_period_is_everything(ann: Browser, deposit: Deposit) -> None:
    later = (clock.now() + timedelta(days=400)).date()
    deposit(f"{later - timedelta(days=100)}T12:00:00", "1.00")
    deposit(f"{later - timedelta(days=1)}T12:00:00", "2.00")
    with clock.at(clock.start_of(later)):
        ann.log_in(ann.username)  # the session has ended
        [everything] = [link for link in ann.get("/statement").shown.links if link == "/statement?from=&to="]
        answer = ann.get(everything)
        assert "Opening balance $0.00 Deposited +$3.00" in answer.text
        assert [answer.shown.attributes[name].get("value", "") for name in ("from", "to")] == ["", ""]
        # One open end is the same as leaving that end out.
        answer = ann.get(f"/statement?from={later - timedelta(days=2)}&to=")
        assert "Opening balance $1.00 Deposited +$2.00" in answer.text


def test_a_row_leads_to_its_transaction_and_order(rich: Browser) -> None:
    with clock.at(clock.now()):
        order = rich.submit("/assets/BTC", quantity="1").location
        links = rich.get("/statement").shown.links
    assert order in links and "/activity/000000000002" in links


BAD_PERIODS = {
    "backwards": ("from=2026-02-01&to=2026-01-01", "to", "Choose a last day that is not before the first one."),
    "no date": ("from=soon", "from", "Write a date as YYYY-MM-DD, such as 2030-12-31."),
    "no day": ("from=2026-01-01&to=2026-02-30", "to", "Write a date as YYYY-MM-DD, such as 2030-12-31."),
    "markup": ("to=%3Cscript%3E", "to", "Write a date as YYYY-MM-DD, such as 2030-12-31."),
}


@pytest.mark.parametrize("path", ["/statement", "/activity"])
@pytest.mark.parametrize(("query", "field", "message"), BAD_PERIODS.values(), ids=BAD_PERIODS)
def test_a_bad_period_is_told_beside_the_field(ann: Browser, path: str, query: str, field: str, message: str) -> None:
    answer = ann.get(f"{path}?{query}", 422)
    assert answer.error_of(field) == message
    assert answer.shown.attributes[field]["value"]
    assert look(ann.client.get(f"/statement.csv?{query}")).status == 422


@pytest.mark.parametrize(
    "path",
    [
        *("/statement", "/statement?from=2026-01-01&to=2026-01-31", "/statement.csv"),
        *("/activity/trades.csv", "/activity/gains.csv?year=2026&method=fifo"),
    ],
)
def test_strangers_are_asked_to_log_in_and_come_back(stranger: Browser, ann: Browser, path: str) -> None:
    there = stranger.get(path, 303)
    assert stranger.log_in(ann.username, page=there.location).location == path


def rows_of(browser: Browser, address: str) -> list[list[str]]:
    response = browser.client.get(address)
    assert response.status_code == 200 and response.is_streamed
    assert response.content_type == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"].startswith("attachment; filename=")
    # By this mark spreadsheets know UTF-8.
    assert response.data.startswith(b"\xef\xbb\xbf") and response.data.count(b"\xef\xbb\xbf") == 1
    return list(csv.reader(response.data.decode("utf-8-sig").splitlines()))


@pytest.mark.parametrize(
    ("query", "opening", "amounts", "closing"),
    [
        ("", "0.00", ["1.00", "2.00", "3.00", "4.00", "5.00", "6.00"], "21.00"),
        ("?from=2026-01-02&to=2026-01-31", "3.00", ["3.00", "4.00"], "10.00"),
        ("?from=2026-03-01", "21.00", [], "21.00"),
    ],
)
def test_the_csv_has_the_same_rows(
    ann: Browser, history: None, query: str, opening: str, amounts: list[str], closing: str
) -> None:
    head, first, *rows, last = rows_of(ann, f"/statement.csv{query}")
    assert first[head.index("transaction_type")] == "opening_balance" and first[6] == opening
    assert last[head.index("transaction_type")] == "closing_balance" and last[6] == closing
    assert [row[head.index("amount")] for row in rows] == amounts


def test_a_csv_holds_only_what_is_ones_own(ann: Browser, rich: Browser) -> None:
    ann.done("/deposit", amount="7", description='=HYPERLINK("x")')
    rows = rows_of(ann, "/statement.csv")
    assert len(rows) == 4 and rows[2][7] == '\'=HYPERLINK("x")'
    assert all("10000.00" not in row for row in rows)


def test_a_csv_keeps_umlauts_and_says_its_period(ann: Browser) -> None:
    now = clock.now()
    with clock.at(now):
        ann.done("/deposit", amount="7", description="Für später")
    today = now.date()
    address = f"/statement.csv?from={today}&to={today}"
    assert "Für später" in rows_of(ann, address)[2]
    name = ann.client.get(address).headers["Content-Disposition"].partition("filename=")[2]
    assert name == f"transactions-from-{today}-to-{today}.csv"


def test_trades_are_exported_for_a_statement_and_for_an_asset(rich: Browser) -> None:
    orders = [("BTC", "0.5", "market_buy"), ("ETH", "2", "market_buy"), ("BTC", "0.25", "market_sell")]
    now = clock.now()
    for number, (asset_id, quantity, order_type) in enumerate(orders):
        with clock.at(now + timedelta(microseconds=number)):
            rich.done(f"/assets/{asset_id}", quantity=quantity, order_type=order_type)
    with clock.at(now + timedelta(microseconds=len(orders))):
        of_statement, of_all, of_asset = (
            next(link for link in rich.get(path).shown.links if link.startswith("/activity/trades.csv"))
            for path in ("/statement", "/activity/trades", "/activity/trades?asset_id=BTC")
        )
    assert "from=" in of_statement and "to=" in of_statement
    head, *rows = rows_of(rich, of_statement)
    assert rows_of(rich, of_all) == [head, *rows]
    assert [row[1:6] for row in rows] == [
        ["BTC", "BUY", "0.5", "100", "50.00"],
        ["ETH", "BUY", "2", "10", "20.00"],
        ["BTC", "SELL", "0.25", "100", "25.00"],
    ]
    assert rows_of(rich, of_asset) == [head, rows[0], rows[2]]
    rich.get("/activity/trades.csv?asset_id=B+C", 422)


def test_holdings_stand_at_both_ends_with_their_value(
    ann: Browser, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = {"BTC": "100", "ETH": "10"}
    monkeypatch.setitem(app.extensions, "prices", FixedPrices(**prices))
    trades = [(9, Side.BUY, "BTC", "2"), (10, Side.BUY, "ETH", "1"), (40, Side.SELL, "BTC", "2")]
    with app.app_context():
        for days, side, asset_id, quantity in trades:
            with clock.at(START + timedelta(days=days)):
                cash.deposit(ann.username, Decimal("500.00"))
                place(ann.username, side, quantity, price=prices[asset_id], asset_id=asset_id)
    with clock.at(START + timedelta(days=60)):
        answer = ann.get("/statement?from=2026-01-01&to=2026-01-31")
        later = ann.get("/statement?from=2026-02-01&to=2026-03-31").text
    assert "At the end of 31 Dec 2025 No holdings. At the end of 31 Jan 2026" in answer.text
    assert "Bitcoin 2 BTC $200.00 at $100.00, " in answer.text and "Together worth $210.00." in answer.text
    assert "At the end of 31 Jan 2026" in later and "Together worth $210.00. Now" in later
    assert "Together worth $10.00." in later
    # Session, balance and rows of the statement, portfolio, trades of two assets.
    assert usage_of(answer.response).calls == 1 + 5


def test_what_is_owned_now_has_the_price_of_now(ann: Browser, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that goes on: the last price of a history is older, and another one."""

    class Moving(FixedPrices):
        def history(self, asset_id: str, *, days: int) -> list[PricePoint]:
            return [replace(point, price=point.price / 2) for point in super().history(asset_id, days=days)]

    monkeypatch.setitem(app.extensions, "prices", Moving(BTC="100"))
    with app.app_context():
        cash.deposit(ann.username, Decimal("500.00"))
        place(ann.username, Side.BUY, "2", price="100")
    assert "Bitcoin 2 BTC $200.00 at $100.00, " in ann.get("/statement").text.partition(" Now ")[2]


# How many deposits of 1.00; the figures of the page; and the calls: balance, times, pages of 500, the end, portfolio.
LONG_STATEMENTS = {
    "more than a page shows": (600, "Opening balance $0.00 Deposited +$600.00 Closing balance $600.00", 5),
    "more than is read": (1_400, "Opening balance $0.00 Closing balance $1,400.00", 7),
}


@pytest.mark.parametrize(("count", "figures", "most_calls"), LONG_STATEMENTS.values(), ids=LONG_STATEMENTS)
def test_a_long_statement_says_so_and_points_to_the_csv(
    ann: Browser, store: Any, count: int, figures: str, most_calls: int
) -> None:
    write_deposits(store, ann.username, [clock.to_text(START + timedelta(minutes=number)) for number in range(count)])
    answer = ann.get("/statement?from=2026-01-01&to=2026-02-28")
    assert figures in answer.text
    assert "This period has more than 500 transactions, of which the first 500 are shown." in answer.text
    shown = [link for link in answer.shown.links if link.startswith("/activity/0")]
    assert shown == [f"/activity/{number:012d}" for number in range(1, 501)]
    assert "/statement.csv?from=2026-01-01&to=2026-02-28" in answer.shown.links
    assert usage_of(answer.response).calls <= 1 + most_calls


@pytest.mark.parametrize("slack", [1, 0])
def test_a_very_long_statement_reads_no_more_than_it_shows(ann: Browser, app: Flask, history: None, slack: int) -> None:
    with app.app_context():
        found = read_statement(get_user(ann.username), date(2026, 1, 1), date(2026, 2, 28), rows=2, slack=slack)
    assert (found.opening_balance, found.closing_balance) == (Decimal("1.00"), Decimal("21.00"))
    assert [transaction.amount for transaction in found.transactions] == [Decimal("2.00"), Decimal("3.00")]
    assert (found.is_whole, found.effects) == (False, None)


def test_a_long_account_costs_a_call_more(ann: Browser, app: Flask) -> None:
    """Of 450 transactions, one an hour, any day's can be found."""
    with app.app_context():
        for hour in range(450):
            with clock.at(START + timedelta(hours=hour)):
                cash.deposit(ann.username, Decimal("1.00"))
    answer = ann.get("/statement?from=2026-01-03&to=2026-01-03")
    assert "Opening balance $48.00 Deposited +$24.00 Closing balance $72.00" in answer.text
    assert usage_of(answer.response).calls == 1 + 4
    listed = ann.get("/activity?from=2026-01-03&to=2026-01-03")
    assert listed.text.count("+$1.00") == 24 and "Older" not in listed.text
    assert usage_of(listed.response).calls == 1 + 3


def test_times_that_go_back_lose_no_row_and_no_cent(app: Flask, store: Any) -> None:
    """A store of an older version may have them, where the clocks of two machines differed around midnight."""
    browser = Browser(app).enter()  # its books are not sound: this version writes no such times
    times = ("01T12:00:00.000000", "02T00:00:00.040000", "01T23:59:59.970000", "02T12:00:00.000000")
    write_deposits(store, browser.username, [f"2026-01-{time}Z" for time in times])
    closing, seen = "0.00", []
    for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
        page = browser.get(f"/statement?from={day}&to={day}")
        opening, last = (
            page.text.partition(f"{name} balance $")[2].partition(" ")[0] for name in ("Opening", "Closing")
        )
        text = browser.client.get(f"/statement.csv?from={day}&to={day}").text
        rows = list(csv.DictReader(text.splitlines()))
        assert (opening, rows[0]["new_balance"], rows[-1]["new_balance"]) == (closing, opening, last)
        numbers = [row["transaction_id"] for row in rows[1:-1]]
        assert numbers == [link.removeprefix("/activity/") for link in page.shown.links if "/activity/0" in link]
        closing, seen = last, seen + numbers
    assert closing == "4.00" and seen == [f"{number:012d}" for number in range(1, 5)]


def test_it_prints_well(ann: Browser, history: None) -> None:
    printed = STYLE.read_text().partition("@media print")[2]
    for hidden in ("header.site", "footer.site", "nav", "form", ".actions"):
        assert hidden in printed.partition("display: none")[0]
    assert "table-header-group" in printed and "break-inside: avoid" in printed
    answer = ann.get("/statement?from=2026-01-01&to=2026-01-31")
    assert f"Ann Smith ({ann.username}), 1 Jan 2026 to 31 Jan 2026" in answer.text
    assert "<thead>" in answer.response.text and "Amounts in US dollars" in answer.text


def test_a_hash_that_was_kept_is_checked(ann: Browser, history: None) -> None:
    answer = ann.get("/statement/check")
    head = answer.shown.text.split("Its hash ")[1].split()[0]
    assert "000000000006" in answer.shown.text and f"verify.py {ann.username}" in answer.shown.text
    assert usage_of(answer.response).calls == 2
    cases = {
        ("6", head): "Transaction 000000000006 still has this hash.",
        ("000000000006", head.upper()): "Transaction 000000000006 still has this hash.",
        ("5", head): "Transaction 000000000005 has another hash.",
        ("7", head): "You have no transaction 000000000007.",
    }
    for (number, hash_), told in cases.items():
        shown = ann.get(f"/statement/check?transaction_id={number}&hash={hash_}").shown
        assert told in shown.text and shown.attributes["hash"]["value"] == hash_
    refused = ann.get("/statement/check?transaction_id=x&hash=abc", 422).shown
    assert "Write the number of a transaction: up to 12 digits." in refused.text
    assert "Write the 64 digits and letters a to f of a hash." in refused.text


def test_a_hash_that_is_still_the_same_promises_nothing_of_what_was_before(app: Flask, store: Any) -> None:
    browser = Browser(app).enter()  # its books are not sound
    for amount in ("1", "2"):
        browser.done("/deposit", amount=amount)
    head = browser.get("/statement/check").text.split("Its hash ")[1].split()[0]
    store.update_item(
        TableName="users",
        Key={"PK": {"S": browser.username}, "SK": {"S": "TRANS#000000000001"}},
        UpdateExpression="SET description = :text",
        ExpressionAttributeValues={":text": {"S": "a present"}},
    )
    text = browser.get(f"/statement/check?transaction_id=2&hash={head}").text
    assert "Whether all before it leads to this hash, verify.py tells" in text and "as they were" not in text


def test_an_account_without_transactions_has_no_hash_to_keep(ann: Browser) -> None:
    assert "Your next transaction will be the first with a hash." in ann.get("/statement/check").shown.text


def test_the_program_that_checks_is_offered(ann: Browser) -> None:
    [address] = [link for link in ann.get("/statement/check").shown.links if "verify.py" in link]
    program = ann.client.get(address)
    assert program.content_type == "text/x-python; charset=utf-8"
    assert program.text.count("\n") <= 80 and "hashlib" in program.text
