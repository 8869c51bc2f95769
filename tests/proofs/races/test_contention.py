"""Many more at one account than can win: every one of them is served in the end, and none by an error."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.support.books import check_books
from tests.support.people import Person, caller

THREADS, DEPOSITS = 64, 1
MOST_REQUESTS = 40  # for one deposit: who is told 'busy' that often, one after the other, is starved

pytestmark = pytest.mark.engine


def test_64_threads_at_one_account(app, store, new_user):
    owner = new_user()
    people = [Person(caller(app), owner.username, owner.email, owner.token) for _ in range(THREADS)]
    start = Barrier(THREADS)

    def deposit(person: Person) -> list[int]:
        start.wait()
        answers = []
        for number in range(DEPOSITS):
            key = f"{person.client.environ_base['REMOTE_ADDR']}-{number}"
            for _ in range(MOST_REQUESTS):
                answers.append(person.deposit("1.00", key=key).status_code)
                if answers[-1] == 201:
                    break
        return answers

    with ThreadPoolExecutor(THREADS) as pool:
        answered = list(pool.map(deposit, people))
    totals = Counter(status for each in answered for status in each)
    print(f"{THREADS} threads:", dict(totals), "requests for a deposit at most", max(map(len, answered)) / DEPOSITS)
    assert set(totals) <= {201, 503}
    assert all(each.count(201) == DEPOSITS for each in answered), "somebody was never served"
    assert len(check_books(store, owner.username).transactions) == THREADS * DEPOSITS
