"""The same elements in other shapes and orders, and several tensors as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...autograd import functional as F
from .. import arguments
from ._operands import tensor


def reshape(x: Any, newshape: Any) -> Any:
    """The same elements in another shape; one size may be -1, as that of the batch is best."""
    shape = arguments.shape("reshape", "newshape", newshape, "a tuple of sizes, one of which may be -1", least=-1)
    return F.reshape(tensor("reshape", x), shape=shape)


def transpose(x: Any, axes: Any = None) -> Any:
    """The axes in another order, reversed without one."""
    x = tensor("transpose", x)
    if axes is None:
        return F.transpose(x)
    return F.transpose(x, axes=_order("transpose", "axes", axes, x))


def _order(owner: str, name: str, value: Any, x: Any) -> tuple[int, ...]:
    items = arguments.items(owner, name, value, "the axes in another order")
    axes = tuple(arguments.axis(owner, name, item) for item in items)
    arguments.check_axes(owner, name, axes, x.shape)
    return axes


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes in each other's place."""
    x = tensor("swapaxes", x)
    one, two = (arguments.axis("swapaxes", n, v) for n, v in (("axis1", axis1), ("axis2", axis2)))
    for name, axis in (("axis1", one), ("axis2", two)):
        arguments.check_axes("swapaxes", name, axis, x.shape)
    order = list(range(x.ndim))
    order[one], order[two] = order[two], order[one]
    return F.transpose(x, axes=tuple(order))


def moveaxis(x: Any, source: int, destination: int) -> Any:
    """An axis in another place, the others in their order."""
    x = tensor("moveaxis", x)
    places = {"source": source, "destination": destination}
    for name, value in places.items():
        arguments.check_axes("moveaxis", name, arguments.axis("moveaxis", name, value), x.shape)
    order = list(range(x.ndim))
    order.insert(destination % x.ndim, order.pop(source))
    return F.transpose(x, axes=tuple(order))


def expand_dims(x: Any, axis: int | Sequence[int]) -> Any:
    """With a new axis of size 1, or several."""
    axes = arguments.axes("expand_dims", "axis", axis)
    if axes is None:
        raise arguments.wrong("expand_dims", "axis", axis, "an axis of the result")
    x = tensor("expand_dims", x)
    count = len(axes) if isinstance(axes, tuple) else 1
    arguments.check_axes("expand_dims", "axis", axes, (*x.shape, *(1,) * count))
    return F.unsqueeze(x, axis=axes)


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """Without the axes of size 1, or those that are named."""
    x, axes = tensor("squeeze", x), arguments.axes("squeeze", "axis", axis)
    arguments.check_axes("squeeze", "axis", axes, x.shape)
    return F.squeeze(x, axis=axes)


def concatenate(xs: Any, axis: int = 0) -> Any:
    """Tensors one behind the other along an axis; that of symbolic tensors is not 0.

    Examples
    --------
    >>> import numpy as np
    >>> concatenate([np.ones((1, 2)), np.zeros((1, 1))], axis=-1).numpy()
    array([[1., 1., 0.]])
    """
    tensors = _several("concatenate", "xs", xs)
    axis = arguments.axis("concatenate", "axis", axis)
    arguments.check_axes("concatenate", "axis", axis, tensors[0].shape)
    return F.concatenate(*tensors, axis=axis)


def stack(x: Any, axis: int = 0) -> Any:
    """Tensors of one shape along a new axis; that of symbolic tensors is not 0."""
    tensors = _several("stack", "x", x)
    axis = arguments.axis("stack", "axis", axis)
    arguments.check_axes("stack", "axis", axis, (*tensors[0].shape, 1))
    return F.stack(*tensors, axis=axis)


def _several(owner: str, name: str, value: Any) -> list[Any]:
    tensors = [tensor(owner, x, name) for x in arguments.items(owner, name, value, "a list of arrays")]
    if not tensors:
        raise arguments.wrong(owner, name, value, "a list of at least one array")
    return tensors


def repeat(x: Any, repeats: int, axis: int) -> Any:
    """Every element so many times along an axis, beside itself."""
    x, count = tensor("repeat", x), arguments.size("repeat", "repeats", repeats)
    axis = arguments.axis("repeat", "axis", axis)
    arguments.check_axes("repeat", "axis", axis, x.shape)
    return F.repeat(x, counts=tuple(count if i == axis % x.ndim else 1 for i in range(x.ndim)))


def broadcast_to(x: Any, shape: Any) -> Any:
    """Repeated along axes of size 1, and along new ones in front; -1 keeps a size, such as that of the batch."""
    sizes = arguments.shape("broadcast_to", "shape", shape, "a tuple of sizes", least=-1)
    return F.expand(tensor("broadcast_to", x), shape=sizes)


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Any:
    """With so many numbers, 0 or `constant_values`, before and behind along each axis.

    Examples
    --------
    >>> import numpy as np
    >>> pad(np.ones((1, 2)), ((0, 0), (1, 0))).numpy()
    array([[0., 1., 1.]])
    """
    x = tensor("pad", x)
    arguments.choice("pad", "mode", mode, ("constant",))
    value = 0.0 if constant_values is None else arguments.real("pad", "constant_values", constant_values)
    expected = "a pair of whole numbers for each axis"
    pairs = [
        arguments.items("pad", "pad_width", p, expected)
        for p in arguments.items("pad", "pad_width", pad_width, expected)
    ]
    if len(pairs) != x.ndim or any(len(pair) != 2 for pair in pairs):
        raise arguments.wrong("pad", "pad_width", pad_width, f"{expected}: x has {x.ndim}")
    widths = tuple(tuple(arguments.size("pad", "pad_width", n) if n else 0 for n in pair) for pair in pairs)
    return F.pad(x, widths=widths, **({"value": value} if value else {}))


def shape(x: Any) -> tuple[int | None, ...]:
    """The sizes of the axes; None where one is not known yet.

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> shape(keras.Input((3,)))
    (None, 3)
    """
    return tuple(tensor("shape", x).shape)
