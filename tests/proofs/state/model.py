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
    PROOF_LIFETIME,
    SCRIPT_LIFETIME,
    TRADEABLE,
    Approval,
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


# A larger adjustment waits for a second admin, a larger withdrawal by a person needs a proof.
APPROVAL_OVER = PROOF_OVER = Decimal(1000)


BY_ADMIN = {"adjust", "set_status", "approve", "reject"}


BY_LOGIN = BY_ADMIN | {"close", "prove"}


class Model:
    """All people at one moment (`now`), and the prices; those of `stale` assets are shown, and not traded on."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.prices: dict[str, Decimal] = {}
        self.stale: set[str] = set()
        self.people: dict[str, ModelUser] = {}
        self.approvals: dict[str, Approval] = {}
        # Whose each address is.
        self.emails: dict[str, str] = {}

    def register(self, username: str, email: str, *, is_admin: bool = False) -> str:
        """What is answered."""
        if username in self.people:
            return "username_taken"
        if email in self.emails:
            return "email_taken"
        self.emails[email] = username
        self.people[username] = ModelUser(username, is_admin)
        return "done"

    def log_in(self, username: str, *, knows_password: bool) -> str:
        """What is answered."""
        if not knows_password or self.people[username].is_closed:
            return "invalid_credentials"
        if self.people[username].is_suspended:
            return "account_suspended"
        person = self.people[username]
        person.login_until, person.script_until = self.now + LOGIN_LIFETIME, self.now + SCRIPT_LIFETIME
        person.proof_until = self.now + PROOF_LIFETIME
        return "done"

    def answer(self, request: Request, *, new_id: str) -> Answer:
        """Do what a request asks for; a new order or approval gets this id. A refusal changes nothing."""
        try:
            self.check_credential(request)
            return self._answer(request, new_id)
        except Refused as refused:
            return Answer(str(refused))

    def check_credential(self, request: Request) -> None:
        """Raises Refused."""
        person = self.people[request.actor]
        if person.is_closed and not (request.action == "close" and request.credential == "login"):
            raise Refused("not_authenticated")
        until = person.login_until if request.credential == "login" else person.script_until
        if person.is_closed:
            # The credential that closed the account: it is answered as the first time.
            return
        if until is None or self.now >= until:
            raise Refused("not_authenticated")
        if person.is_suspended:
            raise Refused("account_suspended")
        if request.credential == "reader":
            raise Refused("insufficient_scope")
        if request.action in BY_LOGIN and request.credential != "login":
            raise Refused("insufficient_scope")
        if request.action in BY_ADMIN and not person.is_admin:
            raise Refused("not_admin")

    def check_proof(self, request: Request) -> None:
        """Raises Refused where the password was given too long ago."""
        until = self.people[request.actor].proof_until
        if until is None or self.now >= until:
            raise Refused("proof_required")

    def _answer(self, request: Request, new_id: str) -> Answer:
        if request.action in WITHOUT_KEY:
            return Answer(body=dict(WITHOUT_KEY[request.action](self, request) or {}))
        values = self._read(request)
        is_large_withdrawal = request.action == "withdraw" and values["amount"] > PROOF_OVER
        if request.action == "adjust" or (is_large_withdrawal and request.credential == "login"):
            self.check_proof(request)
        if request.action == "adjust" and request.target not in self.people:
            raise Refused("user_not_found")
        if request.action == "adjust" and request.target == request.actor:
            raise Refused("own_account")
        # A key belongs to its sender, also where it is about another account.
        owner, key = self.people[request.actor], request.key
        person = self.people[request.target] if request.action == "adjust" else owner
        meaning = (request.action, request.target, *values.values())
        claim = owner.claims.get(key) if key else None
        if claim and self.now < claim.until:
            if claim.request != meaning:
                raise Refused("idempotency_key_reused")
            # An approval is answered as it is by now.
            approval = self.approvals.get(claim.answer.get("approval_id", ""))
            return Answer(body=approval.row(self.now) if approval else claim.answer, is_replay=True)
        more = {"target": request.target, "new_id": new_id, "actor": request.actor}
        row = ACTIONS[request.action](self, person, {**values, **more})
        if key:
            # To the second: that is all that the time to live of an item can say.
            until = (self.now + REMEMBERED_FOR).replace(microsecond=0)
            owner.claims[key] = Claim(meaning, dict(row), until)
        return Answer(body=dict(row))

    def _close(self, request: Request) -> None:
        person = self.people[request.actor]
        if person.is_closed:
            return
        if person.is_admin:
            raise Refused("still_admin")
        if person.cash or any(person.holdings.values()) or any(order.is_open for order in person.orders.values()):
            raise Refused("account_not_empty")
        person.is_closed = True
        self.emails = {email: whose for email, whose in self.emails.items() if whose != person.username}

    def _prove(self, request: Request) -> None:
        self.people[request.actor].proof_until = self.now + PROOF_LIFETIME

    def _approve(self, request: Request) -> Row:
        self.check_proof(request)
        approval = self._find_approval(request)
        person = self.people[approval.username]
        if (approval.decision, approval.decided_by) == ("approved", request.actor):
            return next(row for row in person.transactions if row["transaction_id"] == approval.transaction_id)
        self._check_decider(request, approval)
        if person.is_closed:
            raise Refused("user_not_found")
        row = person.post("system_adjustment", approval.amount, self.now, about=approval.reason)
        row["actor"] = approval.asked_by
        approval.decide("approved", request.actor, self.now)
        approval.transaction_id = row["transaction_id"]
        return row

    def _reject(self, request: Request) -> Row:
        approval = self._find_approval(request)
        if (approval.decision, approval.decided_by) != ("rejected", request.actor):
            self._check_decider(request, approval)
            approval.decide("rejected", request.actor, self.now)
        return approval.row(self.now)

    def _find_approval(self, request: Request) -> Approval:
        if request.target not in self.approvals:
            raise Refused("approval_not_found")
        return self.approvals[request.target]

    def _check_decider(self, request: Request, approval: Approval) -> None:
        if request.actor == approval.username:
            raise Refused("own_account")
        if request.action == "approve" and request.actor == approval.asked_by:
            raise Refused("second_operator_needed")
        if approval.status(self.now) != "waiting":
            raise Refused("approval_not_waiting")

    def _set_status(self, request: Request) -> None:
        self.check_proof(request)
        if request.target not in self.people or self.people[request.target].is_closed:
            raise Refused("user_not_found")
        person = self.people[request.target]
        if person.username == request.actor and request.body["status"] == "suspended":
            raise Refused("own_account")
        person.is_suspended, person.login_until = request.body["status"] == "suspended", None
        person.events.append(("suspended" if person.is_suspended else "reinstated", ""))

    def _read(self, request: Request) -> dict[str, Any]:
        """The values of a body; raises Refused."""
        body = request.body
        if request.action == "cancel":
            return {}
        if request.action == "order":
            return self._read_order(body)
        if request.action == "change":
            return self._read_change(body)
        amount = read_amount(body["amount"], MONEY, is_signed=request.action == "adjust")
        return {"amount": amount, "about": body.get("description", body.get("reason"))}

    def _read_order(self, body: Mapping[str, Any]) -> dict[str, Any]:
        values = {name: body[name] for name in ("order_type", "asset_id")}
        values["quantity"] = read_amount(body["quantity"], QUANTITY)
        for name in ("price", "stop_price"):
            values[name] = read_amount(body[name], PRICE) if name in body else None
        values["expires_at"] = end = body.get("expires_at")
        *kinds, _ = body["order_type"].split("_")
        if kinds == ["stop"] and values["price"] is not None:
            raise Refused("invalid_input")
        if ("limit" in kinds and values["price"] is None) or ("stop" in kinds) != (values["stop_price"] is not None):
            raise Refused("invalid_input")
        if kinds == ["market"] and end is not None:
            raise Refused("invalid_input")
        if end and read_moment(end) > self.now + LONGEST_ORDER_LIFETIME:
            raise Refused("invalid_input")
        if body["asset_id"] not in TRADEABLE:
            raise Refused("asset_not_tradeable")
        return values

    def _read_change(self, body: Mapping[str, Any]) -> dict[str, Any]:
        values = {
            "quantity": read_amount(body["quantity"], QUANTITY) if "quantity" in body else None,
            "limit": read_amount(body["price"], PRICE) if "price" in body else None,
            "end": read_moment(body.get("expires_at")),
        }
        if not body or (values["end"] and values["end"] > self.now + LONGEST_ORDER_LIFETIME):
            raise Refused("invalid_input")
        return values

    def _move(self, kind: str, person: ModelUser, values: Mapping[str, Any]) -> Row:
        return person.post(kind, values["amount"], self.now, about=values["about"])

    def _deposit(self, person: ModelUser, values: Mapping[str, Any]) -> Row:
        return self._move("deposit", person, values)

    def _withdraw(self, person: ModelUser, values: Mapping[str, Any]) -> Row:
        return self._move("withdraw", person, values)

    def _adjust(self, person: ModelUser, values: Mapping[str, Any]) -> Row:
        if person.is_closed:
            raise Refused("user_not_found")
        if abs(values["amount"]) <= APPROVAL_OVER:
            row = self._move("system_adjustment", person, values)
            row["actor"] = values["actor"]
            return row
        if person.cash + values["amount"] < 0:
            raise Refused("insufficient_funds")
        approval = Approval(
            values["new_id"], person.username, values["amount"], values["about"], values["actor"], self.now
        )
        self.approvals[approval.approval_id] = approval
        return approval.row(self.now)

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
        is_market = values["order_type"].startswith("market")
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
            stop=values["stop_price"],
        )
        if not is_market:
            order.expires_at = read_moment(values["expires_at"]) or self.now + ORDER_LIFETIME
        if order.stop is not None and order.is_reached_by(price):
            raise Refused("stop_reached")
        waits = order.stop is not None or not order.accepts(price)
        if waits and is_market:
            raise Refused("price_moved")
        if waits:
            order.price = order.limit if order.limit is not None else order.stop
        order.total = product(order.quantity, order.price, up=order.is_buy)
        return order, waits

    def _settle(self, person: ModelUser, order: Order, price: Decimal) -> None:
        """Exchange what has been paid or taken: a buyer gets back what the reserve has too much."""
        paid = order.total
        order.execute(price, self.now)
        person.settle(order)
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

    def _change(self, person: ModelUser, values: Mapping[str, Any]) -> Row:
        order = person.orders.get(values["target"])
        if order is None:
            raise Refused("order_not_found")
        if not order.is_open or order.expires_at <= self.now:
            raise Refused("order_not_pending")
        if order.stop is not None:
            raise Refused("stop_not_changeable")
        longest = (order.made_at + LONGEST_ORDER_LIFETIME).date()
        if values["end"] and not (self.now < values["end"] and values["end"].date() <= longest):
            raise Refused("invalid_input")
        wanted = [values[name] for name in ("quantity", "limit", "end")]
        terms = [before if new is None else new for before, new in zip(order.terms, wanted, strict=True)]
        total = product(terms[0], terms[1], up=order.is_buy)
        if product(terms[0], terms[1], up=False) < CENT:
            raise Refused("order_too_small")
        if total > 1_000_000:
            raise Refused("order_too_large")
        if tuple(terms) != order.terms:
            self._move_reserve(person, order, (total if order.is_buy else terms[0]) - order.reserve)
            order.change(*terms, now=self.now)
            person.events.append(("order_changed", order.order_id))
        return order.row()

    def _move_reserve(self, person: ModelUser, order: Order, more: Decimal) -> None:
        if not order.is_buy:
            (person.take if more > 0 else person.give)(order.asset_id, abs(more))
        elif more:
            kind, said = ("order_payment", "Reserved") if more > 0 else ("order_refund", "Returned")
            person.post(kind, abs(more), self.now, order_id=order.order_id, about=f"{said}: order changed")

    def _give_back(self, person: ModelUser, order: Order, status: str) -> None:
        if order.is_buy:
            person.post("order_refund", order.total, self.now, order_id=order.order_id, about=f"Returned: {status}")
        else:
            person.give(order.asset_id, order.quantity)
        order.end(status, self.now)
        person.events.append((f"order_{status}", order.order_id))

    def _current_price(self, asset_id: str) -> Decimal | None:
        return None if asset_id in self.stale else self.prices.get(asset_id)

    def run_worker_round(self) -> tuple[int, int, int]:
        """End what is past its time, then fill what the prices reach: how many were filled, triggered alone, expired.

        A price that reaches the stop of an order, and is as good as its limit, fills it at once.
        """
        filled = triggered = expired = 0
        waiting = [(each, order) for each in self.people.values() for order in each.orders.values() if order.is_open]
        # As costs are rounded, it matters which of two fills comes first.
        for person, order in sorted(waiting, key=lambda each: each[1].place_in_line):
            price = self._current_price(order.asset_id)
            if order.expires_at <= self.now:
                self._give_back(person, order, "expired")
                expired += 1
            elif price is not None and order.is_reached_by(price) and not order.brings_nothing_at(price):
                order.trigger(self.now)
                if order.accepts(price):
                    self._settle(person, order, price)
                    person.events.append(("order_filled", order.order_id))
                    filled += 1
                else:
                    triggered += 1
        return filled, triggered, expired


ACTIONS: dict[str, Callable[[Model, ModelUser, Mapping[str, Any]], Row]] = {
    "deposit": Model._deposit,
    "withdraw": Model._withdraw,
    "order": Model._order,
    "cancel": Model._cancel,
    "change": Model._change,
    "adjust": Model._adjust,
}


WITHOUT_KEY: dict[str, Callable[[Model, Request], Row | None]] = {
    "set_status": Model._set_status,
    "approve": Model._approve,
    "reject": Model._reject,
    "prove": Model._prove,
    "close": Model._close,
}
