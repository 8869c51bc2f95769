"""What a browser sees: pages, forms, sessions and static files. Every page works without JavaScript."""

from __future__ import annotations

from flask import Flask

from app.views.pages import (
    account,
    activity,
    admin,
    front,
    market,
    orders,
    profile,
    sessions,
    statement,
    static,
    text,
    trade,
)


def init_app(app: Flask) -> None:
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    sessions.init_app(app)
    static.init_app(app)
    text.init_app(app)
    for part in (front, account, market, trade, orders, activity, statement, profile, admin):
        app.register_blueprint(part.blueprint)
