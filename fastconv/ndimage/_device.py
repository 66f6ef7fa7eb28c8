"""Arrays on a GPU: linear filters by the rows of the dispatch table for CUDA, one convolution a pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from .. import ops
from ..errors import Unsupported
from ._general import BORDERS

CONV = {1: ops.conv1d, 2: ops.conv2d, 3: ops.conv3d}


def run_passes(passes: Sequence[tuple[Any, ...]], x: Any, cval: float) -> Any:
    """Passes "correlate" or "mean" (axis, length, before, mode, weights), one after the other."""
    for kind, axis, length, before, mode, *weights in passes:
        if kind not in ("correlate", "mean"):
            refuse(x)
        taps = np.full(length, 1 / length) if kind == "mean" else np.asarray(weights[0])
        lines = x.reshape((math.prod(x.shape[:axis]), 1, x.shape[axis], math.prod(x.shape[axis + 1 :])))
        padding = (before, length - 1 - before), (0, 0)
        x = _convolved(lines, taps.reshape(1, 1, length, 1), padding, mode, cval).reshape(x.shape)
    return x


def run_window(x: Any, weights: np.ndarray, fronts: Sequence[int], mode: str, cval: float) -> Any:
    """A correlation with weights of as many axes, one to three."""
    if x.ndim not in CONV:
        raise Unsupported(f"input has {x.ndim} axes; on cuda arrays of one to three are served: move it to the host")
    padding = tuple((front, k - 1 - front) for front, k in zip(fronts, weights.shape, strict=True))
    return _convolved(x[None, None], weights[None, None], padding, mode, cval)[0, 0]


def _convolved(x: Any, w: np.ndarray, padding: Any, mode: str, cval: float) -> Any:
    if x.dtype.kind != "f":
        raise Unsupported(f"input has dtype {x.dtype}; on cuda real floating-point numbers are served")
    if BORDERS[mode] == "zeros" and cval != 0:
        raise Unsupported(f'cval is {cval}; on cuda mode="constant" takes 0')
    w = ops.to_device(w.astype(x.dtype))
    return CONV[x.ndim - 2](x, w, padding=padding, padding_mode=BORDERS[mode])


def refuse(x: Any) -> NoReturn:
    """Raise `Unsupported`: there is no kernel for device arrays."""
    raise Unsupported(
        f"input is a CUDA array of {x.dtype}; on cuda correlate, convolve, both along one axis, gaussian_filter, "
        "uniform_filter, sobel and prewitt are served: move it to the host for other filters"
    )
