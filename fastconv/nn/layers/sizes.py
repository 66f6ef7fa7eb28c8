"""What layers must know of the sizes of their input, and say when they do not."""

from __future__ import annotations

import math
from typing import Any

from ...errors import InvalidArgument, shown
from .. import arguments
from .symbols import Shape


def image_shape(owner: Any, name: str, shape: Any) -> tuple[int, ...]:
    """The shape of one image as a tuple of whole numbers."""
    expected = "the shape of one image, such as (28, 28, 1), of whole numbers above 0"
    return arguments.shape(owner, name, shape, expected)


def input_image_shape(owner: Any, name: str, shape: Any) -> Shape:
    """As `image_shape`; None is a size that is not known."""
    if not isinstance(shape, (tuple, list)) or None not in shape:
        return image_shape(owner, name, shape)
    image_shape(owner, name, [1 if n is None else n for n in shape])
    return tuple(shape)


def check_axes(layer: Any, input_shape: Shape, ndim: int, what: str) -> None:
    """The input must have `ndim` axes."""
    if len(input_shape) != ndim:
        advice = missing_batch(input_shape, ndim)
        raise InvalidArgument(f"layer {shown(layer.name)} needs {what} but its input has shape {input_shape}{advice}")


def known_size(layer: Any, input_shape: Shape, ndim: int, what: str) -> tuple[int, ...]:
    """The input's shape without the batch, which must have `ndim` - 1 axes."""
    check_axes(layer, input_shape, ndim, what)
    return tuple(known_axis(layer, input_shape, axis) for axis in range(1, ndim))


def known_axis(layer: Any, input_shape: Shape, axis: int) -> int:
    """The size of an axis of the input that the layer must know, such as for its weights."""
    size = input_shape[axis]
    if size is None:
        raise InvalidArgument(
            f"layer {shown(layer.name)} must know axis {axis % len(input_shape)} of its input {input_shape}: give "
            "`Input` the sizes, or put a layer before it that makes one size of any, such as GlobalAveragePooling2D"
        )
    return size


def missing_batch(input_shape: Shape, ndim: int) -> str:
    """What to do about one sample that is given by itself."""
    return "; a sample by itself needs a batch axis: x[None]" if len(input_shape) == ndim - 1 else ""


def elements(shape: Shape) -> int:
    """Number of elements of one image."""
    return math.prod(n for n in shape[1:] if n is not None)
