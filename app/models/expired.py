"""Deletes what is past its `ttl`, where the database does not: claims, tokens and rate windows.

It only tidies up: every reader treats an item past its `ttl` as gone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from app.domain import clock
from app.models.batch import write_if
from app.models.database import database
from app.models.users import Token, UsersItem

# How many rows one step looks at, and how long to rest after the last row of the table.
ROWS_OF_A_STEP = 25
REST = timedelta(minutes=10)


class Sweeper:
    """Walks through table `users` again and again, a few rows at each step."""

    def __init__(self) -> None:
        self._start_key: Any = None
        self._finished_at: datetime | None = None

    def sweep(self) -> int:
        """Go one step on, and return how many items were deleted.

        One call, and one for each item that is deleted; none during the rest, and none where the database deletes.
        """
        now = clock.now()
        if database().deletes_expired or self._rests(now):
            return 0
        table = UsersItem._get_connection()
        # Every item with a `ttl` has it from the same attribute. It has whole seconds: so the last one must be over.
        is_past = Token.ttl < now
        page = table.scan(
            is_past, attributes_to_get=["PK", "SK"], limit=ROWS_OF_A_STEP, exclusive_start_key=self._start_key
        )
        deleted = 0
        for row in page["Items"]:
            # On condition, as it may have been renewed meanwhile.
            deleted += write_if(partial(table.delete_item, row["PK"]["S"], row["SK"]["S"], condition=is_past))
        self._start_key = page.get("LastEvaluatedKey")
        self._finished_at = None if self._start_key else now
        return deleted

    def _rests(self, now: datetime) -> bool:
        return self._finished_at is not None and timedelta(0) <= now - self._finished_at < REST
