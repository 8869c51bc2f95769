"""Errors over HTTP: how each is answered, and those that no rule of the product raises.

Under `/api` and for the probes an error is `application/problem+json` (RFC 9457); everywhere else it is a page, unless
a script of a page asks for that type.
The page `/api/docs/errors`, `docs/errors.md` and the OpenAPI file are made from the classes too.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, g, jsonify, make_response, render_template, request
from gunicorn.http.errors import ParseException
from pynamodb.exceptions import PynamoDBException
from werkzeug import exceptions
from werkzeug.exceptions import HTTPException

from app.domain.errors import (
    AccountSuspended,
    FieldError,
    InsufficientScope,
    InvalidInput,
    NotAdmin,
    NotAuthenticated,
    NotFound,
    OperatorAccount,
    OwnAccount,
    ProductError,
    Refusal,
    SecondOperatorNeeded,
    TooManyRequests,
    every_error,
)
from app.domain.events import EventKind
from app.models.events import actor, note

PROBLEM = "application/problem+json"
RETRY_AFTER_SECONDS = 1
# The path of the page that explains all errors.
ERRORS = "/api/docs/errors"


# What refuses a right to someone who is known.
RIGHTS = (InsufficientScope, NotAdmin, AccountSuspended, OwnAccount, OperatorAccount, SecondOperatorNeeded)


class BadRequest(Refusal):
    code = "bad_request"
    status = 400
    message = "The request cannot be read. Check its form and send it again."
    cause = (
        "The HTTP or the JSON is malformed: broken JSON, a name twice in one object, `NaN`, text that is not UTF-8, "
        "a broken `Host`."
    )
    remedy = "Fix the request. Sent again unchanged, it fails again."


class FormExpired(Refusal):
    code = "form_expired"
    status = 400
    message = "This form has expired. Go back, load the page again and resend it."
    cause = (
        "A form of a page came without its CSRF token, with the token of an ended session, without a cookie, or from "
        "a page of another address. The JSON API never answers this."
    )
    remedy = "Do what the page says; the log names the cause."


class UnknownHost(ProductError):
    code = "unknown_host"
    status = 400
    message = "This site has another address. Open it there; if you did, tell those who run it."
    cause = "The header `Host` names a host that is not among `SITE_HOSTS`. The probes answer under any."
    remedy = (
        "Use the site's own address. Who runs it: list its host names in `SITE_HOSTS`, and let a proxy pass on `Host`."
    )


class Forbidden(Refusal):
    code = "forbidden"
    status = 403
    message = "You are not allowed to do this."
    cause = "You are not allowed to do this."
    remedy = "Ask an administrator."


class MethodNotAllowed(Refusal):
    code = "method_not_allowed"
    status = 405
    message = "This address does not take this method. See the Allow header for those it takes."
    cause = "The address does not take this method."
    remedy = "Use one that the `Allow` header names."


class BodyTooLarge(Refusal):
    code = "body_too_large"
    status = 413
    message = "The body is larger than 64 KB. Send less."
    cause = "The body is larger than 64 KB."
    remedy = "Send less."


class UnsupportedMediaType(Refusal):
    code = "unsupported_media_type"
    status = 415
    message = "Send JSON, with 'Content-Type: application/json'."
    cause = "The body is not declared as JSON."
    remedy = "Send `Content-Type: application/json`."


class InternalError(ProductError):
    code = "internal_error"
    status = 500
    message = "Something went wrong here, and was recorded. Try again, and give the request id if you report it."
    cause = "A defect of this service; it was recorded."
    remedy = "Try again, with the same Idempotency-Key if you sent one. If it fails again, report the `request_id`."
    may_be_applied = True


ALL = sorted(every_error(), key=lambda each: (each.status, each.code))
"""Every error, in the order of the documentation."""

BY_STATUS: Mapping[int, type[ProductError]] = {
    each.status: each
    for each in (
        BadRequest,
        NotAuthenticated,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        BodyTooLarge,
        UnsupportedMediaType,
        InternalError,
    )
}
"""What answers an error that Flask, Werkzeug or a library raises."""


def invalid_input(messages: Mapping[str, Any]) -> InvalidInput:
    """marshmallow's messages as a refusal."""
    return InvalidInput(
        *(
            FieldError("" if field == "_schema" else field, message)
            for field, texts in messages.items()
            for message in (texts if isinstance(texts, list) else [str(texts)])
        )
    )


