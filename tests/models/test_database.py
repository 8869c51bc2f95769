"""The way to DynamoDB: how many clients there are, whose they are, and what they wait for."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.session import Session
from pynamodb.exceptions import AttributeNullError

from app.factory import create_app
from app.models import users
from app.models.create_tables import create_tables
from app.models.database import Database
from app.models.item import Item, table_schema
from app.models.ledger import Balance, Holding
from app.models.orders import Order
from app.models.users import User, UsersItem
from tests.support.applications import config
from tests.support.people import register
from tests.support.usage import metered


@pytest.fixture
def made_clients(monkeypatch):
    """The DynamoDB clients that botocore makes during the test."""
    made, create = [], Session.create_client

    def note(*args, **kwargs):
        made.append(create(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(Session, "create_client", note)
    return made


def client_of(item):
    return item._get_connection().connection.client


@pytest.mark.parametrize(("transport", "clients"), [("curl", 0), ("botocore", 1)])
def test_one_connection_for_all_models_though_16_threads_race(endpoint, app, made_clients, transport, clients):
    """botocore's client is not made where requests need none: that would take longer than all else of a start."""
    racing = create_app(config(endpoint, dynamodb_transport=transport))
    assert made_clients == [], "making an application must not connect"
    barrier = threading.Barrier(16)

    def connect(number):
        with racing.app_context():
            barrier.wait()
            client = client_of((User, Balance, Order)[number % 3])
            assert User.find(User.key("nobody")) is None
            assert Order.find(Order.key("nothing")) is None
            return id(client)

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(connect, range(16)))) == 1
    assert len(made_clients) == clients


def test_timeouts_and_connections(endpoint):
    database = Database(
        endpoint=endpoint, region="us-east-1", table_names={"users": "users", "orders": "orders"}, max_connections=5
    )
    settings = database.table("users", lambda: table_schema(UsersItem)).connection.client.meta.config
    assert (settings.connect_timeout, settings.read_timeout) == (1, 3)
    assert settings.max_pool_connections == 5
    assert settings.retries["total_max_attempts"] <= 3


def test_enough_connections_for_the_threads_of_a_worker(in_app):
    assert client_of(User).meta.config.max_pool_connections >= 8


def test_two_applications_in_one_process_have_their_own_tables(app, endpoint):
    """Also when their calls alternate, and from the first call on."""
    other = create_app(config(endpoint, users_table="other_users", orders_table="other_orders"))
    with other.app_context():
        assert set(create_tables()) == {"other_users", "other_orders"}
    here = register(app)
    there = register(other)
    for _ in range(2):
        with app.app_context():
            assert users.find_user(here.username) and users.find_user(there.username) is None
        with other.app_context():
            assert users.find_user(there.username) and users.find_user(here.username) is None
    there.client = app.test_client(use_cookies=False)
    assert there.get("/balance").status_code == 401
    # The same name and address are free in the other application.
    register(other, username=here.username, email=here.email)


def test_nested_contexts_come_back_to_their_own_database(app, endpoint):
    other = create_app(config(endpoint, users_table="nowhere", orders_table="nowhere_too"))
    person = register(app)
    with app.app_context():
        with other.app_context():
            assert User.Meta.table_name == "nowhere"
        assert User.Meta.table_name == "users"
        assert users.find_user(person.username)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_opens_its_own_client(app, endpoint):
    """A connection shared with the parent would bring the answers of another process."""
    person = register(app)
    reader, writer = os.pipe()
    with app.app_context():
        parent = id(client_of(User))
        assert users.find_user(person.username)
        child = os.fork()
        if child == 0:
            told = {}
            try:
                told = {"client": id(client_of(User)), "found": users.find_user(person.username).username}
            finally:
                os.write(writer, json.dumps(told).encode())
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        told = json.loads(os.read(reader, 4096))
        assert told["found"] == person.username
        assert told["client"] != parent
        assert id(client_of(User)) == parent
    os.close(reader)
    os.close(writer)


def test_the_meter_belongs_to_one_context(app, in_app):
    def read(times):
        with app.app_context(), metered() as used:
            for _ in range(times):
                users.find_user("nobody")
            return used.calls

    with metered() as used, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, [3, 1, 4, 2])) == [3, 1, 4, 2]
        assert used.calls == 0


def test_a_row_becomes_an_item_as_pynamodb_itself_makes_it(app, in_app):
    person = register(app)
    [rows] = [list(page["Items"]) for page in UsersItem.query(person.username).page_iter]
    assert {row["SK"]["S"] for row in rows} >= {"USER", "BALANCE"}
    rows.append({**rows[0], "phone": {"NULL": True}, "unknown": {"S": "what no attribute reads"}})
    rows.append({"PK": {"S": "ann"}, "SK": {"S": "USER"}, "entity_type": {"S": "USER"}})
    for row in rows:
        item, expected = UsersItem.from_raw_data(row), super(Item, UsersItem).from_raw_data(row)
        assert (type(item), vars(item)) == (type(expected), vars(expected))
        assert item.serialize(null_check=False) == super(Item, item).serialize(null_check=False) != {}
    with pytest.raises(AttributeNullError):
        item.serialize()


@pytest.mark.parametrize(
    "wrong",
    [
        {"entity_type": {"S": "BALANCE"}},
        {"entity_type": {"S": "NOBODY"}},
        {"entity_type": {"N": "1"}},
        {"quantity": {"N": "1"}},
        {"created_at": {"S": "yesterday"}},
    ],
    ids=str,
)
def test_a_row_that_is_not_such_an_item_is_refused(wrong):
    row = {"PK": {"S": "ann"}, "SK": {"S": "ASSET#BTC"}, "entity_type": {"S": "ASSET"}}
    assert Holding.from_raw_data(row).PK == "ann"
    with pytest.raises((TypeError, ValueError)):
        Holding.from_raw_data({**row, **wrong})
