"""`flask --app wsgi upgrade`"""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from app.models import upgrade as store


@click.command("upgrade")
@click.option("--again", is_flag=True, help="Even if it was done: once no copy of an older version runs any more.")
@click.option("--alone", is_flag=True, help="Where no copy of an older version runs from the start.")
@with_appcontext
def upgrade(again: bool, alone: bool) -> None:
    """Bring what an older version wrote into the form of this one; interrupted, it can be run again.

    With either option it also allows what copies of an older version would undo, such as changing open orders.
    """
    is_current = store.is_current()
    if is_current and not again and (not alone or store.is_alone()):
        click.echo("Nothing to do.")
        return
    for step in () if is_current and not again else store.upgrade():
        click.echo(step)
    if again or alone:
        if not store.write_alone():
            raise click.ClickException("A newer version has upgraded this store: run its flask upgrade.")
        click.echo("no older version runs: orders can be changed, and stop orders placed")
