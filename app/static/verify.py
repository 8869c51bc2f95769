"""Check a statement by yourself, with nothing but Python: that no row of it was changed, left out or put in.

    python3 verify.py USERNAME transactions.csv                 one statement
    python3 verify.py USERNAME transactions.csv earlier.csv     and that it goes on from an earlier one

Each transaction has a hash (SHA-256) of itself and of the hash before it. So the last hash of a statement stands for
every transaction up to it: keep it, and nobody can change the past without your noticing. Files as downloaded only: a
spreadsheet that saves one again changes it. Exits with 1 and names the row if something is wrong.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sys
from decimal import Decimal

# A cell that a spreadsheet would run as a formula was given an apostrophe.
QUOTED = re.compile(r"""(^|[;\t|])'(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20])|^'(?='*[\t\r])""")


def digest(*values: str | None) -> str:
    text = json.dumps(["op1", *values], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def check(username: str, path: str) -> tuple[int, int, list[str]]:
    """The last transaction's number, how many transactions have no hash, and all hashes, the last one last."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, restval=""))
    if [each.get("transaction_type") for each in rows[:1] + rows[1:][-1:]] != ["opening_balance", "closing_balance"]:
        raise ValueError("this is not a whole statement")
    opening, *rows, closing = rows
    balance, hashes, last = opening["new_balance"], [opening["hash"]], 0
    for row in rows:
        number = int(row["transaction_id"])
        if last and number != last + 1:
            raise ValueError(f"transaction {number} follows number {last}")
        hashes.append(check_row(username, row, balance, hashes[-1]))
        balance, last = row["new_balance"], number
    more = {key for end in (opening, closing) for key in end if end[key]} - {"transaction_type", "new_balance", "hash"}
    if more or (closing["new_balance"], closing["hash"]) != (balance, hashes[-1]):
        raise ValueError("the closing balance or its hash is another than that of the last transaction")
    return last, sum(not row["hash"] for row in rows), hashes


def check_row(username: str, row: dict[str, str], balance: str, before: str) -> str:
    """The hash after a transaction that follows this balance and this hash."""
    name, kind, amount = f"transaction {row['transaction_id']}", row["transaction_type"], row["amount"]
    if row["previous_balance"] != balance or Decimal(balance) + Decimal(row["effect"]) != Decimal(row["new_balance"]):
        raise ValueError(f"{name} does not lead from one balance to the next")
    names = [row["order_id"], row["actor"], QUOTED.sub(r"\1", row["description"])]
    values = [username, row["transaction_id"], kind.upper(), amount, balance, row["new_balance"]]
    booked = digest(before, *values, *(each or None for each in names), row["created_at"])
    if row["hash"] not in ("", booked) or row["effect"] not in (amount, f"-{amount}") or kind != kind.lower():
        raise ValueError(f"{name} is not what was booked, or what was before it is not")
    return row["hash"] or digest(username, row["transaction_id"], row["new_balance"])


def main(username: str, path: str, earlier: str | None = None) -> None:
    last, unhashed, hashes = check(username, path)
    print(f"{path}: {len(hashes) - 1} transaction{'s' * (len(hashes) != 2)}, as booked.")
    print(f"Keep this. Last transaction: {last}. Its hash: {hashes[-1]}")
    if unhashed:
        print(f"{unhashed} of them were booked before there were hashes: only their balances were checked.")
    if earlier and check(username, earlier)[2][-1] not in hashes:
        raise ValueError(f"it does not go on from {earlier}: choose periods that meet or overlap")
    if earlier:
        print(f"It goes on from {earlier}.")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (KeyError, ArithmeticError) as wrong:
        sys.exit(f"Not verified: a column is missing or has no number: {wrong}")
    except (ValueError, TypeError, OSError, csv.Error) as wrong:
        sys.exit(f"Not verified: {wrong}" if sys.argv[2:] else __doc__)
