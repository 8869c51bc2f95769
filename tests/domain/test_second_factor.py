"""Codes of authenticator apps and recovery codes: the rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.second_factor import (
    MOST_WRONG,
    RECOVERY_CODES,
    Verdict,
    app_address,
    code_at,
    hash_recovery_code,
    judge,
    new_recovery_codes,
    new_seed,
    step_at,
)

# RFC 6238, appendix B: the last six of eight digits, with SHA-1.
SEED = b"12345678901234567890"
RFC_6238 = {
    59: "287082",
    1111111109: "081804",
    1111111111: "050471",
    1234567890: "005924",
    2000000000: "279037",
    20000000000: "353130",
}
NOW = datetime(2026, 1, 15, 12, 0, 10, tzinfo=UTC)
STEP = step_at(NOW)
CODE = code_at(SEED, STEP)
RECOVERY = "0123-4567-89ab-cdef-0123-4567-89ab"


@pytest.mark.parametrize(("seconds", "code"), RFC_6238.items())
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert code_at(SEED, step_at(datetime.fromtimestamp(seconds, UTC))) == code


TYPED = {
    "the code": (CODE, Verdict.APP),
    "with a space": (f" {CODE[:3]} {CODE[3:]}\n", Verdict.APP),
    "of the step before": (code_at(SEED, STEP - 1), Verdict.WRONG),
    "of the next step": (code_at(SEED, STEP + 1), Verdict.WRONG),
    "of another seed": (code_at(b"x" * 20, STEP), Verdict.WRONG),
    "too short": (CODE[:5], Verdict.WRONG),
    "too long": (CODE + "0", Verdict.WRONG),
    "a text that is far too long": (CODE + " " * 10_000, Verdict.WRONG),
    "other digits": (CODE.translate(dict(zip(range(48, 58), range(0xFF10, 0xFF1A), strict=True))), Verdict.WRONG),
    "nothing": ("", Verdict.WRONG),
    "a lone surrogate": ("\ud800", Verdict.WRONG),
    "a recovery code": (RECOVERY, Verdict.RECOVERY),
    "one as it may be typed": (RECOVERY.upper().replace("-", " "), Verdict.RECOVERY),
    "a part of one": (RECOVERY[:-1], Verdict.WRONG),
    "the hash of one": (hash_recovery_code(RECOVERY), Verdict.WRONG),
}


def verdict(typed: str, **changed: object) -> Verdict:
    known = {"seed": SEED, "last_step": STEP - 1, "recovery_hashes": [hash_recovery_code(RECOVERY)], "wrong": 0}
    return judge(typed, now=NOW, **{**known, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(("typed", "expected"), TYPED.values(), ids=TYPED)
def test_what_is_typed(typed: str, expected: Verdict) -> None:
    assert verdict(typed) is expected


def test_a_code_counts_for_thirty_seconds_and_once() -> None:
    begin = NOW - timedelta(seconds=10)
    for seconds, expected in ((-1, Verdict.WRONG), (0, Verdict.APP), (29, Verdict.APP), (30, Verdict.WRONG)):
        known = {"seed": SEED, "last_step": 0, "recovery_hashes": [], "wrong": 0}
        assert judge(CODE, now=begin + timedelta(seconds=seconds), **known) is expected
    for last_step in (STEP, STEP + 1):
        assert verdict(CODE, last_step=last_step) is Verdict.WRONG


def test_after_too_many_wrong_codes_only_recovery_codes_are_looked_at() -> None:
    assert verdict(CODE, wrong=MOST_WRONG - 1) is Verdict.APP
    for typed in (CODE, "000000"):
        assert verdict(typed, wrong=MOST_WRONG) is Verdict.TOO_MANY
    assert verdict(RECOVERY, wrong=MOST_WRONG) is Verdict.RECOVERY


def test_without_its_seed_an_app_is_worth_nothing() -> None:
    assert verdict(CODE, seed=None) is Verdict.WRONG and verdict(RECOVERY, seed=None) is Verdict.RECOVERY


def test_what_is_made_is_long_and_different_each_time() -> None:
    codes = new_recovery_codes()
    assert len(set(codes)) == RECOVERY_CODES and all(len(code.replace("-", "")) * 4 == 112 for code in codes)
    assert len(new_seed()) == 20 and new_seed() != new_seed()


def test_what_an_app_reads() -> None:
    address = app_address(SEED, "ann", product="Order Processor")
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert address == f"otpauth://totp/Order%20Processor%3Aann?secret={secret}&issuer=Order%20Processor"
