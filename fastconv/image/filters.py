"""Banks of filters: many filters over one image at the cost of few."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..memory import empty
from ..ops._arrays import contiguous
from ..ops._reading import as_array
from ..spec import parse_flag, parse_real, parse_word
from ._reading import DOUBLE, SINGLE, parse_channel_axis, parse_result, read_image
from ._steps import Filter, Step, steps_for

#: SciPy's and scikit-image's words for a border: ours.
BORDERS = {
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "constant": "zeros",
    "grid-constant": "zeros",
    "nearest": "edge",
    "mirror": "reflect",
    "wrap": "wrap",
    "grid-wrap": "wrap",
}
MOST_SHAPES = 16  # of images whose steps a bank remembers
MOST_FILTERS = 1 << 16


class FilterBank:
    """Filters made ready for many images: ``bank(image)`` is ``filter_bank(image, kernels, ...)``.

    What is worked out once for all images are the filters' factors, and for all images of a shape how they are run.

    Parameters
    ----------
    kernels, mode, cval, flip
        As for `filter_bank`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> gradients = fc.image.FilterBank([[[-0.5, 0, 0.5]], [[-0.5], [0], [0.5]]])
    >>> gradients(np.arange(12.0).reshape(3, 4))[:, 1, 1]
    array([1., 4.])
    """

    def __init__(self, kernels: Any, *, mode: str = "reflect", cval: float = 0.0, flip: bool = False) -> None:
        self._mode = BORDERS[parse_word(mode, "mode", tuple(BORDERS))]
        self._cval = parse_real(cval, "cval", "a real number") if self._mode == "zeros" else 0.0
        parse_flag(flip, "flip")
        arrays = _read_kernels(kernels)
        self._complex = [a.dtype.kind == "c" for a in arrays]
        parts = [part for a in arrays for part in ((a.real, a.imag) if a.dtype.kind == "c" else (a,))]
        self._filters = tuple(_filter(i, part, flip) for i, part in enumerate(parts))
        self.ndim = arrays[0].ndim
        self._steps = lru_cache(maxsize=MOST_SHAPES)(self._find_steps)

    def __len__(self) -> int:
        return len(self._complex)

    def __repr__(self) -> str:
        return f"<FilterBank of {len(self)} filters of {self.ndim} axes>"

    def __call__(self, image: Any, *, channel_axis: int | None = None, dtype: Any = None) -> np.ndarray:
        """The image filtered by each filter: (len(self), ...)."""
        x = read_image(image, "image")
        axis = parse_channel_axis(channel_axis, x.ndim)
        if x.ndim - (axis is not None) != self.ndim:
            raise InvalidArgument(
                f"image has {x.ndim} axes{'' if axis is None else ', one of them of channels'}, but the kernels have "
                f"{self.ndim}; expected as many"
            )
        if x.size == 0:
            raise InvalidArgument(f"image has shape {x.shape}; expected some pixels")
        computed = parse_result(dtype, x.dtype)
        x = x[None] if axis is None else np.moveaxis(x, axis, 0)
        y = self._filtered(contiguous(x, computed)[:, None])
        y = y[:, 0] if axis is None else np.ascontiguousarray(np.moveaxis(y, 1, 1 + axis))
        return self._joined(y)

    def _filtered(self, x: np.ndarray) -> np.ndarray:
        """(parts, N, ...) of images (N, 1, ...)."""
        y = empty((len(self._filters), x.shape[0], *x.shape[2:]), x.dtype)
        for step in self._steps(x.shape, x.dtype):
            step.run(x, self._mode, self._cval, y)
        return y

    def _find_steps(self, x_shape: tuple[int, ...], dtype: np.dtype) -> Sequence[Step]:
        return steps_for(self._filters, x_shape, self._mode, dtype)

    def _joined(self, y: np.ndarray) -> np.ndarray:
        """Real and imaginary parts as complex numbers, if any filter is complex."""
        if not any(self._complex):
            return y
        joined = np.zeros((len(self), *y.shape[1:]), np.dtype("c8" if y.dtype == SINGLE else "c16"))
        parts = iter(y)
        for channel, is_complex in zip(joined, self._complex, strict=True):
            channel.real = next(parts)
            if is_complex:
                channel.imag = next(parts)
        return joined


def filter_bank(
    image: Any,
    kernels: Any,
    *,
    mode: str = "reflect",
    cval: float = 0.0,
    flip: bool = False,
    channel_axis: int | None = None,
    dtype: Any = None,
) -> np.ndarray:
    """Filter an image by each of some kernels: what they have in common is computed once.

        y[m,i,j] = sum over u,v of xp[i + u, j + v] * kernels[m][u,v]

    where xp is the image with a border of ``n // 2`` elements before it, n the kernel's size: cross-correlation, as
    ``scipy.ndimage.correlate`` and OpenCV's filter2D; with `flip` convolution, as ``scipy.ndimage.convolve``.

    Parameters
    ----------
    image : array_like, (H, W), (D, H, W) or (W,), and an axis of channels
        Real numbers.
    kernels : sequence of array_like, or array_like (M, KH, KW)
        Filters with as many axes as the image, of any sizes, real or complex.
    mode : {"reflect", "constant", "nearest", "mirror", "wrap"}
        What lies beyond the edges, in SciPy's words: of abcd "reflect" makes dcba|abcd|dcba, "mirror" dcb|abcd|cba.
    cval : float
        What "constant" means.
    flip : bool
        Turn the filters around (convolution).
    channel_axis : int, optional
        Axis of the image whose channels are filtered one by one.
    dtype : {None, "float32", "float64"}
        Of the computation and the result. None: float32 for images of float32 and float16, else float64.

    Returns
    -------
    y : ndarray, (M, *image.shape)
        Complex if a kernel is.

    Raises
    ------
    InvalidArgument
        Kernels of another number of axes, empty ones, or none; wrong words.

    Notes
    -----
    Filters run together as one convolution, the image transformed once; those of different sizes too where that is
    expected to be faster; and filters that are outer products (Gaussians, Sobel's, boxes) run as one pass an axis where
    that is. `FilterBank` keeps what is worked out for the next image. Error: that of `conv2d`; of passes
    terms*eps*(|x|*|w|), as its direct method. NaN and Inf in the image reach the windows that hold them.
    Cost: for large filters about 5 log2(T) operations a pixel and filter, T points of a transform's tile, whatever
    their size; see `conv2d`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> image = np.zeros((4, 5))
    >>> image[1, 2] = 9
    >>> fc.image.filter_bank(image, [np.full((3, 3), 1 / 9), [[-1.0, 1.0]]]).round(12)[:, 1]
    array([[ 0.,  1.,  1.,  1.,  0.],
           [ 0.,  0.,  9., -9.,  0.]])
    """
    bank = FilterBank(kernels, mode=mode, cval=cval, flip=flip)
    return bank(image, channel_axis=channel_axis, dtype=dtype)


def _read_kernels(kernels: Any) -> list[np.ndarray]:
    """The filters, each of the dtype it has."""
    if isinstance(kernels, (str, bytes, dict, set)) or not hasattr(type(kernels), "__len__"):
        raise InvalidArgument(f"kernels is {shown(kernels)}; expected a sequence of arrays")
    try:
        count = len(kernels)
        given = [kernels[i] for i in range(min(count, MOST_FILTERS))]
    except Exception:  # of somebody else's class
        raise InvalidArgument(f"kernels is {shown(kernels)}; expected a sequence of arrays") from None
    if not given or count > MOST_FILTERS:
        raise InvalidArgument(f"kernels has {count} filters; expected 1 to {MOST_FILTERS}")
    arrays = [as_array(k, f"kernels[{i}]") for i, k in enumerate(given)]
    for i, a in enumerate(arrays):
        if not 1 <= a.ndim <= 3 or a.ndim != arrays[0].ndim or a.size == 0:
            raise InvalidArgument(
                f"kernels[{i}] has shape {a.shape}; expected filters of one to three axes, of as many all, not empty"
            )
        if a.dtype.kind not in "biufc" or a.dtype.itemsize > 2 * DOUBLE.itemsize:
            raise InvalidArgument(f"kernels[{i}] has dtype {a.dtype}; expected numbers of float64 or less")
    return arrays


def _filter(number: int, taps: np.ndarray, flip: bool) -> Filter:
    """A real filter as it is correlated with."""
    if flip:
        taps = taps[(slice(None, None, -1),) * taps.ndim]
    before = tuple((k - 1) // 2 if flip else k // 2 for k in taps.shape)
    if taps.dtype not in (SINGLE, DOUBLE):
        taps = taps.astype(DOUBLE)
    return Filter(number, np.ascontiguousarray(taps), before)
