"""An e-mail address counts when its owner has opened a link; until then it is kept for a day, and no longer."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.domain import clock
from app.domain.mails import CONFIRM_LIFETIME, MailKind
from app.models.users import UNCONFIRMED_CLAIM_HOLDS, EmailClaim, User
from tests.mail.conftest import TABLES
from tests.support.mail import deliver_all, link_in, queued, read_files, token_to
from tests.support.page_client import Browser
from tests.support.people import PASSWORD, Person, caller, problem, registration
from tests.support.people import register as register_person
from tests.support.usage import AUTHENTICATION, usage, usage_of

CONFIRM = MailKind.CONFIRM_EMAIL


def register(app, **fields):
    """A body that was registered."""
    body = registration(**fields)
    response = caller(app).post("/api/v1/auth/register", json=body)
    assert response.status_code == 201, response.text
    return body


def confirm(app, token):
    return caller(app).post("/api/v1/auth/email/confirm", json={"token": token})


def user_of(app, username):
    with app.app_context():
        return User.get(*User.key(username))


def claim_of(app, email):
    with app.app_context():
        return EmailClaim.find(EmailClaim.key(email))


def log_in(app, name):
    return caller(app).post("/api/v1/auth/login", json={"username": name, "password": PASSWORD})


@pytest.fixture
def person(mail_app):
    """Somebody whose address counts."""
    return register_person(mail_app)


def newcomer(app):
    """Somebody who is logged in, and whose address waits to be confirmed."""
    body = register(app)
    person = Person(caller(app), body["username"], body["email"])
    person.log_in()
    return person


def change(person, email, **more):
    return person.call("PUT", "/auth/profile", json={"email": email, "current_password": PASSWORD, **more})


def test_registering_mails_a_link_that_confirms(mail_app, mail_folder):
    body = register(mail_app)
    name, email = body["username"], body["email"]
    assert not user_of(mail_app, name).has_confirmed_email and claim_of(mail_app, email).unconfirmed_since
    deliver_all(mail_app)
    [mail] = [mail for mail in read_files(mail_folder) if mail["To"] == email]
    assert mail["Subject"] == "Order Processor: Confirm your e-mail address" and name in mail.get_content()
    link = link_in(mail)
    assert link.startswith(f"/confirm-email?token={name}.")
    browser = Browser(mail_app)
    for _ in range(2):
        assert "you confirm that the address is yours" in browser.get(link).text, "looking uses nothing up"
    assert not user_of(mail_app, name).has_confirmed_email
    done = browser.send(browser.get(link).form())
    assert (done.status, done.location) == (303, "/login")
    assert f"confirmed. It is that of the account {name}." in browser.get(done.location).text
    assert user_of(mail_app, name).has_confirmed_email and claim_of(mail_app, email).unconfirmed_since is None
    again = browser.get(link, 422)
    assert "not valid any more" in again.text and not [form for form in again.shown.forms if form.method == "post"]
    problem(confirm(mail_app, link.partition("=")[2]), 422, "link_invalid")


def test_the_link_of_a_mail_is_the_only_place_of_its_secret(mail_app, store):
    body = register(mail_app)
    secret = token_to(mail_app, body["username"], CONFIRM).partition(".")[2]
    assert len(secret) == 43
    found = [row for row in store.scan(TableName=TABLES["users"])["Items"] if secret in str(row)]
    assert [row["entity_type"]["S"] for row in found] == ["MAIL"]


def test_where_mail_is_off_an_address_counts_at_once(app):
    body = register(app)
    assert user_of(app, body["username"]).has_confirmed_email and claim_of(app, body["email"]).unconfirmed_since is None


def test_an_older_account_counts_as_confirmed(quiet_app, mail_app):
    """Of an address that was registered before mail was set up, nobody can say that it is wrong."""
    body = register(quiet_app)
    assert user_of(mail_app, body["username"]).has_confirmed_email
    assert caller(mail_app).post("/api/v1/auth/password/forgot", json={"email": body["email"]}).status_code == 202
    assert [mail.kind for mail in queued(mail_app, body["username"])] == [MailKind.RESET_PASSWORD]


def test_logging_in_takes_an_address_before_it_is_confirmed(mail_app):
    """Who claims it has to know the password too; nothing is mailed there."""
    body = register(mail_app)
    assert log_in(mail_app, body["email"]).status_code == 200


INVALID = {
    "nothing": lambda token: "",
    "no token": lambda token: "no token",
    "another secret": lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
    "no secret": lambda token: token.partition(".")[0],
    "too long": lambda token: token + "A",
    "another user": lambda token: f"somebody.{token.partition('.')[2]}",
    "a user in capitals": lambda token: token.upper(),
    "a line break": lambda token: token + "\n",
    "text of any letters": lambda token: "é.\ud800",
}


@pytest.mark.parametrize("change_token", INVALID.values(), ids=INVALID.keys())
def test_a_link_that_is_none_confirms_nothing(mail_app, change_token: Callable[[str], str]):
    body = register(mail_app)
    token = token_to(mail_app, body["username"], CONFIRM)
    problem(confirm(mail_app, change_token(token)), 422, "link_invalid")
    assert not user_of(mail_app, body["username"]).has_confirmed_email
    assert confirm(mail_app, token).status_code == 204


def test_a_link_of_one_kind_is_none_of_the_other(mail_app, person):
    body = register(mail_app)
    token = token_to(mail_app, body["username"], CONFIRM)
    answer = caller(mail_app).post(
        "/api/v1/auth/password/reset", json={"token": token, "new_password": "nine yellow saucers"}
    )
    problem(answer, 422, "link_invalid")
    assert log_in(mail_app, body["username"]).status_code == 200


def test_a_link_works_for_a_day(mail_app):
    now = clock.now()
    with clock.at(now):
        first, second = register(mail_app), register(mail_app)
    tokens = [token_to(mail_app, body["username"], CONFIRM) for body in (first, second)]
    with clock.at(now + CONFIRM_LIFETIME):
        problem(confirm(mail_app, tokens[0]), 422, "link_invalid")
    with clock.at(now + CONFIRM_LIFETIME - timedelta(microseconds=1)):
        assert confirm(mail_app, tokens[1]).status_code == 204


def test_a_newer_link_replaces_an_older_one(mail_app):
    person = newcomer(mail_app)
    old = token_to(mail_app, person.username, CONFIRM)
    assert person.post("/auth/email/link").status_code == 202
    new = token_to(mail_app, person.username, CONFIRM)
    problem(confirm(mail_app, old), 422, "link_invalid")
    assert confirm(mail_app, new).status_code == 204
    assert person.post("/auth/email/link").status_code == 202
    assert token_to(mail_app, person.username, CONFIRM) == new, "nothing waits any more, so nothing was mailed"


def test_a_new_address_counts_when_it_is_confirmed_and_the_old_one_is_told(mail_app, person):
    new = f"new.{person.email}"
    answer = change(person, new, first_name="Bea")
    assert answer.status_code == 200
    assert (answer.json["user"]["email"], answer.json["user"]["first_name"]) == (person.email, "Bea")
    assert "when it is confirmed" in answer.json["message"]
    asked = queued(mail_app, person.username)[-2:]
    assert {(mail.kind, mail.recipient) for mail in asked} == {
        (CONFIRM, new),
        (MailKind.EMAIL_CHANGE_ASKED, person.email),
    }
    assert claim_of(mail_app, new) is None
    assert confirm(mail_app, token_to(mail_app, person.username, CONFIRM)).status_code == 204
    assert person.get("/auth/profile").json["email"] == new
    assert claim_of(mail_app, new).username == person.username and claim_of(mail_app, person.email) is None
    told = queued(mail_app, person.username)[-1]
    assert (told.kind, told.recipient, told.values["new_address"]) == (MailKind.EMAIL_CHANGED, person.email, new)


def test_a_taken_address_is_refused_at_once(mail_app, person):
    body = register(mail_app)
    problem(change(person, body["email"]), 409, "email_taken")
    assert not queued(mail_app, person.username)


def test_a_new_password_ends_a_change_that_a_thief_began(mail_app, person):
    change(person, f"thief.{person.email}")
    token = token_to(mail_app, person.username, CONFIRM)
    assert (
        person.post("/auth/password", {"current_password": PASSWORD, "new_password": "nine yellow saucers"}).status_code
        == 204
    )
    problem(confirm(mail_app, token), 422, "link_invalid")
    assert user_of(mail_app, person.username).email == person.email


def test_an_address_that_nobody_confirmed_is_told_nothing(mail_app):
    """It may be a stranger's."""
    person = newcomer(mail_app)
    assert change(person, f"x{person.email}").status_code == 200
    assert [mail.kind for mail in queued(mail_app, person.username)] == [CONFIRM, CONFIRM]


