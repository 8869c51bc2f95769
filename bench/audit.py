"""Speed and memory of the audit: fills an embedded engine with sound accounts, and audits them.

    python -m bench.audit [ITEMS ...]      (20000 and 80000)

Prints for each size the items per second (on a busy machine look at those per second of its own CPU),
and the largest resident memory of the process that audits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.domain import money
from app.domain.ledger import transaction_id
from app.models.item import Item
from app.models.ledger import Balance, BalanceTransaction, Holding, Trade
from app.models.orders import Order
from app.models.users import EmailClaim
from tests.support.accounts import user_item
from tests.support.applications import make_app
from tests.support.engine import engine

ROOT = Path(__file__).resolve().parent.parent
os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_EC2_METADATA_DISABLED="true")

ORDERS_OF_AN_ACCOUNT = 8
ITEMS_OF_AN_ACCOUNT = 5 + 3 * ORDERS_OF_AN_ACCOUNT  # besides the deposit: user, claim, balance, holding
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def account(username: str, orders: int) -> list[Item]:
    """A sound account with a deposit and this many purchases of 0.001 BTC."""
    start, cost, price = Decimal(10 * orders).quantize(money.CENT), Decimal("1.00"), Decimal(1000)
    quantity = Decimal("0.001")
    items: list[Item] = [
        user_item(username, password_hash="x" * 60, now=NOON),
        EmailClaim(*EmailClaim.key(f"{username}@example.com"), username=username),
        _transaction(username, 1, "DEPOSIT", start, money.ZERO, start, None),
    ]
    for number in range(orders):
        order_id, moment = f"order_{username}{number:010d}", NOON + timedelta(seconds=number)
        before = start - cost * number
        items += [
            Order(
                *Order.key(order_id),
                order_id=order_id,
                username=username,
                asset_id="BTC",
                order_type="BUY",
                price_type="MARKET",
                quantity=quantity,
                order_price=price,
                total_amount=cost,
                status="COMPLETED",
                executed_at=moment,
                created_at=moment,
                updated_at=moment,
            ),
            _transaction(username, number + 2, "ORDER_PAYMENT", cost, before, before - cost, order_id),
            Trade(
                *Trade.key(username, "BTC", moment),
                username=username,
                asset_id="BTC",
                transaction_type="BUY",
                quantity=quantity,
                price=price,
                total_amount=cost,
                order_id=order_id,
                traded_at=moment,
                created_at=moment,
            ),
        ]
    items += [
        Holding(
            *Holding.key(username, "BTC"),
            username=username,
            asset_id="BTC",
            quantity=quantity * orders,
            created_at=NOON,
            updated_at=NOON,
        ),
        Balance(
            *Balance.key(username),
            username=username,
            current_balance=start - cost * orders,
            total_deposits=start,
            total_withdrawals=money.ZERO,
            reserved_cash=money.ZERO,
            version=orders + 1,
            created_at=NOON,
            updated_at=NOON,
        ),
    ]
    return items


def _transaction(
    username: str, number: int, kind: str, amount: Decimal, before: Decimal, after: Decimal, order_id: str | None
) -> BalanceTransaction:
    return BalanceTransaction(
        *BalanceTransaction.key(username, transaction_id(number)),
        username=username,
        transaction_id=transaction_id(number),
        transaction_type=kind,
        amount=amount,
        previous_balance=before,
        new_balance=after,
        order_id=order_id,
        created_at=NOON + timedelta(seconds=number),
    )


def fill(endpoint: str, items: int) -> None:
    """Half of the items in one large account, half in small ones."""
    with make_app(endpoint).app_context():
        _write(account("large", items // 6))
        for number in range(items // 2 // ITEMS_OF_AN_ACCOUNT):
            _write(account(f"small_{number}", ORDERS_OF_AN_ACCOUNT))


def _write(items: list[Item]) -> None:
    connection = items[0]._get_connection().connection
    for start in range(0, len(items), 25):
        requests: dict[str, list[Any]] = {}
        for item in items[start : start + 25]:
            requests.setdefault(type(item).Meta.table_name, []).append({"PutRequest": {"Item": item.serialize()}})
        connection.dispatch("BatchWriteItem", {"RequestItems": requests})


AUDIT = """
import json, re, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from app.audit.run import audit_all
from tests.support.applications import make_app

def peak_mb():  # of this program alone: getrusage counts what its parent had when it was forked
    return int(re.search(r"VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1]) // 1024

with make_app(sys.argv[2]).app_context():
    before = peak_mb()
    started, cpu_started = time.monotonic(), time.process_time()
    report = audit_all()
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu_started
print(json.dumps([report.items, len(report.violations), seconds, cpu_seconds, before, peak_mb()]))
"""


def audit(endpoint: str) -> list[Any]:
    """Audit in a process of its own, so that its memory is the audit's."""
    command = [sys.executable, "-c", AUDIT, str(ROOT), endpoint]
    answer: list[Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer


def main(sizes: list[int]) -> None:
    for size in sizes:
        with tempfile.TemporaryDirectory() as directory, engine(Path(directory, "bench.db")) as endpoint:
            started = time.monotonic()
            fill(endpoint, size)
            print(f"filled in {time.monotonic() - started:.0f} s", flush=True)
            items, violations, seconds, cpu_seconds, before, peak = audit(endpoint)
        print(
            f"{items} items: {items / seconds:.0f} items/s ({items / cpu_seconds:.0f} per second of CPU), "
            f"{violations} violations, "
            f"memory {before} MB before and {peak} MB at most",
            flush=True,
        )


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [20_000, 80_000])
