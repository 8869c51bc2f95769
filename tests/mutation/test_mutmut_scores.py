"""What mutmut is told to change, to run and to leave alone follows the code."""

from __future__ import annotations

import re
from pathlib import Path

from tests.mutation.mutmut_scores import EXPLAINED, PROJECT, RUNS


def test_all_that_it_names_exists():
    functions = set()
    for run in RUNS.values():
        assert [path for path in (*run.mutated, *run.tests) if not (PROJECT / path).exists()] == []
        for path in run.mutated:
            names = re.findall(r"^def (\w+)", (PROJECT / path).read_text(), re.MULTILINE)
            functions |= {f"{Path(path).stem}.x_{name}" for name in names}
    assert {function for function, _ in EXPLAINED} <= functions
