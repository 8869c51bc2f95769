"""Seeded bugs: each plausible mistake in the money code must be caught by the tests.

    make mutants                 all of them
    make mutants ONLY=refund     those whose name contains the word

Each mutation is applied alone to a copy of the project, on which the tests then run until one fails. Prints one line
for each, and the score; ends with 1 if a mutation survives.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
COPIED = ("app", "tests", "bench", "wsgi.py", "setup.cfg", "gunicorn.conf.py", "Procfile", "docs")

DOMAIN = ("tests/domain",)
STORE = ("tests/models", "tests/api")
ORDERS = ("tests/orders", "tests/races")
ALL = (*DOMAIN, *ORDERS, *STORE, "tests/audit", "tests/admin")


@dataclass(frozen=True)
class Mutation:
    """Replace `old`, which stands once in the file, by `new`; `first` are the tests most likely to notice."""

    name: str
    file: str
    old: str
    new: str
    first: tuple[str, ...]


MUTATIONS = [
    # Amounts
    Mutation("a cost rounds down", "app/domain/money.py",
             "ROUND_CEILING if buying else ROUND_FLOOR", "ROUND_FLOOR", DOMAIN),
    Mutation("proceeds round up", "app/domain/money.py",
             "ROUND_CEILING if buying else ROUND_FLOOR", "ROUND_CEILING", DOMAIN),
    Mutation("rounding swapped", "app/domain/money.py",
             "ROUND_CEILING if buying else ROUND_FLOOR", "ROUND_FLOOR if buying else ROUND_CEILING", DOMAIN),
    Mutation("an order worth nothing is accepted", "app/domain/money.py",
             "if EXACT.multiply(quantity, price) < CENT:", "if False:", DOMAIN),
    Mutation("an order of any size is accepted", "app/domain/money.py",
             "if total > MAX_MOVEMENT:", "if False:", DOMAIN),
    Mutation("an amount of zero is accepted", "app/domain/money.py",
             "if not CENT <= amount <= MAX_MOVEMENT:", "if not 0 <= amount <= MAX_MOVEMENT:", DOMAIN),
    Mutation("digits of any script are accepted", "app/domain/money.py",
             'r"[0-9]+(\\.[0-9]+)?"', 'r"\\d+(\\.\\d+)?"', DOMAIN),
    Mutation("any number of decimals is accepted", "app/domain/money.py",
             'if len(text.partition(".")[2]) > decimals:', "if False:", DOMAIN),
    # The ledger
    Mutation("a balance may fall below zero", "app/domain/ledger.py",
             "if new_balance < 0:", "if False:", DOMAIN),
    Mutation("the last cent cannot be spent", "app/domain/ledger.py",
             "if new_balance < 0:", "if new_balance <= 0:", DOMAIN),
    Mutation("a withdrawal adds", "app/domain/ledger.py",
             "frozenset({TransactionType.WITHDRAW, TransactionType.ORDER_PAYMENT})",
             "frozenset({TransactionType.ORDER_PAYMENT})", DOMAIN),
    Mutation("an order's payment adds", "app/domain/ledger.py",
             "frozenset({TransactionType.WITHDRAW, TransactionType.ORDER_PAYMENT})",
             "frozenset({TransactionType.WITHDRAW})", DOMAIN),
    Mutation("the version stays", "app/domain/ledger.py",
             "version=account.version + 1)", "version=account.version)", DOMAIN),
    Mutation("deposits are not totalled", "app/domain/ledger.py",
             "total_deposits=money.add(account.total_deposits, amount)",
             "total_deposits=account.total_deposits", DOMAIN),
    Mutation("withdrawals are totalled as deposits", "app/domain/ledger.py",
             "elif transaction_type is TransactionType.WITHDRAW:",
             "elif transaction_type is TransactionType.ORDER_PAYMENT:", DOMAIN),
    Mutation("the reserve is forgotten", "app/domain/ledger.py",
             "return replace(posting, account=_with_reserve(posting.account, amount))", "return posting", ORDERS),
    Mutation("a refund leaves the reserve", "app/domain/ledger.py",
             "return post(release(account, reserved), TransactionType.ORDER_REFUND, amount)",
             "return post(account, TransactionType.ORDER_REFUND, amount)", ORDERS),
    Mutation("only the refund leaves the reserve", "app/domain/ledger.py",
             "return post(release(account, reserved), TransactionType.ORDER_REFUND, amount)",
             "return post(release(account, amount), TransactionType.ORDER_REFUND, amount)", ORDERS),
    # Orders
    Mutation("more than is held is sold", "app/domain/orders.py",
             "if quantity > holding:", "if False:", DOMAIN),
    Mutation("the whole holding cannot be sold", "app/domain/orders.py",
             "if quantity > holding:", "if quantity >= holding:", DOMAIN),
    Mutation("a purchase takes from the holding", "app/domain/orders.py",
             "return money.add(holding, quantity)", "return money.subtract(holding, quantity)", DOMAIN),
    Mutation("limits reached the wrong way", "app/domain/orders.py",
             "return price <= limit_price if side is Side.BUY else price >= limit_price",
             "return price >= limit_price if side is Side.BUY else price <= limit_price", DOMAIN),
    Mutation("a limit is reached only by a better price", "app/domain/orders.py",
             "return price <= limit_price if side is Side.BUY else price >= limit_price",
             "return price < limit_price if side is Side.BUY else price > limit_price", DOMAIN),
    Mutation("a market order takes any price", "app/domain/orders.py",
             "if self.price_type is PriceType.MARKET:", "if False:", DOMAIN),
    Mutation("a better fill refunds nothing", "app/domain/orders.py",
             "money.subtract(reserved_amount, total) if reserved_amount is not None else money.ZERO",
             "money.ZERO", DOMAIN),
    Mutation("a fill refunds the whole reserve", "app/domain/orders.py",
             "money.subtract(reserved_amount, total) if reserved_amount is not None else money.ZERO",
             "reserved_amount or money.ZERO", DOMAIN),
    # The conditional writes
    Mutation("the balance is written without its version", "app/models/account.py",
             "(Balance.version == balance.version) & (Balance.reserved_cash == balance.reserved_cash)",
             "Balance.version.exists()", STORE),
    Mutation("the balance is written without its reserve", "app/models/account.py",
             "(Balance.version == balance.version) & (Balance.reserved_cash == balance.reserved_cash)",
             "Balance.version == balance.version", ORDERS),
    Mutation("a holding is written whatever it is now", "app/models/account.py",
             "condition=AssetBalance.quantity == holding.quantity,",
             "condition=AssetBalance.quantity.exists(),", ORDERS),
    Mutation("the claim is overwritten", "app/models/account.py",
             "condition=RequestClaim.absent() | (RequestClaim.ttl <= now))",
             "condition=RequestClaim.absent() | RequestClaim.absent() | RequestClaim.ttl.exists())", STORE),
    Mutation("an expired claim stands for ever", "app/models/account.py",
             "if claim is None or claim.ttl <= clock.now():", "if claim is None:", STORE),
    Mutation("the claim is skipped", "app/models/account.py",
             "        _write_claim(batch, username, request, reference(item))", "        pass", STORE),
    Mutation("the fingerprint is not compared", "app/models/account.py",
             "if claim.fingerprint != request.fingerprint:", "if False:", STORE),
    Mutation("a refusal does not look for its claim", "app/models/account.py",
             "        claim = _find_claim(username, request) if request else None\n", "        claim = None\n", STORE),
    Mutation("a lost race is a success", "app/models/account.py",
             "        raise Busy() from cancelled\n    return Applied(item)", "    return Applied(item)", STORE),
    Mutation("the position is read eventually", "app/models/account.py",
             "AssetBalance.key(username, asset_id)], consistent_read=True)",
             "AssetBalance.key(username, asset_id)], consistent_read=False)", STORE),
    Mutation("the e-mail address is not claimed", "app/models/account.py",
             '    batch.put("email", EmailClaim(*EmailClaim.key(user.email), username=user.username))\n', "", STORE),
    Mutation("the balance is read eventually", "app/models/ledger.py",
             "return Balance.get(*Balance.key(username), consistent_read=True)",
             "return Balance.get(*Balance.key(username), consistent_read=False)", STORE),
    # Orders that wait
    Mutation("an order ends twice", "app/models/trading.py",
             "condition=Order.status == OrderStatus.PENDING.value)", "condition=Order.status.exists())", ORDERS),
    Mutation("an ended order stays in the book", "app/models/trading.py",
             "Order.open_book.remove(), Order.expiry_day.remove()", "Order.expiry_day.remove()", ORDERS),
    Mutation("an ended order still expires", "app/models/trading.py",
             "Order.open_book.remove(), Order.expiry_day.remove()", "Order.open_book.remove()", ORDERS),
    Mutation("a cancelled purchase gets nothing back", "app/models/trading.py",
             "        _empty_escrow(batch, order, balance, order.reserved_amount, now)\n    if order.reserved_quantity",
             "        pass\n    if order.reserved_quantity", ORDERS),
    Mutation("a cancelled sale gets nothing back", "app/models/trading.py",
             "    if order.reserved_quantity is not None:", "    if False:", ORDERS),
    Mutation("a sale is filled without its money", "app/models/trading.py",
             "        posting = post(balance.account, TransactionType.ORDER_SALE, filled.total_amount)\n"
             "        write_posting(batch, balance, posting, now, order_id=order.order_id)\n    batch.put",
             "        pass\n    batch.put", ORDERS),
    Mutation("a filled purchase is not handed over", "app/models/trading.py",
             "        write_holding(batch, order.username, order.asset_id, holding, held, now)\n"
             "        _empty_escrow(batch, order, balance, filled.refund, now)",
             "        _empty_escrow(batch, order, balance, filled.refund, now)", ORDERS),
    Mutation("a waiting sale keeps its holding", "app/models/trading.py",
             "        held = holding_after(order.side, order.asset_id, order.quantity, _quantity(holding))\n"
             "        write_holding(batch, balance.username, order.asset_id, holding, held, now)\n"
             '    batch.put("order", placed)',
             "        pass\n    batch.put(\"order\", placed)", ORDERS),
    Mutation("a purchase waits at the market's price", "app/models/trading.py",
             "total = order.total_at(order.price)", "total = order.total_at(price)", ORDERS),
    Mutation("a fill leaves no trade", "app/models/trading.py",
             '    batch.put("asset transaction", _asset_transaction(order, now))\n    _commit(batch)',
             "    _commit(batch)", ORDERS),
    Mutation("any order can be cancelled", "app/models/trading.py",
             "        if not order.is_pending:\n            raise OrderNotPending(order.status)\n", "", ORDERS),
    Mutation("a lost cancel is not tried again", "app/models/trading.py",
             "@again_after_lost_race\ndef cancel_order", "def cancel_order", ORDERS),
    Mutation("anyone's order is shown", "app/models/orders.py",
             "if order is None or order.username != username:", "if order is None:", STORE),
    # The commit
    Mutation("a put overwrites", "app/models/table.py",
             "condition=item.absent() if condition is None else condition)", "condition=condition)", STORE),
    Mutation("an unknown fate is tried again", "app/models/database.py",
             "failure = StoreUnavailable() if meter().may_have_applied else _translated(cause)",
             "failure = _translated(cause)", STORE),
    Mutation("each resend has its own token", "app/models/database.py",
             "max_retry_attempts=2,", "max_retry_attempts=0,", STORE),
    Mutation("a lost race is not tried again", "app/models/table.py",
             "stop=stop_after_attempt(12) | stop_after_delay(3),", "stop=stop_after_attempt(1),", STORE),
]


def apply(mutation: Mutation, project: Path) -> None:
    """Raises SystemExit when the text does not stand in the file exactly once: the list must follow the code."""
    path = project / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        sys.exit(f"{mutation.name!r}: its text stands {text.count(mutation.old)} times in {mutation.file}, not once")
    path.write_text(text.replace(mutation.old, mutation.new))


def copy_project(target: Path) -> None:
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, target / name)
    os.symlink(PROJECT / "node_modules", target / "node_modules")


def is_killed(mutation: Mutation) -> str | None:
    """The tests that noticed the mutation, or None if it survived them all."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        copy_project(project)
        apply(mutation, project)
        for tests in (mutation.first, tuple(each for each in ALL if each not in mutation.first)):
            command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
            run = subprocess.run(command, cwd=project, capture_output=True, text=True)
            if run.returncode == 1:
                failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
                return failed[0][:100] if failed else "a failure"
            if run.returncode != 0:
                return f"the tests could not run: {run.stdout[-300:]}"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="run those whose name contains this")
    parser.add_argument("--check", action="store_true", help="only check that every mutation fits the code")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    wanted = [mutation for mutation in MUTATIONS if options.only in mutation.name]
    for mutation in wanted:
        text = (PROJECT / mutation.file).read_text()
        if text.count(mutation.old) != 1:
            sys.exit(f"{mutation.name!r}: its text stands {text.count(mutation.old)} times in {mutation.file}")
    if options.check:
        print(f"{len(wanted)} mutations fit the code")
        return
    started, survived = time.monotonic(), []
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutation, noticed in zip(wanted, pool.map(is_killed, wanted), strict=True):
            print(f"{'killed  ' if noticed else 'SURVIVED'} {mutation.name}  {noticed or ''}", flush=True)
            if not noticed:
                survived.append(mutation.name)
    print(f"{len(wanted) - len(survived)} of {len(wanted)} mutations killed in {time.monotonic() - started:.0f} s")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
