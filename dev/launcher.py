"""The laptop's launcher: what `make run` and `make demo` start.

    python dev/launcher.py              the embedded engine and the web server, under honcho
    python dev/launcher.py flask ...    a flask command on the same store, running or not
    python dev/launcher.py demo         the same as `flask demo`
    python dev/launcher.py engine       the engine alone (a line of the Procfile)
    python dev/launcher.py child ...    a command that ends with the process that started it

Run it in the project's folder. PORT and DATA_DIR say where to listen and where the data is.
With DYNAMODB_ENDPOINT or AWS settings no engine is started, and the store is theirs.

DATA_DIR holds the engine's file, the secret that signs sessions, and a lock. Two engines on
one file would spoil it, so the engine process itself holds the lock, from before it opens the
file until it is gone, whatever ends it; and the lock's text tells where that engine listens.

What is started ends with the launcher, whatever ends that: a signal, a closed terminal, kill -9.

Nothing of the application is imported here, as that would take longer than the start itself.
"""

import ctypes
import errno
import fcntl
import multiprocessing
import os
import platform
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from honcho.environ import parse_procfile
from honcho.manager import Manager

ENGINE = Path("node_modules/@dynoxide/linux-x64/dynoxide")

# Any of these, or DYNAMODB_ENDPOINT, names a store of the person's own: no engine is started.
AWS_SETTINGS = (
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
# An engine on loopback takes any credentials, but botocore sends nothing without some.
ANY_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}

LAUNCHER = (sys.executable, __file__)

OWN_STORE = "set DYNAMODB_ENDPOINT to any DynamoDB-compatible endpoint, or the usual AWS settings"

START_SECONDS = 10.0
# A copy that was just stopped may need this long to let go of its port and its lock.
STOP_SECONDS = 3.0

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class _Manager(Manager):  # type: ignore[misc]  # honcho has no types
    """honcho's, which fails at a signal that comes before it has heard from every process."""

    def __init__(self) -> None:
        super().__init__()
        self.process_id = os.getpid()
        signal.signal(signal.SIGALRM, lambda *_: self.terminate())

    def terminate(self) -> None:
        """Stop all processes, as soon as they are known."""
        if os.getpid() != self.process_id:
            return  # one of honcho's own: the launcher got the signal too
        if self._all_started():
            super().terminate()
        else:
            signal.setitimer(signal.ITIMER_REAL, 0.05)

    def _system_print(self, line: str) -> None:
        try:
            super()._system_print(line)
        except RuntimeError:
            # Its signal came in the middle of another line's printing, which goes on: this line is left out.
            return


class Refused(Exception):
    """The launcher cannot go on; the sentence says why and what to do."""


def main(arguments: list[str]) -> None:
    """Carry out one command; ends the process with 2 and a sentence when it is refused."""
    commands: dict[str, Callable[[list[str]], None]] = {
        "run": run,
        "engine": engine,
        "flask": flask,
        "child": child,
        "demo": lambda more: flask(["demo", *more]),
    }
    name, *rest = arguments or ["run"]
    try:
        if name not in commands:
            raise Refused(f"There is no command {name!r}: use one of {', '.join(commands)}.")
        commands[name](rest)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(2)


