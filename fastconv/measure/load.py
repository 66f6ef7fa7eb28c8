"""Busy processes beside a measurement: what a machine is like on which others work too.

Each is a bare Python that counts for ever. It ends when it is told to, and by itself when the pipe that it was started
with is closed, which the system does for a process that is killed: no busy process outlives the one that wanted it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import FastconvError, InvalidArgument, shown
from ..spec import parse_axes

MOST = 64  # busy processes: enough for any question about a busy machine, few enough to leave it usable
PATIENCE = 30  # seconds for a process to end that was killed
_PROGRAM = """
import os, threading
def watch():
    while os.read(0, 1):
        pass
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
os.write(1, b"x")
while True:
    for _ in range(1000):
        pass
"""
_running: set[int] = set()  # process numbers, for the time that they use


class Load:
    """`count` busy processes inside a ``with`` block, all of which run when it begins; 0 is no load.

    Raises
    ------
    InvalidArgument
        The count is no whole number from 0 to `MOST`.
    FastconvError
        A process cannot be started; then none is left running.

    Examples
    --------
    >>> with Load(1) as load:
    ...     len(load.numbers)
    1
    >>> load.numbers
    ()
    """

    def __init__(self, count: int) -> None:
        self.count = parse_axes(count, "load", 1, least=0)[0]
        if self.count > MOST:
            raise InvalidArgument(f"load is {shown(self.count)}; expected at most {MOST} busy processes")
        self.lost = 0  # processes that ended before the block did
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def numbers(self) -> tuple[int, ...]:
        """The system's numbers of the processes that run."""
        return tuple(process.pid for process in self._processes)

    def __enter__(self) -> Load:
        try:
            for _ in range(self.count):
                self._processes.append(_start())
            for process in self._processes:
                if process.stdout is None or process.stdout.read(1) != b"x":
                    raise OSError(f"it ended with status {process.wait(PATIENCE)}")
                _running.add(process.pid)
        except BaseException as error:
            self.__exit__()
            if not isinstance(error, OSError):
                raise
            reason = error.strerror or error
            raise FastconvError(f"a busy process cannot be started by {sys.executable!r}: {reason}") from error
        return self

    def __exit__(self, *exc_info: object) -> None:
        for process in self._processes:
            self.lost += process.poll() is not None
            with suppress(OSError):
                process.kill()
        while self._processes:
            process = self._processes[-1]
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            _running.discard(process.pid)
            self._processes.pop()


def _start() -> subprocess.Popen[bytes]:
    """A process with a pipe that only this one holds; Ctrl-C in the terminal does not reach it."""
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PROGRAM],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **apart,
    )  # fmt: skip


def busy_seconds() -> float:
    """Processor seconds that the busy processes have used, by the kernel's count (Linux; elsewhere 0)."""
    total = 0
    for number in _running:
        with suppress(OSError):
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])  # in user mode and in the system's
    return total / os.sysconf("SC_CLK_TCK") if total else 0.0
