"""A filter over a signal that comes in blocks: `Stream`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..errors import InvalidArgument, shown
from ..spec import parse_axes
from ._core import BACKWARDS, sums
from ._numbers import of_floats

MANY, LONG = 8, 2048  # blocks, and taps, from which on the parts of a filter are transformed one by one
PLANS = 16  # that are kept, for lengths of blocks


class Stream:
    """A filter over a signal without an end: blocks in, blocks of the same length out, without delay.

    y[i] = sum over u of taps[u] * x[i - u], x before the first block being zero

    The blocks that come out, one behind the other, and what `finish` returns at last, are ``convolve(x, taps)`` of the
    blocks that went in: how the signal was cut makes no difference but rounding.

    Parameters
    ----------
    taps : array_like, (K,)
        The filter, real or complex.
    axis : int
        Of a block's axes that of time; the others are channels, all under the same filter.

    Attributes
    ----------
    taps : ndarray

    Raises
    ------
    InvalidArgument
        taps is no filter; a block has other channels, another dtype or no such axis, compared with the one before it.

    Notes
    -----
    Overlap-save: the last K - 1 samples are kept and lie before the next block, of which `conv1d` makes the output with
    filters that are packed or transformed once for each length of block. Where a filter is more than 8 blocks long its
    parts of a block's length are transformed one by one and the blocks' spectra kept (a uniform partition): a block of
    n samples costs two transforms of 2 n and K/n products of spectra, so that the 100,000 taps of a room's response
    follow audio in blocks of 512. Blocks with NaN or infinities, which would spread, are summed without transforms.
    The dtype is NumPy's common one of taps and blocks. Not for use by two threads at once.

    Error against float64: as `fastconv.conv1d`, of a partition as its FFT.
    J.-S. Soo, K. K. Pang, Multidelay block frequency domain adaptive filter, IEEE ASSP 38 (1990).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import signal
    >>> stream = signal.Stream([1.0, 1.0, 1.0])
    >>> [stream(block).tolist() for block in ([1.0, 2.0], [4.0], [8.0, 16.0])]
    [[1.0, 3.0], [7.0], [14.0, 28.0]]
    >>> stream.finish()
    array([24., 16.])
    """

    def __init__(self, taps: Any, *, axis: int = -1) -> None:
        array = np.array(taps)
        if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "biufc":
            raise InvalidArgument(f"taps is {shown(taps)}; expected real or complex numbers along one axis")
        self.taps = array
        self._axis = parse_axes(axis, "axis", 1, least=-64)[0]
        self.reset()

    def reset(self) -> None:
        """Forget what went in: the next block is a first one."""
        self._history: np.ndarray | None = None
        self._channels: tuple[int, ...] = ()
        self._plans: dict[tuple[int, ...], Any] = {}
        self._partitions: Any = None

    def __call__(self, block: Any) -> np.ndarray:
        """The output for the next samples: an array of the block's shape."""
        x = self._checked(block)
        if not x.size:
            return np.zeros(x.shape, self._numbers.result)
        moved = np.moveaxis(x, self._axis, -1)
        lines = moved.reshape(-1, moved.shape[-1])
        y = self._filtered(lines)
        return np.ascontiguousarray(np.moveaxis(y.reshape(moved.shape), -1, self._axis))

    def finish(self) -> np.ndarray:
        """The K - 1 samples that follow the last block, as if zeros went in; then `reset`.

        Without a block before it there are no channels: K - 1 zeros.
        """
        if self._history is None:
            return np.zeros(self.taps.size - 1, self.taps.dtype if self.taps.dtype.kind in "fc" else float)
        shape = list(self._channels)
        shape.insert(self._axis % (len(shape) + 1), self.taps.size - 1)
        y = self(np.zeros(shape, self._dtype))
        self.reset()
        return y

    def _checked(self, block: Any) -> np.ndarray:
        """A block like those before it; the first one says what those to come are like."""
        x = np.asarray(block)
        if x.dtype.kind not in "biufc" or not -x.ndim <= self._axis < x.ndim:
            raise InvalidArgument(f"the block is {shown(block)}; expected numbers with an axis {self._axis} of time")
        channels = tuple(np.delete(x.shape, self._axis).tolist())
        if self._history is None:
            self._begin(x.dtype, channels)
        elif channels != self._channels or np.result_type(x.dtype, self._dtype) != self._dtype:
            raise InvalidArgument(
                f"the block is {shown(x)}; those before had channels {self._channels} and dtype {self._dtype}: "
                "call reset() before another signal"
            )
        return x.astype(self._dtype, copy=False)

    def _begin(self, dtype: np.dtype, channels: tuple[int, ...]) -> None:
        floating = dtype if dtype.kind in "fc" else np.dtype(float)
        numbers = of_floats(np.result_type(floating, self.taps.dtype).newbyteorder("="))
        if numbers is None:
            raise InvalidArgument(
                f"blocks of {dtype} with taps of {self.taps.dtype}; expected at most double precision"
            )
        self._numbers, self._dtype, self._channels = numbers, floating, channels
        self._real = numbers.result.kind == "f"
        kind = numbers.real if self.taps.dtype.kind != "c" else np.result_type(numbers.real, np.complex64)
        self._taps = self.taps.astype(kind)
        own = numbers.real if floating.kind != "c" else np.result_type(numbers.real, np.complex64)
        self._history = np.zeros((int(np.prod(channels, dtype=int)), self.taps.size - 1), own)

    def _filtered(self, lines: np.ndarray) -> np.ndarray:
        """(channels, samples) -> the same; the history moves on."""
        assert self._history is not None
        past, n, k = self._history, lines.shape[1], self.taps.size
        extended = np.concatenate((past, lines.astype(past.dtype, copy=False)), 1)
        self._history = extended[:, extended.shape[1] - (k - 1) :].copy()
        if k >= max(MANY * n, LONG) and bool(np.isfinite(extended).all()):
            if self._partitions is None or self._partitions.length != n:
                from ._partitions import Partitions  # SciPy's transforms take a while to load

                self._partitions = Partitions(self._taps, n, past)
            y: np.ndarray = self._partitions.next(extended[:, -2 * n :])
            return y.astype(self._numbers.result, copy=False)
        self._partitions = None
        images = extended[:, None]
        if not self._real:
            return sums(images, self._taps[None, None, BACKWARDS], ((0, 0),), self._numbers, "auto")[:, 0, 0]
        plan = self._plans.get(images.shape)
        if plan is None:
            if len(self._plans) >= PLANS:  # of blocks of ever another length none comes again
                self._plans.clear()
            plan = self._plans[images.shape] = ops.plan_conv1d(self._taps[None, None, BACKWARDS], images.shape)
        return plan(images)[:, 0].astype(self._numbers.result, copy=False)  # type: ignore[no-any-return]
