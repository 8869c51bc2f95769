"""Checking all items of one user: its sorted rows go through the checks in one pass, so memory stays small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby

from app.audit.holdings import HoldingsCheck
from app.audit.ledger import LedgerCheck
from app.audit.orders import check_order, check_trade
from app.audit.reading import find_row
from app.audit.records import (
    BalanceRecord,
    HoldingRecord,
    ItemKey,
    OrderRecord,
    Record,
    TradeRecord,
    TransactionRecord,
    UserRecord,
    Violation,
    differs,
    violation,
)
from app.audit.rows import NOBODY, Row, decode
from app.audit.sorter import HEAD, TRANSACTIONS, SortedRow
from app.domain import clock
from app.models.ledger import BalanceTransaction
from app.models.orders import Order
from app.models.users import EmailClaim


def check_account(username: str, rows: Iterable[SortedRow]) -> list[Violation]:
    """Every violation of one user, or of NOBODY. `rows` are the user's, as `RowSorter` orders them."""
    return list(_AccountCheck(username).run(rows))


class _AccountCheck:
    """One pass over the rows of a user. Keeps user, balance, holdings and e-mail claims; of the rest, only sums."""

    def __init__(self, username: str) -> None:
        self._username = username
        self._ledger = LedgerCheck()
        self._holdings = HoldingsCheck()
        self._head: dict[str, list[Record | None]] = {}
        self._claims: dict[ItemKey, str | None] = {}
        self._held: list[HoldingRecord] = []

    def run(self, rows: Iterable[SortedRow]) -> Iterator[Violation]:
        for (section, group), sorted_rows in groupby(rows, key=lambda each: (each.section, each.group)):
            if self._username == NOBODY or section == HEAD:
                for each in sorted_rows:
                    yield from self._check_head(each.row)
            elif section == TRANSACTIONS:
                yield from self._check_transactions([each.row for each in sorted_rows])
            else:
                yield from self._check_order(group, list(sorted_rows))
        if self._username != NOBODY:
            yield from self._finish()

    def _check_head(self, row: Row) -> Iterator[Violation]:
        record, problems = _record(row)
        yield from problems
        if self._username == NOBODY:
            return
        if row.kind == "EMAIL" and row.text("username") == self._username:
            self._claims[row.item] = row.text("unconfirmed_since")
        elif isinstance(record, HoldingRecord):
            self._held.append(record)
        elif row.item.SK in ("USER", "BALANCE"):
            self._head.setdefault(row.item.SK, []).append(record)

    def _check_transactions(self, rows: Sequence[Row]) -> Iterator[Violation]:
        """The transaction with one number, and the idempotency claims that refer to it."""
        for row in rows:
            record, problems = _record(row)
            yield from problems
            if isinstance(record, TransactionRecord):
                yield from self._ledger.add(record)
        if not any(row.kind == "TRANSACTION" for row in rows):
            yield from (_lost_reference(row) for row in rows if not _is_found_elsewhere(row))

    def _check_order(self, order_id: str, rows: Sequence[SortedRow]) -> Iterator[Violation]:
        """An order, if it is there, with the trades, transactions and idempotency claims that name it."""
        records: list[Record | None] = []
        for each in rows:
            record, problems = _record(each.row)
            records.append(record)
            yield from problems if each.is_main else ()
        orders = [record for record in records if isinstance(record, OrderRecord)]
        trades = [record for record in records if isinstance(record, TradeRecord)]
        transactions = [record for record in records if isinstance(record, TransactionRecord)]
        for trade in trades:
            yield from check_trade(trade)
            self._holdings.add_trade(trade)
        for order in orders:
            if order.username == self._username:
                self._holdings.add_order(order)
                yield from check_order(order, trades, transactions)
        if not any(each.row.kind == "ORDER" and each.row.owner == self._username for each in rows):
            yield from self._check_lost_order(order_id, [each.row for each in rows])

    def _check_lost_order(self, order_id: str, rows: Sequence[Row]) -> Iterator[Violation]:
        """The rows that name an order which is not among the user's own."""
        row = find_row(ItemKey("orders", *Order.key(order_id)))
        owner = row.owner if row else None
        if owner == self._username:  # placed since the rows were read, or not yet in the index
            return
        for each in rows:
            if each.kind == "REQUEST":
                yield _lost_reference(each)
            elif each.kind != "ORDER" and owner is None:
                yield violation("order_unknown", each.item, f"There is no order {order_id}.", order_id=order_id)
            elif each.kind != "ORDER":
                message = f"The order {order_id} belongs to {owner!r}."
                yield violation("order_of_another_user", each.item, message, order_id=order_id, found=owner or "")

    def _finish(self) -> Iterator[Violation]:
        for key, check in (("USER", "user_missing"), ("BALANCE", "balance_missing")):
            if key not in self._head:
                item = ItemKey("users", self._username, key)
                yield violation(check, item, f"{self._username} has items, but not this one.")
        for record in chain.from_iterable(self._head.values()):
            if isinstance(record, UserRecord):
                yield from self._check_claims(record)
            if isinstance(record, BalanceRecord):
                yield from self._ledger.finish(record, reserved=self._holdings.reserved_cash)
        for claim in self._claims if "USER" not in self._head else ():
            message = f"It names {self._username}, but there is no such user."
            yield violation("email_claim_stray", claim, message, found=self._username)
        yield from self._holdings.finish(self._held, ItemKey("users", self._username, "BALANCE"))

    def _check_claims(self, user: UserRecord) -> Iterator[Violation]:
        """The user's e-mail address is claimed for this user, and no other address is.

        An address that the user did not confirm may be another's: it falls to who confirms it.
        """
        own = ItemKey("users", *EmailClaim.key(user.email))
        since = user.email_unconfirmed_since and clock.to_text(user.email_unconfirmed_since)
        if own in self._claims:
            what = f"The time since which {user.email} is not confirmed"
            yield from differs("email_claim_differs", own, what, found=self._claims[own], expected=since)
        for claim in self._claims:
            what = f"The address claimed for {user.username}"
            yield from differs("email_claim_stray", claim, what, found=claim.PK, expected=own.PK)
        if since:
            return
        if own.PK not in {claim.PK for claim in self._claims}:
            message = f"No claim of {user.email} names this user."
            yield violation("email_claim_missing", user.item, message, expected=own.PK)
        row = None if own in self._claims else find_row(own)
        if row and row.text("username") != user.username:
            named = row.text("username") or "nobody"
            message = f"It names {named}, and is the address of {user.username}."
            yield violation("email_claim_of_another", own, message, found=named, expected=user.username)


