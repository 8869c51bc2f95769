"""The seeded bugs follow the code: a refactoring must take them along."""

from __future__ import annotations

from tests.mutation.seeded import misfits, read_bugs


def test_every_seeded_bug_fits_the_code():
    assert misfits(read_bugs()) == []
