"""Seeded bugs: the tests must notice each plausible mistake in the code that handles money.

    make mutants                 all of them
    make mutants ONLY=refund     those whose name contains the word

`bugs/*.txt` holds the bugs. A line begins with its mark, and lines with the same mark that follow each other are one
text; `#` is a comment:

    @ app/domain/money.py                the file
    ? tests/domain/test_money.py         the tests that are most likely to notice
    - if total > MAX_AMOUNT:             a text that the file has exactly once
    ! an order of any size is accepted   the name of a bug
    + if False:                          what the bug has in its place

Each line holds until the next one with its mark; another file needs its own tests.

Each bug is planted alone, in a copy of the project. The tests most likely to notice it run first. When they pass, ALL
others that concern money run, until one fails. Only a failing test counts, and only when it passes without the bug.
Code that cannot be imported, tests that cannot be collected and runs that take too long are reported as such and do
not count. Prints one line for each bug, and the score; ends with 1 unless every bug was noticed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue

PROJECT = Path(__file__).resolve().parents[2]
BUGS = Path(__file__).with_name("bugs")
COPIED = ("app", "dev", "tests", "wsgi.py", "setup.cfg", "gunicorn.conf.py", "Procfile", "docs")
LONGEST_RUN_SECONDS = 600

# The fastest first: these run where the likely tests have noticed nothing.
ALL = (
    "tests/domain",
    "tests/orders/limit",
    "tests/api/test_idempotency.py",
    "tests/orders",
    "tests/proofs/races/test_orders.py",
    "tests/api",
    "tests/models",
    "tests/admin",
    "tests/mail",
    "tests/audit",
)


@dataclass(frozen=True)
class Bug:
    """Replace `old`, which stands once in the file, by `new`; `first` are the tests most likely to notice."""

    name: str
    file: str
    old: str
    new: str
    first: tuple[str, ...]

    def plant(self, text: str) -> str:
        """The text of the file with the bug."""
        return text.replace(self.old, self.new)


def read_bugs() -> list[Bug]:
    """Every bug of `bugs/*.txt`."""
    return [bug for path in sorted(BUGS.glob("*.txt")) for bug in _read_file(path)]


def _read_file(path: Path) -> Iterator[Bug]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    now: dict[str, str] = {}
    for mark, same in groupby(lines, key=lambda line: line[0]):
        now[mark] = "\n".join(line[2:] for line in same)
        if mark == "@":
            now.pop("?", None)
        if mark == "+":
            yield Bug(now["!"], now["@"], now["-"], now["+"], tuple(now["?"].split("\n")))


def misfits(bugs: list[Bug]) -> list[str]:
    """What is wrong with the bugs: each must fit the code, and be a mistake that only a test can find."""
    wrong = [
        f"{name!r}: {count} bugs have this name" for name, count in Counter(b.name for b in bugs).items() if count > 1
    ]
    fitting = []
    for bug in bugs:
        path = PROJECT / bug.file
        times = path.read_text().count(bug.old) if path.is_file() else 0
        wrong += [f"{bug.name!r}: no {test}" for test in bug.first if not _has_test(test)]
        if times != 1:
            wrong.append(f"{bug.name!r}: its text stands {times} times in {bug.file}, not once")
        elif bug.new == bug.old:
            wrong.append(f"{bug.name!r} changes nothing")
        else:
            fitting.append(bug)
    return wrong + _found_by_linter(fitting)


def _has_test(test: str) -> bool:
    path, _, function = test.partition("::")
    file = PROJECT / path
    return file.exists() and (not function or f"\ndef {function}(" in file.read_text())


def _found_by_linter(bugs: list[Bug]) -> list[str]:
    """The bugs with which a file has no valid syntax or an undefined name."""
    with tempfile.TemporaryDirectory() as folder:
        for number, bug in enumerate(bugs):
            (Path(folder) / f"{number}.py").write_text(bug.plant((PROJECT / bug.file).read_text()))
        options = ("--isolated", "--no-cache", "--target-version", "py311", "--select", "F821")
        command = [sys.executable, "-m", "ruff", "check", *options, "--output-format", "json", folder]
        run = subprocess.run(command, capture_output=True, text=True)
    return [f"{bugs[int(Path(each['filename']).stem)].name!r}: {each['message']}" for each in json.loads(run.stdout)]


class Copy:
    """A copy of the project, in which tests run."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        for name in COPIED:
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(source, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, self.folder / name)
        os.symlink(PROJECT / "node_modules", self.folder / "node_modules")

    def failures(self, tests: set[str], *options: str) -> set[str]:
        """Which of these tests fail without any bug; exits where they cannot be run."""
        outcome, failed = self.run_tests(sorted(tests), *options, keep_bytecode=True) if tests else ("SURVIVED", [])
        if outcome not in {"SURVIVED", "killed"}:
            sys.exit(f"without any bug: {outcome}")
        return set(failed)

    def run_tests(self, tests: Iterable[str], *options: str, keep_bytecode: bool = False) -> tuple[str, list[str]]:
        """The outcome, and the ids of the tests that failed."""
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *options, *tests]
        # No plugin is needed, and loading them takes longer than most of the tests.
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environment |= {"PYTHONDONTWRITEBYTECODE": "" if keep_bytecode else "1"}
        try:
            run = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=LONGEST_RUN_SECONDS
            )
        except subprocess.TimeoutExpired:
            return "TIMED OUT", []
        outcome = {0: "SURVIVED", 1: "killed"}.get(run.returncode, f"BROKEN {run.stdout[-300:]}{run.stderr[-300:]}")
        return outcome, re.findall(r"^(?:FAILED|ERROR) (tests/.+?)(?: - |$)", run.stdout, re.MULTILINE)

    def try_bug(self, bug: Bug) -> tuple[str, list[str]]:
        path = self.folder / bug.file
        whole, times = path.read_text(), path.stat()
        path.write_text(bug.plant(whole))
        try:
            outcome, failed = self.run_tests(bug.first, "-x")
            return (outcome, failed) if outcome != "SURVIVED" else self.run_tests(ALL, "-x")
        finally:
            path.write_text(whole)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # its bytecode counts again


