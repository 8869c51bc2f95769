"""Every use case that changes state, with every fault at every DynamoDB call of it: documented answers, books that
balance, nothing half done or done twice, nothing left locked.

`make test` breaks each call of each use case once, and deals one fault of each family to the variants of a use case;
MATRIX=full takes all faults for all. `-rP` shows the matrix.
"""

from __future__ import annotations

import zlib

import pytest

from tests.proofs.matrix.columns import FAMILIES, Column, columns_of, thinned
from tests.proofs.matrix.matrix import IS_FULL
from tests.proofs.matrix.use_cases import USE_CASES, UseCase
from tests.support.faults import Call

all_use_cases = pytest.mark.parametrize("use_case", USE_CASES, ids=lambda use_case: use_case.name)


@all_use_cases
def test_no_fault(arena, use_case):
    arena.check_without_fault(use_case)


@all_use_cases
def test_a_fault(arena, use_case, subtests):
    for call, column in cells_of(use_case, arena.dry_run(use_case).calls):
        with subtests.test(f"call {call.number}, {call.operation}: {column.name}"):
            arena.check_cell(use_case, call, column)


def cells_of(use_case: UseCase, calls: list[Call]) -> list[tuple[Call, Column]]:
    if IS_FULL:
        return [(call, column) for call in calls for column in columns_of(call)]
    variants = [each.name for each in USE_CASES if each.subject == use_case.subject]
    families = FAMILIES[variants.index(use_case.name) :: len(variants)]
    return thinned(calls, families, zlib.crc32(use_case.name.encode()))
