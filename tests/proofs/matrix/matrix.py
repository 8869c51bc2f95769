"""The matrix of faults: each use case, each DynamoDB call of it, each fault; and what must hold in every cell.

What the account must look like afterwards is not written down: a run without faults shows it. A request either
changed nothing, or did exactly what that run did.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
import traceback
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from ulid import ULID

from app.domain import clock
from app.domain.errors import ClosedSince
from app.domain.events import EventKind
from app.domain.orders import Side
from app.domain.users import Role, UserStatus
from app.factory import create_app
from app.models import factors, users
from app.models.adjustments import PARTITION
from app.models.balance_changes import open_account
from app.models.orders import new_order_id
from app.models.outbox import SHARDS
from app.models.upgrade import require_alone
from app.services import guesses, tokens
from app.services.passwords import hash_password
from app.services.worker import Worker
from tests.contract.specification import Specification
from tests.proofs.matrix.columns import KILLS, Column
from tests.proofs.matrix.moment import Moment
from tests.proofs.matrix.report import Report
from tests.proofs.matrix.use_cases import NEW_PASSWORD, Actor, Answer, UseCase
from tests.support.accounts import deposit, place, user_item
from tests.support.applications import config, tables_named
from tests.support.books import check_books, hashes_of, plain_row, query
from tests.support.faults import Call, FaultyStore
from tests.support.people import LONG_AGO, PASSWORD, Person, caller
from tests.support.prices import FixedPrices, SetPrices
from tests.support.wire import BareStore

IS_FULL = os.environ.get("MATRIX") == "full"
TABLES = tables_named("matrix")
BEFORE, ONCE = "before", "once"
# Refusals under a fault, and what they leave: nothing was written, or the outcome is unknown.
LEAVES = {"busy": {BEFORE}, "store_unavailable": {BEFORE, ONCE}, "failed": {BEFORE, ONCE}, "killed": {BEFORE, ONCE}}
# A code that was used up, while the answer to that was lost, is called used: the request can be sent with another.
SPENT = {"invalid_code": {BEFORE}, "invalid_input": {BEFORE}}
# What a code leaves that was used up for nothing.
TRIES = {"version", "wrong_codes", "wrong_since"}
# What differs from run to run, and what stands for it.
RANDOM = {
    *("password_hash", "secret_hash", "hash", "head_hash", "fingerprint", "ttl", "mail_id", "text_values", "address"),
    *("seed", "recovery_hashes", "totp_step"),
}
ORDER_ID = r"order_[0-9A-Z]{26}"
APPROVAL_ID = r"approval_[0-9A-Z]{26}"
VOLATILE = [
    (ORDER_ID, "ORDER"),
    (APPROVAL_ID, "APPROVAL"),
    (r"admin_[0-9]+", "ADMIN"),
    (r"\d{4}-\d\d-\d\d(T[0-9:.]+Z)?", "TIME"),
    (r"(BUY|SELL|TIME)#1\"", r'\1"'),  # the second shard, of an id that is random
    (r"REQUEST#[^\"]+", "REQUEST"),
    (r'(TOKEN#|"token_id": ")[0-9a-f]{16}', "TOKEN"),
    (r"OUTBOX#[0-9]", "OUTBOX"),
    (r"TIME#[0-9a-f]{16}", "MAIL"),
]
_numbers = itertools.count(1)


def matrix_app(endpoint: str) -> Flask:
    """An application on the tables of the matrix. Its worker looks at two shards, at whichever an order is."""
    return create_app(config(endpoint, users_table=TABLES["users"], orders_table=TABLES["orders"], key_shards=2))


@dataclass(frozen=True)
class Template:
    """An account in the state that a use case starts from, to be copied for every cell."""

    actor: Actor
    rows: list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class DryRun:
    """A use case without faults: its DynamoDB calls, and the account before and after it."""

    calls: list[Call]
    states: dict[str, list[str]]
    events: dict[str, list[str]]

    def may_leave(self, state: str) -> list[list[str]]:
        """The kinds of the security events that may stand there in a state. A put of its own may fail."""
        is_in_batch = self.calls[-1].operation != "PutItem"
        return [self.events[state]] if is_in_batch else [self.events[BEFORE], self.events[state]]


@dataclass
class Arena:
    """Applications on tables of their own: one that faults happen to, and one that finds what they left.

    `store` is where accounts are made, which is the engine or, for a store that lags, the way to it.
    """

    engine: BareStore
    store: BareStore
    faults: FaultyStore
    app: Flask
    faulty_app: Flask
    is_thorough: bool = False
    report: Report = field(default_factory=Report)
    _templates: dict[str, Template] = field(default_factory=dict)
    _dry_runs: dict[str, DryRun] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.worker_prices = FixedPrices(BTC="100")
        for app in (self.app, self.faulty_app):
            app.extensions["prices"] = SetPrices(BTC="100", ETH="10")
        with self.app.app_context():
            self.password_hash = hash_password(PASSWORD)
        for app in (self.app, self.faulty_app):
            with app.app_context():
                require_alone()  # once in each process
        self.specification = Specification(caller(self.app).get("/api/v1/openapi.json").json)
        with self.app.app_context():
            self.worker = Worker(self.worker_prices)
            self.worker.run_round()  # it looks at earlier days too, once
            name = f"admin_{next(_numbers)}"
            open_account(user_item(name))
            self.admin_token = tokens.issue_login_token(users.set_role(name, Role.ADMIN, now=clock.now())).bearer

        with self.faulty_app.app_context():
            # Each process asks once.
            require_alone()

    def _template(self, use_case: UseCase) -> Template:
        if use_case.name not in self._templates:
            self._send_mail(use_case.mails)
            actor = self._actor(f"template_{next(_numbers)}_")
            if use_case.opens:
                with self.app.app_context():
                    with clock.at(LONG_AGO):
                        user = open_account(user_item(actor.name, password_hash=self.password_hash))
                        deposit(actor.name, "1005.00")
                        place(actor.name, Side.BUY, "5", price="1")
                    actor.person.token = tokens.issue_login_token(user).bearer
                    use_case.prepare(actor)
            self._templates[use_case.name] = Template(
                actor, [(table, row) for (table, _, _), row in self._read(actor.name).rows.items()]
            )
            self._remove(actor)
        return self._templates[use_case.name]

    def _send_mail(self, is_on: bool) -> None:
        for app in (self.app, self.faulty_app):
            app.extensions["database"].sends_mail = is_on

    def _remove(self, actor: Actor) -> None:
        """Leave nothing of an account that a later round of the worker could find."""
        deletes: dict[str, list[Any]] = {}
        for table, pk, sk in self._look(actor.name).rows:
            deletes.setdefault(table, []).append({"DeleteRequest": {"Key": {"PK": {"S": pk}, "SK": {"S": sk}}}})
        if deletes:
            self.store.call("BatchWriteItem", RequestItems=deletes)

    def _actor(self, name: str) -> Actor:
        return Actor(self, Person(caller(self.faulty_app), name, f"{name}@example.com"), name)

    def new_actor(self, use_case: UseCase) -> Actor:
        """An account in the state that the use case starts from."""
        template = self._template(use_case)
        self._send_mail(use_case.mails)
        actor = self._actor(f"actor_{next(_numbers)}_")
        actor.token_id = template.actor.token_id
        actor.link = template.actor.link.replace(template.actor.name, actor.name)
        text = json.dumps(template.rows)
        replaced = {each: new_order_id(clock.now()) for each in re.findall(ORDER_ID, text)} | {
            template.actor.name: actor.name
        }
        # An id of the same kind, and of the same length.
        replaced |= {each: f"approval_{ULID()}" for each in re.findall(APPROVAL_ID, text)}
        for old, new in replaced.items():
            text = text.replace(old, new)
        actor.approval_id = replaced.get(template.actor.approval_id, "")
        actor.order_id = replaced.get(template.actor.order_id, "")
        actor.person.token = template.actor.person.token.replace(template.actor.name, actor.name)
        puts: dict[str, list[Any]] = {}
        for table, row in _chained(json.loads(text)):
            puts.setdefault(table, []).append({"PutRequest": {"Item": row}})
        if puts:
            self.store.call("BatchWriteItem", RequestItems=puts)
        use_case.arrive(actor)
        return actor

    def _look(self, name: str) -> Moment:
        """Everything that the database holds about an account."""
        moment = Moment(self.engine)
        for partition in (name, f"EMAIL#{name}@example.com", f"EMAIL#{name}.new@example.com"):
            query(moment, TABLES["users"], "PK", partition)
        for asset_id in ("BTC", "ETH"):
            query(moment, TABLES["users"], "PK", f"TRANS#{name}#{asset_id}")
        for shared in (f"OUTBOX#{zlib.crc32(name.encode()) % SHARDS}", PARTITION):
            moment.query(
                TableName=TABLES["users"],
                KeyConditionExpression="PK = :shared",
                FilterExpression="username = :name",
                ExpressionAttributeValues={":shared": {"S": shared}, ":name": {"S": name}},
                ConsistentRead=True,
            )
        for order in query(moment, TABLES["orders"], "username", name, index="UserOrderHistoryIndex"):
            if order.get("revision", "1") != "1":
                query(moment, TABLES["orders"], "PK", order["order_id"])
        return moment

    def _read(self, name: str) -> Moment:
        """Everything that the database holds about an account; its books must balance."""
        moment = self._look(name)
        if any(row["SK"]["S"] == "BALANCE" for row in moment.rows.values()):
            check_books(moment, name, **TABLES)
        return moment

    def look_at(self, actor: Actor) -> tuple[list[str], list[str]]:
        """Everything that the database holds about an account, comparable with that of another run; and the kinds of
        its security events."""
        rows = self._read(actor.name).rows
        kinds = sorted(row["kind"]["S"] for key, row in rows.items() if is_event(key))
        return (
            sorted(_comparable(plain_row(row), actor.name) for key, row in rows.items() if not is_event(key)),
            [kind for kind in kinds if kind != EventKind.RECOVERY_CODE_USED],
        )

    def dry_run(self, use_case: UseCase) -> DryRun:
        """The use case without faults, run once for all cells."""
        if use_case.name not in self._dry_runs:
            actor = self.new_actor(use_case)
            before, events_before = self.look_at(actor)
            self.faults.heal()
            answer = use_case.act(actor)
            assert answer.is_done, answer
            calls = list(self.faults.calls)
            once, events_once = self.look_at(actor)
            self._dry_runs[use_case.name] = DryRun(
                calls, {BEFORE: before, ONCE: once}, {BEFORE: events_before, ONCE: events_once}
            )
            self._remove(actor)
        return self._dry_runs[use_case.name]

    def check_without_fault(self, use_case: UseCase) -> None:
        """That a use case does something, once, and leaves nothing locked."""
        states = self.dry_run(use_case).states
        assert states[BEFORE] != states[ONCE]
        actor = self.new_actor(use_case)
        assert self.state_of(use_case, actor) == BEFORE
        assert use_case.act(actor).is_done
        self.check_again(use_case, actor)
        self.check_unlocked(use_case, actor)

    def check_cell(self, use_case: UseCase, call: Call, column: Column) -> None:
        """One cell: the request with the fault, and everything that must hold then."""
        self.report.add(use_case.name, call, column, "FAILED")
        actor = self.new_actor(use_case)
        try:
            self._check_cell(actor, use_case, call, column)
        except BaseException:
            self._remove(actor)
            raise

    def _check_cell(self, actor: Actor, use_case: UseCase, call: Call, column: Column) -> None:
        if column.faults:
            self.faults.break_call(call.number, *column.faults, onward=column.onward)
            answer = use_case.act(actor)
        else:
            answer = self._act_and_die(use_case, actor, call, column)
        assert self.faults.broken, "the fault did not happen"
        self.faults.heal()
        state = self.state_of(use_case, actor)
        leaves = LEAVES | SPENT if use_case.spends_code else LEAVES
        assert state in ({ONCE} if answer.is_done else leaves.get(answer.code, set())), (answer, state)
        self.report.add(use_case.name, call, column, answer.code, state)
        self.check_rest(use_case, actor, state)

    def check_rest(self, use_case: UseCase, actor: Actor, state: str) -> None:
        """When all is well again: what has not been done can be, what has been done is not done twice."""
        if state == BEFORE:
            repeated = use_case.act(actor)
            assert repeated.is_done, repeated
            assert self.state_of(use_case, actor) == ONCE
        self.check_again(use_case, actor)
        if self.is_thorough:
            self.check_unlocked(use_case, actor)
            return
        if use_case.closes:
            self.check_closed(actor)
            return
        with self.faulty_app.app_context():
            deposit(actor.name, "20.00")
        if any('"PENDING"' in row for row in self._dry_runs[use_case.name].states[ONCE]):
            self._remove(actor)

    def state_of(self, use_case: UseCase, actor: Actor) -> str:
        """Whether the use case has changed nothing, or everything once; fails when it is neither."""
        dry_run, (rows, events) = self._dry_runs[use_case.name], self.look_at(actor)
        state = BEFORE if rows == dry_run.states[BEFORE] else ONCE
        assert rows == dry_run.states[state]
        assert events in dry_run.may_leave(state), "an event tells of an act, and each act has one"
        return state

    def check_again(self, use_case: UseCase, actor: Actor) -> None:
        """What has been applied is not applied a second time by sending it again."""
        if use_case.again is not None:
            repeated = use_case.act(actor)
            assert repeated.code == use_case.again, repeated
            assert self.state_of(use_case, actor) == ONCE

    def check_unlocked(self, use_case: UseCase, actor: Actor) -> None:
        """Whatever happened: the account can log in, move money, trade, and end its open orders."""
        if use_case.closes:
            self.check_closed(actor)
            return
        person = Person(caller(self.app), actor.name, actor.person.email)
        login = {"username": actor.name, "password": NEW_PASSWORD if use_case.new_password else PASSWORD}
        if use_case.suspends:
            assert person.post("/auth/login", login).status_code == 403
            with self.app.app_context():
                users.set_status(actor.name, UserStatus.ACTIVE, now=clock.now())
        if use_case.has_factor:
            # Who has lost the app and the recovery codes gets in again.
            with self.app.app_context():
                factors.remove_factor(users.get_user(actor.name), None)
        answers = [person.post("/auth/login", login)]
        person.token = answers[0].json["access_token"]
        answers += [
            person.deposit("20"),
            person.order("market_buy", "ETH", "1"),
            person.order("market_sell", "ETH", "0.5"),
            person.withdraw("1"),
        ]
        for order in person.get("/orders?status=pending").json["data"]:
            answers.append(person.post(f"/orders/{order['order_id']}/cancel"))
        assert all(answer.status_code < 300 for answer in answers), [answer.text for answer in answers]
        books = check_books(Moment(self.engine), actor.name, **TABLES)
        assert not any(row["status"] == "PENDING" for row in books.orders)

    def check_closed(self, actor: Actor) -> None:
        """Nobody can log in to the account or put anything into it, and nothing stands in the books that should not."""
        with self.app.app_context():
            with pytest.raises(ClosedSince):
                deposit(actor.name, "20.00")
            assert guesses.begin_login(actor.name, address="10.1.1.1").user is None
            assert users.find_user_by_email(actor.person.email) is None

    def _act_and_die(self, use_case: UseCase, actor: Actor, call: Call, column: Column) -> Answer:
        """Run the use case in a process of its own, which is killed at this call."""
        ready, go = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
            pid = os.fork()
        if pid == 0:
            _run_in_child(ready, lambda: use_case.act(actor))
        self.faults.break_call(call.number, KILLS[column.name](pid))
        os.write(go, b".")
        _, status = os.waitpid(pid, 0)
        os.close(ready)
        os.close(go)
        actor.tries += 1
        assert os.WIFSIGNALED(status), f"it was not killed, but ended with {status}"
        return Answer("killed")


def is_event(key: tuple[str, str, str]) -> bool:
    return key[2].startswith("EVENT#")


def _run_in_child(ready: int, act: Callable[[], Answer]) -> None:
    status = 1
    try:
        os.read(ready, 1)
        act()
        status = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def _comparable(row: dict[str, Any], name: str) -> str:
    left_out = RANDOM | TRIES if row["entity_type"] == "FACTOR" else RANDOM
    text = json.dumps({key: value for key, value in row.items() if key not in left_out}, sort_keys=True)
    for pattern, word in VOLATILE:
        text = re.sub(pattern, word, text)
    return text.replace(name, "ACTOR")


def _chained(rows: list[Any]) -> list[Any]:
    """The rows of a copied account, whose transactions have the hashes of another name."""
    items = {row["SK"]["S"]: row for _, row in rows if row["PK"] == row.get("username")}
    transactions = [items[key] for key in sorted(items) if key.startswith("TRANS#")]
    if transactions:
        *hashes, head = hashes_of(plain_row(items["BALANCE"]), [plain_row(row) for row in transactions])
        for row, hash_ in zip(transactions, hashes, strict=True):
            row["hash"]["S"] = hash_
        items["BALANCE"]["head_hash"]["S"] = head
    return rows
