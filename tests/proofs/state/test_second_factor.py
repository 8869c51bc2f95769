"""Random uses of a second factor at the product and at a model of it: each code is answered as the model says.

Bounded, and the same every time, in `make test`; MODEL_EXAMPLES and MODEL_STEPS make it long, as in `test_machine.py`.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from flask import Flask
from hypothesis import note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.models.factors import SecondFactor
from tests.proofs.state.drivers import Clock
from tests.proofs.state.test_machine import EXAMPLES, RUN
from tests.support.authenticator import App
from tests.support.people import PASSWORD, Person, caller, register

STEP, DAY, MOST_WRONG, SESSION = timedelta(seconds=30), timedelta(hours=24), 20, timedelta(hours=1)
SEED = 5  # of the bounded run
CODES = ["app", "app", "app before", "recovery", "used recovery", "nonsense"]


class Model:
    """One person's second factor, as it is promised."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.is_on = False

    @property
    def step(self) -> int:
        return int(self.now.timestamp()) // 30

    def enrol(self) -> None:
        self.is_on, self.last_step, self.left, self.wrong = True, self.step, 10, 0
        self.wrong_until = self.now

    def use(self, kind: str) -> str:
        """What a code of this kind comes to: right, wrong, or not looked at."""
        if kind == "recovery":
            self.left -= 1
            return "right"
        wrong = self.wrong if self.now < self.wrong_until else 0
        if kind.startswith("app") and wrong >= MOST_WRONG:
            return "too many"
        if kind == "app" and self.step > self.last_step:
            self.last_step = self.step
            return "right"
        if not wrong:
            self.wrong_until = self.now + DAY
        self.wrong = wrong + 1
        return "wrong"


class Story(RuleBasedStateMachine):
    """Each rule sends the same to the product and to the model, and compares the answers."""

    def __init__(self, app: Flask, seen: Counter[str]) -> None:
        super().__init__()
        self.app, self.seen, self.clock = app, seen, Clock()
        self.model = Model(self.clock.now)
        self.phone = App("")
        self.used: list[str] = []

    @initialize()
    def begin(self) -> None:
        self.person: Person = register(self.app)
        self.until = self.model.now + SESSION
        self.enrol()

    def is_in(self) -> bool:
        return self.model.now < self.until

    def code(self, kind: str) -> str:
        if kind == "recovery":
            self.used.append(self.phone.recovery_codes.pop())
            return self.used[-1]
        if kind == "used recovery":
            return self.used[-1]
        if kind.startswith("app"):
            return self.phone.show(self.model.now - (STEP if kind == "app before" else timedelta()))
        return "nonsense"

    def is_there(self, kind: str) -> bool:
        """Whether the person has such a code."""
        has = {"recovery": bool(self.phone.recovery_codes), "used recovery": bool(self.used)}
        return self.model.is_on and has.get(kind, True)

    def tell(self, what: str, code: str) -> None:
        note(f"{self.model.now} {what} -> {code}")
        self.seen[f"{what} {code}"] += 1

    @rule(by=st.sampled_from([timedelta(seconds=1), STEP, STEP, STEP, STEP * 2, DAY]))
    def wait(self, by: timedelta) -> None:
        self.clock.advance(by)
        self.model.now += by

    @precondition(lambda self: self.model.is_on)
    @rule()
    def many_guess(self) -> None:
        """Of the codes that are looked at, one is left."""
        wrong = [SecondFactor.wrong_codes.set(MOST_WRONG - 1), SecondFactor.wrong_since.set(self.model.now)]
        with self.app.app_context():
            SecondFactor(*SecondFactor.key(self.person.username)).update(wrong)
        self.model.wrong, self.model.wrong_until = MOST_WRONG - 1, self.model.now + DAY

    @rule(kind=st.sampled_from([*CODES, "none"]))
    def log_in(self, kind: str) -> None:
        body = {"username": self.person.username, "password": PASSWORD}
        expected = "code_required" if self.model.is_on else "done"
        if self.is_there(kind) and kind != "none":
            body["code"] = self.code(kind)
            verdict = self.model.use(kind)
            expected = {"right": "done", "wrong": "invalid_code", "too many": "too_many_requests"}[verdict]
        answer = caller(self.app).post("/api/v1/auth/login", json=body)
        code = answer.json.get("code", "done")
        self.tell(f"log in, {kind}", code)
        assert code == expected
        if code == "done":
            self.person.token, self.until = answer.json["access_token"], self.model.now + SESSION

    @precondition(lambda self: self.is_in() and not self.model.is_on)
    @rule(again=st.booleans())
    def set_up(self, again: bool) -> None:
        self.enrol()
        if again:
            self.enrol()

    def enrol(self) -> None:
        begun = self.person.post("/auth/second-factor")
        self.tell("enrol", begun.json.get("code", "done"))
        assert (begun.status_code == 409) == self.model.is_on
        if begun.status_code == 409:
            return
        phone = App(begun.json["secret"])
        sent = {"setup": begun.json["setup"], "code": phone.show(), "current_password": PASSWORD}
        done = self.person.post("/auth/second-factor/confirm", sent)
        assert done.status_code == 201, done.text
        self.phone, self.used = App(begun.json["secret"], done.json["recovery_codes"]), []
        self.model.enrol()

    @precondition(lambda self: self.is_in())
    @rule(kind=st.sampled_from(CODES))
    def remove(self, kind: str) -> None:
        sent: dict[str, Any] = {"current_password": PASSWORD}
        expected = "proof_required" if self.model.is_on else "no_second_factor"
        if self.is_there(kind):
            sent["code"] = self.code(kind)
            verdict = self.model.use(kind)
            expected = {"right": "done", "wrong": "invalid_input", "too many": "too_many_requests"}[verdict]
        answer = self.person.post("/auth/second-factor/remove", sent)
        code = "done" if answer.status_code == 204 else answer.json["code"]
        self.tell(f"remove, {kind}", code)
        assert code == expected
        if code == "done":
            self.model.is_on = False

    @precondition(lambda self: self.is_in())
    @invariant()
    def product_and_model_agree(self) -> None:
        shown = self.person.get("/auth/second-factor").json
        left = self.model.left if self.model.is_on else 0
        assert (shown["is_on"], shown["recovery_codes_left"]) == (self.model.is_on, left)

    def teardown(self) -> None:
        self.clock.stop()


def test_product_and_model_agree(app: Flask) -> None:
    seen: Counter[str] = Counter()
    run_state_machine_as_test(
        (lambda: Story(app, seen)) if EXAMPLES else seed(SEED)(lambda: Story(app, seen)),
        settings=settings(RUN, max_examples=int(EXAMPLES or 4)),
    )
    print(", ".join(f"{count} {name}" for name, count in sorted(seen.items())))
    usual = {f"log in, {what}" for what in ("app done", "app invalid_code", "recovery done", "none code_required")}
    usual |= {"log in, used recovery invalid_code", "log in, app too_many_requests", "enrol done"}
    assert usual <= set(seen), "these stories show little: play others, with another SEED"
