"""Element-wise kernels: one factory for every function, dtype and pattern of repetition.

``y[...] = f(a, b, c)`` where each operand is a strided window of a device array, or a number. Axes that all operands
cross alike are taken as one first (`windows.collapsed`), so that arrays of one shape are visited without a division,
a row or a column that is repeated costs one, and only cuts and turned arrays cost more.

Cost: each element of each operand is read once and each of y written once; no memory beside y. Rounding: one for the
operation itself, in the dtypes that NumPy's ufunc chooses; float16 is computed in float32 and rounded at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np

from .. import backend
from ..backend import cuda
from ..launch import BLOCK, blocks_for, flat, launch, needs_wide
from ..runtime.source import unrolled
from .elementary import device_function
from .windows import Window, broadcast, collapsed

MOST_ITEMS = 4  # elements a thread takes of a large array: as many loads are under way at once
LARGE = 1 << 18

Operand = Window | np.generic
Layout = tuple[tuple[int, ...], tuple[int, ...], Any]  # shape, steps, dtype


def make_map(
    T: Any, S: Any, U: Any, name: str, computed: tuple[str, ...], stored: tuple[str, ...], axes: int, items: int
) -> Callable[..., None]:
    """y = f(a, b, c), `items` elements per thread, neighbours by neighbouring threads.

    computed : dtypes that operands are brought to. stored : dtypes they lie in memory in; "" is a number, not an array.
    All loads come before the first store: the compiler would not bring them forward past one, for y may be an operand.
    """
    (A, B, C), (to_a, to_b, to_c), f, store = _parts(T, name, computed, stored)
    number_a, number_b, number_c = _numbers(stored)
    count = len(computed)

    def map_elements(
        y: Any, a: Any, b: Any, c: Any, sizes: Any, starts: Any,
        steps_y: Any, steps_a: Any, steps_b: Any, steps_c: Any, total: Any,
    ) -> None:  # fmt: skip
        first = U(U(cuda.blockIdx.x) * U(BLOCK * items) + U(cuda.threadIdx.x))
        to = cuda.local.array(items, U)
        va, vb, vc = cuda.local.array(items, A), cuda.local.array(items, B), cuda.local.array(items, C)
        for k in unrolled(items):
            rest = U(min(U(first + U(k * BLOCK)), U(U(total) - U(1))))  # what is beyond the end is loaded in vain
            at_y, at_a, at_b, at_c = U(starts[0]), U(starts[1]), U(starts[2]), U(starts[3])
            for d in unrolled(axes - 1):
                whole = U(rest // U(sizes[d]))
                inner = U(rest - whole * U(sizes[d]))
                at_y = U(at_y + inner * U(steps_y[d]))
                at_a = U(at_a + inner * U(steps_a[d]))
                at_b = U(at_b + inner * U(steps_b[d]))
                at_c = U(at_c + inner * U(steps_c[d]))
                rest = whole
            to[k] = U(at_y + rest * U(steps_y[axes - 1]))
            va[k] = to_a(a if number_a else a[U(at_a + rest * U(steps_a[axes - 1]))])
            if count > 1:
                vb[k] = to_b(b if number_b else b[U(at_b + rest * U(steps_b[axes - 1]))])
            if count > 2:
                vc[k] = to_c(c if number_c else c[U(at_c + rest * U(steps_c[axes - 1]))])
        for k in unrolled(items):
            if U(first + U(k * BLOCK)) < U(total):
                if count == 1:
                    y[to[k]] = store(f(va[k]))
                elif count == 2:
                    y[to[k]] = store(f(va[k], vb[k]))
                else:
                    y[to[k]] = store(f(va[k], vb[k], vc[k]))

    return map_elements


def make_flat_map(
    T: Any, S: Any, U: Any, name: str, computed: tuple[str, ...], stored: tuple[str, ...], items: int
) -> Callable[..., None]:
    """y[i] = f(a[i], b[i], c[i]) for operands of y's shape, and numbers; see `make_map`."""
    (A, B, C), (to_a, to_b, to_c), f, store = _parts(T, name, computed, stored)
    number_a, number_b, number_c = _numbers(stored)

    def map_one(y: Any, a: Any, total: Any) -> None:
        first = U(U(cuda.blockIdx.x) * U(BLOCK * items) + U(cuda.threadIdx.x))
        va = cuda.local.array(items, A)
        for k in unrolled(items):
            i = U(min(U(first + U(k * BLOCK)), U(U(total) - U(1))))
            va[k] = to_a(a if number_a else a[i])
        for k in unrolled(items):
            if U(first + U(k * BLOCK)) < U(total):
                y[U(first + U(k * BLOCK))] = store(f(va[k]))

    def map_two(y: Any, a: Any, b: Any, total: Any) -> None:
        first = U(U(cuda.blockIdx.x) * U(BLOCK * items) + U(cuda.threadIdx.x))
        va, vb = cuda.local.array(items, A), cuda.local.array(items, B)
        for k in unrolled(items):
            i = U(min(U(first + U(k * BLOCK)), U(U(total) - U(1))))
            va[k] = to_a(a if number_a else a[i])
            vb[k] = to_b(b if number_b else b[i])
        for k in unrolled(items):
            if U(first + U(k * BLOCK)) < U(total):
                y[U(first + U(k * BLOCK))] = store(f(va[k], vb[k]))

    def map_three(y: Any, a: Any, b: Any, c: Any, total: Any) -> None:
        first = U(U(cuda.blockIdx.x) * U(BLOCK * items) + U(cuda.threadIdx.x))
        va, vb, vc = cuda.local.array(items, A), cuda.local.array(items, B), cuda.local.array(items, C)
        for k in unrolled(items):
            i = U(min(U(first + U(k * BLOCK)), U(U(total) - U(1))))
            va[k] = to_a(a if number_a else a[i])
            vb[k] = to_b(b if number_b else b[i])
            vc[k] = to_c(c if number_c else c[i])
        for k in unrolled(items):
            if U(first + U(k * BLOCK)) < U(total):
                y[U(first + U(k * BLOCK))] = store(f(va[k], vb[k], vc[k]))

    return (map_one, map_two, map_three)[len(computed) - 1]


