"""Response schemas of dry runs and previews: what a change would do. See `outputs.py` for amounts and times."""

from __future__ import annotations

from marshmallow import fields

from app.domain.ledger import TransactionType
from app.schemas.amounts import Money, Price, Quantity
from app.schemas.fields import LowerCase, Output
from app.schemas.outputs import OrderOutput


class EntryOutput(Output):
    """A balance transaction that a change would add. It gets its number when the change is made."""

    transaction_type = LowerCase(TransactionType)
    amount = Money()
    previous_balance = Money()
    new_balance = Money()
    description = fields.String(allow_none=True)


class TriedOrderOutput(OrderOutput):
    """An order as it would be. Its id is null while it is not placed; times that are not known yet are left out."""

    class Meta:
        exclude = ("executed_at", "created_at", "updated_at")

    order_id = fields.String(allow_none=True)


class EffectsOutput(Output):
    """What a change would do: the transactions, the balance, and what can be sold of the asset, before and after it.

    What it does not look at is null. A sale has what its units had cost, by average, and its gain, which is signed.
    """

    entries = fields.List(fields.Nested(EntryOutput))
    cash_before = Money(allow_none=True)
    cash_after = Money(allow_none=True)
    holding_before = Quantity(allow_none=True)
    holding_after = Quantity(allow_none=True)
    cost_total = Money(allow_none=True)
    gain = Money(allow_none=True)
    order = fields.Nested(TriedOrderOutput, allow_none=True)


class DryRunOutput(Output):
    """What a change would do at this moment. Nothing was done."""

    dry_run = fields.Constant(True, metadata={"type": "boolean", "enum": [True]})
    data = fields.Nested(EffectsOutput)


class TriedPlacingOutput(EffectsOutput):
    """What placing an order would do, at the market's current `price`: it `executes` at once, or `waits`.

    `total` is the cost or the proceeds; of an order that waits, at its limit, or at its stop where it has none.
    `worst_total` is the same at `worst_price`, which is `price` of the request. Without one it is the current price
    with 0.5 % to spare, and binds nothing until it is sent; both are null for a stop without a limit. The gain of a
    sale that waits is that at the price of `total`. Prices are null for an order that is there already, by its
    `client_order_id`: placing it again would do nothing.
    """

    outcome = fields.String(metadata={"enum": ["executes", "waits"]})
    price = Price(allow_none=True)
    total = Money()
    worst_price = Price(allow_none=True)
    worst_total = Money(allow_none=True)


class PreviewOutput(DryRunOutput):
    """What placing an order would do at this moment. Nothing was done."""

    data = fields.Nested(TriedPlacingOutput)
