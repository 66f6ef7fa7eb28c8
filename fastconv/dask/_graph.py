"""An operation over the chunks of a Dask array: every block of outputs gets the elements that it needs, and no more.

Of neighbouring chunks only the strips that a block needs travel; a chunk may be smaller than what an output depends on,
and strips may come from the other end of the array, or reversed from this one, as the border mode says.
"""

from __future__ import annotations

import itertools
import math
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..blocks import Operation, Reach, Run, operation, runs, turned
from ..config import settings
from ..errors import InvalidArgument, MissingExtra, shown
from ..threads import threads

try:
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph
except ImportError:
    raise MissingExtra("fastconv.dask needs Dask's arrays: pip install 'fastconv[dask]'") from None


def blockwise(
    function: Callable[..., Any], x: Any, *args: Any, depth: Any = None, borders: str | None = None, **keywords: Any
) -> da.Array:
    """``function(x, *args, **keywords)`` over the chunks of a Dask array, lazily.

    Parameters
    ----------
    function, *args, depth, borders, **keywords
        As for `fastconv.blockwise`. Arguments beside x are NumPy's arrays, and go to every worker once.
    x : dask.array.Array
        In chunks of any sizes.

    Returns
    -------
    dask.array.Array
        Its chunks are those of x, divided by strides; the axis of channels that a convolution sums over is one chunk.

    Raises
    ------
    InvalidArgument
        x is no Dask array, or the size of its chunks is not known; how the function is cut is not known; wrong
        arguments of the function: before anything is computed.

    Notes
    -----
    Results are those of the whole array, as `fastconv.blockwise` says. A task runs on one thread, as is the custom of
    Dask's workers, which have a thread for each processor; ``FASTCONV_NUM_THREADS`` in the workers' environment sets
    another number. What a lost worker had is computed again by others.

    Examples
    --------
    >>> import dask.array as da, numpy as np, fastconv as fc
    >>> import fastconv.dask
    >>> x = da.from_array(np.arange(12.0).reshape(1, 1, 12), chunks=(1, 1, 2))
    >>> y = fastconv.dask.conv1d(x, np.ones((1, 1, 5)), padding=2, padding_mode="reflect")
    >>> y.compute()
    array([[[ 6.,  7., 10., 15., 20., 25., 30., 35., 40., 45., 48., 49.]]])
    """
    if not isinstance(x, da.Array):
        raise InvalidArgument(f"x is {shown(x)}; expected a Dask array; fastconv.blockwise takes others")
    if any(math.isnan(n) for n in x.shape):
        raise InvalidArgument("the sizes of x's chunks are not known; call x.compute_chunk_sizes() first")
    cut = operation(function, x, args, keywords, depth, borders)
    dtype = cut.dtype_for(x.dtype)
    name = getattr(function, "__name__", "function").strip("<>")
    token = tokenize(function, x.name, args, keywords, depth, borders)
    chunks = tuple(_chunks(reach, sizes) for reach, sizes in zip(cut.axes, x.chunks, strict=True))
    label = f"fastconv-{name}-{token}"
    graph = HighLevelGraph.from_collections(label, dict(_tasks(label, cut, x, chunks)), dependencies=[x])
    return da.Array(graph, label, chunks, dtype=dtype, meta=np.empty((0,) * len(chunks), dtype))


@dataclass(frozen=True, eq=False)
class Block:
    """How a block is put together: its outputs, and for each piece the runs that it holds."""

    outputs: tuple[tuple[int, int], ...]
    lengths: tuple[int, ...]
    pieces: tuple[tuple[Run, ...], ...]

    def __call__(self, cut: Operation, dtype: np.dtype, parts: Sequence[np.ndarray]) -> np.ndarray:
        """The outputs, from the pieces."""
        block = np.full(self.lengths, cut.fill, dtype)
        for each, part in zip(self.pieces, parts, strict=True):
            block[tuple(run.places for run in each)] = turned(part, [run.step for run in each])
        with _one_thread():
            return cut.run(block, self.outputs)


def _one_thread() -> Any:
    """Dask has a thread for each processor already, unless it computes in the caller's own."""
    own = settings.num_threads or threading.current_thread() is threading.main_thread()
    return nullcontext() if own else threads(1)


def _chunks(reach: Reach, sizes: Sequence[int]) -> tuple[int, ...]:
    """Outputs of each block along an axis: those whose place lies in one chunk of x."""
    if reach.whole:
        return (reach.out,)
    ends = [min(reach.out, -(-int(end) // reach.stride)) for end in np.cumsum(sizes)]
    ends[-1] = reach.out
    return tuple(n for n in np.diff([0, *ends]).tolist() if n) or (0,)


def _tasks(label: str, cut: Operation, x: da.Array, chunks: Sequence[Sequence[int]]) -> Iterator[tuple[Any, Any]]:
    """The graph: the operation, strips of chunks, and blocks of outputs."""
    whole = f"{label}-operation"
    yield whole, cut
    places = [_blocks(reach, sizes, own) for reach, sizes, own in zip(cut.axes, x.chunks, chunks, strict=True)]
    known = set()
    for index in itertools.product(*(range(len(each)) for each in places)):
        outputs, lengths, along = zip(*(places[axis][i] for axis, i in enumerate(index)), strict=True)
        pieces, keys = [], []
        for each in itertools.product(*along):
            chunk = (x.name, *(number for number, _, _ in each))
            strip = tuple(slice(low, low + run.high - run.low) for _, low, run in each)
            key: Any = chunk
            if any(s.stop - s.start < x.chunks[a][n] for a, (s, (n, _, _)) in enumerate(zip(strip, each, strict=True))):
                key = (f"{label}-strip", *chunk[1:], *(f"{s.start}:{s.stop}" for s in strip))
                if key not in known:
                    known.add(key)
                    yield key, (operator.getitem, chunk, strip)
            pieces.append(tuple(run for _, _, run in each))
            keys.append(key)
        yield (label, *index), (Block(outputs, lengths, tuple(pieces)), whole, x.dtype, keys)


def _blocks(
    reach: Reach, sizes: Sequence[int], own: Sequence[int]
) -> list[tuple[Any, int, list[tuple[int, int, Run]]]]:
    """Each block of an axis: its outputs, the elements it needs, and their runs as (chunk, place in the chunk, run)."""
    ends, found, first = np.cumsum(sizes), [], 0
    starts = ends - np.asarray(sizes)
    for count in own:
        last = first + count
        stretch = reach.stretch(first, last)
        along = []
        for run in runs(stretch, ends):
            number = int(np.searchsorted(ends, run.low, side="right"))
            along.append((number, run.low - int(starts[number]), run))
        found.append(((first, last), stretch.length, along))
        first = last
    return found
