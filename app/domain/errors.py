"""Every way in which the product refuses.

The class says what went wrong, `code` is the stable word for programs, and the message is a sentence
that tells the person what to do. How each one looks over HTTP is one table in `app/views/http.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar


class ProductError(Exception):
    """Anything that the product answers instead of what was asked for.

    `details` are named values for programs: strings (money and quantities in plain notation) or numbers.
    """

    code: ClassVar[str]
    message: ClassVar[str] = ""

    def __init__(self, message: str | None = None, **details: object) -> None:
        super().__init__(message or self.message)
        self.details = details

    def __str__(self) -> str:
        return str(self.args[0])


class Refusal(ProductError):
    """A rule says no: nothing was written, and the same request would be refused again."""


@dataclass(frozen=True)
class FieldError:
    """One field of the input and what is wrong with it; `field` is empty when it is about the whole request."""

    field: str
    message: str


class InvalidInput(Refusal):
    code = "invalid_input"
    message = "Some of what was sent cannot be used. See the list of fields."

    def __init__(self, *errors: FieldError) -> None:
        super().__init__()
        self.errors = list(errors)


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
    message = "This is for operators only."


class AccountSuspended(Refusal):
    code = "account_suspended"
    message = "This account is suspended. Contact the operator."


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
            f"You hold {available} {asset_id}, and this needs {required}. Choose a smaller quantity.",
            asset_id=asset_id,
            available=available,
            required=required,
        )


class OrderTooSmall(Refusal):
    code = "order_too_small"
    message = "The order is worth less than 0.01. Choose a larger quantity."


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
            f"This order is {status.lower()} already and can no longer change.", order_status=status.lower()
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
    """What does not exist, or belongs to someone else: the two are never told apart."""

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
    message = "You cannot suspend yourself. Ask another operator."


class InvalidCursor(Refusal):
    code = "invalid_cursor"
    message = "This cursor does not belong to this list. Start again without a cursor."


class IdempotencyKeyReused(Refusal):
    code = "idempotency_key_reused"
    message = "This idempotency key was used for another request. Use a new key for a new request."


class TooManyRequests(Refusal):
    code = "too_many_requests"

    def __init__(self, *, limit: int, reset_seconds: int) -> None:
        super().__init__(f"Too many attempts. Wait {reset_seconds} seconds, then try again.")
        self.limit = limit
        self.reset_seconds = reset_seconds


class Busy(ProductError):
    """Every attempt lost its race against other changes of the same items; trying again later is safe."""

    code = "busy"
    message = "Too much is happening in this account at once. Nothing was changed; try again in a moment."


class StoreUnavailable(ProductError):
    """The store did not answer. A write may or may not have happened: only a keyed request is safe to repeat."""

    code = "store_unavailable"
    message = "The store does not answer. Try again in a moment, with the same idempotency key if there was one."
