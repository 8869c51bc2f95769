"""Whether a concurrent history could have come about one operation after the other: the search of Wing and Gong.

Each operation seems to take effect at one moment between its start and its answer. The search tries orders that
respect this, and remembers which sets of operations in which state led nowhere (Lowe, "Testing for
linearizability"; Horn and Kroening, "Faster linearizability checking via P-compositionality"). It knows nothing of
accounts: what an operation does, and whether its answer fits, is its own `step`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

State = Hashable
# The state after an operation, or None where its answer contradicts the state before. It must not have side effects.
Step = Callable[[Any], State | None]


@dataclass(frozen=True, eq=False)
class Operation:
    """What someone asked for and was told; times are seconds of one clock.

    One that was never answered (`answered` is infinite) took effect at any time after its start, and if it is
    `optional` perhaps never.
    """

    label: str
    step: Step
    started: float
    answered: float = inf
    optional: bool = False


@dataclass
class Verdict:
    """`order` is the order found, or the longest that could be begun; `stuck` is what then did not fit."""

    is_linearizable: bool
    order: list[Operation] = field(default_factory=list)
    stuck: list[Operation] = field(default_factory=list)
    tried: int = 0

    def __str__(self) -> str:
        lines = [f"{self.tried} steps tried; the last that fitted, and what did not:"]
        lines += [f"  {each.label}" for each in self.order[-8:]]
        lines += [f"  ? {each.label} ({each.started:.4f} to {each.answered:.4f})" for each in self.stuck]
        return "\n".join(lines)


class Undecided(Exception):
    """The search was given up: the history is neither shown to be linearizable nor not to be."""


@dataclass(eq=False)
class _Event:
    """A start or an answer in the list of events by time; neighbours are linked, so that operations can be lifted."""

    operation: Operation
    bit: int
    answer: _Event | None = None
    is_answer: bool = False
    before: _Event | None = None
    after: _Event | None = None

    def lift(self) -> None:
        for event in (self, self.answer):
            if event is not None:
                _join(event.before, event.after)

    def put_back(self) -> None:
        for event in (self.answer, self):
            if event is not None:
                _join(event.before, event)
                _join(event, event.after)


def _join(first: _Event | None, second: _Event | None) -> None:
    if first is not None:
        first.after = second
    if second is not None:
        second.before = first


def linearize(operations: Sequence[Operation], initial: State, *, most_steps: int = 2_000_000) -> Verdict:
    """Find an order of the operations that explains every answer. Raises `Undecided` after `most_steps` steps."""
    return _Search(operations, initial).run(most_steps)


class _Search:
    def __init__(self, operations: Sequence[Operation], initial: State) -> None:
        self.head = _events(operations)
        self.state = initial
        self.done = 0
        self.taken: list[tuple[_Event, State]] = []
        self.seen: set[tuple[int, State]] = set()
        self.verdict = Verdict(False)

    def run(self, most_steps: int) -> Verdict:
        event = self.head.after
        # At the end of the list no answer is left: all that must have happened has.
        while event is not None:
            if event.is_answer:  # it must have taken effect before this moment, and nothing could make it
                self._note_longest()
                event = self._backtrack()
                if event is None:
                    return self.verdict
            elif self._take(event):
                event = self.head.after
            else:
                event = event.after
            if self.verdict.tried > most_steps:
                raise Undecided(str(self.verdict))
        return Verdict(True, [each.operation for each, _ in self.taken], [], self.verdict.tried)

    def _take(self, event: _Event) -> bool:
        self.verdict.tried += 1
        after = event.operation.step(self.state)
        if after is None or (self.done | event.bit, after) in self.seen:
            return False
        self.seen.add((self.done | event.bit, after))
        self.taken.append((event, self.state))
        self.done, self.state = self.done | event.bit, after
        event.lift()
        return True

    def _backtrack(self) -> _Event | None:
        """Undo the last step that could be another one; where to go on, or None when none is left."""
        while self.taken:
            event, before = self.taken.pop()
            only_looked = before == self.state
            self.done, self.state = self.done & ~event.bit, before
            event.put_back()
            # A read that matches now may come now: taking it later allows nothing that is not possible now.
            if not only_looked:
                return event.after
        return None

    def _note_longest(self) -> None:
        if len(self.taken) >= len(self.verdict.order):
            self.verdict.order = [event.operation for event, _ in self.taken]
            self.verdict.stuck, event = [], self.head.after
            while event is not None and not event.is_answer:
                self.verdict.stuck.append(event.operation)
                event = event.after


def _events(operations: Sequence[Operation]) -> _Event:
    """All starts and answers in the order of time, after a first link that is neither."""
    timed: list[tuple[float, bool, int, _Event]] = []
    for number, operation in enumerate(operations):
        start = _Event(operation, 1 << number)
        timed.append((operation.started, False, number, start))
        if not operation.optional:
            start.answer = _Event(operation, 0, is_answer=True)
            timed.append((operation.answered, True, number, start.answer))
    # Of a start and an answer at the same moment the start comes first: they overlap.
    timed.sort(key=lambda each: each[:3])
    last = head = _Event(Operation("", lambda state: state, -inf), 0)
    for *_, event in timed:
        _join(last, event)
        last = event
    return head
