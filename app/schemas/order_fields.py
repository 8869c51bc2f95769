"""Fields that orders have at other services and not here, each with what to use instead.

Ignored, each would make another order than was meant: one that executes at once instead of waiting for a stop, or one
that waits 30 days instead of a moment. A field leaves this table when orders get it.
"""

from __future__ import annotations

from collections.abc import Mapping

_FIELDS_BY_ADVICE = {
    "An order cannot wait for a stop. Watch the price, and place a market order when it is reached.": (
        "stop_price stop_limit_price stop trigger_price trigger activation_price"
    ),
    "A price cannot follow the market. Send a fixed price, and replace the order when it should move.": (
        "trail_price trail_percent trail_amount trailing_delta callback_rate"
    ),
    "An order stands alone. Place each order by itself, and cancel the one that you no longer want.": (
        "order_class take_profit take_profit_price stop_loss stop_loss_price bracket oco oto legs attached_orders"
    ),
    "An order is for a quantity. Divide the amount by the asset's price, and send the result as quantity.": (
        "notional amount spend funds quote_size quote_order_qty quote_quantity"
    ),
    "Send side and type in one word as order_type: market_buy, market_sell, limit_buy or limit_sell.": "side type",
    "Send the end of a limit order as expires_at. A market order executes at once or not at all; leave this out.": (
        "time_in_force tif ioc fok immediate_or_cancel fill_or_kill"
        " good_till_date good_till gtd end_time expire_time expires_in cancel_after"
    ),
    "A limit order executes at once where the price already reaches it. Send a price that it does not reach yet.": (
        "post_only maker_only"
    ),
    "Send the worst price that you accept as price. Limit orders need it, and market orders may have it.": (
        "limit_price worst_price max_price min_price slippage max_slippage"
    ),
    "An order uses only what you have: cash for a purchase, the asset for a sale. Leave this out.": (
        "reduce_only close_position leverage margin margin_mode is_margin"
    ),
    "An order executes as a whole, at any hour, and is seen by its owner alone. Leave this out.": (
        "iceberg_qty display_qty display_quantity visible_size hidden all_or_none min_quantity min_qty extended_hours"
    ),
    "Every order is real. Leave this out to place it.": "dry_run test simulate validate validate_only preview",
    "Send your own key for an order in the header Idempotency-Key.": (
        "idempotency_key client_order_id new_client_order_id client_oid"
    ),
}

FOREIGN_ORDER_FIELDS: Mapping[str, str] = {
    name: advice for advice, names in _FIELDS_BY_ADVICE.items() for name in names.split()
}
"""The advice for each, by its name in snake case; in camel case it counts as the same."""
