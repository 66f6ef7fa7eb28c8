"""fastconv: fast convolution for NumPy, on the CPU and on CUDA GPUs.

"Convolution" in `conv1d`, `conv2d`, `conv3d` means cross-correlation: filters are not flipped, as in every ML library.
Importing fastconv loads no kernels; each is loaded, and compiled if need be, by the first call that uses it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors
from .precision import allow_tf32
from .threads import get_num_threads, set_num_threads, threads

__version__ = "0.1.0"

_PUBLIC = {
    "ops": (
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "conv1d_input_grad",
        "conv2d_input_grad",
        "conv3d_input_grad",
        "conv1d_weight_grad",
        "conv2d_weight_grad",
        "conv3d_weight_grad",
        "choose_method",
        "matmul",
        "plan_conv1d",
        "plan_conv2d",
        "plan_conv3d",
        "stencil",
        "to_device",
        "to_host",
        *(
            f"{name}_pool{rank}d{suffix}"
            for rank in (1, 2, 3)
            for name, suffix in (
                ("max", ""),
                ("avg", ""),
                ("lp", ""),
                ("global_avg", ""),
                ("global_max", ""),
                ("adaptive_avg", ""),
                ("adaptive_max", ""),
                ("max", "_grad"),
                ("avg", "_grad"),
                ("lp", "_grad"),
                ("adaptive_avg", "_grad"),
            )
        ),
        *(f"{name}{rank}d" for rank in (1, 2, 3) for name in ("unfold", "fold")),
    ),
    "blocks": ("blockwise",),
    "replacing": ("as_scipy",),
    "warming": ("warmup",),
    "measure": ("explain", "info"),
}
_MODULES = ("autograd", "image", "measure", "ndimage", "njit", "nn", "onnx", "ops", "signal")
_ON_REQUEST = ("dask",)  # modules that need an extra
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", "allow_tf32", "errors", "get_num_threads", "set_num_threads", "threads", *_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    elif name in _MODULES or name in _ON_REQUEST:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'fastconv' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from . import autograd as autograd
    from . import image as image
    from . import measure as measure
    from . import ndimage as ndimage
    from . import njit as njit
    from . import nn as nn
    from . import onnx as onnx
    from . import ops as ops
    from . import signal as signal
    from .blocks import blockwise as blockwise
    from .measure import explain as explain
    from .measure import info as info
    from .ops import *  # noqa: F403
    from .replacing import as_scipy as as_scipy
    from .warming import warmup as warmup
