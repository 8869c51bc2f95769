"""HTTP words for everything: which status each error has, how errors look, and the headers of every answer.

Under `/api` and for the probes an error is `application/problem+json` (RFC 9457); everywhere else it is a page.
"""

from __future__ import annotations

import secrets
import time
from contextvars import copy_context
from typing import Any

import simplejson
import structlog
from flask import Flask, Response, current_app, g, jsonify, make_response, render_template, request
from flask.json.provider import DefaultJSONProvider
from gunicorn.http.errors import ParseException
from pynamodb.exceptions import PynamoDBException
from werkzeug.exceptions import BadRequest, HTTPException

from app.domain import errors
from app.domain.identifiers import REQUEST_ID, matches
from app.models.database import meter
from app.prices import PriceSource
from app.services import auth
from app.services.statements import Statement, write_csv
from app.views.request_log import report

STATUS: dict[type[errors.ProductError], int] = {
    errors.InvalidInput: 422,
    errors.InvalidCursor: 400,
    errors.UsernameTaken: 409,
    errors.EmailTaken: 409,
    errors.InvalidCredentials: 401,
    errors.NotAuthenticated: 401,
    errors.AccountSuspended: 403,
    errors.InsufficientScope: 403,
    errors.NotAdmin: 403,
    errors.InsufficientFunds: 422,
    errors.InsufficientHolding: 422,
    errors.OrderTooSmall: 422,
    errors.OrderTooLarge: 422,
    errors.OrderNotPending: 409,
    errors.PriceMoved: 409,
    errors.PriceUnavailable: 503,
    errors.AssetNotTradeable: 422,
    errors.NotFound: 404,
    errors.AssetNotFound: 404,
    errors.HoldingNotFound: 404,
    errors.OrderNotFound: 404,
    errors.TransactionNotFound: 404,
    errors.TokenNotFound: 404,
    errors.UserNotFound: 404,
    errors.OwnAccount: 409,
    errors.IdempotencyKeyReused: 422,
    errors.TooManyRequests: 429,
    errors.Busy: 503,
    errors.StoreUnavailable: 503,
}

# What Flask and Werkzeug refuse by themselves, in our words.
HTTP_ERRORS: dict[int, tuple[str, str]] = {
    400: ("bad_request", "The request cannot be read. Check its form and send it again."),
    401: (errors.NotAuthenticated.code, errors.NotAuthenticated.message),
    403: ("forbidden", "You may not do this."),
    404: (errors.NotFound.code, errors.NotFound.message),
    405: ("method_not_allowed", "This address does not take this method. See the Allow header for those it takes."),
    413: ("body_too_large", "The body is larger than 64 KB. Send less."),
    415: ("unsupported_media_type", "Send JSON, with 'Content-Type: application/json'."),
    429: ("too_many_requests", "Too many requests. Wait for the seconds that Retry-After says."),
    500: ("internal_error", "Something broke here, and was recorded. Try again, and name the request id if you ask."),
}

FORM_EXPIRED = ("form_expired", "This form has expired. Go back, load the page again and resend it.")

# The `type` of an error is the place on the page of all errors (app/views/api/problems.py) where its code stands.
PROBLEM_TYPES = "/api/docs/errors#"
RETRY_AFTER_SECONDS = 1
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: over https the CSRF check compares the Referer.
    "Referrer-Policy": "same-origin",
}


def init_app(app: Flask) -> None:
    # Two slashes in a row are another address, not a redirect: a POST would lose its body, and its sender's patience.
    app.url_map.merge_slashes = False
    app.json = _ExactJson(app)
    app.before_request(_start_request)
    app.after_request(_finish_response)
    app.teardown_request(_end_request)
    app.register_error_handler(errors.ProductError, _answer_product_error)
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(PynamoDBException, _answer_store_error)
    # gunicorn finds a broken body only while it is read: chunks without a size, a wrong end.
    app.register_error_handler(ParseException, lambda _: answer_http_error(BadRequest()))
    app.register_error_handler(Exception, _answer_defect)


