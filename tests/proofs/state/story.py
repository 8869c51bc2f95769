"""What people, an administrator, the worker and the clock may do next, at the product and at the model."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from tests.proofs.state.comparison import check_conservation, check_views, model_state, stored_state
from tests.proofs.state.drawn import (
    ASKED_ASSETS,
    ASSETS,
    BACK,
    CASH,
    CHANGED,
    CREDENTIALS,
    IS_KEYED,
    LIFETIMES,
    MOSTLY,
    PRICES,
    QUANTITIES,
    SIDES,
    SOMETIMES,
    WAITS,
    Part,
    part_of,
)
from tests.proofs.state.drivers import Driver
from tests.proofs.state.model import REMEMBERED_FOR, Model
from tests.proofs.state.people import TRADEABLE, Order
from tests.proofs.state.words import Answer, Request, moment, plain
from tests.support.books import check_books, scan

TABLES = {"users": "state_users", "orders": "state_orders"}


STEPS_BETWEEN_AUDITS = 25


class Story(RuleBasedStateMachine):
    """Each rule sends the same to the product and to the model, and compares the answers."""

    users = Bundle("users")

    def __init__(self, driver: Driver, store: Any, seen: Counter[str]) -> None:
        super().__init__()
        self.driver, self.store, self.seen = driver, store, seen
        self.model = Model(driver.clock.now)
        self.keyed: list[Request] = []
        self.refused: list[Request] = []
        self.steps = 0
        self.agrees = False

    def advance(self, by: timedelta = timedelta()) -> None:
        """Let time pass, and a little more: two orders have two moments. Every step begins with this."""
        self.agrees = False
        self.model.now = self.next_moment() + by
        self.driver.clock.advance(self.model.now - self.driver.clock.now)

    def next_moment(self) -> datetime:
        """The next whole millisecond: order ids count no smaller steps, and a worker's round takes some of them."""
        now = self.driver.clock.now
        return now + timedelta(milliseconds=1) - timedelta(microseconds=now.microsecond % 1000)

    def send(self, request: Request) -> Answer:
        self.advance()
        answer = self.driver.send(request)
        note(f"{moment(self.model.now)} {request} -> {answer}")
        self.seen[f"{request.action} {'replay' if answer.is_replay else answer.code}"] += 1
        assert answer == self.model.answer(request, new_id=answer.body.get("order_id", "none"))
        if request.key:
            (self.keyed if answer.code == "done" else self.refused).append(request)
        return answer

    def key(self, is_keyed: bool) -> str | None:
        return f"key-{len(self.keyed) + len(self.refused)}" if is_keyed else None

    @initialize(target=users)
    def begin(self) -> Any:
        """An admin and two people, all with some money, two with assets."""
        for asset_id, price in zip(TRADEABLE, ("100", "3"), strict=True):
            self.set_price(asset_id, price)
        for name in ("oper", "anna", "boris"):
            self.register(name, name, is_admin=name == "oper")
        self.driver.promote("oper")
        for name in ("oper", "anna", "boris"):
            self.log_in(name)
            for credential in ("reader", "script"):
                key = self.key(credential == "script")
                self.send(Request(name, credential, "deposit", {"amount": "3000.00"}, key=key))
        for name, asset_id in zip(("anna", "boris"), TRADEABLE, strict=True):
            self.order(name, "script", "market_buy", asset_id, "7.5")
        return multiple("oper", "anna", "boris")

    def register(self, username: str, email: str, *, is_admin: bool = False) -> str:
        self.advance()
        code = self.driver.register(username, f"{email}@example.com")
        assert code == self.model.register(username, f"{email}@example.com", is_admin=is_admin)
        self.seen[f"register {code}"] += 1
        return code

    @rule(
        target=users,
        user=users,
        comes=st.sampled_from(["in", "in", "in with a wrong password", "newly", "newly"]),
        username=st.sampled_from(["clara", "clara", "anna"]),
        email=st.sampled_from(["clara", "clara", "boris"]),
    )
    def someone_comes(self, user: str, comes: str, username: str, email: str) -> Any:
        """Someone logs in, or registers, perhaps with a name or an address that is taken."""
        if comes != "newly":
            self.log_in(user, knows_password=comes == "in")
        elif self.register(username, email) == "done":
            self.log_in(username)
            return username
        return multiple()

    def log_in(self, user: str, *, knows_password: bool = True) -> None:
        self.advance()
        code = self.driver.log_in(user, *([] if knows_password else ["seven red kettles"]))
        assert code == self.model.log_in(user, knows_password=knows_password)
        self.seen[f"log in {code}"] += 1

    @rule(
        user=users,
        credential=CREDENTIALS,
        action=st.sampled_from(["deposit", "withdraw"]),
        amount=CASH,
        is_keyed=IS_KEYED,
        about=st.sampled_from([None, "rent"]),
    )
    def move_cash(
        self, user: str, credential: str, action: str, amount: str | Part, is_keyed: bool, about: str | None
    ) -> None:
        body = {"amount": part_of(self.model.people[user].cash, amount, "0.01")}
        if about:
            body["description"] = about
        self.send(Request(user, credential, action, body, key=self.key(is_keyed)))

    @rule(
        user=users,
        credential=CREDENTIALS,
        side=SIDES,
        asset_id=ASKED_ASSETS,
        quantity=QUANTITIES,
        worst=st.none() | PRICES,
        is_keyed=IS_KEYED,
    )
    def trade_now(self, user: str, credential: str, side: str, worst: str | None, **order: Any) -> None:
        """At the market's price, if that is no worse than the worst that is accepted."""
        self.order(user, credential, f"market_{side}", price=worst, **order)

    @rule(
        user=users,
        credential=CREDENTIALS,
        side=SIDES,
        asset_id=ASKED_ASSETS,
        quantity=QUANTITIES,
        price=PRICES,
        lifetime=LIFETIMES,
        is_keyed=IS_KEYED,
    )
    def place_limit(self, user: str, credential: str, side: str, **order: Any) -> None:
        self.order(user, credential, f"limit_{side}", **order)

    @rule(
        user=users,
        side=SIDES,
        asset_id=ASSETS,
        quantity=st.sampled_from(["0.1", "0.33333333", "1.5", (2, 0)]),
        away=st.sampled_from(["0.01", "0.005", "2.5"]),
        lifetime=LIFETIMES,
        is_keyed=IS_KEYED,
    )
    def place_near_the_market(self, user: str, side: str, asset_id: str, away: str, **order: Any) -> None:
        """An order that waits, as the market is not quite at its limit."""
        price = self.model.prices[asset_id] + Decimal(away) * (-1 if side == "buy" else 1)
        self.order(user, "script", f"limit_{side}", asset_id, price=plain(max(price, Decimal("0.01"))), **order)

    def order(
        self,
        user: str,
        credential: str,
        order_type: str,
        asset_id: str,
        quantity: str | Part,
        price: str | None = None,
        lifetime: timedelta | None = None,
        is_keyed: bool = False,
    ) -> None:
        most = self.most(user, order_type, asset_id, price)
        body = {"order_type": order_type, "asset_id": asset_id, "quantity": part_of(most, quantity, "0.00000001")}
        if price is not None:
            body["price"] = price
        if lifetime is not None:
            # The moment of the request is the next whole millisecond.
            body["expires_at"] = moment(self.next_moment() + lifetime)
        self.send(Request(user, credential, "order", body, key=self.key(is_keyed)))

    def most(self, user: str, order_type: str, asset_id: str, price: str | None) -> Decimal:
        """The largest quantity that the user can sell, or buy at this price, or at the market's."""
        person = self.model.people[user]
        if order_type.endswith("sell"):
            return person.holdings.get(asset_id, Decimal(0))
        at = Decimal(price) if price else self.model.prices.get(asset_id, Decimal(1))
        return min(person.cash / at, Decimal(10**14))

    @precondition(lambda self: self.open_orders())
    @rule(user=users, credential=CREDENTIALS, is_own=MOSTLY, is_open=MOSTLY, back=BACK, is_keyed=IS_KEYED)
    def cancel(self, user: str, credential: str, is_own: bool, is_open: bool, back: int, is_keyed: bool) -> None:
        """Mostly an open order, by its owner."""
        orders = [each for each in self.any_orders() if each[1].is_open == is_open] or self.any_orders()
        owner, order = orders[-1 - back % len(orders)]
        self.send(Request(owner if is_own else user, credential, "cancel", {}, order.order_id, self.key(is_keyed)))

    def any_orders(self) -> list[tuple[str, Order]]:
        """All orders with their owners."""
        return [(name, order) for name, person in self.model.people.items() for order in person.orders.values()]

    def open_orders(self) -> list[Order]:
        return [order for _, order in self.any_orders() if order.is_open]

    @rule(asset_id=ASSETS, price=PRICES, is_current=MOSTLY, is_noticed=st.booleans())
    def market_moves(self, asset_id: str, price: str, is_current: bool, is_noticed: bool) -> None:
        """To anywhere, and the worker may see it, or the price is too old to trade on."""
        self.set_price(asset_id, price, is_current=is_current)
        if is_noticed:
            self.run_worker()

    @precondition(lambda self: self.open_orders())
    @rule(back=BACK, better=st.sampled_from(["0", "0.001", "1.11"]))
    def market_reaches_a_limit(self, back: int, better: str) -> None:
        """The limit of an open order, or a price that is better for it."""
        orders = self.open_orders()
        order = orders[back % len(orders)]
        change = Decimal(better) * (-1 if order.is_buy else 1)
        self.set_price(order.asset_id, plain(max(order.limit + change, Decimal("0.00000001"))))
        self.run_worker()

    def set_price(self, asset_id: str, price: str, *, is_current: bool = True) -> None:
        for prices in (self.driver.prices, self.model):
            prices.prices[asset_id] = Decimal(price)
            prices.stale = prices.stale - {asset_id} if is_current else prices.stale | {asset_id}

    def run_worker(self) -> None:
        self.advance()
        done = self.driver.run_worker_round()
        note(f"{moment(self.model.now)} {done}")
        filled, expired = self.model.run_worker_round()
        assert (done.filled, done.expired, done.lost, done.failed) == (filled, expired, 0, 0)
        self.seen.update(filled=filled, expired=expired)

    @rule(by=WAITS)
    def wait(self, by: timedelta) -> None:
        self.advance(by)

    @precondition(lambda self: self.open_orders())
    @rule(back=BACK, early=st.sampled_from([timedelta(), timedelta(), timedelta(seconds=1)]))
    def wait_for_an_end(self, back: int, early: timedelta) -> None:
        """Until an open order's time is just over, or nearly, when the worker looks."""
        orders = self.open_orders()
        self.wait_until(orders[back % len(orders)].expires_at - early)
        self.run_worker()

    def wait_until(self, time: datetime) -> None:
        """Until the step after this one is at this time, if that is to come."""
        self.advance(max(time - self.next_moment(), timedelta()) - timedelta(milliseconds=1))

    @rule(
        user=users,
        action=st.sampled_from(["adjust", "adjust", "suspended", "active", "active"]),
        amount=CASH,
        sign=st.sampled_from(["", "-"]),
        is_keyed=IS_KEYED,
        is_intruder=SOMETIMES,
        is_known=MOSTLY,
    )
    def operate(
        self, user: str, action: str, amount: str | Part, sign: str, is_keyed: bool, is_intruder: bool, is_known: bool
    ) -> None:
        """An admin, or a user who is not one, corrects a balance, or suspends or reinstates a user."""
        actor, target = "anna" if is_intruder else "oper", user if is_known else "nobody"
        if action == "adjust":
            body = {"amount": sign + part_of(self.model.people[user].cash, amount, "0.01"), "reason": "a correction"}
            self.send(Request(actor, "script", "adjust", body, target, self.key(is_keyed)))
        else:
            self.send(Request(actor, "script", "set_status", {"status": action}, target))

    @precondition(lambda self: self.keyed)
    @rule(back=BACK, is_later=SOMETIMES)
    def retry(self, back: int, is_later: bool) -> None:
        """Send an earlier request with its key again, as it was; later the key has been forgotten."""
        if is_later:
            self.advance(REMEMBERED_FOR)
        self.send(self.keyed[-1 - back % len(self.keyed)])

    @precondition(lambda self: self.keyed)
    @rule(back=BACK, change=st.sampled_from(["amount", "action", "spelling", "credential"]))
    def retry_changed(self, back: int, change: str) -> None:
        self.send(CHANGED[change](self.keyed[-1 - back % len(self.keyed)]))

    @precondition(lambda self: self.refused)
    @rule(back=BACK)
    def retry_refused(self, back: int) -> None:
        """A refusal is not remembered: what stood in its way may have gone."""
        self.send(self.refused[-1 - back % len(self.refused)])

    @invariant()
    def product_and_model_agree(self) -> None:
        rows, orders = (scan(self.store, table) for table in TABLES.values())
        for username, person in self.model.people.items():
            own_rows = [row for row in rows if row["PK"] == username]
            own_orders = [row for row in orders if row["username"] == username]
            assert stored_state(own_rows, own_orders) == model_state(person)
        self.steps += 1
        self.seen["steps"] += 1
        if self.steps % STEPS_BETWEEN_AUDITS == 0:
            self.audit()
        self.agrees = True

    def audit(self) -> None:
        """What each owner sees, the books of each, and all of them together."""
        books = []
        for username, person in self.model.people.items():
            books.append(check_books(self.store, username, **TABLES))
            check_views(self.driver, self.model, person)
        check_conservation(books)

    def teardown(self) -> None:
        """At last nothing is left in any order: all that is open ends, and gives back what it reserves."""
        try:
            if self.agrees:
                if orders := self.open_orders():
                    self.wait_until(max(order.expires_at for order in orders))
                    self.run_worker()
                assert not self.open_orders()
                self.product_and_model_agree()
                self.audit()
        finally:
            self.driver.clock.stop()
