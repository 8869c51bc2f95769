"""The chain of hashes: statements that their owner can check, and what nobody can change without being found out."""

from __future__ import annotations

import ast
import csv
import io
import runpy
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.audit.run import audit_user
from app.domain import chain, clock
from app.services import cash
from tests.support.books import check_books
from tests.support.people import Person

VERIFY = Path(__file__).parents[2] / "app/static/verify.py"
# What a spreadsheet would run, what only looks as if it had been made harmless already, and other languages.
DESCRIPTIONS = [
    "=1+1",
    "'=1+1",
    "''=1",
    'a;"=2',
    "a;'=2",
    "plain",
    "it's = fine",
    "für Zoë, ⅔",
    '"quoted", and more',
    "+",
    None,
]

# All that `verify.py` tells with a sentence of its own.
REFUSED = (KeyError, ArithmeticError, ValueError, TypeError, csv.Error)


@pytest.fixture
def saver(person: Person) -> Person:
    for number, description in enumerate(DESCRIPTIONS, start=1):
        assert (
            person.post("/balance/deposit", {"amount": f"{number}.10", "description": description}).status_code == 201
        )
    assert person.post("/balance/withdraw", {"amount": "3.33"}).status_code == 201
    return person


@pytest.fixture
def verify(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Run verify.py as its owner would on another machine: the exit status, and all that it says."""

    def run(username: str, *statements: str) -> tuple[int, str]:
        paths = []
        for number, statement in enumerate(statements):
            paths.append(tmp_path / f"{number}.csv")
            paths[-1].write_bytes(statement.encode())
        command = [sys.executable, "-I", VERIFY, username, *paths]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        return done.returncode, done.stdout + done.stderr

    return run


def csv_of(person: Person, period: str = "") -> str:
    return str(person.get(f"/balance/transactions.csv{period}").text)


def changed(statement: str, number: int, column: str, value: str) -> str:
    """The statement with another value in one cell; row 0 is the opening balance."""
    rows = list(csv.DictReader(io.StringIO(statement, newline="")))
    assert rows[number][column] != value
    rows[number][column] = value
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def test_every_transaction_carries_a_hash_and_the_balance_the_last_one(saver, store):
    books = check_books(store, saver.username)
    assert all("hash" in row for row in books.transactions)
    listed = saver.get("/balance/transactions?limit=1").json["transactions"][0]
    balance = saver.get("/balance").json
    assert (balance["number"], balance["head"]) == (len(DESCRIPTIONS) + 1, listed["hash"])
    assert listed["hash"] == books.transactions[-1]["hash"]


def test_an_owner_verifies_a_statement_and_that_the_next_goes_on_from_it(saver, verify):
    earlier = csv_of(saver)
    status, text = verify(saver.username, earlier)
    head = saver.get("/balance").json["head"]
    assert status == 0 and f"{len(DESCRIPTIONS) + 1} transactions" in text and head in text, text
    today = clock.now().date()
    saver.deposit("1")
    status, text = verify(saver.username, csv_of(saver), earlier)
    assert status == 0 and "goes on from" in text, text
    assert verify(saver.username, csv_of(saver, f"?from={today}"), earlier)[0] == 0
    # As pages offer it to spreadsheets.
    assert verify(saver.username, "\N{BYTE ORDER MARK}" + earlier)[0] == 0


def test_an_empty_account(person, verify):
    status, text = verify(person.username, csv_of(person))
    assert status == 0 and "0 transactions" in text, text
    assert person.get("/balance").json["head"] is None


def test_any_cell_that_was_changed_is_found(saver, verify):
    statement = csv_of(saver)
    head, *rows = csv.reader(io.StringIO(statement, newline=""))
    last = len(rows) - 1
    cells = [(3, column) for column in head] + [(0, "hash"), (0, "new_balance"), (last, "hash"), (last, "new_balance")]
    for row, column in cells:
        old = rows[row][head.index(column)]
        value = str(Decimal(old) + 1) if "balance" in column or column in {"amount", "effect"} else f"{old}x"
        if column == "transaction_id":
            value = "000000000099"
        status, text = verify(saver.username, changed(statement, row, column, value))
        assert status == 1 and "Not verified" in text, (row, column, text)
    without = "\r\n".join(line for number, line in enumerate(statement.split("\r\n")) if number != 4)
    files = {
        without: "transaction 4 follows number 2",
        statement[: len(statement) // 2]: "this is not a whole statement",
        "": "this is not a whole statement",
        "a,b\r\n1,2\r\n": "this is not a whole statement",
        statement.replace(",hash", ",h"): "a column is missing or has no number: 'hash'",
        changed(statement, 3, "effect", ""): "a column is missing or has no number",
    }
    for wrong, told in files.items():
        status, text = verify(saver.username, wrong)
        assert status == 1 and text.startswith(f"Not verified: {told}"), text
    assert verify("somebody_else", statement)[0] == 1


def test_any_byte_that_was_changed_is_found(saver, tmp_path):
    """Of the whole file: also a letter in another case, a space for a digit, another end of a line."""
    verify = runpy.run_path(str(VERIFY))["check"]
    statement = b"\xef\xbb\xbf" + csv_of(saver).encode()
    path = tmp_path / "changed.csv"
    path.write_bytes(statement)
    assert verify(saver.username, path)[0] == len(DESCRIPTIONS) + 1
    for place, byte in enumerate(statement):
        for bit in (0, 4, 5):
            path.write_bytes(statement[:place] + bytes([byte ^ 1 << bit]) + statement[place + 1 :])
            with pytest.raises(REFUSED):
                verify(saver.username, path)
                pytest.fail(f"byte {place}, bit {bit}: {statement[place - 20 : place + 20]!r}")


def test_the_program_is_short_and_needs_nothing_but_python():
    source = VERIFY.read_text()
    assert len(source.splitlines()) <= 80
    imported = {each.module if isinstance(each, ast.ImportFrom) else each.names[0].name for each in imports_of(source)}
    assert imported <= sys.stdlib_module_names


def imports_of(source: str) -> list[ast.Import | ast.ImportFrom]:
    return [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Import | ast.ImportFrom)]


def test_a_past_that_was_rewritten_whole_is_found_by_the_hash_that_was_kept(person, verify):
    """Who can write the tables can compute all hashes anew, but not so that they end in the one that was kept."""
    for amount in ("1.00", "2.00", "3.00"):
        person.post("/balance/deposit", {"amount": amount, "description": "pay"})
    kept = csv_of(person)
    opening, *rows, closing = csv.DictReader(io.StringIO(kept, newline=""))
    rows[0]["description"], before = "a present", opening["hash"]
    for row in rows:
        amounts = row["amount"], row["previous_balance"], row["new_balance"]
        values = person.username, row["transaction_id"], "DEPOSIT", *amounts, None, None, row["description"]
        row["hash"] = before = chain.hash_of_transaction(before, [*values, row["created_at"]])
    closing["hash"] = before
    forged = io.StringIO(newline="")
    writer = csv.DictWriter(forged, opening)
    writer.writeheader()
    writer.writerows([opening, *rows, closing])
    assert verify(person.username, forged.getvalue())[0] == 0, "it is consistent in itself"
    status, text = verify(person.username, forged.getvalue(), kept)
    assert status == 1 and "does not go on from" in text


def test_a_statement_of_a_later_period_follows_the_one_before(person, verify, in_app):
    days = [(clock.now() + timedelta(days=number)).date() for number in (400, 401)]
    for day in days:
        with clock.at(clock.start_of(day)):
            cash.deposit(person.username, Decimal(1), None)
    first, second = csv_of(person, f"?to={days[0]}"), csv_of(person, f"?from={days[1]}")
    status, text = verify(person.username, second, first)
    assert status == 0 and "1 transaction, " in text and "goes on from" in text, text
    assert verify(person.username, first, second)[0] == 1, "the other way round"


@pytest.mark.parametrize("keeps", [0, 2], ids=["from the beginning", "after two of this version"])
def test_what_an_older_version_wrote_has_no_hash_and_the_chain_goes_on_after_it(person, store, verify, in_app, keeps):
    """Also where copies of an older version run beside this one: they leave the head as it is."""
    for _ in range(keeps):
        person.deposit("1")
    kept = person.get("/balance").json["head"]
    person.deposit("2")
    person.deposit("3")
    for number in range(keeps + 1, keeps + 3):
        forget(store, person.username, f"TRANS#{number:012d}", "hash")
    forget(store, person.username, "BALANCE", "head_hash", "head_number")
    if kept:
        remember(store, person.username, head_hash={"S": kept}, head_number={"N": str(keeps)})
    assert person.get("/balance").json["head"] is None
    status, text = verify(person.username, csv_of(person))
    assert status == 0 and "2 of them were booked before there were hashes" in text, text
    person.deposit("4")
    person.deposit("5")
    check_books(store, person.username)
    assert audit_user(person.username, pauses=()).violations == []
    status, text = verify(person.username, csv_of(person))
    assert status == 0 and "2 of them" in text, text
    assert verify(person.username, changed(csv_of(person), keeps + 1, "new_balance", "999.00"))[0] == 1


def forget(store: Any, username: str, sort_key: str, *names: str) -> None:
    store.update_item(
        TableName="users",
        Key={"PK": {"S": username}, "SK": {"S": sort_key}},
        UpdateExpression="REMOVE " + ", ".join(f"#{name}" for name in names),
        ExpressionAttributeNames={f"#{name}": name for name in names},
    )


def remember(store: Any, username: str, **values: Any) -> None:
    store.update_item(
        TableName="users",
        Key={"PK": {"S": username}, "SK": {"S": "BALANCE"}},
        UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )
