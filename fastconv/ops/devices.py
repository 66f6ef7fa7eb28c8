"""To a GPU and back: where code that computes on a device begins and ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..foreign import is_device_array
from ._arrays import as_array


def to_device(x: Any) -> Any:
    """An array on the current CUDA device that works with NumPy's functions and with fastconv's.

    Parameters
    ----------
    x : array_like, or a device array of any library
        A host array is copied; a device array (CuPy, PyTorch, Numba, DLPack) is adopted on its own memory.

    Returns
    -------
    y : fastconv.cuda.array.Array
        A device array: ``+``, ``np.exp(y)``, ``np.sum(y)`` and fastconv's functions run on the GPU and give such arrays
        again; ``y.numpy()`` copies to the host.

    Raises
    ------
    DeviceMissing
        There is no GPU that can be used.
    InvalidArgument
        The array cannot be read, is not C-contiguous on its device, or holds no real numbers.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> def halved(x):  # on the GPU where there is one
    ...     try:
    ...         return fc.to_host(fc.avg_pool2d(fc.to_device(x) * 2, 2))
    ...     except fc.errors.DeviceMissing:
    ...         return fc.avg_pool2d(x * 2, 2)
    >>> halved(np.ones((1, 1, 4, 4))).ravel()
    array([2., 2., 2., 2.])
    """
    from ..cuda.array import asarray

    return asarray(x if is_device_array(x) else as_array(x, "x"))


def require_device() -> str:
    """The name of the GPU; DeviceMissing says what was looked for where there is none that can be used."""
    from ..cuda import backend

    return backend.require()


def as_device(x: Any, dtype: Any = None) -> Any:
    """`to_device` of what is known to be an array, in a dtype."""
    from ..cuda.array import asarray

    return asarray(x, dtype)


def as_given(y: Any, original: Any) -> Any:
    """A result on the device, as the kind of array that `original` is, on the same memory."""
    from ..cuda import exchange

    return exchange.like(y.handle, original)


def empty_on_device(shape: tuple[int, ...], dtype: Any) -> Any:
    """A new device array whose elements are not set."""
    from ..cuda import array, backend

    return array.Array(backend.empty(shape, dtype))


def rows_on_device(order: np.ndarray) -> Any:
    """The numbers of rows, as `gather` takes them."""
    from ..cuda import samples

    return to_device(order.astype(samples.order_dtype(len(order))))


def gather(x: Any, rows: Any, start: int, stop: int, dtype: Any) -> Any:
    """The rows of a device array that rows[start:stop] name, in a dtype."""
    from ..cuda import samples

    y = empty_on_device((stop - start, *x.shape[1:]), dtype)
    samples.gather(x.handle, rows.handle, y.handle, start)
    return y


def one_hot(labels: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Class numbers on the device as rows with a single 1."""
    from ..cuda import samples

    y = empty_on_device(shape, dtype)
    samples.one_hot(labels.handle, y.handle)
    return y


def note(x: Any, journal: Any, place: int) -> None:
    """journal[place] = the only element of x; nothing waits for it."""
    from ..cuda import samples

    samples.note(x.handle, journal.handle, place)


def note_score(labels: Any, outputs: Any, journal: Any, place: int, kind: str, number: float) -> None:
    """journal[place] = the sum of a metric's scores over the rows of `outputs`; `number` is its k or its threshold."""
    from ..cuda import samples

    samples.add_scores(labels.handle, outputs.handle, journal.handle, place, kind=kind, number=number)


def to_host(x: Any) -> np.ndarray:
    """A device array of any library as a NumPy array; waits until it is computed.

    Parameters
    ----------
    x : array_like, or a device array of any library
        A host array is returned as NumPy sees it, without a copy.

    Returns
    -------
    y : ndarray
        A copy on the host of what lies on a device.

    Raises
    ------
    InvalidArgument
        The array cannot be read, or is not C-contiguous on its device.

    Examples
    --------
    >>> import fastconv as fc
    >>> fc.to_host([1.0, 2.0])
    array([1., 2.])
    """
    if not is_device_array(x):
        return as_array(x, "x")
    from ..cuda import backend, exchange

    return backend.to_host(exchange.as_device(x))
