"""Second factors: what a password alone cannot do any more, and what a code cannot do twice."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from urllib.parse import unquote

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.domain import clock
from app.domain.second_factor import MOST_WRONG, RECOVERY_CODES
from app.domain.users import Role
from app.models.factors import SecondFactor
from app.models.users import get_user
from app.services.seeds import SeedCipher
from tests.pages.conftest import NewBrowser
from tests.support.authenticator import App, enrol, steps_later
from tests.support.page_client import Answer, Browser
from tests.support.people import PASSWORD, Person, caller, fields_named, problem
from tests.support.usage import usage, usage_of

NewPerson = Callable[..., Person]
NEW_PASSWORD = "nine yellow saucers"


def log_in(app: Flask, person: Person, code: str | None = None, password: str = PASSWORD, **more: str) -> TestResponse:
    """From an address that nobody has logged in from."""
    body = {"username": person.username, "password": password, **({"code": code} if code is not None else {}), **more}
    return caller(app).post("/api/v1/auth/login", json=body)


def factor_of(app: Flask, username: str) -> SecondFactor | None:
    with app.app_context():
        return SecondFactor.find(SecondFactor.key(username))


@pytest.fixture(autouse=True)
def _still_clock() -> Iterator[None]:
    """No step ends between showing a code and looking at it."""
    with clock.at(clock.now()):
        yield


@pytest.fixture
def phone(person: Person) -> App:
    """The app of `person`, who now has a second factor."""
    return enrol(person)


def test_setting_one_up(app: Flask, person: Person) -> None:
    assert person.get("/auth/second-factor").json == {
        "is_on": False,
        "since": None,
        "recovery_codes_left": 0,
        "falls_at": None,
        "passkeys": [],
    }
    before, other = person.token, person.log_in()
    personal = person.post("/auth/tokens", {"name": "script"}).json["access_token"]
    begun = person.post("/auth/second-factor")
    assert begun.status_code == 201 and factor_of(app, person.username) is None, "nothing is stored yet"
    sent = {"setup": begun.json["setup"], "code": App(begun.json["secret"]).show(), "current_password": PASSWORD}
    done = person.post("/auth/second-factor/confirm", sent)
    assert done.status_code == 201 and len(done.json["recovery_codes"]) == RECOVERY_CODES
    # The call that authenticates, the proof, and in one batch the factor, the user, this token and the event.
    assert usage_of(done) == usage(1 + 3 + 1, 1 + 7, 1 + 6 + 2)
    state = person.get("/auth/second-factor")
    assert state.json["is_on"] and state.json["recovery_codes_left"] == 10 and usage_of(state) == usage(1, 3, 0)
    problem(person.post("/auth/second-factor/confirm", sent), 409, "second_factor_exists")
    problem(person.post("/auth/second-factor"), 409, "second_factor_exists")
    assert person.token == other and person.get("/balance").status_code == 200, "this one goes on"
    person.token = before
    problem(person.get("/balance"), 401, "not_authenticated")
    person.token = personal
    assert person.get("/balance").status_code == 200


@pytest.mark.parametrize("minutes", [0, 10])
def test_it_is_set_up_by_who_gives_the_password_with_it(app: Flask, person: Person, minutes: int) -> None:
    """However fresh the log-in is: a copied token would shut its owner out for good."""
    with clock.at(clock.now() + timedelta(minutes=minutes)):
        begun = person.post("/auth/second-factor").json
        sent = {"setup": begun["setup"], "code": App(begun["secret"]).show()}
        problem(person.post("/auth/second-factor/confirm", sent), 403, "proof_required")
        wrong = person.post("/auth/second-factor/confirm", {**sent, "current_password": "wrong"})
        assert fields_named(problem(wrong, 422, "invalid_input")) == ["current_password"]
    assert factor_of(app, person.username) is None


def test_a_setup_is_for_its_user_and_its_time(person: Person, new_user: NewPerson) -> None:
    other = new_user()
    begun = person.post("/auth/second-factor").json
    phone = App(begun["secret"])
    for setup in ("", "x", begun["setup"] + "x", begun["setup"][1:]):
        sent = {"setup": setup, "code": phone.show(), "current_password": PASSWORD}
        assert fields_named(problem(person.post("/auth/second-factor/confirm", sent), 422, "invalid_input")) == [
            "setup"
        ]
    taken = {"setup": begun["setup"], "code": phone.show(), "current_password": PASSWORD}
    stolen = other.post("/auth/second-factor/confirm", taken)
    assert fields_named(problem(stolen, 422, "invalid_input")) == ["setup"]
    with clock.at(clock.now() + timedelta(minutes=30)):
        late = {"setup": begun["setup"], "code": phone.show(), "current_password": PASSWORD}
        assert fields_named(problem(person.post("/auth/second-factor/confirm", late), 422, "invalid_input")) == [
            "setup"
        ]
    wrong = {**taken, "code": phone.show(steps_later(9))}
    assert fields_named(problem(person.post("/auth/second-factor/confirm", wrong), 422, "invalid_input")) == ["code"]


def test_the_password_alone_logs_nobody_in(app: Flask, person: Person, phone: App, new_user: NewPerson) -> None:
    elsewhere = enrol(new_user())
    for code in (None, ""):
        problem(log_in(app, person, code), 401, "code_required")
    # Used when it was set up.
    problem(log_in(app, person, phone.show()), 401, "invalid_code")
    with clock.at(steps_later(2)):
        for code in (elsewhere.show(), elsewhere.recovery_codes[0], "x", phone.show(steps_later(5))):
            problem(log_in(app, person, code), 401, "invalid_code")
        problem(log_in(app, person, phone.show(), password="wrong"), 401, "invalid_credentials")
        done = log_in(app, person, phone.show())
        assert done.status_code == 200 and done.json["user"]["username"] == person.username
        problem(log_in(app, person, phone.show()), 401, "invalid_code")


def test_a_code_is_used_once_by_two_at_once(app: Flask, person: Person, phone: App) -> None:
    moment = steps_later(2)
    for number in range(5):
        at = moment + timedelta(seconds=30 * number)
        code = [phone.show(at), phone.recovery_codes[number]][number % 2]
        barrier = Barrier(2)

        def ask(_: int, at=at, code=code, barrier=barrier) -> int:
            with clock.at(at):
                barrier.wait()
                return log_in(app, person, code).status_code

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(ask, range(2))) == [200, 401], number


def test_a_recovery_code_works_once_and_in_any_spelling(app: Flask, person: Person, phone: App) -> None:
    first, second = phone.recovery_codes[:2]
    assert log_in(app, person, first).status_code == 200
    problem(log_in(app, person, first), 401, "invalid_code")
    assert log_in(app, person, f" {second.upper().replace('-', ' ')} ").status_code == 200
    assert person.get("/auth/second-factor").json["recovery_codes_left"] == 8
    for code in phone.recovery_codes[2:]:
        assert log_in(app, person, code).status_code == 200
    stored = factor_of(app, person.username)
    assert stored is not None and stored.hashes == []


def test_guesses_of_codes_are_bounded_from_wherever_they_come(app: Flask, person: Person, phone: App) -> None:
    """Each guess here comes from another address; the last ones all at once, with the right code among them."""
    with clock.at(steps_later(2)):
        wrong = [f"{number:06}" for number in range(MOST_WRONG + 12) if f"{number:06}" != phone.show()]
        for code in wrong[: MOST_WRONG - 4]:
            problem(log_in(app, person, code), 401, "invalid_code")
    moment = steps_later(2)

    def ask(code: str) -> int:
        with clock.at(moment):
            return log_in(app, person, code).status_code

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(ask, [*wrong[MOST_WRONG - 4 :][:12], phone.show(moment)]))
    assert answers[-1] == 429 and answers.count(401) == 4, answers
    with clock.at(moment):
        assert log_in(app, person, phone.recovery_codes[0]).status_code == 200, "the owner is not locked out"
    with clock.at(moment + timedelta(hours=24)):
        assert log_in(app, person, phone.show()).status_code == 200


def test_wrong_codes_count_as_failed_log_ins(app: Flask, person: Person, phone: App) -> None:
    client = caller(app)
    body = {"username": person.username, "password": PASSWORD, "code": "x"}
    left = [int(client.post("/api/v1/auth/login", json=body).headers["X-RateLimit-Remaining"]) for _ in range(3)]
    assert left == [20, 19, 18]


def test_the_seed_cannot_be_read_from_what_is_stored(app: Flask, person: Person, phone: App) -> None:
    stored = factor_of(app, person.username)
    assert stored is not None
    seed = base64.b32decode(phone.secret)
    raw = base64.urlsafe_b64decode(stored.seed)
    assert seed not in raw and phone.secret not in str(stored.attribute_values)
    assert not any(code in str(stored.attribute_values) for code in phone.recovery_codes)
    secret = app.secret_key
    assert SeedCipher([secret]).decrypt(stored.seed, person.username) == seed
    assert SeedCipher(["new", secret]).decrypt(stored.seed, person.username) == seed
    for cipher, username in ((SeedCipher(["another"]), person.username), (SeedCipher([secret]), "somebody_else")):
        assert cipher.decrypt(stored.seed, username) is None
    broken = base64.urlsafe_b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()
    assert SeedCipher([secret]).decrypt(broken, person.username) is None
    assert SeedCipher([secret]).encrypt(seed, "ann") != SeedCipher([secret]).encrypt(seed, "ann")
    assert secret not in repr(SeedCipher([secret]))


@pytest.mark.parametrize("seed", ["", "x", "AAAA", "A" * 80])
def test_a_broken_seed_leaves_the_recovery_codes(app: Flask, person: Person, phone: App, seed: str) -> None:
    with app.app_context():
        SecondFactor(*SecondFactor.key(person.username)).update([SecondFactor.seed.set(seed)])
    with clock.at(steps_later(2)):
        problem(log_in(app, person, phone.show()), 401, "invalid_code")
    assert log_in(app, person, phone.recovery_codes[0]).status_code == 200


def test_a_seed_that_was_moved_to_another_user_is_worth_nothing(
    app: Flask, person: Person, phone: App, new_user: NewPerson
) -> None:
    other = new_user()
    enrol(other)
    with app.app_context():
        theirs = SecondFactor.get(*SecondFactor.key(other.username))
        theirs.update([SecondFactor.seed.set(SecondFactor.get(*SecondFactor.key(person.username)).seed)])
    with clock.at(steps_later(2)):
        problem(log_in(app, other, phone.show()), 401, "invalid_code")


def test_every_proof_wants_a_code_too(person: Person, phone: App) -> None:
    proof = {"current_password": PASSWORD}
    asked = [
        ("POST", "/auth/proof", {}),
        ("PUT", "/auth/profile", {"phone": "+491701234567"}),
        ("POST", "/auth/password", {"new_password": NEW_PASSWORD}),
        ("POST", "/auth/second-factor/recovery-codes", {}),
        ("POST", "/auth/second-factor/remove", {}),
    ]
    for number, (method, path, body) in enumerate(asked):
        with clock.at(steps_later(2 + number)):
            for more in (proof, {"code": phone.show()} if path != "/auth/password" else proof):
                problem(person.call(method, path, json={**body, **more}), 403, "proof_required")
            wrong = person.call(method, path, json={**body, **proof, "code": "123"})
            assert fields_named(problem(wrong, 422, "invalid_input")) == ["code"]
            done = person.call(method, path, json={**body, **proof, "code": phone.show()})
            assert done.status_code < 300, done.text
            if path == "/auth/password":
                person.token = person.client.post(
                    "/api/v1/auth/login",
                    json={"username": person.username, "password": NEW_PASSWORD, "code": phone.recovery_codes[0]},
                ).json["access_token"]
                proof = {"current_password": NEW_PASSWORD}


def test_every_withdrawal_wants_a_fresh_proof(person: Person, phone: App) -> None:
    person.deposit("100")
    assert person.withdraw("1").status_code == 201
    personal = person.post("/auth/tokens", {"name": "payouts", "scopes": "read transfer"}).json["access_token"]
    with clock.at(clock.now() + timedelta(minutes=10)):
        problem(person.withdraw("0.01"), 403, "proof_required")
        problem(person.post("/balance/withdraw", {"amount": "1", "current_password": PASSWORD}), 403, "proof_required")
        sent = {"amount": "1", "current_password": PASSWORD, "code": phone.show()}
        assert person.post("/balance/withdraw", sent).status_code == 201
        assert person.withdraw("1", headers={"Authorization": f"Bearer {personal}"}).status_code == 201
        assert person.deposit("1").status_code == 201


def test_removing_it_ends_what_began_elsewhere(app: Flask, person: Person, phone: App) -> None:
    with clock.at(steps_later(2)):
        other = log_in(app, person, phone.show()).json["access_token"]
    with clock.at(steps_later(3)):
        proof = {"current_password": PASSWORD, "code": phone.show()}
        assert person.post("/auth/second-factor/remove", proof).status_code == 204
    assert factor_of(app, person.username) is None
    problem(person.post("/auth/second-factor/remove", proof), 409, "no_second_factor")
    problem(person.post("/auth/second-factor/recovery-codes", proof), 409, "no_second_factor")
    problem(person.delete("/auth/second-factor/reset"), 409, "no_second_factor")
    assert person.get("/balance").status_code == 200
    problem(person.get("/balance", headers={"Authorization": f"Bearer {other}"}), 401, "not_authenticated")
    assert log_in(app, person).status_code == 200


def test_new_recovery_codes_void_the_old_ones(app: Flask, person: Person, phone: App) -> None:
    with clock.at(steps_later(2)):
        proof = {"current_password": PASSWORD, "code": phone.show()}
        new = person.post("/auth/second-factor/recovery-codes", proof).json["recovery_codes"]
    assert len(new) == RECOVERY_CODES and not {*new} & {*phone.recovery_codes}
    problem(log_in(app, person, phone.recovery_codes[0]), 401, "invalid_code")
    assert log_in(app, person, new[0]).status_code == 200


def test_a_personal_token_has_no_say(person: Person, phone: App) -> None:
    token = person.post("/auth/tokens", {"name": "all", "scopes": "read trade transfer"}).json["access_token"]
    using = {"headers": {"Authorization": f"Bearer {token}"}}
    proof = {"current_password": PASSWORD, "code": phone.recovery_codes[0]}
    for method, path in (
        ("POST", ""),
        ("POST", "/confirm"),
        ("POST", "/recovery-codes"),
        ("POST", "/remove"),
        ("DELETE", "/reset"),
    ):
        body = {"json": {**proof, "setup": "x"}} if path else {}
        problem(person.call(method, f"/auth/second-factor{path}", **body, **using), 403, "insufficient_scope")


# Pages


@pytest.fixture
def owner(ann: Browser) -> Browser:
    """Somebody at a browser who has a second factor."""
    assert ann.person is not None
    ann.phone = enrol(ann.person)  # type: ignore[attr-defined]
    return ann


def phone_of(browser: Browser) -> App:
    phone: App = browser.phone  # type: ignore[attr-defined]
    return phone


def first_step(browser: Browser, username: str, page: str = "/login") -> Answer:
    answer = browser.log_in(username, page=page)
    assert answer.status == 200 and "Enter a code" in answer.text, answer.text
    return answer


def test_the_page_sets_one_up_and_shows_the_codes_once(app: Flask, ann: Browser) -> None:
    page = ann.get("/account/second-factor")
    assert "<svg" in page.response.text and usage_of(page.response).calls == 1
    phone = App(page.shown.text_of("secret"))
    code = "123456" if phone.show() != "123456" else "654321"
    wrong = ann.send(page.form(), code=code, current_password=PASSWORD)
    assert wrong.status == 422 and wrong.error_of("code").startswith("This is not the code")
    assert wrong.shown.text_of("secret") == phone.secret, "the picture stays"
    done = ann.send(wrong.form(), code=phone.show(), current_password=PASSWORD)
    assert done.status == 201
    codes = done.shown.text_of("secret").split()
    assert len(codes) == RECOVERY_CODES
    [file] = [link for link in done.shown.links if link.startswith("data:")]
    assert all(code in unquote(file) for code in codes)
    again = ann.get("/account/second-factor")
    assert "Recovery codes left 10" in again.text and not any(code in again.response.text for code in codes)
    assert usage_of(again.response).calls == 1


def test_the_page_asks_for_the_password_beside_the_code(ann: Browser) -> None:
    page = ann.get("/account/second-factor")
    phone = App(page.shown.text_of("secret"))
    refused = ann.send(page.form(), code=phone.show())
    assert refused.status == 403 and refused.error_of("current_password") == "Enter your password to go on."
    assert refused.shown.text_of("secret") == phone.secret
    assert ann.send(refused.form(), code=phone.show(), current_password=PASSWORD).status == 201


def test_a_browser_logs_in_in_two_steps(stranger: Browser, owner: Browser) -> None:
    phone = phone_of(owner)
    with clock.at(steps_later(2)):
        asked = first_step(stranger, owner.username, "/login?next=/deposit")
        assert PASSWORD not in asked.response.text
        assert stranger.get("/dashboard", 303).location.startswith("/login"), "no session yet"
        wrong = stranger.send(asked.form(), code="x")
        assert wrong.status == 401 and wrong.error_of("code").startswith("This code is wrong")
        done = stranger.send(wrong.form(), code=phone.show())
        assert (done.status, done.location) == (303, "/deposit")
        assert stranger.get("/dashboard").status == 200
    assert stranger.client.get("/login/code").status_code == 303


def test_a_ticket_is_worth_nothing_alone_late_elsewhere_or_after_a_new_password(
    app: Flask, stranger: Browser, owner: Browser, new_browser: NewBrowser
) -> None:
    phone = phone_of(owner)
    form = first_step(stranger, owner.username).form()
    later = clock.now() + timedelta(minutes=5)
    with clock.at(later):
        assert stranger.send(form, code=phone.show()).location == "/login"
    assert "Log in again." in stranger.get("/login").text
    thief = new_browser().enter()
    assert thief.person is not None
    their_phone = enrol(thief.person)
    theirs = first_step(new_browser(), thief.username).form().values["ticket"]
    with clock.at(steps_later(2)):
        # The ticket of another account, with the codes of one's own, and the other way round.
        assert stranger.send(form, code=their_phone.show()).status == 401
        assert stranger.send(form, ticket=theirs, code=phone.show()).status == 401
        for ticket in ("", "x", form.values["ticket"] + "x", form.values["ticket"].replace(".", "")):
            assert stranger.send(form, ticket=ticket, code=phone.show()).status in {303, 422}
    assert stranger.get("/dashboard", 303).location.startswith("/login")
    with clock.at(steps_later(3)):
        sent = {"current_password": PASSWORD, "new_password": NEW_PASSWORD, "code": phone.show()}
        assert owner.person is not None and owner.person.post("/auth/password", sent).status_code == 204
    with clock.at(steps_later(4)):
        assert stranger.send(form, code=phone.show()).location == "/login"
    assert stranger.get("/dashboard", 303).location.startswith("/login")


def test_a_page_that_moves_money_asks_for_password_and_code(app: Flask, owner: Browser) -> None:
    assert owner.person is not None
    owner.person.deposit("100")
    with clock.at(clock.now() + timedelta(minutes=10)):
        browser = Browser(app)
        done = browser.send(first_step(browser, owner.username).form(), code=phone_of(owner).show())
        assert done.status == 303
    with clock.at(clock.now() + timedelta(minutes=20)):
        refused = browser.submit("/withdraw", amount="1")
        assert refused.status == 403 and "code" in refused.shown.attributes
        half = browser.send(refused.form(), current_password=PASSWORD)
        assert half.status == 403 and half.form().values["amount"] == "1"
        assert browser.send(half.form(), current_password=PASSWORD, code=phone_of(owner).show()).status == 303


def test_removing_and_renewing_by_page(app: Flask, owner: Browser) -> None:
    phone = phone_of(owner)
    with clock.at(steps_later(2)):
        browser = Browser(app)
        browser.send(first_step(browser, owner.username).form(), code=phone.show())
    with clock.at(steps_later(3)):
        assert browser.submit("/account/second-factor/codes", current_password=PASSWORD).status == 403
        made = browser.submit("/account/second-factor/codes", current_password=PASSWORD, code=phone.show())
        assert made.status == 201
    code = made.shown.text_of("secret").split()[0]
    gone = browser.done("/account/second-factor/remove", current_password=PASSWORD, code=code)
    assert "Your second factor is removed" in gone.text
    assert browser.log_out() and browser.log_in(owner.username).status == 303


def test_a_new_password_by_mail_or_link_still_wants_the_code(app: Flask, person: Person, phone: App) -> None:
    made = app.test_cli_runner().invoke(args=["users", "reset-link", person.username])
    token = re.search(r"token=(\S+)", made.output)
    assert token is not None
    reset = {"token": token[1], "new_password": NEW_PASSWORD}
    assert person.client.post("/api/v1/auth/password/reset", json=reset).status_code == 204
    problem(log_in(app, person, password=NEW_PASSWORD), 401, "code_required")
    with clock.at(steps_later(2)):
        assert log_in(app, person, phone.show(), password=NEW_PASSWORD).status_code == 200


# The way back of who has lost it


def reset(app: Flask, username: str):
    return app.test_cli_runner().invoke(args=["users", "reset-factor", username])


def test_a_lost_one_falls_away_a_day_after_an_operator_was_asked(app: Flask, person: Person, phone: App) -> None:
    assert reset(app, person.username).exit_code == 0
    begun = person.get("/auth/second-factor").json["falls_at"]
    assert reset(app, person.username).exit_code == 0
    assert person.get("/auth/second-factor").json["falls_at"] == begun, "asking again does not postpone it"
    with clock.at(clock.now() + timedelta(hours=23, minutes=59)):
        problem(log_in(app, person), 401, "code_required")
    with clock.at(clock.now() + timedelta(hours=24)):
        problem(log_in(app, person, password="wrong"), 401, "invalid_credentials")
        assert factor_of(app, person.username) is not None, "it takes the password"
        done = log_in(app, person)
        assert done.status_code == 200
        person.token = done.json["access_token"]
        assert person.get("/balance").status_code == 200
    assert factor_of(app, person.username) is None
    with app.app_context():
        assert get_user(person.username).second_factor is None


@pytest.mark.parametrize("how", ["a log-in with a code", "a recovery code", "a proof", "JSON"])
def test_a_reset_is_taken_back_by_who_still_has_it(app: Flask, person: Person, phone: App, how: str) -> None:
    assert reset(app, person.username).exit_code == 0
    with clock.at(steps_later(2)):
        if how == "a log-in with a code":
            assert log_in(app, person, phone.show()).status_code == 200
        elif how == "a recovery code":
            assert log_in(app, person, phone.recovery_codes[0]).status_code == 200
        elif how == "a proof":
            sent = {"current_password": PASSWORD, "code": phone.show()}
            assert person.post("/auth/proof", sent).status_code == 204
        else:
            assert person.delete("/auth/second-factor/reset").status_code == 204
            assert person.delete("/auth/second-factor/reset").status_code == 204
    with clock.at(clock.now() + timedelta(hours=25)):
        problem(log_in(app, person), 401, "code_required")


def test_the_page_takes_a_reset_back(app: Flask, owner: Browser) -> None:
    with clock.at(steps_later(2)):
        browser = Browser(app)
        browser.send(first_step(browser, owner.username).form(), code=phone_of(owner).show())
    reset(app, owner.username)
    page = browser.get("/account/second-factor")
    assert "It will be removed" in page.text
    kept = browser.send(page.form("/account/second-factor/keep"))
    assert "Your second factor stays." in browser.get(kept.location).text
    with clock.at(clock.now() + timedelta(hours=25)):
        first_step(Browser(app), owner.username)


def test_one_that_went_meanwhile_is_told(app: Flask, owner: Browser) -> None:
    """The user was read a moment before it was removed elsewhere."""
    with clock.at(steps_later(2)):
        browser = Browser(app)
        browser.send(first_step(browser, owner.username).form(), code=phone_of(owner).show())
    reset(app, owner.username)
    form = browser.get("/account/second-factor").form("/account/second-factor/keep")
    with app.app_context():
        SecondFactor(*SecondFactor.key(owner.username)).delete()
    for answer in (browser.client.get("/account/second-factor"), browser.client.post(form.action, data=form.values)):
        assert answer.status_code == 409 and "This account has no second factor." in answer.text


def test_an_administrator_resets_for_users_not_for_administrators(
    app: Flask, admin: Person, person: Person, phone: App, new_user: NewPerson
) -> None:
    colleague, nobody = new_user(), new_user()
    enrol(colleague)
    assert app.test_cli_runner().invoke(args=["users", "promote", colleague.username]).exit_code == 0
    path = "/admin/users/{}/second-factor/reset"
    done = admin.post(path.format(person.username))
    assert done.status_code == 202 and usage_of(done) == usage(3, 3, 2 + 2 + 1)
    assert done.json["falls_at"] == person.get("/auth/second-factor").json["falls_at"]
    problem(admin.post(path.format(admin.username)), 409, "own_account")
    problem(admin.post(path.format(colleague.username)), 409, "operator_account")
    problem(admin.post(path.format(nobody.username)), 409, "no_second_factor")
    problem(admin.post(path.format("nobody_at_all")), 404, "user_not_found")
    assert reset(app, colleague.username).exit_code == 0, "the operator can"
    for name, status in ((nobody.username, 1), ("nobody_at_all", 1), ("no#body", 2)):
        assert reset(app, name).exit_code == status


def test_the_page_of_an_administrator_resets(app: Flask, new_browser: NewBrowser, owner: Browser) -> None:
    operator = new_browser().enter(Role.ADMIN)
    assert f"/admin/users/{owner.username}/second-factor" in operator.get(f"/admin/users/{owner.username}").shown.links
    told = operator.done(f"/admin/users/{owner.username}/second-factor")
    assert f"The second factor of {owner.username} falls away" in told.text
    stored = factor_of(app, owner.username)
    assert stored is not None and stored.falls_at is not None
