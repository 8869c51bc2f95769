"""What people, administrators, the worker and the clock may do next, at the product and at the model."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from tests.proofs.state.comparison import (
    check_conservation,
    check_totals,
    check_views,
    model_approvals,
    model_state,
    stored_approvals,
    stored_state,
    without_moments,
)
from tests.proofs.state.drawn import (
    ADJUSTMENTS,
    ASKED_ASSETS,
    ASSETS,
    BACK,
    CASH,
    CHANGED,
    CREDENTIALS,
    EARLY,
    IS_KEYED,
    IS_READY,
    LIFETIMES,
    MOSTLY,
    OPERATORS,
    PRICES,
    QUANTITIES,
    SIDES,
    SOMETIMES,
    STOPS,
    WAITS,
    Part,
    part_of,
)
from tests.proofs.state.drivers import Driver
from tests.proofs.state.model import REMEMBERED_FOR, Model
from tests.proofs.state.people import TRADEABLE, Approval, Order
from tests.proofs.state.words import Answer, Request, moment, money, plain
from tests.support.books import check_books, scan
from tests.support.people import PASSWORD

TABLES = {"users": "state_users", "orders": "state_orders"}


ADMINS = ("oper", "chief")


STEPS_BETWEEN_AUDITS = 25


# Nothing happens any more in an account that is closed.
STEPS_BEFORE_LEAVING = 25


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
        new_id = answer.body.get("approval_id") or answer.body.get("order_id") or "none"
        assert without_moments(answer) == without_moments(self.model.answer(request, new_id=new_id))
        if request.key:
            (self.keyed if answer.code == "done" else self.refused).append(request)
        return answer

    def key(self, is_keyed: bool) -> str | None:
        return f"key-{len(self.keyed) + len(self.refused)}" if is_keyed else None

    @initialize(target=users)
    def begin(self) -> Any:
        """Two admins and two people, all but one with some money, two with assets, a stop and an adjustment."""
        for asset_id, price in zip(TRADEABLE, ("100", "3"), strict=True):
            self.set_price(asset_id, price)
        for name in (*ADMINS, "anna", "boris"):
            self.register(name, name, is_admin=name in ADMINS)
        for name in ADMINS:
            self.driver.promote(name)
        self.log_in("chief")
        for name in ("oper", "anna", "boris"):
            self.log_in(name)
            for credential in ("reader", "script"):
                key = self.key(credential == "script")
                self.send(Request(name, credential, "deposit", {"amount": "3000.00"}, key=key))
        for name, asset_id in zip(("anna", "boris"), TRADEABLE, strict=True):
            self.order(name, "script", "market_buy", asset_id, "7.5")
            stop = self.model.prices[asset_id] - 1
            self.order(name, "script", "stop_limit_sell", asset_id, "0.5", price=plain(stop + 3), stop=plain(stop))
        for name in ("anna", "boris"):
            body = {"amount": "1000.01", "reason": "a correction"}
            self.send(Request("oper", "login", "adjust", body, name, self.key(name == "anna")))
        return multiple("anna", "boris", *ADMINS)

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

    @rule(
        user=users,
        kind=STOPS,
        asset_id=ASSETS,
        quantity=st.sampled_from(["0.1", "0.33333333", (2, 0)]),
        away=st.sampled_from(["0.01", "2.5", "2.5", "0"]),
        beyond=st.sampled_from(["-3", "-3", "0.02", "0", None]),
        lifetime=LIFETIMES,
        is_keyed=IS_KEYED,
    )
    def place_stop(self, user: str, kind: str, asset_id: str, away: str, beyond: str | None, **order: Any) -> None:
        """A stop near the market, mostly on the right side of it; mostly with the limit that it needs."""
        least = Decimal("0.01")
        way = 1 if kind.endswith("buy") else -1
        stop = max(self.model.prices[asset_id] + Decimal(away) * way, least)
        price = None if beyond is None or kind == "stop_sell" else plain(max(stop + Decimal(beyond) * way, least))
        self.order(user, "script", kind, asset_id, price=price, stop=plain(stop), **order)

    def order(
        self,
        user: str,
        credential: str,
        order_type: str,
        asset_id: str,
        quantity: str | Part,
        price: str | None = None,
        stop: str | None = None,
        lifetime: timedelta | None = None,
        is_keyed: bool = False,
    ) -> None:
        most = self.most(user, order_type, asset_id, price)
        body = {"order_type": order_type, "asset_id": asset_id, "quantity": part_of(most, quantity, "0.00000001")}
        if price is not None:
            body["price"] = price
        if stop is not None:
            body["stop_price"] = stop
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

    @precondition(lambda self: self.open_orders())
    @rule(
        user=users,
        credential=CREDENTIALS,
        quantity=st.none() | QUANTITIES,
        price=st.none() | PRICES,
        lifetime=LIFETIMES,
        is_own=MOSTLY,
        is_open=MOSTLY,
        back=BACK,
        is_keyed=IS_KEYED,
    )
    def change(
        self,
        user: str,
        credential: str,
        quantity: str | Part | None,
        price: str | None,
        lifetime: timedelta | None,
        is_own: bool,
        is_open: bool,
        back: int,
        is_keyed: bool,
    ) -> None:
        """Mostly an open order without a stop, by its owner, to what it can be with all that there is, or near that."""
        orders = [each for each in self.any_orders() if each[1].is_open == is_open] or self.any_orders()
        orders = [each for each in orders if back and each[1].stop is None] or orders
        owner, order = orders[-1 - back % len(orders)]
        body = {} if price is None else {"price": price}
        if quantity is not None:
            most = self.most(owner, order.order_type, order.asset_id, price or plain(order.price))
            body["quantity"] = part_of(most + order.quantity, quantity, "0.00000001")
        if lifetime is not None:
            body["expires_at"] = moment(self.next_moment() + lifetime)
        actor = owner if is_own else user
        self.send(Request(actor, credential, "change", body, order.order_id, self.key(is_keyed)))

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
    @rule(back=BACK, better=st.sampled_from(["0", "0.001", "1.11"]), is_stop=st.booleans())
    def market_reaches_an_order(self, back: int, better: str, is_stop: bool) -> None:
        """The limit or the stop of an open order, or a price beyond it."""
        stops = [order for order in self.open_orders() if order.stop is not None and not order.triggered_at]
        orders = (is_stop and stops) or self.open_orders()
        order = orders[back % len(orders)]
        awaited, falls = order.awaited
        price = awaited + Decimal(better) * (-1 if falls else 1)
        self.set_price(order.asset_id, plain(max(price, Decimal("0.00000001"))))
        self.run_worker()

    def set_price(self, asset_id: str, price: str, *, is_current: bool = True) -> None:
        for prices in (self.driver.prices, self.model):
            prices.prices[asset_id] = Decimal(price)
            prices.stale = prices.stale - {asset_id} if is_current else prices.stale | {asset_id}

    def run_worker(self) -> None:
        self.advance()
        done = self.driver.run_worker_round()
        note(f"{moment(self.model.now)} {done}")
        filled, triggered, expired = self.model.run_worker_round()
        assert (done.filled, done.triggered, done.expired) == (filled, triggered, expired)
        assert (done.lost, done.failed) == (0, 0)
        self.seen.update(filled=filled, triggered=triggered, expired=expired)

    @rule(by=WAITS)
    def wait(self, by: timedelta) -> None:
        self.advance(by)

    @precondition(lambda self: self.open_orders())
    @rule(back=BACK, early=EARLY)
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
        action=st.sampled_from(["adjust", "adjust", "adjust", "suspended", "active", "active"]),
        amount=ADJUSTMENTS,
        sign=st.sampled_from(["", "", "-"]),
        is_keyed=IS_KEYED,
        actor=OPERATORS,
        is_known=MOSTLY,
        **IS_READY,
    )
    def operate(
        self,
        user: str,
        action: str,
        amount: str | Part,
        sign: str,
        is_keyed: bool,
        actor: str,
        is_known: bool,
        **is_ready: bool,
    ) -> None:
        """An admin, or a user who is not one, corrects a balance, or suspends or reinstates a user."""
        credential, target = self.make_ready(actor, **is_ready), user if is_known else "nobody"
        if action == "adjust":
            body = {"amount": sign + part_of(self.model.people[user].cash, amount, "0.01"), "reason": "a correction"}
            self.send(Request(actor, credential, "adjust", body, target, self.key(is_keyed)))
        else:
            self.send(Request(actor, credential, "set_status", {"status": action}, target))

    def make_ready(self, actor: str, is_proved: bool, is_login: bool) -> str:
        """The credential of someone who operates, mostly a log in that has just been given the password."""
        until = self.model.people[actor].login_until
        if is_proved and (until is None or self.model.now >= until - timedelta(minutes=1)):
            self.log_in(actor)
        elif is_proved:
            self.send(Request(actor, "login", "prove", {"current_password": PASSWORD}))
        return "login" if is_login else "script"

    @precondition(lambda self: self.model.approvals)
    @rule(
        actor=OPERATORS,
        decision=st.sampled_from(["approve", "approve", "reject"]),
        back=BACK,
        is_waiting=MOSTLY,
        is_known=MOSTLY,
        is_sent_twice=SOMETIMES,
        **IS_READY,
    )
    def decide(
        self, actor: str, decision: str, back: int, is_waiting: bool, is_known: bool, is_sent_twice: bool, **ready: bool
    ) -> None:
        """An admin approves or rejects a large adjustment, mostly one that waits."""
        credential = self.make_ready(actor, **ready)
        found = (is_waiting and self.waiting_approvals()) or list(self.model.approvals.values())
        target = found[-1 - back % len(found)].approval_id if is_known else "approval_0"
        for _ in range(1 + is_sent_twice):
            self.send(Request(actor, credential, decision, {}, target))

    def waiting_approvals(self) -> list[Approval]:
        return [each for each in self.model.approvals.values() if each.status(self.model.now) == "waiting"]

    @precondition(lambda self: self.waiting_approvals())
    @rule(back=BACK, early=EARLY)
    def wait_for_an_approval_to_expire(self, back: int, early: timedelta) -> None:
        waiting = self.waiting_approvals()
        self.wait_until(waiting[back % len(waiting)].expires_at - early)

    @precondition(lambda self: self.steps > STEPS_BEFORE_LEAVING)
    @rule(user=users, credential=st.sampled_from(["login", "login", "script"]), is_emptied=MOSTLY)
    def leave(self, user: str, credential: str, is_emptied: bool) -> None:
        """Someone logs in and closes the account, mostly after taking everything out of it, and sends that twice."""
        person = self.model.people[user]
        self.log_in(user)
        if is_emptied:
            for order in [order for order in person.orders.values() if order.is_open]:
                self.send(Request(user, "script", "cancel", {}, order.order_id))
            for asset_id in [asset_id for asset_id, quantity in person.holdings.items() if quantity]:
                self.order(user, "script", "market_sell", asset_id, (1, 0))
            self.send(Request(user, "script", "withdraw", {"amount": money(person.cash)}))
        for _ in range(2):
            self.send(Request(user, credential, "close", {"current_password": PASSWORD}))

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
            own_orders = [row for row in orders if row.get("username") == username]
            assert stored_state(own_rows, own_orders) == model_state(self.model, person)
        assert stored_approvals(rows) == model_approvals(self.model)
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
        check_totals(self.driver.totals(), self.model.people.values())

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