def run(_: list[str]) -> None:
    """Run the web server, and the engine where it is wanted; when one ends, stop the other.

    Raises Refused before anything is started.
    """
    directory = data_directory(os.environ)
    processes = ["web", "orders"]
    with hold_port(os.environ):  # held, so that the engine is not given the same port
        if setting := external_store(os.environ):
            print(f"The store is the one that {setting} names: no engine is started.", flush=True)
        else:
            engine_file()
            os.close(_take_lock(directory))  # the engine takes it again
            os.environ["DYNAMODB_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
            processes.append("engine")
    os.environ.update(web_settings(os.environ, directory))
    supervise(processes)


def engine(_: list[str]) -> None:
    """Become the embedded engine, at DYNAMODB_ENDPOINT or a free port, holding DATA_DIR's lock.

    Raises Refused when another engine has the data.
    """
    binary, directory = engine_file(), data_directory(os.environ)
    endpoint = os.environ.get("DYNAMODB_ENDPOINT") or f"http://127.0.0.1:{free_port()}"
    lock = _take_lock(directory)
    os.write(lock, f"{os.getpid()} {endpoint}\n".encode())
    os.set_inheritable(lock, True)
    os.execv(binary, engine_command(binary, urlsplit(endpoint).port or 0, directory / "orders.db"))


def flask(arguments: list[str]) -> None:
    """Become a flask command on the store that `run` uses.

    The engine that is running is used, else one is started that ends with the command.
    """
    directory = data_directory(os.environ)
    if not external_store(os.environ):
        os.environ["DYNAMODB_ENDPOINT"] = _engine_in_use(directory) or _start_engine(directory)
    os.environ.update(web_settings(os.environ, directory))
    _become("-m", "flask", "--app", "wsgi", *arguments)


def child(command: list[str]) -> None:
    """Become a command that ends with the process that started it."""
    if not command:
        raise Refused("Name the command that is to run.")
    end_with_parent()
    os.execvp(command[0], command)


def supervise(names: list[str]) -> None:
    """Run these processes of the Procfile under honcho; ends this process with their status."""
    # honcho forks a process of its own beside each, which heeds no signal but SIGKILL.
    multiprocessing.set_start_method("fork")
    os.register_at_fork(after_in_child=lambda: end_with_parent(signal.SIGKILL))
    signal.signal(signal.SIGHUP, _terminal_closed)
    commands = parse_procfile(Path("Procfile").read_text()).processes
    manager = _Manager()
    for name in names:
        manager.add_process(name, "exec " + shlex.join([*LAUNCHER, "child", "sh", "-c", commands[name]]))
    try:
        manager.loop()
    except OSError:  # nobody reads the output any more
        _silence()
        manager.terminate()
    sys.exit(manager.returncode)


def external_store(settings: Mapping[str, str]) -> str | None:
    """Return the name of the setting that names a store, or None where the engine is wanted."""
    return next((name for name in ("DYNAMODB_ENDPOINT", *AWS_SETTINGS) if settings.get(name)), None)


def data_directory(settings: Mapping[str, str]) -> Path:
    """Return DATA_DIR (var), made for its owner alone if absent. Raises Refused."""
    directory = Path(settings.get("DATA_DIR") or "var").absolute()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"DATA_DIR {directory} cannot be made ({error.strerror}): name another.") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise Refused(f"DATA_DIR {directory} cannot be written to: name another.")
    return directory


def port_number(text: str) -> int:
    """Return the TCP port that text names. Raises Refused."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535:
        return int(text)
    raise Refused(f"PORT is {text!r}, which is no port: set it to a number from 1 to 65535.")


def hold_port(settings: Mapping[str, str]) -> socket.socket:
    """Return a socket that holds the web server's PORT (8000) until it is closed. Raises Refused."""
    port = port_number(settings.get("PORT") or "8000")
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    deadline = time.monotonic() + STOP_SECONDS
    while not settings.get("BIND"):  # with BIND the port is not used
        try:
            holder.bind(("127.0.0.1", port))
            break
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                holder.close()
                raise Refused(
                    f"Port {port} cannot be used ({error.strerror}): stop what listens there, or set PORT."
                ) from error
        time.sleep(0.05)
    return holder


def free_port() -> int:
    """Return a loopback port that nothing listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def engine_file() -> Path:
    """Return the path of the engine's program. Raises Refused where there is none."""
    if ENGINE.is_file():
        return ENGINE
    system = f"{platform.system()} {platform.machine()}"
    if system != "Linux x86_64":
        raise Refused(f"The embedded engine runs on Linux x86_64 only, and this is {system}: {OWN_STORE}.")
    raise Refused(f"The embedded engine is not installed: `make run` installs it with npm; or {OWN_STORE}.")


def engine_command(binary: Path, port: int, database: Path | None) -> list[str]:
    """Return the command line of an engine on a loopback port; without a database, in memory."""
    command = [str(binary), "serve", "--host", "127.0.0.1", "--port", str(port)]
    return command + (["--db-path", str(database)] if database else [])


