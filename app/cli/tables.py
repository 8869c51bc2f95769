"""`flask --app wsgi tables`"""

from __future__ import annotations

import click
from flask.cli import AppGroup

from app.models.create_tables import create_tables

tables = AppGroup("tables", help="The two DynamoDB tables.")


@tables.command("create")
def create() -> None:
    """Create the tables that do not exist."""
    for name in create_tables():
        click.echo(f"created table {name}")
