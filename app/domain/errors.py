"""Every error that the product answers by its own rules, each with all that is known of it.

The class says what went wrong, `code` is the stable word for programs, and the message is a sentence that tells people
what to do. What is answered, the documentation of the API and the forms are made from these classes. Errors without a
rule, which Flask and Werkzeug find, are in `app/views/errors.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Self


class ProductError(Exception):
    """An error with a stable code and a sentence for people.

    `details` are named values for programs: text (money and quantities in plain notation) or whole numbers.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    """As which HTTP status it is answered."""
    message: ClassVar[str] = ""
    """The sentence, where it is not made from values."""
    cause: ClassVar[str]
    """For the documentation, as is `remedy`, with names of code in backticks."""
    remedy: ClassVar[str]
    example: ClassVar[tuple[Any, ...] | Mapping[str, Any]] = ()
    """What `make_example` makes one from: the arguments in order, or by name."""
    fields: ClassVar[tuple[str, ...]] = ()
    """A form shows the error beside the first of these that it has."""
    page_message: ClassVar[str] = ""
    """What a form says where the sentence for programs would not help."""
    may_be_applied: ClassVar[bool] = False
    """Whether nobody knows if a change was applied. Every other error says that nothing was."""

    def __init__(self, message: str | None = None, **details: object) -> None:
        super().__init__(message or self.message)
        self.details = details

    def __str__(self) -> str:
        return str(self.args[0])

    @classmethod
    def make_example(cls) -> Self:
        """One as a request may get it."""
        given = cls.example
        return cls(**given) if isinstance(given, Mapping) else cls(*given)


def every_error(kind: type[ProductError] = ProductError) -> Iterator[type[ProductError]]:
    """The classes of all errors that can be answered; those without a code are only there to be inherited from."""
    for each in kind.__subclasses__():
        if "code" in vars(each):
            yield each
        yield from every_error(each)


