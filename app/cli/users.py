"""`flask --app wsgi users`"""

from __future__ import annotations

import click
from flask.cli import AppGroup

from app.cli.failures import Username
from app.domain import clock
from app.domain.users import Role
from app.models.users import set_role

users = AppGroup("users", help="Roles of users.")


@users.command("promote")
@click.argument("username", type=Username())
def promote(username: str) -> None:
    """Make a user an administrator (role ADMIN)."""
    _set_role(username, Role.ADMIN)


@users.command("demote")
@click.argument("username", type=Username())
def demote(username: str) -> None:
    """Make an administrator an ordinary user again."""
    _set_role(username, Role.CUSTOMER)


def _set_role(username: str, role: Role) -> None:
    user = set_role(username, role, now=clock.now())
    click.echo(f"{user.username} has the role {user.role} from the next log-in on")
