"""Who may use the administration, and how one becomes an administrator."""

from __future__ import annotations

import re

import pytest

from app.domain.users import Role, UserStatus
from app.models.users import User
from tests.admin.routes import NO_APPROVAL, ROUTES, everything, run
from tests.support.people import problem

PARAMETERS = {"<username>": "{name}", "<asset_id>": "BTC", "<approval_id>": NO_APPROVAL}


def test_every_route_of_the_administration_is_tested(app):
    rules = {
        (method, re.sub("<[a-z_]+>", lambda match: PARAMETERS[match[0]], rule.rule.removeprefix("/api/v1")))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/admin")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert rules == {(method, path.partition("?")[0]) for method, path in ROUTES}


def test_not_for_ordinary_users(person, new_user):
    other = new_user()
    for subject in (other, person):
        for response in everything(person, subject):
            problem(response, 403, "not_admin")
    assert other.balance() == "0.00"


def test_not_for_visitors(person, new_user):
    other = new_user()
    person.token = ""
    for response in everything(person, other):
        problem(response, 401, "not_authenticated")
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert other.balance() == "0.00"


def test_not_for_a_suspended_admin(admin, new_user, app):
    other = new_user()
    personal = admin.post("/auth/tokens", {"name": "ops", "scopes": "read trade"}).json["access_token"]
    boss = new_user()
    run(app, "promote", boss.username)
    boss.log_in()
    assert boss.call("PATCH", f"/admin/users/{admin.username}", json={"status": "suspended"}).status_code == 200
    for response in everything(admin, other):
        problem(response, 401, "not_authenticated")
    admin.token = personal
    for response in everything(admin, other):
        problem(response, 403, "account_suspended")
    assert other.balance() == "0.00"


def test_a_personal_token_never_operates(admin, new_user):
    other = new_user()
    made = admin.post("/auth/tokens", {"name": "report", "scopes": "read trade transfer"})
    admin.token = made.json["access_token"]
    for response in everything(admin, other):
        problem(response, 403, "insufficient_scope")
    assert other.balance() == "0.00"


def test_promote_and_demote(person, app, new_user):
    """From the next log in on, as each ends every session and login token."""
    promoted = run(app, "promote", person.username.upper())
    assert promoted.exit_code == 0 and person.username in promoted.output and "ADMIN" in promoted.output
    problem(person.get("/admin/users?username=abc"), 401, "not_authenticated")
    person.log_in()
    assert person.get("/auth/profile").json["role"] == "admin"
    assert person.get("/admin/users?username=abc").status_code == 200
    personal = person.post("/auth/tokens", {"name": "ops", "scopes": "read trade"}).json["access_token"]
    assert run(app, "demote", person.username).exit_code == 0
    problem(person.get("/admin/users?username=abc"), 401, "not_authenticated")
    person.token = personal
    problem(person.get("/admin/users?username=abc"), 403, "insufficient_scope")
    person.log_in()
    problem(person.get("/admin/users?username=abc"), 403, "not_admin")


@pytest.mark.parametrize("command", ["promote", "demote"])
@pytest.mark.parametrize(
    ("username", "status", "says"),
    [
        ("nobody_here", 1, "no such user"),
        ("no#body", 2, "'no#body' cannot be a username"),
        ("", 2, "'' cannot be a username"),
        ("a@b.com", 2, "'a@b.com' cannot be a username"),
    ],
)
def test_promoting_nobody(app, command, username, status, says):
    result = run(app, command, username)
    assert result.exit_code == status and says in result.output and "Traceback" not in result.output


def test_the_role_and_status_of_a_new_user(app, person):
    with app.app_context():
        user = User.get(*User.key(person.username))
    assert (user.role, user.status) == (Role.CUSTOMER, UserStatus.ACTIVE)
    response = person.call("PUT", "/auth/profile", json={"role": "admin", "status": "active", "first_name": "Eve"})
    assert response.json["user"]["role"] == "customer"
