"""Template matching: where in an image something looks like a template, by normalised cross-correlation and its kin."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import dispatch, ops
from ..errors import InvalidArgument, shown
from ..memory import scratch
from ..spec import parse_flag, parse_word
from ._reading import DOUBLE, SINGLE, parse_result, read_image

METHODS = ("sqdiff", "sqdiff_normed", "ccorr", "ccorr_normed", "ccoeff", "ccoeff_normed")
PADS = ("constant", "edge", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect", "symmetric", "wrap")
INDEXED = ("edge", "reflect", "symmetric", "wrap")  # modes that make no new values
CONV = {1: ops.conv1d, 2: ops.conv2d, 3: ops.conv3d}

SAMPLE = 4096  # elements whose median is taken off the image
EXACT = float(1 << 53)  # sums of whole numbers below are exact in float64
EPS = float(np.finfo(np.float64).eps)
CONTRAST = float(1 << 14)  # ratio of squares beyond which windows are not correlated in float32
MODERATE = 40  # binary orders of magnitude around 1 in which float32 transforms are far from their range's ends


def match_template(
    image: Any,
    template: Any,
    pad_input: bool = False,
    mode: str = "constant",
    constant_values: Any = 0,
    *,
    method: str = "ccoeff_normed",
    mask: Any = None,
    dtype: Any = None,
) -> np.ndarray:
    """Score every place of an image by how much it looks like a template (normalised cross-correlation).

        score[i,j] = sum over u,v of (x[i+u,j+v] - mean)*(t[u,v] - mean of t)
                     / sqrt(sum of (x[i+u,j+v] - mean)**2 * sum of (t[u,v] - mean of t)**2)

    where mean is that of the window of x. 1 is a perfect match, whatever the brightness and contrast of either; -1 is
    one of the negative. The name, the parameters and their order are those of ``skimage.feature.match_template``.

    Parameters
    ----------
    image : array_like, (H, W), (D, H, W) or (W,)
        Real numbers.
    template : array_like
        With as many axes as the image, and no longer along any; or with one more, first, for several templates of one
        shape: a list of them is an array. They share all work on the image.
    pad_input : bool
        False: every place where the template lies inside the image. True: a score for every pixel of the image, which
        is where the template's centre is (element ``n // 2``); the image is continued beyond its edges.
    mode, constant_values
        How, as in ``np.pad``.
    method : {"ccoeff_normed", "ccoeff", "ccorr_normed", "ccorr", "sqdiff_normed", "sqdiff"}
        What a score is, in OpenCV's words: "ccoeff" leaves out the division, "ccorr" does not take off the means,
        "sqdiff" are sums of squared differences, best where smallest; "..._normed" are divided by the norms.
    mask : array_like, of the shape of a template, optional
        Elements of the template that count: those where it is not 0.
    dtype : {None, "float32", "float64"}
        Of the computation and the result. None: float32 for images of float32 and float16, else float64. For images of
        8 or 16 bits "float32" is about twice as fast.

    Returns
    -------
    scores : ndarray
        (H-KH+1, W-KW+1), or (H, W) with `pad_input`; with several templates (T, ...).

    Raises
    ------
    InvalidArgument
        The template is larger than the image, has other axes, or is empty; wrong words, masks of another shape.

    Notes
    -----
    The template is correlated less its mean, with the image less its median, by the method that `conv2d` takes; the
    sums of a window are made in float64 without subtracting (`fastconv/cpu/matching.py`). So a large offset, or bright
    regions beside dark ones, do not spoil the scores as they do where integral images are in float32.

    Flat windows and constant templates score 0 ("sqdiff_normed": 1, or 0 for a perfect match), as in scikit-image
    (OpenCV gives 1 for a constant template). Windows are flat whose elements are equal, or differ by less than the
    error of their variance: about ``1e-16*(KH+KW)`` of the sum of their squares, the median taken off. scikit-image
    scores 0 also where the denominator is below the dtype's eps, which makes small numbers score 0.

    Error of a normed score against exact arithmetic: about eps*log2(T)*r, where T is the points of a transform's tile
    and r the ratio of the norm of a tile of the image, its median taken off, to that of the window. In float32, images
    with windows of a contrast below 1/128 of that of others are correlated in float64: r stays below some hundreds,
    scores are typically good to 1e-6 and always to 1e-3. NaN and Inf reach the windows that hold them.
    Cost: the convolution's, and some 20 operations a score; extra memory: the image in the computing dtype.
    Source: Lewis, "Fast Normalized Cross-Correlation" (1995).

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> image = np.zeros((6, 6))
    >>> image[1, 1], image[4, 4] = 1, -1
    >>> template = image[:3, :3]
    >>> fc.image.match_template(image, template).round(3) + 0
    array([[ 1.   , -0.125,  0.   ,  0.   ],
           [-0.125, -0.125,  0.   ,  0.   ],
           [ 0.   ,  0.   ,  0.125,  0.125],
           [ 0.   ,  0.   ,  0.125, -1.   ]])
    """
    x, t = read_image(image, "image"), read_image(template, "template")
    parse_word(method, "method", METHODS)
    parse_word(mode, "mode", PADS)
    several = t.ndim == x.ndim + 1
    t = t if several else t[None]
    _check(x, t, parse_flag(pad_input, "pad_input"))
    result = parse_result(dtype, x.dtype)
    search = _Search(x, t, method, None if mask is None else _read_mask(mask, t.shape[1:]))
    constants = _parse_constants(constant_values, x.ndim)
    if pad_input:
        search = search._replace(pad=_Pad(mode, constants))
    scores = search.scores(result)
    return scores if several else scores[0]


def _check(x: np.ndarray, t: np.ndarray, padded: bool) -> None:
    """Raise `InvalidArgument` for arrays without a score."""
    if not 1 <= x.ndim <= 3:
        raise InvalidArgument(f"image has {x.ndim} axes; expected one to three")
    if t.ndim != x.ndim + 1:
        raise InvalidArgument(
            f"template has {t.ndim - 1} axes but image has {x.ndim}; expected as many, or one more for several"
        )
    if t.size == 0 or any(k > n for k, n in zip(t.shape[1:], x.shape, strict=True)):
        raise InvalidArgument(
            f"template has shape {t.shape[1:]} but image {x.shape}; expected a template that is not empty and lies "
            "within the image"
        )


def _read_mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    counts = read_image(mask, "mask") != 0
    if counts.shape != shape:
        raise InvalidArgument(f"mask has shape {shown(counts.shape)}; expected that of a template, {shape}")
    if not counts.any():
        raise InvalidArgument("mask is 0 everywhere; expected some elements that count")
    return counts


class _Pad(NamedTuple):
    """How an image is continued beyond its edges."""

    mode: str
    values: Any

    def __call__(self, x: np.ndarray, window: tuple[int, ...]) -> np.ndarray:
        """The image with half a window on either side."""
        widths = [(k // 2, k - 1 - k // 2) for k in window]
        if self.mode == "linear_ramp":  # whose values depend on where it ends: scikit-image's are a window long
            whole = np.pad(x, [(k, k) for k in window], "linear_ramp")
            return whole[
                tuple(slice(k - b, n - k + a) for k, n, (b, a) in zip(window, whole.shape, widths, strict=True))
            ]
        if self.mode != "constant":
            return np.pad(x, widths, self.mode)  # type: ignore[call-overload,no-any-return]
        return np.pad(x, widths, constant_values=self.values)


def _parse_constants(values: Any, rank: int) -> Any:
    """The numbers around an image, as np.pad takes them: one, or a pair, or a pair for each axis."""
    try:
        found = np.asarray(values)
        if found.dtype.kind not in "biuf":
            raise TypeError
        return np.broadcast_to(found.astype(DOUBLE), (rank, 2))
    except Exception:  # of whatever is no array of numbers
        raise InvalidArgument(
            f"constant_values is {shown(values)}; expected a number, a pair, or a pair for each of {rank} axes"
        ) from None


class _Search(NamedTuple):
    """An image, templates of one shape, and what a score is."""

    image: np.ndarray
    templates: np.ndarray  # (T, ...)
    method: str
    mask: np.ndarray | None
    pad: _Pad | None = None

    @property
    def window(self) -> tuple[int, ...]:
        return self.templates.shape[1:]

    def scores(self, result: np.dtype) -> np.ndarray:
        """(T, ...), in float32 where that is asked for and exact enough."""
        filters, facts = _prepared(self.templates.astype(DOUBLE), self.mask)
        center = _median(self.image)
        if self.mask is not None:
            return self._masked(filters, facts, center).astype(result, copy=False)
        scores = self._scores(filters, facts, center, SINGLE) if result == SINGLE else None
        if scores is None:
            scores = self._scores(filters, facts, center, DOUBLE)
        assert scores is not None
        return scores.astype(result, copy=False)

    def _scores(self, filters: np.ndarray, facts: np.ndarray, center: float, dtype: np.dtype) -> np.ndarray | None:
        """The scores, computed in a dtype; None where float32 would not give good ones."""
        x = self._centered(center, dtype)
        if dtype == SINGLE and not _is_moderate(x):
            return None
        scores = _correlated(x, filters)
        lifted = (1,) * (3 - x.ndim)
        found = dispatch.operator("match_scores")(
            x.reshape(*lifted, *x.shape), scores.reshape(len(scores), *lifted, *scores.shape[1:]),
            (*lifted, *self.window), facts, method=self.method, center=center, flat=self._flat(),
        )  # fmt: skip
        if dtype == SINGLE and self.method.endswith("normed") and found.largest > CONTRAST * found.smallest:
            return None
        return scores

    def _masked(self, filters: np.ndarray, facts: np.ndarray, center: float) -> np.ndarray:
        """The scores where some elements of a window do not count: its sums are convolutions with the mask."""
        assert self.mask is not None
        x = self._centered(center, DOUBLE)
        ones = self.mask.astype(DOUBLE)[None]
        scores, first, second = _correlated(x, filters), _correlated(x, ones)[0], _correlated(x * x, ones)[0]
        if self._is_whole():
            first, second = np.rint(first), np.rint(second)
        largest = float(np.nanmax(second, initial=0.0))
        floor = 64 * EPS * largest if math.isfinite(largest) else 0.0
        dispatch.operator("match_moments")(
            scores, first, second, facts, method=self.method, count=float(ones.sum()), center=center, floor=floor
        )
        return scores

    def _centered(self, center: float, dtype: np.dtype) -> np.ndarray:
        """The image, padded if need be, less its median."""
        x = self.image
        if self.pad is not None:
            x = self.pad(x.astype(dtype), self.window)
        y = scratch(x.shape, dtype)
        return np.subtract(x, dtype.type(center), out=y, dtype=dtype, casting="unsafe")

    def _flat(self) -> float:
        """The error of a window's variance, as a part of its sum of squares."""
        return 4 * EPS if self._is_whole() else 2 * EPS * (sum(self.window) + 4)

    def _is_whole(self) -> bool:
        """Whether all sums are whole numbers that float64 holds exactly."""
        dtype = self.image.dtype
        if dtype.kind not in "biu" or dtype.itemsize > 2:
            return False
        if self.pad is not None and self.pad.mode not in INDEXED:
            return False
        return math.prod(self.window) * float(1 << 16 * dtype.itemsize) < EXACT