def _is_found_elsewhere(claim: Row) -> bool:
    """Whether a claim refers to a transaction of another user, as that of an admin's adjustment does."""
    username = claim.text("username")
    key = username and BalanceTransaction.key(username, claim.text("reference") or "")
    return bool(key and find_row(ItemKey("users", *key)))


def _lost_reference(row: Row) -> Violation:
    reference = row.text("reference") or ""
    message = f"It refers to {reference!r}, which the user does not have."
    return violation("reference_missing", row.item, message, found=reference)


_RECORDS: dict[str, type[Record]] = {
    "USER": UserRecord,
    "BALANCE": BalanceRecord,
    "TRANSACTION": TransactionRecord,
    "ASSET": HoldingRecord,
    "ASSET_TRANSACTION": TradeRecord,
    "ORDER": OrderRecord,
}


def _record(row: Row) -> tuple[Record | None, list[Violation]]:
    """The values of an item, or None if a needed one cannot be decoded; and the violations of its form."""
    values, problems = decode(row)
    kind = _RECORDS.get(row.kind)
    if kind is None:
        return None, problems
    needed = kind._fields[1:]
    if any(problem.figures.get("name") in needed for problem in problems):
        return None, problems
    return kind._make((row.item, *(values.get(name) for name in needed))), problems
