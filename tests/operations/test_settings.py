"""Settings: how each is written, what each refuses, and how the processes end that cannot use one."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app import config
from app.config import Config, WrongSetting
from app.domain.second_factor import Demand
from app.mail import SmtpServer, Tls
from app.prices import CoinGeckoPlan, CoinGeckoSettings
from dev.launcher import free_port

ROOT = Path(__file__).parents[2]
SECRET = "a secret for tests only"
# What others need to be let in.
SAFE = {
    "SECRET_KEY": "0123456789abcdef" * 2,
    "SITE_HOSTS": "shop.example",
    "TRUSTED_PROXIES": "0",
    "METRICS_PORT": "9200",
}


class Row(NamedTuple):
    """A setting: its field, what each spelling means, and what is refused."""

    field: str
    spellings: dict[str, Any]
    refused: tuple[str, ...]


MAIL = {"MAIL_FROM": "orders@shop.example", "SITE_URL": "https://orders.example"}
SWITCH = {
    **dict.fromkeys(("true", "TRUE", " on ", "Yes", "1"), True),
    **dict.fromkeys(("false", "False", "off\n", "NO", "0"), False),
}
NOT_A_SWITCH = ("maybe", "2", "-1", "true false", "none")
NOT_A_PORT = ("0", "-1", "65536", "80.0", "web", "1_0", "０", "0x50", "8000 8001")
NOT_A_TABLE = ("ab", "a" * 256, "my table", "users;", "täble")
NOT_AN_ADDRESS = (
    *("localhost:8000", "ftp://host", "http://", "http://:80", "http://host:65536", "http://host:0", "http://a b"),
    *("http://user:secret@host", "http://host?query", "http://host#part", "http://ho_st", "http://[::1", "http://-"),
)
# What a trial is.
TRIAL = {
    "UNSAFE_TRIAL_OVER_HTTP": "yes",
    "BIND": "0.0.0.0:8000",
    "COOKIE_SECURE": "false",
    "SITE_HOSTS": "localhost,127.0.0.1,[::1]",
    "DYNAMODB_ENDPOINT": "http://127.0.0.1:1",
}
# Limits of which there may be none; a guess is always counted.
NO_LIMIT = {"log_ins_per_minute", "registrations_per_hour", "money_changes_per_minute", "statements_per_minute"}


def refused(limit: str) -> tuple[str, ...]:
    return ("-1", "many", "1.5", "100001", *(() if limit in NO_LIMIT else ("0",)))


ROWS = {
    "SECRET_KEY": Row("secret_key", {f" {SECRET}\n": SECRET, "x" * 16: "x" * 16}, ("x" * 15, "changeme")),
    "SECRET_KEY_FALLBACKS": Row(
        "secret_key_fallbacks",
        {f" {SECRET} ,\n{'x' * 16}": (SECRET, "x" * 16), "x" * 16: ("x" * 16,)},
        ("x" * 15, f"{SECRET},short"),
    ),
    "SITE_HOSTS": Row(
        "site_hosts",
        {
            " Shop.Example ,.shop.example,": ("shop.example", ".shop.example"),
            "127.0.0.1, [::1]": ("127.0.0.1", "[::1]"),
        },
        ("shop.example:443", "https://shop.example", "*", "*.shop.example", "shop example", "shop.example/", "[::1"),
    ),
    "SECURITY_CONTACT": Row(
        "security_contact",
        {
            "security@shop.example": "mailto:security@shop.example",
            " mailto:a@b.example": "mailto:a@b.example",
            "https://shop.example/report/": "https://shop.example/report",
        },
        ("http://shop.example", "shop.example", "a@b@c", "a@b.example\nContact: c@d", "@b.example"),
    ),
    "DYNAMODB_ENDPOINT": Row(
        "dynamodb_endpoint",
        {
            "http://127.0.0.1:8000": "http://127.0.0.1:8000",
            " https://Host/ ": "https://Host",
            "http://[::1]:1": "http://[::1]:1",
        },
        NOT_AN_ADDRESS,
    ),
    "AWS_REGION": Row(
        "aws_region", {" eu-central-1 ": "eu-central-1", "local": "local"}, ("eu central", "-", "eu_1", "x" * 64)
    ),
    "DYNAMODB_TRANSPORT": Row(
        "dynamodb_transport", {"Curl": "curl", " BOTOCORE ": "botocore"}, ("urllib3", "curl botocore")
    ),
    "AWS_DEFAULT_REGION": Row("aws_region", {"eu-west-1": "eu-west-1"}, ("eu/west",)),
    "USERS_TABLE": Row("users_table", {" my.Users-1_ ": "my.Users-1_", "abc": "abc"}, NOT_A_TABLE),
    "ORDERS_TABLE": Row("orders_table", {"Orders2": "Orders2"}, (*NOT_A_TABLE, "users")),
    "CREATE_TABLES": Row("create_tables", SWITCH, NOT_A_SWITCH),
    "BIND": Row(
        "bind",
        {
            **{text: (text.strip(),) for text in ("0.0.0.0:80", " :8000", "[::]:80", "host.example:1")},
            "unix:/run/a, fd://3": ("unix:/run/a", "fd://3"),
        },
        ("0.0.0.0", "host:", "host:web", "::1:80", "[::1:80", "host:65536", "unix:", "ho st:80", "0.0.0.0:80,", ",:81"),
    ),
    "PORT": Row("port", {"80": 80, " 65535 ": 65535, "08000": 8000}, NOT_A_PORT),
    "WEB_CONCURRENCY": Row("web_workers", {"1": 1, " 16 ": 16}, ("0", "-2", "two", "1.5", "1001")),
    "PRICE_SOURCE": Row("price_source", {"Simulated": "simulated", " COINGECKO ": "coingecko"}, ("coin gecko", "none")),
    "MARKET_SPEED": Row(
        "market_speed",
        {"60": Decimal(60), " 0.5 ": Decimal("0.5"), "1000000": Decimal(1_000_000), "0.001": Decimal("0.001")},
        ("0", "-1", "fast", "NaN", "Infinity", "1e9", "1000000.1", "0.0001", "1,5", "1E-999999999", "٣"),
    ),
    "COOKIE_SECURE": Row("cookie_secure", SWITCH, NOT_A_SWITCH),
    "UNSAFE_TRIAL_OVER_HTTP": Row("trial_over_http", SWITCH, NOT_A_SWITCH),
    "CORS_ORIGINS": Row(
        "cors_origins",
        {
            "https://a.example": ("https://a.example",),
            " https://A.example/ , http://localhost:3000,, ": ("https://a.example", "http://localhost:3000"),
            "*": ("*",),
        },
        ("a.example", "https://a.example/path", "https://*.a.example", "null", "https://a.example https://b.example"),
    ),
    "TRUSTED_PROXIES": Row("trusted_proxies", {"0": 0, " 2 ": 2}, ("-1", "one", "1.0", "101", "10.0.0.1")),
    "CONNECTIONS_PER_ADDRESS": Row("connections_per_address", {" 256 ": 256, "1": 1}, ("0", "-1", "10001", "many")),
    "BCRYPT_ROUNDS": Row("bcrypt_rounds", {"4": 4, "16": 16}, ("3", "17", "0", "-4", "many")),
    "SESSION_IDLE_MINUTES": Row("session_idle_minutes", {"1": 1, "1440": 1440}, ("0", "1441", "long")),
    "SECOND_FACTOR": Row(
        "second_factor",
        {"optional": Demand.OPTIONAL, " Operators ": Demand.OPERATORS, "ALL": Demand.ALL},
        ("yes", "true", "none", "admins"),
    ),
    "SECOND_FACTOR_KEY": Row(
        "second_factor_keys", {SECRET: (SECRET,), f"{SECRET},{'x' * 16}": (SECRET, "x" * 16)}, ("x" * 15, f"{SECRET},x")
    ),
    "FACTOR_RESET_HOURS": Row("factor_reset_hours", {"1": 1, "336": 336}, ("0", "337", "a day")),
    "PROOF_MINUTES": Row("proof_minutes", {"1": 1, "60": 60}, ("0", "61", "soon")),
    "PROOF_OVER": Row(
        "proof_over",
        {"0": Decimal(0), "1000000.00": Decimal(1_000_000), "0.5": Decimal("0.5")},
        ("-1", "1000000.01", "1.001", "NaN", "1e3", "all"),
    ),
    "SESSION_HOURS": Row("session_hours", {"1": 1, "720": 720}, ("0", "721", "1.5")),
    "ADJUSTMENT_APPROVAL_OVER": Row(
        "adjustment_approval_over",
        {"0": Decimal(0), " 1000000.00 ": Decimal(1_000_000), "250.5": Decimal("250.5")},
        ("-1", "1000000.01", "1e3", "0.001", "NaN", "10,000", "off", "1_0", "\uff11"),
    ),
    "BREACHED_PASSWORDS_URL": Row(
        "breached_passwords_url",
        {"https://api.pwnedpasswords.com/range/": "https://api.pwnedpasswords.com/range"},
        NOT_AN_ADDRESS,
    ),
    "KEY_SHARDS": Row("key_shards", {"1": 1, " 256 ": 256}, ("0", "-1", "257", "1.5", "many")),
    "TRACES": Row("traces", {each: value for each, value in SWITCH.items() if not value}, NOT_A_SWITCH),
    "LOG_LEVEL": Row(
        "log_level",
        {"info": "INFO", " Debug ": "DEBUG", "warning": "WARNING", "ERROR": "ERROR"},
        ("LOUD", "WARN", "20"),
    ),
    "METRICS": Row("metrics", SWITCH, NOT_A_SWITCH),
    "PROMETHEUS_MULTIPROC_DIR": Row(
        "metrics_folder", {" /tmp/counters/new ": "/tmp/counters/new", ".": "."}, ("/dev/null", "/dev/null/counters")
    ),
    "METRICS_PORT": Row("metrics_port", {" 9100 ": 9100}, (*NOT_A_PORT, "8000")),
    "WORKER_METRICS_PORT": Row("worker_metrics_port", {"9101": 9101}, NOT_A_PORT),
    "METRICS_HOST": Row(
        "metrics_host",
        {"0.0.0.0": "0.0.0.0", "::1": "::1", "[::1]": "::1", " Localhost": "Localhost", "a.b-c": "a.b-c"},
        ("a b", "http://host", "host:80", ":::", "-", "host/"),
    ),
    "SMTP_URL": Row(
        "mail.server",
        {
            "smtps://me:p%40ss@mail.example": SmtpServer(
                host="mail.example", port=465, tls=Tls.IMPLICIT, user="me", password="p@ss"
            ),
            " smtp://Mail.example:25/ ": SmtpServer(host="mail.example", port=25, tls=Tls.STARTTLS),
            "smtp://mail.example?tls=none": SmtpServer(host="mail.example", port=587, tls=Tls.NONE),
            **{
                f"smtp://{host}:1025": SmtpServer(host=host.strip("[]"), port=1025, tls=Tls.NONE)
                for host in ("localhost", "127.0.0.1", "[::1]")
            },
            "smtp://localhost?tls=starttls": SmtpServer(host="localhost", port=587, tls=Tls.STARTTLS),
        },
        (
            *("http://mail.example", "mail.example:25", "smtp://:25", "smtps://mail.example?tls=none", "smtp://a b"),
            *("smtp://mail.example?tls=implicit", "smtp://mail.example?tls=", "smtp://mail.example?ssl=none"),
            *("smtp://mail.example:0", "smtp://mail.example:99999", "smtp://mail.example/inbox", "smtp://h#part"),
        ),
    ),
    "MAIL_FOLDER": Row("mail.folder", {" /tmp/mail/new ": "/tmp/mail/new"}, ("/dev/null", "/dev/null/mail")),
    "MAIL_FROM": Row(
        "mail.sender",
        {" orders@shop.example ": "orders@shop.example"},
        ("orders", "Shop <orders@shop.example>", "a@b@c.example", "a@localhost", "a@b.c\nBcc: d@e.f", "ä@shop.example"),
    ),
    "SITE_URL": Row(
        "mail.site",
        {"https://Orders.example/": "https://Orders.example", "http://127.0.0.1:8000": "http://127.0.0.1:8000"},
        (*NOT_AN_ADDRESS, "http://orders.example", "http://10.0.0.1"),
    ),
    **{
        name: Row(f"limits.{field}", {" 7 ": 7, **({"0": 0} if field in NO_LIMIT else {})}, refused(field))
        for name, (field, _) in config._LIMITS.items()
    },
    "COINGECKO_PLAN": Row("coingecko.plan", {" Demo": CoinGeckoPlan.DEMO}, ("free", "demo key", "enterprise")),
    "COINGECKO_URL": Row(
        "coingecko.url",
        {
            "http://proxy:1/v3/": "http://proxy:1/v3",
            "https://api.coingecko.com/api/v3": "https://api.coingecko.com/api/v3",
        },
        NOT_AN_ADDRESS,
    ),
    "COINGECKO_API_KEY": Row("coingecko.api_key", {" CG-abc ": "CG-abc"}, ("CG-ä", "a key", "CG\r\nX: 1")),
    "COINGECKO_CACHE_SECONDS": Row("coingecko.cache_seconds", {"60": 60}, ("0", "-1", "120", "1000", "soon", "1.5")),
    "PRICE_MAX_AGE_SECONDS": Row("coingecko.max_age_seconds", {"300": 300}, ("0", "never", "86401")),
}


def read(**environment: str) -> Config:
    others = SAFE if environment.get("BIND", "").strip() else {"SECRET_KEY": SECRET}
    return Config.from_environment({**others, **environment})


def field_of(settings: Config, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def test_the_table_has_every_setting() -> None:
    assert ROWS.keys() == {**config._SETTINGS, **config._LIMITS, **config._MAIL, **config._COINGECKO}.keys()


def test_readme_lists_every_setting() -> None:
    documented = (ROOT / "README.md").read_text() + (ROOT / "docs" / "operations.md").read_text()
    assert [name for name in ROWS if f"`{name}`" not in documented] == []


@pytest.mark.parametrize(
    "name, text, value", [(name, text, value) for name, row in ROWS.items() for text, value in row.spellings.items()]
)
def test_each_spelling(name: str, text: str, value: Any) -> None:
    needed = {"SMTP_URL": MAIL, "MAIL_FOLDER": MAIL, "UNSAFE_TRIAL_OVER_HTTP": TRIAL if value is True else {}}
    assert field_of(read(**needed.get(name, {}) | {name: text}), ROWS[name].field) == value


@pytest.mark.parametrize("name, text", [(name, text) for name, row in ROWS.items() for text in row.refused])
def test_each_wrong_value_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(WrongSetting) as refused:
        read(**{name: text})
    sentence = str(refused.value)
    assert sentence.startswith(f"{name} must be ") and sentence.endswith(".") and "\n" not in sentence
    if name in config._SECRETS:
        assert text not in sentence and f"{len(text)} characters" in sentence
    else:
        assert repr(text) in sentence


@pytest.mark.parametrize("name", sorted(ROWS.keys() - {"SECRET_KEY"}))
@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_blank_is_unset(name: str, blank: str) -> None:
    assert read(**{name: blank}) == read() == Config(secret_key=SECRET)


@pytest.mark.parametrize("environment", [{}, {"SECRET_KEY": ""}, {"SECRET_KEY": "  "}])
def test_without_a_secret_nothing_starts(environment: dict[str, str]) -> None:
    with pytest.raises(WrongSetting, match="^SECRET_KEY must be 16 characters or more, .* and is not set.$"):
        Config.from_environment(environment)


def test_traces_need_their_extra() -> None:
    """The lock of the tests does not have what sends spans."""
    with pytest.raises(WrongSetting, match="^TRACES must be off, unless requirements-traces.lock is installed "):
        read(TRACES="on")


def test_a_password_is_not_shown() -> None:
    assert "p@ss" not in repr(read(**MAIL, SMTP_URL="smtps://me:p%40ss@mail.example"))


UNSAFE = {
    "COOKIE_SECURE": ("false", "COOKIE_SECURE must be true, with https in front, and is false"),
    "SITE_HOSTS": ("", "SITE_HOSTS must be the host names of the site, and is not set"),
    "TRUSTED_PROXIES": (
        "",
        "TRUSTED_PROXIES must be the number of proxies in front, also where that is 0, and is not set",
    ),
    "SECRET_KEY": ("x" * 40, "SECRET_KEY must be 32 characters or more, 10 of them different"),
    "SECRET_KEY_FALLBACKS": (
        f"{'x' * 40},",
        "SECRET_KEY_FALLBACKS must be 32 characters or more, 10 of them different",
    ),
    "SECOND_FACTOR_KEY": ("x" * 40, "SECOND_FACTOR_KEY must be 32 characters or more, 10 of them different"),
    "BCRYPT_ROUNDS": ("9", "BCRYPT_ROUNDS must be 10 or more, and is 9"),
    "METRICS_PORT": ("", "METRICS_PORT must be a port for /metrics alone, or METRICS off, and is not set"),
}
OPEN = (
    "0.0.0.0:80",
    ":80",
    "[::]:80",
    "10.0.0.7:80",
    "host.example:80",
    "unix:/run/web.sock",
    "fd://3",
    "127.0.0.1:80,[::]:80",
)
CLOSED = ("127.0.0.1:80", "127.9.9.9:80", "localhost:80", "[::1]:80", "127.0.0.1:80,[::1]:80")


@pytest.mark.parametrize("bind", OPEN)
def test_what_is_safe_starts_where_others_come_in(bind: str) -> None:
    assert read(BIND=bind).relaxed == []
    assert read(BIND=bind, METRICS_PORT="", METRICS="off").relaxed == []


@pytest.mark.parametrize("bind", OPEN)
@pytest.mark.parametrize("name", UNSAFE)
def test_what_is_unsafe_does_not_start_where_others_come_in(bind: str, name: str) -> None:
    text, sentence = UNSAFE[name]
    with pytest.raises(WrongSetting) as refused:
        read(BIND=bind, **{name: text})
    assert sentence in str(refused.value) and str(refused.value).count(" must be ") == 1
    assert "xxxx" not in str(refused.value), "secrets stay secret"


def test_all_that_is_unsafe_is_named_at_once() -> None:
    with pytest.raises(WrongSetting) as refused:
        read(BIND="0.0.0.0:80", **{name: text for name, (text, _) in UNSAFE.items()})
    assert all(sentence in str(refused.value) for _, sentence in UNSAFE.values())
    assert str(refused.value).startswith("BIND '0.0.0.0:80' lets others in, so: ") and "\n" not in str(refused.value)


def test_a_trial_relaxes_the_cookie_alone() -> None:
    assert read(**TRIAL).relaxed == ["COOKIE_SECURE is false"]
    for name in UNSAFE.keys() - {"COOKIE_SECURE", "SITE_HOSTS"}:
        with pytest.raises(WrongSetting, match=f"lets others in, so: {name} must be "):
            read(**TRIAL | {name: UNSAFE[name][0]})


@pytest.mark.parametrize(
    "wider",
    [
        {"DYNAMODB_ENDPOINT": ""},
        {"DYNAMODB_ENDPOINT": "https://dynamodb.example"},
        {"SITE_HOSTS": ""},
        {"SITE_HOSTS": "localhost,shop.example"},
        {"TRUSTED_PROXIES": "1"},
        {"SMTP_URL": "smtps://mail.example", **MAIL},
    ],
    ids=str,
)
def test_nothing_else_is_a_trial(wider: dict[str, str]) -> None:
    with pytest.raises(WrongSetting, match=f"^UNSAFE_TRIAL_OVER_HTTP must be unset .*, as {next(iter(wider))} says.$"):
        read(**TRIAL | wider)


@pytest.mark.parametrize("bind", CLOSED)
def test_on_loopback_it_starts_and_says_what_is_relaxed(bind: str) -> None:
    relaxed = read(BIND=bind, **{name: text for name, (text, _) in UNSAFE.items()}).relaxed
    assert {each.split()[0] for each in relaxed} == {*UNSAFE, "SECOND_FACTOR"}


def test_a_secret_of_31_characters_or_9_different_ones_is_weak() -> None:
    for secret, is_strong in (
        ("0123456789abcdef" * 2, True),
        ("0123456789" * 3 + "a", False),
        ("012345678" * 4, False),
    ):
        assert bool(read(BIND="127.0.0.1:80", SECRET_KEY=secret, SECOND_FACTOR="all").relaxed) is not is_strong


@pytest.mark.parametrize(
    ("bind", "demand"), [*((each, "operators") for each in OPEN), *((each, "optional") for each in CLOSED)]
)
def test_operators_must_have_a_second_factor_where_others_come_in(bind: str, demand: str) -> None:
    assert read(BIND=bind).second_factor_demand == demand
    for said in Demand:
        assert read(BIND=bind, SECOND_FACTOR=said).second_factor_demand is said


SECRETS = {
    "SECRET_KEY": ("secret_key", SECRET, SECRET),
    "SECRET_KEY_FALLBACKS": ("secret_key_fallbacks", f"{SECRET}\n{'x' * 16}\n", (SECRET, "x" * 16)),
    "SECOND_FACTOR_KEY": ("second_factor_keys", SECRET, (SECRET,)),
    "SMTP_URL": ("mail.server", *next(iter(ROWS["SMTP_URL"].spellings.items()))),
    "COINGECKO_API_KEY": ("coingecko.api_key", "CG-abc\n", "CG-abc"),
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_from_a_file(tmp_path: Path, name: str) -> None:
    assert SECRETS.keys() == set(config._SECRETS)
    field, text, value = SECRETS[name]
    file = tmp_path / "secret"
    file.write_text(text)
    others = MAIL | ({"SECRET_KEY": ""} if name == "SECRET_KEY" else {})
    assert field_of(read(**others, **{f"{name}_FILE": f" {file} "}), field) == value
    with pytest.raises(WrongSetting, match=f"^{name} must be unset where {name}_FILE is set.$"):
        read(**MAIL, **{name: text, f"{name}_FILE": str(file)})
    file.write_text("short" if name != "COINGECKO_API_KEY" else "a key")
    with pytest.raises(WrongSetting, match=f"^{name} must be .*, not a text of 5 characters.$"):
        read(**others, **{f"{name}_FILE": str(file)})


BAD_FILES = {
    "none": (None, "No such file or directory"),
    "empty": (b" \n", "which is empty"),
    "no text": (b"\xff" * 40, "it is not text"),
    "a folder": ("folder", "Is a directory"),
}


@pytest.mark.parametrize(("content", "why"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_without_a_secret_is_refused_in_one_sentence(tmp_path: Path, content: Any, why: str) -> None:
    file = tmp_path / "secret"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    with pytest.raises(WrongSetting) as refused:
        read(SECRET_KEY="", SECRET_KEY_FILE=str(file))
    sentence = str(refused.value)
    assert sentence.startswith("SECRET_KEY_FILE must be ") and why in sentence and str(file) in sentence


PRO = {"COINGECKO_PLAN": "pro", "COINGECKO_API_KEY": "CG-1"}
TOGETHER = {
    "one name for two tables": ({"USERS_TABLE": "all", "ORDERS_TABLE": "all"}, "ORDERS_TABLE"),
    "the port of the pages": ({"PORT": "9100", "METRICS_PORT": "9100"}, "METRICS_PORT"),
    "the port of BIND": ({"BIND": "0.0.0.0:9100", "METRICS_PORT": "9100"}, "METRICS_PORT"),
    "a port of BIND": ({"BIND": "127.0.0.1:1,[::1]:9100", "METRICS_PORT": "9100"}, "METRICS_PORT"),
    "a port that is not used": ({"BIND": "0.0.0.0:80", "METRICS_PORT": "8000"}, None),
    "no metrics": ({"PORT": "9100", "METRICS_PORT": "9100", "METRICS": "off"}, None),
    "kept too long": ({"COINGECKO_CACHE_SECONDS": "60", "PRICE_MAX_AGE_SECONDS": "60"}, "COINGECKO_CACHE_SECONDS"),
    "too old too soon": ({"PRICE_MAX_AGE_SECONDS": "30"}, "COINGECKO_CACHE_SECONDS"),
    "mail without a site": ({"SMTP_URL": "smtp://h", "MAIL_FROM": "a@b.example"}, "SITE_URL"),
    "a folder without a site": ({"MAIL_FOLDER": "/tmp/mail"}, "SITE_URL"),
    "mail without a sender": ({"SMTP_URL": "smtp://h", "SITE_URL": "https://h"}, "MAIL_FROM"),
    "a folder without a sender": ({"MAIL_FOLDER": "/tmp/mail", "SITE_URL": "https://h"}, None),
    "a site without mail": ({"SITE_URL": "https://h"}, None),
    "a plan without its key": ({"COINGECKO_PLAN": "pro"}, "COINGECKO_API_KEY"),
    "a plan with its key": (PRO, None),
    "a plan behind a proxy": ({**PRO, "COINGECKO_URL": "http://proxy:1"}, None),
    "the other plan's address": ({**PRO, "COINGECKO_URL": "https://api.coingecko.com/api/v3"}, "COINGECKO_PLAN"),
    "the address alone": ({"COINGECKO_URL": "https://pro-api.coingecko.com/api/v3"}, "COINGECKO_PLAN"),
}


@pytest.mark.parametrize("environment, refused", TOGETHER.values(), ids=TOGETHER)
def test_settings_that_do_not_go_together(environment: dict[str, str], refused: str | None) -> None:
    if refused is None:
        assert read(**environment)
        return
    with pytest.raises(WrongSetting, match=f"^{refused} must be "):
        read(**environment)


def test_of_two_regions_the_first_counts() -> None:
    assert read(AWS_REGION="eu-west-1", AWS_DEFAULT_REGION="us-west-2").aws_region == "eu-west-1"


def test_where_gunicorn_listens() -> None:
    assert read().web_addresses == ["127.0.0.1:8000"]
    assert read(PORT="80", METRICS_PORT="9100").web_addresses == ["127.0.0.1:80", "127.0.0.1:9100"]
    assert read(BIND=":80", METRICS_PORT="9100", METRICS_HOST="::1").web_addresses == [":80", "[::1]:9100"]


def test_the_defaults_of_coingecko() -> None:
    assert read().coingecko == CoinGeckoSettings()


PROCESSES = {
    "gunicorn": ["-m", "gunicorn", "wsgi:app"],
    "a flask command": ["-m", "flask", "--app", "wsgi", "tables", "create"],
    "the worker": ["-m", "flask", "--app", "wsgi", "orders", "run"],
    "make run": ["dev/launcher.py"],
    "make dev": ["dev/launcher.py", "dev"],
    "make audit": ["dev/launcher.py", "flask", "demo"],
}


@pytest.mark.parametrize("command", PROCESSES.values(), ids=PROCESSES)
def test_a_process_ends_with_one_sentence_and_status_2(tmp_path: Path, command: list[str]) -> None:
    """Each reads all settings at one place, so one wrong one is enough; LOG_LEVEL also says how to tell."""
    environment = {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": SECRET,
        "DATA_DIR": str(tmp_path),
        "DYNAMODB_ENDPOINT": "http://127.0.0.1:1",
        "PORT": str(free_port()),
        "FLASK_SKIP_DOTENV": "1",
        "LOG_LEVEL": "loud",
    }
    ended = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (2, "LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, not 'loud'.\n")