def web_settings(settings: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return what else the application needs on a laptop, where it speaks http on loopback."""
    own_credentials = any(settings.get(name) for name in AWS_SETTINGS)
    return {
        **({} if own_credentials else ANY_CREDENTIALS),
        "DATA_DIR": str(directory),
        "SECRET_KEY": settings.get("SECRET_KEY") or secret_key(directory),
        "CREATE_TABLES": "true",
        "COOKIE_SECURE": settings.get("COOKIE_SECURE") or "false",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{settings.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        # flask would read .env, which neither gunicorn nor this launcher does.
        "FLASK_SKIP_DOTENV": "1",
    }


def secret_key(directory: Path) -> str:
    """Return the secret kept in the directory, made once, readable by its owner alone."""
    path = directory / "secret_key"
    if not path.exists():
        # Written whole under another name first: a crash must not leave an empty secret.
        with tempfile.NamedTemporaryFile("w", dir=directory, delete=False) as file:
            file.write(secrets.token_hex(32))
        os.replace(file.name, path)
    return path.read_text().strip()


def wait_until_ready(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the engine that the process runs takes connections. Raises Refused."""
    deadline = time.monotonic() + START_SECONDS
    while not _answers(endpoint):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Refused("The embedded engine did not start: `python dev/launcher.py engine` shows why.")
        time.sleep(0.01)


def end_with_parent(signal_number: int = signal.SIGTERM) -> None:
    """Have the kernel (of Linux) end this process, and what it becomes, when its parent is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)


def _start_engine(directory: Path) -> str:
    endpoint = f"http://127.0.0.1:{free_port()}"
    settings = os.environ | {"DYNAMODB_ENDPOINT": endpoint, "DATA_DIR": str(directory)}
    process = subprocess.Popen(
        [*LAUNCHER, "engine"],
        env=settings,
        preexec_fn=end_with_parent,
        # What it says would stand between the lines of the command.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until_ready(endpoint, process)
    return endpoint


def _engine_in_use(directory: Path) -> str | None:
    """Return the endpoint of the engine that has the directory's data, or None if none has."""
    deadline = time.monotonic() + START_SECONDS
    while (lock := _try_lock(directory)) is None:
        endpoint = _lock_text(directory)[1]
        if _answers(endpoint):
            return endpoint
        if time.monotonic() > deadline:
            raise Refused(_in_use(directory))
        time.sleep(0.05)
    os.close(lock)
    return None


def _take_lock(directory: Path) -> int:
    """Return the descriptor that holds the lock. Raises Refused when another process keeps it."""
    deadline = time.monotonic() + STOP_SECONDS
    while (lock := _try_lock(directory)) is None:
        if time.monotonic() > deadline:
            raise Refused(_in_use(directory))
        time.sleep(0.05)
    return lock


def _try_lock(directory: Path) -> int | None:
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    os.ftruncate(lock, 0)  # what it says is of an engine that is gone
    return lock


def _lock_text(directory: Path) -> tuple[str, str]:
    """Return the process and the endpoint of the engine that holds the lock."""
    words = (directory / "lock").read_text().split()
    return (words[0], words[1]) if len(words) == 2 else ("unknown", "")


def _in_use(directory: Path) -> str:
    return (
        f"Another copy is using DATA_DIR {directory} (its engine is process {_lock_text(directory)[0]}):"
        " stop that copy, or set DATA_DIR to another folder."
    )


def _answers(endpoint: str) -> bool:
    address = urlsplit(endpoint)
    if not address.port:
        return False
    try:
        socket.create_connection((address.hostname, address.port), timeout=1).close()
    except OSError:
        return False
    return True


def _silence() -> None:
    """Send what is still printed nowhere: printing to a closed terminal or pipe would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminal_closed(*_: object) -> None:
    _silence()
    os.kill(os.getpid(), signal.SIGTERM)


def _become(*arguments: str) -> None:
    os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
