"""What the product promises, as a small program: people with their cash, holdings and orders in dictionaries.

Written from the rules, one request after the other, without a store; nothing of the application is imported, so that
no mistake is made twice. Amounts are `Decimal`s, a product is rounded in whole numbers. What a request is answered is
told in the words of the JSON API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.proofs.state.people import (
    LOGIN_LIFETIME,
    SCRIPT_LIFETIME,
    TRADEABLE,
    Claim,
    ModelUser,
    Order,
    Row,
    what_was_reserved,
    what_was_traded,
)
from tests.proofs.state.words import (
    CENT,
    MONEY,
    PRICE,
    QUANTITY,
    Answer,
    Refused,
    Request,
    product,
    read_amount,
    read_moment,
)

ORDER_LIFETIME = timedelta(days=30)


LONGEST_ORDER_LIFETIME = timedelta(days=90)


REMEMBERED_FOR = timedelta(days=30)


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
