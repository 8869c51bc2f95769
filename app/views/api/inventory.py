"""`/api/v1/inventory`: the assets and their prices, for everyone."""

from __future__ import annotations

from typing import Any

from app.domain import errors
from app.schemas.inputs import DaysInput, InventoryInput
from app.schemas.market_outputs import AssetDetailOutput, AssetListOutput, PricesOutput
from app.services import market
from app.views.api.blueprint import JsonBlueprint, read_asset_id
from app.views.http import prices
from app.views.paging import part_of

blueprint = JsonBlueprint("Assets", __name__, url_prefix="/inventory", description="Assets and prices")


@blueprint.get("/assets")
@blueprint.arguments(InventoryInput, location="query")
@blueprint.response(200, AssetListOutput)
def list_assets(query: dict[str, Any]) -> Any:
    """The assets by market capitalisation."""
    assets = part_of(market.list_assets(prices(), active_only=query["active_only"]), query)
    active_count = sum(each.asset.is_active for each in assets)
    return {"data": assets, "assets": assets, "total_count": len(assets), "active_count": active_count}


@blueprint.get("/assets/<asset_id>")
@blueprint.refuses(errors.InvalidInput, errors.AssetNotFound, errors.PriceUnavailable)
@blueprint.response(200, AssetDetailOutput)
def get_asset(asset_id: str) -> Any:
    """One asset and everything known about its market."""
    return market.get_asset_detail(read_asset_id(asset_id), prices())


@blueprint.get("/assets/<asset_id>/prices")
@blueprint.arguments(DaysInput, location="query")
@blueprint.refuses(errors.AssetNotFound, errors.PriceUnavailable)
@blueprint.response(200, PricesOutput)
def list_prices(query: dict[str, Any], asset_id: str) -> Any:
    """Past prices, oldest first, evenly spaced."""
    asset_id = read_asset_id(asset_id)
    return {"asset_id": asset_id, "points": market.get_history(asset_id, prices(), days=query["days"])}
