"""Checking one account: its rows go through the checks in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby

from app.audit.checks import (
    BalanceRecord,
    HoldingRecord,
    HoldingsCheck,
    ItemKey,
    LedgerCheck,
    OrderRecord,
    Record,
    TradeRecord,
    TransactionRecord,
    UserRecord,
    Violation,
    check_order,
    check_trade,
    check_user,
)
from app.audit.rows import NOBODY, Row, decode, find_row
from app.audit.sorter import HEAD, TRANSACTIONS, SortedRow
from app.models.orders import Order
from app.models.users import EmailClaim


def check_account(username: str, rows: Iterable[SortedRow]) -> list[Violation]:
    """Every violation of one account, whose rows come in order."""
    return list(_AccountCheck(username).run(rows))


class _AccountCheck:
    """Takes the rows of an account through the checks of `app.audit.checks`; keeps its head and sums."""

    def __init__(self, username: str) -> None:
        self._username = username
        self._ledger = LedgerCheck()
        self._holdings = HoldingsCheck()
        self._head: dict[str, list[Record | None]] = {}
        self._claims: list[ItemKey] = []
        self._held: list[HoldingRecord] = []

    def run(self, rows: Iterable[SortedRow]) -> Iterator[Violation]:
        for (section, group), placed in groupby(rows, key=lambda each: (each.section, each.group)):
            if self._username == NOBODY or section == HEAD:
                for each in placed:
                    yield from self._check_head(each.row)
            elif section == TRANSACTIONS:
                yield from self._check_transactions([each.row for each in placed])
            else:
                yield from self._check_order(group, list(placed))
        if self._username != NOBODY:
            yield from self._finish()

    def _check_head(self, row: Row) -> Iterator[Violation]:
        record, problems = _record(row)
        yield from problems
        if self._username == NOBODY:
            return
        if row.kind == "EMAIL" and row.text("username") == self._username:
            self._claims.append(row.item)
        elif isinstance(record, HoldingRecord):
            self._held.append(record)
        elif row.item.SK in ("USER", "BALANCE"):
            self._head.setdefault(row.item.SK, []).append(record)

    def _check_transactions(self, rows: Sequence[Row]) -> Iterator[Violation]:
        """The transaction of one number, and the request claims that refer to it."""
        for row in rows:
            record, problems = _record(row)
            yield from problems
            if isinstance(record, TransactionRecord):
                yield from self._ledger.add(record)
        if not any(row.kind == "TRANSACTION" for row in rows):
            yield from (_lost_reference(row) for row in rows)

    def _check_order(self, order_id: str, placed: Sequence[SortedRow]) -> Iterator[Violation]:
        """An order, or the place of one, with the trades, transactions and claims that name it."""
        records: list[Record | None] = []
        for each in placed:
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
        if not any(each.row.kind == "ORDER" and each.row.owner == self._username for each in placed):
            yield from self._check_without_order(order_id, [each.row for each in placed])

    def _check_without_order(self, order_id: str, rows: Sequence[Row]) -> Iterator[Violation]:
        """What names an order that is not among the account's own."""
        row = find_row(ItemKey("orders", *Order.key(order_id)))
        owner = row.owner if row else None
        if owner == self._username:  # the index had not shown it yet, or it was made since
            return
        for each in rows:
            if each.kind == "REQUEST":
                yield _lost_reference(each)
            elif each.kind != "ORDER" and owner is None:
                yield Violation("order_unknown", each.item, f"There is no order {order_id}.", {"order_id": order_id})
            elif each.kind != "ORDER":
                yield Violation(
                    "order_of_another_user",
                    each.item,
                    f"The order {order_id} belongs to {owner!r}.",
                    {"order_id": order_id, "found": owner or ""},
                )

    def _finish(self) -> Iterator[Violation]:
        for key, check in (("USER", "user_missing"), ("BALANCE", "balance_missing")):
            if key not in self._head:
                item = ItemKey("users", self._username, key)
                yield Violation(check, item, f"Items of {self._username} exist, and there is no such item.")
        for record in chain.from_iterable(self._head.values()):
            if isinstance(record, UserRecord):
                yield from check_user(record, self._claims)
                yield from self._check_claim(record)
            if isinstance(record, BalanceRecord):
                yield from self._ledger.finish(record, reserved=self._holdings.reserved_cash)
        for claim in self._claims if "USER" not in self._head else ():
            yield Violation(
                "email_claim_stray", claim, f"It names {self._username}, who is no user.", {"found": self._username}
            )
        yield from self._holdings.finish(self._held, ItemKey("users", self._username, "BALANCE"))

    def _check_claim(self, user: UserRecord) -> Iterator[Violation]:
        """The claim of the user's address, if it is not the user's own, is named as what it is."""
        key = ItemKey("users", *EmailClaim.key(user.email))
        row = None if key in self._claims else find_row(key)
        if row and row.text("username") != user.username:
            named = row.text("username") or "nobody"
            yield Violation(
                "email_claim_of_another",
                key,
                f"It names {named}, and is the address of {user.username}.",
                {"found": named, "expected": user.username},
            )


def _lost_reference(row: Row) -> Violation:
    reference = row.text("reference") or ""
    return Violation(
        "reference_missing",
        row.item,
        f"It refers to {reference!r}, which the account does not have.",
        {"found": reference},
    )


_RECORDS: dict[str, type[Record]] = {
    "USER": UserRecord,
    "BALANCE": BalanceRecord,
    "TRANSACTION": TransactionRecord,
    "ASSET": HoldingRecord,
    "ASSET_TRANSACTION": TradeRecord,
    "ORDER": OrderRecord,
}


def _record(row: Row) -> tuple[Record | None, list[Violation]]:
    """The plain values of an item, None where a needed one cannot be decoded; and what is wrong with its form."""
    values, problems = decode(row)
    kind = _RECORDS.get(row.kind)
    if kind is None:
        return None, problems
    needed = kind._fields[1:]
    if any(problem.figures.get("name") in needed for problem in problems):
        return None, problems
    return kind._make((row.item, *(values.get(name) for name in needed))), problems
