"""Every damage to an item is found, and named, by the audit; an account that only the product has touched has none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import groupby
from typing import Any

import pytest

from app.audit import rows
from app.audit.records import ItemKey
from app.audit.run import Report, audit_all, audit_user
from app.domain import clock
from app.models.orders import OrdersItem
from app.models.users import UsersItem
from tests.audit.damages import COPIES, DAMAGES, TEXTS
from tests.audit.shelf import Shelf


def named(report: Report) -> set[tuple[str, ItemKey]]:
    return {violation.identity for violation in report.violations}


def test_a_sound_account_has_no_violation(shelf: Shelf) -> None:
    report = audit_all(pauses=())
    assert (report.violations, report.accounts, report.items) == ([], 3, len(shelf.sound))
    for username in ("ann", "ben", "cleo"):
        alone = audit_user(username, pauses=())
        assert alone.violations == []
        assert alone.items == sum(_owner(shelf, key) == username for key in shelf.sound)


def _owner(shelf: Shelf, key: ItemKey) -> str:
    """A change of an order belongs to the owner of the order."""
    key = key._replace(SK="ORDER") if key.SK.startswith("CHANGE#") else key
    return rows.Row(key.table, shelf.sound[key]).owner


def _by_damage() -> Iterator[Any]:
    """One case for each damage, with all the checks that must name it."""
    for (label, text), group in groupby(DAMAGES, key=lambda damage: (damage[0], str(damage[1]))):
        cases = list(group)
        name = f"{label} {text}"[:60].encode("ascii", "backslashreplace").decode()
        yield pytest.param(label, cases[0][1], {check for _, _, check in cases}, id=name)


@pytest.mark.parametrize(("label", "changes", "checks"), list(_by_damage()))
def test_a_damage_is_found_and_named(shelf: Shelf, label: str, changes: dict[str, Any], checks: set[str]) -> None:
    key = shelf.at(label)
    shelf.change(key, changes) if changes else shelf.delete(key)
    report = audit_user("ann", pauses=())
    if not checks <= {violation.check for violation in report.violations}:
        report = audit_all(pauses=())  # what stands in nobody's account, or in another's
    assert checks <= {violation.check for violation in report.violations}, report.violations
    for violation in report.violations:
        assert violation.message.endswith(".") and violation.item.PK and violation.item.SK


def test_a_byte_of_any_transaction_that_was_changed_is_named(shelf: Shelf) -> None:
    """One in the middle of each value, of one transaction of each type."""
    of_ann = [key for key in shelf.sound if (key.PK, key.SK[:6]) == ("ann", "TRANS#")]
    for key in {shelf.sound[key]["transaction_type"]["S"]: key for key in of_ann}.values():
        item = shelf.sound[key]
        for name in item.keys() - {"PK", "SK"}:
            [(kind, text)] = item[name].items()
            middle = len(text) // 2
            shelf.put(key, item | {name: {kind: f"{text[:middle]}{chr(ord(text[middle]) ^ 1)}{text[middle + 1 :]}"}})
            assert audit_user("ann", pauses=()).violations, (key, name, text)
        shelf.put(key, item)


@pytest.mark.parametrize(("late", "checks"), [(0, set()), (1, {"order_overdue"})], ids=["an hour", "a moment longer"])
def test_an_order_that_is_open_long_after_its_end_is_named(shelf: Shelf, late: int, checks: set[str]) -> None:
    end = clock.from_text(shelf.sound[shelf.at("open sell")]["expires_at"]["S"])
    with clock.at(end + timedelta(hours=1, microseconds=late)):
        report = audit_user("ann", pauses=())
    found = {violation.check for violation in report.violations if violation.item == shelf.at("open sell")}
    assert found == checks


@pytest.mark.parametrize(("late", "checks"), [(0, set()), (1, {"executed_after_end"})], ids=["in time", "too late"])
def test_an_order_that_was_executed_after_its_end_is_named(shelf: Shelf, late: int, checks: set[str]) -> None:
    executed = clock.from_text(shelf.sound[shelf.at("filled sell")]["executed_at"]["S"])
    shelf.change(shelf.at("filled sell"), {"expires_at": clock.to_text(executed - timedelta(microseconds=late))})
    assert {violation.check for violation in audit_user("ann", pauses=()).violations} == checks


@pytest.mark.parametrize(("days", "checks"), [(52, {"approval_missing"}), (54, set())], ids=["young", "old"])
def test_an_approval_is_missed_as_long_as_it_must_be_kept(shelf: Shelf, days: int, checks: set[str]) -> None:
    booked = clock.from_text(shelf.sound[shelf.at("booked")]["created_at"]["S"])
    shelf.delete(shelf.at("approved"))
    with clock.at(booked + timedelta(days=days)):
        report = audit_user("ann", pauses=())
    assert {each.check for each in report.violations if each.item == shelf.at("booked")} == checks


@pytest.mark.parametrize(("days", "is_missed"), [(29, True), (31, False)], ids=["kept", "gone"])
def test_an_event_is_missed_as_long_as_it_must_be_kept(shelf: Shelf, days: int, is_missed: bool) -> None:
    last = clock.from_text(shelf.sound[shelf.at("last account event")]["created_at"]["S"])
    shelf.delete(shelf.at("told fill"))
    with clock.at(last + timedelta(days=days)):
        found = {each.check for each in audit_user("ann", pauses=()).violations}
    assert ({"event_gap", "event_missing"} <= found) == is_missed
    assert is_missed or not any(check.startswith("event") for check in found)


def test_what_an_earlier_version_ended_names_no_event_and_has_none(shelf: Shelf) -> None:
    """It came before the first event that is there."""
    shelf.change(shelf.at("adjustment"), {"event_number": None})
    shelf.delete(shelf.at("told adjustment"))
    assert audit_user("ann", pauses=()).violations == []


@pytest.mark.parametrize(("label", "name", "text"), TEXTS, ids=lambda value: ascii(value)[:30])
def test_a_value_that_cannot_be_read_is_named(shelf: Shelf, label: str, name: str, text: Any) -> None:
    key = shelf.at(label)
    damaged = {**shelf.sound[key], name: {"S": text} if isinstance(text, str) else text}
    values, [violation] = rows.decode(rows.Row(key.table, damaged))
    assert name not in values
    assert (violation.check, violation.item, violation.figures["name"]) == ("attribute_malformed", key, name)


@pytest.mark.parametrize(("label", "key", "changes", "check"), COPIES, ids=lambda value: str(value)[:30])
def test_an_item_too_many_is_found_and_named(
    shelf: Shelf, label: str, key: ItemKey, changes: dict[str, Any], check: str
) -> None:
    item = dict(shelf.sound[shelf.at(label)]) | {name: {"S": value} for name, value in changes.items()}
    shelf.put(key, item)
    report = audit_all(pauses=())
    assert check in {violation.check for violation in report.violations}, report.violations


def test_a_violation_names_the_item_and_its_figures(shelf: Shelf) -> None:
    shelf.change(shelf.at("balance"), {"current_balance": "1000000.00"})
    expected = shelf.sound[shelf.at("balance")]["current_balance"]["S"]
    [violation] = audit_user("ann", pauses=()).violations
    assert violation.identity == ("balance_mismatch", shelf.at("balance"))
    assert violation.message == f"current_balance is 1000000.00, and should be {expected}."
    assert violation.figures == {"found": "1000000.00", "expected": expected}


def test_the_audit_of_one_account_sees_what_the_audit_of_all_sees_of_it(shelf: Shelf) -> None:
    for label in ("REFUND of better", "trade of market buy", "open sell"):
        shelf.delete(shelf.at(label))
    everything = audit_all(pauses=())
    assert named(audit_user("ann", pauses=())) == named(everything) != set()
    assert not audit_user("ben", pauses=()).violations


def test_a_change_during_the_audit_is_no_violation(shelf: Shelf) -> None:
    """What looks wrong in an account that has just changed is reported when it still does after a pause."""
    key = shelf.at("BTC")
    shelf.change(key, {"quantity": "0.07", "updated_at": clock.to_text(clock.now())})
    seen: list[float] = []

    def pauses() -> Iterator[float]:
        seen.append(0)
        shelf.put(key, shelf.sound[key])
        yield 0.0

    assert not audit_user("ann", pauses=pauses()).violations
    assert seen


def test_an_empty_user_name_and_an_unknown_one_have_no_items(shelf: Shelf) -> None:
    assert audit_user("nobody_at_all", pauses=()).items == 0


def test_every_kind_of_item_is_known() -> None:
    for root in (UsersItem, OrdersItem):
        kinds = set(root.entity_type.get_registered_subclasses(root)) - {root}
        assert kinds == {model for model in rows.MODELS if issubclass(model, root)}