def init_app(app: Flask) -> None:
    app.register_error_handler(ProductError, _answer_product_error)
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(PynamoDBException, _answer_database_error)
    # gunicorn finds a malformed body only while it is read: chunks without a size, a wrong end.
    app.register_error_handler(ParseException, lambda _: answer_http_error(exceptions.BadRequest()))
    app.register_error_handler(Exception, _answer_defect)


def wants_json() -> bool:
    return request.path.startswith("/api/") or request.path in {"/api", "/health", "/ready", "/metrics"}


def problem_of(error: ProductError, request_id: str, *, status: int = 0, detail: str = "") -> dict[str, Any]:
    """What a program is answered, with the error's own status unless another is given; `detail` says all of it anew."""
    status = status or error.status
    problem = {
        "type": f"{ERRORS}#{error.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail or str(error),
        "code": error.code,
        "request_id": request_id,
        **error.details,
    }
    if isinstance(error, InvalidInput) and not detail:
        problem["errors"] = [{"field": each.field, "message": each.message} for each in error.errors]
    return problem


def answer_error(
    error: ProductError, *, status: int = 0, detail: str = "", may_be_applied: bool | None = None
) -> Response:
    """An error as problem+json or as a page.

    A page says whether the form that was sent may have been applied; unless it is given, the error tells.
    """
    if may_be_applied is None:
        may_be_applied = error.may_be_applied
    is_for_script = request.accept_mimetypes.best == PROBLEM
    if is_for_script and not detail:
        detail = error.page_message or str(error)
    problem = problem_of(error, g.request_id, status=status, detail=detail)
    status = problem["status"]
    if wants_json() or is_for_script:
        response = jsonify({**problem, "type": request.script_root + problem["type"]})
        response.content_type = PROBLEM
    else:
        page = render_template("error.html", **problem, may_be_applied=may_be_applied)
        response = make_response(page)
    response.status_code = status
    if status == 401 and wants_json():
        response.headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def answer_http_error(error: HTTPException) -> Response:
    """An error that Flask, Werkzeug or a library raised: in our shape, with the headers that belong to it."""
    status = error.code or 500
    if status < 400:
        return make_response(error.get_response())
    response = answer_error(BY_STATUS.get(status, BadRequest if status < 500 else InternalError)(), status=status)
    for name, value in error.get_headers():
        if name not in {"Content-Type", "WWW-Authenticate"}:
            response.headers[name] = value
    return response


def note_refusal(error: ProductError) -> None:
    """Keep the code for the counters, and log a limit that was reached, or a right refused to someone who is known."""
    g.refused = error.code
    if isinstance(error, TooManyRequests):
        note(EventKind.RATE_LIMITED, subject=actor(), outcome=error.code)
    elif isinstance(error, RIGHTS) and actor():
        note(EventKind.DENIED, subject=actor(), outcome=error.code)


def show_rate_limit(limit: int, remaining: int, reset_seconds: int) -> None:
    """Say in the headers of this request's answer how often the client may still try, and until when."""
    g.rate_headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(reset_seconds),
    }


def _answer_product_error(error: ProductError) -> Response:
    note_refusal(error)
    response = answer_error(error)
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.reset_seconds)
        show_rate_limit(error.limit, 0, error.reset_seconds)
    return response


def _answer_database_error(error: PynamoDBException) -> Response:
    current_app.logger.error("database refused: %s %s", error.cause_response_code, error.cause_response_message)
    return _answer_defect(error)


def _answer_defect(error: Exception) -> Response:
    current_app.logger.exception("request %s failed", g.request_id, exc_info=error)
    return answer_error(InternalError())
