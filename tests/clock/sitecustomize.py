"""What Python runs first under `make clock`: a `time.sleep` that libfaketime lets pass.

Python 3.11 sleeps until a moment of the monotonic clock. Where that clock is not faked, libfaketime 0.9.10 (Debian 12)
makes this moment one before 1970, and the sleep an error: https://github.com/wolfcw/libfaketime/issues/426.
"""

import select
import time


def sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


time.sleep = sleep
