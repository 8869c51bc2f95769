"""Every error that the product answers by its own rules.

The class says what went wrong, `code` is the stable word for programs, and the message is a sentence that tells people
what to do. The table in `app/views/errors.py` has the rest of each: its HTTP status, cause and remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar


class ProductError(Exception):
    """An error with a stable code and a sentence for people.

    `details` are named values for programs: text (money and quantities in plain notation) or numbers.
    """

    code: ClassVar[str]
    message: ClassVar[str] = ""

    def __init__(self, message: str | None = None, **details: object) -> None:
        super().__init__(message or self.message)
        self.details = details

    def __str__(self) -> str:
        return str(self.args[0])


class Refusal(ProductError):
    """A rule refused: nothing was written, and the same request would be refused again."""


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of the input; `field` is empty when it is about the whole request."""

    field: str
    message: str


class InvalidInput(Refusal):
    code = "invalid_input"
    message = "Some values are invalid. See the message for each field."

    def __init__(self, *errors: FieldError, message: str | None = None) -> None:
        super().__init__(message)
        self.errors = list(errors)


class UnknownParameter(InvalidInput):
    code = "unknown_parameter"

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

    def __init__(self, advice: Mapping[str, str]) -> None:
        super().__init__(
            *(FieldError(name, text) for name, text in advice.items()),
            message=" ".join(f"'{name}' is not supported. {text}" for name, text in advice.items()),
        )


class UsernameTaken(Refusal):
    code = "username_taken"
    message = "This username is taken. Choose another one."


class EmailTaken(Refusal):
    code = "email_taken"
    message = "An account with this e-mail address exists. Log in, or use another address."


class InvalidCredentials(Refusal):
    code = "invalid_credentials"
    message = "The username or password is wrong. Check both and try again."


class NotAuthenticated(Refusal):
    code = "not_authenticated"
    message = "Log in, and send the token as 'Authorization: Bearer <token>'."


class InsufficientScope(Refusal):
    code = "insufficient_scope"
    message = "This token may only read. Use one with the scopes 'read trade', or log in."


class NotAdmin(Refusal):
    code = "not_admin"
    message = "This is for administrators only."


class AccountSuspended(Refusal):
    code = "account_suspended"
    message = "This account is suspended. Contact an administrator."


class InsufficientFunds(Refusal):
    code = "insufficient_funds"

    def __init__(self, *, available: Decimal, required: Decimal) -> None:
        super().__init__(
            f"The balance is {available}, and this needs {required}. Deposit more, or choose a smaller amount.",
            available=str(available),
            required=str(required),
        )


class InsufficientHolding(Refusal):
    code = "insufficient_holding"

    def __init__(self, *, asset_id: str, available: str, required: str) -> None:
        super().__init__(
            f"You have {available} {asset_id} to sell, and this needs {required}. Choose a smaller quantity.",
            asset_id=asset_id,
            available=available,
            required=required,
        )


class OrderTooSmall(Refusal):
    code = "order_too_small"
    message = "The order is worth less than 0.01. Choose a larger quantity or amount."


class OrderTooLarge(Refusal):
    code = "order_too_large"
    message = "The order is worth more than 1000000.00. Split it into smaller orders."


class PriceMoved(Refusal):
    code = "price_moved"

    def __init__(self, *, price: str, worst_price: str) -> None:
        super().__init__(
            f"The price is now {price}, worse than the {worst_price} that you accept. "
            "Look at the new price and order again.",
            price=price,
            worst_price=worst_price,
        )


class OrderNotPending(Refusal):
    code = "order_not_pending"

    def __init__(self, status: str) -> None:
        super().__init__(
            f"This order is already {status.lower()} and can no longer change.", order_status=status.lower()
        )


class PriceUnavailable(Refusal):
    code = "price_unavailable"
    message = "There is no current price for this asset. Try again in a minute."


class AssetNotTradeable(Refusal):
    code = "asset_not_tradeable"

    def __init__(self, asset_id: str) -> None:
        super().__init__(
            f"{asset_id} cannot be traded here. See the list of assets for those that can.", asset_id=asset_id
        )


class NotFound(Refusal):
    """It does not exist, or belongs to someone else: the answers are the same."""

    code = "not_found"
    message = "There is nothing at this address. Check it, or go back to the start."


class AssetNotFound(NotFound):
    code = "asset_not_found"
    message = "There is no such asset. See the list of assets."


class HoldingNotFound(NotFound):
    code = "holding_not_found"
    message = "You have never held this asset."


class OrderNotFound(NotFound):
    code = "order_not_found"
    message = "There is no such order among yours. See the list of your orders."


class TransactionNotFound(NotFound):
    code = "transaction_not_found"
    message = "There is no such transaction among yours. See the list of your transactions."


class UserNotFound(NotFound):
    code = "user_not_found"
    message = "There is no such user. Check the username or e-mail address."


class TokenNotFound(NotFound):
    code = "token_not_found"
    message = "There is no such token among yours. See the list of your tokens."


class OwnAccount(Refusal):
    code = "own_account"
    message = "An administrator cannot do this to their own account. Ask another administrator."


class InvalidCursor(Refusal):
    code = "invalid_cursor"
    message = "This cursor does not belong to this list. Start again without a cursor."


class IdempotencyKeyReused(Refusal):
    code = "idempotency_key_reused"
    message = "This idempotency key was used for another request. Use a new key for a new request."


class TooManyRequests(Refusal):
    code = "too_many_requests"

    def __init__(self, *, limit: int, reset_seconds: int) -> None:
        unit = "second" if reset_seconds == 1 else "seconds"
        super().__init__(f"Too many attempts. Wait {reset_seconds} {unit}, then try again.")
        self.limit = limit
        self.reset_seconds = reset_seconds


class Busy(ProductError):
    """Conflict or throttling: nothing was written, and trying again later is safe."""

    code = "busy"
    message = "Too many changes came at once. Nothing was changed; try again in a moment."


class Overloaded(ProductError):
    """There is too much to do: the request was not begun."""

    code = "overloaded"
    message = "There is too much to do just now. Nothing was changed; try again in a moment."


class StoreUnavailable(ProductError):
    """The database did not answer. The outcome of a write is unknown: only a keyed request is safe to repeat."""

    code = "store_unavailable"
    message = "The service did not answer in time. Try again in a moment, with the same idempotency key if any."
