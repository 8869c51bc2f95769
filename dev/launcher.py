"""The launcher for a laptop, behind `make run`, `make dev`, `make shell` and others.

    python dev/launcher.py              the embedded engine, the web server and the worker, under honcho
    python dev/launcher.py dev          the same, with a web server that reloads changed code and templates
    python dev/launcher.py flask ...    a flask command on the same database, running or not
    python dev/launcher.py engine       the engine alone (a line of the Procfile)
    python dev/launcher.py trial        as without a word, in a container: the image's program `all`
    python dev/launcher.py trial flask ...    a flask command on its database

Run it in the project's folder. PORT says where to listen, DATA_DIR where the data is. With DYNAMODB_ENDPOINT or AWS
settings, those name the database and no engine is started.

Two engines would corrupt the data. So the engine process itself holds a lock from before it opens its file until it
ends, however it ends. The lock's text says where that engine listens.

All that the launcher starts ends with it. Of the application it imports the settings alone, in `run`: the rest would
double the time to start.
"""

import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))
from dev.child import end_with_parent

ENGINE = Path("node_modules/@dynoxide/linux-x64/dynoxide")
DATABASE = "orders.db"
# What is in DATA_DIR, and what users of the machine other than its owner may not do.
OUR_FILES = (f"{DATABASE}*", "secret_key", "lock", "backups", "backups/*", "mail", "mail/*")
OTHERS = stat.S_IRWXG | stat.S_IRWXO
# Any of these, or DYNAMODB_ENDPOINT, names a database: no engine is started.
AWS_SETTINGS = (
    *("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
)
# The engine accepts any credentials, but botocore sends nothing without some.
ANY_CREDENTIALS = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "local")
ANY_REGION = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "us-east-1")
# A trial is reached through a port of the container, so its web server listens beyond loopback, without https.
TRIAL = {
    "UNSAFE_TRIAL_OVER_HTTP": "yes",
    "SITE_HOSTS": "localhost,127.0.0.1,[::1]",
    "TRUSTED_PROXIES": "0",
    "METRICS": "off",
}
# With one of these, or of AWS, something else than a trial is wanted.
NO_TRIAL = (
    *("DYNAMODB_ENDPOINT", "USERS_TABLE", "ORDERS_TABLE", "SITE_URL", "SMTP_URL", "COOKIE_SECURE", "METRICS_PORT"),
    *("SECRET_KEY", "SECRET_KEY_FALLBACKS", "SECOND_FACTOR_KEY", "BCRYPT_ROUNDS", *TRIAL),
)
TRIAL_SAYS = """\
This is a trial: the web server, the worker and the database run in this one container.
Open http://localhost:8000 on this machine, or whichever port you published. Other names are refused.
Relaxed for it: it is served without https (COOKIE_SECURE is false), and nobody makes backups."""
NOT_MOUNTED = "No volume is mounted at {}: the data goes with this container."
LAUNCHER = (sys.executable, __file__)
# Jinja looks for changed templates itself; the addresses of static files are computed at the start.
DEV_SERVER = (
    "flask --app wsgi tables create && flask --app wsgi upgrade --alone && "
    'exec flask --app wsgi run --debug --port "${PORT:-8000}" --extra-files "$(ls app/static/*.* | paste -sd :)"'
)
OWN_DATABASE = "set DYNAMODB_ENDPOINT to any DynamoDB-compatible endpoint, or the usual AWS settings"

START_SECONDS = 10.0
# A copy that was just stopped may need this long to release its port and its lock.
STOP_SECONDS = 3.0


class Refused(Exception):
    """The launcher cannot go on; the message says why and what to do."""


def main(arguments: list[str]) -> None:
    """Run one command; if it is refused, print why and exit with 2."""
    # What it and its children write is for their owner alone.
    os.umask(0o077)
    commands: dict[str, Callable[..., None]] = {each.__name__: each for each in (run, dev, engine, flask, trial)}
    name, *rest = arguments or ["run"]
    # As everywhere, blank means unset: gunicorn fails at a blank WEB_CONCURRENCY before it reads its settings.
    for setting in [each for each, value in os.environ.items() if not value.strip()]:
        del os.environ[setting]
    try:
        if name not in commands:
            raise Refused(f"There is no command {name!r}: use one of {', '.join(commands)}.")
        commands[name](*rest)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(2)


