"""A long history in little time: deposits written with a bare botocore client, past the application."""

from __future__ import annotations

from typing import Any


def write_deposits(store: Any, username: str, times: list[str]) -> None:
    """Give a user without transactions a deposit of 1.00 at each of these times, which are in order."""
    puts = [
        {
            "PutRequest": {
                "Item": {
                    name: {"S": value}
                    for name, value in {
                        "PK": username,
                        "SK": f"TRANS#{number:012d}",
                        "entity_type": "TRANSACTION",
                        "username": username,
                        "transaction_id": f"{number:012d}",
                        "transaction_type": "DEPOSIT",
                        "amount": "1.00",
                        "previous_balance": f"{number - 1}.00",
                        "new_balance": f"{number}.00",
                        "status": "COMPLETED",
                        "description": f"number {number}",
                        "created_at": time,
                    }.items()
                }
            }
        }
        for number, time in enumerate(times, start=1)
    ]
    for start in range(0, len(puts), 25):
        assert not store.batch_write_item(RequestItems={"users": puts[start : start + 25]})["UnprocessedItems"]
    store.update_item(
        TableName="users",
        Key={"PK": {"S": username}, "SK": {"S": "BALANCE"}},
        UpdateExpression="SET current_balance = :sum, total_deposits = :sum, version = :count, updated_at = :last",
        ExpressionAttributeValues={
            ":sum": {"S": f"{len(times)}.00"},
            ":count": {"N": str(len(times))},
            ":last": {"S": times[-1]},
        },
    )
