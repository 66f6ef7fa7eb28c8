"""Element-wise kernels: one factory for every function, dtype and pattern of repetition.

``y[...] = f(a, b, c)`` where each operand is a strided window of a device array, or a number. Axes that all operands
cross alike are taken as one first (`windows.collapsed`), so that arrays of one shape are visited without a division,
a row or a column that is repeated costs one, and only cuts and turned arrays cost more.

Cost: each element of each operand is read once and each of y written once; no memory beside y. Rounding: one for the
operation itself, in the dtypes that NumPy's ufunc chooses; float16 is computed in float32 and rounded at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from . import backend
from .backend import cuda
from .elementary import device_function
from .launch import BLOCK, blocks_for, flat, launch, needs_wide
from .source import unrolled
from .windows import Window, broadcast, collapsed

MOST_ITEMS = 4  # elements a thread takes of a large array: as many loads are under way at once
LARGE = 1 << 18

Operand = Window | np.generic


def make_map(
    T: Any, S: Any, U: Any, name: str, computed: tuple[str, ...], stored: tuple[str, ...], axes: int, items: int
) -> Callable[..., None]:
    """y = f(a, b, c), one thread per `items` elements, neighbours by neighbouring threads.

    computed : dtypes that operands are brought to. stored : dtypes they lie in memory in; "" is a number, not an array.
    """
    A, B, C = (numba.from_dtype(np.dtype(d)) for d in (*computed, *computed[:1] * (3 - len(computed))))
    f = device_function(name, A)
    load_a, load_b, load_c = (
        _loader(d, c) for d, c in zip((*stored, *("",) * (3 - len(stored))), (A, B, C), strict=True)
    )
    count, store = len(computed), _storer(T)

    def map_elements(
        y: Any, a: Any, b: Any, c: Any, sizes: Any, starts: Any,
        steps_y: Any, steps_a: Any, steps_b: Any, steps_c: Any, total: Any,
    ) -> None:  # fmt: skip
        first = U(U(cuda.blockIdx.x) * U(BLOCK * items) + U(cuda.threadIdx.x))
        for k in unrolled(items):
            i = U(first + U(k * BLOCK))
            if i < U(total):
                rest = i
                at_y, at_a, at_b, at_c = U(starts[0]), U(starts[1]), U(starts[2]), U(starts[3])
                for d in unrolled(axes - 1):
                    whole = U(rest // U(sizes[d]))
                    inner = U(rest - whole * U(sizes[d]))
                    at_y = U(at_y + inner * U(steps_y[d]))
                    at_a = U(at_a + inner * U(steps_a[d]))
                    at_b = U(at_b + inner * U(steps_b[d]))
                    at_c = U(at_c + inner * U(steps_c[d]))
                    rest = whole
                at_y = U(at_y + rest * U(steps_y[axes - 1]))
                at_a = U(at_a + rest * U(steps_a[axes - 1]))
                at_b = U(at_b + rest * U(steps_b[axes - 1]))
                at_c = U(at_c + rest * U(steps_c[axes - 1]))
                if count == 1:
                    y[at_y] = store(f(load_a(a, at_a)))
                elif count == 2:
                    y[at_y] = store(f(load_a(a, at_a), load_b(b, at_b)))
                else:
                    y[at_y] = store(f(load_a(a, at_a), load_b(b, at_b), load_c(c, at_c)))

    return map_elements


def _loader(stored: str, computed: Any) -> Any:
    """load(a, i): element i of an array, or the number a itself, in the dtype of the computation."""
    if not stored:
        return numba.njit(lambda a, i: a)
    if numba.from_dtype(np.dtype(stored)) == computed:
        return numba.njit(lambda a, i: a[i])
    return numba.njit(lambda a, i: computed(a[i]))


def _storer(T: Any) -> Any:
    """What brings a result to the dtype of y; a result for an array of bool is one already."""
    return numba.njit((lambda v: v) if T is numba.boolean else (lambda v: T(v)))


def apply(name: str, inputs: tuple[Operand, ...], computed: tuple[np.dtype, ...], y: Window) -> None:
    """Write ``name(*inputs)`` to the window y; `computed`: the dtypes of the computation, of inputs and result.

    Inputs are windows that can be broadcast to y's shape, or NumPy scalars.
    """
    if y.size == 0:
        return
    windows = [broadcast(i, y.shape) if isinstance(i, Window) else None for i in inputs]
    real = [y, *(w for w in windows if w is not None)]
    sizes, steps = collapsed(y.shape, [w.steps for w in real])
    own, none = iter(steps[1:]), (0,) * len(sizes)
    values = [flat(w.handle) if w else _number(i, d) for w, i, d in zip(windows, inputs, computed, strict=False)]
    places = [(next(own), w.start) if w else (none, 0) for w in windows]
    missing = 3 - len(inputs)  # what the kernel does not look at
    values, places = values + values[:1] * missing, places + [(none, 0)] * missing
    items = MOST_ITEMS if y.size >= LARGE else 1
    stored = tuple(np.dtype(w.handle.dtype).name if w else "" for w in windows)
    constants = name, tuple(_wider(d).name for d in computed[: len(inputs)]), stored, len(sizes), items
    starts, steps_abc = (y.start, *(start for _, start in places)), (step for step, _ in places)
    handles = [w.handle for w in real]
    with backend.scope(*handles):
        args = flat(y.handle), *values, sizes, starts, steps[0], *steps_abc, y.size
        wide = needs_wide(*(h.size for h in handles))
        launch(make_map, constants, blocks_for(y.size, BLOCK * items), args, dtype=y.handle.dtype, wide=wide)


def _number(value: Any, dtype: np.dtype) -> Any:
    return _wider(dtype).type(value)


def _wider(dtype: np.dtype) -> np.dtype:
    """The dtype that kernels compute in."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype
