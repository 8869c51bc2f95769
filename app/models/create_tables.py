"""Creating the two tables, and checking that they answer."""

from __future__ import annotations

from pynamodb.constants import PAY_PER_REQUEST_BILLING_MODE
from pynamodb.exceptions import GetError, QueryError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from app.domain.errors import StoreUnavailable
from app.domain.orders import OrderStatus
from app.models.item import Item
from app.models.orders import OrdersItem, list_orders
from app.models.upgrade import write_format
from app.models.users import Token, UsersItem

ROOTS: tuple[type[Item], ...] = (UsersItem, OrdersItem)


@retry(retry=retry_if_exception_type(StoreUnavailable), stop=stop_after_delay(10), wait=wait_fixed(0.1), reraise=True)
def create_tables() -> list[str]:
    """Create the tables that do not exist, wait until they are active, and return the names of those created.

    Waits up to 10 seconds for a database that is just starting, then raises StoreUnavailable.
    """
    created = [item for item in ROOTS if not item.exists()]
    for item in created:
        item.create_table(wait=True, billing_mode=PAY_PER_REQUEST_BILLING_MODE)
    if len(created) == len(ROOTS):
        write_format()
    if UsersItem in created:
        # Only tidies up: every reader treats an item past its ttl as gone. Not every endpoint supports it.
        Token.update_ttl(ignore_update_ttl_errors=True)
    return [item.Meta.table_name for item in created]


def tables_answer() -> bool:
    """Whether both tables can be read, in the form of this version: its newest index must be there.

    Two calls, which also open the connections of a new process.
    """
    try:
        Token.find(Token.key("ready", "ready"), consistent=False)
        list_orders("ready", status=OrderStatus.PENDING)
    except (StoreUnavailable, GetError, QueryError):
        return False
    return True
