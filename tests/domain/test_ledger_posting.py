"""What each ledger transaction does to an account."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InsufficientFunds
from app.domain.ledger import CashAccount, TransactionType, effect_of, post, refund, release, reserve

ACCOUNT = CashAccount(Decimal("100.00"), Decimal("250.00"), Decimal("50.00"), version=7)


@pytest.mark.parametrize(
    ("transaction_type", "amount", "balance", "deposits", "withdrawals"),
    [
        ("DEPOSIT", "10.00", "110.00", "260.00", "50.00"),
        ("WITHDRAW", "10.00", "90.00", "250.00", "60.00"),
        ("WITHDRAW", "100.00", "0.00", "250.00", "150.00"),
        ("ORDER_PAYMENT", "100.00", "0.00", "250.00", "50.00"),
        ("ORDER_SALE", "0.01", "100.01", "250.00", "50.00"),
        ("ORDER_REFUND", "5.00", "105.00", "250.00", "50.00"),
        ("SYSTEM_ADJUSTMENT", "5.00", "105.00", "250.00", "50.00"),
        ("SYSTEM_ADJUSTMENT", "-100.00", "0.00", "250.00", "50.00"),
    ],
)
def test_effect(transaction_type, amount, balance, deposits, withdrawals):
    posting = post(ACCOUNT, TransactionType(transaction_type), Decimal(amount))
    assert posting.transaction_type == transaction_type
    assert str(posting.amount) == amount
    assert posting.previous_balance == ACCOUNT.current_balance
    after = posting.after
    assert (str(after.current_balance), str(after.total_deposits), str(after.total_withdrawals)) == (
        balance,
        deposits,
        withdrawals,
    )
    assert after.version == 8
    assert posting.transaction_id == "000000000008"


@pytest.mark.parametrize(
    ("transaction_type", "amount", "required"),
    [
        ("WITHDRAW", "100.01", "100.01"),
        ("ORDER_PAYMENT", "1000000.00", "1000000.00"),
        ("SYSTEM_ADJUSTMENT", "-100.01", "100.01"),
    ],
)
def test_a_balance_never_falls_below_zero(transaction_type, amount, required):
    with pytest.raises(InsufficientFunds) as refused:
        post(ACCOUNT, TransactionType(transaction_type), Decimal(amount))
    assert refused.value.details == {"available": "100.00", "required": required}
    assert "100.00" in str(refused.value)


def test_every_type_of_the_contract_exists():
    assert {each.value for each in TransactionType} == {
        "DEPOSIT",
        "WITHDRAW",
        "ORDER_PAYMENT",
        "ORDER_SALE",
        "ORDER_REFUND",
        "SYSTEM_ADJUSTMENT",
    }


def test_a_new_account_is_empty_and_its_first_transaction_is_number_one():
    zero = Decimal("0.00")
    assert CashAccount() == CashAccount(
        current_balance=zero, total_deposits=zero, total_withdrawals=zero, reserved_cash=zero, version=0
    )
    assert post(CashAccount(), TransactionType.DEPOSIT, Decimal("1.00")).transaction_id == "000000000001"


@pytest.mark.parametrize(("refunded", "balance"), [("30.00", "100.00"), ("0.01", "70.01")])
def test_what_an_order_reserves_leaves_the_balance_and_comes_back_at_most_once(refunded, balance):
    reserved = reserve(ACCOUNT, Decimal("30.00"))
    assert reserved.transaction_type == "ORDER_PAYMENT"
    assert (str(reserved.after.current_balance), str(reserved.after.reserved_cash)) == ("70.00", "30.00")
    returned = refund(reserved.after, Decimal("30.00"), Decimal(refunded))
    assert returned.transaction_type == "ORDER_REFUND"
    assert (str(returned.after.current_balance), str(returned.after.reserved_cash)) == (balance, "0.00")
    assert returned.after.version == ACCOUNT.version + 2


def test_a_reserve_that_is_used_up_changes_no_balance():
    spent = release(reserve(ACCOUNT, Decimal("30.00")).after, Decimal("30.00"))
    assert (str(spent.current_balance), str(spent.reserved_cash), spent.version) == ("70.00", "0.00", 8)


def test_no_more_than_the_balance_can_be_reserved():
    with pytest.raises(InsufficientFunds):
        reserve(ACCOUNT, Decimal("100.01"))


cents = st.integers(min_value=1, max_value=100_000_000).map(lambda number: Decimal(number).scaleb(-2))
unsigned = st.sampled_from([each for each in TransactionType if each is not TransactionType.SYSTEM_ADJUSTMENT])


@given(st.lists(st.tuples(unsigned, cents), max_size=30))
def test_any_history_keeps_the_books(movements):
    account, applied = CashAccount(), []
    for transaction_type, amount in movements:
        try:
            posting = post(account, transaction_type, amount)
        except InsufficientFunds:
            assert effect_of(transaction_type, amount) < -account.current_balance
            continue
        assert posting.previous_balance == account.current_balance
        assert posting.after.current_balance == account.current_balance + effect_of(transaction_type, amount) >= 0
        account = posting.after
        applied.append((transaction_type, amount))
    assert account.version == len(applied)
    assert account.total_deposits == sum(amount for kind, amount in applied if kind == "DEPOSIT")
    assert account.total_withdrawals == sum(amount for kind, amount in applied if kind == "WITHDRAW")
