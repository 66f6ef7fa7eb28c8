"""Layers that prepare images, in training as in inference: scaled, normalised, of one size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from ...ops.halves import is_half
from ...ops.resampling import INTERPOLATIONS
from .. import arguments
from ..modelling.placing import carrier, device_of
from .base import Elementwise, Shape
from .reshaping import Resized
from .sizes import elements, known_axis


def beside(x: Tensor, numbers: Any) -> Any:
    """Numbers as an operand of x: in its dtype, on its device."""
    array = np.asarray(numbers, x.dtype)
    return x.dtype.type(array[()]) if array.ndim == 0 else carrier(device_of(x.values))(np.ascontiguousarray(array))


class Rescaling(Elementwise):
    """x*scale + offset.

    Parameters
    ----------
    scale, offset : float or array_like
        Arrays are broadcast to the input: one number for each channel of images that are channels-last, say.
    **keywords
        `name`, `input_shape` of every layer.

    Examples
    --------
    >>> Rescaling(1 / 127.5, offset=-1)(np.array([[0, 255]], np.uint8)).numpy()
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.scale, self.offset = arguments.numbers(self, "scale", scale), arguments.numbers(self, "offset", offset)

    def build(self, input_shape: Shape) -> None:
        for name, array in (("scale", self.scale), ("offset", self.offset)):
            check_broadcast(self, name, np.shape(array), input_shape)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return x * beside(x, self.scale) + beside(x, self.offset)


def check_broadcast(layer: Any, name: str, shape: Sequence[int], input_shape: Shape) -> None:
    """Raise unless numbers of this shape can stand beside every image of an input."""
    image = (1, *(n or 1 for n in input_shape[1:]))
    try:
        fits = np.broadcast_shapes(tuple(shape), image) == image
    except ValueError:
        fits = False
    if not fits:
        raise InvalidArgument(
            f"layer {shown(layer.name)} has {name} of shape {tuple(shape)}, which cannot be broadcast to its input "
            f"{input_shape}"
        )


