"""Settings: read once from the environment, typed and checked. Importing this module does nothing.

A blank variable counts as unset. Case and surrounding space do not matter where they mean nothing. Any other value
that is not understood is refused by `WrongSetting`. It imports little, because the launcher checks the settings too.
"""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.domain.limits import Limits
from app.domain.money import MAX_AMOUNT
from app.domain.second_factor import Demand
from app.mail import MailSettings, SmtpServer, is_loopback
from app.prices import CoinGeckoPlan, CoinGeckoSettings

# What a secret and a work factor must be where others than one's own programs can come in.
_STRONG_SECRET, _STRONG_VARIETY, _STRONG_ROUNDS = 32, 10, 10
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class WrongSetting(ValueError):
    """A setting cannot be used. The sentence names it and says what it may be and what it was; secrets stay secret."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings. README.md lists the variables."""

    # Signs session cookies, CSRF tokens and cursors. Anyone who has it can impersonate any user.
    secret_key: str
    # Former secrets: what they signed is still accepted.
    secret_key_fallbacks: tuple[str, ...] = ()
    # Any service that speaks DynamoDB's API; None is AWS, which botocore finds by its own rules.
    dynamodb_endpoint: str | None = None
    # How operations travel there: `curl`, or `botocore`, which takes more processor time.
    dynamodb_transport: str = "curl"
    aws_region: str = "us-east-1"
    users_table: str = "users"
    orders_table: str = "orders"
    # Over how many keys the open orders of a book, and those that end on a day, are spread. It may be raised, workers
    # first: they look at the keys of their own number alone.
    key_shards: int = 1
    # Whether gunicorn creates missing tables when it starts, as it does on a laptop.
    create_tables: bool = False
    # Where gunicorn listens: at each of `bind`, or else at this port of loopback.
    bind: tuple[str, ...] = ()
    port: int = 8000
    # Processes of gunicorn; None is one for each core.
    web_workers: int | None = None
    # `simulated`, a market that works offline, or `coingecko`, the real one.
    price_source: str = "simulated"
    # How much faster than the wall clock the simulated market's clock runs.
    market_speed: Decimal = Decimal(1)
    # How to ask CoinGecko for prices, and when they are too old to trade at.
    coingecko: CoinGeckoSettings = CoinGeckoSettings()
    # How mail leaves: to a server, into a folder, or not at all.
    mail: MailSettings = MailSettings()
    # False only where there is no https, such as on a laptop's loopback.
    cookie_secure: bool = True
    # Set by the image's program `all` alone: cookies travel over http although others can come in. Refused for anything
    # but names of this machine and the data of an engine on it.
    trial_over_http: bool = False
    # The host names of the site; one that begins with a dot stands for all below it. None given, any is taken.
    site_hosts: tuple[str, ...] = ()
    # Where to report a weakness, as /.well-known/security.txt says it: an address of e-mail or of the web.
    security_contact: str | None = None
    # Origins whose scripts in a browser may call the API; none by default.
    cors_origins: tuple[str, ...] = ()
    # How many proxies in front of the service add to X-Forwarded-For; entries beyond theirs can be forged. None counts
    # as 0, and says that nobody has thought of it.
    trusted_proxies: int | None = None
    # Connections to each worker that one address may have open, unless there are proxies.
    connections_per_address: int = 64
    # How much one person, device or address may ask for.
    limits: Limits = Limits()
    # Work factor of password hashes: 12 takes about a quarter of a second.
    bcrypt_rounds: int = 12
    # How long a browser session lasts without use, and in all.
    session_idle_minutes: int = 30
    session_hours: int = 12
    # How long a password that was given counts as proof of who is there, and the largest withdrawal, in USD, without.
    proof_minutes: int = 10
    proof_over: Decimal = Decimal("1000.00")
    # Who must have a second factor; None is operators where others can come in, and nobody on loopback.
    second_factor: Demand | None = None
    # The first encrypts the seeds of second factors, all decrypt them; none given, those of `secret_key` do.
    second_factor_keys: tuple[str, ...] = ()
    # How long the reset of a lost second factor waits.
    factor_reset_hours: int = 24
    # An administrator's adjustment of more dollars than this waits for a second administrator.
    adjustment_approval_over: Decimal = Decimal("10000.00")
    # A service with the range API of Have I Been Pwned, such as https://api.pwnedpasswords.com/range; None asks nobody.
    breached_passwords_url: str | None = None
    # Connections to DynamoDB: at least the threads of a worker.
    max_connections: int = 16
    # Whether to make spans of requests and of operations of the database. OTEL_... say where they go.
    traces: bool = False
    # The lowest level of the application's own log lines: DEBUG shows the probes too.
    log_level: str = "INFO"
    # Whether to count anything and show it at /metrics.
    metrics: bool = True
    # Where gunicorn's workers share their counters. Only checked: the library for counters reads the variable itself.
    metrics_folder: str | None = None
    # A port for /metrics alone, instead of beside the pages; gunicorn.conf.py listens there.
    metrics_port: int | None = None
    # The port at which `flask orders run` shows its counters; None means nowhere.
    worker_metrics_port: int | None = None
    # The address of both ports: loopback, unless the scraper runs on another machine.
    metrics_host: str = "127.0.0.1"

    @property
    def page_addresses(self) -> list[str]:
        """Where gunicorn serves the pages and the API, in its own words."""
        return list(self.bind) or [f"127.0.0.1:{self.port}"]

    @property
    def web_addresses(self) -> list[str]:
        """Where gunicorn listens: for people, and where METRICS_PORT is set, for the scraper."""
        return self.page_addresses + self.metrics_addresses

    @property
    def metrics_addresses(self) -> list[str]:
        """Where gunicorn serves `/metrics` alone."""
        host = f"[{self.metrics_host}]" if ":" in self.metrics_host else self.metrics_host
        return [f"{host}:{self.metrics_port}"] if self.metrics and self.metrics_port else []

    @property
    def worker_metrics(self) -> tuple[str, int] | None:
        """The address and port at which the worker shows its counters, if any."""
        return (self.metrics_host, self.worker_metrics_port) if self.metrics and self.worker_metrics_port else None

    @property
    def is_public(self) -> bool:
        """Whether others than this machine's programs can come in."""
        return any(not _is_loopback(each) for each in self.page_addresses)

    @property
    def database_is_local(self) -> bool:
        """Whether the database is an engine on this machine."""
        return is_loopback(urlsplit(self.dynamodb_endpoint or "").hostname or "")

    @property
    def second_factor_demand(self) -> Demand:
        """Who must have a second factor."""
        return self.second_factor or (Demand.OPERATORS if self.is_public else Demand.OPTIONAL)

    @property
    def seed_secrets(self) -> tuple[str, ...]:
        """What encrypts the seeds of second factors, and what may have done so before."""
        return (*self.second_factor_keys, self.secret_key, *self.secret_key_fallbacks)

    @property
    def relaxed(self) -> list[str]:
        """What is less safe than it must be where others can come in, in a few words each."""
        relaxed = [f"{name} is {is_now}" for name, is_now, _ in _unsafe(self)]
        is_asked = self.is_public or self.second_factor_demand is not Demand.OPTIONAL
        return relaxed if is_asked else [*relaxed, "SECOND_FACTOR is optional"]

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> Config:
        """Raises WrongSetting for the first variable that cannot be used, or for all that are not safe together."""
        environment = _with_files(environment)
        coingecko = CoinGeckoSettings(**_read(_COINGECKO, environment))
        settings = {"secret_key": "", **_read(_SETTINGS, environment)}
        # After the port, of which the launcher makes the site's address.
        limits = Limits(**_read(_LIMITS, environment))
        config = Config(**settings, limits=limits, coingecko=coingecko, mail=MailSettings(**_read(_MAIL, environment)))
        _check_together(config)
        check_public(config)
        return config

    @staticmethod
    def or_exit() -> Config:
        """The settings of the environment; ends the process with one sentence and status 2 if one cannot be used."""
        try:
            return Config.from_environment()
        except WrongSetting as wrong:
            print(wrong, file=sys.stderr)
            sys.exit(2)


