"""What the product promises, as a small program: people with their cash, holdings and orders in dictionaries.

Written from the rules, one request after the other, without a store; nothing of the application is imported, so that
no mistake is made twice. Amounts are `Decimal`s, a product is rounded in whole numbers. What a request is answered is
told in the words of the JSON API.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
CENT = Decimal("0.01")
LOGIN_LIFETIME = timedelta(hours=1)
SCRIPT_LIFETIME = timedelta(days=366)
ORDER_LIFETIME = timedelta(days=30)
LONGEST_ORDER_LIFETIME = timedelta(days=90)
REMEMBERED_FOR = timedelta(days=30)
TRADEABLE = ("BTC", "ETH")
OUTGOING = ("withdraw", "order_payment")


@dataclass(frozen=True)
class Request:
    """Something that moves money, orders or people; `target` is the order or the user that it is about, if any.

    `credential` is `login`, `script` (a personal token that may trade) or `reader` (one that may not).
    """

    actor: str
    credential: str
    action: str
    body: Mapping[str, Any]
    target: str = ""
    key: str | None = None


@dataclass(frozen=True)
class Answer:
    """`done`, or the code of the error; what was made or changed; whether it is the answer of an earlier request."""

    code: str = "done"
    body: Mapping[str, Any] = field(default_factory=dict)
    is_replay: bool = False


class Refused(Exception):
    """The argument is the code."""


@dataclass
class Order:
    """An order; `price` and `total` are those of the execution, or of the limit until then."""

    order_id: str
    order_type: str
    asset_id: str
    quantity: Decimal
    price: Decimal
    total: Decimal
    limit: Decimal | None
    expires_at: datetime | None
    made_at: datetime
    changed_at: datetime
    executed_at: datetime | None = None
    status: str = "pending"
    # Cash of an order to buy, a quantity of an order to sell, if it had to wait.
    reserve: Decimal | None = None

    @property
    def is_buy(self) -> bool:
        return self.order_type.endswith("buy")

    @property
    def is_open(self) -> bool:
        return self.status == "pending"

    def is_reached_by(self, price: Decimal) -> bool:
        assert self.limit is not None
        return price <= self.limit if self.is_buy else price >= self.limit

    def end(self, status: str, now: datetime) -> None:
        self.status, self.changed_at = status, now

    def execute(self, price: Decimal, now: datetime) -> None:
        self.price, self.total = price, product(self.quantity, price, up=self.is_buy)
        self.executed_at = now
        self.end("completed", now)

    def row(self) -> Row:
        return {
            "order_id": self.order_id,
            "order_type": self.order_type,
            "asset_id": self.asset_id,
            "quantity": plain(self.quantity),
            "price": plain(self.price),
            "limit_price": plain(self.limit) if self.limit and self.expires_at else None,
            "executed_price": plain(self.price) if self.executed_at else None,
            "reserved_amount": money(self.reserve) if self.reserve and self.is_buy else None,
            "reserved_quantity": plain(self.reserve) if self.reserve and not self.is_buy else None,
            "status": self.status,
            "total_amount": money(self.total),
            "expires_at": moment(self.expires_at),
            "executed_at": moment(self.executed_at),
            "created_at": moment(self.made_at),
            "updated_at": moment(self.changed_at),
        }


@dataclass(frozen=True)
class Claim:
    """An idempotency key that was used: for what, when, and what was answered."""

    request: tuple[Any, ...]
    answer: Mapping[str, Any]
    until: datetime


@dataclass
class ModelUser:
    """What must be true of one user."""

    username: str
    is_admin: bool
    # When the tokens of the last log in end.
    login_until: datetime | None = None
    script_until: datetime | None = None
    is_suspended: bool = False
    cash: Decimal = Decimal(0)
    transactions: list[Row] = field(default_factory=list)
    holdings: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)

    @property
    def reserved(self) -> Decimal:
        """What open orders to buy may need: their cost at the limit."""
        return sum((order.total for order in self.orders.values() if order.is_open and order.is_buy), Decimal(0))

    def reserved_of(self, asset_id: str) -> Decimal:
        """What open orders to sell may hand over of an asset."""
        waiting = (order for order in self.orders.values() if order.is_open and order.asset_id == asset_id)
        return sum((order.quantity for order in waiting if not order.is_buy), Decimal(0))

    def holdings_row(self) -> dict[str, tuple[str, str]]:
        """What is held of each asset, and what open orders reserve of it."""
        return {asset_id: (plain(held), plain(self.reserved_of(asset_id))) for asset_id, held in self.holdings.items()}

    def moved(self, kind: str) -> Decimal:
        """The sum of all transactions of one type."""
        return sum((Decimal(row["amount"]) for row in self.transactions if row["transaction_type"] == kind), Decimal(0))

    def trades(self) -> list[Order]:
        return [order for order in self.orders.values() if order.status == "completed"]

    def row(self) -> Row:
        """The balance."""
        return {
            "current_balance": money(self.cash),
            "total_deposits": money(self.moved("deposit")),
            "total_withdrawals": money(self.moved("withdraw")),
            "reserved_cash": money(self.reserved),
        }

    def value(self, prices: Mapping[str, Decimal]) -> Decimal:
        """All that the user owns, at these prices."""
        owned = {asset_id: held + self.reserved_of(asset_id) for asset_id, held in self.holdings.items()}
        assets = (product(quantity, prices[asset_id], up=False) for asset_id, quantity in owned.items())
        return sum(assets, self.cash + self.reserved)

    def post(
        self, kind: str, amount: Decimal, now: datetime, *, order_id: str | None = None, about: str | None = None
    ) -> Row:
        """One transaction; a balance never falls below zero."""
        after = self.cash - amount if kind in OUTGOING else self.cash + amount
        if after < 0:
            raise Refused("insufficient_funds")
        row = {
            "transaction_id": f"{len(self.transactions) + 1:012d}",
            "transaction_type": kind,
            "amount": money(amount),
            "previous_balance": money(self.cash),
            "new_balance": money(after),
            "status": "completed",
            "description": about,
            "order_id": order_id,
            "created_at": moment(now),
        }
        self.transactions.append(row)
        self.cash = after
        return row

    def take(self, asset_id: str, quantity: Decimal) -> None:
        if quantity > self.holdings.get(asset_id, 0):
            raise Refused("insufficient_holding")
        self.give(asset_id, -quantity)

    def give(self, asset_id: str, quantity: Decimal) -> None:
        self.holdings[asset_id] = self.holdings.get(asset_id, Decimal(0)) + quantity


class Model:
    """All people at one moment (`now`), and the prices; those of `stale` assets are shown, and not traded on."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.prices: dict[str, Decimal] = {}
        self.stale: set[str] = set()
        self.people: dict[str, ModelUser] = {}
        self.emails: set[str] = set()

    def register(self, username: str, email: str, *, is_admin: bool = False) -> str:
        """What is answered."""
        if username in self.people:
            return "username_taken"
        if email in self.emails:
            return "email_taken"
        self.emails.add(email)
        self.people[username] = ModelUser(username, is_admin)
        return "done"

    def log_in(self, username: str, *, knows_password: bool) -> str:
        """What is answered."""
        if not knows_password:
            return "invalid_credentials"
        if self.people[username].is_suspended:
            return "account_suspended"
        person = self.people[username]
        person.login_until, person.script_until = self.now + LOGIN_LIFETIME, self.now + SCRIPT_LIFETIME
        return "done"

    def answer(self, request: Request, *, new_id: str) -> Answer:
        """Do what a request asks for; a new order gets this id. A refusal changes nothing."""
        try:
            self.check_credential(request)
            return self._answer(request, new_id)
        except Refused as refused:
            return Answer(str(refused))

    def check_credential(self, request: Request) -> None:
        """Raises Refused."""
        person = self.people[request.actor]
        until = person.login_until if request.credential == "login" else person.script_until
        if until is None or self.now >= until:
            raise Refused("not_authenticated")
        if person.is_suspended:
            raise Refused("account_suspended")
        if request.credential == "reader":
            raise Refused("insufficient_scope")
        if request.action in {"adjust", "set_status"} and request.credential != "login":
            raise Refused("insufficient_scope")
        if request.action in {"adjust", "set_status"} and not person.is_admin:
            raise Refused("not_admin")

    def _answer(self, request: Request, new_id: str) -> Answer:
        if request.action == "set_status":
            self._set_status(request)
            return Answer()
        values = self._read(request)
        if request.action == "adjust" and request.target not in self.people:
            raise Refused("user_not_found")
        if request.action == "adjust" and request.target == request.actor:
            raise Refused("own_account")
        # A key belongs to the one who sends it, whoever's account it is about.
        owner, key = self.people[request.actor], request.key
        person = self.people[request.target] if request.action == "adjust" else owner
        meaning = (request.action, request.target, *values.values())
        claim = owner.claims.get(key) if key else None
        if claim and self.now < claim.until:
            if claim.request != meaning:
                raise Refused("idempotency_key_reused")
            return Answer(body=claim.answer, is_replay=True)
        row = ACTIONS[request.action](self, person, {**values, "target": request.target, "new_id": new_id})
        if request.action == "adjust":
            row["actor"] = request.actor
        if key:
            # To the second: that is all that the time to live of an item can say.
            until = (self.now + REMEMBERED_FOR).replace(microsecond=0)
            owner.claims[key] = Claim(meaning, dict(row), until)
        return Answer(body=dict(row))

    def _set_status(self, request: Request) -> None:
        if request.target not in self.people:
            raise Refused("user_not_found")
        person = self.people[request.target]
        if person.username == request.actor and request.body["status"] == "suspended":
            raise Refused("own_account")
        person.is_suspended, person.login_until = request.body["status"] == "suspended", None

    def _read(self, request: Request) -> dict[str, Any]:
        """The values of a body; raises Refused."""
        body = request.body
        if request.action == "cancel":
            return {}
        if request.action == "order":
            return self._read_order(body)
        amount = read_amount(body["amount"], MONEY, is_signed=request.action == "adjust")
        return {"amount": amount, "about": body.get("description", body.get("reason"))}

    def _read_order(self, body: Mapping[str, Any]) -> dict[str, Any]:
        values = {name: body[name] for name in ("order_type", "asset_id")}
        values["quantity"] = read_amount(body["quantity"], QUANTITY)
        values["price"] = read_amount(body["price"], PRICE) if "price" in body else None
        values["expires_at"] = end = body.get("expires_at")
        is_limit = body["order_type"].startswith("limit")
        if (values["price"] is None) if is_limit else (end is not None):
            raise Refused("invalid_input")
        if end and read_moment(end) > self.now + LONGEST_ORDER_LIFETIME:
            raise Refused("invalid_input")
        if body["asset_id"] not in TRADEABLE:
            raise Refused("asset_not_tradeable")
        return values

    def _move(self, kind: str, person: ModelUser, values: Mapping[str, Any]) -> Row:
        return person.post(kind, values["amount"], self.now, about=values["about"])

    def _deposit(self, person: ModelUser, values: Mapping[str, Any]) -> Row:
        return self._move("deposit", person, values)

    def _withdraw(self, person: ModelUser, values: Mapping[str, Any]) -> Row:
        return self._move("withdraw", person, values)

    def _adjust(self, person: ModelUser, values: Mapping[str, Any]) -> Row:
        return self._move("system_adjustment", person, values)

    def _order(self, person: ModelUser, values: Mapping[str, Any]) -> Row:
        # Only of a new order: one that is repeated may have ended since.
        if values["expires_at"] and read_moment(values["expires_at"]) <= self.now:
            raise Refused("invalid_input")
        price = self._current_price(values["asset_id"])
        if price is None:
            raise Refused("price_unavailable")
        order, waits = self._new_order(values, price)
        if product(order.quantity, order.price, up=False) < CENT:
            raise Refused("order_too_small")
        if order.total > 1_000_000:
            raise Refused("order_too_large")
        if order.is_buy:
            about = what_was_reserved(order) if waits else what_was_traded(order)
            person.post("order_payment", order.total, self.now, order_id=order.order_id, about=about)
        else:
            person.take(order.asset_id, order.quantity)
        if waits:
            order.reserve = order.total if order.is_buy else order.quantity
        else:
            self._settle(person, order, price)
        person.orders[order.order_id] = order
        return order.row()

    def _new_order(self, values: Mapping[str, Any], price: Decimal) -> tuple[Order, bool]:
        is_limit = values["order_type"].startswith("limit")
        order = Order(
            values["new_id"],
            values["order_type"],
            values["asset_id"],
            values["quantity"],
            price,
            Decimal(0),
            values["price"],
            None,
            self.now,
            self.now,
        )
        if is_limit:
            order.expires_at = read_moment(values["expires_at"]) or self.now + ORDER_LIFETIME
        waits = order.limit is not None and not order.is_reached_by(price)
        if waits and not is_limit:
            raise Refused("price_moved")
        if waits:
            order.price = order.limit
        order.total = product(order.quantity, order.price, up=order.is_buy)
        return order, waits

    def _settle(self, person: ModelUser, order: Order, price: Decimal) -> None:
        """Exchange what has been paid or taken: a buyer gets back what the reserve has too much."""
        paid = order.total
        order.execute(price, self.now)
        if not order.is_buy:
            about = what_was_traded(order)
            person.post("order_sale", order.total, self.now, order_id=order.order_id, about=about)
            return
        person.give(order.asset_id, order.quantity)
        if paid > order.total:
            about = "Returned: bought below the limit"
            person.post("order_refund", paid - order.total, self.now, order_id=order.order_id, about=about)

    def _cancel(self, person: ModelUser, values: Mapping[str, Any]) -> Row:
        order = person.orders.get(values["target"])
        if order is None:
            raise Refused("order_not_found")
        if not order.is_open:
            raise Refused("order_not_pending")
        self._give_back(person, order, "cancelled")
        return order.row()

    def _give_back(self, person: ModelUser, order: Order, status: str) -> None:
        if order.is_buy:
            person.post("order_refund", order.total, self.now, order_id=order.order_id, about=f"Returned: {status}")
        else:
            person.give(order.asset_id, order.quantity)
        order.end(status, self.now)

    def _current_price(self, asset_id: str) -> Decimal | None:
        return None if asset_id in self.stale else self.prices.get(asset_id)

    def run_worker_round(self) -> tuple[int, int]:
        """End what is past its time, then fill what the prices reach: how many were filled, how many expired."""
        filled = expired = 0
        waiting = [(each, order) for each in self.people.values() for order in each.orders.values() if order.is_open]
        for person, order in waiting:
            price = self._current_price(order.asset_id)
            if order.expires_at <= self.now:
                self._give_back(person, order, "expired")
                expired += 1
            elif price is not None and order.is_reached_by(price):
                self._settle(person, order, price)
                filled += 1
        return filled, expired


