"""The processes of ``mpirun -n 4 fastconv train ...``: rank 0 speaks and writes files, a failure of one ends all."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TypeVar

from ..errors import FastconvError, InvalidArgument, PeerLost
from ..nn.distribution import DataParallel
from ..streams import put

Made = TypeVar("Made")

#: What launchers tell a process: how many there are (Open MPI, MPICH and Intel MPI, Slurm's srun).
SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")

PATIENCE = 10  # seconds


class Ranks:
    """This process and those that were started with it; most often there are no others.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and how many there are.
    settled : bool
        Whether none of them waits for another any more: an error of one is its own.
    """

    settled = False

    def __init__(self) -> None:
        launched = _launched()
        self._team = DataParallel() if launched > 1 else None
        self.rank, self.size = (0, 1) if self._team is None else (self._team.rank, self._team.size)
        if self.size != launched:
            raise InvalidArgument(
                f"{launched} processes were started but mpi4py sees {self.size}: it belongs to another MPI than the "
                "launcher; use that one's mpirun, or install mpi4py for this one"
            )

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let `fit` share its batches in this block. Only rank 0 is heard; an error of another is told by that one."""
        if self._team is None:
            yield
            return
        heard = sys.stderr
        try:
            with ExitStack() as stack:
                if self.rank:
                    nowhere = stack.enter_context(open(os.devnull, "w"))
                    stack.enter_context(redirect_stdout(nowhere))
                    stack.enter_context(redirect_stderr(nowhere))
                stack.enter_context(self._team.joined())
                yield
        except SystemExit:
            raise
        except BaseException as error:
            if self.settled:
                raise
            if self.rank and isinstance(error, PeerLost):
                time.sleep(PATIENCE)  # rank 0 saves what is there, and ends all
            kind = "" if isinstance(error, FastconvError) else f"{type(error).__name__}: "
            put(heard, f"Error on rank {self.rank} ({socket.gethostname()}): {kind}{error}\n")
            self._team.abort(2)
            raise

    def agreed(self, number: int | None) -> int | None:
        """A signal's number, if any rank got one."""
        return number if self._team is None else int(self._team.agreed(number or 0)) or None

    def of_first(self, value: Made) -> Made:
        """Rank 0's value, on all."""
        return value if self._team is None else self._team.broadcast(value)

    def all_or_none(self, make: Callable[[], Made]) -> Made:
        """What `make` gives; if it fails on some ranks it fails on all, and the first one's error is told once."""
        if self._team is None:
            return make()
        made, error = None, None
        try:
            made = make()
        except FastconvError as found:
            error = found
        told = [(rank, text) for rank, text in enumerate(self._team.gathered(error and str(error))) if text]
        if not told:
            return made  # type: ignore[return-value]
        self.settled = True
        if self.rank:
            sys.exit(2)
        raise error or InvalidArgument(f"on rank {told[0][0]}: {told[0][1]}")

    def first_then_others(self, make: Callable[[], Made]) -> Made:
        """What `make` gives, on rank 0 before the others begin: what it downloads is there for them."""
        if self._team is None:
            return make()
        first = self.all_or_none(lambda: make() if self.rank == 0 else None)
        others = self.all_or_none(lambda: make() if self.rank else None)
        return first if self.rank == 0 else others  # type: ignore[return-value]


def _launched() -> int:
    """How many processes a launcher says it has started."""
    return max([1, *(int(text) for name in SIZES if (text := os.environ.get(name, "")).isdecimal())])
