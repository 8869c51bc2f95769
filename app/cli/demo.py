"""`flask --app wsgi demo`"""

from __future__ import annotations

import hashlib
import hmac
import sys

import click
from flask import current_app
from flask.cli import with_appcontext

from app.domain import clock
from app.models.create_tables import create_tables
from app.models.database import database
from app.models.upgrade import bring_up_to_date
from app.prices.simulated import SimulatedMarket


@click.command("demo")
@click.option("--months", type=click.IntRange(1, 12), default=12, hidden=True)
@with_appcontext
def demo(months: int) -> None:
    """Fill demonstration accounts with a year of activity; complete them after an interruption."""
    # Not at the top: a web server has this command, and never runs it.
    from app.cli.demo_accounts import USERNAMES, is_complete, is_demo_password, set_demo_password

    create_tables()
    bring_up_to_date(alone=False)
    # Nobody reads the mail of these accounts.
    database().sends_mail = False
    password = _password(str(current_app.config["SECRET_KEY"]))
    if not is_complete():
        _fill(password, months)
    elif is_demo_password(password):
        click.echo("The demonstration accounts are already there; nothing was changed.")
    else:
        set_demo_password(password)
        click.echo("The demonstration accounts are already there; their password was set again.")
    click.echo(f"Users: {', '.join(USERNAMES)} (the last is an administrator, the one before is suspended)")
    click.echo(f"Password of each: {password}")


def _fill(password: str, months: int) -> None:
    from app.cli.demo_accounts import plan_demo

    market = SimulatedMarket(speed=current_app.config["MARKET_SPEED"], clock=clock.now)
    plan = plan_demo(market, password, months=months)
    with click.progressbar(length=len(plan.steps), label="A year of activity", file=sys.stderr) as bar:
        plan.carry_out(bar.update)


def _password(secret_key: str) -> str:
    """The same each time for the same SECRET_KEY, and hard to guess, because one of the users is an administrator."""
    digest = hmac.digest(secret_key.encode(), b"password of the demonstration accounts", hashlib.sha256)
    return "-".join(digest.hex()[start : start + 4] for start in range(0, 16, 4))
