"""The catalogue: which assets exist, what is known about them, and which of them can be traded.

An asset id is `[A-Z0-9]{1,10}`; people may write it in any case. The catalogue is fixed while the program runs.
Supplies (units) and base prices (US dollars for one unit) are rounded reference figures. Current prices are in
`app/prices/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from app.domain.errors import AssetNotFound, AssetNotTradeable
from app.domain.identifiers import ASSET_ID, matches


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One asset. Its prices have at least `price_decimals` decimals; the simulated price moves around `base_price`.

    `total_supply` and `max_supply` are None when they are not fixed. Only an active asset can be traded.
    """

    asset_id: str
    name: str
    description: str
    category: str
    is_active: bool = True
    circulating_supply: Decimal
    total_supply: Decimal | None
    max_supply: Decimal | None
    base_price: Decimal
    price_decimals: int
    coingecko_id: str


_ASSETS = (
    Asset(
        asset_id="BTC",
        name="Bitcoin",
        category="Currency",
        description="The first cryptocurrency, with a supply that can never exceed 21 million coins.",
        circulating_supply=Decimal("19_750_000"),
        total_supply=Decimal("21_000_000"),
        max_supply=Decimal("21_000_000"),
        base_price=Decimal("60000.00"),
        price_decimals=2,
        coingecko_id="bitcoin",
    ),
    Asset(
        asset_id="ETH",
        name="Ethereum",
        category="Smart contracts",
        description="The network on which programs that hold and move value first became common.",
        circulating_supply=Decimal("120_300_000"),
        total_supply=Decimal("120_300_000"),
        max_supply=None,
        base_price=Decimal("2600.00"),
        price_decimals=2,
        coingecko_id="ethereum",
    ),
    Asset(
        asset_id="BNB",
        name="BNB",
        category="Exchange",
        description="Pays the fees of the BNB Chain and lowers those of the exchange that issued it.",
        circulating_supply=Decimal("145_900_000"),
        total_supply=Decimal("145_900_000"),
        max_supply=Decimal("200_000_000"),
        base_price=Decimal("550.00"),
        price_decimals=2,
        coingecko_id="binancecoin",
    ),
    Asset(
        asset_id="SOL",
        name="Solana",
        category="Smart contracts",
        description="A single fast chain that trades demanding hardware for low fees and quick confirmation.",
        circulating_supply=Decimal("468_000_000"),
        total_supply=Decimal("585_000_000"),
        max_supply=None,
        base_price=Decimal("145.00"),
        price_decimals=2,
        coingecko_id="solana",
    ),
    Asset(
        asset_id="XRP",
        name="XRP",
        category="Payments",
        description="Made for moving money between banks and across borders within seconds.",
        circulating_supply=Decimal("56_600_000_000"),
        total_supply=Decimal("99_990_000_000"),
        max_supply=Decimal("100_000_000_000"),
        base_price=Decimal("0.58000"),
        price_decimals=5,
        coingecko_id="ripple",
    ),
    Asset(
        asset_id="DOGE",
        name="Dogecoin",
        category="Meme",
        description="Began as a joke about a dog and stayed as a coin for tips and small payments.",
        circulating_supply=Decimal("146_000_000_000"),
        total_supply=Decimal("146_000_000_000"),
        max_supply=None,
        base_price=Decimal("0.11000"),
        price_decimals=5,
        coingecko_id="dogecoin",
    ),
    Asset(
        asset_id="TRX",
        name="TRON",
        category="Smart contracts",
        description="A chain used above all to send dollar tokens cheaply.",
        circulating_supply=Decimal("86_600_000_000"),
        total_supply=Decimal("86_600_000_000"),
        max_supply=None,
        base_price=Decimal("0.15500"),
        price_decimals=5,
        coingecko_id="tron",
    ),
    Asset(
        asset_id="ADA",
        name="Cardano",
        category="Smart contracts",
        description="Grows by published research first and code second, secured by its holders' stakes.",
        circulating_supply=Decimal("35_000_000_000"),
        total_supply=Decimal("45_000_000_000"),
        max_supply=Decimal("45_000_000_000"),
        base_price=Decimal("0.36000"),
        price_decimals=5,
        coingecko_id="cardano",
    ),
    Asset(
        asset_id="AVAX",
        name="Avalanche",
        category="Smart contracts",
        description="Lets anyone start a chain with its own rules beside the main one.",
        circulating_supply=Decimal("406_000_000"),
        total_supply=Decimal("447_000_000"),
        max_supply=Decimal("720_000_000"),
        base_price=Decimal("25.00"),
        price_decimals=2,
        coingecko_id="avalanche-2",
    ),
    Asset(
        asset_id="SHIB",
        name="Shiba Inu",
        category="Meme",
        description="A token of very many, very cheap units, carried by its community.",
        circulating_supply=Decimal("589_200_000_000_000"),
        total_supply=Decimal("589_500_000_000_000"),
        max_supply=None,
        base_price=Decimal("0.00001500"),
        price_decimals=8,
        coingecko_id="shiba-inu",
    ),
    Asset(
        asset_id="LINK",
        name="Chainlink",
        category="Oracle",
        description="Pays the operators who bring prices and other outside facts onto chains.",
        circulating_supply=Decimal("626_000_000"),
        total_supply=Decimal("1_000_000_000"),
        max_supply=Decimal("1_000_000_000"),
        base_price=Decimal("11.00"),
        price_decimals=2,
        coingecko_id="chainlink",
    ),
    Asset(
        asset_id="BCH",
        name="Bitcoin Cash",
        category="Currency",
        description="Split from Bitcoin in 2017 to hold more payments in each block.",
        circulating_supply=Decimal("19_770_000"),
        total_supply=Decimal("19_770_000"),
        max_supply=Decimal("21_000_000"),
        base_price=Decimal("330.00"),
        price_decimals=2,
        coingecko_id="bitcoin-cash",
    ),
    Asset(
        asset_id="DOT",
        name="Polkadot",
        category="Infrastructure",
        description="Joins many specialised chains under one shared security.",
        circulating_supply=Decimal("1_500_000_000"),
        total_supply=Decimal("1_500_000_000"),
        max_supply=None,
        base_price=Decimal("4.30"),
        price_decimals=2,
        coingecko_id="polkadot",
    ),
    Asset(
        asset_id="NEAR",
        name="NEAR Protocol",
        category="Smart contracts",
        description="Spreads its work over shards and gives accounts names that people can read.",
        circulating_supply=Decimal("1_210_000_000"),
        total_supply=Decimal("1_220_000_000"),
        max_supply=None,
        base_price=Decimal("4.20"),
        price_decimals=2,
        coingecko_id="near",
    ),
    Asset(
        asset_id="LTC",
        name="Litecoin",
        category="Currency",
        description="An early relative of Bitcoin with four times the coins and blocks four times as often.",
        circulating_supply=Decimal("75_000_000"),
        total_supply=Decimal("84_000_000"),
        max_supply=Decimal("84_000_000"),
        base_price=Decimal("66.00"),
        price_decimals=2,
        coingecko_id="litecoin",
    ),
    Asset(
        asset_id="UNI",
        name="Uniswap",
        category="Finance",
        description="Votes on the exchange that replaced order books with shared pools.",
        circulating_supply=Decimal("600_000_000"),
        total_supply=Decimal("1_000_000_000"),
        max_supply=Decimal("1_000_000_000"),
        base_price=Decimal("7.00"),
        price_decimals=2,
        coingecko_id="uniswap",
    ),
    Asset(
        asset_id="XMR",
        name="Monero",
        category="Privacy",
        description="Hides the sender, the receiver and the amount of every payment.",
        circulating_supply=Decimal("18_440_000"),
        total_supply=Decimal("18_440_000"),
        max_supply=None,
        base_price=Decimal("165.00"),
        price_decimals=2,
        coingecko_id="monero",
    ),
    Asset(
        asset_id="XLM",
        name="Stellar",
        category="Payments",
        description="Carries small payments between currencies at almost no cost.",
        circulating_supply=Decimal("29_800_000_000"),
        total_supply=Decimal("50_000_000_000"),
        max_supply=Decimal("50_000_000_000"),
        base_price=Decimal("0.095000"),
        price_decimals=6,
        coingecko_id="stellar",
    ),
    Asset(
        asset_id="ETC",
        name="Ethereum Classic",
        category="Smart contracts",
        description="The Ethereum chain as it went on without the reversal of 2016.",
        circulating_supply=Decimal("149_000_000"),
        total_supply=Decimal("210_700_000"),
        max_supply=Decimal("210_700_000"),
        base_price=Decimal("18.50"),
        price_decimals=2,
        coingecko_id="ethereum-classic",
    ),
    Asset(
        asset_id="POL",
        name="Polygon",
        category="Scaling",
        description="Secures a family of chains that take load off Ethereum; the successor of MATIC.",
        circulating_supply=Decimal("7_000_000_000"),
        total_supply=Decimal("10_300_000_000"),
        max_supply=None,
        base_price=Decimal("0.38000"),
        price_decimals=5,
        coingecko_id="polygon-ecosystem-token",
    ),
    Asset(
        asset_id="AAVE",
        name="Aave",
        category="Finance",
        description="Governs and insures a market where deposits are lent against collateral.",
        circulating_supply=Decimal("14_960_000"),
        total_supply=Decimal("16_000_000"),
        max_supply=Decimal("16_000_000"),
        base_price=Decimal("145.00"),
        price_decimals=2,
        coingecko_id="aave",
    ),
    Asset(
        asset_id="HBAR",
        name="Hedera",
        category="Infrastructure",
        description="Runs on a ledger of gossiped events kept by a council of known companies.",
        circulating_supply=Decimal("37_600_000_000"),
        total_supply=Decimal("50_000_000_000"),
        max_supply=Decimal("50_000_000_000"),
        base_price=Decimal("0.053000"),
        price_decimals=6,
        coingecko_id="hedera-hashgraph",
    ),
    Asset(
        asset_id="ATOM",
        name="Cosmos Hub",
        category="Infrastructure",
        description="Stakes the hub through which independent chains send each other messages.",
        circulating_supply=Decimal("391_000_000"),
        total_supply=Decimal("391_000_000"),
        max_supply=None,
        base_price=Decimal("4.40"),
        price_decimals=2,
        coingecko_id="cosmos",
    ),
    Asset(
        asset_id="ALGO",
        name="Algorand",
        category="Smart contracts",
        description="Draws a secret lottery among holders to agree on each block at once.",
        circulating_supply=Decimal("8_300_000_000"),
        total_supply=Decimal("10_000_000_000"),
        max_supply=Decimal("10_000_000_000"),
        base_price=Decimal("0.12500"),
        price_decimals=5,
        coingecko_id="algorand",
    ),
    Asset(
        asset_id="MATIC",
        name="Polygon (old)",
        category="Scaling",
        is_active=False,
        description="The former token of Polygon, replaced by POL and kept here for its history.",
        circulating_supply=Decimal("1_000_000_000"),
        total_supply=Decimal("10_000_000_000"),
        max_supply=Decimal("10_000_000_000"),
        base_price=Decimal("0.38000"),
        price_decimals=5,
        coingecko_id="matic-network",
    ),
)

CATALOGUE: Mapping[str, Asset] = MappingProxyType({asset.asset_id: asset for asset in _ASSETS})
"""Every asset by its id, about the largest first."""


def find_asset(asset_id: str) -> Asset | None:
    """The asset with this id, in any ASCII case. None for an unknown id and for text that is not an id."""
    # Matched before upper(), which turns letters such as "ß" into ASCII ones.
    if not matches(ASSET_ID, asset_id):
        return None
    return CATALOGUE.get(asset_id.upper())


def get_asset(asset_id: str) -> Asset:
    """The asset with this id, active or not. Raises AssetNotFound."""
    asset = find_asset(asset_id)
    if asset is None:
        raise AssetNotFound()
    return asset


def get_tradeable_asset(asset_id: str) -> Asset:
    """The active asset with this id. Raises AssetNotTradeable for an unknown and for an inactive one."""
    asset = find_asset(asset_id)
    if asset is None or not asset.is_active:
        raise AssetNotTradeable(asset_id)
    return asset
