"""From a checked problem to its kernel: the steps that all convolution functions share."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from .. import dispatch
from ..errors import InvalidArgument
from ..spec import ConvSpec
from ..spec.shapes import arrange
from ._arrays import Operands
from ._exactness import suits

ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh")


def lifted(array: Any, rank: int, channels_last: bool) -> Any:
    """A view of x or y with three spatial axes."""
    ones = (1,) * (3 - rank)
    at = 1 if channels_last else 2
    shape = tuple(array.shape)
    return array.reshape(shape[:at] + ones + shape[at:])


class Bound(NamedTuple):
    """A kernel, found for a problem, and what it takes beside the arrays."""

    row: dispatch.Row
    kernel: Callable[..., Any]
    x_shape: tuple[int, ...]  # of x, w and y with three spatial axes
    w_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    geometry: dict[str, Any]


def bind(op: str, spec: ConvSpec, method: str, operands: Operands, *inputs: Any, prepared: bool = False) -> Bound:
    """The kernel that serves `spec`; "auto" keeps data away from transforms that would spoil them (`_exactness`).

    `inputs` are the two operands; a plan, which has no input yet, looks at its data by itself and gives none.
    """
    if type(method) is not str:
        dispatch.check_method(method)  # what cannot be looked up is no method
    bound = _bind(op, spec, method, operands.device, prepared)
    if inputs and is_guarded(method, bound.row) and not suits(op, spec, bound.row.method, *inputs):
        return _bind(op, spec, "direct", operands.device, prepared)
    return bound


def is_guarded(method: str, row: dispatch.Row) -> bool:
    """Whether "auto" has to look at the data: a transform of the CPU was chosen by it."""
    return method == "auto" and row.device == "cpu" and row.method in dispatch.SPREADING


@dispatch.remembered
def _bind(op: str, spec: ConvSpec, method: str, device: str, prepared: bool) -> Bound:
    row = dispatch.find(op, spec, method, device, prepared=prepared)
    last = spec.channels_last
    x_shape, y_shape = (arrange(spec.N, c, n, last) for c, n in ((spec.C, spec.size), (spec.O, spec.out)))
    inner = spec.C // spec.groups
    w_shape = (*spec.kernel, inner, spec.O) if last else (spec.O, inner, *spec.kernel)
    return Bound(row, dispatch.load(row), x_shape, w_shape, y_shape, geometry(spec))


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
