"""Arrays of float16 and bfloat16 in device memory: kernels see their bits as uint16, for Numba has no bfloat16."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from . import backend, ptx
from .backend import cuda
from .exchange import as_device
from .launch import BLOCK, blocks_for, flat, launch, needs_wide
from .runtime.source import inlined

#: What tensor cores call the numbers, by dtype.
NAMES = {"float16": "f16", "bfloat16": "bf16"}
_WIDEN = {"f16": ptx.from_f16, "bf16": ptx.from_bf16}
_NARROW = {"f16": ptx.to_f16, "bf16": ptx.to_bf16_anywhere}


class Half:
    """A device array of 16-bit floating-point numbers.

    Attributes
    ----------
    bits : device array of uint16
    dtype : numpy.dtype
        float16 or bfloat16.
    array : device array of float16
        The same memory; None where it holds bfloat16.
    """

    def __init__(self, bits: Any, dtype: np.dtype, array: Any = None) -> None:
        self.bits, self.dtype, self.array = bits, dtype, array
        self.shape, self.size, self.ndim = tuple(bits.shape), bits.size, len(bits.shape)

    @property
    def numbers(self) -> str:
        """What tensor cores call the numbers."""
        return NAMES[self.dtype.name]

    @property
    def gpu_data(self) -> Any:
        """The memory, which remembers its device and stream."""
        return getattr(self.bits, "gpu_data", None)

    def reshape(self, *shape: Any) -> Half:
        """A view with another shape."""
        return Half(self.bits.reshape(*shape), self.dtype)


def half_of(array: Any, dtype: np.dtype) -> Half:
    """A host array, converted to `dtype`, or a device array of float16 as `Half`."""
    if isinstance(array, np.ndarray):
        return Half(backend.to_device(np.ascontiguousarray(array, dtype).view(np.uint16)), dtype)
    array = as_device(array, np.float16)
    return Half(backend.executor().bits(array), dtype, array)


def empty(shape: tuple[int, ...], dtype: np.dtype) -> Half:
    """A new array whose values are undefined."""
    if dtype != np.float16:
        return Half(backend.empty(shape, np.uint16), dtype)
    array = backend.empty(shape, dtype)
    return Half(backend.executor().bits(array), dtype, array)


def to_host(half: Half) -> np.ndarray:
    """A copy on the host."""
    return backend.to_host(half.bits).view(half.dtype)


def make_convert(T: Any, S: Any, U: Any, numbers: str, widen: bool) -> Callable[..., None]:
    """y[i] = x[i] in float32 with `widen`, else the 16-bit number next to x[i]; one thread per element."""
    convert = (_WIDEN if widen else _NARROW)[numbers]

    def convert_each(x: Any, y: Any, total: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            y[i] = convert(x[i])

    return convert_each


def make_loader(numbers: str | None) -> Any:
    """``load(bits)``: the float32 that 16 bits stand for; with None whatever it gets."""
    return _as_it_is() if numbers is None else _WIDEN[numbers]


def make_storer(numbers: str | None) -> Any:
    """``store(v)``: the 16 bits next to a float32; with None whatever it gets."""
    return _as_it_is() if numbers is None else _NARROW[numbers]


def _as_it_is() -> Any:
    def same(v: Any) -> Any:
        return v

    return inlined(same)


def elements(array: Any) -> Any:
    """What a kernel gets of an array or a `Half`, as one axis."""
    return flat(array.bits if isinstance(array, Half) else array)


def widened(half: Half) -> Any:
    """A copy in float32."""
    y = backend.empty(half.shape, np.float32)
    _convert(half.bits, y, half.numbers, True)
    return y


def narrowed(x: Any, half: Half) -> None:
    """Write float32 numbers to `half`."""
    _convert(x, half.bits, half.numbers, False)


def _convert(x: Any, y: Any, numbers: str, widen: bool) -> None:
    args = flat(x), flat(y), x.size
    launch(make_convert, (numbers, widen), blocks_for(x.size), args, dtype=np.float32, wide=needs_wide(x.size))


def through_float32(function: Callable[..., None]) -> Callable[..., None]:
    """Let an entry point that computes in float32 serve `Half` arrays too; its last array is the result."""

    @functools.wraps(function)
    def run(*arrays: Any, **options: Any) -> None:
        *inputs, result = arrays
        if not isinstance(result, Half):
            return function(*arrays, **options)
        wide = backend.empty(result.shape, np.float32)
        function(*(widened(a) if isinstance(a, Half) else a for a in inputs), wide, **options)
        narrowed(wide, result)

    return run
