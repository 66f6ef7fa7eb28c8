"""Convolution and correlation of any number of axes: `convolve`, `correlate` and their relatives."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dispatch, ops
from ..errors import Unsupported
from ..foreign import is_device_array
from ._core import BACKWARDS, METHODS, MODES, MOST, convolve_all, convolve_axes, one_holds_the_other, spans_of
from ._numbers import EXACT_TRANSFORM, INTEGERS, Numbers, magnitude, numbers_of, of_floats, promoted
from ._reading import is_odd, kind_of
from ._scipy import scipy_function

TINY = 1 << 14  # products of two signals that NumPy has summed before a kernel is found
PLAIN = (np.dtype(np.float64), np.dtype(np.float32))
MEASURED = 5e-3  # seconds that choose_conv_method calls a method for


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Convolve two arrays of any number of axes; `in2` is turned round, as the formula of a convolution says.

    y[i, ...] = sum over u, ... of in1[u, ...] * in2[i - u, ...]

    Parameters
    ----------
    in1, in2 : array_like
        With the same number of axes.
    mode : {"full", "same", "valid"}
        All sums; those of ``in1.shape`` in the middle; those of which no product falls outside either array.
    method : {"auto", "direct", "fft"}
        "auto" and "fft" choose the fastest of fastconv's methods by its model of the work; "direct" sums products.

    Returns
    -------
    y : ndarray
        In NumPy's common dtype. Integers are exact, and wrap around as SciPy's do.

    Raises
    ------
    ValueError
        Whatever SciPy refuses, in its words.

    Warns
    -----
    RuntimeWarning
        ``method="fft"`` and the result holds NaN or infinities.

    Notes
    -----
    Cost, and error against float64: as `fastconv.conv2d`. NaN and infinities stay in the windows that hold them under
    "auto" and "direct". At most three axes along which both arrays have more than one element are served by kernels;
    others, long double, objects and integers whose sums may exceed 2**53 by SciPy's own function. See docs/scipy.md.

    Examples
    --------
    >>> from fastconv import signal
    >>> signal.convolve([1, 2, 4], [1, -1])
    array([ 1,  1,  2, -4])
    >>> signal.convolve([[1.0, 2.0, 4.0]], [[1.0, 1.0]], mode="same")
    array([[1., 3., 6.]])
    """
    if _is_tiny(in1, in2, mode, method):
        y: Any = np.convolve(in1, in2, mode)  # type: ignore[call-overload]
    else:
        y = _served(in1, in2, mode, method, False)
    return scipy_function("convolve")(in1, in2, mode, method) if y is None else y


