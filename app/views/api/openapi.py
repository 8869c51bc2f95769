"""The OpenAPI file: the schemas and views describe themselves; what every route shares is added here.

A view names only what its own rules refuse (`JsonBlueprint.refuses`). All of its error answers follow from that and
from what it takes; each lists the codes that it may carry.
"""

from __future__ import annotations

from http import HTTPStatus
from itertools import groupby
from typing import Any

from apispec import APISpec, BasePlugin
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields
from werkzeug.routing import Rule

from app.domain import errors, identifiers
from app.domain.approvals import ApprovalStatus
from app.domain.errors import ProductError
from app.domain.events import DONE, WAITS, Means
from app.domain.gains import CostMethod
from app.domain.ledger import TransactionType
from app.domain.orders import OrderStatus, Side, TimeInForce
from app.domain.users import READ, Role, UserStatus
from app.schemas.fields import ORDER_TYPES
from app.schemas.market_outputs import AVAILABILITY
from app.schemas.outputs import STORED_EVENTS, ProblemOutput
from app.views.api.blueprint import PREFIX
from app.views.errors import ALL, BadRequest, BodyTooLarge, InternalError, UnknownHost, UnsupportedMediaType, problem_of

DESCRIPTION = """\
Cash and crypto assets in one account, for scripts.

Get a token with `POST /api/v1/auth/login`, and send it as `Authorization: Bearer <token>`; cookies are not read.
Amounts are text (`"1000.00"`), times are UTC. Unknown fields of a body are ignored, except in an order where they
would change what it does elsewhere (`not_supported`). A parameter that an address does not take is refused, and so is
a name that occurs twice in one object or query. Every error is `application/problem+json`, and its `type` leads to
what to do about its `code`.
A personal token may do what its scopes say: `read`, `trade`, `transfer` (money in and out). A change names its scope in
`x-scope`; one that names none needs a login token.
The codes with which an operation refuses stand in the description of each answer, and in its `x-codes`.
A method that an address does not take is answered 405, with `Allow`.

`GET /api/v1/events` tells what happened to orders that wait, so that nobody has to ask for them again and again.

Send an `Idempotency-Key` with every request that moves money or assets: one that got no answer can then be repeated
safely. Where a body takes `dry_run`, true answers 200 with what the request would do, or with its refusal, and does
nothing.
"""


def _text_of(grammar: str) -> dict[str, str]:
    return {"type": "string", "pattern": f"^{grammar}$"}


HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "Identifies this request: the caller's own id, if it sent a valid one",
        "schema": _text_of(identifiers.REQUEST_ID),
    },
    "Server-Timing": {
        "description": "Milliseconds in total and in DynamoDB, with the calls and capacity units used there",
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {"description": "How to authenticate", "schema": {"type": "string", "enum": ["Bearer"]}},
    "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}},
    "X-RateLimit-Limit": {"description": "Attempts in one window", "schema": {"type": "integer", "minimum": 1}},
    "X-RateLimit-Remaining": {
        "description": "Attempts left in this window",
        "schema": {"type": "integer", "minimum": 0},
    },
    "X-RateLimit-Reset": {"description": "Seconds until the window ends", "schema": {"type": "integer", "minimum": 0}},
    "Idempotent-Replayed": {
        "description": "This repeats the first answer to this Idempotency-Key; nothing was applied a second time",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "ETag": {"description": "Names this very answer: send it as If-None-Match", "schema": {"type": "string"}},
}
ALWAYS = ("X-Request-ID", "Server-Timing")
RATE = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
ERROR_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After", *RATE), 503: ("Retry-After",)}

PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "asset_id": {"description": "In any case", "example": "BTC", "schema": _text_of(identifiers.ASSET_ID)},
    "order_id": {"example": "order_01JD0QZ5M4X8W3T7K2V9N6B1CF", "schema": _text_of(identifiers.ORDER_ID)},
    "client_order_id": {
        "description": "Your own id for the order",
        "example": "bot-7:2026-11-29",
        "schema": _text_of(identifiers.CLIENT_ORDER_ID),
    },
    "transaction_id": {
        "description": "The number of the transaction in the user's cash account",
        "example": "000000000001",
        "schema": _text_of(identifiers.TRANSACTION_ID),
    },
    "approval_id": {"example": "approval_01JD0QZ5M4X8W3T7K2V9N6B1CF", "schema": _text_of(identifiers.APPROVAL_ID)},
    "token_id": {"example": "0123456789abcdef", "schema": _text_of(identifiers.TOKEN_ID)},
    "passkey_id": {"example": "0123456789abcdef", "schema": _text_of(identifiers.PASSKEY_ID)},
    "username": {"example": "ann_smith", "schema": _text_of(identifiers.USERNAME)},
}

IDEMPOTENCY_KEY: dict[str, Any] = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "Your key for this request: repeated with it, the request is applied once and answered as before",
    "schema": _text_of(identifiers.IDEMPOTENCY_KEY),
}

IF_NONE_MATCH: dict[str, Any] = {
    "in": "header",
    "name": "If-None-Match",
    "description": "The ETag of an earlier answer, which is not sent again while it is the same",
    "schema": {"type": "string"},
}

DEVICE: dict[str, Any] = {
    "in": "header",
    "name": "X-Device",
    "description": "The `device` of this client's last log-in: wrong passwords from elsewhere do not count for it",
    "schema": {"type": "string"},
}

# What can follow an answer: its operation, the next operation, and the parameters of that.
NEXT_TRANSACTION = {"transaction_id": "$response.body#/transaction_id"}
NEXT_ORDER = {"order_id": "$response.body#/data/order_id"}
NEXT_CURSOR = {"cursor": "$response.body#/next_cursor"}
FIRST_ASSET = {"asset_id": "$response.body#/data/0/asset_id"}
LINKS: dict[str, dict[str, dict[str, str]]] = {
    "deposit": {"get_transaction": NEXT_TRANSACTION},
    "withdraw": {"get_transaction": NEXT_TRANSACTION},
    "list_transactions": {
        "get_transaction": {"transaction_id": "$response.body#/transactions/0/transaction_id"},
        "list_transactions": NEXT_CURSOR,
    },
    "place_order": {
        "get_order": NEXT_ORDER,
        "cancel_order": NEXT_ORDER,
        "list_trades_of_asset": {"asset_id": "$response.body#/data/asset_id"},
    },
    "list_orders": {"get_order": {"order_id": "$response.body#/data/0/order_id"}, "list_orders": NEXT_CURSOR},
    "cancel_order": {"get_order": NEXT_ORDER},
    "list_trades": {"list_trades": NEXT_CURSOR},
    "list_holdings": {"get_holding": FIRST_ASSET, "list_trades_of_asset": FIRST_ASSET},
    "create_token": {"revoke_token": {"token_id": "$response.body#/data/token_id"}},
    "list_tokens": {"revoke_token": {"token_id": "$response.body#/data/0/token_id"}},
    "list_assets": {"get_asset": FIRST_ASSET, "list_prices": FIRST_ASSET},
    "admin_find_users": {"admin_get_account": {"username": "$response.body#/data/0/username"}},
    "admin_list_holders": {"admin_get_account": {"username": "$response.body#/data/0/username"}},
}


_WORDS = (ApprovalStatus, CostMethod, Means, OrderStatus, Role, Side, TimeInForce, TransactionType, UserStatus)
# A schema each, to which fields refer: generators would make a class for each field.
ENUMERATIONS = {
    "OrderType": list(ORDER_TYPES),
    "EventKind": STORED_EVENTS,
    "EventOutcome": [DONE, WAITS],
    "TradeType": list(Side),
    "Availability": AVAILABILITY,
    **{words.__name__: [word.lower() for word in words] for words in _WORDS},
}


