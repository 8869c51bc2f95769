"""How gunicorn serves the application, on a laptop and in production."""

import atexit
import fcntl
import glob
import os
import shutil
import socket
import struct
import sys
import tempfile
import time

from environs import Env
from gunicorn.glogging import Logger

bind = os.environ.get("BIND") or f"127.0.0.1:{os.environ.get('PORT') or '8000'}"

# Threads, as a request mostly waits for DynamoDB, and bcrypt lets go of the interpreter lock.
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY") or os.cpu_count() or 1)
threads = 8

# The application is built once and the workers are forked from it, which starts faster and
# shares memory. It opens no connection before the fork.
preload_app = True

# Longer than the 60 seconds that a load balancer keeps an idle connection: the balancer, not
# the server, must be the one to close it.
keepalive = 75
timeout = 30
# What a stop waits for the requests that are under way.
graceful_timeout = 2

limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# Heartbeats are written to a file: in memory, so that a slow disk gets no worker killed.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
control_socket_disable = True


class OwnFormatLogger(Logger):
    """gunicorn's log, written as the application's is. There is no access log: the application's has each request."""

    def setup(self, cfg):
        from app import logs

        super().setup(cfg)  # also at a reload
        logs.configure(os.environ.get("LOG_LEVEL") or "INFO")


logger_class = OwnFormatLogger

counts = Env().bool("METRICS", True)
if counts and os.environ.get("METRICS_PORT"):
    # The workers answer there too; the application shows the counters at this port only.
    bind = [bind, f"{os.environ.get('METRICS_HOST') or '127.0.0.1'}:{os.environ['METRICS_PORT']}"]


COUNTERS = "order-processor-metrics"


def share_counters():
    """Set PROMETHEUS_MULTIPROC_DIR, an empty folder where the workers keep counters that any of them can add up.

    It must be set before the application is imported. One that was not given is removed at the end.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    master, _, was_made = os.environ.get("COUNTERS_SHARED_BY", "").partition(" ")
    if master == str(os.getpid()):  # a reload, which reads this file again
        return
    if folder and not was_made:
        os.makedirs(folder, exist_ok=True)
        for file in glob.glob(os.path.join(glob.escape(folder), "*.db")):
            os.remove(file)
    else:  # not that of a master which this one is about to replace
        remove_abandoned_counters()
        folder = tempfile.mkdtemp(prefix=f"{COUNTERS}-{os.getpid()}-", dir=worker_tmp_dir)
        # Held by the master and its workers for as long as any of them lives.
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)
        atexit.register(remove_counters, folder, os.getpid())
        was_made = "made"
    os.environ.update(PROMETHEUS_MULTIPROC_DIR=folder, COUNTERS_SHARED_BY=f"{os.getpid()} {was_made}")


def remove_abandoned_counters():
    """Remove the folders of masters that were killed, and could not do it themselves."""
    for folder in glob.glob(os.path.join(worker_tmp_dir or tempfile.gettempdir(), f"{COUNTERS}-*")):
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except OSError:  # gone meanwhile, or another user's
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - os.fstat(descriptor).st_mtime > 60:  # else it may have been made, and not locked yet
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)


def remove_counters(folder, master):
    """Remove the folder when the master ends; workers, which end by the same way, leave it."""
    if os.getpid() == master:
        shutil.rmtree(folder, ignore_errors=True)


if counts:
    share_counters()

# How long a client may pause in the middle of a request or of reading its answer.
PAUSE_SECONDS = 5


def when_ready(server):
    """Let no stalled client keep a thread: 8 requests that never end would stop a whole worker.

    gunicorn has no such limit for gthread. Connections inherit these options from the listener.
    """
    pause = struct.pack("ll", PAUSE_SECONDS, 0)
    server.log.error_log.addFilter(lambda record: not _tells_of_a_pause(record))
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, pause)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, pause)
        if listener.sock.family != socket.AF_UNIX and hasattr(socket, "TCP_DEFER_ACCEPT"):
            # A connection on which nothing was said yet waits in the kernel, not in a thread.
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)


def _tells_of_a_pause(record):
    """Whether a log record is the traceback of a read or write that took longer than the pause."""
    return bool(record.exc_info) and isinstance(record.exc_info[1], BlockingIOError)


def on_starting(server):
    """Create the tables that are absent where CREATE_TABLES=true, as on a laptop.

    It happens here, as a `flask tables create` of its own would import the application twice.
    """
    if os.environ.get("CREATE_TABLES") != "true":
        return
    from app.domain.errors import StoreUnavailable
    from app.models.create_tables import create_tables

    try:
        with server.app.callable.app_context():
            create_tables()
    except StoreUnavailable:
        sys.exit("DynamoDB does not answer: see DYNAMODB_ENDPOINT or the AWS settings.")


def child_exit(server, worker):
    """Forget what only a living worker can tell; its counts stay."""
    if counts:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)


def post_worker_init(worker):
    """Make the first, slow calls to DynamoDB before the first request has to wait for them."""
    from app.models.create_tables import tables_answer

    with worker.app.callable.app_context():
        tables_answer()
    if worker.age == 1:  # the first worker ever: from now on requests are answered
        print(f"Order processor: {', '.join(map(str, worker.sockets))}", flush=True)
