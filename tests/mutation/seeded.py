"""Seeded bugs: each plausible mistake in the code that handles money must be caught by the tests.

    make mutants                 all of them
    make mutants ONLY=refund     those whose name contains the word

Each mutation is applied alone to a copy of the project. The tests most likely to notice it run first, then, if they
pass, all others that have to do with money, until one fails. Only a test that fails counts, and that passes on the
unchanged copy afterwards: code that cannot be imported, tests that cannot be collected and runs that take too long
are reported as such and count as not killed. Prints one line for each mutation, and the score; ends with 1 unless all
are killed.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from pyflakes.checker import Checker
from pyflakes.messages import UndefinedName

PROJECT = Path(__file__).resolve().parents[2]
COPIED = ("app", "tests", "bench", "wsgi.py", "setup.cfg", "gunicorn.conf.py", "Procfile", "docs")
LONGEST_RUN_SECONDS = 600

# The fastest first: where the likely tests have noticed nothing, all these run.
ALL = (
    "tests/domain",
    "tests/orders/test_orders_limit.py",
    "tests/api/test_api_idempotency.py",
    "tests/orders",
    "tests/races/test_races_orders.py",
    "tests/api",
    "tests/models",
    "tests/admin",
    "tests/audit",
)

# The tests that are likely to notice a mutation: files, and what stands late in a file or takes long.
AMOUNTS = ("tests/domain/test_money.py",)
LEDGER = ("tests/domain/test_ledger_posting.py",)
RULES = ("tests/domain/test_order_rules.py",)
PREVIEWS = ("tests/domain/test_previews.py",)
REGISTRATION = ("tests/api/test_api_registration.py",)
OWNERSHIP = ("tests/api/test_api_ownership.py",)
BUDGETS = ("tests/api/test_api_budgets.py",)
TOKENS = ("tests/api/test_api_tokens.py",)
SESSIONS = ("tests/api/test_api_sessions.py",)
FATE = ("tests/api/test_api_unknown_fate.py",)
BATCH = ("tests/models/test_model_batch.py",)
AGAIN = ("tests/models/test_model_batch.py::test_a_lost_race_is_run_again_until_it_is_won",)
FAILURES = ("tests/models/test_model_batch.py::test_failures_of_the_store_in_our_words",)
RESENDS = ("tests/api/test_api_store_faults.py::test_reads_survive_one_broken_connection",)
KEYS = ("tests/api/test_api_idempotency.py",)
OLD_CLAIMS = (
    "tests/api/test_api_idempotency.py::test_a_claim_past_its_time_counts_as_gone",
    "tests/api/test_api_idempotency.py::test_an_expired_claim_does_not_answer_a_refused_request",
)
LIMIT = ("tests/orders/test_orders_limit.py",)
FILLS = ("tests/orders/test_orders_limit.py::test_a_fill",)
ENDS = ("tests/orders/test_orders_limit.py::test_an_order_that_ends_unfilled_gives_everything_back",)
REPLAYS = ("tests/orders/test_orders_limit.py::test_a_replay_answers_with_the_order_as_it_was_placed",)
KEYED_ORDERS = ("tests/orders/test_orders_limit.py::test_a_key_belongs_to_one_request",)
UNFIT = (
    "tests/orders/test_orders_limit.py::test_a_stale_price_places_nothing",
    "tests/orders/test_orders_limit.py::test_what_cannot_be_reserved_is_refused",
)
BETWEEN = ("tests/orders/test_orders_between.py::test_a_change_sees_what_came_between",)
TOO_LATE = ("tests/orders/test_orders_between.py::test_a_change_that_comes_too_late_changes_nothing",)
FRESH = ("tests/orders/test_orders_between.py::test_each_attempt_begins_with_consistent_reads",)
CLAIM_READ = ("tests/orders/test_orders_between.py::test_a_claim_is_read_consistently",)
WORKER = ("tests/orders/test_orders_worker.py",)
BEST_FIRST = ("tests/orders/test_orders_worker.py::test_best_limits_first",)
PAST_END = (
    "tests/orders/test_orders_worker.py::test_a_worker_that_runs_ends_what_is_past_its_time",
    "tests/orders/test_orders_worker.py::test_a_worker_that_starts_ends_what_is_past_its_time_also_from_earlier_days",
)
DAYS = (
    "tests/orders/test_orders_worker.py::test_an_order_of_an_earlier_day_that_failed_is_tried_again",
    "tests/orders/test_orders_worker.py::test_an_order_that_shows_in_its_index_after_midnight_is_ended",
)
QUOTES = (
    "tests/orders/test_orders_worker.py::test_no_fill_without_a_good_price",
    "tests/orders/test_orders_worker.py::test_a_price_is_not_kept_to_for_long",
    "tests/orders/test_orders_worker.py::test_an_order_whose_time_ends_during_a_round_is_not_filled",
)
FAILED_ORDERS = ("tests/orders/test_orders_worker.py::test_an_order_that_fails_does_not_stop_the_others",)
ADMIN = ("tests/admin/test_admin_accounts.py",)
ADJUSTMENTS = (
    "tests/admin/test_admin_accounts.py::test_adjustments_are_signed_and_recorded_with_reason_and_actor",
    "tests/admin/test_admin_accounts.py::test_keyed_adjustments",
)


@dataclass(frozen=True)
class Mutation:
    """Replace `old`, which stands once in the file, by `new`; `first` are the tests most likely to notice."""

    name: str
    file: str
    old: str
    new: str
    first: tuple[str, ...]


def mutations_of(file: str, *rows: tuple[str, str, str, tuple[str, ...]]) -> list[Mutation]:
    return [Mutation(name, file, old, new, first) for name, old, new, first in rows]


MUTATIONS = [
    *mutations_of(
        "app/domain/money.py",
        ("a cost rounds down", "ROUND_CEILING if buying else ROUND_FLOOR", "ROUND_FLOOR", AMOUNTS),
        ("proceeds round up", "ROUND_CEILING if buying else ROUND_FLOOR", "ROUND_CEILING", AMOUNTS),
        (
            "rounding swapped",
            "ROUND_CEILING if buying else ROUND_FLOOR",
            "ROUND_FLOOR if buying else ROUND_CEILING",
            AMOUNTS,
        ),
        (
            "a holding's worth rounds up",
            "return _product(quantity, price, ROUND_FLOOR)",
            "return _product(quantity, price, ROUND_CEILING)",
            AMOUNTS,
        ),
        (
            "sums are rounded",
            "EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])",
            "EXACT = Context(prec=16, traps=[InvalidOperation, DivisionByZero, Overflow])",
            AMOUNTS,
        ),
        ("an order worth nothing is accepted", "if EXACT.multiply(quantity, price) < CENT:", "if False:", AMOUNTS),
        (
            "an order of less than a cent is rounded up",
            "if EXACT.multiply(quantity, price) < CENT:",
            "if order_total(quantity, price, buying=buying) < CENT:",
            AMOUNTS,
        ),
        ("an order of any size is accepted", "if total > MAX_MOVEMENT:", "if False:", AMOUNTS),
        ("an order of the largest size is refused", "if total > MAX_MOVEMENT:", "if total >= MAX_MOVEMENT:", AMOUNTS),
        (
            "the size of an order is looked at before rounding",
            "if total > MAX_MOVEMENT:",
            "if EXACT.multiply(quantity, price) > MAX_MOVEMENT:",
            AMOUNTS,
        ),
        (
            "an amount of zero is accepted",
            "if not CENT <= amount <= MAX_MOVEMENT:",
            "if not 0 <= amount <= MAX_MOVEMENT:",
            AMOUNTS,
        ),
        (
            "an amount of any size is accepted",
            "if not CENT <= amount <= MAX_MOVEMENT:",
            "if not CENT <= amount:",
            AMOUNTS,
        ),
        ("digits of any script are accepted", 'r"[0-9]+(\\.[0-9]+)?"', 'r"\\d+(\\.\\d+)?"', AMOUNTS),
        ("any number of decimals is accepted", 'if len(text.partition(".")[2]) > decimals:', "if False:", AMOUNTS),
        (
            "an adjustment loses its sign",
            'return EXACT.minus(amount) if text.startswith("-") else amount',
            "return amount",
            AMOUNTS,
        ),
        (
            "an amount buys more than it pays for",
            "_FLOOR = Context(prec=60, rounding=ROUND_FLOOR,",
            "_FLOOR = Context(prec=60, rounding=ROUND_CEILING,",
            PREVIEWS,
        ),
    ),
    *mutations_of(
        "app/domain/ledger.py",
        ("a balance may fall below zero", "if new_balance < 0:", "if False:", LEDGER),
        ("the last cent cannot be spent", "if new_balance < 0:", "if new_balance <= 0:", LEDGER),
        (
            "an adjustment may take a balance below zero",
            "if new_balance < 0:",
            "if new_balance < 0 and transaction_type is not TransactionType.SYSTEM_ADJUSTMENT:",
            LEDGER,
        ),
        (
            "a withdrawal adds",
            "frozenset({TransactionType.WITHDRAW, TransactionType.ORDER_PAYMENT})",
            "frozenset({TransactionType.ORDER_PAYMENT})",
            LEDGER,
        ),
        (
            "an order's payment adds",
            "frozenset({TransactionType.WITHDRAW, TransactionType.ORDER_PAYMENT})",
            "frozenset({TransactionType.WITHDRAW})",
            LEDGER,
        ),
        (
            "a refund takes",
            "frozenset({TransactionType.WITHDRAW, TransactionType.ORDER_PAYMENT})",
            "frozenset({TransactionType.WITHDRAW, TransactionType.ORDER_PAYMENT, TransactionType.ORDER_REFUND})",
            LEDGER,
        ),
        (
            "an adjustment always adds",
            "if transaction_type in OUTGOING else amount",
            "if transaction_type in OUTGOING else abs(amount)",
            LEDGER,
        ),
        ("the version stays", "version=account.version + 1)", "version=account.version)", LEDGER),
        (
            "the balance before is the one after",
            "Posting(transaction_type, amount, account.current_balance, after)",
            "Posting(transaction_type, amount, after.current_balance, after)",
            LEDGER,
        ),
        ("transaction numbers are not padded", "{number:012d}", "{number:d}", LEDGER),
        (
            "deposits are not totalled",
            "total_deposits=money.add(account.total_deposits, amount)",
            "total_deposits=account.total_deposits",
            LEDGER,
        ),
        (
            "an adjustment counts as a deposit",
            "if transaction_type is TransactionType.DEPOSIT:",
            "if transaction_type in {TransactionType.DEPOSIT, TransactionType.SYSTEM_ADJUSTMENT}:",
            LEDGER,
        ),
        (
            "payments are totalled as withdrawals",
            "elif transaction_type is TransactionType.WITHDRAW:",
            "elif transaction_type in OUTGOING:",
            LEDGER,
        ),
        (
            "the reserve is forgotten",
            "return replace(posting, account=_with_reserve(posting.account, amount))",
            "return posting",
            LEDGER,
        ),
        (
            "what is released is reserved again",
            "return _with_reserve(account, money.subtract(money.ZERO, reserved))",
            "return _with_reserve(account, reserved)",
            LEDGER,
        ),
        (
            "a refund leaves the reserve",
            "return post(release(account, reserved), TransactionType.ORDER_REFUND, amount)",
            "return post(account, TransactionType.ORDER_REFUND, amount)",
            LEDGER,
        ),
        (
            "only the refund leaves the reserve",
            "return post(release(account, reserved), TransactionType.ORDER_REFUND, amount)",
            "return post(release(account, amount), TransactionType.ORDER_REFUND, amount)",
            LEDGER,
        ),
        (
            "a refund counts as a deposit",
            "return post(release(account, reserved), TransactionType.ORDER_REFUND, amount)",
            "return post(release(account, reserved), TransactionType.DEPOSIT, amount)",
            LEDGER,
        ),
    ),
    *mutations_of(
        "app/domain/orders.py",
        ("more than is held is sold", "if quantity > holding:", "if False:", RULES),
        ("the whole holding cannot be sold", "if quantity > holding:", "if quantity >= holding:", RULES),
        (
            "a purchase takes from the holding",
            "return money.add(holding, quantity)",
            "return money.subtract(holding, quantity)",
            RULES,
        ),
        (
            "limits are reached the wrong way",
            "return price <= limit_price if side is Side.BUY else price >= limit_price",
            "return price >= limit_price if side is Side.BUY else price <= limit_price",
            RULES,
        ),
        (
            "a limit is reached only by a better price",
            "return price <= limit_price if side is Side.BUY else price >= limit_price",
            "return price < limit_price if side is Side.BUY else price > limit_price",
            RULES,
        ),
        ("a market order takes any price", "if self.price_type is PriceType.MARKET:", "if False:", RULES),
        (
            "proceeds are rounded as a cost",
            "money.new_order_total(self.quantity, price, buying=self.side is Side.BUY)",
            "money.new_order_total(self.quantity, price, buying=True)",
            RULES,
        ),
        (
            "a waiting sale is filled with a buyer's rounding",
            "total = money.order_total(quantity, price, buying=side is Side.BUY)\n    return Fill",
            "total = money.order_total(quantity, price, buying=True)\n    return Fill",
            RULES,
        ),
        (
            "a better fill refunds nothing",
            "money.subtract(reserved_amount, total) if reserved_amount is not None else money.ZERO",
            "money.ZERO",
            RULES,
        ),
        (
            "a fill refunds the whole reserve",
            "money.subtract(reserved_amount, total) if reserved_amount is not None else money.ZERO",
            "reserved_amount or money.ZERO",
            RULES,
        ),
        (
            "a sale is paid for",
            "Side.SELL: TransactionType.ORDER_SALE",
            "Side.SELL: TransactionType.ORDER_PAYMENT",
            PREVIEWS,
        ),
        (
            "the worst price is better than the one seen",
            "percent = ALLOWANCE_PERCENT if side is Side.BUY else -ALLOWANCE_PERCENT",
            "percent = -ALLOWANCE_PERCENT if side is Side.BUY else ALLOWANCE_PERCENT",
            PREVIEWS,
        ),
    ),
    *mutations_of(
        "app/domain/assets.py",
        ("an asset that is closed is traded", "if asset is None or not asset.is_active:", "if asset is None:", UNFIT),
    ),
    *mutations_of(
        "app/domain/requests.py",
        (
            "a key's claim is past its time at once",
            "REMEMBERED_FOR = timedelta(days=30)",
            "REMEMBERED_FOR = timedelta(0)",
            OLD_CLAIMS,
        ),
        (
            "the fingerprint leaves out the values",
            "[operation, *(None if value is None else str(value) for value in values)]",
            "[operation]",
            KEYS,
        ),
        (
            "the fingerprint leaves out the operation",
            "[operation, *(None if value is None else str(value) for value in values)]",
            "[None if value is None else str(value) for value in values]",
            KEYS,
        ),
    ),
    *mutations_of(
        "app/models/account.py",
        (
            "the balance is written whatever it is now",
            "(Balance.version == balance.version) & (Balance.reserved_cash == balance.reserved_cash)",
            "Balance.version.exists()",
            TOO_LATE,
        ),
        (
            "the balance is written without its version",
            "(Balance.version == balance.version) & (Balance.reserved_cash == balance.reserved_cash)",
            "Balance.reserved_cash == balance.reserved_cash",
            BETWEEN,
        ),
        (
            "the balance is written without its reserve",
            "(Balance.version == balance.version) & (Balance.reserved_cash == balance.reserved_cash)",
            "Balance.version == balance.version",
            BETWEEN,
        ),
        (
            "a balance written before is enough",
            "(Balance.version == balance.version) & (Balance.reserved_cash == balance.reserved_cash)",
            "(Balance.version >= balance.version) & (Balance.reserved_cash == balance.reserved_cash)",
            BETWEEN,
        ),
        ("the reserve is not written", "            Balance.reserved_cash.set(after.reserved_cash),\n", "", LIMIT),
        ("the version is not written", "            Balance.version.set(after.version),\n", "", BUDGETS),
        (
            "a holding is written whatever it is now",
            "condition=AssetBalance.quantity == holding.quantity,",
            "condition=AssetBalance.quantity.exists(),",
            BETWEEN,
        ),
        (
            "a claim overwrites",
            "condition=RequestClaim.absent() | (RequestClaim.ttl <= now))",
            "condition=RequestClaim.absent() | RequestClaim.ttl.exists())",
            KEYS,
        ),
        (
            "an expired claim cannot be replaced",
            "condition=RequestClaim.absent() | (RequestClaim.ttl <= now))",
            "condition=RequestClaim.absent())",
            OLD_CLAIMS,
        ),
        (
            "an expired claim stands for ever",
            "if claim is None or claim.ttl <= clock.now():",
            "if claim is None:",
            OLD_CLAIMS,
        ),
        (
            "the claim is skipped",
            "        _write_claim(batch, username, request, reference(item))",
            "        pass",
            KEYS,
        ),
        (
            "the claim is not in the batch",
            'batch.put("request", claim, condition=RequestClaim.absent() | (RequestClaim.ttl <= now))',
            "claim.save(condition=RequestClaim.absent() | (RequestClaim.ttl <= now))",
            KEYS,
        ),
        (
            "the claim is written after the money",
            "    if request:\n        _write_claim(batch, username, request, reference(item))\n    try:\n"
            "        batch.commit()\n",
            "    try:\n        batch.commit()\n        if request:\n            after = Batch()\n"
            "            _write_claim(after, username, request, reference(item))\n            after.commit()\n",
            KEYS,
        ),
        ("the fingerprint is not compared", "if claim.fingerprint != request.fingerprint:", "if False:", KEYS),
        (
            "a refusal does not look for its claim",
            "        claim = _find_claim(username, request) if request else None\n",
            "        claim = None\n",
            KEYS,
        ),
        (
            "a claim that is taken is a lost race",
            'claim = _find_claim(username, request) if request and "request" in cancelled.refused else None',
            "claim = None",
            KEYS,
        ),
        (
            "a lost race is a success",
            "        raise Busy() from cancelled\n    return Applied(item)",
            "    return Applied(item)",
            BETWEEN,
        ),
        (
            "only the commit of a change is tried again",
            "    try:\n        batch.commit()\n    except Cancelled as cancelled:\n        claim",
            "    try:\n        again_after_lost_race(batch.commit)()\n"
            "    except Cancelled as cancelled:\n        claim",
            FRESH,
        ),
        ("a lost race for cash is not tried again", "@again_after_lost_race\ndef move_cash", "def move_cash", FRESH),
        (
            "the position is read eventually",
            "AssetBalance.key(username, asset_id)], consistent_read=True)",
            "AssetBalance.key(username, asset_id)], consistent_read=False)",
            FRESH,
        ),
        (
            "a claim is read eventually",
            "claim = RequestClaim.find(RequestClaim.key(username, request.key))",
            "claim = RequestClaim.find(RequestClaim.key(username, request.key), consistent=False)",
            CLAIM_READ,
        ),
        (
            "the e-mail address is not claimed",
            '    batch.put("email", EmailClaim(*EmailClaim.key(user.email), username=user.username))\n',
            "",
            REGISTRATION,
        ),
        (
            "an adjustment names no actor",
            "description=description, actor=actor)\n\n    return apply",
            "description=description)\n\n    return apply",
            ADJUSTMENTS,
        ),
        ("a transaction names no order", "        order_id=order_id,\n", "        order_id=None,\n", LIMIT),
    ),
    *mutations_of(
        "app/models/ledger.py",
        (
            "the balance is read eventually",
            "return Balance.get(*Balance.key(username), consistent_read=True)",
            "return Balance.get(*Balance.key(username), consistent_read=False)",
            FRESH,
        ),
    ),
    *mutations_of(
        "app/models/orders.py",
        ("anyone's order is shown", "if order is None or order.username != username:", "if order is None:", OWNERSHIP),
        (
            "an order is read eventually",
            "order = Order.find(Order.key(order_id))\n    if order is None or",
            "order = Order.find(Order.key(order_id), consistent=False)\n    if order is None or",
            FRESH,
        ),
        (
            "the worker looks for limits on the wrong side",
            "limit >= price if buying else limit <= price",
            "limit <= price if buying else limit >= price",
            WORKER,
        ),
        (
            "the worker leaves limits that are just reached",
            "limit >= price if buying else limit <= price",
            "limit > price if buying else limit < price",
            WORKER,
        ),
        ("the worst limits are filled first", "scan_index_forward=not buying", "scan_index_forward=buying", BEST_FIRST),
        (
            "orders end before their time",
            "ExpiringOrdersIndex.expires_at <= now",
            "ExpiringOrdersIndex.expires_at > now",
            PAST_END,
        ),
        (
            "a replay shows what became of an order",
            "if self.has_waited and self.limit_price is not None:",
            "if False:",
            REPLAYS,
        ),
    ),
    *mutations_of(
        "app/models/trading.py",
        (
            "an order ends twice",
            "condition=Order.status == OrderStatus.PENDING.value)",
            "condition=Order.status.exists())",
            TOO_LATE,
        ),
        (
            "a cancelled order is filled",
            "condition=Order.status == OrderStatus.PENDING.value)",
            "condition=Order.status != OrderStatus.COMPLETED.value)",
            TOO_LATE,
        ),
        (
            "an ended order stays in the book",
            "Order.open_book.remove(), Order.expiry_day.remove()",
            "Order.expiry_day.remove()",
            WORKER,
        ),
        (
            "an ended order still expires",
            "Order.open_book.remove(), Order.expiry_day.remove()",
            "Order.open_book.remove()",
            PAST_END,
        ),
        (
            "a cancelled purchase gets nothing back",
            "        _empty_escrow(batch, order, balance, order.reserved_amount, now)\n    if order.reserved_quantity",
            "        pass\n    if order.reserved_quantity",
            ENDS,
        ),
        (
            "a cancelled purchase leaves its reserve",
            "        _empty_escrow(batch, order, balance, order.reserved_amount, now)\n    if order.reserved_quantity",
            "        posting = post(balance.account, TransactionType.ORDER_REFUND, order.reserved_amount)\n"
            "        write_posting(batch, balance, posting, now, order_id=order.order_id)\n"
            "    if order.reserved_quantity",
            ENDS,
        ),
        ("a cancelled sale gets nothing back", "    if order.reserved_quantity is not None:", "    if False:", ENDS),
        (
            "a sale that ends takes from the holding",
            "held = holding_after(Side.BUY, order.asset_id, order.reserved_quantity, _quantity(holding))",
            "held = holding_after(order.side, order.asset_id, order.reserved_quantity, _quantity(holding))",
            ENDS,
        ),
        (
            "a sale that ends leaves only what was reserved",
            "held = holding_after(Side.BUY, order.asset_id, order.reserved_quantity, _quantity(holding))",
            "held = order.reserved_quantity",
            ENDS,
        ),
        (
            "an order that expires is cancelled",
            "_give_back(batch, order, OrderStatus.EXPIRED)",
            "_give_back(batch, order, OrderStatus.CANCELLED)",
            ENDS,
        ),
        (
            "the reserve is released twice",
            "posting = refund(balance.account, order.reserved_amount, returned)",
            "posting = refund(release(balance.account, order.reserved_amount), order.reserved_amount, returned)",
            FILLS,
        ),
        (
            "a refund is paid twice",
            "posting = refund(balance.account, order.reserved_amount, returned)",
            "posting = refund(balance.account, order.reserved_amount, returned + returned)",
            FILLS,
        ),
        (
            "a fill without a refund keeps the reserve",
            "        write_balance(batch, balance, release(balance.account, order.reserved_amount), now)",
            "        pass",
            FILLS,
        ),
        (
            "a sale is filled without its money",
            "        posting = post(balance.account, TransactionType.ORDER_SALE, filled.total_amount)\n"
            "        write_posting(batch, balance, posting, now, order_id=order.order_id)\n    batch.put",
            "        pass\n    batch.put",
            FILLS,
        ),
        (
            "a filled purchase is not handed over",
            "        write_holding(batch, order.username, order.asset_id, holding, held, now)\n"
            "        _empty_escrow(batch, order, balance, filled.refund, now)",
            "        _empty_escrow(batch, order, balance, filled.refund, now)",
            FILLS,
        ),
        (
            "an order is filled at its limit",
            "filled = fill_reserved(order.side, order.quantity, price, order.reserved_amount)",
            "filled = fill_reserved(order.side, order.quantity, order.order_price, order.reserved_amount)",
            FILLS,
        ),
        (
            "a fill leaves no trade",
            '    batch.put("asset transaction", _asset_transaction(order, now))\n    _commit(batch)',
            "    _commit(batch)",
            FILLS,
        ),
        (
            "a waiting sale keeps its holding",
            "        held = holding_after(order.side, order.asset_id, order.quantity, _quantity(holding))\n"
            "        write_holding(batch, balance.username, order.asset_id, holding, held, now)\n"
            '    batch.put("order", placed)',
            '        pass\n    batch.put("order", placed)',
            LIMIT,
        ),
        (
            "a waiting purchase reserves its cost at the market's price",
            "total = order.total_at(order.price)",
            "total = order.total_at(price)",
            LIMIT,
        ),
        (
            "what waits is paid, not reserved",
            "write_posting(batch, balance, reserve(balance.account, total), now, order_id=placed.order_id)",
            "posting = post(balance.account, TransactionType.ORDER_PAYMENT, total)\n"
            "        write_posting(batch, balance, posting, now, order_id=placed.order_id)",
            LIMIT,
        ),
        (
            "every limit order is executed at once",
            "place = _reserve if order.waits_at(price) else _execute",
            "order.waits_at(price)\n        place = _execute",
            LIMIT,
        ),
        (
            "the price is asked for before the claim",
            "    def change(batch: Batch) -> Order:\n        price = current_price()\n",
            "    price = current_price()\n\n    def change(batch: Batch) -> Order:\n",
            KEYS,
        ),
        (
            "any order can be cancelled",
            "        if not order.is_pending:\n            raise OrderNotPending(order.status)\n",
            "",
            ENDS,
        ),
        (
            "an order that has ended is a lost race",
            'raise OrderNotPending("ended") if "order" in cancelled.refused else Busy() from cancelled',
            "raise Busy() from cancelled",
            TOO_LATE,
        ),
        (
            "a fill that lost its race is a success",
            'raise OrderNotPending("ended") if "order" in cancelled.refused else Busy() from cancelled',
            'if "order" in cancelled.refused:\n            raise OrderNotPending("ended") from cancelled',
            BETWEEN,
        ),
        (
            "a fill that lost its race has ended",
            'raise OrderNotPending("ended") if "order" in cancelled.refused else Busy() from cancelled',
            'raise OrderNotPending("ended") from cancelled',
            BETWEEN,
        ),
        ("a lost cancel is not tried again", "@again_after_lost_race\ndef cancel_order", "def cancel_order", BETWEEN),
        ("a lost fill is not tried again", "@again_after_lost_race\ndef fill_order", "def fill_order", BETWEEN),
        (
            "only the commit of a fill is tried again",
            "_asset_transaction(order, now))\n    _commit(batch)",
            "_asset_transaction(order, now))\n    again_after_lost_race(_commit)(batch)",
            FRESH,
        ),
    ),
    *mutations_of(
        "app/models/table.py",
        (
            "a put overwrites",
            "condition=item.absent() if condition is None else condition)",
            "condition=condition)",
            BATCH,
        ),
        (
            "reads are eventual unless asked otherwise",
            "def find(cls, key: Key, *, consistent: bool = True) -> Self | None:",
            "def find(cls, key: Key, *, consistent: bool = False) -> Self | None:",
            FRESH,
        ),
        (
            "a lost race is not tried again",
            "retry=retry_if_exception_type(Busy),",
            "retry=retry_if_exception_type(StopIteration),",
            AGAIN,
        ),
        (
            "a conflict is no lost race",
            "return Busy() if reasons and set(reasons.values()) <= THROTTLED else None",
            "return None",
            FAILURES,
        ),
        (
            "whatever cancels a batch is a lost race",
            "return Busy() if reasons and set(reasons.values()) <= THROTTLED else None",
            "return Busy() if reasons else None",
            FAILURES,
        ),
        (
            "whatever DynamoDB refuses is a lost race",
            "return Busy() if reasons and set(reasons.values()) <= THROTTLED else None",
            "return Busy() if set(reasons.values()) <= THROTTLED else None",
            FAILURES,
        ),
        (
            "a refused condition is a lost race",
            "        if refused:\n            return Cancelled(refused)\n        return Busy() if",
            "        return Busy() if refused or",
            BATCH,
        ),
        (
            "steps are named in another order",
            "zip(self._labels, error.cancellation_reasons, strict=False)",
            "zip(reversed(self._labels), error.cancellation_reasons, strict=False)",
            BATCH,
        ),
    ),
    *mutations_of(
        "app/models/database.py",
        (
            "an unknown fate is tried again",
            "failure = StoreUnavailable() if meter().may_have_applied else _translated(cause)",
            "failure = _translated(cause)",
            FATE,
        ),
        (
            "a request that was never answered is of no doubt",
            "if not 400 <= status < 500:",
            "if status and not 400 <= status < 500:",
            FATE,
        ),
        ("an internal error is of no doubt", "if not 400 <= status < 500:", "if not 400 <= status:", FAILURES),
        (
            "an answer that was cut off is of no doubt",
            "if not 400 <= status < 500:",
            "if not status or status >= 500:",
            FATE,
        ),
        (
            "a batch in progress was refused",
            'return StoreUnavailable() if code == "TransactionInProgressException" else None',
            'return Busy() if code == "TransactionInProgressException" else None',
            FAILURES,
        ),
        ("nothing is sent again", "max_retry_attempts=2,", "max_retry_attempts=0,", RESENDS),
        (
            "whatever answers is believed",
            'if not is_whole or not response["ResponseMetadata"].get("RequestId"):',
            "if False:",
            FAILURES,
        ),
    ),
    *mutations_of(
        "app/models/users.py",
        (
            "a suspension leaves the sessions",
            "User.session_epoch.set(epoch + 1)",
            "User.session_epoch.set(epoch)",
            ADMIN,
        ),
    ),
    *mutations_of(
        "app/services/tokens.py",
        (
            "someone suspended trades with a token",
            "    if session.user.is_suspended:\n        raise AccountSuspended()\n",
            "",
            ADMIN,
        ),
        ("a token that reads trades", "if self.token.scopes != READ_AND_TRADE:", "if False:", TOKENS),
        ("a token that has expired is good", " or token.has_expired(clock.now()):", ":", TOKENS),
        (
            "a login token outlives its session",
            "if not token.is_personal and token.session_epoch != user.session_epoch:",
            "if False:",
            SESSIONS,
        ),
        (
            "any secret is good",
            "return Session(user, token) if hmac.compare_digest(token.secret_hash, _hash(secret)) else None",
            "return Session(user, token)",
            SESSIONS,
        ),
    ),
    *mutations_of(
        "app/services/auth.py",
        ("someone suspended logs in", "    if user.is_suspended:\n        raise AccountSuspended()\n", "", ADMIN),
    ),
    *mutations_of(
        "app/services/admin.py",
        ("everyone is an operator", "    if not user.is_admin:\n        raise NotAdmin()\n", "    del user\n", ADMIN),
        (
            "an operator's key is the owner's",
            'own_key = f"{admin.username} {idempotency_key}" if idempotency_key else None',
            "own_key = idempotency_key",
            ADJUSTMENTS,
        ),
        (
            "the key of one adjustment fits another",
            'request=request_key(own_key, "adjustment", amount, reason),',
            'request=request_key(own_key, "adjustment", reason),',
            ADJUSTMENTS,
        ),
    ),
    *mutations_of(
        "app/services/accounts.py",
        (
            "the key of one deposit fits another",
            "request_key(idempotency_key, transaction_type, amount, description)",
            "request_key(idempotency_key, transaction_type, description)",
            KEYS,
        ),
        (
            "what is reserved is not counted",
            "total = money.total_of([cash, reserved, *",
            "total = money.total_of([cash, *",
            LIMIT,
        ),
    ),
    *mutations_of(
        "app/services/trading.py",
        ("a stale price is traded on", "        if quote.is_stale:\n            raise PriceUnavailable()\n", "", UNFIT),
        (
            "the key of one order fits another price",
            "price and money.plain(price), expires_at and",
            "expires_at and",
            KEYED_ORDERS,
        ),
    ),
    *mutations_of(
        "app/services/fulfilment.py",
        ("the worker fills at a stale price", "        if quote.is_stale:\n            return\n", "", QUOTES),
        ("the worker fills what is past its time", "if order.expires_at > asked:", "if True:", QUOTES),
        ("the worker keeps to a price for ever", "if clock.now() - asked > PRICE_HOLDS:", "if False:", QUOTES),
        (
            "the worker fills at the limit",
            "partial(trading.fill_order, order, quote.price)",
            "partial(trading.fill_order, order, order.order_price)",
            WORKER,
        ),
        (
            "the worker fills closed assets",
            "if asset.is_active and not self._is_stopping():",
            "if not self._is_stopping():",
            QUOTES,
        ),
        (
            "a day whose orders failed is done",
            "if clock.end_of(day) + DAY_SETTLES < now and done.failed == failed_before:",
            "if clock.end_of(day) + DAY_SETTLES < now:",
            DAYS,
        ),
        (
            "today is done",
            "if clock.end_of(day) + DAY_SETTLES < now and done.failed == failed_before:",
            "if done.failed == failed_before:",
            DAYS,
        ),
        (
            "a day is done at midnight",
            "if clock.end_of(day) + DAY_SETTLES < now and",
            "if clock.end_of(day) < now and",
            DAYS,
        ),
        (
            "one failure stops the round",
            "    except Exception:\n        done.failed += 1\n",
            "    except Exception:\n        done.failed += 1\n        raise\n",
            FAILED_ORDERS,
        ),
    ),
]


def mutated(mutation: Mutation, project: Path) -> str:
    """The text of the file with the mistake; exits where it does not fit, as the list must follow the code."""
    text = (project / mutation.file).read_text()
    if text.count(mutation.old) != 1:
        sys.exit(f"{mutation.name!r}: its text stands {text.count(mutation.old)} times in {mutation.file}, not once")
    changed = text.replace(mutation.old, mutation.new)
    undefined = [message for message in Checker(ast.parse(changed)).messages if isinstance(message, UndefinedName)]
    if undefined:
        sys.exit(f"{mutation.name!r} is no plausible mistake: {undefined[0]}")
    return changed


class Copy:
    """A copy of the project, in which tests run."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        for name in COPIED:
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(source, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy2(source, self.folder / name)
        os.symlink(PROJECT / "node_modules", self.folder / "node_modules")

    def failures(self, tests: set[str], *options: str) -> set[str]:
        """Which of these tests fail without any mutation; exits where they cannot be run."""
        outcome, failed = self.try_tests(sorted(tests), *options, keep_bytecode=True) if tests else ("SURVIVED", [])
        if outcome not in {"SURVIVED", "killed"}:
            sys.exit(f"without any mutation: {outcome}")
        return set(failed)

    def try_tests(self, tests: Iterable[str], *options: str, keep_bytecode: bool = False) -> tuple[str, list[str]]:
        """The outcome, and the ids of the tests that failed."""
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *options, *tests]
        # No plugin is needed, and loading them takes longer than most of the tests.
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environment |= {"PYTHONDONTWRITEBYTECODE": "" if keep_bytecode else "1"}
        try:
            run = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=LONGEST_RUN_SECONDS
            )
        except subprocess.TimeoutExpired:
            return "TIMED OUT", []
        outcome = {0: "SURVIVED", 1: "killed"}.get(run.returncode, f"BROKEN {run.stdout[-300:]}{run.stderr[-300:]}")
        return outcome, re.findall(r"^(?:FAILED|ERROR) (tests/.+?)(?: - |$)", run.stdout, re.MULTILINE)

    def try_mutation(self, mutation: Mutation) -> tuple[str, list[str]]:
        path = self.folder / mutation.file
        whole, times = path.read_text(), path.stat()
        path.write_text(mutated(mutation, self.folder))
        try:
            outcome, failed = self.try_tests(mutation.first, "-x")
            return (outcome, failed) if outcome != "SURVIVED" else self.try_tests(ALL, "-x")
        finally:
            path.write_text(whole)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # its bytecode counts again


