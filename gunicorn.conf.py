"""How gunicorn serves the application, on a laptop and in production."""

import gc
import os
import sys

if "wsgi" not in sys.modules:  # at a reload, it is
    gc.disable()  # wsgi.py says why, and enables it

from gunicorn.glogging import Logger

from app import logs, server, shared_counters
from app.config import Config

settings = Config.or_exit()

# The workers answer at each; with METRICS_PORT the application shows the counters at that port only.
bind = settings.web_addresses

# Threads, because a request mostly waits for DynamoDB, and bcrypt releases the interpreter lock.
worker_class = "app.server.Worker"
# Behind proxies all connections come from few addresses.
server.Worker.connections_per_address = None if settings.trusted_proxies else settings.connections_per_address
# Of each worker: with its other files, fewer than the 1024 that a process may usually open.
worker_connections = 512
workers = settings.web_workers or os.cpu_count() or 1
threads = 8

# The application is built once and the workers are forked from it, which starts faster and
# shares memory. It opens no connection before the fork.
preload_app = True

# Longer than the 60 seconds for which a load balancer keeps an idle connection: the balancer,
# not the server, must be the one to close it.
keepalive = 75
timeout = 30
# How long a stop waits for requests that are being served. Behind a proxy, long enough for nearly all, and less than
# the 30 seconds after which Fargate and systemd kill.
graceful_timeout = 25 if settings.trusted_proxies else 2

limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# gunicorn believes no header about the client, the scheme or the path, from wherever it comes: only the application
# does, as far as TRUSTED_PROXIES says.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers = {}

# Workers write heartbeats to a file: in memory, so that a slow disk does not get a worker killed.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
control_socket_disable = True

if settings.metrics:
    # Before the application is imported.
    shared_counters.share_counters(worker_tmp_dir)


class ServerLogger(Logger):
    """gunicorn's log in the format of the application's, which also has a line for each request."""

    def setup(self, cfg):
        super().setup(cfg)  # also at a reload
        logs.configure(settings.log_level)


logger_class = ServerLogger


def on_starting(arbiter):
    server.leave_to_bind()
    server.check_addresses(settings, arbiter.cfg.bind)
    # CREATE_TABLES is for laptops; `flask tables create` would import the application a second time.
    if settings.create_tables:
        server.create_missing_tables(arbiter.app.callable)


def when_ready(arbiter):
    server.listen_beside_inherited(arbiter)
    server.limit_pauses(listener.sock for listener in arbiter.LISTENERS)


def post_worker_init(worker):
    server.warm_up(worker.app.callable)
    if worker.age == 1:  # the first worker of all: requests are served from now on
        print(f"Order processor: {', '.join(map(str, worker.sockets))}", flush=True)


def child_exit(arbiter, worker):
    shared_counters.forget_process(worker.pid)
