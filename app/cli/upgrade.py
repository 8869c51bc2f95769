"""`flask --app wsgi upgrade`"""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from app.models import upgrade as store


@click.command("upgrade")
@click.option("--again", is_flag=True, help="Even if it was done: once no copy of an older version runs any more.")
@with_appcontext
def upgrade(again: bool) -> None:
    """Bring what an older version wrote into the form of this one; interrupted, it can be run again."""
    if store.is_current() and not again:
        click.echo("Nothing to do.")
        return
    for step in store.upgrade():
        click.echo(step)
