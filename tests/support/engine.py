"""The embedded engine for tests: in memory or on a file, on a loopback port."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.child import CHILD, end_with_parent
from dev.launcher import engine_command, engine_file, free_port, wait_until_ready


@contextmanager
def engine(path: Path | None = None) -> Iterator[str]:
    """Yield the endpoint of an engine that is ready to answer; it is gone afterwards.

    Without a path its data is in memory. The folder of the path must exist. Raises
    `dev.launcher.Refused` where the engine is not installed or does not start.
    """
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        engine_command(engine_file(), port, path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_parent,  # a test run that is killed leaves no engine behind
    )
    try:
        wait_until_ready(endpoint, process)
        yield endpoint
    finally:
        process.terminate()
        process.wait(timeout=10)


def start_engine(port: int, path: Path) -> subprocess.Popen[bytes]:
    """Start an engine that is ready to answer, at the same address as one that was killed; the caller ends it.

    It is gone when the thread that started it is.
    """
    process = subprocess.Popen(
        # Not by a `preexec_fn`: that is not safe in a process of many threads.
        [*CHILD, *engine_command(engine_file(), port, path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until_ready(f"http://127.0.0.1:{port}", process)
    return process
