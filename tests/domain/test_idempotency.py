"""Which requests are the same."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.domain.idempotency import identify

SAME = ("DEPOSIT", Decimal("1.00"), None)


def test_no_key_no_request():
    assert identify(None, *SAME) is None


def test_the_same_values_make_the_same_fingerprint():
    first, second = identify("k", *SAME), identify("k", *SAME)
    assert first == second and first.key == "k"


def test_the_key_is_no_part_of_the_fingerprint():
    assert identify("k", *SAME).fingerprint == identify("l", *SAME).fingerprint


@pytest.mark.parametrize(
    "other",
    [
        ("WITHDRAW", Decimal("1.00"), None),
        ("DEPOSIT", Decimal("1.01"), None),
        ("DEPOSIT", Decimal("1.00"), ""),
        ("DEPOSIT", Decimal("1.00"), "None"),
        ("DEPOSIT", Decimal("1.00")),
        ("DEPOSIT", None, Decimal("1.00")),
        ("DEPOSIT", Decimal("1.00"), None, None),
        ("DEPOSIT", '1.00", null'),
    ],
)
def test_anything_else_is_another_request(other):
    assert identify("k", *SAME).fingerprint != identify("k", *other).fingerprint
