"""Someone who acts, by JSON and at a browser, and what the log and the tables have of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import Flask

from app.domain import clock
from app.domain.mails import MailKind
from app.domain.users import Role, UserStatus
from app.models.proofs import new_proof
from app.models.users import get_user, set_role, set_status
from app.services.tokens import NewToken, Origin, begin_session, create_personal_token, issue_login_token
from tests.support.applications import tables_named
from tests.support.books import query
from tests.support.page_client import Browser
from tests.support.people import PASSWORD, Person, register

TABLES = tables_named("events")
AGENT = "Browser of a test/1.0 (secretly-named)"
NEW_PASSWORD = "nine yellow saucers"


class World:
    """One person who acts, by JSON and at a browser, and an administrator. `secrets` must be seen nowhere."""

    def __init__(self, app: Flask, store: Any, read_log: Callable[[], str]) -> None:
        self.app, self.store, self.read_log = app, store, read_log
        self.person = register(app)
        self.person.headers["User-Agent"] = AGENT
        self.browser = Browser(app)
        self.browser.client.environ_base["HTTP_USER_AGENT"] = AGENT
        self.secrets = [PASSWORD, NEW_PASSWORD, self.person.email]
        self.before = 0
        self.heard = ""
        self._admin: Person | None = None

    @property
    def name(self) -> str:
        return self.person.username

    @property
    def admin(self) -> Person:
        if self._admin is None:
            self._admin = self.promote(register(self.app))
        return self._admin

    def change_admin(self) -> None:
        """From here on another administrator acts."""
        self._admin = None

    def promote(self, person: Person) -> Person:
        with self.app.app_context():
            set_role(person.username, Role.ADMIN, now=clock.now())
        person.log_in()
        return person

    def suspend(self) -> None:
        with self.app.app_context():
            set_status(self.name, UserStatus.SUSPENDED, now=clock.now())

    def enter(self, name: str | None = None) -> Browser:
        """The person's browser, logged in."""
        with self.app.test_request_context():
            made = begin_session(get_user(name or self.name), Origin())
        with self.browser.client.session_transaction() as cookie:
            cookie["_user_id"], cookie["_fresh"] = made.bearer, True
        self.hide(made.bearer)
        return self.browser

    def hide(self, bearer: str | None) -> None:
        """The secret of a credential or a link must be seen nowhere."""
        self.secrets.append(str(bearer).rpartition(".")[2])

    def token(self) -> str:
        """The id of a personal token."""
        return str(self._make_token().token.token_id)

    def use_token(self) -> None:
        """From here on the person has a personal token that only reads."""
        self.person.token = str(self._make_token().bearer)

    def _make_token(self) -> NewToken:
        with self.app.app_context():
            made = create_personal_token(get_user(self.name), name="script", scopes="read", expires_at=None)
        self.hide(made.bearer)
        return made

    def session(self) -> str:
        """The id of a login token."""
        with self.app.app_context():
            return str(issue_login_token(get_user(self.name)).token.token_id)

    def link(self, kind: MailKind, address: str | None = None) -> str:
        with self.app.app_context():
            epoch = get_user(self.name).session_epoch
            made = new_proof(kind, self.name, address or self.person.email, session_epoch=epoch)
            made.proof.save()
        self.hide(made.token)
        return made.token

    def unconfirm(self) -> None:
        with self.app.app_context():
            user = get_user(self.name)
            user.email_unconfirmed_since = clock.now()
            user.save()

    def begin(self) -> None:
        """From here on lines and items count."""
        self.read_log()
        self.before = len(self.items())

    def items(self) -> list[dict[str, Any]]:
        rows = query(self.store, TABLES["users"], "PK", self.name)
        return [row for row in rows if row["SK"].startswith("EVENT#")]

    def lines(self) -> list[dict[str, Any]]:
        text = self.heard + self.read_log()
        for secret in self.secrets:
            assert secret not in text.replace(AGENT, ""), secret
        assert AGENT not in text
        return [line for line in map(json.loads, text.splitlines()) if line["logger"] == "app.security"]
