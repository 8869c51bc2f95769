"""The tests. `tests/README.md` says which helper is for what."""

import pytest

# Before any of them is imported: their asserts explain themselves as those of the tests do.
pytest.register_assert_rewrite("tests.support", "tests.contract", "tests.proofs")
