"""Items as the audit sees them: raw, decoded here and not by PynamoDB.

The audit must name what cannot be decoded, and is exact about the text: `5` and `5.0` are not money. The attributes of
each kind of item are those of its model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from pynamodb.attributes import Attribute, BooleanAttribute, DiscriminatorAttribute

from app.audit.records import ItemKey, Violation, violation
from app.domain import clock
from app.domain.account_events import AccountEventType
from app.domain.approvals import ApprovalStatus
from app.domain.events import EventKind
from app.domain.ledger import TransactionType
from app.domain.orders import OrderStatus, PriceType, Side, TimeInForce
from app.domain.passkeys import passkeys_from_text
from app.domain.totals import asset_totals_from_text
from app.domain.users import Role, UserStatus
from app.models import attributes
from app.models.account_events import AccountEvent
from app.models.adjustments import PARTITION as APPROVALS
from app.models.adjustments import Approval
from app.models.events import SecurityEvent
from app.models.factors import SecondFactor
from app.models.idempotency import ClientOrder, IdempotencyClaim
from app.models.item import Item
from app.models.ledger import Balance, BalanceTransaction, Holding, Trade
from app.models.orders import Order, OrderChange, OrdersItem
from app.models.outbox import QueuedMail
from app.models.proofs import Proof
from app.models.rate_limits import RateWindow
from app.models.shared_text import SharedText
from app.models.system import PARTITION as SYSTEM
from app.models.system import Heartbeat, Totals
from app.models.upgrade import StoreFormat
from app.models.users import EmailClaim, Token, User, UsersItem

RawItem = Mapping[str, Mapping[str, Any]]

ROOTS: Mapping[str, type[Item]] = {"users": UsersItem, "orders": OrdersItem}
MODELS: tuple[type[Item], ...] = (
    User,
    EmailClaim,
    Token,
    Proof,
    SecondFactor,
    QueuedMail,
    Balance,
    BalanceTransaction,
    Holding,
    Trade,
    Approval,
    IdempotencyClaim,
    ClientOrder,
    SecurityEvent,
    AccountEvent,
    RateWindow,
    StoreFormat,
    SharedText,
    Totals,
    Heartbeat,
    Order,
    OrderChange,
)
NOBODY = ""


class Row(NamedTuple):
    """One item as DynamoDB returned it, and its table: `users` or `orders`, whatever its real name."""

    table: str
    raw: RawItem

    @property
    def item(self) -> ItemKey:
        return ItemKey(self.table, self.text("PK") or "", self.text("SK") or "")

    def text(self, name: str) -> str | None:
        """The value of an attribute if it is text, else None."""
        value = self.raw.get(name, {}).get("S")
        return value if isinstance(value, str) else None

    @property
    def kind(self) -> str:
        """The kind of item that it says it is; empty if its table has no such kind."""
        kind = self.text("entity_type") or ""
        return kind if kind in _attributes_of(self.table) else ""

    @property
    def was_changed(self) -> bool:
        """Whether it is an order that has changes, which do not say whose they are."""
        return self.kind == "ORDER" and self.raw.get("revision", {}).get("N") not in {None, "1"}

    @property
    def owner(self) -> str:
        """The user that the item belongs to: by its key, or by its `username` where that does not tell; else NOBODY.

        A change of an order belongs to the owner of the order.
        """
        partition = self.text("PK") or ""
        if self.table == "orders" or partition.startswith(("EMAIL#", APPROVALS)):
            return self.text("username") or NOBODY
        first, *rest = partition.split("#")
        if not rest:
            return NOBODY if first == SYSTEM else first
        return rest[0] if first == "TRANS" and len(rest) == 2 else NOBODY


Values = Mapping[str, Any]


class _Malformed(ValueError):
    """The attribute cannot have this value."""


def _matching(pattern: str, convert: Callable[[str], Any]) -> Callable[[str], Any]:
    expression = re.compile(pattern)

    def read(text: str) -> Any:
        # Short enough that sums and products of two stay within the exact context of `app.domain.money`.
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
    attributes.PasskeysAttribute: ("S", passkeys_from_text),
    attributes.AssetTotalsAttribute: ("S", asset_totals_from_text),
    attributes.NumberAttribute: ("N", _matching(r"-?[0-9]+", Decimal)),
    attributes.TTLAttribute: ("N", _matching(r"[0-9]+", Decimal)),
    BooleanAttribute: ("BOOL", _read_boolean),
}
_WORDS: Mapping[tuple[str, str], type[StrEnum]] = {
    ("TRANSACTION", "transaction_type"): TransactionType,
    ("ASSET_TRANSACTION", "transaction_type"): Side,
    ("ORDER", "order_type"): Side,
    ("ORDER", "price_type"): PriceType,
    ("ORDER", "time_in_force"): TimeInForce,
    ("ORDER", "status"): OrderStatus,
    ("APPROVAL", "status"): ApprovalStatus,
    ("EVENT", "kind"): EventKind,
    ("ACCOUNT_EVENT", "event_type"): AccountEventType,
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
    """The values of an item's attributes, and every violation of the form of its kind.

    Attributes that are absent or cannot be decoded have no value.
    """
    item, kind = row.item, row.kind
    expected = _attributes_of(row.table).get(kind)
    if expected is None:
        found = row.raw.get("entity_type")
        return {}, [violation("unknown_entity_type", item, f"This table has no entity_type {found}.", found=found)]
    values: dict[str, Any] = {}
    problems: list[Violation] = []
    for name, attribute in expected.items():
        stored = row.raw.get(name)
        if stored is None:
            if not attribute.is_optional:
                problems.append(violation("attribute_missing", item, f"A {kind} item must have {name}.", name=name))
            continue
        try:
            values[name] = attribute.read(stored[attribute.type_code])
        except (KeyError, ValueError, TypeError):
            text = str(stored)[:80]
            message = f"{name} is {text}, which is not a valid value."
            problems.append(violation("attribute_malformed", item, message, name=name, found=text))
    for name in row.raw.keys() - expected.keys():
        problems.append(violation("attribute_unknown", item, f"A {kind} item has no {name}.", name=name))
    problems += _check_key(row, values)
    return values, problems


_KEYS: Mapping[str, tuple[Callable[..., tuple[str, str]], tuple[str, ...]]] = {
    "USER": (User.key, ("username",)),
    "BALANCE": (Balance.key, ("username",)),
    "TRANSACTION": (BalanceTransaction.key, ("username", "transaction_id")),
    "ASSET": (Holding.key, ("username", "asset_id")),
    "ASSET_TRANSACTION": (Trade.key, ("username", "asset_id", "traded_at")),
    "TOKEN": (Token.key, ("username", "token_id")),
    "PROOF": (Proof.key, ("username", "kind")),
    "FACTOR": (SecondFactor.key, ("username",)),
    "MAIL": (QueuedMail.key, ("username", "created_at", "mail_id")),
    "APPROVAL": (Approval.key, ("approval_id",)),
    "EVENT": (SecurityEvent.key, ("username", "created_at", "event_id")),
    "ACCOUNT_EVENT": (AccountEvent.key, ("username", "event_number")),
    "TOTALS": (Totals.key, ("taken_at",)),
    "WORKER": (Heartbeat.key, ("worker_id",)),
    "CLIENT": (ClientOrder.key, ("username", "client_order_id")),
    "ORDER": (Order.key, ("order_id",)),
    "CHANGE": (OrderChange.key, ("order_id", "revision")),
}
_KEY_PATTERNS: Mapping[str, str] = {
    "EMAIL": "EMAIL#[^ ]+ EMAIL",
    "REQUEST": "[^ #]+ REQUEST#.+",
    "RATE": "RATE#.+ [0-9]{12}",
    "STORE": "STORE#FORMAT FORMAT",
    "SHARED": "SHARED#.+ SHARED",
}


def _check_key(row: Row, values: Values) -> Iterator[Violation]:
    """The key of an item is the one that its attributes imply."""
    if row.kind in _KEY_PATTERNS:
        if not re.fullmatch(_KEY_PATTERNS[row.kind], f"{row.item.PK} {row.item.SK}", re.DOTALL):
            yield violation("key_mismatch", row.item, f"A {row.kind} item cannot have this key.")
        return
    make, names = _KEYS[row.kind]
    if all(name in values for name in names):
        expected = make(*(values[name] for name in names))
        if expected != row.item[1:]:
            key = " ".join(expected)
            yield violation("key_mismatch", row.item, f"Its attributes imply the key {key}.", expected=key)


def changed_after(row: Row, moment: datetime) -> bool:
    """Whether the item's own times say that it was made or changed after this moment."""
    latest = max(row.text("updated_at") or "", row.text("created_at") or "")
    return latest > clock.to_text(moment)
