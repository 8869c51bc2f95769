"""Holdings: what buying, selling and waiting do to what a user owns of an asset."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.domain import holdings
from app.domain.errors import InsufficientHolding
from app.domain.holdings import AssetAccount

# What happens, with which quantity; the quantity and the reserve before and after.
CHANGES = {
    "a purchase": (holdings.buy, "1", ("0.33333333", "0"), ("1.33333333", "0")),
    "the first purchase": (holdings.buy, "0.00000001", ("0", "0"), ("0.00000001", "0")),
    "a purchase beside a reserve": (holdings.buy, "1", ("2", "5"), ("3", "5")),
    "a sale": (holdings.sell, "0.33333333", ("1", "0"), ("0.66666667", "0")),
    "a sale of all": (holdings.sell, "1", ("1", "5"), ("0", "5")),
    "an order to sell waits": (holdings.reserve, "2", ("3", "1"), ("1", "3")),
    "an order to sell everything waits": (holdings.reserve, "3", ("3", "0"), ("0", "3")),
    "an open order is filled": (holdings.release, "2", ("1", "3"), ("1", "1")),
    "an open order ends": (holdings.give_back, "2", ("1", "3"), ("3", "1")),
}


@pytest.mark.parametrize(("change", "quantity", "before", "after"), CHANGES.values(), ids=CHANGES)
def test_what_changes(change, quantity, before, after):
    changed = change(AssetAccount("BTC", *map(Decimal, before)), Decimal(quantity))
    assert changed == AssetAccount("BTC", *map(Decimal, after))
    owned = sum(map(Decimal, after)) - sum(map(Decimal, before))
    assert owned == {holdings.buy: 1, holdings.sell: -1, holdings.release: -1}.get(change, 0) * Decimal(quantity)


@pytest.mark.parametrize("change", [holdings.sell, holdings.reserve])
@pytest.mark.parametrize(
    ("quantity", "holding"), [("1", "0"), ("1.00000001", "1"), ("1000000000", "999999999.99999999")]
)
def test_no_more_can_be_sold_than_is_held_and_not_reserved(change, quantity, holding):
    with pytest.raises(InsufficientHolding) as refused:
        change(AssetAccount("BTC", Decimal(holding), Decimal("2000000000")), Decimal(quantity))
    assert refused.value.details == {"asset_id": "BTC", "available": holding, "required": quantity}