class Sized(Resized, rank=2):
    """What makes images of one size."""

    def __init__(self, height: int, width: int, data_format: str | None = None, **keywords: Any) -> None:
        super().__init__(data_format, **keywords)
        self.height, self.width = arguments.size(self, "height", height), arguments.size(self, "width", width)

    def new_size(self, size: Sequence[int]) -> list[int]:
        return [self.height, self.width]

    def inner(self, x: Tensor, size: Sequence[int], starts: Sequence[int] | None = None) -> Tensor:
        """A part of images of this size: the middle, or what begins at `starts`."""
        if starts is None:
            starts = [(n - m) // 2 for n, m in zip(self.size_of(x.shape[1:]), size, strict=True)]
        inside = [slice(start, start + m) for start, m in zip(starts, size, strict=True)]
        return F.getitem(x, index=self._each_axis(inside, slice(None)))

    def of_ratio(self, x: Tensor) -> Tensor:
        """The middle of images, as much of it as has the new size's ratio."""
        return self.inner(x, of_ratio(self.size_of(x.shape[1:]), (self.height, self.width), larger=False))


class Resizing(Sized):
    """Images (N, H, W, C) in another size.

    Pixels are areas: the middles of those of the result are interpolated between the middles of the input's.

    Parameters
    ----------
    height, width : int
        The new size.
    interpolation : {"bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"}
    crop_to_aspect_ratio : bool
        Whether what is too long along one axis is cut off, evenly at both ends, before.
    pad_to_aspect_ratio : bool
        Whether what is too short along one axis is filled up, evenly at both ends, before.
    fill_mode : {"constant"}
    fill_value : float
        What is filled up with.
    antialias : bool
        Whether all pixels count where images become smaller.
    data_format : {None, "channels_last", "channels_first"}
    **keywords
        `name`, `input_shape` of every layer.

    Examples
    --------
    >>> Resizing(2, 2)(np.arange(16.0).reshape(1, 4, 4, 1)).numpy()[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(height, width, data_format, **keywords)
        self.interpolation = arguments.choice(self, "interpolation", interpolation, INTERPOLATIONS)
        self.crop_to_aspect_ratio = arguments.flag(self, "crop_to_aspect_ratio", crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = arguments.flag(self, "pad_to_aspect_ratio", pad_to_aspect_ratio)
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise InvalidArgument("`Resizing`: crop_to_aspect_ratio and pad_to_aspect_ratio are True; one may be")
        self.fill_mode = arguments.choice(self, "fill_mode", fill_mode, ("constant",))
        self.fill_value = arguments.real(self, "fill_value", fill_value)
        self.antialias = arguments.flag(self, "antialias", antialias)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        size, wanted = self.size_of(x.shape[1:]), (self.height, self.width)
        if self.crop_to_aspect_ratio:
            x = self.of_ratio(x)
        elif self.pad_to_aspect_ratio:
            target = of_ratio(size, wanted, larger=True)
            widths = [((m - n) // 2, m - n - (m - n) // 2) for n, m in zip(size, target, strict=True)]
            x = F.pad(x, widths=self._each_axis(widths, (0, 0)), value=self.fill_value)
        return F.resize(x, size=wanted, layout=self.layout, interpolation=self.interpolation, antialias=self.antialias)


def of_ratio(size: Sequence[int], wanted: Sequence[int], larger: bool) -> tuple[int, int]:
    """The size nearest to that of an image, no larger along either axis, or no smaller, that has another's ratio."""
    found = int(size[1] * wanted[0] / wanted[1]), int(size[0] * wanted[1] / wanted[0])
    rows, columns = (max(n, m) if larger else max(1, min(n, m)) for n, m in zip(size, found, strict=True))
    return rows, columns


class CenterCrop(Sized):
    """The middle of images; what is smaller than that is resized, with its ratio kept by cropping.

    Parameters
    ----------
    height, width : int
    data_format : {None, "channels_last", "channels_first"}
    **keywords
        `name`, `input_shape` of every layer.

    Examples
    --------
    >>> CenterCrop(2, 1)(np.arange(12.0).reshape(1, 4, 3, 1)).numpy().ravel()
    array([4., 7.], dtype=float32)
    """

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        wanted = (self.height, self.width)
        if all(n >= m for n, m in zip(self.size_of(x.shape[1:]), wanted, strict=True)):
            return self.inner(x, wanted)
        return F.resize(self.of_ratio(x), size=wanted, layout=self.layout)


class Normalization(Elementwise):
    """(x - mean)/sqrt(variance), by numbers that are given or found in data by `adapt`.

    Parameters
    ----------
    axis : int, tuple of int or None
        The axes that have a mean for each index; None: there is one for all.
    mean, variance : float or array_like, optional
        Both or none.
    invert : bool
        Whether the layer does the inverse, x*sqrt(variance) + mean.
    **keywords
        `name`, `input_shape` of every layer.

    Examples
    --------
    >>> layer = Normalization()
    >>> layer.adapt(np.array([[0.0, 10.0], [4.0, 30.0]]))
    >>> layer(np.array([[0.0, 20.0]])).numpy()
    array([[-1.,  0.]], dtype=float32)
    """

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **keywords: Any
    ) -> None:
        super().__init__(**keywords)
        found = arguments.axes(self, "axis", axis)
        self.axis = () if found is None else found if isinstance(found, tuple) else (found,)
        if (mean is None) != (variance is None):
            raise InvalidArgument("`Normalization`: mean and variance come together; one was given, and one was not")
        self.given = None
        if mean is not None:
            given = (("mean", mean), ("variance", variance))
            self.given = tuple(np.asarray(arguments.numbers(self, name, v)) for name, v in given)
            if self.given[0].shape != self.given[1].shape or (self.given[1] < 0).any():
                raise arguments.wrong(self, "variance", variance, "numbers of at least 0, in the shape of mean")
        self.invert = arguments.flag(self, "invert", invert)

    def build(self, input_shape: Shape) -> None:
        arguments.check_axes(self, "axis", self.axis, input_shape)
        kept = {a % len(input_shape) for a in self.axis}
        if 0 in kept:
            raise InvalidArgument(f"layer {shown(self.name)} has axis={self.axis}, and axis 0 is that of the batch")
        self.kept = tuple(known_axis(self, input_shape, a) if a in kept else 1 for a in range(len(input_shape)))
        shape = tuple(n for a, n in enumerate(self.kept) if a in kept)
        if self.given is None:
            self.adapt_mean = self.add_weight("mean", shape, "zeros", trainable=False)
            self.adapt_variance = self.add_weight("variance", shape, "ones", trainable=False)
            self.count = self.add_weight("count", (), "zeros", trainable=False)  # Keras keeps it, and never uses it
            return
        try:
            mean, variance = (np.broadcast_to(a, shape).reshape(self.kept).astype(self.dtype) for a in self.given)
        except ValueError:
            raise InvalidArgument(
                f"layer {shown(self.name)} has mean of shape {self.given[0].shape}; expected {shape} for its input "
                f"{input_shape}"
            ) from None
        self.given_mean, self.given_variance = Tensor(mean), Tensor(variance)  # attributes are carried to devices

    def adapt(self, data: Any) -> None:
        """Take mean and (biased) variance of data, in double precision.

        Parameters
        ----------
        data : array_like, or an iterable of batches
            A tuple among the batches counts as its first item, (x, y) as x.
        """
        if self.given is not None:
            raise InvalidArgument(f"layer {shown(self.name)} was given mean and variance; it has nothing to adapt")
        is_array = hasattr(data, "shape") or isinstance(data, (list, tuple))
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for batch in [data] if is_array else data:
            x = arguments.host_array(self, "data", batch[0] if isinstance(batch, tuple) else batch)
            if x.ndim == 0 or x.size == 0:
                raise arguments.wrong(self, "data", x, "batches of images")
            self.ensure_built((None, *x.shape[1:]))
            axes = tuple(a for a, n in enumerate(self.kept) if n == 1)
            x = x.astype(np.float64).reshape(len(x), *x.shape[1:])
            own, size = x.mean(axis=axes, keepdims=True), x.size // elements((None, *self.kept))
            # Chan, Golub & LeVeque 1983
            change = own - mean
            total = count + size
            squares = squares + np.square(x - own).sum(axis=axes, keepdims=True) + change**2 * (count * size / total)
            mean, count = mean + change * (size / total), total
        if count == 0:
            raise InvalidArgument(f"layer {shown(self.name)}: data has no batches to adapt to")
        for weight, found in ((self.adapt_mean, mean), (self.adapt_variance, squares / count)):
            weight.put(np.reshape(found, weight.shape).astype(weight.dtype))

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, which is at least 1e-7, in a shape that is broadcast to a batch."""
        if self.given is None:
            mean, variance = (F.reshape(w.detach(), shape=self.kept) for w in (self.adapt_mean, self.adapt_variance))
        else:
            mean, variance = self.given_mean, self.given_variance
        return mean, F.maximum(F.sqrt(variance), 1e-7)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        mean, deviation = self.moments()
        y = x * deviation + mean if self.invert else (x - mean) / deviation
        return F.astype(y, dtype=x.dtype) if is_half(x.dtype) else y
