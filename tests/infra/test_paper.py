"""docs/aws.md names what the templates have, and its costs follow from README's units."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

from tests.infra.templates import resources, template

ROOT = Path(__file__).parents[2]
PAPER = (ROOT / "docs/aws.md").read_text()
README = (ROOT / "README.md").read_text()


def rows_below(head: str, text: str = PAPER) -> list[list[str]]:
    """The cells of a table, below its head."""
    [found] = re.findall(rf"^\| {re.escape(head)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found.splitlines()]


def quoted(rows: list[list[str]]) -> set[str]:
    return set(re.findall(r"`(\w+)`", " ".join(row[0] for row in rows)))


def test_what_it_names_is_in_the_templates() -> None:
    service, tables = template("service"), template("tables")
    overridden = " ".join(re.findall(r"--parameter-overrides ((?:.*\\\n)*.*)", PAPER))
    given = set(re.findall(r"(\w+)=", overridden)) | set(re.findall(r"`(\w+)=", PAPER)) - {"METRICS"}
    assert len(given) > 6 and given <= service["Parameters"].keys()
    required = {name for name, each in service["Parameters"].items() if "Default" not in each}
    assert required <= given
    assert quoted(rows_below("parameter")) == tables["Parameters"].keys()
    assert set(re.findall(r"\$\(output (\w+)\)", PAPER)) <= service["Outputs"].keys()
    assert quoted(rows_below("alarm")) <= resources("service", "CloudWatch::Alarm").keys()
    assert set(re.findall(r"`(\w+Role)`", PAPER)) == resources("service", "IAM::Role").keys()


def test_its_units_are_those_of_readme() -> None:
    reads, writes = Decimal(0), Decimal(0)
    of_readme = {act: cells for act, _, *cells in rows_below("operation", README)}
    for what, times, read, write in rows_below("what", PAPER.partition("This is what one person")[2]):
        reads, writes = reads + int(times) * Decimal(read), writes + int(times) * Decimal(write)
        if what == "a page":
            continue  # a mean of many
        known = next(cells for act, cells in of_readme.items() if what.split(", from")[0].split(",")[0] in act)
        assert re.search(rf"(?<![\d.]){re.escape(read)}(?![\d.])", known[0]), what
        assert re.search(rf"(?<!\d){write}(?!\d)", known[1]), what
    prices = {what: Decimal(price) for what, price in rows_below("price of") if ";" not in price}
    of_one = reads * prices["a million read units, on demand"] + writes * prices["a million write units, on demand"]
    said = f"That is {reads:.0f} read units and {writes} write units for a person, or {of_one / 10**6:.6f} dollars."
    assert said in PAPER


def test_its_sums_add_up() -> None:
    *parts, total = rows_below("a month costs")
    for column in (1, 2, 3):
        costs = [Decimal(row[column].replace(",", "")) for row in parts]
        assert abs(sum(costs) - Decimal(total[column].replace(",", ""))) < 2, "each is rounded"