def _parts(T: Any, name: str, computed: tuple[str, ...], stored: tuple[str, ...]) -> tuple[Any, ...]:
    """Of a kernel: the types of three operands, what converts each to it, f, and what stores the result."""
    missing = 3 - len(computed)
    types = [numba.from_dtype(np.dtype(d)) for d in (*computed, *computed[:1] * missing)]
    conversions = [_conversion(d, t) for d, t in zip((*stored, *("",) * missing), types, strict=True)]
    return types, conversions, device_function(name, types[0]), _storer(T)


def _numbers(stored: tuple[str, ...]) -> tuple[bool, ...]:
    """Which of three operands are numbers; decided while a kernel is compiled."""
    return tuple(not d for d in (*stored, *("",) * (3 - len(stored))))


def _conversion(stored: str, computed: Any) -> Any:
    """What brings an operand to the dtype of the computation; numbers come in it."""
    if not stored or numba.from_dtype(np.dtype(stored)) == computed:
        return numba.njit(lambda v: v)
    return numba.njit(lambda v: computed(v))


def _storer(T: Any) -> Any:
    """What brings a result to the dtype of y; a result for an array of bool is one already."""
    return numba.njit((lambda v: v) if T is numba.boolean else (lambda v: T(v)))


class Mapping(NamedTuple):
    """What a call needs beside its arrays, found once for operands of the same shapes, steps and dtypes."""

    constants: tuple[Any, ...]
    types: tuple[Any, ...]  # of the operands that are numbers
    flat: bool  # every operand is a number or lies like y, without a gap
    sizes: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]  # of y, a, b, c


@lru_cache(maxsize=4096)
def mapping(name: str, computed: tuple[np.dtype, ...], y: Layout, inputs: tuple[Layout | None, ...]) -> Mapping:
    """How ``y = name(*inputs)`` is computed; None stands for a number."""
    shape = y[0]
    windows = [None if i is None else broadcast(Window(None, i[0], i[1]), shape) for i in inputs]
    sizes, steps = collapsed(shape, [y[1], *(w.steps for w in windows if w)])
    own, none = iter(steps[1:]), (0,) * len(sizes)
    places = [next(own) if w else none for w in windows]
    real = [place for place, w in zip(places, windows, strict=True) if w]
    wider = [_wider(d) for d in computed[: len(inputs)]]
    stored = tuple("" if i is None else np.dtype(i[2]).name for i in inputs)
    constants = name, tuple(d.name for d in wider), stored
    places += [none] * (3 - len(inputs))
    in_a_row = all(place == steps[0] for place in real) and (steps[0] == (1,) or sizes == (1,))
    return Mapping(constants, tuple(d.type for d in wider), len(sizes) == 1 and in_a_row, sizes, (steps[0], *places))


def apply(name: str, inputs: tuple[Operand, ...], computed: tuple[np.dtype, ...], y: Window) -> None:
    """Write ``name(*inputs)`` to the window y; `computed`: the dtypes of the computation, of inputs and result.

    Inputs are windows that can be broadcast to y's shape, or NumPy scalars.
    """
    if y.size == 0:
        return
    how = mapping(name, computed, _layout(y), tuple(_layout(i) if isinstance(i, Window) else None for i in inputs))
    windows = [y, *(i for i in inputs if isinstance(i, Window))]
    values = [flat_of(i.handle) if isinstance(i, Window) else t(i) for i, t in zip(inputs, how.types, strict=True)]
    items = MOST_ITEMS if y.size >= LARGE else 1
    options = {"dtype": y.handle.dtype, "wide": needs_wide(*(w.handle.size for w in windows))}
    blocks = blocks_for(y.size, BLOCK * items)
    with backend.scope(*(w.handle for w in windows)):
        if how.flat and not any(w.start for w in windows):
            args: tuple[Any, ...] = flat_of(y.handle), *values, y.size
            launch(make_flat_map, (*how.constants, items), blocks, args, **options)
            return
        starts = (y.start, *(i.start if isinstance(i, Window) else 0 for i in inputs), 0, 0)[:4]
        values += values[:1] * (3 - len(values))  # what the kernel does not look at
        args = flat_of(y.handle), *values, how.sizes, starts, *how.steps, y.size
        launch(make_map, (*how.constants, len(how.sizes), items), blocks, args, **options)


def flat_of(handle: Any) -> Any:
    """A device array as one axis; the view is kept, for making one takes longer than many a kernel."""
    if len(handle.shape) == 1:
        return handle
    view = getattr(handle, "fastconv_flat", None)
    if view is None:
        view = handle.fastconv_flat = flat(handle)
    return view


def _layout(window: Window) -> Layout:
    return window.shape, window.steps, window.handle.dtype


def _wider(dtype: np.dtype) -> np.dtype:
    """The dtype that kernels compute in."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype
