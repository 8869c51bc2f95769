"""Reading both tables for the audit: every item as it stands, also one that no model could read.

Items are read raw and decoded here, not by PynamoDB: the audit must name what cannot be decoded, and is exact about
the text (`5` and `5.0` are not money). What each kind of item consists of is taken from its model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from pynamodb.attributes import Attribute, BooleanAttribute, DiscriminatorAttribute, NumberAttribute, TTLAttribute

from app.audit.checks import ItemKey, Violation
from app.domain import clock
from app.domain.ledger import TransactionType
from app.domain.orders import OrderStatus, PriceType, Side
from app.domain.users import Role, UserStatus
from app.models import attributes
from app.models.batch import retry_while_busy
from app.models.idempotency import IdempotencyClaim
from app.models.item import Item
from app.models.ledger import Balance, BalanceTransaction, Holding, Trade
from app.models.orders import Order, OrdersItem
from app.models.rate_limits import RateWindow
from app.models.users import EmailClaim, Token, User, UsersItem

RawItem = Mapping[str, Mapping[str, Any]]

ROOTS: Mapping[str, type[Item]] = {"users": UsersItem, "orders": OrdersItem}
MODELS: tuple[type[Item], ...] = (
    User,
    EmailClaim,
    Token,
    Balance,
    BalanceTransaction,
    Holding,
    Trade,
    IdempotencyClaim,
    RateWindow,
    Order,
)
# Small pages keep memory small: a page is some 250 KB of JSON, and a few times that when decoded.
PAGE_ROWS = 500
SEGMENTS = 2
NOBODY = ""


class Row(NamedTuple):
    """One item as it came, and the table in which it stands (`users`, `orders`, whatever they are called)."""

    table: str
    raw: RawItem

    @property
    def item(self) -> ItemKey:
        return ItemKey(self.table, self.text("PK") or "", self.text("SK") or "")

    def text(self, name: str) -> str | None:
        """An attribute that is text, else None."""
        value = self.raw.get(name, {}).get("S")
        return value if isinstance(value, str) else None

    @property
    def kind(self) -> str:
        """The kind of item that it says it is, empty for one that does not belong into its table."""
        kind = self.text("entity_type") or ""
        return kind if kind in _attributes_of(self.table) else ""

    @property
    def owner(self) -> str:
        """The user whose account the item belongs to by its key, an order by its attribute; NOBODY if unclear."""
        partition = self.text("PK") or ""
        if self.table == "orders" or partition.startswith("EMAIL#"):
            return self.text("username") or NOBODY
        first, *rest = partition.split("#")
        if not rest:
            return first
        return rest[0] if first == "TRANS" and len(rest) == 2 else NOBODY


# Reading


def count_items() -> int:
    """About how many items there are; on AWS the figure is up to six hours old."""
    answers = (_dispatch(table, "DescribeTable", {}) for table in ROOTS)
    return sum(int(answer["Table"]["ItemCount"]) for answer in answers)


def scan() -> Iterator[list[Row]]:
    """Every item of both tables, page by page, in no order, read by parallel scans; a few pages in memory."""
    for root in ROOTS.values():
        events = root._get_connection().connection.client.meta.events
        events.register("before-parse.dynamodb.Scan", _keep_items_raw, unique_id="audit")
    with ThreadPoolExecutor(len(ROOTS) * SEGMENTS) as pool:

        def read(table: str, segment: int, start: Any = None) -> Future[_Page]:
            return pool.submit(copy_context().run, _scan_page, table, segment, start)

        pending = {read(table, segment) for table in ROOTS for segment in range(SEGMENTS)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                page = future.result()
                if page.next_start:
                    pending.add(read(page.table, page.segment, page.next_start))
                yield page.rows


def _keep_items_raw(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Take the items out of an answer as the JSON that they are: botocore's own walk through it costs half the audit.

    Nothing but the audit scans. Its other queries are few, and go the usual way.
    """
    if response_dict["status_code"] == 200:
        answer = json.loads(response_dict["body"])
        customized_response_dict["Items"] = answer.pop("Items", [])
        response_dict["body"] = json.dumps(answer).encode()


class _Page(NamedTuple):
    table: str
    segment: int
    rows: list[Row]
    next_start: Any


def _scan_page(table: str, segment: int, start: Any) -> _Page:
    # Not consistent, at half the price: what looks wrong is read again, consistently, before it is reported.
    answer = _dispatch(
        table,
        "Scan",
        {
            "Segment": segment,
            "TotalSegments": SEGMENTS,
            "Limit": PAGE_ROWS,
            **({"ExclusiveStartKey": start} if start else {}),
        },
    )
    return _Page(table, segment, [Row(table, raw) for raw in answer["Items"]], answer.get("LastEvaluatedKey"))


def read_account(username: str, also: Iterable[ItemKey] = ()) -> Iterator[list[Row]]:
    """Every item of one account, page by page, and those at further keys; some may come twice.

    Consistent, except which orders and trades there are, which indexes tell.
    """
    partitions = {key.PK for key in also if key.table == "users" and key.PK.startswith("TRANS#")}
    if username != NOBODY:
        email = None
        for page in _query("users", username):
            email = next((row.text("email") for row in page if row.kind == "USER"), email)
            partitions |= {
                Trade.partition(username, row.item.SK[6:]) for row in page if row.item.SK.startswith("ASSET#")
            }
            yield page
        also = {*also, ItemKey("users", *EmailClaim.key(email))} if email else also
        for page in _query("orders", username, index="UserOrderHistoryIndex"):
            partitions |= {Trade.partition(username, row.text("asset_id") or "") for row in page}
            yield page
        for page in _query("users", username, index="UserTransactionsIndex"):
            partitions |= {row.item.PK for row in page}
    for partition in sorted(partitions):
        yield from _query("users", partition)
    yield [row for key in also if (row := find_row(key))]


def read_balance_and_holdings(username: str) -> list[Row]:
    """The holdings and the balance of an account."""
    if username == NOBODY:
        return []
    pages = _query("users", username, sort_keys=("ASSET#", "BALANCE"))
    return [row for page in pages for row in page]


def find_row(key: ItemKey) -> Row | None:
    """The item at this key as it stands now, or None."""
    if not (key.PK and key.SK):
        return None
    where = {"Key": {"PK": {"S": key.PK}, "SK": {"S": key.SK}}, "ConsistentRead": True}
    raw = _dispatch(key.table, "GetItem", where).get("Item")
    return Row(key.table, raw) if raw else None


def _query(
    table: str, value: str, *, index: str | None = None, sort_keys: tuple[str, str] | None = None
) -> Iterator[list[Row]]:
    condition = "#key = :value" + (" AND SK BETWEEN :first AND :last" if sort_keys else "")
    bounds = dict(zip((":first", ":last"), sort_keys or (), strict=False))
    start: Any = None
    while True:
        answer = _dispatch(
            table,
            "Query",
            {
                "KeyConditionExpression": condition,
                "ExpressionAttributeNames": {"#key": "username" if index else "PK"},
                "ExpressionAttributeValues": {name: {"S": text} for name, text in {":value": value, **bounds}.items()},
                "Limit": PAGE_ROWS,
                **({"IndexName": index} if index else {"ConsistentRead": True}),
                **({"ExclusiveStartKey": start} if start else {}),
            },
        )
        yield [Row(table, raw) for raw in answer["Items"]]
        start = answer.get("LastEvaluatedKey")
        if not start:
            return


@retry_while_busy
def _dispatch(table: str, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    root = ROOTS[table]
    connection = root._get_connection().connection
    return connection.dispatch(operation, {"TableName": root.Meta.table_name, **arguments})


# Decoding

Values = Mapping[str, Any]


class _Malformed(ValueError):
    """The value is not what the attribute may hold."""


def _matching(pattern: str, convert: Callable[[str], Any]) -> Callable[[str], Any]:
    expression = re.compile(pattern)

    def read(text: str) -> Any:
        # So short that no sum or product of two leaves the exact context of app.domain.money.
        if len(text) > 30 or not expression.fullmatch(text):
            raise _Malformed()
        return convert(text)

    return read


def _read_text(text: str) -> str:
    return text


def _read_boolean(value: object) -> object:
    if not isinstance(value, bool):
        raise _Malformed()
    return value


_TEXT = ("S", _read_text)
_READERS: Mapping[type[Attribute[Any]], tuple[str, Callable[[Any], Any]]] = {
    attributes.MoneyAttribute: ("S", _matching(r"-?(0|[1-9][0-9]*)\.[0-9]{2}(?<!-0\.00)", Decimal)),
    attributes.QuantityAttribute: ("S", _matching(r"-?(0|[1-9][0-9]*)(\.[0-9]{0,7}[1-9])?(?<!-0)", Decimal)),
    attributes.DecimalAttribute: ("N", _matching(r"-?[0-9]+(\.[0-9]+)?(E-?[0-9])?", Decimal)),
    attributes.TimeAttribute: (
        "S",
        _matching(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z", datetime.fromisoformat),
    ),
    NumberAttribute: ("N", _matching(r"-?[0-9]+", Decimal)),
    TTLAttribute: ("N", _matching(r"[0-9]+", Decimal)),
    BooleanAttribute: ("BOOL", _read_boolean),
}
_WORDS: Mapping[tuple[str, str], type[TransactionType | Side | PriceType | OrderStatus | Role | UserStatus]] = {
    ("TRANSACTION", "transaction_type"): TransactionType,
    ("ASSET_TRANSACTION", "transaction_type"): Side,
    ("ORDER", "order_type"): Side,
    ("ORDER", "price_type"): PriceType,
    ("ORDER", "status"): OrderStatus,
    ("USER", "role"): Role,
    ("USER", "status"): UserStatus,
}
_DONE = frozenset({("TRANSACTION", "status"), ("ASSET_TRANSACTION", "status")})


class _Attribute(NamedTuple):
    name: str
    type_code: str
    read: Callable[[Any], Any]
    is_optional: bool


@cache
def _attributes_of(table: str) -> Mapping[str, Mapping[str, _Attribute]]:
    """The attributes of each kind of item in a table, by kind and name, as its model declares them."""
    root = ROOTS[table]
    kinds = {str(root.entity_type.get_discriminator(model)): model for model in MODELS if issubclass(model, root)}
    return {
        kind: {each.attr_name: _attribute(kind, each) for each in model.get_attributes().values()}
        for kind, model in kinds.items()
    }


def _attribute(kind: str, attribute: Attribute[Any]) -> _Attribute:
    name = attribute.attr_name
    type_code, read = _READERS.get(type(attribute), _TEXT)
    if words := _WORDS.get((kind, name)):
        read = _matching("|".join(words), str)
    elif (kind, name) in _DONE:
        read = _matching("COMPLETED", str)
    return _Attribute(name, type_code, read, bool(attribute.null) or isinstance(attribute, DiscriminatorAttribute))


def decode(row: Row) -> tuple[Values, list[Violation]]:
    """The values of an item's attributes, and everything about it that is not as its kind must be.

    Optional attributes that are absent, and all that cannot be decoded, are left out of the values.
    """
    item = row.item
    expected = _attributes_of(row.table).get(row.kind)
    if expected is None:
        found = row.raw.get("entity_type")
        return {}, [
            Violation(
                "unknown_entity_type",
                item,
                f"entity_type {found} is no kind of item in this table.",
                {"found": str(found)},
            )
        ]
    values: dict[str, Any] = {}
    problems: list[Violation] = []
    for name, attribute in expected.items():
        stored = row.raw.get(name)
        if stored is None:
            if not attribute.is_optional:
                problems.append(Violation("attribute_missing", item, f"A {row.kind} item has {name}.", {"name": name}))
            continue
        try:
            values[name] = attribute.read(stored[attribute.type_code])
        except (KeyError, ValueError, TypeError):
            problems.append(
                Violation(
                    "attribute_malformed",
                    item,
                    f"{name} is {str(stored)[:80]}, which cannot be.",
                    {"name": name, "found": str(stored)[:80]},
                )
            )
    for name in row.raw.keys() - expected.keys():
        problems.append(Violation("attribute_unknown", item, f"A {row.kind} item has no {name}.", {"name": name}))
    problems += _check_key(row, values)
    return values, problems


_KEYS: Mapping[str, tuple[Callable[..., tuple[str, str]], tuple[str, ...]]] = {
    "USER": (User.key, ("username",)),
    "BALANCE": (Balance.key, ("username",)),
    "TRANSACTION": (BalanceTransaction.key, ("username", "transaction_id")),
    "ASSET": (Holding.key, ("username", "asset_id")),
    "ASSET_TRANSACTION": (Trade.key, ("username", "asset_id", "traded_at")),
    "TOKEN": (Token.key, ("username", "token_id")),
    "ORDER": (Order.key, ("order_id",)),
}
_KEY_PATTERNS: Mapping[str, str] = {
    "EMAIL": "EMAIL#[^ ]+ EMAIL",
    "REQUEST": "[^ #]+ REQUEST#.+",
    "RATE": "RATE#.+ [0-9]{12}",
}


def _check_key(row: Row, values: Values) -> Iterator[Violation]:
    """An item stands where its own attributes say."""
    if row.kind in _KEY_PATTERNS:
        if not re.fullmatch(_KEY_PATTERNS[row.kind], f"{row.item.PK} {row.item.SK}", re.DOTALL):
            yield Violation("key_mismatch", row.item, f"No {row.kind} item stands at such a key.")
        return
    make, names = _KEYS[row.kind]
    if all(name in values for name in names):
        expected = make(*(values[name] for name in names))
        if expected != row.item[1:]:
            yield Violation(
                "key_mismatch",
                row.item,
                f"By its attributes it belongs to {' '.join(expected)}.",
                {"expected": " ".join(expected)},
            )


def changed_after(row: Row, moment: datetime) -> bool:
    """Whether an item says that it was made or changed after this moment."""
    latest = max(row.text("updated_at") or "", row.text("created_at") or "")
    return latest > clock.to_text(moment)