def test_of_two_who_confirm_one_address_one_wins(mail_app):
    for round_ in range(3):
        people = [register_person(mail_app) for _ in range(2)]
        wanted = f"wanted{round_}.{people[0].email}"
        for each in people:
            assert change(each, wanted).status_code == 200
        tokens = [token_to(mail_app, each.username, CONFIRM) for each in people]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda token: confirm(mail_app, token), tokens))
        assert sorted(answer.status_code for answer in answers) == [204, 409]
        winner, loser = sorted(people, key=lambda each: user_of(mail_app, each.username).email != wanted)
        assert claim_of(mail_app, wanted).username == winner.username
        assert user_of(mail_app, loser.username).email == loser.email
        assert claim_of(mail_app, loser.email).username == loser.username
        assert claim_of(mail_app, winner.email) is None


def test_one_link_used_twice_at_once_confirms_once(mail_app):
    body = register(mail_app)
    token = token_to(mail_app, body["username"], CONFIRM)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: confirm(mail_app, token), range(4)))
    assert sorted(answer.status_code for answer in answers) == [204, 422, 422, 422]


def test_an_address_that_a_stranger_registered_falls_to_who_confirms_it(mail_app):
    now = clock.now()
    with clock.at(now):
        stranger = register(mail_app)
    email = stranger["email"]
    body = registration(email=email)
    with clock.at(now + UNCONFIRMED_CLAIM_HOLDS - timedelta(seconds=1)):
        problem(caller(mail_app).post("/api/v1/auth/register", json=body), 409, "email_taken")
    with clock.at(now + UNCONFIRMED_CLAIM_HOLDS):
        owner = register(mail_app, **body)
        assert claim_of(mail_app, email).username == stranger["username"], "not by registering"
        another = register(mail_app, email=email)
        assert confirm(mail_app, token_to(mail_app, owner["username"], CONFIRM)).status_code == 204
        assert claim_of(mail_app, email).username == owner["username"]
        problem(confirm(mail_app, token_to(mail_app, another["username"], CONFIRM)), 409, "email_taken")
        problem(caller(mail_app).post("/api/v1/auth/register", json=registration(email=email)), 409, "email_taken")
    assert user_of(mail_app, owner["username"]).has_confirmed_email
    assert log_in(mail_app, email).json["user"]["username"] == owner["username"]
    assert log_in(mail_app, stranger["username"]).status_code == 200


