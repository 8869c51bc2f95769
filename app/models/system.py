"""Table `users`: what the service says of itself, for admins.

| item | PK | SK |
|---|---|---|
| Totals | `SYSTEM` | `TOTALS#{taken_at}` |
| Heartbeat | `SYSTEM` | `WORKER#{worker_id}` |

No username has a capital letter, so nobody's items are here.

| access pattern | operation |
|---|---|
| totals, newest first | Query PK, SK begins with `TOTALS#` |
| workers | Query PK, SK begins with `WORKER#` |
"""

from __future__ import annotations

from datetime import datetime, timedelta

from app.domain import clock
from app.models.attributes import (
    AssetTotalsAttribute,
    MoneyAttribute,
    NumberAttribute,
    TimeAttribute,
    TTLAttribute,
    UnicodeAttribute,
)
from app.models.batch import write_if
from app.models.item import Key
from app.models.paging import FIRST_PAGE, Page, PageRequest, list_page
from app.models.users import UsersItem

PARTITION = "SYSTEM"
LATEST = PageRequest(limit=1)
# How often a worker says that it runs, and how long after that it counts as running.
BEAT = timedelta(minutes=1)
COUNTS_FOR = timedelta(minutes=3)
# How long it is known that it ran.
KEPT_FOR = timedelta(hours=1)


class Totals(UsersItem, discriminator="TOTALS"):
    """The sums that one audit saw. It took `seconds`, and read each account at its own moment in that time.

    `cash` can be spent, and `reserved` is in open orders to buy. `accounts` counts those too that are suspended or
    closed.
    """

    taken_at = TimeAttribute()
    seconds = NumberAttribute()
    accounts = NumberAttribute()
    suspended = NumberAttribute()
    closed = NumberAttribute()
    cash = MoneyAttribute()
    reserved = MoneyAttribute()
    deposits = MoneyAttribute()
    withdrawals = MoneyAttribute()
    adjustments = MoneyAttribute()
    assets = AssetTotalsAttribute()
    open_orders = NumberAttribute()
    items = NumberAttribute()
    violations = NumberAttribute()

    @staticmethod
    def key(taken_at: datetime) -> Key:
        return PARTITION, f"TOTALS#{clock.to_text(taken_at)}"


class Heartbeat(UsersItem, discriminator="WORKER"):
    """A worker that finished a round at `seen_at`. Counts as running for COUNTS_FOR from then."""

    worker_id = UnicodeAttribute()
    started_at = TimeAttribute()
    seen_at = TimeAttribute()
    ttl = TTLAttribute()

    @staticmethod
    def key(worker_id: str) -> Key:
        return PARTITION, f"WORKER#{worker_id}"

    @property
    def is_running(self) -> bool:
        return bool(clock.now() < self.seen_at + COUNTS_FOR)


def list_totals(page: PageRequest = FIRST_PAGE) -> Page[Totals]:
    """The totals of all audits that saved them, newest first. One call. Eventually consistent."""
    return list_page(Totals, PARTITION, page, keys=Totals.SK.startswith("TOTALS#"))


def find_totals() -> Totals | None:
    """Those of the last audit that saved them, or None. One call, half a read unit."""
    return next(iter(list_totals(LATEST).items), None)


def list_workers() -> list[Heartbeat]:
    """The workers that ran in the last hour, the one seen last first. One call. Eventually consistent."""
    found = Heartbeat.query(PARTITION, Heartbeat.SK.startswith("WORKER#"))
    return sorted((each for each in found if each.ttl > clock.now()), key=lambda each: each.seen_at, reverse=True)


class Pulse:
    """Says once in each BEAT that this worker runs."""

    def __init__(self, worker_id: str) -> None:
        self._worker_id = worker_id
        self._started_at = clock.now()
        self._seen_at: datetime | None = None

    def beat(self) -> bool:
        """Say it, unless it was said within BEAT; whether it was written. One call and one write unit, or none."""
        now = clock.now()
        if self._seen_at and timedelta(0) <= now - self._seen_at < BEAT:
            return False
        heartbeat = Heartbeat(
            *Heartbeat.key(self._worker_id),
            worker_id=self._worker_id,
            started_at=self._started_at,
            seen_at=now,
            ttl=now + KEPT_FOR,
        )
        # The item may be there no more, and a write that was sent again must not make it older.
        written = write_if(lambda: heartbeat.save(condition=Heartbeat.absent() | (Heartbeat.seen_at <= now)))
        self._seen_at = now
        return written
