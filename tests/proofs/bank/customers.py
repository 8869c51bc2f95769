"""Customers of the bank: threads that do everything one can do over HTTP, and note what they asked and were told.

A careful customer repeats a request whose fate it does not know, with the same key, until it is answered; now and
then one gives up, and never learns. `reckoning.py` holds the ledger against what they noted.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from flask import Flask

from app.domain import clock
from app.domain.users import Role
from app.models.users import set_role
from tests.proofs.bank.calls import Answer, Call, Fate, Request, Send
from tests.proofs.bank.kinds import KINDS, PLACING, cash_request, is_documented, log_in
from tests.support.people import PASSWORD


@dataclass
class SharedUser:
    """A user whose account several customers share, with its login tokens and the orders that they placed."""

    username: str
    tokens: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)


@dataclass
class Bank:
    """What the customers of one test share: accounts, the admin, the prices that they see, and every call."""

    price: Callable[[str], Decimal]
    prefix: str = "customer"
    admin: str = ""
    admin_token: str = ""
    people: list[SharedUser] = field(default_factory=list)
    everyone: list[SharedUser] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    living_tokens: list[str] = field(default_factory=list)
    revoked_tokens: list[str] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    # About how many requests were done or refused so far.
    settled: int = 0
    # How often a customer whose request was not answered asks no more; after the deadline it asks no more at all.
    gives_up: float = 0.04
    deadline: float = float("inf")

    def outcomes(self) -> dict[str, Counter[str]]:
        """How each kind of request ended."""
        counted: dict[str, Counter[str]] = {}
        for call in self.calls:
            counted.setdefault(call.kind, Counter())[call.outcome] += 1
        return counted

    def undocumented(self) -> list[Call]:
        """Calls of which some answer is none of those that the kind may get."""
        return [call for call in self.calls if not all(is_documented(call.kind, each) for each in call.answers)]


class Customer:
    """One thread; what it does follows from its seed."""

    def __init__(self, bank: Bank, send: Send, seed: object) -> None:
        self.bank = bank
        self.send = send
        self.random = random.Random(str(seed))

    def run(self, until: float) -> None:
        """Act until this time of the monotonic clock, and finish what is under way."""
        while time.monotonic() < until:
            self.act()

    def act(self, kinds: Mapping[str, int] | None = None) -> None:
        """Make one request, or a few that belong together; `kinds` are weights."""
        kinds = kinds or {name: kind.weight for name, kind in KINDS.items() if kind.weight}
        [name] = self.random.choices(list(kinds), weights=list(kinds.values()))
        person = self.random.choice(self.bank.people)
        if name in STORIES:
            STORIES[name](self, person)
        elif (request := KINDS[name].make(self, name, person)) is not None:
            self.note(person, self.ask(request))

    def note(self, person: SharedUser, call: Call) -> None:
        """Remember what later requests can be about."""
        if call.fate is not Fate.DONE:
            return
        if call.kind == "log in":
            person.tokens.append(call.body["access_token"])
        elif call.kind in PLACING and (call.body["data"]["status"] == "pending" or self.random.random() < 0.2):
            person.orders.append(call.body["data"]["order_id"])

    def ask(self, request: Request, *, key: str = "") -> Call:
        """Send a request, a change as often as it takes; `key` is that of an earlier one to repeat."""
        key = key or (f"{self.bank.prefix}-{next(self.bank.numbers)}" if request.keyed else "")
        headers = {"Authorization": f"Bearer {request.token}"} if request.token else {}
        headers |= {"Idempotency-Key": key} if key else {}
        # The ledger keeps these words: they name the request a second time, beside the claim of its key.
        words = {"adjust": "reason", "deposit": "description", "withdraw": "description"}.get(request.kind)
        body = {**request.body, words: key} if words else request.body
        started, answers = time.monotonic(), list[Answer | None]()
        while not answers or not self._is_over(request, answers[-1]):
            if answers:
                time.sleep(self.random.uniform(0.03, 0.8))
            answers.append(self.send(request.method, request.path, body, headers))
        call = Call(request, key, started, time.monotonic(), tuple(answers))
        self.bank.calls.append(call)
        self.bank.settled += call.fate in {Fate.DONE, Fate.REFUSED}
        return call

    def _is_over(self, request: Request, answer: Answer | None) -> bool:
        if request.method == "GET" or (answer is not None and answer.status != 503):
            return True
        return self.random.random() < self.bank.gives_up or time.monotonic() > self.bank.deadline


def register(customer: Customer, _: SharedUser | None = None) -> SharedUser | None:
    """A new user, with 1000.00, takes the place of one whose account the customers share. None if that failed."""
    bank = customer.bank
    username = f"{bank.prefix}_{next(bank.numbers)}"
    person = SharedUser(username)
    call = customer.ask(
        Request(
            "register",
            username,
            "",
            "POST",
            "/api/v1/auth/register",
            {
                "username": username,
                "email": f"{username}@example.com",
                "password": PASSWORD,
                "first_name": "Ann",
                "last_name": "Smith",
            },
        )
    )
    bank.everyone.append(person)
    if call.fate is Fate.DONE or call.code == "username_taken":  # taken by the request before, which was not answered
        customer.note(person, customer.ask(log_in(person)))
    if not person.tokens:
        return None
    customer.ask(cash_request("deposit", person, "1000.00"))
    if bank.people:
        bank.people[customer.random.randrange(len(bank.people))] = person
    return person


def open_bank(bank: Bank, send: Send, app: Flask, *, accounts: int = 0) -> Customer:
    """Register an admin and the users whose accounts are shared; returns the customer who did it."""
    customer = Customer(bank, send, "first")
    admin = register(customer)
    assert admin is not None
    with app.app_context():
        set_role(admin.username, Role.ADMIN, now=clock.now())
    customer.note(admin, customer.ask(log_in(admin)))  # the promotion ended the session before
    bank.admin, bank.admin_token = admin.username, admin.tokens[-1]
    bank.people = [person for _ in range(accounts) if (person := register(customer))]
    return customer


def try_a_token(customer: Customer, person: SharedUser) -> None:
    """A personal token works once it is made, and no more once it is known to be revoked."""
    bank, login = customer.bank, person.tokens[-1]
    body = {"name": "test", "scopes": "read trade transfer"}
    made = customer.ask(Request("make token", person.username, login, "POST", "/api/v1/auth/tokens", body))
    if made.fate is not Fate.DONE:
        return
    bearer = made.body["access_token"]
    use_token(customer, bearer, works=True)
    if customer.random.random() < 0.5:
        bank.living_tokens.append(bearer)
        return
    path = f"/api/v1/auth/tokens/{made.body['data']['token_id']}"
    revoked = customer.ask(Request("revoke token", person.username, login, "DELETE", path))
    if revoked.fate is Fate.DONE or revoked.code == "token_not_found":
        bank.revoked_tokens.append(bearer)
        use_token(customer, bearer, works=False)


def use_token(customer: Customer, bearer: str, *, works: bool) -> None:
    call = customer.ask(Request("use token", bearer.split(".")[0], bearer, "GET", "/api/v1/auth/profile"))
    assert (call.answer is None or call.answer.status == 503) or (call.fate is Fate.DONE) is works, (works, call)


# Kinds that are more than one request.
STORIES: dict[str, Callable[[Customer, SharedUser], object]] = {"register": register, "make token": try_a_token}
