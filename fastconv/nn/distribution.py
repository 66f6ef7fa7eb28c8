"""Training by several processes, on one machine or many: Keras's names, over MPI.

Every process runs the same script, started by ``mpirun -n 4 python -m mpi4py script.py``: it builds the same model and
loads the same samples. ``fit`` then takes a share of every batch in each of them.
"""

from __future__ import annotations

import platform
import sys
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import processors
from ..config import settings
from ..errors import InvalidArgument, shown
from ..streams import put
from ..threads import set_num_threads
from ..within import Block, Within
from . import arguments
from .fitting.bundles import arrays_of
from .fitting.ranks import Ranks
from .modelling.parts import Part

SAMPLED = 256  # samples by which ranks notice that they do not have the same


class DataParallel:
    """Let all ranks of an MPI program train one model: each takes a share of every batch.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        The processes that take part; all that mpirun started, by default.
    timeout : float
        Seconds after which a rank that does not answer counts as lost.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and how many there are.

    Raises
    ------
    MissingExtra
        mpi4py is not installed.

    Notes
    -----
    `fit` calls of all ranks are one: `batch_size` is that of the whole batch, of which rank r gets the samples
    ``size*r//ranks`` to ``size*(r + 1)//ranks``. At its beginning all take over rank 0's weights, optimizer state and
    random numbers. The loss curve is that of one process with the same batches, but for rounding:

    * gradients are means over the ranks, weighted by their samples, added in double precision in the order of the
      ranks;
    * batch normalization takes mean and variance of the whole batch;
    * a dropout mask follows from an element's place in the whole batch;
    * metrics see the outputs for the whole batch, in its order; also where they are `validation_data`'s.

    All ranks have the same weights, metrics and history, to the last bit, and a repeated run has the same bits. Another
    number of ranks rounds otherwise: sums of a gradient's parts are taken in another order, and convolutions of smaller
    batches may run by another method. In float32 the first step's loss differs by about 1e-7; later ones as
    much as if the initial weights had been rounded otherwise, which at large learning rates is soon a few percent.

    `evaluate` and `predict` are each rank's own: any of them may call them alone. Callbacks run on all ranks; those
    that write files do so everywhere unless they are passed on rank 0 only. A `train_step` of your own needs nothing
    new, but what it returns is averaged over the ranks. A loss of your own that returns one number for a batch counts
    as a mean.

    Costs a step: twice the gradients' bytes to and from each rank, whatever their number; the outputs; 32 bytes for
    each channel of a batch normalization. Models on "cuda" are refused.

    Examples
    --------
    As a script, started by ``mpirun -n 2 python -m mpi4py script.py``; in a process by itself it trains alone.

    >>> from fastconv import nn as keras
    >>> def train():
    ...     with keras.distribution.DataParallel().scope() as ranks:
    ...         model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))], seed=0)
    ...         model.compile("sgd", "mse")
    ...         return model.fit(np.ones((8, 2)), np.ones(8), verbose=ranks.rank == 0).history
    """

    def __init__(self, comm: Any = None, timeout: float = 600.0) -> None:
        self._ranks = Ranks(comm, arguments.real(self, "timeout", timeout, above=0))
        self.rank, self.size = self._ranks.rank, self._ranks.size
        self._share_processors()

    @contextmanager
    def scope(self) -> Iterator[DataParallel]:
        """Let `fit` calls of this thread share their batches in this block.

        An exception that leaves it ends all ranks, for the others would wait for this one: its traceback is printed.
        """
        try:
            with self.joined():
                yield self
        except BaseException as error:
            if self.size > 1 and not (isinstance(error, SystemExit) and not error.code):
                put(sys.stderr, f"rank {self.rank} of {self.size} ends all:\n{traceback.format_exc()}")
                self.abort(1)
            raise

    def joined(self) -> Block:
        """As `scope`, for who sees to it that an exception ends all ranks."""
        return _chosen.set(distribution=self)

    def abort(self, status: int = 1) -> None:
        """End the processes of all ranks, with an exit status."""
        self._ranks.abort(status)

    def agreed(self, number: float) -> float:
        """The largest of the numbers that the ranks call this with, on all of them."""
        return float(self._ranks.rows(np.array(number, np.float64)).max())

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, of anything that can be pickled, on all ranks."""
        return self._ranks.broadcast(value)

    def gathered(self, value: Any) -> list[Any]:
        """The values that the ranks call this with, on all of them."""
        return self._ranks.gathered(value)

    def part(self, size: int) -> Part:
        """This rank's part of a batch of `size` samples."""
        return Part(self._ranks, size)

    def check(self, device: str, x: np.ndarray, y: np.ndarray) -> None:
        """Raise, on all ranks, where `fit` cannot share these samples: on a GPU, or if the ranks' differ."""
        if device != "cpu":
            raise InvalidArgument(f"the model is on {shown(device)}; DataParallel trains on the CPU: model.to('cpu')")
        every = slice(None, None, max(1, len(x) // SAMPLED))
        marks = [
            (a.shape, a.dtype.str, zlib.crc32(np.ascontiguousarray(a[every])))
            for part in (x, y)
            for a in arrays_of(part)
        ]
        first, *others = self.gathered(marks)
        for rank, other in enumerate(others, 1):
            if other != first:
                sizes = [" and ".join(str(shape) for shape, *_ in samples) for samples in (other, first)]
                raise InvalidArgument(
                    f"rank {rank} has other samples, x and y of shape {sizes[0]}, than rank 0, of shape {sizes[1]}; "
                    "every rank must be given the whole data set, in the same order"
                )

    def _share_processors(self) -> None:
        """Use no more threads than there are processors for each of the ranks on this machine."""
        if settings.num_threads or self.size == 1:
            return
        machine, mine = platform.node(), processors.allowed()
        others = [allowed for name, allowed in self.gathered((machine, mine)) if name == machine]
        share = sum(1 / sum(n in allowed for allowed in others) for n in mine) / len(mine)
        set_num_threads(max(1, int(processors.usable() * share + 1e-9)))


class _Chosen(Within):
    distribution: DataParallel | None = None


_chosen = _Chosen()
_everywhere: DataParallel | None = None


def distribution() -> DataParallel | None:
    """What `fit` calls share their batches by: that of the `scope` around them, or of `set_distribution`."""
    return _chosen.distribution or _everywhere


def set_distribution(value: DataParallel | None) -> None:
    """Let all `fit` calls from now on share their batches, or with None train alone.

    Examples
    --------
    >>> set_distribution(None)
    >>> distribution() is None
    True
    """
    global _everywhere
    if value is not None and not isinstance(value, DataParallel):
        raise arguments.wrong(None, "value", value, "a DataParallel, or None")
    _everywhere = value
