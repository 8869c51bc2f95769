"""The order processor: cash and crypto assets on DynamoDB. `app.factory` puts the parts together."""
