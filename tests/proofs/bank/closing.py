"""What is done when the noise is over: it shows that nothing was lost, done twice or stuck."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from flask import Flask

from app.domain import clock
from app.models.system import find_totals
from app.services.worker import Worker
from tests.proofs.bank.calls import Call, Fate
from tests.proofs.bank.cluster import Cluster
from tests.proofs.bank.customers import Bank, Customer, SharedUser, use_token
from tests.proofs.bank.followers import Follower
from tests.proofs.bank.histories import history_of
from tests.proofs.bank.kinds import ASSETS, cancel_request, cash_request, log_in
from tests.proofs.bank.linearizable import linearize
from tests.proofs.bank.reckoning import reckon
from tests.proofs.bank.sequential import Account
from tests.support.books import check_books, scan
from tests.support.prices import FixedPrices
from tests.support.totals import sums_in, sums_of
from tests.support.wire import BareStore

# An order to buy is filled at the one, and an order to sell at the other, whatever its limit.
LOW = FixedPrices(**{name: str(price // 4) for name, price in ASSETS.items()})
HIGH = FixedPrices(**{name: str(price * 4) for name, price in ASSETS.items()})


class Closing:
    """What is done when the noise is over: everything is up, nothing is killed, and one customer is left."""

    def __init__(self, cluster: Cluster, bank: Bank, customer: Customer, app: Flask, store: BareStore) -> None:
        self.cluster = cluster
        self.bank = bank
        self.customer = customer
        self.store = store
        self.app = app

    def ask(self, *request: Any, **more: Any) -> Call:
        """Nothing stays without an answer now."""
        call = self.customer.ask(*request, **more)
        assert call.fate in {Fate.DONE, Fate.REFUSED} and not call.was_in_doubt, call
        return call

    def let_the_worker_make_a_round(self) -> None:
        """After it nothing that was past its time before is open."""
        before = clock.to_text(clock.now())
        for _ in range(3):  # the other worker may stand in the way of one
            status, printed = self.cluster.flask("orders", "run", "--once")
            assert status == 0, printed
            late = [row for row in self.open_orders() if row["expires_at"] <= before]
            if not late:
                return
        raise AssertionError(late)

    def resolve_doubts(self) -> int:
        """Repeat every second change of unknown fate: it answers with what it did, or does it now."""
        doubtful = [call for call in self.bank.calls if call.key and call.fate is Fate.UNKNOWN]
        for call in doubtful[::2]:
            was_done = self._was_done(call)
            token = self.bank.admin_token if call.kind == "adjust" else self._token_of(call.request.username)
            again = self.ask(call.request._replace(token=token), key=call.key)
            assert again.answer is not None
            assert again.answer.replayed is was_done and (again.fate is Fate.DONE or not was_done), (call, again)
        return len(doubtful)

    def _was_done(self, call: Call) -> bool:
        """Whether there is a claim of its key."""
        owner = self.bank.admin if call.kind == "adjust" else call.request.username
        key = {"PK": {"S": owner}, "SK": {"S": f"REQUEST#{call.key}"}}
        return "Item" in self.store.get_item(TableName="users", Key=key, ConsistentRead=True)

    def _token_of(self, username: str) -> str:
        return next(person.tokens[-1] for person in self.bank.everyone if person.username == username)

    def use_every_account(self) -> list[SharedUser]:
        """Everybody who registered can log in, deposit and withdraw; the others are nobody."""
        found = []
        for person in self.bank.everyone:
            [registered] = [
                call for call in self.bank.calls if call.kind == "register" and call.request.username == person.username
            ]
            # "look for" may find nobody.
            kind = "look for" if registered.fate is Fate.UNKNOWN else "log in"
            call = self.ask(log_in(person)._replace(kind=kind))
            if call.fate is Fate.DONE:
                found.append(person)
                person.tokens.append(call.body["access_token"])
                for kind in ("deposit", "withdraw"):
                    assert self.ask(cash_request(kind, person, "0.01")).fate is Fate.DONE
        return found

    def use_every_token(self) -> None:
        for works, tokens in ((True, self.bank.living_tokens), (False, self.bank.revoked_tokens)):
            for token in tokens:
                use_token(self.customer, token, works=works)

    def end_every_order(self) -> Counter[str]:
        """Half of the open ones are cancelled, and the others filled: none is stuck."""
        ended: Counter[str] = Counter()
        for row in self.open_orders()[::2]:
            person = next(person for person in self.bank.everyone if person.username == row["username"])
            call = self.ask(cancel_request(person, row["order_id"]))
            ended[call.outcome] += 1
        with self.app.app_context():
            for prices in (LOW, HIGH):
                done = Worker(prices).run_round()
                assert done.failed == done.lost == 0, done
                ended.update(filled=done.filled, expired=done.expired)
        assert not self.open_orders()
        return ended

    def fill_at_one_price(self) -> None:
        """After a round at a price that stands still nothing is open that it reaches."""
        prices = FixedPrices(**{name: str(self.bank.price(name)) for name in ASSETS})
        with self.app.app_context():
            Worker(prices).run_round()
        now = clock.to_text(clock.now())
        for row in self.open_orders():
            price, limit = prices.prices[row["asset_id"]], float(row["limit_price"])
            reached = price <= limit if row["order_type"] == "BUY" else price >= limit
            assert not reached or row["expires_at"] <= now, row

    def open_orders(self) -> list[dict[str, Any]]:
        """Found by a scan: an index might have lost one."""
        return [row for row in scan(self.store, "orders") if row.get("status") == "PENDING"]

    def audit(self) -> None:
        status, printed = self.cluster.flask("audit", "--json", "--save")
        assert status == 0 and json.loads(printed)["violations"] == [], printed
        with self.app.app_context():
            totals = find_totals()
            assert totals
            assert sums_in(totals) == sums_of(scan(self.store, "users"), scan(self.store, "orders"))

    def reckon(self, people: list[SharedUser], followers: Sequence[Follower]) -> Counter[str]:
        """Hold every ledger against the calls and the followers; counts what was held, and the steps of the search."""
        by_user: dict[str, list[Call]] = {}
        for call in self.bank.calls:
            by_user.setdefault(call.request.username, []).append(call)
        counted: Counter[str] = Counter(accounts=len(people))
        for person in people:
            calls = by_user[person.username]
            books = check_books(self.store, person.username, admin=self.bank.admin)
            assert books.balance["reserved_cash"] == "0.00"
            assert not (found := reckon(calls, books, admin=self.bank.admin)), found
            history = history_of(calls, books, admin=self.bank.admin)
            verdict = linearize(history, Account())
            assert verdict.is_linearizable, f"{person.username}: {verdict}"
            counted.update(operations=len(history), steps=verdict.tried, transactions=len(books.transactions))
            counted.update(f"orders {row['status'].lower()}" for row in books.orders)
            counted["events"] += len(books.events)
            counted["followed"] += sum(follower.check(person, books) for follower in followers)
        return counted


def close(end: Closing, followers: Sequence[Follower] = ()) -> None:
    """Everything that must hold when the noise is over."""
    loaded = time.monotonic()
    end.let_the_worker_make_a_round()
    print("changes of unknown fate:", end.resolve_doubts())
    people = end.use_every_account()
    end.use_every_token()
    end.cluster.kill("order worker")
    end.fill_at_one_price()
    print("orders that were open at the end:", dict(end.end_every_order()))
    end.audit()
    held = dict(end.reckon(people, followers))
    print(f"held against the ledger: {held}; {time.monotonic() - loaded:.1f} s after the load")
