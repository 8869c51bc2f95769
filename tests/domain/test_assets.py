"""The catalogue of assets: what it holds and how an id is looked up."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.assets import CATALOGUE, Asset, find_asset, get_asset, get_tradeable_asset
from app.domain.errors import AssetNotFound, AssetNotTradeable

ASSETS = list(CATALOGUE.values())

NO_IDS = [
    pytest.param("NOPE", id="unknown"),
    pytest.param("", id="empty"),
    pytest.param("BTC ", id="trailing space"),
    pytest.param("BTC\n", id="trailing newline"),
    pytest.param("BTC#BUY", id="key separator"),
    pytest.param("ＢＴＣ", id="full-width letters"),
    pytest.param("doɡe", id="look-alike letter"),
    pytest.param("Lınk", id="dotless i, whose upper case is I"),
    pytest.param("B" * 11, id="too long"),
]


def test_the_catalogue_cannot_be_changed():
    with pytest.raises(TypeError):
        CATALOGUE["XYZ"] = CATALOGUE["BTC"]
    with pytest.raises(AttributeError):
        CATALOGUE["BTC"].is_active = False


@pytest.mark.parametrize("field", ["name", "description", "coingecko_id"])
def test_no_two_assets_share(field):
    values = [getattr(asset, field) for asset in ASSETS]
    assert all(values) and len(set(values)) == len(values)


def has_well_formed_id(asset: Asset) -> bool:
    return bool(re.fullmatch("[A-Z0-9]{1,10}", asset.asset_id)) and CATALOGUE[asset.asset_id] is asset


def has_supplies_in_order(asset: Asset) -> bool:
    supplies = [Decimal(1), asset.circulating_supply, asset.total_supply, asset.max_supply]
    known = [supply for supply in supplies if supply is not None]
    return known == sorted(known)


def has_more_decimals_when_below_one(asset: Asset) -> bool:
    return asset.price_decimals == 2 if asset.base_price >= 1 else 2 < asset.price_decimals <= 8


def has_base_price_at_its_decimals(asset: Asset) -> bool:
    return -asset.base_price.as_tuple().exponent == asset.price_decimals


def has_base_price_of_many_steps(asset: Asset) -> bool:
    return asset.base_price.scaleb(asset.price_decimals) >= 400


@pytest.mark.parametrize(
    "rule",
    [
        has_well_formed_id,
        has_supplies_in_order,
        has_more_decimals_when_below_one,
        has_base_price_at_its_decimals,
        has_base_price_of_many_steps,
    ],
)
def test_every_asset(rule):
    assert [asset.asset_id for asset in ASSETS if not rule(asset)] == []


@pytest.mark.parametrize("asset_id", ["BTC", "btc", "bTc"])
def test_an_id_is_found_in_any_case(asset_id):
    assert find_asset(asset_id) is get_asset(asset_id) is get_tradeable_asset(asset_id) is CATALOGUE["BTC"]


@pytest.mark.parametrize("text", NO_IDS)
def test_what_is_no_known_id_is_not_found(text):
    assert find_asset(text) is None
    with pytest.raises(AssetNotFound):
        get_asset(text)
    with pytest.raises(AssetNotTradeable):
        get_tradeable_asset(text)


def test_an_inactive_asset_is_shown_but_not_traded():
    assert get_asset("matic").is_active is False
    with pytest.raises(AssetNotTradeable) as refusal:
        get_tradeable_asset("matic")
    assert refusal.value.details == {"asset_id": "matic"}


def test_one_or_two_assets_are_inactive():
    assert 1 <= sum(not asset.is_active for asset in ASSETS) <= 2


@given(st.text("BTCETHbtceth19# \nıßＢ", max_size=12))
def test_any_text_is_an_asset_or_nothing(text):
    asset = find_asset(text)
    assert asset is None or asset.asset_id == text.upper()
