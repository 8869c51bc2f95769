"""Every act of identity and of an administrator: its route, how it is done, and the events that it must leave."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.domain import clock
from app.domain.mails import MailKind
from tests.security.events.world import AGENT, NEW_PASSWORD, World
from tests.support.authenticator import App, enrol, steps_later
from tests.support.passkeys import Authenticator
from tests.support.people import PASSWORD, registration

SELF, ADMIN, NOBODY, OPERATOR = "self", "admin", "nobody", "command line"
Prepare = Callable[[World], Any]


@dataclass(frozen=True)
class Act:
    """What is sent to a route, or a command; the events that it leaves; who acts, and by what means."""

    route: str
    do: Callable[[World], None]
    events: tuple[str, ...]
    by: str = SELF
    via: str | None = None

    def __str__(self) -> str:
        return f"{self.route}: {' '.join(self.events)}"


def _fill(text: str, world: World, made: Any) -> str:
    """Text with `{...}`, and a path with `<...>`: `<username>` is the person's, another one what was prepared."""
    text = text.replace("<username>", world.name)
    text = re.sub("<.+?>", made if isinstance(made, str) else "{made[0]}", text)
    return text.format(made=made, name=world.name, email=world.person.email, new=f"{world.name}.new@example.com")


def by_json(
    route: str, *events: str, prepare: Prepare | None = None, by: str = SELF, via: str | None = "login", **values: str
) -> Act:
    """`route` is below `/api/v1`; `values` are the body."""
    method, path = route.split()

    def do(world: World) -> None:
        made = prepare(world) if prepare else None
        who = world.admin if by == ADMIN else world.person
        body = {name: _fill(text, world, made) for name, text in values.items()}
        world.begin()
        answer = who.call(method, _fill(path, world, made), **({"json": body} if body else {}))
        assert answer.status_code < 400, answer.text
        for name in ("access_token", "reset_link"):
            if answer.is_json and name in answer.json:
                world.hide(answer.json[name])

    return Act(f"{method} /api/v1{path}", do, events, by, via)


def by_page(
    path: str,
    *events: str,
    at: str | None = None,
    enters: bool = True,
    reviewed: bool = False,
    prepare: Prepare | None = None,
    by: str = SELF,
    via: str | None = "session",
    **values: str,
) -> Act:
    """A form that is sent to `path`, from the page of that path or `at` another one. `values` are filled in.

    Where it is `reviewed`, the page of the form shows what it would do, with another form.
    """

    def do(world: World) -> None:
        made = prepare(world) if prepare else None
        if enters:
            world.enter(world.admin.username if by == ADMIN else None)
        form = world.browser.get(_fill(at or path, world, made)).form(_fill(path, world, made) if at else None)
        filled = {name: _fill(text, world, made) for name, text in values.items()}
        if reviewed:
            form, filled = world.browser.send(form, **filled).form(), {}
        world.begin()
        answer = world.browser.send(form, **filled)
        assert answer.status in (201, 303), answer.text
        with world.browser.client.session_transaction() as cookie:
            world.hide(cookie.get("_user_id", "no session"))

    return Act(f"POST {path}", do, events, by, via)


def both(json_route: str, path: str, *events: str, at: str | None = None, **how: Any) -> list[Act]:
    """The same by JSON and by a form."""
    return [by_json(json_route, *events, **how), by_page(path, *events, at=at, **how)]


def by_command(name: str, *events: str, prepare: Prepare | None = None) -> Act:
    def do(world: World) -> None:
        if prepare:
            prepare(world)
        world.begin()
        done = world.app.test_cli_runner().invoke(args=["users", name, world.name])
        assert done.exit_code == 0, done.output
        # click keeps what a command writes from the test's standard error.
        world.heard += "".join(line for line in done.stderr.splitlines(True) if line.startswith("{"))
        world.secrets += re.findall(r"token=\w+\.(\S+)", done.stdout)

    return Act(f"users {name}", do, events, OPERATOR, "command_line")


def register_by_json(world: World) -> None:
    body = registration()
    world.begin()
    answer = world.person.client.post("/api/v1/auth/register", json=body, headers={"User-Agent": AGENT})
    assert answer.status_code == 201, answer.text
    world.person.username, world.before = body["username"], 0


def register_by_page(world: World) -> None:
    body = registration()
    form = world.browser.get("/register").form()
    world.begin()
    assert world.browser.send(form, **body).status == 303
    world.person.username, world.before = body["username"], 0


def confirm(world: World) -> str:
    world.unconfirm()
    return world.link(MailKind.CONFIRM_EMAIL)


def confirm_another(world: World) -> str:
    return world.link(MailKind.CONFIRM_EMAIL, f"{world.name}.new@example.com")