class Refusal(ProductError):
    """A rule refused: nothing was written, and the same request would be refused again."""


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of the input; `field` is empty when it is about the whole request."""

    field: str
    message: str


class InvalidInput(Refusal):
    code = "invalid_input"
    status = 422
    message = "Some values are invalid. See the message for each field."
    cause = "A field, a parameter, an id in the address or the Idempotency-Key breaks a rule; `errors` names each."
    remedy = "Follow the message beside each field."
    example: ClassVar[tuple[Any, ...]] = (FieldError("amount", "Choose an amount from 0.01 to 1000000.00."),)

    def __init__(self, *errors: FieldError, message: str | None = None) -> None:
        super().__init__(message)
        self.errors = list(errors)


class UnknownParameter(InvalidInput):
    code = "unknown_parameter"
    cause = "The query has a parameter that the address does not take; `errors` names each."
    remedy = "Leave it out, or use one of the parameters that the message names."
    example = (["page"], ["limit", "cursor", "offset"])

    def __init__(self, unknown: Sequence[str], known: Sequence[str]) -> None:
        names = ", ".join(f"'{name}'" for name in unknown)
        takes = f"It takes only: {', '.join(known)}." if known else "It takes none."
        super().__init__(
            *(FieldError(name, f"Leave this out. {takes}") for name in unknown),
            message=f"This address does not take {names} in its query. {takes}",
        )


class NotSupported(InvalidInput):
    """Fields that other services have and this one does not; `advice` says of each what to use instead."""

    code = "not_supported"
    cause = (
        "The body of an order has a field that means something at other services and nothing here. Without it the "
        "order would be another one than was meant, so nothing was placed; `errors` names each."
    )
    remedy = "Use what the message beside each field says, or leave the field out."
    example = ({"notional": "Send the quantity of the asset as quantity."},)

    def __init__(self, advice: Mapping[str, str]) -> None:
        super().__init__(
            *(FieldError(name, text) for name, text in advice.items()),
            message=" ".join(f"'{name}' is not supported. {text}" for name, text in advice.items()),
        )


class UsernameTaken(Refusal):
    code = "username_taken"
    status = 409
    message = "This username is taken. Choose another one."
    cause = "Another account has this username."
    remedy = "Choose another one."
    fields = ("username",)


class EmailTaken(Refusal):
    code = "email_taken"
    status = 409
    message = "An account with this e-mail address exists. Log in, or use another address."
    cause = "Another account has this e-mail address."
    remedy = "Log in with it, or use another one."
    fields = ("email",)


class LinkInvalid(Refusal):
    code = "link_invalid"
    status = 422
    message = "This link is not valid any more: it was used, or its time is over. Ask for a new one."
    cause = "The token is not that of a live link: it was used or replaced, its time is over, or it never was one."
    remedy = "Ask for a new link."


class MailOff(ProductError):
    """The service is set up so that it sends no mail."""

    code = "mail_off"
    status = 409
    message = "This service sends no mail. Ask those who run it for a link."
    cause = "The service is set up without mail, and this needs some."
    remedy = "Ask those who run the service for a link for a new password."


class OperatorAccount(Refusal):
    code = "operator_account"
    status = 409
    message = "This is an administrator's account. Only those who run the service can make a link for it."
    cause = "An administrator asked for a link for a new password of an administrator's account."
    remedy = "Ask those who run the service: they make one with `flask users reset-link`."


class InvalidCredentials(Refusal):
    code = "invalid_credentials"
    status = 401
    message = "The username or password is wrong. Check both and try again."
    cause = "The username or e-mail address and the password do not belong together."
    remedy = "Check both. Passwords are case-sensitive."


class NotAuthenticated(Refusal):
    code = "not_authenticated"
    status = 401
    message = "Log in, and send the token as 'Authorization: Bearer <token>'."
    cause = "The token is missing, malformed, unknown, expired or revoked."
    remedy = (
        "Log in (`POST /api/v1/auth/login`) and send `Authorization: Bearer <token>`. A login token lasts one hour."
    )


class InsufficientScope(Refusal):
    code = "insufficient_scope"
    status = 403
    cause = (
        "The token lacks the scope that the request needs: `read`, `trade` or `transfer` (money in and out). A "
        "personal token is never enough for a profile, a password, tokens, sessions and the administration."
    )
    remedy = "Use a token with the scope that the message names, or log in (`POST /api/v1/auth/login`)."
    example = ("trade",)

    def __init__(self, scope: str) -> None:
        super().__init__(f"This token lacks the scope '{scope}'. Use one that has it, or log in.")


class LoginRequired(InsufficientScope):
    """What decides who someone is, or what a token could outlive itself with, is not for personal tokens."""

    def __init__(self) -> None:
        ProductError.__init__(self, "Log in with your password for this; a personal token is not enough.")


class TooManyTokens(Refusal):
    code = "too_many_tokens"
    status = 409
    cause = "You have as many personal tokens as one account may have."
    remedy = "Revoke one (`DELETE /api/v1/auth/tokens/{token_id}`), then make the new one."
    example = (25,)

    def __init__(self, most: int) -> None:
        super().__init__(f"You have {most} personal tokens, which is the most. Revoke one first.")


class NotAdmin(Refusal):
    code = "not_admin"
    status = 403
    message = "This is for administrators only."
    cause = "The address is for administrators."
    remedy = "Ask an administrator."


class AccountSuspended(Refusal):
    code = "account_suspended"
    status = 403
    message = "This account is suspended. Contact an administrator."
    cause = "An administrator has suspended the account."
    remedy = "Contact an administrator."


class InsufficientFunds(Refusal):
    code = "insufficient_funds"
    status = 422
    cause = "The balance (`available`) is smaller than the amount needed (`required`)."
    remedy = "Deposit more, choose a smaller amount, or cancel an open order to buy: it reserves what it may need."
    fields = ("amount", "quantity", "spend")
    example = {"available": Decimal("5.00"), "required": Decimal("10.00")}

    def __init__(self, *, available: Decimal, required: Decimal) -> None:
        super().__init__(
            f"The balance is {available}, and this needs {required}. Deposit more, or choose a smaller amount.",
            available=str(available),
            required=str(required),
        )


class InsufficientHolding(Refusal):
    code = "insufficient_holding"
    status = 422
    cause = "What can be sold of the holding (`available`) is smaller than the quantity to sell (`required`)."
    remedy = "Choose a smaller quantity, or cancel an open order to sell: it reserves what it offers."
    fields = ("quantity",)
    example = {"asset_id": "BTC", "available": "0.1", "required": "0.25"}

    def __init__(self, *, asset_id: str, available: str, required: str) -> None:
        super().__init__(
            f"You have {available} {asset_id} to sell, and this needs {required}. Choose a smaller quantity.",
            asset_id=asset_id,
            available=available,
            required=required,
        )


class OrderTooSmall(Refusal):
    code = "order_too_small"
    status = 422
    message = "The order is worth less than 0.01. Choose a larger quantity or amount."
    cause = "The order is worth less than 0.01."
    remedy = "Choose a larger quantity or amount."
    fields = ("quantity", "spend")


class OrderTooLarge(Refusal):
    code = "order_too_large"
    status = 422
    message = "The order is worth more than 1000000.00. Split it into smaller orders."
    cause = "The order is worth more than 1000000.00."
    remedy = "Split it into smaller orders."
    fields = ("quantity", "spend")


class PriceMoved(Refusal):
    code = "price_moved"
    status = 409
    cause = "The price (`price`) is worse than the worst price that the market order accepts (`worst_price`)."
    remedy = "Look at the new price, and order again with another `price`, or place a limit order."
    fields = ("price",)
    example = {"price": "60100", "worst_price": "60000"}

    def __init__(self, *, price: str, worst_price: str) -> None:
        super().__init__(
            f"The price is now {price}, worse than the {worst_price} that you accept. "
            "Look at the new price and order again.",
            price=price,
            worst_price=worst_price,
        )


class OrderNotPending(Refusal):
    code = "order_not_pending"
    status = 409
    cause = "The order has been executed or cancelled, or has expired (`order_status`)."
    remedy = "Look at the order; it can no longer change."
    example = ("COMPLETED",)

    def __init__(self, status: str) -> None:
        super().__init__(
            f"This order is already {status.lower()} and can no longer change.", order_status=status.lower()
        )


class PriceUnavailable(Refusal):
    code = "price_unavailable"
    status = 503
    message = "There is no current price for this asset. Try again in a minute."
    cause = "The market has no current price of this asset."
    remedy = "Try again after the seconds that `Retry-After` says."


class AssetNotTradeable(Refusal):
    code = "asset_not_tradeable"
    status = 422
    cause = "The asset of an order is unknown or no longer traded."
    remedy = "Choose one whose `is_active` is true."
    example = ("NOPE",)

    def __init__(self, asset_id: str) -> None:
        super().__init__(
            f"{asset_id} cannot be traded here. See the list of assets for those that can.", asset_id=asset_id
        )


class NotFound(Refusal):
    """It does not exist, or belongs to someone else: the answers are the same."""

    code = "not_found"
    status = 404
    message = "There is nothing at this address. Check it, or go back to the start."
    cause = "The address does not exist, or names something that does not exist or belongs to someone else."
    remedy = "Check the address against the list of routes. It must not end with a slash or have two slashes in a row."


class AssetNotFound(NotFound):
    code = "asset_not_found"
    message = "There is no such asset. See the list of assets."
    cause = "There is no asset with this id."
    remedy = "See `GET /api/v1/inventory/assets`."


class HoldingNotFound(NotFound):
    code = "holding_not_found"
    message = "You have never held this asset."
    cause = "You have never held this asset."
    remedy = "See `GET /api/v1/balance/assets`."


class OrderNotFound(NotFound):
    code = "order_not_found"
    message = "There is no such order among yours. See the list of your orders."
    cause = "You have no order with this id."
    remedy = "See `GET /api/v1/orders`."


class TransactionNotFound(NotFound):
    code = "transaction_not_found"
    message = "There is no such transaction among yours. See the list of your transactions."
    cause = "You have no transaction with this id."
    remedy = "See `GET /api/v1/balance/transactions`."


class UserNotFound(NotFound):
    code = "user_not_found"
    message = "There is no such user. Check the username or e-mail address."
    cause = "There is no such user."
    remedy = "Check the username, in lower case."
    fields = ("user",)


class SessionNotFound(NotFound):
    code = "session_not_found"
    message = "You have no session with this id. It may have ended already."
    cause = "You have no browser session or login token with this id."
    remedy = "See `GET /api/v1/auth/sessions`."


class TokenNotFound(NotFound):
    code = "token_not_found"
    message = "There is no such token among yours. See the list of your tokens."
    cause = "You have no personal token with this id."
    remedy = "See `GET /api/v1/auth/tokens`."


class OwnAccount(Refusal):
    code = "own_account"
    status = 409
    message = "An administrator cannot do this to their own account. Ask another administrator."
    cause = "An administrator tried to suspend their own account, or to adjust its balance."
    remedy = "Ask another administrator."


class InvalidCursor(Refusal):
    code = "invalid_cursor"
    status = 400
    message = "This cursor does not belong to this list. Start again without a cursor."
    cause = "The cursor was changed, or comes from another list, user or filter."
    remedy = "Ask for the list without a cursor, and then use each `next_cursor` with the same filters."


class IdempotencyKeyReused(Refusal):
    code = "idempotency_key_reused"
    status = 422
    message = "This idempotency key was used for another request. Use a new key for a new request."
    cause = "The Idempotency-Key was used for another request within the last 30 days."
    remedy = "Use a new key for a new request; repeat a request with exactly the same values."
    page_message = "This form was sent before, with other values. Send it again to send these too."


class TooManyRequests(ProductError):
    code = "too_many_requests"
    status = 429
    cause = "Too many requests came in a short time."
    remedy = "Wait for the seconds that `Retry-After` says."
    example = {"limit": 20, "reset_seconds": 600}

    def __init__(self, *, limit: int, reset_seconds: int) -> None:
        unit = "second" if reset_seconds == 1 else "seconds"
        super().__init__(f"Too many attempts. Wait {reset_seconds} {unit}, then try again.")
        self.limit = limit
        self.reset_seconds = reset_seconds


class Busy(ProductError):
    """Conflict or throttling: nothing was written, and trying again later is safe."""

    code = "busy"
    status = 503
    message = "Too many changes came at once. Nothing was changed; try again in a moment."
    cause = (
        "Too many changes of one account came at once, too many passwords wait to be checked or set, or the database "
        "is short of capacity. Nothing was changed."
    )
    remedy = "Send the request again after the seconds that `Retry-After` says."


class Overloaded(ProductError):
    """There is too much to do: the request was not begun."""

    code = "overloaded"
    status = 503
    message = "There is too much to do just now. Nothing was changed; try again in a moment."
    cause = "More requests came than can be answered in time. This one was not begun."
    remedy = "Send the request again after the seconds that `Retry-After` says, and wait longer each time."


class StoreUnavailable(ProductError):
    """The database did not answer. The outcome of a write is unknown: only a keyed request is safe to repeat."""

    code = "store_unavailable"
    status = 503
    message = "The service did not answer in time. Try again in a moment, with the same idempotency key if any."
    cause = "The database did not answer: the change may or may not have been applied."
    remedy = "Send the request again with the same Idempotency-Key. Without a key, check first whether it was applied."
    page_message = "No answer came in time. Send the form again: it will not be applied twice."
    may_be_applied = True
