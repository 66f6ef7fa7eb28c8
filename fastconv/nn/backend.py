"""What Keras's `backend` and `config` modules are asked for most."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np

from ..autograd import Tensor
from . import arguments
from .policies import dtype_policy, floatx, set_dtype_policy, set_floatx

__all__ = [
    "backend",
    "clear_session",
    "dtype_policy",
    "epsilon",
    "floatx",
    "get_value",
    "image_data_format",
    "set_dtype_policy",
    "set_floatx",
    "set_value",
]


def backend() -> str:
    """Who computes.

    Examples
    --------
    >>> backend(), floatx(), image_data_format(), epsilon()
    ('fastconv', 'float32', 'channels_last', 1e-07)
    """
    return "fastconv"


def epsilon() -> float:
    """How far losses keep probabilities from 0."""
    return 1e-7


def image_data_format() -> str:
    """The layout of layers that are given none."""
    return "channels_last"


def clear_session(free_memory: bool = True) -> None:
    """Give back what models keep that nobody refers to any more, and forget `set_dtype_policy`.

    Names of layers begin anew in every model anyhow.

    Examples
    --------
    >>> clear_session()
    """
    set_dtype_policy(None)
    if arguments.flag("clear_session", "free_memory", free_memory):
        gc.collect()


def get_value(x: Any) -> np.ndarray:
    """The elements of a weight or a tensor, as an array.

    Examples
    --------
    >>> get_value(Tensor([1.0, 2.0]))
    array([1., 2.])
    """
    return arguments.tensor("get_value", "x", x).numpy()


def set_value(x: Any, value: Any) -> None:
    """Replace the elements of a weight.

    Examples
    --------
    >>> w = Tensor(np.zeros(2))
    >>> set_value(w, [1, 2])
    >>> w.data
    array([1., 2.])
    """
    if not isinstance(x, Tensor):
        raise arguments.wrong("set_value", "x", x, "a weight")
    array = arguments.host_array("set_value", "value", value)
    if array.shape != x.shape:
        raise arguments.wrong("set_value", "value", value, f"an array of shape {x.shape}")
    x.data = array.astype(x.dtype)
