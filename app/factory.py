"""The application factory: puts the parts together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import Flask, appcontext_pushed
from flask_cors import CORS
from flask_wtf.csrf import CSRFProtect
from itsdangerous import Signer
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter, Rule

from app import cli, logs, traces
from app.config import Config
from app.models.database import Database
from app.models.shared_text import StoredText
from app.prices import create_price_source
from app.services.proving import ProofRules
from app.services.second_factor import FactorRules
from app.services.seeds import SeedCipher
from app.services.settings import ServiceSettings
from app.views import api, errors, http, pages, request_log
from app.views.context import this_g
from app.views.pages import origins

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MAX_BODY_BYTES = 64 * 1024
# What a proxy took from the start of a path: `/shop`. A list, where several proxies say so.
PREFIX = r"/?|(/[A-Za-z0-9._~-]+)+/?"
PREFIXES = rf"({PREFIX})(, ?({PREFIX}))*"
EXPOSED_HEADERS = ("X-Request-ID", "Idempotent-Replayed", "Retry-After", "ETag", "Server-Timing")


def create_app(config: Config, *, tracer: Any = None) -> Flask:
    """The application with this configuration. A `tracer` of OpenTelemetry takes the place of that of the settings.

    The level of the log holds for the whole process.
    """
    logs.configure(config.log_level)
    app = _SyncFlask("app", static_folder=None)
    # Flask-WTF has no setting for it, and the default of the library that signs is SHA-1.
    Signer.default_digest_method = staticmethod(hashlib.sha256)
    app.config.update(_flask_settings(config))
    if config.traces and tracer is None:
        tracer = traces.open_tracer()
    app.extensions["tracer"] = tracer
    app.extensions["database"] = database = Database(
        endpoint=config.dynamodb_endpoint,
        region=config.aws_region,
        table_names={"users": config.users_table, "orders": config.orders_table},
        transport=config.dynamodb_transport,
        max_connections=config.max_connections,
        sends_mail=config.mail.is_on,
        key_shards=config.key_shards,
        tracer=tracer,
    )
    app.extensions["services"] = ServiceSettings(
        limits=config.limits,
        bcrypt_rounds=config.bcrypt_rounds,
        breached_passwords_url=config.breached_passwords_url,
        session_idle=timedelta(minutes=config.session_idle_minutes),
        session_lifetime=timedelta(hours=config.session_hours),
    )
    app.extensions["mail"] = config.mail
    app.extensions["prices"] = create_price_source(
        config.price_source, speed=config.market_speed, coingecko=config.coingecko, shared=StoredText("coingecko")
    )
    app.extensions["factors"] = FactorRules(
        config.second_factor_demand, SeedCipher(config.seed_secrets), timedelta(hours=config.factor_reset_hours)
    )
    app.extensions["proofs"] = ProofRules(timedelta(minutes=config.proof_minutes), config.proof_over)
    _use_in_every_context(app, database)
    if config.cors_origins:
        CORS(app, resources={r"/api/.*": {"origins": list(config.cors_origins)}}, expose_headers=EXPOSED_HEADERS)
    if tracer:
        from app.views import tracing  # it imports OpenTelemetry

        tracing.init_app(app, tracer)
    # First: what it prepares for each request is needed to answer whatever comes after it refuses.
    http.init_app(app)
    errors.init_app(app)
    request_log.init_app(app, enabled=config.metrics, port=config.metrics_port)
    # Before the tokens of forms, so that a form of another site is told what it is.
    origins.init_app(app)
    csrf = CSRFProtect(app)
    api.init_app(app, csrf)
    pages.init_app(app)
    http.add_security_headers(app)
    cli.init_app(app)
    # Last, and so outermost: what is around the application knows the scheme too.
    if config.trusted_proxies:
        app.wsgi_app = _believe_proxies(app.wsgi_app, config.trusted_proxies)  # type: ignore[assignment]
    return app


def _flask_settings(config: Config) -> dict[str, Any]:
    """What Flask, its extensions and the views read by name."""
    return {
        "SECRET_KEY": config.secret_key,
        "SECRET_KEY_FALLBACKS": list(config.secret_key_fallbacks),
        # The last signs, each of them is accepted.
        "WTF_CSRF_SECRET_KEY": [*config.secret_key_fallbacks, config.secret_key],
        # app.views.pages.origins looks at what browsers say today instead of the Referer, which some remove.
        "WTF_CSRF_SSL_STRICT": False,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": config.cookie_secure,
        "MAX_CONTENT_LENGTH": MAX_BODY_BYTES,
        # A form stays valid as long as the session that it was made in.
        "WTF_CSRF_TIME_LIMIT": None,
        "SITE_HOSTS": config.site_hosts,
        "SECURITY_CONTACT": config.security_contact,
        "WORKER_METRICS": config.worker_metrics,
        "ADJUSTMENT_APPROVAL_OVER": config.adjustment_approval_over,
        "MARKET_SPEED": config.market_speed,
        "PRICE_SOURCE": config.price_source,
        "IS_TRIAL": config.trial_over_http,
        "DATABASE_IS_LOCAL": config.database_is_local,
    }


class _Rule(Rule):
    def get_converter(self, variable_name: str, *args: Any, **kwargs: Any) -> BaseConverter:
        """Take no word for an order id that ends an address of its own: another method of that is a 405."""
        converter = super().get_converter(variable_name, *args, **kwargs)
        if variable_name == "order_id" and self.rule.endswith("<order_id>"):
            converter.regex = rf"(?!(?:cancel|preview)\Z){converter.regex}"
        return converter


class _SyncFlask(Flask):
    url_rule_class = _Rule

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view here is a coroutine. Flask would look at each function of each request to find that out."""
        return func


def _believe_proxies(application: WSGIApplication, number: int) -> WSGIApplication:
    """Take the client, the scheme, the host and the prefix of the path from what so many proxies say."""
    fixed = ProxyFix(application, x_for=number, x_proto=number, x_host=number, x_prefix=number)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # `//host` would be another site.
        if not re.fullmatch(PREFIXES, environ.get("HTTP_X_FORWARDED_PREFIX", "")):
            del environ["HTTP_X_FORWARDED_PREFIX"]
        return fixed(environ, start_response)

    return answer


def _use_in_every_context(app: Flask, database: Database) -> None:
    """Requests and commands use the tables and settings of their own application, even where two run in one process."""

    def enter(_: Flask, **__: object) -> None:
        this_g().active = active = ExitStack()
        active.enter_context(database.active())
        active.enter_context(app.extensions["services"].active())

    def leave(_: BaseException | None) -> None:
        this_g().active.close()

    appcontext_pushed.connect(enter, app, weak=False)
    app.teardown_appcontext(leave)
