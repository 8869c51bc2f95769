"""What stands in the tables, read once."""

from __future__ import annotations

import json
from typing import Any

from tests.support.wire import BareStore


class Moment:
    """A store that is asked the same only once: what stood in it at one moment."""

    def __init__(self, store: BareStore) -> None:
        self._store = store
        self._seen: dict[str, Any] = {}

    def query(self, **asked: Any) -> Any:
        name = json.dumps(asked, sort_keys=True)
        if name not in self._seen:
            self._seen[name] = self._store.query(**asked)
        return self._seen[name]

    @property
    def rows(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """All rows that were seen, as DynamoDB writes them, by table and key."""
        return {
            (json.loads(asked)["TableName"], row["PK"]["S"], row["SK"]["S"]): row
            for asked, answer in self._seen.items()
            for row in answer["Items"]
            if "entity_type" in row
        }
