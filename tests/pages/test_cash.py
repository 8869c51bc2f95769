"""Deposits, withdrawals and orders as forms: what they refuse, what they keep, and that they apply once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain import clock
from tests.support.page_client import Browser
from tests.support.usage import usage_of

CASH_FORMS = ["/deposit", "/withdraw"]
# The rule is tested in tests/domain/test_money.py; here, that a form reaches it.
BAD_AMOUNTS = {
    "nothing": ("", "Fill this in."),
    "spaces": ("  ", "Fill this in."),
    "word": ("much", "Write digits and at most one point, such as 1000.00."),
    "zero": ("0", "Choose an amount from $0.01 to $1,000,000.00."),
    "too precise": ("1.001", "At most 2 decimals, such as 1000.00."),
    "too much": ("1000000.01", "Choose an amount from $0.01 to $1,000,000.00."),
    "long": ("9" * 5000, "Write digits and at most one point, such as 1000.00."),
}


@pytest.mark.parametrize("path", CASH_FORMS)
@pytest.mark.parametrize(("amount", "message"), BAD_AMOUNTS.values(), ids=BAD_AMOUNTS)
def test_bad_amount_is_told_beside_the_field(ann: Browser, path: str, amount: str, message: str) -> None:
    answer = ann.submit(path, amount=amount, description="kept <b>")
    assert answer.status == 422
    assert answer.error_of("amount") == message
    assert answer.form().values["amount"] == amount.strip()
    assert answer.form().values["description"] == "kept <b>"


@pytest.mark.parametrize("path", CASH_FORMS)
def test_bad_description_is_told_beside_the_field(ann: Browser, path: str) -> None:
    answer = ann.submit(path, amount="1", description="x" * 201)
    assert answer.error_of("description") == "Write 1 to 200 characters."


def test_money_comes_and_goes(ann: Browser) -> None:
    answer = ann.done("/deposit", amount=" 350.5 ", description="Salary")
    assert "Deposited $350.50. Your balance is now $350.50." in answer.text
    answer = ann.done("/withdraw", amount="50")
    assert "Withdrew $50.00. Your balance is now $300.50." in answer.text
    activity = ann.get("/activity").text
    assert "+$350.50" in activity and "−$50.00" in activity and "Salary" in activity


@pytest.mark.parametrize(
    ("amount", "shown", "says"),
    [
        ("12,50", "12.50", "The balance is $0.00, and this needs $12.50."),
        ("1234,5", "1234.5", "The balance is $0.00, and this needs $1,234.50."),
        ("1,000", "1,000", "Write 1000: leave out the comma between thousands."),
        ("1.000,50", "1.000,50", "Write digits and at most one point, such as 1000.00."),
        ("0,001", "0.001", "At most 2 decimals, such as 1000.00."),
    ],
)
def test_a_form_reads_a_decimal_comma_and_shows_what_it_read(ann: Browser, amount: str, shown: str, says: str) -> None:
    answer = ann.submit("/withdraw", amount=amount, description="10,5 pears")
    assert answer.error_of("amount").startswith(says)
    assert answer.form().values["amount"] == shown and answer.form().values["description"] == "10,5 pears"


def test_a_decimal_comma_in_every_form_of_money(ann: Browser) -> None:
    assert "Deposited $12.50. Your balance is now $12.50." in ann.done("/deposit", amount="12,50").text
    assert "Withdrew $0.50. Your balance is now $12.00." in ann.done("/withdraw", amount="0,5").text


def test_a_message_is_shown_once(ann: Browser) -> None:
    assert "Deposited $1.00." in ann.done("/deposit", amount="1").text
    assert "Deposited $1.00." not in ann.get("/dashboard").text


def test_more_than_the_balance_is_refused_beside_the_amount(ann: Browser) -> None:
    ann.done("/deposit", amount="10")
    answer = ann.submit("/withdraw", amount="10.01")
    assert answer.status == 422
    assert answer.error_of("amount").startswith("The balance is $10.00, and this needs $10.01.")
    assert "up to $10.00" in answer.text


def test_a_withdrawal_says_its_bounds(ann: Browser) -> None:
    ann.done("/deposit", amount="1000000")
    assert "You can withdraw up to $1,000,000.00. " in ann.get("/withdraw").text
    ann.done("/deposit", amount="0.01")
    text = ann.get("/withdraw").text
    assert "You can withdraw up to $1,000,000.00 at once. Your balance is $1,000,000.01." in text


NOON = datetime(2026, 6, 1, 12, 1, tzinfo=UTC)
AGAIN = "This was done already, at 12:01 UTC. Nothing was changed now."


@pytest.mark.parametrize(
    ("path", "message", "balance"),
    [
        ("/deposit", "Deposited $10.00. Your balance is now $110.00.", "$103.00"),
        ("/withdraw", "Withdrew $10.00. Your balance is now $90.00.", "$83.00"),
    ],
)
def test_a_form_sent_again_says_so_with_the_balance_of_now(ann: Browser, path: str, message: str, balance: str) -> None:
    with clock.at(NOON):
        ann.done("/deposit", amount="100")
        form = ann.get(path).form()
        sent = ann.send(form, amount="10.00")
        assert message in ann.get(sent.location).text
    with clock.at(NOON + timedelta(minutes=5)):
        ann.done("/withdraw", amount="7")
        for _ in range(2):
            sent = ann.send(form, amount="10.00")
            assert sent.status == 303
            text = ann.get(sent.location).text
            assert f"{AGAIN} Your balance is {balance}." in text and message not in text
    with clock.at(NOON + timedelta(days=1)):
        text = ann.get(ann.send(form, amount="10.00").location).text
        assert "This was done already, on 1 Jun 2026, 12:01 UTC. Nothing was changed now." in text


def test_an_order_sent_again_buys_once_and_leads_to_the_same_order(rich: Browser) -> None:
    with clock.at(NOON):
        form = rich.get("/assets/BTC").form()
        first = rich.send(form, quantity="60")
        assert "Bought 60 BTC for $6,000.00." in rich.get(first.location).text
    with clock.at(NOON + timedelta(minutes=5)):
        rich.done("/withdraw", amount="1")
        second = rich.send(form, quantity="60")
        assert first.location == second.location
        assert f"{AGAIN} Your balance is $3,999.00." in rich.get(second.location).text
        rich.done("/deposit", amount="1")
    assert "Cash to spend $4,000.00" in rich.get("/dashboard").text


def test_a_corrected_form_keeps_its_key(ann: Browser) -> None:
    ann.done("/deposit", amount="10")
    form = ann.get("/withdraw").form()
    again = ann.send(form, amount="11").form()
    assert again.values["idempotency_key"] == form.values["idempotency_key"]
    assert ann.send(again, amount="9").status == 303


def test_a_key_of_another_request_is_refused_and_replaced(ann: Browser) -> None:
    form = ann.get("/deposit").form()
    ann.send(form, amount="10")
    answer = ann.send(form, amount="20")
    assert answer.status == 422
    assert "This form was sent before, with other values." in answer.text
    assert answer.form().values["idempotency_key"] != form.values["idempotency_key"]
    assert answer.form().values["amount"] == "20"
    sent = ann.send(answer.form())
    assert "Your balance is now $30.00." in ann.get(sent.location).text


@pytest.mark.parametrize("key", ["", None, "a b", "x" * 256, "é", "a\nb"])
@pytest.mark.parametrize(
    ("path", "values"),
    [("/deposit", {"amount": "1"}), ("/withdraw", {"amount": "1"}), ("/assets/BTC", {"quantity": "1"})],
)
def test_a_form_without_a_good_key_is_refused(rich: Browser, path: str, values: dict[str, str], key: Any) -> None:
    answer = rich.submit(path, **values, idempotency_key=key)
    assert answer.status == 422
    assert "This form came without its key." in answer.text
    assert answer.form().values["idempotency_key"] not in {"", key}
    assert rich.send(answer.form()).status == 303


def test_every_page_makes_a_new_key(ann: Browser) -> None:
    keys = {ann.get("/deposit").form().values["idempotency_key"] for _ in range(3)}
    assert len(keys) == 3


def test_a_description_is_shown_as_text(ann: Browser) -> None:
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> {{ 7*7 }}"
    ann.done("/deposit", amount="1", description=hostile)
    for path in ("/dashboard", "/activity", "/activity/000000000001"):
        answer = ann.get(path)
        assert " ".join(hostile.split()) in answer.text
        assert "<script>alert" not in answer.response.text


def test_the_page_after_a_form_says_what_comes_next(rich: Browser, market: Any) -> None:
    """What was done and its number, what there is now, what happens next, and where it shows."""
    paid = rich.done("/deposit", amount="10")
    assert "Your balance is now $10,010.00. You can buy with it at once. Transaction number 2 " in paid.text
    assert "/activity/000000000002" in paid.shown.links
    bought = rich.done("/assets/BTC", quantity="2")
    order_id = bought.response.request.path.rpartition("/")[2]
    after = f"Order number {order_id} Cash now $9,810.00 BTC to sell now 2 It shows here: Your trades, Dashboard."
    assert f"Bought 2 BTC for $200.00. Nothing is left to do. {after}" in bought.text
    waiting = rich.done("/assets/BTC", order_type="limit_sell", quantity="1.5", price="125")
    assert "It is executed as soon as the price is $125.00 or more, until " in waiting.text
    assert "Cash now $9,810.00 BTC to sell now 0.5" in waiting.text
    cancelled = rich.get(rich.send(waiting.form()).location)
    assert "It can no longer be executed." in cancelled.text
    assert "Cash now $9,810.00 BTC to sell now 2 It shows here: Ended orders." in cancelled.text
    links = "/activity/trades?asset_id=BTC", "/orders?status=pending", "/orders?ended=true"
    for page, link in zip((bought, waiting, cancelled), links, strict=True):
        assert usage_of(page.response).calls == 2
        assert link in page.shown.links
