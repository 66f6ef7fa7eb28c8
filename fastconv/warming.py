"""Compile the common kernels ahead of time, so that the first calls of a program find them in the cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from . import ops
from .errors import InvalidArgument, shown
from .ops._exactness import suits
from .simd.kernel_cache import compiled
from .spec import LAYOUTS, conv_problem

DTYPES = ("float32", "float64")
MOST_DTYPES = 64  # entries that are looked at: an iterator need not have an end


@dataclass(frozen=True)
class Warmed:
    """What one step brought: how many functions had to be compiled, and how long it took."""

    name: str
    dtype: str
    compiled: int
    seconds: float


def warmup(dtypes: Iterable[str] = DTYPES, announce: Callable[[str], Any] = lambda text: None) -> list[Warmed]:
    """Compile the kernels behind convolutions, their gradients, pools and matrix products; a second call is quick.

    Parameters
    ----------
    dtypes : iterable of {"float32", "float64"}
    announce : callable
        Called with the name of each step before it begins.

    Returns
    -------
    list of Warmed
        One entry a step: name, dtype, functions compiled (0 where the cache had them), seconds.

    Raises
    ------
    InvalidArgument
        A dtype is neither "float32" nor "float64", `dtypes` is no list of such, `announce` no function.

    Examples
    --------
    >>> import fastconv as fc
    >>> warmed = fc.warmup(["float32"])  # doctest: +SKIP
    >>> warmed[0]  # doctest: +SKIP
    Warmed(name='conv direct', dtype='float32', compiled=8, seconds=6.1)
    """
    if not callable(announce):
        raise InvalidArgument(f"announce is {shown(announce)}; expected a function of one text")
    warmed = []
    for dtype in _parsed(dtypes):
        for name, step in STEPS.items():
            announce(f"{name} {dtype}")
            before, started = compiled(), time.perf_counter()
            step(dtype)
            warmed.append(Warmed(name, dtype, compiled() - before, time.perf_counter() - started))
    return warmed


def _parsed(dtypes: Any) -> list[str]:
    """The names of dtypes, each once."""
    if isinstance(dtypes, str) or not isinstance(dtypes, Iterable):
        raise InvalidArgument(f"dtypes is {shown(dtypes)}; expected some of {', '.join(DTYPES)}, in a list")
    names: dict[str, None] = {}
    for dtype in islice(dtypes, MOST_DTYPES):
        name = dtype.name if isinstance(dtype, np.dtype) else dtype
        if not isinstance(name, str) or name not in DTYPES:
            raise InvalidArgument(f"dtype is {shown(dtype)}; expected one of {', '.join(DTYPES)}")
        names[name] = None
    return list(names)


def _inputs(dtype: str, layout: str) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Images and filters: a problem small enough for one thread, and one large enough for several."""
    for n, size, channels in ((1, 6, 4), (4, 24, 32)):
        spatial = (size,) * (len(layout) - 2)
        if len(spatial) == 3:
            spatial = (6, *spatial[1:])
        last = layout[-1] == "C"
        x = np.ones((n, *spatial, channels) if last else (n, channels, *spatial), dtype)
        taps = (3,) * len(spatial)
        yield x, np.ones((*taps, channels, channels) if last else (channels, channels, *taps), dtype)


def _conv(method: str, ranks: Iterable[int] = LAYOUTS) -> Callable[[str], None]:
    def step(dtype: str) -> None:
        for rank in ranks:
            for layout in LAYOUTS[rank]:
                for x, w in _inputs(dtype, layout):
                    getattr(ops, f"conv{rank}d")(x, w, padding=1, layout=layout, method=method)

    return step


def _filters(dtype: str) -> None:
    """One channel, and depthwise: direct filters planes there. Large filters: transforms of planes."""
    for size, k in ((8, 3), (80, 3), (80, 21)):
        image = np.ones((1, 1, size, size), dtype)
        for method in ("direct", "fft"):
            ops.conv2d(image, np.ones((1, 1, min(k, size), k), dtype), padding="same", method=method)
    for layout in LAYOUTS[2]:
        for x, w in _inputs(dtype, layout):
            channels = w.shape[-1 if layout[-1] == "C" else 0]
            depthwise = w[..., :1, :] if layout[-1] == "C" else w[:, :1]
            options: dict[str, Any] = {"padding": 1, "layout": layout, "groups": channels, "method": "direct"}
            y = ops.conv2d(x, depthwise, **options)
            ops.conv2d_input_grad(y, depthwise, x.shape, **options)
            ops.conv2d_weight_grad(x, y, depthwise.shape, **options)


def _gradients(method: str, strides: Iterable[int]) -> Callable[[str], None]:
    def step(dtype: str) -> None:
        for layout in LAYOUTS[2]:
            for x, w in _inputs(dtype, layout):
                for stride in strides:
                    options: dict[str, Any] = {"stride": stride, "padding": 1, "layout": layout, "method": method}
                    dy = ops.conv2d(x, w, **options)
                    ops.conv2d_input_grad(dy, w, x.shape, **options)
                    ops.conv2d_weight_grad(x, dy, w.shape, **options)

    return step


def _pools(dtype: str) -> None:
    for layout in LAYOUTS[2]:
        for x, _ in _inputs(dtype, layout):
            ops.max_pool2d(x, 2, layout=layout)
            y, indices = ops.max_pool2d(x, 2, return_indices=True, layout=layout)
            ops.max_pool2d_grad(y, indices, x.shape, layout=layout)
            y = ops.avg_pool2d(x, 2, layout=layout)
            ops.avg_pool2d_grad(y, x.shape, 2, layout=layout)
            ops.global_avg_pool2d(x, layout=layout)


def _matmul(dtype: str) -> None:
    for size in (8, 96):
        a = np.ones((size, size), dtype)
        for first, second in ((False, False), (True, False), (False, True)):
            ops.matmul(a, a, transpose_a=first, transpose_b=second)


def _auto(dtype: str) -> None:
    """What "auto" looks at before it takes a transform."""
    for layout in LAYOUTS[2]:
        for x, w in _inputs(dtype, layout):
            for op in ("conv", "conv_input_grad"):
                problem = conv_problem(x.shape, w.shape, rank=2, layout=layout, dtype=dtype, op=op)
                suits(problem, "fft", x if op == "conv" else np.ones(problem.y_shape, dtype), w)


STEPS: dict[str, Callable[[str], None]] = {
    "conv direct": _conv("direct"),
    "conv im2col": _conv("im2col"),
    "conv winograd": _conv("winograd", [2]),
    "conv fft": _conv("fft"),
    "conv auto": _auto,
    "filters, depthwise": _filters,
    "gradients direct": _gradients("direct", (1, 2)),
    "gradients winograd": _gradients("winograd", (1,)),
    "pools": _pools,
    "matmul": _matmul,
}
