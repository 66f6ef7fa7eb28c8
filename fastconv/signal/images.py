"""Convolution of images with the borders of ``scipy.signal``: `convolve2d`, `correlate2d`, `sepfir2d`, `medfilt2d`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ndimage
from ..errors import Unsupported, shown
from ..foreign import is_device_array
from ..ndimage._arguments import make_output
from ..ndimage._repeating import repeating
from ..ndimage.smoothing import run_passes
from ..spec import parse_word
from ._core import BACKWARDS, MODES, convolve_all, one_holds_the_other, spans_of, sums
from ._numbers import numbers_of, of_floats
from ._reading import is_odd, kind_of
from ._scipy import scipy_function

BOUNDARIES = {
    "fill": "zeros",
    "pad": "zeros",
    "wrap": "wrap",
    "circular": "wrap",
    "symm": "symmetric",
    "symmetric": "symmetric",
}
MEDIANS = "bBhHiIlLqQfd"  # dtypes of medfilt2d
SMALL = 64 * 64  # pixels up to which both of sepfir2d's sums are one kernel's
_FLOAT = dict.fromkeys("?bBhHef", "f") | dict.fromkeys("iIlLqQd", "d") | {"F": "F", "D": "D"}  # as sepfir2d computes


def convolve2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    """Convolve two images; `in2` is turned round, as the formula of a convolution says.

    y[i, j] = sum over u, v of in1[i - u, j - v] * in2[u, v], in1 continued beyond its border

    Parameters
    ----------
    in1, in2 : array_like, (H, W) and (KH, KW)
        Image and filter.
    mode : {"full", "same", "valid"}
        (H + KH - 1, W + KW - 1) sums; those of in1's shape in the middle; those within the arrays.
    boundary : {"fill", "wrap", "symm"}
        Beyond in1 lies `fillvalue`; in1 again; in1 mirrored, its last row and column repeated.
    fillvalue : scalar
        For "fill".

    Returns
    -------
    y : ndarray
        In NumPy's common dtype. Integers are exact, and wrap around as SciPy's do.

    Raises
    ------
    ValueError
        Whatever SciPy refuses, in its words: other axes, modes, boundaries, and dtypes that it has no loop for.

    Notes
    -----
    Cost, and error against float64: as `fastconv.conv2d`, whose methods serve; outer products run as two passes.

    Examples
    --------
    >>> from fastconv import signal
    >>> signal.convolve2d([[1, 2], [3, 4]], [[1, 1]], boundary="symm")
    array([[2, 3, 4],
           [6, 7, 8]])
    """
    y = _served(in1, in2, mode, boundary, fillvalue, False)
    return scipy_function("convolve2d")(in1, in2, mode, boundary, fillvalue) if y is None else y


def correlate2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    """Correlate two images: `in2`, conjugated, slides over `in1` as it is.

    y[i, j] = sum over u, v of in1[i + u - (KH - 1), j + v - (KW - 1)] * conj(in2[u, v])

    Parameters
    ----------
    in1, in2, mode, boundary, fillvalue
        As for `convolve2d`.

    Returns
    -------
    y : ndarray
        As of `convolve2d`.

    Raises
    ------
    ValueError
        Whatever SciPy refuses, in its words.

    Examples
    --------
    >>> from fastconv import signal
    >>> signal.correlate2d([[1, 2, 4]], [[1, -1]], mode="valid")
    array([[-1, -2]])
    """
    y = _served(in1, in2, mode, boundary, fillvalue, True)
    return scipy_function("correlate2d")(in1, in2, mode, boundary, fillvalue) if y is None else y


def sepfir2d(input: Any, hrow: Any, hcol: Any) -> Any:
    """Convolve an image with one filter along its rows and one along its columns, its border mirrored.

    Parameters
    ----------
    input : array_like, (H, W)
        Image; beyond its border it is mirrored, the last row and column repeated.
    hrow, hcol : array_like, (K,)
        Filters of odd length; if they are arrays, of a dtype that casts safely to the result's.

    Returns
    -------
    y : ndarray, (H, W)
        float64 of float64 and of integers of four bytes and more, complex of complex, float32 of others.

    Raises
    ------
    ValueError, TypeError
        Whatever SciPy refuses, in its words.

    Notes
    -----
    Filters longer than the image are served, too, for which SciPy reads beyond its arrays. Of real images of floats
    below about 64x64 pixels the sums are in float64.

    Examples
    --------
    >>> from fastconv import signal
    >>> signal.sepfir2d([[1.0, 2.0, 4.0]], [1.0, 0.0, -1.0], [1.0])
    array([[1., 3., 2.]])
    """
    y = None
    if type(input) is np.ndarray and input.size <= SMALL and input.dtype.char in "fd":
        y = _small(input, hrow, hcol)
    elif not any(map(is_device_array, (input, hrow, hcol))):
        y = _separable(input, hrow, hcol)
    return scipy_function("sepfir2d")(input, hrow, hcol) if y is None else y


def medfilt2d(input: Any, kernel_size: Any = 3) -> Any:
    """Take the median of the window round each pixel of an image, zeros beyond its border.

    Parameters
    ----------
    input : array_like, (H, W)
        Real numbers.
    kernel_size : int or (int, int)
        Height and width of the window, odd.

    Returns
    -------
    y : ndarray, (H, W)
        In input's dtype.

    Raises
    ------
    ValueError
        Whatever SciPy refuses, in its words.

    Warns
    -----
    UserWarning
        As SciPy, where the window is larger than an image of other dtypes than uint8, float32 and float64.

    Notes
    -----
    This is `fastconv.ndimage.median_filter` with zeros beyond the border.

    Examples
    --------
    >>> from fastconv import signal
    >>> signal.medfilt2d([[1, 2, 9], [4, 5, 6], [7, 0, 3]])
    array([[0, 2, 0],
           [1, 4, 2],
           [0, 3, 0]])
    """
    y = None if is_device_array(input) else _median(input, kernel_size)
    return scipy_function("medfilt2d")(input, kernel_size) if y is None else y


def _median(image: Any, size: Any) -> Any:
    """medfilt2d where ndimage's median serves it, else None."""
    x, sizes = np.asarray(image), np.asarray(3 if size is None else size)
    if x.ndim != 2 or x.size == 0 or x.dtype.char not in MEDIANS or is_odd(image):
        return None
    if sizes.dtype.kind not in "iu" or sizes.shape not in ((), (2,)) or not (sizes % 2 == 1).all() or sizes.min() < 1:
        return None
    window = tuple(np.broadcast_to(sizes, 2).tolist())
    if x.dtype.char not in "Bfd" and (window[0] > x.shape[0] or window[1] > x.shape[1]):  # it warns of this
        return None
    y = ndimage.median_filter(x, window, mode="constant", cval=0)
    kind = kind_of(image)
    return y if kind is None else kind(y)


