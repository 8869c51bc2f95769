"""The papers about security say what is there: each requirement of ASVS 5.0.0 once, tests that exist, right counts."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from app import config
from app.domain import common_passwords
from app.models.item import Item
from app.models.orders import OrdersItem
from app.models.transport import OPERATIONS
from app.models.users import UsersItem
from app.schemas import outputs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
STATES = ("met", "partly", "not met", "deployment", "not applicable")
# How many requirements of levels 1 and 2 each section has. In each they are the first ones, numbered without a gap.
COUNTED = """
1.1: 2  1.2: 9  1.3: 11  1.4: 3  1.5: 2    2.1: 3  2.2: 3  2.3: 4  2.4: 1    3.2: 2  3.3: 4  3.4: 6  3.5: 5  3.7: 2
4.1: 3  4.2: 1  4.3: 2  4.4: 4    5.1: 1  5.2: 3  5.3: 2  5.4: 3
6.1: 3  6.2: 12  6.3: 4  6.4: 4  6.5: 5  6.6: 3  6.8: 4    7.1: 3  7.2: 4  7.3: 2  7.4: 5  7.5: 2  7.6: 2
8.1: 2  8.2: 3  8.3: 1  8.4: 1    9.1: 3  9.2: 4    11.1: 2  11.2: 3  11.3: 3  11.4: 4  11.5: 1  11.6: 1
12.1: 3  12.2: 2  12.3: 4    13.1: 1  13.2: 5  13.3: 2  13.4: 5    14.1: 2  14.2: 4  14.3: 3
15.1: 3  15.2: 3  15.3: 7    16.1: 1  16.2: 5  16.3: 4  16.4: 3  16.5: 3
"""
OF_LEVEL_1 = """
1.2.1 1.2.2 1.2.3 1.2.4 1.2.5 1.3.1 1.3.2 1.5.1  2.1.1 2.2.1 2.2.2 2.3.1  3.2.1 3.2.2 3.3.1 3.4.1 3.4.2 3.5.1 3.5.2
3.5.3  4.1.1 4.4.1  5.2.1 5.2.2 5.3.1 5.3.2  6.1.1 6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.6 6.2.7 6.2.8 6.3.1 6.3.2
6.4.1 6.4.2  7.2.1 7.2.2 7.2.3 7.2.4 7.4.1 7.4.2  8.1.1 8.2.1 8.2.2 8.3.1  9.1.1 9.1.2 9.1.3 9.2.1  11.3.1 11.3.2 11.4.1
12.1.1 12.2.1 12.2.2  13.4.1  14.2.1 14.3.1  15.1.1 15.2.1 15.3.1
"""
SECTIONS = {section: int(count) for section, count in re.findall(r"([\d.]+): (\d+)", COUNTED)}
LEVEL_1 = set(OF_LEVEL_1.split())
TEST = r"tests/[\w/]+\.py::test_\w+"


class Row(NamedTuple):
    number: str
    is_level_1: bool
    asks: str
    state: str
    why: str


@pytest.fixture(scope="module")
def text() -> str:
    return (DOCS / "asvs.md").read_text()


@pytest.fixture(scope="module")
def rows(text: str) -> list[Row]:
    found = re.findall(r"^\| (\**)(\d+\.\d+\.\d+)\1 \| (.*?) \| (.*?) \| (.*) \|$", text, re.MULTILINE)
    return [Row(number, bool(bold), *rest) for bold, number, *rest in found]


def test_each_requirement_stands_once_under_its_chapter(text: str, rows: list[Row]) -> None:
    assert (sum(SECTIONS.values()), len(LEVEL_1)) == (217, 65), "as ASVS 5.0.0 has them without V10 and V17"
    wanted = [f"{section}.{number}" for section, most in SECTIONS.items() for number in range(1, most + 1)]
    assert [row.number for row in rows] == wanted
    assert {row.number for row in rows if row.is_level_1} == LEVEL_1
    for chapter in re.split(r"^## ", text, flags=re.MULTILINE):
        if heading := re.match(r"V(\d+) ", chapter):
            assert set(re.findall(r"^\| \**(\d+)\.\d", chapter, re.MULTILINE)) == {heading[1]}


def test_each_row_has_a_state_and_what_shows_it(rows: list[Row]) -> None:
    for row in rows:
        assert row.state in STATES and row.asks and row.why, row
        names_test = re.search(TEST, row.why)
        if row.state == "met":
            assert names_test or re.search(r"No test: .{20}", row.why), row
        if row.state == "deployment":
            assert re.search("Deployer: .{5}", row.why), row


@pytest.mark.parametrize("paper", sorted(path.name for path in DOCS.glob("*.md")))
def test_every_test_that_is_named_exists(paper: str) -> None:
    named = set(re.findall(TEST, (DOCS / paper).read_text()))
    assert {each for each in named if each.partition("::")[2] not in names_in(each.partition("::")[0])} == set()
    assert ".py::" not in re.sub(TEST, "", (DOCS / paper).read_text()), "a test that is written in another way"


@cache
def names_in(file: str) -> frozenset[str]:
    """The names of the tests in a file; none, if it is not there."""
    path = ROOT / file
    tree = ast.walk(ast.parse(path.read_text() if path.is_file() else ""))
    return frozenset(node.name for node in tree if isinstance(node, ast.FunctionDef))


def test_the_summary_counts_right(text: str, rows: list[Row]) -> None:
    """What it should be stands in the failure: copy it between the two marks."""
    between = text.partition("<!-- summary -->\n")[2].partition("<!-- summary ends -->")[0]
    assert between.strip() == summary(rows)


def summary(rows: list[Row]) -> str:
    lines = [f"| level | {' | '.join(STATES)} | all |", "|---" * (len(STATES) + 2) + "|"]
    for level, those in (("1", LEVEL_1), ("2", {row.number for row in rows} - LEVEL_1)):
        counts = Counter(row.state for row in rows if row.number in those)
        lines.append(f"| {level} | {' | '.join(str(counts[state]) for state in STATES)} | {len(those)} |")
    lines.append("")
    for state in ("not met", "partly"):
        those = [f"**{row.number}**" if row.is_level_1 else row.number for row in rows if row.state == state]
        lines.append(f"{state.capitalize()}: {', '.join(those) or 'none'}.")
    return "\n".join(lines)


def section(paper: str, heading: str) -> str:
    """A section of a document, up to the next heading."""
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", (DOCS / paper).read_text(), re.MULTILINE | re.DOTALL
    )
    assert found, f"{paper} has no section {heading!r}"
    return found[1]


def test_the_words_that_passwords_must_not_consist_of_are_listed() -> None:
    quoted = re.sub(
        r"[>\n]+", " ", section("security.md", "Words of the service").partition("> ")[2].partition("\n\n")[0]
    )
    assert [word.strip(" .") for word in quoted.split(",")] == sorted(common_passwords._SITE_WORDS)


def test_the_inventory_names_every_secret_setting() -> None:
    keys = section("security.md", "Keys")
    assert [name for name in config._SECRETS if f"`{name}`" not in keys] == []


def test_every_address_among_the_settings_is_in_the_table_of_communication() -> None:
    names = {**config._SETTINGS, **config._MAIL, **config._COINGECKO}
    addresses = [name for name in names if re.search("URL|ENDPOINT|_PORT$|^PORT$|HOST|BIND|ORIGINS", name)]
    talk = section("operations.md", "What talks to what")
    assert len(addresses) > 10 and [name for name in addresses if f"`{name}`" not in talk] == []


def test_the_rights_on_aws_are_those_of_what_is_sent() -> None:
    rows = re.findall(r"^\| `?([\w ]+?)`? \| (.*) \|$", section("operations.md", "Rights on AWS"), re.MULTILINE)
    rights = {process: set(re.findall(r"`(?:dynamodb:)?(\w+)`", those)) for process, those in rows}
    assert rights["gunicorn"] | rights["orders run"] == OPERATIONS - {"TransactWriteItems"}
    assert rights["orders run"] == {"Scan"}, "which no request does"


def test_the_inventory_names_what_browsers_get() -> None:
    listed = section("operations.md", "Dependencies")
    files = {path.name for path in (ROOT / "app/static/vendor").iterdir() if "LICENSE" not in path.name}
    for file in files:
        name, _, version = re.sub(r"\.min\..*", "", file).partition("-") if "." in file else (file, "", "")
        assert f"{name} {version}" in listed, file


ANSWERED = {
    "user": outputs.UserWithStatusOutput,
    "session, login token": outputs.SessionOutput,
    "personal token": outputs.TokenOutput,
    "balance": outputs.BalanceOutput,
    "transaction": outputs.TransactionOutput,
    "order": outputs.OrderOutput,
}


@pytest.mark.parametrize("of", ANSWERED)
def test_the_fields_that_are_answered_are_listed(of: str) -> None:
    [row] = re.findall(rf"^\| {of} \| .*$", section("security.md", "Fields"), re.MULTILINE)
    assert [name for name in ANSWERED[of]().fields if f"`{name}`" not in row] == []


def kinds_of_items() -> dict[str, type[Item]]:
    """The classes by the words of `entity_type`."""
    roots: tuple[type[Item], ...] = (UsersItem, OrdersItem)
    kinds = [kind for root in roots for kind in root.entity_type.get_registered_subclasses(root) if kind not in roots]
    return {kind.entity_type.get_discriminator(kind): kind for kind in kinds}


def test_every_kind_of_item_has_a_class_and_a_time() -> None:
    """In the table of classes and in that of times."""
    classes, _, times = section("security.md", "Classes of data").partition("How long each is kept")
    for word in kinds_of_items():
        assert re.search(rf"\b{word}\b", classes) and re.search(rf"\b{word}\b", times), word


def test_every_attribute_of_an_item_is_listed_as_its_model_has_it() -> None:
    """But for those that the text above the tables names. `?` marks an optional one."""
    listed: dict[str, dict[str, bool]] = defaultdict(dict)
    word = ""
    tables = (section("architecture.md", f"Table `{name}`") for name in ("users", "orders"))
    for line in "".join(tables).splitlines():
        word = next(iter(re.findall(r"^(?:\| )?\w+, `([A-Z_]+)`", line)), word)
        _, *cells, _ = line.split("|") if line.startswith("|") else [""] * 3
        names = re.findall(r"`(\w+)`(\??)", cells[2] if len(cells) == 5 else cells[0])
        listed[word] |= {name: bool(mark) for name, mark in names}
    for word, kind in kinds_of_items().items():
        attributes = {each.attr_name: bool(each.null) for each in kind.get_attributes().values()}
        own = attributes.keys() - {"PK", "SK", "entity_type", "username", "created_at", "updated_at"}
        assert {name: listed[word].get(name) for name in own} == {name: attributes[name] for name in own}, word


@pytest.mark.parametrize("paper", ["asvs.md", "security.md", "operations.md", "architecture.md"])
def test_every_link_between_papers_leads_somewhere(paper: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", (DOCS / paper).read_text()):
        if re.match(r"https?:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (DOCS / file).resolve() if file else DOCS / paper
        assert path.exists(), target
        headings = [
            re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-")
            for each in re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
        ]
        assert not anchor or anchor in headings or f'id="{anchor}"' in path.read_text(), target
