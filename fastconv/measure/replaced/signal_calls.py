"""What the scipy suite measures of `fastconv.signal`."""

from __future__ import annotations

from collections.abc import Iterator

from .call import Call

MILLION = 1_000_000


def calls(dtype: str) -> Iterator[Call]:
    """Small sizes, whose cost is overhead, then those that take time."""
    for n, k in ((100, 5), (100, 31), (1_000, 31), (10_000, 101), (MILLION, 31), (MILLION, 1_001)):
        yield Call("signal.convolve", ((n,), (k,)))
    yield Call("signal.convolve", ((64, 64, 64), (5, 5, 5)), {"mode": "same"})
    yield Call("signal.correlate", ((100,), (100,)))
    yield Call("signal.correlate", ((100_000,), (100_000,)), {"mode": "same"})
    yield from (Call("signal.fftconvolve", ((n, n), (k, k)), {"mode": "same"}) for n, k in ((32, 5), (512, 31)))
    yield Call("signal.fftconvolve", ((512, 512), (512, 512)), {"mode": "same"})
    yield Call("signal.fftconvolve", ((200, 10_000), (1, 301)), {"axes": 1})
    yield from (Call("signal.oaconvolve", ((n,), (k,))) for n, k in ((1_000, 31), (MILLION, 101), (MILLION, 10_001)))
    for n, k in ((32, 3), (32, 5), (64, 9), (512, 3), (512, 9), (512, 31), (2_048, 5)):
        yield Call("signal.convolve2d", ((n, n), (k, k)), {"mode": "same"})
    yield Call("signal.convolve2d", ((512, 512), (7, 7)), {"mode": "same", "boundary": "symm"})
    yield Call("signal.correlate2d", ((512, 512), (15, 15)), {"mode": "same", "boundary": "wrap"})
    yield from (Call("signal.savgol_filter", ((n,),), {"window_length": 31, "polyorder": 3}) for n in (1_000, MILLION))
    yield Call("signal.savgol_filter", ((1_000, 1_000),), {"window_length": 11, "polyorder": 2, "axis": 0})
    yield from (Call("signal.wiener", ((n, n),), {"mysize": 5}) for n in (32, 512))
    yield from (Call("signal.sepfir2d", ((n, n), (9,), (9,))) for n in (32, 512))
    yield from (Call("signal.medfilt2d", ((n, n),), {"kernel_size": k}) for n, k in ((32, 3), (512, 3), (512, 5)))
