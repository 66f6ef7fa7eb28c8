"""Images moved, turned and scaled, each by a map of its own, as plain functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dispatch import operator
from . import devices
from ._floats import Floats

FILL_MODES = ("constant", "nearest", "wrap", "reflect")


def affine(x: Any, maps: np.ndarray, smooth: bool, mode: str, fill: float, channels_last: bool) -> Any:
    """Images whose element (i, j) comes from row a*i + b*j + c and column d*i + e*j + f of x, per row of maps (N, 6).

    Examples
    --------
    >>> x = np.arange(4.0).reshape(1, 2, 2, 1)
    >>> affine(x, np.array([[1.0, 0, 0, 0, -1, 1]]), False, "constant", 0.0, True)[0, :, :, 0]
    array([[1., 0.],
           [3., 2.]])
    """
    return _run("affine", x, maps, channels_last, smooth=smooth, mode=mode, fill=fill)


def affine_grad(dy: Any, maps: np.ndarray, smooth: bool, mode: str, channels_last: bool) -> Any:
    """Gradient of `affine`."""
    return _run("affine_grad", dy, maps, channels_last, smooth=smooth, mode=mode)


def _run(name: str, x: Any, maps: np.ndarray, channels_last: bool, **options: Any) -> Any:
    if Floats("x", x).device == "cuda":
        return devices.to_device(_run(name, devices.to_host(x), maps, channels_last, **options))
    call = Floats("x", x)
    (x,) = call.arrays
    y = call.empty(x.shape)
    if channels_last:
        operator(name)(x, y, maps=maps, **options)
    else:  # every channel is an image of its own
        planes = (a.reshape(-1, *x.shape[2:], 1) for a in (x, y))
        operator(name)(*planes, maps=np.repeat(maps, x.shape[1], axis=0), **options)
    return call.finish(y)
