"""From what the caller passes to what kernels take, and back: dtypes, contiguity, devices.

Kernels see C-contiguous, aligned, native arrays of one dtype with three spatial axes, so that no array's layout makes
Numba compile another version.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .. import memory
from ..errors import InvalidArgument, TooLarge, shown
from ..foreign import is_device_array
from ._reading import as_array, check_out

FLOATS = ("float32", "float64")
HALVES = ("float16", "bfloat16")
NATIVE = (np.dtype(np.float32), np.dtype(np.float64))
OPTIONAL = ("b", "bias")  # operands that may be None, where they are the last


class Operands:
    """The arrays of one call, brought to one device and one computing dtype.

    Attributes
    ----------
    arrays : sequence
        What the kernel gets; None stays None.
    compute : numpy.dtype
        Dtype of the computation: float32, float64 (or an integer dtype if allowed).
    result : numpy.dtype
        Dtype the caller gets back: float16 and bfloat16 are computed in float32.
    device : {"cpu", "cuda"}

    With `halves`, on CUDA arrays of 16-bit numbers stay what they are: their kernels sum them in float32. An array that
    is `moved` and not computed with keeps whatever dtype it has.
    """

    _halves = False

    def __init__(
        self,
        names: str,
        *values: Any,
        device: str | None = None,
        integers: bool = False,
        halves: bool = False,
        moved: bool = False,
    ) -> None:
        self.arrays: Sequence[Any]
        absent = values[-1] is None and names.endswith(OPTIONAL)
        if device is None and are_ready(values[:-1] if absent else values):
            self.arrays, self.device, self._given = values, "cpu", None
            self.result = self.compute = values[0].dtype
            return
        if device is None and _are_resident(values[:-1] if absent else values):
            self.arrays = [None if v is None else v.handle for v in values]
            self.device, self._given = "cuda", values[0]
            self.result = self.compute = values[0].handle.dtype
            return
        self.names = names.split()
        for name, value in zip(self.names, values, strict=True):
            if value is None and not self._is_bias(name):
                raise InvalidArgument(f"{name} is None; expected an array")
        self._given = next((v for v in values if is_device_array(v)), None)
        arrays = [
            None if v is None or is_device_array(v) else as_array(v, n) for n, v in zip(self.names, values, strict=True)
        ]
        self.device = self._choose_device(values, device)
        dtypes = [_dtype_of(v if a is None else a) for v, a in zip(values, arrays, strict=True) if v is not None]
        if moved:
            self.result = self.compute = dtypes[0].newbyteorder("=")
        else:
            self.result, self.compute = computing_dtype(dtypes, self.names, integers)
        if self.device == "cpu":
            self.arrays = [None if a is None else contiguous(a, self.compute) for a in arrays]
        else:
            from ..cuda import backend, exchange

            backend.require()
            self._halves = halves and self.result.name in HALVES
            if self._halves:
                self.arrays = self._as_halves(values, arrays)
                return
            self.arrays = [
                None
                if v is None
                else exchange.as_device(v, self.compute)
                if a is None
                else backend.to_device(contiguous(a, self.compute))
                for v, a in zip(values, arrays, strict=True)
            ]

    def _as_halves(self, values: tuple[Any, ...], arrays: list[np.ndarray | None]) -> list[Any]:
        """On the device in 16 bits; a bias in float32, for it is added to sums in float32."""
        from ..cuda import backend, exchange, halves

        given = [v if a is None else a for v, a in zip(values, arrays, strict=True)]
        result = []
        for name, value in zip(self.names, given, strict=True):
            if value is None or not self._is_bias(name):
                result.append(None if value is None else halves.half_of(value, self.result))
            elif isinstance(value, np.ndarray):
                result.append(backend.to_device(contiguous(value, self.compute)))
            else:
                result.append(exchange.as_device(value, self.compute))
        return result

    def _is_bias(self, name: str) -> bool:
        return name in OPTIONAL and name == self.names[-1]

    def _choose_device(self, values: tuple[Any, ...], device: str | None) -> str:
        if device is not None and (not isinstance(device, str) or device not in ("cpu", "cuda")):
            raise InvalidArgument(f'device is {shown(device)}; expected None, "cpu" or "cuda"')
        if self._given is None:
            return device or "cpu"
        if device == "cpu":
            raise InvalidArgument('device is "cpu" but an argument is a CUDA array; copy it to the host first')
        on_host = [n for n, v in zip(self.names, values, strict=True) if v is not None and not is_device_array(v)]
        if on_host:
            raise InvalidArgument(
                f"host and device arrays are mixed: {', '.join(on_host)} must be on the CUDA device too"
            )
        return "cuda"

    def empty(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """A new array of the computing dtype (or `dtype`) on the operands' device."""
        dtype = self.compute if dtype is None else dtype
        if self.device == "cpu":
            return memory.empty(shape, dtype)
        from ..cuda import backend, halves

        with backend.scope(*(a for a in self.arrays if a is not None)):  # on their stream
            return halves.empty(shape, self.result) if self._halves else backend.empty(shape, np.dtype(dtype))

    def output(self, shape: tuple[int, ...], out: Any) -> Any:
        """The array the kernel writes: `out` itself where it fits as it is, else a new one."""
        if out is None:
            return self.empty(shape)
        check_out(out, shape, self.result, _array_class() if self.device == "cuda" else None)
        if self.device == "cuda" or out.dtype != self.compute or not out.flags.c_contiguous or not out.flags.aligned:
            return self.empty(shape)
        apart = not any(a is not None and np.may_share_memory(out, a) for a in self.arrays)
        return out if apart else self.empty(shape)

    def finish(self, y: Any, out: Any = None) -> Any:
        """The caller's result: in the caller's dtype, on the caller's device, in `out` if given."""
        if self.device == "cuda":
            from ..cuda import backend, exchange, halves

            if self._given is not None and out is None:
                dtype = self.result if y.dtype == self.compute or self._halves else None  # indices stay what they are
                return exchange.like(y.array if self._halves else y, self._given, dtype)
            y = halves.to_host(y) if self._halves else backend.to_host(y)
        if out is None:
            return y if y.dtype == self.result or y.dtype.kind not in "fc" else y.astype(self.result)
        if out is not y:
            out[...] = y
        return out


