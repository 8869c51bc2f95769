"""The front page of the admins: what is owed, who is there, whether the books are sound and the workers run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from app.domain import clock, money
from app.domain.assets import CATALOGUE
from app.domain.totals import AssetTotal
from app.models import events, system, users
from app.models.events import SecurityEvent
from app.models.paging import PageRequest
from app.models.system import Heartbeat, Totals
from app.models.users import User, month_of
from app.prices import PriceSource, Quote

LATEST = PageRequest(limit=5)
# The books are audited once a day. After this long, an audit is missing.
AUDIT_HOLDS = timedelta(hours=36)


@dataclass(frozen=True)
class OwedAsset:
    """What all users own of an asset, and what that is worth now; None without a price."""

    total: AssetTotal
    value: Decimal | None

    @property
    def asset_id(self) -> str:
        return self.total.asset_id

    @property
    def name(self) -> str:
        asset = CATALOGUE.get(self.asset_id)
        return asset.name if asset else self.asset_id


@dataclass(frozen=True)
class Owed:
    """What the last audit saw that all users have, at the prices of now: USD with 2 decimals."""

    totals: Totals
    assets: list[OwedAsset]

    @property
    def assets_value(self) -> Decimal:
        """What has no price counts as 0.00."""
        return money.total_of(each.value or money.ZERO for each in self.assets)

    @property
    def value(self) -> Decimal:
        return money.total_of([self.totals.cash, self.totals.reserved, self.assets_value])

    @property
    def is_old(self) -> bool:
        return clock.now() - self.totals.taken_at > AUDIT_HOLDS


@dataclass(frozen=True)
class FrontPage:
    """`owed` is None until an audit has kept its totals. Users and acts are the latest of this month."""

    owed: Owed | None
    workers: list[Heartbeat]
    users: list[User]
    acts: list[SecurityEvent]

    @property
    def running(self) -> list[Heartbeat]:
        return [each for each in self.workers if each.is_running]

    @property
    def is_fresh(self) -> bool:
        """Whether nobody seems to be here but who looks."""
        return self.owed is None and len(self.users) <= 1


def get_front_page(prices: PriceSource, *, now: datetime) -> FrontPage:
    """Four calls, half a read unit each. None of them follows how many accounts there are."""
    totals, month = system.find_totals(), month_of(now)
    return FrontPage(
        owed=Owed(totals, _value(totals.assets, prices.quotes() if totals.assets else {})) if totals else None,
        workers=system.list_workers(),
        users=users.list_joined(month, LATEST).items,
        acts=events.list_acts(month, LATEST).items,
    )


def _value(assets: Iterable[AssetTotal], quotes: Mapping[str, Quote]) -> list[OwedAsset]:
    """The most valuable first."""
    prices = {asset_id: quote.price for asset_id, quote in quotes.items()}
    valued = [
        OwedAsset(each, money.value_of(each.owned, prices[each.asset_id]) if each.asset_id in prices else None)
        for each in assets
    ]
    return sorted(valued, key=lambda each: (-(each.value or money.ZERO), each.asset_id))