def run_all(wanted: list[Mutation], jobs: int) -> dict[str, str]:
    """The outcome of each mutation by its name, printed as it is known."""
    copies: SimpleQueue[Copy] = SimpleQueue()
    outcomes: dict[str, str] = {}
    noticed: dict[str, list[str]] = {}

    def run(mutation: Mutation) -> tuple[str, list[str], float]:
        copy, started = copies.get(), time.monotonic()
        try:
            return *copy.try_mutation(mutation), time.monotonic() - started
        finally:
            copies.put(copy)

    with ExitStack() as stack:
        made = [Copy(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(jobs)]
        for copy in made:
            # Compiles everything, once: from then on only what is mutated is compiled again.
            copy.failures(set(ALL), "--collect-only")
            copies.put(copy)
        with ThreadPoolExecutor(jobs) as pool:
            for mutation, (outcome, failed, seconds) in zip(wanted, pool.map(run, wanted), strict=True):
                outcomes[mutation.name], noticed[mutation.name] = outcome, failed
                print(f"{outcome:8} {seconds:5.1f} s  {mutation.name}  {' '.join(failed)}", flush=True)
        # A test that fails by itself has noticed nothing.
        flaky = made[0].failures({test for failed in noticed.values() for test in failed})
    for name in (name for name, failed in noticed.items() if flaky.intersection(failed)):
        outcomes[name] = "UNCLEAR"
        print(f"UNCLEAR  {name}: the test fails without it too", flush=True)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="run those whose name contains this")
    parser.add_argument("--check", action="store_true", help="only check that every mutation fits the code")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    wanted = [mutation for mutation in MUTATIONS if options.only in mutation.name]
    for mutation in wanted:
        mutated(mutation, PROJECT)
    if options.check:
        print(f"{len(wanted)} mutations fit the code")
        return
    started = time.monotonic()
    outcomes = run_all(wanted, options.jobs)
    killed = list(outcomes.values()).count("killed")
    print(f"{killed} of {len(wanted)} mutations killed in {time.monotonic() - started:.0f} s")
    sys.exit(0 if killed == len(wanted) else 1)


if __name__ == "__main__":
    main()
