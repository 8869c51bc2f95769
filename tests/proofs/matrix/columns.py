"""The columns of the matrix: every fault that makes sense for a call, in families."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.faults import (
    WRITES,
    Call,
    Fault,
    Forwarder,
    cancel_item,
    conflict,
    drop,
    fail_afterwards,
    kill_afterwards,
    kill_before,
    leave_unprocessed,
    lose_answer,
    refuse,
    truncate,
)

throttle = refuse("ProvisionedThroughputExceededException")
break_down = refuse("InternalServerError", status=500)
be_in_progress = refuse("TransactionInProgressException")
KILLS = {"kill before": kill_before, "kill after": kill_afterwards}


def lose_then_throttle(forwarder: Forwarder, sent: bytes) -> tuple[int, bytes] | None:
    """Lose the answers of writes, and throttle the reads that come after."""
    return lose_answer(forwarder, sent) if forwarder.operation in WRITES else throttle(forwarder, sent)


@dataclass(frozen=True)
class Column:
    """One way to break a call: a fault for each send of it (`FaultyStore.break_call`), none for a kill."""

    family: str
    name: str
    faults: tuple[Fault | None, ...] = ()
    onward: bool = False


def _ways(family: str, name: str, fault: Fault, ways: str) -> Iterator[Column]:
    """`1`: the first send, which a resend heals; `*`: every send; `>`: every send of this call and all later ones."""
    if "1" in ways:
        yield Column(family, f"{name} 1", (fault, None))
    if "*" in ways:
        yield Column(family, f"{name} *", (fault,))
    if ">" in ways:
        yield Column(family, f"{name} >", (fault,), onward=True)


def _of_every_call() -> Iterator[Column]:
    yield from _ways("throttle", "throttle", throttle, "1*>")
    yield from _ways("error", "500", break_down, "1*")
    yield from _ways("drop", "drop", drop, "1*>")
    yield from _ways("lose", "lose", lose_answer, "1*>")
    yield from _ways("cut", "cut", truncate, "1*")
    for name in KILLS:
        yield Column("kill", name)


def _of_writes() -> Iterator[Column]:
    yield from _ways("conflict", "conflict", conflict, "*>")
    yield from _ways("error", "500 after", fail_afterwards, "1*")
    # What the resends are answered says nothing of the first send, which was applied.
    yield Column("lose", "lose 1, throttle *", (lose_answer, throttle))
    yield Column("cut", "cut 1, throttle *", (truncate, throttle))
    yield Column("cut", "cut 1, conflict *", (truncate, conflict))
    yield Column("error", "500 after 1, throttle *", (fail_afterwards, throttle))
    yield Column("lose", "lose, throttle >", (lose_then_throttle,), onward=True)


def _of_transactions(steps: int) -> Iterator[Column]:
    yield from _ways("conflict", "in progress", be_in_progress, "1*")
    for step in range(steps):
        yield Column("conflict", f"conflict at {step}", (cancel_item(step, "TransactionConflict"),))
        yield Column("throttle", f"throttle at {step}", (cancel_item(step, "ThrottlingError"),))


def columns_of(call: Call) -> list[Column]:
    """Every fault for this call."""
    columns = list(_of_every_call())
    if call.operation == "BatchGetItem":
        columns.append(Column("throttle", "part", (leave_unprocessed, None)))
    if call.operation in WRITES:
        columns += _of_writes()
    return columns + list(_of_transactions(call.steps) if call.steps else ())


FAMILIES = ("throttle", "conflict", "error", "drop", "lose", "cut", "kill")


def thinned(calls: list[Call], families: tuple[str, ...], seed: int) -> list[tuple[Call, Column]]:
    """One column of each of these families, at a write where the family is of writes alone, and one for any other call.

    Different ones for each `seed`. A kill needs a process of its own, so one write gets one.
    """
    chosen: list[tuple[Call, Column]] = []
    for number, family in enumerate(families):
        cells = [(call, column) for call in calls for column in columns_of(call) if column.family == family]
        if family in OF_WRITES:
            cells = [(call, column) for call, column in cells if call.operation in WRITES]
        if cells:
            chosen.append(cells[(seed + number) % len(cells)])
    for call in calls:
        if not any(broken is call for broken, _ in chosen):
            columns = [column for column in columns_of(call) if column.family != "kill"]
            chosen.append((call, columns[seed % len(columns)]))
    return chosen


# What is unlike from one write to the next; the others are as well seen at a read.
OF_WRITES = {"conflict", "lose", "cut", "kill"}
