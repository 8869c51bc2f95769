"""Fields that orders, and other changes, have at other services and not here, each with what to use instead.

Ignored, each would make another order than was meant. One would execute at once instead of waiting for a stop. Others
would wait 30 days instead of a moment, or be placed instead of tried. A field leaves this table when orders get it.
"""

from __future__ import annotations

from collections.abc import Mapping

_FIELDS_BY_ADVICE = {
    "Send the stop as stop_price, and a limit beside it as price. The order_type says that it is a stop order.": (
        "stop_limit_price stop trigger_price trigger activation_price"
    ),
    "A price cannot follow the market. Send a fixed price, and replace the order when it should move.": (
        "trail_price trail_percent trail_amount trailing_delta callback_rate"
    ),
    "An order stands alone. Place each order by itself, and cancel the one that you no longer want.": (
        "order_class take_profit take_profit_price stop_loss stop_loss_price bracket oco oto legs attached_orders"
    ),
    "Send the dollars that a purchase may cost as spend, or else a quantity.": (
        "notional amount funds quote_size quote_order_qty quote_quantity"
    ),
    "Send side and type in one word as order_type, such as market_buy, limit_sell or stop_limit_buy.": "side type",
    "Send time_in_force: gtc, day, ioc or fok.": "tif ioc fok immediate_or_cancel fill_or_kill",
    "Send the end of an order that waits as expires_at. A market order executes at once; leave this out.": (
        "good_till_date good_till gtd end_time expire_time expires_in cancel_after"
    ),
    "A limit order executes at once where the price already reaches it. Send a price that it does not reach yet.": (
        "post_only maker_only"
    ),
    "Send the worst price that you accept as price. Orders with a limit need it, and market orders may have it.": (
        "limit_price worst_price max_price min_price slippage max_slippage"
    ),
    "An order uses only what you have: cash for a purchase, the asset for a sale. Leave this out.": (
        "reduce_only close_position leverage margin margin_mode is_margin"
    ),
    "An order executes as a whole, at any hour, and is seen by its owner alone. Leave this out.": (
        "iceberg_qty display_qty display_quantity visible_size hidden all_or_none min_quantity min_qty extended_hours"
    ),
    "Send your own key for an order in the header Idempotency-Key.": "idempotency_key",
    "Send your own id for an order as client_order_id.": "new_client_order_id client_oid cloid",
}

FOREIGN_DRY_RUN_FIELDS: Mapping[str, str] = dict.fromkeys(
    ("test", "simulate", "validate", "validate_only", "preview"),
    "Send dry_run: true to see what this would do, without doing it.",
)
"""What others call a dry run, with the advice; in camel case a name counts as the same."""

WITHOUT_DRY_RUN: Mapping[str, str] = dict.fromkeys(
    ("dry_run", *FOREIGN_DRY_RUN_FIELDS), "This cannot be tried first. Leave this out to do it."
)
"""The same of what has no dry run, and would be done."""

FOREIGN_ORDER_FIELDS: Mapping[str, str] = {
    **FOREIGN_DRY_RUN_FIELDS,
    **{name: advice for advice, names in _FIELDS_BY_ADVICE.items() for name in names.split()},
}
"""The advice for each field of an order, by its name in snake case; in camel case it counts as the same."""