def _median(x: np.ndarray) -> float:
    """The median of some elements of an image, itself one of them."""
    flat = x.reshape(-1)
    sample = flat[:: flat.size // SAMPLE | 1]
    if sample.dtype.kind == "f" and not np.isfinite(sample).all():
        sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0
    middle = sample.size // 2
    return float(np.partition(sample, middle)[middle])


def _prepared(templates: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Templates less their means, each scaled to a norm of about 1; their means, sums of squares and scales."""
    T = len(templates)
    flat = templates.reshape(T, -1)
    counted = flat if mask is None else flat[:, mask.reshape(-1)]
    mean = counted.mean(axis=1)
    filters, facts = np.zeros_like(flat), np.zeros((T, 3))
    for i in range(T):
        if counted[i].min() == counted[i].max():
            mean[i] = counted[i, 0]
        away = counted[i] - mean[i]
        squares = float(away @ away)
        norm = math.sqrt(squares)
        scale = math.ldexp(1.0, math.frexp(norm)[1]) if norm and math.isfinite(norm) else 1.0
        filters[i, slice(None) if mask is None else mask.reshape(-1)] = away / scale
        facts[i] = mean[i], squares, scale
    return filters.reshape(templates.shape), facts


def _correlated(x: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """The correlation of one image with some filters.

    In float32 what "auto" would look at before it takes a transform is of no interest: data are moderate, and the
    scores will tell whether it was exact enough.
    """
    w = filters.astype(x.dtype)[:, None]
    method = ops.choose_method((1, 1, *x.shape), w.shape, dtype="float32") if x.dtype == SINGLE else "auto"
    return CONV[x.ndim](x[None, None], w, method=method)[0]  # type: ignore[no-any-return]


def _is_moderate(x: np.ndarray) -> bool:
    """Whether float32 data are finite, and far from the ends of the range."""
    bias = np.finfo(SINGLE).maxexp - 1
    return abs(dispatch.operator("largest")(x.reshape(-1)) - bias) < MODERATE  # type: ignore[no-any-return]
