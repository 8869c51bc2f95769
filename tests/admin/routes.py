"""Every route of the administration, and its commands."""

from __future__ import annotations

NO_APPROVAL = "approval_01JD0QZ5M4X8W3T7K2V9N6B1CF"
ROUTES = [
    ("GET", "/admin/users?username={name}"),
    ("GET", "/admin/users?email={name}@example.com"),
    ("GET", "/admin/users/{name}"),
    ("PATCH", "/admin/users/{name}"),
    ("POST", "/admin/users/{name}/reset-link"),
    ("POST", "/admin/users/{name}/second-factor/reset"),
    ("POST", "/admin/users/{name}/adjustments"),
    ("GET", "/admin/users/{name}/transactions"),
    ("GET", "/admin/users/{name}/orders"),
    ("GET", "/admin/users/{name}/events"),
    ("DELETE", "/admin/users/{name}/sessions"),
    ("GET", "/admin/approvals"),
    ("GET", f"/admin/approvals/{NO_APPROVAL}"),
    ("POST", f"/admin/approvals/{NO_APPROVAL}/approve"),
    ("POST", f"/admin/approvals/{NO_APPROVAL}/reject"),
    ("GET", "/admin/assets/BTC/balances"),
    ("GET", "/admin/assets/BTC/transactions"),
    ("GET", "/admin/users?month=2026-11"),
    ("GET", "/admin/totals"),
    ("GET", "/admin/acts"),
]


BODIES = {"PATCH": {"status": "suspended"}, "POST": {"amount": "5", "reason": "gift"}}


def run(app, *arguments):
    return app.test_cli_runner().invoke(args=["users", *arguments])


def everything(person, other):
    """The answers of all routes of the administration."""
    return [
        person.call(method, path.format(name=other.username), **({"json": BODIES[method]} if method in BODIES else {}))
        for method, path in ROUTES
    ]
