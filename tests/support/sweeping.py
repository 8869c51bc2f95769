"""Deleting all that is past its time, as the worker does in many rounds."""

from __future__ import annotations

from app.models.expired import Sweeper
from tests.support.usage import metered


def sweep_all(sweeper: Sweeper, most: int = 1000) -> int:
    """Take as many steps as it takes to come to the end of the table; how many items were deleted."""
    deleted = 0
    for _ in range(most):
        with metered() as meter:
            deleted += sweeper.sweep()
        assert meter.operations[1:] == ["DeleteItem"] * (len(meter.operations) - 1)
        if not meter.calls:
            return deleted
    raise AssertionError("it does not come to an end")
