"""Arrays beyond memory: a function applied block by block, within a budget of bytes."""

from __future__ import annotations

import contextlib
import itertools
import math
import mmap
import re
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument, TooLarge, shown
from ..memory import check_room
from ..streams import Tolerant
from .lookup import operation
from .operations import Operation, Outputs
from .reach import runs, turned

UNITS = {"": 0, "B": 0, "KB": 10, "MB": 20, "GB": 30, "KIB": 10, "MIB": 20, "GIB": 30}
THICK = 4  # blocks are this many times as long as what neighbours share, where the budget allows it
TRIAL = 16  # part of the budget that the first block may take, by which a function's own memory is measured
GUESS = 8  # times the bytes of a block that a function is thought to take before


def blockwise(
    function: Callable[..., Any],
    x: Any,
    *args: Any,
    out: Any = None,
    depth: Any = None,
    borders: str | None = None,
    budget: int | str = "256 MB",
    progress: Any = False,
    **keywords: Any,
) -> Any:
    """``function(x, *args, **keywords)`` block by block, for arrays that are larger than memory.

    Parameters
    ----------
    function : callable
        A convolution or pool of fastconv, a filter or convolution of `fastconv.ndimage` and `fastconv.signal` (or
        SciPy's own), `match_template`: how it is cut into blocks follows from its arguments, and boundary modes are
        exact. Or any function of an array that gives one of the same shape: say in `depth` how far an element sees.
    x : array_like
        Anything with a shape, a dtype and slices: an array, a memmap, a zarr array, an HDF5 data set.
    *args, **keywords
        Of the function.
    out : array_like, optional
        Where to write: anything that slices can be assigned to, of the result's shape. None makes an array in memory.
    depth : int or tuple of int, optional
        How many elements to either side of its place, along each axis, an output depends on: for functions of your own.
    borders : {None, "zeros", "edge", "reflect", "symmetric", "wrap"}
        What lies outside of the array, for functions of your own; with None the function sees the array's edges itself.
    budget : int or str
        Bytes that may be taken beside x and out: a number, or "256 MB", "1 GB". Blocks are cut to it by what the
        function takes for a first, small one.
    progress : bool or callable
        Show a bar on standard error; or call ``progress(done, total)`` after every block.

    Returns
    -------
    out : ndarray, or what was given as `out`

    Raises
    ------
    InvalidArgument
        How the function is cut is not known; `out` has another shape, or is x itself; wrong arguments of the function.
    TooLarge
        Not even the smallest block keeps to the budget; there is no memory for the result.

    Notes
    -----
    The result is that of the whole array, to the last bit where the function sums in one order for any shape (pools,
    the filters of `fastconv.ndimage` but means), else to rounding. Each block is read with the elements round it that
    it needs, so those are read twice. Blocks follow the chunks of a zarr array. Pages of memory maps are given back to
    the system after each block.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> x = np.random.default_rng(0).random((1, 1, 60, 50))
    >>> w = np.ones((1, 1, 3, 3))
    >>> y = fc.blockwise(fc.conv2d, x, w, padding="same", padding_mode="wrap", budget="100 kB")
    >>> bool(np.allclose(y, fc.conv2d(x, w, padding="same", padding_mode="wrap")))
    True
    >>> fc.blockwise(lambda block: block - np.roll(block, 1), np.arange(5.0), depth=1, borders="edge")
    array([0., 1., 1., 1., 1.])
    """
    x = x if hasattr(x, "shape") and hasattr(x, "dtype") and hasattr(x, "__getitem__") else np.asarray(x)
    limit = parse_bytes(budget)
    cut = operation(function, x, args, keywords, depth, borders)
    dtype = cut.dtype_for(x.dtype)
    if out is None:
        check_room(math.prod(cut.shape) * dtype.itemsize, "the result")
        out = np.empty(cut.shape, dtype)
    _check_out(out, x, cut, dtype)
    blocks = list(_blocks(cut.shape, _block_shape(cut, x, out, dtype, limit)))
    with _told(progress, len(blocks)) as tell:
        for done, outputs in enumerate(blocks, 1):
            block = read(cut, x, outputs)
            _give_back(x)
            out[tuple(slice(first, last) for first, last in outputs)] = cut.run(block, outputs)
            _give_back(out)
            tell(done)
    return out


def read(cut: Operation, x: Any, outputs: Outputs) -> np.ndarray:
    """The elements that some outputs need, in memory of their own."""
    stretches = cut.stretches(outputs)
    block = np.full([s.length for s in stretches], cut.fill, x.dtype)
    for each in itertools.product(*(list(runs(s)) for s in stretches)):
        part = np.asarray(x[tuple(slice(run.low, run.high) for run in each)])
        block[tuple(run.places for run in each)] = turned(part, [run.step for run in each])
    return block


