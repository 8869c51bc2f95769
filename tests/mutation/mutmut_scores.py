"""General mutation testing, with mutmut: every operator, number, text and argument of the rules and of the money code.

    make mutmut                  everything
    make mutmut ONLY=domain      one of the runs

Works on a copy of the project under `var/`, where it leaves mutmut's results (`mutmut browse` shows them). Prints the
score of each module and each mutant that no test killed; ends with 1 unless each of those is explained.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
COPIED = ("app", "dev", "tests", "docs", "wsgi.py", "setup.cfg", "gunicorn.conf.py", "Procfile")
LINKED = ("node_modules",)


@dataclass(frozen=True)
class Run:
    """Which files are mutated, and the tests that may notice: of these mutmut runs those that reach the mutant.

    It names each test to pytest, which must understand the name: no file whose test ids have quotes and backslashes.
    """

    mutated: tuple[str, ...]
    tests: tuple[str, ...]


RULES = (
    "assets",
    "clock",
    "errors",
    "gains",
    "holdings",
    "idempotency",
    "identifiers",
    "ledger",
    "money",
    "orders",
    "periods",
    "users",
)

RUNS = {
    "domain": Run(tuple(f"app/domain/{name}.py" for name in RULES), ("tests/domain",)),
    "models": Run(
        ("app/models/balance_changes.py", "app/models/idempotency.py", "app/models/order_changes.py"),
        ("tests/orders/test_interleaving.py", "tests/orders/limit", "tests/api/test_idempotency.py"),
    ),
}

NO_SUCH_LETTER = "a number has no X"
LABEL = "no code asks for the label of this step"
TYPES = "it only tells the types"
KEY_WAS_READ = "a holding that was sold from exists, and its update takes the key from what was read"
ENDLESS = "the search does not end: mutmut calls this a timeout"
ASSERTION = "assert nominal is not None and order.expires_at is not None, "

PUT_TRADE = "batch.put({}, _trade(order, price, filled.total_amount, traded.gained, now))"
UPDATE = 'batch.set({}, holding, {{**figures, "updated_at": now}}, unchanged=FIGURES)'

# Mutants that no test kills: function, the line as it is mutated, and why no test can tell it from the original.
EXPLAINED = {
    ("money.x_plain", 'text = format(number, "F")'): "it differs from f in NaN and Infinity alone, which no amount is",
    ("money.x_plain", 'return text.rstrip("XX0XX").rstrip(".") if "." in text else text'): NO_SUCH_LETTER,
    ("money.x_plain", 'return text.rstrip("0").rstrip("XX.XX") if "." in text else text'): NO_SUCH_LETTER,
    (
        "money.x_moved_price",
        "return max(tick, moved.quantize(tick, rounding=ROUND_CEILING if percent >= 0 else ROUND_FLOOR, "
        "context=_ROUNDING))",
    ): "no price is moved by nothing",
    (
        "periods.x_find_bounds",
        "before=Span(0, count if period.start > BEGINNING else 1),",
    ): "transaction 1 was not made before the beginning",
    (
        "periods.x__probe",
        "return range(span.low + step, span.high + 2, step)",
    ): "the number after a span is read and ignored",
    ("periods.x__probe", "return range(1)"): ENDLESS,
    (
        "periods.x__enclose",
        "within = {number: happened for number, happened in has_happened.items() if span.low <= number <= span.high}",
    ): "the number before a span has happened",
    (
        "periods.x__enclose",
        "within = {number: happened for number, happened in has_happened.items() if span.low < number < span.high}",
    ): ENDLESS,
    (
        "order_changes.x__reserve",
        ASSERTION.replace(" and ", " or ") + '"an order that waits has a price and an end"',
    ): TYPES,
    ("order_changes.x__reserve", ASSERTION + '"XXan order that waits has a price and an endXX"'): TYPES,
    ("order_changes.x__reserve", ASSERTION + '"AN ORDER THAT WAITS HAS A PRICE AND AN END"'): TYPES,
    ("order_changes.x__reserve", "write_holding(batch, None, holding, after, now)"): KEY_WAS_READ,
    ("order_changes.x__give_back", "write_holding(batch, None, holding, after, now)"): KEY_WAS_READ,
    ("order_changes.x__reserve", "batch.put(None, placed)"): LABEL,
    ("order_changes.x__reserve", 'batch.put("XXorderXX", placed)'): LABEL,
    ("order_changes.x__reserve", 'batch.put("ORDER", placed)'): LABEL,
    ("order_changes.x__execute", "batch.put(None, placed)"): LABEL,
    ("order_changes.x__execute", 'batch.put("XXorderXX", placed)'): LABEL,
    ("order_changes.x__execute", 'batch.put("ORDER", placed)'): LABEL,
    ("order_changes.x__execute", "batch.put(None, _trade(placed, price, total, traded.gained, now))"): LABEL,
    ("order_changes.x__execute", 'batch.put("XXtradeXX", _trade(placed, price, total, traded.gained, now))'): LABEL,
    ("order_changes.x__execute", 'batch.put("TRADE", _trade(placed, price, total, traded.gained, now))'): LABEL,
    (
        "order_changes.x_fill_order",
        "batch.put(None, _trade(order, price, filled.total_amount, traded.gained, now))",
    ): LABEL,
    (
        "order_changes.x_fill_order",
        'batch.put("XXtradeXX", _trade(order, price, filled.total_amount, traded.gained, now))',
    ): LABEL,
    (
        "order_changes.x_fill_order",
        'batch.put("TRADE", _trade(order, price, filled.total_amount, traded.gained, now))',
    ): LABEL,
    ("balance_changes.x_write_holding", "batch.put(None, made)"): LABEL,
    ("balance_changes.x_write_holding", 'batch.put("XXholdingXX", made)'): LABEL,
    ("balance_changes.x_write_holding", 'batch.put("HOLDING", made)'): LABEL,
    ("balance_changes.x_write_holding", UPDATE.format("None")): LABEL,
    ("balance_changes.x_write_holding", UPDATE.format('"XXholdingXX"')): LABEL,
    ("balance_changes.x_write_holding", UPDATE.format('"HOLDING"')): LABEL,
}


def copy_project(folder: Path, run: Run) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    # mutmut runs the tests in `mutants/`, where it copies what it is told to.
    for target in (folder, folder / "mutants"):
        target.mkdir(exist_ok=True)
        for name in LINKED:
            os.symlink(PROJECT / name, target / name)
    with (folder / "setup.cfg").open("a") as settings:
        settings.write("\n[mutmut]\nsource_paths = app\n")
        for option, values in {
            "only_mutate": run.mutated,
            "pytest_add_cli_args_test_selection": run.tests,
            "pytest_add_cli_args": ("-p", "no:cacheprovider"),
            "also_copy": COPIED[1:],
        }.items():
            settings.write(f"{option} =\n" + "".join(f"    {value}\n" for value in values))
    for name in run.mutated:
        undecorate(folder / name)


def undecorate(path: Path) -> None:
    """Apply the decorator of retries at the end of the module: mutmut leaves decorated functions alone."""
    text, decorator = path.read_text(), "retry_while_busy"
    names = re.findall(rf"^@{decorator}\ndef (\w+)\(", text, re.MULTILINE)
    text = text.replace(f"@{decorator}\ndef ", "def ")
    path.write_text(text + "".join(f"\n\n{name} = {decorator}({name})\n" for name in names))


def mutmut(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    # No plugin of pytest is needed, and loading them takes longer than most of the tests.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments], cwd=folder, env=environment, text=True, **options
    )


def mutated_line(folder: Path, mutant: str) -> str:
    """What mutmut wrote, in one line."""
    shown = mutmut(folder, "show", mutant, capture_output=True).stdout
    lines = [line[1:].strip() for line in shown.splitlines() if line.startswith("+") and not line.startswith("+++")]
    gone = [line[1:].strip() for line in shown.splitlines() if line.startswith("-") and not line.startswith("---")]
    return " ".join(lines) or f"without {' '.join(gone)}"


def report(folder: Path) -> list[str]:
    """Print the score of each module, and the mutants that live. Returns those that are not explained."""
    results = mutmut(folder, "results", "--all", "true", capture_output=True).stdout
    outcomes = dict(re.findall(r"^\s*(\S+__mutmut_\d+): (.+)$", results, re.MULTILINE))
    modules: dict[str, Counter[str]] = {}
    for mutant, outcome in outcomes.items():
        modules.setdefault(".".join(mutant.split(".")[:3]), Counter())[outcome] += 1
    for module, counted in sorted(modules.items()):
        print(f"{module}: " + ", ".join(f"{count} {outcome}" for outcome, count in counted.most_common()))
    alive = []
    for mutant, outcome in sorted(outcomes.items()):
        if outcome == "killed":
            continue
        line = mutated_line(folder, mutant)
        function = ".".join(mutant.partition("__mutmut_")[0].split(".")[2:])
        reason = EXPLAINED.get((function, line))
        print(
            f"{'explained' if reason else outcome}  {mutant}\n    {line}"
            + (f"\n    because {reason}" if reason else "")
        )
        if not reason:
            alive.append(mutant)
    return alive


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("", *RUNS), default="", help="one run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=PROJECT / "var" / "mutmut", help="where the copies are made")
    options = parser.parse_args()
    alive = []
    for name, run in RUNS.items():
        if options.only in {"", name}:
            folder, started = options.folder / name, time.monotonic()
            copy_project(folder, run)
            with (folder / "mutmut.log").open("w") as log:
                mutmut(folder, "run", "--max-children", str(options.jobs), stdout=log, stderr=log)
            print(f"{name}: {time.monotonic() - started:.0f} s")
            alive += report(folder)
    print(f"{len(alive)} mutants live" if alive else "every mutant was killed, or is explained")
    sys.exit(1 if alive else 0)


if __name__ == "__main__":
    main()
