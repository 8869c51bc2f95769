"""Every route of the administration, and its commands."""

from __future__ import annotations

ROUTES = [
    ("GET", "/admin/users?username={name}"),
    ("GET", "/admin/users?email={name}@example.com"),
    ("GET", "/admin/users/{name}"),
    ("PATCH", "/admin/users/{name}"),
    ("POST", "/admin/users/{name}/reset-link"),
    ("POST", "/admin/users/{name}/adjustments"),
    ("GET", "/admin/users/{name}/transactions"),
    ("GET", "/admin/users/{name}/orders"),
    ("GET", "/admin/assets/BTC/balances"),
    ("GET", "/admin/assets/BTC/transactions"),
]


BODIES = {"PATCH": {"status": "suspended"}, "POST": {"amount": "5", "reason": "gift"}}


def run(app, *arguments):
    return app.test_cli_runner().invoke(args=["users", *arguments])


def everything(person, other):
    """The answers of all routes of the administration."""
    return [
        person.call(method, path.format(name=other.username), **({"json": BODIES[method]} if method != "GET" else {}))
        for method, path in ROUTES
    ]
