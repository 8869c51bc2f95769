"""The JSON API under `/api/v1`, documented by an OpenAPI file made from its schemas."""

from __future__ import annotations

from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from flask_wtf.csrf import CSRFProtect

from app import __version__
from app.views.api import admin, auth, balance, docs, events, inventory, leaving, orders, probes, second_factor
from app.views.api.blueprint import PREFIX, JsonApi
from app.views.api.openapi import DESCRIPTION, SharedAnswers, schema_name
from app.views.errors import ERRORS


def init_app(app: Flask, csrf: CSRFProtect) -> None:
    app.config.update(API_TITLE="Order processor", API_VERSION=__version__, OPENAPI_VERSION="3.1.0")
    shared = SharedAnswers()
    api = JsonApi(
        app,
        spec_kwargs={
            "marshmallow_plugin": MarshmallowPlugin(schema_name_resolver=schema_name),
            "extra_plugins": [shared],
            "info": {"description": DESCRIPTION},
            "servers": [{"url": docs.SERVER}],
            "externalDocs": {"description": "Every error code, and what to do about it", "url": ERRORS},
        },
    )
    shared.describe(api.ma_plugin)
    for module in (auth, second_factor, balance, orders, events, inventory, leaving, admin):
        prefix = module.blueprint.url_prefix or ""
        api.register_blueprint(module.blueprint, url_prefix=PREFIX + prefix)
        # Cookies are never read here, so there is nothing to forge.
        csrf.exempt(module.blueprint)
    api.register_blueprint(probes.blueprint)
    docs.init_app(app, api)