def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Correlate two arrays of any number of axes: the convolution with `in2` turned round and conjugated.

    y[i, ...] = sum over u, ... of in1[i + u - (K - 1), ...] * conj(in2[u, ...])

    Parameters
    ----------
    in1, in2 : array_like
        With the same number of axes; in2 has K elements along an axis.
    mode, method
        As for `convolve`.

    Returns
    -------
    y : ndarray
        As of `convolve`; `correlation_lags` says which lag an element belongs to.

    Raises
    ------
    ValueError
        Whatever SciPy refuses, in its words.

    Examples
    --------
    >>> from fastconv import signal
    >>> signal.correlate([1, 2, 4], [0, 1, 1], mode="same")
    array([3, 6, 4])
    """
    if _is_tiny(in1, in2, mode, method) and in2.size <= in1.size:
        y: Any = np.correlate(in1, in2, mode)  # type: ignore[call-overload]
    else:
        y = _served(in1, in2, mode, method, True)
    return scipy_function("correlate")(in1, in2, mode, method) if y is None else y


def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """Convolve two arrays along some axes, the others broadcast; by fastconv's fastest method, which may be an FFT.

    Parameters
    ----------
    in1, in2 : array_like
        With the same number of axes; those that are not in `axes` have one length, or one of them is 1.
    mode : {"full", "same", "valid"}
        As for `convolve`.
    axes : int or sequence of int, optional
        Axes to convolve along; None means all.

    Returns
    -------
    y : ndarray
        In NumPy's common dtype, integers as float64, float16 as float32.

    Raises
    ------
    ValueError
        Whatever SciPy refuses, in its words.

    Notes
    -----
    Unlike SciPy's, NaN and infinities reach only the sums that they belong to. Error: as `fastconv.conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import signal
    >>> signal.fftconvolve(np.ones((2, 3)), [[1.0, 1.0]], axes=1)
    array([[1., 2., 2., 1.],
           [1., 2., 2., 1.]])
    """
    y = _along(in1, in2, mode, axes)
    return scipy_function("fftconvolve")(in1, in2, mode, axes) if y is None else y


def oaconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """Convolve a long array with a short one; the same as `fftconvolve`, whose transforms are always of short tiles.

    Parameters
    ----------
    in1, in2, mode, axes
        As for `fftconvolve`.

    Returns
    -------
    y : ndarray
        As of `fftconvolve`.

    Raises
    ------
    ValueError
        Whatever SciPy refuses, in its words.

    Examples
    --------
    >>> from fastconv import signal
    >>> signal.oaconvolve([1.0, 2.0, 4.0], [1.0, -1.0])
    array([ 1.,  1.,  2., -4.])
    """
    y = _along(in1, in2, mode, axes)
    return scipy_function("oaconvolve")(in1, in2, mode, axes) if y is None else y


def choose_conv_method(in1: Any, in2: Any, mode: str = "full", measure: bool = False) -> Any:
    """Say whether `convolve` would take an FFT or sum products.

    Parameters
    ----------
    in1, in2 : array_like
        What would be convolved.
    mode : {"full", "same", "valid"}
        As for `convolve`.
    measure : bool
        Call both for some milliseconds instead of asking the model of the work.

    Returns
    -------
    method : {"direct", "fft"}
        "direct" also stands for fastconv's other methods that sum products.
    times : dict
        Seconds of a call by method; only with ``measure=True``.

    Raises
    ------
    ValueError
        Whatever SciPy refuses, in its words.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import signal
    >>> signal.choose_conv_method(np.ones((512, 512)), np.ones((3, 3)))
    'direct'
    >>> signal.choose_conv_method(np.ones((512, 512)), np.ones((63, 64)))
    'fft'
    """
    x, w = np.asarray(in1), np.asarray(in2)
    served = _checked(x, w, mode, "auto")
    if served is None or x.ndim > MOST:
        return scipy_function("choose_conv_method")(in1, in2, mode, measure)
    if measure:
        times = {name: _seconds(lambda name=name: convolve(x, w, mode, name)) for name in ("fft", "direct")}  # type: ignore[misc]
        return ("fft" if times["fft"] < times["direct"] else "direct"), times
    if served.whole and magnitude(x) * magnitude(w) * min(x.size, w.size) >= EXACT_TRANSFORM:
        return "direct"
    return _chosen(x.shape, w.shape, mode, served.real.name)


def correlation_lags(in1_len: int, in2_len: int, mode: str = "full") -> np.ndarray:
    """The lag of each element of a one-dimensional `correlate`.

    Parameters
    ----------
    in1_len, in2_len : int
        Elements of the two signals.
    mode : {"full", "same", "valid"}
        Of the correlation.

    Returns
    -------
    lags : ndarray of int
        ``lags[y.argmax()]`` tells by how much in1 is behind in2.

    Raises
    ------
    ValueError
        Whatever SciPy refuses, in its words.

    Examples
    --------
    >>> from fastconv import signal
    >>> signal.correlation_lags(3, 2)
    array([-1,  0,  1,  2])
    """
    return scipy_function("correlation_lags")(in1_len, in2_len, mode)  # type: ignore[no-any-return]


def _is_tiny(in1: Any, in2: Any, mode: Any, method: Any) -> bool:
    """Two short signals of one dtype: any kernel takes longer to be found than NumPy to be done."""
    if type(in1) is not np.ndarray or type(in2) is not np.ndarray or in1.dtype is not in2.dtype:
        return False
    if in1.dtype not in PLAIN or in1.ndim != 1 or in2.ndim != 1 or type(mode) is not str or type(method) is not str:
        return False
    if method not in ("auto", "direct"):
        return False
    return 0 < in1.size * in2.size < TINY and (mode in ("full", "valid") or (mode == "same" and in1.size >= in2.size))


def _served(in1: Any, in2: Any, mode: Any, method: Any, conjugated: bool) -> Any:
    """The convolution along all axes, with in2 turned round and conjugated if wanted; None where no kernel serves."""
    if is_device_array(in1) or is_device_array(in2):
        from ._device import convolve_on_device

        return convolve_on_device(in1, in2, mode, method, conjugated)
    x, w = np.asarray(in1), np.asarray(in2)
    numbers = None if is_odd(in1, in2) else _checked(x, w, mode, method)
    if numbers is None or (numbers.result.char == "e" and x.ndim > 1):
        return None
    if conjugated:
        w = (w.conj() if w.dtype.kind == "c" else w)[(BACKWARDS,) * w.ndim]
    y = convolve_all(x, w, spans_of(mode, x.shape, w.shape), METHODS[method], numbers)
    if y is not None and method == "fft" and not np.isfinite(y).all():
        return None  # SciPy's are NaN everywhere, and it warns of them
    kind = kind_of(in1, in2)
    return y if kind is None or y is None else kind(y)


def _checked(x: np.ndarray, w: np.ndarray, mode: Any, method: Any) -> Numbers | None:
    """What the sums are computed in; None for what SciPy refuses, or serves by itself."""
    if not isinstance(mode, str) or mode not in MODES or not isinstance(method, str) or method not in METHODS:
        return None
    if x.ndim != w.ndim or x.ndim == 0 or x.size == 0 or w.size == 0:
        return None
    if mode == "valid" and not one_holds_the_other(x.shape, w.shape):
        return None
    return numbers_of(x, w)


def _along(in1: Any, in2: Any, mode: Any, axes: Any) -> Any:
    """The convolution along some axes in floating point; None where no kernel serves, or SciPy refuses."""
    if is_device_array(in1) or is_device_array(in2):
        from ._device import convolve_on_device

        if axes is not None:
            raise Unsupported("axes are given, and CUDA arrays; on cuda all axes are convolved: use fastconv.conv1d")
        return convolve_on_device(in1, in2, mode, "auto", False)
    x, w = _as_floats(in1), _as_floats(in2)
    if is_odd(in1, in2) or not isinstance(mode, str) or mode not in MODES:
        return None
    if x.ndim != w.ndim or x.ndim == 0 or x.size == 0 or w.size == 0:
        return None
    chosen = _axes(axes, x.ndim)
    result = promoted(x.dtype, w.dtype)
    numbers = None if result is None else of_floats(result)
    if chosen is None or numbers is None:
        return None
    pairs = list(zip(x.shape, w.shape, strict=True))
    if any(n != k and n != 1 and k != 1 for a, (n, k) in enumerate(pairs) if a not in chosen):
        return None
    both = [(n, k) for a, (n, k) in enumerate(pairs) if a in chosen and n != 1 and k != 1]
    if mode == "valid" and both and not one_holds_the_other(*zip(*both, strict=True)):
        return None
    spans = spans_of(mode, x.shape, w.shape)
    if len(chosen) == x.ndim:
        y = convolve_all(x, w, spans, "auto", numbers)
    else:
        y = convolve_axes(x, w, spans, chosen, "auto", numbers)
    kind = kind_of(in1, in2)
    return y if kind is None or y is None else kind(y)


def _as_floats(a: Any) -> np.ndarray:
    """As a Fourier transform takes it: integers in float64, float16 in float32."""
    a = np.asarray(a)
    if a.dtype.char == "?" or a.dtype.char in INTEGERS:
        return a.astype(np.float64)
    return a.astype(np.float32) if a.dtype.char == "e" else a


def _axes(axes: Any, ndim: int) -> tuple[int, ...] | None:
    """Which axes are meant, None for what SciPy refuses."""
    if axes is None:
        return tuple(range(ndim))
    try:
        numbers = [operator.index(axes)]
    except TypeError:
        try:
            numbers = [operator.index(a) for a in axes]
        except TypeError:
            return None
    if not numbers or not all(-ndim <= a < ndim for a in numbers):
        return None
    chosen = tuple(a % ndim for a in numbers)
    return chosen if len(set(chosen)) == len(chosen) else None


@dispatch.remembered
def _chosen(sizes: tuple[int, ...], others: tuple[int, ...], mode: str, dtype: str) -> str:
    """What "auto" takes for these shapes."""
    image, taps = (sizes, others) if math.prod(sizes) >= math.prod(others) else (others, sizes)
    spans = spans_of(mode, sizes, others)
    padding = tuple(
        (max(0, k - 1 - start), max(0, start + length - n))
        for (start, length), n, k in zip(spans, image, taps, strict=True)
    )
    size = (max(n, k) for n, k in zip(image, taps, strict=True))
    found = ops.choose_method((1, 1, *size), (1, 1, *taps), padding=padding, dtype=dtype)
    return "fft" if found == "fft" else "direct"


def _seconds(call: Callable[[], Any]) -> float:
    """Of one call, the fastest of those that fit into some milliseconds."""
    best, started = np.inf, time.perf_counter()
    call()
    while time.perf_counter() - started < MEASURED or best == np.inf:
        before = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - before)
    return float(best)
