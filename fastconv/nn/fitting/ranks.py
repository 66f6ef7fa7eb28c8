"""Processes that work together over MPI, as two exchanges that Python can be interrupted in.

Everything they tell each other is made of `rows` (what every rank gives, in the order of the ranks, to all) and
`broadcast` (what rank 0 gives). Neither blocks in MPI: a signal is handled while a rank waits for the others.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from typing import Any

import numpy as np

from ...errors import InvalidArgument, MissingExtra, PeerLost, quoted
from ...interrupts import handle_held_back

MISSING = "training on several machines needs mpi4py, which is not installed: pip install 'fastconv[mpi]'"
SPINS, YIELDS = 100, 500  # looks at a message that is awaited, before others get the processor, and before it sleeps
NAP = 5e-5  # seconds
GRACE = 30.0  # seconds that the others have to bring what is awaited after a signal; most launchers give less


def library() -> Any:
    """mpi4py's module; importing it starts MPI."""
    try:
        from mpi4py import MPI
    except ImportError:
        raise MissingExtra(MISSING) from None
    except RuntimeError as error:  # there is mpi4py, but no MPI that it could load
        raise MissingExtra(f"mpi4py finds no MPI ({quoted(error)}); install one, such as Open MPI or MPICH") from error
    return MPI


_give_way = getattr(os, "sched_yield", lambda: time.sleep(0))


class Ranks:
    """The processes of a communicator.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        All that were started together, by default. Messages travel in a copy of it.
    timeout : float
        Seconds after which a rank that does not answer counts as lost.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and how many there are.
    """

    def __init__(self, comm: Any, timeout: float) -> None:
        comm = library().COMM_WORLD if comm is None else comm
        if not hasattr(comm, "Iallgather"):
            raise InvalidArgument(f"comm is a {type(comm).__name__}; expected a communicator of mpi4py")
        self._comm, self._timeout = comm.Dup(), timeout
        self._errors = getattr(sys.modules.get("mpi4py.MPI"), "Exception", ())
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()

    def rows(self, array: Any) -> np.ndarray:
        """An array of every rank, all of one shape and dtype: (ranks, ...), in their order."""
        array = np.asarray(array, order="C")
        found = np.empty((self.size, *array.shape), array.dtype)
        if self.size == 1 or array.size == 0:
            found[...] = array
        else:
            self._wait("Iallgather", array, found)
        return found

    def total(self, vector: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Sum over the ranks of weight times vector, the same bits on all of them.

        Each rank adds up one piece, in double precision and in the order of the ranks, and all get all pieces: twice
        the vector's bytes travel to and from each rank, however many they are.
        """
        pieces = np.zeros((self.size, -(-vector.size // self.size)), vector.dtype)
        pieces.reshape(-1)[: vector.size] = vector
        mine = np.empty_like(pieces)
        if self.size == 1:
            mine[...] = pieces
        else:
            self._wait("Ialltoall", pieces, mine)
        total = np.zeros(mine.shape[1])
        for weight, piece in zip(weights, mine, strict=True):
            if weight:  # a rank without samples has no say, NaN or not
                total += weight * piece.astype(np.float64, copy=False)
        return self.rows(total.astype(vector.dtype)).reshape(-1)[: vector.size]

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, whatever it is that can be pickled."""
        data = np.frombuffer(pickle.dumps(value) if self.rank == 0 else b"", np.uint8)
        size = int(self.rows(np.array(data.size))[0])
        if self.size > 1:
            data = data.copy() if self.rank == 0 else np.empty(size, np.uint8)
            self._wait("Ibcast", data)
        return value if self.rank == 0 else pickle.loads(data.tobytes())

    def gathered(self, value: Any) -> list[Any]:
        """The values of all ranks."""
        data = np.frombuffer(pickle.dumps(value), np.uint8)
        sizes = self.rows(np.array(data.size))
        padded = np.zeros(sizes.max(), np.uint8)
        padded[: data.size] = data
        return [pickle.loads(row[:size].tobytes()) for row, size in zip(self.rows(padded), sizes, strict=True)]

    def abort(self, status: int) -> None:
        """End the processes of all ranks now: one of them cannot go on, and the others would wait for it."""
        self._comm.Abort(status)

    def _wait(self, name: str, *arrays: np.ndarray) -> None:
        """An exchange, begun and finished.

        Raises
        ------
        PeerLost
            MPI says so; nothing came within the timeout; or a signal came, as to all when one of them dies, and then
            nothing more.
        """
        try:
            request = getattr(self._comm, name)(*arrays)
            started, signalled, looks = time.monotonic(), None, 0
            while not request.Test():
                looks += 1
                if looks < SPINS:
                    continue
                if looks < YIELDS:
                    _give_way()
                    continue
                time.sleep(NAP)
                now = time.monotonic()
                if handle_held_back():
                    signalled = now
                if signalled is not None and now > signalled + GRACE:
                    raise PeerLost(self._lost("a signal came to end the training, and nothing more of another rank"))
                if now > started + self._timeout:
                    raise PeerLost(self._lost(f"nothing came of another rank within {self._timeout:g} s"))
        except self._errors as error:
            raise PeerLost(self._lost(quoted(error))) from error

    def _lost(self, found: str) -> str:
        return f"rank {self.rank} of {self.size} cannot go on: {found}; start again from what was saved"
