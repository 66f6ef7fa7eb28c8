"""fastconv's operators over Dask arrays: lazily, in any chunks, with exact borders, on any of its schedulers.

``import fastconv.dask``, then ``fastconv.dask.conv2d(x, w, padding="same")`` gives a Dask array: the functions have the
names and arguments of those of fastconv. So do those of `ndimage`, `signal` and `image` in here. `blockwise` does the
same for functions of your own.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .. import ops
from ._graph import blockwise
from ._over import over

conv1d, conv2d, conv3d = map(over, (ops.conv1d, ops.conv2d, ops.conv3d))
max_pool1d, max_pool2d, max_pool3d = map(over, (ops.max_pool1d, ops.max_pool2d, ops.max_pool3d))
avg_pool1d, avg_pool2d, avg_pool3d = map(over, (ops.avg_pool1d, ops.avg_pool2d, ops.avg_pool3d))
lp_pool1d, lp_pool2d, lp_pool3d = map(over, (ops.lp_pool1d, ops.lp_pool2d, ops.lp_pool3d))

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "blockwise",
    "conv1d",
    "conv2d",
    "conv3d",
    "image",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "ndimage",
    "signal",
]


def __getattr__(name: str) -> Any:
    if name in ("image", "ndimage", "signal"):
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
