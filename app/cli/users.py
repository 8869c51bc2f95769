"""`flask --app wsgi users`"""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import AppGroup

from app.cli.failures import Username
from app.domain import clock
from app.domain.events import EventKind
from app.domain.mails import MailKind, link_of
from app.domain.users import Role
from app.models.events import event_of
from app.models.users import find_user, set_role
from app.services.recovery import make_reset_link
from app.services.second_factor import begin_reset

users = AppGroup("users", help="Roles of users, links for a new password, and lost second factors.")


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


@users.command("reset-link")
@click.argument("username", type=Username())
def reset_link(username: str) -> None:
    """Print a link with which a user chooses a new password, once, within half an hour."""
    link = make_reset_link(find_user(username))
    site = current_app.extensions["mail"].site
    click.echo(link_of(MailKind.RESET_PASSWORD, link.token, site=site))
    if not site:
        click.echo("Put the address of the site before it: SITE_URL is not set.", err=True)


@users.command("reset-factor")
@click.argument("username", type=Username())
def reset_factor(username: str) -> None:
    """Let the second factor of a user who has lost it fall away, after a wait."""
    falls_at = begin_reset(username, current_app.extensions["factors"])
    click.echo(f"From {falls_at:%Y-%m-%d %H:%M} UTC on, a log-in of {username} with the password alone removes it.")
    click.echo("A code that is used until then takes this back.")


def _set_role(username: str, role: Role) -> None:
    kind = EventKind.PROMOTED if role is Role.ADMIN else EventKind.DEMOTED
    user = set_role(username, role, now=clock.now(), also=event_of(username, kind))
    click.echo(f"{user.username} has the role {user.role} from the next log-in on")
