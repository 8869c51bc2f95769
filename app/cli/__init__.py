"""Commands, `flask --app wsgi ...`: one module for each, and the names that `flask shell` has imported."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from flask import Flask

from app import models
from app.cli.audit import audit
from app.cli.demo import demo
from app.cli.failures import in_a_sentence
from app.cli.orders import orders
from app.cli.tables import tables
from app.cli.transfer import export, import_
from app.cli.upgrade import upgrade
from app.cli.users import users


def init_app(app: Flask) -> None:
    for command in (audit, demo, export, import_, orders, tables, upgrade, users):
        app.cli.add_command(in_a_sentence(command))
    app.shell_context_processor(_shell_names)


def _shell_names() -> dict[str, Any]:
    """The modules of `app.models` and the class of every item."""
    from app.audit.rows import MODELS

    modules = {name: import_module(f"app.models.{name}") for _, name, _ in iter_modules(models.__path__)}
    return {**modules, **{item.__name__: item for item in MODELS}}
