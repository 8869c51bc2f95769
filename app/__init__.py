"""The order processor: cash and crypto assets on DynamoDB. `app.factory` puts the parts together."""

__version__ = "0.1.0"
