"""Layers that make one tensor of several: sums, products, extremes, concatenation, dot products."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from ...autograd import Tensor
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from .. import arguments
from .base import Layer, Shape


class Merging(Layer):
    """What these layers share: they take a list of at least two tensors, or a tuple."""

    takes_several = True
    least: float = 2
    most: float = math.inf

    def check_number(self, input_shape: Any) -> None:
        is_list = isinstance(input_shape, (list, tuple)) and all(isinstance(shape, tuple) for shape in input_shape)
        if not is_list or not self.least <= len(input_shape) <= self.most:
            count = len(input_shape) if is_list else "one tensor by itself"
            wanted = "two" if self.least == self.most else f"at least {self.least}"
            raise InvalidArgument(
                f"layer {shown(self.name)} merges a list of {wanted} tensors but got {count}, shape "
                f"{shown(input_shape, 100)}: call it on a list, such as layer([x, y])"
            )
        self.compute_output_shape(input_shape)  # says what cannot be merged


class Broadcasting(Merging):
    """What elementwise layers share: axes of size 1 are repeated, and missing ones are put behind the batch."""

    of_two: Callable[[Any, Any], Tensor]

    def call(self, x: Sequence[Tensor], training: bool = False) -> Tensor:
        return reduce(type(self).of_two, _of_one_rank(x))

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        ndim = max(map(len, input_shape))
        padded = [(*(1,) * (ndim - len(shape)), *shape[1:]) for shape in input_shape]
        sizes = []
        for column in zip(*padded, strict=True):
            known = {n for n in column if n != 1} or {1}
            if len(known) > 1:
                raise InvalidArgument(
                    f"layer {shown(self.name)} cannot merge the shapes {', '.join(map(str, input_shape))}: sizes must "
                    "be equal, or 1"
                )
            sizes.append(known.pop())
        return (None, *sizes)


class Add(Broadcasting):
    """x[0] + x[1] + ..., elementwise, of a list of tensors.

    Sizes that are 1 are repeated. Where ranks differ, the lower ones get axes of size 1 behind the batch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn as keras
    >>> keras.layers.Add()([np.ones((1, 2)), np.array([[1.0, 3.0]])]).numpy()
    array([[2., 4.]], dtype=float32)
    """

    of_two = staticmethod(F.add)


class Subtract(Broadcasting):
    """x[0] - x[1], of a list of two tensors."""

    of_two = staticmethod(F.subtract)
    most = 2


class Multiply(Broadcasting):
    """x[0]*x[1]*..., elementwise, of a list of tensors."""

    of_two = staticmethod(F.multiply)


class Average(Broadcasting):
    """Mean of a list of tensors, elementwise."""

    of_two = staticmethod(F.add)

    def call(self, x: Sequence[Tensor], training: bool = False) -> Tensor:
        return F.divide(super().call(x, training), len(x))


class Maximum(Broadcasting):
    """Largest of a list of tensors, elementwise."""

    of_two = staticmethod(F.maximum)


class Minimum(Broadcasting):
    """Smallest of a list of tensors, elementwise."""

    of_two = staticmethod(F.minimum)


class Concatenate(Merging):
    """Tensors one behind the other along an axis; the other sizes must be equal.

    Parameters
    ----------
    axis : int
        The last one by default; not 0, the batch's.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn as keras
    >>> keras.layers.Concatenate()([np.ones((1, 2)), np.zeros((1, 1))]).numpy()
    array([[1., 1., 0.]], dtype=float32)
    """

    least = 1

    def __init__(self, axis: int = -1, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.axis = arguments.axis(self, "axis", axis)
        if self.axis == 0:
            raise arguments.wrong(self, "axis", axis, "an axis behind that of the batch")

    def call(self, x: Sequence[Tensor], training: bool = False) -> Tensor:
        return F.concatenate(*x, axis=self.axis)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        first = input_shape[0]
        ndim, axis = len(first), self.axis % max(1, len(first))
        others = [(*shape[:axis], *shape[axis + 1 :]) for shape in input_shape]
        if not -ndim < self.axis < ndim or axis == 0 or any(other != others[0] for other in others):
            raise InvalidArgument(
                f"layer {shown(self.name)} cannot concatenate the shapes {', '.join(map(str, input_shape))} along axis "
                f"{self.axis}: all other sizes must be equal"
            )
        return (*first[:axis], sum(shape[axis] or 0 for shape in input_shape), *first[axis + 1 :])


class Dot(Merging):
    """Products of two tensors summed along one axis of each, sample by sample.

    Parameters
    ----------
    axes : int or pair of int
        The axis of each that is summed along; not 0, the batch's.
    normalize : bool
        Whether both are first divided by their lengths along it: the result is then the cosine of their angle.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn as keras
    >>> keras.layers.Dot(1)([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])]).numpy()
    array([[11.]], dtype=float32)
    """

    most = 2

    def __init__(self, axes: Any, normalize: bool = False, **keywords: Any) -> None:
        super().__init__(**keywords)
        pair = axes if isinstance(axes, (tuple, list)) else (axes, axes)
        if len(pair) != 2:
            raise arguments.wrong(self, "axes", axes, "one axis, or two: one of each tensor")
        self.axes = tuple(arguments.axis(self, "axes", axis) for axis in pair)
        if 0 in self.axes:
            raise arguments.wrong(self, "axes", axes, "axes behind that of the batch")
        self.normalize = arguments.flag(self, "normalize", normalize)

    def call(self, x: Sequence[Tensor], training: bool = False) -> Tensor:
        a, b = x
        if self.normalize:
            a, b = (_normalized(t, axis) for t, axis in zip(x, self.axes, strict=True))
        y = F.einsum(self.equation(a.ndim, b.ndim), a, b)
        return y if y.ndim > 1 else F.unsqueeze(y, axis=1)

    def equation(self, left_rank: int, right_rank: int) -> str:
        """The product in Einstein's notation, of tensors of these ranks."""
        left, right = "nabcdefgh"[:left_rank], "nijklmopq"[:right_rank]
        i, j = self.axes[0] % left_rank, self.axes[1] % right_rank
        right = right[:j] + left[i] + right[j + 1 :]
        return f"{left},{right}->{(left + right[1:]).replace(left[i], '')}"

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        for axis, shape in zip(self.axes, input_shape, strict=True):
            arguments.check_axes(self, "axes", axis, shape)
        places = [axis % len(shape) for axis, shape in zip(self.axes, input_shape, strict=True)]
        sizes = [shape[place] for place, shape in zip(places, input_shape, strict=True)]
        if 0 in places or len(set(sizes)) > 1:
            raise InvalidArgument(
                f"layer {shown(self.name)} cannot multiply the shapes {', '.join(map(str, input_shape))} along axes "
                f"{self.axes}: these sizes must be equal, and not those of the batch"
            )
        rest = [
            n for place, shape in zip(places, input_shape, strict=True) for n in (*shape[1:place], *shape[place + 1 :])
        ]
        return (None, *(rest or [1]))


