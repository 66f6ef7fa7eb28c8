"""The device array that speaks NumPy's protocols, so that code written for NumPy runs on a GPU unchanged.

`Array` wraps the executor's C-contiguous array. NumPy's ufuncs and functions reach it by ``__array_ufunc__`` and
``__array_function__`` (NEP 13, NEP 18); other libraries by ``__cuda_array_interface__`` and DLPack. What is not served
raises an error: nothing is copied to the host unless `numpy`, `item` or a conversion to a Python number asks for it.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..foreign import DLPACK_CUDA, LEGACY_STREAM, is_device_array
from . import backend
from .arrays import functions
from .arrays.base import Wrapper
from .arrays.layout import permute
from .arrays.reduce import reduced
from .arrays.ufuncs import apart, contiguous, copy_to, operand
from .arrays.windows import Window, indexed, permuted, whole
from .exchange import as_device, from_host
from .runtime import dlpack
from .runtime.memory import lease_of
from .runtime.streams import stream_of


class Array(Wrapper, NDArrayOperatorsMixin):
    """An array in a GPU's memory, C-contiguous.

    Parameters
    ----------
    handle : device array
        The executor's own array, which this one wraps without a copy.

    Notes
    -----
    Basic indexing (integers, slices, None, ...) gives a view where the elements lie next to each other in memory, such
    as ``x[2:5]`` or ``x[3]``, and a copy otherwise; assignment writes to the array itself in both cases. `reshape`
    gives a view, `transpose` a copy. Arithmetic follows NumPy's dtype rules (NEP 50). An array remembers the device
    and the stream of what it was made from, and kernels run there.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # == compares elements

    @property
    def T(self) -> Array:
        """A copy with the axes reversed."""
        return self.transpose()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Names the stream to wait for, as its version 3 asks."""
        stream = stream_of(self.handle) or LEGACY_STREAM
        return {**self.handle.__cuda_array_interface__, "stream": stream}

    def __dlpack_device__(self) -> tuple[int, int]:
        lease = lease_of(self.handle)
        return DLPACK_CUDA[0], backend.executor().device() if lease is None else lease.block.device

    def __dlpack__(
        self, *, stream: int | None = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        """A capsule of the same memory; the consumer's stream waits for the array's."""
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError(f"the array is on device {self.__dlpack_device__()}, not {tuple(dl_device)}")
        if copy:
            return self.copy().__dlpack__(stream=stream)
        consumer = 0 if stream in (None, LEGACY_STREAM) else stream
        own = stream_of(self.handle)
        if consumer not in (own, dlpack.NO_STREAM):
            backend.executor().wait(consumer, own)
        address = self.handle.__cuda_array_interface__["data"][0]
        return dlpack.capsule(self.handle, address, self.shape, self.dtype, self.__dlpack_device__())

    def numpy(self) -> np.ndarray:
        """A copy on the host."""
        return backend.to_host(self.handle)

    def item(self) -> Any:
        """The only element as a Python number; waits for the device."""
        if self.size != 1:
            raise ValueError(f"only an array of one element has an item(); the shape is {self.shape}")
        return self.numpy().item()

    def reshape(self, *shape: Any) -> Array:
        """A view with another shape; one size may be -1."""
        sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
        return Array(self.handle.reshape(complete(tuple(map(operator.index, sizes)), self.size)))

    def astype(self, dtype: Any, copy: bool = True) -> Array:
        """A copy in another dtype; with ``copy=False`` the array itself where it has that dtype."""
        if not copy and np.dtype(dtype) == self.dtype:
            return self
        return Array(contiguous(whole(self.handle), dtype))

    def copy(self) -> Array:
        """A copy on the same device."""
        return self.astype(self.dtype)

    def __deepcopy__(self, memo: Any) -> Array:
        return self.copy()

    def __reduce__(self) -> Any:
        """By way of the host: unpickled, it lies on the device of the process that reads it."""
        return asarray, (self.numpy(),)

    def fill(self, value: Any) -> None:
        """Set every element."""
        self[...] = value

    def transpose(self, *axes: Any) -> Array:
        """A copy with the axes in another order; reversed if none is given."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)) else axes
        order = tuple(range(self.ndim))[::-1] if not order else tuple(operator.index(a) % self.ndim for a in order)
        if sorted(order) != list(range(self.ndim)):
            raise ValueError(f"axes {order} do not match an array of {self.ndim} axes")
        window = permuted(whole(self.handle), order)
        if window.contiguous:
            return self.reshape(window.shape)
        return Array(permute(self.handle, order))

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        """Sum over `axis`, or over everything."""
        return self._reduced("sum", axis, dtype, out, keepdims)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        """Mean over `axis`, or over everything."""
        return self._reduced("mean", axis, dtype, out, keepdims)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        """Largest element; NaN where there is one."""
        return self._reduced("max", axis, None, out, keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        """Smallest element; NaN where there is one."""
        return self._reduced("min", axis, None, out, keepdims)

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        """True where an element is not zero."""
        return self._reduced("any", axis, None, out, keepdims)

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        """True where no element is zero."""
        return self._reduced("all", axis, None, out, keepdims)

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Array:
        """Position of the first largest element, or of the first NaN; int64."""
        return self._reduced("argmax", axis, None, out, keepdims)

    def _reduced(self, name: str, axis: Any, dtype: Any, out: Any, keepdims: bool) -> Array:
        y = Array(reduced(name, self.handle, axis, keepdims, dtype))
        if out is None:
            return y
        out[...] = y
        return out

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __getitem__(self, index: Any) -> Array:
        window = indexed(whole(self.handle), index)
        if window.contiguous:
            return Array(backend.part(self.handle, window.start, window.size).reshape(window.shape))
        return Array(contiguous(window))

    def __setitem__(self, index: Any, value: Any) -> None:
        target = indexed(whole(self.handle), index)
        source = operand(asarray(value, self.dtype) if isinstance(value, (list, tuple)) else value)
        if isinstance(source, Window):
            extra = len(source.shape) - len(target.shape)
            if extra > 0 and source.shape[:extra] == (1,) * extra:  # NumPy drops such axes
                source = source._replace(shape=source.shape[extra:], steps=source.steps[extra:])
            source = source if source == target else apart(source, self.handle)
        else:
            source = source if isinstance(source, np.generic) else self.dtype.type(source)
        copy_to(source, target)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return functions.ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return functions.served(function)(*args, **kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError("a device array is not copied to the host unasked: use .numpy()")

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __repr__(self) -> str:
        return f"Array(shape={self.shape}, dtype={self.dtype}, device={backend.executor().name!r})"


def asarray(obj: Any, dtype: Any = None) -> Array:
    """Any array on the device: a host array is copied there, another library's device array adopted without a copy."""
    if not is_device_array(obj):
        return Array(from_host(obj, dtype))
    array = obj if isinstance(obj, Array) else Array(as_device(obj))
    return array if dtype is None else array.astype(dtype, copy=False)


def complete(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """`shape` with -1 replaced by what is left of `size`."""
    rest = math.prod(n for n in shape if n != -1)
    full = tuple(size // max(rest, 1) if n == -1 else n for n in shape)
    if shape.count(-1) > 1 or math.prod(full) != size or any(n < 0 for n in full):
        raise ValueError(f"{size} elements cannot be reshaped to {shape}")
    return full