def reset_link(world: World) -> str:
    return world.link(MailKind.RESET_PASSWORD)


def large(world: World) -> str:
    """An adjustment that one administrator asked for. Another one acts."""
    answer = world.admin.post(f"/admin/users/{world.name}/adjustments", {"amount": "20000", "reason": "gift"})
    world.change_admin()
    return str(answer.json["data"]["approval_id"])


def begin_setup(world: World) -> tuple[str, str]:
    begun = world.person.post("/auth/second-factor").json
    world.secrets.append(begun["secret"])
    return begun["setup"], App(begun["secret"]).show()


def enrolled(world: World) -> list[str]:
    """The recovery codes of the person's new second factor."""
    app = enrol(world.person)
    world.secrets += [app.secret, *app.recovery_codes]
    return app.recovery_codes


def new_passkey(world: World) -> tuple[str, str]:
    """A passkey to add, and a recovery code."""
    [code, *_] = enrolled(world)
    return Authenticator().create(world.person.get("/auth/second-factor/passkeys/new").json["public_key"]), code


def passkey(world: World) -> tuple[str, str]:
    """The id of a passkey, and a recovery code."""
    [first, second, *_] = enrolled(world)
    credential = Authenticator().create(world.person.get("/auth/second-factor/passkeys/new").json["public_key"])
    sent = {"name": "key", "credential": credential, "current_password": PASSWORD, "code": second}
    return world.person.post("/auth/second-factor/passkeys", sent).json["passkey_id"], first


def ask_for_passkey(world: World) -> None:
    passkey(world)
    form = world.browser.log_in(world.name).form("/login/code")
    world.begin()
    assert world.browser.client.post("/login/code/passkey", data=form.values).status_code == 200


def falling(world: World) -> None:
    enrolled(world)
    assert world.app.test_cli_runner().invoke(args=["users", "reset-factor", world.name]).exit_code == 0


def set_up_by_page(world: World) -> None:
    answer = world.enter().get("/account/second-factor")
    form = answer.form("/account/second-factor")
    secret = re.sub(r"\s", "", answer.shown.text_of("secret"))
    world.secrets.append(secret)
    world.begin()
    sent = world.browser.send(form, code=App(secret).show(), current_password=PASSWORD)
    assert sent.status in {201, 303}, sent.text


def log_in_with_code(world: World) -> None:
    """The code is that of the next step, as that of this one is used."""
    app = enrol(world.person)
    form = world.browser.log_in(world.name).form("/login/code")
    world.begin()
    with clock.at(steps_later(1)):
        assert world.browser.send(form, code=app.show()).status == 303


PROOF = {"current_password": PASSWORD}
CODE = {**PROOF, "code": "{made[0]}"}
# With what a passkey is added or removed, in the second place of what is prepared.
SECOND = {**PROOF, "code": "{made[1]}"}
NEW = {"new_password": NEW_PASSWORD}
TOKEN = {"token": "{made}"}
LINK = {"by": NOBODY, "via": "link"}
PHONE = {"phone": "+442079460123", **PROOF}
USED = "recovery_code_used"
FACTOR, PAGE = "/auth/second-factor", "/account/second-factor"
USER = "/admin/users/<username>"
APPROVAL = "/admin/approvals/<approval_id>"

