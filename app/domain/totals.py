"""Totals of all accounts: how much of an asset is owned, and how that is written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from app.domain import money


@dataclass(frozen=True)
class AssetTotal:
    """How much of an asset all users own, and how much of that open orders to sell reserve."""

    asset_id: str
    owned: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)


def asset_totals_to_text(totals: Iterable[AssetTotal]) -> str:
    """JSON: `{"BTC": ["1.5", "0.25"]}`, owned and reserved."""
    return json.dumps({each.asset_id: [money.plain(each.owned), money.plain(each.reserved)] for each in totals})


def asset_totals_from_text(text: str) -> tuple[AssetTotal, ...]:
    """Raises ValueError for what `asset_totals_to_text` has not made."""
    try:
        found = json.loads(text).items()
        return tuple(AssetTotal(asset_id, Decimal(owned), Decimal(reserved)) for asset_id, (owned, reserved) in found)
    except (AttributeError, TypeError, InvalidOperation) as error:
        raise ValueError(f"totals {text[:80]!r} are not written as they should be") from error
