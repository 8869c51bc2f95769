"""Demonstration accounts: a year of believable activity, made by the services that serve real users.

The plan is the same for the same start, and every step has an idempotency key. So a second run repeats nothing and
completes an interrupted one, for as long as keys are remembered. Prices are those of the simulated market at the time
of each step.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import click

from app.domain import clock, money
from app.domain.assets import CATALOGUE
from app.domain.errors import Busy
from app.domain.orders import NewOrder, PriceType, Side, accepts
from app.domain.users import Role, UserStatus
from app.models import order_changes as order_book
from app.models.idempotency import IdempotencyClaim
from app.models.ledger import Balance
from app.models.orders import Order, get_order
from app.models.users import User, find_user, find_user_by_email, get_user, set_password, set_role, set_status
from app.prices import PriceSource
from app.services import cash, orders
from app.services.auth import Registration, register
from app.services.passwords import hash_password, is_password

CUSTOMER, SUSPENDED, ADMIN = "demo", "demo_suspended", "demo_admin"
USERNAMES = (CUSTOMER, SUSPENDED, ADMIN)
FIRST_KEY = "savings"
YEAR = timedelta(days=365)
MONTH = timedelta(days=30)

FAVOURITES = ("BTC", "ETH", "SOL", "ADA", "LINK", "DOGE", "XMR", "DOT")
SPENDING = ("Rent", "Holiday", "New bicycle", "Groceries", "Dentist", "Concert tickets", "Insurance", "Presents")

Step = Callable[[], object]


@dataclass(frozen=True)
class Plan:
    """Steps in order of time, each with the time at which it happens."""

    steps: list[tuple[datetime, Step]]

    def carry_out(self, advance: Callable[[int], None]) -> None:
        """Do every step that is not done yet; call `advance` with 1 after each."""
        for moment, step in self.steps:
            with clock.at(moment):
                step()
            advance(1)


def is_complete() -> bool:
    """Whether a run has finished: it makes the admin last."""
    user = find_user(ADMIN)
    return user is not None and user.is_admin


def is_demo_password(password: str) -> bool:
    """Whether all demonstration accounts have this password."""
    users = [find_user(username) for username in USERNAMES]
    return all(user is not None and is_password(password, user.password_hash) for user in users)


def set_demo_password(password: str) -> None:
    """Give all demonstration accounts this password. Only for a complete demonstration, so that they are no one else's.

    Raises Busy.
    """
    for username in USERNAMES:
        if not set_password(get_user(username), hash_password(password), now=clock.now()):
            raise Busy()


def plan_demo(market: PriceSource, password: str, *, months: int) -> Plan:
    """Register the users and plan the rest: a year until now, or the year that an earlier run began.

    `market` must follow `app.domain.clock`. Raises ClickException, before it writes anything, if a username or an
    e-mail address belongs to another person, or if the earlier run is so long ago that it would be repeated.
    """
    for username in USERNAMES:
        _check_ownership(username, password)
    _check_memory()

    def join(username: str, first_name: str, moment: datetime) -> User:
        # Just before what happens first: time in an account only goes forward.
        with clock.at(moment - timedelta.resolution):
            return _join(username, first_name, password)

    start = join(CUSTOMER, "Dana", clock.now() - YEAR).created_at
    join(SUSPENDED, "Sam", start + 8 * MONTH)
    year = _Year(market, start, months)
    steps = sorted([*year.steps(), *_suspended_life(market, start + 8 * MONTH)], key=lambda step: step[0])
    end = start + YEAR
    steps.append((end, lambda: set_status(SUSPENDED, UserStatus.SUSPENDED, now=clock.now())))

    def promote_demo_admin() -> None:
        join(ADMIN, "Ada", end)
        set_role(ADMIN, Role.ADMIN, now=clock.now())

    return Plan([*steps, (end, promote_demo_admin)])


def _check_ownership(username: str, password: str) -> None:
    user, email = find_user(username), _email(username)
    if user is None and find_user_by_email(email):
        raise click.ClickException(
            f"The e-mail address {email} belongs to a user who is not part of this demonstration. Change it first."
        )
    if user is not None and not is_password(password, user.password_hash):
        raise click.ClickException(
            f"The user {username} exists, with another password than this demonstration's. If an earlier run made it, "
            "set the SECRET_KEY of that run; otherwise choose other tables or another DATA_DIR."
        )


def _check_memory() -> None:
    """The first claim of all must still count: without it, a second run would do again what the first one did."""
    balance = Balance.find(Balance.key(CUSTOMER))
    claim = IdempotencyClaim.find(IdempotencyClaim.key(CUSTOMER, f"demo {FIRST_KEY}"))
    if balance is not None and balance.version and (claim is None or claim.ttl <= clock.now()):
        raise click.ClickException(
            "The demonstration was interrupted too long ago to be completed. Fill other tables or another DATA_DIR."
        )


def _email(username: str) -> str:
    return f"{username}@example.com"


def _join(username: str, first_name: str, password: str) -> User:
    return find_user(username) or register(
        Registration(
            username=username, email=_email(username), password=password, first_name=first_name, last_name="Example"
        )
    )


@dataclass
class _Year:
    """The customer's year, month by month. Spends at most the month's salary, and sells only what is held."""

    market: PriceSource
    start: datetime
    months: int
    chance: random.Random = field(default_factory=lambda: random.Random(20))
    held: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def steps(self) -> Iterator[tuple[datetime, Step]]:
        # At once: an account that was opened late in the evening would show a first day without anything.
        yield self.start, _deposit(Decimal("5000.00"), "Savings", FIRST_KEY)
        for month in range(12 - self.months, 12):
            first_day = self.start + YEAR - MONTH * (12 - month)
            yield first_day + timedelta(hours=8), _deposit(self._amount(2700, 2900), "Salary", f"salary {month}")
            yield from self._trades(month, first_day)
            if month % 3:
                spent = SPENDING[month % len(SPENDING)]
                yield self._moment(first_day, 20), _withdraw(self._amount(80, 400), spent, f"spending {month}")
        yield from self._waiting_orders()

    def _trades(self, month: int, first_day: datetime) -> Iterator[tuple[datetime, Step]]:
        for number in range(4):
            asset_id = FAVOURITES[(month * 3 + number) % len(FAVOURITES)]
            moment = self._moment(first_day, 2 + 4 * number)
            quantity = self._quantity(asset_id, moment, self._amount(120, 550))
            self.held[asset_id] += quantity
            yield moment, _order(self.market, Side.BUY, asset_id, quantity, f"buy {month} {number}")
        asset_id = max(self.held, key=lambda name: (self.held[name] * CATALOGUE[name].base_price, name))
        quantity = _rounded(self.held[asset_id] * self.chance.randint(15, 40) / 100)
        self.held[asset_id] -= quantity
        yield self._moment(first_day, 19), _order(self.market, Side.SELL, asset_id, quantity, f"sell {month}")

    def _waiting_orders(self) -> Iterator[tuple[datetime, Step]]:
        """Limit orders: one filled, one expired, one cancelled, then some that still wait, far from today's price."""
        end = self.start + YEAR
        yield from self._filled("ETH", end - timedelta(days=75))
        placed = end - timedelta(days=60)
        forgotten = self._waiting(Side.BUY, "SOL", placed, 40)
        yield placed, forgotten.place(self._quantity("SOL", placed, Decimal(300)), placed + timedelta(days=14))
        yield placed + timedelta(days=14, minutes=1), forgotten.expire
        placed = end - timedelta(days=50, hours=3)
        regretted = self._waiting(Side.BUY, "LINK", placed, 40)
        yield placed, regretted.place(self._quantity("LINK", placed, Decimal(300)), placed + MONTH)
        yield placed + timedelta(days=4), regretted.cancel
        largest, second = sorted(self.held, key=lambda name: self.held[name] * CATALOGUE[name].base_price)[-2:]
        for side, asset_id, percent in (
            (Side.BUY, "BTC", 75),
            (Side.BUY, "ADA", 60),
            (Side.SELL, largest, 150),
            (Side.SELL, second, 170),
        ):
            placed = end - timedelta(hours=self.chance.randint(5, 70))
            wanted = self._quantity(asset_id, placed, Decimal(400))
            quantity = wanted if side is Side.BUY else _rounded(self.held[asset_id] / 4)
            yield placed, self._waiting(side, asset_id, placed, percent).place(quantity, end + 2 * MONTH)

    def _waiting(self, side: Side, asset_id: str, moment: datetime, percent: int) -> _Waiting:
        """A limit order at `percent` of the market price at `moment`."""
        return _Waiting(self.market, side, asset_id, self._limit(asset_id, moment, percent))

    def _filled(self, asset_id: str, day: datetime) -> Iterator[tuple[datetime, Step]]:
        """A purchase at a lower price than the market's, placed on a day before the market falls that far."""
        for moment in (day - timedelta(days=back) for back in range(60)):
            hours = [moment + timedelta(hours=passed) for passed in range(12, 240)]
            limit = self._limit(asset_id, moment, 98)
            reached = next((hour for hour in hours if accepts(Side.BUY, limit, self._price(asset_id, hour))), None)
            if reached:
                order = _Waiting(self.market, Side.BUY, asset_id, limit)
                yield moment, order.place(self._quantity(asset_id, moment, Decimal(500)), moment + MONTH)
                yield reached, order.fill
                return

    def _moment(self, first_day: datetime, day: int) -> datetime:
        return first_day + timedelta(days=day, seconds=self.chance.randint(0, 86_399))

    def _amount(self, least: int, most: int) -> Decimal:
        return Decimal(self.chance.randint(least * 100, most * 100)).scaleb(-2)

    def _price(self, asset_id: str, moment: datetime) -> Decimal:
        with clock.at(moment):
            return self.market.quote(asset_id).price

    def _quantity(self, asset_id: str, moment: datetime, worth: Decimal) -> Decimal:
        return _rounded(worth / self._price(asset_id, moment))

    def _limit(self, asset_id: str, moment: datetime, percent: int) -> Decimal:
        limit = self._price(asset_id, moment) * percent / 100
        return limit.quantize(Decimal(1).scaleb(-CATALOGUE[asset_id].price_decimals))