ACTS = [
    Act("POST /api/v1/auth/register", register_by_json, ("registered",), NOBODY),
    Act("POST /register", register_by_page, ("registered",), NOBODY),
    by_json("POST /auth/login", "log_in", username="{name}", password=PASSWORD),
    by_json("POST /auth/login", "log_in", username="{email}", password=PASSWORD),
    by_page("/login", "log_in", enters=False, username="{name}", password=PASSWORD),
    Act("POST /login/code", log_in_with_code, ("log_in",), via="session"),
    *both("POST /auth/logout", "/logout", "logged_out", at="/dashboard"),
    *both("PUT /auth/profile", "/account", "profile_changed", **PHONE),
    by_json("PUT /auth/profile", first_name="Ann"),
    by_page("/account"),
    by_json("PUT /auth/profile", "email_changed", email="{new}", **PROOF),
    by_page("/account", "email_changed", "profile_changed", email="{new}", first_name="Bea", **PROOF),
    by_json("POST /auth/email/confirm", "email_confirmed", prepare=confirm, **LINK, **TOKEN),
    by_json("POST /auth/email/confirm", "email_changed", prepare=confirm_another, **LINK, **TOKEN),
    *(
        by_page(
            "/confirm-email",
            "email_confirmed",
            at="/confirm-email?token={made}",
            enters=enters,
            prepare=confirm,
            **LINK,
        )
        for enters in (False, True)
    ),
    by_json("POST /auth/password/reset", "password_reset", prepare=reset_link, **LINK, **TOKEN, **NEW),
    by_page(
        "/reset-password",
        "password_reset",
        at="/reset-password?token={made}",
        enters=False,
        prepare=reset_link,
        **LINK,
        **NEW,
    ),
    *both("POST /auth/password", "/account/password", "password_changed", **PROOF, **NEW),
    *both("DELETE /auth/sessions/<token_id>", "/account/sessions/<token_id>", "session_ended", prepare=World.session),
    *both("DELETE /auth/sessions", "/account/sessions", "sessions_ended"),
    *both("POST /auth/tokens", "/account/tokens", "token_made", name="script"),
    *both("DELETE /auth/tokens/<token_id>", "/account/tokens/<token_id>", "token_ended", prepare=World.token),
    by_json("POST /auth/proof", **PROOF),
    # The second factor
    by_json(f"POST {FACTOR}"),
    by_json(f"POST {FACTOR}/confirm", "second_factor_added", prepare=begin_setup, setup="{made[0]}", **SECOND),
    Act(f"POST {PAGE}", set_up_by_page, ("second_factor_added",), via="session"),
    *both(f"POST {FACTOR}/remove", f"{PAGE}/remove", USED, "second_factor_removed", prepare=enrolled, **CODE),
    *both(f"POST {FACTOR}/recovery-codes", f"{PAGE}/codes", USED, "recovery_codes_made", prepare=enrolled, **CODE),
    by_json("POST /auth/login/passkey", prepare=passkey, username="{name}", password=PASSWORD),
    Act("POST /login/code/passkey", ask_for_passkey, ()),
    *both(
        f"POST {FACTOR}/passkeys",
        f"{PAGE}/passkeys/new",
        "passkey_added",
        USED,
        prepare=new_passkey,
        name="key",
        credential="{made[0]}",
        **SECOND,
    ),
    *both(
        f"POST {FACTOR}/passkeys/<passkey_id>/remove",
        f"{PAGE}/passkeys/<passkey_id>/remove",
        "passkey_removed",
        USED,
        prepare=passkey,
        **SECOND,
    ),
    *both(
        f"POST {USER}/second-factor/reset", f"{USER}/second-factor", "second_factor_reset", prepare=enrolled, by=ADMIN
    ),
    by_command("reset-factor", "second_factor_reset", prepare=enrolled),
    *both(f"DELETE {FACTOR}/reset", f"{PAGE}/keep", "second_factor_kept", at=PAGE, prepare=falling),
    # Leaving
    *both("POST /account/close", "/account/close", "account_closed", **PROOF),
    # Administration
    by_json(f"PATCH {USER}", "suspended", by=ADMIN, status="suspended"),
    by_json(f"PATCH {USER}", "reinstated", by=ADMIN, status="active", prepare=World.suspend),
    by_page(f"{USER}/status", "suspended", by=ADMIN),
    by_page(f"{USER}/status", "reinstated", by=ADMIN, prepare=World.suspend),
    by_json(f"POST {USER}/adjustments", "adjusted", by=ADMIN, amount="5", reason="gift"),
    by_page(f"{USER}/adjustment", "adjusted", by=ADMIN, reviewed=True, amount="5", reason="gift"),
    *both(f"DELETE {USER}/sessions", f"{USER}/sessions", "sessions_ended", by=ADMIN),
    *both(f"POST {APPROVAL}/approve", f"{APPROVAL}/approve", "adjusted", at=APPROVAL, by=ADMIN, prepare=large),
    *both(f"POST {USER}/reset-link", f"{USER}/reset-link", "reset_link_made", by=ADMIN),
    by_command("reset-link", "reset_link_made"),
    by_command("promote", "promoted"),
    by_command("demote", "demoted"),
]
"""What is done to an account: a line and an item for each event."""

LINE_ALONE = [
    by_json("POST /auth/password/forgot", "reset_link_made", by=NOBODY, via=None, email="{email}"),
    by_page("/forgot-password", "reset_link_made", enters=False, by=NOBODY, via=None, email="{email}"),
    *both("POST /auth/email/link", "/account/email/link", at="/account", prepare=World.unconfirm),
    by_json(f"POST {USER}/adjustments", "adjusted", by=ADMIN, amount="20000", reason="gift"),
    *both(f"POST {APPROVAL}/reject", f"{APPROVAL}/reject", "adjusted", at=APPROVAL, by=ADMIN, prepare=large),
]
"""What is mailed, waits or is rejected, where mail is sent: nothing is done to the account, so no item."""