def run_all(bugs: list[Bug], jobs: int) -> dict[str, str]:
    """The outcome of each bug by its name, printed as it is known."""
    copies: SimpleQueue[Copy] = SimpleQueue()
    outcomes: dict[str, str] = {}
    noticed: dict[str, list[str]] = {}

    def run(bug: Bug) -> tuple[str, list[str], float]:
        copy, started = copies.get(), time.monotonic()
        try:
            return *copy.try_bug(bug), time.monotonic() - started
        finally:
            copies.put(copy)

    with ExitStack() as stack:
        made = [Copy(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(jobs)]
        for copy in made:
            # Compiles everything once: from then on only what has a bug is compiled again.
            copy.failures({*ALL, *(test for bug in bugs for test in bug.first)}, "--collect-only")
            copies.put(copy)
        with ThreadPoolExecutor(jobs) as pool:
            for bug, (outcome, failed, seconds) in zip(bugs, pool.map(run, bugs), strict=True):
                outcomes[bug.name], noticed[bug.name] = outcome, failed
                print(f"{outcome:8} {seconds:5.1f} s  {bug.name}  {' '.join(failed)}", flush=True)
        # A test that fails by itself has noticed nothing.
        flaky = made[0].failures({test for failed in noticed.values() for test in failed})
    for name in (name for name, failed in noticed.items() if flaky.intersection(failed)):
        outcomes[name] = "UNCLEAR"
        print(f"UNCLEAR  {name}: the test fails without it too", flush=True)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="take those whose name contains this")
    parser.add_argument("--check", action="store_true", help="only check that every bug fits the code")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    bugs = [bug for bug in read_bugs() if options.only in bug.name]
    if wrong := misfits(bugs):
        sys.exit("\n".join(wrong))
    if options.check:
        print(f"{len(bugs)} bugs fit the code")
        return
    started = time.monotonic()
    outcomes = run_all(bugs, options.jobs)
    killed = list(outcomes.values()).count("killed")
    print(f"{killed} of {len(bugs)} bugs killed in {time.monotonic() - started:.0f} s")
    sys.exit(0 if killed == len(bugs) else 1)


if __name__ == "__main__":
    main()