def _suspended_life(market: PriceSource, start: datetime) -> Iterator[tuple[datetime, Step]]:
    yield start + timedelta(hours=1), _deposit(Decimal("1500.00"), "First deposit", "first", SUSPENDED)
    for number, asset_id in enumerate(("ETH", "XRP")):
        moment = start + timedelta(days=3 + 9 * number, minutes=17)
        with clock.at(moment):
            quantity = _rounded(Decimal(420) / market.quote(asset_id).price)
        yield moment, _order(market, Side.BUY, asset_id, quantity, f"buy {number}", SUSPENDED)


def _rounded(quantity: Decimal) -> Decimal:
    """A quantity as a person would type it: four significant digits."""
    return Decimal(f"{quantity:.4g}").quantize(money.MIN_QUANTITY)


def _deposit(amount: Decimal, description: str, key: str, username: str = CUSTOMER) -> Step:
    return lambda: cash.deposit(username, amount, description, idempotency_key=f"demo {key}")


def _withdraw(amount: Decimal, description: str, key: str) -> Step:
    return lambda: cash.withdraw(CUSTOMER, amount, description, idempotency_key=f"demo {key}")


def _order(
    market: PriceSource, side: Side, asset_id: str, quantity: Decimal, key: str, username: str = CUSTOMER
) -> Step:
    order = NewOrder(side, PriceType.MARKET, asset_id, quantity)
    return lambda: orders.place_order(username, order, market, idempotency_key=f"demo {key}")


@dataclass
class _Waiting:
    """A limit order of the customer: one step places it, another ends it."""

    market: PriceSource
    side: Side
    asset_id: str
    limit: Decimal
    order_id: str = ""

    def place(self, quantity: Decimal, expires_at: datetime) -> Step:
        def step() -> None:
            order = NewOrder(self.side, PriceType.LIMIT, self.asset_id, quantity, self.limit, expires_at)
            key = f"demo wait {self.side} {self.asset_id} {clock.to_text(expires_at)}"
            self.order_id = orders.place_order(CUSTOMER, order, self.market, idempotency_key=key).item.order_id

        return step

    def cancel(self) -> None:
        if self._open_order():
            orders.cancel_order(CUSTOMER, self.order_id)

    def expire(self) -> None:
        if order := self._open_order():
            order_book.expire_order(order)

    def fill(self) -> None:
        if order := self._open_order():
            order_book.fill_order(order, self.market.quote(self.asset_id).price)

    def _open_order(self) -> Order | None:
        order = get_order(CUSTOMER, self.order_id)
        return order if order.is_pending else None
