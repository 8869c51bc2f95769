"""Every error code: what causes it, and what to do. `docs/errors.md` and the page `/api/docs/errors` are made of this.

After a change here, write the file again: `print(as_markdown(), end="")`.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.views.http import FORM_EXPIRED, HTTP_ERRORS, STATUS


@dataclass(frozen=True)
class Problem:
    code: str
    status: int
    cause: str
    remedy: str


_WORDS: dict[str, tuple[str, str]] = {
    "bad_request": (
        "The request is no HTTP or no JSON that can be read: broken JSON, a name that stands twice in one object, "
        "`NaN`, text that is not UTF-8, a broken `Host`.",
        "Mend the request. Sent again as it is, it is refused again.",
    ),
    "invalid_cursor": (
        "The cursor was changed, or comes from another list, user or filter.",
        "Ask for the list without a cursor, and then use each `next_cursor` with the same filters.",
    ),
    "form_expired": (
        "A form of a page came without its protection against forgery, or with that of an ended session. "
        "The JSON API never answers this.",
        "Load the page again and send the form from there.",
    ),
    "invalid_credentials": (
        "Username (or e-mail address) and password do not belong together.",
        "Check both. Passwords are case-sensitive.",
    ),
    "not_authenticated": (
        "The token is missing, malformed, unknown, expired or revoked.",
        "Log in (`POST /api/v1/auth/login`) and send `Authorization: Bearer <token>`. A login token lives one hour.",
    ),
    "account_suspended": ("An operator has suspended the account.", "Contact the operator."),
    "insufficient_scope": (
        "The token may only read, or it is a personal token where the password is asked for.",
        "Use a token with the scopes `read trade`; for passwords and tokens, log in.",
    ),
    "not_admin": ("The address is for operators.", "Ask an operator."),
    "forbidden": ("You may not do this.", "Ask the operator."),
    "not_found": (
        "The address does not exist, or names something that does not exist or belongs to someone else.",
        "Check the address against the list of routes: no slash at its end, no two in a row.",
    ),
    "asset_not_found": ("There is no asset with this id.", "See `GET /api/v1/inventory/assets`."),
    "holding_not_found": ("You have never held this asset.", "See `GET /api/v1/balance/assets`."),
    "order_not_found": ("You have no order with this id.", "See `GET /api/v1/orders`."),
    "transaction_not_found": ("You have no transaction with this id.", "See `GET /api/v1/balance/transactions`."),
    "token_not_found": ("You have no personal token with this id.", "See `GET /api/v1/auth/tokens`."),
    "user_not_found": ("There is no such user.", "Check the username, in lower case."),
    "method_not_allowed": ("The address does not take this method.", "Use one that the `Allow` header names."),
    "username_taken": ("Another account has this username.", "Choose another one."),
    "email_taken": ("Another account has this e-mail address.", "Log in with it, or use another one."),
    "order_not_pending": (
        "The order has been executed, cancelled or has expired (`order_status`).",
        "Look at the order; nothing is left.",
    ),
    "price_moved": (
        "The price (`price`) is worse than the worst that the market order accepts (`worst_price`).",
        "Look at the new price, and order again with another `price`, or place a limit order.",
    ),
    "own_account": ("An operator tried to suspend the own account.", "Ask another operator."),
    "body_too_large": ("The body is larger than 64 KB.", "Send less."),
    "unsupported_media_type": ("The body is not declared as JSON.", "Send `Content-Type: application/json`."),
    "invalid_input": (
        "A field, a parameter, an id of the address or the Idempotency-Key breaks a rule; `errors` names each.",
        "Do what the message beside each field says.",
    ),
    "insufficient_funds": (
        "The balance (`available`) is smaller than what is needed (`required`).",
        "Deposit more, choose a smaller amount, or cancel an open order to buy: it holds what it may need.",
    ),
    "insufficient_holding": (
        "The holding (`available`) is smaller than what is to be sold (`required`).",
        "Choose a smaller quantity, or cancel an open order to sell: it holds what it offers.",
    ),
    "order_too_small": ("The order is worth less than 0.01.", "Choose a larger quantity."),
    "order_too_large": ("The order is worth more than 1000000.00.", "Split it into smaller orders."),
    "asset_not_tradeable": (
        "The asset of an order is unknown or no longer traded.",
        "Choose one whose `is_active` is true.",
    ),
    "idempotency_key_reused": (
        "The Idempotency-Key was used for another request within the last 30 days.",
        "Use a new key for a new request; repeat a request with exactly the same values.",
    ),
    "too_many_requests": ("Too many requests came in a short time.", "Wait for the seconds that `Retry-After` says."),
    "internal_error": (
        "A defect of this service; it was recorded.",
        "Try again, with the same Idempotency-Key if there was one. If it stays, ask and name the `request_id`.",
    ),
    "busy": (
        "Too many changes of the same account came at once, or the database is short of capacity. Nothing was changed.",
        "Send the request again after the seconds that `Retry-After` says.",
    ),
    "store_unavailable": (
        "The database did not answer: the change may or may not have happened.",
        "Send the request again with the same Idempotency-Key. Without one, look first whether it happened.",
    ),
    "price_unavailable": (
        "The market has no current price of this asset.",
        "Try again after the seconds that `Retry-After` says.",
    ),
}

BEFORE_THE_APPLICATION = (
    "The web server refuses some requests before the application sees them: a broken request line or header (400), "
    "a request line over 4094 bytes (414) and headers over 8190 bytes or more than 64 of them (431). These answers "
    "are short HTML pages without a code; mend the request."
)


def statuses() -> dict[str, int]:
    """The status of every code."""
    by_library = {code: status for status, (code, _) in HTTP_ERRORS.items()}
    return {**by_library, FORM_EXPIRED[0]: 400, **{refusal.code: status for refusal, status in STATUS.items()}}


def list_problems() -> list[Problem]:
    """Every code, by status. Raises KeyError for one that nobody has described."""
    ordered = sorted(statuses().items(), key=lambda item: (item[1], item[0]))
    return [Problem(code, status, *_WORDS[code]) for code, status in ordered]


def described() -> set[str]:
    """The codes that are described here."""
    return set(_WORDS)


def as_markdown() -> str:
    """The text of `docs/errors.md`."""
    rows = [
        f'| <a id="{each.code}"></a>`{each.code}` | {each.status} | {each.cause} | {each.remedy} |'
        for each in list_problems()
    ]
    return "\n".join(
        [
            "# Errors of the API",
            "",
            "Every error under `/api` is `application/problem+json` (RFC 9457): `type` (the address of this explanation),",  # noqa: E501
            "`title`, `status`, `detail` (a sentence for people), `code` (below, for programs), `request_id`, and for",
            "invalid input `errors`: a list of `{field, message}`. Some codes add values; they are named in the table.",
            "",
            "| code | status | cause | what to do |",
            "|---|---|---|---|",
            *rows,
            "",
            BEFORE_THE_APPLICATION,
            "",
        ]
    )
