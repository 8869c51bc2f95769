"""DynamoDB through PynamoDB: keys, items, conditions, and the one commit."""
