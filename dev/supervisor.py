"""The processes of the Procfile under honcho. Only `launcher.py run` imports this: others need not wait for honcho."""

import multiprocessing
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping

from honcho.manager import Manager
from honcho.printer import Message, Printer

from dev.child import CHILD, end_with_parent

# How long what uses the engine may take to end, before the engine ends.
FINISH_SECONDS = 5.0


class _Printer(Printer):  # type: ignore[misc]
    """honcho's printer, which has all processes stopped once nobody reads what it prints."""

    def write(self, message: Message) -> None:
        try:
            super().write(message)
        except OSError:
            _silence()
            # honcho goes on listening to the processes: without that it would not know which to stop.
            os.kill(os.getpid(), signal.SIGTERM)


class _Manager(Manager):  # type: ignore[misc]  # honcho has no types
    """honcho's manager, which stops all processes at once, and fails if it has not yet heard from each of them."""

    def __init__(self) -> None:
        super().__init__(_Printer(sys.stdout))
        self.process_id = os.getpid()
        self._asked: set[str] = set()
        self._deadline = 0.0
        signal.signal(signal.SIGALRM, lambda *_: self.terminate())

    def terminate(self) -> None:
        """Stop all processes, as soon as all are known: what uses the engine first, and then the engine."""
        if os.getpid() != self.process_id:
            return  # a process of honcho's: the launcher got the signal too
        if self._all_started():
            self._deadline = self._deadline or time.monotonic() + FINISH_SECONDS
            running = {name for name, each in self._processes.items() if "returncode" not in each}
            users = running - {"engine"} if time.monotonic() < self._deadline else set()
            for name in (users or running) - self._asked:
                self._asked.add(name)
                self._system_print(f"sending SIGTERM to {name}\n")
                self._procmgr.terminate(self._processes[name]["pid"])
            if not running:
                return
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    def _system_print(self, line: str) -> None:
        try:
            super()._system_print(line)
        except RuntimeError:
            return  # A signal interrupted the printing of another line, which goes on: skip this one.


def supervise(commands: Mapping[str, str]) -> None:
    """Run these shell commands, by name, under honcho; exit with their status."""
    # honcho forks a process of its own beside each, which ignores every signal but SIGKILL.
    multiprocessing.set_start_method("fork")
    os.register_at_fork(after_in_child=lambda: end_with_parent(signal.SIGKILL))
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
        signal.signal(signal.SIGHUP, _terminal_closed)
    manager = _Manager()
    for name, command in commands.items():
        manager.add_process(name, "exec " + shlex.join([*CHILD, "sh", "-c", command]))
    manager.loop()
    sys.exit(manager.returncode)


def _silence() -> None:
    """Discard further output: printing to a closed terminal or pipe would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminal_closed(*_: object) -> None:
    _silence()
    os.kill(os.getpid(), signal.SIGTERM)