@dataclass(frozen=True)
class _Kind:
    """`what` a setting may be, and how its text, which is not blank, is read. `read` raises ValueError."""

    what: str
    read: Callable[[str], Any]
    is_secret: bool = False


def _read(settings: Mapping[str, tuple[str, _Kind]], environment: Mapping[str, str]) -> dict[str, Any]:
    """The fields that are set; of two variables for one field, the later counts. Raises WrongSetting."""
    fields: dict[str, Any] = {}
    for name, (field, kind) in settings.items():
        if text := environment.get(name, "").strip():
            try:
                fields[field] = kind.read(text)
            except (ValueError, ArithmeticError):
                was = f"a text of {len(text)} characters" if kind.is_secret else repr(text)
                raise WrongSetting(f"{name} must be {kind.what}, not {was}.") from None
    return fields


def _with_files(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with the secrets that are in files: `SECRET_KEY_FILE` names one of `SECRET_KEY`."""
    whole = dict(environment)
    for name in _SECRETS:
        file = environment.get(f"{name}_FILE", "").strip()
        if not file:
            continue
        if environment.get(name, "").strip():
            raise WrongSetting(f"{name} must be unset where {name}_FILE is set.")
        try:
            whole[name] = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise WrongSetting(f"{name}_FILE must be a file that can be read, not {file!r} ({why}).") from None
        if not whole[name]:
            raise WrongSetting(f"{name}_FILE must be a file with a secret in it, not {file!r}, which is empty.")
    return whole


def _check_together(config: Config) -> None:
    """Raises WrongSetting where settings that are right alone do not go together."""
    if not config.secret_key:
        raise WrongSetting(f"SECRET_KEY must be {_SECRET.what}, and is not set.")
    if config.orders_table == config.users_table:
        raise WrongSetting(f"ORDERS_TABLE must be another name than USERS_TABLE, not {config.orders_table!r}.")
    if config.metrics and any(each.endswith(f":{config.metrics_port}") for each in config.page_addresses):
        raise WrongSetting(f"METRICS_PORT must be another port than that of the pages, not '{config.metrics_port}'.")
    _check_coingecko(config.coingecko)
    _check_mail(config.mail)
    _check_trial(config)
    if config.traces and not (find_spec("opentelemetry") and find_spec("opentelemetry.exporter")):
        raise WrongSetting("TRACES must be off, unless requirements-traces.lock is installed instead of another lock.")


def _check_mail(settings: MailSettings) -> None:
    if settings.is_on and not settings.site:
        raise WrongSetting(f"SITE_URL must be {_SITE.what} where mail is sent, and is not set.")
    if settings.server and settings.sender == MailSettings.sender:
        raise WrongSetting(f"MAIL_FROM must be {_SENDER.what} where SMTP_URL is set, and is not set.")


def _check_trial(config: Config) -> None:
    """Raises WrongSetting where a trial would be more than that: people come by other names, or data is elsewhere."""
    wider = {
        "DYNAMODB_ENDPOINT": not config.database_is_local,
        "SITE_HOSTS": not config.site_hosts or not all(is_loopback(each.strip("[]")) for each in config.site_hosts),
        "TRUSTED_PROXIES": bool(config.trusted_proxies),
        "SMTP_URL": config.mail.server is not None,
    }
    if config.trial_over_http and any(wider.values()):
        settings = ", ".join(name for name, is_wider in wider.items() if is_wider)
        raise WrongSetting(f"UNSAFE_TRIAL_OVER_HTTP must be unset where this is more than a trial, as {settings} says.")


def check_public(config: Config) -> None:
    """Raises WrongSetting with everything that is not safe where others than this machine's programs can come in."""
    allowed = {"COOKIE_SECURE"} if config.trial_over_http else set()
    unsafe = [each for each in _unsafe(config) if each[0] not in allowed]
    wrong = [f"{name} must be {must}, and is {is_now}" for name, is_now, must in unsafe]
    if wrong and config.is_public:
        raise WrongSetting(f"BIND {','.join(config.bind)!r} lets others in, so: {'; '.join(wrong)}.")


def _unsafe(config: Config) -> Iterator[tuple[str, str, str]]:
    """Each setting that is only for a machine of one's own: its name, what it is, and what it must be elsewhere."""
    if not config.cookie_secure:
        yield "COOKIE_SECURE", "false", "true, with https in front"
    if not config.site_hosts:
        yield "SITE_HOSTS", "not set", "the host names of the site"
    if config.trusted_proxies is None:
        yield "TRUSTED_PROXIES", "not set", "the number of proxies in front, also where that is 0"
    secrets = {
        "SECRET_KEY": (config.secret_key,),
        "SECRET_KEY_FALLBACKS": config.secret_key_fallbacks,
        "SECOND_FACTOR_KEY": config.second_factor_keys,
    }
    for name, secret in ((name, secret) for name, those in secrets.items() for secret in those):
        if len(secret) < _STRONG_SECRET or len(set(secret)) < _STRONG_VARIETY:
            is_now = f"a text of {len(secret)} characters, {len(set(secret))} of them different"
            yield name, is_now, f"{_STRONG_SECRET} characters or more, {_STRONG_VARIETY} of them different"
    if config.bcrypt_rounds < _STRONG_ROUNDS:
        yield "BCRYPT_ROUNDS", str(config.bcrypt_rounds), f"{_STRONG_ROUNDS} or more"
    if config.metrics and config.metrics_port is None:
        yield "METRICS_PORT", "not set", "a port for /metrics alone, or METRICS off"


def _is_loopback(bind: str) -> bool:
    # A socket in the file system, or one that was handed over, is for a proxy, which serves others.
    host = "" if re.match("unix:|fd:", bind) else bind.rpartition(":")[0].strip("[]")
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_coingecko(settings: CoinGeckoSettings) -> None:
    if settings.cache_seconds >= settings.max_age_seconds:
        raise WrongSetting(
            f"COINGECKO_CACHE_SECONDS must be less than PRICE_MAX_AGE_SECONDS, {settings.max_age_seconds}, "
            f"not '{settings.cache_seconds}'."
        )
    if settings.plan is CoinGeckoPlan.PRO and not settings.api_key:
        raise WrongSetting("COINGECKO_API_KEY must be the key of the plan where COINGECKO_PLAN is pro, and is not set.")
    plan = next(
        (plan for plan in CoinGeckoPlan if urlsplit(plan.url).hostname == urlsplit(settings.root).hostname), None
    )
    if plan not in {None, settings.plan}:
        raise WrongSetting(
            f"COINGECKO_PLAN must be {plan} where COINGECKO_URL is {settings.url!r}, not '{settings.plan}'."
        )


def _pattern(what: str, pattern: str, *, is_secret: bool = False) -> _Kind:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError
        return text

    return _Kind(what, read, is_secret)


def _one_of(*words: str) -> _Kind:
    known = {word.lower(): word for word in words}

    def read(text: str) -> str:
        if text.lower() not in known:
            raise ValueError
        return known[text.lower()]

    return _Kind(f"{', '.join(words[:-1])} or {words[-1]}", read)


def _whole(least: int, most: int) -> _Kind:
    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError
        return int(text)

    return _Kind(f"a whole number from {least} to {most}", read)


def _read_switch(text: str) -> bool:
    word = text.lower()
    if word not in _ON | _OFF:
        raise ValueError
    return word in _ON


def _read_speed(text: str) -> Decimal:
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,3})?", text) or not Decimal("0.001") <= Decimal(text) <= 1_000_000:
        raise ValueError
    return Decimal(text)


