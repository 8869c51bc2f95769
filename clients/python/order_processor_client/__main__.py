"""`python -m order_processor_client` is `orders`."""

from order_processor_client.cli import main

main()
