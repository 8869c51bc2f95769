"""How values are written on pages."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.domain.ledger import TransactionType
from app.views.pages import formatters

WRITTEN = [
    (formatters.write_money, "1234.50", "$1,234.50"),
    (formatters.write_money, "0.00", "$0.00"),
    (formatters.write_money, "1000000000000000.01", "$1,000,000,000,000,000.01"),
    (formatters.write_money, "-0.01", "−$0.01"),
    (formatters.write_signed_money, "1234.50", "+$1,234.50"),
    (formatters.write_signed_money, "-1234.50", "−$1,234.50"),
    (formatters.write_quantity, "0.10000000", "0.1"),
    (formatters.write_quantity, "1E-8", "0.00000001"),
    (formatters.write_quantity, "12500", "12,500"),
    (formatters.write_quantity, "1234567.00000001", "1,234,567.00000001"),
    (formatters.write_large_money, "1154126207500.00", "$1.15 trillion"),
    (formatters.write_large_money, "999999999999.99", "$999.99 billion"),
    (formatters.write_large_money, "1000000.00", "$1.00 million"),
    (formatters.write_large_money, "999999.99", "$999,999.99"),
    (formatters.write_percent, "12.50", "12.50%"),
    (formatters.write_signed_percent, "12.50", "+12.50%"),
    (formatters.write_signed_percent, "-12.50", "−12.50%"),
]


@pytest.mark.parametrize(("write", "value", "written"), WRITTEN)
def test_numbers(write: formatters.Write, value: str, written: str) -> None:
    assert write(Decimal(value)) == written


@pytest.mark.parametrize(
    ("price", "asset_id", "written"),
    [
        ("60000.1", "BTC", "$60,000.10"),
        ("60000", "BTC", "$60,000.00"),
        ("0.11", "DOGE", "$0.11000"),
        ("90.123", "BTC", "$90.123"),
        ("1234567", "BTC", "$1,234,567.00"),
    ],
)
def test_prices_line_up(price: str, asset_id: str, written: str) -> None:
    assert formatters.write_price(Decimal(price), asset_id) == written


def test_quantities_of_a_column_line_up() -> None:
    column = [Decimal(text) for text in ("0.25", "1500", "3.00000001", "12.5")]
    decimals = formatters.most_decimals(column)
    written = [formatters.write_quantity(each, decimals) for each in column]
    assert [text.rstrip() for text in written] == ["0.25", "1,500", "3.00000001", "12.5"]
    # Spaces as wide as a point and as digits, so that each has its unit digit in the same place from the right.
    assert {len(text) - len(text.partition(".")[0].partition("\N{PUNCTUATION SPACE}")[0]) for text in written} == {9}
    assert formatters.most_decimals([]) == 0


def test_time_says_the_exact_moment_to_programs() -> None:
    time = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert formatters.write_time(time) == '<time datetime="2026-01-02T03:04:05.000006Z">2 Jan 2026, 03:04 UTC</time>'


def test_every_type_of_transaction_has_a_name() -> None:
    assert set(formatters.TRANSACTION_NAMES) == set(TransactionType)
