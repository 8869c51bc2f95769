"""The same application with no endpoint configured, as on AWS itself; moto answers in AWS's place.

moto is not atomic across threads and knows no units of transactions: here one journey, one request at a time.
"""

from __future__ import annotations

import pytest
from moto import mock_aws

from app.factory import create_app
from app.models.create_tables import create_tables
from tests.support.applications import config
from tests.support.people import problem, register
from tests.support.prices import SetPrices


@pytest.fixture(scope="module")
def aws_app():
    with mock_aws():
        # moto stands in for AWS inside botocore, so this is also a test of that way to the database.
        names = {"users_table": "shop-users", "orders_table": "shop-orders"}
        app = create_app(config(None, aws_region="eu-central-1", dynamodb_transport="botocore", **names))
        app.extensions["prices"] = SetPrices(BTC="10000")
        with app.app_context():
            assert create_tables() == ["shop-users", "shop-orders"]
        yield app


def test_the_main_job(aws_app):
    person = register(aws_app)
    assert person.deposit("1000", key="first").status_code == 201
    assert person.deposit("1000", key="first").headers["Idempotent-Replayed"] == "true"
    order = person.buy("BTC", "0.05")
    person.sell("BTC", "0.01")
    problem(person.withdraw("600.01"), 422, "insufficient_funds")
    assert person.withdraw("600").json["transaction"]["new_balance"] == "0.00"
    assert person.get(f"/orders/{order['order_id']}").json["data"] == order
    assert len(person.get("/orders").json["data"]) == len(person.get("/assets/BTC/transactions").json["data"]) == 2
    assert [row["new_balance"] for row in person.get("/balance/transactions").json["transactions"]] == [
        "0.00",
        "600.00",
        "500.00",
        "1000.00",
    ]
    assert person.get("/portfolio").json["total_value"] == "400.00"


def test_pages_of_a_list(aws_app):
    person = register(aws_app)
    for amount in range(1, 6):
        person.deposit(str(amount))
    first = person.get("/balance/transactions?limit=3").json
    second = person.get(f"/balance/transactions?limit=3&cursor={first['next_cursor']}").json
    rows = first["transactions"] + second["transactions"]
    assert [row["amount"] for row in rows] == ["5.00", "4.00", "3.00", "2.00", "1.00"]
    assert second["next_cursor"] is None


def test_a_name_and_an_address_belong_to_one(aws_app):
    person = register(aws_app)
    for field, code in (("username", "username_taken"), ("email", "email_taken")):
        body = {
            "username": "another_one",
            "email": "another@example.com",
            "password": "seven green kettles",
            "first_name": "A",
            "last_name": "B",
            field: getattr(person, field),
        }
        problem(person.client.post("/api/v1/auth/register", json=body), 409, code)
    person.log_in(person.email)