def _read_dollars(text: str) -> Decimal:
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,2})?", text) or Decimal(text) > MAX_AMOUNT:
        raise ValueError
    return Decimal(text)


def _read_address(text: str) -> str:
    """An http address without what would not be used. Raises ValueError; `port` does so for one above 65535."""
    address = urlsplit(text)
    is_plain = address.scheme in {"http", "https"} and address.username is None and address.port != 0
    if not is_plain or address.query or address.fragment or re.search(r"\s", text):
        raise ValueError
    _read_host(address.hostname or "")
    return text.rstrip("/")


def _read_site(text: str) -> str:
    """As an address; links with secrets lead there, so https beyond loopback."""
    address = _read_address(text)
    if urlsplit(address).scheme != "https" and not is_loopback(urlsplit(address).hostname or ""):
        raise ValueError
    return address


def _read_sender(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", text):
        raise ValueError
    return text


def _read_origins(text: str) -> tuple[str, ...]:
    """As browsers send them: in lower case, without a slash at the end."""
    origins = tuple(each.strip().lower().removesuffix("/") for each in text.split(",") if each.strip())
    for origin in origins:
        # The library for CORS takes `*` for every origin, and most other signs for a regular expression.
        if origin != "*" and not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", origin):
            raise ValueError
    return origins


def _read_site_hosts(text: str) -> tuple[str, ...]:
    """In lower case and without ports, as they are compared."""
    return tuple(_read_site_host(each.strip().lower()) for each in text.split(",") if each.strip())


def _read_site_host(text: str) -> str:
    if text.startswith("["):
        return f"[{_read_host(text)}]"
    if ":" in text:
        raise ValueError
    return f".{_read_host(text[1:])}" if text.startswith(".") else _read_host(text)


def _read_secrets(text: str) -> tuple[str, ...]:
    secrets = tuple(each.strip() for each in re.split(r"[,\n]", text) if each.strip())
    return tuple(_SECRET.read(each) for each in secrets)


def _read_contact(text: str) -> str:
    if re.fullmatch(r"(mailto:)?[^\s@,:/]+@[A-Za-z0-9.-]+", text):
        return text if text.startswith("mailto:") else f"mailto:{text}"
    if not text.startswith("https://"):
        raise ValueError
    return _read_address(text)


def _read_host(text: str) -> str:
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host):
        raise ValueError
    return host


