"""Commands: `flask --app wsgi ...`, one module for each."""

from __future__ import annotations

from flask import Flask

from app.cli.audit import audit
from app.cli.demo import demo
from app.cli.orders import orders
from app.cli.tables import tables
from app.cli.users import users


def init_app(app: Flask) -> None:
    for command in (audit, demo, orders, tables, users):
        app.cli.add_command(command)
