"""Response schemas of the market: assets and their prices, in USD. See `app.schemas.outputs`."""

from __future__ import annotations

from marshmallow import fields

from app.schemas.amounts import Number, Price
from app.schemas.fields import Output, Timestamp

AVAILABILITY = ["available", "unavailable"]


class AssetOutput(Output):
    """An asset of the list; what depends on the market is null while there is no price."""

    asset_id = fields.String(attribute="asset.asset_id")
    name = fields.String(attribute="asset.name")
    description = fields.String(attribute="asset.description")
    category = fields.String(attribute="asset.category")
    price_usd = Number(attribute="market.price", dump_default=None, allow_none=True)
    is_active = fields.Boolean(attribute="asset.is_active")
    symbol = fields.String()
    image = fields.Constant(None, allow_none=True, metadata={"type": "string"})
    market_cap_rank = fields.Integer()
    price_change_percentage_24h = Number(
        attribute="market.price_change_percentage_24h", dump_default=None, allow_none=True
    )
    market_cap = Number(attribute="market.market_cap", dump_default=None, allow_none=True)
    total_volume_24h = Number(attribute="market.total_volume_24h", dump_default=None, allow_none=True)


class AssetListOutput(Output):
    """The list of assets."""

    data = fields.List(fields.Nested(AssetOutput))
    assets = fields.List(fields.Nested(AssetOutput), metadata={"description": "The same list as data"})
    total_count = fields.Integer()
    active_count = fields.Integer()


class AssetFullOutput(AssetOutput):
    """An asset with everything that is known of it and of its market."""

    availability_status = fields.String(metadata={"enum": AVAILABILITY})
    price_change_24h = Number(attribute="market.price_change_24h", allow_none=True)
    price_change_percentage_7d = Number(attribute="market.price_change_percentage_7d", allow_none=True)
    price_change_percentage_30d = Number(attribute="market.price_change_percentage_30d", allow_none=True)
    high_24h = Number(attribute="market.high_24h", allow_none=True)
    low_24h = Number(attribute="market.low_24h", allow_none=True)
    circulating_supply = Number(attribute="asset.circulating_supply")
    total_supply = Number(attribute="asset.total_supply", allow_none=True)
    max_supply = Number(attribute="asset.max_supply", allow_none=True)
    ath = Number(attribute="market.ath", allow_none=True)
    ath_change_percentage = Number(attribute="market.ath_change_percentage", allow_none=True)
    ath_date = Timestamp(attribute="market.ath_date", allow_none=True)
    atl = Number(attribute="market.atl", allow_none=True)
    atl_change_percentage = Number(attribute="market.atl_change_percentage", allow_none=True)
    atl_date = Timestamp(attribute="market.atl_date", allow_none=True)
    last_updated = Timestamp(attribute="market.last_updated")


class AssetDetailOutput(AssetFullOutput):
    """The detail at the top level, and again under `data`, as some clients look there."""

    data = fields.Nested(AssetFullOutput, attribute="itself")


class PricePointOutput(Output):
    """The price of an asset at one time."""

    time = Timestamp()
    price = Price()


class PricesOutput(Output):
    """Past prices of an asset, oldest first."""

    asset_id = fields.String()
    points = fields.List(fields.Nested(PricePointOutput))
