"""Who may use which route: a table that follows from what the routes declare, and that tests walk with real requests.

What enforces a rule also declares it: `authenticated`, `for_scope` and `admin_only` of `JsonBlueprint`, and
`only_for_users` and `only_for_admins` of the pages. So a new route stands in the table by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from app.domain.errors import AccountSuspended, InsufficientScope, NotAdmin, NotAuthenticated, NotFound
from app.domain.users import READ, TRADE, TRANSFER
from app.views.api.blueprint import scope_of
from app.views.pages.sessions import is_for_admins, is_private

ALLOWED, LOG_IN, NO_OBJECT = "yes", "log in", "-"


class Caller(StrEnum):
    """A kind of caller, named as the head of its column. What a path names is theirs, except for the last one."""

    NOBODY = "nobody"
    SESSION = "session"
    LOGIN = "login token"
    READER = "personal: read"
    TRADER = "personal: read trade"
    MOVER = "personal: read transfer"
    SUSPENDED = "suspended"
    ADMIN_SESSION = "administrator's session"
    ADMIN_LOGIN = "administrator's login token"
    ADMIN_PERSONAL = "administrator's personal: all"
    OTHERS_OBJECT = "someone else's object"


SCOPES: Mapping[Caller, frozenset[str]] = {
    Caller.READER: frozenset({READ}),
    Caller.TRADER: frozenset({READ, TRADE}),
    Caller.MOVER: frozenset({READ, TRANSFER}),
    Caller.ADMIN_PERSONAL: frozenset({READ, TRADE, TRANSFER}),
}
"""The scopes of the callers with a personal token."""

# Parameters of paths that name what does not belong to the caller. Any other one names what belongs to one user.
SHARED = frozenset({"asset_id", "username", "approval_id"})


@dataclass(frozen=True)
class Route:
    """A method of an address, and what it asks of its caller.

    `scope` is that of a personal token; None where a login is needed.
    """

    method: str
    path: str
    is_page: bool
    needs_user: bool
    needs_admin: bool
    scope: str | None
    missing: str
    """The answer for an object of someone else: NO_OBJECT where the path names none."""

    def answer(self, caller: Caller) -> str:
        """ALLOWED, LOG_IN (the page that asks for it), NO_OBJECT, or the code of a refusal."""
        if caller is Caller.OTHERS_OBJECT:
            return self.missing
        if not self.needs_user:
            return ALLOWED
        return self._answer_page(caller) if self.is_page else self._answer_json(caller)

    def _answer_page(self, caller: Caller) -> str:
        # Pages know sessions alone, and suspending a user ends them.
        if caller not in {Caller.SESSION, Caller.ADMIN_SESSION}:
            return LOG_IN
        return NotAdmin.code if self.needs_admin and caller is Caller.SESSION else ALLOWED

    def _answer_json(self, caller: Caller) -> str:
        if caller in {Caller.NOBODY, Caller.SESSION, Caller.ADMIN_SESSION}:
            return NotAuthenticated.code
        if caller is Caller.SUSPENDED:
            return AccountSuspended.code
        if caller in SCOPES:
            return ALLOWED if self.scope in SCOPES[caller] else InsufficientScope.code
        return NotAdmin.code if self.needs_admin and caller is Caller.LOGIN else ALLOWED


def routes(app: Flask) -> list[Route]:
    """Every method of every address, by address."""
    found = [
        _route(app, rule, method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]
    return sorted(found, key=lambda route: (route.path, route.method))


def _route(app: Flask, rule: Rule, method: str) -> Route:
    view: Any = app.view_functions[rule.endpoint]
    blueprint = rule.endpoint.rpartition(".")[0]
    is_bearer = getattr(view, "authenticates", False)
    needs_admin = getattr(view, "needs_admin", False) or is_for_admins(blueprint)
    is_page = not rule.rule.startswith("/api") and rule.rule not in {"/health", "/ready", "/metrics"}
    return Route(
        method,
        rule.rule,
        is_page=is_page,
        needs_user=is_bearer or is_private(blueprint),
        needs_admin=needs_admin,
        scope=scope_of(view, method) if is_bearer and not needs_admin else None,
        missing=_missing(view, is_page=is_page) if rule.arguments - SHARED and not needs_admin else NO_OBJECT,
    )


def _missing(view: Any, *, is_page: bool) -> str:
    """How a view answers for what does not exist, or belongs to someone else."""
    if is_page:
        return NotFound.code
    refusals = view._apidoc["manual_doc"]["x-refusals"].values()
    return next(str(each.code) for each in refusals if issubclass(each, NotFound))


MARKDOWN = """\
# Who may use which route

`make docs` writes this from what the routes declare. `tests/security/test_authorization.py` sends a request for each
cell. A route of the API asks for a bearer token, for one with a scope, for a login token, or for that of an
administrator. A page asks for a session, or for that of an administrator.

| cell | |
|---|---|
| yes | the caller gets in; the request itself may still be refused, such as for a value or an old proof |
| log in | a page leads to the page to log in (303) |
| a code | the [refusal](errors.md). A page has the status of that and says it in words |
| - | the address names nothing that belongs to the caller alone, but perhaps an asset, a user or a large adjustment |

The API never reads a cookie, and a page never a bearer token. *Suspended* is a credential that outlived the
suspension, such as a personal token; all others end with it, and then count as none. *Someone else's object* is asked
for with a credential, and a proof, that would do for one's own: it does not exist then. That holds for administrators
too, who see others under `/admin` alone. Where `SECOND_FACTOR` demands it, an administrator without a second factor
is led to set one up, and the API answers `second_factor_required`.

{tables}
"""


def as_markdown(app: Flask) -> str:
    """The text of `docs/authorization.md`, which `make docs` writes."""
    every = routes(app)
    return MARKDOWN.format(
        tables="\n\n".join(
            [
                "## The API\n",
                _table(route for route in every if not route.is_page and route.needs_user),
                "## Pages\n",
                _table(route for route in every if route.is_page and route.needs_user),
                "## For everybody\n",
                "\n".join(f"- `{route.method} {route.path}`" for route in every if not route.needs_user),
            ]
        ).replace("\n\n\n", "\n\n")
    )


def _table(shown: Iterator[Route]) -> str:
    head = [f"| route | {' | '.join(Caller)} |", "|---" * (len(Caller) + 1) + "|"]
    rows = ([f"`{route.method} {route.path}`", *map(route.answer, Caller)] for route in shown)
    return "\n".join([*head, *(f"| {' | '.join(cells)} |" for cells in rows)])
