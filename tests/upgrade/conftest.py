"""The code of an earlier commit, in a folder of its own, with the libraries that its lock pins.

Only with UPGRADE_TEST=1, as `make upgrade-test` sets it: it takes minutes, and a clone with the history.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARIES = "libraries"
WANTED = os.environ.get("UPGRADE_TEST") == "1"
collect_ignore_glob = [] if WANTED else ["test_*.py"]


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def earlier_commit() -> str:
    """UPGRADE_FROM, or the last release before this commit, or that before the last change of the store's format."""
    release = _git("describe", "--tags", "--abbrev=0", "HEAD^")
    changed = _git("log", "-1", "--format=%H", "-G^FORMAT = ", "--", "app/models/upgrade.py")
    wanted = os.environ.get("UPGRADE_FROM") or release or f"{changed}^"
    commit = _git("rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}")
    if not commit:
        raise pytest.UsageError(f"There is no commit {wanted!r} here: set UPGRADE_FROM, or clone the whole history.")
    return commit


@pytest.fixture(scope="session")
def older_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the earlier code, and its libraries in LIBRARIES."""
    commit = earlier_commit()
    print(f"from {commit[:12]}, {_git('log', '-1', '--format=%s', commit)!r}")
    folder = tmp_path_factory.mktemp("older")
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", commit], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    install = ["pip", "install", "--quiet", "--require-hashes", "--python", sys.executable, "--target", LIBRARIES]
    uv = Path(sys.prefix) / "bin/uv"
    subprocess.run([uv, *install, "--requirement", "requirements.lock"], cwd=folder, check=True)
    return folder
