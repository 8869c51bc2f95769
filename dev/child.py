"""Become a command that ends with the process that started it:

    python -S dev/child.py COMMAND [ARGUMENT ...]

All that `make` starts begins so. It imports next to nothing, and needs nothing that is installed (`-S`), because every
start waits for it.
"""

import ctypes
import os
import signal
import sys

CHILD = (sys.executable, "-S", __file__)
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def end_with_parent(signal_number: int = signal.SIGTERM) -> None:
    """Have the Linux kernel end this process, and what it becomes, when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)


if __name__ == "__main__":
    end_with_parent()
    os.execvp(sys.argv[1], sys.argv[1:])