def _of_one_rank(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors with axes of size 1 behind the batch, where others have more."""
    ndim = max(t.ndim for t in tensors)
    return [t if t.ndim == ndim else F.unsqueeze(t, axis=tuple(range(1, 1 + ndim - t.ndim))) for t in tensors]


def _normalized(x: Tensor, axis: int) -> Tensor:
    """Divided by the length along an axis, which counts as 1e-7 at least."""
    squares = F.maximum(F.sum(F.multiply(x, x), axis=axis, keepdims=True), 1e-14)
    return F.divide(x, F.sqrt(squares))


def add(inputs: Any, **keywords: Any) -> Any:
    """`Add` of a list of tensors.

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> keras.layers.add([keras.Input((3,)), keras.Input((3,))]).shape
    (None, 3)
    """
    return Add(**keywords)(inputs)


def subtract(inputs: Any, **keywords: Any) -> Any:
    """`Subtract` of a list of two tensors."""
    return Subtract(**keywords)(inputs)


def multiply(inputs: Any, **keywords: Any) -> Any:
    """`Multiply` of a list of tensors."""
    return Multiply(**keywords)(inputs)


def average(inputs: Any, **keywords: Any) -> Any:
    """`Average` of a list of tensors."""
    return Average(**keywords)(inputs)


def maximum(inputs: Any, **keywords: Any) -> Any:
    """`Maximum` of a list of tensors."""
    return Maximum(**keywords)(inputs)


def minimum(inputs: Any, **keywords: Any) -> Any:
    """`Minimum` of a list of tensors."""
    return Minimum(**keywords)(inputs)


def concatenate(inputs: Any, axis: int = -1, **keywords: Any) -> Any:
    """`Concatenate` of a list of tensors."""
    return Concatenate(axis, **keywords)(inputs)


def dot(inputs: Any, axes: Any = -1, **keywords: Any) -> Any:
    """`Dot` of a list of two tensors."""
    return Dot(axes, **keywords)(inputs)
