"""What the locks pin is what a machine with nothing on it gets, with the pip of any supported Python.

`make installs` runs this, with each Python that is here. `make test` only compares the locks: on a machine with nothing
on it, it has just installed two of them itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("Makefile", "package.json", "package-lock.json", *(path.name for path in ROOT.glob("requirements*.lock")))
WANTED = os.environ.get("INSTALLS") == "all"
EXPECTED = {"uv", "flask", "pytest", "coverage", "mutmut"}


def starts(python: str) -> bool:
    """A version manager leaves stubs on the path for versions that cannot be started."""
    return shutil.which(python) is not None and not subprocess.run([python, "-c", ""], capture_output=True).returncode


@pytest.fixture(params=["python3.11", "python3.12", "python3.13", "python3.14"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with what installation reads, in which everything was installed from nothing, without npm."""
    if not starts(request.param):
        pytest.skip(f"There is no {request.param} here.")
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}}
    # Nothing is run but uv, so nothing is compiled: that takes as long as all the rest.
    options = [f"PYTHON={request.param}", "NPM=absent", "COMPILE_BYTECODE="]
    subprocess.run(
        ["make", *options, ".venv/mutation.stamp", "node_modules/.package-lock.json"],
        cwd=tmp_path,
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
    )
    return tmp_path


def pins(*locks: Path) -> dict[str, set[str]]:
    pinned: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^ ;]+)", "".join(lock.read_text() for lock in locks), re.MULTILINE):
        pinned.setdefault(name, set()).add(version)
    return pinned


@pytest.mark.skipif(not WANTED, reason="takes a minute: `make installs`")
def test_every_lock_installs_from_nothing(bare: Path) -> None:
    freeze = [".venv/bin/uv", "pip", "freeze", "--python", ".venv/bin/python"]
    frozen = subprocess.run(freeze, cwd=bare, capture_output=True, text=True, check=True).stdout
    installed = dict(re.findall(r"^([\w.-]+)==(.+)$", frozen, re.MULTILINE))
    pinned = pins(*bare.glob("requirements*.lock"))
    for brought_by_venv in ("pip", "setuptools"):
        installed.pop(brought_by_venv, None)
    assert {name: version for name, version in installed.items() if version not in pinned.get(name, ())} == {}
    assert installed.keys() >= EXPECTED
    engine = bare / "node_modules/@dynoxide/linux-x64/dynoxide"
    assert subprocess.run([engine, "--version"], capture_output=True).returncode == 0


def test_the_locks_agree() -> None:
    pinned = pins(*ROOT.glob("requirements*.lock"))
    assert {name: versions for name, versions in pinned.items() if len(versions) > 1} == {}
