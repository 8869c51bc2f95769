"""Who must have a second factor, what tells of it by mail, and how its key is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from app.domain import clock
from app.domain.mails import MailKind
from app.domain.second_factor import Demand
from app.domain.users import Role
from app.mail import MailSettings
from app.models.factors import SecondFactor
from app.services.seeds import SeedCipher
from tests.admin.routes import everything, run
from tests.support.applications import SECRET_KEY, make_app, tables_named
from tests.support.authenticator import enrol, steps_later
from tests.support.mail import queued
from tests.support.page_client import Browser
from tests.support.people import PASSWORD, Person, caller, problem

NewPerson = Callable[..., Person]


@pytest.fixture(autouse=True)
def _still_clock() -> Iterator[None]:
    """No step ends between showing a code and looking at it."""
    with clock.at(clock.now()):
        yield


@pytest.fixture(scope="module")
def strict_app(endpoint: str) -> Flask:
    """Operators must have one."""
    return make_app(endpoint, second_factor=Demand.OPERATORS)


@pytest.fixture(scope="module")
def strictest_app(endpoint: str) -> Flask:
    """Everybody must have one."""
    return make_app(endpoint, second_factor=Demand.ALL)


def promoted(app: Flask, person: Person) -> Person:
    assert run(app, "promote", person.username).exit_code == 0
    person.log_in()
    return person


def test_operators_without_one_operate_nothing(strict_app: Flask, new_user: NewPerson) -> None:
    admin, other = promoted(strict_app, new_user(strict_app)), new_user(strict_app)
    for response in everything(admin, other):
        problem(response, 403, "second_factor_required")
    for response in everything(other, admin):
        problem(response, 403, "not_admin")
    assert admin.deposit("5").status_code == admin.withdraw("5").status_code == 201, "their own money is theirs"
    enrol(admin)
    assert [each.status_code for each in everything(admin, other)][:3] == [200, 200, 200]


@pytest.mark.parametrize("path", ["/admin", "/admin/users/{}", "/admin/users/{}/adjustment"])
def test_pages_of_operators_lead_to_setting_one_up(strict_app: Flask, path: str) -> None:
    admin = Browser(strict_app).enter(Role.ADMIN)
    there = admin.get(path.format(admin.username), 303)
    assert there.location == "/account/second-factor"
    page = admin.get(there.location)
    assert "This needs a second factor" in page.text and "must have a second factor" in page.text
    form = page.form()
    form.action = f"/admin/users/{admin.username}/adjustment"
    assert admin.send(form, amount="1", reason="x").location == "/account/second-factor"
    assert Browser(strict_app).enter().get(path.format(admin.username), 403)


def test_where_all_must_have_one_no_money_leaves_without(strictest_app: Flask, new_user: NewPerson) -> None:
    person = new_user(strictest_app)
    person.deposit("10")
    token = person.post("/auth/tokens", {"name": "payouts", "scopes": "read transfer"}).json["access_token"]
    for using in ({}, {"headers": {"Authorization": f"Bearer {token}"}}):
        problem(person.withdraw("1", **using), 403, "second_factor_required")
    enrol(person)
    assert person.withdraw("1").status_code == 201
    assert person.withdraw("1", headers={"Authorization": f"Bearer {token}"}).status_code == 201
    admin = promoted(strictest_app, new_user(strictest_app))
    problem(admin.get(f"/admin/users/{person.username}"), 403, "second_factor_required")
    browser = Browser(strictest_app).enter()
    assert browser.get("/withdraw", 303).location == "/account/second-factor"
    form = browser.get("/deposit").form()
    form.action = "/withdraw"
    assert browser.send(form, amount="1").location == "/account/second-factor"


@pytest.fixture
def telling_app(endpoint: str) -> Iterator[Flask]:
    yield make_app(
        endpoint, **tables_named("factors"), mail=MailSettings(folder="nowhere", site="https://orders.example")
    )


def test_each_change_is_told_by_mail(telling_app: Flask, new_user: NewPerson) -> None:
    person = new_user(telling_app)
    told: list[str] = []

    def last() -> str:
        new = [mail for mail in queued(telling_app, person.username) if mail.mail_id not in told]
        told.extend(mail.mail_id for mail in new)
        assert all(mail.recipient == person.email for mail in new)
        return " ".join(sorted(mail.kind for mail in new))

    phone = enrol(person)
    assert last() == MailKind.SECOND_FACTOR_ADDED
    log_in = {"username": person.username, "password": PASSWORD}
    with clock.at(steps_later(2)):
        assert caller(telling_app).post("/api/v1/auth/login", json={**log_in, "code": phone.show()}).status_code == 200
    assert last() == ""
    code = phone.recovery_codes[0]
    assert caller(telling_app).post("/api/v1/auth/login", json={**log_in, "code": code}).status_code == 200
    assert last() == MailKind.RECOVERY_CODE_USED
    assert run(telling_app, "reset-factor", person.username).exit_code == 0
    assert last() == MailKind.SECOND_FACTOR_RESET
    with clock.at(steps_later(3)):
        proof = {"current_password": PASSWORD, "code": phone.show()}
        assert person.post("/auth/second-factor/recovery-codes", proof).status_code == 201
    assert last() == MailKind.RECOVERY_CODES_MADE
    with clock.at(steps_later(4)):
        proof = {"current_password": PASSWORD, "code": phone.show()}
        assert person.post("/auth/second-factor/remove", proof).status_code == 204
    assert last() == MailKind.SECOND_FACTOR_REMOVED


OLD, NEW, SEEDS = SECRET_KEY, "another secret of the service", "a secret for seeds alone"
# Settings one after the other, and whether a code of the app is right under each.
ROTATIONS: dict[str, list[tuple[dict[str, Any], bool]]] = {
    "no code was used before the fallbacks were emptied": [({"secret_key": NEW}, False)],
    "a code was used before": [
        ({"secret_key": NEW, "secret_key_fallbacks": (OLD,)}, True),
        ({"secret_key": NEW}, True),
    ],
    "seeds with a secret of their own": [
        ({"secret_key": NEW, "second_factor_keys": (SEEDS, OLD)}, True),
        ({"secret_key": "a third secret of it", "second_factor_keys": (SEEDS,)}, True),
    ],
}


@pytest.mark.parametrize("name", ROTATIONS)
def test_what_another_secret_does_to_apps(app: Flask, endpoint: str, new_user: NewPerson, name: str) -> None:
    assert app.secret_key == OLD
    person = new_user()
    phone = enrol(person)
    body = {"username": person.username, "password": PASSWORD}
    for step, (settings, is_right) in enumerate(ROTATIONS[name], start=2):
        with clock.at(steps_later(step)):
            answer = caller(make_app(endpoint, **settings)).post(
                "/api/v1/auth/login", json={**body, "code": phone.show()}
            )
            assert answer.status_code == (200 if is_right else 401)


def test_another_key_is_taken_over_with_the_next_code(endpoint: str, new_user: NewPerson) -> None:
    before = make_app(endpoint)
    person = new_user(before)
    phone = enrol(person)
    after = make_app(endpoint, second_factor_keys=("a new key for seeds",))

    def made_by(*keys: str) -> bool:
        with after.app_context():
            stored = SecondFactor.get(*SecondFactor.key(person.username))
        return SeedCipher(keys).decrypt(stored.seed, person.username) is not None

    assert made_by(before.secret_key) and not made_by("a new key for seeds")
    body = {"username": person.username, "password": PASSWORD}
    with clock.at(steps_later(2)):
        assert caller(after).post("/api/v1/auth/login", json={**body, "code": phone.show()}).status_code == 200
    assert made_by("a new key for seeds") and not made_by(before.secret_key)
    lost = make_app(endpoint)
    with clock.at(steps_later(3)):
        answer = caller(lost).post("/api/v1/auth/login", json={**body, "code": phone.show()})
        problem(answer, 401, "invalid_code")
        assert (
            caller(lost).post("/api/v1/auth/login", json={**body, "code": phone.recovery_codes[0]}).status_code == 200
        )
