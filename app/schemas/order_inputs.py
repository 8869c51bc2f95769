"""Input schemas of orders: placing, changing and cancelling them. `inputs.py` says what all inputs have in common."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from marshmallow import RAISE, ValidationError, fields, post_load, validate, validates_schema

from app.domain.orders import ENDS_WITH_DAY, IMMEDIATE, MAX_LIFETIME, PriceType, Side, TimeInForce
from app.schemas.amounts import Money, Price, Quantity
from app.schemas.fields import ORDER_TYPES, AssetId, Choice, ClientOrderId, EndTime
from app.schemas.foreign_fields import FOREIGN_ORDER_FIELDS
from app.schemas.inputs import DryRunInput, Input


class _OrderType(validate.OneOf):
    """One of ORDER_TYPES; of the one that is missing there, it says why."""

    def __call__(self, value: Any) -> Any:
        if value == "stop_buy":
            raise ValidationError("A stop to buy needs a limit, which says what to reserve: choose stop_limit_buy.")
        return super().__call__(value)


class OrderInput(DryRunInput):
    """An order. `limit_price` is the worst price that it accepts; one with a limit has it. JSON calls it `price`."""

    foreign_fields = FOREIGN_ORDER_FIELDS

    order_type = fields.String(required=True, validate=_OrderType(list(ORDER_TYPES), error="Choose one of: {choices}."))
    asset_id = AssetId(required=True, metadata={"example": "BTC"})
    quantity = Quantity(load_default=None, allow_none=True, metadata={"example": "0.005"})
    spend = Money(
        load_default=None,
        allow_none=True,
        metadata={
            "example": None,
            "description": "To buy, instead of `quantity`: as much as these dollars buy at `price`, or without one at "
            "the current price with 0.5 % to spare. It costs no more",
        },
    )
    limit_price = Price(data_key="price", load_default=None, allow_none=True, metadata={"example": None})
    expires_at = EndTime(max_ahead=MAX_LIFETIME, past_allowed=True, load_default=None, allow_none=True)
    time_in_force = Choice(TimeInForce, load_default=None, allow_none=True)
    client_order_id = ClientOrderId(load_default=None, allow_none=True)
    stop_price = Price(load_default=None, allow_none=True, metadata={"example": None})

    takes_both: ClassVar[bool] = False
    """Whether a quantity may come with the amount that it was computed for."""

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def check_quantity_or_spend(self, data: dict[str, Any], original: Any, **kwargs: Any) -> None:
        sent = original if isinstance(original, Mapping) else {}
        given = [name for name in ("quantity", "spend") if sent.get(name) is not None]
        if not given:
            raise ValidationError("Send quantity or, to buy for an amount in USD, spend.", "quantity")
        if len(given) == 2 and not self.takes_both:
            raise ValidationError("Send quantity or spend, not both.", "spend")
        if given == ["spend"] and str(sent.get("order_type")).endswith("_sell"):
            raise ValidationError("An amount in USD is for buying. Write how much of the asset to sell.", "spend")

    @validates_schema
    def check_prices(self, data: dict[str, Any], **kwargs: Any) -> None:
        _, price_type = ORDER_TYPES[data["order_type"]]
        if price_type in {PriceType.LIMIT, PriceType.STOP_LIMIT} and data["limit_price"] is None:
            raise ValidationError("Write the limit: the highest price to buy at, or the lowest to sell at.", "price")
        if price_type is PriceType.STOP and data["limit_price"] is not None:
            raise ValidationError(
                "A stop without a limit sells at any price. Leave this out, or choose a stop with a limit.", "price"
            )

    @validates_schema
    def check_stop(self, data: dict[str, Any], **kwargs: Any) -> None:
        _, price_type = ORDER_TYPES[data["order_type"]]
        has_stop = price_type in {PriceType.STOP, PriceType.STOP_LIMIT}
        if has_stop and data["stop_price"] is None:
            raise ValidationError(
                "Write the stop: a price below the current one to sell, or above it to buy.", "stop_price"
            )
        if not has_stop and data["stop_price"] is not None:
            raise ValidationError("Only a stop order has a stop. Leave this out, or choose a stop order.", "stop_price")

    @validates_schema
    def check_end_fields(self, data: dict[str, Any], **kwargs: Any) -> None:
        _, price_type = ORDER_TYPES[data["order_type"]]
        time_in_force = data["time_in_force"]
        if price_type is PriceType.MARKET and time_in_force is not None and time_in_force not in IMMEDIATE:
            raise ValidationError(
                "A market order is executed at once. Leave this out, or choose ioc or fok.", "time_in_force"
            )
        if data["stop_price"] is not None and time_in_force in IMMEDIATE:
            raise ValidationError("A stop order waits. Leave this out, or choose gtc or day.", "time_in_force")
        if data["expires_at"] is None:
            return
        if price_type is PriceType.MARKET:
            raise ValidationError("A market order is executed at once. Leave this out.", "expires_at")
        if time_in_force in IMMEDIATE:
            raise ValidationError("This order is executed at once or not at all. Leave this out.", "expires_at")
        if time_in_force is TimeInForce.DAY:
            raise ValidationError(ENDS_WITH_DAY, "expires_at")

    @post_load
    def split_type(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        side, price_type = ORDER_TYPES[data.pop("order_type")]
        # What is usual is the same order as without it.
        usual = None if price_type is PriceType.MARKET else TimeInForce.GTC
        time_in_force = data.pop("time_in_force")
        return {
            **data,
            "side": side,
            "price_type": price_type,
            "quantity": data["quantity"] or Decimal(0),
            "time_in_force": None if time_in_force is usual else time_in_force,
        }


class CancelInput(DryRunInput):
    """The cancellation of one order. Its body may be left out."""

    has_optional_body = True


class OrderChangeInput(DryRunInput):
    """What to change of an open order; what is left out stays. A misspelt field, dropped, would change less."""

    class Meta(Input.Meta):
        unknown = RAISE

    error_messages = {
        "unknown": "This cannot be changed. Send price, quantity or expires_at; for another change, cancel the order."
    }

    quantity = Quantity(load_default=None, metadata={"example": "0.005"})
    limit_price = Price(data_key="price", load_default=None, metadata={"example": "55000"})
    expires_at = EndTime(max_ahead=MAX_LIFETIME, past_allowed=True, load_default=None)

    @validates_schema
    def check_change(self, data: dict[str, Any], **kwargs: Any) -> None:
        if all(data[name] is None for name in ("quantity", "limit_price", "expires_at")):
            raise ValidationError("Say what to change: the price, the quantity or the end (expires_at).", "price")


class OrderChangeForm(OrderChangeInput):
    """The same, as its page sends it."""

    class Meta(Input.Meta):
        exclude = ("dry_run",)


_UNKNOWN_FILTER = {"unknown": "There is no such field here. Send asset_id, side, or nothing."}


class CancelOrdersInput(Input):
    """Which open orders to cancel; all, if nothing is said. A misspelt filter, dropped, would mean all of them."""

    class Meta(Input.Meta):
        unknown = RAISE

    error_messages = _UNKNOWN_FILTER

    asset_id = AssetId(load_default=None, allow_none=True, metadata={"example": "BTC"})
    side = Choice(Side, load_default=None, allow_none=True)


class TradeInput(OrderInput):
    """An order by quantity or, to buy, by the amount to spend; with both, the quantity was computed for the amount."""

    class Meta(OrderInput.Meta):
        # Forms have a key of their own, and a review instead of a dry run.
        exclude = ("client_order_id", "dry_run")

    takes_both = True