def _read_folder(text: str) -> str:
    folder = Path(text).absolute()
    exists = next(each for each in (folder, *folder.parents) if each.exists())
    if not exists.is_dir() or not os.access(exists, os.W_OK | os.X_OK):
        raise ValueError
    return text


def _read_binds(text: str) -> tuple[str, ...]:
    return tuple(_read_bind(each.strip()) for each in text.split(","))


def _read_bind(text: str) -> str:
    if re.fullmatch(r"unix:\S+|fd://[0-9]+", text):
        return text
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        raise ValueError
    _PORT.read(port)
    if host:
        _read_host(host)
    return text


_ON, _OFF = {"true", "t", "on", "yes", "y", "1"}, {"false", "f", "off", "no", "n", "0"}
_SECRET = _pattern("16 characters or more, such as openssl rand -hex 32 prints", r"(?s).{16,}", is_secret=True)
_SWITCH = _Kind("true or false, on or off, yes or no, 1 or 0", _read_switch)
_PORT = _whole(1, 65535)
_DOLLARS = _Kind(f"dollars from 0 to {MAX_AMOUNT}", _read_dollars)
_ADDRESS = _Kind("an address such as https://host or http://127.0.0.1:8080/path", _read_address)
_REGION = _pattern("a region such as eu-central-1", r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_TABLE = _pattern("3 to 255 letters, digits, dots, hyphens or underscores", r"[A-Za-z0-9_.-]{3,255}")

_SITE = _Kind("an https address such as https://orders.example, or http on loopback", _read_site)
_SENDER = _Kind("an e-mail address such as orders@shop.example", _read_sender)
_SERVER = _Kind(
    "smtps://user:password@host:465, or smtp://host:587, which means STARTTLS unless ?tls=none follows",
    SmtpServer.from_url,
    is_secret=True,
)

# The variable, its field, and what it may be. Defaults are those of the fields.
_SETTINGS = {
    "SECRET_KEY": ("secret_key", _SECRET),
    "SECRET_KEY_FALLBACKS": (
        "secret_key_fallbacks",
        _Kind("former secrets of 16 characters or more, separated by commas", _read_secrets, is_secret=True),
    ),
    "DYNAMODB_ENDPOINT": ("dynamodb_endpoint", _ADDRESS),
    "DYNAMODB_TRANSPORT": ("dynamodb_transport", _one_of("curl", "botocore")),
    "AWS_DEFAULT_REGION": ("aws_region", _REGION),
    "AWS_REGION": ("aws_region", _REGION),
    "USERS_TABLE": ("users_table", _TABLE),
    "ORDERS_TABLE": ("orders_table", _TABLE),
    "KEY_SHARDS": ("key_shards", _whole(1, 256)),
    "CREATE_TABLES": ("create_tables", _SWITCH),
    "BIND": ("bind", _Kind("addresses such as 0.0.0.0:8000, [::]:8000 or unix:/run/web.sock", _read_binds)),
    "PORT": ("port", _PORT),
    "WEB_CONCURRENCY": ("web_workers", _whole(1, 1000)),
    "PRICE_SOURCE": ("price_source", _one_of("simulated", "coingecko")),
    "MARKET_SPEED": ("market_speed", _Kind("a number from 0.001 to 1000000", _read_speed)),
    "COOKIE_SECURE": ("cookie_secure", _SWITCH),
    "UNSAFE_TRIAL_OVER_HTTP": ("trial_over_http", _SWITCH),
    "CORS_ORIGINS": (
        "cors_origins",
        _Kind("origins such as https://shop.example, separated by commas, or *", _read_origins),
    ),
    "SITE_HOSTS": (
        "site_hosts",
        _Kind("host names such as shop.example or .shop.example, separated by commas, without ports", _read_site_hosts),
    ),
    "SECURITY_CONTACT": (
        "security_contact",
        _Kind("an e-mail address, or one such as https://host/path", _read_contact),
    ),
    "TRUSTED_PROXIES": ("trusted_proxies", _whole(0, 100)),
    "CONNECTIONS_PER_ADDRESS": ("connections_per_address", _whole(1, 10_000)),
    "BCRYPT_ROUNDS": ("bcrypt_rounds", _whole(4, 16)),
    "SESSION_IDLE_MINUTES": ("session_idle_minutes", _whole(1, 1440)),
    "SESSION_HOURS": ("session_hours", _whole(1, 720)),
    "PROOF_MINUTES": ("proof_minutes", _whole(1, 60)),
    "PROOF_OVER": ("proof_over", _DOLLARS),
    "SECOND_FACTOR": ("second_factor", _Kind("optional, operators or all", lambda text: Demand(text.lower()))),
    "SECOND_FACTOR_KEY": (
        "second_factor_keys",
        _Kind("secrets of 16 characters or more, separated by commas", _read_secrets, is_secret=True),
    ),
    "FACTOR_RESET_HOURS": ("factor_reset_hours", _whole(1, 336)),
    "ADJUSTMENT_APPROVAL_OVER": ("adjustment_approval_over", _DOLLARS),
    "BREACHED_PASSWORDS_URL": ("breached_passwords_url", _ADDRESS),
    "TRACES": ("traces", _SWITCH),
    "LOG_LEVEL": ("log_level", _one_of(*LOG_LEVELS)),
    "METRICS": ("metrics", _SWITCH),
    "PROMETHEUS_MULTIPROC_DIR": ("metrics_folder", _Kind("a folder that can be written or made", _read_folder)),
    "METRICS_PORT": ("metrics_port", _PORT),
    "WORKER_METRICS_PORT": ("worker_metrics_port", _PORT),
    "METRICS_HOST": ("metrics_host", _Kind("a host name or an IP address", _read_host)),
}
_LIMITS = {
    "GUESSES_PER_DEVICE": ("guesses_per_device", _whole(1, 1000)),
    "GUESSES_PER_ACCOUNT": ("guesses_per_account", _whole(1, 1000)),
    "GUESSES_PER_ACCOUNT_AND_ADDRESS": ("guesses_per_account_and_address", _whole(1, 1000)),
    "GUESSES_PER_ADDRESS": ("guesses_per_address", _whole(1, 100_000)),
    "LOG_INS_PER_MINUTE": ("log_ins_per_minute", _whole(0, 100_000)),
    "REGISTRATIONS_PER_HOUR": ("registrations_per_hour", _whole(0, 100_000)),
    "RESET_MAILS_PER_HOUR": ("reset_mails_per_hour", _whole(1, 1000)),
    "RESET_MAILS_PER_ADDRESS": ("reset_mails_per_address", _whole(1, 100_000)),
    "CONFIRMATION_MAILS_PER_HOUR": ("confirmation_mails_per_hour", _whole(1, 1000)),
    "MONEY_CHANGES_PER_MINUTE": ("money_changes_per_minute", _whole(0, 100_000)),
    "STATEMENTS_PER_MINUTE": ("statements_per_minute", _whole(0, 100_000)),
    "PERSONAL_TOKENS": ("personal_tokens", _whole(1, 100)),
}
_MAIL = {
    "SMTP_URL": ("server", _SERVER),
    "MAIL_FOLDER": ("folder", _Kind("a folder that can be written or made", _read_folder)),
    "MAIL_FROM": ("sender", _SENDER),
    "SITE_URL": ("site", _SITE),
}
_COINGECKO = {
    "COINGECKO_PLAN": ("plan", _Kind("demo or pro", lambda text: CoinGeckoPlan(text.lower()))),
    "COINGECKO_URL": ("url", _ADDRESS),
    "COINGECKO_API_KEY": ("api_key", _pattern("printable characters without a space", "[!-~]+", is_secret=True)),
    "COINGECKO_CACHE_SECONDS": ("cache_seconds", _whole(1, 86_400)),
    "PRICE_MAX_AGE_SECONDS": ("max_age_seconds", _whole(1, 86_400)),
}
# Those of which NAME_FILE names a file instead.
_SECRETS = tuple(name for name, (_, kind) in {**_SETTINGS, **_LIMITS, **_COINGECKO, **_MAIL}.items() if kind.is_secret)
