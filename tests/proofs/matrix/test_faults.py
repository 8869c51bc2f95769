"""Every use case that changes state, with every fault at every DynamoDB call of it: documented answers, books that
balance, nothing half done or done twice, nothing left locked.

`make test` takes one fault of each family for each write and one fault for each read, MATRIX=full all of them for
all. `-rP` shows the matrix.
"""

from __future__ import annotations

import pytest

from tests.proofs.matrix.columns import FAMILIES, columns_of, thinned
from tests.proofs.matrix.matrix import IS_FULL
from tests.proofs.matrix.use_cases import USE_CASES

all_use_cases = pytest.mark.parametrize("use_case", USE_CASES, ids=lambda use_case: use_case.name)


@all_use_cases
def test_no_fault(arena, use_case):
    arena.check_without_fault(use_case)


@pytest.mark.parametrize("family", FAMILIES)
@all_use_cases
def test_a_fault(arena, use_case, family, subtests):
    for call in arena.dry_run(use_case).calls:
        for column in columns_of(call) if IS_FULL else thinned(call, use_case.name):
            if column.family == family:
                with subtests.test(f"call {call.number}, {call.operation}: {column.name}"):
                    arena.check_cell(use_case, call, column)
