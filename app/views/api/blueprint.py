"""What every JSON route shares: the parser of bodies, authentication, idempotency keys, ids in paths."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import cache, partial, wraps
from threading import Lock
from typing import Any, NoReturn, TypeVar

from flask import Flask, Request, Response, current_app, g, jsonify, request
from flask_smorest import Api, Blueprint
from flask_smorest.utils import deepupdate
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
    SecondFactorRequired,
    UnknownParameter,
)
from app.domain.identifiers import ASSET_ID, CLIENT_ORDER_ID, IDEMPOTENCY_KEY, ORDER_ID, matches
from app.domain.users import READ
from app.models.dry_runs import DryRun
from app.models.idempotency import Applied
from app.models.reading import Found
from app.models.users import User
from app.schemas.amounts import JsonNumber
from app.schemas.dry_run_outputs import DryRunOutput
from app.schemas.fields import AssetId, ClientOrderId
from app.schemas.inputs import Input
from app.services import tokens
from app.services.admin import require_admin
from app.services.orders import EndedOrders
from app.views.context import this_request
from app.views.errors import answer_http_error, invalid_input
from app.views.proofs import factor_rules
from app.views.reads import needed

PREFIX = "/api/v1"

ViewT = TypeVar("ViewT", bound=Callable[..., Any])


class JsonApi(Api):
    """flask-smorest, with the errors left to `app.views.errors`, and the OpenAPI file made when it is asked for."""

    def __init__(self, app: Flask, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        # What registers the operations of each blueprint.
        self.descriptions: list[Callable[[], None]] = []
        self._lock = Lock()
        self._document = ""

    def document(self) -> str:
        """The OpenAPI file. To make it takes as long as a tenth of a start, and few processes are asked for it."""
        with self._lock:
            if not self._document:
                for describe in self.descriptions:
                    describe()
                self._document = current_app.json.dumps(self.spec.to_dict())
            return self._document

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
        if isinstance(schema, Input) and schema.has_optional_body and req.get_data().strip() in {b"", b"null"}:
            return {}
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
        return _decoder.decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadRequest() from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON (RFC 8259, 6)")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return dict(pairs)


_decoder = json.JSONDecoder(
    parse_int=JsonNumber, parse_float=JsonNumber, parse_constant=_refuse_constant, object_pairs_hook=_unique
)


def _refuse_foreign_fields(body: Any, schema: Input) -> None:
    """Raises NotSupported. A field that is null or false asks for nothing, and `stopPrice` is `stop_price`.

    A field of our own in another spelling, such as `timeInForce`, would be dropped too.
    """
    own, foreign = _advice(type(schema))
    sent = body if isinstance(body, dict) else {}
    found = {
        name: foreign[word]
        for name, value in sent.items()
        if name not in own
        and (word := re.sub("[_-]", "", name.lower())) in foreign
        and value is not None
        and value is not False
    }
    if found:
        raise NotSupported(found)


@cache
def _advice(schema: type[Input]) -> tuple[Sequence[str], Mapping[str, str]]:
    """The names of the fields, and by other names and spellings, in small letters alone, what to do about them."""
    own = schema.names() if schema.foreign_fields else ()
    foreign = {name.replace("_", ""): advice for name, advice in schema.foreign_fields.items()}
    return own, foreign | {name.replace("_", ""): f"Write it as {name}." for name in own}


def _refuse_foreign_parameters(view: Callable[..., Any]) -> None:
    """Refuse a query with a name that the view does not take, or with a name twice.

    Dropped, a filter would answer with rows that it should have left out. Raises UnknownParameter, InvalidInput.
    """
    if not request.query_string:
        return
    known = getattr(view, "query_schema", Input).names()
    unknown = [name for name in request.args if name not in known]
    if unknown:
        raise UnknownParameter(unknown, known)
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        raise InvalidInput(*(FieldError(name, "Send this parameter once.") for name in repeated))


def _check_public_query() -> None:
    """Before each request; a view that authenticates checks afterwards. What asks the probes is not ours to correct."""
    asked = this_request()
    view = current_app.view_functions[asked.endpoint or ""]
    is_checked = asked.path.startswith(PREFIX) and asked.method != "OPTIONS"
    if is_checked and not getattr(view, "authenticates", False):
        _refuse_foreign_parameters(view)


class JsonBlueprint(Blueprint):
    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before_request(_check_public_query)

    def register_views_in_doc(self, api: JsonApi, *args: Any, **kwargs: Any) -> None:
        """Later: see `JsonApi`."""
        api.descriptions.append(partial(super().register_views_in_doc, api, *args, **kwargs))

    @staticmethod
    def doc(**kwargs: Any) -> Any:
        """As the library's, which puts a function of its own around a view for each of these."""

        def decorate(view: ViewT) -> ViewT:
            documented = deepcopy(getattr(view, "_apidoc", {}))
            documented["manual_doc"] = deepupdate(documented.get("manual_doc", {}), kwargs)
            view._apidoc = documented  # type: ignore[attr-defined]
            return view

        return decorate

    def arguments(self, schema: type[Input], *, location: str = "json", **kwargs: Any) -> Any:
        """As the library's; the schema of a query also says which parameters the view takes."""
        # An instance: of a class, webargs would make one for each request.
        required = not schema.has_optional_body
        read = super().arguments(schema(), location=location, required=required, **kwargs)

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
            asked = this_request()
            scheme, _, bearer = asked.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                raise NotAuthenticated()
            g.authentication = authentication = tokens.authenticate(bearer.strip(), needed)
            if scope := scope_of(view, asked.method):
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
        """As `authenticated`, and require the role ADMIN, no personal token, and a second factor where it must be."""

        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            current_authentication().require_login()
            require_admin(current_user())
            factor_rules().require(current_user(), as_admin=True)
            return view(*args, **kwargs)

        wrapper.needs_admin = True  # type: ignore[attr-defined]
        return self.authenticated(self.refuses(NotAdmin, InsufficientScope, SecondFactorRequired)(wrapper))

    def refuses(self, *refusals: type[ProductError]) -> Any:
        """Document the refusals of the rules behind a view; `openapi.py` adds those of its decorators."""
        return self.doc(**{"x-refusals": {each.code: each for each in refusals}})


def scope_of(view: Callable[..., Any], method: str) -> str | None:
    """The scope that a personal token needs for a view; None where the view is not for personal tokens."""
    scope: str | None = getattr(view, "scope", READ if method in {"GET", "HEAD"} else None)
    return scope


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


def replay_header(applied: Applied[Any] | EndedOrders) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if applied.is_replay else {}


def dry_run_answer(run: DryRun, schema: type[DryRunOutput] = DryRunOutput) -> Response:
    """What a change would do, for a request that asks for a dry run."""
    return jsonify(schema().dump({"data": run}))


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


def read_client_order_id(text: str) -> str:
    """A client order id of a path. Raises InvalidInput."""
    if not matches(CLIENT_ORDER_ID, text):
        raise InvalidInput(FieldError("client_order_id", ClientOrderId.advice))
    return text
