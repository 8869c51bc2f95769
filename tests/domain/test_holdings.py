"""Holdings: what buying, selling and waiting do to what a user owns of an asset."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.domain import holdings
from app.domain.errors import InsufficientHolding
from app.domain.gains import Basis
from app.domain.holdings import AssetAccount

TOTAL = Decimal("6.00")


def bought(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    return holdings.buy(account, quantity, TOTAL).after


def sold(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    return holdings.sell(account, quantity, TOTAL).after


def filled(account: AssetAccount, quantity: Decimal) -> AssetAccount:
    return holdings.sell_reserved(account, quantity, TOTAL).after


# What happens, with which quantity; the quantity and the reserve before and after; the cost after 12.00.
CHANGES = {
    "a purchase": (bought, "1", ("0.33333333", "0"), ("1.33333333", "0"), "18.00"),
    "the first purchase": (bought, "0.00000001", ("0", "0"), ("0.00000001", "0"), "18.00"),
    "a purchase beside a reserve": (bought, "1", ("2", "5"), ("3", "5"), "18.00"),
    "a sale": (sold, "0.33333333", ("1", "0"), ("0.66666667", "0"), "8.01"),
    "a sale of all that can be sold": (sold, "1", ("1", "5"), ("0", "5"), "10.00"),
    "a sale of all": (sold, "1", ("1", "0"), ("0", "0"), "0.00"),
    "an order to sell waits": (holdings.reserve, "2", ("3", "1"), ("1", "3"), "12.00"),
    "an order to sell everything waits": (holdings.reserve, "3", ("3", "0"), ("0", "3"), "12.00"),
    "an open order is filled": (filled, "2", ("1", "3"), ("1", "1"), "6.00"),
    "an open order sells all": (filled, "3", ("0", "3"), ("0", "0"), "0.00"),
    "an open order ends": (holdings.give_back, "2", ("1", "3"), ("3", "1"), "12.00"),
}


@pytest.mark.parametrize(("change", "quantity", "before", "after", "cost"), CHANGES.values(), ids=CHANGES)
def test_what_changes(change, quantity, before, after, cost):
    changed = change(AssetAccount("BTC", *map(Decimal, before), Basis(Decimal("12.00"))), Decimal(quantity))
    assert (changed.asset_id, changed.quantity, changed.reserved_quantity) == ("BTC", *map(Decimal, after))
    assert changed.basis.cost_total == Decimal(cost)
    owned = sum(map(Decimal, after)) - sum(map(Decimal, before))
    assert owned == {bought: 1, sold: -1, filled: -1}.get(change, 0) * Decimal(quantity)


@pytest.mark.parametrize("change", [sold, holdings.reserve])
@pytest.mark.parametrize(
    ("quantity", "holding"), [("1", "0"), ("1.00000001", "1"), ("1000000000", "999999999.99999999")]
)
def test_no_more_can_be_sold_than_is_held_and_not_reserved(change, quantity, holding):
    with pytest.raises(InsufficientHolding) as refused:
        change(AssetAccount("BTC", Decimal(holding), Decimal("2000000000")), Decimal(quantity))
    assert refused.value.details == {"asset_id": "BTC", "available": holding, "required": quantity}