ACTIONS: dict[str, Callable[[Model, ModelUser, Mapping[str, Any]], Row]] = {
    "deposit": Model._deposit,
    "withdraw": Model._withdraw,
    "order": Model._order,
    "cancel": Model._cancel,
    "adjust": Model._adjust,
}

# Decimals, the least and the most.
MONEY = (2, Decimal("0.01"), Decimal(1_000_000))
QUANTITY = (8, Decimal("0.00000001"), Decimal(100_000_000_000_000))
PRICE = (8, Decimal("0.00000001"), Decimal(1_000_000_000))


def read_amount(text: str, kind: tuple[int, Decimal, Decimal], *, is_signed: bool = False) -> Decimal:
    decimals, least, most = kind
    sign = "-" if is_signed and text.startswith("-") else ""
    digits = text.removeprefix(sign)
    if not re.fullmatch(rf"[0-9]+(\.[0-9]{{1,{decimals}}})?", digits) or len(digits) > 40:
        raise Refused("invalid_input")
    if not least <= Decimal(digits) <= most:
        raise Refused("invalid_input")
    return Decimal(text)


def product(quantity: Decimal, price: Decimal, *, up: bool) -> Decimal:
    """Quantity x price in whole cents, rounded up or down; both have 8 decimals at most."""
    cents, rest = divmod(int(quantity * 10**8) * int(price * 10**8), 10**14)
    return Decimal(cents + (up and rest > 0)) / 100


def what_was_traded(order: Order) -> str:
    return f"{'Bought' if order.is_buy else 'Sold'} {plain(order.quantity)} {order.asset_id} at {told(order.price)}"


def what_was_reserved(order: Order) -> str:
    assert order.limit is not None
    return f"Reserved to buy {plain(order.quantity)} {order.asset_id} at {told(order.limit)} or less"


def told(price: Decimal) -> str:
    """With commas, and all decimals, of which there are two or more: so BTC and ETH are priced."""
    return re.sub(r"(\.\d\d\d*?)0*$", r"\1", f"{price:,.8f}")


def money(amount: Decimal) -> str:
    return f"{amount:.2f}"


def plain(number: Decimal) -> str:
    return re.sub(r"\.?0*$", "", f"{number:.8f}")


def moment(time: datetime | None) -> str | None:
    return time and time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_moment(text: str | None) -> datetime | None:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z") if text else None