def field_schema(self: Any, field: fields.Field[Any], ret: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """The field's own `json_schema` and its metadata, over what apispec guesses; an enumeration by its name."""
    own = _own_schema(field, ret)
    choices = [choice for choice in own.get("enum", ret.get("enum", [])) if choice is not None]
    name = next((name for name, values in ENUMERATIONS.items() if values == choices), None)
    if name is None:
        return own
    for replaced in ("type", "enum"):
        ret.pop(replaced, None)
        own.pop(replaced, None)
    reference = {"$ref": f"#/components/schemas/{name}"}
    return {**own, **({"anyOf": [reference, {"type": "null"}]} if field.allow_none else reference)}


def _own_schema(field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    if not hasattr(field, "json_schema"):
        return {}
    schema: dict[str, Any] = {**field.json_schema(), **field.metadata}
    if "default" in ret:
        # apispec writes it as text.
        schema["default"] = field.load_default
    if field.allow_none:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        schema["type"] = [*kinds, "null"]
        for choices in ("enum", "anyOf"):
            if choices in schema:
                schema[choices] = [*schema[choices], None if choices == "enum" else {"type": "null"}]
    return schema


def query_schema(self: Any, field: fields.Field[Any], ret: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A query has no null: an optional parameter is left out instead."""
    schema = dict(ret["schema"])
    if schema.get("default", "") is None:
        del schema["default"]
    if "type" not in schema:
        return {"schema": {"$ref": schema["$ref"]} if "$ref" in schema else schema["anyOf"][0]}
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    schema["type"] = next(kind for kind in kinds if kind != "null")
    if "enum" in schema:
        schema["enum"] = [choice for choice in schema["enum"] if choice is not None]
    return {"schema": schema}


def schema_name(schema: type[Schema] | Schema) -> str:
    schema_class = schema if isinstance(schema, type) else type(schema)
    return schema_class.__name__.removesuffix("Output")


class SharedAnswers(BasePlugin):
    """Gives each operation its id, its parameters, its links, and every answer that it may give."""

    spec: APISpec

    def init_spec(self, spec: APISpec) -> None:
        self.spec = spec

    def describe(self, marshmallow: MarshmallowPlugin) -> None:
        """Register the components that the operations refer to."""
        assert marshmallow.converter is not None
        # apispec has types, except here.
        marshmallow.converter.add_attribute_function(field_schema)  # type: ignore[no-untyped-call]
        marshmallow.converter.add_parameter_attribute_function(query_schema)
        components = self.spec.components
        components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
        for name, choices in ENUMERATIONS.items():
            components.schema(name, {"type": "string", "enum": choices})
        components.schema("Problem", schema=ProblemOutput)
        components.schemas["Problem"]["properties"] |= _details()
        components.parameter("IdempotencyKey", "header", IDEMPOTENCY_KEY)
        components.parameter("IfNoneMatch", "header", IF_NONE_MATCH)
        components.parameter("Device", "header", DEVICE)
        for name, header in HEADERS.items():
            components.header(name, header)

    def path_helper(
        self,
        path: str | None = None,
        operations: dict[str, Any] | None = None,
        parameters: list[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        for parameter in parameters or []:
            parameter.update(PATH_PARAMETERS[parameter["name"]])

    def operation_helper(
        self, path: str | None = None, operations: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        rule: Rule = kwargs["rule"]
        for method, operation in (operations or {}).items():
            self._complete(operation, rule, is_change=method != "get")

    def _complete(self, operation: dict[str, Any], rule: Rule, *, is_change: bool) -> None:
        operation["operationId"] = _operation_id(rule)
        refusals: set[type[ProductError]] = set(operation.pop("x-refusals", {}).values())
        takes_device = errors.TooManyGuesses in refusals
        is_keyed = errors.IdempotencyKeyReused in refusals
        refusals |= _shared_refusals(operation, is_change=is_change, has_path_parameters=bool(rule.arguments))
        if rule.rule.startswith(PREFIX):
            refusals.add(errors.UnknownParameter)
        if takes_device:
            operation.setdefault("parameters", []).append("Device")
            # Programs are told the same.
            refusals = refusals - {errors.TooManyGuesses} | {errors.TooManyRequests}
        if is_keyed:
            operation.setdefault("parameters", []).append("IdempotencyKey")
            refusals.add(errors.InvalidInput)
        successes = {
            int(status): response
            for status, response in operation["responses"].items()
            if status != "default" and int(status) < 400
        }
        is_conditional = HTTPStatus.NOT_MODIFIED in successes
        if is_conditional:
            operation.setdefault("parameters", []).append("IfNoneMatch")
        more = [
            *(["Idempotent-Replayed"] if is_keyed else []),
            *(RATE if takes_device else []),
            *(["ETag"] if is_conditional else []),
        ]
        for response in successes.values():
            response["headers"] = _headers(*ALWAYS, *more, *response.get("headers", {}))
            links = LINKS.get(operation["operationId"])
            if links:
                response["links"] = {
                    target: {"operationId": target, "parameters": parameters} for target, parameters in links.items()
                }
        operation["responses"] = {**successes, **self._refusals(refusals)}

    def _refusals(self, refusals: set[type[ProductError]]) -> dict[int, str]:
        """One response for each status, shared by all operations that answer it with the same codes."""
        names = {}
        for status, of_status in groupby((each for each in ALL if each in refusals), key=lambda each: each.status):
            kinds = list(of_status)
            names[status] = ".".join([str(status), *(each.code for each in kinds)])
            if names[status] not in self.spec.components.responses:
                self.spec.components.response(names[status], _response(status, kinds))
        return names


def _details() -> dict[str, dict[str, str]]:
    """The schema of each detail that some error has."""
    types = {str: "string", int: "integer"}
    examples = [each.make_example() for each in ALL]
    return {name: {"type": types[type(value)]} for each in examples for name, value in each.details.items()}


def _operation_id(rule: Rule) -> str:
    blueprint, _, view = rule.endpoint.rpartition(".")
    return f"admin_{view}" if blueprint == "Administration" else view


def _shared_refusals(
    operation: dict[str, Any], *, is_change: bool, has_path_parameters: bool
) -> set[type[ProductError]]:
    """The errors that follow from what an operation takes."""
    refusals: set[type[ProductError]] = {BadRequest, InternalError}
    if "Probes" not in operation.get("tags", ()):
        refusals |= {errors.Overloaded, UnknownHost}
    if "requestBody" in operation:
        refusals |= {BodyTooLarge, UnsupportedMediaType}
    if "requestBody" in operation or operation.get("parameters"):
        refusals.add(errors.InvalidInput)
    if "security" in operation:
        refusals |= {errors.NotAuthenticated, errors.AccountSuspended}
    if "security" in operation and is_change and operation.get("x-scope") != READ:
        refusals.add(errors.InsufficientScope)
    if "security" in operation or "requestBody" in operation:
        refusals |= {errors.Busy, errors.StoreUnavailable}
    if has_path_parameters:
        refusals.add(errors.NotFound)
    return refusals


def _response(status: int, kinds: list[type[ProductError]]) -> dict[str, Any]:
    """One schema is that of all errors: generators make a class of each, and would make hundreds of equal ones."""
    codes = [each.code for each in kinds]
    examples = {each.code: {"value": problem_of(each.make_example(), "9f86d081884c7d65")} for each in kinds}
    return {
        "description": f"{HTTPStatus(status).phrase}: " + ", ".join(f"`{code}`" for code in codes),
        "headers": _headers(*ALWAYS, *ERROR_HEADERS.get(status, ())),
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
        },
        "x-codes": codes,
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
