"""Debian's nginx as `docs/nginx.conf` says: only names, ports and files are a test's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from dev.child import CHILD
from dev.launcher import free_port
from tests.support.tls import make_certificate

NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
CONFIGURATION = Path(__file__).parents[2] / "docs/nginx.conf"
HOST = "shop.localhost"
AROUND = """{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    include /etc/nginx/mime.types;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/orders.conf;
}}"""


@dataclass
class Proxy:
    """A running nginx: the ports of https and of http, and the prefix of each path."""

    port: int
    plain_port: int
    prefix: str
    certificate: Path
    folder: Path

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}{self.prefix}"

    @property
    def site(self) -> str:
        """The address for browsers, which know names below localhost."""
        return f"https://{HOST}:{self.port}{self.prefix}"


@contextmanager
def nginx_in_front_of(port: int, folder: Path, *, prefix: str = "") -> Iterator[Proxy]:
    """nginx before what listens at this port."""
    proxy = Proxy(free_port(), free_port(), prefix, make_certificate(folder), folder)
    (folder / "orders.conf").write_text(_adapted(CONFIGURATION.read_text(), proxy, port))
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    log = folder / "nginx.txt"
    assert NGINX
    command = [NGINX, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with log.open("w") as output:
        process = subprocess.Popen([*CHILD, *command], stderr=output)
    try:
        while True:
            assert process.poll() is None, log.read_text()
            try:
                requests.get(f"http://127.0.0.1:{proxy.plain_port}/", allow_redirects=False, timeout=5)
                break
            except requests.ConnectionError:
                continue
        yield proxy
    finally:
        process.terminate()
        process.wait(timeout=15)
    assert not log.read_text(), "nginx has warned of something"


def _adapted(text: str, proxy: Proxy, port: int) -> str:
    if proxy.prefix:
        begin = text.index('    proxy_set_header X-Forwarded-Prefix "";')
        head, tail = text[:begin], text[begin:].partition("    # Below a path")[2].partition("\n")[2]
        text = head + re.sub(r"^    # ", "    ", tail, flags=re.MULTILINE).replace("/shop", proxy.prefix)
    for pattern, own in {
        r".*listen \[::\].*\n": "",
        r"listen 80;": f"listen 127.0.0.1:{proxy.plain_port};",
        # The kernel must not hold a whole answer for a client that does not read it.
        r"listen 443 ": f"listen 127.0.0.1:{proxy.port} sndbuf=4k ",
        r"server 127\.0\.0\.1:8000;": f"server 127.0.0.1:{port};",
        r"https://shop\.example": f"https://{HOST}:{proxy.port}",
        r"server_name shop\.example": f"server_name {HOST}",
        r"/etc/ssl/\S+;": f"{proxy.certificate};",
        r"/var/log/nginx": str(proxy.folder),
    }.items():
        text, times = re.subn(pattern, own, text)
        assert times, f"{pattern} is not in {CONFIGURATION}"
    return text
