"""Ties a process to its supervisor, then becomes it: `python -I -S tether.py SUPERVISOR_PID COMMAND [ARGUMENT...]`.

The kernel kills the process when the supervisor ends for whatever reason, `kill -9` included (Linux; elsewhere it only becomes the command).
A script of its own, because doing this between fork and exec of a process with gRPC threads can hang, and because it must start in milliseconds.
"""

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL = 1
_EXIT_ORPHANED = 1


def main() -> None:
    """Runs the command in place of this process."""
    supervisor, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != supervisor:  # it ended before the line above took effect
            sys.exit(_EXIT_ORPHANED)
    os.execv(command[0], command)  # noqa: S606 - the whole purpose; the command comes from the supervisor


if __name__ == "__main__":
    main()
