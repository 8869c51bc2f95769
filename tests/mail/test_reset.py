"""A forgotten password: a link that works once, and an answer that tells nobody who has an account."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.domain import clock
from app.domain.mails import RESET_LIFETIME, MailKind
from app.domain.users import Role, UserStatus
from app.models import users
from tests.support.applications import LIMITS
from tests.support.mail import SITE, deliver_all, link_in, queued, read_files, token_to
from tests.support.page_client import Browser
from tests.support.people import PASSWORD, Person, caller, fields_named, problem, registration
from tests.support.people import register as register_person
from tests.support.usage import AUTHENTICATION, usage, usage_of

NEW = "nine yellow saucers"
RESET = MailKind.RESET_PASSWORD


@pytest.fixture
def person(mail_app, quiet_app) -> Person:
    person = register_person(quiet_app)
    person.client = caller(mail_app)
    return person


def forget(app, email, client=None):
    return (client or caller(app)).post("/api/v1/auth/password/forgot", json={"email": email})


def reset(app, token, password=NEW):
    return caller(app).post("/api/v1/auth/password/reset", json={"token": token, "new_password": password})


def log_in(app, name, password=PASSWORD):
    return caller(app).post("/api/v1/auth/login", json={"username": name, "password": password}).status_code


def link_of(app, person):
    assert forget(app, person.email).status_code == 202
    return token_to(app, person.username, RESET)


def test_the_whole_way_by_mail_and_page(mail_app, mail_folder, person):
    inside = Browser(mail_app)
    inside.log_in(person.username)
    browser = Browser(mail_app)
    asked = browser.get(browser.get("/login").shown.links[-2])
    answer = browser.send(asked.form(), email=person.email.upper())
    assert "a mail with a link is on its way" in browser.get(answer.location).text
    deliver_all(mail_app)
    [mail] = [mail for mail in read_files(mail_folder) if mail["To"] == person.email]
    link = link_in(mail)
    for _ in range(2):
        browser.get(link)
    assert person.get("/balance").status_code == 200, "looking uses nothing up"
    refused = browser.send(browser.get(link).form(), new_password="too short")
    assert "12 to 128" in refused.error_of("new_password") and refused.form().values["token"]
    done = browser.send(refused.form(), new_password=NEW)
    assert (done.status, done.location) == (303, "/login")
    after = browser.get("/login")
    assert "Your password is changed" in after.text and "Log out" not in after.text, "no session begins"
    assert (log_in(mail_app, person.username), log_in(mail_app, person.username, NEW)) == (401, 200)
    assert inside.get("/dashboard", 303).location.startswith("/login")
    problem(person.get("/balance"), 401, "not_authenticated")
    assert "not valid any more" in browser.get(link, 422).text
    told = queued(mail_app, person.username)[-1]
    assert (told.kind, told.recipient) == (MailKind.PASSWORD_RESET, person.email)


def test_by_json(mail_app, person):
    token = link_of(mail_app, person)
    answer = reset(mail_app, token)
    assert (answer.status_code, answer.data) == (204, b"") and "Set-Cookie" not in answer.headers
    assert (log_in(mail_app, person.username), log_in(mail_app, person.username, NEW)) == (401, 200)
    problem(reset(mail_app, token, "ten green bottles"), 422, "link_invalid")


def test_a_refused_password_does_not_use_the_link_up(mail_app, person):
    token = link_of(mail_app, person)
    for bad in (f"my {person.username} word", "short", "qwerty123456"):
        assert fields_named(problem(reset(mail_app, token, bad), 422, "invalid_input")) == ["new_password"]
    assert reset(mail_app, token).status_code == 204


def test_one_link_used_at_once_counts_once(mail_app, person):
    token = link_of(mail_app, person)
    passwords = [f"{NEW} {number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda password: reset(mail_app, token, password), passwords))
    # Too many hashes at once are refused as busy, and those links were not used.
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(204) == 1 and set(statuses) <= {204, 422, 503}
    [right] = [password for password in passwords if log_in(mail_app, person.username, password) == 200]
    assert right == passwords[statuses.index(204)]


def test_a_link_works_for_half_an_hour(mail_app, person):
    now = clock.now()
    with clock.at(now):
        token = link_of(mail_app, person)
    with clock.at(now + RESET_LIFETIME):
        problem(reset(mail_app, token), 422, "link_invalid")
        assert "not valid any more" in Browser(mail_app).get(f"/reset-password?token={token}", 422).text
    with clock.at(now + RESET_LIFETIME - timedelta(microseconds=1)):
        assert reset(mail_app, token).status_code == 204


def change_password(app, person):
    return person.post("/auth/password", {"current_password": PASSWORD, "new_password": "ten green bottles"})


def log_out_everywhere(app, person):
    with app.app_context():
        users.end_sessions(person.username, now=clock.now())


def suspend_and_reinstate(app, person):
    with app.app_context():
        for status in (UserStatus.SUSPENDED, UserStatus.ACTIVE):
            users.set_status(person.username, status, now=clock.now())


def take_another_address(app, person):
    person.client = caller(app)
    assert (
        person.call(
            "PUT", "/auth/profile", json={"email": f"x{person.email}", "current_password": PASSWORD}
        ).status_code
        == 200
    )
    token = token_to(app, person.username, MailKind.CONFIRM_EMAIL)
    assert caller(app).post("/api/v1/auth/email/confirm", json={"token": token}).status_code == 204


def ask_again(app, person):
    assert forget(app, person.email).status_code == 202


@pytest.mark.parametrize(
    "act", [change_password, log_out_everywhere, suspend_and_reinstate, take_another_address, ask_again]
)
def test_what_ends_a_link(mail_app, person, act):
    token = link_of(mail_app, person)
    act(mail_app, person)
    problem(reset(mail_app, token), 422, "link_invalid")


GUESSES = ["", "x", ".", "ann.", "ann.x", f"ann.{'A' * 43}", "DECOY#0.x", "é", "\0"]


@pytest.mark.parametrize("token", GUESSES)
def test_a_guess_costs_no_hash_and_at_most_a_look(mail_app, token):
    answer = reset(mail_app, token)
    problem(answer, 422, "link_invalid")
    assert usage_of(answer) in (usage(0, 0, 0), usage(1, 2, 0))


def unconfirmed(mail_app):
    body = registration()
    assert caller(mail_app).post("/api/v1/auth/register", json=body).status_code == 201
    return body["email"]


def suspended(mail_app, person):
    with mail_app.app_context():
        users.set_status(person.username, UserStatus.SUSPENDED, now=clock.now())
    return person.email


def strip(response):
    kept = {name: value for name, value in response.headers if name not in {"Server-Timing", "X-Request-ID", "Date"}}
    return response.status_code, response.json, kept


def test_nothing_tells_whether_an_address_is_known(mail_app, person, quiet_app):
    """The same answer, as many calls, and the same units."""
    other = register_person(quiet_app)
    emails = {
        "known": person.email,
        "unknown": f"x{person.email}"[: len(person.email)],
        "unconfirmed": unconfirmed(mail_app),
        "suspended": suspended(mail_app, other),
    }
    answers = {name: forget(mail_app, email) for name, email in emails.items()}
    assert {usage_of(answer) for answer in answers.values()} == {usage(5, 2, 2 + 4)}
    assert len({repr(strip(answer)) for answer in answers.values()}) == 1
    for answer in answers.values():
        assert "db;" not in answer.headers["Server-Timing"]
    mails = queued(mail_app)
    last = {name: [mail.kind for mail in mails if mail.recipient == email][-1] for name, email in emails.items()}
    assert last == {"known": RESET, "unknown": "decoy", "unconfirmed": "decoy", "suspended": "decoy"}
    deliver_all(mail_app)
    assert not [mail for mail in queued(mail_app) if mail.kind == "decoy"]


def test_a_decoy_belongs_to_nobody(mail_app):
    email = "nobody.at.all@example.com"
    forget(mail_app, email)
    [decoy] = [mail for mail in queued(mail_app) if mail.recipient == email]
    problem(reset(mail_app, decoy.values["token"]), 422, "link_invalid")


def test_costs_are_not_told_where_they_would_tell_of_an_account(mail_app, person):
    client = caller(mail_app)
    known = client.post("/api/v1/auth/login", json={"username": person.email, "password": "wrong"})
    unknown = client.post("/api/v1/auth/login", json={"username": f"x{person.email}", "password": "wrong"})
    browser = Browser(mail_app)
    pages = [browser.log_in(name, "wrong").response for name in (person.email, f"x{person.email}")]
    for one, other in ((known, unknown), tuple(pages)):
        assert usage_of(one) == usage_of(other)
        assert all("db;" not in each.headers["Server-Timing"] for each in (one, other))
    assert "db;" not in client.post("/api/v1/auth/register", json=registration()).headers["Server-Timing"]
    assert "db;" not in reset(mail_app, "x").headers["Server-Timing"]
    assert "db;" in client.get("/api/v1/inventory/assets").headers["Server-Timing"]


def test_the_limits(mail_app, person):
    for _ in range(LIMITS.reset_mails_per_hour):
        assert forget(mail_app, person.email).status_code == 202
    refused = forget(mail_app, person.email)
    problem(refused, 429, "too_many_requests")
    assert int(refused.headers["Retry-After"]) <= 3600
    client = caller(mail_app)
    statuses = [
        forget(mail_app, f"nobody{number}@example.com", client).status_code
        for number in range(LIMITS.reset_mails_per_address + 1)
    ]
    assert statuses == [202] * LIMITS.reset_mails_per_address + [429]


def test_the_limit_is_the_same_for_an_unknown_address(mail_app):
    statuses = [
        forget(mail_app, "unknown.limit@example.com").status_code for _ in range(LIMITS.reset_mails_per_hour + 1)
    ]
    assert statuses == [202] * LIMITS.reset_mails_per_hour + [429]


def test_where_mail_is_off(app, person):
    problem(forget(app, person.email), 409, "mail_off")
    browser = Browser(app)
    page = browser.get("/forgot-password")
    assert "sends no mail" in page.text and not [form for form in page.shown.forms if form.method == "post"]


def test_a_changed_password_is_told_by_mail(mail_app, person):
    change_password(mail_app, person)
    [told] = [mail for mail in queued(mail_app, person.username) if mail.kind == MailKind.PASSWORD_CHANGED]
    assert told.recipient == person.email


def test_a_link_from_the_command_line(quiet_app, mail_app, person):
    """Also where no mail is sent; the last of several counts."""
    for application in (quiet_app, mail_app):
        printed = application.test_cli_runner().invoke(args=["users", "reset-link", person.username.upper()])
        assert printed.exit_code == 0, printed.output
    site, _, token = printed.stdout.strip().partition("/reset-password?token=")
    assert site == SITE
    assert [mail.kind for mail in queued(mail_app, person.username)] == [], "it is handed out, not mailed"
    assert reset(mail_app, token).status_code == 204
    assert application.test_cli_runner().invoke(args=["users", "reset-link", "nobody_here"]).exit_code == 1


@pytest.fixture
def admin(mail_app, quiet_app):
    admin = register_person(quiet_app)
    with mail_app.app_context():
        users.set_role(admin.username, Role.ADMIN, now=clock.now())
    admin.client = caller(mail_app)
    admin.log_in()
    return admin


def test_a_link_from_an_admin(mail_app, person, admin, capsys):
    made = admin.post(f"/admin/users/{person.username}/reset-link")
    assert made.status_code == 201 and set(made.json) == {"reset_link", "expires_at"}
    line = next(line for line in capsys.readouterr().err.splitlines() if "reset_link_made" in line)
    assert f'"actor":"{admin.username}","subject":"{person.username}"' in line
    token = made.json["reset_link"].partition("=")[2]
    assert token not in line
    assert reset(mail_app, token).status_code == 204
    problem(admin.post("/admin/users/nobody_here/reset-link"), 404, "user_not_found")
    problem(person.post(f"/admin/users/{person.username}/reset-link"), 401, "not_authenticated")


def test_an_admin_makes_no_link_for_an_admin(mail_app, quiet_app, admin):
    other = register_person(quiet_app)
    with mail_app.app_context():
        users.set_role(other.username, Role.ADMIN, now=clock.now())
    for name in (other.username, admin.username):
        problem(admin.post(f"/admin/users/{name}/reset-link"), 409, "operator_account")
    browser = Browser(mail_app)
    browser.log_in(admin.username)
    assert f"/admin/users/{other.username}/reset-link" not in browser.get(f"/admin/users/{other.username}").shown.links
    refused = browser.submit(f"/admin/users/{other.username}/reset-link")
    assert refused.status == 409 and "administrator's account" in refused.text


def test_a_link_for_a_user_who_became_an_admin_since_is_none(mail_app, person, admin):
    token = admin.post(f"/admin/users/{person.username}/reset-link").json["reset_link"].partition("=")[2]
    with mail_app.app_context():
        users.set_role(person.username, Role.ADMIN, now=clock.now())
    problem(reset(mail_app, token), 422, "link_invalid")


def test_an_admin_makes_a_link_by_page(mail_app, person, admin):
    browser = Browser(mail_app)
    browser.log_in(admin.username)
    path = f"/admin/users/{person.username}/reset-link"
    assert path in browser.get(f"/admin/users/{person.username}").shown.links
    made = browser.submit(path)
    assert made.status == 201
    link = made.shown.text_of("secret")
    assert link.startswith(f"{SITE}/reset-password?token={person.username}.")
    assert Browser(mail_app).send(Browser(mail_app).get(link.removeprefix(SITE)).form()).status in {303, 400, 422}


def test_what_a_new_password_costs(app, mail_app, person, new_user):
    answer = reset(mail_app, link_of(mail_app, person))
    assert usage_of(answer) == usage(2, 2, 2 + 2 + 2 + 2)
    person.client = caller(mail_app)
    person.token = person.client.post("/api/v1/auth/login", json={"username": person.username, "password": NEW}).json[
        "access_token"
    ]
    change = {"current_password": NEW, "new_password": PASSWORD}
    assert usage_of(person.post("/auth/password", change)) - AUTHENTICATION == usage(3, 7, 2 + 2 + 2)
    assert usage_of(change_password(app, new_user())) - AUTHENTICATION == usage(3, 7, 2 + 2), "without mail"


def test_an_epoch_that_another_change_has_raised_is_raised_again(mail_app, person):
    """A thief who logs out everywhere while a new password is being set keeps nothing."""
    with mail_app.app_context():
        user = users.get_user(person.username)
        users.end_sessions(person.username, now=clock.now())
        assert users.set_password(user, "a hash", now=clock.now())
        assert users.get_user(person.username).session_epoch == 2
