"""The folder where the processes of one web server keep counters that any of them can add up.

prometheus_client reads PROMETHEUS_MULTIPROC_DIR when it is imported. So `share_counters` runs before that, and nothing
here may import it, or `app.metrics`, at the top.
"""

from __future__ import annotations

import atexit
import fcntl
import glob
import os
import shutil
import tempfile
import time

PREFIX = "order-processor-metrics"
# A folder may exist for a moment before its maker locks it.
LOCKED_WITHIN_SECONDS = 60


def share_counters(parent: str | None) -> None:
    """Set PROMETHEUS_MULTIPROC_DIR to an empty folder for this process and its children.

    A folder that the variable names is emptied and kept. Otherwise one is made in `parent` (None: TMPDIR) and removed
    at the end. COUNTERS_SHARED_BY says who set the variable, because a reload comes here again. The process of an
    upgrade inherits the variable, and must not use the folder of the process that it replaces.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    process_id, _, was_made = os.environ.get("COUNTERS_SHARED_BY", "").partition(" ")
    if process_id == str(os.getpid()):
        return
    if folder and not was_made:
        os.makedirs(folder, exist_ok=True)
        for file in glob.glob(os.path.join(glob.escape(folder), "*.db")):
            os.remove(file)
    else:
        folder, was_made = _make_folder(parent), "made"
    os.environ.update(PROMETHEUS_MULTIPROC_DIR=folder, COUNTERS_SHARED_BY=f"{os.getpid()} {was_made}")


def leave_to_gunicorn() -> None:
    """Unset PROMETHEUS_MULTIPROC_DIR where it is not this gunicorn's: a command must not write into the folder."""
    maker = os.environ.get("COUNTERS_SHARED_BY", "").partition(" ")[0]
    if maker not in {str(os.getpid()), str(os.getppid())}:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)


def forget_process(process_id: int) -> None:
    """Drop the gauges that only a living process can have; its counts stay."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(process_id)  # type: ignore[no-untyped-call]


def _make_folder(parent: str | None) -> str:
    _remove_abandoned(parent or tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-", dir=parent)
    # Never closed: the lock lasts until this process and all its children have ended.
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove_abandoned(parent: str) -> None:
    """Remove the folders of servers that were killed before they could do it themselves."""
    for folder in glob.glob(os.path.join(parent, f"{PREFIX}-*")):
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except OSError:  # removed meanwhile, or another user's
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - os.fstat(descriptor).st_mtime > LOCKED_WITHIN_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)


def _remove(folder: str, maker: int) -> None:
    """Remove the folder at the end of its maker. The workers, which inherit this handler, leave it."""
    if os.getpid() == maker:
        shutil.rmtree(folder, ignore_errors=True)