class _ExactJson(DefaultJSONProvider):
    """Decimals leave as numbers with exactly their digits; the standard library would go through float."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        kwargs.setdefault("default", self.default)
        kwargs.setdefault("ensure_ascii", self.ensure_ascii)
        kwargs.setdefault("sort_keys", False)
        return simplejson.dumps(obj, use_decimal=True, **kwargs)


def prices() -> PriceSource:
    """The price source of the running application."""
    source: PriceSource = current_app.extensions["prices"]
    return source


def csv_answer(statement: Statement) -> Response:
    """A statement as a CSV download, sent while it is read: with the database and the meter of this request."""
    context, lines = copy_context(), write_csv(statement)
    rows = iter(lambda: context.run(next, lines, None), None)
    headers = {"Content-Disposition": "attachment; filename=transactions.csv"}
    return Response(rows, content_type="text/csv; charset=utf-8", headers=headers)


def _start_request() -> None:
    g.started = time.monotonic()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if matches(REQUEST_ID, given) else secrets.token_hex(8)
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _finish_response(response: Response) -> Response:
    used = meter()
    if response.status_code == 204:
        # flask-smorest calls nothing JSON, and some clients then try to read it.
        response.headers.pop("Content-Type", None)
    response.headers["X-Request-ID"] = g.request_id
    response.headers["Server-Timing"] = (
        f"total;dur={(time.monotonic() - g.started) * 1000:.1f}, "
        f'db;dur={used.seconds * 1000:.1f};desc="{used.calls} calls, '
        f'{used.read_units} read units, {used.write_units} write units"'
    )
    # What an account sees is for its owner's eyes: never for a shared cache, nor the back button after log out.
    response.headers.setdefault("Cache-Control", "no-store")
    for name, value in {**SECURITY_HEADERS, **g.get("rate_headers", {})}.items():
        response.headers.setdefault(name, value)
    report(response)
    return response


def _end_request(_: BaseException | None) -> None:
    # The thread goes on to other requests.
    structlog.contextvars.unbind_contextvars("request_id")


def show_rate(limit: int, remaining: int, reset_seconds: int) -> None:
    """Tell in the headers of this request's answer how often the client may still try, and until when."""
    g.rate_headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(reset_seconds),
    }


def begin_login(identifier: str) -> auth.LoginAttempt:
    """An attempt to log in from this request's address, told in its headers. Raises TooManyRequests."""
    attempt = auth.begin_login(identifier, address=request.remote_addr or "")
    show_rate(attempt.limit, attempt.remaining, attempt.reset_seconds)
    return attempt


def wants_json() -> bool:
    return request.path.startswith("/api/") or request.path in {"/api", "/health", "/ready", "/metrics"}


def answer_error(status: int, code: str, detail: str, **more: Any) -> Response:
    """The one shape of an error: problem+json for programs, a page for people."""
    if wants_json():
        problem = {
            "type": f"{PROBLEM_TYPES}{code}",
            "title": _title(status),
            "status": status,
            "detail": detail,
            "code": code,
            "request_id": g.request_id,
            **more,
        }
        response = jsonify(problem)
        response.content_type = "application/problem+json"
    else:
        response = make_response(render_template("error.html", status=status, title=_title(status), detail=detail))
    response.status_code = status
    if status == 401 and wants_json():
        response.headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _title(status: int) -> str:
    from http import HTTPStatus

    return HTTPStatus(status).phrase


def _answer_product_error(error: errors.ProductError) -> Response:
    more = dict(error.details)
    if isinstance(error, errors.InvalidInput):
        more["errors"] = [{"field": each.field, "message": each.message} for each in error.errors]
    response = answer_error(STATUS[type(error)], error.code, str(error), **more)
    if isinstance(error, errors.TooManyRequests):
        response.headers["Retry-After"] = str(error.reset_seconds)
        show_rate(error.limit, 0, error.reset_seconds)
    return response


def answer_http_error(error: HTTPException) -> Response:
    """An error that Flask, Werkzeug or a library raised: our shape, with the headers that belong to it."""
    status = error.code or 500
    if status < 400:
        return make_response(error.get_response())
    code, detail = HTTP_ERRORS.get(status, HTTP_ERRORS[400] if status < 500 else HTTP_ERRORS[500])
    response = answer_error(status, code, detail)
    for name, value in error.get_headers():
        if name not in {"Content-Type", "WWW-Authenticate"}:
            response.headers[name] = value
    return response


def answer_form_expired() -> Response:
    """The answer to a form without its CSRF token."""
    return answer_error(400, *FORM_EXPIRED)


def _answer_store_error(error: PynamoDBException) -> Response:
    current_app.logger.error("store refused: %s %s", error.cause_response_code, error.cause_response_message)
    return _answer_defect(error)


def _answer_defect(error: Exception) -> Response:
    current_app.logger.exception("request %s failed", g.request_id, exc_info=error)
    return answer_error(500, *HTTP_ERRORS[500])
