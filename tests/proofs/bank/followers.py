"""Followers of the bank: scripts that read the account events of its customers while every process is killed."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any

from tests.proofs.bank.calls import Send
from tests.proofs.bank.customers import Bank, SharedUser
from tests.support.books import Books, Row


@dataclass
class Follower:
    """Keeps what it has read of each account; now and then it dies before it has kept it, and reads on from before."""

    bank: Bank
    send: Send
    random: random.Random
    kept: dict[str, list[Row]] = field(default_factory=dict)
    deaths: int = 0

    def run(self, until: float) -> None:
        """Follow the accounts that are shared at the moment, until this time of the monotonic clock."""
        while time.monotonic() < until:
            self.read(self.random.choice(self.bank.people))
            time.sleep(self.random.uniform(0.02, 0.2))

    def read(self, person: SharedUser) -> bool:
        """Whether there was nothing more; not where there was no good answer, or it was not kept."""
        kept = self.kept.setdefault(person.username, [])
        after = kept[-1]["event_number"] if kept else "000000000000"
        path = f"/api/v1/events?after={after}&limit={self.random.randint(1, 10)}"
        answer = self.send("GET", path, None, {"Authorization": f"Bearer {person.tokens[-1]}"})
        # Nothing else may be refused: not an event that is there, and not one that this reader has seen.
        if answer is None or answer.status in {401, 503}:
            return False
        assert answer.status == 200, answer
        if self.random.random() < 0.2:
            self.deaths += 1
            return False
        kept += answer.body["data"]
        assert answer.body["next_after"] == (kept[-1]["event_number"] if kept else after)
        return not answer.body["data"]

    def check(self, person: SharedUser, books: Books) -> int:
        """It reads to the end, and has then read each event once, in order, as it is there. How many it had before."""
        before = len(self.kept.get(person.username, ()))
        assert any(self.read(person) for _ in range(500)), "it comes to no end"
        names = ("event_number", "event_type", "order_id", "transaction_id", "created_at")
        read = [_row(each, names) for each in self.kept[person.username]]
        assert read == [_row(each, names) for each in books.events]
        return before


def _row(event: Row, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(event.get(name) for name in names)
