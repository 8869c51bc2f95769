"""Pages for browsers: forms, sessions and static files. Every page works without JavaScript."""

from __future__ import annotations

from flask import Flask

from app.views.pages import (
    activity,
    admin,
    cash,
    dashboard,
    formatters,
    leaving,
    links,
    market,
    orders,
    outcomes,
    profile,
    second_factor,
    sessions,
    sign_in,
    statement,
    static,
    trade,
    well_known,
)


def init_app(app: Flask) -> None:
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    sessions.init_app(app)
    static.init_app(app)
    formatters.init_app(app)
    outcomes.init_app(app)
    for part in (
        *(
            sign_in,
            links,
            dashboard,
            cash,
            market,
            trade,
            orders,
            activity,
            statement,
            profile,
            second_factor,
            leaving,
            admin,
            well_known,
        ),
    ):
        app.register_blueprint(part.blueprint)