def test_who_lost_an_address_may_take_another(mail_app):
    loser = newcomer(mail_app)
    later = user_of(mail_app, loser.username).email_unconfirmed_since + UNCONFIRMED_CLAIM_HOLDS
    with clock.at(later):
        owner = register(mail_app, email=loser.email)
        confirm(mail_app, token_to(mail_app, owner["username"], CONFIRM))
    assert change(loser, f"x{loser.email}").status_code == 200
    assert confirm(mail_app, token_to(mail_app, loser.username, CONFIRM)).status_code == 204
    assert claim_of(mail_app, f"x{loser.email}").username == loser.username
    assert claim_of(mail_app, loser.email).username == owner["username"]


def test_a_lost_address_can_be_left_where_mail_is_off_by_now(quiet_app, mail_app):
    loser = newcomer(mail_app)
    later = user_of(mail_app, loser.username).email_unconfirmed_since + UNCONFIRMED_CLAIM_HOLDS
    with clock.at(later):
        owner = register(mail_app, email=loser.email)
        confirm(mail_app, token_to(mail_app, owner["username"], CONFIRM))
    loser.client = caller(quiet_app)
    answer = change(loser, f"y{loser.email}")
    assert answer.status_code == 200 and answer.json["user"]["email"] == f"y{loser.email}"
    assert user_of(mail_app, loser.username).has_confirmed_email
    assert claim_of(mail_app, loser.email).username == owner["username"]