def run(*, web: str | None = None, demo: str = "`make demo`, in another shell,") -> None:
    """Run the processes of the Procfile, the engine only if no database is set; if one ends, stop the others.

    `web` replaces the command of the web server, and `demo` says what fills accounts to look at. Raises Refused before
    anything is started.
    """
    from honcho.environ import parse_procfile

    from dev.supervisor import supervise

    directory = data_directory(os.environ)
    engine_settings = {} if external_database(os.environ) else {"DYNAMODB_ENDPOINT": "http://127.0.0.1"}
    check_settings(os.environ | web_settings(os.environ, directory) | engine_settings)
    commands = parse_procfile(Path("Procfile").read_text()).processes
    commands["web"] = web or commands["web"]
    with hold_port(os.environ):  # held, so that the engine is not given the same port
        if setting := external_database(os.environ):
            print(f"The database is the one that {setting} names: no engine is started.", flush=True)
            del commands["engine"]
        else:
            engine_file()
            os.close(take_lock(directory))  # the engine takes it again
            if not (directory / DATABASE).exists():
                print(f"There is no data yet. {demo} fills accounts to look at.", flush=True)
            os.environ["DYNAMODB_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
    os.environ.update(web_settings(os.environ, directory))
    supervise(commands)


def dev() -> None:
    """As `run`, with a web server that restarts itself when a file changes; the worker does not."""
    run(web=DEV_SERVER)


def engine() -> None:
    """Become the embedded engine, at DYNAMODB_ENDPOINT or a free port, holding DATA_DIR's lock.

    Raises Refused if another engine has the data.
    """
    binary, directory = engine_file(), data_directory(os.environ)
    endpoint = os.environ.get("DYNAMODB_ENDPOINT") or f"http://127.0.0.1:{free_port()}"
    lock = take_lock(directory)
    os.write(lock, f"{os.getpid()} {endpoint}\n".encode())
    os.set_inheritable(lock, True)
    os.execv(binary, engine_command(binary, urlsplit(endpoint).port or 0, directory / DATABASE))


def flask(*arguments: str) -> None:
    """Become a flask command on the database of `run`. Without a running engine, start one that ends with it.

    Only commands that create tables may begin in an empty folder. Raises Refused.
    """
    is_external = external_database(os.environ)
    may_begin = is_external or arguments[:1] == ("demo",) or arguments[:2] == ("tables", "create")
    directory = data_directory(os.environ) if may_begin else existing_data(os.environ)
    if not is_external:
        os.environ["DYNAMODB_ENDPOINT"] = _engine_in_use(directory) or _start_engine(directory)
    os.environ.update(web_settings(os.environ, directory))
    os.execv(sys.executable, [sys.executable, "-m", "flask", "--app", "wsgi", *arguments])


def trial(*arguments: str) -> None:
    """As `run`, where others could reach the port; with `flask ...`, as `flask`.

    Raises Refused where a setting says that this is to be more than a trial.
    """
    known = {name for each in NO_TRIAL for name in (each, f"{each}_FILE")}
    if found := sorted(name for name in os.environ if name in known or name.startswith("AWS_")):
        raise Refused(
            f"This is for a trial alone, and {', '.join(found)} is set: "
            "run `web` and `orders` with your settings instead, or unset it for a trial."
        )
    os.environ.update(TRIAL)
    if arguments[:1] == ("flask",):
        flask(*arguments[1:])
    elif arguments:
        raise Refused(f"A trial has no command {arguments[0]!r}: use `flask ...`, or nothing.")
    print(TRIAL_SAYS, flush=True)
    folder = data_directory(os.environ).parent
    # As the kernel tells it: a bind mount can be on the same device as what is around it.
    if not any(line.split()[4] == str(folder) for line in Path("/proc/self/mountinfo").read_text().splitlines()):
        print(NOT_MOUNTED.format(folder), flush=True)
    run(demo="`all flask demo`, in this container,")


def external_database(settings: Mapping[str, str]) -> str | None:
    """Return the name of the setting that names a database, or None if the engine is wanted."""
    return next((name for name in ("DYNAMODB_ENDPOINT", *AWS_SETTINGS) if settings.get(name)), None)


def data_directory(settings: Mapping[str, str]) -> Path:
    """Return DATA_DIR (var), made if absent, and closed to everybody but its owner. Raises Refused."""
    directory = Path(settings.get("DATA_DIR") or "var").absolute()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        close_to_others(directory)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        raise Refused(f"DATA_DIR {directory} cannot be used ({error.strerror}): choose another folder.") from error
    return directory


def close_to_others(directory: Path) -> None:
    """Close the data folder and its files to other users, and say so if they came in. Raises Refused, OSError."""
    status = directory.stat()
    is_open = bool(status.st_mode & OTHERS)
    if is_open and (status.st_uid != os.geteuid() or status.st_mode & stat.S_ISVTX):
        raise Refused(f"DATA_DIR {directory} is a folder of others, who can read it: choose another folder.")
    for each in (directory, *(each for name in OUR_FILES for each in directory.glob(name))):
        # A link is left: what it leads to need not be ours.
        if not each.is_symlink() and each.stat().st_mode & OTHERS:
            each.chmod(each.stat().st_mode & ~OTHERS)
    if is_open:
        print(f"DATA_DIR {directory} was open to other users. It is closed to them now.", file=sys.stderr)


def existing_data(settings: Mapping[str, str]) -> Path:
    """Return DATA_DIR where the engine's data is in it; nothing is made. Raises Refused."""
    directory = Path(settings.get("DATA_DIR") or "var").absolute()
    if not (directory / DATABASE).is_file():
        raise Refused(f"There is no data in DATA_DIR {directory}: check its name, or start `make run` with it first.")
    return directory


def check_settings(settings: Mapping[str, str]) -> None:
    """Check every setting of the processes before any is started. Raises Refused."""
    from app.config import Config, WrongSetting

    try:
        Config.from_environment(settings)
    except WrongSetting as wrong:
        raise Refused(str(wrong)) from wrong


def hold_port(settings: Mapping[str, str]) -> socket.socket:
    """Return a socket that holds the web server's PORT (8000) until it is closed. Raises Refused."""
    port = int(settings.get("PORT") or 8000)
    deadline = time.monotonic() + STOP_SECONDS
    while not settings.get("BIND"):
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError as error:
            code = error.errno or 0
            if code != errno.EADDRINUSE or time.monotonic() > deadline:
                message = f"Port {port} cannot be used ({os.strerror(code)}): stop what listens there, or set PORT."
                raise Refused(message) from error
        time.sleep(0.05)
    return socket.socket()  # with BIND the port is not used


def free_port() -> int:
    """Return a loopback port that nothing listens on at this moment.

    It lies below those that the system gives to outgoing connections. One of these could take it before it is used, or
    while the engine starts again, and keep it from others for a minute after its own end.
    """
    while True:
        port = 20_000 + int.from_bytes(os.urandom(4)) % 12_000
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


def engine_file() -> Path:
    """Return the path of the engine's program. Raises Refused if it is not installed."""
    if ENGINE.is_file():
        return ENGINE
    import platform  # no start needs it

    system = f"{platform.system()} {platform.machine()}"
    if system != "Linux x86_64":
        raise Refused(f"The embedded engine runs on Linux x86_64 only, and this is {system}: {OWN_DATABASE}.")
    raise Refused(f"The embedded engine is not installed: `make run` installs it with npm; or {OWN_DATABASE}.")


def engine_command(binary: Path, port: int, database: Path | None) -> list[str]:
    """Return the command line of an engine on a loopback port; without a database, in memory."""
    path = ["--db-path", str(database)] if database else []
    return [str(binary), "serve", "--host", "127.0.0.1", "--port", str(port), *path]


def web_settings(settings: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return the settings that the application needs on a laptop, where it uses http on loopback."""
    return {
        **({} if any(settings.get(name) for name in AWS_SETTINGS) else ANY_CREDENTIALS | ANY_REGION),
        "DATA_DIR": str(directory),
        **(
            {}
            if settings.get("SECRET_KEY_FILE")
            else {"SECRET_KEY": settings.get("SECRET_KEY") or secret_key(directory)}
        ),
        "CREATE_TABLES": "true",
        "COOKIE_SECURE": settings.get("COOKIE_SECURE") or "false",
        "SITE_URL": settings.get("SITE_URL") or f"http://127.0.0.1:{settings.get('PORT') or 8000}",
        **mail_folder(settings, directory),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{settings.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        # glibc would keep free memory apart for each thread: a tenth of a worker under load.
        "MALLOC_ARENA_MAX": settings.get("MALLOC_ARENA_MAX") or "2",
        # flask would read .env; gunicorn and this launcher do not.
        "FLASK_SKIP_DOTENV": "1",
    }


def mail_folder(settings: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return where mails are written as files, if no mail server is set."""
    has_server = settings.get("SMTP_URL") or settings.get("SMTP_URL_FILE")
    return {} if has_server else {"MAIL_FOLDER": settings.get("MAIL_FOLDER") or str(directory / "mail")}


def secret_key(directory: Path) -> str:
    """Return the secret in the directory, made on first use, readable by its owner alone."""
    path = directory / "secret_key"
    if not path.exists():
        # Written under another name first, so that a crash cannot leave an empty secret.
        with tempfile.NamedTemporaryFile("w", dir=directory, delete=False) as file:
            file.write(os.urandom(32).hex())
        os.replace(file.name, path)
    return path.read_text().strip()


def wait_until_ready(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the engine in this process accepts connections. Raises Refused."""
    started = _poll(lambda: _answers(endpoint) or (None if process.poll() is None else False), START_SECONDS)
    if not started:
        raise Refused("The embedded engine did not start: `python dev/launcher.py engine` shows why.")


def _start_engine(directory: Path) -> str:
    endpoint = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [*LAUNCHER, "engine"],
        env=os.environ | {"DYNAMODB_ENDPOINT": endpoint, "DATA_DIR": str(directory)},
        preexec_fn=end_with_parent,
        process_group=0,  # Ctrl-C in a shell on the database must not end the engine
        # Its output would mix with that of the command.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until_ready(endpoint, process)
    return endpoint


def _engine_in_use(directory: Path) -> str:
    """Return the endpoint of the engine that has the directory's data, or "" if none has."""

    def endpoint() -> str | None:
        if (lock := _try_lock(directory)) is not None:
            os.close(lock)
            return ""
        address = _lock_text(directory)[1]
        return address if _answers(address) else None

    if (found := _poll(endpoint, START_SECONDS)) is None:
        raise _in_use(directory)
    return str(found)


def take_lock(directory: Path) -> int:
    """Return a descriptor that holds the lock. Raises Refused if another process keeps it."""
    lock = _poll(lambda: _try_lock(directory), STOP_SECONDS)
    if lock is None:
        raise _in_use(directory)
    return int(lock)


def _poll(attempt: Callable[[], Any], seconds: float) -> Any:
    """Return the first result that is not None, or None when the time is over."""
    deadline = time.monotonic() + seconds
    while (result := attempt()) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return result


def _try_lock(directory: Path) -> int | None:
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    os.ftruncate(lock, 0)  # its text is about an engine that has ended
    return lock


def _lock_text(directory: Path) -> list[str]:
    """Return the process and the endpoint of the engine that holds the lock."""
    return (directory / "lock").read_text().split() or ["unknown", ""]


def _in_use(directory: Path) -> Refused:
    process, _ = _lock_text(directory)
    return Refused(f"Engine process {process} is using DATA_DIR {directory}: stop that copy, or set another DATA_DIR.")


def _answers(endpoint: str) -> bool:
    address = urlsplit(endpoint)
    with socket.socket() as connection:
        return bool(address.port) and connection.connect_ex((address.hostname, address.port)) == 0


if __name__ == "__main__":
    main(sys.argv[1:])
