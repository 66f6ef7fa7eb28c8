"""From a checked problem to its kernel: the steps that all convolution functions share."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from .. import dispatch
from ..errors import InvalidArgument
from ..spec import ConvSpec
from ._arrays import Operands

ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh")


def lifted(array: Any, rank: int, channels_last: bool, weights: bool = False) -> Any:
    """A view of x, y or w with three spatial axes."""
    ones = (1,) * (3 - rank)
    at = 2 if not channels_last else 0 if weights else 1
    shape = tuple(array.shape)
    return array.reshape(shape[:at] + ones + shape[at:])


def kernel_for(op: str, spec: ConvSpec, method: str, operands: Operands, *inputs: Any) -> Callable[..., Any]:
    """The kernel that serves `spec`; "auto" keeps non-finite data away from transforms, which would spread them."""
    row = dispatch.find(op, spec, method, operands.device)
    if method == "auto" and row.method in dispatch.SPREADING and not all(_is_finite(a) for a in inputs):
        row = dispatch.find(op, spec, "direct", operands.device)
    return dispatch.load(row)


def geometry(spec: ConvSpec) -> dict[str, Any]:
    """The plain arguments that describe a problem to a kernel."""
    return {
        "stride": spec.stride,
        "dilation": spec.dilation,
        "padding": spec.padding,
        "padding_mode": spec.padding_mode,
        "groups": spec.groups,
        "channels_last": spec.channels_last,
    }


def check_activation(activation: Any) -> Any:
    """None, a known name, or a compiled scalar function."""
    if activation is None or (isinstance(activation, str) and activation in ACTIVATIONS):
        return activation
    if hasattr(activation, "py_func"):
        return activation
    known = ", ".join(map(repr, ACTIVATIONS))
    raise InvalidArgument(
        f"activation is {activation!r}; expected None, {known} or a function compiled with numba.njit"
    )


def _is_finite(array: Any) -> bool:
    return not isinstance(array, np.ndarray) or bool(np.isfinite(array).all())


def finish_output(y: Any, b: Any, activation: Any, channels_last: bool, device: str) -> None:
    """Add a bias to a finished output and apply the activation, in place, where the kernel has done neither."""
    if b is None and activation is None:
        return
    if device == "cuda":
        import_module("fastconv.cuda.pointwise").finish(y, b, activation, channels_last)
        return
    if b is not None:
        y += b if channels_last else b.reshape(-1, *(1,) * (y.ndim - 2))
    import_module("fastconv.cpu.activation").apply(y, activation)
