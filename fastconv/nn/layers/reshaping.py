"""Layers that move, repeat, add or take away elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...autograd import Tensor
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from ...ops.resampling import INTERPOLATIONS
from .. import arguments
from .base import Layer, Shape
from .sizes import elements, image_shape, known_size
from .spatial import Spatial, parse_data_format

Pairs = tuple[tuple[int, ...], ...]


class Flatten(Layer):
    """(N, ...) to (N, everything else). Channels-first images are flattened in channels-last order, as in Keras."""

    def __init__(self, data_format: str | None = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.channels_last = parse_data_format(self, data_format)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not self.channels_last and x.ndim > 2:
            x = F.transpose(x, axes=(0, *range(2, x.ndim), 1))
        return F.flatten(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (None, elements(input_shape))


class Reshape(Layer):
    """One image's elements in another shape; one size may be -1."""

    def __init__(self, target_shape: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        expected = "the shape of one image, such as (28, 28, 1), in which one size may be -1"
        self.target_shape = arguments.shape(self, "target_shape", target_shape, expected, least=-1)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return F.reshape(x, shape=(x.shape[0], *self.compute_output_shape((None, *x.shape[1:]))[1:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        total, known = elements(input_shape), math.prod(n for n in self.target_shape if n != -1)
        open_sizes = sum(n == -1 for n in self.target_shape)
        if open_sizes > 1 or known < 1 or (total % known if open_sizes else total != known):
            raise InvalidArgument(
                f"layer {shown(self.name)} cannot reshape {input_shape[1:]} ({total} elements) to {self.target_shape}"
            )
        return (None, *(total // known if n == -1 else n for n in self.target_shape))


class Permute(Layer):
    """One image's axes in another order, numbered from 1."""

    def __init__(self, dims: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.dims = image_shape(self, "dims", dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise arguments.wrong(self, "dims", dims, f"each of 1 to {len(self.dims)} once")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return F.transpose(x, axes=(0, *self.dims))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        known_size(self, input_shape, len(self.dims) + 1, f"{len(self.dims)} axes beside the batch")
        return (None, *(input_shape[d] for d in self.dims))


class RepeatVector(Layer):
    """A vector (N, C) as n steps of a signal (N, n, C).

    Parameters
    ----------
    n : int

    Examples
    --------
    >>> RepeatVector(2)([[1.0, 3.0]]).numpy()
    array([[[1., 3.],
            [1., 3.]]], dtype=float32)
    """

    def __init__(self, n: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.n = arguments.size(self, "n", n)

    def build(self, input_shape: Shape) -> None:
        known_size(self, input_shape, 2, "one vector an image, (batch, features)")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return F.expand(F.unsqueeze(x, axis=1), shape=(x.shape[0], self.n, x.shape[1]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (None, self.n, *known_size(self, input_shape, 2, "one vector an image, (batch, features)"))


def parse_pairs(layer: Spatial, name: str, value: Any) -> Pairs:
    """(before, after) for each spatial axis: of one number, one number or one pair for each axis, or a pair of one."""
    items = value if isinstance(value, (tuple, list)) else (value,) * layer.rank
    if layer.rank == 1 and len(items) == 2 and not isinstance(items[0], (tuple, list)):
        items = (tuple(items),)
    if len(items) != layer.rank:
        raise arguments.wrong(layer, name, value, f"one int, or {layer.rank} ints or (before, after) pairs")
    pairs = (i if isinstance(i, (tuple, list)) else (i, i) for i in items)
    return tuple(arguments.per_axis(layer, name, pair, 2, least=0) for pair in pairs)


class Resized(Spatial):
    """Base of layers that change the spatial size alone; a class says by `new_size` to what."""

    def new_size(self, size: Sequence[int]) -> list[int]:
        """The spatial size of the result for one of the input."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self.in_size(input_shape, self.new_size(self.size_of(self._image(input_shape))))

    def in_size(self, input_shape: Shape, size: Sequence[int]) -> Shape:
        """The shape of an input in another spatial size."""
        return self._arranged(self._channels(input_shape), size)

    def size_of(self, shape: Sequence[Any]) -> Sequence[int]:
        """The spatial part of one image's shape."""
        return shape[:-1] if self.channels_last else shape[1:]

    def _each_axis(self, spatial: Sequence[Any], others: Any) -> tuple[Any, ...]:
        """Something for each axis of a batch: of the spatial ones, and of the two others."""
        return (others, *spatial, others) if self.channels_last else (others, others, *spatial)


class ZeroPadding(Resized):
    """What zero padding of any rank shares."""

    def __init__(self, padding: Any = 1, data_format: str | None = None, **keywords: Any) -> None:
        super().__init__(data_format, **keywords)
        self.padding = parse_pairs(self, "padding", padding)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return F.pad(x, widths=self._each_axis(self.padding, (0, 0)))

    def new_size(self, size: Sequence[int]) -> list[int]:
        return [n + sum(pair) for n, pair in zip(size, self.padding, strict=True)]


class ZeroPadding1D(ZeroPadding, rank=1):
    """A border of zeros round signals: an int, or (before, after)."""


class ZeroPadding2D(ZeroPadding, rank=2):
    """A border of zeros round images: an int, (rows, columns), or ((top, bottom), (left, right))."""


class ZeroPadding3D(ZeroPadding, rank=3):
    """A border of zeros round volumes."""


class Cropping(Resized):
    """What cropping of any rank shares.

    Parameters
    ----------
    cropping : int, one int per axis, or one (before, after) pair per axis
        Elements that go at either end of each spatial axis.
    data_format : {None, "channels_last", "channels_first"}
    **keywords
        `name`, `input_shape` of every layer.
    """

    by_default: Any = 0

    def __init__(self, cropping: Any = None, data_format: str | None = None, **keywords: Any) -> None:
        super().__init__(data_format, **keywords)
        self.cropping = parse_pairs(self, "cropping", self.by_default if cropping is None else cropping)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        self.new_size(self.size_of(x.shape[1:]))
        inside = [slice(before, -after or None) for before, after in self.cropping]
        return F.getitem(x, index=self._each_axis(inside, slice(None)))

    def new_size(self, size: Sequence[int]) -> list[int]:
        left = [n - sum(pair) for n, pair in zip(size, self.cropping, strict=True)]
        if min(left) < 1:
            raise InvalidArgument(
                f"layer {shown(self.name)} has cropping={self.cropping}, which leaves nothing of images of the size "
                f"{tuple(size)}"
            )
        return left


class Cropping1D(Cropping, rank=1, by_default=1, extensions=("data_format",)):
    """Signals (N, W, C) without their ends: an int, or (before, after); by default 1 at each.

    Examples
    --------
    >>> import numpy as np
    >>> Cropping1D((1, 2))(np.arange(6.0).reshape(1, 6, 1)).numpy().ravel()
    array([1., 2., 3.], dtype=float32)
    """


class Cropping2D(Cropping, rank=2):
    """Images (N, H, W, C) without their border: an int, (rows, columns), or ((top, bottom), (left, right))."""


class Cropping3D(Cropping, rank=3, by_default=1):
    """Volumes (N, D, H, W, C) without their border: an int, one per axis, or a pair per axis; by default 1 each."""


class UpSampling(Resized):
    """What repeats every element."""

    def __init__(self, size: Any = 2, data_format: str | None = None, **keywords: Any) -> None:
        super().__init__(data_format, **keywords)
        self.factors = arguments.per_axis(self, "size", size, self.rank)
        self.size = self.factors if self.rank > 1 else self.factors[0]

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return F.repeat(x, counts=self._each_axis(self.factors, 1))

    def new_size(self, size: Sequence[int]) -> list[int]:
        return [n * k for n, k in zip(size, self.factors, strict=True)]


class UpSampling1D(UpSampling, rank=1, extensions=("data_format",)):
    """Every step of signals (N, W, C) `size` times.

    Parameters
    ----------
    size : int
    data_format : {None, "channels_last", "channels_first"}
    **keywords
        `name`, `input_shape` of every layer.
    """


class UpSampling2D(UpSampling, rank=2):
    """Images (N, H, W, C) made larger by whole numbers.

    Parameters
    ----------
    size : int or (int, int)
        Factors of rows and columns.
    data_format : {None, "channels_last", "channels_first"}
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"}
        "nearest" repeats every pixel; the others are those of `Resizing`.
    **keywords
        `name`, `input_shape` of every layer.

    Examples
    --------
    >>> import numpy as np
    >>> UpSampling2D(2, interpolation="bilinear")(np.arange(2.0).reshape(1, 1, 2, 1)).numpy()[0, 0, :, 0]
    array([0.  , 0.25, 0.75, 1.  ], dtype=float32)
    """

    def __init__(
        self, size: Any = 2, data_format: str | None = None, interpolation: str = "nearest", **keywords: Any
    ) -> None:
        super().__init__(size, data_format, **keywords)
        self.interpolation = arguments.choice(self, "interpolation", interpolation, INTERPOLATIONS)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if self.interpolation == "nearest":
            return super().call(x, training)
        size = self.new_size(self.size_of(x.shape[1:]))
        return F.resize(x, size=tuple(size), layout=self.layout, interpolation=self.interpolation)


class UpSampling3D(UpSampling, rank=3):
    """Every element of volumes (N, D, H, W, C) `size` times along each axis; arguments as `UpSampling1D`."""
