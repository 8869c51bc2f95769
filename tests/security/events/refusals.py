"""What is refused, by whom, and the lines of the log that tell of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.domain import clock
from app.domain.second_factor import MOST_WRONG
from app.models.factors import SecondFactor
from tests.security.events.acts import large
from tests.security.events.world import AGENT, NEW_PASSWORD, World
from tests.support.authenticator import enrol
from tests.support.people import PASSWORD, problem, register

FAILED, DENIED = "log_in_failed", "denied"
WRONG = (FAILED, "invalid_credentials")
WRONG_PASSWORD, TYPED_NAME, TYPED_ADDRESS = "wrong password", "my own password", "no@example.com"


@dataclass(frozen=True)
class Refusal:
    """What is tried; event and outcome of each line; whether the person is its subject, and its actor."""

    name: str
    attempt: Callable[[World], object]
    lines: list[tuple[str, str]]
    has_subject: bool = True
    has_actor: bool = True


def log_in(world: World, username: str, password: str = WRONG_PASSWORD) -> None:
    body = {"username": username, "password": password}
    world.person.client.post("/api/v1/auth/login", json=body, headers={"User-Agent": AGENT})


def log_in_by_page(world: World, username: str) -> None:
    world.browser.log_in(username, WRONG_PASSWORD)


def suspended_log_in(world: World) -> None:
    world.suspend()
    log_in(world, world.name, PASSWORD)


def wrong_current_password(world: World) -> None:
    body = {"current_password": WRONG_PASSWORD, "new_password": NEW_PASSWORD}
    problem(world.person.post("/auth/password", body), 422, "invalid_input")


def wrong_code(world: World) -> None:
    enrol(world.person)
    world.begin()
    body = {"current_password": PASSWORD, "code": "000000"}
    problem(world.person.post("/auth/proof", body), 422, "invalid_input")


def wrong_code_at_log_in(world: World) -> None:
    enrol(world.person)
    world.begin()
    body = {"username": world.name, "password": PASSWORD, "code": "a wrong code"}
    problem(
        world.person.client.post("/api/v1/auth/login", json=body, headers={"User-Agent": AGENT}), 401, "invalid_code"
    )


def wrong_code_by_page(world: World) -> None:
    enrol(world.person)
    world.begin()
    form = world.browser.log_in(world.name).form("/login/code")
    assert world.browser.send(form, code="a wrong code").status == 401


def code_too_many(world: World) -> None:
    enrol(world.person)
    with world.app.app_context():
        wrong = [SecondFactor.wrong_codes.set(MOST_WRONG), SecondFactor.wrong_since.set(clock.now())]
        SecondFactor(*SecondFactor.key(world.name)).update(wrong)
    world.begin()
    problem(
        world.person.post("/auth/proof", {"current_password": PASSWORD, "code": "123456"}), 429, "too_many_requests"
    )


def suspended_at_passkey(world: World) -> None:
    world.suspend()
    body = {"username": world.name, "password": PASSWORD}
    answer = world.person.client.post("/api/v1/auth/login/passkey", json=body, headers={"User-Agent": AGENT})
    problem(answer, 403, "account_suspended")


def suspended_by_page(world: World) -> None:
    world.suspend()
    assert world.browser.log_in(world.name).status == 403


def wrong_current_password_by_page(world: World) -> None:
    form = world.enter().get("/account/password").form("/account/password")
    world.begin()
    assert world.browser.send(form, current_password=WRONG_PASSWORD, new_password=NEW_PASSWORD).status == 422


def as_reader(world: World) -> None:
    world.use_token()
    world.begin()
    problem(world.person.withdraw("1"), 403, "insufficient_scope")
    problem(world.person.delete("/auth/sessions"), 403, "insufficient_scope")


def suspended_token(world: World) -> None:
    world.use_token()
    world.suspend()
    world.begin()
    problem(world.person.get("/balance"), 403, "account_suspended")


def own_account(world: World) -> None:
    person = world.promote(world.person)
    world.begin()
    body = {"amount": "5", "reason": "x"}
    problem(person.post(f"/admin/users/{world.name}/adjustments", body), 409, "own_account")
    problem(person.post(f"/admin/users/{world.name}/reset-link"), 409, "operator_account")


def own_account_by_page(world: World) -> None:
    world.promote(world.person)
    form = world.enter().get(f"/admin/users/{world.name}/adjustment").form()
    world.begin()
    assert world.browser.send(form, amount="5", reason="x").status == 409


def approval_of_ones_own_request(world: World) -> None:
    asker, owner = world.promote(world.person), register(world.app)
    sent = asker.post(f"/admin/users/{owner.username}/adjustments", {"amount": "20000", "reason": "gift"})
    world.begin()
    path = f"/admin/approvals/{sent.json['data']['approval_id']}/approve"
    problem(asker.post(path), 409, "second_operator_needed")


def approval_for_oneself(world: World) -> None:
    approval_id = large(world)
    owner = world.promote(world.person)
    world.begin()
    problem(owner.post(f"/admin/approvals/{approval_id}/approve"), 409, "own_account")


REFUSALS = [
    Refusal("a wrong password", lambda world: log_in(world, world.name), [WRONG], has_actor=False),
    Refusal("a wrong password, page", lambda world: log_in_by_page(world, world.name), [WRONG], has_actor=False),
    Refusal("a wrong password by e-mail", lambda world: log_in(world, world.person.email), [WRONG], has_actor=False),
    Refusal("nobody's name", lambda world: log_in(world, TYPED_NAME), [WRONG], False, False),
    Refusal("nobody's address", lambda world: log_in(world, TYPED_ADDRESS), [WRONG], False, False),
    Refusal("nobody's name, page", lambda world: log_in_by_page(world, TYPED_NAME), [WRONG], False, False),
    Refusal("a suspended user", suspended_log_in, [(FAILED, "account_suspended")], has_actor=False),
    Refusal("a wrong current password", wrong_current_password, [(FAILED, "wrong_current_password")]),
    Refusal("a wrong code", wrong_code, [(FAILED, "invalid_code")]),
    Refusal("a suspended user, passkey", suspended_at_passkey, [(FAILED, "account_suspended")], has_actor=False),
    Refusal("a suspended user, page", suspended_by_page, [(FAILED, "account_suspended")], has_actor=False),
    Refusal("a wrong current password, page", wrong_current_password_by_page, [(FAILED, "wrong_current_password")]),
    Refusal("a wrong code, log-in", wrong_code_at_log_in, [(FAILED, "invalid_code")], has_actor=False),
    Refusal("a wrong code, page", wrong_code_by_page, [(FAILED, "invalid_code")], has_actor=False),
    Refusal("a code too many", code_too_many, [("rate_limited", "too_many_requests")]),
    Refusal("a token without the scope", as_reader, [(DENIED, "insufficient_scope")] * 2),
    Refusal("a token of a suspended user", suspended_token, [(DENIED, "account_suspended")]),
    Refusal("no administrator", lambda world: world.person.get("/admin/users?username=abc"), [(DENIED, "not_admin")]),
    Refusal("no administrator, page", lambda world: world.enter().get("/admin", 403), [(DENIED, "not_admin")]),
    Refusal("an own account", own_account, [(DENIED, "own_account"), (DENIED, "operator_account")]),
    Refusal("an own account, page", own_account_by_page, [(DENIED, "own_account")]),
    Refusal("approval of one's own request", approval_of_ones_own_request, [(DENIED, "second_operator_needed")]),
    Refusal("approval for oneself", approval_for_oneself, [(DENIED, "own_account")]),
    Refusal("no credential", lambda world: world.person.client.get("/api/v1/balance"), []),
    Refusal("someone else's order", lambda world: world.person.get("/orders/order_01JD0QZ5M4X8W3T7K2V9N6B1CF"), []),
]
