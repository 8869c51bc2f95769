"""What every JSON route shares: the parser of bodies, authentication, idempotency keys, ids in paths."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

from flask import Request, current_app, g, request
from flask_smorest import Api, Blueprint
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from app.domain.errors import (
    FieldError,
    InsufficientScope,
    InvalidInput,
    NotAdmin,
    NotAuthenticated,
    NotSupported,
    ProductError,
    UnknownParameter,
)
from app.domain.identifiers import ASSET_ID, IDEMPOTENCY_KEY, ORDER_ID, matches
from app.domain.users import READ
from app.models.idempotency import Applied
from app.models.reading import Found
from app.models.users import User
from app.schemas.amounts import JsonNumber
from app.schemas.fields import AssetId
from app.schemas.inputs import Input
from app.services import tokens
from app.services.admin import require_admin
from app.views.errors import answer_http_error, invalid_input
from app.views.reads import needed

PREFIX = "/api/v1"

ViewT = TypeVar("ViewT", bound=Callable[..., Any])


class JsonApi(Api):
    """flask-smorest, with the errors left to `app.views.errors`."""

    def handle_http_exception(self, error: HTTPException) -> Any:
        return answer_http_error(error)

    def _register_responses(self) -> None:
        """None of the library's: `openapi.py` registers ours."""

    def _register_pagination_header(self) -> None:
        """None either: lists are paged by `app.views.paging`."""


class StrictParser(FlaskParser):
    """Reads JSON as its sender wrote it: numbers as digits, no duplicate names, no NaN, UTF-8 only."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {"json": None, "query": None}

    def load_json(self, req: Request, schema: Schema) -> Any:
        if req.mimetype != "application/json" and not req.mimetype.endswith("+json"):
            raise UnsupportedMediaType()
        body = req.get_data(cache=False)
        # Werkzeug silently cuts a chunked body at the limit.
        if req.content_length is None and len(body) == req.max_content_length:
            raise RequestEntityTooLarge()
        read = read_json(body)
        if isinstance(schema, Input):
            _refuse_foreign_fields(read, schema)
        return read

    def handle_error(self, error: ValidationError, req: Request, schema: Schema, **kwargs: Any) -> NoReturn:
        messages = error.messages_dict.get("json") or error.messages_dict.get("query") or error.messages_dict
        raise invalid_input(messages) from error


def read_json(body: bytes) -> Any:
    """The value of a JSON text, with its numbers kept as digits. Raises BadRequest."""
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique,
        )
    except (ValueError, RecursionError) as error:
        raise BadRequest() from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON (RFC 8259, 6)")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return dict(pairs)


def _refuse_foreign_fields(body: Any, schema: Input) -> None:
    """Raises NotSupported. A field that is null or false asks for nothing, and `stopPrice` is `stop_price`."""
    foreign = {name.replace("_", ""): advice for name, advice in schema.foreign_fields.items()}
    sent = body if isinstance(body, dict) and foreign else {}
    found = {
        name: foreign[word]
        for name, value in sent.items()
        if (word := re.sub("[_-]", "", name.lower())) in foreign and value is not None and value is not False
    }
    if found:
        raise NotSupported(found)


def _refuse_foreign_parameters(view: Callable[..., Any]) -> None:
    """Refuse a query with a name that the view does not take, or with a name twice.

    Dropped, a filter would answer with rows that it should have left out. Raises UnknownParameter, InvalidInput.
    """
    known = getattr(view, "query_schema", Input).names()
    unknown = [name for name in request.args if name not in known]
    if unknown:
        raise UnknownParameter(unknown, known)
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        raise InvalidInput(*(FieldError(name, "Send this parameter once.") for name in repeated))


def _check_public_query() -> None:
    """Before each request; a view that authenticates checks afterwards. What asks the probes is not ours to correct."""
    view = current_app.view_functions[request.endpoint or ""]
    is_checked = request.path.startswith(PREFIX) and request.method != "OPTIONS"
    if is_checked and not getattr(view, "authenticates", False):
        _refuse_foreign_parameters(view)


class JsonBlueprint(Blueprint):
    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before_request(_check_public_query)

    def arguments(self, schema: type[Input], *, location: str = "json", **kwargs: Any) -> Any:
        """As the library's; the schema of a query also says which parameters the view takes."""
        read = super().arguments(schema, location=location, **kwargs)

        def decorate(view: ViewT) -> Any:
            reading = read(view)
            if location == "query":
                reading.query_schema = schema
            return reading

        return decorate

    def authenticated(self, view: ViewT) -> Any:
        """Require a bearer token; cookies are not read. The user is then `current_user()`.

        A personal token must have the scope `read` for an answer, and for a change the one that the view names with
        `for_scope`. What names none is not for personal tokens.
        """

        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                raise NotAuthenticated()
            g.authentication = authentication = tokens.authenticate(bearer.strip(), needed)
            if scope := getattr(view, "scope", READ if request.method in {"GET", "HEAD"} else None):
                authentication.require(scope)
            else:
                authentication.require_login()
            _refuse_foreign_parameters(view)
            return view(*args, **kwargs)

        wrapper.authenticates = True  # type: ignore[attr-defined]
        return self.doc(security=[{"bearer": []}])(wrapper)

    def for_scope(self, scope: str) -> Any:
        """The scope of the tokens with which this view may be used."""

        def decorate(view: ViewT) -> Any:
            view.scope = scope  # type: ignore[attr-defined]
            return self.doc(**{"x-scope": scope})(view)

        return decorate

    def admin_only(self, view: ViewT) -> Any:
        """As `authenticated`, and require the role ADMIN, and no personal token."""

        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            current_authentication().require_login()
            require_admin(current_user())
            return view(*args, **kwargs)

        return self.authenticated(self.refuses(NotAdmin, InsufficientScope)(wrapper))

    def refuses(self, *refusals: type[ProductError]) -> Any:
        """Document the refusals of the rules behind a view; `openapi.py` adds those of its decorators."""
        return self.doc(**{"x-refusals": {each.code: each for each in refusals}})


def current_authentication() -> tokens.Authentication:
    authentication: tokens.Authentication = g.authentication
    return authentication


def current_user() -> User:
    return current_authentication().user


def found() -> Found:
    """What was found of that which the view of this request `reads`."""
    return current_authentication().found


def idempotency_key() -> str | None:
    """The Idempotency-Key header: 1 to 255 visible ASCII characters. Raises InvalidInput."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not matches(IDEMPOTENCY_KEY, key):
        raise InvalidInput(FieldError("Idempotency-Key", "Send 1 to 255 visible ASCII characters."))
    return key


def replay_header(applied: Applied[Any]) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if applied.is_replay else {}


def read_asset_id(text: str) -> str:
    """An asset id of a path, in upper case. Raises InvalidInput."""
    if not matches(ASSET_ID, text):
        raise InvalidInput(FieldError("asset_id", AssetId.advice))
    return text.upper()


def read_order_id(text: str) -> str:
    """An order id of a path. Raises InvalidInput."""
    if not matches(ORDER_ID, text):
        raise InvalidInput(FieldError("order_id", "Write an order id: 10 to 50 letters, digits and _."))
    return text