@repeating
def _small(image: np.ndarray, row: Any, column: Any, output: Any = None) -> Any:
    """sepfir2d in one kernel, else None."""
    filters = _filters(image, row, column, image.dtype.char)
    if image.ndim != 2 or image.size == 0 or filters is None:
        return None
    steps = tuple(
        ("correlate", axis, len(taps), len(taps) // 2, "reflect", tuple(map(float, taps)))
        for axis, taps in enumerate(filters)
    )
    return run_passes(steps, image, make_output(output, image), 0.0)


def _separable(image: Any, row: Any, column: Any) -> Any:
    """sepfir2d where kernels serve it, else None."""
    x = np.asarray(image)
    char = _FLOAT.get(x.dtype.char)
    if x.ndim != 2 or x.size == 0 or char is None:
        return None
    filters = _filters(x, row, column, char)
    if filters is None:
        return None
    numbers = of_floats(np.dtype(char))
    assert numbers is not None
    y = x[None, None]
    for taps, axis in zip(filters, (2, 3), strict=True):
        half = len(taps) // 2
        shape, padding = ((-1, 1), ((half, half), (0, 0))) if axis == 2 else ((1, -1), ((0, 0), (half, half)))
        y = sums(y, taps.reshape(1, 1, *shape), padding, numbers, "auto", "symmetric")[0]
    kind = kind_of(image)
    return y[0, 0] if kind is None else kind(y[0, 0])


def _filters(x: np.ndarray, row: Any, column: Any, char: str) -> list[np.ndarray] | None:
    """The filters of columns, then of rows, to correlate with; None for what SciPy refuses."""
    filters = []
    for taps in (column, row):
        if isinstance(taps, np.ndarray) and not np.can_cast(taps.dtype, char):
            return None
        array = np.asarray(taps)
        if array.ndim != 1 or array.size % 2 == 0 or array.dtype.char not in _FLOAT:
            return None
        if array.dtype.kind == "c" and x.dtype.kind != "c":
            return None
        filters.append(array[BACKWARDS])
    return filters


def _served(in1: Any, in2: Any, mode: Any, boundary: Any, fillvalue: Any, conjugated: bool) -> Any:
    """The convolution of two images, with in2 turned round and conjugated if wanted; None where no kernel serves."""
    if is_device_array(in1) or is_device_array(in2):
        from ._device import convolve_on_device

        plain = parse_word(boundary, "boundary", tuple(BOUNDARIES)) and isinstance(fillvalue, int) and not fillvalue
        if not plain:
            raise Unsupported(f"boundary is {shown(boundary)}, fillvalue {shown(fillvalue)}; on cuda fill takes 0 only")
        return convolve_on_device(in1, in2, mode, "auto", conjugated, BOUNDARIES[boundary], conjugated)
    x, w = np.asarray(in1), np.asarray(in2)
    if x.ndim != 2 or w.ndim != 2 or x.size == 0 or w.size == 0 or is_odd(in1, in2):
        return None
    if not isinstance(mode, str) or mode not in MODES or not isinstance(boundary, str) or boundary not in BOUNDARIES:
        return None
    swapped = mode == "valid" and not all(n >= k for n, k in zip(x.shape, w.shape, strict=True))
    if swapped:
        if not one_holds_the_other(x.shape, w.shape):
            return None
        x, w = w, x
    y = _correlated(x, w, mode, boundary, fillvalue, conjugated)
    if swapped and conjugated and y is not None:
        y = y[BACKWARDS, BACKWARDS]  # SciPy turns it round, and conjugates nothing
    kind = kind_of(in1, in2)
    return y if kind is None or y is None else kind(y)


def _correlated(x: np.ndarray, w: np.ndarray, mode: str, boundary: str, fillvalue: Any, conjugated: bool) -> Any:
    """The convolution of in1 with in2, or their correlation."""
    edge = BOUNDARIES[boundary]
    spans = spans_of(mode, x.shape, w.shape, late=conjugated)
    padding = tuple((k - 1 - s, s + m - n) for (s, m), n, k in zip(spans, x.shape, w.shape, strict=True))
    filled = False
    if not (type(fillvalue) is int and fillvalue == 0):
        fill, dtype = np.asarray(fillvalue), np.result_type(x, w)
        if fill.size != 1 or fill.dtype.kind not in "biufc" or not np.can_cast(fill.dtype, dtype, "same_kind"):
            return None
        filled = mode != "valid" and edge == "zeros"
        if filled:
            x = np.pad(x.astype(dtype, copy=False), padding, constant_values=fill.reshape(()).astype(dtype))
            padding = ((0, 0), (0, 0))
    bordered = edge != "zeros" and mode != "valid"  # then a filter meets all its taps, also one larger than the image
    numbers = numbers_of(x, w, w.size if bordered else None)
    if numbers is None or numbers.result.char == "e":
        return None
    if conjugated:
        w = (w.conj() if w.dtype.kind == "c" else w)[BACKWARDS, BACKWARDS]
    if filled or bordered:
        return sums(x[None, None], w[None, None, BACKWARDS, BACKWARDS], padding, numbers, "auto", edge)[0, 0, 0]
    return convolve_all(x, w, spans, "auto", numbers)
