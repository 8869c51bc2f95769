"""What is damaged, how, and what the audit says."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from app.audit.records import ItemKey
from app.domain import clock
from app.models.outbox import SHARDS
from tests.support.people import LONG_AGO

RawItem = Mapping[str, Mapping[str, Any]]


KEYS = {
    "user": ItemKey("users", "ann", "USER"),
    "balance": ItemKey("users", "ann", "BALANCE"),
    "claim": ItemKey("users", "EMAIL#ann@example.com", "EMAIL"),
    "deposit": ItemKey("users", "ann", "TRANS#000000000001"),
    "withdrawal": ItemKey("users", "ann", "TRANS#000000000002"),
    "adjustment": ItemKey("users", "ann", "TRANS#000000000003"),
    "BTC": ItemKey("users", "ann", "ASSET#BTC"),
    "request cash": ItemKey("users", "ann", "REQUEST#cash"),
    "request order": ItemKey("users", "ann", "REQUEST#order"),
    "token": ItemKey("users", "ann", f"TOKEN#{'0' * 16}"),
    "proof": ItemKey("users", "ann", "PROOF#reset_password"),
    "mail": ItemKey("users", f"OUTBOX#{zlib.crc32(b'ann') % SHARDS}", f"{clock.to_text(LONG_AGO)}#{'0' * 16}"),
    "shared text": ItemKey("users", "SHARED#coingecko", "SHARED"),
}


LIMIT_BUY = {"order_type": "BUY", "price_type": "LIMIT"}


LIMIT_SELL = {"order_type": "SELL", "price_type": "LIMIT"}


LABELS: dict[str, dict[str, str]] = {
    "market buy": {"order_type": "BUY", "price_type": "MARKET"},
    "market sell": {"order_type": "SELL", "price_type": "MARKET"},
    "limit at once": {**LIMIT_BUY, "asset_id": "ETH", "order_price": "1999.99"},
    "better": {**LIMIT_BUY, "order_price": "1900.005"},
    "exact": {**LIMIT_BUY, "asset_id": "SOL"},
    "filled sell": {**LIMIT_SELL, "status": "COMPLETED"},
    "cancelled buy": {**LIMIT_BUY, "status": "CANCELLED"},
    "cancelled sell": {**LIMIT_SELL, "status": "CANCELLED"},
    "expired buy": {**LIMIT_BUY, "status": "EXPIRED"},
    "open buy": {**LIMIT_BUY, "status": "PENDING"},
    "open sell": {**LIMIT_SELL, "status": "PENDING"},
}


DELETED: dict[str, Any] = {}


# What is damaged, how (no change: it is deleted), and the check that must name it.
DAMAGES: list[tuple[str, dict[str, Any], str]] = [
    # Who someone is
    ("user", DELETED, "user_missing"),
    ("user", DELETED, "email_claim_stray"),
    ("balance", DELETED, "balance_missing"),
    ("claim", DELETED, "email_claim_missing"),
    ("user", {"email": "other@example.com"}, "email_claim_missing"),
    ("user", {"email": "other@example.com"}, "email_claim_stray"),
    ("user", {"email": "ben@example.com"}, "email_claim_of_another"),
    ("claim", {"username": "ben"}, "email_claim_of_another"),
    ("claim", {"username": "ben"}, "email_claim_stray"),
    ("claim", {"username": "nobody"}, "email_claim_stray"),
    ("claim", {"email": "ann@example.com"}, "attribute_unknown"),
    ("user", {"username": "ben"}, "key_mismatch"),
    ("user", {"role": "GOD"}, "attribute_malformed"),
    ("user", {"status": "ASLEEP"}, "attribute_malformed"),
    ("user", {"session_epoch": {"N": "1.5"}}, "attribute_malformed"),
    ("user", {"marketing_emails_consent": "yes"}, "attribute_malformed"),
    ("user", {"email": None}, "attribute_missing"),
    ("user", {"created_at": "2026-01-01"}, "attribute_malformed"),
    ("user", {"created_at": "2026-01-01T25:00:00.000000Z"}, "attribute_malformed"),
    ("token", {"token_id": "1" * 16}, "key_mismatch"),
    ("token", {"secret_hash": None}, "attribute_missing"),
    ("user", {"email_unconfirmed_since": clock.to_text(LONG_AGO)}, "email_claim_differs"),
    ("claim", {"unconfirmed_since": clock.to_text(LONG_AGO)}, "email_claim_differs"),
    ("proof", {"kind": "confirm_email"}, "key_mismatch"),
    ("proof", {"expires_at": "soon"}, "attribute_malformed"),
    ("mail", {"mail_id": "1" * 16}, "key_mismatch"),
    ("mail", {"attempts": None}, "attribute_missing"),
    ("shared text", {"version": {"S": "1"}}, "attribute_malformed"),
    # The form of items
    ("balance", {"entity_type": "BALANCES"}, "unknown_entity_type"),
    ("balance", {"entity_type": None}, "unknown_entity_type"),
    ("balance", {"entity_type": {"N": "1"}}, "unknown_entity_type"),
    ("balance", {"entity_type": "USER"}, "key_mismatch"),
    ("balance", {"entity_type": "ORDER"}, "unknown_entity_type"),
    ("market buy", {"entity_type": "TRANSACTION"}, "unknown_entity_type"),
    *(
        ("balance", {"current_balance": damage}, "attribute_malformed")
        for damage in ("NaN", {"N": "10"}, {"NULL": True}, {"L": []}, {"B": b"10.00"}, {"SS": ["1.00"]})
    ),
    ("balance", {"version": {"N": "1.5"}}, "attribute_malformed"),
    ("balance", {"version": {"S": "20"}}, "attribute_malformed"),
    ("balance", {"reserved_cash": None}, "attribute_missing"),
    ("balance", {"asset_id": "BTC"}, "attribute_unknown"),
    ("deposit", {"traded_at": "2026-01-01T00:00:00.000000Z"}, "attribute_unknown"),
    # The sequence of transactions
    ("deposit", {"amount": "9999.99"}, "effect_mismatch"),
    ("deposit", {"amount": "9999.99"}, "deposits_mismatch"),
    ("deposit", {"amount": "-10000.00"}, "amount_not_positive"),
    ("withdrawal", {"amount": "0.00"}, "amount_not_positive"),
    ("withdrawal", {"amount": "99.99"}, "withdrawals_mismatch"),
    ("deposit", {"previous_balance": "1.00", "new_balance": "10001.00"}, "chain_broken"),
    ("deposit", {"new_balance": "9999.00"}, "effect_mismatch"),
    ("withdrawal", {"previous_balance": "9000.00", "new_balance": "8900.00"}, "chain_broken"),
    ("withdrawal", {"new_balance": "-9900.00"}, "negative_balance"),
    ("withdrawal", {"transaction_type": "DEPOSIT"}, "effect_mismatch"),
    ("withdrawal", {"transaction_type": "BRIBE"}, "attribute_malformed"),
    ("withdrawal", {"status": "PENDING"}, "attribute_malformed"),
    ("withdrawal", {"transaction_id": "000000000001"}, "sequence_duplicate"),
    ("withdrawal", {"transaction_id": "000000000001"}, "key_mismatch"),
    ("withdrawal", {"transaction_id": "2"}, "transaction_id_malformed"),
    ("withdrawal", {"transaction_id": "000000000000"}, "transaction_id_malformed"),
    ("withdrawal", {"transaction_id": "00000000000x"}, "transaction_id_malformed"),
    ("withdrawal", {"username": "ben"}, "key_mismatch"),
    ("deposit", DELETED, "sequence_gap"),
    ("deposit", DELETED, "reference_missing"),
    ("withdrawal", DELETED, "sequence_gap"),
    ("withdrawal", DELETED, "chain_broken"),
    ("adjustment", {"amount": "0.00"}, "adjustment_zero"),
    ("adjustment", {"amount": "5.00"}, "effect_mismatch"),
    ("adjustment", {"actor": None}, "adjustment_unexplained"),
    ("adjustment", {"description": None}, "adjustment_unexplained"),
    ("adjustment", {"order_id": "order_1"}, "order_reference_unexpected"),
    ("adjustment", {"order_id": "order_1"}, "order_unknown"),
    # The balance
    ("balance", {"current_balance": "1000000.00"}, "balance_mismatch"),
    ("balance", {"current_balance": "-1.00"}, "negative_balance"),
    ("balance", {"version": {"N": "7"}}, "version_mismatch"),
    ("balance", {"version": {"N": "-7"}}, "version_mismatch"),
    ("balance", {"total_deposits": "1.00"}, "deposits_mismatch"),
    ("balance", {"total_withdrawals": "1.00"}, "withdrawals_mismatch"),
    ("balance", {"reserved_cash": "0.00"}, "reserve_mismatch"),
    ("balance", {"reserved_cash": "-500.00"}, "negative_reserve"),
    ("balance", {"updated_at": "2020-01-01T00:00:00.000000Z"}, "time_went_back"),
    ("withdrawal", {"created_at": "2020-01-01T00:00:00.000000Z"}, "time_went_back"),
    ("withdrawal", {"created_at": "2099-01-01T00:00:00.000000Z"}, "time_went_back"),
    ("balance", {"username": "ben"}, "key_mismatch"),
    # Holdings
    ("BTC", {"quantity": "0.07"}, "holding_mismatch"),
    ("BTC", {"quantity": "-0.05"}, "negative_quantity"),
    ("BTC", {"quantity": "0"}, "holding_mismatch"),
    ("BTC", {"reserved_quantity": "0"}, "holding_reserve_mismatch"),
    ("BTC", {"reserved_quantity": None}, "holding_reserve_mismatch"),
    ("BTC", {"reserved_quantity": "-0.01"}, "negative_quantity"),
    ("BTC", {"asset_id": "ETH"}, "key_mismatch"),
    ("BTC", DELETED, "holding_missing"),
    # Asset transactions
    ("trade of market buy", DELETED, "trade_missing"),
    ("trade of filled sell", DELETED, "holding_mismatch"),
    *(
        ("trade of market buy", change, "trade_differs")
        for change in (
            {"username": "ben"},
            {"asset_id": "ETH"},
            {"transaction_type": "SELL"},
            {"quantity": "0.2"},
            {"price": "50001"},
            {"total_amount": "5000.01"},
            {"traded_at": "2026-01-01T00:00:00.000000Z"},
        )
    ),
    ("trade of market buy", {"username": "ben"}, "key_mismatch"),
    ("trade of market buy", {"total_amount": "5000.01"}, "trade_total_wrong"),
    ("trade of market buy", {"quantity": "0.2"}, "holding_mismatch"),
    ("trade of market buy", {"quantity": "0"}, "amount_not_positive"),
    ("trade of market buy", {"price": "-50000"}, "amount_not_positive"),
    ("trade of market buy", {"order_id": "order_unknown"}, "order_unknown"),
    ("trade of market buy", {"order_id": None}, "attribute_missing"),
    ("trade of market buy", {"order_id": {"N": "1"}}, "attribute_malformed"),
    ("trade of market buy", {"order_id": ""}, "order_unknown"),
    ("trade of market buy", {"status": "PENDING"}, "attribute_malformed"),
    # Orders
    ("market buy", DELETED, "order_unknown"),
    ("market buy", DELETED, "reference_missing"),
    ("market buy", {"username": "ben"}, "order_of_another_user"),
    ("market buy", {"username": None}, "attribute_missing"),
    ("market buy", {"username": None}, "order_of_another_user"),
    ("market buy", {"username": "nobody"}, "user_missing"),
    ("market buy", {"order_id": "order_other"}, "key_mismatch"),
    ("market buy", {"asset_id": "NOPE"}, "asset_unknown"),
    ("market buy", {"asset_id": "NOPE"}, "trade_differs"),
    ("market buy", {"order_type": "SELL"}, "payment_unexpected"),
    ("market buy", {"order_type": "SELL"}, "sale_missing"),
    ("market buy", {"order_type": "HOLD"}, "attribute_malformed"),
    ("market buy", {"quantity": "0.2"}, "order_total_wrong"),
    ("market buy", {"order_price": "50001"}, "order_total_wrong"),
    ("market buy", {"total_amount": "5000.01"}, "order_total_wrong"),
    ("market buy", {"quantity": "-0.1"}, "amount_not_positive"),
    ("market buy", {"status": "PENDING"}, "market_order_unfinished"),
    ("market buy", {"status": "CANCELLED"}, "trade_unexpected"),
    ("market buy", {"executed_at": None}, "executed_at_wrong"),
    ("market buy", {"limit_price": {"N": "50000"}}, "limit_unexpected"),
    ("market buy", {"reserved_amount": "5000.00"}, "reserve_wrong"),
    ("market buy", {"price_type": "LIMIT"}, "limit_missing"),
    ("market buy", {"open_book": "BTC#BUY"}, "closed_order_in_index"),
    ("market buy", {"open_owner": "ann"}, "closed_order_in_index"),
    ("limit at once", {"limit_price": {"N": "1999.98"}}, "limit_violated"),
    ("limit at once", {"reserved_amount": "1000.00"}, "reserve_wrong"),
    ("filled sell", {"limit_price": {"N": "61000.51"}}, "limit_violated"),
    ("filled sell", {"reserved_quantity": None}, "reserve_wrong"),
    ("exact", {"reserved_amount": None}, "reserve_wrong"),
    ("better", {"reserved_amount": "2000.01"}, "reserve_wrong"),
    ("better", {"limit_price": None}, "limit_missing"),
    ("better", {"expiry_day": "2026-01-01"}, "closed_order_in_index"),
    ("cancelled buy", {"status": "EXPIRED", "executed_at": "2026-01-01T00:00:00.000000Z"}, "executed_at_wrong"),
    ("cancelled buy", {"order_price": "1001"}, "order_price_wrong"),
    ("cancelled buy", {"status": "COMPLETED"}, "trade_missing"),
    ("cancelled buy", {"status": "PENDING"}, "refund_unexpected"),
    ("cancelled buy", {"status": "PENDING"}, "open_index_wrong"),
    ("cancelled buy", {"status": "PENDING"}, "reserve_mismatch"),
    ("cancelled sell", {"status": "PENDING"}, "holding_mismatch"),
    ("cancelled sell", {"status": "PENDING"}, "holding_reserve_mismatch"),
    ("cancelled sell", {"status": "COMPLETED"}, "sale_missing"),
    ("open buy", {"status": "CANCELLED"}, "refund_missing"),
    ("open buy", {"status": "CANCELLED"}, "closed_order_in_index"),
    ("open buy", {"status": "EXPIRED"}, "reserve_mismatch"),
    ("open buy", {"reserved_amount": None}, "reserve_wrong"),
    ("open buy", {"reserved_amount": "400.00"}, "reserve_mismatch"),
    ("open buy", {"reserved_amount": "-500.00"}, "reserve_wrong"),
    ("open buy", {"open_book": None}, "open_index_wrong"),
    ("open buy", {"open_book": "BTC#BUY"}, "open_index_wrong"),
    ("open buy", {"open_owner": None}, "open_index_wrong"),
    ("open buy", {"open_owner": "ben"}, "open_index_wrong"),
    ("open buy", {"expiry_day": None}, "open_index_wrong"),
    ("open buy", {"expires_at": None}, "limit_missing"),
    ("open buy", {"expires_at": "2026-01-01T00:00:00.000000Z"}, "open_index_wrong"),
    ("open buy", {"expires_at": "2026-01-01T00:00:00.000000Z", "expiry_day": "2026-01-01"}, "order_overdue"),
    ("open sell", {"expires_at": "2026-01-01T00:00:00.000000Z", "expiry_day": "2026-01-01"}, "order_overdue"),
    ("filled sell", {"expires_at": "2026-01-01T00:00:00.000000Z"}, "executed_after_end"),
    ("limit at once", {"expires_at": "2026-01-01T00:00:00.000000Z"}, "executed_after_end"),
    ("open buy", {"limit_price": {"N": "999"}}, "order_price_wrong"),
    ("open buy", DELETED, "reserve_mismatch"),
    ("open buy", DELETED, "order_unknown"),
    ("open sell", {"reserved_quantity": "0.02"}, "reserve_wrong"),
    ("open sell", {"reserved_quantity": None}, "holding_mismatch"),
    ("open sell", {"status": "CANCELLED"}, "holding_mismatch"),
    ("open sell", {"status": "CANCELLED"}, "holding_reserve_mismatch"),
    ("open sell", {"status": "COMPLETED"}, "sale_missing"),
    ("open sell", DELETED, "holding_mismatch"),
    # Balance transactions of orders
    ("PAYMENT of market buy", DELETED, "payment_missing"),
    ("PAYMENT of market buy", {"amount": "4999.99"}, "payment_wrong"),
    ("PAYMENT of market buy", {"order_id": None}, "order_reference_missing"),
    ("PAYMENT of market buy", {"order_id": "order_unknown"}, "order_unknown"),
    ("PAYMENT of market buy", {"transaction_type": "ORDER_REFUND"}, "refund_unexpected"),
    ("PAYMENT of market buy", {"transaction_type": "WITHDRAW"}, "order_reference_unexpected"),
    ("PAYMENT of open buy", {"amount": "499.99"}, "payment_wrong"),
    ("PAYMENT of open buy", DELETED, "payment_missing"),
    ("PAYMENT of market buy", {"description": "Bought 0.1 BTC at 50,000.01"}, "description_wrong"),
    ("PAYMENT of open buy", {"description": "Reserved to buy 0.5 ETH at 1,000.01 or less"}, "description_wrong"),
    ("SALE of filled sell", {"description": "Bought 0.01 BTC at 61,000.50"}, "description_wrong"),
    ("REFUND of better", {"description": "Returned: cancelled"}, "description_wrong"),
    ("REFUND of expired buy", {"description": "Returned: cancelled"}, "description_wrong"),
    ("SALE of market sell", DELETED, "sale_missing"),
    ("SALE of filled sell", {"amount": "1.00"}, "sale_wrong"),
    ("REFUND of better", DELETED, "refund_missing"),
    ("REFUND of better", {"amount": "99.98"}, "refund_wrong"),
    ("REFUND of cancelled buy", DELETED, "refund_missing"),
    ("REFUND of expired buy", {"amount": "29.99"}, "refund_wrong"),
    # Request claims
    ("request cash", {"reference": "000000000099"}, "reference_missing"),
    ("request cash", {"reference": "order_nothing"}, "reference_missing"),
    ("request order", {"reference": "nonsense"}, "reference_missing"),
    ("request order", {"ttl": {"S": "1"}}, "attribute_malformed"),
    ("request order", {"fingerprint": None}, "attribute_missing"),
]


TEXTS: list[tuple[str, str, Any]] = [
    *(
        ("balance", "current_balance", text)
        for text in (
            "",
            "abc",
            "Infinity",
            "1e3",
            "10",
            "10.0",
            "10.000",
            "1,000.00",
            "+1.00",
            "01.00",
            "-0.00",
            "１２.00",
            "1_000.00",
            " 1.00",
            "1.00\n",
            "9" * 400 + ".00",
            {"BOOL": True},
            {"M": {"a": {"S": "1"}}},
        )
    ),
    *(
        ("BTC", "quantity", text)
        for text in ("", "0.10", "1.", ".1", "0.123456789", "1E-7", "-0", "00.1", "5\n", {"N": "0.1"})
    ),
    *(("balance", "version", text) for text in ({"N": "1.5"}, {"N": "NaN"}, {"S": "1"})),
    *(
        ("balance", "updated_at", text)
        for text in (
            "",
            "now",
            "2026-01-01",
            "2026-01-01T00:00:00Z",
            "2026-02-30T00:00:00.000000Z",
            "2026-01-01T25:00:00.000000Z",
            "2026-01-01T00:00:00.000000+00:00",
            "2026-01-01 00:00:00.000000Z",
        )
    ),
    *(("open buy", "limit_price", text) for text in ({"S": "1000"}, {"N": "1e99"}, {"N": ""})),
]


# What is copied, to which key and with which changes, and what the copy must be called.
COPIES: list[tuple[str, ItemKey, dict[str, Any], str]] = [
    ("claim", ItemKey("users", "EMAIL#more@example.com", "EMAIL"), {}, "email_claim_stray"),
    ("balance", ItemKey("users", "zoe", "BALANCE"), {"username": "zoe"}, "user_missing"),
    ("user", ItemKey("users", "zoe", "USER"), {"username": "zoe"}, "balance_missing"),
    ("deposit", ItemKey("users", "ann", "TRANS#000000000099"), {"transaction_id": "000000000099"}, "sequence_gap"),
    ("deposit", ItemKey("users", "ann", "TRANS#0000000000020"), {}, "key_mismatch"),
    ("BTC", ItemKey("users", "ann", "ASSET#LTC"), {"asset_id": "LTC"}, "holding_mismatch"),
    ("BTC", ItemKey("users", "ann", "ASSET#NOPE"), {"asset_id": "NOPE"}, "asset_unknown"),
    ("REFUND of better", ItemKey("users", "ann", "TRANS#000000000050"), {}, "refund_duplicate"),
    ("REFUND of cancelled buy", ItemKey("users", "ann", "TRANS#000000000050"), {}, "refund_duplicate"),
    (
        "REFUND of cancelled buy",
        ItemKey("users", "ben", "TRANS#000000000050"),
        {"username": "ben"},
        "order_of_another_user",
    ),
    ("PAYMENT of market buy", ItemKey("users", "ann", "TRANS#000000000050"), {}, "payment_duplicate"),
    ("SALE of market sell", ItemKey("users", "ann", "TRANS#000000000050"), {}, "sale_duplicate"),
    ("trade of market buy", ItemKey("users", "TRANS#ann#BTC", "2020-01-01T00:00:00.000000Z"), {}, "trade_duplicate"),
    (
        "trade of market buy",
        ItemKey("users", "TRANS#ben#BTC", "2020-01-01T00:00:00.000000Z"),
        {"username": "ben"},
        "order_of_another_user",
    ),
    ("trade of market buy", ItemKey("users", "TRANS#zoe#BTC", "2020-01-01T00:00:00.000000Z"), {}, "user_missing"),
    ("trade of market buy", ItemKey("users", "TRANS#ann#SHIB", "2020-01-01T00:00:00.000000Z"), {}, "key_mismatch"),
    ("trade of market buy", ItemKey("users", "TRANS#ann", "2020-01-01T00:00:00.000000Z"), {}, "key_mismatch"),
    ("market buy", ItemKey("orders", "order_copy", "ORDER"), {"order_id": "order_copy"}, "payment_missing"),
    ("open sell", ItemKey("orders", "order_copy", "ORDER"), {"order_id": "order_copy"}, "holding_mismatch"),
    ("market buy", ItemKey("orders", "order_copy", "OTHER"), {"order_id": "order_copy"}, "key_mismatch"),
    ("market buy", ItemKey("users", "order_copy", "ORDER"), {}, "unknown_entity_type"),
    ("user", ItemKey("users", "x#y", "USER"), {}, "key_mismatch"),
    ("request order", ItemKey("users", "zoe", "REQUEST#order"), {}, "reference_missing"),
    ("request order", ItemKey("users", "zoe#", "REQUEST#order"), {}, "key_mismatch"),
    ("token", ItemKey("users", "zoe", f"TOKEN#{'0' * 16}"), {"username": "zoe"}, "user_missing"),
    ("proof", ItemKey("users", "zoe", "PROOF#reset_password"), {"username": "zoe"}, "user_missing"),
    ("token", ItemKey("users", "RATE#log-in#1", "soon"), {"entity_type": "RATE"}, "key_mismatch"),
]
