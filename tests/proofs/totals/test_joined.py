"""The list of who joined in a month, page by page: each user once, the newest first. `make prove` lists 10,000."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask

from app.domain import clock
from app.domain.users import Role
from app.models.balance_changes import open_account
from app.models.users import set_role
from tests.support.accounts import user_item
from tests.support.people import register
from tests.support.usage import usage_of

MANY = int(os.environ.get("JOINED", "300"))
APRIL = datetime(2031, 4, 1, tzinfo=UTC)


def test_each_user_of_a_month_comes_once_the_newest_first(app: Flask) -> None:
    admin = register(app)
    with app.app_context():
        set_role(admin.username, Role.ADMIN, now=clock.now())
        names = []
        for number in range(MANY):
            with clock.at(APRIL + timedelta(minutes=number)):
                names.append(open_account(user_item(f"joined_{number}")).username)
    admin.log_in()
    found: list[str] = []
    address = "/admin/users?month=2031-04&limit=50"
    while address:
        answer = admin.get(address)
        page: dict[str, Any] = answer.json
        assert usage_of(answer).calls == 3 and len(page["data"]) == 50, "one query, and the users of the page"
        found += [each["username"] for each in page["data"]]
        address = f"/admin/users?month=2031-04&limit=50&cursor={page['next_cursor']}" if page["has_more"] else ""
    assert found == names[::-1]
