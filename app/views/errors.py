"""Errors over HTTP: one table of all of them, and how each is answered.

Under `/api` and for the probes an error is `application/problem+json` (RFC 9457); everywhere else it is a page.
The page `/api/docs/errors`, `docs/errors.md` and the OpenAPI file are made from the table too. To add an error, write
its class in `app/domain/errors.py`, its row here, and name it in `refuses(...)` of the routes that answer it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, g, jsonify, make_response, render_template, request
from gunicorn.http.errors import ParseException
from pynamodb.exceptions import PynamoDBException
from werkzeug.exceptions import BadRequest, HTTPException

from app.domain import errors
from app.domain.errors import FieldError, InvalidInput, ProductError, TooManyRequests

RETRY_AFTER_SECONDS = 1
# The path of the page that explains all errors.
ERRORS = "/api/docs/errors"


@dataclass(frozen=True)
class Row:
    """One error: its class, or its code where Flask, Werkzeug or a library refuses.

    `cause` and `remedy` are for the documentation, with names of code in backticks. `example` is the sentence of an
    error without a class, or an error whose sentence is made from values. A form shows the error beside the first of
    `fields` that it has, in the words of `page_message` where the sentence for programs would not help.
    `by_status` says that it answers what Flask, Werkzeug and the libraries refuse with its status.
    """

    error: type[ProductError] | str
    status: int
    cause: str
    remedy: str
    example: ProductError | str = ""
    fields: tuple[str, ...] = ()
    page_message: str = ""
    by_status: bool = False

    @property
    def code(self) -> str:
        return self.error if isinstance(self.error, str) else self.error.code

    @property
    def message(self) -> str:
        """The sentence that is answered, or an example of it."""
        return str(self.example) or getattr(self.error, "message", "")

    @property
    def type(self) -> str:
        """Where the page of all errors (`app/views/api/docs.py`) explains this one."""
        return f"{ERRORS}#{self.code}"


FORM_EXPIRED = Row(
    "form_expired",
    400,
    "A form of a page came without its CSRF token, with the token of an ended session, without a cookie, or from a "
    "page of another address. The JSON API never answers this.",
    "Do what the page says; the log names the cause.",
    example="This form has expired. Go back, load the page again and resend it.",
)

# By status, then by code, as the documentation lists them.
ROWS = (
    Row(
        "bad_request",
        400,
        "The HTTP or the JSON is malformed: broken JSON, a name twice in one object, `NaN`, text that is not UTF-8, "
        "a broken `Host`.",
        "Fix the request. Sent again unchanged, it fails again.",
        example="The request cannot be read. Check its form and send it again.",
        by_status=True,
    ),
    FORM_EXPIRED,
    Row(
        errors.InvalidCursor,
        400,
        "The cursor was changed, or comes from another list, user or filter.",
        "Ask for the list without a cursor, and then use each `next_cursor` with the same filters.",
    ),
    Row(
        errors.InvalidCredentials,
        401,
        "The username or e-mail address and the password do not belong together.",
        "Check both. Passwords are case-sensitive.",
    ),
    Row(
        errors.NotAuthenticated,
        401,
        "The token is missing, malformed, unknown, expired or revoked.",
        "Log in (`POST /api/v1/auth/login`) and send `Authorization: Bearer <token>`. A login token lasts one hour.",
        by_status=True,
    ),
    Row(errors.AccountSuspended, 403, "An administrator has suspended the account.", "Contact an administrator."),
    Row(
        "forbidden",
        403,
        "You are not allowed to do this.",
        "Ask an administrator.",
        example="You are not allowed to do this.",
        by_status=True,
    ),
    Row(
        errors.InsufficientScope,
        403,
        "The token may only read, or a personal token was used where a login token is needed.",
        "Use a token with the scopes `read trade`; for passwords and tokens, log in.",
    ),
    Row(errors.NotAdmin, 403, "The address is for administrators.", "Ask an administrator."),
    Row(errors.AssetNotFound, 404, "There is no asset with this id.", "See `GET /api/v1/inventory/assets`."),
    Row(errors.HoldingNotFound, 404, "You have never held this asset.", "See `GET /api/v1/balance/assets`."),
    Row(
        errors.NotFound,
        404,
        "The address does not exist, or names something that does not exist or belongs to someone else.",
        "Check the address against the list of routes. It must not end with a slash or have two slashes in a row.",
        by_status=True,
    ),
    Row(errors.OrderNotFound, 404, "You have no order with this id.", "See `GET /api/v1/orders`."),
    Row(errors.TokenNotFound, 404, "You have no personal token with this id.", "See `GET /api/v1/auth/tokens`."),
    Row(
        errors.TransactionNotFound,
        404,
        "You have no transaction with this id.",
        "See `GET /api/v1/balance/transactions`.",
    ),
    Row(errors.UserNotFound, 404, "There is no such user.", "Check the username, in lower case.", fields=("user",)),
    Row(
        "method_not_allowed",
        405,
        "The address does not take this method.",
        "Use one that the `Allow` header names.",
        example="This address does not take this method. See the Allow header for those it takes.",
        by_status=True,
    ),
    Row(
        errors.EmailTaken,
        409,
        "Another account has this e-mail address.",
        "Log in with it, or use another one.",
        fields=("email",),
    ),
    Row(
        errors.OrderNotPending,
        409,
        "The order has been executed or cancelled, or has expired (`order_status`).",
        "Look at the order; it can no longer change.",
        example=errors.OrderNotPending("COMPLETED"),
    ),
    Row(
        errors.OwnAccount,
        409,
        "An administrator tried to suspend their own account, or to adjust its balance.",
        "Ask another administrator.",
    ),
    Row(
        errors.PriceMoved,
        409,
        "The price (`price`) is worse than the worst price that the market order accepts (`worst_price`).",
        "Look at the new price, and order again with another `price`, or place a limit order.",
        example=errors.PriceMoved(price="60100", worst_price="60000"),
        fields=("price",),
    ),
    Row(errors.UsernameTaken, 409, "Another account has this username.", "Choose another one.", fields=("username",)),
    Row(
        "body_too_large",
        413,
        "The body is larger than 64 KB.",
        "Send less.",
        example="The body is larger than 64 KB. Send less.",
        by_status=True,
    ),
    Row(
        "unsupported_media_type",
        415,
        "The body is not declared as JSON.",
        "Send `Content-Type: application/json`.",
        example="Send JSON, with 'Content-Type: application/json'.",
        by_status=True,
    ),
    Row(
        errors.AssetNotTradeable,
        422,
        "The asset of an order is unknown or no longer traded.",
        "Choose one whose `is_active` is true.",
        example=errors.AssetNotTradeable("NOPE"),
    ),
    Row(
        errors.IdempotencyKeyReused,
        422,
        "The Idempotency-Key was used for another request within the last 30 days.",
        "Use a new key for a new request; repeat a request with exactly the same values.",
        page_message="This form was sent before, with other values. Send it again to send these too.",
    ),
    Row(
        errors.InsufficientFunds,
        422,
        "The balance (`available`) is smaller than the amount needed (`required`).",
        "Deposit more, choose a smaller amount, or cancel an open order to buy: it reserves what it may need.",
        example=errors.InsufficientFunds(available=Decimal("5.00"), required=Decimal("10.00")),
        fields=("amount", "quantity", "spend"),
    ),
    Row(
        errors.InsufficientHolding,
        422,
        "What can be sold of the holding (`available`) is smaller than the quantity to sell (`required`).",
        "Choose a smaller quantity, or cancel an open order to sell: it reserves what it offers.",
        example=errors.InsufficientHolding(asset_id="BTC", available="0.1", required="0.25"),
        fields=("quantity",),
    ),
    Row(
        InvalidInput,
        422,
        "A field, a parameter, an id in the address or the Idempotency-Key breaks a rule; `errors` names each.",
        "Follow the message beside each field.",
    ),
    Row(
        errors.NotSupported,
        422,
        "The body of an order has a field that means something at other services and nothing here. Without it the "
        "order would be another one than was meant, so nothing was placed; `errors` names each.",
        "Use what the message beside each field says, or leave the field out.",
        example=errors.NotSupported({"notional": "Send the quantity of the asset as quantity."}),
    ),
    Row(
        errors.OrderTooLarge,
        422,
        "The order is worth more than 1000000.00.",
        "Split it into smaller orders.",
        fields=("quantity", "spend"),
    ),
    Row(
        errors.OrderTooSmall,
        422,
        "The order is worth less than 0.01.",
        "Choose a larger quantity or amount.",
        fields=("quantity", "spend"),
    ),
    Row(
        errors.UnknownParameter,
        422,
        "The query has a parameter that the address does not take; `errors` names each.",
        "Leave it out, or use one of the parameters that the message names.",
        example=errors.UnknownParameter(["page"], ["limit", "cursor", "offset"]),
    ),
    Row(
        TooManyRequests,
        429,
        "Too many requests came in a short time.",
        "Wait for the seconds that `Retry-After` says.",
        example=TooManyRequests(limit=20, reset_seconds=600),
    ),
    Row(
        "internal_error",
        500,
        "A defect of this service; it was recorded.",
        "Try again, with the same Idempotency-Key if you sent one. If it fails again, report the `request_id`.",
        example="Something went wrong here, and was recorded. Try again, and give the request id if you report it.",
        by_status=True,
    ),
    Row(
        errors.Busy,
        503,
        "Too many changes of one account came at once, too many passwords wait to be checked or set, or the database "
        "is short of capacity. Nothing was changed.",
        "Send the request again after the seconds that `Retry-After` says.",
    ),
    Row(
        errors.Overloaded,
        503,
        "More requests came than can be answered in time. This one was not begun.",
        "Send the request again after the seconds that `Retry-After` says, and wait longer each time.",
    ),
    Row(
        errors.PriceUnavailable,
        503,
        "The market has no current price of this asset.",
        "Try again after the seconds that `Retry-After` says.",
    ),
    Row(
        errors.StoreUnavailable,
        503,
        "The database did not answer: the change may or may not have been applied.",
        "Send the request again with the same Idempotency-Key. Without a key, check first whether it was applied.",
        page_message="No answer came in time. Send the form again: it will not be applied twice.",
    ),
)

BY_CLASS = {row.error: row for row in ROWS if not isinstance(row.error, str)}
BY_STATUS = {row.status: row for row in ROWS if row.by_status}
# After these nobody knows whether a change was applied. Every other error says that nothing was.
UNKNOWN_OUTCOME = (BY_CLASS[errors.StoreUnavailable], BY_STATUS[500])


def row_of(error: ProductError) -> Row:
    """Raises KeyError for a class without a row, which a test finds first."""
    return BY_CLASS[type(error)]


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
    app.register_error_handler(ParseException, lambda _: answer_http_error(BadRequest()))
    app.register_error_handler(Exception, _answer_defect)


def wants_json() -> bool:
    return request.path.startswith("/api/") or request.path in {"/api", "/health", "/ready", "/metrics"}


def answer_error(
    row: Row, *, status: int = 0, detail: str = "", may_be_applied: bool | None = None, **more: Any
) -> Response:
    """An error as problem+json or as a page, with the row's status and sentence unless others are given.

    A page says whether the form that was sent may have been applied; unless it is given, the row tells.
    """
    if may_be_applied is None:
        may_be_applied = row in UNKNOWN_OUTCOME
    status, detail = status or row.status, detail or row.message
    title = HTTPStatus(status).phrase
    if wants_json():
        problem = {
            "type": request.script_root + row.type,
            "title": title,
            "status": status,
            "detail": detail,
            "code": row.code,
        }
        response = jsonify({**problem, "request_id": g.request_id, **more})
        response.content_type = "application/problem+json"
    else:
        page = render_template(
            "error.html",
            status=status,
            title=title,
            detail=detail,
            errors=more.get("errors", []),
            may_be_applied=may_be_applied,
        )
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
    response = answer_error(BY_STATUS.get(status, BY_STATUS[400 if status < 500 else 500]), status=status)
    for name, value in error.get_headers():
        if name not in {"Content-Type", "WWW-Authenticate"}:
            response.headers[name] = value
    return response


def show_rate_limit(limit: int, remaining: int, reset_seconds: int) -> None:
    """Say in the headers of this request's answer how often the client may still try, and until when."""
    g.rate_headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(reset_seconds),
    }


def _answer_product_error(error: ProductError) -> Response:
    more: dict[str, Any] = dict(error.details)
    if isinstance(error, InvalidInput):
        more["errors"] = [{"field": each.field, "message": each.message} for each in error.errors]
    response = answer_error(row_of(error), detail=str(error), **more)
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.reset_seconds)
        show_rate_limit(error.limit, 0, error.reset_seconds)
    return response


def _answer_database_error(error: PynamoDBException) -> Response:
    current_app.logger.error("database refused: %s %s", error.cause_response_code, error.cause_response_message)
    return _answer_defect(error)


def _answer_defect(error: Exception) -> Response:
    current_app.logger.exception("request %s failed", g.request_id, exc_info=error)
    return answer_error(BY_STATUS[500])
