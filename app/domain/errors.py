"""Every error that the product answers by its own rules, each with all that is known of it.

The class says what went wrong. `code` is the stable word for programs, and the message tells people what to do. What is
answered, the documentation of the API and the forms are made from these classes. Errors without a rule, which Flask and
Werkzeug find, are in `app/views/errors.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Self

from app.domain.writing import dollars, grouped


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
    page_message: str = ""
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
    message = "This is an administrator's account. Only those who run the service can do this to it."
    cause = (
        "An administrator asked for a link for a new password of an administrator's account, or to reset its second "
        "factor."
    )
    remedy = "Ask those who run the service: they have `flask users reset-link` and `flask users reset-factor`."


class InvalidCredentials(Refusal):
    code = "invalid_credentials"
    status = 401
    message = "The username or password is wrong. Check both and try again."
    cause = "The username or e-mail address and the password do not belong together."
    remedy = "Check both. Passwords are case-sensitive."


class CodeRequired(Refusal):
    """The password was right, and is not enough."""

    code = "code_required"
    status = 401
    message = "This account has a second factor. Log in with a code of it too: send it as code."
    cause = "The account has a second factor, and the log-in came without a code."
    remedy = (
        "Send the same request with `code`: the newest code of the app, a recovery code, or what a passkey signed "
        "(`POST /api/v1/auth/login/passkey`)."
    )


class InvalidCode(Refusal):
    code = "invalid_code"
    status = 401
    message = "This code is wrong, or was used before. Enter the newest one of your app, or a recovery code."
    cause = (
        "The code of the second factor is wrong, was used before, or is older than 30 seconds. Or what came from a "
        "passkey was not signed for this, or took longer than five minutes."
    )
    remedy = (
        "Use the newest code of the app, each one once, or a recovery code. Set the clock of the phone by the network. "
        "Of a passkey, ask for a new challenge."
    )
    fields = ("code",)


class SecondFactorRequired(ProductError):
    """The service is set up so that this needs a second factor, and the user has none."""

    code = "second_factor_required"
    status = 403
    message = "This needs a second factor, and your account has none. Set one up first, under Account."
    cause = "The service wants a second factor for this (`SECOND_FACTOR`), and the account has none."
    remedy = "Set one up: under *Account, Second factor*, or with `POST /api/v1/auth/second-factor`."


class NoSecondFactor(Refusal):
    code = "no_second_factor"
    status = 409
    message = "This account has no second factor."
    cause = "The account has no second factor that could be changed, removed or reset."
    remedy = "Nothing needs to be done. To set one up, see `POST /api/v1/auth/second-factor`."


class SecondFactorExists(Refusal):
    code = "second_factor_exists"
    status = 409
    message = "This account has a second factor already. Remove it before you set up another one."
    cause = "The account has a second factor already."
    remedy = "Remove it (`POST /api/v1/auth/second-factor/remove`), then set up the new one."


class NoPasskey(Refusal):
    code = "no_passkey"
    status = 409
    message = "This account has no passkey. Enter a code instead."
    cause = "A passkey was asked for, and the account has none."
    remedy = "Send a code of the app, or a recovery code. To add one, see `POST /api/v1/auth/second-factor/passkeys`."


class PasskeysNeedName(Refusal):
    """Browsers refuse passkeys at an IP address."""

    code = "passkeys_need_name"
    status = 409
    cause = "The site was opened at an IP address, such as 127.0.0.1. Browsers know passkeys only for names."
    remedy = "Open the site by its name, on the same machine `http://localhost:8000`, and log in there."
    example = ("http://localhost:8000",)

    def __init__(self, address: str) -> None:
        where = f"Open {address} and log in there" if address else "Open the site by its name"
        super().__init__(f"Passkeys do not work at an address of digits. {where}, or use a code.")


class TooManyPasskeys(Refusal):
    code = "too_many_passkeys"
    status = 409
    cause = "The account has as many passkeys as one may have."
    remedy = "Remove one (`POST /api/v1/auth/second-factor/passkeys/{passkey_id}/remove`), then add the new one."
    example = (10,)

    def __init__(self, most: int) -> None:
        super().__init__(f"You have {most} passkeys, which is the most. Remove one first.")


class NotAuthenticated(Refusal):
    code = "not_authenticated"
    status = 401
    message = "Log in, and send the token as 'Authorization: Bearer <token>'."
    cause = "The token is missing, malformed, unknown, expired or revoked."
    remedy = (
        "Log in (`POST /api/v1/auth/login`) and send `Authorization: Bearer <token>`. A login token lasts one hour."
    )


class ClosedSince(NotAuthenticated):
    """The credential was good until its user closed the account. The answer is that to any unknown one."""


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


class ProofRequired(Refusal):
    """The change asks again who is there: a cookie or a token may be a copy."""

    code = "proof_required"
    status = 403
    message = (
        "Give your password again: send it as current_password. Where it only has to be recent, "
        "POST /api/v1/auth/proof first does too."
    )
    cause = (
        "Another e-mail address, phone number or password, closing the account, and setting up or changing a second "
        "factor ask for the password in the same request. Personal tokens, large withdrawals and changes by "
        "administrators ask for it where it was last given too long ago. Where the account has a second factor, every "
        "withdrawal does, and a code is asked for too."
    )
    remedy = (
        "Send `current_password` with the request, and `code` where the account has a second factor. Where the "
        "password only has to be recent, send them to `POST /api/v1/auth/proof` instead, and then ask again."
    )
    fields = ("current_password",)
    page_message = "Enter your password to go on."


class ProofWithCodeRequired(ProofRequired):
    """The same for an account with a second factor."""

    message = (
        "Give your password and a code of your second factor again: send them as current_password and code. Where they "
        "only have to be recent, POST /api/v1/auth/proof first does too."
    )
    page_message = "Enter your password, and the newest code of your app or a recovery code, to go on."


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
        words = "The balance is {}, and this needs {}. Deposit more, or choose a smaller amount."
        values = str(available), str(required)
        super().__init__(words.format(*values), available=values[0], required=values[1])
        self.page_message = words.format(*map(dollars, values))


class InsufficientHolding(Refusal):
    code = "insufficient_holding"
    status = 422
    cause = "What can be sold of the holding (`available`) is smaller than the quantity to sell (`required`)."
    remedy = "Choose a smaller quantity, or cancel an open order to sell: it reserves what it offers."
    fields = ("quantity",)
    example = {"asset_id": "BTC", "available": "0.1", "required": "0.25"}

    def __init__(self, *, asset_id: str, available: str, required: str) -> None:
        words = f"You have {{}} {asset_id} to sell, and this needs {{}}. Choose a smaller quantity."
        super().__init__(words.format(available, required), asset_id=asset_id, available=available, required=required)
        self.page_message = words.format(grouped(available), grouped(required))


class OrderTooSmall(Refusal):
    code = "order_too_small"
    status = 422
    message = "The order is worth less than 0.01. Choose a larger quantity or amount."
    page_message = message.replace("0.01", dollars("0.01"))
    cause = "The order is worth less than 0.01."
    remedy = "Choose a larger quantity or amount."
    fields = ("quantity", "spend")


class OrderTooLarge(Refusal):
    code = "order_too_large"
    status = 422
    message = "The order is worth more than 1000000.00. Split it into smaller orders."
    page_message = message.replace("1000000.00", dollars("1000000.00"))
    cause = "The order is worth more than 1000000.00."
    remedy = "Split it into smaller orders."
    fields = ("quantity", "spend")


class PriceMoved(Refusal):
    code = "price_moved"
    status = 409
    cause = "The price (`price`) is worse than the worst price (`worst_price`) of an order that does not wait."
    remedy = "Look at the new price, and order again with another `price`, or place a limit order that waits."
    fields = ("price",)
    example = {"price": "60100", "worst_price": "60000"}

    def __init__(self, *, price: str, worst_price: str) -> None:
        words = "The price is now {}, worse than the {} that you accept. Look at the new price and order again."
        super().__init__(words.format(price, worst_price), price=price, worst_price=worst_price)
        self.page_message = words.format(dollars(price), dollars(worst_price))


class StopReached(Refusal):
    code = "stop_reached"
    status = 422
    cause = "The price (`price`) has already reached the stop (`stop_price`) of a new order."
    remedy = "Choose a stop below the price to sell, above it to buy. To trade now, send a market order."
    fields = ("stop_price",)
    example = {"price": "59000", "stop_price": "60000", "side": "below"}

    def __init__(self, *, price: str, stop_price: str, side: str) -> None:
        words = (
            "The price is {}, so the stop of {} is reached already. Choose one {} the price, or place a market order."
        )
        super().__init__(words.format(price, stop_price, side), price=price, stop_price=stop_price)
        self.page_message = words.format(dollars(price), dollars(stop_price), side)


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


class StopNotChangeable(Refusal):
    code = "stop_not_changeable"
    status = 409
    message = "An order with a stop cannot be changed. Cancel it, and place another one."
    cause = "The order that was to be changed has a stop, triggered or not."
    remedy = "Cancel the order, and place another one."


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


class ApprovalNotFound(NotFound):
    code = "approval_not_found"
    message = "There is no such adjustment. See the list of those that wait."
    cause = "No adjustment that waited for a second administrator has this id, or it was forgotten since."
    remedy = "See `GET /api/v1/admin/approvals`."


class ApprovalNotWaiting(Refusal):
    code = "approval_not_waiting"
    status = 409
    cause = "The adjustment has been approved or rejected, or has expired (`approval_status`)."
    remedy = "Look at it; if it is still needed, ask for it anew."
    example = ("EXPIRED",)

    def __init__(self, status: str) -> None:
        super().__init__(
            f"This adjustment is {status.lower()}, and waits no more. Look at it again.", approval_status=status.lower()
        )


class SecondOperatorNeeded(Refusal):
    code = "second_operator_needed"
    status = 409
    message = "You asked for this adjustment yourself. Another administrator must approve it."
    cause = "The administrator who asked for an adjustment tried to approve it."
    remedy = "Ask another administrator to approve it, or reject it to take it back."


class PasskeyNotFound(NotFound):
    code = "passkey_not_found"
    message = "There is no such passkey among yours. See your second factor."
    cause = "You have no passkey with this id."
    remedy = "See `GET /api/v1/auth/second-factor`."


class OwnAccount(Refusal):
    code = "own_account"
    status = 409
    message = "An administrator cannot do this to their own account. Ask another administrator."
    cause = (
        "An administrator acted on their own account: its status, its sessions, its second factor, or an adjustment of "
        "its balance."
    )
    remedy = "Ask another administrator."


class AccountNotEmpty(Refusal):
    code = "account_not_empty"
    status = 409
    cause = (
        "The account to close still has cash (`cash`) or assets (`holdings`), or open orders that reserve some "
        "(`reserved_cash`, `reserved_holdings`). Of what there is none, the text is empty."
    )
    remedy = "Cancel the open orders, sell the assets, and withdraw the cash last. Then close the account."
    example = {"cash": "5.00", "reserved_cash": "10.00", "holdings": "0.25 BTC, 1 ETH", "reserved_holdings": "2 ETH"}

    def __init__(self, *, cash: str, reserved_cash: str, holdings: str, reserved_holdings: str) -> None:
        steps = {
            "Cancel the open orders to buy: they reserve": reserved_cash,
            "Cancel the open orders to sell: they reserve": reserved_holdings,
            "Sell": holdings,
            "Withdraw": cash,
        }
        super().__init__(
            " ".join(["This account is not empty.", *(f"{step} {left}." for step, left in steps.items() if left)]),
            cash=cash,
            reserved_cash=reserved_cash,
            holdings=holdings,
            reserved_holdings=reserved_holdings,
        )


class StillAdmin(Refusal):
    code = "still_admin"
    status = 409
    message = "An administrator's account cannot be closed. Ask those who run the service to end that role first."
    cause = "An administrator tried to close their own account."
    remedy = "Ask those who run the service to end the role (`flask users demote`). Then close the account."


class InvalidCursor(Refusal):
    code = "invalid_cursor"
    status = 400
    message = "This cursor does not belong to this list. Start again without a cursor."
    cause = "The cursor was changed, or comes from another list, user or filter."
    remedy = "Ask for the list without a cursor, and then use each `next_cursor` with the same filters."


class EventsExpired(Refusal):
    code = "events_expired"
    status = 410
    cause = (
        "Events after `after` are gone: an event is kept for 30 days. `oldest_event_number` is the first one left, or "
        "the next one to come."
    )
    remedy = "Read your orders and your balance anew, then go on after the number before `oldest_event_number`."
    example = ("000000000042",)

    def __init__(self, oldest: str) -> None:
        super().__init__(
            f"Events after this number are gone. The oldest that is kept, or the next to come, is {oldest}. Read your "
            f"orders and your balance anew, then go on after the number before it.",
            oldest_event_number=oldest,
        )


class EventsAhead(Refusal):
    code = "events_ahead"
    status = 409
    cause = (
        "`after` is beyond the last event of the account (`newest_event_number`). The number is another account's, or "
        "the service was restored from a backup, so that the numbers after it will stand for other events."
    )
    remedy = "Read your orders and your balance anew, then go on after `newest_event_number`."
    example = ("000000000041",)

    def __init__(self, newest: str) -> None:
        super().__init__(
            f"This account has no event of this number; its last one is {newest}. Read your orders and your balance "
            f"anew, then go on after that.",
            newest_event_number=newest,
        )


class IdempotencyKeyReused(Refusal):
    code = "idempotency_key_reused"
    status = 422
    message = "This idempotency key was used for another request. Use a new key for a new request."
    cause = "The Idempotency-Key was used for another request within the last 30 days."
    remedy = "Use a new key for a new request; repeat a request with exactly the same values."
    page_message = "This form was sent before, with other values. Send it again to send these too."


class ClientOrderIdTaken(Refusal):
    code = "client_order_id_taken"
    status = 409
    cause = "Another order of the user has this `client_order_id` (`order_id`)."
    remedy = "Use a new client_order_id for a new order; repeat an order with exactly the same values."
    example = ("order_01M8JZ0Q6V3N8Y5T2R4W7X9ABC",)
    fields = ("client_order_id",)

    def __init__(self, order_id: str) -> None:
        super().__init__(
            f"The order {order_id} has this client_order_id. Use a new one for a new order.", order_id=order_id
        )


class TooManyRequests(ProductError):
    code = "too_many_requests"
    status = 429
    cause = (
        "Too many requests came in a short time: from one user, device or address, or wrong passwords for one account."
    )
    remedy = (
        "Wait for the seconds that `Retry-After` says. For a password: a device that has logged in before has tries of "
        "its own; a script sends the `device` of its last log-in as `X-Device`."
    )
    example = {"limit": 20, "reset_seconds": 600}

    def __init__(self, *, limit: int, reset_seconds: int) -> None:
        super().__init__(f"Too many attempts. Wait {_duration(reset_seconds)}, then try again.")
        self.limit = limit
        self.reset_seconds = reset_seconds


class TooManyGuesses(TooManyRequests):
    """Of a password. Programs are told the same as by TooManyRequests, people what else helps."""

    def __init__(self, *, limit: int, reset_seconds: int) -> None:
        super().__init__(limit=limit, reset_seconds=reset_seconds)
        self.page_message = (
            f"Too many wrong passwords. Wait {_duration(reset_seconds)}, or use a browser in which you have logged in "
            "before. You can also choose a new password by mail: open “Forgot your password?” on the page to log in."
        )


class TooManyCodes(TooManyRequests):
    """Too many wrong codes, from wherever they came: no code of the app is looked at for now."""

    def __init__(self, *, limit: int, reset_seconds: int) -> None:
        super().__init__(limit=limit, reset_seconds=reset_seconds)
        self.page_message = (
            f"Too many wrong codes. Use a recovery code, or a passkey if you have one, or wait "
            f"{_duration(reset_seconds)}."
        )


def _duration(seconds: int) -> str:
    """In words, in the largest unit of which there are two or more, rounded up."""
    for size, unit in ((60 * 60, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{-(-seconds // size)} {unit}"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


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


class UpgradeUnfinished(ProductError):
    """A copy of an older version may run, which would undo this."""

    code = "upgrade_unfinished"
    status = 503
    message = "This is not possible while the service is being updated. Nothing was changed; try again later."
    cause = "The service is being updated: copies of an older version, which do not know this, may still run."
    remedy = (
        "Try again later. Those who run the service: run `flask upgrade --again` once no copy of an older version runs."
    )


class StoreUnavailable(ProductError):
    """The database did not answer. The outcome of a write is unknown: only a keyed request is safe to repeat."""

    code = "store_unavailable"
    status = 503
    message = "The service did not answer in time. Try again in a moment, with the same idempotency key if any."
    cause = "The database did not answer: the change may or may not have been applied."
    remedy = "Send the request again with the same Idempotency-Key. Without a key, check first whether it was applied."
    page_message = "No answer came in time. Send the form again: it will not be applied twice."
    may_be_applied = True
