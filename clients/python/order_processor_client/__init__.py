"""A client of the order processor, for scripts. See README.md, and `orders --help`."""

from order_processor_client.client import Client, Resumed
from order_processor_client.credentials import Credentials
from order_processor_client.errors import FieldError, OrdersError, OutcomeUnknown
from order_processor_client.journal import Entry, Journal
from order_processor_client.transport import Patience
from order_processor_client.values import Unreadable
from order_processor_client.version import __version__

__all__ = [
    "Client",
    "Credentials",
    "Entry",
    "FieldError",
    "Journal",
    "OrdersError",
    "OutcomeUnknown",
    "Patience",
    "Resumed",
    "Unreadable",
    "__version__",
]