def are_ready(values: tuple[Any, ...]) -> bool:
    """The usual case, told quickly: NumPy arrays of one dtype, as kernels take them."""
    first = values[0]
    if type(first) is not np.ndarray or first.dtype not in NATIVE:
        return False
    dtype = first.dtype
    for a in values:  # noqa: SIM110 - a generator would cost as much as all its tests
        if type(a) is not np.ndarray or a.dtype is not dtype or not a.flags.carray:
            return False
    return True


def _are_resident(values: tuple[Any, ...]) -> bool:
    """The usual case on a GPU: `fastconv.to_device`'s arrays of one dtype that kernels take."""
    if type(values[0]).__module__ != "fastconv.cuda.array":
        return False
    kind = _array_class()
    if type(values[0]) is not kind or values[0].handle.dtype not in NATIVE:
        return False
    dtype = values[0].handle.dtype
    return all(type(a) is kind and a.handle.dtype == dtype for a in values)


@lru_cache(maxsize=1)
def _array_class() -> Any:
    from ..cuda.array import Array

    return Array


def contiguous(array: np.ndarray, dtype: Any) -> np.ndarray:
    """`array` as C-contiguous, aligned, native and writable in Numba's eyes; copied only if it must be."""
    if array.dtype != dtype or not array.flags.c_contiguous:
        what = f"a C-contiguous copy of an array of shape {shown(array.shape)} and dtype {dtype}"
        memory.check_room(array.size * np.dtype(dtype).itemsize, what)
    try:
        array = np.require(array, dtype, ["C", "A"])
    except MemoryError:
        raise TooLarge(f"{what} does not fit into the memory that is left") from None
    if not array.flags.writeable:
        # A read-only array is another type to Numba; kernels never write to their inputs, so look away.
        interface = {**array.__array_interface__}
        interface["data"] = (interface["data"][0], False)
        array = np.asarray(_Window(array, interface))
    return array


class _Window:
    """Keeps the memory of a read-only array alive for a view of it that Numba takes as writable."""

    def __init__(self, owner: np.ndarray, interface: dict[str, Any]) -> None:
        self.owner, self.__array_interface__ = owner, interface


def computing_dtype(dtypes: list[np.dtype], names: list[str], integers: bool) -> tuple[np.dtype, np.dtype]:
    """The result dtype of mixed operands by NumPy's rule, and the dtype it is computed in.

    Integers and booleans become float64 unless `integers`; float16 and bfloat16 are computed in float32.
    """
    result = dtypes[0]
    for dtype in dtypes[1:]:
        result = np.result_type(result, dtype)
    result = result.newbyteorder("=")
    if result.name in HALVES:
        return result, np.dtype(np.float32)
    if result.kind in "biu":
        if integers and result.kind != "b":
            return result, result
        result = np.dtype(np.float64)
    if result.kind == "c":
        if result.name not in ("complex64", "complex128"):
            raise InvalidArgument(f"{', '.join(names)} have dtype {result}; expected complex64 or complex128")
        return result, result
    if result.name not in FLOATS:
        raise InvalidArgument(f"{', '.join(names)} have dtype {result}; expected float16, float32 or float64")
    return result, result


def _dtype_of(value: Any) -> np.dtype:
    if isinstance(value, np.ndarray):
        return value.dtype
    from ..cuda import backend, exchange

    backend.require()
    return np.dtype(exchange.as_device(value).dtype)