def parse_bytes(budget: Any) -> int:
    """A number of bytes from an int, or a text such as "256 MB".

    >>> parse_bytes("1.5 kB"), parse_bytes(100)
    (1536, 100)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMG]?i?B?)\s*", budget) if isinstance(budget, str) else None
    if found and found[2].upper() in UNITS:
        return int(float(found[1]) * 2 ** UNITS[found[2].upper()])
    if isinstance(budget, (int, np.integer)) and not isinstance(budget, bool) and budget > 0:
        return int(budget)
    raise InvalidArgument(f'budget is {shown(budget)}; expected a number of bytes, or a text such as "256 MB"')


def _block_shape(cut: Operation, x: Any, out: Any, dtype: np.dtype, limit: int) -> list[int]:
    """Outputs of a block along each axis: as many as the budget allows, by what a small block takes."""
    grains = _grains(cut, x, out)
    trial = _shrunk(cut, grains, lambda shape: GUESS * _nbytes(cut, shape, x.dtype, dtype) <= limit // TRIAL)
    if trial == list(cut.shape):
        return trial
    outputs = [(0, n) for n in trial]
    block = read(cut, x, outputs)
    cut.run(block, outputs)  # compiles
    taken = _peak(lambda: cut.run(block, outputs)) + block.nbytes
    each = max(1.5, taken / _nbytes(cut, trial, x.dtype, dtype))
    shape = _shrunk(cut, grains, lambda shape: each * _nbytes(cut, shape, x.dtype, dtype) <= limit)
    if each * (least := _nbytes(cut, shape, x.dtype, dtype)) > limit:
        raise TooLarge(f"the smallest block takes {int(each * least):,} bytes; give a budget of more than {limit:,}")
    return shape


def _shrunk(cut: Operation, grains: Sequence[int], fits: Callable[[list[int]], bool]) -> list[int]:
    """The largest block that fits: in whole grains and not too thin while that is possible, of whole rows first."""
    shape, ones = list(cut.shape), [1] * len(cut.axes)
    splittable = [axis for axis, reach in enumerate(cut.axes) if not reach.whole]
    for grain, least in ((grains, _thick(cut, grains)), (grains, grains), (ones, ones)):
        for axis in splittable:
            while not fits(shape) and shape[axis] > least[axis]:
                shape[axis] = max(least[axis], shape[axis] // 2 // grain[axis] * grain[axis])
        if fits(shape):
            break
    for axis in splittable:  # more grains, up to what fits
        step = grains[axis] if shape[axis] % grains[axis] == 0 else 1
        while shape[axis] < cut.shape[axis] and fits([*shape[:axis], shape[axis] + step, *shape[axis + 1 :]]):
            shape[axis] = min(shape[axis] + step, cut.shape[axis])
    return shape


def _thick(cut: Operation, grains: Sequence[int]) -> list[int]:
    """Outputs along each axis, in whole grains, below which a block is thin beside what it shares with others."""
    wanted = [THICK * -(-(reach.extent - 1) // reach.stride) for reach in cut.axes]
    return [
        min(reach.out, grain * max(1, -(-n // grain))) for reach, grain, n in zip(cut.axes, grains, wanted, strict=True)
    ]


def _grains(cut: Operation, x: Any, out: Any) -> list[int]:
    """Outputs along each axis that are read or written together: those of the chunks of `out`, or else of x."""
    written, held = (getattr(array, "chunks", None) or (1,) * len(cut.axes) for array in (out, x))
    return [
        min(reach.out, int(chunk) if chunk > 1 else max(1, int(source) // reach.stride))
        for reach, chunk, source in zip(cut.axes, written, held, strict=True)
    ]


def _nbytes(cut: Operation, shape: Sequence[int], dtype: Any, result: np.dtype) -> int:
    """Bytes of a block of outputs and of the elements that it needs."""
    needed = math.prod(
        reach.size if reach.whole else min((n - 1) * reach.stride + reach.extent, reach.size + reach.extent)
        for reach, n in zip(cut.axes, shape, strict=True)
    )
    return needed * np.dtype(dtype).itemsize + math.prod(shape) * result.itemsize


def _peak(call: Callable[[], Any]) -> int:
    """Bytes that a call takes at most, its result included, as far as Python is told."""
    traced = tracemalloc.is_tracing()
    if not traced:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not traced:
            tracemalloc.stop()


def _blocks(shape: Sequence[int], block: Sequence[int]) -> Iterator[Outputs]:
    """All blocks, those of the last axis first."""
    every = ([(a, min(a + each, n)) for a in range(0, n, each)] for n, each in zip(shape, block, strict=True))
    return itertools.product(*every)


def _check_out(out: Any, x: Any, cut: Operation, dtype: np.dtype) -> None:
    if not hasattr(out, "__setitem__") or tuple(getattr(out, "shape", ())) != cut.shape:
        raise InvalidArgument(
            f"out is {shown(out)}; expected an array of shape {cut.shape}, which slices can be put into"
        )
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise InvalidArgument(f"out has dtype {out.dtype}, which cannot hold a result of dtype {dtype}")
    both = isinstance(x, np.ndarray) and isinstance(out, np.ndarray)
    same_file = getattr(x, "filename", None) is not None and getattr(x, "filename", None) == getattr(
        out, "filename", None
    )
    if out is x or (both and (np.may_share_memory(x, out) or same_file)):
        raise InvalidArgument(
            "out is x itself, or lies in its memory; blocks would be made of results: give another one"
        )


def _give_back(array: Any) -> None:
    """Let the system have the pages of a memory map, which are in its cache or on the disk anyway."""
    if isinstance(array, np.memmap) and array.mode in ("r", "r+", "w+") and hasattr(mmap, "MADV_DONTNEED"):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


@contextlib.contextmanager
def _told(progress: Any, total: int) -> Iterator[Callable[[int], Any]]:
    """What is called after every block."""
    if callable(progress):
        yield lambda done: progress(done, total)
    elif not progress:
        yield lambda done: None
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        stream: Any = Tolerant(sys.stderr)
        columns = "blocks", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=Console(file=stream, highlight=False)) as bar:
            task = bar.add_task("blocks", total=total)
            yield lambda done: bar.update(task, completed=done)
