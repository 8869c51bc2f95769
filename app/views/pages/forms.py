"""Forms: read with the same schemas as JSON, and shown again with the reasons when they are refused.

A form that moves money carries an idempotency key made with its page. The key is kept when the form is shown again,
so that sending it again can never apply it twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Set
from functools import wraps
from typing import Any

from flask import Response, make_response, request
from flask.typing import ResponseReturnValue
from marshmallow import EXCLUDE, Schema, ValidationError

from app.domain import errors, money
from app.domain.identifiers import IDEMPOTENCY_KEY, matches
from app.schemas.amounts import Amount
from app.schemas.fields import StrictBoolean
from app.schemas.inputs import Input
from app.views.errors import RETRY_AFTER_SECONDS, answer_error, invalid_input, note_refusal
from app.views.pages.formatters import write_bound
from app.views.paging import ROWS, sent_query

# The label of each field, in the order in which forms ask and errors are listed.
LABELS = {
    "first_name": "First name",
    "last_name": "Last name",
    "username": "Username",
    "email": "E-mail address",
    "password": "Password",
    "current_password": "Current password",
    "code": "Code",
    "new_password": "New password",
    "keep_tokens": "Keep my personal API tokens",
    "phone": "Phone",
    "date_of_birth": "Date of birth",
    "marketing_emails_consent": "Send me news by e-mail",
    "amount": "Amount",
    "transaction_id": "Transaction number",
    "hash": "Hash",
    "description": "Description",
    "order_type": "What to do",
    "quantity": "Amount",
    "spend": "Amount",
    "unit": "In",
    "at_limit": "Wait for a limit",
    "at_stop": "Wait for a stop",
    "stop_price": "Stop",
    "price": "Price limit",
    "expires_at": "Open until",
    "time_in_force": "How long it stands",
    "name": "Name",
    "credential": "Passkey",
    "scopes": "What it may do",
    "ends_on": "Last day",
    "transaction_type": "Type",
    "from": "From",
    "to": "To",
    "year": "Year",
    "method": "Cost of sales",
    "theme": "Colours in this browser",
    "reason": "Reason",
    "user": "Username or e-mail address",
}


class Form:
    """The text typed into a form, and its errors: messages by field, "" for the whole form.

    A value may also be a suggestion: then the form has the same text under `suggested_` and the field's name. A
    suggestion is applied like what a person typed, but it is not shown again, and no error is put beside it.
    """

    def __init__(self, typed: Mapping[str, str] | None = None) -> None:
        self.typed = dict(typed or {})
        self.errors: dict[str, list[str]] = {}
        self.refusal: errors.ProductError | None = None
        self.status = 200
        self.retry_after_seconds = 0
        sent_key = self.typed.get("idempotency_key", "")
        self._is_keyed = matches(IDEMPOTENCY_KEY, sent_key)
        self.idempotency_key = sent_key if self._is_keyed else secrets.token_urlsafe(16)
        self._fields: set[str] = set()

    def value(self, name: str) -> str:
        """The text to show in a field: what the person typed, but never a password or a code."""
        is_secret = "password" in name or name == "code"
        return "" if is_secret or self.is_suggested(name) else self.typed.get(name, "")

    @property
    def asks_proof(self) -> bool:
        """Whether to ask for what proves who is there: where it was missing, or came and something else was wrong."""
        return isinstance(self.refusal, errors.ProofRequired) or "current_password" in self.typed

    def is_suggested(self, name: str) -> bool:
        """Whether the page wrote the value of a field, rather than the person."""
        return name in self.typed and self.typed[name] == self.typed.get(f"suggested_{name}")

    def label(self, name: str) -> str:
        return LABELS.get(name, "")

    def sent_key(self) -> str:
        """The key that came with the form. Raises InvalidInput when it is missing or malformed."""
        if not self._is_keyed:
            raise errors.InvalidInput(errors.FieldError("", "This form came without its key. Send it again."))
        return self.idempotency_key

    def load(self, schema: Schema, path: Mapping[str, str]) -> dict[str, Any]:
        """The values of a sent form and of its path. Raises InvalidInput."""
        fields = {field.data_key or name: field for name, field in schema.fields.items()}
        self._fields = set(fields)
        # The form then shows what was read.
        self.typed |= {
            name: money.with_point(text) for name, text in self.typed.items() if isinstance(fields.get(name), Amount)
        }
        data: dict[str, Any] = {
            name: text
            for name, text in self.typed.items()
            if text and not isinstance(schema.fields.get(name), StrictBoolean)
        }
        data |= {name: name in self.typed for name, field in schema.fields.items() if isinstance(field, StrictBoolean)}
        try:
            # A form has fields of its own, such as its key.
            loaded: dict[str, Any] = schema.load({**data, **path}, unknown=EXCLUDE)
        except ValidationError as error:
            raise invalid_input(
                {
                    name: messages if name in data or name == "_schema" else "Fill this in."
                    for name, messages in error.messages_dict.items()
                }
            ) from error
        return loaded

    def refuse(self, error: errors.ProductError) -> None:
        """Note why the form was not applied."""
        self.refusal = error
        self.status = error.status
        self.retry_after_seconds = _retry_after_seconds(error)
        places = {name: place for place, name in enumerate(LABELS)}
        for each in sorted(self._reasons(error), key=lambda each: places.get(each.field, -1)):
            self.errors.setdefault(each.field, []).append(write_bound(each.message))
        if isinstance(error, errors.IdempotencyKeyReused):
            self.idempotency_key = secrets.token_urlsafe(16)

    def _reasons(self, error: errors.ProductError) -> list[errors.FieldError]:
        if isinstance(error, errors.InvalidInput):
            return error.errors
        # The first field that the person filled in, or else that the form has.
        names = sorted(error.fields, key=lambda name: not self.value(name))
        field = next((name for name in names if name in self._fields), "")
        return [errors.FieldError(field, error.page_message or str(error))]


def sent_form() -> Form:
    """The form of this request: text without spaces around it, except in passwords."""
    return Form({name: text if "password" in name else text.strip() for name, text in request.form.items()})


PERIOD = frozenset({"from", "to"})
"""The fields of a filter by a period, in which a person writes."""


def read_filter(
    schema: Input, *, written: Set[str] | None = None, defaults: Mapping[str, str] | None = None
) -> tuple[Form, dict[str, Any] | None]:
    """The form of a list's filter, kept in the address, and its values: None when the form now shows its errors.

    The defaults are for an address with none of its fields; an empty field asks for no filter. Where only some fields
    are `written` by a person, what is wrong with another one is wrong with the address: raises InvalidInput.
    """
    is_sent = any(name in request.args for name in schema.names())
    form = Form(sent_query() if is_sent else defaults)
    try:
        return form, form.load(schema, {"limit": str(ROWS)})
    except errors.InvalidInput as error:
        form.refuse(error)
        if written is not None and form.errors.keys() - written:
            raise
        return form, None


def submits(
    schema: type[Schema], *, again: Callable[..., str], writes: bool = True, read: Callable[[], Form] = sent_form
) -> Callable[[Callable[..., ResponseReturnValue]], Callable[..., ResponseReturnValue]]:
    """Call the view with the form and its values; when anything is refused, show the form with `again`.

    NotFound is not a fault of the form: it stays an error page. `writes` is false where the view changes nothing,
    whatever happens to it. `read` makes the form of the request.
    """

    def decorate(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
        @wraps(view)
        def wrapper(**path: str) -> ResponseReturnValue:
            form = read()
            try:
                return view(form, form.load(schema(), path), **path)
            except errors.NotFound:
                raise
            except errors.ProductError as error:
                note_refusal(error)
                form.refuse(error)
            return _answer(lambda: again(form, **path), form, writes)

        wrapper.schema = schema  # type: ignore[attr-defined]
        return wrapper

    return decorate


def _answer(show: Callable[[], str], form: Form, writes: bool) -> Response:
    assert form.refusal is not None
    try:
        response = make_response(show(), form.status)
    except errors.NotFound:
        raise
    except errors.ProductError:
        # What kept this page from being shown says nothing about the form: its own refusal does.
        is_unknown = isinstance(form.refusal, errors.StoreUnavailable)
        messages = [message for each in form.errors.values() for message in each]
        # The words for a form promise that it can be sent again with its key, which this page does not have.
        detail = str(form.refusal) if is_unknown else " ".join(messages)
        response = answer_error(form.refusal, detail=detail, may_be_applied=writes and is_unknown)
    if form.retry_after_seconds:
        response.headers["Retry-After"] = str(form.retry_after_seconds)
    return response


def _retry_after_seconds(error: errors.ProductError) -> int:
    """How long to wait before the same form can succeed; 0 when waiting does not help."""
    if isinstance(error, errors.TooManyRequests):
        return error.reset_seconds
    return RETRY_AFTER_SECONDS if error.status == 503 else 0