def test_links_to_confirm_are_limited(mail_app, person):
    """They go to any address that is typed."""
    for number in range(5):
        assert change(person, f"n{number}.{person.email}").status_code == 200
    problem(change(person, f"n6.{person.email}"), 429, "too_many_requests")
    problem(person.post("/auth/email/link"), 429, "too_many_requests")
    assert person.call("PUT", "/auth/profile", json={"email": person.email, "first_name": "Bo"}).status_code == 200


def test_the_profile_says_what_waits(mail_app):
    browser = Browser(mail_app)
    body = registration()
    welcome = browser.done("/register", **body)
    assert f"Open the link in the mail to {body['email']}" in welcome.text and "MAIL_FOLDER" in welcome.text
    assert f"{body['email']} is not confirmed" in browser.get("/account").text
    before = len(queued(mail_app, body["username"]))
    again = browser.send(browser.get("/account").form("/account/email/link"))
    assert "A new link is on its way" in browser.get(again.location).text
    assert len(queued(mail_app, body["username"])) == before + 1
    link = f"/confirm-email?token={token_to(mail_app, body['username'], CONFIRM)}"
    done = browser.send(browser.get(link).form())
    assert done.location == "/account" and "not confirmed" not in browser.get("/account").text
    form = browser.get("/account").form()
    saved = browser.send(form, email=f"z{body['email']}", current_password=PASSWORD)
    assert "counts when you open the link" in (page := browser.get(saved.location)).text
    assert f"Until then, {body['email']} stays the address of this account" in page.text
    assert form.values["email"] == body["email"]


def test_no_cookie_has_an_address_or_a_name(mail_app):
    """The messages of these pages, on their way to the next one."""
    browser = Browser(mail_app)
    body = registration(first_name="Philippa")

    def told(sent, words):
        with browser.client.session_transaction() as session:
            assert session["_flashes"] and not re.search("@|%40|Philippa", str(dict(session)))
        assert words in browser.get(sent.location).text

    welcome = f"Welcome, Philippa. Your account is open. Open the link in the mail to {body['email']}"
    told(browser.submit("/register", **body), welcome)
    told(
        browser.send(browser.get("/account").form("/account/email/link")),
        "A new link is on its way to the address below",
    )
    link = f"/confirm-email?token={token_to(mail_app, body['username'], CONFIRM)}"
    told(browser.send(browser.get(link).form()), "Your e-mail address is confirmed.")
    changed = browser.submit("/account", email=f"z{body['email']}", current_password=body["password"])
    told(changed, "The new address counts when you open the link")


def test_where_mail_is_off_there_is_nothing_to_send(person, app):
    other = register_person(app)
    problem(other.post("/auth/email/link"), 409, "mail_off")
    browser = Browser(app).enter()
    assert "not confirmed" not in browser.get("/account").text


def test_what_it_costs(mail_app, person):
    body = registration()
    assert usage_of(caller(mail_app).post("/api/v1/auth/register", json=body)) == usage(2, 2, 12 + 2)
    asked = change(person, f"new.{person.email}")
    assert usage_of(asked) - AUTHENTICATION == usage(7, 9, 1 + 1 + 4 + 4 + 2)
    first = confirm(mail_app, token_to(mail_app, body["username"], CONFIRM))
    assert usage_of(first) == usage(3, 3, 2 + 2 + 2 + 2)
    confirmed = confirm(mail_app, token_to(mail_app, person.username, CONFIRM))
    assert usage_of(confirmed) == usage(3, 4, 2 + 2 + 2 + 2 + 4 + 2)


def test_no_new_item_is_a_user_in_the_index(mail_app, store):
    register(mail_app)
    rows = store.scan(TableName=TABLES["users"])["Items"]
    kinds = {row["entity_type"]["S"] for row in rows if "email" in row}
    assert kinds == {"USER"} and {"MAIL", "PROOF"} <= {row["entity_type"]["S"] for row in rows}
