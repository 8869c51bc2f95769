"""Settings: read once from the environment, typed and checked. Importing this module does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from environs import Env
from marshmallow.validate import OneOf, Range

from app.logs import LEVELS
from app.prices import CoinGeckoSettings

PORTS = Range(1, 65535)


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings. README.md lists the variables."""

    # Signs session cookies, CSRF tokens and cursors. Anyone who has it can impersonate any user.
    secret_key: str
    # Any service that speaks DynamoDB's API; None is AWS, which botocore finds by its own rules.
    dynamodb_endpoint: str | None = None
    aws_region: str = "us-east-1"
    users_table: str = "users"
    orders_table: str = "orders"
    # `simulated`, a market that works offline, or `coingecko`, the real one.
    price_source: str = "simulated"
    # How much faster than the wall clock the simulated market's clock runs.
    market_speed: Decimal = Decimal(1)
    # How to ask CoinGecko for prices, and when they are too old to trade at.
    coingecko: CoinGeckoSettings = CoinGeckoSettings()
    # False only where there is no https, such as on a laptop's loopback.
    cookie_secure: bool = True
    # Origins whose scripts in a browser may call the API; none by default.
    cors_origins: tuple[str, ...] = ()
    # How many proxies in front of the service add to X-Forwarded-For; entries beyond theirs can be forged.
    trusted_proxies: int = 0
    # Work factor of password hashes: 12 takes about a quarter of a second.
    bcrypt_rounds: int = 12
    # Connections to DynamoDB: at least the threads of a worker.
    max_connections: int = 16
    # The lowest level of the application's own log lines: DEBUG shows the probes too.
    log_level: str = "INFO"
    # Whether to count anything and show it at /metrics.
    metrics: bool = True
    # A port for /metrics alone, instead of beside the pages; gunicorn.conf.py listens there.
    metrics_port: int | None = None
    # The port at which `flask orders run` shows its counters; None means nowhere.
    worker_metrics_port: int | None = None
    # The address of both ports: loopback, unless the scraper runs on another machine.
    metrics_host: str = "127.0.0.1"

    @property
    def worker_metrics(self) -> tuple[str, int] | None:
        """The address and port at which the worker shows its counters, if any."""
        return (self.metrics_host, self.worker_metrics_port) if self.metrics and self.worker_metrics_port else None

    @staticmethod
    def from_environment() -> Config:
        """Raises environs.EnvError or ValueError, naming the variable that is missing or wrong."""
        env = Env()
        return Config(
            secret_key=env.str("SECRET_KEY", validate=_long_enough),
            dynamodb_endpoint=env.str("DYNAMODB_ENDPOINT", None) or None,
            aws_region=env.str("AWS_REGION", "") or env.str("AWS_DEFAULT_REGION", "") or "us-east-1",
            users_table=env.str("USERS_TABLE", "users"),
            orders_table=env.str("ORDERS_TABLE", "orders"),
            price_source=env.str("PRICE_SOURCE", "simulated"),
            market_speed=env.decimal("MARKET_SPEED", Decimal(1)),
            coingecko=_coingecko_settings(env),
            cookie_secure=env.bool("COOKIE_SECURE", True),
            cors_origins=tuple(env.list("CORS_ORIGINS", [])),
            trusted_proxies=env.int("TRUSTED_PROXIES", 0),
            bcrypt_rounds=env.int("BCRYPT_ROUNDS", 12),
            log_level=env.str("LOG_LEVEL", "INFO", validate=OneOf(LEVELS)),
            metrics=env.bool("METRICS", True),
            metrics_port=env.int("METRICS_PORT", None, validate=PORTS),
            worker_metrics_port=env.int("WORKER_METRICS_PORT", None, validate=PORTS),
            metrics_host=env.str("METRICS_HOST", "") or "127.0.0.1",
        )


def _coingecko_settings(env: Env) -> CoinGeckoSettings:
    default = CoinGeckoSettings()
    return CoinGeckoSettings(
        url=env.str("COINGECKO_URL", default.url, validate=_web_address),
        api_key=env.str("COINGECKO_API_KEY", "") or None,
        cache_seconds=env.int("COINGECKO_CACHE_SECONDS", default.cache_seconds),
        max_age_seconds=env.int("PRICE_MAX_AGE_SECONDS", default.max_age_seconds),
    )


def _web_address(url: str) -> None:
    if not url.startswith(("https://", "http://")):
        raise ValueError("COINGECKO_URL must be an address such as https://api.coingecko.com/api/v3")


def _long_enough(secret_key: str) -> None:
    if len(secret_key) < 16:
        raise ValueError("SECRET_KEY must have at least 16 characters, such as: openssl rand -hex 32")
